/*
 * Inside grpc only: the connection under a session: socket, TLS or none, the loop's events.
 *
 *   wire_init(&conn->wire, loop, &events);
 *   wire_start(&conn->wire, fd, tls, WIRE_HANDSHAKE, &err);
 *   wire_flush(&conn->wire);           // the session has something to say of its own accord
 *   wire_finish(&conn->wire);          // from fill: say what is left, end in order; on_end comes
 *   wire_close(&conn->wire);           // now; on_gone comes at the end of the turn, nothing else
 *   wire_fini(&conn->wire);            // in on_gone
 *
 * Embedded in its owner, which gets all events from the loop or from wire_flush(), and may call
 * anything of this header from each of them, but wire_fini(). The owner is freed in on_gone and
 * nowhere else: what the wire has deferred runs before. The way of the states is down the list.
 * Nothing here waits on a clock: the owner has a timer.
 *
 * While the peer does not take what we say, it is not read: so what it can make us say is bounded
 * by what one read brings.
 */
#pragma once
#include "base/buf.h"
#include "loop/loop.h"
#include "tls/tls.h"

enum wire_state {
	WIRE_CONNECT,   /* connect(2) is under way */
	WIRE_HANDSHAKE, /* TLS is; passed through at once where there is none */
	WIRE_OPEN,
	WIRE_FINISH, /* what is left is leaving; then our side is shut, and the peer's end awaited */
	WIRE_CLOSED,
};

struct wire;
struct wire_events {
	void (*on_open)(struct wire *w);
	void (*on_bytes)(struct wire *w, struct slice bytes);
	/* Appends what is to be sent, as far as it fits. May close or finish. */
	void (*fill)(struct wire *w, struct buf *out);
	/* The wire is closed, and on_gone comes next. ERR is NULL when the peer ended in order. */
	void (*on_end)(struct wire *w, const struct err *err);
	void (*on_gone)(struct wire *w);
};

struct wire {
	struct loop *loop;
	const struct wire_events *events;
	struct io io;    /* fd -1: not started */
	struct tls *tls; /* NULL: plaintext */
	enum wire_state state;
	uint32_t watched;
	bool blocked;         /* the socket takes no more for now */
	bool shut;            /* our side is */
	bool queued;          /* late is */
	struct deferred late; /* goes on, or tells on_gone: one for both, for what is deferred in
				 one turn has no order */
	struct buf out;
};

void wire_init(struct wire *w, struct loop *loop, const struct wire_events *events);
/* FROM is WIRE_CONNECT or WIRE_HANDSHAKE. Owns FD and TLS from here on. False: they are freed, and W
 * is as after wire_init(). */
bool wire_start(struct wire *w, int fd, struct tls *tls, enum wire_state from,
		struct err *err) MUST_CHECK;
void wire_flush(struct wire *w);
void wire_finish(struct wire *w);
void wire_close(struct wire *w); /* twice is fine; also one that was not started */
void wire_fini(struct wire *w);
