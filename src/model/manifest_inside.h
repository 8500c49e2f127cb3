/*
 * What a manifest keeps beside what it shows; for manifest.c and manifest_check.c.
 */
#pragma once
#include "model/manifest.h"
#include "model/object_set.h"
#include "model/tree.h"

struct manifest_inside {
	const struct tree **roots; /* of each object, for the lines of its fields */
	size_t size_roots;
	struct object_set sets[N_KINDS];
	bool image_noted;
	const char *file;        /* the one being read */
	const struct tree *root; /* the resource being read, or NULL */
};

/* TEXT is copied. */
void manifest_add(struct manifest *m, enum severity severity, const char *file, unsigned line,
		  const char *path, const char *text);
