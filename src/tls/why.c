#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "base/mem.h"
#include "tls/inside.h"

static const struct {
	const char *label, *text;
} rows[] = {
#define TLS_WHY_ROW(name, label, text) [TLS_WHY_##name] = {label, text},
	TLS_WHY_ROWS
#undef TLS_WHY_ROW
};

const char *tls_why_label(enum tls_why why)
{
	return rows[why].label;
}

const char *tls_why_text(enum tls_why why)
{
	return rows[why].text;
}

/* An alert that the peer sent; RFC 8446 6. */
static enum tls_why why_of_alert(const struct tls *t, int alert)
{
	switch (alert) {
	case SSL_AD_CERTIFICATE_REQUIRED:
		return TLS_WHY_PEER_NO_CERT;
	case SSL_AD_UNKNOWN_CA:
		return TLS_WHY_PEER_WRONG_ROOT;
	case SSL_AD_CERTIFICATE_EXPIRED:
		return TLS_WHY_PEER_EXPIRED;
	case SSL_AD_NO_CERTIFICATE:
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_ACCESS_DENIED:
		return TLS_WHY_PEER_BAD_CERT;
	case SSL_AD_PROTOCOL_VERSION:
		return t->heard ? TLS_WHY_PEER_ALERT : TLS_WHY_NO_VERSION;
	case SSL_AD_HANDSHAKE_FAILURE:
		/* TLS 1.2 has no alert for it, but this is what a missing certificate gives. */
		if (t->ctx->role == TLS_CLIENT && !SSL_get_certificate(t->ssl))
			return TLS_WHY_PEER_NO_CERT;
		return TLS_WHY_PEER_REFUSED;
	default:
		/* A client of TLS 1.3 is done before the server has judged it. */
		return t->heard ? TLS_WHY_PEER_ALERT : TLS_WHY_PEER_REFUSED;
	}
}

static bool before_hello(const struct tls *t)
{
	OSSL_HANDSHAKE_STATE at = SSL_get_state(t->ssl);
	return t->ctx->role == TLS_SERVER && (at == TLS_ST_BEFORE || at == TLS_ST_SR_CLNT_HELLO);
}

/* What OpenSSL itself found wrong. */
static enum tls_why why_of_reason(const struct tls *t, int reason)
{
	switch (reason) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_VERSION_TOO_HIGH:
	case SSL_R_NO_PROTOCOLS_AVAILABLE:
		return TLS_WHY_NO_VERSION;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SUITABLE_GROUPS:
	case SSL_R_NO_CIPHERS_AVAILABLE:
		return TLS_WHY_NO_CIPHER;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return TLS_WHY_NO_CERT;
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
		return t->done ? TLS_WHY_BROKEN : TLS_WHY_NOT_TLS;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return TLS_WHY_BAD_CERT;
	default:
		return before_hello(t) ? TLS_WHY_BAD_HELLO : TLS_WHY_BROKEN;
	}
}

static const char *reason_text(unsigned long e)
{
	int reason = ERR_GET_REASON(e);
	if (ERR_GET_LIB(e) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET)
		return SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET);
	return ERR_reason_error_string(e);
}

bool tls_blame(struct tls *t, const char *what, struct err *err)
{
	unsigned long e = ERR_peek_last_error();
	int reason = ERR_GET_REASON(e);
	const char *detail = e ? reason_text(e) : NULL;
	if (t->why != TLS_WHY_NONE) {
		/* somebody knew better: verification, the BIO */
	} else if (e && ERR_GET_LIB(e) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET) {
		t->why = why_of_alert(t, reason - SSL_AD_REASON_OFFSET);
	} else if (e && ERR_GET_LIB(e) == ERR_LIB_SSL) {
		t->why = why_of_reason(t, reason);
	} else if (t->io_errno) {
		t->why = TLS_WHY_RESET;
		detail = strerror(t->io_errno);
	} else if (t->eof) {
		t->why = TLS_WHY_CUT;
	} else {
		t->why = before_hello(t) ? TLS_WHY_BAD_HELLO : TLS_WHY_BROKEN;
	}
	ERR_clear_error();
	t->failed = true;
	if (detail)
		return err_set(err, ERR_BAD_INPUT, "%s: %s (%s)", what, tls_why_text(t->why),
			       detail);
	return err_set(err, ERR_BAD_INPUT, "%s: %s", what, tls_why_text(t->why));
}

void tls_forget_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
}

bool tls_ossl_err(struct err *err, enum err_kind kind, const char *what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;
	err_set(err, kind, "%s: %s", what, reason ? reason : "cannot be read");
	ERR_clear_error();
	return false;
}
