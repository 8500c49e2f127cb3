#include "proxy/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net/sock.h"

struct flow_rest {
	size_t at, len;
	char bytes[];
};

bool flow_blocked(const struct flow *f)
{
	return f->rest || f->pipe || f->closing;
}

struct slice flow_held(const struct flow *f)
{
	const struct flow_rest *r = f->rest;
	return r ? (struct slice){&r->bytes[r->at], r->len - r->at} : (struct slice){0};
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

static enum flow_result drained(struct flow *f)
{
	f->ready = f->to_end = false;
	return FLOW_DRAINED;
}

static enum flow_result ended(struct flow *f)
{
	f->state = FLOW_ENDED;
	return FLOW_FIN;
}

/* A read gave N, which is not positive. */
static enum flow_result read_ended(struct flow *f, ssize_t n)
{
	if (n < 0 && would_block())
		return drained(f);
	return n < 0 ? FLOW_RESET : ended(f);
}

/* A read of TLS gave nothing. */
static enum flow_result tls_read_ended(struct flow *f, enum tls_result r)
{
	switch (r) {
	case TLS_OK:
	case TLS_WANT_READ:
	case TLS_WANT_WRITE: /* a read never wants that */
		return drained(f);
	case TLS_END:
		return ended(f);
	case TLS_CUT:
		return FLOW_CUT;
	case TLS_RESET:
		return FLOW_RESET;
	case TLS_FAILED:
		break;
	}
	return FLOW_BAD_TLS;
}

static enum flow_result receiver_gone(struct flow *f)
{
	f->state = FLOW_BROKEN;
	return FLOW_GONE;
}

static enum flow_result write_failed(struct flow *f)
{
	return would_block() ? FLOW_BLOCKED : receiver_gone(f);
}

static void handed_on(struct flow *f, struct relay_tools *t, size_t n)
{
	f->bytes += n;
	t->bytes += n;
}

/* What the receiver did not take goes into a block of just its size: rare, and the scratch buffer
 * stays the worker's. */
static void set_aside(struct flow *f, struct slice bytes)
{
	f->rest = mem_new(sizeof(*f->rest) + bytes.len);
	f->rest->len = bytes.len;
	memcpy(f->rest->bytes, bytes.at, bytes.len);
}

static enum flow_result send_tls(struct flow *f, struct tls *to, struct slice bytes, size_t *sent)
{
	switch (tls_write(to, bytes, sent, NULL)) {
	case TLS_OK:
	case TLS_WANT_WRITE:
		return FLOW_MORE;
	case TLS_FAILED:
		return FLOW_BAD_TLS;
	case TLS_WANT_READ: /* not of a write */
	case TLS_END:
	case TLS_CUT:
	case TLS_RESET:
		break;
	}
	return receiver_gone(f);
}

/* FLOW_MORE: TO took SENT of BYTES, perhaps none of them; fewer than all means that it is full. */
static enum flow_result send_some(struct flow *f, const struct flow_end *to, struct slice bytes,
				  size_t *sent)
{
	if (to->tls)
		return send_tls(f, to->tls, bytes, sent);
	ssize_t n = net_send(to->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
	*sent = n > 0 ? (size_t)n : 0;
	return n >= 0 || would_block() ? FLOW_MORE : receiver_gone(f);
}

/* FLOW_MORE: all of it has left. */
static enum flow_result send_rest(struct flow *f, const struct flow_end *to, struct relay_tools *t)
{
	struct flow_rest *r = f->rest;
	size_t sent;
	enum flow_result done = send_some(f, to, flow_held(f), &sent);
	if (done != FLOW_MORE)
		return done;
	handed_on(f, t, sent);
	r->at += sent;
	if (r->at < r->len)
		return FLOW_BLOCKED;
	MEM_FREE(f->rest);
	return FLOW_MORE;
}

static void count_full(struct flow *f, struct relay_tools *t, bool full)
{
	f->run = full ? (uint8_t)(f->run + 1) : 0;
	if (f->run < 2)
		return;
	f->splicing = true;
	f->run = 0;
	t->spliced++;
}

/* FLOW_MORE: N bytes stand in ROOM. */
static enum flow_result read_tls(struct flow *f, struct tls *from, char *room, size_t len,
				 size_t *n)
{
	if (f->to_end)
		tls_end_announced(from);
	enum tls_result r = tls_read(from, room, len, n, NULL);
	return r == TLS_OK ? FLOW_MORE : tls_read_ended(f, r);
}

static enum flow_result read_some(struct flow *f, const struct flow_end *from, char *room,
				  size_t len, size_t *n)
{
	if (from->tls)
		return read_tls(f, from->tls, room, len, n);
	ssize_t got = net_recv(from->fd, room, len, 0);
	if (got <= 0)
		return read_ended(f, got);
	*n = (size_t)got;
	return FLOW_MORE;
}

/* After a read of N bytes where LEN would have found room: may there be more? */
static bool more_to_read(const struct flow *f, const struct flow_end *from, size_t n, size_t len)
{
	return f->to_end || (from->tls ? tls_pending(from->tls) : n == len);
}

static enum flow_result copy_once(struct flow *f, const struct flow_end *from,
				  const struct flow_end *to, struct relay_tools *t)
{
	size_t n = 0, sent;
	enum flow_result r = read_some(f, from, t->scratch, RELAY_SCRATCH, &n);
	if (r != FLOW_MORE)
		return r;
	struct slice bytes = {t->scratch, n};
	if (f->watch && !f->watch(f, bytes))
		return FLOW_STOPPED;
	r = send_some(f, to, bytes, &sent);
	if (r != FLOW_MORE)
		return r;
	handed_on(f, t, sent);
	if (!from->tls && !to->tls)
		count_full(f, t, n == RELAY_SCRATCH);
	if (sent < n) {
		set_aside(f, slice_sub(bytes, sent, n));
		return FLOW_BLOCKED;
	}
	if (more_to_read(f, from, n, RELAY_SCRATCH))
		return FLOW_MORE;
	f->ready = false;
	return FLOW_DRAINED;
}

static void pipe_back(struct flow *f, struct relay_tools *t)
{
	pipes_give(&t->pipes, f->pipe);
	f->pipe = NULL;
}

/* Fills the pipe; FLOW_MORE: there is something in it. */
static enum flow_result splice_in(struct flow *f, int from, struct relay_tools *t)
{
	ssize_t n = splice(from, NULL, f->pipe->in, NULL, PIPE_BYTES,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n <= 0) {
		int saved = errno;
		pipe_back(f, t);
		errno = saved;
		return read_ended(f, n);
	}
	f->pipe->len = (size_t)n;
	f->run = n < RELAY_SMALL ? (uint8_t)(f->run + 1) : 0;
	return FLOW_MORE;
}

static enum flow_result splice_once(struct flow *f, int from, int to, struct relay_tools *t)
{
	if (!f->pipe && !(f->pipe = pipes_take(&t->pipes))) {
		f->splicing = false; /* no pipe to be had: two more full reads ask again */
		f->run = 0;
		return FLOW_MORE;
	}
	if (f->pipe->len == 0) {
		enum flow_result r = splice_in(f, from, t);
		if (r != FLOW_MORE)
			return r;
	}
	ssize_t n = splice(f->pipe->out, NULL, to, NULL, f->pipe->len,
			   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n < 0)
		return write_failed(f);
	handed_on(f, t, (size_t)n);
	f->pipe->len -= (size_t)n;
	if (f->pipe->len == 0 && f->run >= 2) {
		f->splicing = false; /* small traffic again */
		f->run = 0;
		pipe_back(f, t);
	}
	return FLOW_MORE;
}

enum flow_result flow_pump(struct flow *f, const struct flow_end *from, const struct flow_end *to,
			   struct relay_tools *tools)
{
	uint64_t until = f->bytes + RELAY_SHARE;
	enum flow_result r = FLOW_MORE;
	if (f->rest)
		r = send_rest(f, to, tools);
	while (r == FLOW_MORE && f->bytes < until)
		r = f->splicing ? splice_once(f, from->fd, to->fd, tools)
				: copy_once(f, from, to, tools);
	if (f->pipe && f->pipe->len == 0)
		pipe_back(f, tools);
	return r;
}

enum flow_result flow_pass_end(struct flow *f, const struct flow_end *to)
{
	f->closing = false;
	if (!to->tls) {
		/* Fails only where nobody is left, who will say so. */
		(void)shutdown(to->fd, SHUT_WR);
		return FLOW_FIN;
	}
	switch (tls_close_write(to->tls, NULL)) {
	case TLS_OK:
		return FLOW_FIN;
	case TLS_WANT_WRITE:
		f->closing = true;
		return FLOW_BLOCKED;
	case TLS_FAILED:
		return FLOW_BAD_TLS;
	case TLS_WANT_READ: /* not of a close */
	case TLS_END:
	case TLS_CUT:
	case TLS_RESET:
		break;
	}
	return receiver_gone(f);
}

enum flow_result flow_read_ahead(struct flow *f, const struct flow_end *from, size_t max,
				 struct slice *bytes)
{
	enum flow_state state = f->state;
	enum flow_result r = FLOW_MORE;
	if (!f->rest)
		f->rest = mem_new(sizeof(*f->rest) + max);
	struct flow_rest *held = f->rest;
	while (r == FLOW_MORE && held->len < max) {
		size_t n = 0;
		r = read_some(f, from, &held->bytes[held->len], max - held->len, &n);
		held->len += n;
	}
	*bytes = flow_held(f);
	if (held->len == 0) /* nothing waits */
		MEM_FREE(f->rest);
	f->state = state;
	return r;
}

void flow_fini(struct flow *f, struct relay_tools *t)
{
	MEM_FREE(f->rest);
	pipe_back(f, t);
}
