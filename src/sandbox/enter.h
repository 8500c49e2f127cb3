/*
 * Into a running container: its namespaces and the way its processes run. Private to src/sandbox.
 *
 *   struct enter e;
 *   if (!enter_open(&e, "/proc", node->dir, id, &err)) ...     // nothing has changed yet
 *   if (!enter_pids(&e, &err)) ...                             // children will be in its PID namespace
 *   ... in a child: if (enter_rest(&e, &err)) run_as_exec(&e.as, argv, &err);
 *   enter_close(&e);
 */
#pragma once
#include "sandbox/run_as.h"

enum { ENTER_PID, ENTER_NET, ENTER_UTS, ENTER_IPC, ENTER_MNT, ENTER_N };

struct enter {
	struct run_as as;
	int ns[ENTER_N];
};

/* PROC: a proc file system that counts processes as the node does. DIR: the node's tmpfs, as seen from
 * here. ERR_NOT_FOUND: no such container runs. */
bool enter_open(struct enter *e, const char *proc, const char *dir, const char *id,
		struct err *err) MUST_CHECK;
void enter_close(struct enter *e);
bool enter_pids(const struct enter *e, struct err *err) MUST_CHECK;
bool enter_rest(const struct enter *e, struct err *err) MUST_CHECK;
