/*
 * Any bytes on a connection, cut anywhere, answered at once or later, taken as slowly as may be: each message
 * is seen once and in order, each answer goes out whole, nothing passes a bound, and nothing waits for ever.
 * The first byte says how many bytes come at a time and how many are taken (0: all), the second which
 * questions are answered late; the rest is what the client sends.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/reader.h"
#include "dns/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
	struct dns_stream s;
	struct reader sent, expected, answers; /* what is still to be sent, seen, taken */
	size_t at_a_time, takes;
	unsigned late_every, n_seen;
	unsigned lens[DNS_STREAM_WAITING_MAX]; /* of the answers that are owed */
	char *told;                            /* what must come out, in that order */
	size_t told_len, taken;
};

static size_t step(unsigned code, size_t all)
{
	return code == 0 || code > all ? all : code;
}

/* Answers as long as their questions: a byte counts them. */
static void tell(struct play *p, size_t len, bool late)
{
	p->told[p->told_len] = (char)(len >> 8);
	p->told[p->told_len + 1] = (char)len;
	memset(&p->told[p->told_len + 2], (int)(len & 0x7f), len);
	struct slice answer = {&p->told[p->told_len + 2], len};
	MUST(late ? dns_stream_answer_late(&p->s, answer) : dns_stream_answer(&p->s, answer));
	p->told_len += 2 + len;
}

static void see(struct play *p)
{
	struct slice message, again;
	while (dns_stream_next(&p->s, &message)) {
		struct slice want = read_bytes(&p->expected, read_u16(&p->expected));
		MUST(!p->expected.bad && slice_eq(message, want));
		bool late = p->late_every && p->n_seen++ % p->late_every == 0;
		size_t len = message.len;
		if (late)
			p->lens[p->s.waiting] = (unsigned)len;
		dns_stream_took(&p->s, message, late);
		if (!late && len)
			tell(p, len, false);
		MUST(p->s.waiting <= DNS_STREAM_WAITING_MAX);
		(void)dns_frame_read(buf_slice(&p->s.in), &again); /* any bytes are fine */
	}
}

static void take(struct play *p, size_t n)
{
	struct slice out = buf_slice(&p->s.out);
	n = n > out.len ? out.len : n;
	MUST(out.len <= DNS_STREAM_OUT_MAX && p->taken + n <= p->told_len);
	MUST(n == 0 || memcmp(out.at, &p->told[p->taken], n) == 0);
	buf_consume(&p->s.out, n);
	p->taken += n;
}

/* Grows with whatever happens. */
static size_t progress(const struct play *p, size_t all)
{
	return 2 * all - p->sent.left - p->expected.left + p->told_len + p->taken;
}

static void turn(struct play *p)
{
	size_t room;
	char *at = dns_stream_room(&p->s, &room);
	MUST(!at || room > 0);
	if (at && p->sent.left) {
		size_t n = step((unsigned)p->at_a_time, p->sent.left);
		struct slice bytes = read_bytes(&p->sent, n < room ? n : room);
		memcpy(at, bytes.at, bytes.len);
		buf_commit(&p->s.in, bytes.len);
	}
	see(p);
	take(p, step((unsigned)p->takes, buf_len(&p->s.out)));
	/* What is late comes when nothing else does, the last one first. */
	while (p->s.waiting && (p->s.waiting == DNS_STREAM_WAITING_MAX || !p->sent.left) &&
	       buf_len(&p->s.out) + 2 + p->lens[p->s.waiting - 1] <= DNS_STREAM_OUT_MAX)
		tell(p, p->lens[p->s.waiting - 1], true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct slice sent = {(const char *)&data[2], size - 2};
	struct play p = {.sent = reader_of(sent),
			 .expected = reader_of(sent),
			 .at_a_time = data[0] & 0x0f,
			 .takes = data[0] >> 4 ? 1u << (data[0] >> 4) : 0,
			 .late_every = data[1]};
	p.told = mem_new(size);
	dns_stream_init(&p.s);
	for (size_t before = SIZE_MAX; before != progress(&p, sent.len);) {
		before = progress(&p, sent.len);
		turn(&p);
	}
	/* Only a message that is not whole may be left. */
	struct slice rest = reader_rest(&p.expected), message;
	MUST(p.sent.left == 0 && p.s.waiting == 0 && p.taken == p.told_len);
	MUST(!dns_frame_read(rest, &message) && slice_eq(rest, buf_slice(&p.s.in)));
	MUST(!dns_stream_is_over(&p.s));
	p.s.ended = true;
	MUST(dns_stream_is_over(&p.s) && !dns_stream_room(&p.s, &(size_t){0}));
	dns_stream_fini(&p.s);
	free(p.told);
	return 0;
}
