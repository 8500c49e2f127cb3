/*
 * Commands in a running container.
 *
 *   // on the host, `hark exec`:
 *   int status = exec_foreground(&node, "shop.db-0.mariadb", argv, &err);   // -1: could not start
 *
 *   // inside the node, probes:
 *   struct exec *e = exec_start(node, id, argv, timeout_ns, on_done, ctx, &err);
 *
 * The command gets the container's namespaces, user, capabilities, environment and working
 * directory.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "sandbox/node.h"

/*
 * Runs ARGV (NULL-terminated) in container ID of the mesh with our standard input, output, error
 * and terminal; returns its exit status (128 + N: signal N). -1: it could not be started:
 * ERR_NOT_FOUND when there is no such container, else why.
 */
int exec_foreground(const struct node_handle *node, const char *id, const char *const argv[],
		    struct err *err) MUST_CHECK;
/* The host's view of a Pod's network namespace, by one of its containers. -1: failed. For
 * netns_socket(). */
int exec_netns(const struct node_handle *node, const char *id, struct err *err);

struct exec;
/* CODE as exec_foreground; -1 with ERR: it did not start, or ran longer than allowed (killed). */
typedef void exec_done_fn(void *ctx, int code, const struct err *err);
/* Output is thrown away. Frees itself after DONE. NULL: failed at once. */
struct exec *exec_start(struct node *node, const char *id, const char *const argv[],
			uint64_t timeout_ns, exec_done_fn *done, void *ctx,
			struct err *err) MUST_CHECK;
void exec_cancel(struct exec *e); /* kills it; DONE does not come */
