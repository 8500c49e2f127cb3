/*
 * `hark cert` in parts: what a sidecar's GET /certs says, for people; and how certificates and the
 * root are renewed.
 *
 *   json_t *certs = cert_ask(&client, pod, &err);      // json_decref() it; NULL: none, ERR says why
 *   cert_summary(certs, text, sizeof(text));           // "valid 23h59m"
 *   cert_print(certs);
 */
#pragma once
#include "cli/mesh_client.h"

json_t *cert_ask(const struct mesh_client *c, const json_t *pod, struct err *err);
/* State and time left. */
const char *cert_summary(const json_t *certs, char *out, size_t out_len);
void cert_print(const json_t *certs);

/* Renews the certificate of POD's sidecar, NULL: of all sidecars, and waits until they have done so.
 * Prints a line for each. False: one has not (told), or ERR. */
bool cert_rotate(const struct mesh_client *c, const char *pod, unsigned timeout_s,
		 struct err *err) MUST_CHECK;
/* A new root that signs, and every sidecar with a certificate of it; both trusted. Goes on with a
 * change that is under way. */
bool cert_rotate_root(const struct mesh_client *c, unsigned timeout_s, struct err *err) MUST_CHECK;
/* The old root is not trusted any more; waits until no sidecar does. */
bool cert_finish_root(const struct mesh_client *c, unsigned timeout_s, struct err *err) MUST_CHECK;
