/*
 * A flow: one direction of a connection, bytes from one end to the other as they come.
 *
 *   struct flow up = {0};
 *   struct flow_end client = {fd, tls}, server = {fd, NULL};  // TLS NULL: plaintext
 *   switch (flow_pump(&up, &client, &server, tools)) {        // the sender is readable, or the
 *   case FLOW_BLOCKED: ...                                    // receiver is writable again
 *
 * Both sockets are non-blocking and watched edge-triggered, once, for both directions: no
 * epoll_ctl per message. A flow reads until a read comes back short, which on TCP means that the
 * receive queue is empty: the next byte makes a new edge. Only where an end, an error or urgent
 * data was announced (flow.to_end) it reads on until the kernel says so.
 *
 * Small traffic goes through the worker's one scratch buffer; what the receiver does not take is
 * copied aside and the flow stops reading until it has left (back-pressure). Two full buffers in a
 * row switch the flow to splice(2), two small pieces switch it back; where one end is TLS there is
 * nothing to splice. A flow that waits for nothing but its sender owns no memory beside this struct.
 *
 * TLS says how a side ends: close_notify is an end like FIN, and is passed on as one. An end without
 * it may be the work of somebody in between: it is FLOW_CUT, and no end that the receiver may trust.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "proxy/pipes.h"
#include "tls/tls.h"

enum {
	RELAY_SCRATCH = 64 * 1024,
	RELAY_SHARE = 1024 * 1024, /* bytes per flow and turn, so that one bulk transfer does not
				       keep the others waiting */
	RELAY_SMALL = 16 * 1024,   /* a splice of less is small traffic */
};

/* Of one worker. */
struct relay_tools {
	char *scratch; /* RELAY_SCRATCH bytes, nobody's between two calls */
	struct pipes pipes;
	struct tls_worker *tls;  /* through whose buffers the worker's sessions go */
	uint64_t bytes, spliced; /* since the worker started: bytes handed on, switches to splice */
};

/* One side of a connection. */
struct flow_end {
	int fd;
	struct tls *tls; /* NULL: plaintext */
};

enum flow_state {
	FLOW_OPEN,
	FLOW_ENDED,  /* the sender has ended, and all its bytes were handed on */
	FLOW_BROKEN, /* the receiver is gone: nothing more can be delivered */
};

struct flow_rest; /* bytes read that the receiver has not taken */

struct flow {
	enum flow_state state;
	bool ready;  /* the sender may have something: an edge came that no read has answered */
	bool to_end; /* read until the kernel says EAGAIN or end: see above */
	bool again;  /* waits for its next share */
	bool splicing;
	bool closing; /* FLOW_ENDED, and the receiver's socket has not taken the close_notify yet */
	uint8_t run;  /* full reads in a row; while splicing: small pieces in a row */
	struct flow_rest *rest;
	struct splice_pipe *pipe;
	uint64_t bytes; /* handed to the receiver */
	/* Sees the bytes of each read before they are handed on, until it sets itself to NULL.
	 * False: stop here, the flow answers FLOW_STOPPED. */
	bool (*watch)(struct flow *f, struct slice bytes);
};

enum flow_result {
	FLOW_DRAINED, /* the sender has nothing more for now */
	FLOW_BLOCKED, /* pump again when the receiver is writable */
	FLOW_MORE,    /* the share is used up: pump again soon */
	FLOW_FIN,     /* the sender has ended: pass it on, the flow is FLOW_ENDED */
	FLOW_RESET,   /* the sender is gone by reset or error; all it sent before was handed on */
	FLOW_GONE,    /* the receiver is gone: the flow is FLOW_BROKEN */
	FLOW_STOPPED, /* the watch said so */
	FLOW_CUT,     /* the sender has ended without close_notify; all it sent was handed on */
	FLOW_BAD_TLS, /* tls_why() of one of the ends says what is wrong */
};

/* F is FLOW_OPEN. */
enum flow_result flow_pump(struct flow *f, const struct flow_end *from, const struct flow_end *to,
			   struct relay_tools *tools);
/*
 * Passes F's end on, which is FLOW_ENDED: FLOW_FIN when the receiver has been told, FLOW_BLOCKED
 * when it has to be called again once it is writable (f->closing), FLOW_GONE, FLOW_BAD_TLS.
 */
enum flow_result flow_pass_end(struct flow *f, const struct flow_end *to);
/*
 * For a sender whose bytes the kernel cannot show with MSG_PEEK, TLS: reads up to MAX bytes without
 * handing them on. BYTES: all that was read so far; they go out first when F is pumped. FLOW_DRAINED:
 * there are no more for now; FLOW_MORE: MAX are there; FLOW_FIN and the like: what comes behind them.
 * F's state is left alone: the pump meets the end again.
 */
enum flow_result flow_read_ahead(struct flow *f, const struct flow_end *from, size_t max,
				 struct slice *bytes);
/* What was read ahead, or waits for its receiver. */
struct slice flow_held(const struct flow *f);
bool flow_blocked(const struct flow *f);               /* waits for its receiver */
void flow_fini(struct flow *f, struct relay_tools *t); /* drops what was not delivered */
