#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/decode.h"
#include "model/names.h"
#include "model/tree_yaml.h"

static struct tree *read_yaml(struct arena *a, const char *text)
{
	struct yaml *y = yaml_open(slice_of(text));
	struct tree *root = NULL;
	struct err err = {0};
	unsigned line = 0;
	if (yaml_next(y, a, &root, &err, &line) != YAML_DOCUMENT)
		fail_msg("%s: line %u: %s", text, line, err.text);
	yaml_close(y);
	return root;
}

static void scalars(void **state)
{
	/* clang-format off */
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{"a",           "\"a\""},
		{"'1'",         "\"1\""},
		{"\"true\"",    "\"true\""},
		{"true",        "true"},
		{"False",       "false"},
		{"tRue",        "\"tRue\""},
		{"yes",         "\"yes\""},
		{"off",         "\"off\""},
		{"~",           "null"},
		{"''",          "\"\""},
		{"12",          "12"},
		{"+12",         "12"},
		{"-12",         "-12"},
		{"1_000",       "1000"},
		{"0",           "0"},
		{"0644",        "420"},
		{"0o644",       "420"},
		{"0x1F",        "31"},
		{"0b101",       "5"},
		{"-0x10",       "-16"},
		{"089",         "89.0"},
		{"1.5",         "1.5"},
		{".5",          "0.5"},
		{"1.",          "1.0"},
		{"1e3",         "1000.0"},
		{"-1.5E-3",     "-0.0015"},
		{"0.1",         "0.1"},
		{"1.2.3",       "\"1.2.3\""},
		{"1:30",        "\"1:30\""},
		{"2026-01-02",  "\"2026-01-02\""},
		{"-",           "[null]"},
		{"+",           "\"+\""},
		{".",           "\".\""},
		{"1e",          "\"1e\""},
		{"0x",          "\"0x\""},
		{"9223372036854775807",  "9223372036854775807"},
		{"-9223372036854775808", "-9223372036854775808"},
		{"9223372036854775808",  "9.223372036854776e+18"},
		{"!!str 5",     "\"5\""},
		{"!!int '5'",   "5"},
		{"! 5",         "\"5\""},
		{"{b: 1, a: [x, {c: ~}]}", "{\"a\":[\"x\",{}],\"b\":1}"},
		{"{1: a, true: b}", "{\"1\":\"a\",\"true\":\"b\"}"},
		{"|\n a\n b\n", "\"a\\nb\\n\""},
		{">-\n a\n b\n", "\"a b\""},
		{"{a: &x {k: 1}, b: *x}", "{\"a\":{\"k\":1},\"b\":{\"k\":1}}"},
		{"{a: &x {k: 1, l: 2}, b: {<<: *x, k: 3}}", "{\"a\":{\"k\":1,\"l\":2},\"b\":{\"k\":3,\"l\":2}}"},
		{"{a: &x {k: 1}, b: &y {k: 2, l: 2}, c: {<<: [*x, *y]}}", "{\"a\":{\"k\":1},\"b\":{\"k\":2,\"l\":2},\"c\":{\"k\":1,\"l\":2}}"},
		{"{a: &x 5, b: *x}", "{\"a\":5,\"b\":5}"},
		{"{'<<': 1}",   "{\"<<\":1}"},
	};
	/* clang-format on */
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct arena *a = arena_new();
		struct buf json;
		buf_init(&json, 4096);
		assert_true(tree_write_json(read_yaml(a, cases[i].yaml), &json));
		if (strcmp(buf_cstr(&json), cases[i].json) != 0)
			fail_msg("%s: %s", cases[i].yaml, buf_cstr(&json));
		buf_fini(&json);
		arena_free(a);
	}
}

/* Whatever a string is, YAML text of it reads as the same string. */
static void strings_as_yaml(void **state)
{
	static const char *const texts[] = {
		"",       "yes",    "1",    "0x10", "null",      "~",         "a: b",
		"- a",    "# no",   " a ",  "a\n",  "a\n\nb",    "a\tb",      "\n",
		" \n a",  "<<",     "=",    "*x",   "&x",        "!t",        "%d",
		"@a",     "`a",     "'",    "\"",   "\\",        "\x01\x7f",  "\u00e9",
		"\u2028", "a\r\nb", "true", "1e3",  ".inf",      "[a",        "{a",
		"a # b",  "---",    "...",  "? a",  "trailing ", "| literal", "2026-01-02",
	};
	(void)state;
	for (size_t i = 0; i < N_ELEMS(texts); i++) {
		struct arena *a = arena_new();
		struct buf yaml;
		buf_init(&yaml, 4096);
		struct tree *map = tree_new(a, TREE_MAP);
		tree_add(map, slice_of(texts[i]), tree_string(a, slice_of(texts[i])));
		assert_true(tree_write_yaml(map, &yaml));
		const struct tree *again = read_yaml(a, buf_cstr(&yaml));
		if (!tree_equal(map, again))
			fail_msg("%zu: %s", i, buf_cstr(&yaml));
		buf_fini(&yaml);
		arena_free(a);
	}
}

static void places(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	const struct tree *root = read_yaml(a, "spec:\n  ports:\n  - port: 80\n  - port: 81\n"
					       "    k/d: |\n      x\n");
	const struct tree *n = tree_at(root, "spec.ports[1].port");
	char path[80];
	assert_int_equal(n->integer, 81);
	assert_int_equal(n->line, 4);
	assert_int_equal(n->column, 5);
	assert_string_equal(tree_path(n, NULL, path, sizeof(path)), "spec.ports[1].port");
	assert_string_equal(tree_path(n->parent, "x.y", path, sizeof(path)), "spec.ports[1][x.y]");
	assert_string_equal(tree_path(root, "x", path, sizeof(path)), "x");
	assert_string_equal(tree_path(root, NULL, path, sizeof(path)), "");
	n = tree_at(root, "spec.ports[1][k/d]");
	assert_true(n->literal);
	assert_int_equal(n->line, 5);
	assert_null(tree_at(root, "spec.ports[2]"));
	assert_null(tree_at(root, "spec.ports.x"));
	assert_ptr_equal(tree_at(root, ""), root);
	arena_free(a);
}

static void members(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	struct tree *root = NULL;
	struct buf json;
	buf_init(&json, 4096);
	assert_true(tree_from_json(a, SLICE("{\"a\":1,\"b\":2,\"c\":3}"), &root, NULL));
	tree_set(root, SLICE("b"), tree_string(a, SLICE("x")));
	tree_set(root, SLICE("c"), NULL);
	tree_set(root, SLICE("d"), tree_new(a, TREE_SEQ));
	tree_set(root, SLICE("e"), NULL);
	struct tree *copy = tree_copy(a, root);
	tree_set(root, SLICE("a"), NULL);
	assert_true(tree_write_json(copy, &json));
	assert_string_equal(buf_cstr(&json), "{\"a\":1,\"b\":\"x\",\"d\":[]}");
	assert_int_equal(root->n, 2);
	assert_false(tree_equal(copy, root));
	assert_true(tree_equal(NULL, NULL));
	assert_false(tree_equal(NULL, root));
	struct err err = {0};
	assert_false(tree_from_json(a, SLICE("{\"a\":\"\\u0000\"}"), &root, &err));
	assert_false(tree_from_json(a, SLICE("1e999"), &root, &err));
	char deep[200];
	memset(deep, '[', sizeof(deep));
	memset(deep + 100, ']', 100);
	assert_false(tree_from_json(a, (struct slice){deep, sizeof(deep)}, &root, &err));
	assert_string_equal(err.text, "nested more than 48 deep");
	buf_fini(&json);
	arena_free(a);
}

static void durations(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		bool ok;
		uint64_t ns;
	} cases[] = {
		{"0", true, 0},                    {"0s", true, 0},
		{"5s", true, 5000000000},          {"1.5s", true, 1500000000},
		{"100ms", true, 100000000},        {"1m30s", true, 90000000000},
		{"1h", true, 3600000000000},       {"10us", true, 10000},
		{"7ns", true, 7},                  {".5s", true, 500000000},
		{"", false, 0},                    {"5", false, 0},
		{"s", false, 0},                   {"-5s", false, 0},
		{"5 s", false, 0},                 {"5sec", false, 0},
		{"1..5s", false, 0},               {"99999999999h", false, 0},
		{"5s ", false, 0},                 {"5S", false, 0},
	};
	/* clang-format on */
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		uint64_t ns = 0;
		bool ok = duration_parse(slice_of(cases[i].text), &ns);
		if (ok != cases[i].ok || (ok && ns != cases[i].ns))
			fail_msg("%s: %d %llu", cases[i].text, ok, (unsigned long long)ns);
	}
}

static void name_rules(void **state)
{
	/* clang-format off */
	static const struct {
		enum name_kind kind;
		const char *name;
		bool ok;
	} cases[] = {
		{NAME_LABEL, "a", true},        {NAME_LABEL, "1-a", true},      {NAME_LABEL, "a-", false},
		{NAME_LABEL, "", false},        {NAME_LABEL, "a.b", false},     {NAME_LABEL, "A", false},
		{NAME_LABEL_1035, "a1", true},  {NAME_LABEL_1035, "1a", false},
		{NAME_SUBDOMAIN, "a.b-c.d", true}, {NAME_SUBDOMAIN, "a..b", false}, {NAME_SUBDOMAIN, "a.-b", false},
		{NAME_SUBDOMAIN, ".", false},   {NAME_SUBDOMAIN, "a.", false},
		{NAME_PORT, "http", true},      {NAME_PORT, "80", false},       {NAME_PORT, "a--b", false},
		{NAME_PORT, "abcdefghijklmno", true}, {NAME_PORT, "abcdefghijklmnop", false},
		{NAME_QUALIFIED, "a", true},    {NAME_QUALIFIED, "a.b/C_d.e", true}, {NAME_QUALIFIED, "/a", false},
		{NAME_QUALIFIED, "a/", false},  {NAME_QUALIFIED, "A/b", false}, {NAME_QUALIFIED, "a/b/c", false},
		{NAME_LABEL_VALUE, "", true},   {NAME_LABEL_VALUE, "A.b", true}, {NAME_LABEL_VALUE, "-", false},
		{NAME_CONFIG_KEY, "my.cnf", true}, {NAME_CONFIG_KEY, ".x", true}, {NAME_CONFIG_KEY, "..x", false},
		{NAME_CONFIG_KEY, ".", false},  {NAME_CONFIG_KEY, "a/b", false},
		{NAME_ENV, "A-b.c", true},      {NAME_ENV, "a=b", false},       {NAME_ENV, "", false},
	};
	/* clang-format on */
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++)
		if (name_ok(cases[i].kind, slice_of(cases[i].name)) != cases[i].ok)
			fail_msg("%d %s", cases[i].kind, cases[i].name);
}

static void near_words(void **state)
{
	static const char *const words[] = {"image", "imagePullPolicy", "command", "args", "env"};
	static const struct {
		const char *word, *best;
	} cases[] = {
		{"imag", "image"}, {"comand", "command"},
		{"ENV", "env"},    {"imagepullpolicy", "imagePullPolicy"},
		{"argz", "args"},  {"volumes", NULL},
	};
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct nearest near = {.word = slice_of(cases[i].word)};
		for (size_t j = 0; j < N_ELEMS(words); j++)
			nearest_try(&near, words[j]);
		if (cases[i].best)
			assert_string_equal(near.best, cases[i].best);
		else
			assert_null(near.best);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars),    cmocka_unit_test(strings_as_yaml),
		cmocka_unit_test(places),     cmocka_unit_test(members),
		cmocka_unit_test(durations),  cmocka_unit_test(name_rules),
		cmocka_unit_test(near_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
