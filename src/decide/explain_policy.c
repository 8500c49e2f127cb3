/* The part of `hark explain` that is about policies: how endpoints are spoken to, who may come in. */
#include "base/mem.h"
#include "decide/internal.h"

enum { SHOWN = 8 }; /* endpoints, changes of rules */

static bool is_meshed(const struct view *v)
{
	return view_self(v) && view_self(v)->mesh_tls;
}

static bool speaks_of_transport(const struct view *v, const struct plan *p)
{
	return p->side == LIVE_OUTBOUND && p->port && p->destination != DEST_NONE &&
	       (is_meshed(v) || p->port->tls);
}

static bool speaks_of_access(const struct view *v, const struct plan *p)
{
	return p->side == LIVE_INBOUND && p->inbound && (is_meshed(v) || view_authz(v)->n_policies);
}

/* Calls EACH for the endpoints that the plan may lead to. */
static void
endpoints(const struct plan *p,
	  void (*each)(void *ctx, const struct addr *at, const struct view_endpoint *ep), void *ctx)
{
	if (p->destination == DEST_ENDPOINT) {
		each(ctx, &p->to, NULL);
		return;
	}
	for (size_t i = 0; i < p->port->n_endpoints && i < SHOWN; i++)
		each(ctx, &p->port->endpoints[i].at, &p->port->endpoints[i]);
}

/* The plan towards one endpoint, and the clause that says why. */
static enum transport transport_to(const struct view *v, const struct plan *p,
				   const struct addr *at, const struct view_endpoint *ep,
				   struct buf *why)
{
	struct plan q = *p;
	unsigned before = q.n_steps;
	decide_transport(v, &q, at, ep, NULL);
	decide_tls_begin(&q, SLICE(""));
	for (unsigned i = before; i < q.n_steps; i++) {
		struct step s = plan_step_at(&q, i);
		if (i > before)
			(void)buf_puts(why, "; ");
		(void)step_text(&q, &s, why);
	}
	return q.tls.transport;
}

/* Of which only a name may be known. */
static const char *dialled(const struct addr *at, char text[ADDR_TEXT])
{
	return ip_is_any(&at->ip) ? "the address that is dialled" : addr_text(at, text);
}

struct telling {
	const struct view *v;
	const struct plan *p;
	struct buf *text;
	struct json_out *json;
};

static void transport_text(void *ctx, const struct addr *at, const struct view_endpoint *ep)
{
	struct telling *t = ctx;
	char addr[ADDR_TEXT];
	struct buf why;
	buf_init(&why, 1024);
	enum transport transport = transport_to(t->v, t->p, at, ep, &why);
	(void)buf_printf(t->text, "\ntransport:  %s to %s: %.*s", transport_name(transport),
			 dialled(at, addr), SLICE_FMT(buf_slice(&why)));
	buf_fini(&why);
}

static void transport_json(void *ctx, const struct addr *at, const struct view_endpoint *ep)
{
	struct telling *t = ctx;
	char addr[ADDR_TEXT];
	struct buf why;
	buf_init(&why, 1024);
	enum transport transport = transport_to(t->v, t->p, at, ep, &why);
	json_open_object(t->json, NULL);
	json_cstr(t->json, "endpoint", dialled(at, addr));
	json_cstr(t->json, "transport", transport_name(transport));
	json_slice(t->json, "text", buf_slice(&why));
	json_close(t->json);
	buf_fini(&why);
}

/* The one who would connect: nobody (plaintext), or the source with its identity. */
static void access_of(const struct view *v, const struct plan *p, struct slice peer,
		      struct authz_verdict *out)
{
	struct authz_facts facts = {
		.peer = peer,
		.source = p->from.ip,
		.remote = p->from.ip,
		.destination = p->to.ip,
		.port = p->to.port,
	};
	authz_decide(view_authz(v), AUTHZ_TCP, &facts, out);
}

/* NULL: nobody who could authenticate is known at the source. */
static const char *source_identity(const struct view *v, const struct plan *p, char *out,
				   size_t out_len)
{
	bool known = p->peer_workload && p->peer_workload->mesh_tls;
	return known ? view_identity(v, p->peer_workload, out, out_len) : NULL;
}

static void verdict_text(const struct authz_verdict *verdict, struct buf *out)
{
	(void)buf_puts(out, verdict->allowed ? "allowed: " : "denied: ");
	(void)authz_verdict_text(verdict, out);
	if (verdict->audited)
		(void)buf_puts(out, "; an AUDIT rule matches");
	if (verdict->shadow_policy && verdict->shadow_allowed != verdict->allowed) {
		char name[400];
		(void)buf_printf(out, "; the dry run of %s would %s it",
				 object_text(verdict->shadow_policy, name, sizeof(name)),
				 verdict->shadow_allowed ? "allow" : "deny");
	}
}

static void access_text(const struct view *v, const struct plan *p, struct buf *out)
{
	struct authz_verdict verdict;
	char identity[VIEW_IDENTITY_LEN];
	const struct authz *z = view_authz(v);
	(void)buf_puts(out, "\nplaintext:  ");
	if (p->guard.mode == MTLS_STRICT) {
		(void)buf_puts(out, "refused: the port is STRICT");
	} else {
		access_of(v, p, SLICE(""), &verdict);
		verdict_text(&verdict, out);
	}
	if (is_meshed(v) && p->guard.mode != MTLS_DISABLE) {
		const char *peer = source_identity(v, p, identity, sizeof(identity));
		(void)buf_puts(out, "\nmesh TLS:   ");
		if (!peer && z->n_policies) {
			(void)buf_puts(out, "as the policies say of the client's identity");
		} else {
			access_of(v, p, slice_of(peer ? peer : ""), &verdict);
			if (peer)
				(void)buf_printf(out, "as %s ", peer);
			verdict_text(&verdict, out);
		}
	}
	for (size_t i = 0, shown = 0; i < z->n_changes && shown < SHOWN; i++)
		if (z->changes[i].protocol == AUTHZ_TCP) {
			(void)buf_puts(out, "\nrule:       ");
			(void)authz_change_text(&z->changes[i], out);
			shown++;
		}
}

static void verdict_json(struct json_out *out, const char *key, const char *identity,
			 const struct authz_verdict *verdict)
{
	char rule[400];
	struct buf text;
	buf_init(&text, 2048);
	verdict_text(verdict, &text);
	json_open_object(out, key);
	if (identity)
		json_cstr(out, "identity", identity);
	json_bool(out, "allowed", verdict->allowed);
	bool by_rule = verdict->reason == AUTHZ_ALLOW_RULE || verdict->reason == AUTHZ_DENY_RULE ||
		       verdict->reason == AUTHZ_CUSTOM_RULE;
	json_cstr(out, "rule",
		  by_rule ? authz_rule_name(verdict->policy, verdict->rule, rule, sizeof(rule))
			  : NULL);
	json_bool(out, "audited", verdict->audited);
	json_slice(out, "text", buf_slice(&text));
	json_close(out);
	buf_fini(&text);
}

static void access_json(const struct view *v, const struct plan *p, struct json_out *out)
{
	struct authz_verdict verdict;
	char identity[VIEW_IDENTITY_LEN];
	const struct authz *z = view_authz(v);
	json_open_object(out, "access");
	json_cstr(out, "mode", is_meshed(v) ? mtls_mode_name(p->guard.mode) : NULL);
	json_u64(out, "policies", z->n_policies);
	if (p->guard.mode == MTLS_STRICT) {
		json_nil(out, "plaintext");
	} else {
		access_of(v, p, SLICE(""), &verdict);
		verdict_json(out, "plaintext", NULL, &verdict);
	}
	const char *peer = source_identity(v, p, identity, sizeof(identity));
	if (peer && is_meshed(v) && p->guard.mode != MTLS_DISABLE) {
		access_of(v, p, slice_of(peer), &verdict);
		verdict_json(out, "mesh_tls", peer, &verdict);
	} else {
		json_nil(out, "mesh_tls");
	}
	json_open_array(out, "changed_rules");
	for (size_t i = 0; i < z->n_changes; i++) {
		struct buf text;
		if (z->changes[i].protocol != AUTHZ_TCP)
			continue;
		buf_init(&text, 2048);
		(void)authz_change_text(&z->changes[i], &text); /* cut off past the bound */
		json_slice(out, NULL, buf_slice(&text));
		buf_fini(&text);
	}
	json_close(out);
	json_close(out);
}

void explain_policy_text(const struct view *v, const struct plan *p, struct buf *out)
{
	struct telling t = {.v = v, .p = p, .text = out};
	if (speaks_of_transport(v, p))
		endpoints(p, transport_text, &t);
	if (speaks_of_access(v, p))
		access_text(v, p, out);
}

void explain_policy_json(const struct view *v, const struct plan *p, struct json_out *out)
{
	struct telling t = {.v = v, .p = p, .json = out};
	if (speaks_of_transport(v, p)) {
		json_open_array(out, "transport");
		endpoints(p, transport_json, &t);
		json_close(out);
	}
	if (speaks_of_access(v, p))
		access_json(v, p, out);
}
