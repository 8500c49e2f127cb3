#include "net/acceptor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/sock.h"

enum { ACCEPTS_PER_TURN = 64, PAUSE_MS = 100 };

struct acceptor_socket {
	struct acceptor_socket *next;
	struct acceptor *acceptor;
	struct io io;
	struct timer retry; /* set while it pauses */
};

void acceptor_init(struct acceptor *a, struct loop *loop, const char *name, acceptor_fn *on_conn)
{
	*a = (struct acceptor){.loop = loop, .name = name, .on_conn = on_conn};
}

static void on_retry(struct timer *t)
{
	struct acceptor_socket *s = CONTAINER_OF(t, struct acceptor_socket, retry);
	struct loop *loop = s->acceptor->loop;
	if (!loop_mod(loop, &s->io, EPOLLIN, NULL))
		timer_set(loop, t, PAUSE_MS * NS_PER_MS);
}

/* What cannot be accepted stays in the queue and would wake us without end. */
static void rest(struct acceptor_socket *s, int why)
{
	struct loop *loop = s->acceptor->loop;
	log_warn("net", "accept failed, pausing server=%s error=\"%s\"", s->acceptor->name,
		 strerror(why));
	if (loop_mod(loop, &s->io, 0, NULL))
		timer_set(loop, &s->retry, PAUSE_MS * NS_PER_MS);
}

static void on_ready(struct io *io, uint32_t events)
{
	(void)events; /* accept4 tells */
	struct acceptor_socket *s = CONTAINER_OF(io, struct acceptor_socket, io);
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct addr from = {0};
		int fd = net_accept(io->fd, &from);
		if (fd >= 0) {
			s->acceptor->on_conn(s->acceptor, fd, &from);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			rest(s, errno);
			return;
		}
		if (errno == EAGAIN)
			return;
		/* Anything else concerns that one connection, accept(2). */
	}
}

bool acceptor_add(struct acceptor *a, int fd, struct err *err)
{
	struct acceptor_socket *s = mem_new(sizeof(*s));
	*s = (struct acceptor_socket){a->sockets, a, {fd, on_ready}, {.fire = on_retry}};
	if (!loop_add(a->loop, &s->io, EPOLLIN, err)) {
		(void)close(fd); /* nothing was written to it */
		free(s);
		return false;
	}
	a->sockets = s;
	return true;
}

void acceptor_close(struct acceptor *a)
{
	while (a->sockets) {
		struct acceptor_socket *s = a->sockets;
		a->sockets = s->next;
		timer_cancel(a->loop, &s->retry);
		loop_del(a->loop, &s->io);
		(void)close(s->io.fd); /* nothing was written to it */
		free(s);               /* no event of this turn names it any more: loop_del */
	}
}
