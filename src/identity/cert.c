#include "identity/cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "identity/ossl.h"

static const char *name_text(const X509_NAME *name, struct arena *arena)
{
	char *at = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	MUST(bio);
	if (X509_NAME_entry_count(name) > 0)
		(void)X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253); /* else it stays empty */
	long len = BIO_get_mem_data(bio, &at);
	const char *text = arena_dup(arena, (struct slice){at, (size_t)len});
	BIO_free(bio);
	return text;
}

static const char *serial_text(const X509 *cert, struct arena *arena)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = n ? BN_bn2hex(n) : NULL;
	const char *text = arena_dup(arena, slice_of(hex));
	OPENSSL_free(hex);
	BN_free(n);
	return text;
}

static const char *key_text(const X509 *cert, struct arena *arena)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);
	char group[32] = "";
	if (!key)
		return "unknown";
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		return arena_printf(arena, "RSA %d", EVP_PKEY_get_bits(key));
	case EVP_PKEY_EC:
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL); /* else empty */
		if (strcmp(group, SN_X9_62_prime256v1) == 0)
			return "EC P-256";
		return arena_printf(arena, "EC %s", group);
	default:
		return arena_printf(arena, "%s", OBJ_nid2sn(EVP_PKEY_get_base_id(key)));
	}
}

static void put_names(const X509 *cert, struct arena *arena, struct cert_facts *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	out->uri = out->names = "";
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI && name->type != GEN_DNS)
			continue;
		const char *text = arena_dup(
			arena, (struct slice){(const char *)ASN1_STRING_get0_data(name->d.ia5),
					      (size_t)ASN1_STRING_length(name->d.ia5)});
		if (name->type == GEN_URI && !*out->uri)
			out->uri = text;
		out->names = *out->names ? arena_printf(arena, "%s,%s", out->names, text) : text;
	}
	GENERAL_NAMES_free(names);
}

static bool describe(X509 *cert, struct arena *arena, struct cert_facts *out, struct err *err)
{
	uint8_t sha256[32];
	uint32_t flags = X509_get_extension_flags(cert);
	if (!ossl_seconds(X509_get0_notBefore(cert), &out->not_before_s) ||
	    !ossl_seconds(X509_get0_notAfter(cert), &out->not_after_s) ||
	    X509_digest(cert, EVP_sha256(), sha256, NULL) != 1)
		return ossl_err(err, ERR_BAD_INPUT, "certificate");
	for (size_t i = 0; i < sizeof(sha256); i++)
		(void)snprintf(&out->sha256[2 * i], 3, "%02x", sha256[i]); /* fits */
	out->subject = name_text(X509_get_subject_name(cert), arena);
	out->issuer = name_text(X509_get_issuer_name(cert), arena);
	out->serial = serial_text(cert, arena);
	out->key = key_text(cert, arena);
	out->pem = ossl_cert_pem(cert, arena).at;
	out->is_ca = (flags & EXFLAG_CA) != 0;
	out->self_signed = (flags & EXFLAG_SS) != 0;
	put_names(cert, arena, out);
	return true;
}

bool cert_nth(struct slice chain, unsigned n, struct arena *arena, struct cert_facts *out,
	      struct err *err)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	MUST(certs);
	bool ok = ossl_certs(chain, certs, "certificate", err);
	if (ok && n >= (unsigned)sk_X509_num(certs))
		ok = err_set(err, ERR_NOT_FOUND, "certificate: no number %u in the chain", n);
	if (ok)
		ok = describe(sk_X509_value(certs, (int)n), arena, out, err);
	sk_X509_pop_free(certs, X509_free);
	return ok;
}

static bool verify_at(X509_STORE *store, STACK_OF(X509) * chain, int64_t at_s, int *fault)
{
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	MUST(check && X509_STORE_CTX_init(check, store, sk_X509_value(chain, 0), chain) == 1);
	X509_STORE_CTX_set_time(check, 0, (time_t)at_s);
	bool ok = X509_verify_cert(check) == 1;
	*fault = X509_STORE_CTX_get_error(check);
	X509_STORE_CTX_free(check);
	return ok;
}

static bool leads_to(STACK_OF(X509) * chain, STACK_OF(X509) * roots, int64_t now_s, int64_t skew_s,
		     struct err *err)
{
	X509_STORE *store = X509_STORE_new();
	int fault = X509_V_OK, later = X509_V_OK;
	MUST(store);
	for (int i = 0; i < sk_X509_num(roots); i++)
		(void)X509_STORE_add_cert(store, sk_X509_value(roots, i)); /* missing: seen below */
	(void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	/* The other's clock may be ahead of ours, or behind. */
	bool ok = verify_at(store, chain, now_s, &fault) ||
		  (fault == X509_V_ERR_CERT_NOT_YET_VALID &&
		   verify_at(store, chain, now_s + skew_s, &later)) ||
		  (fault == X509_V_ERR_CERT_HAS_EXPIRED &&
		   verify_at(store, chain, now_s - skew_s, &later));
	X509_STORE_free(store);
	ERR_clear_error();
	return ok ||
	       err_set(err, ERR_BAD_INPUT, "certificate: %s", X509_verify_cert_error_string(fault));
}

bool cert_leads_to(struct slice chain, struct slice roots, int64_t now_s, int64_t skew_s,
		   struct err *err)
{
	STACK_OF(X509) *certs = sk_X509_new_null(), *anchors = sk_X509_new_null();
	MUST(certs && anchors);
	ERR_clear_error();
	bool ok = ossl_certs(chain, certs, "certificate", err) &&
		  ossl_certs(roots, anchors, "roots", err);
	if (ok && sk_X509_num(certs) == 0)
		ok = err_set(err, ERR_BAD_INPUT, "certificate: none in the chain");
	ok = ok && leads_to(certs, anchors, now_s, skew_s, err);
	sk_X509_pop_free(certs, X509_free);
	sk_X509_pop_free(anchors, X509_free);
	return ok;
}
