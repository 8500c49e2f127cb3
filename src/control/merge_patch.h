/*
 * JSON merge patch, RFC 7386.
 *
 *   struct node *n = merge_patch(arena, target, patch);   // target as changed by patch
 */
#pragma once
#include "model/node.h"

/* TARGET (NULL: nothing is there) is changed and may be part of the result, so may PATCH. */
struct node *merge_patch(struct arena *arena, struct node *target, const struct node *patch);
