/* From what the API told to a view of it: what has changed, and what has to be made anew for that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name_set.h"
#include "dns/cluster_name.h"
#include "model/object_set.h"
#include "model/slice_groups.h"
#include "model/view_inside.h"

struct view_builder {
	struct object_reader *reader;
	struct object_set sets[N_KINDS];
	struct slice_groups slices;
	struct hosts hosts;
	char *self_ns, *self_pod;
	uint64_t version;
	struct mesh_part *mesh;
	struct object *mesh_from; /* the ConfigMap as of `mesh` or `problem`; NULL: none */
	char problem[1100];

	/* What the next view has to look at; of what is all to be made anew, the sets have only what is gone. */
	struct name_set services, pods;
	bool all_services, all_pods;
	bool changed[N_KINDS];

	/* The last view's, which the next one goes on from. NULL: there was none. */
	struct peer_auths *peer_auths;
	struct rules *rules;
	struct scope *scope;
	struct authz_part *authz;
	struct object *self; /* the own Pod as of those */
	struct live *live;
	struct shared_map by_name, by_host, unseen, by_pod, by_vip, by_range, by_ip, by_headless;
	unsigned n_ranges[IP_BITS + 1]; /* of ServiceEntries, by their bits */
	struct open_part *open;         /* of by_host; NULL: none */
	bool open_changed;
	struct service_part **mine; /* of by_name, by_host and unseen */
	size_t n_mine, size_mine;
};

static void service_get(void *value)
{
	(void)part_get(&((struct service_part *)value)->part); /* counted, not used */
}

static void service_put(void *value)
{
	part_put(&((struct service_part *)value)->part);
}

static void workload_get(void *value)
{
	(void)part_get(&((struct workload_part *)value)->part); /* as above */
}

static void workload_put(void *value)
{
	part_put(&((struct workload_part *)value)->part);
}

static const struct shared_ops service_ops = {service_get, service_put};
static const struct shared_ops workload_ops = {workload_get, workload_put};

/* Every Service is made anew, and every host. */
static void all_services(struct view_builder *b)
{
	b->all_services = true;
	b->hosts.all = true;
}

struct view_builder *view_builder_new(const char *self_ns, const char *self_pod)
{
	struct view_builder *b = mem_new(sizeof(*b));
	b->reader = object_reader_new();
	b->self_ns = mem_strdup(self_ns);
	b->self_pod = mem_strdup(self_pod);
	b->mesh = part_new(sizeof(*b->mesh), 0, 0);
	mesh_config_default(&b->mesh->mesh);
	all_services(b);
	b->all_pods = true;
	b->hosts.entries = &b->sets[KIND_SERVICE_ENTRY];
	b->hosts.workloads = &b->sets[KIND_WORKLOAD_ENTRY];
	b->hosts.pods = &b->sets[KIND_POD];
	b->by_name.ops = &service_ops;
	b->by_host.ops = &service_ops;
	b->unseen.ops = &service_ops;
	b->by_pod.ops = &workload_ops;
	return b;
}

void view_builder_free(struct view_builder *b)
{
	if (!b)
		return;
	shared_map_fini(&b->by_vip);
	shared_map_fini(&b->by_ip);
	shared_map_fini(&b->by_headless);
	shared_map_fini(&b->by_range);
	shared_map_fini(&b->by_name);
	shared_map_fini(&b->by_host);
	shared_map_fini(&b->unseen);
	shared_map_fini(&b->by_pod);
	part_put(open_part(b->open));
	part_put(b->authz ? &b->authz->part : NULL);
	part_put(b->rules ? rules_part(b->rules) : NULL);
	part_put(b->scope ? scope_part(b->scope) : NULL);
	part_put(b->peer_auths ? peer_auths_part(b->peer_auths) : NULL);
	part_put(&b->mesh->part);
	object_put(b->self);
	object_put(b->mesh_from);
	slice_groups_fini(&b->slices);
	hosts_fini(&b->hosts);
	for (size_t i = 0; i < N_KINDS; i++)
		object_set_fini(&b->sets[i]);
	name_set_clear(&b->services);
	name_set_clear(&b->pods);
	object_reader_free(b->reader);
	free(b->mine);
	free(b->self_ns);
	free(b->self_pod);
	free(b);
}

/* What comes. */

static void note_slice(struct view_builder *b, const struct object *slice)
{
	if (slice && slice->endpoint_slice->service[0] && !b->all_services)
		name_set_add(&b->services, slice->meta.ns, slice->endpoint_slice->service);
}

/* Services that select WORKLOAD, a WorkloadEntry, are made anew. All are before the first view. */
static void note_workload(struct view_builder *b, const struct object *workload)
{
	const struct object_set *services = &b->sets[KIND_SERVICE];
	size_t at = 0;
	if (!workload || !b->scope)
		return;
	const char *ns = workload->meta.ns;
	(void)object_set_find(services, ns, "", &at); /* where the namespace begins */
	for (; at < services->n && strcmp(services->at[at]->meta.ns, ns) == 0; at++)
		if (workload_is_selected(&services->at[at]->service->selector, workload))
			name_set_add(&b->services, ns, services->at[at]->meta.name);
}

/* NOW has taken the place of OLD; either may be NULL. */
static void note(struct view_builder *b, const struct object *old, const struct object *now)
{
	const struct object *o = now ? now : old;
	b->changed[o->kind] = true;
	hosts_note(&b->hosts, old, now);
	if (o->kind == KIND_SERVICE && !(now && b->all_services))
		name_set_add(&b->services, o->meta.ns, o->meta.name);
	if (o->kind == KIND_POD && !(now && b->all_pods))
		name_set_add(&b->pods, o->meta.ns, o->meta.name);
	if (o->kind == KIND_WORKLOAD_ENTRY) {
		note_workload(b, old);
		note_workload(b, now);
	}
	if (o->kind != KIND_ENDPOINT_SLICE)
		return;
	slice_groups_change(&b->slices, old, now);
	note_slice(b, old);
	note_slice(b, now);
}

void view_builder_set(struct view_builder *b, struct object *o)
{
	struct object_set *set = &b->sets[o->kind];
	size_t at = 0;
	struct object *old = object_set_find(set, o->meta.ns, o->meta.name, &at)
				     ? object_get(set->at[at])
				     : NULL;
	object_set_put(set, o);
	if (o->meta.resource_version > b->version)
		b->version = o->meta.resource_version;
	note(b, old, o);
	object_put(old);
}

static bool is_self(const struct view_builder *b, const struct object *o)
{
	return o->kind == KIND_POD && strcmp(o->meta.name, b->self_pod) == 0 &&
	       strcmp(o->meta.ns, b->self_ns) == 0;
}

bool view_builder_set_json(struct view_builder *b, enum kind kind, struct slice json,
			   struct err *err)
{
	struct object_options whole = {.lean = false};
	struct object *o = object_read_lean(b->reader, kind, json, err);
	if (o && is_self(b, o)) { /* its containers say what its ports are called */
		object_put(o);
		o = object_decode(kind, json, &whole, err);
	}
	if (!o)
		return false;
	view_builder_set(b, o);
	object_put(o);
	return true;
}

void view_builder_remove(struct view_builder *b, enum kind kind, const char *ns, const char *name)
{
	struct object_set *set = &b->sets[kind];
	size_t at = 0;
	if (!object_set_find(set, ns, name, &at))
		return;
	struct object *old = object_get(set->at[at]);
	object_set_remove(set, at);
	note(b, old, NULL);
	object_put(old);
}

void view_builder_set_addresses(struct view_builder *b, const char *name, const struct ip *ips,
				size_t n)
{
	hosts_set_addresses(&b->hosts, name, ips, n);
}

void view_builder_forget_addresses(struct view_builder *b, const char *name)
{
	hosts_forget_addresses(&b->hosts, name);
}

size_t view_builder_n_names(const struct view_builder *b)
{
	return hosts_n_names(&b->hosts);
}

const char *view_builder_problem(const struct view_builder *b)
{
	return b->problem;
}

static struct object *find(const struct view_builder *b, enum kind kind, const char *ns,
			   const char *name)
{
	size_t at = 0;
	return object_set_find(&b->sets[kind], ns, name, &at) ? b->sets[kind].at[at] : NULL;
}

/* What has to be made anew. */

/* Reads the mesh configuration when it has changed; a bad one leaves the last good one in force.
 * True: there is another one. */
static bool refresh_mesh(struct view_builder *b)
{
	struct object *now = find(b, KIND_CONFIG_MAP, MESH_CONFIG_NS, MESH_CONFIG_NAME);
	if (now == b->mesh_from)
		return false;
	object_put(b->mesh_from);
	b->mesh_from = now ? object_get(now) : NULL;
	struct mesh_part *mesh = part_new(sizeof(*mesh), 0, 0);
	struct err err = {0};
	b->problem[0] = '\0';
	bool ok = mesh_config_decode(now, mesh->part.arena, &mesh->mesh, &err);
	if (ok) {
		part_put(&b->mesh->part);
		b->mesh = mesh;
	} else {
		(void)snprintf(b->problem, sizeof(b->problem), "%s", err.text);
		part_put(&mesh->part);
	}
	return ok;
}

static bool same_pairs(const struct pairs *a, const struct pairs *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->at[i].key, b->at[i].key) != 0 ||
		    strcmp(a->at[i].value, b->at[i].value) != 0)
			return false;
	return true;
}

/* As far as others are measured against it. */
static bool same_self(const struct object *a, const struct object *b)
{
	if (!a || !b || !same_pairs(&a->meta.labels, &b->meta.labels))
		return a == b;
	for (int f = 0; f < N_IP_FAMILIES; f++)
		if (a->pod->has_ip[f] != b->pod->has_ip[f] ||
		    (a->pod->has_ip[f] && !ip_eq(&a->pod->ip[f], &b->pod->ip[f])))
			return false;
	return true;
}

/* True: it is another one now, where that makes a difference. */
static bool refresh_self(struct view_builder *b)
{
	struct object *now = find(b, KIND_POD, b->self_ns, b->self_pod);
	if (same_self(b->self, now))
		return false;
	object_put(b->self);
	b->self = now ? object_get(now) : NULL;
	return true;
}

static void all_of(const struct object_set *set, const char *ns, struct name_set *names)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->at[i]->meta.ns, ns) == 0)
			name_set_add(names, set->at[i]->meta.ns, set->at[i]->meta.name);
}

static struct view_frame frame_of(const struct view_builder *b)
{
	return (struct view_frame){
		.self_ns = b->self_ns,
		.self = b->self,
		.mesh = &b->mesh->mesh,
		.peer_auths = b->peer_auths,
		.rules = b->rules,
		.scope = b->scope,
		.hosts = &b->hosts,
		.live = b->live,
	};
}

static void refresh_policies(struct view_builder *b, bool mesh, bool self)
{
	const struct object_set *sets = b->sets;
	struct view_frame frame = frame_of(b);
	if (mesh || !b->peer_auths || b->changed[KIND_PEER_AUTHENTICATION]) {
		part_put(b->peer_auths ? peer_auths_part(b->peer_auths) : NULL);
		b->peer_auths = peer_auths_new(frame.mesh, &sets[KIND_PEER_AUTHENTICATION]);
		b->all_pods = true;
	}
	if (mesh || self || !b->authz || b->changed[KIND_AUTHORIZATION_POLICY]) {
		part_put(b->authz ? &b->authz->part : NULL);
		b->authz = authz_part_new(&frame, &sets[KIND_AUTHORIZATION_POLICY]);
	}
}

static void refresh_frame(struct view_builder *b, struct live *live)
{
	const struct object_set *sets = b->sets;
	bool mesh = refresh_mesh(b), self = refresh_self(b), other_live = live != b->live;
	bool any_rule = sets[KIND_DESTINATION_RULE].n > 0, any_sidecar = sets[KIND_SIDECAR].n > 0;
	struct view_frame frame = frame_of(b);
	b->live = live;
	refresh_policies(b, mesh, self);
	if (mesh || (self && any_rule) || !b->rules || b->changed[KIND_DESTINATION_RULE]) {
		part_put(b->rules ? rules_part(b->rules) : NULL);
		b->rules = rules_new(&frame, &sets[KIND_DESTINATION_RULE]);
		all_services(b);
	}
	if (mesh || (self && any_sidecar) || !b->scope || b->changed[KIND_SIDECAR]) {
		part_put(b->scope ? scope_part(b->scope) : NULL);
		b->scope = scope_new(&frame, &sets[KIND_SIDECAR]);
		all_services(b);
	}
	if (other_live) {
		all_services(b);
	} else if (self) { /* some of its namespace stand before it now, others no longer */
		all_of(&sets[KIND_SERVICE], b->self_ns, &b->services);
		b->hosts.all = true; /* what it can reach is another matter now */
	}
	memset(b->changed, 0, sizeof(b->changed));
}

/* Services and workloads. */

/* "ns/name" */
static size_t key_of(const char *ns, const char *name, char out[512])
{
	const struct slice parts[] = {slice_of(ns), SLICE("/"), slice_of(name)};
	return slice_join(out, 512, parts, N_ELEMS(parts)); /* names are bounded: it fits */
}

static struct workload_part *workload_of(const struct view_builder *b, const char *ns,
					 const char *name)
{
	char key[512];
	for (struct shared_walk w = shared_map_find(&b->by_pod, key, key_of(ns, name, key));
	     shared_map_next(&w);) {
		struct workload_part *part = w.value;
		const struct meta *meta = &part->workload.pod->meta;
		if (strcmp(meta->ns, ns) == 0 && strcmp(meta->name, name) == 0)
			return part;
	}
	return NULL;
}

static void remove_workload(struct view_builder *b, struct workload_part *part)
{
	char key[512];
	const struct object *o = part->workload.pod;
	for (int f = 0; f < N_IP_FAMILIES && workload_is_addressed(o); f++)
		if (o->pod->has_ip[f])
			shared_map_remove(&b->by_ip, &o->pod->ip[f], sizeof(struct ip), part);
	size_t len = key_of(o->meta.ns, o->meta.name, key);
	shared_map_remove(&b->by_pod, key, len, part); /* may end it */
}

static void add_workload(struct view_builder *b, struct workload_part *part)
{
	char key[512];
	const struct object *o = part->workload.pod;
	for (int f = 0; f < N_IP_FAMILIES && workload_is_addressed(o); f++)
		if (o->pod->has_ip[f])
			shared_map_add(&b->by_ip, &o->pod->ip[f], sizeof(struct ip), part);
	shared_map_add(&b->by_pod, key, key_of(o->meta.ns, o->meta.name, key), part);
	part_put(&part->part); /* the map holds it */
}

static void renew_workload(struct view_builder *b, const struct view_frame *frame, const char *ns,
			   const char *name)
{
	struct workload_part *old = workload_of(b, ns, name);
	const struct object *pod = find(b, KIND_POD, ns, name);
	if (old)
		remove_workload(b, old);
	if (pod && (is_self(b, pod) || workload_is_addressed(pod)))
		add_workload(b, workload_part_new(frame, pod));
}

static struct service_part *service_of(const struct view_builder *b, const char *ns,
				       const char *name)
{
	char key[512];
	for (struct shared_walk w = shared_map_find(&b->by_name, key, key_of(ns, name, key));
	     shared_map_next(&w);) {
		struct service_part *part = w.value;
		const struct meta *meta = &part->service.object->meta;
		if (strcmp(meta->ns, ns) == 0 && strcmp(meta->name, name) == 0)
			return part;
	}
	return NULL;
}

static void add_mine(struct view_builder *b, struct service_part *part)
{
	if (!part->mine)
		return;
	if (b->n_mine == b->size_mine) {
		b->size_mine = b->size_mine ? b->size_mine * 2 : 8;
		b->mine = mem_grow(b->mine, b->size_mine, sizeof(struct part *));
	}
	b->mine[b->n_mine++] = part;
}

static void remove_mine(struct view_builder *b, const struct service_part *part)
{
	for (size_t i = 0; part->mine && i < b->n_mine; i++)
		if (b->mine[i] == part) {
			b->mine[i] = b->mine[--b->n_mine];
			break;
		}
}

static void add_service(struct view_builder *b, struct service_part *part)
{
	char key[512];
	const struct object *o = part->service.object;
	shared_map_add(&b->by_name, key, key_of(o->meta.ns, o->meta.name, key), part);
	part_put(&part->part); /* the map holds it */
	for (int f = 0; f < N_IP_FAMILIES && part->known; f++)
		if (o->service->has_ip[f])
			shared_map_add(&b->by_vip, &o->service->cluster_ip[f], sizeof(struct ip),
				       part);
	for (size_t i = 0; i < part->n_headless && part->known; i++)
		shared_map_add(&b->by_headless, &part->headless[i].endpoint->at,
			       sizeof(struct addr), &part->headless[i]);
	add_mine(b, part);
}

static void remove_service(struct view_builder *b, struct service_part *part)
{
	char key[512];
	const struct object *o = part->service.object;
	remove_mine(b, part);
	for (size_t i = 0; i < part->n_headless && part->known; i++)
		shared_map_remove(&b->by_headless, &part->headless[i].endpoint->at,
				  sizeof(struct addr), &part->headless[i]);
	for (int f = 0; f < N_IP_FAMILIES && part->known; f++)
		if (o->service->has_ip[f])
			shared_map_remove(&b->by_vip, &o->service->cluster_ip[f], sizeof(struct ip),
					  part);
	size_t len = key_of(o->meta.ns, o->meta.name, key);
	shared_map_remove(&b->by_name, key, len, part); /* may end it */
}

static void renew_service(struct view_builder *b, const struct view_frame *frame, const char *ns,
			  const char *name)
{
	size_t n = 0;
	struct service_part *old = service_of(b, ns, name);
	const struct object *service = find(b, KIND_SERVICE, ns, name);
	struct object *const *slices = slice_groups_find(&b->slices, ns, name, &n);
	bool was_known = old && old->known, is_known = false;
	if (old)
		remove_service(b, old);
	if (service) {
		struct service_part *part = service_part_new(frame, service, slices, n);
		is_known = part->known;
		add_service(b, part);
	}
	if (was_known != is_known) /* a ServiceEntry of the same host gives way, or takes over */
		hosts_note_service(&b->hosts, ns, name);
}

/* Hosts of ServiceEntries. */

static struct service_part *host_of(const struct shared_map *hosts, const char *host)
{
	for (struct shared_walk w = shared_map_find(hosts, host, strlen(host));
	     shared_map_next(&w);) {
		struct service_part *part = w.value;
		if (strcmp(part->service.host, host) == 0)
			return part;
	}
	return NULL;
}

static void add_host(struct view_builder *b, struct service_part *part)
{
	const struct view_entry *e = part->service.entry;
	const char *host = part->service.host;
	shared_map_add(&b->by_host, host, strlen(host), part);
	part_put(&part->part); /* the map holds it */
	for (size_t i = 0; i < e->n_ips; i++)
		shared_map_add(&b->by_vip, &e->ips[i], sizeof(struct ip), part);
	for (size_t i = 0; i < e->n_ranges; i++) {
		shared_map_add(&b->by_range, &e->ranges[i], sizeof(struct cidr), part);
		b->n_ranges[e->ranges[i].bits]++;
	}
	b->open_changed |= e->open;
	add_mine(b, part);
}

static void remove_host(struct view_builder *b, struct service_part *part)
{
	const struct view_entry *e = part->service.entry;
	const char *host = part->service.host;
	b->open_changed |= e->open;
	remove_mine(b, part);
	for (size_t i = 0; i < e->n_ips; i++)
		shared_map_remove(&b->by_vip, &e->ips[i], sizeof(struct ip), part);
	for (size_t i = 0; i < e->n_ranges; i++) {
		shared_map_remove(&b->by_range, &e->ranges[i], sizeof(struct cidr), part);
		b->n_ranges[e->ranges[i].bits]--;
	}
	shared_map_remove(&b->by_host, host, strlen(host), part); /* may end it */
}

/* The Service of Kubernetes that has the host; NULL: there is none, or it is not known here. */
static const struct service_part *kubernetes_of(const struct view_builder *b, const char *host)
{
	struct cluster_name n;
	char ns[256], name[256];
	cluster_name_read(slice_of(host), SLICE("cluster.local"), &n);
	if (n.kind != CLUSTER_NAME_SERVICE || n.ns.len >= sizeof(ns) ||
	    n.service.len >= sizeof(name))
		return NULL;
	(void)snprintf(ns, sizeof(ns), "%.*s", SLICE_FMT(n.ns));          /* it fits */
	(void)snprintf(name, sizeof(name), "%.*s", SLICE_FMT(n.service)); /* as above */
	const struct service_part *part = service_of(b, ns, name);
	return part && part->known ? part : NULL;
}

/* What entries say of a Service's servers has changed, or there is something said. */
static bool is_decorated(const struct view_builder *b, const struct service_part *part)
{
	size_t n = 0;
	return part->service.subject_alt_names[0] ||
	       hosts_entries(&b->hosts, part->service.host, &n);
}

/* NOW stands in the place of what counted for HOST though it is out of scope; NULL: nothing does. */
static void renew_unseen(struct view_builder *b, struct service_part *now, const char *host)
{
	struct service_part *old = host_of(&b->unseen, host);
	if (old) {
		remove_mine(b, old);
		shared_map_remove(&b->unseen, host, strlen(host), old); /* may end it */
	}
	if (!now)
		return;
	shared_map_add(&b->unseen, now->service.host, strlen(host), now);
	part_put(&now->part); /* the map holds it */
	add_mine(b, now);
}

static void renew_host(struct view_builder *b, const struct view_frame *frame, const char *host)
{
	struct service_part *old = host_of(&b->by_host, host);
	for (size_t i = 0; old && i < old->service.entry->n_names; i++)
		hosts_drop_use(&b->hosts, old->service.entry->names[i].host, host);
	const struct service_part *service = kubernetes_of(b, host);
	struct service_part *part = service ? NULL : entry_part_new(frame, &b->hosts, host);
	if (service && is_decorated(b, service)) {
		const struct meta *meta = &service->service.object->meta;
		renew_service(b, frame, meta->ns, meta->name); /* the object lives in the set */
	}
	if (old)
		remove_host(b, old);
	if (part)
		add_host(b, part);
	renew_unseen(b, service ? NULL : entry_part_unseen(frame, &b->hosts, host), host);
}

typedef void renew_one(struct view_builder *b, const struct view_frame *frame, const char *ns,
		       const char *name);

/* What NAMES has; with ALL, all of KIND and what of NAMES is gone. */
static void renew_kind(struct view_builder *b, enum kind kind, struct name_set *names, bool *all,
		       renew_one *one)
{
	const struct object_set *set = &b->sets[kind];
	struct view_frame frame = frame_of(b);
	struct name_set now = name_set_take(names);
	for (const struct name *n = name_set_first(&now); n; n = name_set_next(n))
		if (!*all || !find(b, kind, n->ns, n->name))
			one(b, &frame, n->ns, n->name);
	for (size_t i = 0; *all && i < set->n; i++)
		one(b, &frame, set->at[i]->meta.ns, set->at[i]->meta.name);
	*all = false;
	name_set_clear(&now);
}

/* Services may have added some. */
static void renew_hosts(struct view_builder *b)
{
	struct hosts *h = &b->hosts;
	struct view_frame frame = frame_of(b);
	struct name_set now = name_set_take(&h->dirty);
	const char *host = NULL;
	size_t n_entries = 0;
	for (const struct name *n = name_set_first(&now); n; n = name_set_next(n))
		if (!h->all || !hosts_entries(h, n->name, &n_entries))
			renew_host(b, &frame, n->name);
	for (const struct host_group *g = NULL; h->all && (g = hosts_next(h, g, &host));)
		renew_host(b, &frame, host);
	h->all = false;
	name_set_clear(&now);
}

static void renew(struct view_builder *b)
{
	renew_kind(b, KIND_POD, &b->pods, &b->all_pods, renew_workload);
	renew_kind(b, KIND_SERVICE, &b->services, &b->all_services, renew_service);
	renew_hosts(b);
	if (b->open_changed) {
		part_put(open_part(b->open));
		b->open = open_part_new(&b->by_host);
		b->open_changed = false;
	}
}

/* The view. */

static struct view *view_of(const struct view_builder *b)
{
	struct arena *a = arena_new();
	struct view *v = arena_alloc(a, sizeof(*v));
	atomic_init(&v->refs, 1);
	v->arena = a;
	v->self_ns = arena_dup(a, slice_of(b->self_ns));
	v->version = b->version;
	for (size_t i = 0; i < N_KINDS; i++)
		v->counts[i] = b->sets[i].n;
	(void)part_get(&b->mesh->part);                 /* counted for V, as those below */
	(void)part_get(peer_auths_part(b->peer_auths)); /* as above */
	(void)part_get(rules_part(b->rules));           /* as above */
	(void)part_get(scope_part(b->scope));           /* as above */
	(void)part_get(&b->authz->part);                /* as above */
	v->mesh = b->mesh;
	v->peer_auths = b->peer_auths;
	v->rules = b->rules;
	v->scope = b->scope;
	v->authz = b->authz;
	v->open = b->open;
	if (v->open)
		(void)part_get(open_part(v->open)); /* as above */
	v->self = workload_of(b, b->self_ns, b->self_pod);
	if (v->self)
		(void)part_get(&v->self->part); /* as above */
	v->services = shared_map_copy(&b->by_name);
	v->workloads = shared_map_copy(&b->by_pod);
	v->hosts = shared_map_copy(&b->by_host);
	v->unseen = shared_map_copy(&b->unseen);
	v->by_vip = shared_map_copy(&b->by_vip);
	v->by_range = shared_map_copy(&b->by_range);
	for (unsigned bits = 0; bits <= IP_BITS; bits++)
		if (b->n_ranges[bits])
			v->range_bits[bits / 64] |= UINT64_C(1) << bits % 64;
	v->by_ip = shared_map_copy(&b->by_ip);
	v->by_headless = shared_map_copy(&b->by_headless);
	return v;
}

struct view *view_build(struct view_builder *b, struct live *live)
{
	refresh_frame(b, live);
	renew(b);
	struct view *v = view_of(b);
	view_build_inbound(v, b->mine, b->n_mine, live);
	view_build_listeners(v, live);
	return v;
}
