/*
 * Inside the API server only: what its files share.
 *
 *   api_server.c     life, and which file a request is for
 *   api_target.c     what a path names
 *   api_discovery.c  /version, /api, /apis
 *   api_watches.c    watches
 *   api_write.c      POST, PUT, PATCH, DELETE
 */
#pragma once
#include <bsd/sys/queue.h>

#include "base/arena.h"
#include "control/api_server.h"

struct watcher;

struct api_server {
	struct loop *loop;
	struct rest_server *http;
	struct store *store;
	struct api_options options;
	struct store_watch store_watch;
	TAILQ_HEAD(, watcher) watchers;
	unsigned n_watchers;
	struct timer bookmark;
};

/* What a path below /api or /apis names. Texts live in the arena given. */
struct target {
	enum {
		TARGET_NOTHING,
		TARGET_VERSIONS,  /* /api, /apis */
		TARGET_GROUP,     /* /apis/GROUP */
		TARGET_RESOURCES, /* /api/v1, /apis/GROUP/VERSION */
		TARGET_COLLECTION,
		TARGET_OBJECT,
		TARGET_STATUS, /* its status subresource */
	} what;
	bool core;                /* below /api */
	struct slice group;       /* GROUP */
	struct slice api_version; /* RESOURCES: "v1", "apps/v1" */
	const struct kind_info *kind;
	const char *ns;   /* NULL: all of them, or the kind has none */
	const char *name; /* of OBJECT and STATUS */
};

struct target target_parse(struct arena *arena, struct slice path);
/* ns of T's object as the store wants it: "" for kinds without. */
const char *target_ns(const struct target *t);

void discovery_version(void *ctx, const struct rest_request *req, struct rest_reply *reply);
void discovery_reply(const struct target *t, struct rest_reply *reply);

/* Takes over ARENA, in which T lives. */
void watches_begin(struct api_server *a, struct arena *arena, const struct target *t,
		   const struct rest_request *req, struct rest_reply *reply);
void watches_init(struct api_server *a);
void watches_fini(struct api_server *a); /* after the last connection */

/* Any method but GET and HEAD. */
void write_request(struct api_server *a, const struct target *t, const struct rest_request *req,
		   struct rest_reply *reply);
