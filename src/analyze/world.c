/* What would run: the Pods of the resources, who has a sidecar, which Service leads where; and views of
 * it, made by the builder that sidecars use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/inside.h"
#include "decide/inject.h"
#include "model/annotations.h"

/* Pods */

static const struct object *deployment_of(const struct analysis *a, const struct object *pod)
{
	const struct object_set *set = &a->sets[KIND_DEPLOYMENT];
	size_t at = 0;
	if (!pod->meta.owner_name[0])
		return NULL;
	(void)object_set_find(set, pod->meta.ns, "", &at); /* where the namespace begins */
	for (; at < set->n && strcmp(set->at[at]->meta.ns, pod->meta.ns) == 0; at++)
		if (pairs_match(&set->at[at]->deployment->selector, &pod->meta.labels))
			return set->at[at];
	return NULL;
}

static bool is_over(const struct object *pod)
{
	return strcmp(pod->pod->phase, "Succeeded") == 0 || strcmp(pod->pod->phase, "Failed") == 0;
}

/* As injection would decide. */
static bool would_inject(const struct analysis *a, const struct group *g)
{
	size_t at = 0;
	const struct object_set *set = &a->sets[KIND_NAMESPACE];
	bool declared = object_set_find(set, "", g->by->meta.ns, &at);
	struct inject_facts facts = {
		.ns = g->by->meta.ns,
		.ns_labels = declared ? &set->at[at]->meta.labels : NULL,
		.labels = &g->meta->labels,
		.annotations = &g->meta->annotations,
		.host_network = g->spec->host_network,
	};
	const char *why;
	return inject_decide(&facts, &why);
}

/* RUNNING: one of its Pods as it is; NULL: nothing is known but what is written. */
static void find_sidecar(const struct analysis *a, struct group *g, const struct object *running)
{
	const struct meta *m = running ? &running->meta : g->meta;
	const char *tls = pairs_get(&m->labels, LABEL_TLS_MODE);
	g->has_sidecar = pairs_get(&m->annotations, ANNOTATION_SIDECAR_STATUS) ||
			 (!running && would_inject(a, g));
	/* Injection writes the label where nobody has. */
	g->mesh_tls = g->has_sidecar && (tls ? strcmp(tls, "istio") == 0 : !running);
}

static void add_group(struct analysis *a, const struct object *by, const struct object *running)
{
	bool made = by->kind == KIND_DEPLOYMENT;
	struct group *g = &a->groups[a->n_groups++];
	*g = (struct group){
		.by = by,
		.meta = running ? &running->meta
			: made  ? &by->deployment->template_meta
				: &by->meta,
		.spec = made ? &by->deployment->template_spec : &by->pod->spec,
		.root = made ? "spec.template." : "",
	};
	find_sidecar(a, g, running);
}

static void find_groups(struct analysis *a)
{
	const struct object_set *pods = &a->sets[KIND_POD], *made = &a->sets[KIND_DEPLOYMENT];
	const struct object **running = arena_array(a->arena, made->n, sizeof(struct object *));
	a->groups = arena_array(a->arena, pods->n + made->n, sizeof(*a->groups));
	for (size_t i = 0; i < pods->n; i++) {
		const struct object *pod = pods->at[i], *owner = deployment_of(a, pod);
		size_t at = 0;
		if (is_over(pod))
			continue;
		if (!owner)
			add_group(a, pod, a->live ? pod : NULL);
		else if (object_set_find(made, owner->meta.ns, owner->meta.name, &at))
			running[at] = pod;
	}
	for (size_t i = 0; i < made->n; i++)
		add_group(a, made->at[i], running[i]);
}

/* PAIRS with KEY as VALUE, and without it where that is NULL; in key order. */
static struct pairs pairs_with(struct arena *a, const struct pairs *pairs, const char *key,
			       const char *value)
{
	struct pair *at = arena_array(a, pairs->n + 1, sizeof(*at));
	size_t n = 0;
	bool placed = value == NULL;
	for (size_t i = 0; i < pairs->n; i++) {
		int order = strcmp(pairs->at[i].key, key);
		if (!placed && order > 0) {
			at[n++] = (struct pair){key, value};
			placed = true;
		}
		if (order != 0)
			at[n++] = pairs->at[i];
	}
	if (!placed)
		at[n++] = (struct pair){key, value};
	return (struct pairs){at, n};
}

/* The one that stands for G's Pods, under an address of the prefix that is never routed (RFC 6666). It
 * borrows its texts from what it stands for. */
static void make_pod(struct analysis *a, struct group *g)
{
	struct arena *own = arena_new();
	struct object *o = arena_alloc(own, sizeof(*o));
	struct pod *pod = arena_alloc(own, sizeof(*pod));
	size_t number = (size_t)(g - a->groups) + 1;
	g->ip = (struct ip){{0x01}};
	for (unsigned i = 0; i < sizeof(uint32_t); i++)
		g->ip.b[15 - i] = (uint8_t)(number >> (8 * i));
	*pod = (struct pod){.spec = *g->spec, .phase = "Running", .message = ""};
	pod->spec.host_network = false; /* the address is its own here */
	pod->ip[IP_V6] = g->ip;
	pod->has_ip[IP_V6] = true;
	*o = (struct object){
		.kind = KIND_POD,
		.meta = {.name = arena_printf(own, "g%zu", number),
			 .ns = g->by->meta.ns,
			 .uid = "",
			 .generate_name = "",
			 .owner_kind = "",
			 .owner_name = ""},
		.body = pod,
		.json = SLICE(""),
		.origin_file = "",
		.arena = own,
	};
	atomic_init(&o->refs, 1);
	o->meta.labels =
		pairs_with(own, &g->meta->labels, LABEL_TLS_MODE, g->mesh_tls ? "istio" : "none");
	o->meta.annotations = pairs_with(own, &g->meta->annotations, ANNOTATION_SIDECAR_STATUS,
					 g->has_sidecar ? "{}" : NULL);
	g->pod = o;
}

/* Views */

struct view *world_view(const struct analysis *a, const struct standpoint *at)
{
	struct view_builder *b = view_builder_new(at->ns, at->pod);
	for (enum kind k = 0; k < N_KINDS; k++)
		for (size_t i = 0; i < a->sets[k].n; i++)
			if (k != KIND_POD && k != KIND_ENDPOINT_SLICE)
				view_builder_set(b, a->sets[k].at[i]);
	for (size_t i = 0; i < a->n_groups; i++)
		view_builder_set(b, a->groups[i].pod);
	struct view *v = view_build(b, a->learned);
	view_builder_free(b);
	return v;
}

static bool has_clients(const struct analysis *a, const char *ns)
{
	for (size_t i = 0; i < a->n_groups; i++)
		if (a->groups[i].has_sidecar && strcmp(a->groups[i].by->meta.ns, ns) == 0)
			return true;
	return false;
}

static bool has_stood(const struct standpoint *all, size_t n, const char *ns, const char *pod)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i].ns, ns) == 0 && strcmp(all[i].pod, pod) == 0)
			return true;
	return false;
}

static void stand(const struct analysis *a, struct standpoint **all, size_t *n, const char *ns,
		  const char *pod)
{
	if (!has_clients(a, ns) || has_stood(*all, *n, ns, pod))
		return;
	*all = mem_grow(*all, *n + 1, sizeof(**all));
	(*all)[(*n)++] = (struct standpoint){ns, pod};
}

/* Namespaces that have rules, those to which rules are exported by name, and one of the others: there
 * all see the same. A rule for some Pods of its namespace is seen from one of them. */
struct standpoint *world_standpoints(const struct analysis *a, size_t *n)
{
	const struct object_set *rules = &a->sets[KIND_DESTINATION_RULE];
	struct standpoint *all = NULL;
	*n = 0;
	for (size_t i = 0; i < rules->n; i++) {
		const struct object *o = rules->at[i];
		const struct destination_rule *r = o->destination_rule;
		stand(a, &all, n, o->meta.ns, "");
		for (const char *const *to = r->export_to; *to; to++)
			stand(a, &all, n, *to, "");
		for (size_t k = 0; r->has_workload_selector && k < a->n_groups; k++)
			if (a->groups[k].has_sidecar &&
			    group_is_selected(&a->groups[k], o->meta.ns, &r->workload_selector)) {
				stand(a, &all, n, o->meta.ns, a->groups[k].pod->meta.name);
				break;
			}
	}
	size_t n_named = *n;
	for (size_t i = 0; rules->n && i < a->n_groups && *n == n_named; i++)
		if (!has_stood(all, n_named, a->groups[i].by->meta.ns, ""))
			stand(a, &all, n, a->groups[i].by->meta.ns, "");
	return all;
}

/* Services and where they lead */

static uint16_t number_of(const struct service_port *p, const struct pod_spec *spec)
{
	if (!p->target_port.name[0])
		return p->target_port.number ? p->target_port.number : p->port;
	for (size_t i = 0; i < spec->n_containers; i++)
		for (size_t j = 0; j < spec->containers[i].n_ports; j++) {
			const struct container_port *c = &spec->containers[i].ports[j];
			if (c->protocol == L4_TCP && strcmp(c->name, p->target_port.name) == 0)
				return c->port;
		}
	return 0;
}

static void add_targets(struct analysis *a, const struct view_service *s)
{
	for (size_t i = 0; i < s->n_ports; i++)
		for (size_t k = 0; k < a->n_groups; k++) {
			const struct group *g = &a->groups[k];
			if (strcmp(g->by->meta.ns, s->object->meta.ns) != 0 ||
			    !pairs_match(&s->object->service->selector, &g->meta->labels))
				continue;
			if (a->n_targets == a->size_targets) {
				a->size_targets = a->size_targets ? a->size_targets * 2 : 64;
				a->targets =
					mem_grow(a->targets, a->size_targets, sizeof(*a->targets));
			}
			a->targets[a->n_targets++] = (struct target){
				.port = &s->ports[i],
				.group = g,
				.number = number_of(s->ports[i].port, g->spec),
			};
		}
}

/* What was learnt */

static enum greet_protocol greeting_of(const char *name)
{
	for (unsigned p = 0; p < N_GREET_PROTOCOLS; p++)
		if (strcmp(greet_name((enum greet_protocol)p), name) == 0)
			return (enum greet_protocol)p;
	return GREET_IS_UNKNOWN;
}

static void add(atomic_uint *cell, unsigned n)
{
	unsigned before = atomic_load_explicit(cell, memory_order_relaxed);
	unsigned room = UINT32_MAX / 2 - before;
	atomic_store_explicit(cell, before + (n < room ? n : room), memory_order_relaxed);
}

void analysis_learned(struct analysis *a, const struct learned_port *seen)
{
	enum greet_protocol greeting = greeting_of(seen->greeting);
	bool host = !seen->ns || !seen->ns[0];
	struct live_port *p = live_port_get(
		a->learned, seen->inbound ? LIVE_INBOUND : LIVE_OUTBOUND,
		host ? seen->service : say(a, "%s/%s", seen->ns, seen->service), seen->port);
	add(&p->server_first, seen->server_first);
	add(&p->client_http, seen->client_http);
	add(&p->client_tls, seen->client_tls);
	add(&p->client_opaque, seen->client_opaque);
	if (greeting != GREET_IS_UNKNOWN)
		atomic_store_explicit(&p->greeting, (unsigned)greeting, memory_order_relaxed);
	if (seen->in_clear && seen->in_clear[0])
		learn_in_clear(p, greeting_of(seen->in_clear));
	live_port_put(p);
}

static void at_least(atomic_uint *cell, const atomic_uint *other)
{
	unsigned n = atomic_load_explicit(other, memory_order_relaxed);
	if (n > atomic_load_explicit(cell, memory_order_relaxed))
		atomic_store_explicit(cell, n, memory_order_relaxed);
}

/* Both ends see the same connections: what only the server's saw counts, what both saw counts once. */
static void join_ends(const struct analysis *a, const struct target *t)
{
	const struct meta *m = &t->port->service->object->meta;
	struct live_port *out = t->port->live;
	struct live_port *in =
		live_port_get(a->learned, LIVE_INBOUND, say(a, "%s/%s", m->ns, m->name), t->number);
	at_least(&out->server_first, &in->server_first);
	at_least(&out->client_http, &in->client_http);
	at_least(&out->client_tls, &in->client_tls);
	at_least(&out->client_opaque, &in->client_opaque);
	at_least(&out->greeting, &in->greeting);
	live_port_put(in);
}

void world_build(struct analysis *a)
{
	find_groups(a);
	for (size_t i = 0; i < a->n_groups; i++)
		make_pod(a, &a->groups[i]);
	a->view = world_view(a, &(struct standpoint){"", ""});
	a->mesh = view_mesh(a->view);
	a->services = view_services(a->view, &a->n_services);
	for (size_t i = 0; i < a->n_groups; i++)
		a->groups[i].workload = view_workload_by_ip(a->view, &a->groups[i].ip);
	for (size_t i = 0; i < a->n_services; i++)
		add_targets(a, a->services[i]);
	for (size_t i = 0; i < a->n_targets; i++)
		join_ends(a, &a->targets[i]);
}

/* Questions */

bool group_is_selected(const struct group *g, const char *ns, const struct pairs *selector)
{
	return strcmp(g->by->meta.ns, ns) == 0 && pairs_select(selector, &g->meta->labels);
}

const struct target *target_of(const struct analysis *a, const struct group *g, uint16_t port)
{
	const struct target *found = NULL;
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		if (t->group == g && t->number == port &&
		    (!found ||
		     object_older(t->port->service->object, found->port->service->object)))
			found = t;
	}
	return found;
}

bool group_has_port(const struct analysis *a, const struct group *g, uint16_t port)
{
	for (size_t i = 0; i < g->spec->n_containers; i++)
		for (size_t j = 0; j < g->spec->containers[i].n_ports; j++)
			if (g->spec->containers[i].ports[j].port == port)
				return true;
	return target_of(a, g, port) != NULL;
}

const struct target *target_by_service_port(const struct analysis *a, const struct group *g,
					    uint16_t port)
{
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		if (t->group == g && t->port->port->port == port && t->number && t->number != port)
			return t;
	}
	return NULL;
}

bool target_is_guarded(const struct target *t)
{
	return t->group->has_sidecar && t->number &&
	       view_reaches_sidecar(t->group->workload, t->number);
}

bool target_is_meshed(const struct target *t)
{
	return t->group->mesh_tls && target_is_guarded(t);
}

struct mtls_answer target_mode(const struct target *t)
{
	return view_mtls(t->group->workload, t->number);
}

bool world_has_strangers(const struct analysis *a, const char *ns)
{
	static const char *const makers[] = {"StatefulSet", "DaemonSet",    "ReplicaSet",
					     "Job",         "CronJob",      "ReplicationController",
					     "Rollout",     "WorkloadEntry"};
	for (size_t i = 0; a->manifest && i < a->manifest->n_strangers; i++)
		for (size_t k = 0; k < N_ELEMS(makers); k++)
			if (strcmp(a->manifest->strangers[i].kind, makers[k]) == 0 &&
			    strcmp(a->manifest->strangers[i].ns, ns) == 0)
				return true;
	return false;
}

const char *group_name(const struct analysis *a, const struct group *g)
{
	char text[600];
	return say(a, "%s", object_text(g->by, text, sizeof(text)));
}

const char *port_path(const struct analysis *a, const struct view_port *p)
{
	return say(a, "spec.ports[%zu]", (size_t)(p->port - p->service->object->service->ports));
}

const char *port_name(const struct analysis *a, const struct view_port *p)
{
	const struct meta *m = &p->service->object->meta;
	return say(a, "Service %s/%s port %u", m->ns, m->name, p->port->port);
}

enum { NAMES_SHOWN = 5, NAMES_BYTES = 4096 };

void names_init(struct names *n, const struct analysis *a)
{
	*n = (struct names){.a = a};
	buf_init(&n->text, NAMES_BYTES);
}

void names_add(struct names *n, const char *name)
{
	if (n->last && strcmp(n->last, name) == 0)
		return;
	n->last = name;
	if (n->n++ < NAMES_SHOWN)
		(void)buf_printf(&n->text, "%s%s", n->n > 1 ? ", " : "", name); /* cut is fine */
}

const char *names_end(struct names *n)
{
	struct slice text = buf_slice(&n->text);
	const char *out = NULL;
	if (n->n > NAMES_SHOWN)
		out = say(n->a, "%.*s and %zu more", SLICE_FMT(text), n->n - NAMES_SHOWN);
	else if (n->n)
		out = say(n->a, "%.*s", SLICE_FMT(text));
	buf_fini(&n->text);
	return out;
}
