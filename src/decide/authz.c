/* Running a program: comparing, rule by rule. */
#include "decide/authz.h"

#include "base/mem.h"

/* A SPIFFE id in the pieces that policies name. */
struct peer {
	struct slice principal; /* without "spiffe://"; empty: no peer */
	struct slice domain, ns, account;
};

/* What stands behind the segment WORD, up to the next slash. */
static struct slice after(struct slice *rest, const char *word)
{
	while (rest->len)
		if (slice_is(slice_cut(rest, '/'), word))
			return slice_cut(rest, '/');
	return SLICE("");
}

static struct peer peer_of(struct slice uri)
{
	struct slice scheme = SLICE("spiffe://");
	struct peer p = {.principal = SLICE("")};
	if (!slice_starts(uri, scheme))
		return p;
	p.principal = slice_sub(uri, scheme.len, uri.len);
	struct slice rest = p.principal;
	p.domain = slice_cut(&rest, '/');
	p.ns = after(&rest, "ns");
	p.account = after(&rest, "sa");
	return p;
}

static bool same(struct slice a, struct slice b, bool nocase)
{
	return nocase ? slice_eq_nocase(a, b) : slice_eq(a, b);
}

/* TEMPLATE's {*} stand for one segment that is not empty, {**} at the end for any rest. */
static bool template_matches(struct slice template, struct slice path)
{
	for (;;) {
		bool last = slice_find(template, '/') == template.len;
		bool path_last = slice_find(path, '/') == path.len;
		struct slice want = slice_cut(&template, '/'), got = slice_cut(&path, '/');
		if (slice_is(want, "{**}"))
			return true;
		if (slice_is(want, "{*}") ? got.len == 0 : !slice_eq(want, got))
			return false;
		if (last || path_last)
			return last && path_last;
	}
}

static bool text_matches(const struct authz_text *t, struct slice value, bool nocase)
{
	if (value.len == 0)
		return false; /* what is not there matches nothing */
	switch (t->kind) {
	case AUTHZ_TEXT_EXACT:
		return same(value, t->text, nocase);
	case AUTHZ_TEXT_PREFIX:
		return same(slice_sub(value, 0, t->text.len), t->text, nocase);
	case AUTHZ_TEXT_SUFFIX:
		return value.len >= t->text.len &&
		       same(slice_sub(value, value.len - t->text.len, value.len), t->text, nocase);
	case AUTHZ_TEXT_PRESENT:
		return true;
	case AUTHZ_TEXT_TEMPLATE:
		return template_matches(t->text, value);
	}
	return false;
}

static bool any_text(const struct authz_test *t, struct slice value)
{
	for (size_t i = 0; i < t->n; i++)
		if (text_matches(&t->texts[i], value, t->input == AUTHZ_IN_HOST))
			return true;
	return false;
}

static bool any_block(const struct authz_test *t, const struct ip *ip)
{
	for (size_t i = 0; i < t->n; i++)
		if (cidr_has(&t->cidrs[i], ip))
			return true;
	return false;
}

static bool any_port(const struct authz_test *t, uint16_t port)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->ports[i] == port)
			return true;
	return false;
}

static bool any_account(const struct authz_test *t, const struct peer *p)
{
	for (size_t i = 0; i < t->n; i++) {
		struct slice account = t->texts[i].text;
		struct slice ns = slice_cut(&account, '/');
		if (p->ns.len && slice_eq(p->ns, ns) && slice_eq(p->account, account))
			return true;
	}
	return false;
}

static bool any_value(const struct authz_test *t, const struct authz_request *r)
{
	struct slice value;
	for (unsigned nth = 0; r->value && r->value(r->ctx, t->input, t->name, nth, &value); nth++)
		if (any_text(t, value))
			return true;
	return false;
}

struct running {
	const struct authz_facts *facts;
	struct peer peer;
};

static bool holds(const struct running *r, const struct authz_test *t)
{
	static const struct authz_request nothing;
	const struct authz_facts *f = r->facts;
	const struct authz_request *request = f->request ? f->request : &nothing;
	switch (t->input) {
	case AUTHZ_IN_PRINCIPAL:
		return any_text(t, r->peer.principal);
	case AUTHZ_IN_NAMESPACE:
		return any_text(t, r->peer.ns);
	case AUTHZ_IN_SERVICE_ACCOUNT:
		return any_account(t, &r->peer);
	case AUTHZ_IN_TRUST_DOMAIN:
		return any_text(t, r->peer.domain);
	case AUTHZ_IN_SOURCE_IP:
		return any_block(t, &f->source);
	case AUTHZ_IN_REMOTE_IP:
		return any_block(t, &f->remote);
	case AUTHZ_IN_DESTINATION_IP:
		return any_block(t, &f->destination);
	case AUTHZ_IN_DESTINATION_PORT:
		return any_port(t, f->port);
	case AUTHZ_IN_SNI:
		return any_text(t, f->sni);
	case AUTHZ_IN_HOST:
		return any_text(t, request->host);
	case AUTHZ_IN_METHOD:
		return any_text(t, request->method);
	case AUTHZ_IN_PATH:
		return any_text(t, request->path);
	case AUTHZ_IN_HEADER:
	case AUTHZ_IN_REQUEST_PRINCIPAL:
	case AUTHZ_IN_AUDIENCE:
	case AUTHZ_IN_PRESENTER:
	case AUTHZ_IN_CLAIM:
		return any_value(t, request);
	case AUTHZ_IN_UNKNOWN: /* authz_compile() leaves these out */
	case AUTHZ_IN_METADATA:
	case N_AUTHZ_INPUTS:
		break;
	}
	return false;
}

static bool term_holds(const struct running *r, const struct authz_term *term)
{
	for (size_t i = 0; i < term->n; i++)
		if (holds(r, &term->tests[i]) == term->tests[i].negated)
			return false;
	return true;
}

static bool any_term(const struct running *r, const struct authz_term *terms, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (term_holds(r, &terms[i]))
			return true;
	return n == 0;
}

/* The first rule that matches, among those in force or those of the dry run; NULL: none. */
static const struct authz_rule *first_match(const struct running *r,
					    const struct authz_rules *rules, bool dry_run)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct authz_rule *rule = &rules->at[i];
		if (rule->dry_run == dry_run && any_term(r, rule->from, rule->n_from) &&
		    any_term(r, rule->to, rule->n_to) && term_holds(r, &rule->when))
			return rule;
	}
	return NULL;
}

static void by_rule(struct authz_verdict *out, bool allowed, enum authz_reason reason,
		    const struct authz_rule *rule)
{
	out->allowed = allowed;
	out->reason = reason;
	out->policy = rule->policy;
	out->rule = rule->index;
}

static void enforced(const struct running *r, const struct authz_program *p,
		     struct authz_verdict *out)
{
	const struct authz_rule *rule;
	if ((rule = first_match(r, &p->custom, false))) {
		by_rule(out, false, AUTHZ_CUSTOM_RULE, rule);
	} else if ((rule = first_match(r, &p->deny, false))) {
		by_rule(out, false, AUTHZ_DENY_RULE, rule);
	} else if (!p->allow_policy) {
		out->allowed = true;
		out->reason = AUTHZ_NO_ALLOW;
	} else if ((rule = first_match(r, &p->allow, false))) {
		by_rule(out, true, AUTHZ_ALLOW_RULE, rule);
	} else {
		out->reason = AUTHZ_NOT_ALLOWED;
		out->policy = p->allow_policy;
	}
}

/* The policies of the dry run alone, as if there were no others. */
static void shadow(const struct running *r, const struct authz_program *p,
		   struct authz_verdict *out)
{
	const struct authz_rule *deny = first_match(r, &p->deny, true);
	const struct authz_rule *allow = first_match(r, &p->allow, true);
	out->shadow_allowed = !deny && (allow || !p->dry_run_allow);
	if (deny || allow) {
		out->shadow_policy = (deny ? deny : allow)->policy;
		out->shadow_rule = (deny ? deny : allow)->index;
	} else {
		out->shadow_policy = p->dry_run_allow;
	}
}

void authz_decide(const struct authz *z, enum authz_protocol protocol,
		  const struct authz_facts *facts, struct authz_verdict *out)
{
	const struct authz_program *p = &z->programs[protocol];
	struct running r = {facts, peer_of(facts->peer)};
	*out = (struct authz_verdict){.shadow_allowed = true};
	if (z->n_policies == 0) {
		out->allowed = true;
		out->reason = AUTHZ_NO_POLICY;
		return;
	}
	out->audited = first_match(&r, &p->audit, false) != NULL;
	enforced(&r, p, out);
	shadow(&r, p, out);
}

bool authz_verdict_text(const struct authz_verdict *verdict, struct buf *out)
{
	char name[400];
	const char *policy =
		verdict->policy ? object_text(verdict->policy, name, sizeof(name)) : "";
	/* A full buffer shows in buf.full, once, at the end. */
	switch (verdict->reason) {
	case AUTHZ_NO_POLICY:
		(void)buf_puts(out, "no AuthorizationPolicy selects the workload");
		break;
	case AUTHZ_CUSTOM_RULE:
		(void)buf_printf(out,
				 "rule %u of %s (CUSTOM) would ask a provider: what it matches is "
				 "denied",
				 verdict->rule, policy);
		break;
	case AUTHZ_DENY_RULE:
		(void)buf_printf(out, "rule %u of %s (DENY) denies it", verdict->rule, policy);
		break;
	case AUTHZ_NO_ALLOW:
		(void)buf_puts(out,
			       "no AuthorizationPolicy denies it, and there is none with ALLOW");
		break;
	case AUTHZ_ALLOW_RULE:
		(void)buf_printf(out, "rule %u of %s allows it", verdict->rule, policy);
		break;
	case AUTHZ_NOT_ALLOWED:
		(void)buf_printf(out, "no ALLOW rule matches it, and there are ALLOW policies (%s)",
				 policy);
		break;
	}
	return !out->full;
}

bool authz_change_text(const struct authz_change *change, struct buf *out)
{
	static const char *const protocols[] = {
		[AUTHZ_TCP] = "TCP connections", [AUTHZ_HTTP] = "HTTP requests"};
	char name[400];
	const struct authorization_policy *p = change->policy->authorization_policy;
	(void)buf_printf(out, "%s rule %u of %s ", authz_action_name(p->action), change->rule,
			 object_text(change->policy, name, sizeof(name)));
	if (change->why == AUTHZ_WHY_PROVIDER)
		(void)buf_printf(out, "denies %s", protocols[change->protocol]);
	else if (change->kind == AUTHZ_RULE_DROPPED)
		(void)buf_printf(out, "matches no %s because of %s", protocols[change->protocol],
				 change->path);
	else if (change->matches_always)
		(void)buf_printf(out, "matches all %s: nothing is left of it without %s",
				 protocols[change->protocol], change->path);
	else
		(void)buf_printf(out, "matches more %s: %s does not count",
				 protocols[change->protocol], change->path);
	(void)buf_printf(out, " (%s)", authz_why_text(change->why));
	return !out->full;
}
