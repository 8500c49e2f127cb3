/* From what the API told to a view of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/annotations.h"
#include "model/object_set.h"
#include "model/view_inside.h"

struct view_builder {
	struct object_set sets[N_KINDS];
	char *self_ns, *self_pod;
	struct arena *mesh_arena; /* of the texts in `mesh` */
	struct mesh_config mesh;
	struct object *mesh_from; /* the ConfigMap as of `mesh` or `problem`; NULL: none */
	char problem[1100];
};

struct view_builder *view_builder_new(const char *self_ns, const char *self_pod)
{
	struct view_builder *b = mem_new(sizeof(*b));
	b->self_ns = mem_strdup(self_ns);
	b->self_pod = mem_strdup(self_pod);
	b->mesh_arena = arena_new();
	mesh_config_default(&b->mesh);
	return b;
}

void view_builder_free(struct view_builder *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < N_KINDS; i++)
		object_set_fini(&b->sets[i]);
	object_put(b->mesh_from);
	arena_free(b->mesh_arena);
	free(b->self_ns);
	free(b->self_pod);
	free(b);
}

void view_builder_set(struct view_builder *b, struct object *o)
{
	object_set_put(&b->sets[o->kind], o);
}

static bool is_self(const struct view_builder *b, const struct object *o)
{
	return o->kind == KIND_POD && strcmp(o->meta.name, b->self_pod) == 0 &&
	       strcmp(o->meta.ns, b->self_ns) == 0;
}

bool view_builder_set_json(struct view_builder *b, enum kind kind, struct slice json,
			   struct err *err)
{
	struct object_options options = {.lean = true};
	struct object *o = object_decode(kind, json, &options, err);
	if (o && is_self(b, o)) { /* its containers say what its ports are called */
		object_put(o);
		options.lean = false;
		o = object_decode(kind, json, &options, err);
	}
	if (!o)
		return false;
	view_builder_set(b, o);
	object_put(o);
	return true;
}

void view_builder_remove(struct view_builder *b, enum kind kind, const char *ns, const char *name)
{
	size_t at = 0;
	if (object_set_find(&b->sets[kind], ns, name, &at))
		object_set_remove(&b->sets[kind], at);
}

const char *view_builder_problem(const struct view_builder *b)
{
	return b->problem;
}

/* Reads the mesh configuration when it has changed; a bad one leaves the last good one in force. */
static void refresh_mesh(struct view_builder *b)
{
	const struct object_set *set = &b->sets[KIND_CONFIG_MAP];
	size_t at = 0;
	struct object *now =
		object_set_find(set, MESH_CONFIG_NS, MESH_CONFIG_NAME, &at) ? set->at[at] : NULL;
	if (now == b->mesh_from)
		return;
	object_put(b->mesh_from);
	b->mesh_from = now ? object_get(now) : NULL;
	struct arena *a = arena_new();
	struct mesh_config mesh;
	struct err err = {0};
	b->problem[0] = '\0';
	if (mesh_config_decode(now, a, &mesh, &err)) {
		arena_free(b->mesh_arena);
		b->mesh_arena = a;
		b->mesh = mesh;
		return;
	}
	(void)snprintf(b->problem, sizeof(b->problem), "%s", err.text);
	arena_free(a);
}

static const char *const *copy_strings(struct arena *a, const char *const *from)
{
	size_t n = 0;
	while (from[n])
		n++;
	const char **to = arena_array(a, n + 1, sizeof(char *));
	for (size_t i = 0; i < n; i++)
		to[i] = arena_dup(a, slice_of(from[i]));
	return to;
}

static void copy_mesh(struct view *v, const struct mesh_config *from)
{
	v->mesh = *from;
	v->mesh.access_log_file = arena_dup(v->arena, slice_of(from->access_log_file));
	v->mesh.root_namespace = arena_dup(v->arena, slice_of(from->root_namespace));
	v->mesh.trust_domain = arena_dup(v->arena, slice_of(from->trust_domain));
	v->mesh.trust_domain_aliases = copy_strings(v->arena, from->trust_domain_aliases);
	v->mesh.destination_rule_export_to =
		copy_strings(v->arena, from->destination_rule_export_to);
}

static void hold(struct view *v, const struct view_builder *b)
{
	static const enum kind kinds[] = {
		KIND_SERVICE,          KIND_ENDPOINT_SLICE,      KIND_POD, KIND_PEER_AUTHENTICATION,
		KIND_DESTINATION_RULE, KIND_AUTHORIZATION_POLICY};
	size_t n = 0;
	for (size_t i = 0; i < N_ELEMS(kinds); i++)
		n += b->sets[kinds[i]].n;
	v->held = arena_array(v->arena, n, sizeof(struct object *));
	for (size_t i = 0; i < N_ELEMS(kinds); i++)
		for (size_t j = 0; j < b->sets[kinds[i]].n; j++)
			v->held[v->n_held++] = object_get(b->sets[kinds[i]].at[j]);
	for (size_t i = 0; i < N_KINDS; i++) {
		v->counts[i] = b->sets[i].n;
		for (size_t j = 0; j < b->sets[i].n; j++)
			if (b->sets[i].at[j]->meta.resource_version > v->version)
				v->version = b->sets[i].at[j]->meta.resource_version;
	}
}

static const char *first_label(const struct pairs *labels, const char *const *keys,
			       const char *otherwise)
{
	for (; *keys; keys++) {
		const char *value = pairs_get(labels, *keys);
		if (value && value[0])
			return value;
	}
	return otherwise;
}

/* Istio's workload name: the owner's, and for a ReplicaSet the Deployment's, which is the same without
 * the hash that both the name and a label of the Pod carry. */
static const char *workload_name(struct arena *a, const struct object *pod)
{
	const struct meta *m = &pod->meta;
	if (!m->owner_name[0])
		return m->name;
	const char *hash = pairs_get(&m->labels, "pod-template-hash");
	struct slice name = slice_of(m->owner_name);
	if (strcmp(m->owner_kind, "ReplicaSet") == 0 && hash && hash[0] &&
	    slice_ends(name, slice_of(hash))) {
		struct slice base = slice_sub(name, 0, name.len - strlen(hash));
		if (base.len > 1 && slice_ends(base, SLICE("-")))
			return arena_dup(a, slice_sub(base, 0, base.len - 1));
	}
	return m->owner_name;
}

static void fill_workload(struct workload *w, struct arena *a, const struct object *pod)
{
	static const char *const names[] = {"service.istio.io/canonical-name",
					    "app.kubernetes.io/name", "app", NULL};
	static const char *const revisions[] = {"service.istio.io/canonical-revision",
						"app.kubernetes.io/version", "version", NULL};
	static const char *const app[] = {"app", NULL}, *const version[] = {"version", NULL};
	const struct pairs *labels = &pod->meta.labels;
	const char *tls = pairs_get(labels, LABEL_TLS_MODE);
	w->pod = pod;
	w->name = workload_name(a, pod);
	w->canonical_name = first_label(labels, names, w->name);
	w->canonical_revision = first_label(labels, revisions, "latest");
	w->app = first_label(labels, app, "unknown");
	w->version = first_label(labels, version, "unknown");
	w->has_sidecar = pairs_get(&pod->meta.annotations, ANNOTATION_SIDECAR_STATUS) != NULL;
	w->mesh_tls = w->has_sidecar && tls && strcmp(tls, "istio") == 0;
}

/* Has addresses of its own that are in use: a finished Pod's may belong to another by now, and one on
 * the host's network shares them. */
static bool is_addressed(const struct pod *p)
{
	return (p->has_ip[IP_V4] || p->has_ip[IP_V6]) && !p->spec.host_network &&
	       strcmp(p->phase, "Succeeded") != 0 && strcmp(p->phase, "Failed") != 0;
}

static void build_workloads(struct view *v, const struct view_builder *b)
{
	const struct object_set *pods = &b->sets[KIND_POD];
	v->workloads = arena_array(v->arena, pods->n, sizeof(*v->workloads));
	index_init(&v->by_ip, v->arena, pods->n * N_IP_FAMILIES);
	for (size_t i = 0; i < pods->n; i++) {
		const struct object *o = pods->at[i];
		bool self = is_self(b, o);
		bool addressed = is_addressed(o->pod);
		if (!self && !addressed)
			continue;
		struct workload *w = &v->workloads[v->n_workloads];
		fill_workload(w, v->arena, o);
		if (self)
			v->self = w;
		for (int f = 0; f < N_IP_FAMILIES && addressed; f++)
			if (o->pod->has_ip[f])
				index_add(&v->by_ip, &o->pod->ip[f], sizeof(struct ip),
					  v->n_workloads);
		v->n_workloads++;
	}
}

static size_t n_tcp_ports(const struct service *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n_ports && s->type != SERVICE_EXTERNAL_NAME; i++)
		n += s->ports[i].protocol == L4_TCP;
	return n;
}

static void build_ports(struct view *v, struct view_service *s, struct view_port *ports,
			struct live *live, const char *key)
{
	const struct service *spec = s->object->service;
	s->ports = ports;
	for (size_t i = 0; i < spec->n_ports && spec->type != SERVICE_EXTERNAL_NAME; i++) {
		const struct service_port *p = &spec->ports[i];
		if (p->protocol != L4_TCP)
			continue;
		struct view_port *vp = &ports[s->n_ports++];
		struct detection_words words = {v->mesh.detection, "",
						v->mesh.protocol_detection_timeout_ms};
		if (s->object->meta.annotations.n)
			detection_lay(&words, v->arena, s->object, p->port);
		vp->service = s;
		vp->port = p;
		vp->protocol = protocol_of_service_port(p, &vp->why);
		vp->detection = words.detection;
		vp->detection_from = words.from;
		vp->detection_timeout_ms = words.timeout_ms;
		vp->live = live ? live_port_get(live, LIVE_OUTBOUND, key, p->port) : NULL;
	}
}

static void build_services(struct view *v, const struct view_builder *b, struct live *live)
{
	const struct object_set *set = &b->sets[KIND_SERVICE];
	size_t n_ports = 0;
	for (size_t i = 0; i < set->n; i++)
		n_ports += n_tcp_ports(set->at[i]->service);
	v->services = arena_array(v->arena, set->n, sizeof(*v->services));
	v->n_services = set->n;
	v->ports = arena_array(v->arena, n_ports, sizeof(*v->ports));
	index_init(&v->by_name, v->arena, set->n);
	index_init(&v->by_vip, v->arena, set->n * N_IP_FAMILIES);
	for (size_t i = 0; i < set->n; i++) {
		struct view_service *s = &v->services[i];
		const struct object *o = set->at[i];
		char key[400];
		s->object = o;
		s->host =
			arena_printf(v->arena, "%s.%s.svc.cluster.local", o->meta.name, o->meta.ns);
		int len = snprintf(key, sizeof(key), "%s/%s", o->meta.ns, o->meta.name);
		index_add(&v->by_name, key, (size_t)len, i); /* names are bounded: it fits */
		build_ports(v, s, &v->ports[v->n_ports], live, key);
		v->n_ports += s->n_ports;
		for (int f = 0; f < N_IP_FAMILIES; f++)
			if (o->service->has_ip[f])
				index_add(&v->by_vip, &o->service->cluster_ip[f], sizeof(struct ip),
					  i);
	}
}

static size_t service_of(const struct view *v, const struct object *slice)
{
	if (!slice->endpoint_slice->service[0])
		return SIZE_MAX;
	const struct view_service *s =
		view_service_by_name(v, slice->meta.ns, slice->endpoint_slice->service);
	return s ? (size_t)(s - v->services) : SIZE_MAX;
}

/* Gives each service the list of its slices: counted, laid out, filled. */
static void build_slices(struct view *v, const struct view_builder *b)
{
	const struct object_set *set = &b->sets[KIND_ENDPOINT_SLICE];
	size_t *owner = mem_array(set->n + 1, sizeof(*owner));
	size_t *n = mem_array(v->n_services + 1, sizeof(*n));
	const struct object **all =
		arena_array(v->arena, set->n + v->n_services, sizeof(struct object *));
	v->slices = arena_array(v->arena, v->n_services, sizeof(*v->slices));
	for (size_t i = 0; i < set->n; i++) {
		owner[i] = service_of(v, set->at[i]);
		if (owner[i] != SIZE_MAX)
			n[owner[i]]++;
	}
	size_t used = 0;
	for (size_t i = 0; i < v->n_services; i++) {
		v->slices[i] = &all[used];
		used += n[i] + 1;
		n[i] = 0;
	}
	for (size_t i = 0; i < set->n; i++)
		if (owner[i] != SIZE_MAX)
			v->slices[owner[i]][n[owner[i]]++] = set->at[i];
	free(owner);
	free(n);
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
	struct view *v;
	struct view_port *port;
	const struct object *const *slices;
	struct view_endpoint *to;
	size_t n;
	struct index seen; /* by address, among `to` */
	struct live *live;
};

static bool is_seen(const struct gathering *g, const struct addr *at)
{
	for (struct index_walk w = index_find(&g->seen, at, sizeof(*at)); index_next(&g->seen, &w);)
		if (addr_eq(&g->to[w.i].at, at))
			return true;
	return false;
}

static void gather(struct gathering *g, enum ip_family family, bool ready)
{
	const struct service *spec = g->port->service->object->service;
	const struct service_port *p = g->port->port;
	for (const struct object *const *s = g->slices; *s; s++) {
		const struct endpoint_slice *slice = (*s)->endpoint_slice;
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
			bool is_ready = e->ready || spec->publish_not_ready_addresses;
			if (is_ready != ready || is_seen(g, &at))
				continue;
			index_add(&g->seen, &at, sizeof(at), g->n);
			g->to[g->n++] = (struct view_endpoint){
				.at = at,
				.workload = view_workload_by_ip(g->v, &e->ip),
				.live = g->live ? live_endpoint_get(g->live, &at) : NULL,
				.ready = ready,
			};
		}
	}
}

static void build_endpoints(struct view *v, struct view_port *port, struct arena *scratch,
			    struct live *live)
{
	const struct object *const *slices = v->slices[port->service - v->services];
	size_t n = 0;
	for (const struct object *const *s = slices; *s; s++)
		n += (*s)->endpoint_slice->n_endpoints;
	if (n == 0)
		return;
	struct gathering g = {.v = v, .port = port, .slices = slices, .live = live};
	g.to = arena_array(v->arena, n, sizeof(*g.to));
	index_init(&g.seen, scratch, n);
	gather(&g, IP_V4, true);
	port->n_v4 = g.n;
	gather(&g, IP_V6, true);
	port->n_endpoints = g.n;
	if (port->service->object->service->headless) {
		/* Whoever dials a Pod that is not ready still speaks to this Service. */
		gather(&g, IP_V4, false);
		gather(&g, IP_V6, false);
		v->n_headless += g.n;
	}
	port->endpoints = g.to;
	port->n_known = g.n;
}

static void build_headless(struct view *v)
{
	v->headless = arena_array(v->arena, v->n_headless, sizeof(*v->headless));
	index_init(&v->by_headless, v->arena, v->n_headless);
	size_t n = 0;
	for (size_t i = 0; i < v->n_ports && v->n_headless; i++) {
		const struct view_port *p = &v->ports[i];
		if (!p->service->object->service->headless)
			continue;
		for (size_t j = 0; j < p->n_known; j++) {
			v->headless[n] = (struct headless){p, &p->endpoints[j]};
			index_add(&v->by_headless, &p->endpoints[j].at, sizeof(struct addr), n++);
		}
	}
}

struct view *view_build(struct view_builder *b, struct live *live)
{
	struct arena *a = arena_new();
	struct view *v = arena_alloc(a, sizeof(*v));
	atomic_init(&v->refs, 1);
	v->arena = a;
	v->self_ns = arena_dup(a, slice_of(b->self_ns));
	refresh_mesh(b);
	copy_mesh(v, &b->mesh);
	hold(v, b);
	build_workloads(v, b);
	view_build_peer_auth(v, &b->sets[KIND_PEER_AUTHENTICATION]);
	view_build_authz(v, &b->sets[KIND_AUTHORIZATION_POLICY]);
	build_services(v, b, live);
	view_build_rules(v, &b->sets[KIND_DESTINATION_RULE]);
	build_slices(v, b);
	struct arena *scratch = arena_new();
	for (size_t i = 0; i < v->n_ports; i++)
		build_endpoints(v, &v->ports[i], scratch, live);
	arena_free(scratch);
	build_headless(v);
	view_build_inbound(v, live);
	return v;
}
