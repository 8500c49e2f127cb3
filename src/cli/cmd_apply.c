#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/file_list.h"
#include "cli/mesh_client.h"
#include "cli/wait.h"
#include "rest/client.h"

enum { ANSWER_MAX = 1024 * 1024 };

static struct mesh_client client = MESH_CLIENT_INIT;
static struct arg_list given;
static bool wait_ready, ignore_missing;
static unsigned timeout_s = 120;

static int failed(const char *cmd, const struct err *err)
{
	fprintf(stderr, "hark %s: %s\n", cmd, err->text);
	return EXIT_FAILED;
}

/* "pod shop/db created"; namespaces and such without the slash. */
static void print_objects(const json_t *report)
{
	const json_t *o;
	size_t i;
	json_array_foreach (json_at(report, "objects", NULL), i, o) {
		const char *ns = json_text(o, "namespace", NULL);
		printf("%s %s%s%s %s\n", json_text(o, "kind", NULL), ns, *ns ? "/" : "",
		       json_text(o, "name", NULL), json_text(o, "result", NULL));
	}
}

static int send_files(const struct command *cmd, const char *path, char **operands, unsigned n)
{
	struct err err = {0};
	struct file_list files;
	json_t *body = NULL, *report = NULL;
	unsigned status = 0;

	if (given.n + n == 0)
		return args_bad(cmd, "nothing to %s: give files with -f", cmd->name);
	bool ok = file_list_read(&files, &given, operands, n, &err) &&
		  (body = file_list_json(&files, &err)) != NULL;
	if (ok && ignore_missing)
		json_object_set_new(body, "ignore_missing", json_true());
	if (ok && mesh_client_open(&client, &err)) {
		report = mesh_client_post(&client, path, body, &status, &err);
		mesh_client_close(&client);
	}
	json_decref(body);
	file_list_fini(&files);
	if (!report)
		return failed(cmd->name, &err);
	fputs(json_text(report, "messages", NULL), stderr);
	print_objects(report);
	json_decref(report);
	return status == 200 ? 0 : EXIT_FAILED;
}

static int run_apply(char **operands, unsigned n)
{
	struct err err = {0};
	int status = send_files(&cmd_apply, "/hark/v1/apply", operands, n);
	if (status || !wait_ready)
		return status;
	if (!mesh_client_open(&client, &err))
		return failed("apply", &err);
	bool ready = wait_for_pods(client.base, timeout_s, &err);
	mesh_client_close(&client);
	return ready ? 0 : failed("apply", &err);
}

static const struct arg_row apply_rows[] = {
	{'f', "file", "FILE", "a file, a folder, or - for standard input; may be repeated",
	 ARG_LIST, &given},
	MESH_NAME_ROW(client),
	{0, "wait", NULL, "return when every Pod is ready", ARG_FLAG, &wait_ready},
	{0, "timeout", "SECONDS", "how long --wait waits (120)", ARG_NUMBER, &timeout_s},
};

const struct command cmd_apply = {
	.name = "apply",
	.operands = "-f FILE... [--wait]",
	.summary = "create or change resources of a running mesh",
	.detail = "All of the files or none: when anything in them is wrong, each problem is told "
		  "with file,\n"
		  "line and path, and the mesh is left as it was. New connections follow a change "
		  "at once, open\n"
		  "ones are not disturbed. A Pod whose spec changes is stopped and made again.",
	.rows = apply_rows,
	.n_rows = N_ELEMS(apply_rows),
	.max_operands = OPERANDS_ANY,
	.run = run_apply,
};

/* KIND NAME... instead of files: one call of the API each. */
static int delete_named(char **operands, unsigned n)
{
	struct err err = {0};
	int status = 0;

	if (n < 2)
		return args_bad(&cmd_delete, "expected -f FILE, or KIND NAME");
	const struct kind_info *kind = kind_by_name(slice_of(operands[0]));
	if (!kind)
		return args_bad(&cmd_delete, "no kind \"%s\"", operands[0]);
	if (!mesh_client_open(&client, &err))
		return failed("delete", &err);
	for (unsigned i = 1; i < n; i++) {
		char path[1024];
		unsigned code = 0;
		struct buf out;
		buf_init(&out, ANSWER_MAX);
		api_path(kind, client.ns, operands[i], path, sizeof(path));
		struct rest_ask ask = {.method = "DELETE", .path = path};
		bool ok = rest_call(client.base, &ask, &code, &out, &err);
		if (ok && code == 404 && ignore_missing)
			code = 200;
		if (!ok || code / 100 != 2) {
			json_t *answer = json_loadb(buf_slice(&out).at, buf_len(&out), 0, NULL);
			fprintf(stderr, "hark delete: %s\n",
				ok ? json_text(answer, "message", NULL) : err.text);
			json_decref(answer);
			status = EXIT_FAILED;
		} else {
			printf("%s %s deleted\n", kind->name, operands[i]);
		}
		buf_fini(&out);
	}
	mesh_client_close(&client);
	return status;
}

static int run_delete(char **operands, unsigned n)
{
	if (given.n)
		return send_files(&cmd_delete, "/hark/v1/delete", operands, n);
	return delete_named(operands, n);
}

static const struct arg_row delete_rows[] = {
	{'f', "file", "FILE", "a file, a folder, or - for standard input; may be repeated",
	 ARG_LIST, &given},
	MESH_NAME_ROW(client),
	MESH_NAMESPACE_ROW(client),
	{0, "ignore-not-found", NULL, "what is not there is no error", ARG_FLAG, &ignore_missing},
};

const struct command cmd_delete = {
	.name = "delete",
	.operands = "-f FILE... | KIND NAME...",
	.summary = "remove resources of a running mesh",
	.detail = "Pods end with their grace time; a Namespace takes all that is in it along. With "
		  "-f, when one\n"
		  "of the resources is not there nothing is removed.",
	.rows = delete_rows,
	.n_rows = N_ELEMS(delete_rows),
	.max_operands = OPERANDS_ANY,
	.run = run_delete,
};
