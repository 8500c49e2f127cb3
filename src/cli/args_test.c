#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/args.h"

static bool flag;
static const char *text;
static unsigned number;
static struct arg_list list;
static const struct arg_row rows[] = {
	{'d', "detach", NULL, "", ARG_FLAG, &flag},
	{'n', "name", "NAME", "", ARG_TEXT, &text},
	{0, "tail", "N", "", ARG_NUMBER, &number},
	{'f', "file", "FILE", "", ARG_LIST, &list},
};
static const struct command cmd = {
	.name = "x",
	.operands = "A [B]",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.min_operands = 1,
	.max_operands = 2,
};

static const struct {
	const char *rule;
	const char *line[8];
	int exit;
	bool flag;
	const char *text;
	unsigned number;
	size_t n_list;
	const char *operand;
} cases[] = {
	{"operand alone", {"a"}, 0, false, NULL, 0, 0, "a"},
	{"options before", {"-d", "-n", "m", "a"}, 0, true, "m", 0, 0, "a"},
	{"options behind", {"a", "--name=m", "--tail", "5"}, 0, false, "m", 5, 0, "a"},
	{"a list is given again", {"-f", "1", "-f2", "a"}, 0, false, NULL, 0, 2, "a"},
	{"nothing behind -- is an option", {"--", "-d"}, 0, false, NULL, 0, 0, "-d"},
	{"unknown long option", {"a", "--nope"}, EXIT_USAGE, false, NULL, 0, 0, NULL},
	{"unknown letter", {"a", "-z"}, EXIT_USAGE, false, NULL, 0, 0, NULL},
	{"value missing", {"a", "-n"}, EXIT_USAGE, false, NULL, 0, 0, NULL},
	{"value missing, long", {"a", "--name"}, EXIT_USAGE, false, NULL, 0, 0, NULL},
	{"flag with a value", {"a", "--detach=1"}, EXIT_USAGE, false, NULL, 0, 0, NULL},
	{"number that is none", {"a", "--tail", "5x"}, EXIT_USAGE, false, NULL, 0, 0, NULL},
	{"operand missing", {"-d"}, EXIT_USAGE, true, NULL, 0, 0, NULL},
	{"one operand too many", {"a", "b", "c"}, EXIT_USAGE, false, NULL, 0, 0, NULL},
};

static void reads_command_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		char copy[9][32];
		char *argv[10] = {copy[0]};
		int argc = 1;
		strcpy(copy[0], "x");
		for (; argc < 9 && cases[i].line[argc - 1]; argc++) {
			argv[argc] = copy[argc];
			strcpy(copy[argc], cases[i].line[argc - 1]);
		}
		argv[argc] = NULL;
		flag = false, text = NULL, number = 0, list.n = 0;
		unsigned first = 0;
		print_message("%s\n", cases[i].rule);
		assert_int_equal(args_read(&cmd, argc, argv, &first), cases[i].exit);
		if (cases[i].exit)
			continue;
		assert_int_equal(flag, cases[i].flag);
		assert_int_equal(text != NULL, cases[i].text != NULL);
		if (text)
			assert_string_equal(text, cases[i].text);
		assert_int_equal(number, cases[i].number);
		assert_int_equal(list.n, cases[i].n_list);
		assert_string_equal(argv[first], cases[i].operand);
	}
}

/* "hark down shop", which means -n shop, must not take the default mesh down. */
static void takes_no_operand_that_it_does_not_know(void **state)
{
	(void)state;
	static const struct command none = {.name = "down", .operands = "[-n NAME]"};
	static const struct command any = {
		.name = "delete", .operands = "KIND NAME...", .max_operands = OPERANDS_ANY};
	char name[] = "down", shop[] = "shop";
	char *argv[] = {name, shop, NULL};
	unsigned first = 0;
	assert_int_equal(args_read(&none, 2, argv, &first), EXIT_USAGE);
	assert_int_equal(args_read(&none, 1, argv, &first), 0);
	assert_int_equal(args_read(&any, 2, argv, &first), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_command_lines),
		cmocka_unit_test(takes_no_operand_that_it_does_not_know),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
