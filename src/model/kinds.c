#include "model/kinds.h"

#include <string.h>

static const struct kind_info kinds[N_KINDS] = {
	/* clang-format off */
	[KIND_NAMESPACE]      = {KIND_NAMESPACE,      "v1",                  "Namespace",     "namespaces",     "namespace",     "ns",     false, {NULL}},
	[KIND_CONFIG_MAP]     = {KIND_CONFIG_MAP,     "v1",                  "ConfigMap",     "configmaps",     "configmap",     "cm",     true, {NULL}},
	[KIND_SERVICE]        = {KIND_SERVICE,        "v1",                  "Service",       "services",       "service",       "svc",    true, {NULL}},
	[KIND_ENDPOINT_SLICE] = {KIND_ENDPOINT_SLICE, "discovery.k8s.io/v1", "EndpointSlice", "endpointslices", "endpointslice", "",       true, {NULL}},
	[KIND_POD]            = {KIND_POD,            "v1",                  "Pod",           "pods",           "pod",           "po",     true, {NULL}},
	[KIND_DEPLOYMENT]     = {KIND_DEPLOYMENT,     "apps/v1",             "Deployment",    "deployments",    "deployment",    "deploy", true, {NULL}},
	[KIND_PEER_AUTHENTICATION]  = {KIND_PEER_AUTHENTICATION,  "security.istio.io/v1",   "PeerAuthentication",  "peerauthentications",   "peerauthentication",  "pa", true, {"security.istio.io/v1beta1"}},
	[KIND_DESTINATION_RULE]     = {KIND_DESTINATION_RULE,     "networking.istio.io/v1", "DestinationRule",     "destinationrules",      "destinationrule",     "dr", true, {"networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"}},
	[KIND_AUTHORIZATION_POLICY] = {KIND_AUTHORIZATION_POLICY, "security.istio.io/v1",   "AuthorizationPolicy", "authorizationpolicies", "authorizationpolicy", "ap", true, {"security.istio.io/v1beta1"}},
	[KIND_SERVICE_ENTRY]        = {KIND_SERVICE_ENTRY,        "networking.istio.io/v1", "ServiceEntry",        "serviceentries",        "serviceentry",        "se", true, {"networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"}},
	[KIND_WORKLOAD_ENTRY]       = {KIND_WORKLOAD_ENTRY,       "networking.istio.io/v1", "WorkloadEntry",       "workloadentries",       "workloadentry",       "we", true, {"networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"}},
	[KIND_SIDECAR]              = {KIND_SIDECAR,              "networking.istio.io/v1", "Sidecar",             "sidecars",              "sidecar",             "",   true, {"networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"}},
	/* clang-format on */
};

const struct kind_info *kind_info(enum kind kind)
{
	return &kinds[kind];
}

const struct kind_info *kind_by_name(struct slice name)
{
	if (name.len == 0)
		return NULL;
	for (size_t i = 0; i < N_KINDS; i++) {
		const struct kind_info *k = &kinds[i];
		if (slice_eq_nocase(name, slice_of(k->plural)) ||
		    slice_eq_nocase(name, slice_of(k->singular)) ||
		    slice_eq_nocase(name, slice_of(k->short_name)))
			return k;
	}
	return NULL;
}

const struct kind_info *kind_by_gvk(struct slice api_version, struct slice kind)
{
	for (size_t i = 0; i < N_KINDS; i++)
		if (kind_serves(&kinds[i], api_version) && slice_is(kind, kinds[i].name))
			return &kinds[i];
	return NULL;
}

bool kind_serves(const struct kind_info *k, struct slice api_version)
{
	if (slice_is(api_version, k->api_version))
		return true;
	for (const char *const *also = k->also; *also; also++)
		if (slice_is(api_version, *also))
			return true;
	return false;
}

const char *pairs_get(const struct pairs *p, const char *key)
{
	size_t from = 0, to = p->n;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int cmp = strcmp(p->at[middle].key, key);
		if (cmp == 0)
			return p->at[middle].value;
		if (cmp < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

bool pairs_match(const struct pairs *selector, const struct pairs *labels)
{
	for (size_t i = 0; i < selector->n; i++) {
		const char *value = pairs_get(labels, selector->at[i].key);
		if (!value || strcmp(value, selector->at[i].value) != 0)
			return false;
	}
	return selector->n > 0;
}

bool pairs_select(const struct pairs *selector, const struct pairs *labels)
{
	return selector->n == 0 || pairs_match(selector, labels);
}

const char *mtls_mode_name(enum mtls_mode mode)
{
	static const char *const names[] = {
		[MTLS_PERMISSIVE] = "PERMISSIVE",
		[MTLS_STRICT] = "STRICT",
		[MTLS_DISABLE] = "DISABLE",
		[MTLS_UNSET] = "UNSET",
	};
	return names[mode];
}

const char *resolution_name(enum resolution r)
{
	static const char *const names[] = {
		[RESOLUTION_NONE] = "NONE",
		[RESOLUTION_STATIC] = "STATIC",
		[RESOLUTION_DNS] = "DNS",
		[RESOLUTION_DNS_ROUND_ROBIN] = "DNS_ROUND_ROBIN",
		[RESOLUTION_DYNAMIC_DNS] = "DYNAMIC_DNS",
	};
	return names[r];
}
