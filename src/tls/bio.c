/*
 * The way to the socket. One receive fills the worker's buffer with as much as the reader has room
 * for, OpenSSL takes records out of it; so a record costs no system call of its own, as it would
 * with a socket BIO (two: header, body), and an idle session owns no buffer, as it would with
 * OpenSSL's own read-ahead. What a call leaves unread is copied into a block of just its size.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "tls/inside.h"

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static struct tls_rest *rest_new(const char *bytes, size_t len)
{
	struct tls_rest *r = mem_new(sizeof(*r) + len);
	r->len = len;
	memcpy(r->bytes, bytes, len);
	return r;
}

/* ---- receiving -------------------------------------------------------------------------------- */

void tls_in_begin(struct tls *t, size_t limit)
{
	struct tls_worker *w = t->worker;
	MUST(w->in_at == w->in_end);
	tls_lend(w);
	w->in_at = w->in_end = 0;
	t->in_limit = limit < TLS_IN_LEAST ? TLS_IN_LEAST : limit > TLS_IN_LEN ? TLS_IN_LEN : limit;
	t->empty = false;
	t->io_errno = 0;
	if (!t->in)
		return;
	MUST(t->in->len <= TLS_IN_LEN);
	memcpy(w->in, t->in->bytes, t->in->len);
	w->in_end = t->in->len;
	MEM_FREE(t->in);
}

void tls_in_end(struct tls *t)
{
	struct tls_worker *w = t->worker;
	if (w->in_at < w->in_end)
		t->in = rest_new(&w->in[w->in_at], w->in_end - w->in_at);
	w->in_at = w->in_end = 0;
	tls_lend(NULL);
}

/*
 * A ClientHello says its length in the 9th byte, and OpenSSL makes room for what it says, up to
 * 128 KiB: so those bytes are judged before it sees them. A first record too short to hold the
 * handshake header is legal and sent by nobody; it would hide the length.
 */
static bool hello_ok(struct tls *t, const char *bytes, size_t len)
{
	size_t n = TLS_HELLO_PREFIX - (size_t)t->hello_seen;
	n = n < len ? n : len;
	memcpy(&t->hello[t->hello_seen], bytes, n);
	t->hello_seen = (uint8_t)(t->hello_seen + n);
	const uint8_t *h = t->hello;
	if (h[0] != SSL3_RT_HANDSHAKE || (t->hello_seen > 1 && h[1] != SSL3_VERSION_MAJOR))
		t->why = TLS_WHY_NOT_TLS;
	else if ((t->hello_seen >= 5 && h[3] == 0 && h[4] < SSL3_HM_HEADER_LENGTH) ||
		 (t->hello_seen >= 6 && h[5] != SSL3_MT_CLIENT_HELLO))
		t->why = TLS_WHY_BAD_HELLO;
	else if (t->hello_seen == TLS_HELLO_PREFIX &&
		 ((size_t)h[6] << 16 | (size_t)h[7] << 8 | h[8]) > TLS_MAX_HELLO)
		t->why = TLS_WHY_HELLO_TOO_LONG;
	return t->why == TLS_WHY_NONE;
}

/* The server's, seen by whoever wants to. */
static bool first_ok(struct tls *t, struct slice bytes)
{
	t->hello_seen = 1;
	if (!t->start.first_bytes || t->start.first_bytes(t->start.accept_ctx, bytes))
		return true;
	t->why = TLS_WHY_NOT_TLS;
	return false;
}

static bool begins_well(struct tls *t, struct slice bytes)
{
	if (t->ctx->role == TLS_CLIENT)
		return t->hello_seen || first_ok(t, bytes);
	return t->hello_seen == TLS_HELLO_PREFIX || hello_ok(t, bytes.at, bytes.len);
}

/* More ciphertext into the worker's buffer, which is empty. 1: there is some, 0: the peer's end,
 * -1: none now, -2: failed. */
static int receive(struct tls *t)
{
	struct tls_worker *w = t->worker;
	if (t->eof)
		return 0;
	if (t->empty && !t->to_end)
		return -1;
	ssize_t n = recv(t->start.fd, w->in, t->in_limit, 0);
	if (n < 0 && would_block()) {
		t->empty = true;
		t->to_end = false;
		return -1;
	}
	if (n < 0) {
		t->io_errno = errno;
		return -2;
	}
	if (n == 0) {
		t->eof = true;
		return 0;
	}
	t->empty = (size_t)n < t->in_limit;
	w->in_at = 0;
	w->in_end = (size_t)n;
	if (!begins_well(t, (struct slice){w->in, w->in_end})) {
		w->in_at = w->in_end;
		return -2;
	}
	return 1;
}

static int bio_read(BIO *bio, char *out, int len)
{
	struct tls *t = BIO_get_data(bio);
	struct tls_worker *w = t->worker;
	BIO_clear_retry_flags(bio);
	if (w->in_at == w->in_end) {
		int got = receive(t);
		if (got == -1)
			BIO_set_retry_read(bio);
		if (got <= 0)
			return got < 0 ? -1 : 0;
	}
	size_t n = w->in_end - w->in_at;
	n = n < (size_t)len ? n : (size_t)len;
	memcpy(out, &w->in[w->in_at], n);
	w->in_at += n;
	return (int)n;
}

/* ---- sending ---------------------------------------------------------------------------------- */

/* As far as the socket takes them; false with io_errno. */
static bool send_some(struct tls *t, const char *bytes, size_t len, size_t *sent)
{
	*sent = 0;
	ssize_t n = send(t->start.fd, bytes, len, MSG_NOSIGNAL | (t->more ? MSG_MORE : 0));
	if (n >= 0) {
		*sent = (size_t)n;
		return true;
	}
	if (would_block())
		return true;
	t->io_errno = errno;
	return false;
}

/*
 * After the handshake, a socket that takes nothing any more is not the end of the session, and OpenSSL
 * does not hear of it: what the peer had sent before it went away is still to be read, and may be the
 * alert that says why.
 */
static bool stop_sending(struct tls *t)
{
	if (!t->done)
		return false;
	t->out_errno = t->io_errno;
	t->io_errno = 0;
	t->out_plain = 0;
	MEM_FREE(t->out);
	return true;
}

bool tls_flush(struct tls *t)
{
	struct tls_rest *r = t->out;
	size_t n;
	if (!r)
		return true;
	if (!send_some(t, &r->bytes[r->at], r->len - r->at, &n))
		return stop_sending(t);
	r->at += n;
	if (r->at < r->len)
		return false;
	MEM_FREE(t->out);
	return true;
}

static bool set_aside(struct tls *t, const char *bytes, size_t len)
{
	if (!t->out) {
		t->out = rest_new(bytes, len);
		return true;
	}
	struct tls_rest *old = t->out;
	size_t left = old->len - old->at;
	if (left + len > TLS_MAX_BACKLOG) {
		t->why = TLS_WHY_FLOOD;
		return false;
	}
	t->out = mem_new(sizeof(*old) + left + len);
	t->out->len = left + len;
	memcpy(t->out->bytes, &old->bytes[old->at], left);
	memcpy(&t->out->bytes[left], bytes, len);
	free(old);
	return true;
}

/*
 * A record leaves at once, or behind what waits already. Where another one follows, the kernel is
 * told (MSG_MORE), so that it wakes the peer once for all of them. (Several records in one send were
 * tried: the copy into one block costs more than the calls it saves.) After the handshake nothing that
 * OpenSSL writes blocks it: what the socket does not take waits, within bounds.
 */
static int bio_write(BIO *bio, const char *bytes, int len)
{
	struct tls *t = BIO_get_data(bio);
	size_t want = (size_t)len, sent = 0;
	BIO_clear_retry_flags(bio);
	if (t->out_errno)
		return len; /* to nobody */
	if (t->out)
		return set_aside(t, bytes, want) ? len : -1;
	if (!send_some(t, bytes, want, &sent))
		return stop_sending(t) ? len : -1;
	if (sent == want)
		return len;
	if (t->done)
		return set_aside(t, &bytes[sent], want - sent) ? len : -1;
	if (sent > 0)
		return (int)sent;
	BIO_set_retry_write(bio);
	return -1;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)num, (void)ptr;
	const struct tls *t = BIO_get_data(bio);
	switch (cmd) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return t->eof;
	default:
		return 0;
	}
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hark");
	MUST(method && BIO_meth_set_create(method, bio_create) &&
	     BIO_meth_set_read(method, bio_read) && BIO_meth_set_write(method, bio_write) &&
	     BIO_meth_set_ctrl(method, bio_ctrl));
}

bool tls_bio_attach(struct tls *t)
{
	MUST(pthread_once(&once, make_method) == 0);
	BIO *bio = BIO_new(method);
	if (!bio)
		return false;
	BIO_set_data(bio, t);
	SSL_set_bio(t->ssl, bio, bio);
	return true;
}
