/*
 * The mesh's certificate authority.
 *
 *   struct ca *ca = ca_new_root(&(struct ca_root){.organization = "cluster.local", .now_s = now}, &err);
 *   struct ca *ca = ca_load(&(struct ca_files){cert, key, roots, chain}, &err);  // Istio's cacerts
 *   struct ca_answer answer;
 *   if (!ca_sign(ca, &(struct ca_order){.csr = csr, .uri = uri, .now_s = now}, arena, &answer, &err))
 *   ca_put(ca);
 *
 * An authority is counted, immutable, and may sign on any thread. What goes into a certificate comes
 * from the order, never from the request's own wishes. Times are seconds since 1970.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "identity/csr.h"

#define CA_DAY_S INT64_C(86400)
enum {
	CA_SKEW_S = 120,           /* notBefore lies that far back */
	CA_TTL_S = 86400,          /* when nothing is asked for */
	CA_MAX_TTL_S = 90 * 86400, /* more is refused */
	CA_ROOT_TTL_S = 3650 * 86400,
	CA_MAX_CHAIN = 10,
	CA_MAX_DNS = 8,
};

struct ca;

struct ca_root {
	const char *organization; /* of the subject, the trust domain in Istio */
	enum keypair_kind kind;
	int64_t now_s;
	int64_t ttl_s; /* 0: ten years */
};
struct ca *ca_new_root(const struct ca_root *how, struct err *err) MUST_CHECK;

/* PEM texts, as in the Secret `cacerts`: ca-cert.pem, ca-key.pem, root-cert.pem, cert-chain.pem.
 * ROOTS empty: the certificate itself, which then must be self-signed. CHAIN: what leads from the
 * certificate towards the root; may be empty, and may repeat the certificate and the root. */
struct ca_files {
	struct slice cert, key, roots, chain;
};
/* Refused unless it is an authority's certificate, the key is its key, and it leads to one of the
 * roots at NOW_S. */
struct ca *ca_load(const struct ca_files *files, int64_t now_s, struct err *err) MUST_CHECK;
struct ca *ca_get(struct ca *ca);
void ca_put(struct ca *ca); /* NULL is fine */
/* The same authority, which tells everybody to trust MORE (PEM) as well: before and after a change
 * of the root. Certificates that are among the roots already are not repeated. */
struct ca *ca_with_roots(const struct ca *ca, struct slice more, struct err *err) MUST_CHECK;

/* All roots, PEM, newline at the end; borrowed. */
struct slice ca_roots(const struct ca *ca);
struct slice ca_cert(const struct ca *ca); /* its own, PEM; borrowed */
char *ca_key(const struct ca *ca);         /* to be stored; keypair_pem_free() wipes it */
int64_t ca_not_after_s(const struct ca *ca);
bool ca_is_root(const struct ca *ca); /* its own certificate is one of the roots */

struct ca_order {
	const struct csr *csr;       /* whose key is certified; or */
	const struct keypair *key;   /* a key of our own (the control plane's) */
	const char *uri;             /* the caller's SPIFFE ID, critical; NULL for a plain server */
	const char *dns[CA_MAX_DNS]; /* names of a server, NULL-terminated unless full */
	int64_t ttl_s;               /* 0 and less: 24 h */
	int64_t now_s;
};

/* PEM texts with a newline at the end each: leaf, intermediates, and last all roots in one. */
struct ca_answer {
	unsigned n;
	struct slice cert[CA_MAX_CHAIN];
	int64_t not_before_s, not_after_s;
};
/* ERR_BAD_INPUT: the order is at fault; ERR_NOT_NOW: the authority's own certificate has ended. */
bool ca_sign(const struct ca *ca, const struct ca_order *order, struct arena *arena,
	     struct ca_answer *out, struct err *err) MUST_CHECK;
