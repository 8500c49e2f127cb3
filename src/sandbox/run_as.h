/*
 * How a container's processes run: user, groups, capabilities, folder, environment. Saved when the
 * container starts, so that a later `hark exec` or probe runs its command alike.
 *
 *   struct run_as as;
 *   if (!run_as_of_spec(&as, spec, &err)) ...       // node: numbers and environment settled
 *   if (!run_as_save(&as, path, &err)) ...
 *   if (!run_as_load(&as, path, &err)) ...          // whoever enters the container
 *   run_as_exec(&as, argv, &err);                   // returns only when it failed
 *   run_as_fini(&as);
 *
 * Private to src/sandbox.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "sandbox/container.h"

enum { RUN_AS_GROUPS = 64 };

struct run_as {
	pid_t pid; /* of the container's init, as the node counts; 0: not known yet */
	uid_t user;
	gid_t group;
	gid_t groups[RUN_AS_GROUPS]; /* supplementary, from /etc/group */
	size_t n_groups;
	uint64_t caps; /* bounding set */
	bool no_new_privs, raise_nofile;
	char *cwd;
	char **env; /* "NAME=value", NULL-terminated */
	size_t n_env;
};

bool run_as_of_spec(struct run_as *as, const struct container_spec *spec,
		    struct err *err) MUST_CHECK;
void run_as_fini(struct run_as *as);
bool run_as_save(const struct run_as *as, const char *path, struct err *err) MUST_CHECK;
bool run_as_load(struct run_as *as, const char *path, struct err *err) MUST_CHECK;
/* In a child that is in the container's namespaces already. Signals are as in a new program. */
void run_as_exec(const struct run_as *as, char *const argv[], struct err *err);
