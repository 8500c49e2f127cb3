/*
 * For the tests of this room: HTTP/2 frames by hand, and a reader that tells what an engine said.
 *
 *   struct buf b;
 *   frames_client_preface(&b);
 *   frames_headers(&b, 1, 0, fields);                  // "name: value\n" each
 *   frames_message(&b, 1, NGHTTP2_FLAG_END_STREAM, SLICE("hello"));
 *
 *   struct transcript t;
 *   transcript_init(&t);
 *   transcript_hear(&t, bytes);                        // as they come
 *   t.text: "HEADERS 1\n  :status: 200\n  ...\nDATA 1 10 bytes\nHEADERS 1 end\n  grpc-status: 0\n"
 *   transcript_fini(&t);
 *
 * A transcript leaves out SETTINGS, PING and WINDOW_UPDATE, whose order and number depend on how
 * the bytes were cut.
 */
#pragma once
#include <nghttp2/nghttp2.h>

#include "base/buf.h"

void frames_raw(struct buf *to, uint8_t type, uint8_t flags, uint32_t stream, struct slice payload);
void frames_client_preface(struct buf *to); /* with an empty SETTINGS */
void frames_server_preface(struct buf *to); /* and the client's SETTINGS acknowledged */
/* A HEADERS frame, and CONTINUATION behind it where one is not enough; FLAGS beside END_HEADERS. */
void frames_headers(struct buf *to, uint32_t stream, uint8_t flags, const char *fields);
/* A gRPC message in one DATA frame. */
void frames_message(struct buf *to, uint32_t stream, uint8_t flags, struct slice message);

/* The head of a call as gRPC's clients send it. */
#define CALL_HEAD(path)                                                                            \
	":method: POST\n:scheme: https\n:path: " path "\n:authority: host\ncontent-type: "         \
	"application/grpc\nte: trailers\n"

struct transcript {
	nghttp2_hd_inflater *inflater;
	struct buf bytes; /* of a frame that is not yet whole */
	struct buf text;
	char goaway[128]; /* "" none; else the error's name */
	unsigned ping_acks;
};
void transcript_init(struct transcript *t);
void transcript_hear(struct transcript *t, struct slice bytes);
const char *transcript_text(struct transcript *t);
void transcript_fini(struct transcript *t);
