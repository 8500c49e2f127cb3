#include "identity/ca.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "identity/ossl.h"

enum { MAX_ROOTS_LEN = 256 * 1024 };

struct ca {
	_Atomic unsigned refs;
	struct arena *arena; /* the PEM texts */
	struct keypair *key;
	X509 *cert;
	STACK_OF(X509) * between; /* from the certificate's issuer towards the root, without both */
	STACK_OF(X509) * roots;
	struct slice cert_pem, roots_pem;
	bool self_signed;
	int64_t not_after_s;
};

/* ---- making certificates ---------------------------------------------------------------------- */

static bool add_ext(X509 *cert, const X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, (X509 *)issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

/* RFC 5280 4.1.2.2: positive, hard to guess; 127 random bits. */
static bool set_serial(X509 *cert)
{
	BIGNUM *n = BN_new();
	MUST(n);
	bool ok = BN_rand(n, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 && !BN_is_zero(n) &&
		  BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return ok;
}

static bool set_times(X509 *cert, int64_t from_s, int64_t to_s)
{
	return ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from_s) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)to_s);
}

static X509 *begin(EVP_PKEY *key, int64_t from_s, int64_t to_s)
{
	X509 *cert = X509_new();
	MUST(cert);
	if (X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
	    set_times(cert, from_s, to_s) && X509_set_pubkey(cert, key) == 1)
		return cert;
	X509_free(cert);
	return NULL;
}

static X509 *make_root(EVP_PKEY *key, const struct ca_root *how)
{
	int64_t ttl = how->ttl_s > 0 ? how->ttl_s : CA_ROOT_TTL_S;
	X509 *cert = begin(key, how->now_s - CA_SKEW_S, how->now_s + ttl);
	if (!cert)
		return NULL;
	X509_NAME *name = X509_get_subject_name(cert);
	bool ok = X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
					     (const unsigned char *)how->organization, -1, -1,
					     0) == 1 &&
		  X509_set_issuer_name(cert, name) == 1 &&
		  add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE") &&
		  add_ext(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
		  add_ext(cert, cert, NID_subject_key_identifier, "hash") &&
		  X509_sign(cert, key, ossl_digest(key)) > 0;
	if (ok)
		return cert;
	X509_free(cert);
	return NULL;
}

/* ---- an authority ----------------------------------------------------------------------------- */

static struct ca *blank(struct keypair *key)
{
	struct ca *ca = mem_new(sizeof(*ca));
	atomic_init(&ca->refs, 1);
	ca->arena = arena_new();
	ca->key = key;
	ca->between = sk_X509_new_null();
	ca->roots = sk_X509_new_null();
	MUST(ca->between && ca->roots);
	return ca;
}

void ca_put(struct ca *ca)
{
	if (!ca || atomic_fetch_sub_explicit(&ca->refs, 1, memory_order_acq_rel) > 1)
		return;
	keypair_put(ca->key);
	X509_free(ca->cert);
	sk_X509_pop_free(ca->between, X509_free);
	sk_X509_pop_free(ca->roots, X509_free);
	arena_free(ca->arena);
	free(ca);
}

struct ca *ca_get(struct ca *ca)
{
	atomic_fetch_add_explicit(&ca->refs, 1, memory_order_relaxed);
	return ca;
}

static bool has(const STACK_OF(X509) * certs, const X509 *cert)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_cmp(sk_X509_value(certs, i), cert) == 0)
			return true;
	return false;
}

static void push(STACK_OF(X509) * certs, X509 *cert)
{
	MUST(X509_up_ref(cert) == 1 && sk_X509_push(certs, cert) > 0);
}

/* What FROM has and INTO has not. */
static void merge(STACK_OF(X509) * into, const STACK_OF(X509) * from)
{
	for (int i = 0; i < sk_X509_num(from); i++)
		if (!has(into, sk_X509_value(from, i)))
			push(into, sk_X509_value(from, i));
}

/* The texts, once all certificates are there. */
static bool seal(struct ca *ca, struct err *err)
{
	struct buf all;
	ca->self_signed = has(ca->roots, ca->cert);
	ca->cert_pem = ossl_cert_pem(ca->cert, ca->arena);
	if (!ossl_seconds(X509_get0_notAfter(ca->cert), &ca->not_after_s))
		return err_set(err, ERR_BAD_INPUT, "authority: its certificate has no end");
	if (sk_X509_num(ca->between) + 3 > CA_MAX_CHAIN)
		return err_set(err, ERR_LIMIT, "authority: the chain to the root is too long");
	buf_init(&all, MAX_ROOTS_LEN);
	for (int i = 0; i < sk_X509_num(ca->roots); i++)
		(void)buf_append(&all, ossl_cert_pem(sk_X509_value(ca->roots, i), ca->arena));
	bool ok = !all.full || err_set(err, ERR_LIMIT, "authority: too many roots");
	ca->roots_pem.len = buf_len(&all);
	ca->roots_pem.at = arena_dup(ca->arena, buf_slice(&all));
	buf_fini(&all);
	return ok;
}

struct ca *ca_new_root(const struct ca_root *how, struct err *err)
{
	ERR_clear_error();
	struct keypair *key = keypair_new(how->kind, err);
	if (!key)
		return NULL;
	struct ca *ca = blank(key);
	ca->cert = make_root(key->key, how);
	if (ca->cert)
		push(ca->roots, ca->cert);
	if (ca->cert ? seal(ca, err) : ossl_err(err, ERR_BAD_INPUT, "root certificate"))
		return ca;
	ca_put(ca);
	return NULL;
}

static bool take_cert(struct ca *ca, struct slice pem, struct err *err)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	MUST(certs);
	bool ok = ossl_certs(pem, certs, "ca-cert.pem", err);
	if (ok && sk_X509_num(certs) == 0)
		ok = err_set(err, ERR_BAD_INPUT, "ca-cert.pem: no certificate in it");
	if (ok)
		ca->cert = sk_X509_shift(certs);
	/* some files carry their chain along */
	for (int i = 0; ok && i < sk_X509_num(certs); i++)
		push(ca->between, sk_X509_value(certs, i));
	sk_X509_pop_free(certs, X509_free);
	return ok;
}

static bool is_authority(const struct ca *ca, struct err *err)
{
	uint32_t flags = X509_get_extension_flags(ca->cert);
	if ((flags & EXFLAG_INVALID) || !(flags & EXFLAG_CA))
		return err_set(
			err, ERR_BAD_INPUT,
			"ca-cert.pem: not the certificate of an authority (CA:TRUE is missing)");
	/* without the extension OpenSSL answers with all bits set */
	if (!(X509_get_key_usage(ca->cert) & KU_KEY_CERT_SIGN))
		return err_set(
			err, ERR_BAD_INPUT,
			"ca-cert.pem: its key may not sign certificates (keyCertSign is missing)");
	if (X509_check_private_key(ca->cert, ca->key->key) != 1) {
		ERR_clear_error();
		return err_set(err, ERR_BAD_INPUT, "ca-key.pem: not the key of ca-cert.pem");
	}
	return true;
}

/* Orders ca->between from the certificate upwards, without it and without roots; false: it leads
 * to no root. */
static bool find_way(struct ca *ca, int64_t now_s, struct err *err)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	MUST(store && check);
	for (int i = 0; i < sk_X509_num(ca->roots); i++)
		(void)X509_STORE_add_cert(store,
					  sk_X509_value(ca->roots, i)); /* missing: seen below */
	(void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	MUST(X509_STORE_CTX_init(check, store, ca->cert, ca->between) == 1);
	X509_STORE_CTX_set_time(check, 0, (time_t)now_s);
	bool ok = X509_verify_cert(check) == 1;
	if (ok) {
		STACK_OF(X509) *way = X509_STORE_CTX_get0_chain(check);
		STACK_OF(X509) *between = sk_X509_new_null();
		MUST(between);
		for (int i = 1; i < sk_X509_num(way); i++)
			if (!has(ca->roots, sk_X509_value(way, i)))
				push(between, sk_X509_value(way, i));
		sk_X509_pop_free(ca->between, X509_free);
		ca->between = between;
	} else {
		err_set(err, ERR_BAD_INPUT, "ca-cert.pem: does not lead to root-cert.pem: %s",
			X509_verify_cert_error_string(X509_STORE_CTX_get_error(check)));
	}
	X509_STORE_CTX_free(check);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

static bool load(struct ca *ca, const struct ca_files *files, int64_t now_s, struct err *err)
{
	if (!take_cert(ca, files->cert, err) || !is_authority(ca, err) ||
	    !ossl_certs(files->chain, ca->between, "cert-chain.pem", err) ||
	    !ossl_certs(files->roots, ca->roots, "root-cert.pem", err))
		return false;
	if (sk_X509_num(ca->roots) == 0 && files->roots.len > 0)
		return err_set(err, ERR_BAD_INPUT, "root-cert.pem: no certificate in it");
	if (sk_X509_num(ca->roots) == 0) {
		if (!(X509_get_extension_flags(ca->cert) & EXFLAG_SS))
			return err_set(err, ERR_BAD_INPUT,
				       "root-cert.pem: needed, ca-cert.pem is not self-signed");
		push(ca->roots, ca->cert);
	}
	return find_way(ca, now_s, err) && seal(ca, err);
}

struct ca *ca_load(const struct ca_files *files, int64_t now_s, struct err *err)
{
	struct keypair *key = keypair_from_pem(files->key, err);
	if (!key) {
		err_wrap(err, "ca-key.pem");
		return NULL;
	}
	struct ca *ca = blank(key);
	if (load(ca, files, now_s, err))
		return ca;
	ca_put(ca);
	return NULL;
}

struct ca *ca_with_roots(const struct ca *ca, struct slice more, struct err *err)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	MUST(certs);
	struct ca *next = NULL;
	if (ossl_certs(more, certs, "more roots", err)) {
		next = blank(keypair_get(ca->key));
		next->cert = ca->cert;
		MUST(X509_up_ref(ca->cert) == 1);
		merge(next->between, ca->between);
		merge(next->roots, ca->roots);
		merge(next->roots, certs);
		if (!seal(next, err)) {
			ca_put(next);
			next = NULL;
		}
	}
	sk_X509_pop_free(certs, X509_free);
	return next;
}

struct slice ca_roots(const struct ca *ca)
{
	return ca->roots_pem;
}

struct slice ca_cert(const struct ca *ca)
{
	return ca->cert_pem;
}

char *ca_key(const struct ca *ca)
{
	return keypair_pem(ca->key);
}

int64_t ca_not_after_s(const struct ca *ca)
{
	return ca->not_after_s;
}

bool ca_is_root(const struct ca *ca)
{
	return ca->self_signed;
}

/* ---- signing ---------------------------------------------------------------------------------- */

/* A common name only where the request had one, and where the identity fits (RFC 5280: 64). */
static bool set_subject(X509 *cert, const struct ca_order *order)
{
	const char *name = order->uri ? order->uri : order->dns[0];
	if (!order->csr || !csr_wants_common_name(order->csr) || !name || strlen(name) > 64)
		return true;
	return X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_commonName,
					  MBSTRING_UTF8, (const unsigned char *)name, -1, -1,
					  0) == 1;
}

static bool add_names(X509 *cert, const struct ca_order *order)
{
	size_t n = 0;
	while (n < CA_MAX_DNS && order->dns[n])
		n++;
	bool no_subject = X509_NAME_entry_count(X509_get_subject_name(cert)) == 0;
	/* RFC 5280 4.2.1.6: critical when the subject is empty; Istio's always are */
	X509_EXTENSION *ext = ossl_sans(order->uri, order->dns, n, no_subject || order->uri);
	bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool sign(const struct ca *ca, X509 *cert, const struct ca_order *order)
{
	bool keyed = X509_get0_subject_key_id(ca->cert) != NULL;
	return set_subject(cert, order) &&
	       X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) == 1 &&
	       add_ext(cert, ca->cert, NID_key_usage,
		       "critical,digitalSignature,keyEncipherment") &&
	       add_ext(cert, ca->cert, NID_ext_key_usage, "serverAuth,clientAuth") &&
	       add_ext(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
	       (!keyed || add_ext(cert, ca->cert, NID_authority_key_identifier, "keyid")) &&
	       add_names(cert, order) &&
	       X509_sign(cert, ca->key->key, ossl_digest(ca->key->key)) > 0;
}

static void answer(const struct ca *ca, const X509 *leaf, struct arena *arena,
		   struct ca_answer *out)
{
	out->n = 0;
	out->cert[out->n++] = ossl_cert_pem(leaf, arena);
	if (!ca->self_signed)
		out->cert[out->n++] = arena_dup_slice(arena, ca->cert_pem);
	for (int i = 0; i < sk_X509_num(ca->between); i++)
		out->cert[out->n++] = ossl_cert_pem(sk_X509_value(ca->between, i), arena);
	out->cert[out->n++] = arena_dup_slice(arena, ca->roots_pem);
}

bool ca_sign(const struct ca *ca, const struct ca_order *order, struct arena *arena,
	     struct ca_answer *out, struct err *err)
{
	int64_t ttl = order->ttl_s > 0 ? order->ttl_s : CA_TTL_S;
	MUST(!order->csr != !order->key && (order->uri || order->dns[0]));
	if (ttl > CA_MAX_TTL_S)
		return err_set(err, ERR_BAD_INPUT,
			       "certificate: a life of %lld s was asked for, %d s is the most",
			       (long long)ttl, CA_MAX_TTL_S);
	if (order->now_s >= ca->not_after_s)
		return err_set(err, ERR_NOT_NOW,
			       "certificate: the authority's own certificate has expired");
	ERR_clear_error();
	out->not_before_s = order->now_s - CA_SKEW_S;
	out->not_after_s = order->now_s + ttl;
	if (out->not_after_s > ca->not_after_s) /* nobody believes it beyond that */
		out->not_after_s = ca->not_after_s;
	X509 *cert = begin(order->csr ? csr_pkey(order->csr) : order->key->key, out->not_before_s,
			   out->not_after_s);
	bool ok = cert && sign(ca, cert, order);
	if (ok)
		answer(ca, cert, arena, out);
	X509_free(cert);
	return ok || ossl_err(err, ERR_SYS, "certificate");
}
