/*
 * Key pairs: made in memory, wiped when the last reference goes.
 *
 *   struct keypair *key = keypair_new(KEYPAIR_EC_P256, &err);
 *   struct tls_identity *id = tls_identity_with_key(chain, keypair_pkey(key), roots, &err);
 *   keypair_put(key);
 *
 * Counted, immutable, any thread. A workload's key is never made into text; only authorities and
 * the keys of tokens are stored.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum keypair_kind { KEYPAIR_EC_P256, KEYPAIR_EC_P384, KEYPAIR_RSA_2048 };

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */
struct keypair;
struct keypair *keypair_new(enum keypair_kind kind, struct err *err) MUST_CHECK;
/* PKCS#8, SEC1 or PKCS#1, not encrypted; refused when keypair_usable() does. */
struct keypair *keypair_from_pem(struct slice pem, struct err *err) MUST_CHECK;
struct keypair *keypair_get(struct keypair *k);
void keypair_put(struct keypair *k);                       /* NULL is fine */
struct evp_pkey_st *keypair_pkey(const struct keypair *k); /* borrowed */

/* PKCS#8 with a newline at the end; give it back to keypair_pem_free(), which wipes it. */
char *keypair_pem(const struct keypair *k);
void keypair_pem_free(char *pem); /* NULL is fine */

/* May certificates be made for this public key? RSA of 2048 to 8192 bits, P-256, P-384, P-521
 * (by name) and Ed25519 may. */
bool keypair_usable(const struct evp_pkey_st *key, struct err *err) MUST_CHECK;
