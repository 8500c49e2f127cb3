/*
 * Where the app's own connections go. The destination address alone selects, exactly: no Service's
 * port number ever drags an unrelated address along (each virtual IP and each endpoint is matched
 * for itself).
 */
#include "decide/internal.h"

/* A Service's port was matched: what it declares decides how to carry the connection. */
static void to_service(struct plan *p, const struct view *v, const struct view_port *port,
		       enum plan_destination destination)
{
	const struct object *service = port->service->object;
	p->port = port;
	p->live = port->live;
	p->destination = destination;
	p->protocol = port->protocol;
	plan_step_protocol(p, port->protocol, service, port->port->port);
	if (destination == DEST_SERVICE && port->n_endpoints == 0) {
		/* Kubernetes refuses such a connection as well: better now than after a silence. */
		plan_refuse(p, STEP_NO_ENDPOINTS, service, port->port->port);
		return;
	}
	enum proto_class class = protocol_class(port->protocol);
	/* An HTTP port needs no detection to be carried, and its server may speak first against its
	 * name: dial at once. Istio detects there too, which client-first reproduces. */
	bool http_waits = class == CLASS_HTTP && port->detection == DETECTION_CLIENT_FIRST;
	if (class == CLASS_AUTO || http_waits)
		plan_detect(p, view_mesh(v), port->detection, port->detection_timeout_ms);
	else
		p->action = PLAN_RELAY;
}

/*
 * No Service was matched. A Pod's own address is no Service either, as in Istio: ALLOW_ANY lets it
 * pass in clear, REGISTRY_ONLY refuses it. No detection: there is nothing to route by, so nothing
 * is worth a wait.
 */
static void unmatched(struct plan *p, const struct view *v)
{
	p->peer_workload = view_workload_by_ip(v, &p->to.ip);
	if (p->peer_workload)
		plan_step(p, STEP_POD_IP, p->peer_workload->pod, p->to.port);
	else
		plan_step(p, STEP_UNKNOWN_ADDRESS, NULL, 0);
	switch (view_mesh(v)->outbound_policy) {
	case OUTBOUND_ALLOW_ANY:
		plan_step(p, STEP_ALLOW_ANY, NULL, 0);
		p->destination = DEST_PASSTHROUGH;
		p->action = PLAN_RELAY;
		return;
	case OUTBOUND_REGISTRY_ONLY:
		break;
	}
	plan_refuse(p, STEP_REGISTRY_ONLY, NULL, 0);
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

void decide_outbound(const struct view *v, const struct outbound_facts *facts, struct plan *out)
{
	plan_init(out, v, LIVE_OUTBOUND, &facts->dst);
	const struct view_port *port = view_port_by_vip(v, &facts->dst);
	if (port) {
		plan_step(out, STEP_SERVICE_VIP, port->service->object, port->port->port);
		to_service(out, v, port, DEST_SERVICE);
		return;
	}
	const struct view_service *service = view_service_by_vip(v, &facts->dst.ip);
	if (service) {
		bool other = not_tcp(service, facts->dst.port);
		plan_refuse(out, other ? STEP_NOT_TCP : STEP_VIP_PORT_UNKNOWN, service->object,
			    facts->dst.port);
		return;
	}
	if (own_port(facts->dst.port)) {
		plan_refuse(out, STEP_SELF_CALL_GUARD, NULL, facts->dst.port);
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
	unmatched(out, v);
}
