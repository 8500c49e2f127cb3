#include "grpc/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "grpc/h2.h"
#include "net/sock.h"

enum {
	READ_BYTES = 16 << 10,
	READS_PER_TURN = 16,
};

static void advance(struct wire *w, bool readable);

/* ---- ending ----------------------------------------------------------------------------------- */

static void at_end_of_turn(struct deferred *d)
{
	struct wire *w = CONTAINER_OF(d, struct wire, late);
	w->queued = false;
	if (w->state == WIRE_CLOSED)
		w->events->on_gone(w);
	else
		advance(w, true);
}

static void later(struct wire *w)
{
	if (w->queued)
		return;
	w->queued = true;
	w->late.run = at_end_of_turn;
	loop_defer(w->loop, &w->late);
}

void wire_close(struct wire *w)
{
	if (w->state == WIRE_CLOSED)
		return;
	w->state = WIRE_CLOSED;
	if (w->io.fd >= 0) {
		loop_del(w->loop, &w->io);
		(void)close(w->io.fd); /* whatever it has to say, we are done */
	}
	later(w);
}

void wire_fini(struct wire *w)
{
	tls_free(w->tls);
	w->tls = NULL;
	if (w->out.bytes)
		explicit_bzero(w->out.bytes, w->out.size); /* a token may have passed */
	buf_fini(&w->out);
}

static void end(struct wire *w, const struct err *err)
{
	if (w->state == WIRE_CLOSED)
		return;
	wire_close(w);
	w->events->on_end(w, err);
}

static void end_sys(struct wire *w, const char *what)
{
	struct err err = {0};
	(void)err_sys(&err, "%s", what);
	end(w, &err);
}

/* ---- bytes out -------------------------------------------------------------------------------- */

/* As tls_write(), over either kind. */
static enum tls_result write_some(struct wire *w, struct slice bytes, size_t *n, struct err *err)
{
	if (w->tls)
		return tls_write(w->tls, bytes, n, err);
	ssize_t sent;
	do
		sent = send(w->io.fd, bytes.at, bytes.len, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	*n = sent > 0 ? (size_t)sent : 0;
	if (sent >= 0)
		return TLS_OK;
	if (errno == EAGAIN)
		return TLS_WANT_WRITE;
	(void)err_sys(err, "send");
	return TLS_RESET;
}

static void shut_write(struct wire *w)
{
	struct err err = {0};
	if (w->shut)
		return;
	switch (w->tls ? tls_close_write(w->tls, &err) : TLS_OK) {
	case TLS_OK:
		if (!w->tls)
			(void)shutdown(w->io.fd, SHUT_WR); /* fails where the peer is gone */
		w->shut = true;
		return;
	case TLS_WANT_WRITE:
		w->blocked = true;
		return;
	default:
		end(w, &err);
	}
}

/* Until there is nothing to say, or the socket takes no more. */
static void write_out(struct wire *w)
{
	struct err err = {0};
	w->blocked = false;
	while (w->state == WIRE_OPEN || w->state == WIRE_FINISH) {
		if (w->state == WIRE_OPEN)
			w->events->fill(w, &w->out); /* may change the state */
		if (w->state == WIRE_CLOSED)
			return;
		if (buf_len(&w->out) == 0)
			break;
		size_t n = 0;
		enum tls_result r = write_some(w, buf_slice(&w->out), &n, &err);
		buf_consume(&w->out, n);
		if (r == TLS_WANT_WRITE) {
			w->blocked = true;
			return;
		}
		if (r != TLS_OK) {
			end(w, &err);
			return;
		}
	}
	if (w->state == WIRE_FINISH)
		shut_write(w);
}

/* ---- bytes in --------------------------------------------------------------------------------- */

static enum tls_result read_some(struct wire *w, char *room, size_t len, size_t *n, struct err *err)
{
	if (w->tls)
		return tls_read(w->tls, room, len, n, err);
	ssize_t got;
	do
		got = recv(w->io.fd, room, len, 0);
	while (got < 0 && errno == EINTR);
	*n = got > 0 ? (size_t)got : 0;
	if (got > 0)
		return TLS_OK;
	if (got == 0)
		return TLS_CUT;
	if (errno == EAGAIN)
		return TLS_WANT_READ;
	(void)err_sys(err, "receive");
	return TLS_RESET;
}

/* True: more may be here already. */
static bool read_in(struct wire *w)
{
	char room[READ_BYTES];
	size_t n = 0;
	struct err err = {0};
	switch (read_some(w, room, sizeof(room), &n, &err)) {
	case TLS_OK:
		if (w->state == WIRE_OPEN)
			w->events->on_bytes(w, (struct slice){room, n});
		explicit_bzero(room, n); /* a token may have passed */
		return w->tls ? tls_pending(w->tls) : n == sizeof(room);
	case TLS_WANT_READ:
	case TLS_WANT_WRITE:
		return false;
	case TLS_END:
	case TLS_CUT:
		end(w, NULL);
		return false;
	case TLS_RESET:
	case TLS_FAILED:
		end(w, &err);
		return false;
	}
	return false;
}

/* ---- the way of the states -------------------------------------------------------------------- */

static void opened(struct wire *w)
{
	w->state = WIRE_OPEN;
	w->events->on_open(w);
}

static void connected(struct wire *w)
{
	int failed = net_connect_result(w->io.fd);
	if (failed) {
		errno = failed;
		end_sys(w, "connect");
		return;
	}
	w->state = WIRE_HANDSHAKE;
}

/* True: it is over, well. */
static bool handshake(struct wire *w)
{
	struct err err = {0};
	w->blocked = false;
	switch (w->tls ? tls_handshake(w->tls, &err) : TLS_OK) {
	case TLS_OK:
		opened(w);
		return true;
	case TLS_WANT_READ:
		return false;
	case TLS_WANT_WRITE:
		w->blocked = true;
		return false;
	default:
		end(w, &err);
		return false;
	}
}

static uint32_t wanted(const struct wire *w)
{
	switch (w->state) {
	case WIRE_CONNECT:
		return EPOLLOUT;
	case WIRE_HANDSHAKE:
	case WIRE_OPEN:
		return w->blocked ? EPOLLOUT : EPOLLIN;
	case WIRE_FINISH: /* what the peer still says is read and dropped, lest a reset destroys
			     our last words */
		return w->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN;
	case WIRE_CLOSED:
		return 0;
	}
	return 0;
}

static void watch(struct wire *w)
{
	struct err err = {0};
	uint32_t events = wanted(w);
	if (w->state == WIRE_CLOSED || events == w->watched)
		return;
	w->watched = events;
	if (!loop_mod(w->loop, &w->io, events, &err))
		end(w, &err);
}

/* Reads before it writes: where the peer refused us, its reason is there to be read, while a write
 * would only fail. */
static void pump(struct wire *w, bool readable)
{
	bool more = readable;
	for (int i = 0; i < READS_PER_TURN; i++) {
		if (more && (w->state == WIRE_FINISH || !w->blocked))
			more = read_in(w);
		write_out(w);
		if (!more || w->state == WIRE_CLOSED || (w->blocked && w->state == WIRE_OPEN))
			return;
	}
	later(w); /* bytes wait inside the session, where the loop can't see them */
}

static void advance(struct wire *w, bool readable)
{
	if (w->state == WIRE_CONNECT)
		connected(w);
	if (w->state == WIRE_HANDSHAKE && handshake(w) && w->tls)
		readable = tls_pending(w->tls);
	if (w->state == WIRE_OPEN || w->state == WIRE_FINISH)
		pump(w, readable);
	watch(w);
}

static void on_ready(struct io *io, uint32_t events)
{
	struct wire *w = CONTAINER_OF(io, struct wire, io);
	bool readable = events & (EPOLLIN | EPOLLHUP | EPOLLERR);
	if (w->tls && events & (EPOLLHUP | EPOLLERR))
		tls_end_announced(w->tls);
	if (events & EPOLLOUT) {
		w->blocked = false;
		/* what came before the socket was full waits inside the session */
		readable = readable || (w->tls && w->state == WIRE_OPEN && tls_pending(w->tls));
	}
	if (events & (EPOLLHUP | EPOLLERR))
		w->blocked = false; /* nothing will be taken; reading says why */
	advance(w, readable);
}

void wire_flush(struct wire *w)
{
	if (w->state != WIRE_OPEN && w->state != WIRE_FINISH)
		return;
	bool was_blocked = w->blocked;
	write_out(w);
	if (was_blocked && !w->blocked)
		later(w); /* what came meanwhile may wait inside the session */
	watch(w);
}

void wire_finish(struct wire *w)
{
	MUST(w->state == WIRE_OPEN);
	w->state = WIRE_FINISH;
}

void wire_init(struct wire *w, struct loop *loop, const struct wire_events *events)
{
	*w = (struct wire){.loop = loop, .events = events, .io = {-1, on_ready}};
	buf_init(&w->out, GRPC_H2_OUT);
}

bool wire_start(struct wire *w, int fd, struct tls *tls, enum wire_state from, struct err *err)
{
	w->state = from;
	w->io.fd = fd;
	w->watched = wanted(w);
	if (!loop_add(w->loop, &w->io, w->watched, err)) {
		(void)close(fd); /* nothing was written to it */
		tls_free(tls);
		w->io.fd = -1;
		return false;
	}
	w->tls = tls;
	if (from == WIRE_HANDSHAKE && !tls)
		later(w); /* nothing need come for it to be over */
	return true;
}
