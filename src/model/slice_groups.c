#include "model/slice_groups.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name_set.h"
#include "model/object_set.h"

/* The endpoint slices of one Service. Never empty. */
struct slice_group {
	UT_hash_handle hh;
	struct object_set slices;
	char key[];
};

static struct slice_group *find(const struct slice_groups *g, const char *ns, const char *service,
				char key[NAME_KEY_MAX], size_t *len)
{
	struct slice_group *group = NULL;
	*len = name_key(ns, service, key);
	HASH_FIND(hh, g->all, key, *len, group);
	return group;
}

static void group_free(struct slice_group *group)
{
	object_set_fini(&group->slices);
	free(group);
}

static void take_out(struct slice_groups *g, const struct object *slice)
{
	char key[NAME_KEY_MAX];
	size_t len = 0, at = 0;
	struct slice_group *group =
		find(g, slice->meta.ns, slice->endpoint_slice->service, key, &len);
	if (!group || !object_set_find(&group->slices, slice->meta.ns, slice->meta.name, &at))
		return;
	object_set_remove(&group->slices, at);
	if (group->slices.n > 0)
		return;
	HASH_DELETE(hh, g->all, group);
	group_free(group);
}

static void put(struct slice_groups *g, const struct object *slice)
{
	char key[NAME_KEY_MAX];
	size_t len = 0;
	if (!slice->endpoint_slice->service[0])
		return; /* nobody's */
	struct slice_group *group =
		find(g, slice->meta.ns, slice->endpoint_slice->service, key, &len);
	if (!group) {
		group = mem_new(sizeof(*group) + len);
		memcpy(group->key, key, len);
		HASH_ADD_KEYPTR(hh, g->all, group->key, len, group);
	}
	object_set_put(&group->slices, slice);
}

void slice_groups_change(struct slice_groups *g, const struct object *old, const struct object *now)
{
	if (old &&
	    (!now || strcmp(old->endpoint_slice->service, now->endpoint_slice->service) != 0))
		take_out(g, old);
	if (now)
		put(g, now);
}

struct object *const *slice_groups_find(const struct slice_groups *g, const char *ns,
					const char *service, size_t *n)
{
	char key[NAME_KEY_MAX];
	size_t len = 0;
	const struct slice_group *group = find(g, ns, service, key, &len);
	*n = group ? group->slices.n : 0;
	return group ? group->slices.at : NULL;
}

void slice_groups_fini(struct slice_groups *g)
{
	TABLE_DRAIN(g->all, group_free);
}
