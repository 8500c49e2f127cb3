#include "control/merge_patch.h"

struct node *merge_patch(struct arena *arena, struct node *target, const struct node *patch)
{
	if (patch->type != NODE_MAP)
		return node_copy(arena, patch);
	if (!target || target->type != NODE_MAP)
		target = node_new(arena, NODE_MAP);
	for (const struct node *p = patch->first; p; p = p->next) {
		struct node *old = node_get(target, p->key.at);
		/* Null removes; also inside what is new, where there is nothing to remove. */
		node_set(target, p->key, p->type == NODE_NULL ? NULL : merge_patch(arena, old, p));
	}
	return target;
}
