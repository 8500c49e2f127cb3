/*
 * SPIFFE identities: who a workload is, in one URI.
 *
 *   struct spiffe_id id;
 *   if (spiffe_parse(SLICE("spiffe://cluster.local/ns/shop/sa/db"), &id, &err)) ...   // borrows
 *   spiffe_format(&id, text, &err);                                 // and back
 *   struct spiffe_trust *mesh = spiffe_trust_new(SLICE("cluster.local"), aliases, n, &err);
 *   struct tls_start start = {.accept_peer = spiffe_accept_mesh, .accept_ctx = mesh, ...};
 *
 * A trust is immutable and may be used by all threads. SPIFFE-ID 2 (what may stand in a name),
 * X509-SVID 2 (exactly one URI in a certificate); the path is Istio's.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "tls/tls.h"

enum { SPIFFE_MAX = 2048 /* bytes of a URI; SPIFFE-ID 2.3 */ };

struct spiffe_id {
	struct slice trust_domain, ns, service_account;
};

/* URI outlives OUT. Exactly spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT. */
bool spiffe_parse(struct slice uri, struct spiffe_id *out, struct err *err) MUST_CHECK;
/* NUL-terminated. A '@' in the trust domain becomes '.', as Istio has it. */
bool spiffe_format(const struct spiffe_id *id, char out[SPIFFE_MAX + 1],
		   struct err *err) MUST_CHECK;

/* A trust domain and the names it had before. */
struct spiffe_trust;
struct spiffe_trust *spiffe_trust_new(struct slice domain, const struct slice *aliases,
				      size_t n_aliases, struct err *err) MUST_CHECK;
void spiffe_trust_free(struct spiffe_trust *t); /* NULL is fine */
bool spiffe_trusts(const struct spiffe_trust *t, struct slice uri);
/* ID under each name of the trust domain (its own is among them, whichever it carries):
 * TEXT(ctx, uri) for each. Nothing when ID is of a foreign domain but ID itself. */
void spiffe_expand(const struct spiffe_trust *t, const struct spiffe_id *id,
		   void (*each)(void *ctx, const char *uri), void *ctx);

/* For tls_start.accept_peer of a server; CTX is the struct spiffe_trust. One SPIFFE URI, of our
 * trust; which workload it is, authorization asks later. */
enum tls_why spiffe_accept_mesh(void *trust, const struct tls_peer *peer);

/* For a client that knows whom it dials; CTX is a struct spiffe_names. Any SAN of the peer must
 * equal any name; no names: whoever the roots vouch for. */
struct spiffe_names {
	const struct slice *name;
	size_t n;
};
enum tls_why spiffe_accept_names(void *names, const struct tls_peer *peer);
