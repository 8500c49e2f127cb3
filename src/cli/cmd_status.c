#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cert.h"
#include "cli/columns.h"
#include "cli/commands.h"
#include "cli/sidecar.h"

static struct mesh_client client = MESH_CLIENT_INIT;

/* NULL: the sidecar does not answer. */
static json_t *page(const json_t *pod, const char *path)
{
	struct err err = {0};
	struct buf out;
	unsigned status = 0;
	json_t *root = NULL;

	buf_init(&out, SIDECAR_ANSWER_MAX);
	if (sidecar_get(&client, pod, path, &status, &out, &err) && status == 200)
		root = json_loadb(buf_slice(&out).at, buf_len(&out), 0, NULL);
	buf_fini(&out);
	return root;
}

/* Value of a series in the metrics' text; "-" when it is not there. */
static const char *metric(struct slice text, const char *series, char *out, size_t out_len)
{
	while (text.len) {
		struct slice line = slice_cut(&text, '\n');
		if (!slice_starts(line, slice_of(series)))
			continue;
		line = slice_trim(slice_sub(line, strlen(series), line.len));
		snprintf(out, out_len, "%.*s", SLICE_FMT(line));
		return out;
	}
	return "-";
}

/* How many ports of /learned have shown something. */
static size_t count_learned(const json_t *learned)
{
	const json_t *port;
	size_t i, n = 0;
	json_array_foreach (json_at(learned, "ports", NULL), i, port) {
		n += strcmp(json_text(port, "learned", NULL), "nothing") != 0;
	}
	return n;
}

/* A socket that a Sidecar wants and that is not open, or "". */
static const char *closed_socket(const json_t *config, char *out, size_t out_len)
{
	const json_t *l;
	size_t i;
	out[0] = '\0';
	json_array_foreach (json_at(config, "listeners", NULL), i, l) {
		const char *problem = json_text(l, "problem", NULL);
		if (!json_is_true(json_object_get(l, "open")) && problem[0] && !out[0])
			(void)snprintf(out, out_len, "egress listener %s: %s",
				       json_text(l, "address", NULL), problem); /* cut is fine */
	}
	return out;
}

/* Hosts of ServiceEntries whose names are asked for in vain, or "". */
static const char *failing_names(const json_t *config, char *out, size_t out_len)
{
	const json_t *e;
	const char *first = NULL;
	size_t i, n = 0;
	json_array_foreach (json_at(config, "service_entries", NULL), i, e) {
		if (!json_is_true(json_object_get(e, "names_fail")))
			continue;
		first = first ? first : json_text(e, "host", NULL);
		n++;
	}
	if (n == 0)
		return "";
	(void)snprintf(out, out_len, "nameservers do not tell the names of %s%s", first,
		       n > 1 ? " and others" : ""); /* cut is fine */
	return out;
}

static void show(struct columns *c, const json_t *pod)
{
	struct err err = {0};
	struct buf metrics;
	unsigned status = 0;
	char version[32] = "-", learned_text[32] = "-", out_text[32], in_text[32], cert[64] = "-",
	     shown[320];
	json_t *config = page(pod, "/config"), *learned = page(pod, "/learned");
	json_t *certs = page(pod, "/certs");

	buf_init(&metrics, SIDECAR_ANSWER_MAX);
	bool ok = sidecar_get(&client, pod, "/stats/prometheus", &status, &metrics, &err);
	struct slice text = buf_slice(&metrics);
	if (config)
		snprintf(version, sizeof(version), "%lld",
			 (long long)json_integer_value(json_at(config, "version", NULL)));
	if (learned)
		snprintf(learned_text, sizeof(learned_text), "%zu", count_learned(learned));
	if (certs)
		(void)cert_summary(certs, cert, sizeof(cert)); /* CERT itself */
	const char *problem = !ok ? err.text : certs ? json_text(certs, "problem", NULL) : "";
	if (!problem[0])
		problem = closed_socket(config, shown, sizeof(shown));
	if (!problem[0])
		problem = failing_names(config, shown, sizeof(shown));
	columns_row(c, pod_ns(pod), pod_name(pod), version, cert,
		    metric(text, "hark_connections{side=\"outbound\"}", out_text, sizeof(out_text)),
		    metric(text, "hark_connections{side=\"inbound\"}", in_text, sizeof(in_text)),
		    learned_text, problem);
	buf_fini(&metrics);
	json_decref(config);
	json_decref(learned);
	json_decref(certs);
}

static void show_authority(void)
{
	struct err err = {0};
	json_t *ca = mesh_client_get(&client, "/hark/v1/ca", &err);
	if (!ca)
		return; /* an older mesh */
	printf("\nauthority: %lld certificates issued, %lld requests refused",
	       (long long)json_integer_value(json_object_get(ca, "issued")),
	       (long long)json_integer_value(json_object_get(ca, "refused")));
	if (strcmp(json_text(ca, "phase", NULL), "settled") != 0)
		printf("; the root is being changed (%s), %zu sidecars are waited for",
		       json_text(ca, "phase", NULL),
		       json_array_size(json_object_get(ca, "waiting")));
	printf("\n");
	json_decref(ca);
}

static int run_status(char **operands, unsigned n)
{
	struct err err = {0};
	json_t *list = NULL;
	const json_t *pod;
	char path[512];
	size_t i;
	(void)operands, (void)n; /* takes none */

	if (mesh_client_open(&client, &err)) {
		api_path(kind_info(KIND_POD), client.ns, NULL, path, sizeof(path));
		list = mesh_client_get(&client, path, &err);
	}
	if (!list) {
		fprintf(stderr, "hark status: %s\n", err.text);
		return EXIT_FAILED;
	}
	struct columns c;
	columns_init(&c, 8);
	columns_row(&c, "NAMESPACE", "POD", "CONFIG", "CERT", "OUTBOUND", "INBOUND", "LEARNT",
		    "PROBLEM");
	json_array_foreach (json_object_get(list, "items"), i, pod) {
		if (sidecar_is_there(pod))
			show(&c, pod);
	}
	columns_print(&c, NULL);
	show_authority();
	json_decref(list);
	mesh_client_close(&client);
	return 0;
}

static const struct arg_row rows[] = {
	MESH_NAME_ROW(client),
	MESH_NAMESPACE_ROW(client),
};

const struct command cmd_status = {
	.name = "status",
	.operands = "[-n NAME]",
	.summary = "what every sidecar does now",
	.detail = "CONFIG is the version of the resources that a sidecar works with, CERT the "
		  "state of its certificate\n"
		  "and how long it is good, OUTBOUND and INBOUND its open connections, LEARNT the "
		  "ports whose protocol\n"
		  "it has found out by listening.",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.run = run_status,
};
