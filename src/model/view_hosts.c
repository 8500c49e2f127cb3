/* Which ServiceEntries have which host, and what names resolve to. */
#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name_set.h"
#include "model/object_set.h"
#include "model/view_inside.h"

/* The ServiceEntries that have one host. Never empty. */
struct host_group {
	UT_hash_handle hh;
	struct object_set entries;
	char key[];
};

/* HOST needs NAME. A host that needs its own name, as most do, says nothing: it is found by that. */
struct use {
	UT_hash_handle hh;
	LIST_ENTRY(use) of_name;
	struct resolved *name;
	const char *host; /* in `key` */
	char key[];       /* use_key() of both */
};

/* A name that is known, or that some host needs; else there is none. */
struct resolved {
	UT_hash_handle hh;
	LIST_HEAD(, use) uses;
	struct ip *ips;
	size_t n;
	bool known;
	char key[];
};

static void group_free(struct host_group *g)
{
	object_set_fini(&g->entries);
	free(g);
}

static void resolved_free(struct resolved *r)
{
	free(r->ips);
	free(r);
}

void hosts_fini(struct hosts *h)
{
	TABLE_DRAIN(h->groups, group_free);
	TABLE_DRAIN(h->uses, free);
	TABLE_DRAIN(h->resolved, resolved_free);
	name_set_clear(&h->dirty);
}

static struct host_group *group_of(const struct hosts *h, const char *host)
{
	struct host_group *g = NULL;
	HASH_FIND_STR(h->groups, host, g);
	return g;
}

struct object *const *hosts_entries(const struct hosts *h, const char *host, size_t *n)
{
	const struct host_group *g = group_of(h, host);
	*n = g ? g->entries.n : 0;
	return g ? g->entries.at : NULL;
}

static void take_out(struct hosts *h, const struct object *entry, const char *host)
{
	struct host_group *g = group_of(h, host);
	size_t at = 0;
	if (!g || !object_set_find(&g->entries, entry->meta.ns, entry->meta.name, &at))
		return;
	object_set_remove(&g->entries, at);
	if (g->entries.n > 0)
		return;
	HASH_DELETE(hh, h->groups, g);
	group_free(g);
}

static void put(struct hosts *h, const struct object *entry, const char *host)
{
	struct host_group *g = group_of(h, host);
	if (!g) {
		size_t len = strlen(host);
		g = mem_new(sizeof(*g) + len + 1);
		memcpy(g->key, host, len + 1);
		HASH_ADD_KEYPTR(hh, h->groups, g->key, len, g);
	}
	object_set_put(&g->entries, entry);
}

/* HOST is to be made anew. */
static void make_anew(struct hosts *h, const char *host)
{
	if (!h->all)
		name_set_add(&h->dirty, "", host);
}

static void note_entry(struct hosts *h, const struct object *old, const struct object *now)
{
	for (const char *const *host = old ? old->service_entry->hosts : NULL; host && *host;
	     host++) {
		take_out(h, old, *host);
		name_set_add(&h->dirty, "", *host); /* it may be gone */
	}
	for (const char *const *host = now ? now->service_entry->hosts : NULL; host && *host;
	     host++) {
		put(h, now, *host);
		make_anew(h, *host);
	}
	h->n_selecting -= old && old->service_entry->has_selector;
	h->n_selecting += now && now->service_entry->has_selector;
}

static bool selects(const struct service_entry *s, const struct object *o)
{
	return pairs_match(&s->selector, &o->meta.labels) ||
	       (o->kind == KIND_WORKLOAD_ENTRY &&
		pairs_match(&s->selector, &o->workload_entry->labels));
}

/* The entries whose endpoint O may be. Labels of a WorkloadEntry's spec and metadata count together:
 * whoever is named by some of each is looked for among all. */
static void note_workload(struct hosts *h, const struct object *o)
{
	size_t at = 0;
	if (!o || h->n_selecting == 0)
		return;
	bool both =
		o->kind == KIND_WORKLOAD_ENTRY && o->meta.labels.n && o->workload_entry->labels.n;
	(void)object_set_find(h->entries, o->meta.ns, "", &at); /* where the namespace begins */
	for (; at < h->entries->n; at++) {
		const struct object *entry = h->entries->at[at];
		const struct service_entry *s = entry->service_entry;
		if (strcmp(entry->meta.ns, o->meta.ns) != 0)
			return;
		for (const char *const *host = s->hosts;
		     s->has_selector && *host && (both || selects(s, o)); host++)
			make_anew(h, *host);
	}
}

void hosts_note(struct hosts *h, const struct object *old, const struct object *now)
{
	const struct object *o = now ? now : old;
	if (o->kind == KIND_SERVICE_ENTRY) {
		note_entry(h, old, now);
		return;
	}
	if (o->kind != KIND_POD && o->kind != KIND_WORKLOAD_ENTRY)
		return;
	note_workload(h, old);
	note_workload(h, now);
}

void hosts_note_service(struct hosts *h, const char *ns, const char *name)
{
	char host[512];
	const struct slice parts[] = {slice_of(name), SLICE("."), slice_of(ns),
				      SLICE(".svc.cluster.local")};
	if (!h->groups)
		return;
	(void)slice_join(host, sizeof(host), parts,
			 N_ELEMS(parts)); /* names are bounded: it fits */
	if (group_of(h, host))
		make_anew(h, host);
}

const struct host_group *hosts_next(const struct hosts *h, const struct host_group *g,
				    const char **host)
{
	const struct host_group *next = g ? g->hh.next : h->groups;
	*host = next ? next->key : NULL;
	return next;
}

/* Names. */

static struct resolved *find_resolved(const struct hosts *h, const char *name)
{
	struct resolved *r = NULL;
	HASH_FIND_STR(h->resolved, name, r);
	return r;
}

static struct resolved *resolved_of(struct hosts *h, const char *name)
{
	struct resolved *r = find_resolved(h, name);
	if (r)
		return r;
	size_t len = strlen(name);
	r = mem_new(sizeof(*r) + len + 1);
	memcpy(r->key, name, len + 1);
	HASH_ADD_KEYPTR(hh, h->resolved, r->key, len, r);
	return r;
}

/* Ends R when nobody needs it and nothing is known of it. */
static void tidy(struct hosts *h, struct resolved *r)
{
	if (r->known || !LIST_EMPTY(&r->uses))
		return;
	HASH_DELETE(hh, h->resolved, r);
	resolved_free(r);
}

/* Who was made with it is made anew. */
static void changed(struct hosts *h, const struct resolved *r)
{
	const struct use *u;
	if (group_of(h, r->key))
		name_set_add(&h->dirty, "", r->key);
	LIST_FOREACH(u, &r->uses, of_name)
	name_set_add(&h->dirty, "", u->host);
}

void hosts_set_addresses(struct hosts *h, const char *name, const struct ip *ips, size_t n)
{
	struct resolved *r = resolved_of(h, name);
	free(r->ips);
	r->ips = mem_array(n + 1, sizeof(*r->ips));
	for (size_t i = 0; i < n; i++)
		r->ips[i] = ips[i];
	r->n = n;
	r->known = true;
	changed(h, r);
}

void hosts_forget_addresses(struct hosts *h, const char *name)
{
	struct resolved *r = find_resolved(h, name);
	if (!r)
		return;
	changed(h, r);
	MEM_FREE(r->ips);
	r->n = 0;
	r->known = false;
	tidy(h, r);
}

enum { USE_KEY_MAX = 1024 };

/* "NAME\0HOST\0": names have 253 bytes at most. */
static size_t use_key(const char *name, const char *host, char key[USE_KEY_MAX])
{
	size_t name_len = strlen(name) + 1, host_len = strlen(host) + 1;
	MUST(name_len + host_len <= USE_KEY_MAX);
	memcpy(key, name, name_len);
	memcpy(&key[name_len], host, host_len);
	return name_len + host_len;
}

static struct use *find_use(const struct hosts *h, const char *key, size_t len)
{
	struct use *u = NULL;
	HASH_FIND(hh, h->uses, key, len, u);
	return u;
}

static void add_use(struct hosts *h, struct resolved *r, const char *host)
{
	char key[USE_KEY_MAX];
	size_t len = use_key(r->key, host, key);
	if (find_use(h, key, len))
		return;
	struct use *u = mem_new(sizeof(*u) + len);
	memcpy(u->key, key, len);
	u->name = r;
	u->host = &u->key[strlen(u->key) + 1];
	HASH_ADD_KEYPTR(hh, h->uses, u->key, len, u);
	LIST_INSERT_HEAD(&r->uses, u, of_name);
}

void hosts_drop_use(struct hosts *h, const char *name, const char *host)
{
	char key[USE_KEY_MAX];
	struct use *u = find_use(h, key, use_key(name, host, key));
	if (!u)
		return;
	LIST_REMOVE(u, of_name);
	HASH_DELETE(hh, h->uses, u);
	tidy(h, u->name);
	free(u);
}

bool hosts_resolve(struct hosts *h, const char *name, const char *host, const struct ip **ips,
		   size_t *n)
{
	bool own = strcmp(name, host) == 0;
	struct resolved *r = own ? find_resolved(h, name) : resolved_of(h, name);
	if (!own)
		add_use(h, r, host);
	*ips = r ? r->ips : NULL;
	*n = r ? r->n : 0;
	return r && r->known;
}

size_t hosts_n_names(const struct hosts *h)
{
	return HASH_COUNT(h->resolved);
}
