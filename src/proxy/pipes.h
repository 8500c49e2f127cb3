/*
 * Pipes for splice(2): one is lent to a direction of a connection while bulk data is in flight in
 * it.
 *
 *   struct splice_pipe *p = pipes_take(&pool);   // NULL: none to be had, copy instead
 *   ... splice(from, p->in), p->len += n; splice(p->out, to), p->len -= n
 *   pipes_give(&pool, p);                        // one that still holds bytes is closed
 *
 * A pool belongs to one worker. The kernel counts pipe buffers per user, and every sidecar of a
 * machine runs as the same user, so the number is bounded and a pipe that comes out too small to
 * be worth it is not used.
 */
#pragma once
#include <stddef.h>

enum {
	PIPES_MAX = 32,               /* lent out at once, per worker: those of slow receivers */
	PIPES_KEEP = 4,               /* kept when they come back */
	PIPE_BYTES = 1024 * 1024,     /* asked for: 0.6 of the CPU time per byte that 64 KiB take */
	PIPE_BYTES_LEAST = 64 * 1024, /* less than that is not worth the system calls */
};

struct splice_pipe {
	int in, out; /* write end, read end */
	size_t len;  /* bytes in it */
	struct splice_pipe *next;
};

struct pipes {
	struct splice_pipe *idle;
	unsigned n_idle, n_lent;
};

struct splice_pipe *pipes_take(struct pipes *pool);
void pipes_give(struct pipes *pool, struct splice_pipe *p); /* NULL is fine */
void pipes_trim(struct pipes *pool, unsigned keep);         /* closes idle ones above KEEP */
