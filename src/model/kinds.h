/*
 * The resource kinds as C structs: what a person writes in YAML, decoded once, read-only for ever
 * after.
 *
 * Field names follow the Kubernetes and Istio API fields (snake case for camel case). Texts are
 * NUL-terminated and live in the arena of the object that holds them; "" stands for absent unless
 * the comment says NULL. Durations are in the unit of their name. Sources: Kubernetes core/v1,
 * apps/v1, discovery/v1 types; Istio mesh/v1alpha1 MeshConfig, security/v1 PeerAuthentication and
 * AuthorizationPolicy, networking/v1 DestinationRule, ServiceEntry, WorkloadEntry and Sidecar.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "net/addr.h"

enum kind {
	KIND_NAMESPACE,
	KIND_CONFIG_MAP,
	KIND_SERVICE,
	KIND_ENDPOINT_SLICE,
	KIND_POD,
	KIND_DEPLOYMENT,
	KIND_PEER_AUTHENTICATION,
	KIND_DESTINATION_RULE,
	KIND_AUTHORIZATION_POLICY,
	KIND_SERVICE_ENTRY,
	KIND_WORKLOAD_ENTRY,
	KIND_SIDECAR,
	N_KINDS,
};

/* Everything the API and the decoder need to know of a kind; one row each in kinds.c. */
struct kind_info {
	enum kind kind;
	const char *api_version; /* as stored: "v1", "apps/v1", "discovery.k8s.io/v1" */
	const char *name;        /* "Pod" */
	const char *plural;      /* "pods" */
	const char *singular;    /* "pod" */
	const char *short_name;  /* "po", or "" */
	bool namespaced;
	/* Accepted as well, and the same but for the name; NULL-terminated */
	const char *also[3];
};
const struct kind_info *kind_info(enum kind kind);
bool kind_serves(const struct kind_info *k, struct slice api_version);
/* By "Pod", "pods", "pod" or "po", ASCII case ignored; NULL when there is no such kind. */
const struct kind_info *kind_by_name(struct slice name);
/* By apiVersion (any that is accepted) and kind as a resource names them; NULL when unknown. */
const struct kind_info *kind_by_gvk(struct slice api_version, struct slice kind);

struct pair {
	const char *key, *value;
};

/* A string map in key order: labels, annotations, selectors, data. */
struct pairs {
	const struct pair *at;
	size_t n;
};
const char *pairs_get(const struct pairs *p, const char *key); /* NULL when absent */
/* Every pair of SELECTOR stands in LABELS; an empty selector matches nothing (as a Service's does).
 */
bool pairs_match(const struct pairs *selector, const struct pairs *labels);
/* The same for a policy's selector: an empty one matches everything. */
bool pairs_select(const struct pairs *selector, const struct pairs *labels);

struct meta {
	const char *name, *ns; /* ns "" for cluster-scoped kinds */
	const char *uid;
	const char *generate_name;
	struct pairs labels, annotations;
	uint64_t resource_version; /* 0: not stored yet */
	uint64_t generation;
	uint64_t creation_ns; /* wall clock */
	uint64_t deletion_ns; /* wall clock; 0: nobody asked for its end (deletionTimestamp) */
	const char *owner_kind, *owner_name; /* of the controlling ownerReference, or "" */
};

struct config_map {
	struct pairs data;
};

enum protocol_l4 { L4_TCP, L4_UDP, L4_SCTP };

struct int_or_name {
	const char *name; /* "" when NUMBER is meant */
	uint16_t number;
};

enum service_type {
	SERVICE_CLUSTER_IP,
	SERVICE_NODE_PORT,
	SERVICE_LOAD_BALANCER,
	SERVICE_EXTERNAL_NAME
};

struct service_port {
	const char *name;
	enum protocol_l4 protocol;
	uint16_t port;
	struct int_or_name target_port; /* number 0 and no name: same as port */
	const char
		*app_protocol; /* NULL: not set; "" is set and unknown (protocol-selection.md 1) */
};

enum ip_family { IP_V4, IP_V6, N_IP_FAMILIES };

struct service {
	enum service_type type;
	bool headless;                       /* clusterIP: None */
	struct ip cluster_ip[N_IP_FAMILIES]; /* assigned or asked for; see has_ip */
	bool has_ip[N_IP_FAMILIES];
	bool want_family[N_IP_FAMILIES]; /* ipFamilies and ipFamilyPolicy, resolved: both true by
					    default in hark up */
	struct pairs selector;
	const struct service_port *ports;
	size_t n_ports;
	const char *external_name;
	bool publish_not_ready_addresses;
	bool session_affinity_client_ip;
};

struct endpoint {
	struct ip ip;
	bool ready, serving, terminating;
	const char *hostname;
	const char *target_pod; /* name of the Pod in the slice's namespace, or "" */
	const char *node_name;
};

struct endpoint_port {
	const char *name;
	enum protocol_l4 protocol;
	uint16_t port;
	const char *app_protocol; /* NULL: not set */
};

struct endpoint_slice {
	const char *service; /* label kubernetes.io/service-name */
	enum ip_family family;
	const struct endpoint *endpoints;
	size_t n_endpoints;
	const struct endpoint_port *ports;
	size_t n_ports;
};

struct container_port {
	const char *name;
	uint16_t port;
	enum protocol_l4 protocol;
};

struct env_var {
	const char *name, *value;
	const char *field_path;                  /* valueFrom.fieldRef, or "" */
	const char *config_map, *config_map_key; /* valueFrom.configMapKeyRef, or "" */
	bool optional;                           /* no such ConfigMap or key: no such variable */
};

enum probe_kind { PROBE_NONE, PROBE_TCP, PROBE_HTTP, PROBE_EXEC };

struct probe {
	enum probe_kind kind;
	struct int_or_name port;
	const char *http_path, *host, *scheme;
	const struct pair *http_headers;
	size_t n_http_headers;
	const char *const *command; /* NULL-terminated */
	unsigned initial_delay_s, period_s, timeout_s, success_threshold, failure_threshold;
};

struct volume_mount {
	const char *name, *mount_path, *sub_path;
	bool read_only;
};

struct security_context {
	bool has_run_as_user, has_run_as_group;
	uint32_t run_as_user, run_as_group;
};

struct container {
	const char *name;
	const char *image;          /* not used by hark up */
	const char *const *command; /* NULL-terminated; empty: not given */
	const char *const *args;
	const char *working_dir;
	const struct env_var *env;
	size_t n_env;
	const struct container_port *ports;
	size_t n_ports;
	struct probe readiness;
	const struct volume_mount *mounts;
	size_t n_mounts;
	struct security_context
		security; /* the Pod's, overridden field by field by the container's */
	unsigned line;    /* where it stands in its file, 0 unknown */
};

enum volume_kind { VOLUME_EMPTY_DIR, VOLUME_CONFIG_MAP, VOLUME_HOST_PATH };

struct volume {
	const char *name;
	enum volume_kind kind;
	const char *config_map; /* its name */
	bool optional;
	uint32_t default_mode;    /* file mode, default 0644 */
	const struct pair *items; /* key -> path; n_items 0: all keys under their own names */
	size_t n_items;
	const char *host_path;
};

struct pod_spec {
	const struct container *init_containers;
	size_t n_init_containers;
	const struct container *containers;
	size_t n_containers;
	const struct volume *volumes;
	size_t n_volumes;
	const char *service_account; /* default "default" */
	const char *hostname, *subdomain;
	const char *restart_policy; /* "Always" by default, "OnFailure", "Never" */
	const char *dns_policy;     /* default "ClusterFirst"; "None": only what dns_config says */
	const char *const *dns_servers,
		*const *dns_searches;   /* dnsConfig; NULL-terminated, or NULL */
	const struct pair *dns_options; /* dnsConfig.options */
	size_t n_dns_options;
	bool host_network;
	unsigned termination_grace_s;     /* default 30 */
	struct security_context security; /* already in the containers */
};

struct pod {
	struct pod_spec spec;
	/* status */
	const char *phase; /* "Pending", "Running", "Succeeded", "Failed" */
	struct ip ip[N_IP_FAMILIES];
	bool has_ip[N_IP_FAMILIES];
	bool ready;
	const char *message; /* why it is not ready, for people */
};

struct deployment {
	unsigned replicas; /* default 1 */
	struct pairs selector;
	struct meta template_meta; /* labels and annotations of the Pods */
	struct pod_spec template_spec;
	struct slice template_json; /* the template as written, to make Pods of */
	unsigned ready_replicas;    /* status */
};

/* What a server's sidecar asks of connections to a port. */
enum SMALL_ENUM mtls_mode { MTLS_PERMISSIVE, MTLS_STRICT, MTLS_DISABLE, MTLS_UNSET };

const char *mtls_mode_name(enum mtls_mode mode); /* "STRICT" */

struct mtls_port {
	uint16_t port; /* of the workload, not of a Service */
	enum mtls_mode mode;
};

struct peer_authentication {
	struct pairs selector; /* empty: the whole namespace, or the mesh */
	enum mtls_mode mode;
	const struct mtls_port *ports; /* by number; portLevelMtls */
	size_t n_ports;
};

/* DestinationRule: of what the API has, `tls` has effect; the rest is accepted. */
enum client_tls_mode {
	CLIENT_TLS_DISABLE, /* what `tls: {}` means */
	CLIENT_TLS_SIMPLE,
	CLIENT_TLS_MUTUAL,
	CLIENT_TLS_ISTIO_MUTUAL
};

struct client_tls {
	enum client_tls_mode mode;
	const char *client_certificate, *private_key, *ca_certificates, *ca_crl; /* files */
	const char *credential_name, *sni;
	const char *const *subject_alt_names; /* NULL-terminated */
	bool insecure_skip_verify;
	bool given; /* false: the policy has no `tls` */
};

struct port_policy {
	uint16_t port; /* of the Service */
	struct client_tls tls;
};

struct traffic_policy {
	struct client_tls tls;
	const struct port_policy *ports; /* portLevelSettings */
	size_t n_ports;
	bool given;
};

struct subset {
	const char *name;
	struct pairs labels;
	struct traffic_policy policy;
};

struct destination_rule {
	const char *host; /* as written: "db", "db.shop.svc.cluster.local", "*.local" */
	struct traffic_policy policy;
	const struct subset *subsets;
	size_t n_subsets;
	const char *const *export_to; /* NULL-terminated; empty: the mesh's default */
	struct pairs workload_selector;
	bool has_workload_selector;
};

/* AuthorizationPolicy. All lists are NULL-terminated; NOT_X: none of them. */
enum authz_action { AUTHZ_ALLOW, AUTHZ_DENY, AUTHZ_AUDIT, AUTHZ_CUSTOM };

struct authz_source {
	const char *const *principals, *const *not_principals;
	const char *const *request_principals, *const *not_request_principals;
	const char *const *namespaces, *const *not_namespaces;
	const char *const *service_accounts, *const *not_service_accounts;
	const char *const *trust_domains, *const *not_trust_domains;
	const char *const *ip_blocks, *const *not_ip_blocks;
	const char *const *remote_ip_blocks, *const *not_remote_ip_blocks;
	const char *unknown; /* a field that this program does not know, or "" */
};

struct authz_operation {
	const char *const *hosts, *const *not_hosts;
	const char *const *ports, *const *not_ports;
	const char *const *methods, *const *not_methods;
	const char *const *paths, *const *not_paths;
	const char *unknown;
};

struct authz_condition {
	const char *key;
	const char *const *values, *const *not_values;
	const char *unknown;
};

struct authz_rule_spec {
	const struct authz_source *from;
	size_t n_from;
	const struct authz_operation *to;
	size_t n_to;
	const struct authz_condition *when;
	size_t n_when;
	const char *unknown;
};

struct authorization_policy {
	struct pairs selector;
	bool has_target_refs; /* for gateways and waypoints: not for sidecars */
	enum authz_action action;
	const char *provider; /* CUSTOM */
	const struct authz_rule_spec *rules;
	size_t n_rules;
	bool dry_run; /* annotation istio.io/dry-run: counted, not enforced */
};

enum outbound_policy { OUTBOUND_ALLOW_ANY, OUTBOUND_REGISTRY_ONLY };

/* WorkloadEntry, and each of a ServiceEntry's endpoints. */
struct workload_port {
	const char *name; /* of the ServiceEntry's port */
	uint16_t port;
};

struct workload_entry {
	const char *address; /* as written, lower case: an IP address or a host name; or "" */
	struct ip ip;
	bool has_ip;
	const struct workload_port *ports;
	size_t n_ports;
	struct pairs labels; /* of a WorkloadEntry: the spec's; metadata's stand beside them */
	const char *network, *locality, *service_account;
	uint32_t weight;
};

enum resolution {
	RESOLUTION_NONE,
	RESOLUTION_STATIC,
	RESOLUTION_DNS,
	RESOLUTION_DNS_ROUND_ROBIN,
	RESOLUTION_DYNAMIC_DNS, /* refused where people write it; else without effect */
};
const char *resolution_name(enum resolution r); /* "DNS" */

enum location { LOCATION_MESH_EXTERNAL, LOCATION_MESH_INTERNAL };

struct entry_port {
	const char *name;
	const char *protocol;         /* as written, or "" */
	uint16_t number, target_port; /* target_port 0: not given */
};

/* A virtual IP that was given to a host. */
struct entry_vip {
	const char *host;
	struct ip ip;
};

/* ServiceEntry: hosts that are Services although Kubernetes has none of them. Lists of names are
 * NULL-terminated; hosts are lower case. */
struct service_entry {
	const char *const *hosts; /* "db.example.com", "*.example.com" */
	const struct cidr *addresses;
	size_t n_addresses;
	const struct entry_port *ports;
	size_t n_ports;
	enum location location;
	enum resolution resolution;
	const struct workload_entry *endpoints;
	size_t n_endpoints;
	struct pairs selector; /* workloadSelector */
	bool has_selector;
	const char *const *export_to; /* empty: the mesh's default */
	const char *const *subject_alt_names;
	const struct entry_vip *vips; /* status.addresses */
	size_t n_vips;
};

/* Which hosts a Sidecar's workloads know: "NAMESPACE/HOST". */
struct scope_host {
	const char *ns;   /* a name, "*", "." or "~" */
	const char *host; /* lower case: a name, "*.example.com" or "*" */
	bool excluded;    /* taken away from what others bring */
};

enum sidecar_capture { SIDECAR_CAPTURES, SIDECAR_CAPTURES_IPTABLES, SIDECAR_CAPTURES_NONE };

/* A listener of a Sidecar for what its workloads dial. */
struct sidecar_egress {
	const struct scope_host *hosts;
	size_t n_hosts;
	uint16_t port; /* 0: every port for which no other listener is there */
	enum sidecar_capture capture;
	bool binds; /* captureMode NONE, and all is well with it: a socket of the sidecar's own, which the workload dials */
	struct ip bind;
};

/* A port on which a Sidecar's workloads are reached. */
struct sidecar_ingress {
	const char *protocol; /* as written, or "" */
	struct ip bind;       /* the one address on which it counts */
	bool has_bind;        /* false: on all that the workload has */
	struct addr
		endpoint;  /* where the application listens; no address: that which was dialled */
	bool has_endpoint; /* false: on the same port */
	bool left_out;     /* its defaultEndpoint is somebody else's; of no use outside decoding */
	uint16_t port;
};

struct sidecar {
	struct pairs selector; /* workloadSelector */
	bool has_selector;
	const struct sidecar_egress *egress;
	size_t n_egress; /* 0: everything is known */
	const struct sidecar_ingress *ingress;
	size_t n_ingress; /* 0: Services say what comes in */
	enum outbound_policy outbound_policy;
	bool has_outbound_policy; /* false: the mesh's counts */
	const char *left_out;     /* which rows do not count, and why; NULL: all do */
};

enum detection { DETECTION_BOTH_ENDS, DETECTION_CLIENT_FIRST };

enum load_balancer { LB_ROUND_ROBIN, LB_LEAST_CONNECTIONS };

/*
 * The ConfigMap `istio` of the root namespace istio-system: key `mesh` is Istio's MeshConfig, key
 * `hark` holds what only hark knows (so that an istiod reading the same ConfigMap is not
 * disturbed). Every field has its default when the ConfigMap is absent.
 */
struct mesh_config {
	/* mesh: */
	enum outbound_policy
		outbound_policy; /* outboundTrafficPolicy.mode; a present but empty message is
				    REGISTRY_ONLY, as Istio's zero value is */
	uint32_t protocol_detection_timeout_ms; /* 0 (default): none */
	uint32_t connect_timeout_ms;            /* connectTimeout, default 10000 */
	uint32_t keepalive_s;                   /* tcpKeepalive.time, default 300; 0 off */
	const char *access_log_file;            /* accessLogFile, default "/dev/stdout"; "" off */
	const char *root_namespace, *trust_domain;
	const char *const *trust_domain_aliases; /* NULL-terminated */
	const char *const
		*destination_rule_export_to;  /* defaultDestinationRuleExportTo; empty: * */
	const char *const *service_export_to; /* defaultServiceExportTo; empty: * */
	uint32_t dns_refresh_ms;              /* dnsRefreshRate, default 60 s */
	bool enable_auto_mtls;
	bool mesh_tls13; /* meshMTLS.minProtocolVersion: TLSV1_3 */
	/* defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE; by default as hark up has it: on */
	bool dns_capture;
	/* hark: */
	enum detection detection;    /* detection: both-ends (default) | client-first */
	enum load_balancer lb;       /* loadBalancer: least-connections (default) | round-robin */
	uint32_t head_start_us;      /* headStart, default 2ms */
	uint32_t tls_window_max_us;  /* tlsWindow: cap of the PERMISSIVE window for unknown sources,
					default 50ms */
	uint32_t partial_word_ms;    /* partialWord: how long an ambiguous first word may stall,
					default 1s */
	uint32_t tcp_idle_timeout_s; /* tcpIdleTimeout, default 0: none */
	uint32_t early_per_source, early_per_destination,
		early_per_worker;      /* budgets of early connections: 512, 1024, 4096 */
	uint32_t drain_s;              /* terminationDrain, default 30 */
	uint32_t workers;              /* concurrency, default 0: one per core */
	uint32_t certificate_s;        /* certificateLifetime: what sidecars ask for, default 24h */
	uint32_t handshake_timeout_ms; /* handshakeTimeout: how long a client may take to
					  authenticate, default 10s */
};
