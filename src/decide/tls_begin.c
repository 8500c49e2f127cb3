/*
 * How TLS begins with a server that a DestinationRule wants it with. Most take a ClientHello as the first
 * word. PostgreSQL's must be asked in clear, and ends the connection otherwise; whoever takes TLS at once
 * ends it when asked. So the client's word says which to try, or what was learnt; and a server that does
 * not understand is tried the other way. No byte of the client's leaves before TLS is made.
 */
#include "base/mem.h"
#include "decide/internal.h"
#include "detect/postgres.h"

/* P's step is CODE from here on. */
static void begin(struct plan *p, enum tls_begin how, enum step_code code)
{
	bool declared = code == STEP_TLS_ASKED_DECLARED;
	p->tls.begin = how;
	plan_step_instead(p, STEP_TLS_ASKED_WORD, STEP_TLS_AT_ONCE_TRIED, code,
			  declared ? p->port->service->object : NULL,
			  declared ? p->port->port->port : 0);
}

/* Istio knows no such word: it selects no protocol, here as there. Names and appProtocol may say it all the
 * same, and what it says is how TLS begins. */
static bool says_postgres(const struct view_port *port)
{
	return port && (pg_is_named(slice_of(port->port->name)) ||
			pg_is_named(slice_of(port->port->app_protocol)));
}

void decide_tls_begin(struct plan *p, struct slice client)
{
	if (!transport_is_own(p->tls.transport))
		return;
	enum tls_begin learnt = learn_tls(p->live);
	switch (pg_client(client)) {
	case PG_STARTUP:
	case PG_WANTS_TLS:
	case PG_WANTS_GSS:
		if (learnt == TLS_AT_ONCE)
			begin(p, TLS_AT_ONCE, STEP_TLS_AT_ONCE_LEARNED);
		else
			begin(p, TLS_ASKED, STEP_TLS_ASKED_WORD);
		return;
	case PG_MORE: /* it has said nothing, or too little */
		if (learnt == TLS_ASKED)
			begin(p, TLS_ASKED, STEP_TLS_ASKED_LEARNED);
		else if (learnt == N_TLS_BEGINS && says_postgres(p->port))
			begin(p, TLS_ASKED, STEP_TLS_ASKED_DECLARED);
		return;
	case PG_NOT:
		return;
	}
}

bool decide_tls_other(struct plan *p)
{
	if (p->tls.second || !transport_is_own(p->tls.transport))
		return false;
	p->tls.second = true;
	switch (p->tls.begin) {
	case TLS_AT_ONCE:
		begin(p, TLS_ASKED, STEP_TLS_ASKED_TRIED);
		break;
	case TLS_ASKED:
		begin(p, TLS_AT_ONCE, STEP_TLS_AT_ONCE_TRIED);
		break;
	case N_TLS_BEGINS:
		break;
	}
	return true;
}

/* A handshake that was made at once teaches only where asking had been in vain: PostgreSQL since 17 makes
 * one without being asked, and ends the connection behind it. */
void decide_tls_begun(const struct plan *p)
{
	learn_tls_made(p->live);
	if (p->tls.begin == TLS_ASKED || p->tls.second)
		learn_tls_begun(p->live, p->tls.begin);
}

/* Where there was a terminator, there may be PostgreSQL 17 by now. */
void decide_tls_unheard(const struct plan *p)
{
	if (plan_has_step(p, STEP_TLS_AT_ONCE_LEARNED))
		learn_tls_begun(p->live, N_TLS_BEGINS);
}

void decide_own_tls_refused(struct plan *p)
{
	if (!plan_has_step(p, STEP_OWN_TLS_REFUSED))
		plan_step(p, STEP_OWN_TLS_REFUSED, NULL, 0);
}

bool tls_in_clear_text(const struct plan *p, enum greet_protocol protocol, bool no, struct buf *out)
{
	char rule[320] = "the DestinationRule";
	for (unsigned i = 0; i < p->n_steps; i++)
		if (p->steps.code[i] == STEP_TLS_BY_RULE && p->steps.resource[i])
			(void)object_text(p->steps.resource[i], rule, sizeof(rule));
	if (no)
		(void)buf_puts(out,
			       "the server answered N to PostgreSQL's SSLRequest, so it offers no "
			       "TLS: turn it on there (ssl = on)");
	else if (protocol == GREET_IS_POSTGRESQL)
		(void)buf_puts(out,
			       "the server answered with an error of PostgreSQL's instead of TLS");
	else if (protocol == GREET_IS_HTTP1 || protocol == GREET_IS_HTTP2)
		(void)buf_puts(out, "the server answered in plaintext (http), not in TLS");
	else
		(void)buf_printf(
			out,
			"the server spoke plaintext (%s) instead of TLS: if its protocol has "
			"TLS of its own, that is the client's to ask for",
			greet_name(protocol));
	(void)buf_printf(out, "; or take tls out of %s", rule);
	return !out->full;
}

const char *tls_begin_name(enum tls_begin b)
{
	static const char *const names[] = {[TLS_AT_ONCE] = "at-once", [TLS_ASKED] = "asked"};
	return (unsigned)b < N_ELEMS(names) ? names[b] : "?";
}
