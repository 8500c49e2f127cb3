/*
 * The subcommands: one file each (cmd_NAME.c), one row here, in the order of `hark help`.
 * To add one: write the file, add the row.
 */
#pragma once
#include "cli/args.h"

/* clang-format off */
#define COMMANDS(X) \
	X(up) \
	X(down) \
	X(ps) \
	X(exec) \
	X(logs) \
	X(apply) \
	X(delete) \
	X(get) \
	X(explain) \
	X(analyze) \
	X(status) \
	X(cert) \
	X(proxy) \
	X(capture) \
	X(version) \
	X(help)
/* clang-format on */

#define X(name) extern const struct command cmd_##name;
COMMANDS(X)
#undef X

/* NULL: no such command. */
const struct command *command_find(const char *name);
void commands_list(FILE *to);
