/* Keys, requests and certificates: what an authority takes, what it gives, what others think of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "identity/ca.h"
#include "identity/cert.h"
#include "identity/ossl.h"
#include "tls/tls.h"

#define DB "spiffe://cluster.local/ns/shop/sa/db"

static int64_t now;

static struct ca *new_root(const char *organization)
{
	struct err err = {0};
	struct ca *ca =
		ca_new_root(&(struct ca_root){.organization = organization, .now_s = now}, &err);
	assert_non_null(ca);
	return ca;
}

/* ---- requests --------------------------------------------------------------------------------- */

static char *make_request(enum keypair_kind kind, const char *uri)
{
	struct err err = {0};
	struct buf out;
	struct keypair *key = keypair_new(kind, &err);
	buf_init(&out, CSR_MAX);
	assert_true(csr_make(key, uri, &out, &err));
	char *pem = mem_strdup(buf_cstr(&out));
	buf_fini(&out);
	keypair_put(key);
	return pem;
}

static char *pem_of(X509_REQ *req)
{
	char *at = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	MUST(PEM_write_bio_X509_REQ(bio, req) == 1);
	size_t len = (size_t)BIO_get_mem_data(bio, &at);
	char *pem = mem_new(len + 1);
	memcpy(pem, at, len);
	BIO_free(bio);
	X509_REQ_free(req);
	return pem;
}

/* Carries CLAIMED's public key, signed by SIGNER. */
static char *request_by(EVP_PKEY *claimed, EVP_PKEY *signer, const EVP_MD *md, const char *cn)
{
	X509_REQ *req = X509_REQ_new();
	MUST(X509_REQ_set_pubkey(req, claimed) == 1);
	if (cn)
		MUST(X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(req), NID_commonName,
						MBSTRING_ASC, (const unsigned char *)cn, -1, -1,
						0) == 1);
	MUST(X509_REQ_sign(req, signer, md) > 0);
	return pem_of(req);
}

static EVP_PKEY *explicit_curve(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	MUST(EVP_PKEY_set_utf8_string_param(key, "encoding", "explicit") == 1);
	return key;
}

static EVP_PKEY *small_exponent(void)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
	BIGNUM *e = BN_new();
	MUST(BN_set_word(e, 3) == 1 && EVP_PKEY_keygen_init(ctx) == 1 &&
	     EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1 &&
	     EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) == 1 && EVP_PKEY_keygen(ctx, &key) == 1);
	BN_free(e);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static char *tampered(void)
{
	char *pem = make_request(KEYPAIR_EC_P256, DB);
	/* a byte of the base64 near the end lies in the signature */
	char *at = strstr(pem, "\n-----END") - 12;
	*at = *at == 'A' ? 'B' : 'A';
	return pem;
}

static void requests(void **state)
{
	(void)state;
	EVP_PKEY *p256 = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256"),
		 *p224 = EVP_EC_gen("P-224"), *rsa1024 = EVP_RSA_gen(1024),
		 *rsa2048 = EVP_RSA_gen(2048), *k1 = EVP_EC_gen("secp256k1"),
		 *explicit = explicit_curve(), *e3 = small_exponent(),
		 *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	const struct {
		const char *rule;
		char *pem;
		const char *says; /* NULL: fine */
		enum csr_why why;
	} rows[] = {
		{"as a sidecar asks", make_request(KEYPAIR_EC_P256, DB), NULL, CSR_WHY_FINE},
		{"P-384", make_request(KEYPAIR_EC_P384, DB), NULL, CSR_WHY_FINE},
		{"RSA 2048", make_request(KEYPAIR_RSA_2048, DB), NULL, CSR_WHY_FINE},
		{"Ed25519", request_by(ed, ed, NULL, NULL), NULL, CSR_WHY_FINE},
		{"RSA with exponent 3", request_by(e3, e3, EVP_sha256(), NULL), NULL, CSR_WHY_FINE},
		{"nothing", mem_strdup(""), "PKCS#10", CSR_WHY_MALFORMED},
		{"no PEM", mem_strdup("hello"), "PKCS#10", CSR_WHY_MALFORMED},
		{"PEM of nothing",
		 mem_strdup("-----BEGIN CERTIFICATE REQUEST-----\n"
			    "-----END CERTIFICATE REQUEST-----\n"),
		 "PKCS#10", CSR_WHY_MALFORMED},
		{"RSA 1024", request_by(rsa1024, rsa1024, EVP_sha256(), NULL), "RSA of 1024 bits",
		 CSR_WHY_WEAK_KEY},
		{"P-224", request_by(p224, p224, EVP_sha256(), NULL), "neither RSA",
		 CSR_WHY_WEAK_KEY},
		{"secp256k1", request_by(k1, k1, EVP_sha256(), NULL), "neither RSA",
		 CSR_WHY_WEAK_KEY},
		{"a curve by its parameters", request_by(explicit, explicit, EVP_sha256(), NULL),
		 "neither RSA", CSR_WHY_WEAK_KEY},
		{"signed by another key", request_by(p256, other, EVP_sha256(), NULL),
		 "not by the key", CSR_WHY_SIGNATURE},
		{"signed by another kind of key", request_by(p256, rsa2048, EVP_sha256(), NULL),
		 "not by the key", CSR_WHY_SIGNATURE},
		{"signed with SHA-1", request_by(rsa2048, rsa2048, EVP_sha1(), NULL), "weak",
		 CSR_WHY_ALGORITHM},
		{"signed with MD5", request_by(rsa2048, rsa2048, EVP_md5(), NULL), "weak",
		 CSR_WHY_ALGORITHM},
		{"changed on the way", tampered(), "signing request", CSR_WHY_SIGNATURE},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct err err = {0};
		enum csr_why why;
		struct csr *csr = csr_read(slice_of(rows[i].pem), &why, &err);
		if (!csr != !!rows[i].says || why != rows[i].why ||
		    (rows[i].says && !strstr(err.text, rows[i].says)))
			fail_msg("%s: %s", rows[i].rule, err.text);
		csr_free(csr);
		free(rows[i].pem);
	}
	struct err err = {0};
	char *huge = mem_new(CSR_MAX + 2);
	memset(huge, 'A', CSR_MAX + 1);
	assert_null(csr_read(slice_of(huge), NULL, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	free(huge);
	EVP_PKEY *all[] = {p256, other, p224, rsa1024, rsa2048, k1, explicit, e3, ed};
	for (size_t i = 0; i < N_ELEMS(all); i++)
		EVP_PKEY_free(all[i]);
}

/* As Go's crypto/x509 writes what an Istio agent asks for. */
static void a_request_has_istios_shape(void **state)
{
	(void)state;
	char *pem = make_request(KEYPAIR_EC_P256, DB);
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	X509_NAME *subject = X509_REQ_get_subject_name(req);
	assert_int_equal(X509_NAME_entry_count(subject), 1);
	assert_int_equal(X509_NAME_get_index_by_NID(subject, NID_organizationName, -1), 0);
	assert_int_equal(
		ASN1_STRING_length(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, 0))), 0);
	STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
	assert_int_equal(sk_X509_EXTENSION_num(exts), 1);
	X509_EXTENSION *san = sk_X509_EXTENSION_value(exts, 0);
	assert_int_equal(OBJ_obj2nid(X509_EXTENSION_get_object(san)), NID_subject_alt_name);
	assert_true(X509_EXTENSION_get_critical(san));
	GENERAL_NAMES *names = X509V3_EXT_d2i(san);
	assert_int_equal(sk_GENERAL_NAME_num(names), 1);
	assert_int_equal(sk_GENERAL_NAME_value(names, 0)->type, GEN_URI);
	GENERAL_NAMES_free(names);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	X509_REQ_free(req);
	BIO_free(bio);
	free(pem);
}

/* ---- certificates ----------------------------------------------------------------------------- */

static struct csr *request(enum keypair_kind kind, const char *uri)
{
	struct err err = {0};
	char *pem = make_request(kind, uri);
	struct csr *csr = csr_read(slice_of(pem), NULL, &err);
	assert_non_null(csr);
	free(pem);
	return csr;
}

static X509 *parse(struct slice pem)
{
	BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_non_null(cert);
	BIO_free(bio);
	return cert;
}

static bool ends_in_newline(struct slice pem)
{
	return slice_ends(pem, SLICE("-----END CERTIFICATE-----\n"));
}

/* mtls.md 4, row by row. */
static void a_leaf_is_as_istio_makes_them(void **state)
{
	(void)state;
	struct err err = {0};
	struct arena *arena = arena_new();
	struct ca *ca = new_root("cluster.local");
	/* it asked to be somebody else */
	struct csr *csr =
		request(KEYPAIR_EC_P256, "spiffe://cluster.local/ns/kube-system/sa/admin");
	struct ca_answer a;
	assert_true(ca_sign(ca, &(struct ca_order){.csr = csr, .uri = DB, .now_s = now}, arena, &a,
			    &err));
	assert_int_equal(a.n, 2);
	assert_true(ends_in_newline(a.cert[0]) && ends_in_newline(a.cert[1]));
	assert_true(slice_eq(a.cert[1], ca_roots(ca)));
	X509 *leaf = parse(a.cert[0]), *root = parse(a.cert[1]);
	struct cert_facts f;
	assert_true(cert_nth(a.cert[0], 0, arena, &f, &err));
	assert_string_equal(f.names, DB);
	assert_string_equal(f.uri, DB);
	assert_string_equal(f.subject, "");
	assert_string_equal(f.issuer, "O=cluster.local");
	assert_string_equal(f.key, "EC P-256");
	assert_int_equal(f.not_before_s, now - 120);
	assert_int_equal(f.not_after_s, now + 86400);
	assert_int_equal(a.not_after_s, f.not_after_s);
	assert_false(f.is_ca);
	assert_true(strlen(f.serial) > 24);
	assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
	assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER | XKU_SSL_CLIENT);
	int critical = -1;
	GENERAL_NAMES *san = X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL);
	assert_int_equal(critical, 1);
	GENERAL_NAMES_free(san);
	BASIC_CONSTRAINTS *bc = X509_get_ext_d2i(leaf, NID_basic_constraints, &critical, NULL);
	assert_true(bc && !bc->ca && critical);
	BASIC_CONSTRAINTS_free(bc);
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(leaf), csr_pkey(csr)), 1);
	assert_int_equal(X509_verify(leaf, X509_get0_pubkey(root)), 1);
	/* another serial each time */
	struct ca_answer b;
	struct cert_facts g;
	assert_true(ca_sign(ca, &(struct ca_order){.csr = csr, .uri = DB, .now_s = now}, arena, &b,
			    &err));
	assert_true(cert_nth(b.cert[0], 0, arena, &g, &err));
	assert_string_not_equal(f.serial, g.serial);
	X509_free(leaf);
	X509_free(root);
	csr_free(csr);
	ca_put(ca);
	arena_free(arena);
}

static void lifetimes(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		int64_t ttl_s, life_s; /* 0: refused */
	} rows[] = {
		{"nothing asked", 0, 86400},
		{"nonsense asked", -5, 86400},
		{"an hour", 3600, 3600},
		{"90 days", 90 * CA_DAY_S, 90 * CA_DAY_S},
		{"90 days and a second", 90 * CA_DAY_S + 1, 0},
		{"for ever", INT64_MAX, 0},
	};
	struct arena *arena = arena_new();
	struct ca *ca = new_root("td");
	struct csr *csr = request(KEYPAIR_EC_P256, DB);
	struct ca_answer a;
	struct err err = {0};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct ca_order order = {
			.csr = csr, .uri = DB, .now_s = now, .ttl_s = rows[i].ttl_s};
		bool ok = ca_sign(ca, &order, arena, &a, &err);
		if (ok != (rows[i].life_s > 0) || (ok && a.not_after_s != now + rows[i].life_s))
			fail_msg("%s", rows[i].rule);
		assert_true(ok || err.kind == ERR_BAD_INPUT);
	}
	/* not beyond the authority's own end, and not after it */
	struct ca_order late = {.csr = csr, .uri = DB, .now_s = ca_not_after_s(ca) - 60};
	assert_true(ca_sign(ca, &late, arena, &a, &err));
	assert_int_equal(a.not_after_s, ca_not_after_s(ca));
	late.now_s += 60;
	assert_false(ca_sign(ca, &late, arena, &a, &err));
	assert_int_equal(err.kind, ERR_NOT_NOW);
	csr_free(csr);
	ca_put(ca);
	arena_free(arena);
}

static void common_names(void **state)
{
	(void)state;
	struct err err = {0};
	struct arena *arena = arena_new();
	struct ca *ca = new_root("td");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	char *pem = request_by(key, key, EVP_sha256(), "anything");
	struct csr *csr = csr_read(slice_of(pem), NULL, &err);
	struct ca_answer a;
	struct cert_facts f;
	assert_true(ca_sign(ca, &(struct ca_order){.csr = csr, .uri = DB, .now_s = now}, arena, &a,
			    &err));
	assert_true(cert_nth(a.cert[0], 0, arena, &f, &err));
	assert_string_equal(f.subject, "CN=" DB); /* who it is, not what it asked for */
	const char *longer = "spiffe://cluster.local/ns/a-rather-long-namespace/sa/"
			     "an-even-longer-service-account";
	assert_true(ca_sign(ca, &(struct ca_order){.csr = csr, .uri = longer, .now_s = now}, arena,
			    &a, &err));
	assert_true(cert_nth(a.cert[0], 0, arena, &f, &err));
	assert_string_equal(f.subject, "");
	csr_free(csr);
	EVP_PKEY_free(key);
	free(pem);
	ca_put(ca);
	arena_free(arena);
}

static void a_server_of_our_own(void **state)
{
	(void)state;
	struct err err = {0};
	struct arena *arena = arena_new();
	struct ca *ca = new_root("td");
	struct keypair *key = keypair_new(KEYPAIR_EC_P256, &err);
	struct ca_answer a;
	struct cert_facts f;
	struct ca_order order = {.key = key,
				 .dns = {"istiod.istio-system.svc", "istiod.istio-system"},
				 .now_s = now};
	assert_true(ca_sign(ca, &order, arena, &a, &err));
	assert_true(cert_nth(a.cert[0], 0, arena, &f, &err));
	assert_string_equal(f.names, "istiod.istio-system.svc,istiod.istio-system");
	struct tls_identity *id =
		tls_identity_with_key(a.cert[0], keypair_pkey(key), ca_roots(ca), &err);
	assert_non_null(id);
	tls_identity_put(id);
	keypair_put(key);
	ca_put(ca);
	arena_free(arena);
}

/* ---- given authorities ------------------------------------------------------------------------ */

static char *issue_ca(X509 *issuer, EVP_PKEY *issuer_key, EVP_PKEY *key, const char *name,
		      bool authority)
{
	X509 *cert = X509_new();
	MUST(X509_set_version(cert, X509_VERSION_3) == 1 &&
	     ASN1_INTEGER_set(X509_get_serialNumber(cert), 7) == 1 &&
	     X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
	     X509_gmtime_adj(X509_getm_notAfter(cert), 30 * 86400L) &&
	     X509_set_pubkey(cert, key) == 1 &&
	     X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "O", MBSTRING_ASC,
					(const unsigned char *)name, -1, -1, 0) == 1 &&
	     X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, NID_basic_constraints,
						  authority ? "critical,CA:TRUE" : "CA:FALSE");
	MUST(X509_add_ext(cert, ext, -1) == 1 && X509_sign(cert, issuer_key, EVP_sha256()) > 0);
	X509_EXTENSION_free(ext);
	struct arena *arena = arena_new();
	char *pem = mem_strdup(ossl_cert_pem(cert, arena).at);
	arena_free(arena);
	X509_free(cert);
	return pem;
}

/* root -> middle -> issuing, as an operator would keep them */
struct given {
	struct ca *root;
	char *root_key, *middle, *issuing, *issuing_key, *other_key, *leaf;
};

static struct given give(void)
{
	struct given g = {.root = new_root("given")};
	struct err err = {0};
	g.root_key = ca_key(g.root);
	struct keypair *root = keypair_from_pem(slice_of(g.root_key), &err);
	struct keypair *middle = keypair_new(KEYPAIR_EC_P256, &err);
	struct keypair *issuing = keypair_new(KEYPAIR_EC_P256, &err);
	struct keypair *other = keypair_new(KEYPAIR_EC_P256, &err);
	X509 *root_cert = parse(ca_cert(g.root));
	g.middle = issue_ca(root_cert, root->key, middle->key, "middle", true);
	X509 *middle_cert = parse(slice_of(g.middle));
	g.issuing = issue_ca(middle_cert, middle->key, issuing->key, "issuing", true);
	g.leaf = issue_ca(middle_cert, middle->key, issuing->key, "leaf", false);
	g.issuing_key = keypair_pem(issuing);
	g.other_key = keypair_pem(other);
	X509_free(root_cert);
	X509_free(middle_cert);
	keypair_put(root), keypair_put(middle), keypair_put(issuing), keypair_put(other);
	return g;
}

static void take_back(struct given *g)
{
	ca_put(g->root);
	keypair_pem_free(g->root_key);
	keypair_pem_free(g->issuing_key);
	keypair_pem_free(g->other_key);
	free(g->middle), free(g->issuing), free(g->leaf);
}

static void loading(void **state)
{
	(void)state;
	struct given g = give();
	const char *root = ca_roots(g.root).at;
	char chain[8192], backwards[8192];
	(void)snprintf(chain, sizeof(chain), "%s%s%s", g.issuing, g.middle, root);
	(void)snprintf(backwards, sizeof(backwards), "%s%s", root, g.middle);
	struct ca *foreign = new_root("foreign");
	const struct {
		const char *rule, *cert, *key, *roots, *chain, *says;
		unsigned sent; /* certificates in an answer */
		int64_t in_s;
	} rows[] = {
		{"self-signed, alone", root, g.root_key, "", "", NULL, 2, 0},
		{"self-signed, and named as root", root, g.root_key, root, "", NULL, 2, 0},
		{"Istio's four files", g.issuing, g.issuing_key, root, chain, NULL, 4, 0},
		{"the chain in another order", g.issuing, g.issuing_key, root, backwards, NULL, 4,
		 0},
		{"the chain behind the certificate", chain, g.issuing_key, root, "", NULL, 4, 0},
		{"the middle is the root here", g.issuing, g.issuing_key, g.middle, "", NULL, 3, 0},
		{"the middle is missing", g.issuing, g.issuing_key, root, "", "does not lead", 0,
		 0},
		{"a foreign root", g.issuing, g.issuing_key, ca_roots(foreign).at, chain,
		 "does not lead", 0, 0},
		{"no root", g.issuing, g.issuing_key, "", chain, "root-cert.pem: needed", 0, 0},
		{"another key", g.issuing, g.other_key, root, chain, "not the key of", 0, 0},
		{"no authority", g.leaf, g.issuing_key, root, chain, "CA:TRUE", 0, 0},
		{"expired", g.issuing, g.issuing_key, root, chain, "expired", 0, 31 * CA_DAY_S},
		{"no certificate", "", g.issuing_key, root, chain, "ca-cert.pem: no", 0, 0},
		{"no key", g.issuing, "", root, chain, "ca-key.pem", 0, 0},
		{"roots are not PEM", g.issuing, g.issuing_key, "x", chain, "root-cert.pem: no", 0,
		 0},
	};
	struct arena *arena = arena_new();
	struct csr *csr = request(KEYPAIR_EC_P256, DB);
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct err err = {0};
		struct ca_answer a;
		struct ca *ca = ca_load(
			&(struct ca_files){slice_of(rows[i].cert), slice_of(rows[i].key),
					   slice_of(rows[i].roots), slice_of(rows[i].chain)},
			now + rows[i].in_s, &err);
		if (!ca != !!rows[i].says || (rows[i].says && !strstr(err.text, rows[i].says)))
			fail_msg("%s: %s", rows[i].rule, err.text);
		if (!ca)
			continue;
		assert_true(ca_sign(ca, &(struct ca_order){.csr = csr, .uri = DB, .now_s = now},
				    arena, &a, &err));
		if (a.n != rows[i].sent)
			fail_msg("%s: %u certificates", rows[i].rule, a.n);
		for (unsigned k = 0; k + 1 < a.n; k++) { /* each is signed by the next */
			X509 *below = parse(a.cert[k]), *above = parse(a.cert[k + 1]);
			assert_int_equal(X509_verify(below, X509_get0_pubkey(above)), 1);
			X509_free(below), X509_free(above);
		}
		ca_put(ca);
	}
	csr_free(csr);
	arena_free(arena);
	ca_put(foreign);
	take_back(&g);
}

/* A new root comes in three steps: both trusted, the new one signs, the old one goes. */
static void two_roots(void **state)
{
	(void)state;
	struct err err = {0};
	struct arena *arena = arena_new();
	struct ca *old = new_root("td"), *new = new_root("td");
	struct ca *both = ca_with_roots(old, ca_roots(new), &err);
	struct ca *again = ca_with_roots(both, ca_roots(new), &err);
	assert_true(both && again);
	assert_int_equal(ca_roots(both).len, ca_roots(old).len + ca_roots(new).len);
	assert_true(slice_eq(ca_roots(both), ca_roots(again)));
	assert_true(slice_eq(ca_cert(both), ca_cert(old)));
	struct csr *csr = request(KEYPAIR_EC_P256, DB);
	struct ca_answer a;
	assert_true(ca_sign(both, &(struct ca_order){.csr = csr, .uri = DB, .now_s = now}, arena,
			    &a, &err));
	assert_int_equal(a.n, 2);
	assert_true(slice_eq(a.cert[1], ca_roots(both))); /* the last element is all roots */
	assert_null(ca_with_roots(old, SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n"), &err));
	csr_free(csr);
	ca_put(old), ca_put(new), ca_put(both), ca_put(again);
	arena_free(arena);
}

static void stored_and_found_again(void **state)
{
	(void)state;
	struct err err = {0};
	struct ca *ca = new_root("td");
	char *key = ca_key(ca);
	struct ca *again =
		ca_load(&(struct ca_files){.cert = ca_cert(ca), .key = slice_of(key)}, now, &err);
	assert_non_null(again);
	assert_true(slice_eq(ca_roots(ca), ca_roots(again)));
	keypair_pem_free(key);
	ca_put(ca);
	ca_put(again);
}

static void keys(void **state)
{
	(void)state;
	struct err err = {0};
	for (enum keypair_kind kind = KEYPAIR_EC_P256; kind <= KEYPAIR_RSA_2048; kind++) {
		struct keypair *key = keypair_new(kind, &err);
		char *pem = keypair_pem(key);
		struct keypair *back = keypair_from_pem(slice_of(pem), &err);
		assert_non_null(back);
		assert_int_equal(EVP_PKEY_eq(keypair_pkey(key), keypair_pkey(back)), 1);
		keypair_put(back);
		keypair_put(key);
		keypair_pem_free(pem);
	}
	assert_null(keypair_from_pem(SLICE("nonsense"), &err));
	EVP_PKEY *weak = EVP_RSA_gen(1024);
	assert_false(keypair_usable(weak, &err));
	EVP_PKEY_free(weak);
}

static void facts_of_a_chain(void **state)
{
	(void)state;
	struct err err = {0};
	struct arena *arena = arena_new();
	struct ca *ca = new_root("td");
	struct cert_facts f;
	assert_true(cert_nth(ca_cert(ca), 0, arena, &f, &err));
	assert_true(f.is_ca && f.self_signed);
	assert_string_equal(f.subject, "O=td");
	assert_int_equal(strlen(f.sha256), 64);
	assert_int_equal(f.not_after_s, ca_not_after_s(ca));
	assert_false(cert_nth(ca_cert(ca), 1, arena, &f, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_false(cert_nth(SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n"), 0, arena, &f, &err));
	assert_int_equal(err.kind, ERR_BAD_INPUT);
	ca_put(ca);
	arena_free(arena);
}

static void chains_and_roots(void **state)
{
	(void)state;
	struct err err = {0};
	struct arena *arena = arena_new();
	struct ca *ca = new_root("cluster.local"), *other = new_root("cluster.local");
	struct keypair *key = keypair_new(KEYPAIR_EC_P256, &err);
	struct ca_order order = {.key = key, .uri = DB, .now_s = now, .ttl_s = 1000};
	struct ca_answer a;
	struct ca *both = ca_with_roots(other, ca_roots(ca), &err);
	assert_true(ca_sign(ca, &order, arena, &a, &err));
	const struct {
		const char *rule;
		struct slice chain, roots;
		int64_t at_s;
		bool leads;
		const char *says;
	} rows[] = {
		{"to its root", a.cert[0], ca_roots(ca), now, true, ""},
		{"to one of two", a.cert[0], ca_roots(both), now, true, ""},
		{"to another of the same name", a.cert[0], ca_roots(other), now, false, ""},
		{"our clock is behind", a.cert[0], ca_roots(ca), now - CA_SKEW_S - 100, true, ""},
		{"far behind", a.cert[0], ca_roots(ca), now - CA_SKEW_S - 200, false, "not yet"},
		{"our clock is ahead", a.cert[0], ca_roots(ca), now + 1000 + 100, true, ""},
		{"far ahead", a.cert[0], ca_roots(ca), now + 1000 + 200, false, "expired"},
		{"no certificate", {0}, ca_roots(ca), now, false, "none"},
		{"no root", a.cert[0], {0}, now, false, ""},
		{"rubbish", SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n"), ca_roots(ca), now, false,
		 ""},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		err = (struct err){0};
		bool leads = cert_leads_to(rows[i].chain, rows[i].roots, rows[i].at_s, 120, &err);
		if (leads != rows[i].leads || !strstr(err.text, rows[i].says))
			fail_msg("%s: %s", rows[i].rule, err.text);
	}
	ca_put(ca);
	ca_put(other);
	ca_put(both);
	keypair_put(key);
	arena_free(arena);
}

int main(void)
{
	now = (int64_t)time(NULL);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(requests),
		cmocka_unit_test(a_request_has_istios_shape),
		cmocka_unit_test(a_leaf_is_as_istio_makes_them),
		cmocka_unit_test(lifetimes),
		cmocka_unit_test(common_names),
		cmocka_unit_test(a_server_of_our_own),
		cmocka_unit_test(loading),
		cmocka_unit_test(two_roots),
		cmocka_unit_test(stored_and_found_again),
		cmocka_unit_test(facts_of_a_chain),
		cmocka_unit_test(chains_and_roots),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
