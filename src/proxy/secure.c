#include "proxy/secure.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/begin_tls.h"
#include "proxy/worker.h"

enum { SNI_MAX = 256 }; /* with its end: a longer one is refused by OpenSSL */

/* Why there is no TLS to speak with, in words. */
static void note_problem(struct conn *c, const char *text)
{
	free(c->record.tls_problem);
	c->record.tls_problem = text ? mem_strdup(text) : NULL;
}

/* What a session is told of afterwards. The names borrow from the session. */
static void note_facts(struct conn *c, const struct tls *tls)
{
	struct tls_facts facts;
	const struct tls_peer *peer = tls_peer_of(tls);
	tls_facts_of(tls, &facts);
	c->record.tls_version = facts.version;
	c->record.tls_resumed = facts.resumed;
	observe_count(c->worker->metrics, COUNT_TLS_RESUMED, facts.resumed);
	c->record.sni = facts.sni;
	c->record.peer = peer && peer->n_uris ? peer->uris[0] : (struct slice){0};
}

static void note_failure(struct conn *c, const struct tls *tls)
{
	note_problem(c, NULL); /* another endpoint's */
	c->record.tls_why = tls_why(tls);
	observe_handshake(c->worker->metrics, c->plan.side, c->record.tls_why);
}

static void forget_facts(struct conn *c)
{
	c->record.tls_version = NULL;
	c->record.sni = "";
	c->record.peer = (struct slice){0};
}

/* The client */

static void client_failed(struct conn *c)
{
	note_failure(c, c->client_tls);
	/* FIN, not RST: the alert is to be read. */
	conn_close(c, END_DOWNSTREAM_TLS, CLOSE_FIN);
}

static void client_known(struct conn *c)
{
	timer_cancel(c->worker->loop, &c->peer_timer);
	note_facts(c, c->client_tls);
	observe_handshake(c->worker->metrics, c->plan.side, TLS_WHY_NONE);
	c->up.ready = true; /* its first bytes may have come along */
	if (decide_inbound_peer(c->record.view, &c->plan, c->record.peer, slice_of(c->record.sni)))
		conn_dial(c);
	else
		conn_close(c, end_of_refusal(&c->plan), CLOSE_RESET);
}

/* An end was announced, perhaps together with bytes, and before the session was there: no event will
 * tell of it again. */
static void pass_announced_end(const struct flow *from, struct tls *tls)
{
	if (from->to_end)
		tls_end_announced(tls);
}

void secure_client_event(struct conn *c)
{
	pass_announced_end(&c->up, c->client_tls);
	switch (tls_handshake(c->client_tls, NULL)) {
	case TLS_OK:
		client_known(c);
		return;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		return;
	case TLS_END: /* not of a handshake */
	case TLS_CUT:
	case TLS_RESET:
	case TLS_FAILED:
		client_failed(c);
		return;
	}
}

void secure_client_timeout(struct conn *c)
{
	conn_close(c, END_HANDSHAKE_TIMEOUT, CLOSE_RESET);
}

/* Nobody keeps others out by handshakes that are never finished. */
static void make_room(struct worker *w)
{
	if (w->n_handshakes < HANDSHAKES_MAX)
		return;
	observe_count(w->metrics, COUNT_HANDSHAKES_EVICTED, 1);
	conn_close(TAILQ_FIRST(&w->conns[CONN_HANDSHAKE]), END_HANDSHAKE_EVICTED, CLOSE_RESET);
}

void secure_client(struct conn *c, enum inbound_do what)
{
	struct worker *w = c->worker;
	struct err err = {0};
	if (!w->tls) {
		conn_close(c, END_NO_CERTIFICATE, CLOSE_RESET);
		return;
	}
	make_room(w);
	c->mesh_tls = mesh_tls_get(w->tls);
	struct tls_start start = {
		.fd = c->client.fd,
		.worker = w->tools.tls,
		.alpn = inbound_alpn_list(what),
		.accept_peer = spiffe_accept_mesh,
		.accept_ctx = mesh_tls_trust(c->mesh_tls),
	};
	c->client_tls = tls_new(mesh_tls_server(c->mesh_tls), &start, &err);
	if (!c->client_tls) {
		log_warn("proxy", "client: %s", err.text);
		conn_close(c, END_INTERNAL, CLOSE_RESET);
		return;
	}
	conn_go(c, CONN_HANDSHAKE);
	c->record.first = FW_NOBODY; /* who speaks first in there is still open */
	timer_set(w->loop, &c->peer_timer,
		  view_mesh(c->record.view)->handshake_timeout_ms * NS_PER_MS);
	secure_client_event(c);
}

void secure_client_drop(struct conn *c)
{
	tls_free(c->client_tls);
	c->client_tls = NULL;
	mesh_tls_put(c->mesh_tls);
	c->mesh_tls = NULL;
}

/* The server */

static enum tls_why server_accepts(void *ctx, const struct tls_peer *peer)
{
	const struct conn *c = ctx;
	struct slice names[2 * TLS_MAX_SANS];
	size_t n = 0;
	for (unsigned i = 0; i < peer->n_uris; i++)
		names[n++] = peer->uris[i];
	for (unsigned i = 0; i < peer->n_dns; i++)
		names[n++] = peer->dns[i];
	if (tls_plan_accepts(c->record.view, &c->plan.tls, names, n))
		return TLS_WHY_NONE;
	return n ? TLS_WHY_WRONG_SAN : TLS_WHY_NO_SAN;
}

static bool server_begins(void *ctx, struct slice bytes)
{
	return begin_heard(ctx, bytes);
}

static enum secure_result server_failed(struct conn *c, enum end_reason why)
{
	c->failure = why;
	return SECURE_FAILED;
}

static struct tls_context *context_of(struct conn *c, struct err *err)
{
	struct worker *w = c->worker;
	switch (c->plan.tls.transport) {
	case TRANSPORT_MESH_TLS:
		if (w->tls)
			return mesh_tls_client(w->tls);
		(void)err_set(err, ERR_NOT_NOW, "there is no certificate of the mesh yet");
		return NULL;
	case TRANSPORT_TLS:
	case TRANSPORT_MUTUAL_TLS:
		return origin_context(&w->origins, c->plan.tls.rule, clock_ns(), err);
	case TRANSPORT_PLAIN:
	case N_TRANSPORTS:
		break;
	}
	return NULL;
}

bool secure_server_can(struct conn *c)
{
	struct err err = {0};
	if (context_of(c, &err))
		return true;
	note_problem(c, err.text);
	c->failure = END_NO_CERTIFICATE;
	return false;
}

void secure_server_why(struct conn *c, enum tls_why why, const char *text)
{
	note_problem(c, text);
	c->record.tls_why = why;
	observe_handshake(c->worker->metrics, c->plan.side, why);
}

/* The server knows nothing of the beginning that was tried; WHY: what it did. Of two the first counts. */
static enum secure_result not_understood(struct conn *c, enum tls_why why)
{
	if (!c->plan.tls.second) {
		note_problem(c, NULL); /* another endpoint's */
		c->record.tls_why = why;
	}
	if (decide_tls_other(&c->plan))
		return SECURE_OTHER;
	observe_handshake(c->worker->metrics, c->plan.side, c->record.tls_why);
	return server_failed(c, END_UPSTREAM_TLS);
}

static enum secure_result start_session(struct conn *c)
{
	struct worker *w = c->worker;
	struct err err = {0};
	char sni[SNI_MAX];
	const struct tls_plan *plan = &c->plan.tls;
	struct tls_context *ctx = context_of(c, &err);
	if (!ctx) { /* files have gone since secure_server_can() */
		note_problem(c, err.text);
		return server_failed(c, END_NO_CERTIFICATE);
	}
	bool verified = !plan->rule || !plan->rule->insecure_skip_verify ||
			plan->transport == TRANSPORT_MESH_TLS;
	const char *name = tls_plan_sni(plan, c->plan.port, "", sni, sizeof(sni));
	if (!w->setup->fixed_no_resumption)
		c->tickets = ticket_take(&w->tickets, &c->record.upstream, name);
	struct tls_start start = {
		.fd = c->server.fd,
		.worker = w->tools.tls,
		.alpn = tls_plan_alpn(plan, TLS_APP_TCP),
		.sni = name,
		.tickets = c->tickets ? c->tickets->tickets : NULL,
		.accept_peer = verified ? server_accepts : NULL,
		.accept_ctx = c,
		.first_bytes = transport_is_own(plan->transport) ? server_begins : NULL,
	};
	c->server_tls = tls_new(ctx, &start, &err);
	if (!c->server_tls) {
		log_warn("proxy", "TLS towards the server: %s", err.text);
		return server_failed(c, END_INTERNAL);
	}
	c->upstream = transport_is_own(plan->transport) ? UPSTREAM_HELLO : UPSTREAM_HANDSHAKE;
	return secure_server_event(c);
}

static enum secure_result begun(struct conn *c, enum begin_result result)
{
	switch (result) {
	case BEGIN_WAIT:
		return SECURE_UNDER_WAY;
	case BEGIN_TLS:
		return start_session(c);
	case BEGIN_OTHER:
		return not_understood(c, TLS_WHY_CUT);
	case BEGIN_FAILED:
		break;
	}
	return server_failed(c, END_UPSTREAM_TLS);
}

enum secure_result secure_server(struct conn *c)
{
	if (!transport_is_own(c->plan.tls.transport))
		return start_session(c);
	begin_choose(c);
	return begun(c, c->plan.tls.begin == TLS_ASKED ? begin_ask(c) : BEGIN_TLS);
}

static void session_made(struct conn *c)
{
	note_facts(c, c->server_tls);
	observe_handshake(c->worker->metrics, c->plan.side, TLS_WHY_NONE);
	c->down.ready = true; /* its first bytes may have come along */
	if (!transport_is_own(c->plan.tls.transport))
		return;
	decide_tls_begun(&c->plan);
	if (c->plan.tls.begin != TLS_ASKED)
		return;
	c->pg_requests = BEGIN_REQUESTS;
	c->record.protocol = greet_name(GREET_IS_POSTGRESQL);
}

/* The handshake has failed: without a word of the server's it may be that another beginning is wanted. */
static enum secure_result session_failed(struct conn *c)
{
	enum tls_why why = tls_why(c->server_tls);
	if (c->upstream == UPSTREAM_CLEAR)
		return begun(c, begin_clear(c));
	bool silent = c->upstream == UPSTREAM_HELLO && c->plan.tls.begin == TLS_AT_ONCE;
	if (silent && (why == TLS_WHY_CUT || why == TLS_WHY_RESET))
		return not_understood(c, why);
	note_failure(c, c->server_tls);
	return server_failed(c, END_UPSTREAM_TLS);
}

enum secure_result secure_server_event(struct conn *c)
{
	if (c->upstream == UPSTREAM_ASKED)
		return begun(c, begin_answer(c));
	pass_announced_end(&c->down, c->server_tls);
	switch (tls_handshake(c->server_tls, NULL)) {
	case TLS_OK:
		session_made(c);
		return SECURE_DONE;
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		return SECURE_UNDER_WAY;
	case TLS_END: /* not of a handshake */
	case TLS_CUT:
	case TLS_RESET:
	case TLS_FAILED:
		break;
	}
	return session_failed(c);
}

void secure_server_made(struct conn *c)
{
	note_problem(c, NULL);
	c->record.tls_why = TLS_WHY_NONE;
}

void secure_server_drop(struct conn *c)
{
	if (c->server_tls)
		forget_facts(c);
	if (c->server_tls && c->down.bytes == 0)
		decide_tls_unheard(&c->plan);
	tls_free(c->server_tls);
	c->server_tls = NULL;
	ticket_give(&c->worker->tickets, c->tickets);
	c->tickets = NULL;
}
