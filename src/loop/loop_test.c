#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"

static struct loop *loop;

static int setup(void **state)
{
	(void)state; /* static: one test at a time */
	loop = loop_new(NULL);
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state; /* as above */
	loop_free(loop);
	return 0;
}

static void turn(int wait_ms)
{
	struct err err = {0};
	if (!loop_turn(loop, wait_ms, &err))
		fail_msg("%s", err.text);
}

/* Timers */

struct alarm {
	struct timer timer;
	unsigned id;
	void (*also)(struct alarm *a);
	struct alarm *other;
};

static unsigned fired[64], n_fired;

static void on_fire(struct timer *t)
{
	struct alarm *a = CONTAINER_OF(t, struct alarm, timer);
	assert_false(timer_is_set(t));
	assert_true(clock_ns() >= t->at_ns); /* never early */
	assert_true(n_fired < N_ELEMS(fired));
	fired[n_fired++] = a->id;
	if (a->also)
		a->also(a);
}

static struct alarm alarm_of(unsigned id)
{
	n_fired = 0;
	return (struct alarm){.timer = {.fire = on_fire}, .id = id};
}

static void timers_fire_in_order(void **state)
{
	(void)state; /* none */
	enum { N = 50 };
	struct alarm alarms[N];
	for (unsigned i = 0; i < N; i++) { /* set in an order that is not theirs */
		unsigned id = i * 37 % N;
		alarms[id] = alarm_of(id);
		timer_set(loop, &alarms[id].timer, (id + 1) * 20 * NS_PER_US);
		assert_true(timer_is_set(&alarms[id].timer));
	}
	while (n_fired < N)
		turn(-1);
	for (unsigned i = 1; i < N; i++)
		if (alarms[fired[i - 1]].timer.at_ns > alarms[fired[i]].timer.at_ns)
			fail_msg("%u before %u", fired[i - 1], fired[i]);
}

static void timers_are_cancelled(void **state)
{
	(void)state; /* none */
	enum { N = 40 };
	struct alarm alarms[N];
	for (unsigned i = 0; i < N; i++) {
		alarms[i] = alarm_of(i);
		timer_set(loop, &alarms[i].timer, (i * 13 % N) * NS_PER_US);
	}
	for (unsigned i = 0; i < N; i += 2) {
		timer_cancel(loop, &alarms[i].timer);
		timer_cancel(loop, &alarms[i].timer); /* twice is fine */
		assert_false(timer_is_set(&alarms[i].timer));
	}
	while (n_fired < N / 2)
		turn(-1);
	for (unsigned i = 0; i < n_fired; i++)
		assert_int_equal(fired[i] % 2, 1);
	turn(0);
	assert_int_equal(n_fired, N / 2);
}

static void timers_are_moved(void **state)
{
	(void)state; /* none */
	struct alarm a = alarm_of(1), b = alarm_of(2);
	timer_set(loop, &a.timer, 3600 * NS_PER_S);
	timer_set(loop, &b.timer, 1 * NS_PER_US);
	timer_set(loop, &b.timer, 3600 * NS_PER_S); /* set again: moves it */
	timer_set(loop, &a.timer, 1 * NS_PER_US);
	while (n_fired == 0)
		turn(-1);
	assert_int_equal(n_fired, 1);
	assert_int_equal(fired[0], 1);
	assert_true(timer_is_set(&b.timer));
	timer_cancel(loop, &b.timer);
}

static void cancel_other(struct alarm *a)
{
	timer_cancel(loop, &a->other->timer);
}

static void set_again(struct alarm *a)
{
	if (n_fired < 3)
		timer_set(loop, &a->timer, 1);
}

static void move_other(struct alarm *a)
{
	timer_set(loop, &a->other->timer, 0);
}

static void callbacks_cancel_and_move_timers(void **state)
{
	(void)state; /* none */
	struct alarm a = alarm_of(1), b = alarm_of(2), c = alarm_of(3);
	a.also = cancel_other; /* of one that is due in the same turn */
	a.other = &b;
	timer_set(loop, &a.timer, 0);
	timer_set(loop, &b.timer, 0);
	while (timer_is_set(&a.timer) || timer_is_set(&b.timer))
		turn(-1);
	assert_int_equal(n_fired, 1);
	assert_int_equal(fired[0], 1);

	a = alarm_of(1);
	a.also = set_again; /* itself */
	timer_set(loop, &a.timer, 0);
	while (n_fired < 3)
		turn(-1);
	assert_false(timer_is_set(&a.timer));

	a = alarm_of(1);
	a.also = move_other; /* from far away to now */
	a.other = &c;
	timer_set(loop, &c.timer, 3600 * NS_PER_S);
	timer_set(loop, &a.timer, 0);
	while (n_fired < 2)
		turn(-1);
	assert_int_equal(fired[1], 3);
}

static void a_timer_that_sets_itself_starves_nobody(void **state)
{
	(void)state; /* none: its next time is after the one at which this turn looked */
	struct alarm a = alarm_of(1);
	a.also = set_again;
	timer_set(loop, &a.timer, 0);
	turn(0);
	turn(0);
	turn(0);
	assert_int_equal(n_fired, 3);
}

static void a_turn_waits_no_longer_than_told(void **state)
{
	(void)state; /* none */
	struct alarm a = alarm_of(1);
	timer_set(loop, &a.timer, 3600 * NS_PER_S);
	uint64_t before = clock_ns();
	turn(1);
	assert_true(clock_ns() - before >= NS_PER_MS);
	assert_true(loop_now(loop) >= before);
	assert_int_equal(n_fired, 0);
	timer_cancel(loop, &a.timer);
}

/* Descriptors */

struct reader_io {
	struct io io;
	unsigned n_ready;
	uint32_t events;
	struct reader_io *forget; /* deleted from within the callback */
};

static void on_ready(struct io *io, uint32_t events)
{
	struct reader_io *r = CONTAINER_OF(io, struct reader_io, io);
	r->n_ready++;
	r->events = events;
	if (r->forget)
		loop_del(loop, &r->forget->io);
	r->forget = NULL;
}

static struct reader_io reader_of_new_eventfd(unsigned initial)
{
	return (struct reader_io){
		.io = {.fd = eventfd(initial, EFD_NONBLOCK | EFD_CLOEXEC), .on_ready = on_ready}};
}

static void descriptors_are_told(void **state)
{
	(void)state; /* none */
	struct err err = {0};
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	struct reader_io r = {.io = {.fd = fds[0], .on_ready = on_ready}};
	assert_true(loop_add(loop, &r.io, EPOLLIN, &err));
	assert_false(loop_add(loop, &r.io, EPOLLIN, &err)); /* twice is an error, and said */
	assert_int_equal(err.kind, ERR_SYS);
	turn(0);
	assert_int_equal(r.n_ready, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	turn(-1);
	assert_int_equal(r.n_ready, 1);
	assert_true(r.events & EPOLLIN);
	assert_true(loop_mod(loop, &r.io, EPOLLOUT, &err));
	turn(-1);
	assert_true(r.events == EPOLLOUT);
	loop_del(loop, &r.io);
	turn(0);
	assert_int_equal(r.n_ready, 2);
	assert_int_equal(close(fds[0]) + close(fds[1]), 0);
}

static void a_bad_descriptor_is_an_error(void **state)
{
	(void)state; /* none */
	struct err err = {0};
	struct io io = {.fd = -1, .on_ready = on_ready};
	assert_false(loop_add(loop, &io, EPOLLIN, &err));
	assert_string_equal(err.text, "epoll_ctl fd -1: Bad file descriptor");
}

/* Both are ready in one turn, and whichever comes first deletes the other. */
static void no_event_after_del_in_the_same_turn(void **state)
{
	(void)state; /* none */
	struct err err = {0};
	struct reader_io a = reader_of_new_eventfd(1), b = reader_of_new_eventfd(1);
	a.forget = &b;
	b.forget = &a;
	assert_true(loop_add(loop, &a.io, EPOLLIN, &err));
	assert_true(loop_add(loop, &b.io, EPOLLIN, &err));
	turn(-1);
	assert_int_equal(a.n_ready + b.n_ready, 1);
	loop_del(loop, a.n_ready ? &a.io : &b.io);
	assert_int_equal(close(a.io.fd) + close(b.io.fd), 0);
}

static void closed_and_forgotten(void **state)
{
	(void)state; /* none */
	struct err err = {0};
	struct reader_io a = reader_of_new_eventfd(1);
	assert_true(loop_add(loop, &a.io, EPOLLIN, &err));
	loop_forget(loop, &a.io);
	assert_int_equal(close(a.io.fd), 0);
	turn(0);
	assert_int_equal(a.n_ready, 0);
}

/* Work from other threads */

enum { POSTERS = 4, POSTS = 2000 };

struct letter {
	struct post post;
	unsigned from, n;
};

struct poster {
	pthread_t thread;
	unsigned id;
	struct letter letters[POSTS];
};

static unsigned next_of[POSTERS], n_read;

static void read_letter(struct post *p)
{
	struct letter *l = CONTAINER_OF(p, struct letter, post);
	assert_int_equal(l->n, next_of[l->from]); /* in the order of its thread */
	next_of[l->from]++;
	if (++n_read == POSTERS * POSTS)
		loop_stop(loop);
}

static void *post_letters(void *arg)
{
	struct poster *p = arg;
	for (unsigned i = 0; i < POSTS; i++) {
		p->letters[i] =
			(struct letter){.post = {.run = read_letter}, .from = p->id, .n = i};
		loop_post(loop, &p->letters[i].post);
	}
	return NULL;
}

static void posts_of_many_threads(void **state)
{
	(void)state; /* none */
	struct err err = {0};
	struct poster *posters = mem_array(POSTERS, sizeof(*posters));
	n_read = 0;
	for (unsigned i = 0; i < POSTERS; i++) {
		next_of[i] = 0;
		posters[i].id = i;
		assert_int_equal(
			pthread_create(&posters[i].thread, NULL, post_letters, &posters[i]), 0);
	}
	assert_true(loop_run(loop, &err));
	for (unsigned i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
	assert_int_equal(n_read, POSTERS * POSTS);
	free(posters);
}

struct again {
	struct post post;
	unsigned n;
};

static void post_again(struct post *p)
{
	struct again *a = CONTAINER_OF(p, struct again, post);
	if (++a->n < 3)
		loop_post(loop, p); /* its own memory is free for it again */
}

static void a_post_may_post_itself(void **state)
{
	(void)state; /* none */
	struct again a = {.post = {.run = post_again}};
	loop_post(loop, &a.post);
	for (unsigned i = 0; i < 3; i++)
		turn(-1);
	assert_int_equal(a.n, 3);
	turn(0);
	assert_int_equal(a.n, 3);
}

static void *stop(void *arg)
{
	loop_stop(arg);
	return NULL;
}

static void another_thread_stops_the_loop(void **state)
{
	(void)state; /* none */
	struct err err = {0};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, stop, loop), 0);
	assert_true(loop_run(loop, &err));
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Deferred work */

struct later {
	struct deferred deferred;
	unsigned n, again;
};

static void run_later(struct deferred *d)
{
	struct later *l = CONTAINER_OF(d, struct later, deferred);
	l->n++;
	if (l->again && l->again--)
		loop_defer(loop, d);
}

static void free_later(struct deferred *d)
{
	free(CONTAINER_OF(d, struct later, deferred));
}

static void deferred_work_runs_at_the_end_of_the_turn(void **state)
{
	(void)state; /* none */
	struct later l = {.deferred = {.run = run_later}, .again = 1};
	loop_defer(loop, &l.deferred);
	assert_int_equal(l.n, 0);
	turn(-1); /* does not wait: there is work */
	assert_int_equal(l.n, 1);
	turn(-1); /* what was deferred meanwhile is of the next turn */
	assert_int_equal(l.n, 2);
	turn(0);
	assert_int_equal(l.n, 2);
}

static void the_end_runs_what_is_left(void **state)
{
	(void)state; /* none */
	struct err err = {0};
	struct loop *own = loop_new(&err);
	assert_non_null(own);
	struct later *l = mem_new(sizeof(*l));
	struct later p = {.deferred = {.run = run_later}};
	struct alarm a = alarm_of(1);
	l->deferred.run = free_later; /* AddressSanitizer sees if it does not run */
	loop_defer(own, &l->deferred);
	loop_defer(own, &p.deferred);
	timer_set(own, &a.timer, 3600 * NS_PER_S);
	loop_free(own);
	assert_int_equal(p.n, 1);
	assert_false(timer_is_set(&a.timer));
	loop_free(NULL);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_LOOP(timers_fire_in_order),
		WITH_LOOP(timers_are_cancelled),
		WITH_LOOP(timers_are_moved),
		WITH_LOOP(callbacks_cancel_and_move_timers),
		WITH_LOOP(a_timer_that_sets_itself_starves_nobody),
		WITH_LOOP(a_turn_waits_no_longer_than_told),
		WITH_LOOP(descriptors_are_told),
		WITH_LOOP(a_bad_descriptor_is_an_error),
		WITH_LOOP(no_event_after_del_in_the_same_turn),
		WITH_LOOP(closed_and_forgotten),
		WITH_LOOP(posts_of_many_threads),
		WITH_LOOP(a_post_may_post_itself),
		WITH_LOOP(another_thread_stops_the_loop),
		WITH_LOOP(deferred_work_runs_at_the_end_of_the_turn),
		WITH_LOOP(the_end_runs_what_is_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
