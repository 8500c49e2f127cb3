#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "grpc/server_session.h"
#include "grpc/wire.h"
#include "net/acceptor.h"
#include "net/sock.h"

enum {
	KEEPALIVE_S = 30,
	LINGER_MS = 1000, /* for the peer to take our last words */
	HELD_MAX = 64 << 20,
	COMPLAINTS_PER_S = 5,
};

struct grpc_conn {
	TAILQ_ENTRY(grpc_conn) link;
	struct grpc_server *server;
	uint64_t id; /* of its log lines */
	struct addr from;
	struct wire wire;
	struct server_session *session; /* NULL: the handshake is under way */
	uint64_t progress;              /* the session's, when the timer was set */
	struct timer timer;
	bool closing; /* it was told to go away */
};

struct grpc_server {
	struct loop *loop;
	char *name;
	struct grpc_limits limits;
	struct grpc_server_stats stats;
	struct server_shared shared;
	struct tls_context *tls;
	struct tls_worker *worker;
	struct acceptor acceptor;
	TAILQ_HEAD(, grpc_conn) conns; /* those that are open */
	size_t n_conns;                /* and those that are not yet freed */
	bool freed;                    /* goes with the last of them */
	uint64_t complaints_from;      /* the second in which */
	unsigned complaints;           /* so many were written, or not */
};

/* What an operator may act on; the counters have all of it, the log some of each second. */
static void complain(struct grpc_server *s, const struct addr *from, const char *what,
		     const char *why)
{
	char text[ADDR_TEXT];
	uint64_t now = loop_now(s->loop);
	if (now - s->complaints_from >= NS_PER_S) {
		if (s->complaints > COMPLAINTS_PER_S)
			log_info("grpc", "more of the same server=%s not_shown=%u", s->name,
				 s->complaints - COMPLAINTS_PER_S);
		s->complaints_from = now;
		s->complaints = 0;
	}
	if (s->complaints++ < COMPLAINTS_PER_S)
		log_info("grpc", "%s server=%s from=%s why=\"%s\"", what, s->name,
			 addr_text(from, text), why);
}

/* ---- a connection's end ----------------------------------------------------------------------- */

static void server_free(struct grpc_server *s)
{
	for (size_t i = 0; i < s->shared.methods.n; i++)
		free(s->shared.methods.rows[i].name);
	free(s->shared.methods.rows);
	tls_context_put(s->tls);
	tls_worker_free(s->worker);
	free(s->name);
	free(s);
}

static void on_gone(struct wire *w)
{
	struct grpc_conn *c = CONTAINER_OF(w, struct grpc_conn, wire);
	struct grpc_server *s = c->server;
	server_session_free(c->session);
	wire_fini(&c->wire); /* after the session, whose peer is the wire's */
	free(c);
	if (--s->n_conns == 0 && s->freed)
		server_free(s);
}

static void conn_end(struct grpc_conn *c, const char *why)
{
	struct grpc_server *s = c->server;
	char from[ADDR_TEXT];
	log_debug("grpc", "connection closed server=%s conn=%llu from=%s why=\"%s\"", s->name,
		  (unsigned long long)c->id, addr_text(&c->from, from), why);
	wire_close(&c->wire);
	timer_cancel(s->loop, &c->timer);
	TAILQ_REMOVE(&s->conns, c, link);
	s->stats.open--;
}

static void handshake_failed(struct grpc_conn *c, const char *why)
{
	enum tls_why reason = c->wire.tls ? tls_why(c->wire.tls) : TLS_WHY_NONE;
	c->server->stats.handshakes_failed++;
	if (reason != TLS_WHY_CUT && reason != TLS_WHY_RESET) /* probes come and go like that */
		complain(c->server, &c->from, "handshake failed", why);
	conn_end(c, why);
}

static void on_end(struct wire *w, const struct err *err)
{
	struct grpc_conn *c = CONTAINER_OF(w, struct grpc_conn, wire);
	const char *why = err ? err->text : "the peer closed it";
	if (!c->session)
		handshake_failed(c, why);
	else
		conn_end(c, why);
}

/* ---- a connection's life ---------------------------------------------------------------------- */

static void wait_at_most(struct grpc_conn *c, unsigned ms)
{
	timer_set(c->server->loop, &c->timer, ms * NS_PER_MS);
}

static void on_timer(struct timer *t)
{
	struct grpc_conn *c = CONTAINER_OF(t, struct grpc_conn, timer);
	struct grpc_server *s = c->server;
	if (c->wire.state == WIRE_FINISH) {
		conn_end(c, "the peer does not close");
		return;
	}
	if (c->closing) {
		conn_end(c, "the peer takes nothing");
		return;
	}
	if (!c->session) {
		s->stats.timeouts++;
		handshake_failed(c, "it took too long");
		return;
	}
	if (server_session_calls(c->session) > 0) {
		s->stats.timeouts++;
		complain(s, &c->from, "connection closed", "no call of it came to its end");
	}
	c->closing = true;
	server_session_go_away(c->session);
	wait_at_most(c, LINGER_MS);
	wire_flush(&c->wire);
}

static void on_open(struct wire *w)
{
	struct grpc_conn *c = CONTAINER_OF(w, struct grpc_conn, wire);
	struct grpc_server *s = c->server;
	c->session = server_session_new(&(struct server_session_config){
		.shared = &s->shared,
		.peer = w->tls ? tls_peer_of(w->tls) : NULL,
		.from = c->from,
	});
	wait_at_most(c, s->limits.idle_ms);
}

static void broken(struct grpc_conn *c, const char *why)
{
	c->server->stats.broken++;
	complain(c->server, &c->from, "HTTP/2 broken", why);
	conn_end(c, why);
}

static void on_bytes(struct wire *w, struct slice bytes)
{
	struct grpc_conn *c = CONTAINER_OF(w, struct grpc_conn, wire);
	struct err err = {0};
	bool ok = server_session_feed(c->session, bytes, &err);
	if (w->state == WIRE_CLOSED)
		return; /* a handler freed the server */
	if (!ok)
		broken(c, err.text);
}

static void fill(struct wire *w, struct buf *out)
{
	struct grpc_conn *c = CONTAINER_OF(w, struct grpc_conn, wire);
	struct err err = {0};
	if (!server_session_fill(c->session, out, &err)) {
		broken(c, err.text);
		return;
	}
	uint64_t progress = server_session_progress(c->session);
	if (progress != c->progress && !c->closing) {
		c->progress = progress;
		wait_at_most(c, c->server->limits.idle_ms);
	}
	if (!server_session_over(c->session))
		return;
	const char *fault = server_session_fault(c->session);
	if (fault) {
		c->server->stats.broken++;
		complain(c->server, &c->from, "HTTP/2 broken", fault);
	}
	wait_at_most(c, LINGER_MS);
	wire_finish(w);
}

static const struct wire_events events = {on_open, on_bytes, fill, on_end, on_gone};

static void conn_start(struct grpc_server *s, int fd, const struct addr *from)
{
	struct err err = {0};
	struct tls *tls = NULL;
	const struct tls_start start = {.fd = fd, .worker = s->worker, .alpn = "h2"};
	if (s->tls && !(tls = tls_new(s->tls, &start, &err))) {
		log_warn("grpc", "connection dropped server=%s error=\"%s\"", s->name, err.text);
		(void)close(fd); /* nothing was written to it */
		return;
	}
	struct grpc_conn *c = mem_new(sizeof(*c));
	wire_init(&c->wire, s->loop, &events);
	if (!wire_start(&c->wire, fd, tls, WIRE_HANDSHAKE, &err)) {
		log_warn("grpc", "connection dropped server=%s error=\"%s\"", s->name, err.text);
		wire_fini(&c->wire);
		free(c);
		return;
	}
	(void)net_tune(fd, KEEPALIVE_S); /* fails on a Unix socket, which needs none of it */
	c->server = s;
	c->id = ++s->stats.connections;
	c->from = *from;
	c->timer.fire = on_timer;
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	s->stats.open++;
	s->n_conns++;
	wait_at_most(c, s->limits.idle_ms);
}

/* ---- the server ------------------------------------------------------------------------------- */

/* FROM has as many connections as one source may have. Looks at all: there are few, and each of them cost
 * a handshake. */
static bool is_greedy(const struct grpc_server *s, const struct addr *from)
{
	const struct grpc_conn *c;
	unsigned n = 0;
	if (s->limits.per_source == 0 || ip_is_any(&from->ip)) /* a Unix socket's is zero */
		return false;
	TAILQ_FOREACH (c, &s->conns, link)
		n += ip_eq(&c->from.ip, &from->ip);
	return n >= s->limits.per_source;
}

static void on_conn(struct acceptor *a, int fd, const struct addr *from)
{
	struct grpc_server *s = CONTAINER_OF(a, struct grpc_server, acceptor);
	bool full = s->stats.open >= s->limits.connections;
	if (!full && !is_greedy(s, from)) {
		conn_start(s, fd, from);
		return;
	}
	s->stats.refused++;
	complain(s, from, "connection refused",
		 full ? "too many are open" : "too many are open from there");
	(void)close(fd); /* nothing was written to it */
}

bool grpc_server_listen_fd(struct grpc_server *s, int fd, struct err *err)
{
	return acceptor_add(&s->acceptor, fd, err);
}

struct grpc_server *grpc_server_new(struct loop *loop, const char *name,
				    const struct grpc_limits *limits)
{
	static const struct grpc_limits defaults = {1024, 0, 16, 64 << 10, 30000};
	const struct grpc_limits *l = limits ? limits : &defaults;
	struct grpc_server *s = mem_new(sizeof(*s));
	s->loop = loop;
	s->name = mem_strdup(name);
	s->limits.connections = l->connections ? l->connections : defaults.connections;
	s->limits.per_source = l->per_source;
	s->limits.streams = l->streams ? l->streams : defaults.streams;
	s->limits.message_bytes = l->message_bytes ? l->message_bytes : defaults.message_bytes;
	s->limits.idle_ms = l->idle_ms ? l->idle_ms : defaults.idle_ms;
	s->shared.streams = s->limits.streams;
	s->shared.message_bytes = s->limits.message_bytes;
	s->shared.held_max = HELD_MAX;
	s->worker = tls_worker_new();
	TAILQ_INIT(&s->conns);
	acceptor_init(&s->acceptor, loop, s->name, on_conn);
	return s;
}

void grpc_serve(struct grpc_server *s, const char *method, grpc_handler *handler, void *ctx)
{
	struct grpc_methods *m = &s->shared.methods;
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->rows[i].name, method) == 0) {
			m->rows[i].handler = handler;
			m->rows[i].ctx = ctx;
			return;
		}
	m->rows = mem_grow(m->rows, m->n + 1, sizeof(*m->rows));
	m->rows[m->n++] = (struct grpc_method){mem_strdup(method), handler, ctx};
}

void grpc_server_set_tls(struct grpc_server *s, struct tls_context *ctx)
{
	struct tls_context *old = s->tls;
	s->tls = ctx ? tls_context_get(ctx) : NULL;
	tls_context_put(old);
}

struct grpc_server_stats grpc_server_stats(const struct grpc_server *s)
{
	struct grpc_server_stats stats = s->stats;
	stats.calls = s->shared.calls;
	stats.errors = s->shared.errors;
	return stats;
}

void grpc_server_free(struct grpc_server *s)
{
	if (!s)
		return;
	acceptor_close(&s->acceptor);
	while (!TAILQ_EMPTY(&s->conns))
		conn_end(TAILQ_FIRST(&s->conns), "the server ends");
	s->freed = true;
	if (s->n_conns == 0)
		server_free(s);
}
