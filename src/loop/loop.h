/*
 * One event loop per thread: epoll, timers, work from other threads.
 *
 *   struct loop *loop = loop_new(&err);
 *   loop_add(loop, &conn->io, EPOLLIN, &err);         // conn->io.on_ready(&conn->io, events)
 *   timer_set(loop, &conn->timer, 2 * NS_PER_MS);     // conn->timer.fire(&conn->timer), once
 *   loop_run(loop, &err);                             // until loop_stop()
 *
 * A loop belongs to the thread that runs it; only loop_post() and loop_stop() may be called from
 * others. The structs io, timer, post and deferred are embedded in their owner's struct and stay
 * the owner's memory. Callbacks may add, remove and cancel anything, their own object included;
 * what a callback wants freed it hands to loop_defer(), which frees at the end of the turn, when no
 * event of this turn can name it any more.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/err.h"

struct loop;

struct io {
	int fd; /* the owner's; closing it is the owner's business, after loop_del() */
	void (*on_ready)(struct io *io,
			 uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR */
};

struct timer {
	uint64_t at_ns; /* clock_ns() at which it fires */
	uint32_t slot;  /* place in the heap, from 1; 0: not set */
	void (*fire)(struct timer *t);
};

struct post {
	struct post *next;
	void (*run)(struct post *p); /* on the loop's thread */
};

struct deferred {
	struct deferred *next;
	void (*run)(struct deferred *d);
};

struct loop *loop_new(struct err *err) MUST_CHECK; /* NULL on failure */
void loop_free(struct loop *loop); /* drops timers; runs what was posted or deferred */
/* The loop's own descriptors into OUT, which has room for two; returns two. For a thread that takes
 * a descriptor table of its own. */
unsigned loop_fds(const struct loop *loop, int *out);
bool loop_run(struct loop *loop, struct err *err) MUST_CHECK;
/* One turn: waits at most WAIT_MS (negative: as long as it takes), then runs what is due. For tests
 * and nested owners. */
bool loop_turn(struct loop *loop, int wait_ms, struct err *err) MUST_CHECK;
void loop_stop(struct loop *loop);    /* any thread */
uint64_t loop_now(struct loop *loop); /* clock_ns() when it was first asked for in this turn */

bool loop_add(struct loop *loop, struct io *io, uint32_t events, struct err *err) MUST_CHECK;
bool loop_mod(struct loop *loop, struct io *io, uint32_t events, struct err *err) MUST_CHECK;
/* No callback of IO comes after this, not even for an event of this turn. IO was added. */
void loop_del(struct loop *loop, struct io *io);
/* As loop_del() for an IO whose descriptor is closed right after: the close itself takes it out of
 * the poll set (nobody else has a copy of it), which saves a system call. */
void loop_forget(struct loop *loop, struct io *io);

void timer_set(struct loop *loop, struct timer *t, uint64_t delay_ns); /* set again: moves it */
void timer_cancel(struct loop *loop, struct timer *t); /* not set: nothing happens */
static inline bool timer_is_set(const struct timer *t)
{
	return t->slot != 0;
}

void loop_post(struct loop *loop,
	       struct post *p); /* any thread; in the order posted by one thread */
/* At the end of this turn; what is deferred while those run is for the end of the next turn, which
 * then does not wait. */
void loop_defer(struct loop *loop, struct deferred *d);
