#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/tree.h"

/* Each row also ends at each of its bytes: what is cut short is refused, and read no further. (tree_json_fuzz.c has
 * jansson's verdict on its seeds.) */
static void texts(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct {
		const char *name, *text;
		const char *want;  /* as written again; NULL: refused */
		const char *error; /* what the message has */
	} rows[] = {
		{"an object",               " {\"b\" : 1 , \"a\":[true,false,null,\"x\"]}\n", "{\"a\":[true,false,null,\"x\"],\"b\":1}", NULL},
		{"empty ones",              "[{},[],\"\"]",                "[{},[],\"\"]",            NULL},
		{"integers",                "[0,-0,7,-9223372036854775808,9223372036854775807]", "[0,0,7,-9223372036854775808,9223372036854775807]", NULL},
		{"reals",                   "[0.5,-1e2,1E+2,2.50]",        "[0.5,-100.0,100.0,2.5]",  NULL},
		{"too small for a double",  "[1e-999]",                    "[0.0]",                   NULL},
		{"escapes",                 "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"]", "[\"\\\"\\\\/\\u0008\\u000c\\n\\u000d\\u0009A\"]", NULL},
		{"two to four bytes",       "[\"\\u00e9\\u20ac\\ud83d\\ude00\"]", "[\"\u00e9\u20ac\U0001f600\"]", NULL},
		{"UTF-8 behind an escape",  "[\"\\n\u00e9x\"]",            "[\"\\n\u00e9x\"]",        NULL},
		{"nothing",                 "",                            NULL, "line 1 column 1: not a value"},
		{"a word",                  "[tru]",                       NULL, "column 2: not a value"},
		{"two values",              "1 2",                         NULL, "column 3: something follows"},
		{"a comma too many",        "[1,]",                        NULL, "column 4: not a value"},
		{"a comma too many, object", "{\"a\":1,}",                 NULL, "column 8: expected the name"},
		{"no comma",                "[1 2]",                       NULL, "column 4: expected a comma"},
		{"no colon",                "{\"a\" 1}",                   NULL, "column 6: expected a colon"},
		{"a key that is no string", "{a:1}",                       NULL, "column 2: expected the name"},
		{"a member twice",          "{\"a\":1,\n \"a\":2}",        NULL, "line 2 column 3: the member is there twice"},
		{"behind a text of two lines", "{\"a\":\"x\\ny\",b}",   NULL, "line 1 column 13: expected the name"},
		{"leading zero",            "[01]",                        NULL, "column 3: a number begins with 0"},
		{"a plus",                  "[+1]",                        NULL, "column 2: not a value"},
		{"a minus alone",           "[-]",                         NULL, "column 3: not a value"},
		{"a point without digits",  "[1.]",                        NULL, "column 4: a point without digits"},
		{"no digit before a point", "[.5]",                        NULL, "column 2: not a value"},
		{"no exponent",             "[1e]",                        NULL, "column 4: an exponent without digits"},
		{"too large",               "[9223372036854775808]",       NULL, "column 2: the number is too large"},
		{"too large for a double",  "[1e999]",                     NULL, "column 2: the number is too large"},
		{"a control character",     "[\"a\tb\"]",                  NULL, "column 4: a control character"},
		{"not an escape",           "[\"\\x\"]",                   NULL, "column 4: not an escape"},
		{"too few digits",          "[\"\\u12g4\"]",               NULL, "four hexadecimal digits"},
		{"a NUL",                   "[\"\\u0000\"]",               NULL, "\\u0000 cannot stand"},
		{"a high half alone",       "[\"\\ud800\"]",               NULL, "surrogate"},
		{"a low half alone",        "[\"\\udc00\"]",               NULL, "surrogate"},
		{"two high halves",         "[\"\\ud800\\ud800\"]",        NULL, "surrogate"},
		{"not UTF-8",               "[\"a\xff\"]",                 NULL, "column 4: not UTF-8"},
		{"a surrogate in UTF-8",    "[\"\xed\xa0\x80\"]",          NULL, "not UTF-8"},
		{"a string without end",    "[\"a",                        NULL, "column 4: the string does not end"},
	};
	/* clang-format on */
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct arena *a = arena_new();
		struct tree *root = NULL;
		struct err err = {0};
		struct buf json;
		buf_init(&json, 4096);
		bool ok = tree_from_json(a, slice_of(rows[i].text), &root, &err);
		if (ok != (rows[i].want != NULL))
			fail_msg("%s: %s", rows[i].name, ok ? "taken" : err.text);
		if (!ok && !strstr(err.text, rows[i].error))
			fail_msg("%s: %s", rows[i].name, err.text);
		if (ok &&
		    (!tree_write_json(root, &json) || strcmp(buf_cstr(&json), rows[i].want) != 0))
			fail_msg("%s: %s", rows[i].name, buf_cstr(&json));
		struct slice text = slice_trim(slice_of(rows[i].text));
		for (size_t len = 0; ok && len < text.len; len++)
			if (tree_from_json(a, slice_sub(text, 0, len), &root, &err))
				fail_msg("%s: taken when cut to %zu", rows[i].name, len);
		buf_fini(&json);
		arena_free(a);
	}
}

static void a_nul_inside(void **state)
{
	(void)state;
	static const char *const texts[] = {"[1\0]", "[\"\0\"]", "[1]\0", "[\"a\\\0\"]"};
	static const size_t lens[] = {4, 5, 4, 7};
	for (size_t i = 0; i < N_ELEMS(texts); i++) {
		struct arena *a = arena_new();
		struct tree *root = NULL;
		struct err err = {0};
		assert_false(tree_from_json(a, (struct slice){texts[i], lens[i]}, &root, &err));
		arena_free(a);
	}
}

/* Many members are looked through by sorting: one that is there twice is found all the same. */
static void many_members(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	struct buf text;
	buf_init(&text, 1 << 20);
	assert_true(buf_puts(&text, "{"));
	for (int i = 0; i < 1000; i++)
		assert_true(buf_printf(&text, "\"k%d\":%d,", i, i));
	for (int twice = 0; twice < 2; twice++) {
		struct buf whole;
		struct tree *root = NULL;
		struct err err = {0};
		buf_init(&whole, 1 << 20);
		assert_true(buf_append(&whole, buf_slice(&text)) &&
			    buf_puts(&whole, twice ? "\"k500\":0}" : "\"other\":0}"));
		assert_int_equal(tree_from_json(a, buf_slice(&whole), &root, &err), !twice);
		if (twice)
			assert_non_null(strstr(err.text, "the member is there twice"));
		else
			assert_int_equal(tree_get(root, "k999")->integer, 999);
		buf_fini(&whole);
	}
	buf_fini(&text);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(a_nul_inside),
		cmocka_unit_test(many_members),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
