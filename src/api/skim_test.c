#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "api/skim.h"
#include "base/mem.h"

static void members(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *text, *key, *value; /* NULL: not found */
	} rows[] = {
		{"string", "{\"a\":\"b\"}", "a", "\"b\""},
		{"white space", " { \"a\" : \"b\" , \"c\" : 1 } ", "c", "1"},
		{"number at the end", "{\"a\":-1.5e3}", "a", "-1.5e3"},
		{"literal", "{\"a\":null,\"b\":true}", "a", "null"},
		{"object", "{\"x\":{\"a\":1},\"a\":{\"b\":[{}]}}", "a", "{\"b\":[{}]}"},
		{"array", "{\"a\":[1,[2],\"]\"]}", "a", "[1,[2],\"]\"]"},
		{"escapes in between", "{\"x\":\"\\\"a\\\\\",\"a\":2}", "a", "2"},
		{"brackets in strings", "{\"x\":\"}{\",\"a\":2}", "a", "2"},
		{"inner key does not count", "{\"x\":{\"a\":1}}", "a", NULL},
		{"value does not count", "{\"x\":\"a\"}", "a", NULL},
		{"the last of two", "{\"a\":1,\"a\":2}", "a", "2"},
		{"empty object", "{}", "a", NULL},
		{"no object", "[\"a\",1]", "a", NULL},
		{"nothing", "", "a", NULL},
		{"cut short", "{\"a\":1", "a", NULL},
		{"cut in a string", "{\"a\":\"b", "a", NULL},
		{"cut behind a backslash", "{\"a\":\"b\\", "a", NULL},
		{"no colon", "{\"a\" 1}", "a", NULL},
		{"no value", "{\"a\":}", "a", NULL},
		{"prefix of a key", "{\"ab\":1}", "a", NULL},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct slice value = {0};
		bool found = skim_member(slice_of(rows[i].text), rows[i].key, &value);
		if (found != (rows[i].value != NULL) || (found && !slice_is(value, rows[i].value)))
			fail_msg("%s: '%.*s'", rows[i].rule, SLICE_FMT(value));
	}
}

static void elements(void **state)
{
	(void)state;
	struct slice a = SLICE(" [ {\"a\":[1]} ,2, \"x\" ] "), v;
	assert_true(skim_element(&a, &v) && slice_is(v, "{\"a\":[1]}"));
	assert_true(skim_element(&a, &v) && slice_is(v, "2"));
	assert_true(skim_element(&a, &v) && slice_is(v, "\"x\""));
	assert_false(skim_element(&a, &v));
	a = SLICE("[]");
	assert_false(skim_element(&a, &v));
	a = SLICE("null");
	assert_false(skim_element(&a, &v));
}

/* An object from its front to its end, each member once. */
static void names(void **state)
{
	(void)state;
	struct slice o = SLICE(" { \"a\" : [1, {}] ,\"b\":\"x}\" , \"c\": null } "), name, v;
	assert_true(skim_name(&o, &name) && slice_is(name, "\"a\""));
	assert_true(skim_element(&o, &v) && slice_is(v, "1"));
	assert_false(skim_end(&o, ']'));
	assert_true(skim_element(&o, &v) && slice_is(v, "{}"));
	assert_false(skim_element(&o, &v));
	assert_true(skim_end(&o, ']'));
	assert_true(skim_name(&o, &name) && slice_is(name, "\"b\""));
	assert_true(skim_value(&o, &v) && slice_is(v, "\"x}\""));
	assert_true(skim_name(&o, &name) && slice_is(name, "\"c\""));
	assert_true(slice_starts(o, SLICE("null")) && skim_value(&o, &v) && slice_is(v, "null"));
	assert_false(skim_name(&o, &name));
	assert_true(skim_end(&o, '}') && o.len == 0);
	static const char *const nothing[] = {"", "{}", "[1]", "{1:2}", "{\"a\"}", "{\"a", "{"};
	for (size_t i = 0; i < N_ELEMS(nothing); i++) {
		o = slice_of(nothing[i]);
		if (skim_name(&o, &name))
			fail_msg("%s", nothing[i]);
	}
}

static void strings(void **state)
{
	(void)state;
	char out[4];
	uint64_t n;
	assert_true(skim_string(SLICE("\"abc\""), out, sizeof(out)));
	assert_string_equal(out, "abc");
	assert_true(skim_string(SLICE("\"\""), out, sizeof(out)));
	assert_false(skim_string(SLICE("\"abcd\""), out, sizeof(out)));
	assert_false(skim_string(SLICE("\"a\\n\""), out, sizeof(out)));
	assert_false(skim_string(SLICE("12"), out, sizeof(out)));
	assert_false(skim_string(SLICE(""), out, sizeof(out)));
	assert_false(skim_string(SLICE("\""), out, sizeof(out)));
	assert_true(skim_u64(SLICE("410"), &n) && n == 410);
	assert_false(skim_u64(SLICE("\"410\""), &n));
}

static void stream_at_every_cut(void **state)
{
	(void)state;
	static const char text[] = "{\"a\":\"}\\\"{\"}\n {\"b\":[{},[]]}{}\n\n{\"c\":1}\n";
	static const char *const want[] = {"{\"a\":\"}\\\"{\"}", "{\"b\":[{},[]]}", "{}",
					   "{\"c\":1}"};
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		struct framer f;
		size_t n = 0;
		framer_init(&f, 1000);
		struct slice halves[] = {{text, cut}, {text + cut, sizeof(text) - 1 - cut}}, object;
		for (size_t i = 0; i < 2; i++) {
			enum framer_result r;
			while ((r = framer_next(&f, &halves[i], &object)) == FRAMER_OBJECT) {
				assert_true(n < N_ELEMS(want) && slice_is(object, want[n]));
				n++;
			}
			assert_int_equal(r, FRAMER_MORE);
		}
		assert_int_equal(n, N_ELEMS(want));
		framer_fini(&f);
	}
	struct framer f;
	struct slice in = SLICE("[1]"), object;
	framer_init(&f, 8);
	assert_int_equal(framer_next(&f, &in, &object), FRAMER_BAD);
	in = SLICE("{\"long\":");
	assert_int_equal(framer_next(&f, &in, &object), FRAMER_MORE);
	in = SLICE("1");
	assert_int_equal(framer_next(&f, &in, &object), FRAMER_BAD);
	framer_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members),
		cmocka_unit_test(elements),
		cmocka_unit_test(names),
		cmocka_unit_test(strings),
		cmocka_unit_test(stream_at_every_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
