/* Which ServiceEntries have which host, and what names resolve to. */
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

struct resolved {
	UT_hash_handle hh;
	struct name_set users; /* hosts that were made with it, under the namespace "" */
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
	name_set_clear(&r->users);
	free(r->ips);
	free(r);
}

void hosts_fini(struct hosts *h)
{
	TABLE_DRAIN(h->groups, group_free);
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

static void note_entry(struct hosts *h, const struct object *old, const struct object *now)
{
	for (const char *const *host = old ? old->service_entry->hosts : NULL; host && *host;
	     host++) {
		take_out(h, old, *host);
		name_set_add(&h->dirty, "", *host);
	}
	for (const char *const *host = now ? now->service_entry->hosts : NULL; host && *host;
	     host++) {
		put(h, now, *host);
		name_set_add(&h->dirty, "", *host);
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
			name_set_add(&h->dirty, "", *host);
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

void hosts_all(struct hosts *h)
{
	const struct host_group *g, *next;
	HASH_ITER (hh, h->groups, g, next)
		name_set_add(&h->dirty, "", g->key);
}

/* Names. */

static struct resolved *resolved_of(struct hosts *h, const char *name)
{
	struct resolved *r = NULL;
	HASH_FIND_STR(h->resolved, name, r);
	if (r)
		return r;
	size_t len = strlen(name);
	r = mem_new(sizeof(*r) + len + 1);
	memcpy(r->key, name, len + 1);
	HASH_ADD_KEYPTR(hh, h->resolved, r->key, len, r);
	return r;
}

/* Who was made with it is made anew, and then says again that it is a user. */
static void changed(struct hosts *h, struct resolved *r)
{
	struct name_set users = name_set_take(&r->users);
	for (const struct name *n = name_set_first(&users); n; n = name_set_next(n))
		name_set_add(&h->dirty, "", n->name);
	name_set_clear(&users);
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
	struct resolved *r = NULL;
	HASH_FIND_STR(h->resolved, name, r);
	if (!r)
		return;
	changed(h, r);
	HASH_DELETE(hh, h->resolved, r);
	resolved_free(r);
}

bool hosts_resolve(struct hosts *h, const char *name, const char *host, const struct ip **ips,
		   size_t *n)
{
	struct resolved *r = resolved_of(h, name);
	name_set_add(&r->users, "", host);
	*ips = r->ips;
	*n = r->n;
	return r->known;
}
