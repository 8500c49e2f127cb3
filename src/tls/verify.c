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

static int64_t seconds_of(const ASN1_TIME *at)
{
	struct tm tm = {0};
	return ASN1_TIME_to_tm(at, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* ---- names ------------------------------------------------------------------------------------ */

static size_t text_len(const GENERAL_NAMES *names)
{
	size_t len = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_URI || name->type == GEN_DNS)
			len += (size_t)ASN1_STRING_length(name->d.ia5);
	}
	return len;
}

/* A copy of S at the end of TEXT, which has room for it. */
static struct slice put_text(char *text, size_t *used, const void *s, size_t len)
{
	struct slice put = {&text[*used], len};
	if (len > 0)
		memcpy(&text[*used], s, len);
	*used += len;
	return put;
}

static void put_names(struct tls_peer *p, const GENERAL_NAMES *names, char *text, size_t *used)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		bool uri = name->type == GEN_URI;
		if (!uri && name->type != GEN_DNS)
			continue;
		unsigned *n = uri ? &p->n_uris : &p->n_dns;
		if (*n == TLS_MAX_SANS) {
			p->sans_dropped = true;
			continue;
		}
		const ASN1_IA5STRING *s = name->d.ia5;
		(uri ? p->uris : p->dns)[(*n)++] = put_text(text, used, ASN1_STRING_get0_data(s),
							    (size_t)ASN1_STRING_length(s));
	}
}

/* In memory of its own, text behind the struct. */
struct tls_peer *tls_peer_new(X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	BIO *subject = BIO_new(BIO_s_mem());
	MUST(subject);
	if (X509_NAME_entry_count(X509_get_subject_name(cert)) > 0)
		(void)X509_NAME_print_ex(subject, X509_get_subject_name(cert), 0,
					 XN_FLAG_RFC2253); /* a name it cannot print stays empty */
	char *at = NULL;
	long subject_len = BIO_get_mem_data(subject, &at);
	size_t len = text_len(names) + (size_t)subject_len, used = 0;
	struct tls_peer *p = mem_new(sizeof(*p) + len);
	char *text = (char *)&p[1];
	put_names(p, names, text, &used);
	p->subject = put_text(text, &used, at, (size_t)subject_len);
	p->not_after_s = seconds_of(X509_get0_notAfter(cert));
	MUST(X509_digest(cert, EVP_sha256(), p->sha256, NULL) == 1);
	BIO_free(subject);
	GENERAL_NAMES_free(names);
	return p;
}

/* ---- the verdict ------------------------------------------------------------------------------ */

bool tls_accept(struct tls *t, X509 *cert)
{
	free(t->peer);
	t->peer = tls_peer_new(cert);
	if (!t->start.accept_peer)
		return true;
	enum tls_why why = t->start.accept_peer(t->start.accept_ctx, t->peer);
	if (why == TLS_WHY_NONE)
		return true;
	t->why = why;
	return false;
}

bool tls_accept_resumed(struct tls *t, X509 *cert)
{
	if (cert && tls_in_time(t->ctx, cert))
		return tls_accept(t, cert);
	if (!cert && t->ctx->peer_optional)
		return true; /* as in the handshake that the ticket is from */
	t->why = cert ? TLS_WHY_EXPIRED : TLS_WHY_NO_CERT;
	return false;
}

bool tls_would_accept(struct tls *t, SSL_SESSION *session)
{
	bool welcome = tls_accept_resumed(t, SSL_SESSION_get0_peer(session));
	t->why = TLS_WHY_NONE; /* nothing has failed yet */
	free(t->peer);
	t->peer = NULL;
	return welcome;
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
