#include "model/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/object_set.h"
#include "model/object_tree.h"
#include "model/slice_groups.h"

struct logged {
	enum store_event_type type;
	uint64_t version;
	struct object *object;
};

/* A change that watchers have not heard of yet. */
struct pending {
	struct store_event event; /* owns both objects */
	STAILQ_ENTRY(pending) link;
};

struct store {
	struct object_set sets[N_KINDS];
	struct slice_groups slices;
	uint64_t version;
	struct logged log[STORE_LOG]; /* a ring; the newest is before `log_next` */
	size_t log_next, log_n;
	uint64_t log_after; /* the log holds every change after this version */
	TAILQ_HEAD(, store_watch) watches;
	struct store_watch *next_watch; /* while events are told: who comes after the one at hand */
	STAILQ_HEAD(, pending) pending;
	bool telling;
};

struct store *store_new(void)
{
	struct store *s = mem_new(sizeof(*s));
	/* Microseconds since 1970: a store that takes the place of an earlier one begins above all
	 * versions that the earlier one gave (no store makes a change in less), so that a client
	 * which still has one of those lists anew (410) instead of missing what happened between. */
	s->version = s->log_after = clock_wall_ns() / NS_PER_US;
	TAILQ_INIT(&s->watches);
	STAILQ_INIT(&s->pending);
	return s;
}

/* NOW has taken the place of OLD; either may be NULL. */
static void regroup(struct store *s, const struct object *old, const struct object *now)
{
	if ((now ? now : old)->kind == KIND_ENDPOINT_SLICE)
		slice_groups_change(&s->slices, old, now);
}

void store_free(struct store *s)
{
	if (!s)
		return;
	slice_groups_fini(&s->slices);
	for (size_t i = 0; i < N_KINDS; i++)
		object_set_fini(&s->sets[i]);
	for (size_t i = 0; i < s->log_n; i++)
		object_put(s->log[(s->log_next + STORE_LOG - 1 - i) % STORE_LOG].object);
	MUST(STAILQ_EMPTY(&s->pending)); /* not from inside a watcher's callback */
	free(s);
}

uint64_t store_version(const struct store *s)
{
	return s->version;
}

static void tell(struct store *s)
{
	if (s->telling)
		return; /* a watcher made this change; the loop below comes to it */
	s->telling = true;
	struct pending *p;
	while ((p = STAILQ_FIRST(&s->pending))) {
		STAILQ_REMOVE_HEAD(&s->pending, link);
		for (struct store_watch *w = TAILQ_FIRST(&s->watches); w; w = s->next_watch) {
			s->next_watch = TAILQ_NEXT(w, link);
			w->on_event(w, &p->event);
		}
		object_put((struct object *)p->event.object);
		object_put((struct object *)p->event.old);
		free(p);
	}
	s->telling = false;
}

/* Logs the change and tells it. */
static void happened(struct store *s, enum store_event_type type, const struct object *o,
		     const struct object *old)
{
	struct logged *slot = &s->log[s->log_next];
	if (s->log_n == STORE_LOG) {
		s->log_after = slot->version;
		object_put(slot->object);
	} else {
		s->log_n++;
	}
	*slot = (struct logged){type, s->version, object_get(o)};
	s->log_next = (s->log_next + 1) % STORE_LOG;

	struct pending *p = mem_new(sizeof(*p));
	p->event = (struct store_event){
		.type = type,
		.resource_version = s->version,
		.object = object_get(o),
		.old = old ? object_get(old) : NULL,
	};
	STAILQ_INSERT_TAIL(&s->pending, p, link);
	tell(s);
}

static void random_bytes(void *out, size_t len)
{
	MUST(getrandom(out, len, 0) == (ssize_t)len);
}

static void set_text(struct arena *a, struct tree *map, const char *member, const char *text)
{
	tree_set(map, slice_of(member), tree_string(a, slice_of(text)));
}

static void set_version(struct arena *a, struct tree *meta, uint64_t version)
{
	set_text(a, meta, "resourceVersion", arena_printf(a, "%llu", (unsigned long long)version));
}

static void set_new_identity(struct arena *a, struct tree *meta)
{
	uint8_t b[16];
	char time[32];
	random_bytes(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 9562 5.4: version 4 */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	set_text(a, meta, "uid",
		 arena_printf(
			 a, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
			 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
			 b[12], b[13], b[14], b[15]));
	set_text(a, meta, "creationTimestamp", clock_rfc3339(clock_wall_ns(), time, sizeof(time)));
}

/* Everything but metadata and status is the same. */
static bool same_spec(const struct tree *a, const struct tree *b)
{
	const struct tree *const trees[] = {a, b};
	for (size_t t = 0; t < 2; t++)
		for (const struct tree *c = trees[t]->first; c; c = c->next) {
			if (slice_is(c->key, "metadata") || slice_is(c->key, "status"))
				continue;
			if (!tree_equal(c, tree_get(trees[1 - t], c->key.at)))
				return false;
		}
	return true;
}

/* What the server answers for, taken from the stored version. */
static void keep_identity(struct arena *a, struct tree *root, const struct object *old)
{
	struct tree *old_root = NULL;
	struct tree *meta = tree_get(root, "metadata");
	MUST(tree_from_json(a, old->json, &old_root, NULL)); /* it was written by us */
	const struct tree *old_meta = tree_get(old_root, "metadata");
	static const char *const fields[] = {"uid", "creationTimestamp", "resourceVersion"};
	for (size_t i = 0; i < N_ELEMS(fields); i++) {
		const struct tree *n = tree_get(old_meta, fields[i]);
		tree_set(meta, slice_of(fields[i]), n ? tree_copy(a, n) : NULL);
	}
	struct tree *generation = tree_new(a, TREE_INT);
	generation->integer = (int64_t)old->meta.generation + !same_spec(root, old_root);
	tree_set(meta, SLICE("generation"), generation);
	const struct tree *status = tree_get(old_root, "status");
	if (status && !tree_get(root, "status"))
		tree_set(root, SLICE("status"), tree_copy(a, status));
}

static void first_identity(struct arena *a, struct tree *root)
{
	struct tree *meta = tree_get(root, "metadata");
	struct tree *generation = tree_new(a, TREE_INT);
	generation->integer = 1;
	tree_set(meta, SLICE("generation"), generation);
	set_new_identity(a, meta);
}

static bool is_same(const struct tree *root, const struct object *old)
{
	struct buf json;
	buf_init(&json, SIZE_MAX / 4);
	bool same = tree_write_json(root, &json) && slice_eq(buf_slice(&json), old->json);
	buf_fini(&json);
	return same;
}

static void told_problem(void *ctx, const struct tree *at, const char *member, const char *text)
{
	struct err *err = ctx;
	char path[256];
	if (err && err->kind == ERR_NONE)
		(void)err_set(err, ERR_BAD_INPUT, "%s: %s",
			      tree_path(at, member, path, sizeof(path)), text); /* always false */
}

static struct object *decode_again(struct tree *root, struct arena *a, const struct object *o,
				   struct err *err)
{
	struct err problem = {.kind = ERR_NONE};
	struct object_source source = {
		.file = o->origin_file,
		.line = o->origin_line,
		.problem = told_problem,
		.ctx = &problem,
	};
	struct object *made = object_from_tree(o->kind, root, a, &source);
	if (!made && err)
		*err = problem;
	return made;
}

/* A name that nobody has, from metadata.generateName and five letters as Kubernetes makes them. */
static void generate_name(const struct store *s, struct arena *a, struct tree *root,
			  const struct object *o)
{
	static const char letters[] =
		"bcdfghjklmnpqrstvwxz2456789"; /* no words can come of these */
	size_t at = 0;
	const char *name = NULL;
	do {
		uint8_t r[5];
		random_bytes(r, sizeof(r));
		char tail[6] = {0};
		for (size_t i = 0; i < sizeof(r); i++)
			tail[i] = letters[r[i] % (sizeof(letters) - 1)];
		name = arena_printf(a, "%.58s%s", o->meta.generate_name, tail);
	} while (object_set_find(&s->sets[o->kind], o->meta.ns, name, &at));
	set_text(a, tree_get(root, "metadata"), "name", name);
}

static bool may_apply(const struct object *old, const struct object *o, enum store_mode mode,
		      uint64_t expect, struct err *err)
{
	char text[320];
	if (old && mode == STORE_CREATE)
		return err_set(err, ERR_CONFLICT, "%s exists already",
			       object_text(old, text, sizeof(text)));
	if (!old && (mode == STORE_REPLACE || expect))
		return err_set(err, ERR_NOT_FOUND, "%s is not there",
			       object_text(o, text, sizeof(text)));
	if (old && expect && old->meta.resource_version != expect)
		return err_set(
			err, ERR_CONFLICT, "%s has changed: its resourceVersion is %llu, not %llu",
			object_text(old, text, sizeof(text)),
			(unsigned long long)old->meta.resource_version, (unsigned long long)expect);
	return true;
}

bool store_apply(struct store *s, const struct object *o, enum store_mode mode, uint64_t expect,
		 const struct object **out, struct err *err)
{
	struct object_set *set = &s->sets[o->kind];
	size_t at = 0;
	bool there = o->meta.name[0] && object_set_find(set, o->meta.ns, o->meta.name, &at);
	struct object *old = there ? object_get(set->at[at]) : NULL;
	struct arena *a = arena_new();
	struct tree *root = NULL;
	struct object *made = NULL;
	bool ok = may_apply(old, o, mode, expect, err) && tree_from_json(a, o->json, &root, err);
	if (!ok)
		goto done;
	tree_set(tree_get(root, "metadata"), SLICE("managedFields"), NULL);
	if (!o->meta.name[0])
		generate_name(s, a, root, o);
	if (old)
		keep_identity(a, root, old);
	else
		first_identity(a, root);
	if (old && is_same(root, old)) {
		if (out)
			*out = set->at[at];
		goto done;
	}
	set_version(a, tree_get(root, "metadata"), s->version + 1);
	made = decode_again(root, a, o, err);
	ok = made != NULL;
	if (!ok)
		goto done;
	s->version++;
	object_set_put(set, made);
	regroup(s, old, made);
	happened(s, old ? STORE_MODIFIED : STORE_ADDED, made, old);
	if (out) /* looked up anew: a watcher may have changed it once more */
		*out = store_get(s, made->kind, made->meta.ns, made->meta.name);
done:
	object_put(made); /* the set has its own reference */
	object_put(old);
	arena_free(a);
	return ok;
}

bool store_delete(struct store *s, enum kind kind, const char *ns, const char *name,
		  struct err *err)
{
	size_t at = 0;
	if (!object_set_find(&s->sets[kind], ns, name, &at))
		return err_set(err, ERR_NOT_FOUND, "%s %s%s%s is not there", kind_info(kind)->name,
			       ns, ns[0] ? "/" : "", name);
	struct object *old = object_get(s->sets[kind].at[at]);
	struct arena *a = arena_new();
	struct tree *root = NULL;
	/* The last state carries the version of its deletion: a watch resumes from there. */
	MUST(tree_from_json(a, old->json, &root, NULL)); /* it was written by us */
	set_version(a, tree_get(root, "metadata"), s->version + 1);
	struct object *last = decode_again(root, a, old, err);
	MUST(last); /* only the version changed */
	arena_free(a);
	s->version++;
	object_set_remove(&s->sets[kind], at);
	regroup(s, old, NULL);
	happened(s, STORE_DELETED, last, NULL);
	object_put(last);
	object_put(old);
	return true;
}

const struct object *store_get(const struct store *s, enum kind kind, const char *ns,
			       const char *name)
{
	size_t at = 0;
	return object_set_find(&s->sets[kind], ns, name, &at) ? s->sets[kind].at[at] : NULL;
}

const struct object *store_next(const struct store *s, enum kind kind, const char *ns,
				const struct object *cursor)
{
	const struct object_set *set = &s->sets[kind];
	size_t at = 0;
	if (cursor)
		at = object_set_find(set, cursor->meta.ns, cursor->meta.name, &at) ? at + 1 : at;
	else if (ns)
		(void)object_set_find(set, ns, "", &at); /* no name is empty: the place is wanted */
	if (at >= set->n || (ns && strcmp(set->at[at]->meta.ns, ns) != 0))
		return NULL;
	return set->at[at];
}

struct object *const *store_all(const struct store *s, enum kind kind, const char *ns, size_t *n)
{
	const struct object_set *set = &s->sets[kind];
	size_t from = 0, to = set->n;
	if (ns) {
		char after[512];                                    /* sorts right behind NS */
		(void)snprintf(after, sizeof(after), "%s\x01", ns); /* longer: no such namespace */
		(void)object_set_find(set, ns, "",
				      &from); /* no name is empty: the place is wanted */
		(void)object_set_find(set, after, "", &to); /* as above */
	}
	*n = to - from;
	return *n ? &set->at[from] : NULL;
}

struct object *const *store_slices(const struct store *s, const char *ns, const char *service,
				   size_t *n)
{
	return slice_groups_find(&s->slices, ns, service, n);
}

size_t store_count(const struct store *s, enum kind kind)
{
	return s->sets[kind].n;
}

struct object_list store_list(const struct store *s, enum kind kind, const char *ns,
			      bool (*keep)(const void *ctx, const struct object *o),
			      const void *ctx)
{
	struct object_list l = {.at = mem_array(store_count(s, kind) + 1, sizeof(struct object *))};
	const struct object *o = NULL;
	while ((o = store_next(s, kind, ns, o)))
		if (!keep || keep(ctx, o))
			l.at[l.n++] = object_get(o);
	return l;
}

void object_list_free(struct object_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		object_put(l->at[i]);
	MEM_FREE(l->at);
	l->n = 0;
}

void store_watch(struct store *s, struct store_watch *w)
{
	TAILQ_INSERT_TAIL(&s->watches, w, link);
}

void store_unwatch(struct store *s, struct store_watch *w)
{
	if (s->next_watch == w)
		s->next_watch = TAILQ_NEXT(w, link);
	TAILQ_REMOVE(&s->watches, w, link);
}

bool store_replay(const struct store *s, uint64_t after,
		  void (*on_event)(void *ctx, const struct store_event *ev), void *ctx)
{
	if (after < s->log_after || after > s->version)
		return false;
	for (size_t i = s->log_n; i-- > 0;) {
		const struct logged *l = &s->log[(s->log_next + STORE_LOG - 1 - i) % STORE_LOG];
		if (l->version > after)
			on_event(ctx, &(struct store_event){
					      .type = l->type,
					      .resource_version = l->version,
					      .object = l->object,
				      });
	}
	return true;
}
