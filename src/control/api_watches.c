/* Watches: who follows which changes, and how they are told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/api_parts.h"
#include "control/selector.h"
#include "control/status.h"

enum {
	BOOKMARK_MS = 60000,
	/* A watch that asks for no end gets one, so that none stays for ever unnoticed. */
	DEFAULT_TIMEOUT_S = 1800,
	MAX_TIMEOUT_S = 24 * 3600,
};

struct watcher {
	TAILQ_ENTRY(watcher) link;
	struct api_server *server;
	struct rest_reply *reply;
	struct arena *arena; /* of ns and selector */
	const struct kind_info *kind;
	const char *ns; /* NULL: all */
	const struct selector *selector;
	bool bookmarks;
	struct timer timeout;
};

static void watcher_free(struct watcher *w)
{
	TAILQ_REMOVE(&w->server->watchers, w, link);
	w->server->n_watchers--;
	timer_cancel(w->server->loop, &w->timeout);
	arena_free(w->arena);
	free(w);
}

static void on_gone(void *ctx, struct rest_reply *reply)
{
	(void)reply;
	watcher_free(ctx);
}

static void on_timeout(struct timer *t)
{
	struct watcher *w = CONTAINER_OF(t, struct watcher, timeout);
	rest_stream_end(w->reply);
	watcher_free(w);
}

/* A peer that is gone or too slow hears of nothing any more: on_gone is on its way. */
static void send_event(struct watcher *w, const char *type, struct slice json)
{
	struct buf b;
	buf_init(&b, SIZE_MAX / 4);
	if (buf_printf(&b, "{\"type\":\"%s\",\"object\":", type) && buf_append(&b, json) &&
	    buf_puts(&b, "}\n"))
		(void)rest_stream_write(w->reply, buf_slice(&b)); /* as said */
	buf_fini(&b);
}

static void send_bookmark(struct watcher *w, bool initial_end)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":"
			 "\"%llu\"%s}}",
			 w->kind->name, w->kind->api_version,
			 (unsigned long long)store_version(w->server->store),
			 initial_end ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}"
				     : "");
	send_event(w, "BOOKMARK", (struct slice){text, (size_t)n}); /* fits */
}

static bool wants(const struct watcher *w, const struct object *o)
{
	return (!w->ns || strcmp(w->ns, o->meta.ns) == 0) &&
	       selector_matches(w->selector, &o->meta);
}

/* To who selects, an object that begins to match appears, and one that ends to match vanishes. */
static void on_change(struct watcher *w, const struct store_event *ev)
{
	if (ev->object->kind != w->kind->kind || (w->ns && strcmp(w->ns, ev->object->meta.ns) != 0))
		return;
	bool now = wants(w, ev->object);
	/* Of changes in the log the state before is not known. Then a deletion too much does no
	 * harm, and a missing one would. */
	bool before = ev->old ? wants(w, ev->old) : !selector_is_empty(w->selector);
	switch (ev->type) {
	case STORE_ADDED:
		if (now)
			send_event(w, "ADDED", ev->object->json);
		return;
	case STORE_MODIFIED:
		if (now)
			send_event(w, before ? "MODIFIED" : "ADDED", ev->object->json);
		else if (before)
			send_event(w, "DELETED", ev->object->json);
		return;
	case STORE_DELETED:
		if (now)
			send_event(w, "DELETED", ev->object->json);
		return;
	}
}

static void on_replay(void *ctx, const struct store_event *ev)
{
	on_change(ctx, ev);
}

static void on_store(struct store_watch *sw, const struct store_event *ev)
{
	struct api_server *a = CONTAINER_OF(sw, struct api_server, store_watch);
	struct watcher *w;
	TAILQ_FOREACH (w, &a->watchers, link) /* writing frees nobody: gone comes from the loop */
		on_change(w, ev);
}

static void on_bookmark(struct timer *t)
{
	struct api_server *a = CONTAINER_OF(t, struct api_server, bookmark);
	struct watcher *w;
	TAILQ_FOREACH (w, &a->watchers, link)
		if (w->bookmarks)
			send_bookmark(w, false);
	timer_set(a->loop, t, a->options.bookmark_ms * NS_PER_MS);
}

void watches_init(struct api_server *a)
{
	TAILQ_INIT(&a->watchers);
	if (!a->options.bookmark_ms)
		a->options.bookmark_ms = BOOKMARK_MS;
	a->bookmark.fire = on_bookmark;
	timer_set(a->loop, &a->bookmark, a->options.bookmark_ms * NS_PER_MS);
	a->store_watch.on_event = on_store;
	store_watch(a->store, &a->store_watch);
}

void watches_fini(struct api_server *a)
{
	MUST(TAILQ_EMPTY(&a->watchers)); /* each went with its connection */
	timer_cancel(a->loop, &a->bookmark);
	store_unwatch(a->store, &a->store_watch);
}

/* Beginning. */

static bool is_true(struct slice value)
{
	return slice_is(value, "true") || slice_is(value, "1");
}

static void send_initial(struct watcher *w)
{
	const struct store *s = w->server->store;
	const struct object *o = NULL;
	while ((o = store_next(s, w->kind->kind, w->ns, o)))
		if (wants(w, o))
			send_event(w, "ADDED", o->json);
}

static void stream_from(struct watcher *w, const struct rest_request *req, uint64_t version)
{
	bool initial = is_true(rest_query(req, "sendInitialEvents"));
	rest_reply_begin_stream(w->reply, 200, "application/json");
	if (initial || version == 0)
		send_initial(w);
	else
		MUST(store_replay(w->server->store, version, on_replay, w)); /* asked before */
	if (initial && w->bookmarks)
		send_bookmark(w, true);
}

static void on_nothing(void *ctx, const struct store_event *ev)
{
	(void)ctx;
	(void)ev;
}

void watches_begin(struct api_server *a, struct arena *arena, const struct target *t,
		   const struct rest_request *req, struct rest_reply *reply)
{
	struct err err = {0};
	struct slice version_text = rest_query(req, "resourceVersion");
	struct slice timeout_text = rest_query(req, "timeoutSeconds");
	uint64_t version = 0, timeout_s = DEFAULT_TIMEOUT_S;
	const struct selector *selector = selector_parse(arena, rest_query(req, "labelSelector"),
							 rest_query(req, "fieldSelector"), &err);
	const char *wrong =
		!selector ? err.text
		: version_text.len && !slice_to_u64(version_text, UINT64_MAX, &version)
			? "resourceVersion is no version of this server"
		: timeout_text.len && !slice_to_u64(timeout_text, MAX_TIMEOUT_S, &timeout_s)
			? "timeoutSeconds is not a number of seconds"
			: NULL;
	if (wrong) {
		status_reply(reply, 400, "%s", wrong);
		arena_free(arena);
		return;
	}
	if (version && !store_replay(a->store, version, on_nothing, NULL)) {
		status_reply(reply, 410, "too old resource version: %llu (%llu)",
			     (unsigned long long)version,
			     (unsigned long long)store_version(a->store));
		arena_free(arena);
		return;
	}
	struct watcher *w = mem_new(sizeof(*w));
	*w = (struct watcher){
		.server = a,
		.reply = reply,
		.arena = arena,
		.kind = t->kind,
		.ns = t->ns,
		.selector = selector,
		.bookmarks = is_true(rest_query(req, "allowWatchBookmarks")),
		.timeout.fire = on_timeout,
	};
	TAILQ_INSERT_TAIL(&a->watchers, w, link);
	a->n_watchers++;
	rest_reply_on_gone(reply, on_gone, w);
	timer_set(a->loop, &w->timeout, (timeout_s ? timeout_s : DEFAULT_TIMEOUT_S) * NS_PER_S);
	stream_from(w, req, version);
}
