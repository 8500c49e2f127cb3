#include <string.h>

#include "base/mem.h"
#include "cli/analyze_live.h"
#include "cli/commands.h"
#include "cli/file_list.h"

enum { OUTPUT_MAX = 256 * 1024 * 1024 };

/* Not EXIT_FAILED, which says that something was found. */
enum { EXIT_FOUND = EXIT_FAILED, EXIT_NOT_DONE = EXIT_USAGE };

static struct mesh_client client = MESH_CLIENT_INIT;
static struct arg_list given, suppressed;
static const char *format = "text", *failure, *output = "Info";
static bool suggest, list;

/* Exactly what was asked for, printed. */
static bool print(const struct analysis *a, const struct analysis_filter *filter, struct err *err)
{
	struct buf out;
	buf_init(&out, OUTPUT_MAX);
	bool json = strcmp(format, "json") == 0;
	size_t n_ports = 0;
	bool ok = suggest ? analysis_suggest(a, filter->ns, &out, &n_ports)
		  : json  ? analysis_json(a, filter, &out)
			  : analysis_text(a, filter, &out);
	if (ok)
		printf("%.*s%s", SLICE_FMT(buf_slice(&out)), json && !suggest ? "\n" : "");
	else
		err_set(err, ERR_LIMIT, "there is more to say than %d bytes", OUTPUT_MAX);
	if (ok && suggest)
		fprintf(stderr, "%zu port%s to declare\n", n_ports, n_ports == 1 ? "" : "s");
	buf_fini(&out);
	return ok;
}

static void print_summary(const struct analysis *a, const struct analysis_filter *filter)
{
	size_t errors = analysis_count_level(a, filter, LEVEL_ERROR);
	size_t warnings = analysis_count_level(a, filter, LEVEL_WARNING);
	size_t infos = analysis_count_level(a, filter, LEVEL_INFO);
	size_t n = analysis_n_suppressed(a);
	fprintf(stderr, "%zu resources: %zu error%s, %zu warning%s, %zu info%s",
		analysis_n_objects(a), errors, errors == 1 ? "" : "s", warnings,
		warnings == 1 ? "" : "s", infos, infos == 1 ? "" : "s");
	if (n)
		fprintf(stderr, ", %zu suppressed", n);
	fprintf(stderr, "\n");
}

static bool suppress(struct analysis *a, struct err *err)
{
	for (size_t i = 0; i < suppressed.n; i++)
		if (!analysis_suppress(a, suppressed.at[i], err))
			return err_wrap(err, "-S");
	return true;
}

static bool finish(struct analysis *a, const struct analysis_filter *filter,
		   const enum check_level *threshold, bool *found, struct err *err)
{
	if (!suppress(a, err))
		return false;
	analysis_run(a);
	if (!print(a, filter, err))
		return false;
	if (!suggest && strcmp(format, "text") == 0)
		print_summary(a, filter);
	*found = !suggest && analysis_fails(a, filter, threshold);
	return true;
}

static bool analyze_files(char **operands, unsigned n, const struct analysis_filter *filter,
			  const enum check_level *threshold, bool *found, struct err *err)
{
	struct file_list files;
	struct manifest m;
	struct analysis *a = analysis_new(false);
	manifest_init(&m);
	m.survey = true;
	bool ok = file_list_read(&files, &given, operands, n, err);
	for (size_t i = 0; ok && i < files.n; i++)
		manifest_read(&m, files.at[i].name, files.at[i].text);
	if (ok) {
		analysis_manifest(a, &m);
		ok = finish(a, filter, threshold, found, err);
	}
	analysis_free(a);
	manifest_fini(&m);
	file_list_fini(&files);
	return ok;
}

static bool analyze_mesh(const struct analysis_filter *filter, const enum check_level *threshold,
			 bool *found, struct err *err)
{
	if (!mesh_client_open(&client, err))
		return false;
	struct analysis *a = analysis_new(true);
	bool ok = analyze_live_read(&client, a, err);
	mesh_client_close(&client);
	ok = ok && finish(a, filter, threshold, found, err);
	analysis_free(a);
	return ok;
}

static int print_list(void)
{
	struct buf out;
	buf_init(&out, OUTPUT_MAX);
	bool ok = analysis_list(&out);
	printf("%.*s", SLICE_FMT(buf_slice(&out)));
	buf_fini(&out);
	return ok ? 0 : EXIT_NOT_DONE;
}

static int run_analyze(char **operands, unsigned n)
{
	struct err err = {0};
	struct analysis_filter filter = {.ns = client.ns};
	enum check_level threshold = LEVEL_ERROR;
	bool files = given.n + n > 0, found = false;

	if (list)
		return print_list();
	if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
		return args_bad(&cmd_analyze, "--output: expected text or json, got \"%s\"",
				format);
	if (failure && !check_level_parse(failure, &threshold))
		return args_bad(&cmd_analyze,
				"--failure-threshold: expected Error, Warning or Info, got \"%s\"",
				failure);
	if (!check_level_parse(output, &filter.at_least))
		return args_bad(&cmd_analyze,
				"--output-threshold: expected Error, Warning or Info, got \"%s\"",
				output);
	if (suggest && files)
		return args_bad(&cmd_analyze,
				"--suggest is about a running mesh: files have learnt "
				"nothing");
	const enum check_level *limit = failure ? &threshold : NULL;
	bool ok = files ? analyze_files(operands, n, &filter, limit, &found, &err)
			: analyze_mesh(&filter, limit, &found, &err);
	if (!ok)
		fprintf(stderr, "hark analyze: %s\n", err.text);
	return !ok ? EXIT_NOT_DONE : found ? EXIT_FOUND : 0;
}

static const struct arg_row rows[] = {
	{'f', "file", "FILE", "a file, a folder, or - for standard input; may be repeated",
	 ARG_LIST, &given},
	MESH_NAME_ROW(client),
	{'N', "namespace", "NS", "only what is found in this namespace", ARG_TEXT, &client.ns},
	{'o', "output", "FORMAT", "text or json", ARG_TEXT, &format},
	{0, "output-threshold", "LEVEL", "show Error, Warning or Info and what is worse (Info)",
	 ARG_TEXT, &output},
	{0, "failure-threshold", "LEVEL", "exit with 1 for this and what is worse (Error)",
	 ARG_TEXT, &failure},
	{'S', "suppress", "CODE[=KIND NS/NAME]", "leave these out; may be repeated", ARG_LIST,
	 &suppressed},
	{0, "suggest", NULL, "print Services and ServiceEntries, with what was learnt declared",
	 ARG_FLAG, &suggest},
	{0, "list", NULL, "all that is looked for", ARG_FLAG, &list},
};

const struct command cmd_analyze = {
	.name = "analyze",
	.operands = "[-f FILE... | -n NAME]",
	.summary = "what in the resources is wrong or risky",
	.detail = "With files nothing has to run; without, the resources are those of the running "
		  "mesh, "
		  "and what its\n"
		  "sidecars have learnt turns guesses into facts. Each finding says where it is, "
		  "what "
		  "happens, here and\n"
		  "with a mesh that waits for the client, who is hit, and how to mend it.\n"
		  "Exit status: 0 nothing of the failure threshold, 1 something, 2 it could not be "
		  "done. "
		  "Without\n"
		  "--failure-threshold, warnings about servers that speak first count as well.",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.max_operands = OPERANDS_ANY,
	.run = run_analyze,
};
