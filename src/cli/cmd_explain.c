#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/sidecar.h"
#include "rest/client.h"

static struct mesh_client client = MESH_CLIENT_INIT;
static const char *format = "text", *from;
static bool inbound;

/* The question to the sidecar, as its admin port wants it. */
static bool question(const char *what, char *out, size_t out_len)
{
	struct buf path;

	buf_init(&path, out_len);
	buf_puts(&path, inbound ? "/explain?inbound=" : "/explain?dst=");
	rest_escape(&path, slice_of(what));
	if (from) {
		buf_puts(&path, "&src=");
		rest_escape(&path, slice_of(from));
	}
	if (strcmp(format, "text") == 0)
		buf_puts(&path, "&format=text");
	const char *text = buf_cstr(&path);
	bool ok = text && !path.full;
	snprintf(out, out_len, "%s", ok ? text : "");
	buf_fini(&path);
	return ok;
}

static bool ask(const char *pod_text, const char *what, unsigned *status, struct buf *out,
		struct err *err)
{
	char path[1024];

	if (!question(what, path, sizeof(path)))
		return err_set(err, ERR_BAD_INPUT, "\"%s\" is too long", what);
	if (!mesh_client_open(&client, err))
		return false;
	json_t *pod = mesh_client_pod(&client, pod_text, err);
	bool ok = pod && sidecar_get(&client, pod, path, status, out, err);
	json_decref(pod);
	mesh_client_close(&client);
	return ok;
}

static int run_explain(char **operands, unsigned n)
{
	struct err err = {0};
	struct buf out;
	unsigned status = 0;
	(void)n; /* exactly two, args_read saw to it */

	if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return args_bad(&cmd_explain, "--output: expected text or json, got \"%s\"",
				format);
	if (from && !inbound)
		return args_bad(&cmd_explain, "--from belongs to --inbound");
	buf_init(&out, SIDECAR_ANSWER_MAX);
	bool ok = ask(operands[0], operands[1], &status, &out, &err);
	struct slice text = buf_slice(&out);
	if (ok && status == 200)
		printf("%.*s%s", SLICE_FMT(text), slice_ends(text, SLICE("\n")) ? "" : "\n");
	else if (ok)
		fprintf(stderr, "hark explain: %.*s\n", SLICE_FMT(slice_trim(text)));
	else
		fprintf(stderr, "hark explain: %s\n", err.text);
	buf_fini(&out);
	return ok && status == 200 ? 0 : EXIT_FAILED;
}

static const struct arg_row rows[] = {
	{0, "inbound", NULL, "what happens to connections that come in to PORT", ARG_FLAG,
	 &inbound},
	{0, "from", "IP", "with --inbound: from this address", ARG_TEXT, &from},
	{'o', "output", "FORMAT", "text or json", ARG_TEXT, &format},
	MESH_NAME_ROW(client),
	MESH_NAMESPACE_ROW(client),
};

const struct command cmd_explain = {
	.name = "explain",
	.operands = "POD HOST:PORT|IP:PORT | --inbound POD PORT [--from IP]",
	.summary = "why a connection is treated as it is",
	.detail = "Asks the Pod's sidecar, which decides with the code and the configuration that "
		  "its connections\n"
		  "get: each step with the resource that caused it, what was learnt on that port, "
		  "and what a mesh\n"
		  "that waits for the client's first bytes would do.",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.min_operands = 2,
	.max_operands = 2,
	.run = run_explain,
};
