/*
 * Deployments: keeps as many Pods `NAME-xxxxx` as each wants, and replaces them one after the other
 * when the template changes.
 *
 *   struct deployments *d = deployments_start(loop, store);
 *   deployments_stop(d);
 *
 * A Pod belongs to the Deployment that its controlling ownerReference names, and carries the
 * template's hash in the label pod-template-hash; there is no ReplicaSet in between. While Pods of
 * an older template exist, at most one more than `replicas` runs and none fewer than `replicas` are
 * ready. A Deployment that is gone takes its Pods along. Runs on the node's loop.
 */
#pragma once
#include "loop/loop.h"
#include "model/store.h"

struct deployments;
struct deployments *deployments_start(struct loop *loop, struct store *store);
void deployments_stop(struct deployments *d);
/* Looks at what has changed, at once; what that changes is for the next time. */
void deployments_reconcile(struct deployments *d);
/* Every Deployment has its Pods, all of them ready and of the template as it is now. */
bool deployments_settled(const struct store *store);
