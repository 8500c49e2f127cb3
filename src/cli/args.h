/*
 * Command lines from tables: one row per option, one struct per subcommand.
 *
 *   static const char *name = "default";
 *   static const struct arg_row rows[] = {
 *           {'n', "name", "NAME", "the mesh's name", ARG_TEXT, &name},
 *   };
 *   const struct command cmd_down = {.name = "down", .summary = "stop a mesh", .rows = rows,
 *                                    .n_rows = N_ELEMS(rows), .run = run_down};
 *
 * Options may stand before and after the operands; `--` ends them. Rows point to statics of the
 * command's file: a process runs one command once. Exit statuses: 0 done, 1 it could not be done,
 * 2 the command line is wrong.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum arg_kind {
	ARG_FLAG,   /* to: bool */
	ARG_TEXT,   /* to: const char * */
	ARG_NUMBER, /* to: unsigned */
	ARG_LIST,   /* to: struct arg_list; the option may be given again */
};

enum { ARG_LIST_MAX = 64 };
enum { OPERANDS_ANY = 1 << 30 };
struct arg_list {
	const char *at[ARG_LIST_MAX];
	size_t n;
};

struct arg_row {
	char letter;       /* 0: none */
	const char *name;  /* without the dashes */
	const char *value; /* what help calls it; NULL for a flag */
	const char *help;
	enum arg_kind kind;
	void *to;
};

struct command {
	const char *name;
	const char *operands; /* for the usage line; those in capitals are asked for by name */
	const char *summary;  /* one line in `hark help` */
	const char *detail;   /* paragraphs for `hark help CMD`, or NULL */
	const struct arg_row *rows;
	size_t n_rows;
	unsigned min_operands, max_operands; /* or OPERANDS_ANY */
	int (*run)(char **operands, unsigned n);
};

/* Fills what the rows point to; the operands are moved to ARGV[*FIRST]... Returns 0, or EXIT_USAGE
 * after a line on standard error. */
int args_read(const struct command *cmd, int argc, char **argv, unsigned *first);
void args_usage(const struct command *cmd, FILE *to);
void args_help(const struct command *cmd, FILE *to);
/* "hark CMD: text" on standard error, then the usage line; returns EXIT_USAGE. */
int args_bad(const struct command *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
