#include <openssl/err.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tls/inside.h"

/* What Istio's sidecars speak in TLS 1.2: pilot/pkg/security/authn/utils (server) and Envoy's
 * defaults (client). */
static const char *const ciphers_of[] = {
	[TLS_SERVER] = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
		       "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
		       "AES256-GCM-SHA384:AES128-GCM-SHA256",
	[TLS_CLIENT] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
		       "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
		       "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
};
/* AES-128 first, as BoringSSL has it where the CPU knows AES: the cheapest. */
static const char suites13[] =
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256";

static _Atomic uint64_t last_serial;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_openssl(void)
{
	/* No openssl.cnf: a session behaves the same in every container, and a sidecar reads no
	 * file of its neighbour's image. */
	MUST(OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1);
}

static bool set_parameters(SSL_CTX *ssl, const struct tls_options *o)
{
	/* IGNORE_UNEXPECTED_EOF: the session tells a cut from an orderly end by itself (t->eof),
	 * and its write side must survive it. */
	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_security_level(ssl, 2);
	SSL_CTX_set_max_cert_list(ssl, TLS_MAX_CERTS);
	return SSL_CTX_set_min_proto_version(ssl, o->min_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION) &&
	       SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) &&
	       SSL_CTX_set_cipher_list(ssl, o->ciphers ? o->ciphers : ciphers_of[o->role]) &&
	       SSL_CTX_set_ciphersuites(ssl, suites13) && SSL_CTX_set1_groups_list(ssl, groups);
}

static bool set_identity(SSL_CTX *ssl, const struct tls_identity *id)
{
	if (id->leaf && SSL_CTX_use_cert_and_key(ssl, id->leaf, id->key, id->chain, 1) != 1)
		return false;
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	for (int i = 0; i < sk_X509_num(id->roots); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(id->roots, i)) != 1)
			return false;
	/* Whatever is among the roots is an anchor, self-signed or not. */
	return X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1;
}

static bool fill(struct tls_context *c, const struct tls_options *o, struct err *err)
{
	c->ssl = SSL_CTX_new(o->role == TLS_SERVER ? TLS_server_method() : TLS_client_method());
	if (!c->ssl || !set_parameters(c->ssl, o))
		return tls_ossl_err(err, ERR_BAD_INPUT, "TLS parameters");
	if (!set_identity(c->ssl, o->identity))
		return tls_ossl_err(err, ERR_BAD_INPUT, "TLS identity");
	if (o->verify_peer && sk_X509_num(o->identity->roots) == 0)
		return err_set(err, ERR_BAD_INPUT,
			       "TLS identity: peers cannot be verified without roots");
	if (o->role == TLS_SERVER && !o->identity->leaf)
		return err_set(err, ERR_BAD_INPUT, "TLS identity: a server needs a certificate");
	if (o->peer_optional && (o->role != TLS_SERVER || !o->verify_peer))
		return err_set(err, ERR_BAD_INPUT,
			       "TLS identity: only a server that verifies can leave it optional");
	SSL_CTX_set_app_data(c->ssl, c);
	tls_verify_setup(c);
	tls_alpn_setup(c);
	return tls_tickets_setup(c, o->identity, err);
}

struct tls_context *tls_context_new(const struct tls_options *o, struct err *err)
{
	MUST(pthread_once(&once, init_openssl) == 0);
	ERR_clear_error();
	struct tls_context *c = mem_new(sizeof(*c));
	atomic_init(&c->refs, 1);
	c->serial = atomic_fetch_add(&last_serial, 1) + 1;
	c->role = o->role;
	c->verify_peer = o->verify_peer;
	c->peer_optional = o->peer_optional;
	c->clock_skew_s = o->clock_skew_s;
	if (o->ticket_keys)
		c->ticket_keys = tls_ticket_keys_get(o->ticket_keys);
	if (fill(c, o, err))
		return c;
	tls_context_put(c);
	return NULL;
}

struct tls_context *tls_context_get(struct tls_context *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void tls_context_put(struct tls_context *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
		return;
	SSL_CTX_free(c->ssl);
	tls_ticket_keys_put(c->ticket_keys);
	free(c);
}
