/*
 * Objects of one kind, sorted by namespace and name: eight bytes each, a binary search to find one.
 *
 *   size_t at;
 *   if (object_set_find(&set, "shop", "db", &at)) use(set.at[at]);
 *
 * The set owns one reference to each object in it. One thread.
 */
#pragma once
#include "model/object.h"

struct object_set {
	struct object **at;
	size_t n, size;
};

void object_set_fini(struct object_set *s);
/* *AT: where it is, or where it would be put. */
bool object_set_find(const struct object_set *s, const char *ns, const char *name, size_t *at);
/* Takes a reference of its own; the object of that name that was there goes. */
void object_set_put(struct object_set *s, const struct object *o);
void object_set_remove(struct object_set *s, size_t at);
