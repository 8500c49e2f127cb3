#include "cli/commands.h"

static int run_help(char **operands, unsigned n)
{
	if (n == 1) {
		const struct command *cmd = command_find(operands[0]);
		if (!cmd)
			return args_bad(&cmd_help, "no command \"%s\"", operands[0]);
		args_help(cmd, stdout);
		return 0;
	}
	printf("hark: a service mesh that listens to both ends\n\n"
	       "usage: hark COMMAND [ARGUMENT...]\n\n");
	commands_list(stdout);
	printf("\nEvery command that deals with a running mesh takes -n NAME: which mesh "
	       "(\"default\").\n"
	       "A Pod is POD, NAMESPACE/POD or deploy/NAME; --namespace names its Kubernetes "
	       "namespace.\n"
	       "More about one command: hark help COMMAND\n");
	return 0;
}

const struct command cmd_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.summary = "this list, or more about one command",
	.max_operands = 1,
	.run = run_help,
};
