#include "cli/commands.h"

static int run_version(char **operands, unsigned n)
{
	(void)operands, (void)n; /* takes none */
	printf("hark %s\n", HARK_VERSION);
	return 0;
}

const struct command cmd_version = {
	.name = "version",
	.operands = "",
	.summary = "which hark this is",
	.run = run_version,
};
