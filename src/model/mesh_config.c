/* Istio's MeshConfig (mesh/v1alpha1) and hark's own settings beside it. */
#include "model/mesh_config.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "detect/first_word.h"
#include "model/annotations.h"
#include "model/schema.h"
#include "model/sidecar.h"
#include "model/tree_yaml.h"

void mesh_config_default(struct mesh_config *out)
{
	static const char *const none[] = {NULL};
	*out = (struct mesh_config){
		.outbound_policy = OUTBOUND_ALLOW_ANY,
		.connect_timeout_ms = 10000,
		.keepalive_s = 300,
		.access_log_file = "/dev/stdout",
		.root_namespace = "istio-system",
		.trust_domain = "cluster.local",
		.trust_domain_aliases = none,
		.destination_rule_export_to = none,
		.service_export_to = none,
		.dns_refresh_ms = 60000,
		.enable_auto_mtls = true,
		.dns_capture = true,
		.detection = DETECTION_BOTH_ENDS,
		.lb = LB_LEAST_CONNECTIONS,
		.head_start_us = FW_HEAD_START_US,
		.tls_window_max_us = 50000,
		.partial_word_ms = FW_PARTIAL_MS,
		.early_per_source = 512,
		.early_per_destination = 1024,
		.early_per_worker = 4096,
		.drain_s = 30,
		.handshake_timeout_ms = 10000,
		.certificate_s = 86400,
	};
}

static void default_mesh(void *out)
{
	mesh_config_default(out);
}

/* Absent means ALLOW_ANY, but an empty message has protobuf's zero value. */
static void default_policy(void *out)
{
	struct mesh_config *m = out;
	m->outbound_policy = OUTBOUND_REGISTRY_ONLY;
}

static const char *const policy_words[] = {"ALLOW_ANY", "REGISTRY_ONLY", NULL};

static const struct field policy_fields[] = {
	FIELD_ENUM(struct mesh_config, "mode", outbound_policy, policy_words),
};
static const struct schema policy_schema =
	SCHEMA(struct mesh_config, policy_fields, default_policy, NULL);

static const struct field keepalive_fields[] = {
	FIELD_DURATION(struct mesh_config, "time", keepalive_s, NS_PER_S, 0),
	FIELD_KNOWN("interval"),
	FIELD_KNOWN("probes"),
};
static const struct schema keepalive_schema =
	SCHEMA(struct mesh_config, keepalive_fields, NULL, NULL);

/* The environment of a sidecar, of which one switch counts here. Istio's is off unless this is said. */
static void read_metadata(struct decoder *d, struct tree *n, void *out)
{
	struct mesh_config *m = out;
	const struct tree *dns = tree_get(n, SIDECAR_DNS_ENV);
	if (n->type != TREE_MAP) {
		decode_expected(d, n, "an object of strings");
		return;
	}
	if (!dns)
		return;
	if (dns->type == TREE_BOOL)
		m->dns_capture = dns->boolean;
	else if (dns->type == TREE_STRING && slice_eq_nocase(dns->text, SLICE("true")))
		m->dns_capture = true;
	else if (dns->type == TREE_STRING && slice_eq_nocase(dns->text, SLICE("false")))
		m->dns_capture = false;
	else
		decode_expected(d, dns, "\"true\" or \"false\"");
}

static const struct field proxy_fields[] = {
	FIELD_DURATION(struct mesh_config, "terminationDrainDuration", drain_s, NS_PER_S, 0),
	FIELD_UINT(struct mesh_config, "concurrency", workers, 0, 1024),
	FIELD_KNOWN("availabilityZone"),
	FIELD_KNOWN("binaryPath"),
	FIELD_KNOWN("caCertificatesPem"),
	FIELD_KNOWN("configPath"),
	FIELD_KNOWN("controlPlaneAuthPolicy"),
	FIELD_KNOWN("customConfigFile"),
	FIELD_KNOWN("discoveryAddress"),
	FIELD_KNOWN("discoveryRefreshDelay"),
	FIELD_KNOWN("drainDuration"),
	FIELD_KNOWN("envoyAccessLogService"),
	FIELD_KNOWN("envoyMetricsService"),
	FIELD_KNOWN("envoyMetricsServiceAddress"),
	FIELD_KNOWN("extraStatTags"),
	FIELD_KNOWN("fileFlushInterval"),
	FIELD_KNOWN("fileFlushMinSizeKb"),
	FIELD_KNOWN("gatewayTopology"),
	FIELD_KNOWN("holdApplicationUntilProxyStarts"),
	FIELD_KNOWN("image"),
	FIELD_KNOWN("interceptionMode"),
	FIELD_KNOWN("meshId"),
	FIELD_KNOWN("parentShutdownDuration"),
	FIELD_KNOWN("privateKeyProvider"),
	FIELD_KNOWN("proxyAdminPort"),
	FIELD_KNOWN("proxyBootstrapTemplatePath"),
	FIELD_KNOWN("proxyHeaders"),
	FIELD_CUSTOM("proxyMetadata", read_metadata),
	FIELD_KNOWN("proxyStatsMatcher"),
	FIELD_KNOWN("readinessProbe"),
	FIELD_KNOWN("runtimeValues"),
	FIELD_KNOWN("sds"),
	FIELD_KNOWN("serviceCluster"),
	FIELD_KNOWN("statNameLength"),
	FIELD_KNOWN("statsCompression"),
	FIELD_KNOWN("statsdUdpAddress"),
	FIELD_KNOWN("statusPort"),
	FIELD_KNOWN("tracing"),
	FIELD_KNOWN("tracingServiceName"),
	FIELD_KNOWN("zipkinAddress"),
};
static const struct schema proxy_schema = SCHEMA(struct mesh_config, proxy_fields, NULL, NULL);

static const char *const tls_version_words[] = {"TLS_AUTO", "TLSV1_2", "TLSV1_3", NULL};
enum { TLS_VERSION_1_3 = 2 };

static void read_tls_version(struct decoder *d, struct tree *n, void *out)
{
	struct mesh_config *m = out;
	m->mesh_tls13 =
		n->type == TREE_STRING && slice_is(n->text, tls_version_words[TLS_VERSION_1_3]);
	for (size_t i = 0; tls_version_words[i]; i++)
		if (n->type == TREE_STRING && slice_is(n->text, tls_version_words[i]))
			return;
	decode_expected(d, n, "one of TLS_AUTO, TLSV1_2, TLSV1_3");
}

static const struct field mesh_tls_fields[] = {
	FIELD_CUSTOM("minProtocolVersion", read_tls_version),
	FIELD_KNOWN("cipherSuites"),
	FIELD_KNOWN("ecdhCurves"),
};
static const struct schema mesh_tls_schema =
	SCHEMA(struct mesh_config, mesh_tls_fields, NULL, NULL);

static const struct field mesh_fields[] = {
	FIELD_INLINE("outboundTrafficPolicy", &policy_schema),
	FIELD_DURATION(struct mesh_config, "protocolDetectionTimeout",
		       protocol_detection_timeout_ms, NS_PER_MS, 0),
	FIELD_DURATION(struct mesh_config, "connectTimeout", connect_timeout_ms, NS_PER_MS, 1),
	FIELD_INLINE("tcpKeepalive", &keepalive_schema),
	FIELD_STRING(struct mesh_config, "accessLogFile", access_log_file),
	FIELD_STRING(struct mesh_config, "rootNamespace", root_namespace),
	FIELD_STRING(struct mesh_config, "trustDomain", trust_domain),
	FIELD_BOOL(struct mesh_config, "enableAutoMtls", enable_auto_mtls),
	FIELD_STRINGS(struct mesh_config, "trustDomainAliases", trust_domain_aliases),
	FIELD_STRINGS(struct mesh_config, "defaultDestinationRuleExportTo",
		      destination_rule_export_to),
	FIELD_STRINGS(struct mesh_config, "defaultServiceExportTo", service_export_to),
	FIELD_DURATION(struct mesh_config, "dnsRefreshRate", dns_refresh_ms, NS_PER_MS, 1000),
	FIELD_INLINE("meshMTLS", &mesh_tls_schema),
	FIELD_INLINE("defaultConfig", &proxy_schema),
	FIELD_KNOWN("accessLogEncoding"),
	FIELD_KNOWN("accessLogFormat"),
	FIELD_KNOWN("ca"),
	FIELD_KNOWN("caCertificates"),
	FIELD_KNOWN("certificates"),
	FIELD_KNOWN("compliancePolicy"),
	FIELD_KNOWN("configSources"),
	FIELD_KNOWN("defaultHttpRetryPolicy"),
	FIELD_KNOWN("defaultProviders"),
	FIELD_KNOWN("defaultVirtualServiceExportTo"),
	FIELD_KNOWN("disableEnvoyListenerLog"),
	FIELD_KNOWN("discoverySelectors"),
	FIELD_KNOWN("enableEnvoyAccessLogService"),
	FIELD_KNOWN("enablePrometheusMerge"),
	FIELD_KNOWN("enableTracing"),
	FIELD_KNOWN("extensionProviders"),
	FIELD_KNOWN("h2UpgradePolicy"),
	FIELD_KNOWN("inboundClusterStatName"),
	FIELD_KNOWN("inboundTrafficPolicy"),
	FIELD_KNOWN("ingressClass"),
	FIELD_KNOWN("ingressControllerMode"),
	FIELD_KNOWN("ingressSelector"),
	FIELD_KNOWN("ingressService"),
	FIELD_KNOWN("localityLbSetting"),
	FIELD_KNOWN("outboundClusterStatName"),
	FIELD_KNOWN("pathNormalization"),
	FIELD_KNOWN("proxyHttpPort"),
	FIELD_KNOWN("proxyInboundListenPort"),
	FIELD_KNOWN("proxyListenPort"),
	FIELD_KNOWN("serviceScopeConfigs"),
	FIELD_KNOWN("serviceSettings"),
	FIELD_KNOWN("thriftConfig"),
	FIELD_KNOWN("tlsDefaults"),
	FIELD_KNOWN("verifyCertificateAtClient"),
};

/* What a SPIFFE id cannot hold is written otherwise there, as Istio does. */
static void check_mesh(struct decoder *d, const struct tree *n, void *out)
{
	struct mesh_config *m = out;
	(void)n;
	if (!strchr(m->trust_domain, '@'))
		return;
	char *domain = arena_dup(d->arena, slice_of(m->trust_domain));
	for (char *c = domain; (c = strchr(c, '@'));)
		*c = '.';
	m->trust_domain = domain;
}
static const struct schema mesh_schema =
	SCHEMA(struct mesh_config, mesh_fields, default_mesh, check_mesh);

static const struct field early_fields[] = {
	FIELD_UINT(struct mesh_config, "perSource", early_per_source, 0, UINT32_MAX),
	FIELD_UINT(struct mesh_config, "perDestination", early_per_destination, 0, UINT32_MAX),
	FIELD_UINT(struct mesh_config, "perWorker", early_per_worker, 0, UINT32_MAX),
};
static const struct schema early_schema = SCHEMA(struct mesh_config, early_fields, NULL, NULL);

static const char *const detection_words[] = {"both-ends", "client-first", NULL};
static const char *const lb_words[] = {"round-robin", "least-connections", NULL};

static const struct field hark_fields[] = {
	FIELD_ENUM(struct mesh_config, "detection", detection, detection_words),
	FIELD_ENUM(struct mesh_config, "loadBalancer", lb, lb_words),
	FIELD_DURATION(struct mesh_config, "headStart", head_start_us, NS_PER_US, 0),
	FIELD_DURATION(struct mesh_config, "tlsWindow", tls_window_max_us, NS_PER_US, 0),
	FIELD_DURATION(struct mesh_config, "partialWord", partial_word_ms, NS_PER_MS, 0),
	FIELD_DURATION(struct mesh_config, "tcpIdleTimeout", tcp_idle_timeout_s, NS_PER_S, 0),
	FIELD_INLINE("earlyConnections", &early_schema),
	FIELD_DURATION(struct mesh_config, "terminationDrain", drain_s, NS_PER_S, 0),
	FIELD_UINT(struct mesh_config, "concurrency", workers, 0, 1024),
	FIELD_DURATION(struct mesh_config, "handshakeTimeout", handshake_timeout_ms, NS_PER_MS, 1),
	FIELD_DURATION(struct mesh_config, "certificateLifetime", certificate_s, NS_PER_S, 1),
};
static const struct schema hark_schema = SCHEMA(struct mesh_config, hark_fields, NULL, NULL);

struct reading {
	const char *key;
	void (*problem)(void *ctx, const struct mesh_problem *p);
	void *ctx;
	unsigned n_problems;
};

static void tell(struct reading *r, unsigned line, const char *path, const char *text)
{
	struct mesh_problem p = {r->key, line, path, text};
	r->n_problems++;
	r->problem(r->ctx, &p);
}

static void on_problem(void *ctx, const struct tree *at, const char *member, const char *text)
{
	char path[256];
	const struct tree *named = member ? tree_get(at, member) : NULL;
	tell(ctx, (named ? named : at)->line, tree_path(at, member, path, sizeof(path)), text);
}

static void read_text(struct reading *r, const char *text, const struct schema *schema, bool strict,
		      struct arena *arena, struct mesh_config *out)
{
	struct arena *a = arena_new();
	struct yaml *y = yaml_open(slice_of(text));
	struct tree *root = NULL;
	struct err err = {0};
	unsigned line = 0;
	bool first = true;
	enum yaml_result got;
	while ((got = yaml_next(y, a, &root, &err, &line)) != YAML_END) {
		struct decoder d = {
			.arena = arena, .strict = strict, .problem = on_problem, .ctx = r};
		if (got == YAML_BAD)
			tell(r, line, "", err.text);
		else if (!first)
			tell(r, root->line, "", "expected one document");
		else if (root->type != TREE_NULL)
			decode(&d, schema, root, out);
		first = false;
	}
	yaml_close(y);
	arena_free(a);
}

bool mesh_config_read(const struct pairs *data, bool strict, struct arena *arena,
		      struct mesh_config *out,
		      void (*problem)(void *ctx, const struct mesh_problem *p), void *ctx)
{
	const struct {
		const char *key;
		const struct schema *schema;
		bool strict;
	} texts[] = {{"mesh", &mesh_schema, strict}, {"hark", &hark_schema, true}};
	struct reading r = {.problem = problem, .ctx = ctx};
	mesh_config_default(out);
	for (size_t i = 0; data && i < N_ELEMS(texts); i++) {
		const char *text = pairs_get(data, texts[i].key);
		r.key = texts[i].key;
		if (text)
			read_text(&r, text, texts[i].schema, texts[i].strict, arena, out);
	}
	return r.n_problems == 0;
}

static void first_problem(void *ctx, const struct mesh_problem *p)
{
	struct err *err = ctx;
	if (err && err->kind == ERR_NONE)
		(void)err_set(err, ERR_BAD_INPUT,
			      "ConfigMap " MESH_CONFIG_NS "/" MESH_CONFIG_NAME
			      ": data.%s line %u: %s%s%s",
			      p->key, p->line, p->path, p->path[0] ? ": " : "",
			      p->text); /* always false */
}

bool mesh_config_decode(const struct object *config_map, struct arena *arena,
			struct mesh_config *out, struct err *err)
{
	struct err first = {.kind = ERR_NONE};
	if (mesh_config_read(config_map ? &config_map->config_map->data : NULL, false, arena, out,
			     first_problem, &first))
		return true;
	if (err)
		*err = first;
	return false;
}

static void pod_problem(void *ctx, const struct tree *at, const char *member, const char *text)
{
	struct err *err = ctx;
	char path[256];
	if (err->kind == ERR_NONE)
		(void)err_set(err, ERR_BAD_INPUT, "annotation " ANNOTATION_PROXY_CONFIG ": %s: %s",
			      tree_path(at, member, path, sizeof(path)), text); /* always false */
}

bool mesh_config_for_pod(const struct object *config_map, const struct pairs *annotations,
			 struct arena *arena, struct mesh_config *out, struct err *err)
{
	const char *text = pairs_get(annotations, ANNOTATION_PROXY_CONFIG);
	struct err first = {0};
	struct decoder d = {.arena = arena, .problem = pod_problem, .ctx = &first};
	struct tree *root = NULL;
	unsigned line = 0;
	if (!mesh_config_decode(config_map, arena, out, NULL))
		mesh_config_default(out); /* what is wrong was told when it was applied */
	if (!text)
		return true;
	struct yaml *y = yaml_open(slice_of(text));
	enum yaml_result got = yaml_next(y, arena, &root, &first, &line);
	if (got == YAML_DOCUMENT && root->type != TREE_NULL)
		decode(&d, &proxy_schema, root, out);
	else if (got == YAML_BAD)
		(void)err_wrap(&first, "annotation " ANNOTATION_PROXY_CONFIG); /* always false */
	yaml_close(y);
	if (first.kind == ERR_NONE)
		return true;
	*err = first;
	return false;
}
