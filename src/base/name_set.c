#include "base/name_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* "NS\0NAME\0": no name has a NUL in it. */
size_t name_key(const char *ns, const char *name, char out[NAME_KEY_MAX])
{
	size_t ns_len = strnlen(ns, NAME_KEY_MAX / 4), room = NAME_KEY_MAX - 2 - ns_len;
	size_t name_len = strnlen(name, room);
	memcpy(out, ns, ns_len);
	out[ns_len] = '\0';
	memcpy(&out[ns_len + 1], name, name_len);
	out[ns_len + 1 + name_len] = '\0';
	return ns_len + name_len + 2;
}

const struct name *name_set_find(const struct name_set *s, const char *ns, const char *name)
{
	char key[NAME_KEY_MAX];
	size_t len = name_key(ns, name, key);
	struct name *n = NULL;
	HASH_FIND(hh, s->all, key, len, n);
	return n;
}

void name_set_add(struct name_set *s, const char *ns, const char *name)
{
	char key[NAME_KEY_MAX];
	size_t len = name_key(ns, name, key);
	struct name *n = NULL;
	unsigned hash = 0;
	HASH_VALUE(key, len, hash);
	HASH_FIND_BYHASHVALUE(hh, s->all, key, len, hash, n);
	if (n)
		return;
	n = mem_new(sizeof(*n) + len);
	memcpy(n->key, key, len);
	n->ns = n->key;
	n->name = &n->key[strlen(n->key) + 1];
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, s->all, n->key, len, hash, n);
}

const struct name *name_set_first(const struct name_set *s)
{
	return s->all;
}

const struct name *name_set_next(const struct name *n)
{
	return n->hh.next;
}

struct name_set name_set_take(struct name_set *s)
{
	struct name_set taken = *s;
	s->all = NULL;
	return taken;
}

void name_set_clear(struct name_set *s)
{
	TABLE_DRAIN(s->all, free);
}
