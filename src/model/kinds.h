/*
 * The resource kinds as C structs: what a person writes in YAML, decoded once, read-only for ever
 * after.
 *
 * Field names follow the Kubernetes and Istio API fields (snake case for camel case). Texts are
 * NUL-terminated and live in the arena of the object that holds them; "" stands for absent unless
 * the comment says NULL. Durations are in the unit of their name. Sources: Kubernetes core/v1,
 * apps/v1, discovery/v1 types; Istio mesh/v1alpha1 MeshConfig.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "net/addr.h"

enum kind {
	KIND_NAMESPACE,
	KIND_CONFIG_MAP,
	KIND_SERVICE,
	KIND_ENDPOINT_SLICE,
	KIND_POD,
	KIND_DEPLOYMENT,
	N_KINDS,
};

/* Everything the API and the decoder need to know of a kind; one row each in kinds.c. */
struct kind_info {
	enum kind kind;
	const char *api_version; /* "v1", "apps/v1", "discovery.k8s.io/v1" */
	const char *name;        /* "Pod" */
	const char *plural;      /* "pods" */
	const char *singular;    /* "pod" */
	const char *short_name;  /* "po", or "" */
	bool namespaced;
};
const struct kind_info *kind_info(enum kind kind);
/* By "Pod", "pods", "pod" or "po", ASCII case ignored; NULL when there is no such kind. */
const struct kind_info *kind_by_name(struct slice name);
/* By apiVersion and kind as a resource names them; NULL when unknown. */
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

enum outbound_policy { OUTBOUND_ALLOW_ANY, OUTBOUND_REGISTRY_ONLY };

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
	bool enable_auto_mtls;
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
		early_per_worker; /* budgets of early connections: 512, 1024, 4096 */
	uint32_t drain_s;         /* terminationDrain, default 30 */
	uint32_t workers;         /* concurrency, default 0: one per core */
};
