/*
 * A document as a tree: what the decoder reads, wherever it came from.
 *
 *   struct tree *root;
 *   if (!tree_from_json(arena, text, &root, &err)) ...          // what the API carries
 *   const struct tree *port = tree_at(root, "spec.ports[0].port");
 *   if (!tree_write_json(root, &buf)) ...             // canonical: keys sorted, no spaces
 *
 * People's YAML becomes the same tree, with the place of each node (tree_yaml.h). Everything lives
 * in the arena. A tree belongs to one thread. Texts hold no NUL, so that they may become C strings.
 *
 * Bounds: TREE_DEPTH levels, TREE_MAX nodes for one document; past them reading fails.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

enum { TREE_DEPTH = 48, TREE_MAX = 1000000 };

enum tree_type { TREE_NULL, TREE_BOOL, TREE_INT, TREE_REAL, TREE_STRING, TREE_SEQ, TREE_MAP };

struct tree {
	enum tree_type type;
	bool plain; /* a string that stood unquoted in YAML: a boolean field takes `yes` from it */
	bool literal;          /* a YAML block text (`|`): its first line is the one after `line` */
	unsigned line, column; /* from 1; 0: not known */
	unsigned index;        /* its place in the parent */
	struct slice key;      /* its name in the map that holds it */
	struct slice text;     /* TREE_STRING; a NUL stands behind it */
	union {
		bool boolean;
		int64_t integer;
		double real;
	};
	unsigned n; /* children of TREE_SEQ and TREE_MAP, in the order written */
	struct tree *first, *last, *next, *parent;
};

/* JSON text; a map that names a member twice is an error. False: the text says line and column. */
bool tree_from_json(struct arena *a, struct slice json, struct tree **out,
		    struct err *err) MUST_CHECK;

struct tree *tree_new(struct arena *a, enum tree_type type);
struct tree *tree_string(struct arena *a, struct slice text); /* copies TEXT */
/* Appends CHILD to a map under KEY (not copied), or to a sequence (KEY empty). */
void tree_add(struct tree *parent, struct slice key, struct tree *child);
/* Puts CHILD where the map's member KEY is, or behind the last one; NULL removes the member. */
void tree_set(struct tree *map, struct slice key, struct tree *child);
struct tree *tree_copy(struct arena *a, const struct tree *n); /* texts are shared */

struct tree *tree_get(const struct tree *map, const char *key); /* NULL: none, or no map */
/* By a path as tree_path() writes it; NULL: nothing there. */
const struct tree *tree_at(const struct tree *root, const char *path);
/* "spec.ports[0].port", "metadata.annotations[hark.mesh/detection]"; "" for the root. MEMBER (may
 * be NULL) is added as one more step. */
const char *tree_path(const struct tree *n, const char *member, char *out, size_t out_len);
/* What stands there, for messages: `string "x"`, `integer 70000`, `a list`. */
const char *tree_describe(const struct tree *n, char *out, size_t out_len);
const char *tree_type_name(enum tree_type type); /* "a string" */

/* Canonical JSON: keys in byte order, members that are null left out. False: the buffer is full. */
bool tree_write_json(const struct tree *n, struct buf *out) MUST_CHECK;
bool tree_equal(const struct tree *a, const struct tree *b); /* as canonical JSON compares */
