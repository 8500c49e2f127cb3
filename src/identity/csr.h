/*
 * Certificate signing requests (PKCS#10, RFC 2986).
 *
 *   csr_make(key, "spiffe://cluster.local/ns/shop/sa/db", &pem, &err);   // in a sidecar
 *   struct csr *csr = csr_read(pem, &why, &err);                         // at the authority
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

/* One row makes the enum and the name in counters. */
#define CSR_WHY_ROWS                                                                               \
	CSR_WHY_ROW(FINE, "fine")                                                                  \
	CSR_WHY_ROW(MALFORMED, "malformed")                                                        \
	CSR_WHY_ROW(WEAK_KEY, "weak_key")                                                          \
	CSR_WHY_ROW(ALGORITHM, "algorithm")                                                        \
	CSR_WHY_ROW(SIGNATURE, "signature")

enum csr_why {
#define CSR_WHY_ROW(name, label) CSR_WHY_##name,
	CSR_WHY_ROWS
#undef CSR_WHY_ROW
		CSR_N_WHYS
};

struct csr;
/* NULL with ERR; *WHY (may be NULL) is its short form. */
struct csr *csr_read(struct slice pem, enum csr_why *why, struct err *err) MUST_CHECK;
void csr_free(struct csr *csr); /* NULL is fine */
/* It asked for a common name too: for peers that look at nothing else ("dual use" in Istio). */
bool csr_wants_common_name(const struct csr *csr);
struct evp_pkey_st *csr_pkey(const struct csr *csr); /* borrowed */

/* As Istio's agents ask: URI as a critical subject alternative name, an empty organization. PEM is
 * appended to OUT. */
bool csr_make(const struct keypair *key, const char *uri, struct buf *out,
	      struct err *err) MUST_CHECK;
