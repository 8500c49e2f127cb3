/*
 * A flow: one direction of a connection, bytes from one socket to the other as they come.
 *
 *   struct flow up = {0};
 *   switch (flow_pump(&up, client_fd, server_fd, tools)) {    // the sender is readable, or the
 *   case FLOW_BLOCKED: ...                                    // receiver is writable again
 *
 * Both sockets are non-blocking and watched edge-triggered, once, for both directions: no
 * epoll_ctl per message. A flow reads until a read comes back short, which on TCP means that the
 * receive queue is empty: the next byte makes a new edge. Only where an end, an error or urgent
 * data was announced (flow.to_end) it reads on until the kernel says so.
 *
 * Small traffic goes through the worker's one scratch buffer; what the receiver does not take is
 * copied aside and the flow stops reading until it has left (back-pressure). Two full buffers in a
 * row switch the flow to splice(2), two small pieces switch it back. A flow that waits for nothing
 * but its sender owns no memory beside this struct.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "proxy/pipes.h"

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
	uint64_t bytes, spliced; /* since the worker started: bytes handed on, switches to splice */
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
	uint8_t run; /* full reads in a row; while splicing: small pieces in a row */
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
};

/* F is FLOW_OPEN. */
enum flow_result flow_pump(struct flow *f, int from, int to, struct relay_tools *tools);
bool flow_blocked(const struct flow *f);               /* waits for its receiver */
void flow_fini(struct flow *f, struct relay_tools *t); /* drops what was not delivered */
