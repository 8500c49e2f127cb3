#include <unistd.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/mesh_client.h"
#include "local/pods.h"
#include "sandbox/logfile.h"

static struct mesh_client client = MESH_CLIENT_INIT;
static const char *container;
static bool follow;
static unsigned tail = UINT32_MAX;

static bool print_log(const char *path, struct err *err)
{
	if (!follow && access(path, F_OK) < 0)
		return true; /* a container that was not started yet has written nothing so far */
	return logfile_follow(path, tail == UINT32_MAX ? SIZE_MAX : tail,
			      follow ? client.node.pidfd : -1, STDOUT_FILENO, err);
}

static int run_logs(char **operands, unsigned n)
{
	struct err err = {0};
	char path[NODE_PATH_LEN];
	bool ok = false;
	(void)n; /* exactly one, args_read saw to it */

	if (!mesh_client_open(&client, &err)) {
		fprintf(stderr, "hark logs: %s\n", err.text);
		return EXIT_FAILED;
	}
	json_t *pod = mesh_client_pod(&client, operands[0], &err);
	const char *of = pod ? pod_container_name(pod, container) : NULL;
	if (of)
		ok = pods_log_path(client.node.run_dir, pod_ns(pod), pod_name(pod), of, path,
				   &err) &&
		     print_log(path, &err);
	else if (pod)
		ok = err_set(&err, ERR_NOT_FOUND, "Pod %s/%s has no container \"%s\"", pod_ns(pod),
			     pod_name(pod), container ? container : "");
	json_decref(pod);
	mesh_client_close(&client);
	if (!ok)
		fprintf(stderr, "hark logs: %s\n", err.text);
	return ok ? 0 : EXIT_FAILED;
}

static const struct arg_row rows[] = {
	{'c', "container", "NAME", "which container (the Pod's first); istio-proxy is the sidecar",
	 ARG_TEXT, &container},
	{'f', "follow", NULL, "go on with what comes, until the Pod or the mesh is gone", ARG_FLAG,
	 &follow},
	{0, "tail", "N", "only the last N lines", ARG_NUMBER, &tail},
	MESH_NAME_ROW(client),
	MESH_NAMESPACE_ROW(client),
};

const struct command cmd_logs = {
	.name = "logs",
	.operands = "POD [-c CONTAINER] [-f] [--tail N]",
	.summary = "what a container has written",
	.detail =
		"Standard output and standard error of the container, all of its starts together. "
		"The sidecar's\n"
		"are in -c istio-proxy: its access log and its own lines.",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.min_operands = 1,
	.max_operands = 1,
	.run = run_logs,
};
