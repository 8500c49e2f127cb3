/*
 * The store: kind/namespace/name -> object, one version counter for all kinds, change events.
 *
 *   struct store *s = store_new();
 *   store_apply(s, object, STORE_CREATE_OR_REPLACE, 0, &err);
 *   store_watch(s, &w);       // w.on_event(&w, ...) for each later change
 *
 * Watchers hear of a change before the call that made it returns. A watcher may itself change the
 * store, watch and unwatch; what it changes is told to all after the event at hand, in order.
 * Belongs to one thread. Keeps the last STORE_LOG events so that a watcher can resume (Kubernetes
 * API: watch with resourceVersion).
 */
#pragma once
#include <bsd/sys/queue.h>

#include "model/object.h"

enum { STORE_LOG = 4096 };

struct store;

enum store_event_type { STORE_ADDED, STORE_MODIFIED, STORE_DELETED };

struct store_event {
	enum store_event_type type;
	uint64_t resource_version;   /* of this change */
	const struct object *object; /* the new state; for DELETED the last one */
	const struct object *old;    /* MODIFIED: what it was; NULL otherwise and in the log */
};

struct store_watch {
	void (*on_event)(struct store_watch *w, const struct store_event *ev);
	TAILQ_ENTRY(store_watch) link;
};

enum store_mode { STORE_CREATE, STORE_REPLACE, STORE_CREATE_OR_REPLACE };

struct store *store_new(void);
void store_free(struct store *s);
uint64_t store_version(const struct store *s); /* of the last change; starts above 0 */

/*
 * Puts a new version of O in place; the store takes a reference of its own. It fills uid,
 * creationTimestamp, generation (raised when `spec` or `data` changed) and resourceVersion in a
 * copy, which is what *OUT (may be NULL; borrowed until the next change) gives. An O that equals
 * what is stored changes nothing. EXPECT: the resourceVersion that must be there (0: any) ->
 * ERR_CONFLICT. CREATE of what exists: ERR_CONFLICT; REPLACE of what does not: ERR_NOT_FOUND.
 * `status` in O replaces the stored one only when present.
 */
bool store_apply(struct store *s, const struct object *o, enum store_mode mode, uint64_t expect,
		 const struct object **out, struct err *err) MUST_CHECK;
bool store_delete(struct store *s, enum kind kind, const char *ns, const char *name,
		  struct err *err) MUST_CHECK;
const struct object *store_get(const struct store *s, enum kind kind, const char *ns,
			       const char *name); /* NULL: none; borrowed */
/* Walks objects of KIND by namespace and name; NS NULL: all. CURSOR starts as NULL; the walk ends
 * with NULL. No change meanwhile. */
const struct object *store_next(const struct store *s, enum kind kind, const char *ns,
				const struct object *cursor);
size_t store_count(const struct store *s, enum kind kind);
/* Objects noted down before the store is changed, one reference each. */
struct object_list {
	struct object **at;
	size_t n;
};
/* All of KIND in namespace NS (NULL: in all of them) that KEEP (NULL: each one) wants. */
struct object_list store_list(const struct store *s, enum kind kind, const char *ns,
			      bool (*keep)(const void *ctx, const struct object *o),
			      const void *ctx);
void object_list_free(struct object_list *l);
/* All objects of KIND in the order of store_next(), N of them; with NS those in there. Borrowed
 * until the next change; for those who look at many. */
struct object *const *store_all(const struct store *s, enum kind kind, const char *ns, size_t *n);
/* The endpoint slices of a Service by name, N of them; found without a search. Borrowed until the
 * next change. */
struct object *const *store_slices(const struct store *s, const char *ns, const char *service,
				   size_t *n);

void store_watch(struct store *s, struct store_watch *w); /* all kinds; W filters */
void store_unwatch(struct store *s, struct store_watch *w);
/* Calls ON_EVENT for every logged change after version AFTER; false when the log does not reach
 * back that far (HTTP 410). */
bool store_replay(const struct store *s, uint64_t after,
		  void (*on_event)(void *ctx, const struct store_event *ev), void *ctx) MUST_CHECK;
