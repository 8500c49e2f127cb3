#include "http1/head.h"

#include "http1/parse.h"

static const struct {
	unsigned status;
	const char *text;
} bads[] = {
#define BAD(name, status, text) [HTTP1_BAD_##name] = {status, text},
	HTTP1_BAD_LIST(BAD)
#undef BAD
};

const char *http1_bad_text(enum http1_bad bad)
{
	return bads[bad].text;
}

unsigned http1_bad_status(enum http1_bad bad)
{
	return bads[bad].status;
}

void http1_head_init(struct http1_head *h, enum http1_kind kind, struct http1_field *fields,
		     unsigned max_fields, size_t max_bytes)
{
	*h = (struct http1_head){
		.kind = kind,
		.fields = fields,
		.max_fields = max_fields,
		.max_bytes = max_bytes,
		.phase = http1_first_phase(kind),
	};
}

enum http1_verdict http1_head_parse(struct http1_head *h, struct slice bytes)
{
#ifdef HTTP1_AVX2
	if (__builtin_cpu_supports("avx2")) /* one load and a test */
		return http1_parse_avx2(h, bytes);
#endif
	return http1_parse_base(h, bytes);
}

const struct http1_field *http1_find(const struct http1_head *h, const char *name)
{
	struct slice wanted = slice_of(name);
	for (unsigned i = 0; i < h->n_fields; i++)
		if (slice_eq_nocase(h->fields[i].name, wanted))
			return &h->fields[i];
	return NULL;
}

bool http1_keeps_alive(const struct http1_head *h)
{
	return !h->close && (h->minor == 1 || h->keep_alive);
}

enum http1_framing http1_request_framing(const struct http1_head *h)
{
	if (h->chunked)
		return HTTP1_CHUNKED;
	return h->has_length && h->content_length ? HTTP1_LENGTH : HTTP1_NO_BODY;
}

enum http1_framing http1_response_framing(const struct http1_head *h, struct slice method)
{
	if (h->status == 101 || (slice_is(method, "CONNECT") && h->status / 100 == 2))
		return HTTP1_TUNNEL;
	if (slice_is(method, "HEAD") || h->status / 100 == 1 || h->status == 204 ||
	    h->status == 304)
		return HTTP1_NO_BODY;
	if (h->chunked)
		return HTTP1_CHUNKED;
	if (h->has_length)
		return h->content_length ? HTTP1_LENGTH : HTTP1_NO_BODY;
	return HTTP1_UNTIL_CLOSE;
}
