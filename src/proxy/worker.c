#include "proxy/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/sock.h"
#include "proxy/carry.h"

/* The tick: once a second while there is anything that needs it. */

static void tick_every(struct worker *w, time_t seconds)
{
	struct itimerspec every = {.it_interval = {.tv_sec = seconds},
				   .it_value = {.tv_sec = seconds}};
	MUST(timerfd_settime(w->tick.fd, 0, &every, NULL) == 0);
	w->ticking = seconds > 0;
}

static void tick(struct worker *w)
{
	if (!w->ticking)
		tick_every(w, 1);
}

/* Work that is due at the end of a turn. */

static void on_turn_end(struct deferred *d)
{
	struct worker *w = CONTAINER_OF(d, struct worker, turn_end);
	struct conn_list now = TAILQ_HEAD_INITIALIZER(now);
	struct conn *c;
	w->turn_due = false;
	/* Those that use up their share again stand in the list of the next turn. */
	TAILQ_CONCAT(&now, &w->turn, queue);
	while ((c = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, c, queue);
		c->in_turn = false;
		carry_turn(c);
	}
}

void worker_again(struct worker *w, struct conn *c)
{
	if (c->in_turn)
		return;
	if (!w->turn_due) /* not "the list is empty": a connection on it may have been closed */
		loop_defer(w->loop, &w->turn_end);
	w->turn_due = true;
	c->in_turn = true;
	TAILQ_INSERT_TAIL(&w->turn, c, queue);
}

static void on_log_flush(struct deferred *d)
{
	struct worker *w = CONTAINER_OF(d, struct worker, log_flush);
	w->log_due = false;
	if (!w->log)
		return;
	w->log_waits = !access_log_flush(w->log);
	if (w->log_waits)
		tick(w); /* tries again */
	uint64_t dropped = access_log_take_dropped(w->log);
	if (dropped)
		observe_count(w->metrics, COUNT_LOG_DROPPED, dropped);
}

void worker_log_due(struct worker *w)
{
	if (!w->log || w->log_due)
		return;
	w->log_due = true;
	loop_defer(w->loop, &w->log_flush);
}

static void on_early_retry(struct deferred *d)
{
	struct worker *w = CONTAINER_OF(d, struct worker, early_retry);
	w->retry_due = false;
	race_retry(w);
}

void worker_retry_due(struct worker *w)
{
	if (w->retry_due || TAILQ_EMPTY(&w->early_queue))
		return;
	w->retry_due = true;
	loop_defer(w->loop, &w->early_retry);
}

/* Once a second. */

enum { CROWD_BYTES = 1 << 20 };

static void tell_counters(struct worker *w)
{
	observe_count(w->metrics, COUNT_RELAYED_BYTES, w->tools.bytes);
	observe_count(w->metrics, COUNT_SPLICED, w->tools.spliced);
	w->tools.bytes = w->tools.spliced = 0;
}

static void resume_accept(struct worker *w)
{
	struct err err = {0};
	bool all = true;
	for (unsigned i = 0; i < w->n_listeners && !w->accepting; i++)
		if (!loop_mod(w->loop, &w->listeners[i].io, EPOLLIN, &err)) {
			log_error("proxy", "listener: %s", err.text);
			all = false; /* the next tick tries again */
		}
	if (all && !w->accepting)
		binds_pause(&w->binds, false);
	w->accepting = all;
}

static void on_tick(struct io *io, uint32_t events)
{
	(void)events; /* only EPOLLIN was asked for */
	struct worker *w = CONTAINER_OF(io, struct worker, tick);
	static const enum conn_state living[] = {CONN_FIRST_WORD, CONN_HANDSHAKE, CONN_RELAY,
						 CONN_DRAIN};
	uint64_t times;
	if (read(io->fd, &times, sizeof(times)) < 0)
		return; /* set again meanwhile */
	for (size_t i = 0; i < N_ELEMS(living); i++) {
		struct conn *c, *next;
		TAILQ_FOREACH_SAFE (c, &w->conns[living[i]], link, next)
			conn_sweep(c);
	}
	tell_counters(w);
	/* A crowd that shook hands is done with it: what that took goes back, with the crowd still
	 * there. */
	if (tls_worker_trim(w->tools.tls, worker_n_conns(w) == 0) > CROWD_BYTES)
		(void)malloc_trim(0); /* fine if there is nothing */
	race_retry(w);
	worker_log_due(w);
	if (!w->accepting && w->view)
		resume_accept(w);
	if (worker_n_conns(w) == 0 && !w->log_waits && (w->accepting || !w->view)) {
		pipes_trim(&w->tools.pipes, 0);
		(void)malloc_trim(0); /* gives a crowd's memory back; fine if there is none */
		tick_every(w, 0);
	}
}

unsigned worker_n_conns(const struct worker *w)
{
	return atomic_load_explicit(&w->n_conns, memory_order_relaxed);
}

void worker_conn_added(struct worker *w)
{
	atomic_fetch_add_explicit(&w->n_conns, 1, memory_order_relaxed);
	tick(w);
}

void worker_conn_gone(struct worker *w)
{
	atomic_fetch_sub_explicit(&w->n_conns, 1, memory_order_relaxed);
}

uint32_t worker_random(struct worker *w)
{
	w->random ^= w->random << 13; /* xorshift32: spreads load, keeps no secret */
	w->random ^= w->random >> 17;
	w->random ^= w->random << 5;
	return w->random;
}

/* Accepting. */

/* Out of descriptors: the reserve makes room for one, which hears a reset instead of waiting in the
 * backlog for nobody knows how long. False: not even that was possible. */
static bool refuse_one(struct worker *w, int listen_fd)
{
	if (w->reserve_fd >= 0)
		(void)close(w->reserve_fd); /* /dev/null */
	int fd = net_accept(listen_fd, NULL);
	if (fd >= 0) {
		(void)net_reset_on_close(fd); /* else it hears FIN, as good as that */
		(void)close(fd);              /* refused */
	}
	w->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && w->reserve_fd >= 0;
}

static void pause_accept(struct worker *w)
{
	struct err err = {0};
	for (unsigned i = 0; i < w->n_listeners; i++)
		if (!loop_mod(w->loop, &w->listeners[i].io, 0, &err))
			log_error("proxy", "listener: %s", err.text);
	binds_pause(&w->binds, true);
	w->accepting = false;
	observe_count(w->metrics, COUNT_ACCEPT_PAUSED, 1);
	tick(w); /* resumes */
}

static void on_accept(struct io *io, uint32_t events)
{
	(void)events; /* only EPOLLIN was asked for */
	struct listener *l = CONTAINER_OF(io, struct listener, io);
	struct worker *w = l->worker;
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct addr peer = {0};
		int fd = net_accept(io->fd, &peer);
		if (fd >= 0) {
			conn_accept(w, l->kind, fd, &peer);
			continue;
		}
		switch (errno) {
		case EAGAIN:
			return;
		case EMFILE:
		case ENFILE:
			observe_count(w->metrics, COUNT_ACCEPT_REFUSED, 1);
			if (refuse_one(w, io->fd))
				continue;
			pause_accept(w);
			return;
		case ENOMEM:
		case ENOBUFS:
			pause_accept(w);
			return;
		default:
			continue; /* that one connection is gone already, accept(2) "Error handling"
				   */
		}
	}
}

/* The view. */

struct view_message {
	struct post post;
	struct worker *worker;
	struct view *view;
};

static void follow_log_path(struct worker *w)
{
	const char *path = view_mesh(w->view)->access_log_file;
	if (w->log_path && strcmp(path, w->log_path) == 0)
		return;
	struct err err = {0};
	struct access_log *log = access_log_open(path, &err);
	if (!log && err.kind != ERR_NONE)
		log_error("proxy", "access log: %s", err.text);
	access_log_close(w->log);
	free(w->log_path);
	w->log = log;
	w->log_path = mem_strdup(path);
}

static void take_view(struct post *p)
{
	struct view_message *m = CONTAINER_OF(p, struct view_message, post);
	struct worker *w = m->worker;
	struct view *old = w->view;
	w->view = m->view;
	free(m);
	follow_log_path(w);
	for (unsigned i = 0; i < w->n_listeners; i++)
		/* What is accepted inherits it; without it bytes still flow. */
		(void)net_tune(w->listeners[i].io.fd, view_mesh(w->view)->keepalive_s);
	binds_follow(&w->binds);
	if (!old)
		resume_accept(w);
	view_put(old);
	struct conn *c, *next;
	TAILQ_FOREACH_SAFE (c, &w->conns[CONN_NAMES], link, next)
		conn_view_came(c);
}

void worker_set_view(struct worker *w, struct view *view)
{
	struct view_message *m = mem_new(sizeof(*m));
	m->post.run = take_view;
	m->worker = w;
	m->view = view_get(view);
	loop_post(w->loop, &m->post);
}

/* The certificate. */

struct tls_message {
	struct post post;
	struct worker *worker;
	struct mesh_tls *tls;
};

static void take_tls(struct post *p)
{
	struct tls_message *m = CONTAINER_OF(p, struct tls_message, post);
	mesh_tls_put(m->worker->tls);
	m->worker->tls = m->tls;
	free(m);
}

void worker_set_tls(struct worker *w, struct mesh_tls *tls)
{
	struct tls_message *m = mem_new(sizeof(*m));
	m->post.run = take_tls;
	m->worker = w;
	m->tls = mesh_tls_get(tls);
	loop_post(w->loop, &m->post);
}

/* Beginning and end. */

void worker_listener(struct worker *w, struct listener *l, enum listen_kind kind, int fd,
		     uint16_t port)
{
	*l = (struct listener){{fd, on_accept}, w, kind, port};
}

static bool listen_all(struct worker *w, struct err *err)
{
	for (unsigned i = 0; i < w->setup->n_rows; i++) {
		const struct listen_row *row = &w->setup->rows[i];
		struct listener *l = &w->listeners[i];
		int fd = net_listen(&row->on, true, err);
		if (fd < 0 && err->sys == EAFNOSUPPORT && ip_is_any(&row->on.ip)) {
			struct addr v4 = {.ip = ip_v4(0), .port = row->on.port};
			fd = net_listen(&v4, true, err); /* a kernel without IPv6 */
		}
		if (fd < 0)
			return err_wrap(err, "worker %u", w->index);
		worker_listener(w, l, row->kind, fd, row->on.port);
		w->n_listeners++;
		if (!loop_add(w->loop, &l->io, 0, err)) /* accepts when there is a view */
			return false;
	}
	return true;
}

struct worker *worker_new(const struct worker_setup *setup, unsigned index, struct err *err)
{
	struct worker *w = mem_new(sizeof(*w));
	w->setup = setup;
	w->index = index;
	w->metrics = metrics_worker(setup->metrics, index);
	w->random = 0x9e3779b9u * (index + 1);
	w->turn_end.run = on_turn_end;
	w->log_flush.run = on_log_flush;
	w->early_retry.run = on_early_retry;
	for (size_t i = 0; i < N_CONN_STATES; i++)
		TAILQ_INIT(&w->conns[i]);
	TAILQ_INIT(&w->turn);
	TAILQ_INIT(&w->early_queue);
	ticket_table_init(&w->tickets);
	binds_init(&w->binds, w);
	w->tools.scratch = mem_new(RELAY_SCRATCH);
	w->tools.tls = tls_worker_new(); /* its pages are touched by the first session */
	w->tick = (struct io){timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), on_tick};
	w->loop = loop_new(err);
	if (!w->loop)
		goto fail;
	if (w->tick.fd < 0) {
		(void)err_sys(err, "timerfd_create");
		goto fail;
	}
	if (!loop_add(w->loop, &w->tick, EPOLLIN, err) || !listen_all(w, err))
		goto fail;
	return w;
fail:
	worker_free(w);
	return NULL;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/*
 * A descriptor table of its own: while a table has one user the kernel takes no reference and no
 * lock to use a descriptor, which is 5 % of a small message's way through a relay, and workers do
 * not meet in it when they accept and close. What was copied of others' descriptors is closed here;
 * the main thread keeps copies of ours and closes them in worker_free(). Where the kernel refuses
 * (a seccomp profile), the table stays shared and everything works the same.
 */
static void own_descriptors(struct worker *w)
{
#ifdef __SANITIZE_THREAD__
	return; /* it takes equal numbers in two tables for one descriptor */
#endif
	int ours[WORKER_LISTENERS + 5];
	size_t n = 0;
	if (unshare(CLONE_FILES) < 0)
		return;
	n += loop_fds(w->loop, &ours[n]);
	if (w->setup->main_loop) /* loop_post() writes to a descriptor of the loop it wakes */
		n += loop_fds(w->setup->main_loop, &ours[n]);
	ours[n++] = w->tick.fd;
	for (unsigned i = 0; i < w->n_listeners; i++)
		ours[n++] = w->listeners[i].io.fd;
	qsort(ours, n, sizeof(ours[0]), by_number);
	int from = STDERR_FILENO + 1;
	for (size_t i = 0; i < n; i++) {
		if (ours[i] > from)
			(void)close_range((unsigned)from, (unsigned)ours[i] - 1, 0); /* copies */
		from = ours[i] + 1;
	}
	(void)close_range((unsigned)from, UINT_MAX, 0); /* as above */
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct err err = {0};
	sigset_t pipe_signal;
	(void)sigemptyset(&pipe_signal); /* cannot fail */
	(void)sigaddset(&pipe_signal, SIGPIPE);
	/* splice(2) has no MSG_NOSIGNAL. */
	MUST(pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL) == 0);
	own_descriptors(w);
	w->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (!loop_run(w->loop, &err))
		log_error("proxy", "worker %u: %s", w->index, err.text);
	/* What this thread has opened lives in its table, and is closed by it. */
	binds_fini(&w->binds);
	access_log_close(w->log);
	w->log = NULL;
	pipes_trim(&w->tools.pipes, 0);
	if (w->reserve_fd >= 0)
		(void)close(w->reserve_fd); /* /dev/null */
	return NULL;
}

bool worker_start(struct worker *w, struct err *err)
{
	pthread_attr_t attr;
	MUST(pthread_attr_init(&attr) == 0);
	MUST(pthread_attr_setstacksize(&attr, WORKER_STACK) == 0);
	errno = pthread_create(&w->thread, &attr, run, w);
	(void)pthread_attr_destroy(&attr); /* holds nothing */
	if (errno)
		return err_sys(err, "pthread_create");
	w->started = true;
	return true;
}

static void close_all(struct worker *w)
{
	for (unsigned state = 0; state < CONN_CLOSED; state++) {
		struct conn *c;
		while ((c = TAILQ_FIRST(&w->conns[state])))
			conn_close(c, END_DRAINED, CLOSE_RESET);
	}
}

struct stop_message {
	struct post post;
	struct worker *worker;
};

static void on_stop(struct post *p)
{
	struct stop_message *m = CONTAINER_OF(p, struct stop_message, post);
	close_all(m->worker);
	tell_counters(m->worker);
	loop_stop(m->worker->loop); /* after this turn, whose end frees the connections */
	free(m);
}

void worker_stop(struct worker *w)
{
	if (!w->started)
		return;
	struct stop_message *m = mem_new(sizeof(*m));
	m->post.run = on_stop;
	m->worker = w;
	loop_post(w->loop, &m->post);
	(void)pthread_join(w->thread, NULL); /* it was started and never joined */
	w->started = false;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	loop_free(w->loop); /* runs what was still posted */
	for (unsigned i = 0; i < w->n_listeners; i++)
		(void)close(w->listeners[i].io.fd); /* nothing is lost that was accepted */
	if (w->tick.fd >= 0)
		(void)close(w->tick.fd); /* a timer */
	access_log_close(w->log);        /* none, unless a message came after the thread's end */
	view_put(w->view);
	mesh_tls_put(w->tls);
	ticket_table_fini(&w->tickets);
	origin_cache_fini(&w->origins);
	tls_worker_free(w->tools.tls);
	free(w->log_path);
	free(w->tools.scratch);
	free(w);
}
