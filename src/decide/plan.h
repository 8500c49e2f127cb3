/*
 * Decisions: pure functions from (view, facts about a connection) to a plan with its reason. No
 * socket, no clock, no log.
 *
 *   struct plan plan;
 *   decide_outbound(view, &facts, &plan);     // to the address that the app dialled
 *   ...                                       // the data plane executes plan.action
 *   decide_first_word(&plan, &answer);        // the race is over: adds its step
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
#include "detect/first_word.h"
#include "model/view.h"

enum plan_action {
	PLAN_RELAY,  /* dial at once, pass bytes on */
	PLAN_DETECT, /* listen (plan.fw says to whom), then relay */
	PLAN_REFUSE, /* reset the client; the last step says why */
	N_PLAN_ACTIONS,
};

enum plan_destination {
	DEST_NONE,
	DEST_SERVICE,     /* one of plan.port's endpoints, balanced */
	DEST_ENDPOINT,    /* exactly plan.to, an endpoint of the headless Service plan.port */
	DEST_PASSTHROUGH, /* exactly plan.to, not a Service of the mesh */
	DEST_APP,         /* the own Pod's application at plan.to */
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
	X(INBOUND_SERVICE, "inbound-service", "spec.ports[].targetPort") /* a Service's target */  \
	X(INBOUND_UNKNOWN, "inbound-unknown", "") /* no Service targets the port */                \
	X(DECLARED, "declared", "spec.ports[]")   /* by name, appProtocol or well-known port */    \
	X(UNDECLARED, "undeclared", "spec.ports[]")                                                \
	X(BOTH_ENDS, "both-ends", "detection")                                                     \
	X(CLIENT_FIRST, "client-first", "detection")                                               \
	X(LEARNED_SERVER_FIRST, "learned-server-first", "")                                        \
	X(LEARNED_CLIENT_FIRST, "learned-client-first", "")                                        \
	X(SOURCE_PLAIN, "source-plain", "metadata.labels") /* no ClientHello can be coming */      \
	X(SOURCE_MESH, "source-mesh", "metadata.labels")   /* one is coming */                     \
	X(SOURCE_SPOKE_TLS, "source-spoke-tls", "")        /* a wrong guess was made before */     \
	X(SOURCE_UNKNOWN, "source-unknown", "")            /* weighed by the round trip */         \
	X(FIRST_WORD, "first-word", "")                    /* what the race gave: plan.word */

enum step_code {
#define X(id, name, field) STEP_##id,
	STEPS(X)
#undef X
		N_STEPS,
};

enum { PLAN_STEPS = 8 }; /* seven are the most that any path makes */

struct step {
	const struct object *resource; /* what caused it, or NULL */
	enum step_code code;
	uint16_t port; /* the resource's port, or the one that is meant; 0: none */
};

struct plan {
	enum plan_action action;
	enum plan_destination destination;
	enum live_side side;
	const struct view_port *port;         /* the Service's port, or NULL */
	const struct inbound_port *inbound;   /* inbound only */
	const struct workload *peer_workload; /* the source (inbound) or the Pod dialled (outbound,
						 known only for DEST_ENDPOINT and Pod IPs) */
	struct addr from;                     /* inbound: the source; port 0 otherwise */
	struct addr to;                       /* original destination, or the app's address */
	bool bind_app_source;   /* inbound: dial from 127.0.0.6/::6, so that capture lets it through
				   (capture.md 9) */
	enum protocol protocol; /* declared; PROTO_AUTO: not */
	struct fw_config fw;    /* for PLAN_DETECT; window_us is the cap until plan_set_rtt() */
	struct live_port *live; /* where to learn; NULL: nowhere */
	uint32_t connect_timeout_ms, idle_timeout_s;
	struct step steps[PLAN_STEPS];
	unsigned n_steps;
	struct fw_answer word; /* after the race */
	bool has_word;
};

struct outbound_facts {
	struct addr dst; /* what the app dialled */
};

struct inbound_facts {
	struct addr src, dst;
	bool source_speaks_tls; /* a wrong guess about this source was made before */
};

void decide_outbound(const struct view *v, const struct outbound_facts *facts, struct plan *out);
void decide_inbound(const struct view *v, const struct inbound_facts *facts, struct plan *out);
/* The window for a ClientHello from an unknown source: twice the measured round trip, at least
 * FW_WINDOW_MIN_US, at most the configured cap. RTT_US 0: not measured, the cap stands; so it
 * does for a source about which a guess was wrong before. */
void plan_set_rtt(struct plan *plan, uint32_t rtt_us);
void decide_first_word(struct plan *plan, const struct fw_answer *answer); /* adds the step */

bool plan_has_step(const struct plan *p, enum step_code code);
const char *plan_action_name(enum plan_action a);           /* "relay" */
const char *plan_destination_name(enum plan_destination d); /* "service" */
const char *step_name(enum step_code code);                 /* "service-vip" */
/* One clause: "Service shop/db port 3307 declares nothing". False: OUT is full. */
bool step_text(const struct plan *p, const struct step *s, struct buf *out);
bool plan_reason(const struct plan *p, struct buf *out); /* the clauses, joined by "; " */

/* What a mesh that waits for the client's first bytes would do with the same connection
 * (protocol selection: the D rows stall, the W rows work). */
enum elsewhere { ELSEWHERE_OK, ELSEWHERE_DELAY, ELSEWHERE_STALL };
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
	bool wildcard_http;   /* outbound, unmatched: an HTTP Service uses that port number */
	bool source_mesh_tls; /* inbound: the client's sidecar speaks mesh TLS */
	bool server_first;    /* the server speaks first */
	bool client_tls;      /* the client app begins with a ClientHello of its own */
	uint32_t timeout_ms;  /* protocolDetectionTimeout, 0: none */
};
void elsewhere_of(const struct elsewhere_facts *f, struct elsewhere_answer *out);
/* SERVER_FIRST: what is known or assumed of the server. */
void decide_elsewhere(const struct view *v, const struct plan *p, bool server_first,
		      struct elsewhere_answer *out);
const char *elsewhere_name(enum elsewhere e); /* "ok", "delay", "stall" */

/* `hark explain`: as text for people or as JSON, with what was learnt. False: OUT is full. */
bool plan_explain_text(const struct view *v, const struct plan *p, struct buf *out);
void plan_explain_json(const struct view *v, const struct plan *p, struct json_out *out);
