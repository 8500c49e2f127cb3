/*
 * A set of resource names: what a controller has to look at again.
 *
 *   struct name_set dirty = {0};
 *   name_set_add(&dirty, svc->meta.ns, svc->meta.name);
 *   struct name_set now = name_set_take(&dirty);      // what becomes dirty meanwhile is for later
 *   for (const struct name *n = name_set_first(&now); n; n = name_set_next(n))
 *           look_at(n->ns, n->name);
 *   name_set_clear(&now);
 *
 * In the order of adding, each name once. Zero is the empty set. One thread.
 */
#pragma once
#include "base/table.h"

struct name {
	UT_hash_handle hh;
	const char *ns, *name; /* both in `key` */
	char key[];
};

struct name_set {
	struct name *all;
};

enum { NAME_KEY_MAX = 512 }; /* a namespace and a name, 63 + 1 + 253 */
/* Both as one key into OUT; its length. What is longer than names are is cut. */
size_t name_key(const char *ns, const char *name, char out[NAME_KEY_MAX]);

void name_set_add(struct name_set *s, const char *ns, const char *name); /* there already: fine */
const struct name *name_set_find(const struct name_set *s, const char *ns, const char *name);
const struct name *name_set_first(const struct name_set *s); /* NULL: empty */
const struct name *name_set_next(const struct name *n);      /* NULL: that was the last one */
struct name_set name_set_take(struct name_set *s);           /* leaves S empty */
void name_set_clear(struct name_set *s);
