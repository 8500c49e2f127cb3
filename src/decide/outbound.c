/*
 * Where the app's own connections go. The destination address alone selects, exactly: no Service's
 * port number ever drags an unrelated address along (each virtual IP and each endpoint is matched
 * for itself).
 */
#include "decide/internal.h"

/* A name has to be resolved before anything can be said. */
static void wait_for(struct plan *p, const struct view_port *port)
{
	plan_step(p, STEP_RESOLVING, port->service->object, port->port->port);
	p->action = PLAN_WAIT;
	p->destination = DEST_NONE;
}

/* There is nobody to connect to. Kubernetes refuses such a connection as well: better now than after
 * a silence. */
static void refuse_empty(struct plan *p, const struct view_port *port)
{
	const struct view_entry *e = port->service->entry;
	bool by_name = e && (port == e->other || e->n_names);
	plan_refuse(p,
		    by_name ? STEP_NO_ADDRESS
		    : e     ? STEP_NO_ENTRY_ENDPOINTS
			    : STEP_NO_ENDPOINTS,
		    port->service->object, port->port->port);
}

/* A rule wants TLS of its own, whoever of the port's endpoints is dialled. */
static bool wants_own_tls(const struct view_port *port)
{
	const struct client_tls *rule = view_tls(port, NULL);
	return rule && transport_is_own(transport_of_rule(rule));
}

bool plan_to_port(struct plan *p, const struct view_port *port, enum plan_destination destination)
{
	const struct object *service = port->service->object;
	p->port = port;
	p->live = port->live;
	p->destination = destination;
	p->protocol = port->protocol;
	plan_step_protocol(p, port->protocol, service, port->port->port);
	if (destination == DEST_SERVICE && port->n_endpoints == 0) {
		if (view_port_waits(port))
			wait_for(p, port);
		else
			refuse_empty(p, port);
		return false;
	}
	return true;
}

void plan_carry(struct plan *p, const struct view *v, const struct view_port *port)
{
	enum proto_class class = protocol_class(port->protocol);
	/* An HTTP port needs no detection to be carried, and its server may speak first against its
	 * name: dial at once. Istio detects there too, which client-first reproduces. */
	bool http_waits = class == CLASS_HTTP && port->detection == DETECTION_CLIENT_FIRST;
	if (class == CLASS_AUTO || http_waits) {
		plan_detect(p, view_mesh(v), port->detection, port->detection_timeout_ms);
	} else if (wants_own_tls(port)) { /* who speaks first, and what, says how it begins */
		plan_detect(p, view_mesh(v), DETECTION_BOTH_ENDS, 0);
		p->fw.tls_only = class != CLASS_HTTP; /* the rest of no request is waited for */
	} else {
		p->action = PLAN_RELAY;
	}
}

static void to_service(struct plan *p, const struct view *v, const struct view_port *port,
		       enum plan_destination destination)
{
	if (plan_to_port(p, port, destination))
		plan_carry(p, v, port);
}

void plan_unmatched(struct plan *p, const struct view *v, const struct view_port *any)
{
	const struct object *by = NULL;
	if (view_outbound_policy(v, &by) == OUTBOUND_ALLOW_ANY) {
		plan_step(p, STEP_ALLOW_ANY, by, 0);
	} else if (any) {
		plan_step(p, STEP_ANY_ADDRESS, any->service->object, p->to.port);
	} else {
		plan_refuse(p, STEP_REGISTRY_ONLY, by, 0);
		return;
	}
	p->destination = DEST_PASSTHROUGH;
	p->action = PLAN_RELAY;
}

/*
 * No Service was matched. A Pod's own address is no Service either, as in Istio: ALLOW_ANY lets it
 * pass in clear, REGISTRY_ONLY refuses it. No detection: there is nothing to route by, so nothing
 * is worth a wait. The exceptions are ports of hosts that no address tells. S: whose address it is,
 * though on a port that it does not declare, or that is out of scope; or NULL.
 */
static void unmatched(struct plan *p, const struct view *v, const struct outbound_facts *facts,
		      const struct view_service *s)
{
	const struct view_service *entry = s && s->entry ? s : NULL;
	p->peer_workload = view_workload_by_ip(v, &p->to.ip);
	p->host = entry;
	if (s && view_port_is_hidden(s, p->to.port))
		plan_step(p, STEP_NOT_IMPORTED, view_sidecar(v), p->to.port);
	else if (entry)
		plan_step(p, STEP_ENTRY_PORT, entry->object, p->to.port);
	else if (p->peer_workload)
		plan_step(p, STEP_POD_IP, p->peer_workload->pod, p->to.port);
	else
		plan_step(p, STEP_UNKNOWN_ADDRESS, NULL, 0);
	/* Who speaks mesh TLS is inside: no host out there takes it along. */
	bool inside = p->peer_workload && p->peer_workload->mesh_tls;
	if (s || inside || !plan_by_name(p, v, facts))
		plan_unmatched(p, v, NULL);
}

bool plan_to_entry(struct plan *p, const struct view *v, const struct view_port *port)
{
	const struct view_entry *e = port->service->entry;
	const struct object *o = port->service->object;
	p->host = port->service;
	if (e->resolution == RESOLUTION_NONE) {
		plan_step(p, STEP_ENTRY_AS_DIALLED, o, 0);
		p->peer_workload = view_workload_by_ip(v, &p->to.ip);
		return plan_to_port(p, port, DEST_ENDPOINT);
	}
	if (e->n_names && port->n_endpoints)
		plan_step(p, STEP_ENTRY_RESOLVED, o, 0);
	return plan_to_port(p, port, DEST_SERVICE);
}

/* One of a ServiceEntry's ports: by its resolution. */
static void to_entry(struct plan *p, const struct view *v, const struct view_port *port)
{
	const struct view_entry *e = port->service->entry;
	const struct object *o = port->service->object;
	p->host = port->service;
	plan_step(p, e->given ? STEP_ENTRY_VIP : STEP_ENTRY_ADDRESS, o, port->port->port);
	if (plan_to_entry(p, v, port))
		plan_carry(p, v, port);
}

/* A Sidecar has the workload dial a socket of its own instead of the host. */
static void by_listener(struct plan *p, const struct view *v, const struct view_listener *l)
{
	const struct view_service *s = l->port->service;
	plan_step(p, STEP_EGRESS_LISTENER, view_sidecar(v), l->port->port->port);
	p->host = s->entry ? s : NULL;
	if (s->entry && s->entry->n_names && l->port->n_endpoints)
		plan_step(p, STEP_ENTRY_RESOLVED, s->object, 0);
	to_service(p, v, l->port, DEST_SERVICE);
}

/* An address that the mesh has given to a host, on a port that no ServiceEntry declares: what would
 * have happened without the address. */
static void to_host(struct plan *p, const struct view *v, const struct view_service *s)
{
	const struct object *by = NULL;
	const struct view_port *other = s->entry->other;
	p->host = s;
	if (view_port_is_hidden(s, p->to.port))
		plan_step(p, STEP_NOT_IMPORTED, view_sidecar(v), p->to.port);
	else
		plan_step(p, STEP_ENTRY_PORT, s->object, p->to.port);
	if (view_outbound_policy(v, &by) == OUTBOUND_REGISTRY_ONLY) {
		plan_refuse(p, STEP_REGISTRY_ONLY, by, 0);
		return;
	}
	if (other->n_endpoints == 0) {
		if (view_port_waits(other))
			wait_for(p, other);
		else
			refuse_empty(p, other);
		return;
	}
	plan_step(p, STEP_ALLOW_ANY, by, 0);
	p->destination = DEST_HOST;
	p->action = PLAN_RELAY;
}

/* Its port NUMBER exists, but not for TCP (the view has none but TCP ports). */
static bool not_tcp(const struct view_service *s, uint16_t number)
{
	const struct service *service = s->object->service;
	for (size_t i = 0; i < service->n_ports; i++)
		if (service->ports[i].port == number && service->ports[i].protocol != L4_TCP)
			return true;
	return false;
}

/* A Kubernetes Service's virtual IP: on this port, or not. */
static void to_vip(struct plan *p, const struct view *v, const struct view_service *s,
		   const struct view_port *port)
{
	if (port) {
		plan_step(p, STEP_SERVICE_VIP, s->object, port->port->port);
		to_service(p, v, port, DEST_SERVICE);
		return;
	}
	bool other = not_tcp(s, p->to.port);
	plan_refuse(p, other ? STEP_NOT_TCP : STEP_VIP_PORT_UNKNOWN, s->object, p->to.port);
}

void decide_outbound(const struct view *v, const struct outbound_facts *facts, struct plan *out)
{
	plan_init(out, v, LIVE_OUTBOUND, &facts->dst);
	const struct view_listener *listener = view_listener_at(v, &facts->dst);
	if (listener) {
		by_listener(out, v, listener);
		return;
	}
	if (facts->bound) {
		plan_refuse(out, STEP_LISTENER_GONE, NULL, facts->dst.port);
		return;
	}
	const struct view_service *service = view_service_by_vip(v, &facts->dst.ip);
	const struct view_port *port = view_port_by_vip(v, &facts->dst);
	if (service && !service->entry && !view_port_is_hidden(service, facts->dst.port)) {
		to_vip(out, v, service, port);
		return;
	}
	if (own_port(facts->dst.port)) {
		plan_refuse(out, STEP_SELF_CALL_GUARD, NULL, facts->dst.port);
		return;
	}
	if (!port)
		port = view_port_by_range(v, &facts->dst);
	if (port) {
		to_entry(out, v, port);
		return;
	}
	if (service && service->entry && service->entry->other) {
		to_host(out, v, service);
		return;
	}
	const struct view_endpoint *ep = NULL;
	port = view_port_by_headless(v, &facts->dst, &ep);
	if (port) {
		plan_step(out, STEP_HEADLESS, port->service->object, port->port->port);
		out->peer_workload = view_workload_by_ip(v, &facts->dst.ip);
		to_service(out, v, port, DEST_ENDPOINT);
		return;
	}
	unmatched(out, v, facts, service);
}
