#include "model/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dns/cluster_name.h"
#include "model/view_inside.h"

struct view *view_get(struct view *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void view_put(struct view *v)
{
	if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < v->n_inbound; i++)
		live_port_put(v->inbound[i].live);
	for (size_t i = 0; i < v->n_listeners; i++)
		live_socket_put(v->listeners[i].live);
	shared_map_fini(&v->by_vip);
	shared_map_fini(&v->by_ip);
	shared_map_fini(&v->by_headless);
	shared_map_fini(&v->by_range);
	shared_map_fini(&v->services);
	shared_map_fini(&v->hosts);
	shared_map_fini(&v->unseen);
	shared_map_fini(&v->workloads);
	part_put(v->self ? &v->self->part : NULL);
	part_put(&v->authz->part);
	part_put(rules_part(v->rules));
	part_put(scope_part(v->scope));
	part_put(open_part(v->open));
	part_put(peer_auths_part(v->peer_auths));
	part_put(&v->mesh->part);
	arena_free(v->arena); /* V lives in it */
}

const struct mesh_config *view_mesh(const struct view *v)
{
	return &v->mesh->mesh;
}

const struct workload *view_self(const struct view *v)
{
	return v->self ? &v->self->workload : NULL;
}

uint64_t view_version(const struct view *v)
{
	return v->version;
}

size_t view_count(const struct view *v, enum kind kind)
{
	return v->counts[kind];
}

bool service_older(const struct view_service *a, const struct view_service *b)
{
	return object_older(a->object, b->object);
}

enum outbound_policy view_outbound_policy(const struct view *v, const struct object **by)
{
	const struct object *sidecar = scope_sidecar(v->scope);
	*by = sidecar && sidecar->sidecar->has_outbound_policy ? sidecar : NULL;
	return *by ? (*by)->sidecar->outbound_policy : view_mesh(v)->outbound_policy;
}

static bool has_ip(const struct view_service *s, const struct ip *ip)
{
	enum ip_family f = ip_is_v4(ip) ? IP_V4 : IP_V6;
	if (!s->entry)
		return s->object->service->has_ip[f] &&
		       ip_eq(&s->object->service->cluster_ip[f], ip);
	for (size_t i = 0; i < s->entry->n_ips; i++)
		if (ip_eq(&s->entry->ips[i], ip))
			return true;
	return false;
}

/* Of two that share an address the Kubernetes Service counts, then the one that was made first. */
static bool counts_before(const struct view_service *a, const struct view_service *b)
{
	if (!a->entry != !b->entry)
		return !a->entry;
	return service_older(a, b);
}

static const struct view_port *port_of(const struct view_service *s, uint16_t number)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i].port->port == number && !s->ports[i].hidden)
			return &s->ports[i];
	return NULL;
}

bool view_port_is_hidden(const struct view_service *s, uint16_t number)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (s->ports[i].port->port == number && s->ports[i].hidden)
			return true;
	return false;
}

const struct object *view_sidecar(const struct view *v)
{
	return scope_sidecar(v->scope);
}

const struct view_service *view_service_by_vip(const struct view *v, const struct ip *ip)
{
	const struct view_service *found = NULL;
	for (struct shared_walk w = shared_map_find(&v->by_vip, ip, sizeof(*ip));
	     shared_map_next(&w);) {
		const struct view_service *s = &((const struct service_part *)w.value)->service;
		if (has_ip(s, ip) && (!found || counts_before(s, found)))
			found = s;
	}
	return found;
}

/* ServiceEntries may share an address and divide its ports among them. */
const struct view_port *view_port_by_vip(const struct view *v, const struct addr *at)
{
	const struct view_service *found = NULL;
	for (struct shared_walk w = shared_map_find(&v->by_vip, &at->ip, sizeof(at->ip));
	     shared_map_next(&w);) {
		const struct view_service *s = &((const struct service_part *)w.value)->service;
		if (has_ip(s, &at->ip) && (!s->entry || port_of(s, at->port)) &&
		    (!found || counts_before(s, found)))
			found = s;
	}
	return found ? port_of(found, at->port) : NULL;
}

static bool has_range(const struct view_service *s, const struct cidr *c)
{
	for (size_t i = 0; i < s->entry->n_ranges; i++)
		if (s->entry->ranges[i].bits == c->bits && ip_eq(&s->entry->ranges[i].ip, &c->ip))
			return true;
	return false;
}

const struct view_port *view_port_by_range(const struct view *v, const struct addr *at)
{
	enum { V4_BITS = 32, WORD = 64 };
	/* "::/0" says nothing of IPv4, whose addresses stand in ::ffff:0:0/96 here. */
	unsigned shortest = ip_is_v4(&at->ip) ? IP_BITS - V4_BITS : 0;
	for (unsigned bits = IP_BITS; bits-- > shortest;) {
		const struct view_service *found = NULL;
		if (!(v->range_bits[bits / WORD] >> bits % WORD & 1))
			continue;
		struct cidr c = cidr_around(&at->ip, bits);
		for (struct shared_walk w = shared_map_find(&v->by_range, &c, sizeof(c));
		     shared_map_next(&w);) {
			const struct view_service *s =
				&((const struct service_part *)w.value)->service;
			if (has_range(s, &c) && port_of(s, at->port) &&
			    (!found || service_older(s, found)))
				found = s;
		}
		if (found)
			return port_of(found, at->port);
	}
	return NULL;
}

bool view_port_waits(const struct view_port *p)
{
	const struct view_entry *e = p->service->entry;
	if (!e || p->n_endpoints)
		return false;
	if (p == e->other)
		return !e->own->known;
	for (size_t i = 0; i < e->n_names; i++)
		if (!e->names[i].known)
			return true;
	return false;
}

const struct view_port *view_port_by_headless(const struct view *v, const struct addr *at,
					      const struct view_endpoint **ep)
{
	const struct headless *found = NULL;
	for (struct shared_walk w = shared_map_find(&v->by_headless, at, sizeof(*at));
	     shared_map_next(&w);) {
		const struct headless *h = w.value;
		if (addr_eq(&h->endpoint->at, at) && !h->port->hidden &&
		    (!found || service_older(h->port->service, found->port->service)))
			found = h;
	}
	*ep = found ? found->endpoint : NULL;
	return found ? found->port : NULL;
}

static bool is_called(const struct service_part *part, struct slice ns, struct slice name)
{
	const char *host = part->service.host;
	return name.len + 1 == part->ns_at && ns.len == part->ns_len &&
	       memcmp(host, name.at, name.len) == 0 &&
	       memcmp(&host[part->ns_at], ns.at, ns.len) == 0;
}

const struct service_part *view_find_service(const struct view *v, struct slice ns,
					     struct slice name)
{
	char key[512];
	size_t len = ns.len + 1 + name.len;
	if (ns.len == 0 || name.len == 0 || len > sizeof(key))
		return NULL;
	memcpy(key, ns.at, ns.len);
	key[ns.len] = '/';
	memcpy(&key[ns.len + 1], name.at, name.len);
	for (struct shared_walk w = shared_map_find(&v->services, key, len); shared_map_next(&w);) {
		const struct service_part *part = w.value;
		if (is_called(part, ns, name))
			return part->known ? part : NULL;
	}
	return NULL;
}

const struct view_service *view_service_by_name(const struct view *v, const char *ns,
						const char *name)
{
	const struct service_part *part = view_find_service(v, slice_of(ns), slice_of(name));
	return part ? &part->service : NULL;
}

struct listing {
	const struct view_service **at;
	size_t n;
};

static void list(void *ctx, void *value)
{
	struct listing *l = ctx;
	const struct service_part *part = value;
	if (part->known)
		l->at[l->n++] = &part->service;
}

static int by_name(const void *a, const void *b)
{
	const struct view_service *const *x = a, *const *y = b;
	const struct meta *m = &(*x)->object->meta, *n = &(*y)->object->meta;
	int cmp = strcmp(m->ns, n->ns);
	return cmp ? cmp : strcmp(m->name, n->name);
}

static int by_host(const void *a, const void *b)
{
	const struct view_service *const *x = a, *const *y = b;
	return strcmp((*x)->host, (*y)->host);
}

static const struct view_service **sorted(const struct shared_map *m, size_t *n,
					  int (*cmp)(const void *, const void *))
{
	struct listing l = {mem_array(m->n + 1, sizeof(struct view_service *)), 0};
	shared_map_each(m, list, &l);
	qsort(l.at, l.n, sizeof(struct view_service *), cmp);
	*n = l.n;
	return l.at;
}

const struct view_service **view_services(const struct view *v, size_t *n)
{
	return sorted(&v->services, n, by_name);
}

const struct view_service **view_entries(const struct view *v, size_t *n)
{
	return sorted(&v->hosts, n, by_host);
}

const struct view_service *view_entry_by_host(const struct view *v, struct slice host)
{
	for (struct shared_walk w = shared_map_find(&v->hosts, host.at, host.len);
	     shared_map_next(&w);) {
		const struct service_part *part = w.value;
		if (slice_is(host, part->service.host))
			return &part->service;
	}
	return NULL;
}

const struct view_service *view_host_with_ips(const struct view *v, struct slice host)
{
	const struct view_service *s = v->hosts.n ? view_entry_by_host(v, host) : NULL;
	return s && s->entry->n_ips ? s : NULL;
}

/* HOST itself, else the longest "*.x" that covers it. */
static const struct view_service *entry_that_covers(const struct view *v, struct slice host)
{
	enum { MAX_NAME = 253 };
	char wild[MAX_NAME + 2];
	const struct view_service *s = view_entry_by_host(v, host);
	if (host.len > MAX_NAME)
		return NULL;
	for (struct slice rest = host; !s && v->hosts.n;) {
		(void)slice_cut(&rest, '.'); /* the label that the star stands for */
		if (rest.len == 0)
			return NULL;
		int len = snprintf(wild, sizeof(wild), "*.%.*s", SLICE_FMT(rest));
		s = view_entry_by_host(v, (struct slice){wild, (size_t)len});
	}
	return s;
}

bool view_host_ips(const struct view *v, struct slice host, enum ip_family f, struct ip *out,
		   size_t max, size_t *n)
{
	const struct view_service *s = entry_that_covers(v, host);
	*n = 0;
	if (!s || s->entry->n_ips == 0)
		return false;
	for (size_t i = 0; i < s->entry->n_ips && *n < max; i++)
		if (ip_is_v4(&s->entry->ips[i]) == (f == IP_V4))
			out[(*n)++] = s->entry->ips[i];
	return true;
}

const struct workload *view_workload_by_ip(const struct view *v, const struct ip *ip)
{
	const struct workload *found = NULL;
	enum ip_family f = ip_is_v4(ip) ? IP_V4 : IP_V6;
	for (struct shared_walk w = shared_map_find(&v->by_ip, ip, sizeof(*ip));
	     shared_map_next(&w);) {
		const struct workload *x = &((const struct workload_part *)w.value)->workload;
		/* An address that was given anew belongs to the Pod that came last. */
		if (x->pod->pod->has_ip[f] && ip_eq(&x->pod->pod->ip[f], ip) &&
		    (!found || x->pod->meta.creation_ns > found->pod->meta.creation_ns))
			found = x;
	}
	return found;
}

const struct inbound_port *view_inbound_port(const struct view *v, uint16_t port)
{
	for (size_t i = 0; i < v->n_inbound; i++) /* as many as an application listens on: few */
		if (v->inbound[i].port == port)
			return &v->inbound[i];
	return &v->other_inbound;
}

const struct inbound_port *view_inbound_at(const struct view *v, const struct addr *at)
{
	const struct inbound_port *in = view_inbound_port(v, at->port);
	bool elsewhere =
		in->ingress && in->ingress->has_bind && !ip_eq(&in->ingress->bind, &at->ip);
	return elsewhere ? &v->other_inbound : in;
}

/* Addresses found so far; each once. */
struct found {
	struct ip *out;
	size_t n, max;
};

static void add_ip(struct found *f, const struct ip *ip)
{
	for (size_t i = 0; i < f->n; i++)
		if (ip_eq(&f->out[i], ip))
			return;
	if (f->n < f->max)
		f->out[f->n++] = *ip;
}

/* Endpoints of S that are ready; with HOST only the one of that host name. */
static void add_endpoints(const struct service_part *s, struct slice host, struct found *f)
{
	bool all = s->service.object->service->publish_not_ready_addresses;
	for (size_t k = 0; k < s->n_slices; k++) {
		const struct endpoint_slice *slice = s->slices[k]->endpoint_slice;
		for (size_t i = 0; i < slice->n_endpoints; i++) {
			const struct endpoint *e = &slice->endpoints[i];
			if ((e->ready || all) && (!host.len || slice_is(host, e->hostname)))
				add_ip(f, &e->ip);
		}
	}
}

static void resolve(const struct view *v, struct slice name, unsigned hops, struct found *f);

static void add_service(const struct view *v, const struct service_part *s, unsigned hops,
			struct found *f)
{
	const struct service *spec = s->service.object->service;
	if (spec->type == SERVICE_EXTERNAL_NAME) {
		if (hops) /* names may point at each other */
			resolve(v, slice_of(spec->external_name), hops - 1, f);
		return;
	}
	if (spec->headless)
		add_endpoints(s, SLICE(""), f);
	for (int family = 0; family < N_IP_FAMILIES; family++)
		if (spec->has_ip[family])
			add_ip(f, &spec->cluster_ip[family]);
}

/* NAME is whole. */
static void resolve(const struct view *v, struct slice name, unsigned hops, struct found *f)
{
	struct cluster_name n;
	if (slice_ends(name, SLICE(".")))
		name.len--;
	cluster_name_read(name, SLICE("cluster.local"), &n);
	const struct service_part *s = n.kind == CLUSTER_NAME_SERVICE || n.kind == CLUSTER_NAME_HOST
					       ? view_find_service(v, n.ns, n.service)
					       : NULL;
	if (s && n.kind == CLUSTER_NAME_SERVICE)
		add_service(v, s, hops, f);
	else if (s && s->service.object->service->headless)
		add_endpoints(s, n.host, f);
}

size_t view_resolve(const struct view *v, struct slice host, struct ip *out, size_t max)
{
	enum { MAX_NAME = 253, MAX_ALIASES = 8 };
	/* In the order in which a Pod's resolver goes through its search domains. */
	static const char *const after_own[] = {".svc.cluster.local"};
	static const char *const after_any[] = {".svc.cluster.local", ".cluster.local", ""};
	struct found f = {out, 0, max};
	char name[MAX_NAME * 2 + 64], lower[MAX_NAME + 2];
	if (host.len == 0 || host.len > MAX_NAME + 1)
		return 0;
	for (size_t i = 0; i < host.len; i++)
		lower[i] = host.at[i] >= 'A' && host.at[i] <= 'Z' ? (char)(host.at[i] - 'A' + 'a')
								  : host.at[i];
	lower[host.len] = '\0';
	if (slice_ends(host, SLICE("."))) { /* said to be whole */
		resolve(v, slice_of(lower), MAX_ALIASES, &f);
		return f.n;
	}
	(void)snprintf(name, sizeof(name), "%s.%.63s%s", lower, v->self_ns, after_own[0]);
	resolve(v, slice_of(name), MAX_ALIASES, &f);
	/* An entry's host comes before a Service whose short name it is, as in view_name(). */
	bool is_host = view_host_with_ips(v, slice_of(lower));
	for (size_t i = 0; i < sizeof(after_any) / sizeof(after_any[0]) && f.n == 0 && !is_host;
	     i++) {
		(void)snprintf(name, sizeof(name), "%s%s", lower, after_any[i]);
		resolve(v, slice_of(name), MAX_ALIASES, &f);
	}
	if (f.n)
		return f.n;
	for (int family = 0; family < N_IP_FAMILIES && f.n < max; family++) {
		size_t n = 0;
		if (!view_host_ips(v, slice_of(lower), (enum ip_family)family, &out[f.n], max - f.n,
				   &n))
			break;
		f.n += n;
	}
	return f.n;
}
