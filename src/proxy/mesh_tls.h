/*
 * All that a worker needs to speak mesh TLS under one certificate: the contexts of both roles, and whom
 * to trust.
 *
 *   struct mesh_tls *t = mesh_tls_new(&(struct mesh_tls_options){identity, keys, mesh}, &err);
 *   worker_set_tls(worker, t);            // to each; new connections use it from then on
 *   mesh_tls_put(t);
 *
 * Counted, immutable, any thread. A connection keeps the one it began with: a new certificate, a new
 * root or another trust domain is a new mesh_tls, and disturbs nobody. Which workload a peer is, is
 * no question here: the client asks by its plan, the server asks authorization.
 *
 * Istio: any certificate of the mesh's root whose SPIFFE id is of the trust domain or one of its
 * aliases may connect.
 */
#pragma once
#include "identity/spiffe.h"
#include "model/object.h"

enum { MESH_TLS_SKEW_S = 120 }; /* tolerated on a peer's notBefore and notAfter */

struct mesh_tls_options {
	struct tls_identity *identity;       /* a reference is taken */
	struct tls_ticket_keys *ticket_keys; /* of the process, a reference is taken; NULL: none */
	const struct mesh_config *mesh; /* trust domain, its aliases, minimum version: copied */
};

struct mesh_tls;
struct mesh_tls *mesh_tls_new(const struct mesh_tls_options *o, struct err *err) MUST_CHECK;
struct mesh_tls *mesh_tls_get(struct mesh_tls *t);
void mesh_tls_put(struct mesh_tls *t); /* NULL is fine */

/* Borrowed. */
struct tls_context *mesh_tls_server(const struct mesh_tls *t);
struct tls_context *mesh_tls_client(const struct mesh_tls *t);
struct spiffe_trust *mesh_tls_trust(const struct mesh_tls *t); /* for spiffe_accept_mesh() */
