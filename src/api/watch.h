/*
 * Follows resources of a Kubernetes-style API: LIST, then WATCH from there, for ever.
 *
 *   static const struct api_resource want[] = {{"Service", "/api/v1/services", NULL},
 *                                              {"Pod", "/api/v1/pods", NULL}};
 *   static const struct api_watch_events events = {on_object, on_synced, on_connected};
 *   struct api_watch *w = api_watch_new(loop, "unix:/run/hark/api.sock", want, 2, &events, ctx,
 *                                       &err);
 *
 * Each resource is listed and then watched on a connection of its own. A watch that ends is taken
 * up from its last resourceVersion; one whose version the server no longer has (410) is listed
 * again, and objects that vanished meanwhile are reported as deleted. A server that is away is
 * tried again after 50 ms, 100 ms, ... up to 30 s with jitter, and what was known stays known. A custom
 * resource that the server does not have (404 for each of its versions) counts as listed and empty, and is
 * asked for again after 1 s, 2 s, ... up to 60 s; unless objects of it are known, which stay known.
 *
 * Callbacks come from the loop; they may call api_watch_free(). One thread.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "loop/loop.h"

struct api_resource {      /* copied */
	const char *kind;  /* what the callbacks call it */
	const char *path;  /* of the collection */
	const char *query; /* more parameters, encoded ("fieldSelector=metadata.name%3Distio"); or
			      NULL */
	/* Custom resources: the paths of older versions, the newest first, asked for where PATH is not
	 * there; NULL-terminated. NULL: every server has the resource, and 404 is an error. */
	const char *const *older;
};

enum api_event {
	API_APPLIED, /* ADDED, MODIFIED, or found by a list with a version not seen before */
	API_DELETED,
};

struct api_object {            /* borrowed for the call */
	const char *kind;      /* of the api_resource */
	unsigned resource;     /* its index */
	struct slice ns, name; /* ns is empty for cluster-scoped kinds */
	struct slice version;  /* resourceVersion */
	struct slice json; /* the object as sent; in lists it may lack apiVersion and kind. Empty
			      for a deletion that a list showed */
};

enum api_state {
	API_CONNECTING,
	API_LISTING,
	API_WATCHING,
	API_WAITING,
	API_ABSENT, /* the server does not have the resource; waiting as well */
};

struct api_resource_state {
	const char *kind;
	enum api_state state;
	bool synced; /* listed completely at least once, or absent */
	size_t n_objects;
	char version[64];                   /* last resourceVersion */
	char error[256];                    /* the last one; empty while all is well */
	uint64_t failures, relists, events; /* since the start */
};

struct api_watch_events { /* any may be NULL */
	void (*on_object)(void *ctx, enum api_event event, const struct api_object *obj);
	/* Once: every resource has been listed completely, or is absent. */
	void (*on_synced)(void *ctx);
	/* All of them watch or are absent (connected), or one no longer does. */
	void (*on_connected)(void *ctx, bool connected);
};

struct api_watch;
/* NULL: BASE is no base (rest/client.h). EVENTS must outlive the watch. Starts at once. */
struct api_watch *api_watch_new(struct loop *loop, const char *base,
				const struct api_resource *resources, unsigned n,
				const struct api_watch_events *events, void *ctx,
				struct err *err) MUST_CHECK;
void api_watch_free(struct api_watch *w); /* no callback comes after this; NULL is fine */
bool api_watch_synced(const struct api_watch *w);
bool api_watch_connected(const struct api_watch *w);
unsigned api_watch_n(const struct api_watch *w);
/* I below api_watch_n(); valid until the next turn of the loop. */
const struct api_resource_state *api_watch_state(const struct api_watch *w, unsigned i);
