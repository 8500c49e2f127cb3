/*
 * The parser itself. Compiled twice (see parse.h): HTTP1_PARSE is the name it gets.
 *
 * One pass, an index and no pointer that moves; each phase scans from where the last call stopped.
 * The phases fall through in the order of a message, so that a head that came whole runs straight
 * down.
 */
#include "http1/parse.h"

#include <string.h>

#include "http1/scan.h"

/* What a phase function tells the loop. */
enum step { STEP_GO, STEP_MORE, STEP_BAD, STEP_DONE };

struct cursor {
	const unsigned char *s;
	size_t at, end;
};

static inline struct slice cut(const struct cursor *c, size_t from, size_t to)
{
	return (struct slice){(const char *)&c->s[from], to - from};
}

static inline enum step bad(struct http1_head *h, enum http1_bad why)
{
	h->bad = why;
	return STEP_BAD;
}

static inline enum step expect_lf(struct http1_head *h, struct cursor *c, enum http1_phase next)
{
	if (c->at == c->end)
		return STEP_MORE;
	if (c->s[c->at] != '\n')
		return bad(h, HTTP1_BAD_LINE_END);
	c->at++;
	h->phase = next;
	return STEP_GO;
}

/* LOWER is a literal of N letters and dashes, S a token: or-ing 0x20 maps no other tchar onto
 * those. */
static inline bool is_name(const char *s, const char *lower, size_t n)
{
	unsigned diff = 0;
	for (size_t i = 0; i < n; i++)
		diff |= ((unsigned char)s[i] | 0x20u) ^ (unsigned char)lower[i];
	return diff == 0;
}
#define IS_NAME(s, literal) is_name((s).at, literal, sizeof(literal) - 1)

static inline enum http1_name name_id(struct slice s)
{
	switch (s.len) {
	case 2:
		return IS_NAME(s, "te") ? HTTP1_TE : HTTP1_OTHER;
	case 4:
		return IS_NAME(s, "host") ? HTTP1_HOST : HTTP1_OTHER;
	case 6:
		return IS_NAME(s, "expect") ? HTTP1_EXPECT : HTTP1_OTHER;
	case 7:
		return IS_NAME(s, "upgrade")   ? HTTP1_UPGRADE
		       : IS_NAME(s, "trailer") ? HTTP1_TRAILER
					       : HTTP1_OTHER;
	case 10:
		return IS_NAME(s, "connection")   ? HTTP1_CONNECTION
		       : IS_NAME(s, "keep-alive") ? HTTP1_KEEP_ALIVE
						  : HTTP1_OTHER;
	case 14:
		return IS_NAME(s, "content-length") ? HTTP1_CONTENT_LENGTH : HTTP1_OTHER;
	case 16:
		return IS_NAME(s, "proxy-connection") ? HTTP1_PROXY_CONNECTION : HTTP1_OTHER;
	case 17:
		return IS_NAME(s, "transfer-encoding") ? HTTP1_TRANSFER_ENCODING : HTTP1_OTHER;
	default:
		return HTTP1_OTHER;
	}
}

static enum http1_bad note_length(struct http1_head *h, struct slice value)
{
	uint64_t n;
	/* A list of equal numbers may be accepted (RFC 9110 8.6); nobody needs that, so it isn't.
	 */
	if (!slice_to_u64(value, INT64_MAX, &n) || (h->has_length && n != h->content_length))
		return HTTP1_BAD_LENGTH;
	h->has_length = true;
	h->content_length = n;
	return HTTP1_BAD_NONE;
}

static enum http1_bad note_coding(struct http1_head *h, struct slice value)
{
	h->has_coding = true;
	while (value.len) {
		struct slice coding = slice_trim(slice_cut(&value, ','));
		if (coding.len == 0)
			continue; /* empty list elements mean nothing, RFC 9110 5.6.1 */
		if (h->chunked)
			return HTTP1_BAD_CODING;
		h->chunked = slice_eq_nocase(coding, SLICE("chunked"));
		/* "chunked;x" is neither chunked nor something that we may take for it. */
		if (!h->chunked && slice_starts_nocase(coding, SLICE("chunked")))
			return HTTP1_BAD_CODING;
	}
	return HTTP1_BAD_NONE;
}

static enum http1_bad note_host(struct http1_head *h, struct slice value)
{
	if (h->kind != HTTP1_REQUEST)
		return HTTP1_BAD_NONE;
	const unsigned char *s = (const unsigned char *)value.at;
	if (h->has_host || scan_class(s, 0, value.len, CHAR_HOST) != value.len)
		return HTTP1_BAD_HOST;
	h->has_host = true;
	h->host = value;
	return HTTP1_BAD_NONE;
}

static void note_connection(struct http1_head *h, struct slice value)
{
	while (value.len) {
		struct slice token = slice_trim(slice_cut(&value, ','));
		if (slice_eq_nocase(token, SLICE("close")))
			h->close = true;
		else if (slice_eq_nocase(token, SLICE("keep-alive")))
			h->keep_alive = true;
		else if (slice_eq_nocase(token, SLICE("upgrade")))
			h->upgrade = true;
	}
}

static enum http1_bad note_field(struct http1_head *h, const struct http1_field *f)
{
	switch (f->id) {
	case HTTP1_HOST:
		return note_host(h, f->value);
	case HTTP1_CONTENT_LENGTH:
		return note_length(h, f->value);
	case HTTP1_TRANSFER_ENCODING:
		return note_coding(h, f->value);
	case HTTP1_CONNECTION:
		note_connection(h, f->value);
		return HTTP1_BAD_NONE;
	case HTTP1_EXPECT:
		if (slice_eq_nocase(f->value, SLICE("100-continue")))
			h->expect_continue = true;
		return HTTP1_BAD_NONE;
	case HTTP1_OTHER:
	case HTTP1_UPGRADE:
	case HTTP1_TE:
	case HTTP1_TRAILER:
	case HTTP1_KEEP_ALIVE:
	case HTTP1_PROXY_CONNECTION:
		return HTTP1_BAD_NONE;
	}
	return HTTP1_BAD_NONE;
}

static enum step finish(struct http1_head *h, const struct cursor *c)
{
	h->len = c->at;
	if (h->has_coding && h->minor == 0)
		return bad(h, HTTP1_BAD_CODING);
	if (h->has_coding && h->has_length)
		return bad(h, HTTP1_BAD_LENGTH_AND_CODING);
	if (h->kind == HTTP1_REQUEST && h->has_coding && !h->chunked)
		return bad(h, HTTP1_BAD_CODING);
	if (h->kind == HTTP1_REQUEST && h->minor == 1 && !h->has_host)
		return bad(h, HTTP1_BAD_HOST);
	return STEP_DONE;
}

/* Up to the end of the request line. */
static inline enum step request_line(struct http1_head *h, struct cursor *c)
{
	switch ((enum http1_phase)h->phase) {
	case PHASE_METHOD:
		c->at = scan_token(c->s, c->at, c->end);
		if (c->at == c->end)
			return STEP_MORE;
		if (c->s[c->at] != ' ' || c->at == h->token)
			return bad(h, HTTP1_BAD_METHOD);
		h->method = cut(c, h->token, c->at);
		h->token = ++c->at;
		h->phase = PHASE_TARGET;
		__attribute__((fallthrough));
	case PHASE_TARGET:
		c->at = scan_target(c->s, c->at, c->end);
		if (c->at == c->end)
			return STEP_MORE;
		if (c->s[c->at] != ' ' || c->at == h->token)
			return bad(h, HTTP1_BAD_TARGET);
		h->target = cut(c, h->token, c->at);
		h->token = ++c->at;
		h->phase = PHASE_VERSION;
		__attribute__((fallthrough));
	default: /* PHASE_VERSION: the last one */
		break;
	}
	size_t have = c->end - c->at;
	const unsigned char *v = &c->s[c->at];
	if (have >= 10 && memcmp(v, "HTTP/1.1\r\n", 10) == 0) {
		h->minor = 1;
	} else {
		static const char like[] = "HTTP/1.?\r\n";
		for (size_t i = 0; i < 10; i++) {
			if (i == have)
				return STEP_MORE;
			if (i == 7 ? (v[i] != '0' && v[i] != '1') : v[i] != (unsigned char)like[i])
				return bad(h, i < 8 ? HTTP1_BAD_VERSION : HTTP1_BAD_LINE_END);
		}
		h->minor = v[7] == '1';
	}
	c->at += 10;
	h->phase = PHASE_LINE;
	return STEP_GO;
}

/* "HTTP/1.1 200 " and the bytes that may stand there. */
static enum step status_start(struct http1_head *h, struct cursor *c)
{
	static const char like[] = "HTTP/1.? ???";
	size_t have = c->end - c->at;
	const unsigned char *v = &c->s[c->at];
	for (size_t i = 0; i < 13; i++) {
		if (i == have)
			return STEP_MORE;
		bool fits = i == 7    ? v[i] == '0' || v[i] == '1'
			    : i == 9  ? v[i] >= '1' && v[i] <= '9'
			    : i == 12 ? v[i] == ' ' || v[i] == '\r'
			    : i > 9   ? v[i] >= '0' && v[i] <= '9'
				      : v[i] == (unsigned char)like[i];
		if (!fits)
			return bad(h, i < 8 ? HTTP1_BAD_VERSION : HTTP1_BAD_STATUS_LINE);
	}
	h->minor = v[7] == '1';
	h->status = (v[9] - '0') * 100u + (v[10] - '0') * 10u + (v[11] - '0') * 1u;
	/* The space is required and servers leave it out when no phrase follows: both are read. */
	c->at += v[12] == ' ' ? 13 : 12;
	h->token = c->at;
	h->phase = PHASE_PHRASE;
	return STEP_GO;
}

static enum step status_line(struct http1_head *h, struct cursor *c)
{
	if (h->phase == PHASE_STATUS) {
		enum step step = status_start(h, c);
		if (step != STEP_GO)
			return step;
	}
	if (h->phase == PHASE_PHRASE) {
		c->at = scan_value(c->s, c->at, c->end);
		if (c->at == c->end)
			return STEP_MORE;
		if (c->s[c->at] != '\r')
			return bad(h, c->s[c->at] == '\n' ? HTTP1_BAD_LINE_END
							  : HTTP1_BAD_STATUS_LINE);
		h->phrase = cut(c, h->token, c->at++);
		h->phase = PHASE_PHRASE_LF;
	}
	return expect_lf(h, c, PHASE_LINE);
}

static inline struct slice trim_end(struct slice s)
{
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* Field lines and the empty one after them. */
static inline enum step field_lines(struct http1_head *h, struct cursor *c)
{
	for (;;) {
		struct http1_field *f = &h->fields[h->n_fields]; /* the one at work, from NAME on */
		enum step step;
		enum http1_bad why;
		switch ((enum http1_phase)h->phase) {
		default: /* PHASE_LINE: the earlier ones are not seen here */
			if (c->at == c->end)
				return STEP_MORE;
			if (c->s[c->at] == '\r') {
				c->at++;
				h->phase = PHASE_END_LF;
				continue;
			}
			if (c->s[c->at] == ' ' || c->s[c->at] == '\t')
				return bad(h, HTTP1_BAD_OBS_FOLD);
			if (h->n_fields == h->max_fields)
				return bad(h, HTTP1_BAD_N_FIELDS);
			h->token = c->at;
			h->phase = PHASE_NAME;
			__attribute__((fallthrough));
		case PHASE_NAME:
			c->at = scan_token(c->s, c->at, c->end);
			if (c->at == c->end)
				return STEP_MORE;
			if (c->s[c->at] != ':' || c->at == h->token)
				return bad(h, HTTP1_BAD_FIELD_NAME);
			f->name = cut(c, h->token, c->at++);
			f->id = name_id(f->name);
			h->phase = PHASE_SPACE;
			__attribute__((fallthrough));
		case PHASE_SPACE:
			while (c->at < c->end && (c->s[c->at] == ' ' || c->s[c->at] == '\t'))
				c->at++;
			if (c->at == c->end)
				return STEP_MORE;
			h->token = c->at;
			h->phase = PHASE_VALUE;
			__attribute__((fallthrough));
		case PHASE_VALUE:
			c->at = scan_value(c->s, c->at, c->end);
			if (c->at == c->end)
				return STEP_MORE;
			if (c->s[c->at] != '\r')
				return bad(h, c->s[c->at] == '\n' ? HTTP1_BAD_LINE_END
								  : HTTP1_BAD_FIELD_VALUE);
			f->value = trim_end(cut(c, h->token, c->at++));
			h->phase = PHASE_VALUE_LF;
			__attribute__((fallthrough));
		case PHASE_VALUE_LF:
			step = expect_lf(h, c, PHASE_LINE);
			if (step != STEP_GO)
				return step;
			h->n_fields++;
			if (f->id != HTTP1_OTHER && (why = note_field(h, f)) != HTTP1_BAD_NONE)
				return bad(h, why);
			continue;
		case PHASE_END_LF:
			step = expect_lf(h, c, PHASE_LINE);
			return step == STEP_GO ? finish(h, c) : step;
		}
	}
}

/* Empty lines that a client sent behind its last body. */
static enum step start(struct http1_head *h, struct cursor *c)
{
	for (;;) {
		if (h->phase == PHASE_START_LF) {
			enum step step = expect_lf(h, c, PHASE_START);
			if (step != STEP_GO)
				return step;
		}
		if (c->at == c->end)
			return STEP_MORE;
		if (c->s[c->at] != '\r')
			break;
		c->at++;
		h->phase = PHASE_START_LF;
	}
	h->token = c->at;
	h->phase = PHASE_METHOD;
	return STEP_GO;
}

static struct slice moved(struct slice s, const char *from, const char *to)
{
	if (s.at) /* by offset: the old place may be freed memory */
		s.at = &to[(uintptr_t)s.at - (uintptr_t)from];
	return s;
}

/* The bytes are at another address than at the last call: so are the slices. */
static void rebase(struct http1_head *h, const char *to)
{
	h->method = moved(h->method, h->base, to);
	h->target = moved(h->target, h->base, to);
	h->phrase = moved(h->phrase, h->base, to);
	h->host = moved(h->host, h->base, to);
	for (unsigned i = 0; i < h->n_fields; i++) {
		h->fields[i].name = moved(h->fields[i].name, h->base, to);
		h->fields[i].value = moved(h->fields[i].value, h->base, to);
	}
	struct http1_field *at_work = &h->fields[h->n_fields];
	if (h->phase > PHASE_NAME && h->phase <= PHASE_VALUE_LF)
		at_work->name = moved(at_work->name, h->base, to);
	if (h->phase == PHASE_VALUE_LF)
		at_work->value = moved(at_work->value, h->base, to);
}

enum http1_verdict HTTP1_PARSE(struct http1_head *h, struct slice bytes)
{
	struct cursor c = {(const unsigned char *)bytes.at, h->at,
			   bytes.len < h->max_bytes ? bytes.len : h->max_bytes};
	if (h->base != bytes.at) {
		if (h->base)
			rebase(h, bytes.at);
		h->base = bytes.at;
	}
	enum step step = STEP_GO;
	if (h->phase <= PHASE_START_LF)
		step = start(h, &c);
	if (step == STEP_GO && h->phase <= PHASE_VERSION)
		step = request_line(h, &c);
	else if (step == STEP_GO && h->phase <= PHASE_PHRASE_LF)
		step = status_line(h, &c);
	if (step == STEP_GO)
		step = field_lines(h, &c);
	h->at = c.at;
	if (step == STEP_MORE && c.end == h->max_bytes)
		step = bad(h, HTTP1_BAD_HEAD_SIZE);
	return step == STEP_DONE ? HTTP1_DONE : step == STEP_MORE ? HTTP1_MORE : HTTP1_BAD;
}
