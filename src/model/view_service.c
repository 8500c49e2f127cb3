/* What a view knows of a Service: its ports, and the endpoints behind them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/object_set.h"
#include "model/view_inside.h"

static size_t n_tcp_ports(const struct service *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n_ports && s->type != SERVICE_EXTERNAL_NAME; i++)
		n += s->ports[i].protocol == L4_TCP;
	return n;
}

/* The endpoint port of SLICE that goes with P; NULL: none. */
static const struct endpoint_port *slice_port(const struct endpoint_slice *slice,
					      const struct service_port *p)
{
	for (size_t i = 0; i < slice->n_ports; i++)
		if (slice->ports[i].protocol == L4_TCP &&
		    strcmp(slice->ports[i].name, p->name) == 0)
			return &slice->ports[i];
	return NULL;
}

/* Endpoints of one port as they come together: those of one family that are ready, or that are not. */
struct gathering {
	struct service_part *part;
	struct view_port *port;
	struct view_endpoint *to;
	size_t n;
	bool indexed;      /* there are many */
	struct index seen; /* by address, among `to` */
	struct live *live;
};

static bool is_seen(const struct gathering *g, const struct addr *at)
{
	if (g->indexed) {
		for (struct index_walk w = index_find(&g->seen, at, sizeof(*at));
		     index_next(&g->seen, &w);)
			if (addr_eq(&g->to[w.i].at, at))
				return true;
		return false;
	}
	for (size_t i = 0; i < g->n; i++)
		if (addr_eq(&g->to[i].at, at))
			return true;
	return false;
}

static void add_endpoint(struct gathering *g, const struct addr *at, bool ready,
			 const struct view_peer *peer, uint32_t weight)
{
	if (is_seen(g, at))
		return;
	if (g->indexed)
		index_add(&g->seen, at, sizeof(*at), g->n);
	g->to[g->n++] = (struct view_endpoint){
		.at = *at,
		.live = g->live ? live_endpoint_get(g->live, at) : NULL,
		.ready = ready,
		.weight = weight,
		.peer = peer,
	};
}

static void gather(struct gathering *g, enum ip_family family, bool ready)
{
	const struct service *spec = g->port->service->object->service;
	const struct service_port *p = g->port->port;
	for (size_t k = 0; k < g->part->n_slices; k++) {
		const struct endpoint_slice *slice = g->part->slices[k]->endpoint_slice;
		const struct endpoint_port *ep =
			slice->family == family ? slice_port(slice, p) : NULL;
		if (!ep)
			continue;
		/* No number: all ports, so the Service's own. */
		uint16_t number = ep->port                ? ep->port
				  : p->target_port.number ? p->target_port.number
							  : p->port;
		for (size_t i = 0; i < slice->n_endpoints; i++) {
			const struct endpoint *e = &slice->endpoints[i];
			struct addr at = {.ip = e->ip, .port = number};
			if ((e->ready || spec->publish_not_ready_addresses) == ready)
				add_endpoint(g, &at, ready, NULL, 0);
		}
	}
}

/* The WorkloadEntries that SERVICE selects, the first of them from *AT on; NULL: no more. */
static const struct object *next_workload(const struct view_frame *frame,
					  const struct object *service, size_t *at)
{
	const struct object_set *set = frame->hosts->workloads;
	const char *ns = service->meta.ns;
	if (*at == 0)
		(void)object_set_find(set, ns, "", at); /* where the namespace begins */
	while (*at < set->n && strcmp(set->at[*at]->meta.ns, ns) == 0) {
		const struct object *o = set->at[(*at)++];
		if (workload_is_selected(&service->service->selector, o))
			return o;
	}
	return NULL;
}

static uint16_t named_port(const struct workload_entry *e, const char *name)
{
	for (size_t i = 0; i < e->n_ports; i++)
		if (strcmp(e->ports[i].name, name) == 0)
			return e->ports[i].port;
	return 0;
}

static uint16_t port_at(const struct workload_entry *e, const struct service_port *p)
{
	uint16_t named = named_port(e, p->name);
	if (!named)
		named = named_port(e, p->target_port.name);
	return named ? named : p->target_port.number ? p->target_port.number : p->port;
}

/* Machines that are no Pods stand behind a Service, too; no slice lists them. */
static void gather_workloads(struct gathering *g, const struct view_frame *frame,
			     enum ip_family family)
{
	const struct object *service = g->port->service->object, *o;
	if (service->service->selector.n == 0)
		return;
	for (size_t from = 0; (o = next_workload(frame, service, &from));) {
		const struct workload_entry *e = o->workload_entry;
		struct addr at = {.ip = e->ip, .port = port_at(e, g->port->port)};
		if (e->has_ip && ip_is_v4(&e->ip) == (family == IP_V4))
			add_endpoint(g, &at, true,
				     workload_entry_peer(g->part->part.arena, e, &o->meta.labels,
							 o->meta.ns),
				     e->weight);
	}
}

static size_t count_endpoints(const struct view_frame *frame, const struct object *service,
			      struct object *const *slices, size_t n_slices)
{
	size_t n = 0;
	for (size_t i = 0; i < n_slices; i++)
		n += slices[i]->endpoint_slice->n_endpoints;
	for (size_t from = 0; service->service->selector.n && next_workload(frame, service, &from);)
		n++;
	return n;
}

/* N: at most so many. */
static void add_endpoints(struct service_part *part, struct view_port *port, size_t n,
			  const struct view_frame *frame)
{
	enum { FEW = 16 };
	struct gathering g = {.part = part, .port = port, .live = frame->live, .indexed = n > FEW};
	struct arena *scratch = g.indexed ? arena_new() : NULL;
	if (g.indexed)
		index_init(&g.seen, scratch, n);
	g.to = arena_array(part->part.arena, n, sizeof(*g.to));
	gather(&g, IP_V4, true);
	gather_workloads(&g, frame, IP_V4);
	port->n_v4 = g.n;
	gather(&g, IP_V6, true);
	gather_workloads(&g, frame, IP_V6);
	port->n_endpoints = g.n;
	if (part->service.object->service->headless) {
		/* Whoever dials a Pod that is not ready still speaks to this Service. */
		gather(&g, IP_V4, false);
		gather(&g, IP_V6, false);
		for (size_t i = 0; i < g.n; i++)
			part->headless[part->n_headless++] = (struct headless){port, &g.to[i]};
	}
	port->endpoints = g.to;
	port->n_known = g.n;
	view_port_weigh(part->part.arena, port);
	arena_free(scratch);
}

static void fill_port(struct service_part *part, struct view_port *vp, const struct service_port *p,
		      const struct view_frame *frame, const char *key)
{
	const struct object *o = part->service.object;
	struct detection_words words = {frame->mesh->detection, "",
					frame->mesh->protocol_detection_timeout_ms};
	if (o->meta.annotations.n)
		detection_lay(&words, part->part.arena, o, p->port);
	vp->service = &part->service;
	vp->port = p;
	vp->protocol = protocol_of_service_port(p, &vp->why);
	vp->detection = words.detection;
	vp->detection_from = words.from;
	vp->detection_timeout_ms = words.timeout_ms;
	vp->tls = rule_tls(part->service.rule, p->port);
	vp->hidden = !scope_has_port(frame->scope, o->meta.ns, part->service.host, p->port);
	vp->live = frame->live ? live_port_get(frame->live, LIVE_OUTBOUND, key, p->port) : NULL;
}

static bool names(const struct endpoint_slice *slice, const struct pod *pod)
{
	for (size_t i = 0; i < slice->n_endpoints; i++)
		if (pod->has_ip[slice->family] &&
		    ip_eq(&slice->endpoints[i].ip, &pod->ip[slice->family]))
			return true;
	return false;
}

/* Endpoints kept by hand may name the own Pod as well. */
static bool is_mine(const struct service_part *part, const struct object *self)
{
	const struct object *o = part->service.object;
	const struct pairs *selector = &o->service->selector;
	if (!self || strcmp(o->meta.ns, self->meta.ns) != 0 || part->service.n_ports == 0)
		return false;
	if (selector->n)
		return pairs_match(selector, &self->meta.labels);
	for (size_t i = 0; i < part->n_slices; i++)
		if (names(part->slices[i]->endpoint_slice, self->pod))
			return true;
	return false;
}

void view_port_end(const struct view_port *port)
{
	live_port_put(port->live);
	for (size_t j = 0; j < port->n_known; j++)
		live_endpoint_put(port->endpoints[j].live);
}

/* Any thread: the cells are counted with atomics. */
static void end(struct part *p)
{
	struct service_part *part = CONTAINER_OF(p, struct service_part, part);
	for (size_t i = 0; i < part->service.n_ports; i++)
		view_port_end(&part->service.ports[i]);
}

static void hold(struct service_part *part, const struct object *service,
		 struct object *const *slices, size_t n_slices)
{
	const struct object **all =
		arena_array(part->part.arena, n_slices, sizeof(struct object *));
	part_hold(&part->part, service);
	for (size_t i = 0; i < n_slices; i++) {
		part_hold(&part->part, slices[i]);
		all[i] = slices[i];
	}
	part->slices = all;
	part->n_slices = n_slices;
}

static void fill_names(struct service_part *part, const struct object *o)
{
	const struct service *spec = o->service;
	part->is_headless = spec->headless;
	part->has_alias = spec->type == SERVICE_EXTERNAL_NAME;
	part->ns_at = (uint16_t)(strlen(o->meta.name) + 1);
	part->ns_len = (uint16_t)strlen(o->meta.ns);
	for (int f = 0; f < N_IP_FAMILIES; f++) {
		part->has_ip[f] = spec->has_ip[f];
		part->ip[f] = spec->cluster_ip[f];
	}
}

struct service_part *service_part_new(const struct view_frame *frame, const struct object *service,
				      struct object *const *slices, size_t n_slices)
{
	char host[512], key[512];
	const struct service *spec = service->service;
	size_t n_ports = n_tcp_ports(spec), n = 0;
	size_t n_endpoints = count_endpoints(frame, service, slices, n_slices);
	size_t n_headless = spec->headless ? n_ports * n_endpoints : 0;
	struct slice ns = slice_of(service->meta.ns), name = slice_of(service->meta.name);
	const struct slice host_parts[] = {name, SLICE("."), ns, SLICE(".svc.cluster.local")};
	const struct slice key_parts[] = {ns, SLICE("/"), name};
	/* Names are bounded: both fit. */
	size_t host_len = slice_join(host, sizeof(host), host_parts, N_ELEMS(host_parts));
	(void)slice_join(key, sizeof(key), key_parts, N_ELEMS(key_parts)); /* as above */
	size_t bytes = host_len + 1 + n_ports * sizeof(struct view_port) +
		       n_ports * n_endpoints * sizeof(struct view_endpoint) +
		       n_headless * sizeof(struct headless) + n_slices * sizeof(struct object *);
	struct service_part *part = part_new(sizeof(*part), bytes + n_ports * 16, n_slices + 1);
	struct arena *a = part->part.arena;
	struct view_port *ports = arena_array(a, n_ports, sizeof(*ports));
	part->part.end = end;
	hold(part, service, slices, n_slices);
	part->headless = arena_array(a, n_headless, sizeof(*part->headless));
	part->service.object = service;
	part->service.host = arena_dup(a, slice_of(host));
	part->service.rule = rules_of(frame->rules, &part->service);
	part->service.subject_alt_names =
		entry_names_for(frame, a, part->service.host, service->meta.ns);
	part->service.ports = ports;
	part->service.n_ports = n_ports;
	for (size_t i = 0; i < spec->n_ports && n < n_ports; i++)
		if (spec->ports[i].protocol == L4_TCP)
			fill_port(part, &ports[n++], &spec->ports[i], frame, key);
	for (size_t i = 0; i < n_ports && n_endpoints; i++)
		add_endpoints(part, &ports[i], n_endpoints, frame);
	fill_names(part, service);
	part->mine = is_mine(part, frame->self);
	part->known = scope_has_service(frame->scope, service, part->service.host);
	return part;
}
