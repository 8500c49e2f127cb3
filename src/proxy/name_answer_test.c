#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/name_answer.h"

/* One question after the other about one name and family. */
static void questions(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct {
		const char *rule;
		uint32_t ips[3];  /* 0: no more */
		enum err_kind err;
		bool in_order, others; /* OTHERS: the addresses have changed */
		uint32_t after[3];
	} steps[] = {
		{"the first one fails",         {0},       ERR_NOT_NOW,   false, false, {0}},
		{"an answer",                   {1, 2},    ERR_NONE,      false, true,  {1, 2}},
		{"the same",                    {1, 2},    ERR_NONE,      false, false, {1, 2}},
		{"another order",               {2, 1},    ERR_NONE,      false, false, {1, 2}},
		{"another order that matters",  {2, 1},    ERR_NONE,      true,  true,  {2, 1}},
		{"a failure: the last stays",   {0},       ERR_NOT_NOW,   false, false, {2, 1}},
		{"another failure",             {0},       ERR_SYS,       false, false, {2, 1}},
		{"one less",                    {2},       ERR_NONE,      false, true,  {2}},
		{"another one",                 {3},       ERR_NONE,      false, true,  {3}},
		{"there is none: it goes",      {0},       ERR_NOT_FOUND, false, true,  {0}},
		{"still none",                  {0},       ERR_NOT_FOUND, false, false, {0}},
		{"a failure after none",        {0},       ERR_NOT_NOW,   false, false, {0}},
		{"one again",                   {1},       ERR_NONE,      false, true,  {1}},
	};
	/* clang-format on */
	struct name_answer a = {0};
	for (size_t i = 0; i < N_ELEMS(steps); i++) {
		struct ip ips[3];
		struct err err = {.kind = steps[i].err};
		struct resolve_answer got = {.ips = ips, .ttl_s = 7};
		while (got.n < 3 && steps[i].ips[got.n]) {
			ips[got.n] = ip_v4(steps[i].ips[got.n]);
			got.n++;
		}
		got.err = steps[i].err == ERR_NONE ? NULL : &err;
		if (name_answer_take(&a, &got, steps[i].in_order) != steps[i].others)
			fail_msg("%s", steps[i].rule);
		size_t n = 0;
		for (; n < 3 && steps[i].after[n]; n++)
			if (n >= a.n || ip_to_v4(&a.ips[n]) != steps[i].after[n])
				fail_msg("%s: address %zu", steps[i].rule, n);
		if (a.n != n)
			fail_msg("%s: %zu addresses", steps[i].rule, a.n);
		assert_int_equal(a.failed, steps[i].err == ERR_NOT_NOW || steps[i].err == ERR_SYS);
	}
	assert_int_equal(a.ttl_s, 7);
	name_answer_fini(&a);
	name_answer_fini(&a);
}

/* The first answer is news even where it says that there is none. */
static void none_at_first(void **state)
{
	(void)state;
	struct name_answer a = {0};
	struct err err = {.kind = ERR_NOT_FOUND};
	struct resolve_answer got = {.err = &err};
	assert_true(name_answer_take(&a, &got, false));
	assert_true(a.answered && !a.failed && a.n == 0);
	assert_false(name_answer_take(&a, &got, false));
	name_answer_fini(&a);
}

static void no_longer_than_an_hour(void **state)
{
	(void)state;
	struct name_answer a = {0};
	const struct ip ip = ip_v4(1);
	struct resolve_answer got = {.ips = &ip, .n = 1, .ttl_s = UINT32_MAX};
	assert_true(name_answer_take(&a, &got, false));
	assert_int_equal(a.ttl_s, NAME_TTL_MAX_S);
	name_answer_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions),
		cmocka_unit_test(none_at_first),
		cmocka_unit_test(no_longer_than_an_hour),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
