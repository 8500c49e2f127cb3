/*
 * A function run in another network namespace, by a child process, its error brought back.
 *
 *   bool ok = in_netns(netns_fd, apply, &cfg, &err);     // apply(&cfg, err) in the child
 *
 * Blocking. For what keeps state of a namespace in its process, as libnftables does. CAP_SYS_ADMIN.
 */
#pragma once
#include "base/err.h"

typedef bool in_netns_fn(void *arg, struct err *err);
bool in_netns(int netns_fd, in_netns_fn *run, void *arg, struct err *err) MUST_CHECK;
