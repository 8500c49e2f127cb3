/*
 * Decisions: pure functions from (view, facts about a connection) to a plan with its reason. No
 * socket, no clock, no log.
 *
 *   struct plan plan;
 *   decide_outbound(view, &facts, &plan);     // to the address that the app dialled
 *   ...                                       // the data plane executes plan.action
 *   decide_first_word(&plan, &answer);        // the race is over: adds its step
 *   decide_outbound_word(view, &plan, &word); // outbound, where plan.open: whom the client named
 *   decide_transport(view, &plan, &ep->at, ep, NULL);   // outbound, for the endpoint picked
 *   ... or, inbound: decide_inbound_word(), and after a handshake decide_inbound_peer()
 *   plan_reason(&plan, &buf);                 // the one sentence that access log, metrics, explain
 *                                             // and dashboard print
 *
 * A plan borrows from the view: it lives as long as the view does. Plans are small and on the
 * stack; deciding allocates nothing, and texts are rendered only when somebody reads them. Any
 * thread; what was learnt is read with relaxed atomics.
 */
#pragma once
#include "base/buf.h"
#include "base/json_out.h"
#include "decide/authz.h"
#include "decide/tls_plan.h"
#include "detect/first_word.h"
#include "dns/heard.h"
#include "model/view.h"

enum SMALL_ENUM plan_action {
	PLAN_RELAY,  /* dial at once, pass bytes on */
	PLAN_DETECT, /* listen (plan.fw says to whom), then relay */
	PLAN_REFUSE, /* reset the client; the last step says why */
	PLAN_WAIT,   /* for plan.host's names to be resolved: decide again on a newer view */
	N_PLAN_ACTIONS,
};

enum SMALL_ENUM plan_destination {
	DEST_NONE,
	DEST_SERVICE,  /* one of plan.port's endpoints, balanced */
	DEST_ENDPOINT, /* exactly plan.to, an endpoint of the headless Service plan.port, or covered
			     by a ServiceEntry */
	DEST_HOST,     /* plan.host at its own addresses, on plan.to's port */
	DEST_PASSTHROUGH, /* exactly plan.to, not a Service of the mesh */
	DEST_APP,         /* the own Pod's application at plan_app() */
	N_PLAN_DESTINATIONS,
};

/* One row makes the enum, the name for logs and metrics, and the field of the resource that the
 * step rests on ("" when none does). The text for people is step_text(). */
#define STEPS(X)                                                                                   \
	X(SERVICE_VIP, "service-vip", "spec.clusterIPs") /* a Service's virtual IP and port */     \
	X(HEADLESS, "headless", "spec.ports")            /* an endpoint of a headless Service */   \
	X(POD_IP, "pod-ip", "status.podIPs")             /* a Pod's address, dialled directly */   \
	X(UNKNOWN_ADDRESS, "unknown-address", "")        /* nothing in the mesh has it */          \
	X(VIP_PORT_UNKNOWN, "vip-port-unknown", "spec.ports") /* the Service has no such port */   \
	X(ALLOW_ANY, "allow-any", "outboundTrafficPolicy.mode")                                    \
	X(REGISTRY_ONLY, "registry-only", "outboundTrafficPolicy.mode")                            \
	X(SELF_CALL_GUARD, "self-call-guard", "") /* one of the sidecar's own ports */             \
	X(NOT_TCP, "not-tcp", "spec.ports[].protocol")                                             \
	X(NO_ENDPOINTS, "no-endpoints", "spec.selector")                                           \
	X(EGRESS_LISTENER, "egress-listener", "spec.egress[].bind") /* a socket of a Sidecar's */  \
	X(LISTENER_GONE, "listener-gone", "") /* which was there when it was accepted */           \
	X(ENTRY_ADDRESS, "entry-address", "spec.addresses") /* of a ServiceEntry, as written */    \
	X(ENTRY_VIP, "entry-vip", "status.addresses")       /* or as given by the mesh */          \
	X(ENTRY_PORT, "entry-port", "spec.ports")      /* no port of it: passed on to the host */  \
	X(NOT_IMPORTED, "not-imported", "spec.egress") /* this port, but others of the host */     \
	/* hosts of ServiceEntries that no address tells */                                        \
	X(OPEN_PORT, "open-port", "spec.ports")       /* they declare it: a name tells which */    \
	X(HEARD, "heard", "spec.hosts")               /* the DNS proxy said whose address it is */ \
	X(NAME_FIRST, "name-first", "")               /* nothing is opened before that */          \
	X(NAME_SAID, "name-said", "spec.hosts")       /* by the client */                          \
	X(NAME_UNKNOWN, "name-unknown", "spec.hosts") /* nobody has the one that it said */        \
	X(NAME_NONE, "name-none", "")                 /* it said none */                           \
	X(ANY_ADDRESS, "any-address", "spec.addresses") /* bytes, for any address on the port */   \
	X(ENTRY_AS_DIALLED, "entry-as-dialled", "spec.resolution") /* NONE */                      \
	X(ENTRY_RESOLVED, "entry-resolved", "spec.resolution")     /* by name */                   \
	X(RESOLVING, "resolving", "spec.resolution")   /* the name has to be resolved first */     \
	X(NO_ADDRESS, "no-address", "spec.resolution") /* the name has no address */               \
	X(NO_ENTRY_ENDPOINTS, "no-entry-endpoints", "spec.endpoints")                              \
	X(INBOUND_SERVICE, "inbound-service", "spec.ports[].targetPort") /* a Service's target */  \
	X(INBOUND_UNKNOWN, "inbound-unknown", "")               /* no Service targets the port */  \
	X(INBOUND_INGRESS, "inbound-ingress", "spec.ingress")   /* a Sidecar lists the port */     \
	X(INBOUND_UNLISTED, "inbound-unlisted", "spec.ingress") /* or lists others only */         \
	X(DECLARED, "declared", "spec.ports[]") /* by name, appProtocol or well-known port */      \
	X(UNDECLARED, "undeclared", "spec.ports[]")                                                \
	X(BOTH_ENDS, "both-ends", "detection")                                                     \
	X(CLIENT_FIRST, "client-first", "detection")                                               \
	X(LEARNED_SERVER_FIRST, "learned-server-first", "")                                        \
	X(LEARNED_CLIENT_FIRST, "learned-client-first", "")                                        \
	X(SOURCE_PLAIN, "source-plain", "metadata.labels") /* no ClientHello can be coming */      \
	X(SOURCE_MESH, "source-mesh", "metadata.labels")   /* one is coming */                     \
	X(SOURCE_BY_RULE, "source-plain-by-rule",                                                  \
	  "spec.trafficPolicy.tls") /* by DestinationRule */                                       \
	X(SOURCE_AUTO_OFF, "source-plain-by-default",                                              \
	  "enableAutoMtls")                                           /* and so it is plaintext */ \
	X(SOURCE_BYPASSES, "source-bypasses", "metadata.annotations") /* who knows */              \
	X(SOURCE_SPOKE_TLS, "source-spoke-tls", "") /* a wrong guess was made before */            \
	X(SOURCE_UNKNOWN, "source-unknown", "")     /* weighed by the round trip */                \
	X(FIRST_WORD, "first-word", "")             /* what the race gave: plan.word */            \
	/* inbound, where the own sidecar speaks mesh TLS */                                       \
	X(MTLS_MODE, "mtls-mode", "spec.mtls.mode")                                                \
	X(MTLS_PORT_MODE, "mtls-port-mode", "spec.portLevelMtls")                                  \
	X(PEER_FIRST, "peer-first", "") /* STRICT: nothing is opened before the peer is known */   \
	X(MESH_TLS, "mesh-tls", "")     /* the client speaks mesh TLS: it ends here */             \
	X(APP_TLS, "app-tls", "")       /* the application's own TLS passes */                     \
	X(NOT_MESH_TLS, "not-mesh-tls", "spec.mtls.mode") /* STRICT, and plaintext came */         \
	X(TLS_ON_HTTP, "tls-on-http", "spec.ports[]")     /* foreign TLS to an HTTP port */        \
	X(HANDSHAKE_TIMEOUT, "handshake-timeout", "handshakeTimeout")                              \
	/* authorization: resource and port are the policy and its rule */                         \
	X(AUTHZ_PLAIN_ALLOWED, "plaintext-allowed", "spec.rules") /* at accept */                  \
	X(AUTHZ_PLAIN_DENIED, "plaintext-denied", "spec.rules")                                    \
	X(AUTHZ_ALLOWED, "authorized", "spec.rules")                                               \
	X(AUTHZ_DENIED, "not-authorized", "spec.rules")                                            \
	X(OWN_TLS_REFUSED, "own-tls-refused", "") /* PostgreSQL's client wanted TLS of its own */  \
	/* outbound, towards the endpoint that was picked */                                       \
	X(TLS_BY_RULE, "tls-by-rule", "spec.trafficPolicy.tls")                                    \
	X(TLS_AUTO_OFF, "auto-mtls-off", "enableAutoMtls")                                         \
	X(TLS_NO_SIDECAR, "endpoint-plain", "metadata.labels") /* nobody there to end it */        \
	X(TLS_NOT_CAPTURED, "endpoint-not-captured", "metadata.annotations") /* nor there */       \
	X(TLS_MODE_DISABLE, "endpoint-disables-mtls", "spec.mtls.mode")                            \
	X(TLS_AUTO, "auto-mtls", "metadata.labels")                                                \
	/* how TLS begins, where a rule wants it and it is not plainly with a ClientHello */       \
	X(TLS_ASKED_WORD, "postgresql", "") /* the client's word says so */                        \
	X(TLS_ASKED_DECLARED, "postgresql-declared", "spec.ports[]") /* or the port's name does */ \
	X(TLS_ASKED_LEARNED, "postgresql-learned", "")                                             \
	X(TLS_ASKED_TRIED, "postgresql-tried", "") /* a ClientHello was in vain */                 \
	X(TLS_AT_ONCE_LEARNED, "tls-at-once-learned", "")                                          \
	X(TLS_AT_ONCE_TRIED, "tls-at-once-tried", "")                /* SSLRequest was in vain */  \
	X(TLS_EXTERNAL, "external", "spec.location")                 /* MESH_EXTERNAL */           \
	X(TLS_ITSELF, "client-tls-itself", "spec.trafficPolicy.tls") /* no TLS around TLS */       \
	X(TLS_ENTRY, "entry-mtls", "spec.endpoints") /* the endpoint is said to speak it */

enum SMALL_ENUM step_code {
#define X(id, name, field) STEP_##id,
	STEPS(X)
#undef X
		N_STEPS,
};

enum { PLAN_STEPS = 11 }; /* as many as the longest path makes */

struct step {
	const struct object *resource; /* what caused it, or NULL */
	enum step_code code;
	uint16_t port; /* the resource's port or rule, or the one that is meant; 0: none */
};

/* Side by side, since every connection keeps them: plan_step_at() puts them together. */
struct plan_steps {
	const struct object *resource[PLAN_STEPS];
	uint16_t port[PLAN_STEPS];
	enum step_code code[PLAN_STEPS];
};

/* Who may come in, and how. */
struct inbound_plan {
	/* When the client has not authenticated by then, decide_inbound_word() with .too_late; 0: it
	 * need not */
	uint32_t peer_timeout_ms;
	enum mtls_mode mode;   /* of the port; DISABLE where the own sidecar speaks no mesh TLS */
	enum inbound_do carry; /* after decide_inbound_word() */
	bool serves_http;      /* as the facts said */
	/* The last authorization: */
	enum authz_reason reason; /* AUTHZ_NO_POLICY: none was needed */
	bool allowed;
	bool audited;
	bool shadow_denied; /* by a dry run */
};

/* Who said which host a connection means. */
enum SMALL_ENUM said_by {
	SAID_NOTHING,
	SAID_SNI,
	SAID_HOST,   /* of an HTTP request */
	SAID_DNS,    /* the DNS proxy, to whoever asked it for the address */
	SAID_EITHER, /* explain: as if the client said it by SNI or Host */
};

struct plan {
	enum plan_action action;
	enum plan_destination destination;
	enum live_side side;
	const struct view_port *port;    /* the Service's port, or NULL */
	const struct view_service *host; /* of ServiceEntries, that was dialled; NULL: none */
	const struct open_port
		*open;    /* decide_outbound_word() comes after the race; NULL: not so */
	const char *said; /* whom OPEN's connection means: the caller's text; NULL: unknown */
	enum said_by said_by;
	const struct inbound_port *inbound;   /* inbound only */
	const struct workload *peer_workload; /* the source (inbound) or the Pod dialled (outbound,
						 known only for DEST_ENDPOINT and Pod IPs) */
	struct addr from;                     /* inbound: the source; port 0 otherwise */
	struct addr to;                       /* original destination */
	bool bind_app_source;   /* inbound: dial from 127.0.0.6/::6, so that capture lets it through
				   (capture.md 9) */
	enum protocol protocol; /* declared; PROTO_AUTO: not */
	struct fw_config fw;    /* for PLAN_DETECT; window_us is the cap until plan_set_rtt() */
	struct live_port *live; /* where to learn; NULL: nowhere */
	uint32_t connect_timeout_ms, idle_timeout_s;
	union {
		struct tls_plan tls;       /* outbound, after decide_transport() */
		struct inbound_plan guard; /* inbound */
	};
	struct plan_steps steps;
	unsigned n_steps;
	struct fw_answer word; /* after the race */
	bool has_word;
};

struct outbound_facts {
	struct addr dst;               /* what the app dialled */
	bool bound;                    /* which is a socket of the sidecar's own, for a host */
	const struct dns_heard *heard; /* what DNS said of addresses; NULL: nothing is known */
	uint64_t now_ns;               /* with HEARD */
	struct dns_heard_name *room;   /* with HEARD: for the name that plan.said borrows */
};

/* What the race's client said. */
struct outbound_word {
	const char *name; /* "" or NULL: nobody was named. plan.said borrows it */
	enum said_by by;
};

struct inbound_facts {
	struct addr src, dst;
	bool source_speaks_tls; /* a wrong guess about this source was made before */
	bool serves_http;       /* HTTP is taken apart here: its requests are authorized, each */
};

void decide_outbound(const struct view *v, const struct outbound_facts *facts, struct plan *out);
void decide_inbound(const struct view *v, const struct inbound_facts *facts, struct plan *out);
/* The window for a ClientHello from an unknown source: twice the measured round trip, at least
 * FW_WINDOW_MIN_US, at most the configured cap. RTT_US 0: not measured, the cap stands; so it
 * does for a source about which a guess was wrong before. */
void plan_set_rtt(struct plan *plan, uint32_t rtt_us);
void decide_first_word(struct plan *plan, const struct fw_answer *answer); /* adds the step */
/* Outbound with plan.open, after the race: whose the connection is. Makes the plan PLAN_RELAY, _REFUSE, or
 * _WAIT: then it is decided anew on a newer view. */
void decide_outbound_word(const struct view *v, struct plan *plan,
			  const struct outbound_word *word);
/* Inbound, once something came (or a time is over): what to do with it. Adds the steps; a refusal
 * makes the plan PLAN_REFUSE. Nothing changes for INBOUND_LISTEN. */
enum inbound_do decide_inbound_word(const struct view *v, struct plan *plan,
				    const struct inbound_word *word);
/* Inbound, after the handshake of INBOUND_TLS_TCP or _HTTP: PEER is the verified certificate's URI,
 * SNI what the client asked for. False: the plan is PLAN_REFUSE now. Where the client might not have come
 * in plaintext either, the application has not been dialled before that. */
bool decide_inbound_peer(const struct view *v, struct plan *plan, struct slice peer,
			 struct slice sni) MUST_CHECK;
/* Outbound, for each endpoint tried: how to speak to the one at AT, which is EP (NULL: none of the
 * plan's). SUBSET: of the route, or NULL. Fills plan->tls and puts its step in place of the one before. */
void decide_transport(const struct view *v, struct plan *plan, const struct addr *at,
		      const struct view_endpoint *ep, const struct subset *subset);
/* Outbound, after decide_transport() and once the endpoint is connected: how TLS begins, where a rule wants
 * it. CLIENT: what the client has said so far. */
void decide_tls_begin(struct plan *plan, struct slice client);
/* The endpoint took the beginning for nothing that it knows. True: connect to it once more, PLAN begins the
 * other way now; false: both were tried. */
bool decide_tls_other(struct plan *plan);
/* The handshake is over. Teaches. */
void decide_tls_begun(const struct plan *plan);
/* TLS has ended, and the server said nothing in it: a lesson on which it began is doubted. */
void decide_tls_unheard(const struct plan *plan);
/* The client asked for TLS of its own inside PostgreSQL, which is refused: adds the step, once. */
void decide_own_tls_refused(struct plan *plan);

/* Whose endpoints the plan leads to, to be balanced: DEST_SERVICE and DEST_HOST. NULL: no port's. An
 * endpoint whose port is 0 is meant with the port of plan.to. */
const struct view_port *plan_balanced(const struct plan *p);
/* The host of ServiceEntries itself is meant, by a port that none of them brings. */
bool plan_means_host(const struct plan *p);
/* Inbound: where the application is dialled. That is plan.to, or what a Sidecar's ingress says. */
struct addr plan_app(const struct plan *p);
/* I is below n_steps. */
struct step plan_step_at(const struct plan *p, unsigned i);
bool plan_has_step(const struct plan *p, enum step_code code);
const char *plan_action_name(enum plan_action a);           /* "relay" */
const char *plan_destination_name(enum plan_destination d); /* "service" */
const char *step_name(enum step_code code);                 /* "service-vip" */
/* One clause: "Service shop/db port 3307 declares nothing". False: OUT is full. */
bool step_text(const struct plan *p, const struct step *s, struct buf *out);
bool plan_reason(const struct plan *p, struct buf *out); /* the clauses, joined by "; " */

/* What a mesh that waits for the client's first bytes would do with the same connection
 * (protocol selection: the D rows stall, the W rows work; F: its TLS fails). */
enum elsewhere { ELSEWHERE_OK, ELSEWHERE_DELAY, ELSEWHERE_STALL, ELSEWHERE_FAIL };
struct elsewhere_answer {
	enum elsewhere what;
	const char *row;   /* "D5"; "" where no row is meant */
	const char *text;  /* why, one sentence, static */
	uint32_t delay_ms; /* ELSEWHERE_DELAY: before the first byte */
};
struct elsewhere_facts {
	enum live_side side;
	enum proto_class class;
	enum mtls_mode mode;  /* of the inbound port */
	bool matched;         /* outbound: a Service has the address */
	bool wildcard_http;   /* outbound, unmatched: an HTTP Service uses that port number, or a
				 ServiceEntry without addresses does */
	bool source_mesh_tls; /* inbound: the client's sidecar speaks mesh TLS */
	bool server_first;    /* the server speaks first */
	bool client_tls;      /* the client app begins with a ClientHello of its own */
	/* Outbound, where a rule wants TLS with the server: it was seen to speak in clear; it was asked
	 * for TLS in clear, by PostgreSQL's SSLRequest, and said yes. */
	bool speaks_in_clear, wants_to_be_asked;
	uint32_t timeout_ms; /* protocolDetectionTimeout, 0: none */
};
void elsewhere_of(const struct elsewhere_facts *f, struct elsewhere_answer *out);
/* SERVER_FIRST: what is known or assumed of the server. */
void decide_elsewhere(const struct view *v, const struct plan *p, bool server_first,
		      struct elsewhere_answer *out);
const char *elsewhere_name(enum elsewhere e); /* "ok", "delay", "stall", "fail" */

/* `hark explain`: as text for people or as JSON, with what was learnt. False: OUT is full. */
bool plan_explain_text(const struct view *v, const struct plan *p, struct buf *out);
void plan_explain_json(const struct view *v, const struct plan *p, struct json_out *out);
