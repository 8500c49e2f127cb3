#include <unistd.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/node_stop.h"

static const char *name = "default";

static int run_down(char **operands, unsigned n)
{
	struct node_config cfg;
	struct node_handle node;
	struct err err = {0};
	(void)operands, (void)n; /* takes none */

	bool ok = node_config_init(&cfg, name, &err);
	bool left_over = ok && access(cfg.run_dir, F_OK) == 0;
	if (ok && !node_open(name, &node, &err)) {
		if (left_over && err.kind == ERR_NOT_FOUND) {
			printf("mesh %s was not running; what it had left behind is removed\n",
			       name);
			return 0;
		}
		ok = false;
	}
	if (ok && node_stop(&node, false, -1, &err)) {
		printf("mesh %s is down\n", name);
		return 0;
	}
	fprintf(stderr, "hark down: %s\n", err.text);
	return EXIT_FAILED;
}

static const struct arg_row rows[] = {
	{'n', "name", "NAME", "which mesh (\"default\")", ARG_TEXT, &name},
};

const struct command cmd_down = {
	.name = "down",
	.operands = "[-n NAME]",
	.summary = "stop a mesh; nothing of it remains",
	.detail = "Pods get SIGTERM and up to ten seconds, then everything is killed. Also removes "
		  "what a mesh\n"
		  "that was killed has left behind.",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.run = run_down,
};
