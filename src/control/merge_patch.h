/*
 * JSON merge patch, RFC 7386.
 *
 *   struct tree *n = merge_patch(arena, target, patch);   // target as changed by patch
 */
#pragma once
#include "model/tree.h"

/* TARGET (NULL: nothing is there) is changed and may be part of the result, so may PATCH. */
struct tree *merge_patch(struct arena *arena, struct tree *target, const struct tree *patch);
