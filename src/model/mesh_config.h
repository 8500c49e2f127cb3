/*
 * The texts of the mesh configuration, with every problem told one by one. For manifest.c; others use
 * object.h.
 */
#pragma once
#include "model/object.h"

struct mesh_problem {
	const char *key; /* of the ConfigMap's data: "mesh" or "hark" */
	unsigned line;   /* in that text, from 1; 0: unknown */
	const char *path, *text;
};

/* False: at least one problem was told. DATA NULL: defaults. STRICT: a field of `mesh` that is not
 * known is a problem; else it is one of a newer Istio. In `hark` it always is a problem. */
bool mesh_config_read(const struct pairs *data, bool strict, struct arena *arena,
		      struct mesh_config *out,
		      void (*problem)(void *ctx, const struct mesh_problem *p), void *ctx);
