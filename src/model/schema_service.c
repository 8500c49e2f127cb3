/* Service (core/v1) and EndpointSlice (discovery.k8s.io/v1). */
#include "model/schema.h"

#include <string.h>

#include "model/annotations.h"

static void read_target_port(struct decoder *d, struct tree *n, void *out)
{
	struct service_port *p = out;
	read_port_or_name(d, n, &p->target_port);
}

static void read_app_protocol(struct decoder *d, struct tree *n, void *out)
{
	struct service_port *p = out;
	const char *text = decode_string(d, n);
	if (text)
		p->app_protocol = arena_dup(d->arena, slice_of(text));
}

static void default_port(void *out)
{
	struct service_port *p = out;
	p->target_port.name = "";
}

static const struct field port_fields[] = {
	FIELD_STRING(struct service_port, "name", name),
	FIELD_ENUM(struct service_port, "protocol", protocol, l4_words),
	FIELD_CUSTOM("appProtocol", read_app_protocol),
	FIELD_UINT(struct service_port, "port", port, 1, 65535, .flags = FIELD_REQUIRED),
	FIELD_CUSTOM("targetPort", read_target_port),
	FIELD_KNOWN("nodePort"),
};
static const struct schema port_schema =
	SCHEMA(struct service_port, port_fields, default_port, NULL);

static void read_cluster_ip(struct decoder *d, struct tree *n, void *out)
{
	struct service *s = out;
	struct ip ip;
	bool ok = false;
	if (n->type == TREE_STRING && n->text.len == 0)
		return;
	if (n->type == TREE_STRING && slice_is(n->text, "None")) {
		s->headless = true;
		return;
	}
	read_ip(d, n, &ip, &ok);
	if (!ok)
		return;
	enum ip_family family = ip_is_v4(&ip) ? IP_V4 : IP_V6;
	if (s->has_ip[family] && !ip_eq(&s->cluster_ip[family], &ip))
		decode_problem(d, n, NULL, "is a second address of the same family");
	s->cluster_ip[family] = ip;
	s->has_ip[family] = true;
}

static void read_cluster_ips(struct decoder *d, struct tree *n, void *out)
{
	if (n->type != TREE_SEQ) {
		decode_expected(d, n, "a list of IP addresses");
		return;
	}
	for (struct tree *c = n->first; c; c = c->next)
		read_cluster_ip(d, c, out);
}

static void read_family_policy(struct decoder *d, struct tree *n, void *out)
{
	(void)out; /* resolve_families() looks at it once the rest is there */
	if (n->type != TREE_STRING ||
	    (!slice_is(n->text, "SingleStack") && !slice_is(n->text, "PreferDualStack") &&
	     !slice_is(n->text, "RequireDualStack")))
		decode_expected(d, n, "one of SingleStack, PreferDualStack, RequireDualStack");
}

static void read_families(struct decoder *d, struct tree *n, void *out)
{
	struct service *s = out;
	if (n->type != TREE_SEQ) {
		decode_expected(d, n, "a list of IPv4 and IPv6");
		return;
	}
	for (const struct tree *c = n->first; c; c = c->next) {
		if (c->type == TREE_STRING && slice_is(c->text, "IPv4"))
			s->want_family[IP_V4] = true;
		else if (c->type == TREE_STRING && slice_is(c->text, "IPv6"))
			s->want_family[IP_V6] = true;
		else
			decode_expected(d, c, "IPv4 or IPv6");
	}
}

/* ipFamilies as written, then ipFamilyPolicy, then the addresses asked for, else both: a mesh on
 * one machine has both families and no reason to leave one out. */
static void resolve_families(struct decoder *d, const struct tree *n, struct service *s)
{
	const struct tree *policy = tree_get(n, "ipFamilyPolicy");
	bool *want = s->want_family;
	if (policy && policy->type == TREE_STRING && slice_is(policy->text, "SingleStack")) {
		if (want[IP_V4] && want[IP_V6])
			decode_problem(d, n, "ipFamilies",
				       "lists two families, ipFamilyPolicy is SingleStack");
		else if (!want[IP_V6])
			want[IP_V4] = true;
	} else if (policy && policy->type == TREE_STRING) {
		want[IP_V4] = want[IP_V6] = true;
	} else if (!want[IP_V4] && !want[IP_V6]) {
		bool any = s->has_ip[IP_V4] || s->has_ip[IP_V6];
		want[IP_V4] = !any || s->has_ip[IP_V4];
		want[IP_V6] = !any || s->has_ip[IP_V6];
	}
	for (int f = 0; f < N_IP_FAMILIES; f++)
		if (s->has_ip[f] && !want[f])
			decode_problem(d, n, "clusterIP",
				       "is of a family that ipFamilies excludes");
}

static void check_ports(struct decoder *d, const struct tree *n, const struct service *s)
{
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct service_port *p = &s->ports[i];
		const struct tree *at = list_item(n, "ports", i);
		if (p->name[0])
			check_name(d, at, "name", NAME_LABEL, p->name);
		else if (s->n_ports > 1)
			decode_problem(d, at, "name", "is required when there are several ports");
		for (size_t j = 0; j < i; j++) {
			const struct service_port *q = &s->ports[j];
			if (p->name[0] && strcmp(p->name, q->name) == 0)
				decode_problem(d, at, "name",
					       "\"%s\" is also the name of ports[%zu]", p->name, j);
			if (p->port == q->port && p->protocol == q->protocol)
				decode_problem(d, at, "port", "%u/%s is also ports[%zu]", p->port,
					       l4_words[p->protocol], j);
		}
	}
}

static void check_service(struct decoder *d, const struct tree *n, void *out)
{
	struct service *s = out;
	const struct tree *spec = tree_get(n, "spec");
	bool external = s->type == SERVICE_EXTERNAL_NAME;
	if (!spec)
		return;
	if (external) {
		struct slice name = slice_of(s->external_name);
		if (slice_ends(name, SLICE(".")))
			name.len--;
		if (!name_ok(NAME_SUBDOMAIN, name))
			decode_problem(d, spec, "externalName", "must be a DNS name, got \"%.80s\"",
				       s->external_name);
		if (s->headless || s->has_ip[IP_V4] || s->has_ip[IP_V6])
			decode_problem(d, spec, "clusterIP",
				       "has no place in a Service of type ExternalName");
	} else if (s->n_ports == 0 && !s->headless) {
		decode_problem(d, spec, "ports", "is required: a Service needs at least one port");
	}
	if (s->headless && (s->has_ip[IP_V4] || s->has_ip[IP_V6]))
		decode_problem(d, spec, "clusterIPs", "has None and an address");
	if (s->headless && (s->type == SERVICE_NODE_PORT || s->type == SERVICE_LOAD_BALANCER))
		decode_problem(d, spec, "clusterIP", "may not be None with this type");
	check_ports(d, spec, s);
	resolve_families(d, spec, s);
}

static const char *const service_types[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName",
					    NULL};
static const char *const affinity_words[] = {"None", "ClientIP", NULL};

static const struct field service_spec_fields[] = {
	FIELD_LIST(struct service, "ports", ports, n_ports, &port_schema),
	FIELD_PAIRS(struct service, "selector", selector),
	FIELD_CUSTOM("clusterIP", read_cluster_ip),
	FIELD_CUSTOM("clusterIPs", read_cluster_ips),
	FIELD_ENUM(struct service, "type", type, service_types),
	FIELD_STRING(struct service, "externalName", external_name),
	FIELD_BOOL(struct service, "publishNotReadyAddresses", publish_not_ready_addresses),
	FIELD_ENUM(struct service, "sessionAffinity", session_affinity_client_ip, affinity_words),
	FIELD_CUSTOM("ipFamilies", read_families),
	FIELD_CUSTOM("ipFamilyPolicy", read_family_policy),
	FIELD_KNOWN("externalIPs"),
	FIELD_KNOWN("loadBalancerIP"),
	FIELD_KNOWN("loadBalancerSourceRanges"),
	FIELD_KNOWN("externalTrafficPolicy"),
	FIELD_KNOWN("healthCheckNodePort"),
	FIELD_KNOWN("sessionAffinityConfig"),
	FIELD_KNOWN("allocateLoadBalancerNodePorts"),
	FIELD_KNOWN("loadBalancerClass"),
	FIELD_KNOWN("internalTrafficPolicy"),
	FIELD_KNOWN("trafficDistribution"),
};
static const struct schema service_spec_schema =
	SCHEMA(struct service, service_spec_fields, NULL, NULL);

static const struct field service_fields[] = {
	TOP_ROWS,
	FIELD_INLINE("spec", &service_spec_schema, .flags = FIELD_REQUIRED),
	FIELD_KNOWN("status"),
};
const struct schema service_schema = SCHEMA(struct service, service_fields, NULL, check_service);

static void read_addresses(struct decoder *d, struct tree *n, void *out)
{
	struct endpoint *e = out;
	bool ok = false;
	if (n->type != TREE_SEQ || !n->first)
		decode_expected(d, n, "a list with an address");
	else
		read_ip(d, n->first, &e->ip, &ok); /* only the first counts, says the API */
}

static const struct field condition_fields[] = {
	FIELD_BOOL(struct endpoint, "ready", ready),
	FIELD_BOOL(struct endpoint, "serving", serving),
	FIELD_BOOL(struct endpoint, "terminating", terminating),
};
static const struct schema condition_schema = SCHEMA(struct endpoint, condition_fields, NULL, NULL);

static void read_target_ref(struct decoder *d, struct tree *n, void *out)
{
	struct endpoint *e = out;
	const struct tree *kind = tree_get(n, "kind"), *name = tree_get(n, "name");
	if (kind && kind->type == TREE_STRING && slice_is(kind->text, "Pod") && name &&
	    name->type == TREE_STRING)
		e->target_pod = arena_dup(d->arena, name->text);
}

static void default_endpoint(void *out)
{
	struct endpoint *e = out;
	e->ready = e->serving = true; /* absent means true */
	e->target_pod = "";
}

static const struct field endpoint_fields[] = {
	FIELD_CUSTOM("addresses", read_addresses, .flags = FIELD_REQUIRED),
	FIELD_INLINE("conditions", &condition_schema),
	FIELD_STRING(struct endpoint, "hostname", hostname),
	FIELD_CUSTOM("targetRef", read_target_ref),
	FIELD_STRING(struct endpoint, "nodeName", node_name, .flags = FIELD_SKIP_LEAN),
	FIELD_KNOWN("zone"),
	FIELD_KNOWN("hints"),
	FIELD_KNOWN("deprecatedTopology"),
};
static const struct schema endpoint_schema =
	SCHEMA(struct endpoint, endpoint_fields, default_endpoint, NULL);

static void read_endpoint_app_protocol(struct decoder *d, struct tree *n, void *out)
{
	struct endpoint_port *p = out;
	const char *text = decode_string(d, n);
	if (text)
		p->app_protocol = arena_dup(d->arena, slice_of(text));
}

static const struct field endpoint_port_fields[] = {
	FIELD_STRING(struct endpoint_port, "name", name),
	FIELD_ENUM(struct endpoint_port, "protocol", protocol, l4_words),
	FIELD_UINT(struct endpoint_port, "port", port, 1, 65535),
	FIELD_CUSTOM("appProtocol", read_endpoint_app_protocol),
};
static const struct schema endpoint_port_schema =
	SCHEMA(struct endpoint_port, endpoint_port_fields, NULL, NULL);

static void check_slice(struct decoder *d, const struct tree *n, void *out)
{
	const struct endpoint_slice *s = out;
	for (size_t i = 0; i < s->n_endpoints; i++)
		if (ip_is_v4(&s->endpoints[i].ip) != (s->family == IP_V4))
			decode_problem(d, list_item(n, "endpoints", i), "addresses",
				       "is not of the slice's addressType");
}

static const char *const address_types[] = {"IPv4", "IPv6", NULL};

static const struct field slice_fields[] = {
	TOP_ROWS,
	FIELD_ENUM(struct endpoint_slice, "addressType", family, address_types,
		   .flags = FIELD_REQUIRED),
	FIELD_LIST(struct endpoint_slice, "endpoints", endpoints, n_endpoints, &endpoint_schema),
	FIELD_LIST(struct endpoint_slice, "ports", ports, n_ports, &endpoint_port_schema),
};

static void default_slice(void *out)
{
	struct endpoint_slice *s = out;
	s->service = ""; /* object.c: a label says it */
}

const struct schema endpoint_slice_schema =
	SCHEMA(struct endpoint_slice, slice_fields, default_slice, check_slice);
