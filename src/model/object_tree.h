/*
 * A tree -> an object, with every problem told one by one. For this room; others use object.h and
 * manifest.h.
 */
#pragma once
#include "model/decode.h"
#include "model/object.h"

struct object_source {
	struct object_options options;
	const char *file; /* of origin; NULL: none */
	unsigned line;
	void (*problem)(void *ctx, const struct tree *at, const char *member, const char *text);
	void *ctx;
};

/* ROOT is completed with apiVersion, kind and namespace; new nodes come from A, which the object
 * does not need afterwards. NULL: at least one problem was told. */
struct object *object_from_tree(enum kind kind, struct tree *root, struct arena *a,
				const struct object_source *source);
