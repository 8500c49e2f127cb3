/*
 * Pods: makes those that the store has, keeps them running, and writes down how they are.
 *
 *   struct pods *p = pods_start(node, store, &cfg);
 *   pods_stop_all(p, 10, on_all_gone, app);        // at the end of the mesh
 *   pods_free(p);
 *
 * A Pod's life is in pod_run.h, a container's in pod_container.h. A Pod whose spec changes is
 * stopped and made again under its name; one whose metadata.deletionTimestamp is set, or that
 * vanishes from the store, is stopped with its grace time. Runs on the node's loop.
 */
#pragma once
#include "base/json_out.h"
#include "model/store.h"
#include "sandbox/node.h"

struct pods_config {                 /* copied; texts must outlive the pods */
	const char *zone;            /* "cluster.local" */
	const char *api_socket;      /* of the read-only API, as the node sees it: for sidecars */
	struct ip dns;               /* what Pods find in resolv.conf */
	struct authority *authority; /* outlives the pods */
};

struct pods;
struct pods *pods_start(struct node *node, struct store *store, const struct pods_config *cfg);
/* Stops every Pod, each with at most GRACE_S seconds, and starts none any more. DONE comes from the
 * loop. */
void pods_stop_all(struct pods *p, unsigned grace_s, void (*done)(void *ctx), void *ctx);
void pods_free(struct pods *p); /* what still runs is killed; NULL is fine */

enum pods_state {
	PODS_READY,
	PODS_SETTLING, /* ready, but only just started, and nothing probes them: ask again soon */
	PODS_PENDING,
	PODS_FAILED, /* waiting longer will not help */
};
/* How it looks now; writes each Pod that is not ready as an object {namespace, name, message,
 * container, log} into the open array OUT (may be NULL). */
enum pods_state pods_report(const struct pods *p, struct json_out *out);
/* Where a container's log is, on the host and in the node alike. */
bool pods_log_path(const char *run_dir, const char *ns, const char *pod, const char *container,
		   char out[NODE_PATH_LEN], struct err *err) MUST_CHECK;
