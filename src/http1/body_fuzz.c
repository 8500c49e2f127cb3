/* A chunked body: content, end and verdict are the same whole and byte by byte, and the content
 * written as chunks is read back. */
#include <stdint.h>
#include <stdlib.h>

#include "http1/body.h"
#include "http1/write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum http1_verdict verdict;
	enum http1_bad bad;
	size_t behind; /* bytes that were not taken */
	struct buf content, trailers;
};

static void run(struct outcome *o, struct slice bytes, size_t step)
{
	struct http1_body b;
	buf_init(&o->content, 1 << 24);
	buf_init(&o->trailers, 1 << 24);
	http1_body_init(&b, HTTP1_CHUNKED, 0, &o->trailers);
	o->verdict = HTTP1_MORE;
	size_t at = 0;
	while (at < bytes.len && o->verdict == HTTP1_MORE) {
		struct slice in = slice_sub(bytes, at, step), piece;
		while (in.len && o->verdict == HTTP1_MORE) {
			size_t before = in.len;
			o->verdict = http1_body_next(&b, &in, &piece);
			MUST(buf_append(&o->content, piece));
			at += before - in.len;
		}
	}
	o->behind = bytes.len - at;
	o->bad = b.bad;
}

static void drop(struct outcome *o)
{
	buf_fini(&o->content);
	buf_fini(&o->trailers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = {(const char *)data, size};
	struct outcome whole, cut, again;
	run(&whole, bytes, size);
	run(&cut, bytes, 1);
	MUST(whole.verdict == cut.verdict && whole.bad == cut.bad && whole.behind == cut.behind);
	MUST(slice_eq(buf_slice(&whole.content), buf_slice(&cut.content)));
	MUST(slice_eq(buf_slice(&whole.trailers), buf_slice(&cut.trailers)));
	if (whole.verdict == HTTP1_DONE) {
		struct http1_field fields[HTTP1_MAX_TRAILERS / 4];
		unsigned n;
		enum http1_bad bad;
		/* Refused may be here only what depends on meaning: a length, a coding. */
		if (http1_trailers_parse(buf_slice(&whole.trailers), fields, HTTP1_MAX_TRAILERS / 4,
					 &n, &bad) != HTTP1_DONE)
			MUST(bad == HTTP1_BAD_LENGTH || bad == HTTP1_BAD_CODING ||
			     bad == HTTP1_BAD_LENGTH_AND_CODING);
		struct buf out;
		buf_init(&out, 1 << 24);
		MUST(http1_write_chunk(&out, buf_slice(&whole.content)));
		MUST(http1_write_last_chunk(&out));
		run(&again, buf_slice(&out), 7);
		MUST(again.verdict == HTTP1_DONE && again.behind == 0);
		MUST(slice_eq(buf_slice(&whole.content), buf_slice(&again.content)));
		drop(&again);
		buf_fini(&out);
	}
	drop(&whole);
	drop(&cut);
	return 0;
}
