/*
 * What to do with a connection that came to the own Pod: at accept, when its first word is known, and
 * when its peer has authenticated. Where the own sidecar speaks no mesh TLS every port is DISABLE,
 * whatever PeerAuthentications say.
 */
#include "decide/internal.h"

/* How long a greeting is held back from a source whose ClientHello came too late once. */
enum { SPOKE_TLS_WINDOW_US = 1000 * 1000 };

/* By way of PORT; NULL: by the Pod's own address, where no rule counts (tls_plan.c). */
static bool sends_hello_to(const struct view *v, const struct workload *w,
			   const struct view_port *port, const struct object **by)
{
	const struct client_tls *rule = port ? view_tls_of(v, w, port, by) : NULL;
	return rule ? rule->mode != CLIENT_TLS_DISABLE : view_mesh(v)->enable_auto_mtls;
}

bool source_sends_hello(const struct view *v, const struct plan *p, const struct object **by)
{
	const struct workload *w = p->peer_workload;
	const struct inbound_port *in = p->inbound;
	*by = NULL;
	if (!w || !w->mesh_tls)
		return false;
	if (!in || in->n_targeted_by == 0)
		return sends_hello_to(v, w, NULL, by);
	for (size_t i = 0; i < in->n_targeted_by; i++)
		if (sends_hello_to(v, w, in->targeted_by[i], by))
			return true; /* by one of the Services: who knows which it is */
	return false;
}

/* W's sidecar speaks mesh TLS: is its ClientHello coming? */
static enum fw_source meshed_source(struct plan *p, const struct view *v, const struct workload *w,
				    const struct inbound_facts *facts)
{
	const struct object *by = NULL;
	if (w->bypasses) {
		plan_step(p, STEP_SOURCE_BYPASSES, w->pod, 0);
		return FW_SOURCE_UNKNOWN;
	}
	if (source_sends_hello(v, p, &by)) {
		plan_step(p, STEP_SOURCE_MESH, w->pod, 0);
		return FW_SOURCE_MESH;
	}
	if (facts->source_speaks_tls) { /* to the Pod's own address, for instance */
		plan_step(p, STEP_SOURCE_SPOKE_TLS, NULL, 0);
		return FW_SOURCE_UNKNOWN;
	}
	plan_step(p, by ? STEP_SOURCE_BY_RULE : STEP_SOURCE_AUTO_OFF, by ? by : w->pod, 0);
	return FW_SOURCE_PLAIN;
}

static enum fw_source source_of(struct plan *p, const struct view *v,
				const struct inbound_facts *facts)
{
	const struct workload *w = p->peer_workload;
	if (w && w->mesh_tls)
		return meshed_source(p, v, w, facts);
	if (w) {
		plan_step(p, STEP_SOURCE_PLAIN, w->pod, 0);
		return FW_SOURCE_PLAIN;
	}
	if (facts->source_speaks_tls) {
		plan_step(p, STEP_SOURCE_SPOKE_TLS, NULL, 0);
		return FW_SOURCE_UNKNOWN; /* others may stand behind the same address */
	}
	plan_step(p, STEP_SOURCE_UNKNOWN, NULL, 0);
	return FW_SOURCE_UNKNOWN;
}

static void match_service(struct plan *p, const struct view_port *port)
{
	const struct object *o = port->service->object;
	plan_step(p, STEP_INBOUND_SERVICE, o, port->port->port);
	plan_step_protocol(p, p->protocol, o, port->port->port);
}

/* The port's protocol, and the step that says where it stands. */
static void match_port(struct plan *p)
{
	const struct inbound_port *in = p->inbound;
	const struct view_port *port = in->service_port;
	p->port = port;
	p->protocol = in->protocol;
	if (in->ingress)
		plan_step(p, STEP_INBOUND_INGRESS, in->sidecar, p->to.port);
	else if (in->sidecar)
		plan_step(p, STEP_INBOUND_UNLISTED, in->sidecar, p->to.port);
	else if (!port)
		plan_step(p, STEP_INBOUND_UNKNOWN, NULL, p->to.port);
	if (in->ingress && (!port || in->ingress->protocol[0]))
		plan_step_protocol(p, in->protocol, in->sidecar, p->to.port);
	else if (port)
		match_service(p, port);
}

/* Who may connect how: what PeerAuthentications say, once there is somebody to obey them. */
static void match_mode(struct plan *p, const struct view *v)
{
	const struct workload *self = view_self(v);
	p->guard.mode = MTLS_DISABLE;
	if (!self || !self->mesh_tls)
		return;
	struct mtls_answer mtls = view_mtls(self, p->to.port);
	p->guard.mode = mtls.mode;
	plan_step(p, mtls.by_port ? STEP_MTLS_PORT_MODE : STEP_MTLS_MODE, mtls.by, p->to.port);
}

static void give_up(struct plan *p)
{
	p->action = PLAN_REFUSE;
	p->destination = DEST_NONE;
}

/* How the port is to be listened to. */
struct listening {
	enum detection detection;
	uint32_t timeout_ms;
	enum proto_class class;
};

/* Requests are authorized where they are read; a connection of them may be opened. */
static bool authorizes_requests(const struct plan *p, enum proto_class class)
{
	return p->guard.serves_http && class == CLASS_HTTP;
}

/* No TLS of ours can come: all that is known decides at once. */
static void disabled(struct plan *p, const struct view *v, const struct listening *l)
{
	if (!authorizes_requests(p, l->class) &&
	    !plan_authorize(p, v, SLICE(""), SLICE(""), STEP_AUTHZ_ALLOWED, STEP_AUTHZ_DENIED)) {
		give_up(p);
		return;
	}
	bool client_first = l->detection == DETECTION_CLIENT_FIRST;
	if (l->class == CLASS_AUTO || (l->class == CLASS_HTTP && client_first))
		plan_detect(p, view_mesh(v), l->detection, l->timeout_ms);
	else
		p->action = PLAN_RELAY;
}

/* Only mesh TLS is taken, and nothing is opened towards the application before its peer is known. */
static void strict(struct plan *p, const struct view *v, const struct listening *l)
{
	const struct mesh_config *mesh = view_mesh(v);
	if (l->detection == DETECTION_CLIENT_FIRST)
		plan_detect(p, mesh, l->detection, l->timeout_ms);
	else
		p->fw = (struct fw_config){.side = FW_INBOUND, .mode = FW_BOTH_ENDS};
	p->action = PLAN_DETECT;
	p->fw.tls_possible = true;
	p->fw.tls_only = true; /* the first byte that begins none says so */
	p->fw.source = FW_SOURCE_MESH;
	p->fw.partial_ms = mesh->handshake_timeout_ms;
	p->guard.peer_timeout_ms = mesh->handshake_timeout_ms;
	plan_step(p, STEP_PEER_FIRST, NULL, 0);
}

static void permissive(struct plan *p, const struct view *v, const struct inbound_facts *facts,
		       const struct listening *l)
{
	const struct mesh_config *mesh = view_mesh(v);
	enum fw_source source = source_of(p, v, facts);
	bool plain = authorizes_requests(p, l->class) ||
		     plan_authorize(p, v, SLICE(""), SLICE(""), STEP_AUTHZ_PLAIN_ALLOWED,
				    STEP_AUTHZ_PLAIN_DENIED);
	plan_detect(p, mesh, l->detection, l->timeout_ms);
	p->fw.tls_possible = true;
	p->fw.source = source;
	p->fw.window_us = mesh->tls_window_max_us;
	if (plan_has_step(p, STEP_SOURCE_SPOKE_TLS) && p->fw.window_us < SPOKE_TLS_WINDOW_US)
		p->fw.window_us = SPOKE_TLS_WINDOW_US;
	if (l->class == CLASS_TCP) {
		/* Only a ClientHello is waited for, not the app's client. */
		p->fw.tls_only = true;
		p->fw.head_start_us = 0;
	}
	if (!plain) { /* only who authenticates may come in: nothing is opened before */
		p->fw.early_allowed = false;
		p->guard.peer_timeout_ms = mesh->handshake_timeout_ms;
	}
}

void decide_inbound(const struct view *v, const struct inbound_facts *facts, struct plan *out)
{
	plan_init(out, v, LIVE_INBOUND, &facts->dst);
	out->from = facts->src;
	out->guard.serves_http = facts->serves_http;
	out->peer_workload = view_workload_by_ip(v, &facts->src.ip);
	if (own_port(facts->dst.port)) {
		plan_refuse(out, STEP_SELF_CALL_GUARD, NULL, facts->dst.port);
		return;
	}
	const struct inbound_port *in = view_inbound_at(v, &facts->dst);
	out->inbound = in;
	out->live = in->live;
	out->destination = DEST_APP;
	out->bind_app_source = true;
	match_port(out);
	match_mode(out, v);
	struct listening l = {
		.detection = in->detection,
		.timeout_ms = in->detection_timeout_ms,
		.class = protocol_class(out->protocol),
	};
	switch (out->guard.mode) {
	case MTLS_DISABLE:
		disabled(out, v, &l);
		return;
	case MTLS_STRICT:
		strict(out, v, &l);
		return;
	case MTLS_PERMISSIVE:
	case MTLS_UNSET: /* a mode is never that */
		break;
	}
	permissive(out, v, facts, &l);
}

/* Plaintext, or TLS of the application's own: now all is known that will ever be. */
static enum inbound_do unauthenticated(struct plan *p, const struct view *v,
				       const struct inbound_word *word, enum inbound_do what)
{
	if (p->guard.mode == MTLS_DISABLE) /* decided at accept */
		return what;
	if (what == INBOUND_HTTP && p->guard.serves_http)
		return what;
	if (plan_authorize(p, v, SLICE(""), word->sni, STEP_AUTHZ_ALLOWED, STEP_AUTHZ_DENIED))
		return what;
	give_up(p);
	return INBOUND_REFUSE;
}

static void refuse(struct plan *p, const struct inbound_word *word)
{
	if (word->too_late)
		plan_refuse(p, STEP_HANDSHAKE_TIMEOUT, NULL, 0);
	else if (word->first == INBOUND_HELLO)
		plan_refuse(p, STEP_TLS_ON_HTTP, p->port ? p->port->service->object : NULL,
			    p->to.port);
	else
		plan_refuse(p, STEP_NOT_MESH_TLS, NULL, p->to.port);
}

enum inbound_do decide_inbound_word(const struct view *v, struct plan *p,
				    const struct inbound_word *word)
{
	enum inbound_do what = inbound_cell(p->guard.mode, protocol_class(p->protocol), word);
	switch (what) {
	case INBOUND_LISTEN:
		if (!word->too_late || !p->guard.peer_timeout_ms)
			return what;
		what = INBOUND_REFUSE;
		refuse(p, word);
		break;
	case INBOUND_TLS_TCP:
	case INBOUND_TLS_HTTP:
		plan_step(p, STEP_MESH_TLS, NULL, 0);
		break;
	case INBOUND_PASS_TLS:
		plan_step(p, STEP_APP_TLS, NULL, 0);
		what = unauthenticated(p, v, word, what);
		break;
	case INBOUND_TCP:
	case INBOUND_HTTP:
		what = unauthenticated(p, v, word, what);
		break;
	case INBOUND_REFUSE:
		refuse(p, word);
		break;
	case N_INBOUND_DOS:
		break;
	}
	p->guard.carry = what;
	return what;
}

bool decide_inbound_peer(const struct view *v, struct plan *p, struct slice peer, struct slice sni)
{
	if (p->guard.carry == INBOUND_TLS_HTTP && p->guard.serves_http)
		return true;
	if (plan_authorize(p, v, peer, sni, STEP_AUTHZ_ALLOWED, STEP_AUTHZ_DENIED))
		return true;
	give_up(p); /* guard.carry stays: it was mesh TLS, and the log says whose */
	return false;
}
