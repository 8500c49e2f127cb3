/* /hark/v1/... on the admin socket: apply, delete, wait, the authority; and metrics. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "local/deployments.h"
#include "local/mesh_inside.h"
#include "local/reconcile.h"
#include "local/vips.h"

enum {
	LOOK_AGAIN_MS = 20,
	MAX_FILES = 1000,
	REPORT_MAX = 16 * 1024 * 1024,
	LINE_MAX = 4 * 1024 * 1024
};

/* The files of a request's body; the texts borrow from ROOT. False: the body is something else. */
static bool read_files(json_t *root, struct apply_file **out, size_t *n)
{
	json_t *list = json_object_get(root, "files");
	struct apply_file *files;

	if (!json_is_array(list) || json_array_size(list) > MAX_FILES)
		return false;
	files = mem_array(json_array_size(list) + 1, sizeof(*files));
	for (*n = 0; *n < json_array_size(list); ++*n) {
		json_t *item = json_array_get(list, *n), *text = json_object_get(item, "text");
		files[*n].name = json_string_value(json_object_get(item, "name"));
		files[*n].text = (struct slice){json_string_value(text), json_string_length(text)};
		if (!files[*n].name || !files[*n].text.at) {
			free(files);
			return false;
		}
	}
	*out = files;
	return true;
}

static void change(struct mesh *m, const struct rest_request *req, struct rest_reply *reply,
		   bool deletes)
{
	json_t *root = json_loadb(req->body.at, req->body.len, 0, NULL);
	struct apply_file *files = NULL;
	size_t n = 0;
	struct buf report;
	struct json_out j;

	if (!read_files(root, &files, &n)) {
		rest_reply_text(reply, 400, "expected {\"files\": [{\"name\", \"text\"}]}");
		json_decref(root);
		return;
	}
	buf_init(&report, REPORT_MAX);
	json_out_init(&j, &report);
	bool ignore = json_is_true(json_object_get(root, "ignore_missing"));
	bool ok = deletes ? delete_files(m->store, files, n, ignore, &j)
			  : apply_files(m->store, m->node, files, n, &j);
	rest_reply_full(reply, ok ? 200 : 422, "application/json", buf_slice(&report));
	buf_fini(&report);
	free(files);
	json_decref(root);
}

static void on_apply(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	change(ctx, req, reply, false);
}

static void on_delete(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	change(ctx, req, reply, true);
}

/* Somebody who waits until every Pod is ready. */
struct mesh_waiter {
	struct mesh *m;
	struct rest_reply *reply;
	struct reconciler changes;
	struct timer deadline;
	struct deferred gone;
	size_t told_ready, told_total;
};

static void waiter_free(struct deferred *gone)
{
	free(CONTAINER_OF(gone, struct mesh_waiter, gone));
}

static void waiter_end(struct mesh_waiter *w)
{
	reconciler_stop(&w->changes);
	timer_cancel(w->m->loop, &w->deadline);
	w->gone.run = waiter_free;
	loop_defer(w->m->loop, &w->gone);
}

static void write_line(struct mesh_waiter *w, struct buf *line)
{
	buf_putc(line, '\n');
	/* false: the peer is gone, and on_gone is on its way */
	(void)rest_stream_write(w->reply, buf_slice(line));
}

static void finish(struct mesh_waiter *w, const char *result)
{
	struct buf line;
	struct json_out j;

	buf_init(&line, LINE_MAX);
	json_out_init(&j, &line);
	json_open_object(&j, NULL);
	json_cstr(&j, "result", result);
	json_open_array(&j, "pods");
	(void)pods_report(w->m->pods, &j); /* the result is known already */
	json_close(&j);
	json_close(&j);
	write_line(w, &line);
	buf_fini(&line);
	rest_stream_end(w->reply);
	waiter_end(w);
}

static void tell_progress(struct mesh_waiter *w)
{
	size_t ready = 0, total = 0;
	const struct object *pod = NULL;
	struct buf line;
	struct json_out j;

	while ((pod = store_next(w->m->store, KIND_POD, NULL, pod))) {
		total++;
		ready += pod->pod->ready || strcmp(pod->pod->phase, "Succeeded") == 0;
	}
	if (ready == w->told_ready && total == w->told_total)
		return;
	w->told_ready = ready;
	w->told_total = total;
	buf_init(&line, LINE_MAX);
	json_out_init(&j, &line);
	json_open_object(&j, NULL);
	json_u64(&j, "ready", ready);
	json_u64(&j, "total", total);
	json_close(&j);
	write_line(w, &line);
	buf_fini(&line);
}

static void waiter_look(struct reconciler *r)
{
	struct mesh_waiter *w = CONTAINER_OF(r, struct mesh_waiter, changes);
	enum pods_state state = pods_report(w->m->pods, NULL);

	tell_progress(w);
	bool ready = state == PODS_READY && deployments_settled(w->m->store);
	if (state == PODS_SETTLING || (ready && !vips_settled(w->m->vips)))
		timer_set(w->m->loop, &w->changes.timer, LOOK_AGAIN_MS * NS_PER_MS);
	else if (state == PODS_FAILED)
		finish(w, "failed");
	else if (ready)
		finish(w, "ready");
}

static void waiter_deadline(struct timer *t)
{
	finish(CONTAINER_OF(t, struct mesh_waiter, deadline), "timeout");
}

static void waiter_gone(void *ctx, struct rest_reply *reply)
{
	(void)reply; /* it ends by itself */
	waiter_end(ctx);
}

static void on_wait(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct mesh *m = ctx;
	struct slice text = rest_query(req, "timeout");
	uint64_t seconds = 120;

	if (text.at && !slice_to_u64(text, 86400, &seconds)) {
		rest_reply_text(reply, 400, "timeout: expected seconds, at most 86400");
		return;
	}
	struct mesh_waiter *w = mem_new(sizeof(*w));
	w->m = m;
	w->reply = reply;
	w->deadline.fire = waiter_deadline;
	w->changes = (struct reconciler){.loop = m->loop,
					 .store = m->store,
					 .kinds = 1u << KIND_POD | 1u << KIND_DEPLOYMENT,
					 .run = waiter_look};
	rest_reply_begin_stream(reply, 200, "application/json");
	rest_reply_on_gone(reply, waiter_gone, w);
	timer_set(m->loop, &w->deadline, seconds * NS_PER_S);
	reconciler_start(&w->changes);
}

static void answer_ca(const struct mesh *m, struct rest_reply *reply)
{
	struct buf out;
	struct json_out j;
	buf_init(&out, REPORT_MAX);
	json_out_init(&j, &out);
	authority_json(m->authority, &j);
	rest_reply_full(reply, out.full ? 500 : 200, "application/json", buf_slice(&out));
	buf_fini(&out);
}

static void on_ca(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)req; /* takes no parameters */
	answer_ca(ctx, reply);
}

static void change_root(struct mesh *m, struct rest_reply *reply,
			bool (*step)(struct authority *, struct err *))
{
	struct err err = {0};
	struct buf out;
	struct json_out j;
	if (step(m->authority, &err)) {
		answer_ca(m, reply);
		return;
	}
	buf_init(&out, REPORT_MAX);
	json_out_init(&j, &out);
	json_open_object(&j, NULL);
	json_cstr(&j, "message", err.text);
	json_close(&j);
	rest_reply_full(reply, 409, "application/json", buf_slice(&out));
	buf_fini(&out);
}

static void on_ca_rotate(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)req; /* takes no parameters */
	change_root(ctx, reply, authority_rotate);
}

static void on_ca_finish(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)req; /* takes no parameters */
	change_root(ctx, reply, authority_finish);
}

static void on_metrics(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct mesh *m = ctx;
	struct buf out;
	(void)req; /* takes no parameters */
	buf_init(&out, REPORT_MAX);
	bool whole = authority_metrics(m->authority, &out);
	rest_reply_full(reply, whole ? 200 : 500, "text/plain; version=0.0.4; charset=utf-8",
			buf_slice(&out));
	buf_fini(&out);
}

void mesh_routes(struct mesh *m)
{
	struct rest_server *http = api_server_http(m->admin);
	rest_route(http, "POST", "/hark/v1/apply", on_apply, m);
	rest_route(http, "POST", "/hark/v1/delete", on_delete, m);
	rest_route(http, "GET", "/hark/v1/wait", on_wait, m);
	rest_route(http, "GET", "/hark/v1/ca", on_ca, m);
	rest_route(http, "POST", "/hark/v1/ca/rotate", on_ca_rotate, m);
	rest_route(http, "POST", "/hark/v1/ca/finish", on_ca_finish, m);
	rest_route(http, "GET", "/metrics", on_metrics, m);
}
