/*
 * What a person wrote: YAML or JSON text with one or several documents -> objects, with an error
 * for each thing that is wrong.
 *
 *   struct manifest m;
 *   manifest_init(&m);
 *   manifest_read(&m, "shop.yaml", text);            // any number of files
 *   manifest_check(&m, store);                       // what must hold between resources, those in
 * STORE included; STORE may be NULL if (m.n_problems) ...                            //
 * "shop.yaml:12: spec.ports[0].port: expected 1..65535, got 70000" manifest_fini(&m);
 *
 * Reading goes on after an error, so that a person sees all of them at once (at most 100 are kept).
 * A namespaced document without metadata.namespace is put into "default". `kind: List` is opened.
 */
#pragma once
#include "base/buf.h"
#include "model/object.h"

struct store;

enum severity { PROBLEM_ERROR, PROBLEM_NOTE };

struct problem {
	enum severity severity;
	const char *file;
	unsigned line;    /* from 1; 0: the whole file */
	const char *path; /* "spec.containers[0].command", or "" */
	const char *text; /* what was expected, and what stands there */
};

struct manifest {
	struct arena *arena;
	struct object **objects; /* in the order of the files; one reference each */
	size_t n_objects, size_objects;
	struct problem *problems; /* errors and notes in the order found */
	size_t n_problems, size_problems;
	size_t n_errors; /* of severity PROBLEM_ERROR; also those past the 100 kept */
};

void manifest_init(struct manifest *m);
void manifest_fini(struct manifest *m);
void manifest_read(struct manifest *m, const char *file, struct slice text);
void manifest_check(struct manifest *m, const struct store *store);
/* One line per problem: FILE:LINE: PATH: TEXT. */
bool manifest_print(const struct manifest *m, struct buf *out) MUST_CHECK;
