/*
 * A mesh on one machine, from the inside: what the node process runs.
 *
 *   struct mesh_options opt = {.files = files, .n_files = n, .ready_fd = pipe[1]};
 *   node_spawn(&cfg, mesh_main, &opt, &node, &err);
 *
 * One thread, one loop: the store, the controllers, the DNS server and two API servers on Unix
 * sockets: RUN_DIR/admin.sock (everything, for root) and one that only sidecars see (reading only).
 * Besides the Kubernetes API the admin socket has
 *
 *   POST /hark/v1/apply, /hark/v1/delete    {"files": [{"name", "text"}], "ignore_missing": false}
 *                                           -> 200 or 422, the report of apply.h
 *   GET  /hark/v1/wait?timeout=SECONDS      JSON lines: {"ready", "total"} as it changes, at the end
 *                                           {"result": "ready" | "failed" | "timeout", "pods": [...]}
 *   GET  /hark/v1/ca                        the authority: authority_json()
 *   POST /hark/v1/ca/rotate, /hark/v1/ca/finish   steps of a change of its root -> 200 with the same,
 *                                           or 409 {"message"}
 *   GET  /metrics                           of the authority, Prometheus text
 *
 * SIGTERM and SIGINT stop the Pods with their grace time, then the mesh; a second one ends it at
 * once.
 */
#pragma once
#include "local/apply.h"
#include "sandbox/node.h"

#define MESH_ZONE "cluster.local"
#define MESH_ADMIN_SOCKET "admin.sock" /* in the mesh's run_dir */

struct mesh_options {
	const struct apply_file *files; /* checked by apply_check() */
	size_t n_files;
	const char *ca_dir; /* absolute; where the authority is kept. NULL: it ends with the mesh */
	int ready_fd; /* gets one byte when the API answers and FILES are applied, then is closed */
};

/* ARG: a struct mesh_options. */
int mesh_main(struct node *node, void *arg);
