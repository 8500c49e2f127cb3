/* hark: one binary, a few roles; the subcommands are in commands.h. */
#include <string.h>

#include "cli/commands.h"

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: hark COMMAND [ARGUMENT...]; the commands: hark help\n");
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0)
		name = "version";
	const struct command *cmd = command_find(name);
	if (!cmd) {
		fprintf(stderr, "hark: no command \"%s\"; the commands: hark help\n", name);
		return EXIT_USAGE;
	}
	for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			args_help(cmd, stdout);
			return 0;
		}
	}
	unsigned first = 0;
	int bad = args_read(cmd, argc - 1, argv + 1, &first);
	if (bad)
		return bad;
	int status = cmd->run(argv + 1 + first, (unsigned)argc - 1 - first);
	/* `hark get | head` must fail like any program whose output nobody took; `hark get >
	 * /dev/full` must not look like success */
	if (fflush(stdout) != 0 && status == 0)
		status = EXIT_FAILED;
	return status;
}
