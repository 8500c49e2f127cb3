#include "identity/ossl.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>

bool ossl_err(struct err *err, enum err_kind kind, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;
	err_set(err, kind, "%s: %s", what, reason ? reason : "cannot be read");
	ERR_clear_error();
	return false;
}

BIO *ossl_bio(struct slice bytes)
{
	BIO *bio = BIO_new_mem_buf(bytes.len > 0 ? bytes.at : "",
				   bytes.len > INT_MAX ? 0 : (int)bytes.len);
	MUST(bio);
	return bio;
}

bool ossl_take(BIO *bio, struct buf *out)
{
	char *at = NULL;
	long len = BIO_get_mem_data(bio, &at);
	bool ok = buf_append(out, (struct slice){at, (size_t)len});
	BIO_free(bio);
	return ok;
}

const EVP_MD *ossl_digest(const EVP_PKEY *key)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_ED25519:
		return NULL;
	case EVP_PKEY_EC:
		return EVP_PKEY_get_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
	default:
		return EVP_sha256();
	}
}

bool ossl_seconds(const ASN1_TIME *at, int64_t *out)
{
	struct tm tm = {0};
	if (ASN1_TIME_to_tm(at, &tm) != 1)
		return false;
	*out = (int64_t)timegm(&tm);
	return true;
}

static void push_name(GENERAL_NAMES *names, int type, const char *text)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *value = ASN1_IA5STRING_new();
	MUST(name && value && ASN1_STRING_set(value, text, -1) == 1);
	GENERAL_NAME_set0_value(name, type, value);
	MUST(sk_GENERAL_NAME_push(names, name) > 0);
}

X509_EXTENSION *ossl_sans(const char *uri, const char *const *dns, size_t n_dns, bool critical)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	MUST(names);
	if (uri)
		push_name(names, GEN_URI, uri);
	for (size_t i = 0; i < n_dns; i++)
		push_name(names, GEN_DNS, dns[i]);
	X509_EXTENSION *ext = X509V3_EXT_i2d(NID_subject_alt_name, critical, names);
	GENERAL_NAMES_free(names);
	return ext;
}

struct slice ossl_cert_pem(const X509 *cert, struct arena *arena)
{
	char *at = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	MUST(bio && PEM_write_bio_X509(bio, cert) == 1);
	size_t len = (size_t)BIO_get_mem_data(bio, &at);
	struct slice pem = {arena_dup(arena, (struct slice){at, len}), len};
	BIO_free(bio);
	return pem;
}

bool ossl_certs(struct slice pem, STACK_OF(X509) * into, const char *what, struct err *err)
{
	ERR_clear_error();
	BIO *bio = ossl_bio(pem);
	for (X509 *cert; (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL));)
		MUST(sk_X509_push(into, cert) > 0);
	BIO_free(bio);
	unsigned long last = ERR_peek_last_error();
	if (ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE) {
		ERR_clear_error(); /* the ordinary end */
		return true;
	}
	return ossl_err(err, ERR_BAD_INPUT, what);
}
