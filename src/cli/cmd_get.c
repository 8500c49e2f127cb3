#include <poll.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/mesh_client.h"
#include "cli/show.h"
#include "cli/watch.h"

enum { ENDING_MS = 2000 }; /* from the end of a mesh's API to its own */

static struct mesh_client client = MESH_CLIENT_INIT;
static const char *format = "";
static bool all, watch;

static bool print_answer(enum kind kind, const json_t *answer, bool one, struct err *err)
{
	json_t *items =
		one ? json_pack("[O]", answer) : json_incref(json_object_get(answer, "items"));
	bool ok = true;

	if (strcmp(format, "json") == 0) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		printf("\n");
	} else if (strcmp(format, "yaml") == 0) {
		const json_t *o;
		size_t i;
		json_array_foreach (items, i, o) {
			if (ok)
				ok = show_yaml(kind, o, err);
		}
	} else {
		show_table(kind, items, strcmp(format, "wide") == 0, NULL);
	}
	json_decref(items);
	return ok;
}

static bool get(const struct kind_info *kind, const char *name, struct err *err)
{
	char path[1024];
	api_path(kind, all ? NULL : client.ns, name, path, sizeof(path));
	bool table = strcmp(format, "") == 0 || strcmp(format, "wide") == 0;
	bool as_events = watch && !table;
	struct pollfd ended = {.fd = client.node.pidfd, .events = POLLIN};
	json_t *answer = as_events ? NULL : mesh_client_get(&client, path, err);
	bool ok = as_events || answer;
	if (ok && watch) {
		struct watch_how how = {kind->kind, format, answer};
		ok = watch_print(client.base, path, &how, err);
		if (!ok && poll(&ended, 1, ENDING_MS) > 0)
			ok = err_set(err, ERR_NOT_FOUND, "mesh %s is down", client.name);
	} else if (ok) {
		ok = print_answer(kind->kind, answer, name != NULL, err);
	}
	json_decref(answer);
	return ok;
}

static int no_kind(const char *name)
{
	fprintf(stderr, "hark get: no kind \"%s\"; there are", name);
	for (enum kind k = 0; k < N_KINDS; k++)
		fprintf(stderr, "%s %s", k ? "," : "", kind_info(k)->plural);
	fprintf(stderr, "\n");
	return EXIT_USAGE;
}

static int run_get(char **operands, unsigned n)
{
	struct err err = {0};
	const struct kind_info *kind = kind_by_name(slice_of(operands[0]));
	const char *name = n > 1 ? operands[1] : NULL;

	if (!kind)
		return no_kind(operands[0]);
	if (strcmp(format, "") != 0 && strcmp(format, "json") != 0 && strcmp(format, "yaml") != 0 &&
	    strcmp(format, "wide") != 0)
		return args_bad(&cmd_get, "--output: expected yaml, json or wide, got \"%s\"",
				format);
	if (watch && name)
		return args_bad(&cmd_get, "--watch follows a whole kind, without NAME");
	bool ok = mesh_client_open(&client, &err);
	if (ok) {
		ok = get(kind, name, &err);
		mesh_client_close(&client);
	}
	if (!ok)
		fprintf(stderr, "hark get: %s\n", err.text);
	return ok ? 0 : EXIT_FAILED;
}

static const struct arg_row rows[] = {
	{'o', "output", "FORMAT", "yaml, json or wide", ARG_TEXT, &format},
	{'w', "watch", NULL, "go on with every change", ARG_FLAG, &watch},
	{'A', "all-namespaces", NULL, "all namespaces (as without --namespace)", ARG_FLAG, &all},
	MESH_NAME_ROW(client),
	MESH_NAMESPACE_ROW(client),
};

const struct command cmd_get = {
	.name = "get",
	.operands = "KIND [NAME] [-o yaml|json|wide] [-w]",
	.summary = "the resources of a mesh",
	.detail =
		"KIND is pods, services, endpointslices, deployments, configmaps or namespaces, or "
		"a short name\n"
		"(po, svc, deploy, cm, ns). NAME may be NAMESPACE/NAME; without a namespace it is "
		"in \"default\".\n"
		"Without NAME all namespaces are shown, unless --namespace says which.",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.min_operands = 1,
	.max_operands = 2,
	.run = run_get,
};
