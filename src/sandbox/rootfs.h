/*
 * A container's file system without an image: the host's own files, copy-on-write.
 *
 *   // in the new process, which has a mount namespace and a PID namespace of its own:
 *   struct rootfs_config cfg = {.layer = ".../layer", .mounts = ..., .hostname = "db-0"};
 *   if (!rootfs_enter(&cfg, &err)) ...            // from now on "/" is the container's
 *
 * "/" is an overlay: below it the host's root, above it a folder on the mesh's tmpfs. Every other
 * disk file system of the host is seen the same way. /proc, /dev, /sys, /run and /tmp are new. What
 * a container writes is in its layer, is seen by nobody else and ends with it; only hostPath mounts
 * reach the host's files.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "sandbox/container.h"

struct rootfs_config {
	const char *layer; /* an empty folder on the mesh's tmpfs, for this container alone */
	const struct container_mount *mounts;
	size_t n_mounts;
	const char *hostname;
	const char *resolv_conf, *hosts; /* contents; NULL: as on the host */
	bool read_only;
	const char *hidden; /* a folder of the host that is empty in here; NULL or "": none */
};

bool rootfs_enter(const struct rootfs_config *cfg, struct err *err) MUST_CHECK;
