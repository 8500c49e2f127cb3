#include "http1/body.h"

#include "http1/parse.h"
#include "http1/scan.h"

enum chunk_phase { /* of a chunked body */
		   CHUNK_SIZE,
		   CHUNK_SIZE_SPACE, /* white space that only a ';' may follow */
		   CHUNK_EXTENSION,
		   CHUNK_SIZE_LF,
		   CHUNK_DATA,
		   CHUNK_DATA_CR,
		   CHUNK_DATA_LF,
		   CHUNK_TRAILER_LINE,
		   CHUNK_TRAILER_NAME,
		   CHUNK_TRAILER_VALUE,
		   CHUNK_TRAILER_LF,
		   CHUNK_LAST_LF,
		   CHUNK_ENDED,
};

enum { MAX_SIZE_DIGITS = 15 }; /* 60 bits: no sum of it with anything overflows */

void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t length,
		     struct buf *trailers)
{
	*b = (struct http1_body){
		.framing = framing,
		.left = framing == HTTP1_LENGTH ? length : 0,
		.trailers = trailers,
	};
}

static struct slice take(struct slice *in, uint64_t most)
{
	struct slice got = slice_sub(*in, 0, most < in->len ? (size_t)most : in->len);
	*in = slice_sub(*in, got.len, in->len - got.len);
	return got;
}

static int hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte C of a chunk-size line, RFC 9112 7.1. */
static enum http1_bad size_byte(struct http1_body *b, unsigned char c)
{
	int digit;
	switch ((enum chunk_phase)b->phase) {
	case CHUNK_SIZE:
		if ((digit = hex_value(c)) >= 0) {
			b->left = b->left * 16 + (unsigned)digit;
			return b->n++ < MAX_SIZE_DIGITS ? HTTP1_BAD_NONE : HTTP1_BAD_CHUNK_SIZE;
		}
		if (b->n == 0)
			return HTTP1_BAD_CHUNK_SIZE;
		b->n = 0;
		b->phase = c == '\r'               ? CHUNK_SIZE_LF
			   : c == ';'              ? CHUNK_EXTENSION
			   : c == ' ' || c == '\t' ? CHUNK_SIZE_SPACE
						   : CHUNK_SIZE;
		return b->phase == CHUNK_SIZE ? HTTP1_BAD_CHUNK_SIZE : HTTP1_BAD_NONE;
	case CHUNK_SIZE_SPACE:
		if (c == ';')
			b->phase = CHUNK_EXTENSION;
		else if ((c != ' ' && c != '\t') || b->n++ == HTTP1_MAX_EXTENSION)
			return HTTP1_BAD_CHUNK_SIZE;
		return HTTP1_BAD_NONE;
	case CHUNK_EXTENSION:
		if (c == '\r')
			b->phase = CHUNK_SIZE_LF;
		else if (!(http1_chars[c] & CHAR_VALUE) || b->n++ == HTTP1_MAX_EXTENSION)
			return HTTP1_BAD_CHUNK_EXTENSION;
		return HTTP1_BAD_NONE;
	default: /* CHUNK_SIZE_LF */
		b->n = 0;
		b->phase = b->left ? CHUNK_DATA : CHUNK_TRAILER_LINE;
		return c == '\n' ? HTTP1_BAD_NONE : HTTP1_BAD_CHUNK_SIZE;
	}
}

/* The byte C of the trailer section, RFC 9112 7.1.2: field lines and an empty one. */
static enum http1_bad trailer_byte(struct http1_body *b, unsigned char c)
{
	if (b->n++ == HTTP1_MAX_TRAILERS || (b->trailers && !buf_putc(b->trailers, (char)c)))
		return HTTP1_BAD_TRAILER;
	bool fits = true;
	switch ((enum chunk_phase)b->phase) {
	case CHUNK_TRAILER_LINE:
		fits = c == '\r' || (http1_chars[c] & CHAR_TOKEN);
		b->phase = c == '\r' ? CHUNK_LAST_LF : CHUNK_TRAILER_NAME;
		break;
	case CHUNK_TRAILER_NAME:
		fits = c == ':' || (http1_chars[c] & CHAR_TOKEN);
		if (c == ':')
			b->phase = CHUNK_TRAILER_VALUE;
		break;
	case CHUNK_TRAILER_VALUE:
		fits = c == '\r' || (http1_chars[c] & CHAR_VALUE);
		if (c == '\r')
			b->phase = CHUNK_TRAILER_LF;
		break;
	case CHUNK_TRAILER_LF:
		fits = c == '\n';
		b->phase = CHUNK_TRAILER_LINE;
		break;
	default: /* CHUNK_LAST_LF */
		fits = c == '\n';
		b->phase = CHUNK_ENDED;
		break;
	}
	return fits ? HTTP1_BAD_NONE : HTTP1_BAD_TRAILER;
}

static enum http1_bad chunk_byte(struct http1_body *b, unsigned char c)
{
	switch ((enum chunk_phase)b->phase) {
	case CHUNK_DATA_CR:
		b->phase = CHUNK_DATA_LF;
		return c == '\r' ? HTTP1_BAD_NONE : HTTP1_BAD_CHUNK_END;
	case CHUNK_DATA_LF:
		b->phase = CHUNK_SIZE;
		return c == '\n' ? HTTP1_BAD_NONE : HTTP1_BAD_CHUNK_END;
	default:
		return b->phase < CHUNK_DATA ? size_byte(b, c) : trailer_byte(b, c);
	}
}

/* Returns at the first run of content: framing in front of it is taken with it. */
static enum http1_verdict chunked_next(struct http1_body *b, struct slice *in,
				       struct slice *content)
{
	while (b->phase != CHUNK_ENDED && in->len) {
		if (b->phase == CHUNK_DATA) {
			*content = take(in, b->left);
			b->left -= content->len;
			if (b->left == 0)
				b->phase = CHUNK_DATA_CR;
			return HTTP1_MORE;
		}
		b->bad = chunk_byte(b, (unsigned char)take(in, 1).at[0]);
		if (b->bad != HTTP1_BAD_NONE)
			return HTTP1_BAD;
	}
	return b->phase == CHUNK_ENDED ? HTTP1_DONE : HTTP1_MORE;
}

enum http1_verdict http1_body_next(struct http1_body *b, struct slice *in, struct slice *content)
{
	*content = (struct slice){0};
	switch (b->framing) {
	case HTTP1_NO_BODY:
		return HTTP1_DONE;
	case HTTP1_LENGTH:
		*content = take(in, b->left);
		b->left -= content->len;
		return b->left ? HTTP1_MORE : HTTP1_DONE;
	case HTTP1_CHUNKED:
		return chunked_next(b, in, content);
	case HTTP1_UNTIL_CLOSE:
	case HTTP1_TUNNEL:
		*content = take(in, in->len);
		return HTTP1_MORE;
	}
	return HTTP1_DONE;
}

enum http1_verdict http1_body_eof(struct http1_body *b)
{
	bool ended = b->framing == HTTP1_UNTIL_CLOSE || b->framing == HTTP1_TUNNEL ||
		     b->framing == HTTP1_NO_BODY || (b->framing == HTTP1_LENGTH && b->left == 0) ||
		     (b->framing == HTTP1_CHUNKED && b->phase == CHUNK_ENDED);
	if (ended)
		return HTTP1_DONE;
	b->bad = HTTP1_BAD_CUT_SHORT;
	return HTTP1_BAD;
}

enum http1_verdict http1_trailers_parse(struct slice section, struct http1_field *fields,
					unsigned max_fields, unsigned *n, enum http1_bad *bad)
{
	struct http1_head h;
	http1_head_init(&h, HTTP1_RESPONSE, fields, max_fields, HTTP1_MAX_TRAILERS);
	h.phase = PHASE_LINE; /* a head without its first line */
	h.minor = 1;
	enum http1_verdict v = http1_head_parse(&h, section);
	*n = h.n_fields;
	*bad = h.bad;
	return v;
}
