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
	return f->rest || f->pipe;
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EINTR;
}

/* A read gave N, which is not positive. */
static enum flow_result read_ended(struct flow *f, ssize_t n)
{
	if (n < 0 && would_block()) {
		f->ready = f->to_end = false;
		return FLOW_DRAINED;
	}
	if (n < 0)
		return FLOW_RESET;
	f->state = FLOW_ENDED;
	return FLOW_FIN;
}

static enum flow_result write_failed(struct flow *f)
{
	if (would_block())
		return FLOW_BLOCKED;
	f->state = FLOW_BROKEN;
	return FLOW_GONE;
}

static void handed_on(struct flow *f, struct relay_tools *t, ssize_t n)
{
	f->bytes += (size_t)n;
	t->bytes += (size_t)n;
}

/* What the receiver did not take goes into a block of just its size: rare, and the scratch buffer
 * stays the worker's. */
static void set_aside(struct flow *f, const char *bytes, size_t len)
{
	f->rest = mem_new(sizeof(*f->rest) + len);
	f->rest->len = len;
	memcpy(f->rest->bytes, bytes, len);
}

/* FLOW_MORE: all of it has left. */
static enum flow_result send_rest(struct flow *f, int to, struct relay_tools *t)
{
	struct flow_rest *r = f->rest;
	ssize_t n = net_send(to, &r->bytes[r->at], r->len - r->at, MSG_NOSIGNAL);
	if (n < 0)
		return write_failed(f);
	handed_on(f, t, n);
	r->at += (size_t)n;
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

static enum flow_result copy_once(struct flow *f, int from, int to, struct relay_tools *t)
{
	ssize_t n = net_recv(from, t->scratch, RELAY_SCRATCH, 0);
	if (n <= 0)
		return read_ended(f, n);
	if (f->watch && !f->watch(f, (struct slice){t->scratch, (size_t)n}))
		return FLOW_STOPPED;
	ssize_t sent = net_send(to, t->scratch, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0 && !would_block())
		return write_failed(f);
	if (sent > 0)
		handed_on(f, t, sent);
	bool full = n == RELAY_SCRATCH;
	count_full(f, t, full);
	if (sent < n) {
		size_t left = sent > 0 ? (size_t)sent : 0;
		set_aside(f, &t->scratch[left], (size_t)n - left);
		return FLOW_BLOCKED;
	}
	if (full || f->to_end)
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
	handed_on(f, t, n);
	f->pipe->len -= (size_t)n;
	if (f->pipe->len == 0 && f->run >= 2) {
		f->splicing = false; /* small traffic again */
		f->run = 0;
		pipe_back(f, t);
	}
	return FLOW_MORE;
}

enum flow_result flow_pump(struct flow *f, int from, int to, struct relay_tools *tools)
{
	uint64_t until = f->bytes + RELAY_SHARE;
	enum flow_result r = FLOW_MORE;
	if (f->rest)
		r = send_rest(f, to, tools);
	while (r == FLOW_MORE && f->bytes < until)
		r = f->splicing ? splice_once(f, from, to, tools) : copy_once(f, from, to, tools);
	if (f->pipe && f->pipe->len == 0)
		pipe_back(f, tools);
	return r;
}

void flow_fini(struct flow *f, struct relay_tools *t)
{
	MEM_FREE(f->rest);
	pipe_back(f, t);
}
