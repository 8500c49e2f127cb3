#include "detect/classify.h"

#include <string.h>

#include "base/mem.h"
#include "base/reader.h"

/* HTTP/1 */

/* Methods of IANA's HTTP Method Registry, then those that are spoken without standing there (UPnP,
 * caches, Icecast, QUERY), as they stand on the wire: with their space. */
static const char *const methods[] = {
	"GET ",
	"HEAD ",
	"POST ",
	"PUT ",
	"DELETE ",
	"CONNECT ",
	"OPTIONS ",
	"TRACE ",
	"PATCH ",
	"ACL ",
	"BASELINE-CONTROL ",
	"BIND ",
	"CHECKIN ",
	"CHECKOUT ",
	"COPY ",
	"LABEL ",
	"LINK ",
	"LOCK ",
	"MERGE ",
	"MKACTIVITY ",
	"MKCALENDAR ",
	"MKCOL ",
	"MKREDIRECTREF ",
	"MKWORKSPACE ",
	"MOVE ",
	"ORDERPATCH ",
	"PROPFIND ",
	"PROPPATCH ",
	"REBIND ",
	"REPORT ",
	"SEARCH ",
	"UNBIND ",
	"UNCHECKOUT ",
	"UNLINK ",
	"UNLOCK ",
	"UPDATE ",
	"UPDATEREDIRECTREF ",
	"VERSION-CONTROL ",
	"M-SEARCH ",
	"NOTIFY ",
	"PURGE ",
	"QUERY ",
	"SOURCE ",
	"SUBSCRIBE ",
	"UNSUBSCRIBE ",
};

/* Is S the start of WHOLE, or WHOLE and more? MORE, WORD (any but MORE and OPAQUE: here HTTP1), or
 * OPAQUE. */
static enum word follows(struct slice s, struct slice whole)
{
	if (slice_starts(s, whole))
		return WORD_HTTP1;
	return slice_starts(whole, s) ? WORD_MORE : WORD_OPAQUE;
}

static bool is_alpha(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_scheme_char(char c)
{
	return is_alpha(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

/* RFC 9112 3.2. ENDED: nothing is added to TARGET any more. MORE: may still become one. */
static enum word request_target(struct slice target, bool ended, bool connect)
{
	enum word so_far = ended ? WORD_HTTP1 : WORD_MORE;
	if (target.len == 0)
		return ended ? WORD_OPAQUE : WORD_MORE;
	if (connect) { /* authority-form: host ":" port */
		struct slice port = target;
		while (slice_find(port, ':') < port.len)
			(void)slice_cut(&port,
					':'); /* up to the last colon: the host may be [::1] */
		uint64_t n = 0;
		bool right = port.len < target.len && slice_to_u64(port, UINT16_MAX, &n);
		return !ended || right ? so_far : WORD_OPAQUE;
	}
	if (target.at[0] == '/')
		return so_far;
	if (target.at[0] == '*')
		return target.len == 1 ? so_far : WORD_OPAQUE;
	/* absolute-form. `GET key` of Redis ends before "://", `OPTIONS sip:a@b` has no slashes. */
	size_t n = 0;
	while (n < target.len && is_scheme_char(target.at[n]))
		n++;
	if (!is_alpha(target.at[0]))
		return WORD_OPAQUE;
	enum word after = follows(slice_sub(target, n, target.len), SLICE("://"));
	return after == WORD_MORE && ended ? WORD_OPAQUE : after == WORD_HTTP1 ? so_far : after;
}

/* `HTTP/1.x` and the end of the line; a bare LF ends it too, RFC 9112 2.2. */
static enum word http_version(struct slice s, uint8_t *minor)
{
	struct slice name = SLICE("HTTP/1.");
	enum word known = follows(s, name);
	if (known != WORD_HTTP1 || s.len == name.len)
		return known == WORD_HTTP1 ? WORD_MORE : known;
	char digit = s.at[name.len];
	if (digit < '0' || digit > '9')
		return WORD_OPAQUE;
	*minor = (uint8_t)(digit - '0');
	struct slice end = slice_sub(s, name.len + 1, s.len);
	if (end.len && end.at[0] == '\n')
		return WORD_HTTP1;
	return follows(end, SLICE("\r\n"));
}

static bool is_target_char(char c)
{
	return (unsigned char)c > 0x20 && c != 0x7f; /* raw UTF-8 is not allowed, and common */
}

static enum word request_line(struct slice after_method, bool connect, uint8_t *minor)
{
	size_t n = 0;
	while (n < after_method.len && is_target_char(after_method.at[n]))
		n++;
	bool ended = n < after_method.len;
	enum word target = request_target(slice_sub(after_method, 0, n), ended, connect);
	if (target != WORD_HTTP1)
		return target;
	if (after_method.at[n] != ' ')
		return WORD_OPAQUE; /* HTTP/0.9, Redis inline commands, memcached */
	return http_version(slice_sub(after_method, n + 1, after_method.len), minor);
}

static enum word classify_http1(struct slice bytes, uint8_t *minor)
{
	struct slice line = slice_sub(bytes, 0, CLASSIFY_MAX_LINE);
	enum word word = WORD_OPAQUE;
	for (size_t i = 0; i < N_ELEMS(methods); i++) {
		struct slice method = slice_of(methods[i]);
		enum word known = follows(line, method);
		if (known == WORD_HTTP1) { /* no method begins another: each has its space */
			bool connect = slice_is(method, "CONNECT ");
			word = request_line(slice_sub(line, method.len, line.len), connect, minor);
			break;
		}
		if (known == WORD_MORE)
			word = WORD_MORE;
	}
	return word == WORD_MORE && bytes.len >= CLASSIFY_MAX_LINE ? WORD_OPAQUE : word;
}

/* HTTP/2 */

static enum word classify_http2(struct slice bytes)
{
	enum word known = follows(bytes, SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	return known == WORD_HTTP1 ? WORD_HTTP2 : known;
}

/* TLS */

enum {
	RECORD_HANDSHAKE = 22,
	RECORD_MAX = 16384, /* RFC 8446 5.1 */
	HANDSHAKE_CLIENT_HELLO = 1,
	HANDSHAKE_HEADER = 4,
	HELLO_MIN =
		2 + 32 + 1 + 2 + 2 + 1 + 1, /* one cipher suite, one compression, no extension */
	EXT_SERVER_NAME = 0,
	EXT_ALPN = 16,
};

/* RFC 6066 3. */
static bool server_name(struct reader *ext, struct classify *out)
{
	struct reader list = read_block(ext, 2);
	bool any = false;
	while (!reader_done(&list)) {
		uint8_t type = read_u8(&list);
		struct reader body = read_block(&list, 2);
		struct slice name = reader_rest(&body);
		if (type != 0)
			continue; /* only host_name was ever defined */
		if (any || name.len == 0 || name.len >= sizeof(out->sni))
			return false;
		for (size_t i = 0; i < name.len; i++)
			if (!is_target_char(name.at[i]))
				return false; /* also keeps a NUL from cutting the name for a C
						 library */
		memcpy(out->sni, name.at, name.len);
		out->sni_len = (uint16_t)name.len;
		any = true;
	}
	return any && !list.bad && !ext->bad && reader_done(ext);
}

/* RFC 7301 3.1. */
static bool alpn_list(struct reader *ext, struct classify *out)
{
	struct reader list = read_block(ext, 2);
	if (reader_done(&list))
		return false;
	while (!reader_done(&list)) {
		struct reader body = read_block(&list, 1);
		struct slice value = reader_rest(&body);
		if (value.len == 0)
			return false;
		if (out->n_alpn == CLASSIFY_MAX_ALPN || value.len > sizeof(out->alpn[0].text)) {
			out->names_dropped = true;
			continue;
		}
		memcpy(out->alpn[out->n_alpn].text, value.at, value.len);
		out->alpn[out->n_alpn].len = (uint8_t)value.len;
		out->n_alpn++;
	}
	return !list.bad && !ext->bad && reader_done(ext);
}

/* HELLO is the whole body of the handshake message. RFC 8446 4.1.2, RFC 5246 7.4.1.2. */
static bool client_hello(struct slice hello, struct classify *out)
{
	struct reader r = reader_of(hello);
	uint8_t major = read_u8(&r);
	read_skip(&r, 1 + 32); /* legacy minor version, random */
	struct reader session = read_block(&r, 1);
	struct reader ciphers = read_block(&r, 2);
	struct reader compressions = read_block(&r, 1);
	if (r.bad || major != 3 || session.left > 32 || ciphers.left < 2 || ciphers.left % 2 != 0 ||
	    compressions.left < 1)
		return false;
	if (reader_done(&r))
		return true; /* TLS 1.2 clients may send no extensions */
	struct reader exts = read_block(&r, 2);
	bool seen_name = false, seen_alpn = false; /* each at most once, RFC 8446 4.2 */
	while (!reader_done(&exts)) {
		uint16_t type = read_u16(&exts);
		struct reader body = read_block(&exts, 2);
		if (type == EXT_SERVER_NAME && (seen_name || !server_name(&body, out)))
			return false;
		if (type == EXT_ALPN && (seen_alpn || !alpn_list(&body, out)))
			return false;
		seen_name |= type == EXT_SERVER_NAME;
		seen_alpn |= type == EXT_ALPN;
	}
	return !r.bad && !exts.bad && reader_done(&r);
}

/* The next record's fragment, as much of it as is there, and CUT when more of it is to come. */
static enum word next_fragment(struct reader *r, struct slice *fragment, bool *cut)
{
	static const uint8_t begin[2] = {RECORD_HANDSHAKE, 3}; /* type, major version */
	for (size_t i = 0; i < sizeof(begin); i++) {
		if (reader_done(r))
			return WORD_MORE;
		if (read_u8(r) != begin[i])
			return WORD_OPAQUE;
	}
	if (r->left < 3)
		return WORD_MORE;
	read_skip(r, 1); /* minor version: says nothing, RFC 8446 5.1 */
	size_t len = read_u16(r);
	if (len == 0 || len > RECORD_MAX)
		return WORD_OPAQUE;
	*cut = len > r->left;
	*fragment = read_bytes(r, *cut ? r->left : len);
	return WORD_TLS;
}

/*
 * The handshake message may be spread over records in any way (RFC 8446 5.1), so it is joined
 * before it is read. What a byte makes certain is said with that byte: the type with the sixth, the
 * length with the ninth.
 */
static enum word classify_tls(struct slice bytes, struct classify *out)
{
	char joined[HANDSHAKE_HEADER + CLASSIFY_MAX_HELLO];
	size_t have = 0, need = HANDSHAKE_HEADER;
	struct reader r = reader_of(bytes);
	while (have < need) {
		struct slice fragment = {0};
		bool cut = false;
		enum word record = next_fragment(&r, &fragment, &cut);
		if (record != WORD_TLS)
			return record;
		struct slice part = slice_sub(fragment, 0, sizeof(joined) - have);
		if (part.len)
			memcpy(&joined[have], part.at, part.len);
		have += part.len;
		if (have && joined[0] != HANDSHAKE_CLIENT_HELLO)
			return WORD_OPAQUE;
		if (have >= HANDSHAKE_HEADER) {
			struct reader head = reader_of((struct slice){joined, have});
			read_skip(&head, 1);
			size_t len = read_u24(&head);
			if (len < HELLO_MIN)
				return WORD_OPAQUE;
			if (len > CLASSIFY_MAX_HELLO) {
				out->hello_unread = true;
				return WORD_TLS;
			}
			need = HANDSHAKE_HEADER + len;
		}
		if (cut && have < need)
			return WORD_MORE;
	}
	struct slice hello = slice_sub((struct slice){joined, need}, HANDSHAKE_HEADER, need);
	return client_hello(hello, out) ? WORD_TLS : WORD_OPAQUE;
}

/* All of them. */

enum word classify_client(struct slice bytes, struct classify *out)
{
	*out = (struct classify){.word = WORD_MORE};
	if (bytes.len == 0)
		return WORD_MORE;
	if (bytes.at[0] == RECORD_HANDSHAKE) {
		out->word = classify_tls(bytes, out);
		if (out->word == WORD_MORE && bytes.len >= CLASSIFY_MAX_PEEK) {
			out->hello_unread = true; /* spread over records of a few bytes each */
			out->word = WORD_TLS;
		}
		if (out->word != WORD_TLS)
			*out = (struct classify){.word = out->word,
						 .may_be_hello = out->word == WORD_MORE};
		return out->word;
	}
	enum word http1 = classify_http1(bytes, &out->http_minor);
	enum word http2 = classify_http2(bytes);
	out->word = http2 == WORD_HTTP2 || http1 == WORD_OPAQUE ? http2 : http1;
	if (out->word != WORD_HTTP1)
		out->http_minor = 0;
	return out->word;
}

struct slice classify_sni(const struct classify *c)
{
	return (struct slice){c->sni, c->sni_len};
}

struct slice classify_alpn(const struct classify *c, unsigned nth)
{
	return nth < c->n_alpn ? (struct slice){c->alpn[nth].text, c->alpn[nth].len} : SLICE("");
}

const char *word_name(enum word word)
{
	switch (word) {
	case WORD_MORE:
		return "more";
	case WORD_HTTP1:
		return "http1";
	case WORD_HTTP2:
		return "http2";
	case WORD_TLS:
		return "tls";
	case WORD_OPAQUE:
		return "opaque";
	}
	return "?"; /* no such value: a caller's memory is broken */
}
