#include "local/cluster_answer.h"

#include <stdio.h>
#include <string.h>

#include "dns/cluster_name.h"
#include "local/service_backends.h"

enum {
	CHAIN_MAX = 8, /* ExternalNames that point to each other */
	HOSTS_MAX = 256
};

/* One question being answered. */
struct work {
	const struct cluster_zone *zone;
	const struct dns_query *q;
	struct dns_answer *a;
	const struct object *svc;
	const struct service_port *port; /* SRV only */
	const char *owner;               /* of address records; NULL: the name that was asked */
	struct slice host;               /* only this endpoint's addresses; empty: all */
	bool found;                      /* the name exists */
};

static bool wants(const struct dns_query *q, enum ip_family family)
{
	return q->type == DNS_ANY || q->type == (family == IP_V4 ? DNS_A : DNS_AAAA);
}

/* Names of the API are labels of at most 253 bytes; what is longer exists nowhere. */
static const struct object *by_name(const struct work *w, enum kind kind, struct slice ns,
				    struct slice name)
{
	char ns_text[256], name_text[256];
	if (ns.len >= sizeof(ns_text) || name.len >= sizeof(name_text))
		return NULL;
	snprintf(ns_text, sizeof(ns_text), "%.*s", SLICE_FMT(ns));
	snprintf(name_text, sizeof(name_text), "%.*s", SLICE_FMT(name));
	return store_get(w->zone->store, kind, ns_text, name_text);
}

/* What an endpoint of a headless Service is called: its Pod's hostname, or its address. */
static const char *endpoint_host(const struct endpoint *ep, char out[ADDR_TEXT])
{
	return ep->hostname && *ep->hostname ? ep->hostname : cluster_name_of_ip(&ep->ip, out);
}

static void add_endpoints(void *ctx, const struct endpoint_slice *slice)
{
	struct work *w = ctx;
	char text[ADDR_TEXT];

	for (size_t i = 0; i < slice->n_endpoints; i++) {
		const struct endpoint *ep = &slice->endpoints[i];
		if (!ep->ready)
			continue;
		if (w->host.len && !slice_is(w->host, endpoint_host(ep, text)))
			continue;
		w->found = true;
		if (wants(w->q, slice->family))
			dns_answer_ip(w->a, w->owner, &ep->ip, CLUSTER_TTL_S);
	}
}

static void follow(struct work *w, const char *host, unsigned chain);

static void add_service(struct work *w, unsigned chain)
{
	const struct service *s = w->svc->service;

	w->found = true;
	if (s->type == SERVICE_EXTERNAL_NAME) {
		if (chain == CHAIN_MAX || !*s->external_name)
			return;
		dns_answer_cname(w->a, w->owner, s->external_name, CLUSTER_TTL_S);
		if (w->q->type == DNS_A || w->q->type == DNS_AAAA)
			follow(w, s->external_name, chain + 1);
		return;
	}
	if (s->headless) {
		service_slices(w->zone->store, w->svc->meta.ns, w->svc->meta.name, add_endpoints,
			       w);
		return;
	}
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++)
		if (s->has_ip[f] && wants(w->q, f))
			dns_answer_ip(w->a, w->owner, &s->cluster_ip[f], CLUSTER_TTL_S);
}

/* The records of an ExternalName's target, when it is a Service of the mesh: a client that asks
 * here has nobody else to ask. */
static void follow(struct work *w, const char *host, unsigned chain)
{
	struct cluster_name n;
	cluster_name_read(slice_of(host), slice_of(w->zone->name), &n);
	if (n.kind != CLUSTER_NAME_SERVICE && n.kind != CLUSTER_NAME_HOST)
		return;
	const struct object *svc = by_name(w, KIND_SERVICE, n.ns, n.service);
	if (!svc)
		return;
	struct work target = *w;
	target.svc = svc;
	target.owner = host;
	target.host = n.host;
	add_service(&target, chain);
}

static void answer_service(struct work *w, const struct cluster_name *n)
{
	w->svc = by_name(w, KIND_SERVICE, n->ns, n->service);
	if (w->svc)
		add_service(w, 0);
}

static void answer_host(struct work *w, const struct cluster_name *n)
{
	w->svc = by_name(w, KIND_SERVICE, n->ns, n->service);
	if (!w->svc || w->svc->service->type == SERVICE_EXTERNAL_NAME)
		return;
	w->host = n->host;
	service_slices(w->zone->store, w->svc->meta.ns, w->svc->meta.name, add_endpoints, w);
}

/* Targets that are in the answer already: an endpoint has a slice per family. */
struct targets {
	struct work *w;
	uint16_t port;
	struct slice hosts[HOSTS_MAX];
	size_t n;
};

static bool is_new_host(struct targets *t, const char *host)
{
	for (size_t i = 0; i < t->n; i++)
		if (slice_is(t->hosts[i], host))
			return false;
	if (t->n == HOSTS_MAX)
		return false;
	t->hosts[t->n++] = slice_of(host);
	return true;
}

static void add_targets(void *ctx, const struct endpoint_slice *slice)
{
	struct targets *t = ctx;
	struct work *w = t->w;
	uint16_t port = 0;

	for (size_t i = 0; i < slice->n_ports; i++)
		if (slice->ports[i].protocol == w->port->protocol &&
		    strcmp(slice->ports[i].name, w->port->name) == 0)
			port = slice->ports[i].port;
	for (size_t i = 0; port && i < slice->n_endpoints; i++) {
		const struct endpoint *ep = &slice->endpoints[i];
		char dashed[ADDR_TEXT], target[DNS_NAME_TEXT];
		const char *host = endpoint_host(ep, dashed);
		if (!ep->ready)
			continue;
		snprintf(target, sizeof(target), "%s.%s.%s.svc.%s", host, w->svc->meta.name,
			 w->svc->meta.ns, w->zone->name);
		/* a hostname lives as long as the object; a dashed address is one per slice */
		if (host == dashed || is_new_host(t, host))
			dns_answer_srv(w->a, target, port, 100, CLUSTER_TTL_S);
		dns_answer_extra_ip(w->a, target, &ep->ip, CLUSTER_TTL_S);
	}
}

static void add_srv(struct work *w)
{
	const struct service *s = w->svc->service;
	char target[DNS_NAME_TEXT];

	if (s->headless) {
		struct targets t = {.w = w};
		service_slices(w->zone->store, w->svc->meta.ns, w->svc->meta.name, add_targets, &t);
		return;
	}
	snprintf(target, sizeof(target), "%s.%s.svc.%s", w->svc->meta.name, w->svc->meta.ns,
		 w->zone->name);
	dns_answer_srv(w->a, target, w->port->port, 100, CLUSTER_TTL_S);
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++)
		if (s->has_ip[f])
			dns_answer_extra_ip(w->a, target, &s->cluster_ip[f], CLUSTER_TTL_S);
}

/* _PORT._PROTOCOL.SERVICE, or only _PROTOCOL.SERVICE, which exists when it has such a port. */
static void answer_port(struct work *w, const struct cluster_name *n)
{
	enum protocol_l4 l4 = L4_SCTP;
	w->svc = by_name(w, KIND_SERVICE, n->ns, n->service);
	if (!w->svc || w->svc->service->type == SERVICE_EXTERNAL_NAME)
		return;
	if (slice_is(n->protocol, "tcp"))
		l4 = L4_TCP;
	else if (slice_is(n->protocol, "udp"))
		l4 = L4_UDP;
	else if (!slice_is(n->protocol, "sctp"))
		return;
	for (size_t i = 0; i < w->svc->service->n_ports; i++) {
		const struct service_port *port = &w->svc->service->ports[i];
		if (port->protocol != l4 || !*port->name)
			continue;
		if (n->kind == CLUSTER_NAME_PORT && !slice_is(n->port, port->name))
			continue;
		w->found = true;
		w->port = port;
		if (n->kind == CLUSTER_NAME_PORT &&
		    (w->q->type == DNS_SRV || w->q->type == DNS_ANY))
			add_srv(w);
	}
}

static const struct object *pod_by_ip(const struct work *w, const char *ns, const struct ip *ip)
{
	enum ip_family f = ip_is_v4(ip) ? IP_V4 : IP_V6;
	const struct object *pod = NULL;
	while ((pod = store_next(w->zone->store, KIND_POD, ns, pod)))
		if (pod->pod->has_ip[f] && ip_eq(&pod->pod->ip[f], ip) &&
		    strcmp(pod->pod->phase, "Succeeded") != 0 &&
		    strcmp(pod->pod->phase, "Failed") != 0)
			return pod;
	return NULL;
}

static void answer_pod(struct work *w, const struct cluster_name *n)
{
	char ns[256];
	if (n->ns.len >= sizeof(ns))
		return;
	snprintf(ns, sizeof(ns), "%.*s", SLICE_FMT(n->ns));
	if (!pod_by_ip(w, ns, &n->ip))
		return;
	w->found = true;
	if (wants(w->q, ip_is_v4(&n->ip) ? IP_V4 : IP_V6))
		dns_answer_ip(w->a, NULL, &n->ip, CLUSTER_TTL_S);
}

static void ptr(struct work *w, const char *target)
{
	w->found = true;
	if (w->q->type == DNS_PTR || w->q->type == DNS_ANY)
		dns_answer_ptr(w->a, target, CLUSTER_TTL_S);
}

/* A virtual IP gives its Service. A Pod with a stable name gives that one, for programs that look a
 * client up backwards and then forwards again; any other Pod its address's name. */
static void answer_address(struct work *w, const struct cluster_name *n)
{
	enum ip_family f = ip_is_v4(&n->ip) ? IP_V4 : IP_V6;
	const struct object *svc = NULL, *pod;
	char target[DNS_NAME_TEXT], dashed[ADDR_TEXT];

	while ((svc = store_next(w->zone->store, KIND_SERVICE, NULL, svc))) {
		if (!svc->service->has_ip[f] || !ip_eq(&svc->service->cluster_ip[f], &n->ip))
			continue;
		snprintf(target, sizeof(target), "%s.%s.svc.%s", svc->meta.name, svc->meta.ns,
			 w->zone->name);
		ptr(w, target);
		return;
	}
	pod = pod_by_ip(w, NULL, &n->ip);
	if (!pod)
		return;
	const struct pod_spec *spec = &pod->pod->spec;
	struct slice subdomain = slice_of(spec->subdomain);
	if (*spec->hostname && subdomain.len &&
	    by_name(w, KIND_SERVICE, slice_of(pod->meta.ns), subdomain))
		snprintf(target, sizeof(target), "%s.%s.%s.svc.%s", spec->hostname, spec->subdomain,
			 pod->meta.ns, w->zone->name);
	else
		snprintf(target, sizeof(target), "%s.%s.pod.%s", cluster_name_of_ip(&n->ip, dashed),
			 pod->meta.ns, w->zone->name);
	ptr(w, target);
}

static bool has_any(const struct work *w, struct slice ns)
{
	char text[256];
	if (ns.len >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", SLICE_FMT(ns));
	return store_get(w->zone->store, KIND_NAMESPACE, "", text) ||
	       store_next(w->zone->store, KIND_SERVICE, text, NULL) ||
	       store_next(w->zone->store, KIND_POD, text, NULL);
}

static void look_up(struct work *w, const struct cluster_name *n)
{
	switch (n->kind) {
	case CLUSTER_NAME_SERVICE:
		answer_service(w, n);
		return;
	case CLUSTER_NAME_HOST:
		answer_host(w, n);
		return;
	case CLUSTER_NAME_PORT:
	case CLUSTER_NAME_PROTOCOL:
		answer_port(w, n);
		return;
	case CLUSTER_NAME_POD:
		answer_pod(w, n);
		return;
	case CLUSTER_NAME_ADDRESS:
		answer_address(w, n);
		return;
	case CLUSTER_NAME_NS:
		w->found = has_any(w, n->ns);
		return;
	case CLUSTER_NAME_BRANCH:
	case CLUSTER_NAME_ZONE:
		w->found = true;
		return;
	case CLUSTER_NAME_NONE:
	case CLUSTER_NAME_OUTSIDE:
		return;
	}
}

void cluster_answer(const struct cluster_zone *zone, const struct dns_query *q,
		    struct dns_answer *a)
{
	struct work w = {.zone = zone, .q = q, .a = a};
	struct cluster_name n;
	uint32_t serial = (uint32_t)store_version(zone->store);

	cluster_name_read(slice_of(q->name), slice_of(zone->name), &n);
	look_up(&w, &n);
	if (!w.found)
		dns_answer_rcode(a, DNS_NXDOMAIN);
	if (n.kind == CLUSTER_NAME_OUTSIDE)
		return; /* no zone of ours: nothing of it is ours to vouch for */
	dns_answer_authoritative(a);
	bool soa_asked = n.kind == CLUSTER_NAME_ZONE && (q->type == DNS_SOA || q->type == DNS_ANY);
	if (soa_asked || (dns_answer_count(a) == 0 && n.kind != CLUSTER_NAME_ADDRESS))
		dns_answer_soa(a, zone->name, serial, CLUSTER_TTL_S, soa_asked);
}
