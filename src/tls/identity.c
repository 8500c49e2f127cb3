#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tls/inside.h"

static BIO *bio_of(struct slice pem)
{
	return pem.len > INT_MAX ? NULL : BIO_new_mem_buf(pem.at, (int)pem.len);
}

/* All certificates of PEM behind each other; false with ERR when one of them is broken. */
static bool read_certs(struct slice pem, STACK_OF(X509) * into, const char *what, struct err *err)
{
	BIO *bio = bio_of(pem);
	if (!bio)
		return err_set(err, ERR_BAD_INPUT, "%s: too long", what);
	for (X509 *cert; (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL));)
		MUST(sk_X509_push(into, cert) > 0);
	BIO_free(bio);
	unsigned long last = ERR_peek_last_error();
	if (ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE) {
		ERR_clear_error(); /* the ordinary end */
		return true;
	}
	return tls_ossl_err(err, ERR_BAD_INPUT, what);
}

/* A root among the chain is not sent: the peer has it, or would not believe it. */
static bool is_self_signed(X509 *cert)
{
	return (X509_get_extension_flags(cert) & EXFLAG_SS) != 0;
}

static bool split_chain(struct tls_identity *id, struct slice pem, struct err *err)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	MUST(all);
	bool ok = read_certs(pem, all, "certificate chain", err);
	if (ok && sk_X509_num(all) == 0)
		ok = err_set(err, ERR_BAD_INPUT, "certificate chain: no certificate in it");
	if (ok)
		id->leaf = sk_X509_shift(all);
	while (ok && sk_X509_num(all) > 0) {
		X509 *cert = sk_X509_shift(all);
		if (is_self_signed(cert))
			X509_free(cert);
		else
			MUST(sk_X509_push(id->chain, cert) > 0);
	}
	sk_X509_pop_free(all, X509_free);
	return ok;
}

/* Two contexts with the same anchors may resume each other's sessions, others may not. */
static bool hash_roots(struct tls_identity *id, struct err *err)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	MUST(md);
	bool ok = EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
	for (int i = 0; ok && i < sk_X509_num(id->roots); i++) {
		uint8_t one[32];
		ok = X509_digest(sk_X509_value(id->roots, i), EVP_sha256(), one, NULL) == 1 &&
		     EVP_DigestUpdate(md, one, sizeof(one)) == 1;
	}
	ok = ok && EVP_DigestFinal_ex(md, id->roots_hash, NULL) == 1;
	EVP_MD_CTX_free(md);
	return ok || tls_ossl_err(err, ERR_SYS, "hash of the roots");
}

/* No bytes: an encrypted key is an error, nobody is asked on a terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return 0;
}

static bool fill(struct tls_identity *id, struct slice chain, EVP_PKEY *key, struct slice roots,
		 struct err *err)
{
	if (roots.len > 0) {
		if (!read_certs(roots, id->roots, "roots", err))
			return false;
		if (sk_X509_num(id->roots) == 0)
			return err_set(err, ERR_BAD_INPUT, "roots: no certificate in them");
	}
	if (!hash_roots(id, err))
		return false;
	if (chain.len == 0 && !key)
		return true;
	if (chain.len == 0 || !key)
		return err_set(err, ERR_BAD_INPUT,
			       "certificate and key come together or not at all");
	if (!split_chain(id, chain, err))
		return false;
	if (X509_check_private_key(id->leaf, key) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_BAD_INPUT, "the key is not that of the certificate");
	}
	MUST(EVP_PKEY_up_ref(key) == 1);
	id->key = key;
	return true;
}

struct tls_identity *tls_identity_with_key(struct slice chain, struct evp_pkey_st *key,
					   struct slice roots, struct err *err)
{
	ERR_clear_error();
	struct tls_identity *id = mem_new(sizeof(*id));
	atomic_init(&id->refs, 1);
	id->chain = sk_X509_new_null();
	id->roots = sk_X509_new_null();
	MUST(id->chain && id->roots);
	if (fill(id, chain, key, roots, err))
		return id;
	tls_identity_put(id);
	return NULL;
}

struct tls_identity *tls_identity_new(struct slice chain, struct slice key, struct slice roots,
				      struct err *err)
{
	EVP_PKEY *pkey = NULL;
	if (key.len > 0) {
		ERR_clear_error();
		BIO *bio = bio_of(key);
		pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
		BIO_free(bio);
		if (!pkey) {
			(void)tls_ossl_err(err, ERR_BAD_INPUT, "private key"); /* always false */
			return NULL;
		}
	}
	struct tls_identity *id = tls_identity_with_key(chain, pkey, roots, err);
	EVP_PKEY_free(pkey);
	return id;
}

struct tls_identity *tls_identity_get(struct tls_identity *id)
{
	atomic_fetch_add_explicit(&id->refs, 1, memory_order_relaxed);
	return id;
}

void tls_identity_put(struct tls_identity *id)
{
	if (!id || atomic_fetch_sub_explicit(&id->refs, 1, memory_order_acq_rel) > 1)
		return;
	EVP_PKEY_free(id->key); /* OpenSSL wipes the numbers of a key before it frees them */
	X509_free(id->leaf);
	sk_X509_pop_free(id->chain, X509_free);
	sk_X509_pop_free(id->roots, X509_free);
	free(id);
}
