/*
 * The head of an HTTP/1.x message, parsed as it arrives, strictly (RFC 9112).
 *
 *   struct http1_field fields[64];
 *   struct http1_head h;
 *   http1_head_init(&h, HTTP1_REQUEST, fields, 64, 32 * 1024);
 *   switch (http1_head_parse(&h, bytes_so_far)) {           // again with more bytes after MORE
 *   case HTTP1_DONE: ... h.method, h.target, h.fields[i], h.len
 *   case HTTP1_MORE: ...
 *   case HTTP1_BAD:  log(http1_bad_text(h.bad)); answer(http1_bad_status(h.bad));
 *
 * Each call gets all bytes of the head so far (the old ones unchanged, maybe at another address)
 * and goes on where the last one stopped: no byte is looked at twice, and the verdict does not
 * depend on where the network cut. Slices borrow from the bytes of the last call. No memory, no
 * clock, no socket; FIELDS is the caller's and may be given a larger place by nobody meanwhile.
 *
 * Refused, because two readers may understand it in two ways: a bare CR or LF, NUL and other
 * control characters, space before a colon, folded lines, lengths that disagree, a length beside
 * Transfer-Encoding, a coding after or twice chunked, Transfer-Encoding in HTTP/1.0, no Host or
 * two.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum http1_verdict { HTTP1_MORE, HTTP1_DONE, HTTP1_BAD };

/*        name               status  what is wrong, and the section that says so */
#define HTTP1_BAD_LIST(BAD)                                                                        \
	BAD(NONE, 200, "nothing is wrong")                                                         \
	BAD(METHOD, 400, "the method is no token (RFC 9110 9.1)")                                  \
	BAD(TARGET, 400, "bad character in the request target (RFC 9112 3.2)")                     \
	BAD(VERSION, 505, "neither HTTP/1.0 nor HTTP/1.1 (RFC 9112 2.3)")                          \
	BAD(STATUS_LINE, 502, "malformed status line (RFC 9112 4)")                                \
	BAD(LINE_END, 400, "CR without LF or LF without CR (RFC 9112 2.2)")                        \
	BAD(FIELD_NAME, 400, "field name is no token before a colon (RFC 9112 5.1)")               \
	BAD(FIELD_VALUE, 400, "control character in a field value (RFC 9110 5.5)")                 \
	BAD(OBS_FOLD, 400, "line that begins with white space (RFC 9112 5.2)")                     \
	BAD(HOST, 400, "Host is missing, repeated or malformed (RFC 9112 3.2)")                    \
	BAD(LENGTH, 400, "Content-Length is no number, or two disagree (RFC 9112 6.3)")            \
	BAD(LENGTH_AND_CODING, 400, "Content-Length beside Transfer-Encoding (RFC 9112 6.1)")      \
	BAD(CODING, 400, "Transfer-Encoding does not end in one chunked (RFC 9112 6.1)")           \
	BAD(HEAD_SIZE, 431, "head is too large (RFC 6585 5)")                                      \
	BAD(N_FIELDS, 431, "too many fields (RFC 6585 5)")                                         \
	BAD(CHUNK_SIZE, 400, "malformed chunk size (RFC 9112 7.1)")                                \
	BAD(CHUNK_EXTENSION, 400, "malformed or long chunk extension (RFC 9112 7.1.1)")            \
	BAD(CHUNK_END, 400, "chunk does not end in CRLF (RFC 9112 7.1)")                           \
	BAD(TRAILER, 400, "malformed or long trailer section (RFC 9112 7.1.2)")                    \
	BAD(CUT_SHORT, 502, "the peer closed inside the body (RFC 9112 8)")

enum http1_bad {
#define BAD(name, status, text) HTTP1_BAD_##name,
	HTTP1_BAD_LIST(BAD)
#undef BAD
};
const char *http1_bad_text(enum http1_bad bad);
unsigned http1_bad_status(enum http1_bad bad); /* what a server answers, or a proxy reports */

enum http1_kind { HTTP1_REQUEST, HTTP1_RESPONSE };

/* Fields that a parser or a proxy must know; all others are OTHER. */
enum http1_name {
	HTTP1_OTHER,
	HTTP1_HOST,
	HTTP1_CONTENT_LENGTH,
	HTTP1_TRANSFER_ENCODING,
	HTTP1_CONNECTION,
	HTTP1_EXPECT,
	HTTP1_UPGRADE,
	/* with Connection, Transfer-Encoding and Upgrade: those of one hop (RFC 9110 7.6.1) */
	HTTP1_TE,
	HTTP1_TRAILER,
	HTTP1_KEEP_ALIVE,
	HTTP1_PROXY_CONNECTION,
};

struct http1_field {
	struct slice name;  /* as sent; compare without regard to case */
	struct slice value; /* white space around it taken off; may be empty */
	enum http1_name id;
};

struct http1_head {
	/* Given. */
	enum http1_kind kind;
	struct http1_field *fields;
	unsigned max_fields;
	size_t max_bytes;

	/* Found; whole after DONE, `bad` after BAD. */
	enum http1_bad bad;
	unsigned n_fields;
	size_t len;                  /* of the head, its empty line included */
	unsigned minor;              /* of HTTP/1.minor: 0 or 1 */
	struct slice method, target; /* request */
	unsigned status;             /* response: 100 to 999 */
	struct slice phrase;         /* response: reason phrase, maybe empty */
	struct slice host;           /* request: value of Host */
	uint64_t content_length;     /* where has_length */
	bool has_length;
	bool has_coding; /* Transfer-Encoding is there */
	bool chunked;    /* and its last coding is chunked */
	bool has_host;
	bool close, keep_alive, upgrade; /* tokens of Connection */
	bool expect_continue;

	/* Private: where to go on. */
	unsigned phase;
	size_t at, token;
	const char *base;
};

void http1_head_init(struct http1_head *h, enum http1_kind kind, struct http1_field *fields,
		     unsigned max_fields, size_t max_bytes);
/* After DONE or BAD the next call needs http1_head_init() first. */
enum http1_verdict http1_head_parse(struct http1_head *h, struct slice bytes);
/* The first field of that name, or NULL. */
const struct http1_field *http1_find(const struct http1_head *h, const char *name);
/* Whom a request is for, without the port: what its target says where that is absolute or an authority,
 * else Host; empty: nobody is named. RFC 9112 3.2, 3.3. */
struct slice http1_authority(const struct http1_head *h);
/* May another message follow on this connection, as far as this head says (RFC 9112 9.3)? */
bool http1_keeps_alive(const struct http1_head *h);

/*
 * What follows the head, RFC 9112 6.3. A response needs the method it answers: HEAD has no body,
 * a 2xx to CONNECT and a 101 turn the connection into a tunnel.
 */
enum http1_framing {
	HTTP1_NO_BODY,
	HTTP1_LENGTH, /* h->content_length bytes */
	HTTP1_CHUNKED,
	HTTP1_UNTIL_CLOSE,
	HTTP1_TUNNEL,
};
enum http1_framing http1_request_framing(const struct http1_head *h);
enum http1_framing http1_response_framing(const struct http1_head *h, struct slice method);
