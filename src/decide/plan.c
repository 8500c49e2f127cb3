#include "decide/plan.h"

#include "base/mem.h"
#include "decide/internal.h"
#include "model/sidecar.h"

bool own_port(uint16_t port)
{
	return port == SIDECAR_OUTBOUND_PORT || port == SIDECAR_INBOUND_PORT;
}

void plan_init(struct plan *p, const struct view *v, enum live_side side, const struct addr *to)
{
	const struct mesh_config *mesh = view_mesh(v);
	*p = (struct plan){
		.action = PLAN_REFUSE, /* until a rule says otherwise */
		.side = side,
		.to = *to,
		.protocol = PROTO_AUTO,
		.connect_timeout_ms = mesh->connect_timeout_ms,
		.idle_timeout_s = mesh->tcp_idle_timeout_s,
	};
}

static void plan_step_set(struct plan *p, unsigned i, enum step_code code,
			  const struct object *resource, uint16_t port)
{
	p->steps.code[i] = code;
	p->steps.resource[i] = resource;
	p->steps.port[i] = port;
}

struct step plan_step_at(const struct plan *p, unsigned i)
{
	return (struct step){p->steps.resource[i], p->steps.code[i], p->steps.port[i]};
}

void plan_step(struct plan *p, enum step_code code, const struct object *resource, uint16_t port)
{
	MUST(p->n_steps < PLAN_STEPS);
	plan_step_set(p, p->n_steps++, code, resource, port);
}

void plan_steps_drop(struct plan *p, enum step_code from, enum step_code to)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < p->n_steps; i++) {
		struct step s = plan_step_at(p, i);
		if (s.code < from || s.code > to)
			plan_step_set(p, kept++, s.code, s.resource, s.port);
	}
	p->n_steps = kept;
}

void plan_step_instead(struct plan *p, enum step_code from, enum step_code to, enum step_code code,
		       const struct object *resource, uint16_t port)
{
	plan_steps_drop(p, from, to);
	plan_step(p, code, resource, port);
}

bool plan_authorize(struct plan *p, const struct view *v, struct slice peer, struct slice sni,
		    enum step_code allowed, enum step_code denied)
{
	const struct authz *z = view_authz(v);
	struct authz_verdict verdict;
	struct authz_facts facts = {
		.peer = peer,
		.source = p->from.ip,
		.remote = p->from.ip,
		.destination = p->to.ip,
		.port = p->to.port,
		.sni = sni,
	};
	if (z->n_policies == 0)
		return true;
	authz_decide(z, AUTHZ_TCP, &facts, &verdict);
	p->guard.reason = verdict.reason;
	p->guard.allowed = verdict.allowed;
	p->guard.audited = verdict.audited;
	p->guard.shadow_denied = verdict.shadow_policy && !verdict.shadow_allowed;
	plan_step_instead(p, STEP_AUTHZ_PLAIN_ALLOWED, STEP_AUTHZ_DENIED,
			  verdict.allowed ? allowed : denied, verdict.policy, verdict.rule);
	return verdict.allowed;
}

void plan_refuse(struct plan *p, enum step_code code, const struct object *resource, uint16_t port)
{
	plan_step(p, code, resource, port);
	p->action = PLAN_REFUSE;
	p->destination = DEST_NONE;
}

void plan_step_protocol(struct plan *p, enum protocol protocol, const struct object *resource,
			uint16_t port)
{
	bool declared = protocol_class(protocol) != CLASS_AUTO;
	plan_step(p, declared ? STEP_DECLARED : STEP_UNDECLARED, resource, port);
}

void plan_detect(struct plan *p, const struct mesh_config *mesh, enum detection detection,
		 uint32_t timeout_ms)
{
	p->action = PLAN_DETECT;
	p->fw = (struct fw_config){
		.side = p->side == LIVE_INBOUND ? FW_INBOUND : FW_OUTBOUND,
		.partial_ms = mesh->partial_word_ms,
	};
	switch (detection) {
	case DETECTION_CLIENT_FIRST: /* what others do: nothing learnt, nobody dialled */
		p->fw.mode = FW_CLIENT_FIRST;
		p->fw.detection_timeout_ms = timeout_ms;
		plan_step(p, STEP_CLIENT_FIRST, NULL, 0);
		return;
	case DETECTION_BOTH_ENDS:
		break;
	}
	p->fw.mode = FW_BOTH_ENDS;
	p->fw.early_allowed = true;
	p->fw.head_start_us = mesh->head_start_us;
	p->fw.learned = learn_state(p->live);
	plan_step(p, STEP_BOTH_ENDS, NULL, 0);
	switch (p->fw.learned) {
	case FW_LEARNED_NOTHING:
		break;
	case FW_LEARNED_SERVER_FIRST:
		plan_step(p, STEP_LEARNED_SERVER_FIRST, NULL, 0);
		break;
	case FW_LEARNED_CLIENT_FIRST:
		plan_step(p, STEP_LEARNED_CLIENT_FIRST, NULL, 0);
		/* The longer head start keeps HTTP from connecting where its Host would not lead. An
		 * early connection of an opaque protocol is never in vain, and where both ends speak
		 * at once (SSH) a client that waits for once would wait that long. */
		if (learn_only_opaque(p->live))
			p->fw.learned = FW_LEARNED_NOTHING;
		break;
	}
}

void plan_set_rtt(struct plan *plan, uint32_t rtt_us)
{
	uint32_t cap_us = plan->fw.window_us;
	if (rtt_us == 0 || rtt_us >= cap_us / 2)
		return; /* the cap stands */
	if (plan_has_step(plan, STEP_SOURCE_SPOKE_TLS))
		return; /* its ClientHello was late by more than that before */
	uint32_t window_us = rtt_us * 2;
	if (window_us < FW_WINDOW_MIN_US)
		window_us = FW_WINDOW_MIN_US;
	plan->fw.window_us = window_us < cap_us ? window_us : cap_us;
}

void decide_first_word(struct plan *plan, const struct fw_answer *answer)
{
	plan->word = *answer;
	if (!plan->has_word)
		plan_step(plan, STEP_FIRST_WORD, NULL, 0);
	plan->has_word = true;
}

const struct view_port *plan_balanced(const struct plan *p)
{
	if (p->destination == DEST_SERVICE)
		return p->port;
	return p->destination == DEST_HOST ? p->host->entry->other : NULL;
}

bool plan_means_host(const struct plan *p)
{
	return plan_has_step(p, STEP_ENTRY_PORT) || plan_has_step(p, STEP_NOT_IMPORTED);
}

struct addr plan_app(const struct plan *p)
{
	const struct sidecar_ingress *ingress = p->inbound ? p->inbound->ingress : NULL;
	struct addr at = p->to;
	if (!ingress || !ingress->has_endpoint)
		return at;
	if (!ip_is_any(&ingress->endpoint.ip))
		at.ip = ingress->endpoint.ip;
	at.port = ingress->endpoint.port;
	return at;
}

bool plan_has_step(const struct plan *p, enum step_code code)
{
	for (unsigned i = 0; i < p->n_steps; i++)
		if (p->steps.code[i] == code)
			return true;
	return false;
}

const char *plan_action_name(enum plan_action a)
{
	static const char *const names[] = {[PLAN_RELAY] = "relay",
					    [PLAN_DETECT] = "detect",
					    [PLAN_REFUSE] = "refuse",
					    [PLAN_WAIT] = "wait"};
	return (unsigned)a < N_ELEMS(names) ? names[a] : "?";
}

const char *plan_destination_name(enum plan_destination d)
{
	static const char *const names[] = {
		[DEST_NONE] = "none",         [DEST_SERVICE] = "service",
		[DEST_ENDPOINT] = "endpoint", [DEST_PASSTHROUGH] = "passthrough",
		[DEST_HOST] = "host",         [DEST_APP] = "app",
	};
	return (unsigned)d < N_ELEMS(names) ? names[d] : "?";
}

const char *step_name(enum step_code code)
{
	static const char *const names[] = {
#define X(id, name, field) [STEP_##id] = name,
		STEPS(X)
#undef X
	};
	return (unsigned)code < N_ELEMS(names) ? names[code] : "?";
}
