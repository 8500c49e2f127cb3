#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shared_map.h"

enum { MANY = 3000, COPIES = 40, STEPS = 60 };

struct thing {
	atomic_uint refs; /* nodes that hold it */
	uint32_t key;
};

static void thing_get(void *value)
{
	atomic_fetch_add(&((struct thing *)value)->refs, 1);
}

static void thing_put(void *value)
{
	assert_true(atomic_fetch_sub(&((struct thing *)value)->refs, 1) > 0);
}

static const struct shared_ops ops = {thing_get, thing_put};

static struct thing things[MANY];

/* The same draws in each run. */
static uint32_t draw(uint32_t below)
{
	static uint32_t x = 88172645u;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % below;
}

static size_t count(const struct shared_map *m, uint32_t key)
{
	size_t n = 0;
	for (struct shared_walk w = shared_map_find(m, &key, sizeof(key)); shared_map_next(&w);)
		n += ((struct thing *)w.value)->key == key;
	return n;
}

static void add(struct shared_map *m, uint32_t i)
{
	shared_map_add(m, &things[i].key, sizeof(things[i].key), &things[i]);
}

static void drop(struct shared_map *m, uint32_t i)
{
	shared_map_remove(m, &things[i].key, sizeof(things[i].key), &things[i]);
}

static int set_up(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		things[i].key = i;
		atomic_init(&things[i].refs, 0);
	}
	return 0;
}

static void expect_no_refs(void)
{
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(atomic_load(&things[i].refs), 0);
}

static void an_empty_map_has_nothing(void **state)
{
	(void)state;
	struct shared_map m = {.ops = &ops};
	struct shared_map copy = shared_map_copy(&m);
	assert_int_equal(count(&m, 1), 0);
	add(&m, 1);
	assert_int_equal(count(&copy, 1), 0);
	drop(&m, 1);
	assert_null(m.root); /* what is empty has no nodes */
	shared_map_fini(&m);
	shared_map_fini(&copy);
	expect_no_refs();
}

static void several_values_under_one_key(void **state)
{
	(void)state;
	struct shared_map m = {.ops = &ops};
	for (uint32_t i = 0; i < 100; i++) {
		things[i].key = 7;
		add(&m, i);
	}
	assert_int_equal(count(&m, 7), 100);
	for (uint32_t i = 0; i < 100; i += 2)
		drop(&m, i);
	assert_int_equal(count(&m, 7), 50);
	assert_int_equal(m.n, 50);
	shared_map_fini(&m);
	expect_no_refs();
}

/* What each copy must have, beside the copy. */
struct kept {
	struct shared_map map;
	bool has[MANY];
};

static void expect(const struct kept *k)
{
	size_t n = 0;
	for (uint32_t i = 0; i < MANY; i++) {
		assert_int_equal(count(&k->map, i), k->has[i]);
		n += k->has[i];
	}
	assert_int_equal(k->map.n, n);
}

static void count_one(void *ctx, void *value)
{
	(void)value;
	++*(size_t *)ctx;
}

static void copies_stay_as_they_are(void **state)
{
	(void)state;
	struct kept now = {.map.ops = &ops};
	struct kept *copies = mem_array(COPIES, sizeof(*copies));
	for (size_t c = 0; c < COPIES; c++) {
		for (size_t step = 0; step < (c == 0 ? 2 * MANY : STEPS); step++) {
			uint32_t i = draw(MANY);
			if (now.has[i])
				drop(&now.map, i);
			else
				add(&now.map, i);
			now.has[i] = !now.has[i];
		}
		copies[c] = now;
		copies[c].map = shared_map_copy(&now.map);
	}
	expect(&now);
	size_t walked = 0;
	shared_map_each(&now.map, count_one, &walked);
	assert_int_equal(walked, now.map.n);
	while (now.map.n) { /* the last one is emptied; the copies know nothing of it */
		uint32_t i = draw(MANY);
		while (!now.has[i])
			i = (i + 1) % MANY;
		drop(&now.map, i);
		now.has[i] = false;
	}
	for (size_t c = 0; c < COPIES; c++)
		expect(&copies[c]);
	for (size_t c = 0; c < COPIES; c++)
		shared_map_fini(&copies[(c * 7) % COPIES].map); /* in any order */
	shared_map_fini(&now.map);
	free(copies);
	expect_no_refs();
}

/* No clock: how many values a change touches. */
static void a_change_touches_little(void **state)
{
	(void)state;
	struct shared_map m = {.ops = &ops};
	for (uint32_t i = 1; i < MANY; i++)
		add(&m, i);
	struct shared_map copy = shared_map_copy(&m);
	add(&m, 0);
	size_t touched = 0;
	for (uint32_t i = 0; i < MANY; i++)
		touched += atomic_load(&things[i].refs) > 1;
	assert_in_range(touched, 0, 40);
	shared_map_fini(&m);
	shared_map_fini(&copy);
	expect_no_refs();
}

struct reader {
	pthread_t thread;
	struct shared_map map;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	for (uint32_t i = 0; i < MANY; i++)
		if (count(&r->map, i) != (i % 2 == 0))
			return r;
	shared_map_fini(&r->map);
	return NULL;
}

static void others_read_and_end_copies(void **state)
{
	(void)state;
	struct shared_map m = {.ops = &ops};
	struct reader readers[4];
	for (uint32_t i = 0; i < MANY; i += 2)
		add(&m, i);
	for (size_t i = 0; i < N_ELEMS(readers); i++) {
		readers[i].map = shared_map_copy(&m);
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]),
				 0);
	}
	for (uint32_t i = 0; i < MANY; i += 2) {
		drop(&m, i);
		add(&m, i + 1);
	}
	for (size_t i = 0; i < N_ELEMS(readers); i++) {
		void *wrong = NULL;
		assert_int_equal(pthread_join(readers[i].thread, &wrong), 0);
		assert_null(wrong);
	}
	shared_map_fini(&m);
	expect_no_refs();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
	const struct CMUnitTest tests[] = {
		TEST(an_empty_map_has_nothing),   TEST(several_values_under_one_key),
		TEST(copies_stay_as_they_are),    TEST(a_change_touches_little),
		TEST(others_read_and_end_copies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
