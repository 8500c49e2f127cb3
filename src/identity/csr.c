#include "identity/csr.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/mem.h"
#include "identity/ossl.h"

struct csr {
	X509_REQ *req;
	EVP_PKEY *key; /* borrowed from REQ */
};

/* SHA-256 and stronger. Ed25519 names no digest. */
static bool signed_well(const X509_REQ *req)
{
	int digest = NID_undef, pkey = NID_undef;
	if (OBJ_find_sigid_algs(X509_REQ_get_signature_nid(req), &digest, &pkey) != 1)
		return false;
	switch (digest) {
	case NID_sha256:
	case NID_sha384:
	case NID_sha512:
		return true;
	case NID_undef:
		return pkey == NID_ED25519;
	default:
		return false;
	}
}

static enum csr_why refuse(struct err *err, enum csr_why why, const char *text)
{
	err_set(err, ERR_BAD_INPUT, "%s", text);
	return why;
}

static enum csr_why check(struct csr *csr, struct slice pem, struct err *err)
{
	if (pem.len > CSR_MAX) {
		err_set(err, ERR_LIMIT, "longer than %d bytes", CSR_MAX);
		return CSR_WHY_MALFORMED;
	}
	BIO *bio = ossl_bio(pem);
	csr->req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	BIO_free(bio);
	csr->key = csr->req ? X509_REQ_get0_pubkey(csr->req) : NULL;
	if (!csr->key) {
		ossl_err(err, ERR_BAD_INPUT, csr->req ? "its key" : "not a PKCS#10 in PEM");
		return CSR_WHY_MALFORMED;
	}
	if (!keypair_usable(csr->key, err))
		return CSR_WHY_WEAK_KEY;
	if (!signed_well(csr->req))
		return refuse(err, CSR_WHY_ALGORITHM, "signed with a weak or unknown algorithm");
	if (X509_REQ_verify(csr->req, csr->key) != 1) {
		ERR_clear_error();
		return refuse(err, CSR_WHY_SIGNATURE, "the signature is not by the key in it");
	}
	return CSR_WHY_FINE;
}

struct csr *csr_read(struct slice pem, enum csr_why *why, struct err *err)
{
	struct csr *csr = mem_new(sizeof(*csr));
	ERR_clear_error();
	enum csr_why is = check(csr, pem, err);
	if (why)
		*why = is;
	if (is == CSR_WHY_FINE)
		return csr;
	err_wrap(err, "signing request");
	csr_free(csr);
	return NULL;
}

void csr_free(struct csr *csr)
{
	if (!csr)
		return;
	X509_REQ_free(csr->req);
	free(csr);
}

bool csr_wants_common_name(const struct csr *csr)
{
	const X509_NAME *subject = X509_REQ_get_subject_name(csr->req);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at < 0)
		return false;
	return ASN1_STRING_length(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))) > 0;
}

struct evp_pkey_st *csr_pkey(const struct csr *csr)
{
	return csr->key;
}

static bool add_names(X509_REQ *req, const char *uri)
{
	X509_EXTENSION *san = ossl_sans(uri, NULL, 0, true);
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	MUST(san && exts && sk_X509_EXTENSION_push(exts, san) > 0);
	bool ok = X509_REQ_add_extensions(req, exts) == 1;
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	/* not MBSTRING_*: those refuse an empty organization, which Go writes */
	return ok && X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(req),
						NID_organizationName, V_ASN1_PRINTABLESTRING,
						(const unsigned char *)"", 0, -1, 0) == 1;
}

bool csr_make(const struct keypair *key, const char *uri, struct buf *out, struct err *err)
{
	ERR_clear_error();
	X509_REQ *req = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	MUST(req && bio);
	bool ok = X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 &&
		  X509_REQ_set_pubkey(req, key->key) == 1 && add_names(req, uri) &&
		  X509_REQ_sign(req, key->key, ossl_digest(key->key)) > 0 &&
		  PEM_write_bio_X509_REQ(bio, req) == 1;
	X509_REQ_free(req);
	if (!ok) {
		BIO_free(bio);
		return ossl_err(err, ERR_SYS, "signing request");
	}
	return ossl_take(bio, out) || err_set(err, ERR_LIMIT, "signing request: no room for it");
}
