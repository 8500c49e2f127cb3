/*
 * The view: what one sidecar knows of the mesh, immutable, indexed for the questions that decide/
 * asks.
 *
 *   struct view_builder *b = view_builder_new("shop", "web-1");      // whose sidecar this is
 *   view_builder_set_json(b, kind, json, &err);                      // as watch events come
 *   view_builder_remove(b, kind, ns, name);
 *   struct view *v = view_build(b, live);       // a new immutable view of all that; one reference
 *   ... view_get(v) / view_put(v) from any thread; the last put frees it
 *
 * A connection keeps the view it started with. Everything found through a view lives as long as the
 * view. Views share what they have in common: building one, and keeping an old one, costs what has
 * changed, except that a change of the mesh configuration or of a DestinationRule touches every
 * Service. A mesh configuration that does not decode leaves the last good one in
 * force (view_builder_problem() says so).
 */
#pragma once
#include "model/authz.h"
#include "model/live.h"
#include "model/object.h"
#include "model/protocol.h"

enum { VIEW_IDENTITY_LEN = 1024 }; /* of any SPIFFE id, with the NUL: longer ones are cut */

/* Who answers at a ServiceEntry's endpoint, where that is no Pod of the mesh. */
struct view_peer {
	const char *ns, *service_account; /* service_account "": not said */
	bool mesh_tls; /* label security.istio.io/tlsMode, or a service account */
};

struct view_endpoint {  /* whose it is, view_workload_by_ip() tells */
	struct addr at; /* Pod IP and target port */
	bool ready;
	uint32_t weight;              /* as said; 0: nothing is, which counts as 1 */
	const struct view_peer *peer; /* NULL: nothing is said */
	struct live_endpoint *live;
};

/* A Service's port as this sidecar sees it. */
struct view_port {
	const struct view_service *service;
	const struct service_port *port;
	enum protocol protocol;
	enum protocol_why why;
	enum detection detection; /* of the mesh, unless the Service's annotation
				     hark.mesh/detection says otherwise for this port */
	bool hidden; /* the Sidecar does not import this port: it counts for what comes in alone */
	const char
		*detection_from; /* "" mesh default, else the resource that says so, for people */
	uint32_t detection_timeout_ms;
	const struct view_endpoint
		*endpoints; /* ready ones (all with publishNotReadyAddresses), IPv4 first */
	size_t n_endpoints, n_v4;
	/* Where their weights differ, for each the sum of those of its family up to and with it; else NULL. */
	const uint64_t *weight_upto;
	size_t n_known; /* of a headless Service, those that are not ready stand behind the ready */
	const struct client_tls
		*tls;           /* what the Service's rule says for this port; NULL: nothing */
	struct live_port *live; /* outbound */
};

/* The DestinationRules that this sidecar follows for a Service: those of one namespace for one host,
 * united. */
struct view_rule {
	const struct object *policy_by;    /* whose trafficPolicy counts; NULL: none has one */
	const struct object *const *rules; /* the oldest first: their subsets are all there */
	size_t n;
};

/* A name that has to be resolved for a ServiceEntry. */
struct entry_name {
	const char *host;
	bool known; /* there is an answer, be it that it has no address */
};

/* What only hosts of ServiceEntries have. */
struct view_entry {
	const struct object *const *objects; /* that have the host, the oldest first */
	size_t n_objects;
	enum resolution resolution; /* of the oldest, as the location */
	enum location location;
	const struct ip *ips; /* dialled by clients: written by a person, else given by the mesh */
	size_t n_ips;
	bool given; /* by the mesh: nobody but the own sidecar answers there */
	bool open;  /* nothing that is dialled tells it: clients say its name, or DNS said it */
	const struct cidr *ranges;
	size_t n_ranges;
	const struct entry_name *names; /* behind the ports */
	size_t n_names;
	const struct entry_name *own;  /* the host itself, for `other`; NULL: needs no resolving */
	const struct view_port *other; /* what stands behind given addresses on ports that nobody
					  declares: the endpoints' port is 0; NULL: nothing */
	struct live_host *live;        /* NULL: no names */
};

/* A port that hosts declare which no address tells. */
struct open_port {
	uint16_t number;
	bool named; /* of some of them the client's first word says which: all but bytes (TCP, ...) */
	/* The oldest of resolution NONE: */
	const struct view_port *any;      /* whose bytes may be for any address; NULL: none */
	const struct view_port *nameless; /* the same where nobody says what they are, as long as
					     they name nobody; NULL: none */
};

/* A Service of Kubernetes, or one host of ServiceEntries. */
struct view_service {
	const struct object *object;    /* KIND_SERVICE, or the oldest KIND_SERVICE_ENTRY */
	const struct view_entry *entry; /* NULL: of Kubernetes */
	const char *host; /* "db.shop.svc.cluster.local", "db.example.com", "*.example.com" */
	/* Of ServiceEntries with the host: accepted of its servers, too. NULL-terminated. */
	const char *const *subject_alt_names;
	const struct view_rule *rule; /* NULL: none */
	const struct view_port *ports;
	size_t n_ports;
};

/* What PeerAuthentications say of a workload. */
struct peer_auth {
	enum mtls_mode mode;           /* never MTLS_UNSET */
	const struct object *by;       /* whose spec.mtls that is; NULL: the default */
	const struct object *ports_by; /* whose portLevelMtls counts; NULL: none */
};

struct mtls_answer {
	enum mtls_mode mode;     /* never MTLS_UNSET */
	const struct object *by; /* the PeerAuthentication that says so; NULL: the default */
	bool by_port;            /* in its portLevelMtls */
};

struct workload {
	const struct object *pod;
	const struct peer_auth *peer_auth;
	const char *name; /* of the owner: the Deployment's for its Pods, else the Pod's (Istio:
			     workload name) */
	const char *canonical_name, *canonical_revision, *app,
		*version; /* telemetry.md 2; "unknown"/"latest" where absent */
	bool has_sidecar; /* it carries a sidecar of this mesh */
	bool mesh_tls;    /* it speaks mesh TLS: label security.istio.io/tlsMode=istio, whoever
			     set it and whatever ends the TLS there */
	bool bypasses;    /* an annotation keeps some of what it dials out of its sidecar */
};

/* A port of the own Pod: what stands behind an inbound connection. */
struct inbound_port {
	uint16_t port; /* target port */
	const struct view_port
		*service_port; /* of the oldest Service that targets it; NULL: no Service does */
	const struct view_port *const *targeted_by; /* all of them, the oldest first */
	size_t n_targeted_by;
	/* The Sidecar that lists the ports on which the workload is reached; NULL: Services do. */
	const struct object *sidecar;
	const struct sidecar_ingress *ingress; /* its row of this port; NULL: it has none */
	enum protocol protocol;
	enum protocol_why why;
	enum detection detection;
	const char *detection_from;
	uint32_t detection_timeout_ms;
	struct live_port *live; /* inbound */
};

/* A socket of the sidecar's own that the workload dials instead of a host (Sidecar, captureMode NONE). */
struct view_listener {
	struct addr at;
	const struct view_port *port; /* whose it is: of several hosts the oldest; NULL: nobody's */
	size_t n_hosts;               /* that have the port */
	const struct sidecar_egress *by;
	struct live_socket *live; /* NULL without a registry */
};

struct view;
struct view_builder;

struct view_builder *view_builder_new(const char *self_ns, const char *self_pod);
void view_builder_free(struct view_builder *b);
void view_builder_set(struct view_builder *b,
		      struct object *o); /* keeps a reference of its own; O stays the caller's */
/* The same from the API's text: other Pods than the own one, and all other kinds, are kept lean. False:
 * it does not decode, and what it would have replaced stays. */
bool view_builder_set_json(struct view_builder *b, enum kind kind, struct slice json,
			   struct err *err) MUST_CHECK;
void view_builder_remove(struct view_builder *b, enum kind kind, const char *ns, const char *name);
/* What a name of a view's `names` resolves to, in the order of the answer; N 0: it has no address. */
void view_builder_set_addresses(struct view_builder *b, const char *name, const struct ip *ips,
				size_t n);
void view_builder_forget_addresses(struct view_builder *b, const char *name);
/* Names that something is kept of: those that are known, and those that hosts of another name need. */
size_t view_builder_n_names(const struct view_builder *b);
const char *view_builder_problem(
	const struct view_builder *b); /* "" or why the mesh configuration was not taken */
/* LIVE NULL (offline use): the live pointers are NULL. */
struct view *view_build(struct view_builder *b, struct live *live);
struct view *view_get(struct view *v);
void view_put(struct view *v); /* NULL is fine */

const struct mesh_config *view_mesh(const struct view *v);
const struct workload *view_self(const struct view *v); /* NULL until the own Pod is known */
uint64_t view_version(const struct view *v);            /* highest resourceVersion seen */
size_t view_count(const struct view *v, enum kind kind);

/* What becomes of what no Service covers; *BY is the Sidecar that says so, NULL: the mesh does. */
enum outbound_policy view_outbound_policy(const struct view *v, const struct object **by);
/* A Service's virtual IP and port, exactly. NULL: none such. */
const struct view_port *view_port_by_vip(const struct view *v, const struct addr *at);
/* The Sidecar in force keeps S's port NUMBER from clients here, though other ports of S are known. */
bool view_port_is_hidden(const struct view_service *s, uint16_t number);
/* The Sidecar in force; NULL: none. */
const struct object *view_sidecar(const struct view *v);
/* The Service that owns the virtual IP, whatever the port. */
const struct view_service *view_service_by_vip(const struct view *v, const struct ip *ip);
/* A ServiceEntry's range and port, the longest prefix first. NULL: none such. */
const struct view_port *view_port_by_range(const struct view *v, const struct addr *at);
/* A headless Service's endpoint; when several match, the oldest Service. */
const struct view_port *view_port_by_headless(const struct view *v, const struct addr *at,
					      const struct view_endpoint **ep);
const struct view_service *view_service_by_name(const struct view *v, const char *ns,
						const char *name);
/* All Services of Kubernetes, N of them, in the order of namespace and name; free() the array. For
 * people: a connection has no time for this. */
const struct view_service **view_services(const struct view *v, size_t *n);
/* A host of ServiceEntries by its name, which may be "*.example.com". NULL: none such. */
const struct view_service *view_entry_by_host(const struct view *v, struct slice host);
/* The same, where it has addresses for clients to dial. */
const struct view_service *view_host_with_ips(const struct view *v, struct slice host);
/* What hosts that no address tells declare for a port. NULL: none of them does. */
const struct open_port *view_open_port(const struct view *v, uint16_t number);
/* The one of them that NAME is (any case): itself, else the longest "*.x" that covers it, with the port
 * that was asked for; 0: any. NULL: none. */
const struct view_port *view_open_host(const struct view *v, struct slice name, uint16_t number);
/* All of them, by host; as view_services(). */
const struct view_service **view_entries(const struct view *v, size_t *n);
/* Whether P's connections have to wait for names to be resolved. */
bool view_port_waits(const struct view_port *p);
const struct workload *view_workload_by_ip(const struct view *v,
					   const struct ip *ip); /* running Pods only */
/* What the Sidecar in force has bound. */
const struct view_listener *view_listeners(const struct view *v, size_t *n);
/* The one at AT; NULL: none such, or nobody's. */
const struct view_listener *view_listener_at(const struct view *v, const struct addr *at);
/* Never NULL. Ports that Services target or that the own Pod's containers declare have an entry; all
 * others share one, whose port is 0 and LIVE NULL. service_port is NULL where no Service targets it.
 */
const struct inbound_port *view_inbound_port(const struct view *v, uint16_t port);
/* The same of a connection to AT: a Sidecar's port may be bound to one address. */
const struct inbound_port *view_inbound_at(const struct view *v, const struct addr *at);
/* Do W's capture rules bring connections from outside to its PORT to its sidecar? By Istio's annotations;
 * the sidecar's own ports do not. */
bool view_reaches_sidecar(const struct workload *w, uint16_t port);
/* What W's sidecar asks of connections to its PORT (the workload's, not a Service's). */
struct mtls_answer view_mtls(const struct workload *w, uint16_t port);
/* The host of a DestinationRule as a whole name: a bare word is a Service of its namespace. */
const char *rule_host(const struct object *rule, char *out, size_t out_len);
/* A subset of S's rule; *BY is the rule that has it. NULL: none. */
const struct subset *view_subset(const struct view_service *s, struct slice name,
				 const struct object **by);
/* What a rule says of TLS towards P's endpoints of SUBSET (NULL: any). NULL: nothing. */
const struct client_tls *view_tls(const struct view_port *p, const struct subset *subset);
/* The same as another client's sidecar sees it, by its own namespace and labels; *BY is the rule. Of
 * subsets nothing is known here. */
const struct client_tls *view_tls_of(const struct view *v, const struct workload *client,
				     const struct view_port *p, const struct object **by);
/* The programs of the policies that select the own workload. Never NULL. */
const struct authz *view_authz(const struct view *v);
/* "spiffe://cluster.local/ns/shop/sa/db", into OUT. */
const char *view_identity(const struct view *v, const struct workload *w, char *out,
			  size_t out_len);
/* URI is W's identity, under the mesh's trust domain or one of its aliases. */
bool view_is_identity(const struct view *v, const struct workload *w, struct slice uri);
/* The same for a service account of namespace NS. */
bool view_is_account(const struct view *v, const char *ns, const char *account, struct slice uri);

/* "db", "db.shop", "db.shop.svc", "db.shop.svc.cluster.local", Pod host names; from the own
 * namespace. All addresses, up to MAX. */
size_t view_resolve(const struct view *v, struct slice host, struct ip *out, size_t max);
/* The mesh gives virtual IPs to HOST of ENTRY. */
bool entry_wants_vip(const struct object *entry, const char *host);

/* The addresses of family F that clients of a ServiceEntry's HOST dial (lower case, no last dot: itself,
 * else its longest wildcard "*.x"). False: nobody knows it, or it has no address but its own. True with
 * *N 0: none of that family. */
bool view_host_ips(const struct view *v, struct slice host, enum ip_family f, struct ip *out,
		   size_t max, size_t *n);

enum { VIEW_NAME_IPS = 4096 }; /* more addresses than this no answer can hold */
/* What the DNS proxy answers for a name: */
struct view_name {
	size_t search_len; /* of the search domain behind it: an alias of what stands before; 0: no alias */
	const char *alias; /* an ExternalName points there; NULL: nothing does */
	size_t n;          /* addresses of the family that was asked for; maybe none */
};
/* Search domains of the Pod, in their order: lower case, no dot at the end. */
struct view_searches {
	const struct slice *at;
	size_t n;
};
/*
 * NAME as a program asks for it: lower case, no dot at the end; all forms that Istio's DNS proxy has, those of
 * Services short as seen from the own namespace, and each with a search domain of the cluster's behind it (a
 * bare one only with the first). Exact names come before short ones, and those before wildcards. Allocates
 * nothing. False: not a name of the mesh, somebody else knows.
 */
bool view_name(const struct view *v, struct slice name, const struct view_searches *searches,
	       enum ip_family family, struct ip *out, size_t max, struct view_name *found);
