#include "control/merge_patch.h"

struct tree *merge_patch(struct arena *arena, struct tree *target, const struct tree *patch)
{
	if (patch->type != TREE_MAP)
		return tree_copy(arena, patch);
	if (!target || target->type != TREE_MAP)
		target = tree_new(arena, TREE_MAP);
	for (const struct tree *p = patch->first; p; p = p->next) {
		struct tree *old = tree_get(target, p->key.at);
		/* Null removes; also inside what is new, where there is nothing to remove. */
		tree_set(target, p->key, p->type == TREE_NULL ? NULL : merge_patch(arena, old, p));
	}
	return target;
}
