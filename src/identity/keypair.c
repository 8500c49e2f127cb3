#include "identity/keypair.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "identity/ossl.h"

static struct keypair *of(EVP_PKEY *key)
{
	struct keypair *k = mem_new(sizeof(*k));
	atomic_init(&k->refs, 1);
	k->key = key;
	return k;
}

struct keypair *keypair_new(enum keypair_kind kind, struct err *err)
{
	EVP_PKEY *key = NULL;
	switch (kind) {
	case KEYPAIR_EC_P256:
		key = EVP_EC_gen("P-256");
		break;
	case KEYPAIR_EC_P384:
		key = EVP_EC_gen("P-384");
		break;
	case KEYPAIR_RSA_2048:
		key = EVP_RSA_gen(2048);
		break;
	}
	if (key)
		return of(key);
	(void)ossl_err(err, ERR_SYS, "new key pair"); /* always false */
	return NULL;
}

/* No bytes: an encrypted key is an error, nobody is asked on a terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return 0;
}

struct keypair *keypair_from_pem(struct slice pem, struct err *err)
{
	ERR_clear_error();
	BIO *bio = ossl_bio(pem);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	BIO_free(bio);
	if (key && keypair_usable(key, err))
		return of(key);
	if (!key)
		(void)ossl_err(err, ERR_BAD_INPUT, "private key"); /* always false */
	EVP_PKEY_free(key);
	return NULL;
}

struct keypair *keypair_get(struct keypair *k)
{
	atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void keypair_put(struct keypair *k)
{
	if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) > 1)
		return;
	EVP_PKEY_free(k->key); /* OpenSSL wipes the numbers of a key before it frees them */
	free(k);
}

struct evp_pkey_st *keypair_pkey(const struct keypair *k)
{
	return k->key;
}

char *keypair_pem(const struct keypair *k)
{
	char *at = NULL;
	BIO *bio = BIO_new(BIO_s_secmem()); /* wipes what it held */
	MUST(bio && PEM_write_bio_PKCS8PrivateKey(bio, k->key, NULL, NULL, 0, NULL, NULL) == 1);
	size_t len = (size_t)BIO_get_mem_data(bio, &at);
	char *pem = mem_new(len + 1);
	memcpy(pem, at, len);
	BIO_free(bio);
	return pem;
}

void keypair_pem_free(char *pem)
{
	if (pem)
		OPENSSL_cleanse(pem, strlen(pem));
	free(pem);
}

/* Curves whose parameters are written out, rather than named, are a way to smuggle in weak ones. */
static bool named_curve(const EVP_PKEY *key)
{
	static const char *const curves[] = {SN_X9_62_prime256v1, SN_secp384r1, SN_secp521r1};
	char name[64] = "", encoding[64] = "";
	if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name),
					   NULL) != 1 ||
	    EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, encoding,
					   sizeof(encoding), NULL) != 1 ||
	    strcmp(encoding, OSSL_PKEY_EC_ENCODING_GROUP) != 0)
		return false;
	for (size_t i = 0; i < N_ELEMS(curves); i++)
		if (strcmp(name, curves[i]) == 0)
			return true;
	return false;
}

/* An exponent of 1 makes every signature right, a long one makes checking it slow. */
static bool exponent_ok(const EVP_PKEY *key)
{
	BIGNUM *e = NULL;
	bool ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
		  BN_num_bits(e) >= 2 && BN_num_bits(e) <= 32;
	BN_free(e);
	return ok;
}

bool keypair_usable(const struct evp_pkey_st *key, struct err *err)
{
	int bits = EVP_PKEY_get_bits(key);
	bool ok = false;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		if (bits < 2048 || bits > 8192)
			return err_set(err, ERR_BAD_INPUT,
				       "key: RSA of %d bits, between 2048 and 8192 are taken",
				       bits);
		if (!exponent_ok(key))
			return err_set(err, ERR_BAD_INPUT, "key: RSA with an unusual exponent");
		ok = true;
		break;
	case EVP_PKEY_EC:
		ok = named_curve(key);
		break;
	case EVP_PKEY_ED25519:
		ok = true;
		break;
	default:
		break;
	}
	ERR_clear_error();
	return ok || err_set(err, ERR_BAD_INPUT,
			     "key: neither RSA nor one of P-256, P-384, P-521, Ed25519");
}
