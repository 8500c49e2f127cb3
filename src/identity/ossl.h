/*
 * What the files of this room share about OpenSSL: nobody outside includes it.
 */
#pragma once
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/arena.h"
#include "base/buf.h"

struct keypair {
	_Atomic unsigned refs;
	EVP_PKEY *key;
};

/* "WHAT: OpenSSL's reason"; its queue is empty afterwards. False. */
bool ossl_err(struct err *err, enum err_kind kind, const char *what);
BIO *ossl_bio(struct slice bytes); /* reads BYTES, which outlive it; never NULL */
/* What was written to BIO goes to OUT, which may refuse it. BIO is freed. */
bool ossl_take(BIO *bio, struct buf *out);
/* The digest to sign with under KEY: NULL where the algorithm brings its own. */
const EVP_MD *ossl_digest(const EVP_PKEY *key);
/* Seconds since 1970; false for a time that is none. */
bool ossl_seconds(const ASN1_TIME *at, int64_t *out);
/* subjectAltName: URI (NULL: none) and N_DNS names; NULL when a name cannot be one. */
X509_EXTENSION *ossl_sans(const char *uri, const char *const *dns, size_t n_dns, bool critical);
/* PEM with a newline at the end, NUL-terminated, in ARENA. */
struct slice ossl_cert_pem(const X509 *cert, struct arena *arena);
/* All certificates of PEM behind each other; false with ERR when one of them is broken. */
bool ossl_certs(struct slice pem, STACK_OF(X509) * into, const char *what, struct err *err);
