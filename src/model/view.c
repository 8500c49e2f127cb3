#include "model/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	for (size_t i = 0; i < v->n_ports; i++) {
		const struct view_port *p = &v->ports[i];
		live_port_put(p->live);
		for (size_t j = 0; j < p->n_known; j++)
			live_endpoint_put(p->endpoints[j].live);
	}
	for (size_t i = 0; i < v->n_inbound; i++)
		live_port_put(v->inbound[i].live);
	for (size_t i = 0; i < v->n_held; i++)
		object_put(v->held[i]);
	arena_free(v->arena); /* V lives in it */
}

const struct mesh_config *view_mesh(const struct view *v)
{
	return &v->mesh;
}

const struct workload *view_self(const struct view *v)
{
	return v->self;
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

const struct view_service *view_service_by_vip(const struct view *v, const struct ip *ip)
{
	const struct view_service *found = NULL;
	for (struct index_walk w = index_find(&v->by_vip, ip, sizeof(*ip));
	     index_next(&v->by_vip, &w);) {
		const struct view_service *s = &v->services[w.i];
		const struct service *spec = s->object->service;
		enum ip_family f = ip_is_v4(ip) ? IP_V4 : IP_V6;
		if (spec->has_ip[f] && ip_eq(&spec->cluster_ip[f], ip) &&
		    (!found || service_older(s, found)))
			found = s;
	}
	return found;
}

const struct view_port *view_port_by_vip(const struct view *v, const struct addr *at)
{
	const struct view_service *s = view_service_by_vip(v, &at->ip);
	for (size_t i = 0; s && i < s->n_ports; i++)
		if (s->ports[i].port->port == at->port)
			return &s->ports[i];
	return NULL;
}

const struct view_port *view_port_by_headless(const struct view *v, const struct addr *at,
					      const struct view_endpoint **ep)
{
	const struct headless *found = NULL;
	for (struct index_walk w = index_find(&v->by_headless, at, sizeof(*at));
	     index_next(&v->by_headless, &w);) {
		const struct headless *h = &v->headless[w.i];
		if (addr_eq(&h->endpoint->at, at) &&
		    (!found || service_older(h->port->service, found->port->service)))
			found = h;
	}
	*ep = found ? found->endpoint : NULL;
	return found ? found->port : NULL;
}

static const struct view_service *service_by_name(const struct view *v, struct slice ns,
						  struct slice name)
{
	char key[512];
	int len = snprintf(key, sizeof(key), "%.*s/%.*s", SLICE_FMT(ns), SLICE_FMT(name));
	if (len < 0 || (size_t)len >= sizeof(key))
		return NULL;
	for (struct index_walk w = index_find(&v->by_name, key, (size_t)len);
	     index_next(&v->by_name, &w);) {
		const struct meta *meta = &v->services[w.i].object->meta;
		if (slice_is(ns, meta->ns) && slice_is(name, meta->name))
			return &v->services[w.i];
	}
	return NULL;
}

const struct view_service *view_service_by_name(const struct view *v, const char *ns,
						const char *name)
{
	return service_by_name(v, slice_of(ns), slice_of(name));
}

size_t view_n_services(const struct view *v)
{
	return v->n_services;
}

const struct view_service *view_service_at(const struct view *v, size_t i)
{
	return &v->services[i];
}

const struct workload *view_workload_by_ip(const struct view *v, const struct ip *ip)
{
	const struct workload *found = NULL;
	enum ip_family f = ip_is_v4(ip) ? IP_V4 : IP_V6;
	for (struct index_walk w = index_find(&v->by_ip, ip, sizeof(*ip));
	     index_next(&v->by_ip, &w);) {
		const struct workload *x = &v->workloads[w.i];
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
static void add_endpoints(const struct view *v, const struct view_service *s, struct slice host,
			  struct found *f)
{
	const struct object *const *slices = v->slices[s - v->services];
	bool all = s->object->service->publish_not_ready_addresses;
	for (; *slices; slices++) {
		const struct endpoint_slice *slice = (*slices)->endpoint_slice;
		for (size_t i = 0; i < slice->n_endpoints; i++) {
			const struct endpoint *e = &slice->endpoints[i];
			if ((e->ready || all) && (!host.len || slice_is(host, e->hostname)))
				add_ip(f, &e->ip);
		}
	}
}

static void resolve(const struct view *v, struct slice name, unsigned hops, struct found *f);

static void add_service(const struct view *v, const struct view_service *s, unsigned hops,
			struct found *f)
{
	const struct service *spec = s->object->service;
	if (spec->type == SERVICE_EXTERNAL_NAME) {
		if (hops) /* names may point at each other */
			resolve(v, slice_of(spec->external_name), hops - 1, f);
		return;
	}
	if (spec->headless)
		add_endpoints(v, s, SLICE(""), f);
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
	const struct view_service *s = n.kind == CLUSTER_NAME_SERVICE || n.kind == CLUSTER_NAME_HOST
					       ? service_by_name(v, n.ns, n.service)
					       : NULL;
	if (s && n.kind == CLUSTER_NAME_SERVICE)
		add_service(v, s, hops, f);
	else if (s && s->object->service->headless)
		add_endpoints(v, s, n.host, f);
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
	for (size_t i = 0; i < sizeof(after_any) / sizeof(after_any[0]) && f.n == 0; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", lower, after_any[i]);
		resolve(v, slice_of(name), MAX_ALIASES, &f);
	}
	return f.n;
}
