/*
 * Which endpoint slices a Service has, found without a search.
 *
 *   struct slice_groups g = {0};
 *   slice_groups_change(&g, NULL, slice);                      // came
 *   slice_groups_change(&g, slice, newer);                     // took its place
 *   struct object *const *all = slice_groups_find(&g, "shop", "db", &n);   // by name
 *   slice_groups_fini(&g);
 *
 * Zero is the empty one. It holds a reference to each slice in it. One thread.
 */
#pragma once
#include "model/object.h"

struct slice_group;
struct slice_groups {
	struct slice_group *all;
};

/* NOW has taken the place of OLD; either may be NULL, both of kind EndpointSlice. */
void slice_groups_change(struct slice_groups *g, const struct object *old,
			 const struct object *now);
/* N of them, by name; borrowed until the next change. NULL: none. */
struct object *const *slice_groups_find(const struct slice_groups *g, const char *ns,
					const char *service, size_t *n);
void slice_groups_fini(struct slice_groups *g);
