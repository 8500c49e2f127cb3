/*
 * Tickets without the client's certificate. OpenSSL seals a whole session into a ticket, certificate
 * included, and parses that again at each resumption, twice: once when it opens the ticket, once when
 * it makes the next one. The key in there is what costs (some 1.3 million instructions each time, more
 * than all the rest). What we ask of the certificate are the names that tls_peer_new() found, so these
 * go into the ticket, as data of the application, and the certificate is taken out of the session.
 *
 * There is no call for that. But a session is written and read as DER by i2d_SSL_SESSION() and
 * d2i_SSL_SESSION(), which reads into a session that exists: so it is read back without the field that
 * has the certificate. Where that field is not found the session stays as it is, which costs time and
 * memory and nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/reader.h"
#include "tls/inside.h"

enum {
	DER_SEQUENCE = 0x30,
	DER_PEER = 0xa3, /* [3] peer, as ssl/ssl_asn1.c has it */
	DER_LONG = 0x80,
	DER_ROOM = 8, /* the outermost header */
	PACK_VERSION = 1,
	PACK_MAX = 16 * 1024,
};

/* ---- names ------------------------------------------------------------------------------------ */

static void put_be(struct buf *b, uint64_t n, unsigned bytes)
{
	while (bytes-- > 0)
		(void)buf_putc(b, (char)(n >> (8 * bytes))); /* b->full tells */
}

static void put_text(struct buf *b, struct slice s)
{
	if (s.len > UINT16_MAX)
		b->full = true;
	put_be(b, s.len, 2);
	(void)buf_append(b, s); /* b->full tells */
}

static void put_texts(struct buf *b, const struct slice *texts, unsigned n)
{
	put_be(b, n, 1);
	for (unsigned i = 0; i < n; i++)
		put_text(b, texts[i]);
}

void tls_peer_pack(const struct tls_peer *p, struct buf *out)
{
	put_be(out, PACK_VERSION, 1);
	put_be(out, p->sans_dropped, 1);
	put_be(out, (uint64_t)p->not_after_s, 8);
	(void)buf_append(out, (struct slice){(const char *)p->sha256, sizeof(p->sha256)});
	put_text(out, p->subject);
	put_texts(out, p->uris, p->n_uris);
	put_texts(out, p->dns, p->n_dns);
}

static void read_texts(struct reader *r, struct slice *texts, unsigned *n)
{
	*n = read_u8(r);
	if (*n > TLS_MAX_SANS)
		r->bad = true;
	for (unsigned i = 0; i < *n && !r->bad; i++)
		texts[i] = read_bytes(r, read_u16(r));
}

struct tls_peer *tls_peer_unpack(struct slice packed)
{
	struct tls_peer *p = mem_new(sizeof(*p) + packed.len);
	char *text = (char *)&p[1];
	memcpy(text, packed.at, packed.len);
	struct reader r = reader_of((struct slice){text, packed.len});
	bool ours = read_u8(&r) == PACK_VERSION;
	p->sans_dropped = read_u8(&r) != 0;
	uint64_t high = read_u32(&r);
	p->not_after_s = (int64_t)(high << 32 | read_u32(&r));
	struct slice hash = read_bytes(&r, sizeof(p->sha256));
	p->subject = read_bytes(&r, read_u16(&r));
	read_texts(&r, p->uris, &p->n_uris);
	read_texts(&r, p->dns, &p->n_dns);
	if (!ours || r.bad || !reader_done(&r)) {
		free(p);
		return NULL;
	}
	memcpy(p->sha256, hash.at, hash.len);
	return p;
}

/* ---- the session ------------------------------------------------------------------------------ */

struct der {
	uint8_t tag;
	struct slice whole, body;
};

static struct der read_der(struct reader *r)
{
	struct der d = {0};
	struct reader from = *r;
	d.tag = read_u8(r);
	size_t len = read_u8(r);
	if (len > DER_LONG) {
		unsigned more = (unsigned)len - DER_LONG;
		len = more == 1 ? read_u8(r) : more == 2 ? read_u16(r) : read_u24(r);
		r->bad |= more > 3;
	} else if (len == DER_LONG) {
		r->bad = true; /* no length: not DER */
	}
	d.body = read_bytes(r, len);
	d.whole = (struct slice){(const char *)from.at, from.left - r->left};
	return d;
}

static void put_header(struct buf *b, uint8_t tag, size_t len)
{
	unsigned bytes = len < DER_LONG ? 0 : len <= UINT8_MAX ? 1 : len <= UINT16_MAX ? 2 : 3;
	put_be(b, tag, 1);
	if (bytes > 0)
		put_be(b, DER_LONG + bytes, 1);
	put_be(b, len, bytes > 0 ? bytes : 1);
}

/* SESSION, a SEQUENCE, without its certificate; false: it is not as we know it. */
static bool without_peer(struct slice session, struct buf *out)
{
	struct reader r = reader_of(session);
	struct der all = read_der(&r);
	struct slice peer = {0};
	if (r.bad || !reader_done(&r) || all.tag != DER_SEQUENCE)
		return false;
	struct reader fields = reader_of(all.body);
	while (!reader_done(&fields)) {
		struct der field = read_der(&fields);
		if (field.tag == DER_PEER)
			peer = field.whole;
	}
	if (fields.bad || peer.len == 0)
		return false;
	put_header(out, DER_SEQUENCE, all.body.len - peer.len);
	for (fields = reader_of(all.body); !reader_done(&fields);) {
		struct der field = read_der(&fields);
		if (field.tag != DER_PEER)
			(void)buf_append(out, field.whole); /* out->full tells */
	}
	return !out->full;
}

static bool drop_certificate(SSL_SESSION *session)
{
	unsigned char *der = NULL;
	int len = i2d_SSL_SESSION(session, &der);
	if (len <= 0)
		return false;
	struct buf lean;
	bool ok = true;
	buf_init(&lean, (size_t)len + DER_ROOM);
	(void)buf_reserve(&lean, (size_t)len + DER_ROOM, NULL); /* it is secret: nothing may move */
	if (without_peer((struct slice){(const char *)der, (size_t)len}, &lean)) {
		const unsigned char *at = (const unsigned char *)buf_slice(&lean).at;
		ok = d2i_SSL_SESSION(&session, &at, (long)buf_len(&lean)) == session;
	}
	buf_wipe(&lean);
	OPENSSL_clear_free(der, (size_t)len);
	return ok;
}

bool tls_session_lean(SSL_SESSION *session, const struct tls_peer *peer)
{
	struct buf names;
	buf_init(&names, PACK_MAX);
	tls_peer_pack(peer, &names);
	bool fits = !names.full;
	bool ok = !fits || SSL_SESSION_set1_ticket_appdata(session, buf_slice(&names).at,
							   buf_len(&names)) == 1;
	buf_fini(&names);
	return ok && (!fits || drop_certificate(session));
}

struct tls_peer *tls_peer_of_session(SSL_SESSION *session)
{
	void *at = NULL;
	size_t len = 0;
	X509 *cert = SSL_SESSION_get0_peer(session);
	if (cert)
		return tls_peer_new(cert);
	if (SSL_SESSION_get0_ticket_appdata(session, &at, &len) != 1 || len == 0)
		return NULL;
	return tls_peer_unpack((struct slice){at, len});
}
