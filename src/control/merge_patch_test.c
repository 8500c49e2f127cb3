#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "control/merge_patch.h"

/* RFC 7386, appendix A: those of its examples whose documents are objects, and a few. */
static void each_row(void **state)
{
	(void)state;
	static const struct {
		const char *target, *patch, *result;
	} rows[] = {
		{"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
		{"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
		{"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
		{"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
		{"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
		{"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
		{"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
		 "{\"a\":{\"b\":\"d\"}}"},
		{"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
		{"{\"a\":\"foo\"}", "{\"a\":{\"b\":{\"c\":null}}}", "{\"a\":{\"b\":{}}}"},
		{"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
		{"{\"a\":{\"x\":1,\"y\":2}}", "{\"a\":{\"x\":null,\"z\":[null]},\"n\":true}",
		 "{\"a\":{\"y\":2,\"z\":[null]},\"n\":true}"},
		{"{\"a\":1}", "{}", "{\"a\":1}"},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct arena *a = arena_new();
		struct tree *target, *patch, *want;
		struct err err = {0};
		assert_true(tree_from_json(a, slice_of(rows[i].target), &target, &err));
		assert_true(tree_from_json(a, slice_of(rows[i].patch), &patch, &err));
		assert_true(tree_from_json(a, slice_of(rows[i].result), &want, &err));
		if (!tree_equal(merge_patch(a, target, patch), want))
			fail_msg("%s patched with %s", rows[i].target, rows[i].patch);
		arena_free(a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_row)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
