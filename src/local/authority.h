/*
 * The mesh's certificate authority inside the node: its key, the service on port 15012, the tokens
 * with which sidecars prove who they are, and the change of its root.
 *
 *   struct authority *a = authority_start(node, store, "/etc/hark/ca", &err);   // NULL: in memory
 *   authority_token(a, pod, &buf, &expires_s, &err);      // for one Pod's sidecar
 *   mount authority_roots_dir(a) ...                      // root-cert.pem, follows changes
 *   authority_stop(a);
 *
 * The root changes in steps, so that whoever talks to whom always trusts the other:
 *
 *   SETTLED --rotate--> TRUSTING --all renewed--> SIGNING --finish--> FINISHING --all renewed--> SETTLED
 *
 * TRUSTING: the old root signs, both are trusted. SIGNING: the new one signs, both are trusted.
 * FINISHING: only the new one is. A sidecar renews its certificate whenever root-cert.pem changes.
 * Runs on the node's loop.
 */
#pragma once
#include "base/json_out.h"
#include "model/store.h"
#include "sandbox/node.h"

#define AUTHORITY_NS "istio-system"
#define AUTHORITY_SERVICE "istiod"
#define AUTHORITY_HOST AUTHORITY_SERVICE "." AUTHORITY_NS ".svc"
enum { AUTHORITY_PORT = 15012, AUTHORITY_TOKEN_S = 12 * 3600 };

enum authority_phase {
	AUTHORITY_SETTLED,
	AUTHORITY_TRUSTING,
	AUTHORITY_SIGNING,
	AUTHORITY_FINISHING
};
const char *authority_phase_name(enum authority_phase p);

struct authority;
/* DIR NULL: a new root that lives as long as the mesh. Else the authority in that folder, or a new
 * one that is kept there. Writes the Service istiod into STORE. */
struct authority *authority_start(struct node *node, struct store *store, const char *dir,
				  struct err *err) MUST_CHECK;
void authority_stop(struct authority *a); /* NULL is fine */

/* Appends a token for POD to OUT. */
bool authority_token(const struct authority *a, const struct object *pod, struct buf *out,
		     int64_t *expires_s, struct err *err) MUST_CHECK;
const char *authority_roots_dir(const struct authority *a); /* a folder with root-cert.pem */
const char *authority_addr(const struct authority *a);      /* "198.18.0.1:15012" */

/* ERR_CONFLICT: one is under way. ERR_NOT_NOW: the root is not ours to change. */
bool authority_rotate(struct authority *a, struct err *err) MUST_CHECK;
/* The old root is not trusted any more. ERR_CONFLICT: nothing to finish; ERR_NOT_NOW: sidecars still
 * have certificates of the old root. */
bool authority_finish(struct authority *a, struct err *err) MUST_CHECK;
/* {"phase", "roots": [...], "expires", "issued", "refused", "waiting": [POD...]} */
void authority_json(const struct authority *a, struct json_out *out);
bool authority_metrics(const struct authority *a, struct buf *out); /* Prometheus text */
