/*
 * What a client's first bytes are: an HTTP/1 request line, the HTTP/2 preface, a TLS ClientHello,
 * something else, or not enough to tell.
 *
 *   struct classify c;
 *   switch (classify_client(peeked, &c)) {          // all bytes peeked so far, from the first
 *   case WORD_MORE: ...                             // ask again when there are more
 *   case WORD_TLS: route_by_sni(classify_sni(&c));  // empty when the client named nobody
 *
 * The answer depends on the bytes alone, and it is final: once it is not WORD_MORE, more bytes
 * never change it. It comes with the first byte that makes it certain; a byte that can begin no
 * method, no preface and no TLS record is WORD_OPAQUE at once. struct classify owns what it says
 * and may be copied; nothing in it points into the bytes. No allocation, any thread.
 */
#pragma once
#include "base/slice.h"

enum word {
	WORD_MORE,   /* could still become one of the next three */
	WORD_HTTP1,  /* a whole request line that ends in HTTP/1.x; RFC 9112 3 */
	WORD_HTTP2,  /* the whole client preface; RFC 9113 3.4 */
	WORD_TLS,    /* a ClientHello; RFC 8446 4.1.2 */
	WORD_OPAQUE, /* none of them, whatever comes */
};

enum {
	CLASSIFY_MAX_LINE = 8192,   /* a request line not ended by then is opaque */
	CLASSIFY_MAX_HELLO = 16384, /* a longer ClientHello is TLS whose names are not read */
	CLASSIFY_MAX_PEEK = 20480,  /* never WORD_MORE when so many bytes are there */
	CLASSIFY_MAX_ALPN = 8,      /* values kept, in the client's order; the rest is dropped */
};

struct classify {
	enum word word;
	bool may_be_hello;  /* WORD_MORE: can only become a ClientHello, not HTTP */
	uint8_t http_minor; /* WORD_HTTP1: the x of HTTP/1.x */
	uint8_t n_alpn;     /* WORD_TLS */
	bool hello_unread;  /* WORD_TLS longer than CLASSIFY_MAX_HELLO: no names are known */
	bool names_dropped; /* more ALPN values came than fit */
	uint16_t sni_len;
	char sni[256]; /* read through classify_sni() */
	struct {
		uint8_t len;
		char text[31];
	} alpn[CLASSIFY_MAX_ALPN];
};

/* Fills *OUT (always) and returns OUT->word. */
enum word classify_client(struct slice bytes, struct classify *out);
/* Both borrow from C. No server_name, or no such value: an empty slice. */
struct slice classify_sni(const struct classify *c);
struct slice classify_alpn(const struct classify *c, unsigned nth);
/* "http1", "http2", "tls", "opaque"; "more" for WORD_MORE. */
const char *word_name(enum word word);
