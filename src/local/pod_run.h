/*
 * One Pod's life: network, sidecar, init containers one after the other, then the containers; and
 * the way back.
 *
 *   struct pod_run *run = pod_run_new(pods, object);   // begins at once
 *   pod_run_stop(run, 30);                             // pods_run_gone(run) when nothing is left
 *   pod_run_free(run);                                 // kills what runs
 *
 * The order is that of native sidecars: the sidecar first, and last at the end, so that whatever the
 * containers say passes through it. Runs on the node's loop.
 */
#pragma once
#include "base/table.h"
#include "local/pod_container.h"
#include "local/pods.h"

struct pods;

enum pod_run_state {
	RUN_WAITING, /* for a ConfigMap, or an address */
	RUN_NETWORK,
	RUN_SIDECAR, /* until it is ready, or has had its time */
	RUN_INIT,
	RUN_RUNNING,
	RUN_FINISHED, /* every container has ended and none will be started again */
	RUN_STOPPING,
	RUN_STOPPING_SIDECAR,
	RUN_GONE,
};

struct pod_run {
	struct pods *pods;
	UT_hash_handle hh;
	char key[384];         /* "NAMESPACE/NAME" */
	char id[384];          /* "NAMESPACE.NAME" */
	struct object *object; /* as it was when this run began, injection noted */
	enum pod_run_state state;
	bool injected;
	bool dns_capture; /* its DNS goes to its sidecar, as it was decided with its network */
	bool remake;      /* pods.c: to be made again under this name once it is gone */
	struct ip ip[N_IP_FAMILIES];
	bool has_ip[N_IP_FAMILIES];
	struct pod_net *net;
	struct arena *arena;                 /* of the run */
	char (*volume_paths)[NODE_PATH_LEN]; /* by volume of the spec */
	struct container_life *containers;   /* sidecar, init containers, containers */
	size_t n_containers;
	struct timer step;             /* something changed: look at it all */
	struct timer bound;            /* the pause after a failure; then the sidecar's time */
	char token_dir[NODE_PATH_LEN]; /* pod_identity.h; of a Pod with a sidecar */
	int64_t token_renew_s;         /* wall clock */
	struct timer token;
	uint64_t stop_by_ns; /* clock_ns() at which the grace time ends */
	uint64_t started_wall_ns;
	char message[1280]; /* why it is not ready, when no container is to blame */
	struct deferred gone;
};

struct pod_run *pod_run_new(struct pods *pods, struct object *object);
void pod_run_stop(struct pod_run *run, unsigned grace_s);
void pod_run_free(struct pod_run *run);
/* A container's state changed, or something that the Pod waits for: looked at in the next turn. */
void pod_run_changed(struct pod_run *run);
const char *pod_run_phase(const struct pod_run *run);
bool pod_run_ready(const struct pod_run *run);
/* The container that keeps the Pod from being ready; NULL: none in particular. */
const struct container_life *pod_run_culprit(const struct pod_run *run);
const char *pod_run_message(const struct pod_run *run); /* "" when ready */

/* What pods.c has for its Pods. */
struct node *pods_node(struct pods *p);
struct store *pods_store(struct pods *p);
const struct pods_config *pods_cfg(const struct pods *p);
bool pods_take_ip(struct pods *p, struct pod_run *run, struct err *err) MUST_CHECK;
void pods_release_ip(struct pods *p, struct pod_run *run);
/* RUN has reached RUN_GONE; it is freed in there, at the end of the turn. */
void pods_run_gone(struct pods *p, struct pod_run *run);
