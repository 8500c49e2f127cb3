#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proxy/balance.h"

enum { N = 6, N_V4 = 4, NOW_S = 1000 };

static struct live_endpoint lives[N];
static struct view_endpoint endpoints[N];
static struct live_port live;
static struct view_port port;
static const uint64_t now = NOW_S * NS_PER_S;

static int fresh(void **state)
{
	(void)state;
	live = (struct live_port){0};
	for (size_t i = 0; i < N; i++) {
		lives[i] = (struct live_endpoint){0};
		endpoints[i] = (struct view_endpoint){.live = &lives[i], .ready = true};
	}
	port = (struct view_port){
		.endpoints = endpoints, .n_endpoints = N, .n_v4 = N_V4, .live = &live};
	return 0;
}

static size_t index_of(const struct view_endpoint *ep)
{
	assert_non_null(ep);
	return (size_t)(ep - endpoints);
}

static size_t first(enum load_balancer lb, bool v4)
{
	struct balance b;
	balance_start(&b, &port, lb, v4, 0x12345678, now);
	return index_of(balance_next(&b, &port));
}

static void round_robin_takes_turns(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3 * N_V4; i++)
		assert_int_equal(first(LB_ROUND_ROBIN, true), i % N_V4);
}

static void the_family_dialled_comes_first(void **state)
{
	(void)state;
	assert_in_range(first(LB_ROUND_ROBIN, false), N_V4, N - 1);
	assert_in_range(first(LB_LEAST_CONNECTIONS, false), N_V4, N - 1);
	port.n_v4 = 0; /* no endpoint of that family: the other one */
	assert_in_range(first(LB_LEAST_CONNECTIONS, true), 0, N - 1);
}

static void least_connections_wins(void **state)
{
	(void)state;
	for (size_t i = 0; i < N; i++)
		lives[i].active = i == 2 ? 1 : 5;
	for (size_t i = 0; i < N; i++)
		assert_int_equal(first(LB_LEAST_CONNECTIONS, true), 2);
}

static void equals_take_turns(void **state)
{
	(void)state;
	unsigned hits[N] = {0};
	for (size_t i = 0; i < 4 * N_V4; i++)
		hits[first(LB_LEAST_CONNECTIONS, true)]++;
	for (size_t i = 0; i < N_V4; i++)
		assert_int_equal(hits[i], 4);
}

static void each_is_tried_once(void **state)
{
	(void)state;
	struct balance b;
	unsigned tried[N] = {0};
	const struct view_endpoint *ep;
	balance_start(&b, &port, LB_ROUND_ROBIN, true, 0, now);
	while ((ep = balance_next(&b, &port))) {
		tried[index_of(ep)]++;
		balance_refused(ep, now + 1);
	}
	for (size_t i = 0; i < N; i++)
		assert_int_equal(tried[i], 1);
}

static void the_refused_come_last(void **state)
{
	(void)state;
	struct balance b;
	balance_refused(&endpoints[0], now - NS_PER_S);
	balance_refused(&endpoints[1], now - NS_PER_S);
	balance_start(&b, &port, LB_ROUND_ROBIN, true, 0, now);
	size_t order[N];
	for (size_t i = 0; i < N; i++)
		order[i] = index_of(balance_next(&b, &port));
	assert_null(balance_next(&b, &port));
	assert_in_range(order[N - 2], 0, 1);
	assert_in_range(order[N - 1], 0, 1);
}

static void avoidance_ends(void **state)
{
	(void)state;
	balance_refused(&endpoints[0], now - BALANCE_AVOID_MS * NS_PER_MS);
	assert_int_equal(first(LB_ROUND_ROBIN, true), 0);
}

static void all_refused_are_tried_anyway(void **state)
{
	(void)state;
	struct balance b;
	size_t n = 0;
	for (size_t i = 0; i < N; i++)
		balance_refused(&endpoints[i], now - NS_PER_S);
	balance_start(&b, &port, LB_LEAST_CONNECTIONS, true, 0, now);
	for (const struct view_endpoint *ep; (ep = balance_next(&b, &port)); n++)
		balance_refused(ep, now + 1);
	assert_int_equal(n, N);
}

static void nobody_is_there(void **state)
{
	(void)state;
	struct balance b;
	port.n_endpoints = port.n_v4 = 0;
	balance_start(&b, &port, LB_LEAST_CONNECTIONS, true, 0, now);
	assert_null(balance_next(&b, &port));
}

static void two_at_random_among_many(void **state)
{
	(void)state;
	enum { MANY = 100 };
	static struct live_endpoint many_lives[MANY];
	static struct view_endpoint many[MANY];
	for (size_t i = 0; i < MANY; i++)
		many[i] = (struct view_endpoint){.live = &many_lives[i], .ready = true};
	port = (struct view_port){
		.endpoints = many, .n_endpoints = MANY, .n_v4 = MANY, .live = &live};
	many_lives[7].active = 1;
	struct balance b;
	balance_start(&b, &port, LB_LEAST_CONNECTIONS, true, 7u | 31u << 16, now);
	assert_ptr_equal(balance_next(&b, &port), &many[31]);
}

static void weigh(const uint32_t weights[N])
{
	static uint64_t upto[N];
	uint64_t sum = 0;
	for (size_t i = 0; i < N; i++) {
		if (i == N_V4)
			sum = 0;
		endpoints[i].weight = weights[i];
		upto[i] = sum += weights[i];
	}
	port.weight_upto = upto;
}

static const struct {
	uint32_t weights[N];
} weights[] = {
	{{3, 1, 1, 1, 1, 1}},
	{{1, 1, 1, 3, 2, 5}},
	{{1, 100, 1, 1, 1, 1}},
	{{7, 11, 13, 17, 1, 1}},
	{{4000000000u, 1000000000u, 4000000000u, 2000000000u, 1, 1}},
};

/* Over any stretch each has its share, to within three turns, whether turns are taken or loads compared
 * while nobody is loaded. */
static void weights_are_shares(void **state)
{
	(void)state;
	for (size_t r = 0; r < N_ELEMS(weights); r++)
		for (int lb = 0; lb < 2; lb++) {
			double sum = 0, hits[N] = {0};
			(void)fresh(NULL);
			weigh(weights[r].weights);
			for (size_t i = 0; i < N_V4; i++)
				sum += weights[r].weights[i];
			for (unsigned n = 1; n <= 1000; n++) {
				hits[first(lb ? LB_ROUND_ROBIN : LB_LEAST_CONNECTIONS, true)]++;
				for (size_t i = 0; i < N_V4; i++) {
					double due = (double)n * weights[r].weights[i] / sum;
					assert_true(hits[i] > due - 3 && hits[i] < due + 3);
				}
			}
			assert_in_range(first(LB_ROUND_ROBIN, false), N_V4, N - 1);
		}
}

/* Connections that stay are spread by weight as well. */
static void held_connections_follow_weights(void **state)
{
	(void)state;
	weigh((const uint32_t[N]){3, 1, 2, 2, 1, 1});
	for (unsigned n = 0; n < 80; n++)
		lives[first(LB_LEAST_CONNECTIONS, true)].active++;
	assert_int_equal(lives[0].active, 30);
	assert_int_equal(lives[1].active, 10);
	assert_int_equal(lives[2].active, 20);
	assert_int_equal(lives[3].active, 20);
}

static void weight_makes_up_for_nothing_dead(void **state)
{
	(void)state;
	weigh((const uint32_t[N]){1000, 1, 1, 1, 1, 1});
	balance_refused(&endpoints[0], now - NS_PER_S);
	for (unsigned n = 0; n < 50; n++) {
		assert_in_range(first(LB_LEAST_CONNECTIONS, true), 1, N_V4 - 1);
		assert_in_range(first(LB_ROUND_ROBIN, true), 1, N_V4 - 1);
	}
}

static void many_are_drawn_by_weight(void **state)
{
	enum { MANY = 40, DRAWS = 40000 };
	static struct live_endpoint many_lives[MANY];
	static struct view_endpoint many[MANY];
	static uint64_t upto[MANY];
	(void)state;
	unsigned hits = 0;
	uint32_t random = 1;
	for (size_t i = 0; i < MANY; i++) {
		many[i] = (struct view_endpoint){.live = &many_lives[i], .weight = i ? 1 : 39};
		upto[i] = 39 + i;
	}
	port = (struct view_port){.endpoints = many,
				  .n_endpoints = MANY,
				  .n_v4 = MANY,
				  .weight_upto = upto,
				  .live = &live};
	for (unsigned n = 0; n < DRAWS; n++) {
		struct balance b;
		random = random * 1664525u + 1013904223u;
		balance_start(&b, &port, LB_LEAST_CONNECTIONS, true, random, now);
		hits += balance_next(&b, &port) == &many[0];
	}
	assert_in_range(hits, DRAWS * 45 / 100, DRAWS * 55 / 100);
	many_lives[0].active = 39 * 2; /* twice as loaded as any other, which has one */
	for (size_t i = 1; i < MANY; i++)
		many_lives[i].active = 1;
	struct balance b;
	balance_start(&b, &port, LB_LEAST_CONNECTIONS, true, 0xf0000000, now);
	assert_ptr_not_equal(balance_next(&b, &port), &many[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(round_robin_takes_turns, fresh),
		cmocka_unit_test_setup(the_family_dialled_comes_first, fresh),
		cmocka_unit_test_setup(least_connections_wins, fresh),
		cmocka_unit_test_setup(equals_take_turns, fresh),
		cmocka_unit_test_setup(each_is_tried_once, fresh),
		cmocka_unit_test_setup(the_refused_come_last, fresh),
		cmocka_unit_test_setup(avoidance_ends, fresh),
		cmocka_unit_test_setup(all_refused_are_tried_anyway, fresh),
		cmocka_unit_test_setup(nobody_is_there, fresh),
		cmocka_unit_test_setup(two_at_random_among_many, fresh),
		cmocka_unit_test_setup(weights_are_shares, fresh),
		cmocka_unit_test_setup(held_connections_follow_weights, fresh),
		cmocka_unit_test_setup(weight_makes_up_for_nothing_dead, fresh),
		cmocka_unit_test_setup(many_are_drawn_by_weight, fresh),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
