#include "base/mem.h"
#include "cli/commands.h"
#include "cli/mesh_client.h"
#include "sandbox/exec.h"

static struct mesh_client client = MESH_CLIENT_INIT;
static const char *container;

static int run_exec(char **operands, unsigned n)
{
	struct err err = {0};
	char id[512];
	int status = -1;
	(void)n; /* operands end with NULL, as argv does */

	if (!mesh_client_open(&client, &err)) {
		fprintf(stderr, "hark exec: %s\n", err.text);
		return EXIT_FAILED;
	}
	json_t *pod = mesh_client_pod(&client, operands[0], &err);
	const char *in = pod ? pod_container_name(pod, container) : NULL;
	if (in) {
		pod_container_id(pod, in, id, sizeof(id));
		status = exec_foreground(&client.node, id, (const char *const *)operands + 1, &err);
	} else if (pod) {
		(void)err_set(&err, ERR_NOT_FOUND, "Pod %s/%s has no container \"%s\"", pod_ns(pod),
			      pod_name(pod), container ? container : ""); /* STATUS says so too */
	}
	json_decref(pod);
	mesh_client_close(&client);
	if (status < 0) {
		fprintf(stderr, "hark exec: %s\n", err.text);
		return EXIT_FAILED;
	}
	return status;
}

static const struct arg_row rows[] = {
	{'c', "container", "NAME", "which container (the Pod's first); istio-proxy is the sidecar",
	 ARG_TEXT, &container},
	MESH_NAME_ROW(client),
	MESH_NAMESPACE_ROW(client),
};

const struct command cmd_exec = {
	.name = "exec",
	.operands = "POD [-c CONTAINER] -- COMMAND [ARGUMENT...]",
	.summary = "run a command in a container",
	.detail =
		"With the container's files, network, user and environment; standard input, output "
		"and the\n"
		"terminal are passed through, and so is the exit status.",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.min_operands = 2,
	.max_operands = OPERANDS_ANY,
	.run = run_exec,
};
