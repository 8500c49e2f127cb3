#include "loop/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

enum { EVENTS_PER_TURN = 128 };

struct loop {
	int epoll_fd;
	bool ms_only; /* the kernel has no epoll_pwait2 */
	int wake_fd;
	struct io wake_io;
	uint64_t now;
	atomic_bool stop;

	struct timer **heap; /* heap[1..n_timers], soonest first */
	uint32_t n_timers, heap_size;

	_Atomic(struct post *) posted; /* newest first; whoever finds it empty wakes the loop */
	struct deferred *deferred;

	struct epoll_event events[EVENTS_PER_TURN];
	int n_events, next_event; /* of this turn */
};

/* Timers: a binary heap whose elements know their place. */

static void heap_put(struct loop *loop, struct timer *t, uint32_t slot)
{
	loop->heap[slot] = t;
	t->slot = slot;
}

static void heap_up(struct loop *loop, struct timer *t, uint32_t slot)
{
	while (slot > 1 && loop->heap[slot / 2]->at_ns > t->at_ns) {
		heap_put(loop, loop->heap[slot / 2], slot);
		slot /= 2;
	}
	heap_put(loop, t, slot);
}

static void heap_down(struct loop *loop, struct timer *t, uint32_t slot)
{
	for (;;) {
		uint32_t child = slot * 2;
		if (child > loop->n_timers)
			break;
		if (child < loop->n_timers &&
		    loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
			child++;
		if (loop->heap[child]->at_ns >= t->at_ns)
			break;
		heap_put(loop, loop->heap[child], slot);
		slot = child;
	}
	heap_put(loop, t, slot);
}

void timer_cancel(struct loop *loop, struct timer *t)
{
	if (t->slot == 0)
		return;
	uint32_t slot = t->slot;
	struct timer *last = loop->heap[loop->n_timers--];
	t->slot = 0;
	if (last == t)
		return;
	if (slot > 1 && loop->heap[slot / 2]->at_ns > last->at_ns)
		heap_up(loop, last, slot);
	else
		heap_down(loop, last, slot);
}

void timer_set(struct loop *loop, struct timer *t, uint64_t delay_ns)
{
	timer_cancel(loop, t);
	/* From the clock and not from the turn's start: a long turn must not shorten a window. */
	t->at_ns = clock_ns() + delay_ns;
	if (loop->n_timers + 2 > loop->heap_size) {
		loop->heap_size = loop->heap_size ? loop->heap_size * 2 : 16;
		loop->heap = mem_grow(loop->heap, loop->heap_size, sizeof(struct timer *));
	}
	heap_up(loop, t, ++loop->n_timers);
}

static void run_timers(struct loop *loop)
{
	uint64_t now = loop->n_timers ? clock_ns() : 0;
	while (loop->n_timers && loop->heap[1]->at_ns <= now) {
		struct timer *t = loop->heap[1];
		timer_cancel(loop, t);
		t->fire(t);
	}
}

/* Work from other threads. */

static void run_posted(struct loop *loop)
{
	struct post *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
	struct post *oldest = NULL;
	while (newest) {
		struct post *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest) {
		struct post *next = oldest->next; /* run() may free or post it again */
		oldest->run(oldest);
		oldest = next;
	}
}

static void wake(struct loop *loop)
{
	uint64_t one = 1;
	/* EAGAIN means that the counter is full: then the loop is awake anyway. */
	MUST(write(loop->wake_fd, &one, sizeof(one)) == (ssize_t)sizeof(one) || errno == EAGAIN);
}

void loop_post(struct loop *loop, struct post *p)
{
	struct post *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);
	do
		p->next = head;
	while (!atomic_compare_exchange_weak_explicit(&loop->posted, &head, p, memory_order_release,
						      memory_order_relaxed));
	if (!head)
		wake(loop);
}

static void on_wake(struct io *io, uint32_t events)
{
	(void)events; /* only EPOLLIN was asked for */
	struct loop *loop = CONTAINER_OF(io, struct loop, wake_io);
	uint64_t count = 0;
	MUST(read(io->fd, &count, sizeof(count)) == (ssize_t)sizeof(count) || errno == EAGAIN);
	run_posted(loop);
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	wake(loop);
}

static void run_deferred(struct loop *loop)
{
	struct deferred *d = loop->deferred;
	loop->deferred = NULL;
	while (d) {
		struct deferred *next = d->next; /* run() may free it or defer it again */
		d->run(d);
		d = next;
	}
}

void loop_defer(struct loop *loop, struct deferred *d)
{
	d->next = loop->deferred;
	loop->deferred = d;
}

/* Descriptors. */

static bool control(struct loop *loop, int op, struct io *io, uint32_t events, struct err *err)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};
	if (epoll_ctl(loop->epoll_fd, op, io->fd, &ev) < 0)
		return err_sys(err, "epoll_ctl fd %d", io->fd);
	return true;
}

bool loop_add(struct loop *loop, struct io *io, uint32_t events, struct err *err)
{
	return control(loop, EPOLL_CTL_ADD, io, events, err);
}

bool loop_mod(struct loop *loop, struct io *io, uint32_t events, struct err *err)
{
	return control(loop, EPOLL_CTL_MOD, io, events, err);
}

void loop_del(struct loop *loop, struct io *io)
{
	struct err err;
	MUST(control(loop, EPOLL_CTL_DEL, io, 0, &err));
	loop_forget(loop, io);
}

void loop_forget(struct loop *loop, struct io *io)
{
	for (int i = loop->next_event; i < loop->n_events; i++)
		if (loop->events[i].data.ptr == io)
			loop->events[i].data.ptr = NULL;
}

static int wait_for(const struct loop *loop, int wait_ms, struct timespec *ts)
{
	uint64_t ns = wait_ms < 0 ? UINT64_MAX : (uint64_t)wait_ms * NS_PER_MS;
	if (loop->n_timers) {
		uint64_t now = clock_ns(), at = loop->heap[1]->at_ns;
		uint64_t due = at > now ? at - now : 0;
		if (due < ns)
			ns = due;
	}
	if (atomic_load(&loop->stop) || loop->deferred)
		ns = 0;
	if (ns == UINT64_MAX)
		return 0;
	ts->tv_sec = (time_t)(ns / NS_PER_S);
	ts->tv_nsec = (long)(ns % NS_PER_S);
	return 1;
}

/*
 * The system calls themselves: glibc's wrappers are cancellation points, which cost a thread two
 * atomic operations per turn. Without epoll_pwait2 (Linux before 5.11, valgrind) waits are whole
 * milliseconds, rounded up so that no timer is looked for before it is due.
 */
static int wait_events(struct loop *loop, const struct timespec *ts)
{
	if (!loop->ms_only) {
		long n = syscall(SYS_epoll_pwait2, loop->epoll_fd, loop->events, EVENTS_PER_TURN,
				 ts, NULL, (size_t)0);
		if (n >= 0 || errno != ENOSYS)
			return (int)n;
		loop->ms_only = true;
	}
	int64_t ms = ts ? (int64_t)ts->tv_sec * 1000 + (ts->tv_nsec + 999999) / 1000000 : -1;
	return (int)syscall(SYS_epoll_pwait, loop->epoll_fd, loop->events, EVENTS_PER_TURN,
			    ms < INT_MAX ? (int)ms : INT_MAX, NULL, (size_t)0);
}

bool loop_turn(struct loop *loop, int wait_ms, struct err *err)
{
	struct timespec ts = {0};
	int bounded = wait_for(loop, wait_ms, &ts);
	int n = wait_events(loop, bounded ? &ts : NULL);
	if (n < 0 && errno != EINTR)
		return err_sys(err, "epoll_pwait2");
	loop->now = 0;
	loop->n_events = n < 0 ? 0 : n;
	for (loop->next_event = 0; loop->next_event < loop->n_events;) {
		struct epoll_event *ev = &loop->events[loop->next_event++];
		struct io *io = ev->data.ptr;
		if (io)
			io->on_ready(io, ev->events);
	}
	loop->n_events = loop->next_event = 0;
	run_timers(loop);
	run_deferred(loop);
	return true;
}

bool loop_run(struct loop *loop, struct err *err)
{
	while (!atomic_load(&loop->stop))
		if (!loop_turn(loop, -1, err))
			return false;
	return true;
}

uint64_t loop_now(struct loop *loop)
{
	if (loop->now == 0)
		loop->now = clock_ns();
	return loop->now;
}

struct loop *loop_new(struct err *err)
{
	struct loop *loop = mem_new(sizeof(*loop));
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->wake_io = (struct io){loop->wake_fd, on_wake};
	if (loop->epoll_fd < 0 || loop->wake_fd < 0) {
		(void)err_sys(err, "epoll_create1, eventfd");
		goto fail;
	}
	if (!loop_add(loop, &loop->wake_io, EPOLLIN, err))
		goto fail;
	return loop;
fail:
	if (loop->epoll_fd >= 0)
		(void)close(loop->epoll_fd); /* nothing was written through it */
	if (loop->wake_fd >= 0)
		(void)close(loop->wake_fd); /* as above */
	free(loop);
	return NULL;
}

unsigned loop_fds(const struct loop *loop, int *out)
{
	out[0] = loop->epoll_fd;
	out[1] = loop->wake_fd;
	return 2;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	run_posted(loop);
	while (loop->deferred)
		run_deferred(loop);
	while (loop->n_timers)
		timer_cancel(loop, loop->heap[1]);
	(void)close(loop->epoll_fd); /* a poll set has no data to lose */
	(void)close(loop->wake_fd);  /* as above */
	free(loop->heap);
	free(loop);
}
