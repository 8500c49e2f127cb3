/*
 * The body of an HTTP/1.x message: takes the framing off, byte runs go through untouched.
 *
 *   struct http1_body b;
 *   http1_body_init(&b, http1_request_framing(&h), h.content_length, NULL);
 *   while (in.len && (v = http1_body_next(&b, &in, &piece)) == HTTP1_MORE)
 *           take(piece);                                    // borrowed from IN, may be empty
 *   if (v == HTTP1_DONE) ...                 // PIECE is the last one; IN is what follows
 *
 * A relay that forwards bodies as they came needs only how far IN moved. Chunk sizes, extensions
 * and trailers are checked and taken off (RFC 9112 7.1); the trailer section, its empty line
 * included, is put into TRAILERS when that is given, for http1_trailers_parse().
 */
#pragma once
#include "base/buf.h"
#include "http1/head.h"

enum {
	HTTP1_MAX_EXTENSION = 1024, /* bytes of chunk extensions per chunk */
	HTTP1_MAX_TRAILERS = 16 * 1024,
};

struct http1_body {
	enum http1_framing framing;
	enum http1_bad bad; /* after BAD */
	uint64_t left;      /* of the length, or of the chunk */
	struct buf *trailers;
	/* Private. */
	unsigned phase;
	unsigned n; /* digits, extension or trailer bytes so far */
};

/* LENGTH counts with HTTP1_LENGTH only. TRAILERS may be NULL; else it outlives the body. */
void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t length,
		     struct buf *trailers);
/*
 * Moves IN past what it has taken (at least one byte, unless the body is at its end) and sets
 * CONTENT to the bytes of content among that. DONE: the body has ended, with this piece. With no
 * bytes it answers whether the body is at its end: DONE for one of no length.
 */
enum http1_verdict http1_body_next(struct http1_body *b, struct slice *in, struct slice *content);
/* The peer has closed: DONE where that ends the body, BAD (CUT_SHORT) where it cuts it. */
enum http1_verdict http1_body_eof(struct http1_body *b);

/* SECTION as collected above. Sets *N; BAD: *BAD says why. */
enum http1_verdict http1_trailers_parse(struct slice section, struct http1_field *fields,
					unsigned max_fields, unsigned *n, enum http1_bad *bad);
