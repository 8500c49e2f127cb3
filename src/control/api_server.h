/*
 * Serves a store as a Kubernetes-style API: list, get and watch; and writes, where allowed.
 *
 *   struct api_server *api = api_server_new(loop, "api", store, &(struct api_options){0});
 *   rest_route(api_server_http(api), "POST", "/hark/v1/apply", on_apply, app);   // more routes
 *   rest_server_listen_fd(api_server_http(api), fd, &err);
 *
 * Several may serve one store: a read-only one for sidecars, a writable one behind a socket that only
 * root opens. Changes reach watchers in the turn of the loop in which they are made. STORE outlives
 * the server. One thread.
 *
 * What it speaks (the rest is answered with a Status):
 *   GET  /version, /api, /apis, /api/v1, /apis/GROUP[/VERSION]      discovery, as kubectl needs it
 *   GET  .../PLURAL, .../namespaces/NS/PLURAL[/NAME]                labelSelector, fieldSelector
 *        ?watch=1     resourceVersion, timeoutSeconds, allowWatchBookmarks, sendInitialEvents
 *   POST collection; PUT, PATCH (application/merge-patch+json), DELETE object; PUT, PATCH .../status
 * A list is always whole and of now: limit, continue and resourceVersion are accepted and change
 * nothing. Writes are strict about unknown fields unless fieldValidation is Ignore or Warn.
 */
#pragma once
#include "model/store.h"
#include "rest/server.h"

struct api_options {
	bool writable;
	struct rest_limits limits;
	unsigned bookmark_ms; /* 0: once a minute */
	/* Of a writable server; either may be NULL. */
	/* Looks at O before it is stored in place of OLD (NULL: nothing is there). False: refused
	 * with ERR as the message (422). */
	bool (*admit)(void *ctx, const struct object *o, const struct object *old, struct err *err);
	/* Instead of store_delete(): for what needs time to end. */
	bool (*remove)(void *ctx, const struct object *o, struct err *err);
	void *ctx;
};

struct api_server;
/* NAME is what log lines call it. OPTIONS is copied. */
struct api_server *api_server_new(struct loop *loop, const char *name, struct store *store,
				  const struct api_options *options);
struct rest_server *api_server_http(struct api_server *a); /* for listeners and more routes */
unsigned api_server_watches(const struct api_server *a);   /* open now */
/* Closes all connections. Not inside a handler's or a store watcher's callback. */
void api_server_free(struct api_server *a);
