/*
 * A document as a tree: what the decoder reads, wherever it came from.
 *
 *   struct node *root;
 *   if (!node_from_json(arena, text, &root, &err)) ...          // what the API carries
 *   const struct node *port = node_at(root, "spec.ports[0].port");
 *   if (!node_write_json(root, &buf)) ...             // canonical: keys sorted, no spaces
 *
 * People's YAML becomes the same tree, with the place of each node (node_yaml.h). Everything lives
 * in the arena. A tree belongs to one thread. Texts hold no NUL, so that they may become C strings.
 *
 * Bounds: NODE_DEPTH levels, NODE_MAX nodes for one document; past them reading fails.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

enum { NODE_DEPTH = 48, NODE_MAX = 1000000 };

enum node_type { NODE_NULL, NODE_BOOL, NODE_INT, NODE_REAL, NODE_STRING, NODE_SEQ, NODE_MAP };

struct node {
	enum node_type type;
	bool plain; /* a string that stood unquoted in YAML: a boolean field takes `yes` from it */
	bool literal;          /* a YAML block text (`|`): its first line is the one after `line` */
	unsigned line, column; /* from 1; 0: not known */
	unsigned index;        /* its place in the parent */
	struct slice key;      /* its name in the map that holds it */
	struct slice text;     /* NODE_STRING; a NUL stands behind it */
	union {
		bool boolean;
		int64_t integer;
		double real;
	};
	unsigned n; /* children of NODE_SEQ and NODE_MAP, in the order written */
	struct node *first, *last, *next, *parent;
};

/* JSON text; a map that names a member twice is an error. False: the text says line and column. */
bool node_from_json(struct arena *a, struct slice json, struct node **out,
		    struct err *err) MUST_CHECK;

struct node *node_new(struct arena *a, enum node_type type);
struct node *node_string(struct arena *a, struct slice text); /* copies TEXT */
/* Appends CHILD to a map under KEY (not copied), or to a sequence (KEY empty). */
void node_add(struct node *parent, struct slice key, struct node *child);
/* Puts CHILD where the map's member KEY is, or behind the last one; NULL removes the member. */
void node_set(struct node *map, struct slice key, struct node *child);
struct node *node_copy(struct arena *a, const struct node *n); /* texts are shared */

struct node *node_get(const struct node *map, const char *key); /* NULL: none, or no map */
/* By a path as node_path() writes it; NULL: nothing there. */
const struct node *node_at(const struct node *root, const char *path);
/* "spec.ports[0].port", "metadata.annotations[hark.mesh/detection]"; "" for the root. MEMBER (may
 * be NULL) is added as one more step. */
const char *node_path(const struct node *n, const char *member, char *out, size_t out_len);
/* What stands there, for messages: `string "x"`, `integer 70000`, `a list`. */
const char *node_describe(const struct node *n, char *out, size_t out_len);
const char *node_type_name(enum node_type type); /* "a string" */

/* Canonical JSON: keys in byte order, members that are null left out. False: the buffer is full. */
bool node_write_json(const struct node *n, struct buf *out) MUST_CHECK;
bool node_equal(const struct node *a, const struct node *b); /* as canonical JSON compares */
