/*
 * What a container of a Pod is started with: environment, mounts, files, command; made of the Pod's
 * spec and what the store has.
 *
 *   if (!pod_setup_volumes(run, &err)) ...                // a ConfigMap is missing: ERR_NOT_FOUND
 *   if (!pod_setup_container(run, life, arena, &spec, &err)) ...   // SPEC borrows from ARENA
 */
#pragma once
#include "local/pod_run.h"

/* Makes the folders, or their new contents when a ConfigMap changed. */
bool pod_setup_volumes(struct pod_run *run, struct err *err) MUST_CHECK;
/* The mesh's settings for this Pod's sidecar. */
bool pod_setup_mesh(const struct pod_run *run, struct arena *arena, struct mesh_config *out,
		    struct err *err) MUST_CHECK;
/* Those of its resolv.conf, how many. */
enum { POD_NAMESERVERS = 3 };
size_t pod_setup_nameservers(const struct pod_run *run, struct ip out[POD_NAMESERVERS]);
bool pod_setup_container(struct pod_run *run, const struct container_life *life,
			 struct arena *arena, struct container_spec *out,
			 struct err *err) MUST_CHECK;
/* False: the container has no probe. */
bool pod_setup_probe(const struct container_life *life, struct probe_spec *out);
