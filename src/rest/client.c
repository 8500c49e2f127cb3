#include "rest/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http1/body.h"
#include "http1/write.h"
#include "net/sock.h"
#include "rest/base_url.h"

enum {
	HEAD_BYTES = 64 << 10,
	READ_BYTES = 64 << 10,
	READS_PER_TURN = 16,
	MAX_FIELDS = 100,
	DEFAULT_TIMEOUT_MS = 30000,
	MAX_METHOD = 16,
};

enum client_state {
	CLIENT_DOWN,    /* no connection */
	CLIENT_IDLE,    /* connected, nothing asked */
	CLIENT_DIALING, /* the rest: a request is running */
	CLIENT_HEAD,
	CLIENT_BODY,
	CLIENT_FAILED, /* before it began; the timer tells, for nothing calls back from send() */
	CLIENT_FREED,
};

struct rest_client {
	struct loop *loop;
	struct base_url to;
	bool can_dial;
	enum client_state state;
	struct io io; /* fd -1: none */
	uint32_t watched;
	struct timer timer;
	struct deferred end_of_turn;

	/* The request that runs. Each callback may end it and begin another: SERIAL tells. */
	uint64_t serial;
	char method[MAX_METHOD];
	unsigned idle_ms;
	bool reused;        /* on a kept connection: the server may just have closed it */
	bool resend;        /* may be sent twice, RFC 9110 9.2.2 */
	struct buf request; /* as it goes out; kept for sending again */
	size_t sent;
	const struct rest_events *events;
	void *ctx;
	struct err err; /* of FAILED */

	struct buf in;
	struct http1_head head;
	struct http1_field fields[MAX_FIELDS];
	struct http1_body body;
};

static void on_ready(struct io *io, uint32_t events);
static void on_timer(struct timer *t);

static struct rest_client *client_new(struct loop *loop)
{
	struct rest_client *c = mem_new(sizeof(*c));
	c->loop = loop;
	c->io = (struct io){-1, on_ready};
	c->timer.fire = on_timer;
	buf_init(&c->request, SIZE_MAX / 4); /* the caller's own body */
	buf_init(&c->in, HEAD_BYTES + READ_BYTES);
	return c;
}

struct rest_client *rest_client_new(struct loop *loop, const char *base, struct err *err)
{
	struct base_url to;
	if (!base_url_parse(base, &to, err))
		return NULL;
	struct rest_client *c = client_new(loop);
	c->to = to;
	c->can_dial = true;
	return c;
}

/* Takes FD into the loop. False: FD is closed. */
static bool attach(struct rest_client *c, int fd, uint32_t events, struct err *err)
{
	c->io.fd = fd;
	c->watched = events;
	if (loop_add(c->loop, &c->io, events, err))
		return true;
	(void)close(fd); /* nothing was written to it */
	c->io.fd = -1;
	return false;
}

struct rest_client *rest_client_new_fd(struct loop *loop, int fd)
{
	struct err err;
	struct rest_client *c = client_new(loop);
	memcpy(c->to.host, "localhost", sizeof("localhost"));
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		(void)close(fd); /* no descriptor of a socket: the first request says so */
	else if (attach(c, fd, EPOLLIN, &err))
		c->state = CLIENT_IDLE;
	return c;
}

static void hang_up(struct rest_client *c)
{
	timer_cancel(c->loop, &c->timer);
	if (c->io.fd >= 0) {
		loop_del(c->loop, &c->io);
		(void)close(c->io.fd); /* nobody waits for what it has to say */
		c->io.fd = -1;
	}
	buf_fini(&c->in);
	if (c->state != CLIENT_FREED)
		c->state = CLIENT_DOWN;
}

void rest_client_cancel(struct rest_client *c)
{
	c->serial++;
	c->events = NULL;
	hang_up(c);
}

static void free_client(struct deferred *d)
{
	free(CONTAINER_OF(d, struct rest_client, end_of_turn));
}

void rest_client_free(struct rest_client *c)
{
	if (!c)
		return;
	rest_client_cancel(c);
	c->state = CLIENT_FREED;
	buf_fini(&c->request);
	c->end_of_turn.run = free_client; /* the caller may be one of our callbacks */
	loop_defer(c->loop, &c->end_of_turn);
}

bool rest_client_busy(const struct rest_client *c)
{
	return c->state >= CLIENT_DIALING && c->state <= CLIENT_FAILED;
}

/* The request is over; nothing touches C after this. */
static void finish(struct rest_client *c, const struct err *err)
{
	const struct rest_events *events = c->events;
	bool keep = !err && http1_keeps_alive(&c->head) && buf_len(&c->in) == 0 &&
		    c->sent == buf_len(&c->request) && c->body.framing != HTTP1_UNTIL_CLOSE &&
		    c->body.framing != HTTP1_TUNNEL;
	c->serial++;
	c->events = NULL;
	timer_cancel(c->loop, &c->timer);
	if (keep)
		c->state = CLIENT_IDLE;
	else
		hang_up(c);
	if (events->on_end)
		events->on_end(c->ctx, err);
}

static void fail(struct rest_client *c, enum err_kind kind, const char *text)
{
	struct err err = {0};
	(void)err_set(&err, kind, "%s", text);
	finish(c, &err);
}

static void fail_sys(struct rest_client *c, const char *what)
{
	struct err err = {0};
	(void)err_sys(&err, "%s", what);
	finish(c, &err);
}

static void watch(struct rest_client *c)
{
	struct err err;
	uint32_t events = c->state == CLIENT_DIALING ? EPOLLOUT
			  : rest_client_busy(c) && c->sent < buf_len(&c->request)
				  ? EPOLLIN | EPOLLOUT
				  : EPOLLIN;
	if (c->io.fd < 0 || events == c->watched)
		return;
	c->watched = events;
	if (!loop_mod(c->loop, &c->io, events, &err))
		fail(c, ERR_SYS, err.text);
}

/* Begins on a new connection. False: ERR says why not. */
static bool dial(struct rest_client *c, struct err *err)
{
	if (!c->can_dial)
		return err_set(err, ERR_NOT_NOW, "the connection is closed");
	int fd = base_url_dial(&c->to, err);
	if (fd < 0 || !attach(c, fd, EPOLLOUT, err))
		return false;
	c->state = CLIENT_DIALING;
	c->reused = false;
	return true;
}

static void begin_head(struct rest_client *c)
{
	c->state = CLIENT_HEAD;
	http1_head_init(&c->head, HTTP1_RESPONSE, c->fields, MAX_FIELDS, HEAD_BYTES);
}

static bool write_request(struct rest_client *c, const struct rest_ask *ask)
{
	struct buf *to = &c->request;
	buf_clear(to);
	bool ok = http1_write_request(to, slice_of(c->method), slice_of(ask->path), 1) &&
		  http1_write_field(to, SLICE("Host"), slice_of(c->to.host)) &&
		  http1_write_field(to, SLICE("User-Agent"), SLICE("hark"));
	if (ask->accept)
		ok = ok && http1_write_field(to, SLICE("Accept"), slice_of(ask->accept));
	if (ask->body.len || ask->content_type || strcmp(c->method, "POST") == 0) {
		char length[32];
		int n = snprintf(length, sizeof(length), "%zu", ask->body.len);
		const char *type = ask->content_type ? ask->content_type : "application/json";
		ok = ok && http1_write_field(to, SLICE("Content-Type"), slice_of(type)) &&
		     http1_write_field(to, SLICE("Content-Length"),
				       (struct slice){length, (size_t)n});
	}
	return ok && http1_write_end(to) && buf_append(to, ask->body);
}

static void send_some(struct rest_client *c)
{
	struct slice all = buf_slice(&c->request);
	while (c->sent < all.len) {
		struct slice rest = slice_sub(all, c->sent, all.len);
		ssize_t n = send(c->io.fd, rest.at, rest.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) /* full; or broken, and then reading tells: an answer may be there */
			return;
		c->sent += (size_t)n;
	}
}

void rest_client_send(struct rest_client *c, const struct rest_ask *ask,
		      const struct rest_events *events, void *ctx)
{
	MUST(!rest_client_busy(c) && c->state != CLIENT_FREED);
	const char *method = ask->method ? ask->method : "GET";
	MUST(strlen(method) < MAX_METHOD);
	memcpy(c->method, method, strlen(method) + 1);
	c->serial++;
	c->events = events;
	c->ctx = ctx;
	c->sent = 0;
	c->idle_ms = ask->idle_ms;
	c->resend = strcmp(method, "POST") != 0 && strcmp(method, "PATCH") != 0;
	c->reused = c->state == CLIENT_IDLE;
	c->err = (struct err){0};
	unsigned timeout = ask->timeout_ms ? ask->timeout_ms : DEFAULT_TIMEOUT_MS;
	bool ok = write_request(c, ask) ||
		  err_set(&c->err, ERR_BAD_INPUT, "not a path: %s", ask->path);
	if (ok && c->state == CLIENT_IDLE) {
		begin_head(c);
		send_some(c);
	} else if (ok) {
		ok = dial(c, &c->err);
	}
	if (!ok) {
		c->state = CLIENT_FAILED;
		timeout = 0;
	}
	timer_set(c->loop, &c->timer, timeout * NS_PER_MS);
	watch(c);
}

static void on_timer(struct timer *t)
{
	struct rest_client *c = CONTAINER_OF(t, struct rest_client, timer);
	if (c->state == CLIENT_FAILED) {
		struct err err = c->err;
		finish(c, &err);
	} else {
		fail(c, ERR_SYS,
		     c->state == CLIENT_DIALING ? "timed out connecting"
		     : c->state == CLIENT_HEAD  ? "timed out waiting for the response"
						: "timed out inside the response");
	}
}

static void on_dialed(struct rest_client *c)
{
	int failed = net_connect_result(c->io.fd);
	if (failed) {
		errno = failed;
		char what[ADDR_TEXT + 16];
		(void)snprintf(what, sizeof(what), "connect %s", c->to.host); /* fits */
		fail_sys(c, what);
		return;
	}
	(void)net_tune(c->io.fd, 30); /* fails on a Unix socket, which needs none of it */
	begin_head(c);
	send_some(c); /* what is left goes with EPOLLOUT */
}

/* The peer closed, or the connection broke with ERRNO (0: it closed). */
static void on_closed(struct rest_client *c, int error)
{
	if (c->state == CLIENT_HEAD && c->reused && c->resend && buf_len(&c->in) == 0) {
		/* A kept connection that the server closed while our request was under way. */
		struct err err = {0};
		struct timer kept = c->timer;
		hang_up(c);
		c->sent = 0;
		if (!dial(c, &err))
			finish(c, &err);
		else if (kept.at_ns > clock_ns())
			timer_set(c->loop, &c->timer, kept.at_ns - clock_ns());
		else
			timer_set(c->loop, &c->timer, 0);
		return;
	}
	if (error) {
		errno = error;
		fail_sys(c, c->state == CLIENT_HEAD ? "waiting for the response"
						    : "inside the response");
	} else if (c->state == CLIENT_HEAD) {
		fail(c, ERR_SYS, "the server closed without a response");
	} else if (http1_body_eof(&c->body) == HTTP1_DONE) {
		finish(c, NULL);
	} else {
		fail(c, ERR_SYS, "the server closed inside the response");
	}
}

static void tell_head(struct rest_client *c)
{
	const struct http1_field *type = http1_find(&c->head, "Content-Type");
	const struct http1_field *retry = http1_find(&c->head, "Retry-After");
	struct rest_response res = {.status = c->head.status};
	uint64_t seconds;
	if (type)
		res.content_type = type->value;
	if (retry && slice_to_u64(retry->value, 3600, &seconds))
		res.retry_after_ms = seconds * 1000;
	if (c->events->on_head)
		c->events->on_head(c->ctx, &res);
}

/* True: the head is whole and the request still runs. */
static bool head_step(struct rest_client *c)
{
	uint64_t serial = c->serial;
	for (;;) {
		enum http1_verdict v = http1_head_parse(&c->head, buf_slice(&c->in));
		if (v == HTTP1_MORE)
			return false;
		if (v == HTTP1_BAD) {
			fail(c, ERR_BAD_INPUT, http1_bad_text(c->head.bad));
			return false;
		}
		if (c->head.status / 100 != 1 || c->head.status == 101)
			break;
		buf_consume(&c->in, c->head.len); /* interim response, RFC 9110 15.2 */
		begin_head(c);
	}
	size_t len = c->head.len;
	c->state = CLIENT_BODY;
	http1_body_init(&c->body, http1_response_framing(&c->head, slice_of(c->method)),
			c->head.content_length, NULL);
	timer_cancel(c->loop, &c->timer);
	tell_head(c);
	if (c->serial != serial)
		return false;
	buf_consume(&c->in, len);
	return true;
}

static void body_step(struct rest_client *c)
{
	uint64_t serial = c->serial;
	enum http1_verdict v;
	if (c->idle_ms)
		timer_set(c->loop, &c->timer, c->idle_ms * NS_PER_MS);
	do {
		struct slice in = buf_slice(&c->in), piece;
		size_t before = in.len;
		v = http1_body_next(&c->body, &in, &piece);
		if (piece.len && c->events->on_body) {
			c->events->on_body(c->ctx, piece);
			if (c->serial != serial)
				return;
		}
		buf_consume(&c->in, before - in.len);
	} while (v == HTTP1_MORE && buf_len(&c->in));
	if (v == HTTP1_BAD)
		fail(c, ERR_BAD_INPUT, http1_bad_text(c->body.bad));
	else if (v == HTTP1_DONE)
		finish(c, NULL);
}

static void read_some(struct rest_client *c)
{
	uint64_t serial = c->serial;
	for (int i = 0; i < READS_PER_TURN && c->serial == serial; i++) {
		size_t room;
		char *at = buf_reserve(&c->in, READ_BYTES / 4, &room);
		if (!at) { /* more than a head may have */
			fail(c, ERR_LIMIT, "the head of the response is too large");
			return;
		}
		ssize_t n = recv(c->io.fd, at, room, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (buf_len(&c->in) == 0)
				buf_fini(&c->in); /* a watch that waits owns no buffer */
			return;
		}
		if (n <= 0) {
			on_closed(c, n < 0 ? errno : 0);
			return;
		}
		buf_commit(&c->in, (size_t)n);
		if (c->state == CLIENT_BODY || head_step(c))
			body_step(c);
	}
}

static void on_ready(struct io *io, uint32_t events)
{
	struct rest_client *c = CONTAINER_OF(io, struct rest_client, io);
	uint64_t serial = c->serial;
	switch (c->state) {
	case CLIENT_DIALING:
		on_dialed(c);
		break;
	case CLIENT_HEAD:
	case CLIENT_BODY:
		if (events & EPOLLOUT)
			send_some(c); /* errors show when reading */
		if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
			read_some(c);
		break;
	case CLIENT_IDLE: /* closed by the server, or speaks unasked */
		hang_up(c);
		break;
	case CLIENT_DOWN:
	case CLIENT_FAILED:
	case CLIENT_FREED:
		break;
	}
	if (c->serial == serial)
		watch(c);
}
