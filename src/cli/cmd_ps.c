#include "base/mem.h"
#include "cli/commands.h"
#include "cli/mesh_client.h"
#include "cli/show.h"

static struct mesh_client client = MESH_CLIENT_INIT;

static int run_ps(char **operands, unsigned n)
{
	struct err err = {0};
	json_t *list = NULL;
	char path[512];
	(void)operands, (void)n; /* takes none */

	if (mesh_client_open(&client, &err)) {
		api_path(kind_info(KIND_POD), client.ns, NULL, path, sizeof(path));
		list = mesh_client_get(&client, path, &err);
		mesh_client_close(&client);
	}
	if (!list) {
		fprintf(stderr, "hark ps: %s\n", err.text);
		return EXIT_FAILED;
	}
	show_table(KIND_POD, json_object_get(list, "items"), true, NULL);
	json_decref(list);
	return 0;
}

static const struct arg_row rows[] = {
	MESH_NAME_ROW(client),
	MESH_NAMESPACE_ROW(client),
};

const struct command cmd_ps = {
	.name = "ps",
	.operands = "[-n NAME]",
	.summary = "the Pods of a mesh: addresses, sidecars, what holds them up",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.run = run_ps,
};
