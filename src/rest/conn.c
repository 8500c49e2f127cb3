#include "rest/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http1/write.h"
#include "net/sock.h"

enum {
	READ_BYTES = 16 << 10,
	READS_PER_TURN = 16,
	LINGER_MS = 1000,
	KEEPALIVE_S = 30,
};

static void conn_process(struct rest_conn *c);
static void at_end_of_turn(struct deferred *d);

/* Ending. */

void rest_conn_flush_later(struct rest_conn *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->end_of_turn.run = at_end_of_turn;
	loop_defer(c->loop, &c->end_of_turn);
}

void rest_conn_close(struct rest_conn *c)
{
	if (c->state == REST_CONN_CLOSED)
		return;
	bool was_kept = c->state == REST_CONN_REPLY;
	c->state = REST_CONN_CLOSED;
	timer_cancel(c->loop, &c->timer);
	loop_del(c->loop, &c->io);
	(void)close(c->io.fd); /* whatever it has to say, we are done */
	TAILQ_REMOVE(&c->server->conns, c, link);
	c->server->stats.open--;
	rest_conn_flush_later(c);
	if (was_kept && c->reply.gone)
		c->reply.gone(c->reply.gone_ctx, &c->reply);
}

static void conn_free(struct rest_conn *c)
{
	buf_fini(&c->in);
	buf_fini(&c->out);
	buf_fini(&c->request.body);
	buf_fini(&c->reply.headers);
	arena_free(c->request.arena);
	free(c);
}

/* What we wait for. */

static uint32_t wanted(const struct rest_conn *c)
{
	uint32_t out = buf_len(&c->out) ? EPOLLOUT : 0;
	switch (c->state) {
	case REST_CONN_IDLE:
	case REST_CONN_HEAD:
	case REST_CONN_BODY:
		return EPOLLIN | out;
	case REST_CONN_REPLY: /* what comes behind the request waits in the kernel */
		return out | (c->half_closed ? 0 : EPOLLRDHUP);
	case REST_CONN_FLUSH:
		return out;
	case REST_CONN_LINGER:
		return EPOLLIN;
	case REST_CONN_CLOSED:
		return 0;
	}
	return 0;
}

static void watch(struct rest_conn *c)
{
	struct err err;
	uint32_t events = wanted(c);
	if (c->state == REST_CONN_CLOSED || events == c->watched)
		return;
	c->watched = events;
	if (!loop_mod(c->loop, &c->io, events, &err)) {
		log_warn(c->server->name, "connection dropped error=\"%s\"", err.text);
		rest_conn_close(c);
	}
}

static void wait_at_most(struct rest_conn *c, unsigned ms)
{
	timer_set(c->loop, &c->timer, ms * NS_PER_MS);
}

/* Answers of our own. */

static void shut(struct rest_conn *c)
{
	/* ENOTCONN: the peer is gone; reading tells. */
	(void)shutdown(c->io.fd, SHUT_WR);
	c->state = REST_CONN_LINGER;
	buf_clear(&c->in);
	wait_at_most(c, LINGER_MS);
}

static void refuse(struct rest_conn *c, unsigned status, const char *text)
{
	c->server->stats.bad_requests++;
	log_debug(c->server->name, "request refused status=%u why=\"%s\"", status, text);
	c->last = true;
	c->state = REST_CONN_REPLY;
	rest_reply_text(&c->reply, status, "%s", text);
}

static void on_timer(struct timer *t)
{
	struct rest_conn *c = CONTAINER_OF(t, struct rest_conn, timer);
	switch (c->state) {
	case REST_CONN_HEAD:
	case REST_CONN_BODY:
		c->server->stats.timeouts++;
		refuse(c, 408, "the request took too long");
		return;
	case REST_CONN_REPLY:
	case REST_CONN_FLUSH:
		c->server->stats.cut_off++;
		log_warn(c->server->name, "peer takes nothing, cut off path=\"%.*s\" backlog=%zu",
			 SLICE_FMT(c->request.req.path), buf_len(&c->out));
		rest_conn_close(c);
		return;
	case REST_CONN_IDLE:
	case REST_CONN_LINGER:
		rest_conn_close(c);
		return;
	case REST_CONN_CLOSED:
		return;
	}
}

/* Output. */

/* False: the connection is closed. */
static bool write_out(struct rest_conn *c)
{
	bool moved = false;
	while (buf_len(&c->out)) {
		struct slice s = buf_slice(&c->out);
		ssize_t n = send(c->io.fd, s.at, s.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			log_debug(c->server->name, "peer is gone error=\"%s\"", strerror(errno));
			rest_conn_close(c);
			return false;
		}
		buf_consume(&c->out, (size_t)n);
		moved = true;
	}
	if (c->state != REST_CONN_REPLY && c->state != REST_CONN_FLUSH)
		return true; /* the timer is the request's */
	if (buf_len(&c->out) == 0)
		timer_cancel(c->loop, &c->timer);
	else if (moved || !timer_is_set(&c->timer))
		wait_at_most(c, c->server->limits.write_ms);
	return true;
}

/* The answer has left: the next request, or the end. */
static void answered(struct rest_conn *c)
{
	if (c->last || c->server->draining) {
		shut(c);
		return;
	}
	c->state = REST_CONN_IDLE;
	wait_at_most(c, c->server->limits.idle_ms);
	conn_process(c);
}

static void flush(struct rest_conn *c)
{
	if (!write_out(c) || buf_len(&c->out))
		return;
	buf_fini(&c->out); /* what waits owns no buffer */
	if (c->state == REST_CONN_FLUSH)
		answered(c);
	else if (c->state == REST_CONN_REPLY && c->reply.streaming && c->reply.drained)
		c->reply.drained(c->reply.drained_ctx, &c->reply);
}

static void at_end_of_turn(struct deferred *d)
{
	struct rest_conn *c = CONTAINER_OF(d, struct rest_conn, end_of_turn);
	c->queued = false;
	if (c->state == REST_CONN_CLOSED) {
		conn_free(c);
		return;
	}
	if (c->too_slow) {
		c->server->stats.cut_off++;
		log_warn(c->server->name, "peer fell behind, cut off path=\"%.*s\" backlog=%zu",
			 SLICE_FMT(c->request.req.path), buf_len(&c->out));
		rest_conn_close(c);
		return;
	}
	flush(c);
	watch(c);
}

/* Requests. */

static void dispatch(struct rest_conn *c)
{
	struct request *r = &c->request;
	r->req.body = buf_slice(&r->body);
	c->state = REST_CONN_REPLY;
	timer_cancel(c->loop, &c->timer);
	c->server->stats.requests++;
	bool known;
	const struct route *route =
		route_find(c->server, r->req.method, r->req.path, &r->req.rest, &known);
	if (!route) {
		rest_reply_text(&c->reply, known ? 405 : 404,
				known ? "method not allowed here" : "no such path");
		return;
	}
	route->handler(route->ctx, &r->req, &c->reply);
	/* Who keeps a reply must hear that its peer has gone, or would touch freed memory. */
	MUST(c->state != REST_CONN_REPLY || c->reply.gone);
}

static void begin_request(struct rest_conn *c)
{
	struct request *r = &c->request;
	arena_free(r->arena);
	r->arena = NULL;
	buf_fini(&r->body);
	buf_init(&r->body, c->server->limits.body_bytes);
	r->req = (struct rest_request){.from_loopback = c->from_loopback};
	buf_fini(&c->reply.headers);
	c->reply = (struct rest_reply){0};
	buf_init(&c->reply.headers, 64 << 10);
	http1_head_init(&r->head, HTTP1_REQUEST, r->fields, REST_MAX_FIELDS,
			c->server->limits.head_bytes);
	c->state = REST_CONN_HEAD;
	wait_at_most(c, c->server->limits.request_ms);
}

/* The head is whole: moves it to the request's arena, where it stays while the body comes. */
static void head_done(struct rest_conn *c)
{
	struct request *r = &c->request;
	r->arena = arena_new();
	struct slice head = slice_sub(buf_slice(&c->in), 0, r->head.len);
	struct slice kept = arena_dup_slice(r->arena, head);
	http1_head_init(&r->head, HTTP1_REQUEST, r->fields, REST_MAX_FIELDS, kept.len);
	MUST(http1_head_parse(&r->head, kept) == HTTP1_DONE); /* as it did a moment ago */
	buf_consume(&c->in, kept.len);
	c->last = !http1_keeps_alive(&r->head) || r->head.minor == 0 || c->server->draining;
	c->reply.no_body = slice_is(r->head.method, "HEAD");
	c->reply.chunked = r->head.minor == 1;
	http1_body_init(&c->body, http1_request_framing(&r->head), r->head.content_length, NULL);
	c->state = REST_CONN_BODY;
	if (!request_target(r)) {
		refuse(c, 400, "malformed path");
	} else if (r->head.has_length && r->head.content_length > c->server->limits.body_bytes) {
		refuse(c, 413, "the body is too large");
	} else if (r->head.expect_continue && c->body.framing != HTTP1_NO_BODY &&
		   buf_len(&c->in) == 0) {
		(void)buf_puts(&c->out, "HTTP/1.1 100 Continue\r\n\r\n"); /* out is unbounded */
		rest_conn_flush_later(c);
	}
}

/* True: the state has changed. */
static bool body_step(struct rest_conn *c)
{
	struct slice in = buf_slice(&c->in), piece;
	enum http1_verdict v;
	bool fits = true;
	do {
		v = http1_body_next(&c->body, &in, &piece);
		fits = buf_append(&c->request.body, piece);
	} while (v == HTTP1_MORE && in.len && fits);
	buf_consume(&c->in, buf_len(&c->in) - in.len);
	if (!fits)
		refuse(c, 413, "the body is too large");
	else if (v == HTTP1_BAD)
		refuse(c, http1_bad_status(c->body.bad), http1_bad_text(c->body.bad));
	else if (v == HTTP1_DONE)
		dispatch(c);
	return c->state != REST_CONN_BODY;
}

static bool head_step(struct rest_conn *c)
{
	switch (http1_head_parse(&c->request.head, buf_slice(&c->in))) {
	case HTTP1_MORE:
		return false;
	case HTTP1_BAD:
		refuse(c, http1_bad_status(c->request.head.bad),
		       http1_bad_text(c->request.head.bad));
		return true;
	case HTTP1_DONE:
		head_done(c);
		return true;
	}
	return false;
}

/* Goes on with what has been read, up to one handed-out request. */
static void conn_process(struct rest_conn *c)
{
	bool go_on = true;
	while (go_on) {
		switch (c->state) {
		case REST_CONN_IDLE:
			if ((go_on = buf_len(&c->in) > 0))
				begin_request(c);
			else
				buf_fini(&c->in); /* an idle connection owns no buffer */
			break;
		case REST_CONN_HEAD:
			go_on = head_step(c);
			break;
		case REST_CONN_BODY:
			go_on = body_step(c);
			break;
		case REST_CONN_REPLY:
			if (buf_len(&c->in) == 0)
				buf_fini(&c->in); /* a watcher that waits owns none either */
			return;
		case REST_CONN_FLUSH:
		case REST_CONN_LINGER:
		case REST_CONN_CLOSED:
			return;
		}
	}
	if (c->eof)
		rest_conn_close(c); /* between requests, or inside one that nobody can finish */
}

static void read_in(struct rest_conn *c)
{
	for (int i = 0; i < READS_PER_TURN && wanted(c) & EPOLLIN; i++) {
		size_t room;
		char *at = buf_reserve(&c->in, READ_BYTES, &room);
		if (!at)
			return; /* cannot be: a head or body step empties it or gives up */
		ssize_t n = recv(c->io.fd, at, room, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			rest_conn_close(c);
			return;
		}
		c->eof = n == 0;
		if (c->state == REST_CONN_LINGER) {
			if (c->eof)
				rest_conn_close(c);
			continue;
		}
		buf_commit(&c->in, (size_t)n);
		conn_process(c);
	}
}

static void on_ready(struct io *io, uint32_t events)
{
	struct rest_conn *c = CONTAINER_OF(io, struct rest_conn, io);
	if (c->state == REST_CONN_REPLY || c->state == REST_CONN_FLUSH) {
		/* RDHUP alone may be a peer that is done asking and waits for its answer; but
		 * nobody half-closes a stream that it wants to go on reading. */
		if (events & EPOLLRDHUP)
			c->half_closed = true;
		if (events & (EPOLLHUP | EPOLLERR) || (c->half_closed && c->reply.streaming)) {
			rest_conn_close(c);
			return;
		}
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_in(c);
	if (c->state != REST_CONN_CLOSED && events & EPOLLOUT)
		flush(c);
	watch(c);
}

void rest_conn_start(struct rest_server *s, int fd)
{
	struct err err;
	struct addr peer;
	struct rest_conn *c = mem_new(sizeof(*c));
	c->from_loopback = net_peer_addr(fd, &peer) && ip_is_loopback(&peer.ip);
	c->server = s;
	c->loop = s->loop;
	c->io = (struct io){fd, on_ready};
	c->timer.fire = on_timer;
	c->state = REST_CONN_IDLE;
	c->watched = EPOLLIN;
	if (!loop_add(s->loop, &c->io, c->watched, &err)) {
		log_warn(s->name, "connection dropped error=\"%s\"", err.text);
		(void)close(fd); /* nothing was written to it */
		free(c);
		return;
	}
	(void)net_tune(fd, KEEPALIVE_S); /* fails on a Unix socket, which needs none of it */
	buf_init(&c->in, s->limits.head_bytes + (size_t)READ_BYTES * 2);
	buf_init(&c->out, SIZE_MAX / 4); /* bounded by rest_stream_write() and by the handlers */
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	s->stats.connections++;
	s->stats.open++;
	wait_at_most(c, s->limits.idle_ms);
}
