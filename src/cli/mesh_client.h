/*
 * What every command needs that talks to a running mesh: which one, its API, its Pods.
 *
 *   static struct mesh_client c = MESH_CLIENT_INIT;
 *   static const struct arg_row rows[] = {MESH_NAME_ROW(c), MESH_NAMESPACE_ROW(c), ...};
 *   if (!mesh_client_open(&c, &err)) ...
 *   json_t *pods = mesh_client_get(&c, "/api/v1/pods", &err);      // json_decref() it
 *   mesh_client_close(&c);
 *
 * Blocking, for one command's life.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "cli/args.h"
#include "model/kinds.h"
#include "sandbox/node.h"

struct mesh_client {
	const char *name;
	const char *ns; /* --namespace, or NULL */
	struct node_handle node;
	char base[NODE_PATH_LEN + 32]; /* for rest_call() */
};

#define MESH_CLIENT_INIT                                                                           \
	{                                                                                          \
		.name = "default", .node = {.pidfd = -1 }                                          \
	}
#define MESH_NAME_ROW(c)                                                                           \
	{                                                                                          \
		'n', "name", "NAME", "which mesh (\"default\")", ARG_TEXT, &(c).name               \
	}
#define MESH_NAMESPACE_ROW(c)                                                                      \
	{                                                                                          \
		'N', "namespace", "NS", "the Kubernetes namespace", ARG_TEXT, &(c).ns              \
	}

/* ERR_NOT_FOUND: no such mesh runs. */
bool mesh_client_open(struct mesh_client *c, struct err *err) MUST_CHECK;
void mesh_client_close(struct mesh_client *c);
/* NULL: ERR has the API's own words when it refused. */
json_t *mesh_client_get(const struct mesh_client *c, const char *path, struct err *err);
/* The answer's body is JSON whatever the status is; NULL: there was none. */
json_t *mesh_client_post(const struct mesh_client *c, const char *path, json_t *body,
			 unsigned *status, struct err *err);
/*
 * The Pod that a person means by "POD", "NAMESPACE/POD", "deploy/NAME" or "pod/NAME": without a
 * namespace the one in "default", or the only one of that name. A Deployment's name stands for one
 * of its Pods, a ready one when there is one. NULL: ERR says why; json_decref() it.
 */
json_t *mesh_client_pod(const struct mesh_client *c, const char *text, struct err *err);
const char *pod_name(const json_t *pod);
const char *pod_ns(const json_t *pod);
/* The container called NAME, or, for NULL, the Pod's first or annotated one; checked to be there.
 * "istio-proxy" is the sidecar. NULL: no such container. */
const char *pod_container_name(const json_t *pod, const char *name);
/* "NAMESPACE.POD.CONTAINER" */
void pod_container_id(const json_t *pod, const char *container, char *out, size_t out_len);
/* The API's path of a collection, or of NAME in it. NAME may be NULL or "NAMESPACE/NAME"; without a
 * namespace a name is in "default" and a collection is of all namespaces. */
void api_path(const struct kind_info *kind, const char *ns, const char *name, char *out,
	      size_t out_len);
/* Walks objects and arrays: json_at(pod, "status", "phase", NULL). NULL when it is not there. */
const json_t *json_at(const json_t *from, ...);
/* The text there, or "". */
const char *json_text(const json_t *from, ...);
