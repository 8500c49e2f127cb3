/*
 * Does the command of every container exist? A container sees the host's files, so a misspelt command
 * can be told with its place in the manifest, before anything runs.
 *
 *   command_check(object, report, ctx);       // report(ctx, container, path, text) for each problem
 *
 * What only shows at run time is let through: commands on a volume, with $(VARIABLES), below a
 * working directory.
 */
#pragma once
#include "model/object.h"

/* PATH: "spec.containers[0].command[0]"; both texts are borrowed for the call. */
typedef void command_problem_fn(void *ctx, const struct container *c, const char *path,
				const char *text);
/* O: a Pod or a Deployment; others have no command. */
void command_check(const struct object *o, command_problem_fn *report, void *ctx);
