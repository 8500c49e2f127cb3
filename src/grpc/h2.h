/*
 * Inside grpc only: what both kinds of session ask of nghttp2.
 *
 *   nghttp2_session_server_new3(&s, callbacks, ctx, options, &grpc_h2_mem);
 *   grpc_h2_fill(s, out);
 */
#pragma once
#include <nghttp2/nghttp2.h>

#include "base/buf.h"

enum {
	GRPC_H2_FILL = 32 << 10,        /* so much output is made ahead of the socket */
	GRPC_H2_FRAME = (16 << 10) + 9, /* of ours, at most: we never take the peer's larger size */
	GRPC_H2_OUT = GRPC_H2_FILL + GRPC_H2_FRAME,
	GRPC_HEADER_LIST = 16 << 10, /* RFC 9113 6.5.2: names, values and 32 bytes for each */
	GRPC_MAX_FIELDS = 64,
	GRPC_FIELD_OVERHEAD = 32,
};

/* Wipes whatever it frees: tokens pass through HPACK's tables. Memory that is gone aborts. */
extern nghttp2_mem grpc_h2_mem;

/* Borrows both until it is submitted. */
nghttp2_nv grpc_h2_nv(const char *name, struct slice value);
struct slice grpc_h2_slice(nghttp2_rcbuf *b);
/* Appends what the session wants to send to OUT, whose bound is GRPC_H2_OUT, until it holds
 * GRPC_H2_FILL. False: the session is broken. */
bool grpc_h2_fill(nghttp2_session *s, struct buf *out, struct err *err) MUST_CHECK;
/* False: the peer broke HTTP/2 beyond an answer. All of BYTES is taken. */
bool grpc_h2_feed(nghttp2_session *s, struct slice bytes, struct err *err) MUST_CHECK;
