/*
 * Changing what runs by the text of files, all of it or nothing.
 *
 *   struct apply_file files[] = {{"shop.yaml", text}};
 *   struct json_out j;                                    // the report, see below
 *   bool ok = apply_files(store, node, files, 1, &j);
 *   bool ok = delete_files(store, files, 1, false, &j);
 *
 * The report is an object: `messages` (a line per problem: FILE:LINE: PATH: TEXT), and `objects`
 * with kind, namespace, name and what was done: created, configured, unchanged, deleted. When there
 * is an error nothing was changed, and false is returned.
 */
#pragma once
#include "base/json_out.h"
#include "model/store.h"
#include "sandbox/node.h"

struct apply_file {
	const char *name;
	struct slice text;
};

bool apply_files(struct store *store, const struct node *node, const struct apply_file *files,
		 size_t n, struct json_out *report) MUST_CHECK;
/* IGNORE_MISSING: what is not there is no error. */
bool delete_files(struct store *store, const struct apply_file *files, size_t n,
		  bool ignore_missing, struct json_out *report) MUST_CHECK;
/* Only looks; appends notes and errors as lines. False: there are errors. For `hark up`, before
 * there is a node. */
bool apply_check(const struct apply_file *files, size_t n, struct buf *messages) MUST_CHECK;
/* Takes O out of the mesh: a Pod in its own time, a Namespace with all that is in it. */
void apply_delete(struct store *store, const struct object *o);
