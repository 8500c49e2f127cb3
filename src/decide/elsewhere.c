/*
 * What a mesh does that waits for the client's first bytes: the rows by which such connections
 * stall (D), work (W) or fail for the TLS that a rule asks for (F), as measured on and read in Istio.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "decide/internal.h"

enum { NEVER_HELPS = UINT32_MAX };

/* A stall; or, where a detection timeout ends it, a delay. */
static void stall(struct elsewhere_answer *out, const char *row, uint32_t timeout_ms,
		  const char *text)
{
	*out = (struct elsewhere_answer){ELSEWHERE_STALL, row, text, 0};
	if (timeout_ms == 0 || timeout_ms == NEVER_HELPS)
		return;
	out->what = ELSEWHERE_DELAY;
	out->delay_ms = timeout_ms;
}

static void works(struct elsewhere_answer *out, const char *row, const char *text)
{
	*out = (struct elsewhere_answer){ELSEWHERE_OK, row, text, 0};
}

static void outbound(const struct elsewhere_facts *f, struct elsewhere_answer *out)
{
	if (!f->matched) {
		if (f->wildcard_http)
			stall(out, "D6", f->timeout_ms,
			      "no Service has the address, but the listener that a port of the "
			      "same number (HTTP's, or that of a ServiceEntry without addresses) "
			      "opens for every address takes it, and waits for the client");
		else
			works(out, "W4",
			      "no Service has the address: it is passed on without inspection");
		return;
	}
	switch (f->class) {
	case CLASS_AUTO:
		stall(out, "D5", f->timeout_ms,
		      "nothing declares the port's protocol: the client's sidecar waits for the "
		      "client to "
		      "speak, whatever the server's mode");
		return;
	case CLASS_HTTP:
		stall(out, "D5", f->timeout_ms,
		      "the port is declared HTTP: the client's sidecar waits for the client to "
		      "speak");
		return;
	case CLASS_TCP:
	case CLASS_NONE:
		break;
	}
	works(out, "W1", "the port is declared TCP: the client's sidecar dials at once");
}

static void inbound_plaintext(const struct elsewhere_facts *f, struct elsewhere_answer *out)
{
	switch (f->mode) {
	case MTLS_STRICT:
		stall(out, "D3", NEVER_HELPS,
		      "STRICT: a plaintext client that says nothing waits until it gives up");
		return;
	case MTLS_PERMISSIVE:
		if (f->class == CLASS_HTTP)
			break;
		stall(out, "D1", f->timeout_ms,
		      "PERMISSIVE: the server's sidecar waits for a ClientHello that a plaintext "
		      "client "
		      "never sends, even on a port declared TCP");
		return;
	case MTLS_DISABLE:
		if (f->class == CLASS_HTTP)
			break;
		if (f->class == CLASS_AUTO)
			stall(out, "D2", f->timeout_ms,
			      "mTLS is disabled, but nothing declares the port's protocol: the "
			      "server's "
			      "sidecar waits for a request");
		else
			works(out, "W2",
			      "mTLS is disabled and the port is declared TCP: nothing is "
			      "inspected");
		return;
	case MTLS_UNSET: /* a mode is never that */
		break;
	}
	/* The codec itself waits: no detection timeout ends that. */
	stall(out, "D4", NEVER_HELPS,
	      "the port is declared HTTP: the server's sidecar waits for a request");
}

static void inbound(const struct elsewhere_facts *f, struct elsewhere_answer *out)
{
	bool hello = f->source_mesh_tls && f->mode != MTLS_DISABLE;
	if (!hello) {
		inbound_plaintext(f, out);
		return;
	}
	switch (f->class) {
	case CLASS_AUTO:
		stall(out, "D5", f->timeout_ms,
		      "nothing declares the port's protocol: the client's sidecar waits for the "
		      "client to "
		      "speak and sends no ClientHello before that");
		return;
	case CLASS_HTTP:
		stall(out, "D4", NEVER_HELPS,
		      "the port is declared HTTP: the server's sidecar waits for a request");
		return;
	case CLASS_TCP:
	case CLASS_NONE:
		break;
	}
	works(out, "W1",
	      "the port is declared TCP: the client's sidecar sends its ClientHello at once, and "
	      "the "
	      "server's sees it");
}

/* There TLS towards a server begins with a ClientHello, and nothing else does. */
static void originate(const struct elsewhere_facts *f, struct elsewhere_answer *out)
{
	if (f->speaks_in_clear)
		*out = (struct elsewhere_answer){
			ELSEWHERE_FAIL, "F1",
			"the client's sidecar sends a ClientHello, and the server speaks in clear",
			0};
	else if (f->wants_to_be_asked)
		*out = (struct elsewhere_answer){
			ELSEWHERE_FAIL, "F2",
			"the client's sidecar sends a ClientHello, and PostgreSQL closes, for it "
			"wants to be asked first (SSLRequest)",
			0};
}

void elsewhere_of(const struct elsewhere_facts *f, struct elsewhere_answer *out)
{
	if (f->client_tls)
		works(out, "W3", "the client begins with a ClientHello of its own: nothing waits");
	else if (!f->server_first)
		works(out, "", "the client speaks first: nothing waits");
	else if (f->side == LIVE_INBOUND)
		inbound(f, out);
	else
		outbound(f, out);
	if (out->what == ELSEWHERE_OK)
		originate(f, out);
}

/* Istio's listener for an HTTP port takes every address on that port number. */
static bool any_http(const struct view_service **all, size_t n, uint16_t number)
{
	bool found = false;
	for (size_t i = 0; i < n && !found; i++)
		for (size_t k = 0; k < all[i]->n_ports; k++)
			found = found || (all[i]->ports[k].port->port == number &&
					  protocol_class(all[i]->ports[k].protocol) == CLASS_HTTP);
	free(all);
	return found;
}

static bool wildcard_http(const struct view *v, uint16_t number)
{
	size_t n = 0;
	const struct view_service **all = view_services(v, &n);
	if (any_http(all, n, number))
		return true;
	all = view_entries(v, &n);
	return any_http(all, n, number);
}

/* Refusals of ours which another mesh makes only after it has heard the client, or not at all. */
static bool refused_there_too(const struct plan *p)
{
	return p->action == PLAN_REFUSE && !plan_has_step(p, STEP_NO_ENDPOINTS) &&
	       !plan_has_step(p, STEP_VIP_PORT_UNKNOWN) && !plan_has_step(p, STEP_NOT_TCP) &&
	       !plan_has_step(p, STEP_REGISTRY_ONLY);
}

/* What was learnt of a server that a rule wants TLS with. */
static void see_tls(const struct plan *p, const struct learned *l, struct elsewhere_facts *f)
{
	if (p->side != LIVE_OUTBOUND || !p->port || !p->port->tls ||
	    !transport_is_own(transport_of_rule(p->port->tls)))
		return;
	f->speaks_in_clear = l->spoke_in_clear;
	f->wants_to_be_asked = l->tls_begins == TLS_ASKED;
	if (f->wants_to_be_asked || l->in_clear == GREET_IS_POSTGRESQL)
		f->server_first =
			false; /* its clients speak first, whoever has been heard so far */
}

void decide_elsewhere(const struct view *v, const struct plan *p, bool server_first,
		      struct elsewhere_answer *out)
{
	if (refused_there_too(p)) {
		works(out, "", "it is refused there as well");
		return;
	}
	/* There a sidecar obeys as soon as it is one. */
	const struct workload *self = view_self(v);
	const struct object *by = NULL;
	bool obeys = p->side == LIVE_INBOUND && self && self->has_sidecar;
	struct elsewhere_facts f = {
		.side = p->side,
		.class = protocol_class(p->protocol),
		.mode = obeys ? view_mtls(self, p->to.port).mode : MTLS_PERMISSIVE,
		.matched = p->port != NULL,
		.wildcard_http =
			p->side == LIVE_OUTBOUND && (p->open || wildcard_http(v, p->to.port)),
		.source_mesh_tls = p->side == LIVE_INBOUND && source_sends_hello(v, p, &by),
		.server_first = server_first,
		.timeout_ms = p->inbound ? p->inbound->detection_timeout_ms
			      : p->port  ? p->port->detection_timeout_ms
					 : view_mesh(v)->protocol_detection_timeout_ms,
	};
	struct learned l;
	learn_read(p->live, &l);
	see_tls(p, &l, &f);
	f.client_tls = !server_first && l.client_tls && !l.client_http && !l.client_opaque;
	elsewhere_of(&f, out);
	if (p->action == PLAN_REFUSE && out->what == ELSEWHERE_OK)
		works(out, "", "it is refused there as well");
	else if (plan_has_step(p, STEP_NO_ENDPOINTS) && out->what != ELSEWHERE_OK)
		out->text = "there is no endpoint, but the client's sidecar says so only after the "
			    "client has "
			    "spoken";
}

const char *elsewhere_name(enum elsewhere e)
{
	static const char *const names[] = {[ELSEWHERE_OK] = "ok",
					    [ELSEWHERE_DELAY] = "delay",
					    [ELSEWHERE_STALL] = "stall",
					    [ELSEWHERE_FAIL] = "fail"};
	return (unsigned)e < N_ELEMS(names) ? names[e] : "?";
}
