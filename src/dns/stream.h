/*
 * DNS over a connection: each message is led by its length (RFC 1035 4.2.2), many may be under way at once
 * (RFC 7766 6.2.1).
 *
 *   struct dns_stream s;
 *   dns_stream_init(&s);
 *   char *at = dns_stream_room(&s, &room);                 // NULL: no reading now
 *   buf_commit(&s.in, n);                                  // or s.ended = true
 *   while (dns_stream_next(&s, &message)) {                // whole, and its answer will find room
 *           ...
 *           dns_stream_took(&s, message, is_later);
 *           dns_stream_answer(&s, answer);                 // now, or later: dns_stream_answer_late()
 *   }
 *   ... send what is in s.out, buf_consume() it, and look at dns_stream_next() again
 *   if (dns_stream_is_over(&s)) ...
 *
 * Bounded: what came and was not asked yet, questions without an answer, answers that were not taken. At the
 * bound there is no reading. No socket, no clock.
 */
#pragma once
#include "base/buf.h"
#include "dns/message.h"

enum {
	DNS_FRAME_MAX = DNS_MESSAGE_MAX + 2,
	DNS_STREAM_OUT_MAX = 4 * DNS_FRAME_MAX,
	DNS_STREAM_WAITING_MAX = 64, /* questions without an answer */
};

struct dns_stream {
	struct buf in, out;
	unsigned waiting; /* questions that are answered late */
	bool ended;       /* the client will send nothing more */
};

void dns_stream_init(struct dns_stream *s);
void dns_stream_fini(struct dns_stream *s);
/* Where to read to; NULL: not now, answers have to be taken or to come first. */
char *dns_stream_room(struct dns_stream *s, size_t *room);
/* The next whole message, if it may be answered now. It borrows from S until dns_stream_took(). */
bool dns_stream_next(const struct dns_stream *s, struct slice *message);
void dns_stream_took(struct dns_stream *s, struct slice message, bool later);
/* False: there is no room, which cannot be for an answer to what dns_stream_next() gave. */
bool dns_stream_answer(struct dns_stream *s, struct slice answer) MUST_CHECK;
/* False: as above; the client takes no answers. */
bool dns_stream_answer_late(struct dns_stream *s, struct slice answer) MUST_CHECK;
bool dns_stream_may_read(const struct dns_stream *s);
/* Nothing is left to be read, answered or sent. */
bool dns_stream_is_over(const struct dns_stream *s);

/* The first whole message of what came; false: more is needed. */
bool dns_frame_read(struct slice bytes, struct slice *message);
