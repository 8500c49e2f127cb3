#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/mesh_client.h"
#include "cli/show.h"
#include "model/object.h"
#include "rest/client.h"

enum { YAML_MAX = 64 * 1024 * 1024, EVENT_MAX = 8 * 1024 * 1024 };

static struct mesh_client client = MESH_CLIENT_INIT;
static const char *format = "";
static bool all, watch;

static bool print_yaml(enum kind kind, const json_t *o, struct err *err)
{
	char *text = json_dumps(o, JSON_COMPACT);
	struct object *object = object_from_json(kind, slice_of(text), false, err);
	struct buf yaml;

	buf_init(&yaml, YAML_MAX);
	bool ok = object != NULL;
	if (ok && !object_yaml(object, &yaml))
		ok = err_set(err, ERR_LIMIT, "the YAML is too long");
	if (ok)
		printf("---\n%.*s", SLICE_FMT(buf_slice(&yaml)));
	buf_fini(&yaml);
	object_put(object);
	free(text);
	return ok;
}

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
				ok = print_yaml(kind, o, err);
		}
	} else {
		show_table(kind, items, strcmp(format, "wide") == 0);
	}
	json_decref(items);
	return ok;
}

/* One line per event of the watch: the event with -o json, else what happened to what. */
static bool on_events(void *ctx, struct slice bytes)
{
	struct buf *pending = ctx;

	if (!buf_append(pending, bytes))
		return false;
	for (;;) {
		struct slice text = buf_slice(pending);
		size_t end = slice_find(text, '\n');
		if (end == text.len)
			break;
		json_t *event = json_loadb(text.at, end, 0, NULL);
		const json_t *o = json_object_get(event, "object");
		const char *ns = o ? pod_ns(o) : "";
		if (strcmp(format, "json") == 0)
			printf("%.*s\n", (int)end, text.at);
		else if (o)
			printf("%-8s %s %s%s%s\n", json_text(event, "type", NULL),
			       json_text(o, "kind", NULL), ns, *ns ? "/" : "", pod_name(o));
		json_decref(event);
		buf_consume(pending, end + 1);
	}
	return fflush(stdout) == 0;
}

static bool run_watch(const char *path, struct err *err)
{
	struct buf pending, refusal;
	char query[1100];
	unsigned status = 0;
	struct rest_ask ask = {.path = query};

	snprintf(query, sizeof(query), "%s?watch=1", path);
	buf_init(&pending, EVENT_MAX);
	buf_init(&refusal, EVENT_MAX);
	bool ok = rest_call_stream(client.base, -1, &ask, on_events, &pending, &status, &refusal,
				   err);
	if (ok && status / 100 != 2)
		ok = err_set(err, ERR_BAD_INPUT, "%.*s", SLICE_FMT(buf_slice(&refusal)));
	buf_fini(&pending);
	buf_fini(&refusal);
	return ok;
}

static bool get(const struct kind_info *kind, const char *name, struct err *err)
{
	char path[1024];
	api_path(kind, all ? NULL : client.ns, name, path, sizeof(path));
	if (watch)
		return run_watch(path, err);
	json_t *answer = mesh_client_get(&client, path, err);
	bool ok = answer && print_answer(kind->kind, answer, name != NULL, err);
	json_decref(answer);
	return ok;
}

static int run_get(char **operands, unsigned n)
{
	struct err err = {0};
	const struct kind_info *kind = kind_by_name(slice_of(operands[0]));
	const char *name = n > 1 ? operands[1] : NULL;

	if (!kind)
		return args_bad(&cmd_get, "no kind \"%s\"", operands[0]);
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
