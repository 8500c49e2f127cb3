#include <stdlib.h>

#include "base/mem.h"
#include "model/view_inside.h"

void *part_new(size_t size, size_t bytes, size_t n_held)
{
	/* Of what is large there is no slack to speak of; and how large it may become is only guessed. */
	enum { ALIGNED = 16, FIRST_MAX = 1024 * 1024 };
	size_t first = size + bytes + n_held * sizeof(struct object *) + 2 * (size_t)ALIGNED;
	struct arena *a = arena_new_sized(first < FIRST_MAX ? first : FIRST_MAX);
	struct part *p = arena_alloc(a, size);
	atomic_init(&p->refs, 1);
	p->arena = a;
	p->size_held = n_held;
	p->held = arena_array(a, n_held, sizeof(struct object *));
	return p;
}

void part_hold(struct part *p, const struct object *o)
{
	MUST(p->n_held < p->size_held);
	p->held[p->n_held++] = object_get(o);
}

struct part *part_get(struct part *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void part_put(struct part *p)
{
	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (p->end)
		p->end(p);
	for (size_t i = 0; i < p->n_held; i++)
		object_put(p->held[i]);
	arena_free(p->arena); /* P lives in it */
}
