/*
 * What a person wrote: YAML or JSON text with one or several documents -> objects, with an error
 * for each thing that is wrong.
 *
 *   struct manifest m;
 *   manifest_init(&m);
 *   manifest_read(&m, "shop.yaml", text);            // any number of files
 *   manifest_check(&m, store);   // what must hold between resources, those in STORE (or NULL) included
 *   if (m.n_errors) manifest_print(&m, &out);
 *   // "shop.yaml:12: spec.ports[0].port: expected an integer 1..65535, got integer 70000"
 *   manifest_fini(&m);
 *
 * Reading goes on after an error, so that a person sees all of them at once (at most 100 are kept).
 * A namespaced document without metadata.namespace is put into "default". `kind: List` is opened.
 * A `status` is left out: what people write says what shall be, not what is. (Of a ServiceEntry's the
 * addresses stay: entry_vips_admit().) One thread.
 *
 * Who only looks at files, and applies nothing, sets m.survey before reading: then what is wrong is told
 * as ever, but an object is kept all the same where a newer server's would be, and kinds that nobody
 * here knows are listed instead of being problems.
 */
#pragma once
#include "base/buf.h"
#include "model/object.h"

struct store;
struct manifest_inside;

enum severity { PROBLEM_ERROR, PROBLEM_NOTE };

struct problem {
	enum severity severity;
	const char *file;
	unsigned line;                /* from 1; 0: the whole file */
	const char *path;             /* "spec.containers[0].command", or "" */
	const char *text;             /* what was expected, and what stands there */
	const char *kind, *ns, *name; /* of the resource, as far as they could be read, or "" */
};

/* A resource of a kind that is not known here; survey only. */
struct stranger {
	const char *api_version, *kind, *ns, *name;
	const char *file;
	unsigned line;
};

struct manifest {
	struct arena *arena;
	struct object **objects; /* in the order of the files; one reference each */
	size_t n_objects, size_objects;
	struct problem *problems; /* errors and notes in the order found */
	size_t n_problems, size_problems;
	size_t n_errors; /* of severity PROBLEM_ERROR; also those past the 100 kept */
	bool survey;
	struct stranger *strangers;
	size_t n_strangers, size_strangers;
	struct manifest_inside *inside;
};

void manifest_init(struct manifest *m);
void manifest_fini(struct manifest *m);
void manifest_read(struct manifest *m, const char *file, struct slice text);
void manifest_check(struct manifest *m, const struct store *store);
/* The object of that name that was read; NULL: none. Borrowed. */
const struct object *manifest_get(const struct manifest *m, enum kind kind, const char *ns,
				  const char *name);
/* The line of PATH in O ("spec.ports[0].name"), or of the nearest place above it that is there; O's own
 * line when it was not read here. */
unsigned manifest_line(const struct manifest *m, const struct object *o, const char *path);
/* Adds a problem that others found, at PATH of O ("spec.containers[0].command"): file and line are
 * looked up, the nearest place that is there counts. */
void manifest_problem(struct manifest *m, enum severity severity, const struct object *o,
		      const char *path, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* One line per problem: FILE:LINE: PATH: TEXT. A note has "note: " before its text. */
bool manifest_print(const struct manifest *m, struct buf *out) MUST_CHECK;
