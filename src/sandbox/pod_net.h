/*
 * A Pod's namespaces: network, UTS and IPC, kept by a process that does nothing, with `eth0` (one
 * address per family, everything via the node) and, when asked for, the capture rules.
 *
 *   struct pod_net_config cfg = {.name = "shop/db-0", .hostname = "db-0", .v4 = ip};
 *   struct pod_net *net = pod_net_start(node, &cfg, on_ready, pod, &err);
 *   ... on_ready(pod, NULL): containers may start; on_ready(pod, &why): it failed, free it
 *   pod_net_free(net);                          // the namespaces go, with all that is in them
 *
 * Belongs to the node's loop. Containers should have ended before pod_net_free: they would live on
 * without a way out.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"
#include "capture/capture.h"
#include "net/addr.h"
#include "sandbox/node.h"

struct pod_net_config {
	const char *name;                     /* for messages */
	const char *hostname;                 /* at most 63 characters */
	struct ip v4, v6;                     /* v6 all zero, or no IPv6 on the node: IPv4 only */
	const struct capture_config *capture; /* NULL: the traffic is left alone */
};

struct pod_net {
	struct node *node;
	pid_t pid;    /* keeps the namespaces; as the node counts */
	int pidfd;    /* of it */
	int netns_fd; /* for netns_socket() */
	struct ip v4, v6;
	char hostname[64];
	char link[16];               /* the node's end of the veth pair */
	struct pod_net_setup *setup; /* while the network is being made */
};

typedef void pod_net_ready_fn(void *ctx, const struct err *err);

/* CFG and what it points to are copied or used before this returns. READY comes later, on the loop,
 * once. NULL: failed at once. */
struct pod_net *pod_net_start(struct node *node, const struct pod_net_config *cfg,
			      pod_net_ready_fn *ready, void *ctx, struct err *err) MUST_CHECK;
void pod_net_free(struct pod_net *net); /* NULL is fine; before READY: READY does not come */
