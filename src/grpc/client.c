#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "grpc/client_session.h"
#include "grpc/text.h"
#include "grpc/wire.h"
#include "net/sock.h"

enum {
	DEFAULT_TIMEOUT_MS = 10000,
};

struct grpc_call {
	struct loop *loop;
	struct addr to;
	unsigned timeout_ms;
	grpc_end *on_end;
	void *ctx;
	struct wire wire;
	struct tls_worker *worker;
	struct client_session *session;
	struct err failed; /* before it began: the timer tells, for nothing calls back from start */
	struct timer timer;
	uint64_t deadline_ns;
	bool settled; /* the session is over; the timer tells */
};

/* ---- the end ---------------------------------------------------------------------------------- */

static void on_gone(struct wire *w)
{
	struct grpc_call *c = CONTAINER_OF(w, struct grpc_call, wire);
	client_session_free(c->session);
	wire_fini(&c->wire);
	tls_worker_free(c->worker);
	free(c);
}

void grpc_call_cancel(struct grpc_call *c)
{
	if (!c)
		return;
	timer_cancel(c->loop, &c->timer);
	wire_close(&c->wire);
}

static void finish(struct grpc_call *c, const struct grpc_answer *answer)
{
	grpc_end *on_end = c->on_end;
	void *ctx = c->ctx;
	grpc_call_cancel(c);
	on_end(ctx, answer); /* borrows from the session, which lives to the end of the turn */
}

static void fail(struct grpc_call *c, enum grpc_status status, const char *what)
{
	char to[ADDR_TEXT];
	struct err err;
	(void)err_set(&err, ERR_NOT_NOW, "%s: %s", addr_text(&c->to, to), what); /* the answer's */
	finish(c, &(struct grpc_answer){.status = status, .text = err.text});
}

static void too_late(struct grpc_call *c)
{
	static const char *const what[] = {
		[WIRE_CONNECT] = "no connection", [WIRE_HANDSHAKE] = "no TLS handshake",
		[WIRE_OPEN] = "no answer",        [WIRE_FINISH] = "no answer",
		[WIRE_CLOSED] = "no answer",
	};
	char text[64];
	(void)snprintf(text, sizeof(text), "%s within %u ms", what[c->wire.state], c->timeout_ms);
	fail(c, GRPC_DEADLINE_EXCEEDED, text);
}

static void tell_answer(struct grpc_call *c)
{
	struct grpc_answer answer;
	client_session_answer(c->session, &answer);
	/* The server knows our deadline, and may have seen it pass before we did. */
	if (answer.status == GRPC_CANCELLED && loop_now(c->loop) >= c->deadline_ns)
		too_late(c);
	else
		finish(c, &answer);
}

static void on_timer(struct timer *t)
{
	struct grpc_call *c = CONTAINER_OF(t, struct grpc_call, timer);
	if (client_session_over(c->session))
		tell_answer(c);
	else if (c->failed.kind != ERR_NONE)
		finish(c,
		       &(struct grpc_answer){.status = GRPC_UNAVAILABLE, .text = c->failed.text});
	else
		too_late(c);
}

/* ---- what the wire tells ---------------------------------------------------------------------- */

static void on_open(struct wire *w)
{
	struct grpc_call *c = CONTAINER_OF(w, struct grpc_call, wire);
	struct tls_facts facts;
	if (!w->tls)
		return;
	tls_facts_of(w->tls, &facts);
	if (!slice_is(facts.alpn, "h2"))
		fail(c, GRPC_UNAVAILABLE, "the server chose no HTTP/2 (ALPN h2)");
}

/* The answer is here. The timer tells it, in this turn, when our GOAWAY has left; the server's end
 * of the connection is not waited for. */
static void settle(struct grpc_call *c)
{
	if (c->settled)
		return;
	c->settled = true;
	client_session_go_away(c->session);
	timer_set(c->loop, &c->timer, 0);
}

static void on_bytes(struct wire *w, struct slice bytes)
{
	struct grpc_call *c = CONTAINER_OF(w, struct grpc_call, wire);
	struct err err = {0};
	bool ok = client_session_feed(c->session, bytes, &err);
	if (client_session_over(c->session))
		settle(c);
	else if (!ok)
		fail(c, GRPC_UNAVAILABLE, err.text);
}

static void fill(struct wire *w, struct buf *out)
{
	struct grpc_call *c = CONTAINER_OF(w, struct grpc_call, wire);
	struct err err = {0};
	bool ok = client_session_fill(c->session, out, &err);
	if (client_session_over(c->session)) {
		settle(c);
		wire_finish(w);
	} else if (!ok) {
		fail(c, GRPC_UNAVAILABLE, err.text);
	}
}

static void on_wire_end(struct wire *w, const struct err *err)
{
	struct grpc_call *c = CONTAINER_OF(w, struct grpc_call, wire);
	if (!client_session_over(c->session)) /* else it is about to be told */
		fail(c, GRPC_UNAVAILABLE,
		     err ? err->text : "the server closed the connection without an answer");
}

static const struct wire_events events = {on_open, on_bytes, fill, on_wire_end, on_gone};

/* ---- the call --------------------------------------------------------------------------------- */

/* ERR_BAD_INPUT: what was asked is wrong. Any other failure: the way there is. */
static bool dial(struct grpc_call *c, const struct grpc_ask *ask, struct err *err)
{
	struct tls *tls = NULL;
	int fd = net_connect(&ask->to, NULL, err);
	if (fd < 0)
		return false;
	(void)net_tune(fd, 0); /* a call without it is as good, only slower */
	if (ask->tls) {
		c->worker = tls_worker_new();
		tls = tls_new(ask->tls,
			      &(struct tls_start){.fd = fd,
						  .worker = c->worker,
						  .alpn = "h2",
						  .sni = ask->host,
						  .host = ask->host},
			      err);
		if (!tls) {
			(void)close(fd); /* nothing was written to it */
			return false;
		}
	}
	return wire_start(&c->wire, fd, tls, WIRE_CONNECT, err);
}

struct grpc_call *grpc_call_start(struct loop *loop, const struct grpc_ask *ask, grpc_end *on_end,
				  void *ctx, struct err *err)
{
	struct grpc_ask whole = *ask;
	if (!whole.timeout_ms)
		whole.timeout_ms = DEFAULT_TIMEOUT_MS;
	struct client_session *session = client_session_new(&whole, err);
	if (!session)
		return NULL;
	struct grpc_call *c = mem_new(sizeof(*c));
	c->loop = loop;
	c->to = whole.to;
	c->timeout_ms = whole.timeout_ms;
	c->deadline_ns = loop_now(loop) + c->timeout_ms * NS_PER_MS;
	c->on_end = on_end;
	c->ctx = ctx;
	c->session = session;
	wire_init(&c->wire, loop, &events);
	c->timer.fire = on_timer;
	if (dial(c, &whole, &c->failed)) {
		timer_set(loop, &c->timer, c->timeout_ms * NS_PER_MS);
		return c;
	}
	if (c->failed.kind != ERR_BAD_INPUT) {
		timer_set(loop, &c->timer, 0);
		return c;
	}
	*err = c->failed;
	on_gone(&c->wire);
	return NULL;
}
