/*
 * Volumes of a Pod, as folders that container mounts name as their source.
 *
 *   char path[NODE_PATH_LEN];
 *   if (!volume_empty_dir(node, "shop.db-0", "data", path, &err)) ...
 *   if (!volume_config(node, "shop.db-0", "conf", files, n, path, &err)) ...  // again: new contents
 *   volume_remove_pod(node, "shop.db-0");                                     // with the Pod
 *
 * They live on the mesh's tmpfs, shared by the Pod's containers. A hostPath volume is not here: its
 * source is the host's path itself. Names are Kubernetes names; POD is the Pod's id,
 * "NAMESPACE.NAME".
 */
#pragma once
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"
#include "sandbox/node.h"

struct volume_file {
	const char *path; /* the key, or the item's path; "a/b" makes folder a */
	struct slice data;
	mode_t mode; /* 0: 0644 */
	uid_t owner; /* and its group */
};

/* An empty folder that anybody may write to, made once: a container's restart finds it as it was.
 */
bool volume_empty_dir(struct node *node, const char *pod, const char *name,
		      char path[NODE_PATH_LEN], struct err *err) MUST_CHECK;
/* A folder with exactly FILES. Called again for the same volume it swaps all files at once (through
 * a `..data` link, as kubelet does), so that a reader sees the old set or the new one. */
bool volume_config(struct node *node, const char *pod, const char *name,
		   const struct volume_file *files, size_t n, char path[NODE_PATH_LEN],
		   struct err *err) MUST_CHECK;
void volume_remove_pod(struct node *node, const char *pod);
