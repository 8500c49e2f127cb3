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
	PIPES_MAX = 128,              /* lent out at once, per worker */
	PIPES_KEEP = 16,              /* kept when they come back */
	PIPE_BYTES = 256 * 1024,      /* asked for */
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
