#include "dns/stream.h"

#include "base/reader.h"

bool dns_frame_read(struct slice bytes, struct slice *message)
{
	struct reader r = reader_of(bytes);
	*message = read_bytes(&r, read_u16(&r));
	return !r.bad;
}

void dns_stream_init(struct dns_stream *s)
{
	*s = (struct dns_stream){0};
	buf_init(&s->in, DNS_FRAME_MAX);
	buf_init(&s->out, DNS_STREAM_OUT_MAX);
}

void dns_stream_fini(struct dns_stream *s)
{
	buf_fini(&s->in);
	buf_fini(&s->out);
}

/* Another question may be answered: whatever the answer is, there is room for it. */
static bool may_answer(const struct dns_stream *s)
{
	return s->waiting < DNS_STREAM_WAITING_MAX &&
	       buf_len(&s->out) + DNS_FRAME_MAX <= DNS_STREAM_OUT_MAX;
}

bool dns_stream_may_read(const struct dns_stream *s)
{
	return !s->ended && may_answer(s);
}

char *dns_stream_room(struct dns_stream *s, size_t *room)
{
	/* Without room a whole message is in there: it is answered first. */
	return dns_stream_may_read(s) ? buf_reserve(&s->in, 1, room) : NULL;
}

bool dns_stream_next(const struct dns_stream *s, struct slice *message)
{
	return may_answer(s) && dns_frame_read(buf_slice(&s->in), message);
}

void dns_stream_took(struct dns_stream *s, struct slice message, bool later)
{
	buf_consume(&s->in, 2 + message.len);
	s->waiting += later;
}

bool dns_stream_answer(struct dns_stream *s, struct slice answer)
{
	MUST(answer.len <= DNS_MESSAGE_MAX);
	if (buf_len(&s->out) + 2 + answer.len > DNS_STREAM_OUT_MAX)
		return false;
	return buf_putc(&s->out, (char)(answer.len >> 8)) &&
	       buf_putc(&s->out, (char)(answer.len & 255)) && buf_append(&s->out, answer);
}

bool dns_stream_answer_late(struct dns_stream *s, struct slice answer)
{
	MUST(s->waiting > 0);
	s->waiting--;
	return dns_stream_answer(s, answer);
}

bool dns_stream_is_over(const struct dns_stream *s)
{
	struct slice message;
	return s->ended && s->waiting == 0 && buf_len(&s->out) == 0 &&
	       !dns_stream_next(s, &message);
}
