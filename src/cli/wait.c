#include "cli/wait.h"

#include <stdio.h>
#include <string.h>

#include "cli/mesh_client.h"
#include "rest/client.h"

enum { LINE_MAX = 4 * 1024 * 1024 };

void waiting_init(struct waiting *w)
{
	*w = (struct waiting){.result = WAIT_RUNNING};
	buf_init(&w->line, LINE_MAX);
}

void waiting_fini(struct waiting *w)
{
	buf_fini(&w->line);
}

static void print_pod(const json_t *pod)
{
	const char *container = json_text(pod, "container", NULL);
	const char *log = json_text(pod, "log", NULL);
	json_int_t restarts = json_integer_value(json_at(pod, "restarts", NULL));

	fprintf(stderr, "Pod %s/%s is not ready: %s%s%s", json_text(pod, "namespace", NULL),
		json_text(pod, "name", NULL), *container ? "container " : "", container,
		*container ? ": " : "");
	fprintf(stderr, "%s", json_text(pod, "message", NULL));
	if (restarts)
		fprintf(stderr, " (started again %lld times)", (long long)restarts);
	fputc('\n', stderr);
	while (*log) {
		size_t len = strcspn(log, "\n");
		fprintf(stderr, "  | %.*s\n", (int)len, log);
		log += len + (log[len] == '\n');
	}
}

static void read_line(struct waiting *w, struct slice text)
{
	json_t *line = json_loadb(text.at, text.len, 0, NULL);
	const char *result = json_text(line, "result", NULL);
	const json_t *pod;
	size_t i;

	if (!*result) {
		w->n_total = (unsigned)json_integer_value(json_at(line, "total", NULL));
		fprintf(stderr, "%lld of %u Pods are ready\n",
			(long long)json_integer_value(json_at(line, "ready", NULL)), w->n_total);
	} else {
		w->result = strcmp(result, "ready") == 0    ? WAIT_READY
			    : strcmp(result, "failed") == 0 ? WAIT_FAILED
							    : WAIT_TIMEOUT;
	}
	json_array_foreach (json_at(line, "pods", NULL), i, pod)
		print_pod(pod);
	json_decref(line);
}

void waiting_bytes(struct waiting *w, struct slice bytes)
{
	if (!buf_append(&w->line, bytes)) {
		w->result = WAIT_FAILED;
		return;
	}
	for (;;) {
		struct slice all = buf_slice(&w->line);
		size_t end = slice_find(all, '\n');
		if (end == all.len)
			return;
		read_line(w, slice_sub(all, 0, end));
		buf_consume(&w->line, end + 1);
	}
}

const char *waiting_path(unsigned timeout_s, char *out, size_t out_len)
{
	snprintf(out, out_len, "/hark/v1/wait?timeout=%u", timeout_s);
	return out;
}

static bool on_chunk(void *ctx, struct slice bytes)
{
	struct waiting *w = ctx;
	waiting_bytes(w, bytes);
	return w->result == WAIT_RUNNING;
}

bool wait_for_pods(const char *base, unsigned timeout_s, struct err *err)
{
	struct waiting w;
	char path[64];
	struct buf out;
	unsigned status = 0;
	struct rest_ask ask = {.path = waiting_path(timeout_s, path, sizeof(path))};

	waiting_init(&w);
	buf_init(&out, LINE_MAX);
	bool ok = rest_call_stream(base, -1, &ask, on_chunk, &w, &status, &out, err);
	if (ok && w.result == WAIT_TIMEOUT)
		ok = err_set(err, ERR_NOT_NOW, "not every Pod is ready after %u s", timeout_s);
	else if (ok && w.result != WAIT_READY)
		ok = err_set(err, ERR_NOT_NOW, "not every Pod can become ready");
	buf_fini(&out);
	waiting_fini(&w);
	return ok;
}
