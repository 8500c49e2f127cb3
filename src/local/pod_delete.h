/*
 * Asking for a Pod's end, as the Kubernetes API does it: metadata.deletionTimestamp is set, the Pod
 * controller stops the containers with their grace time, and then takes the Pod out of the store.
 */
#pragma once
#include "model/store.h"

/* Fine when it is ending already. POD must not be used after this: it may have been replaced. */
void pod_delete(struct store *store, const struct object *pod);
