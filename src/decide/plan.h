/*
 * Decisions: pure functions from (view, facts about a connection) to a plan with its reason. No
 * socket, no clock, no log.
 *
 *   struct plan plan;
 *   decide_outbound(view, &facts, &plan);       // to the address that the app dialled
 *   ... the data plane executes plan.action; when the first word has come, decide_first_word(&plan,
 * &answer) adds its step plan_reason(&plan, &buf);                   // the one sentence that
 * access log, metrics, explain and dashboard print
 *
 * A plan borrows from the view: it lives as long as the view does. Plans are small and on the
 * stack; deciding allocates nothing, and texts are rendered only when somebody reads them.
 */
#pragma once
#include "base/buf.h"
#include "base/json_out.h"
#include "detect/first_word.h"
#include "model/view.h"

enum plan_action {
	PLAN_RELAY,  /* declared TCP: dial at once */
	PLAN_DETECT, /* listen (plan.fw says to whom), then relay */
	PLAN_REFUSE, /* reset the client; the last step says why */
};

enum plan_destination {
	DEST_NONE,
	DEST_SERVICE,     /* one of plan.port's endpoints, balanced */
	DEST_ENDPOINT,    /* exactly plan.to, an endpoint of the headless Service plan.port */
	DEST_PASSTHROUGH, /* exactly plan.to, not a Service of the mesh */
	DEST_APP,         /* the own Pod's application at plan.to */
};

/* Each step: a row makes the enum, the short name for logs and metrics, and what the operator reads
 * (STEP rows in plan.c). */
enum step_code {
	STEP_SERVICE_VIP,      /* the address is a Service's virtual IP */
	STEP_HEADLESS,         /* the address is an endpoint of a headless Service */
	STEP_POD_IP,           /* the address is a Pod's, dialled directly */
	STEP_UNKNOWN_ADDRESS,  /* nothing in the mesh has it */
	STEP_VIP_PORT_UNKNOWN, /* the Service has no such port */
	STEP_ALLOW_ANY,
	STEP_REGISTRY_ONLY,
	STEP_SELF_CALL_GUARD, /* the destination is one of the sidecar's own ports */
	STEP_UDP_PORT,
	STEP_NO_ENDPOINTS,
	STEP_INBOUND_SERVICE, /* the port is the target of a Service's port */
	STEP_INBOUND_UNKNOWN, /* no Service targets the port */
	STEP_DECLARED,        /* protocol declared: by name, appProtocol or well-known port */
	STEP_UNDECLARED,
	STEP_BOTH_ENDS,
	STEP_CLIENT_FIRST,
	STEP_LEARNED_SERVER_FIRST,
	STEP_LEARNED_CLIENT_FIRST,
	STEP_SOURCE_PLAIN, /* the source has no sidecar that speaks mesh TLS: no ClientHello can be
			      coming */
	STEP_SOURCE_MESH,
	STEP_SOURCE_UNKNOWN, /* weighed by the round trip */
	STEP_FIRST_WORD,     /* what the race gave: plan.word */
	N_STEPS,
};

enum { PLAN_STEPS = 10 };

struct step {
	enum step_code code;
	const struct object *resource; /* what caused it, or NULL */
	uint16_t port;                 /* 0: none */
};

struct plan {
	enum plan_action action;
	enum plan_destination destination;
	enum live_side side;
	const struct view_port *port;       /* the Service's port, or NULL */
	const struct inbound_port *inbound; /* inbound only */
	const struct workload
		*peer_workload; /* the source (inbound) or the Pod dialled (outbound), when known */
	struct addr to;         /* original destination, or the app's address */
	bool bind_app_source;   /* inbound: dial from 127.0.0.6/::6, so that capture lets it through
				   (capture.md 9) */
	enum protocol protocol;
	struct fw_config fw; /* for PLAN_DETECT; windows that depend on the measured round trip are
				filled by the data plane */
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
void decide_first_word(struct plan *plan, const struct fw_answer *answer); /* adds the step */

const char *step_name(enum step_code code); /* "service-vip" */
bool step_text(const struct plan *p, const struct step *s,
	       struct buf *out); /* one clause, "Service shop/db port 3307 declares nothing" */
bool plan_reason(const struct plan *p, struct buf *out); /* the clauses, joined by "; " */

/* What a mesh that waits for the client's first bytes would do with the same connection
 * (protocol-selection.md 5, the D and W rows). */
enum elsewhere { ELSEWHERE_OK, ELSEWHERE_DELAY, ELSEWHERE_STALL };
struct elsewhere_answer {
	enum elsewhere what;
	const char *row;  /* "D5" */
	const char *text; /* why, one sentence */
};
/* SERVER_FIRST: what is known or assumed of the server. */
void decide_elsewhere(const struct plan *p, bool server_first, struct elsewhere_answer *out);

/* `hark explain`: as text for people or as JSON, with what was learnt. */
bool plan_explain_text(const struct view *v, const struct plan *p, struct buf *out);
bool plan_explain_json(const struct view *v, const struct plan *p, struct json_out *out);
