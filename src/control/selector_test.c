#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "control/selector.h"

static void each_row(void **state)
{
	(void)state;
	static const struct pair pairs[] = {{"app", "shop"}, {"tier", "db"}};
	static const struct meta meta = {.name = "x", .ns = "n", .labels = {pairs, 2}};
	static const struct {
		const char *labels, *fields;
		int matches; /* -1: malformed */
	} rows[] = {
		{"", "", 1},
		{"app=shop", "", 1},
		{"app==shop", "", 1},
		{" app = shop , tier = db ", "", 1},
		{"app=shop,tier=web", "", 0},
		{"app=", "", 0},
		{"app!=shop", "", 0},
		{"app!=x", "", 1},
		{"absent!=x", "", 1},
		{"tier in (web,db)", "", 1},
		{"tier in (web)", "", 0},
		{"tier notin (web, cache)", "", 1},
		{"tier notin (db)", "", 0},
		{"absent notin (db)", "", 1},
		{"app", "", 1},
		{"absent", "", 0},
		{"!absent", "", 1},
		{"!app", "", 0},
		{"app,!absent,tier in (db)", "", 1},
		{"", "metadata.name=x", 1},
		{"", "metadata.name=y", 0},
		{"", "metadata.name!=y,metadata.namespace=n", 1},
		{"app=x", "metadata.name=x", 0},
		{",", "", -1},
		{"app=shop,", "", -1},
		{"=a", "", -1},
		{"a=b=c", "", -1},
		{"a b", "", -1},
		{"a in", "", -1},
		{"a in b", "", -1},
		{"a in (b", "", -1},
		{"!a=b", "", -1},
		{"!", "", -1},
		{"", "spec.nodeName=x", -1},
		{"", "metadata.name", -1},
		{"", "metadata.name in (a,b)", -1},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct arena *arena = arena_new();
		struct err err = {0};
		struct selector *s = selector_parse(arena, slice_of(rows[i].labels),
						    slice_of(rows[i].fields), &err);
		int got = s ? selector_matches(s, &meta) : -1;
		if (got != rows[i].matches)
			fail_msg("'%s' '%s': %d", rows[i].labels, rows[i].fields, got);
		if (s)
			assert_int_equal(selector_is_empty(s), i == 0);
		arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_row)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
