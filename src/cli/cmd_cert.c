#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cert.h"
#include "cli/commands.h"

static struct mesh_client client = MESH_CLIENT_INIT;
static const char *format = "text";
static bool root, finish;
static unsigned timeout_s = 30;

static bool show(const char *pod_text, struct err *err)
{
	json_t *pod = mesh_client_pod(&client, pod_text, err);
	json_t *certs = pod ? cert_ask(&client, pod, err) : NULL;
	if (certs && strcmp(format, "json") == 0) {
		char *text = json_dumps(certs, JSON_INDENT(2));
		printf("%s\n", text);
		free(text);
	} else if (certs) {
		cert_print(certs);
	}
	json_decref(certs);
	json_decref(pod);
	return certs != NULL;
}

static bool rotate(const char *pod_text, struct err *err)
{
	if (finish)
		return cert_finish_root(&client, timeout_s, err);
	if (root)
		return cert_rotate_root(&client, timeout_s, err);
	return cert_rotate(&client, pod_text, timeout_s, err);
}

static int run_cert(char **operands, unsigned n)
{
	struct err err = {0};
	bool shows = strcmp(operands[0], "show") == 0;
	if (!shows && strcmp(operands[0], "rotate") != 0)
		return args_bad(&cmd_cert, "\"%s\" is neither show nor rotate", operands[0]);
	if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return args_bad(&cmd_cert, "--output: expected text or json, got \"%s\"", format);
	if (shows && (n < 2 || root || finish))
		return args_bad(&cmd_cert, "show: expected a POD");
	if (finish && !root)
		return args_bad(&cmd_cert, "--finish belongs to --root");
	if (root && n > 1)
		return args_bad(&cmd_cert, "--root is for the whole mesh");
	bool ok = mesh_client_open(&client, &err) &&
		  (shows ? show(operands[1], &err) : rotate(n > 1 ? operands[1] : NULL, &err));
	if (!ok && err.kind != ERR_NONE)
		fprintf(stderr, "hark cert: %s\n", err.text);
	mesh_client_close(&client);
	return ok ? 0 : EXIT_FAILED;
}

static const struct arg_row rows[] = {
	{'o', "output", "FORMAT", "show: text or json", ARG_TEXT, &format},
	{0, "root", NULL, "rotate: a new root, trusted beside the old one", ARG_FLAG, &root},
	{0, "finish", NULL, "with --root: the old root is not trusted any more", ARG_FLAG, &finish},
	{0, "timeout", "SECONDS", "how long sidecars may take (30)", ARG_NUMBER, &timeout_s},
	MESH_NAME_ROW(client),
	MESH_NAMESPACE_ROW(client),
};

const struct command cmd_cert = {
	.name = "cert",
	.operands = "show POD | rotate [POD | --root [--finish]]",
	.summary = "certificates of sidecars: shown and renewed",
	.detail = "show prints the certificate chain that a Pod's sidecar uses: names, validity, "
		  "roots, and what keeps\n"
		  "it from being renewed.\n\n"
		  "rotate renews the certificate of one sidecar or of all; open connections live "
		  "on. With --root the\n"
		  "authority makes a new root: first every sidecar learns to trust it, then it "
		  "signs, and both stay\n"
		  "trusted until --finish ends the old one.",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.min_operands = 1,
	.max_operands = 2,
	.run = run_cert,
};
