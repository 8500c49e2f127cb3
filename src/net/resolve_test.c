/* Names from /etc/hosts and literals; what cannot be resolved; calls that are given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/resolve.h"

struct answer {
	unsigned calls;
	struct ip ips[RESOLVE_MAX_IPS];
	size_t n;
	struct err err;
};

static void on_end(void *ctx, const struct resolve_answer *answer)
{
	struct answer *a = ctx;
	a->calls++;
	a->n = answer->n;
	for (size_t i = 0; i < answer->n; i++)
		a->ips[i] = answer->ips[i];
	if (answer->err)
		a->err = *answer->err;
}

static struct loop *new_loop(void **state)
{
	struct err err = {0};
	struct loop *loop = loop_new(&err);
	(void)state;
	assert_non_null(loop);
	return loop;
}

static void wait_for(struct loop *loop, const struct answer *a)
{
	struct err err = {0};
	uint64_t until = clock_ns() + 30 * NS_PER_S;
	assert_int_equal(a->calls, 0); /* never from within */
	while (!a->calls && clock_ns() < until)
		assert_true(loop_turn(loop, 100, &err));
	assert_int_equal(a->calls, 1);
}

static struct answer ask(struct loop *loop, const char *host)
{
	struct answer a = {0};
	struct err err = {0};
	assert_non_null(resolve_start(loop, host, on_end, &a, &err));
	wait_for(loop, &a);
	return a;
}

static void literals(void **state)
{
	struct loop *loop = new_loop(state);
	const struct ip loopback = ip_v4(0x7f000001);
	struct answer a = ask(loop, "127.0.0.1");
	assert_int_equal(a.n, 1);
	assert_memory_equal(&a.ips[0], &loopback, sizeof(loopback));
	a = ask(loop, "fd00::7");
	assert_int_equal(a.n, 1);
	assert_int_equal(a.ips[0].b[0], 0xfd);
	loop_free(loop);
}

/* RFC 6761 6.3 */
static void localhost(void **state)
{
	struct loop *loop = new_loop(state);
	struct answer a = ask(loop, "localhost");
	assert_true(a.n >= 1);
	static const char *const names[] = {"localhost", "Localhost.", "a.localhost"};
	for (size_t i = 0; i < N_ELEMS(names); i++)
		for (enum resolve_family f = RESOLVE_V4; f <= RESOLVE_V6; f++) {
			struct err err = {0};
			a = (struct answer){0};
			assert_non_null(resolve_whole(loop, names[i], f, on_end, &a, &err));
			wait_for(loop, &a);
			assert_int_equal(a.n, 1);
			assert_true(ip_is_loopback(&a.ips[0]));
			assert_int_equal(ip_is_v4(&a.ips[0]), f == RESOLVE_V4);
		}
	loop_free(loop);
}

/* RFC 6761 6.4: no such name is ever made. Without a server it is another error. */
static void unknown(void **state)
{
	struct loop *loop = new_loop(state);
	struct answer a = ask(loop, "nobody.invalid");
	assert_int_equal(a.n, 0);
	assert_int_equal(a.err.kind, ERR_NOT_FOUND);
	loop_free(loop);
}

static void given_up(void **state)
{
	struct loop *loop = new_loop(state);
	struct answer a = {0};
	struct err err = {0};
	resolve_cancel(
		resolve_start(loop, "nobody.invalid", on_end, &a, &err)); /* before it began */
	struct resolve *r = resolve_start(loop, "nobody.invalid", on_end, &a, &err);
	assert_true(loop_turn(loop, 0, &err)); /* it has asked */
	if (!a.calls)
		resolve_cancel(r);
	unsigned calls = a.calls;
	for (int i = 0; i < 5; i++)
		assert_true(loop_turn(loop, 1, &err));
	assert_int_equal(a.calls, calls);
	resolve_cancel(NULL);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals),
		cmocka_unit_test(localhost),
		cmocka_unit_test(unknown),
		cmocka_unit_test(given_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
