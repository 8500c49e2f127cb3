#include "model/object_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void object_set_fini(struct object_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		object_put(s->at[i]);
	free(s->at);
	*s = (struct object_set){0};
}

static int compare(const struct object *o, const char *ns, const char *name)
{
	int cmp = strcmp(o->meta.ns, ns);
	return cmp ? cmp : strcmp(o->meta.name, name);
}

bool object_set_find(const struct object_set *s, const char *ns, const char *name, size_t *at)
{
	size_t from = 0, to = s->n;
	/* A list from an API server comes in order: what is new goes to the end. */
	if (s->n && compare(s->at[s->n - 1], ns, name) < 0)
		from = s->n;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int cmp = compare(s->at[middle], ns, name);
		if (cmp == 0) {
			*at = middle;
			return true;
		}
		if (cmp < 0)
			from = middle + 1;
		else
			to = middle;
	}
	*at = from;
	return false;
}

void object_set_put(struct object_set *s, const struct object *o)
{
	size_t at = 0;
	struct object *mine = object_get(o);
	if (object_set_find(s, o->meta.ns, o->meta.name, &at)) {
		object_put(s->at[at]);
		s->at[at] = mine;
		return;
	}
	if (s->n == s->size) {
		s->size = s->size ? s->size * 2 : 3; /* many have but one: malloc's least block */
		s->at = mem_grow(s->at, s->size, sizeof(struct object *));
	}
	memmove(s->at + at + 1, s->at + at, (s->n - at) * sizeof(struct object *));
	s->at[at] = mine;
	s->n++;
}

void object_set_remove(struct object_set *s, size_t at)
{
	MUST(at < s->n);
	object_put(s->at[at]);
	s->n--;
	memmove(s->at + at, s->at + at + 1, (s->n - at) * sizeof(struct object *));
}
