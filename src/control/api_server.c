#include "control/api_server.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/api_parts.h"
#include "control/selector.h"
#include "control/status.h"

static void reply_list(struct api_server *a, struct arena *arena, const struct target *t,
		       const struct rest_request *req, struct rest_reply *reply)
{
	struct err err = {0};
	const struct selector *selector = selector_parse(arena, rest_query(req, "labelSelector"),
							 rest_query(req, "fieldSelector"), &err);
	if (!selector) {
		status_reply(reply, 400, "%s", err.text);
		return;
	}
	struct buf b;
	buf_init(&b, SIZE_MAX / 4);
	bool ok = buf_printf(&b,
			     "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":{"
			     "\"resourceVersion\":\"%llu\"},\"items\":[",
			     t->kind->name, t->kind->api_version,
			     (unsigned long long)store_version(a->store));
	const char *comma = "";
	const struct object *o = NULL;
	while (ok && (o = store_next(a->store, t->kind->kind, t->ns, o))) {
		if (!selector_matches(selector, &o->meta))
			continue;
		ok = buf_puts(&b, comma) && buf_append(&b, o->json);
		comma = ",";
	}
	MUST(ok && buf_puts(&b, "]}\n")); /* unbounded: what the store holds fits */
	rest_reply_full(reply, 200, "application/json", buf_slice(&b));
	buf_fini(&b);
}

static void reply_object(struct api_server *a, const struct target *t, struct rest_reply *reply)
{
	const struct object *o = store_get(a->store, t->kind->kind, target_ns(t), t->name);
	if (o)
		rest_reply_full(reply, 200, "application/json", o->json);
	else
		status_reply(reply, 404, "%s \"%s\" not found", t->kind->plural, t->name);
}

static bool is_watch(const struct rest_request *req)
{
	struct slice watch = rest_query(req, "watch");
	return slice_is(watch, "1") || slice_is(watch, "true");
}

/* True: ARENA belongs to a watch now. */
static bool read_request(struct api_server *a, struct arena *arena, const struct target *t,
			 const struct rest_request *req, struct rest_reply *reply)
{
	switch (t->what) {
	case TARGET_VERSIONS:
	case TARGET_GROUP:
	case TARGET_RESOURCES:
		discovery_reply(t, reply);
		return false;
	case TARGET_COLLECTION:
		if (is_watch(req)) {
			watches_begin(a, arena, t, req, reply);
			return true;
		}
		reply_list(a, arena, t, req, reply);
		return false;
	case TARGET_OBJECT:
	case TARGET_STATUS:
		reply_object(a, t, reply);
		return false;
	case TARGET_NOTHING:
		return false;
	}
	return false;
}

static void on_request(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct api_server *a = ctx;
	struct arena *arena = arena_new();
	struct target t = target_parse(arena, req->path);
	bool reading = slice_is(req->method, "GET") || slice_is(req->method, "HEAD");
	bool taken = false;
	if (t.what == TARGET_NOTHING)
		status_reply(reply, 404, "the server could not find the requested resource: %.*s",
			     SLICE_FMT(req->path));
	else if (reading)
		taken = read_request(a, arena, &t, req, reply);
	else if (!a->options.writable)
		status_reply(reply, 405, "this server is read-only");
	else
		write_request(a, &t, req, reply);
	if (!taken)
		arena_free(arena);
}

static void on_elsewhere(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)ctx;
	status_reply(reply, 404, "the server could not find the requested resource: %.*s",
		     SLICE_FMT(req->path));
}

static void on_health(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)ctx;
	(void)req;
	rest_reply_full(reply, 200, "text/plain", SLICE("ok"));
}

struct api_server *api_server_new(struct loop *loop, const char *name, struct store *store,
				  const struct api_options *options)
{
	struct api_server *a = mem_new(sizeof(*a));
	a->loop = loop;
	a->store = store;
	a->options = *options;
	a->http = rest_server_new(loop, name, &options->limits);
	rest_route(a->http, "GET", "/version", discovery_version, NULL);
	rest_route(a->http, "GET", "/healthz", on_health, NULL);
	rest_route(a->http, "GET", "/livez", on_health, NULL);
	rest_route(a->http, "GET", "/readyz", on_health, NULL);
	rest_route(a->http, NULL, "/api/...", on_request, a);
	rest_route(a->http, NULL, "/apis/...", on_request, a);
	rest_route(a->http, NULL, "/...", on_elsewhere, NULL);
	watches_init(a);
	return a;
}

struct rest_server *api_server_http(struct api_server *a)
{
	return a->http;
}

unsigned api_server_watches(const struct api_server *a)
{
	return a->n_watchers;
}

void api_server_free(struct api_server *a)
{
	if (!a)
		return;
	rest_server_free(a->http); /* watches hear of it */
	watches_fini(a);
	free(a);
}
