#include "cli/args.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/slice.h"

enum { LONG_BASE = 256, MAX_ROWS = 32 };

void args_usage(const struct command *cmd, FILE *to)
{
	fprintf(to, "usage: hark %s%s%s\n", cmd->name, *cmd->operands ? " " : "", cmd->operands);
}

/* "-n, --name NAME"; returns its length. */
static int left_of(const struct arg_row *r, char *out, size_t out_len)
{
	return snprintf(out, out_len, "%c%c%s --%s%s%s", r->letter ? '-' : ' ',
			r->letter ? r->letter : ' ', r->letter ? "," : " ", r->name,
			r->value ? " " : "", r->value ? r->value : "");
}

void args_help(const struct command *cmd, FILE *to)
{
	enum { NARROW = 26 }; /* so that the usual options stand alike in all commands */
	char left[64];
	int width = NARROW;
	args_usage(cmd, to);
	fprintf(to, "\n%s\n", cmd->detail ? cmd->detail : cmd->summary);
	if (cmd->n_rows)
		fprintf(to, "\noptions:\n");
	for (size_t i = 0; i < cmd->n_rows; i++) {
		int len = left_of(&cmd->rows[i], left, sizeof(left));
		width = len > width ? len : width;
	}
	for (size_t i = 0; i < cmd->n_rows; i++) {
		left_of(&cmd->rows[i], left, sizeof(left));
		fprintf(to, "  %-*s %s\n", width, left, cmd->rows[i].help);
	}
}

int args_bad(const struct command *cmd, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "hark %s: ", cmd->name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	args_usage(cmd, stderr);
	return EXIT_USAGE;
}

static int take(const struct command *cmd, const struct arg_row *r, const char *text)
{
	switch (r->kind) {
	case ARG_FLAG:
		*(bool *)r->to = true;
		return 0;
	case ARG_TEXT:
		*(const char **)r->to = text;
		return 0;
	case ARG_NUMBER: {
		uint64_t n;
		if (!slice_to_u64(slice_of(text), 1000000000, &n))
			return args_bad(cmd, "--%s: expected a number, got \"%s\"", r->name, text);
		*(unsigned *)r->to = (unsigned)n;
		return 0;
	}
	case ARG_LIST: {
		struct arg_list *list = r->to;
		if (list->n == ARG_LIST_MAX)
			return args_bad(cmd, "--%s: given more than %d times", r->name,
					ARG_LIST_MAX);
		list->at[list->n++] = text;
		return 0;
	}
	}
	return 0;
}

static const struct arg_row *row_of(const struct command *cmd, int got)
{
	if (got >= LONG_BASE)
		return &cmd->rows[got - LONG_BASE];
	for (size_t i = 0; i < cmd->n_rows; i++)
		if (cmd->rows[i].letter == got)
			return &cmd->rows[i];
	return NULL;
}

static int bad_option(const struct command *cmd, int got, char **argv)
{
	/* getopt_long leaves the letter in optopt, or a long option's value, or 0 for an unknown
	 * long one, which then stands just before optind */
	const struct arg_row *r = optopt ? row_of(cmd, optopt) : NULL;
	if (got == ':' && r)
		return args_bad(cmd, "--%s needs a value: %s", r->name, r->value);
	if (r)
		return args_bad(cmd, "--%s takes no value", r->name);
	if (optopt)
		return args_bad(cmd, "unknown option -%c", optopt);
	return args_bad(cmd, "unknown option %s", argv[optind - 1]);
}

/* The operand after N others, by its name in the usage line: "POD [-c CONTAINER] -- COMMAND". */
static int missing(const struct command *cmd, unsigned n)
{
	struct slice rest = slice_of(cmd->operands);
	bool optional = false;
	while (rest.len) {
		struct slice word = slice_cut(&rest, ' ');
		optional = optional || word.at[0] == '[';
		bool is_name = !optional && word.at[0] != '-';
		if (word.at[word.len - 1] == ']')
			optional = false;
		if (is_name && n-- == 0)
			return args_bad(cmd, "%.*s is missing", SLICE_FMT(word));
	}
	return args_bad(cmd, "something is missing");
}

int args_read(const struct command *cmd, int argc, char **argv, unsigned *first)
{
	struct option longs[MAX_ROWS + 1] = {0};
	char letters[2 * MAX_ROWS + 2] = ":";
	size_t n_letters = 1;

	MUST(cmd->n_rows <= MAX_ROWS);
	for (size_t i = 0; i < cmd->n_rows; i++) {
		const struct arg_row *r = &cmd->rows[i];
		longs[i] = (struct option){.name = r->name,
					   .has_arg = r->value ? required_argument : no_argument,
					   .val = LONG_BASE + (int)i};
		if (r->letter)
			letters[n_letters++] = r->letter;
		if (r->letter && r->value)
			letters[n_letters++] = ':';
	}
	letters[n_letters] = '\0';
	opterr = 0;
	optind = 0; /* start afresh (glibc) */
	for (int got; (got = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
		const struct arg_row *r = row_of(cmd, got);
		if (!r)
			return bad_option(cmd, got, argv);
		int bad = take(cmd, r, optarg);
		if (bad)
			return bad;
	}
	unsigned n = (unsigned)(argc - optind);
	if (n < cmd->min_operands)
		return missing(cmd, n);
	if (n > cmd->max_operands)
		return args_bad(cmd, "unexpected \"%s\"",
				argv[(unsigned)optind + cmd->max_operands]);
	*first = (unsigned)optind;
	return 0;
}
