/*
 * Certificate signing requests (PKCS#10, RFC 2986).
 *
 *   csr_make(key, "spiffe://cluster.local/ns/shop/sa/db", &pem, &err);   // in a sidecar
 *   struct csr *csr = csr_read(pem, &err);                               // at the authority
 *   csr_free(csr);
 *
 * A request that csr_read() returns is signed by the key it carries, and that key is one that
 * certificates are made for. Nothing else in it is believed: whose it is, the caller knows from
 * whoever brought it.
 */
#pragma once
#include "base/buf.h"
#include "identity/keypair.h"

enum { CSR_MAX = 16 * 1024 }; /* bytes of PEM */

struct csr;
struct csr *csr_read(struct slice pem, struct err *err) MUST_CHECK; /* NULL with ERR */
void csr_free(struct csr *csr);                                     /* NULL is fine */
/* It asked for a common name too: for peers that look at nothing else ("dual use" in Istio). */
bool csr_wants_common_name(const struct csr *csr);
struct evp_pkey_st *csr_pkey(const struct csr *csr); /* borrowed */

/* As Istio's agents ask: URI as a critical subject alternative name, an empty organization. PEM is
 * appended to OUT. */
bool csr_make(const struct keypair *key, const char *uri, struct buf *out,
	      struct err *err) MUST_CHECK;
