/*
 * What a Pod's sidecar proves itself with, as Istio projects it: a service account token and the
 * roots, as files that only the sidecar sees.
 *
 *   if (!pod_identity_write(run, &err)) ...        // before the sidecar starts; again: a new token
 *   n += pod_identity_mounts(run, &mounts[n]);
 *   n += pod_identity_env(run, arena, &env[n]);
 *   pod_identity_stop(run);
 *
 * The token lies on the mesh's tmpfs, readable by the sidecar's user alone, and is made anew when 80 %
 * of its life is over.
 */
#pragma once
#include "local/pod_run.h"

enum { POD_IDENTITY_MOUNTS = 2, POD_IDENTITY_ENV = 7 };

bool pod_identity_write(struct pod_run *run, struct err *err) MUST_CHECK;
size_t pod_identity_mounts(const struct pod_run *run, struct container_mount *out);
size_t pod_identity_env(const struct pod_run *run, struct arena *arena, struct container_env *out);
void pod_identity_stop(struct pod_run *run);
