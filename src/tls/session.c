#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "tls/inside.h"

struct tls_worker *tls_worker_new(void)
{
	return mem_new(sizeof(struct tls_worker));
}

void tls_worker_free(struct tls_worker *w)
{
	if (w)
		(void)tls_worker_trim(w, true); /* how much, nobody asks */
	free(w);
}

static bool start_client(struct tls *t, struct err *err)
{
	uint8_t wire[TLS_MAX_ALPN];
	if (t->start.alpn && *t->start.alpn) {
		size_t n = tls_alpn_wire(t->start.alpn, wire);
		if (n == 0)
			return err_set(err, ERR_BAD_INPUT,
				       "ALPN list \"%s\": an empty or too long value",
				       t->start.alpn);
		if (SSL_set_alpn_protos(t->ssl, wire, (unsigned)n) != 0) /* 0 is success */
			return tls_ossl_err(err, ERR_SYS, "ALPN list");
	}
	if (t->start.sni && SSL_set_tlsext_host_name(t->ssl, t->start.sni) != 1)
		return tls_ossl_err(err, ERR_BAD_INPUT, "SNI");
	if (t->start.host && SSL_set1_host(t->ssl, t->start.host) != 1)
		return tls_ossl_err(err, ERR_BAD_INPUT, "host name");
	tls_tickets_offer(t);
	SSL_set_connect_state(t->ssl);
	return true;
}

struct tls *tls_new(struct tls_context *ctx, const struct tls_start *start, struct err *err)
{
	tls_forget_errors();
	MUST(!start->accept_peer || ctx->verify_peer);
	struct tls *t = mem_new(sizeof(*t));
	t->ctx = tls_context_get(ctx);
	t->worker = start->worker;
	t->start = *start;
	t->ssl = SSL_new(ctx->ssl);
	if (!t->ssl || !tls_bio_attach(t)) {
		tls_ossl_err(err, ERR_LIMIT, "TLS session");
		goto fail;
	}
	SSL_set_app_data(t->ssl, t);
	if (ctx->role == TLS_SERVER)
		SSL_set_accept_state(t->ssl);
	else if (!start_client(t, err))
		goto fail;
	return t;
fail:
	tls_free(t);
	return NULL;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	/* Freed without a close_notify, a session would be taken for broken, and its ticket would
	 * be void. What a truncation could do is known by TLS_CUT. */
	if (t->done && !t->failed)
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	tls_lend(t->worker);
	SSL_free(t->ssl);
	tls_lend(NULL);
	tls_context_put(t->ctx);
	free(t->peer);
	free(t->offered);
	free(t->in);
	free(t->out);
	free(t);
}

static enum tls_result fail(struct tls *t, const char *what, struct err *err)
{
	(void)tls_blame(t, what, err); /* always false */
	if (t->start.tickets && !t->heard)
		tls_tickets_drop(t->start.tickets); /* it may have been the ticket's fault */
	return t->done && t->why == TLS_WHY_RESET ? TLS_RESET : TLS_FAILED;
}

static enum tls_result failed_before(const struct tls *t, const char *what, struct err *err)
{
	err_set(err, ERR_NOT_NOW, "%s: %s", what, tls_why_text(t->why));
	return t->done && t->why == TLS_WHY_RESET ? TLS_RESET : TLS_FAILED;
}

/* ---- handshake -------------------------------------------------------------------------------- */

static enum tls_result handshake_over(struct tls *t, struct err *err)
{
	t->done = true;
	/* A resumed session brings its peer along; OpenSSL verifies nothing then. */
	if (!t->ctx->verify_peer || !SSL_session_reused(t->ssl) || tls_accept_resumed(t)) {
		tls_tickets_renewed(t);
		return TLS_OK;
	}
	/* OpenSSL sends alerts of its own accord only: the peer gets close_notify. */
	(void)SSL_shutdown(t->ssl); /* we are refusing it anyway */
	return fail(t, "TLS handshake", err);
}

/*
 * While a handshake waits for the peer, OpenSSL would keep a buffer for each way, 32 KiB; and after a
 * message of the protocol among the bytes (a ticket, a new key) one for an answer, until something is
 * written. Before 3.0.14 it would take away the buffer of a record that has come in part
 * (CVE-2024-4741).
 */
static void drop_buffers(struct tls *t)
{
	static const unsigned long sound = 0x300000e0L;
	if (OpenSSL_version_num() >= sound)
		(void)SSL_free_buffers(t->ssl); /* refuses what is in use */
}

enum tls_result tls_handshake(struct tls *t, struct err *err)
{
	if (t->failed)
		return failed_before(t, "TLS handshake", err);
	if (t->done)
		return TLS_OK;
	tls_forget_errors();
	tls_in_begin(t, TLS_RECORD_MAX);
	int ok = SSL_do_handshake(t->ssl);
	int what = ok == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, ok);
	if (what == SSL_ERROR_NONE || what == SSL_ERROR_WANT_READ)
		drop_buffers(t);
	tls_in_end(t);
	switch (what) {
	case SSL_ERROR_NONE:
		return handshake_over(t, err);
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	default:
		return fail(t, "TLS handshake", err);
	}
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* What a read that gave nothing means. */
static enum tls_result read_ended(struct tls *t, int what, struct err *err)
{
	switch (what) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: /* the BIO takes what OpenSSL writes while it reads */
		return TLS_WANT_READ;
	case SSL_ERROR_ZERO_RETURN:
		tls_forget_errors();
		return t->eof ? TLS_CUT : TLS_END;
	default:
		return fail(t, "TLS read", err);
	}
}

enum tls_result tls_read(struct tls *t, char *room, size_t len, size_t *n, struct err *err)
{
	*n = 0;
	MUST(t->done && len > 0);
	if (t->failed)
		return failed_before(t, "TLS read", err);
	tls_forget_errors();
	(void)tls_flush(t); /* what still waits is asked for by writes */
	tls_in_begin(t, len);
	int what = SSL_ERROR_NONE;
	while (*n < len && what == SSL_ERROR_NONE) {
		size_t got = 0;
		int ok = SSL_read_ex(t->ssl, &room[*n], len - *n, &got);
		what = ok == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, ok);
		*n += got;
	}
	if (what == SSL_ERROR_WANT_READ && (*n == 0 || t->got_ticket))
		drop_buffers(t);
	t->got_ticket = false;
	tls_in_end(t);
	if (*n == 0)
		return read_ended(t, what, err);
	t->heard = true;
	/* What comes behind the bytes is told by the next read, which tls_pending() asks for. */
	if (what == SSL_ERROR_ZERO_RETURN)
		t->ended = true;
	else if (what != SSL_ERROR_NONE && what != SSL_ERROR_WANT_READ)
		(void)tls_blame(t, "TLS read", NULL); /* always false */
	return TLS_OK;
}

bool tls_pending(const struct tls *t)
{
	return !t->empty || t->to_end || t->ended || t->failed || t->in || SSL_pending(t->ssl) > 0;
}

void tls_end_announced(struct tls *t)
{
	t->to_end = true;
}

/* ---- writing ---------------------------------------------------------------------------------- */

/* RFC 8446 5.5: a key must not seal more than some 2^24 full records. */
static bool rekey(struct tls *t, size_t len)
{
	t->sealed += len;
	if (t->sealed < TLS_REKEY_BYTES || SSL_version(t->ssl) != TLS1_3_VERSION)
		return true;
	t->sealed = 0;
	return SSL_key_update(t->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1;
}

/* One record; MORE: another one follows at once. True and t->out: sealed, but not all of it has
 * left. */
static bool seal(struct tls *t, struct slice bytes, bool more)
{
	size_t taken = 0;
	t->more = more;
	tls_lend(t->worker);
	bool ok = rekey(t, bytes.len) && SSL_write_ex(t->ssl, bytes.at, bytes.len, &taken) == 1;
	tls_lend(NULL);
	t->more = false;
	MUST(!ok || taken == bytes.len); /* partial writes are not enabled */
	return ok;
}

static enum tls_result nobody_listens(const struct tls *t, struct err *err)
{
	errno = t->out_errno;
	(void)err_sys(err, "TLS write"); /* always false */
	return TLS_RESET;
}

enum tls_result tls_write(struct tls *t, struct slice bytes, size_t *n, struct err *err)
{
	*n = 0;
	MUST(t->done && bytes.len > 0);
	if (t->failed)
		return failed_before(t, "TLS write", err);
	tls_forget_errors();
	t->io_errno = 0;
	if (!tls_flush(t))
		return TLS_WANT_WRITE;
	if (t->out_errno)
		return nobody_listens(t, err);
	MUST(t->out_plain <= bytes.len); /* the same bytes again */
	*n = t->out_plain;
	t->out_plain = 0;
	while (*n < bytes.len) {
		struct slice one = slice_sub(bytes, *n, TLS_RECORD_MAX);
		if (!seal(t, one, *n + one.len < bytes.len))
			return fail(t, "TLS write", err);
		if (t->out_errno)
			return nobody_listens(t, err);
		if (t->out) {
			t->out_plain = one.len;
			return *n > 0 ? TLS_OK : TLS_WANT_WRITE;
		}
		*n += one.len;
	}
	return TLS_OK;
}

enum tls_result tls_close_write(struct tls *t, struct err *err)
{
	MUST(t->done && t->out_plain == 0);
	if (t->failed)
		return failed_before(t, "TLS close", err);
	if (t->write_closed)
		return TLS_OK;
	tls_forget_errors();
	t->io_errno = 0;
	if (!t->notified && SSL_shutdown(t->ssl) < 0)
		return fail(t, "TLS close", err);
	t->notified = true;
	if (!tls_flush(t))
		return TLS_WANT_WRITE;
	(void)shutdown(t->start.fd, SHUT_WR); /* fails only where the peer is gone: reads tell */
	t->write_closed = true;
	return TLS_OK;
}

/* ---- facts ------------------------------------------------------------------------------------ */

enum tls_why tls_why(const struct tls *t)
{
	return t->why;
}

const struct tls_peer *tls_peer_of(const struct tls *t)
{
	return t->peer;
}

void tls_facts_of(const struct tls *t, struct tls_facts *out)
{
	const unsigned char *alpn = NULL;
	unsigned alpn_len = 0;
	SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_len);
	const char *sni = t->ctx->role == TLS_SERVER
				  ? SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name)
				  : NULL;
	*out = (struct tls_facts){
		.version = SSL_get_version(t->ssl),
		.cipher = SSL_get_cipher_name(t->ssl),
		.alpn = {(const char *)alpn, alpn_len},
		.offered = t->offered ? t->offered : "",
		.sni = sni ? sni : "",
		.resumed = SSL_session_reused(t->ssl) == 1,
	};
}
