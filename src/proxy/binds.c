#include "proxy/binds.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/sock.h"
#include "proxy/worker.h"

enum { RETRY_MS = 1000 };

struct bind {
	struct listener listener; /* fd -1: not open */
	struct addr at;
	struct live_socket *live; /* NULL: nobody asks */
	bool wanted, told;        /* TOLD: that it could not be opened */
	TAILQ_ENTRY(bind) link;
	struct deferred free;
};

static void on_free(struct deferred *d)
{
	struct bind *x = CONTAINER_OF(d, struct bind, free);
	live_socket_put(x->live);
	free(x);
}

/* What the main thread shows; ERROR is an errno, or 0. */
static void note(const struct bind *x, bool opened, int error)
{
	if (!x->live)
		return;
	if (opened)
		atomic_fetch_add_explicit(&x->live->open, 1, memory_order_relaxed);
	atomic_store_explicit(&x->live->error, error, memory_order_relaxed);
}

/* Every worker tries, and meets the same: one of them speaks. */
static bool speaks(const struct binds *b)
{
	return b->worker->index == 0;
}

static void tell_failure(struct binds *b, struct bind *x, const struct err *err)
{
	observe_count(b->worker->metrics, COUNT_LISTEN_FAILED, 1);
	note(x, false, err->sys);
	if (!x->told && speaks(b))
		log_error("proxy", "egress listener: %s; it is tried again", err->text);
	x->told = true;
}

static bool open_one(struct binds *b, struct bind *x)
{
	struct err err = {0};
	char text[ADDR_TEXT];
	struct io *io = &x->listener.io;
	io->fd = net_listen(&x->at, true, &err); /* each worker has one: the kernel spreads */
	if (io->fd < 0) {
		tell_failure(b, x, &err);
		return false;
	}
	(void)net_tune(io->fd, view_mesh(b->worker->view)->keepalive_s); /* as all listeners */
	if (!loop_add(b->worker->loop, io, b->paused ? 0 : EPOLLIN, &err)) {
		(void)close(io->fd); /* nobody has connected that was accepted */
		io->fd = -1;
		tell_failure(b, x, &err);
		return false;
	}
	if (speaks(b))
		log_info("proxy", "egress listener open address=%s", addr_text(&x->at, text));
	x->told = false;
	note(x, true, 0);
	return true;
}

static void open_all(struct binds *b)
{
	struct bind *x;
	bool all = true;
	TAILQ_FOREACH (x, &b->all, link)
		if (x->listener.io.fd < 0 && !open_one(b, x))
			all = false;
	if (!all)
		timer_set(b->worker->loop, &b->retry, RETRY_MS * NS_PER_MS);
}

static void on_retry(struct timer *t)
{
	open_all(CONTAINER_OF(t, struct binds, retry));
}

static void close_one(struct binds *b, struct bind *x)
{
	char text[ADDR_TEXT];
	TAILQ_REMOVE(&b->all, x, link);
	if (x->listener.io.fd >= 0) {
		loop_forget(b->worker->loop, &x->listener.io);
		(void)close(x->listener.io.fd); /* what is accepted lives on */
		if (x->live)
			atomic_fetch_sub_explicit(&x->live->open, 1, memory_order_relaxed);
		if (speaks(b))
			log_info("proxy", "egress listener closed address=%s",
				 addr_text(&x->at, text));
	}
	x->free.run = on_free; /* an event of this turn may still name it */
	loop_defer(b->worker->loop, &x->free);
}

static void want(struct binds *b, const struct view_listener *l)
{
	const struct addr *at = &l->at;
	struct bind *x;
	TAILQ_FOREACH (x, &b->all, link)
		if (addr_eq(&x->at, at)) {
			x->wanted = true;
			return;
		}
	x = mem_new(sizeof(*x));
	x->at = *at;
	x->wanted = true;
	x->live = l->live ? live_socket_share(l->live) : NULL;
	worker_listener(b->worker, &x->listener, LISTEN_BOUND, -1, at->port);
	TAILQ_INSERT_TAIL(&b->all, x, link);
}

void binds_follow(struct binds *b)
{
	struct bind *x, *next;
	size_t n = 0;
	const struct view_listener *all = view_listeners(b->worker->view, &n);
	if (b->over)
		return;
	timer_cancel(b->worker->loop, &b->retry);
	TAILQ_FOREACH (x, &b->all, link)
		x->wanted = false;
	for (size_t i = 0; i < n; i++)
		if (all[i].port)
			want(b, &all[i]);
	TAILQ_FOREACH_SAFE (x, &b->all, link, next)
		if (!x->wanted)
			close_one(b, x);
	open_all(b);
}

void binds_pause(struct binds *b, bool on)
{
	struct bind *x;
	struct err err = {0};
	b->paused = on;
	TAILQ_FOREACH (x, &b->all, link)
		if (x->listener.io.fd >= 0 &&
		    !loop_mod(b->worker->loop, &x->listener.io, on ? 0 : EPOLLIN, &err))
			log_error("proxy", "egress listener: %s", err.text);
}

void binds_init(struct binds *b, struct worker *w)
{
	*b = (struct binds){.worker = w, .retry.fire = on_retry};
	TAILQ_INIT(&b->all);
}

void binds_fini(struct binds *b)
{
	struct bind *x;
	timer_cancel(b->worker->loop, &b->retry);
	b->over = true; /* no view that comes now opens any */
	while ((x = TAILQ_FIRST(&b->all)))
		close_one(b, x);
}
