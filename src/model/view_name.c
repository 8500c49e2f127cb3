/* Names, as the DNS proxy answers them: exact ones, short ones, those with a search domain behind them. */
#include <string.h>

#include "dns/cluster_name.h"
#include "model/view_inside.h"

#define CLUSTER_DOMAIN "cluster.local"

enum {
	NAME_MAX_LEN = 253,
	SHORT_LABELS = 4,
	ONCE_MAX = 128, /* of more addresses than that nobody looks whether one comes twice */
};

struct asking {
	const struct view *v;
	enum ip_family family;
	struct ip *out;
	size_t max;
	struct view_name *found;
};

static void add(struct asking *a, const struct ip *ip)
{
	for (size_t i = 0; i < a->found->n && a->found->n <= ONCE_MAX; i++)
		if (ip_eq(&a->out[i], ip))
			return;
	if (a->found->n < a->max)
		a->out[a->found->n++] = *ip;
}

/* Ready endpoints of a headless Service; with HOST only those of that host name, of which there must be one
 * (in either family) for the name to exist. */
static bool add_endpoints(struct asking *a, const struct service_part *s, struct slice host)
{
	bool all = s->service.object->service->publish_not_ready_addresses, exists = !host.len;
	for (size_t k = 0; k < s->n_slices; k++) {
		const struct endpoint_slice *slice = s->slices[k]->endpoint_slice;
		for (size_t i = 0; i < slice->n_endpoints; i++) {
			const struct endpoint *e = &slice->endpoints[i];
			if ((!e->ready && !all) || (host.len && !slice_is(host, e->hostname)))
				continue;
			exists = true;
			if (slice->family == a->family)
				add(a, &e->ip);
		}
	}
	return exists;
}

static bool of_service(struct asking *a, struct slice ns, struct slice name)
{
	const struct service_part *s = view_find_service(a->v, ns, name);
	if (!s)
		return false;
	if (s->has_alias) {
		const char *to = s->service.object->service->external_name;
		a->found->alias = *to ? to : NULL;
		return a->found->alias != NULL;
	}
	if (s->is_headless)
		return add_endpoints(a, s, SLICE(""));
	if (s->has_ip[a->family])
		add(a, &s->ip[a->family]);
	return s->has_ip[IP_V4] || s->has_ip[IP_V6];
}

/* A Pod's host name below its headless Service's. */
static bool of_host(struct asking *a, struct slice ns, struct slice service, struct slice host)
{
	const struct service_part *s = view_find_service(a->v, ns, service);
	return s && s->is_headless && host.len && add_endpoints(a, s, host);
}

/* "db.shop.svc.cluster.local", "db-0.db.shop.svc.cluster.local" */
static bool whole(struct asking *a, struct slice name)
{
	struct cluster_name n;
	if (!slice_ends(name, SLICE("." CLUSTER_DOMAIN)))
		return false;
	cluster_name_read(name, SLICE(CLUSTER_DOMAIN), &n);
	return (n.kind == CLUSTER_NAME_SERVICE && of_service(a, n.ns, n.service)) ||
	       (n.kind == CLUSTER_NAME_HOST && of_host(a, n.ns, n.service, n.host));
}

/* "db" and "db-0.db" of the own namespace; "db.shop", "db.shop.svc" and the same of hosts. */
static bool shortened(struct asking *a, struct slice name)
{
	struct slice own = slice_of(a->v->self_ns), l[SHORT_LABELS] = {0};
	size_t n = 0;
	for (; name.len && n < SHORT_LABELS; n++)
		l[n] = slice_cut(&name, '.');
	if (name.len)
		return false;
	bool svc = n > 2 && slice_is(l[n - 1], "svc");
	switch (n - svc) {
	case 1:
		return of_service(a, own, l[0]);
	case 2:
		return of_service(a, l[1], l[0]) || (!svc && of_host(a, own, l[1], l[0]));
	case 3:
		return of_host(a, l[2], l[1], l[0]);
	default:
		return false;
	}
}

/* A host of ServiceEntries or one that a wildcard covers; those that have no address but their own are somebody
 * else's to know. */
static bool of_entry(struct asking *a, struct slice name)
{
	return view_host_ips(a->v, name, a->family, a->out, a->max, &a->found->n);
}

/* An entry's host is what somebody wrote down, "db.shop" of a Service only short for something. */
static bool exact(struct asking *a, struct slice name)
{
	return whole(a, name) || (view_host_with_ips(a->v, name) && of_entry(a, name)) ||
	       shortened(a, name) || of_entry(a, name);
}

static bool cut_domain(struct slice *name, struct slice domain)
{
	if (name->len <= domain.len + 1 || !slice_ends(*name, domain) ||
	    slice_sub(*name, name->len - domain.len - 1, 1).at[0] != '.')
		return false;
	*name = slice_sub(*name, 0, name->len - domain.len - 1);
	return true;
}

static bool is_of_cluster(struct slice name)
{
	return slice_is(name, CLUSTER_DOMAIN) || slice_ends(name, SLICE("." CLUSTER_DOMAIN));
}

/* Below other domains than the cluster's there are names of others: "mysql.corp.example" is not our "mysql",
 * whatever resolv.conf searches. And a bare name below other domains than the first may be somebody's who put it
 * there ("registry.cluster.local"). */
static bool with_search(struct asking *a, struct slice name, const struct view_searches *searches)
{
	if (!is_of_cluster(name))
		return false;
	for (size_t i = 0; i < searches->n; i++) {
		struct slice domain = searches->at[i], rest = name;
		if (!is_of_cluster(domain) || !cut_domain(&rest, domain) ||
		    (i > 0 && slice_find(rest, '.') == rest.len))
			continue;
		a->found->search_len = domain.len;
		if (exact(a, rest))
			return true;
	}
	return false;
}

bool view_name(const struct view *v, struct slice name, const struct view_searches *searches,
	       enum ip_family family, struct ip *out, size_t max, struct view_name *found)
{
	struct asking a = {v, family, out, max, found};
	*found = (struct view_name){0};
	if (name.len == 0 || name.len > NAME_MAX_LEN)
		return false;
	return exact(&a, name) || with_search(&a, name, searches);
}
