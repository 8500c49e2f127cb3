#include "cli/commands.h"

#include <string.h>

#include "base/mem.h"

static const struct command *const commands[] = {
#define X(name) &cmd_##name,
	COMMANDS(X)
#undef X
};

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < N_ELEMS(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

void commands_list(FILE *to)
{
	for (size_t i = 0; i < N_ELEMS(commands); i++)
		fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
}
