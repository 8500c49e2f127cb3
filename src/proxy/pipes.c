#include "proxy/pipes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

static void pipe_close(struct splice_pipe *p)
{
	(void)close(p->in);  /* what is left in it has no receiver any more */
	(void)close(p->out); /* as above */
	free(p);
}

static struct splice_pipe *pipe_open(void)
{
	int fds[2];
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
		return NULL;
	/* Refused when the user has many pipes already (pipe(7), pipe-user-pages-soft). */
	for (int want = PIPE_BYTES; want > PIPE_BYTES_LEAST; want /= 4)
		if (fcntl(fds[1], F_SETPIPE_SZ, want) >= 0)
			break;
	if (fcntl(fds[1], F_GETPIPE_SZ) < PIPE_BYTES_LEAST) {
		(void)close(fds[0]); /* never used */
		(void)close(fds[1]); /* never used */
		return NULL;
	}
	struct splice_pipe *p = mem_new(sizeof(*p));
	p->out = fds[0];
	p->in = fds[1];
	return p;
}

struct splice_pipe *pipes_take(struct pipes *pool)
{
	if (pool->n_lent >= PIPES_MAX)
		return NULL;
	struct splice_pipe *p = pool->idle;
	if (p) {
		pool->idle = p->next;
		pool->n_idle--;
	} else {
		p = pipe_open();
	}
	if (p)
		pool->n_lent++;
	return p;
}

void pipes_give(struct pipes *pool, struct splice_pipe *p)
{
	if (!p)
		return;
	pool->n_lent--;
	if (p->len || pool->n_idle >= PIPES_KEEP) {
		pipe_close(p);
		return;
	}
	p->next = pool->idle;
	pool->idle = p;
	pool->n_idle++;
}

void pipes_trim(struct pipes *pool, unsigned keep)
{
	while (pool->n_idle > keep) {
		struct splice_pipe *p = pool->idle;
		pool->idle = p->next;
		pool->n_idle--;
		pipe_close(p);
	}
}
