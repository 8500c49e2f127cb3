#include "cli/watch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/mesh_client.h"
#include "cli/show.h"
#include "loop/loop.h"
#include "rest/client.h"

enum { EVENT_MAX = 8 * 1024 * 1024 };

struct watching {
	const struct watch_how *how;
	struct rest_client *client;
	struct io reader; /* standard output, as far as somebody reads it */
	struct buf pending, refusal;
	struct columns_memory memory;
	json_t *rows; /* what is to be shown next; all of it was ADDED, or MODIFIED, or ... */
	char type[16];
	unsigned status;
	bool over;
	struct err err;
};

static void flush_rows(struct watching *w)
{
	if (json_array_size(w->rows))
		show_table(w->how->kind, w->rows, strcmp(w->how->format, "wide") == 0, &w->memory);
	(void)json_array_clear(w->rows); /* it is an array */
}

static bool show_event(struct watching *w, const char *type, json_t *o, struct slice line)
{
	if (strcmp(type, "BOOKMARK") == 0)
		return true;
	if (strcmp(type, "ERROR") == 0)
		return err_set(&w->err, ERR_NOT_NOW, "%s", json_text(o, "message", NULL));
	if (strcmp(w->how->format, "json") == 0) {
		printf("%.*s\n", SLICE_FMT(line));
		return true;
	}
	if (strcmp(w->how->format, "yaml") == 0)
		return show_yaml(w->how->kind, o, &w->err);
	if (strcmp(w->type, type) != 0)
		flush_rows(w);
	snprintf(w->type, sizeof(w->type), "%s", type);
	w->memory.event = w->type;
	(void)json_array_append(w->rows, o); /* it is an array */
	return true;
}

static void on_head(void *ctx, const struct rest_response *res)
{
	((struct watching *)ctx)->status = res->status;
}

static bool show_lines(struct watching *w)
{
	for (;;) {
		struct slice text = buf_slice(&w->pending);
		size_t end = slice_find(text, '\n');
		if (end == text.len)
			return true;
		json_t *event = json_loadb(text.at, end, 0, NULL);
		json_t *o = json_object_get(event, "object");
		bool ok = !o ||
			  show_event(w, json_text(event, "type", NULL), o, slice_sub(text, 0, end));
		json_decref(event);
		buf_consume(&w->pending, end + 1);
		if (!ok)
			return false;
	}
}

static void on_body(void *ctx, struct slice bytes)
{
	struct watching *w = ctx;
	struct buf *to = w->status / 100 == 2 ? &w->pending : &w->refusal;
	bool ok = buf_append(to, bytes) ||
		  err_set(&w->err, ERR_LIMIT, "an event is longer than %d bytes", EVENT_MAX);
	ok = ok && (to == &w->refusal || show_lines(w));
	flush_rows(w);
	w->over = w->over || !ok || fflush(stdout) != 0;
}

static void on_end(void *ctx, const struct err *err)
{
	struct watching *w = ctx;
	w->over = true;
	if (err)
		w->err = *err;
	else if (w->status / 100 != 2)
		(void)err_set(&w->err, ERR_BAD_INPUT, "%.*s",
			      SLICE_FMT(buf_slice(&w->refusal))); /* told by watch_print() */
}

static void on_reader(struct io *io, uint32_t events)
{
	(void)events; /* nothing was asked for: it is an error or the end */
	CONTAINER_OF(io, struct watching, reader)->over = true;
}

static bool run(struct watching *w, struct loop *loop, const char *path, struct err *err)
{
	static const struct rest_events events = {on_head, on_body, on_end};
	char query[1200];
	struct rest_ask ask = {.path = query};
	const char *since = json_text(w->how->first, "metadata", "resourceVersion", NULL);

	snprintf(query, sizeof(query), "%s?watch=1%s%s", path, *since ? "&resourceVersion=" : "",
		 since);
	w->reader = (struct io){.fd = STDOUT_FILENO, .on_ready = on_reader};
	bool has_reader = loop_add(loop, &w->reader, 0, NULL); /* a file has none */
	rest_client_send(w->client, &ask, &events, w);
	bool ok = true;
	while (ok && !w->over)
		ok = loop_turn(loop, -1, err);
	if (has_reader)
		loop_del(loop, &w->reader);
	return ok;
}

bool watch_print(const char *base, const char *path, const struct watch_how *how, struct err *err)
{
	struct loop *loop = loop_new(err);
	if (!loop)
		return false;
	struct watching w = {.how = how, .rows = json_array()};
	buf_init(&w.pending, EVENT_MAX);
	buf_init(&w.refusal, EVENT_MAX);
	w.client = rest_client_new(loop, base, err);
	if (how->first) {
		w.memory.event = "ADDED";
		show_table(how->kind, json_object_get(how->first, "items"),
			   strcmp(how->format, "wide") == 0, &w.memory);
	}
	bool ok = w.client && fflush(stdout) == 0 && run(&w, loop, path, err);
	if (ok && w.err.kind != ERR_NONE)
		ok = err_set(err, w.err.kind, "%s", w.err.text);
	rest_client_free(w.client);
	json_decref(w.rows);
	buf_fini(&w.pending);
	buf_fini(&w.refusal);
	loop_free(loop);
	return ok;
}
