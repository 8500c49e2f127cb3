#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "tls/inside.h"

/* ---- dates ------------------------------------------------------------------------------------ */

static bool not_before_ok(const struct tls_context *c, const X509 *cert)
{
	time_t late = time(NULL) + (time_t)c->clock_skew_s;
	return X509_cmp_time(X509_get0_notBefore(cert), &late) < 0;
}

static bool not_after_ok(const struct tls_context *c, const X509 *cert)
{
	time_t early = time(NULL) - (time_t)c->clock_skew_s;
	return X509_cmp_time(X509_get0_notAfter(cert), &early) > 0; /* 0: not a time at all */
}

bool tls_in_time(const struct tls_context *c, const X509 *cert)
{
	return not_before_ok(c, cert) && not_after_ok(c, cert);
}

/* ---- the verdict ------------------------------------------------------------------------------ */

static enum tls_why verdict(const struct tls *t, const struct tls_peer *peer)
{
	return t->start.accept_peer ? t->start.accept_peer(t->start.accept_ctx, peer)
				    : TLS_WHY_NONE;
}

static bool accepted(struct tls *t, enum tls_why why)
{
	if (why != TLS_WHY_NONE)
		t->why = why;
	return why == TLS_WHY_NONE;
}

bool tls_accept(struct tls *t, X509 *cert)
{
	free(t->peer);
	t->peer = tls_peer_new(cert);
	return accepted(t, verdict(t, t->peer));
}

static bool peer_in_time(const struct tls_context *c, const struct tls_peer *peer)
{
	return peer->not_after_s > (int64_t)time(NULL) - (int64_t)c->clock_skew_s;
}

static enum tls_why verdict_resumed(const struct tls *t, const struct tls_peer *peer)
{
	if (!peer) /* else as in the handshake that the ticket is from */
		return t->ctx->peer_optional ? TLS_WHY_NONE : TLS_WHY_NO_CERT;
	return peer_in_time(t->ctx, peer) ? verdict(t, peer) : TLS_WHY_EXPIRED;
}

bool tls_accept_resumed(struct tls *t)
{
	free(t->peer);
	t->peer = tls_peer_of_session(SSL_get_session(t->ssl));
	return accepted(t, verdict_resumed(t, t->peer));
}

bool tls_would_accept(const struct tls *t, SSL_SESSION *session)
{
	struct tls_peer *peer = tls_peer_of_session(session);
	enum tls_why why = verdict_resumed(t, peer);
	free(peer);
	return why == TLS_WHY_NONE;
}

/* Called by OpenSSL for each certificate and each fault: a date is forgiven within the skew. */
static int forgive_skew(int ok, X509_STORE_CTX *store)
{
	if (ok)
		return 1;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	const struct tls_context *c = ((struct tls *)SSL_get_app_data(ssl))->ctx;
	const X509 *cert = X509_STORE_CTX_get_current_cert(store);
	int fault = X509_STORE_CTX_get_error(store);
	bool forgiven = (fault == X509_V_ERR_CERT_HAS_EXPIRED && not_after_ok(c, cert)) ||
			(fault == X509_V_ERR_CERT_NOT_YET_VALID && not_before_ok(c, cert));
	if (forgiven)
		X509_STORE_CTX_set_error(store, X509_V_OK);
	return forgiven;
}

static enum tls_why why_of(int fault)
{
	switch (fault) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return TLS_WHY_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_WHY_NOT_YET_VALID;
	case X509_V_ERR_HOSTNAME_MISMATCH:
		return TLS_WHY_WRONG_HOST;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE: /* a foreign root of the same name */
	case X509_V_ERR_CERT_UNTRUSTED:
		return TLS_WHY_WRONG_ROOT;
	default:
		return TLS_WHY_BAD_CERT;
	}
}

/* The chain first, then who it is. The error set here picks the alert. */
static int verify_chain(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = SSL_get_app_data(ssl);
	if (X509_verify_cert(store) != 1) {
		t->why = why_of(X509_STORE_CTX_get_error(store));
		return 0;
	}
	/* The session would keep the chain for as long as it lives; nobody asks for it. */
	X509_STORE_CTX_set0_verified_chain(store, NULL);
	if (tls_accept(t, X509_STORE_CTX_get0_cert(store)))
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

void tls_verify_setup(struct tls_context *c)
{
	if (!c->verify_peer) {
		SSL_CTX_set_verify(c->ssl, SSL_VERIFY_NONE, NULL);
		return;
	}
	int demand = c->peer_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | demand, forgive_skew);
	SSL_CTX_set_cert_verify_callback(c->ssl, verify_chain, NULL);
}
