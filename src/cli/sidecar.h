/*
 * Asking a Pod's sidecar: its admin port, on loopback in the Pod's network namespace.
 *
 *   struct buf out;
 *   buf_init(&out, SIDECAR_ANSWER_MAX);
 *   if (!sidecar_get(&client, pod, "/learned", &status, &out, &err)) ...
 *   if (!sidecar_post(&client, pod, "/certs/rotate", &status, &out, &err)) ...
 */
#pragma once
#include "cli/mesh_client.h"

enum { SIDECAR_ANSWER_MAX = 64 * 1024 * 1024 };

bool sidecar_is_there(const json_t *pod); /* the Pod has one */
/* PATH with its query. A status other than 200 is no error: OUT has what it says. ERR_NOT_FOUND: the
 * Pod has no sidecar. */
bool sidecar_get(const struct mesh_client *c, const json_t *pod, const char *path, unsigned *status,
		 struct buf *out, struct err *err) MUST_CHECK;
/* The same with POST and no body. */
bool sidecar_post(const struct mesh_client *c, const json_t *pod, const char *path,
		  unsigned *status, struct buf *out, struct err *err) MUST_CHECK;
