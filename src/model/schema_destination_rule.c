/* DestinationRule (networking.istio.io). The rows marked FIELD_KNOWN have no effect: balancing,
 * pools and outlier detection are the mesh configuration's business so far. */
#include "model/schema.h"

#include <string.h>

#include "base/mem.h"

struct nothing {
	char none;
};

/* Tables of what has no effect, so that a word spelt wrong is told all the same. */
#define IDLE_SCHEMA(name, ...)                                                                     \
	static const struct field name##_fields[] = {__VA_ARGS__};                                 \
	static const struct schema name##_schema = SCHEMA(struct nothing, name##_fields, NULL, NULL)

IDLE_SCHEMA(keepalive, FIELD_KNOWN("probes"), FIELD_KNOWN("time"), FIELD_KNOWN("interval"));
IDLE_SCHEMA(tcp_pool, FIELD_KNOWN("maxConnections"), FIELD_KNOWN("connectTimeout"),
	    FIELD_INLINE("tcpKeepalive", &keepalive_schema), FIELD_KNOWN("maxConnectionDuration"),
	    FIELD_KNOWN("idleTimeout"));
IDLE_SCHEMA(http_pool, FIELD_KNOWN("http1MaxPendingRequests"), FIELD_KNOWN("http2MaxRequests"),
	    FIELD_KNOWN("maxRequestsPerConnection"), FIELD_KNOWN("maxRetries"),
	    FIELD_KNOWN("idleTimeout"), FIELD_KNOWN("h2UpgradePolicy"),
	    FIELD_KNOWN("useClientProtocol"), FIELD_KNOWN("maxConcurrentStreams"),
	    FIELD_KNOWN("http2KeepAlive"));
IDLE_SCHEMA(pool, FIELD_INLINE("tcp", &tcp_pool_schema), FIELD_INLINE("http", &http_pool_schema));
IDLE_SCHEMA(balancer, FIELD_KNOWN("simple"), FIELD_KNOWN("consistentHash"),
	    FIELD_KNOWN("localityLbSetting"), FIELD_KNOWN("zoneAwareLbSetting"),
	    FIELD_KNOWN("warmup"), FIELD_KNOWN("warmupDurationSecs"));
IDLE_SCHEMA(outlier, FIELD_KNOWN("splitExternalLocalOriginErrors"),
	    FIELD_KNOWN("consecutiveLocalOriginFailures"), FIELD_KNOWN("consecutiveGatewayErrors"),
	    FIELD_KNOWN("consecutive5xxErrors"), FIELD_KNOWN("consecutiveErrors"),
	    FIELD_KNOWN("interval"), FIELD_KNOWN("baseEjectionTime"),
	    FIELD_KNOWN("maxEjectionPercent"), FIELD_KNOWN("minHealthPercent"));

#define IDLE_ROWS                                                                                  \
	FIELD_INLINE("loadBalancer", &balancer_schema),                                            \
		FIELD_INLINE("connectionPool", &pool_schema),                                      \
		FIELD_INLINE("outlierDetection", &outlier_schema)

static const char *const mode_words[] = {"DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL", NULL};

static const struct field tls_fields[] = {
	FIELD_ENUM(struct client_tls, "mode", mode, mode_words),
	FIELD_STRING(struct client_tls, "clientCertificate", client_certificate),
	FIELD_STRING(struct client_tls, "privateKey", private_key),
	FIELD_STRING(struct client_tls, "caCertificates", ca_certificates),
	FIELD_STRING(struct client_tls, "caCrl", ca_crl),
	FIELD_STRING(struct client_tls, "credentialName", credential_name),
	FIELD_STRING(struct client_tls, "sni", sni),
	FIELD_STRINGS(struct client_tls, "subjectAltNames", subject_alt_names),
	FIELD_BOOL(struct client_tls, "insecureSkipVerify", insecure_skip_verify),
};

static void check_tls(struct decoder *d, const struct tree *n, void *out)
{
	struct client_tls *t = out;
	bool files = t->client_certificate[0] || t->private_key[0] || t->ca_certificates[0];
	t->given = true;
	if (!d->strict)
		return;
	if (t->credential_name[0] && files)
		decode_problem(d, n, "credentialName", "cannot stand beside certificate files");
	if (t->mode == CLIENT_TLS_MUTUAL && !t->credential_name[0]) {
		if (!t->client_certificate[0])
			decode_problem(d, n, "clientCertificate", "is required for MUTUAL");
		if (!t->private_key[0])
			decode_problem(d, n, "privateKey", "is required for MUTUAL");
	}
	if (t->mode == CLIENT_TLS_ISTIO_MUTUAL && (files || t->credential_name[0]))
		decode_problem(d, n, "mode",
			       "ISTIO_MUTUAL takes the mesh's own certificates: no others");
}
static const struct schema tls_schema = SCHEMA(struct client_tls, tls_fields, NULL, check_tls);

static const struct field port_fields[] = {
	FIELD_UINT(struct port_policy, "number", port, 1, 65535, .flags = FIELD_REQUIRED),
};
static const struct schema port_schema = SCHEMA(struct port_policy, port_fields, NULL, NULL);

static const struct field port_policy_fields[] = {
	FIELD_INLINE("port", &port_schema, .flags = FIELD_REQUIRED),
	FIELD_STRUCT(struct port_policy, "tls", tls, &tls_schema),
	IDLE_ROWS,
};
static const struct schema port_policy_schema =
	SCHEMA(struct port_policy, port_policy_fields, NULL, NULL);

static const struct field traffic_fields[] = {
	FIELD_STRUCT(struct traffic_policy, "tls", tls, &tls_schema),
	FIELD_LIST(struct traffic_policy, "portLevelSettings", ports, n_ports, &port_policy_schema),
	FIELD_KNOWN("tunnel"),
	FIELD_KNOWN("proxyProtocol"),
	FIELD_KNOWN("retryBudget"),
	IDLE_ROWS,
};

static void check_traffic(struct decoder *d, const struct tree *n, void *out)
{
	struct traffic_policy *p = out;
	p->given = true;
	for (size_t i = 0; d->strict && i < p->n_ports; i++)
		for (size_t j = 0; j < i; j++)
			if (p->ports[j].port == p->ports[i].port)
				decode_problem(d, list_item(n, "portLevelSettings", i), "port",
					       "%u is also portLevelSettings[%zu]",
					       p->ports[i].port, j);
}
static const struct schema traffic_schema =
	SCHEMA(struct traffic_policy, traffic_fields, NULL, check_traffic);

static const struct field subset_fields[] = {
	FIELD_STRING(struct subset, "name", name, .flags = FIELD_REQUIRED),
	FIELD_PAIRS(struct subset, "labels", labels),
	FIELD_STRUCT(struct subset, "trafficPolicy", policy, &traffic_schema),
};

static void check_subset(struct decoder *d, const struct tree *n, void *out)
{
	const struct subset *s = out;
	if (d->strict)
		check_name(d, n, "name", NAME_LABEL, s->name);
}
static const struct schema subset_schema = SCHEMA(struct subset, subset_fields, NULL, check_subset);

static const struct field selector_fields[] = {
	FIELD_PAIRS(struct destination_rule, "matchLabels", workload_selector),
};

static void check_workload_selector(struct decoder *d, const struct tree *n, void *out)
{
	struct destination_rule *r = out;
	r->has_workload_selector = true;
	check_selector(d, n, "matchLabels", &r->workload_selector);
}
static const struct schema selector_schema =
	SCHEMA(struct destination_rule, selector_fields, NULL, check_workload_selector);

/* "db", "db.shop.svc.cluster.local", "*", "*.local", "*-db.local" */
static bool host_ok(struct slice host)
{
	if (slice_is(host, "*"))
		return true;
	if (slice_starts(host, SLICE("*")))
		host = slice_sub(host, 1, host.len);
	if (slice_starts(host, SLICE(".")) || slice_starts(host, SLICE("-")))
		host = slice_sub(host, 1, host.len);
	return name_ok(NAME_SUBDOMAIN, host);
}

static void check_spec(struct decoder *d, const struct tree *n, void *out)
{
	const struct destination_rule *r = out;
	if (!d->strict)
		return;
	if (!host_ok(slice_of(r->host)))
		decode_problem(d, n, "host",
			       "expected a Service's name, a host name or one that begins with *");
	for (size_t i = 0; i < r->n_subsets; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(r->subsets[i].name, r->subsets[j].name) == 0)
				decode_problem(d, list_item(n, "subsets", i), "name",
					       "\"%s\" is also subsets[%zu]", r->subsets[i].name,
					       j);
	check_export_to(d, n, r->export_to);
}

static const struct field spec_fields[] = {
	FIELD_STRING(struct destination_rule, "host", host, .flags = FIELD_REQUIRED),
	FIELD_STRUCT(struct destination_rule, "trafficPolicy", policy, &traffic_schema),
	FIELD_LIST(struct destination_rule, "subsets", subsets, n_subsets, &subset_schema),
	FIELD_STRINGS(struct destination_rule, "exportTo", export_to),
	FIELD_INLINE("workloadSelector", &selector_schema),
};
static const struct schema spec_schema =
	SCHEMA(struct destination_rule, spec_fields, NULL, check_spec);

static const struct field rule_fields[] = {
	TOP_ROWS,
	FIELD_INLINE("spec", &spec_schema, .flags = FIELD_REQUIRED),
	FIELD_KNOWN("status"),
};
const struct schema destination_rule_schema =
	SCHEMA(struct destination_rule, rule_fields, NULL, NULL);
