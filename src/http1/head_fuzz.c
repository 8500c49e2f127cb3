/* A head of either kind: the verdict is the same whole, in two pieces and byte by byte; and what
 * parses is written and parses again to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http1/parse.h"
#include "http1/write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_FIELDS = 32, MAX_BYTES = 4096 };

static void expect_same(const struct http1_head *a, const struct http1_head *b)
{
	MUST(a->bad == b->bad && a->n_fields == b->n_fields && a->status == b->status);
	MUST(slice_eq(a->method, b->method) && slice_eq(a->target, b->target));
	MUST(slice_eq(a->phrase, b->phrase) && slice_eq(a->host, b->host));
	MUST(a->chunked == b->chunked && a->has_length == b->has_length);
	for (unsigned i = 0; i < a->n_fields; i++) {
		MUST(slice_eq(a->fields[i].name, b->fields[i].name));
		MUST(slice_eq(a->fields[i].value, b->fields[i].value));
	}
}

static void write_and_parse_again(const struct http1_head *h)
{
	struct http1_field fields[MAX_FIELDS];
	struct http1_head again;
	struct buf out;
	buf_init(&out, 4 * MAX_BYTES);
	if (h->kind == HTTP1_REQUEST) {
		MUST(http1_write_request(&out, h->method, h->target, h->minor));
	} else {
		char phrase[MAX_BYTES];
		MUST(h->phrase.len < sizeof(phrase));
		memcpy(phrase, h->phrase.at, h->phrase.len);
		phrase[h->phrase.len] = '\0';
		MUST(http1_write_status(&out, h->status, phrase, h->minor));
	}
	for (unsigned i = 0; i < h->n_fields; i++)
		MUST(http1_write_field(&out, h->fields[i].name, h->fields[i].value));
	MUST(http1_write_end(&out));
	http1_head_init(&again, h->kind, fields, MAX_FIELDS, 4 * MAX_BYTES);
	MUST(http1_head_parse(&again, buf_slice(&out)) == HTTP1_DONE);
	expect_same(h, &again);
	buf_fini(&out);
}

static void one_kind(enum http1_kind kind, struct slice bytes, size_t cut)
{
	struct http1_field fields[MAX_FIELDS], other_fields[MAX_FIELDS];
	struct http1_head h, other;
	http1_head_init(&h, kind, fields, MAX_FIELDS, MAX_BYTES);
	enum http1_verdict v = http1_head_parse(&h, bytes);

	/* In two pieces that stand at different places, and by the parser for any CPU. */
	char *first = mem_new(cut + 1);
	memcpy(first, bytes.at, cut);
	http1_head_init(&other, kind, other_fields, MAX_FIELDS, MAX_BYTES);
	enum http1_verdict w = http1_parse_base(&other, (struct slice){first, cut});
	if (w == HTTP1_MORE)
		w = http1_parse_base(&other, bytes);
	MUST(v == w && h.bad == other.bad);
	if (v == HTTP1_DONE && other.base == bytes.at)
		expect_same(&h, &other);
	free(first);

	http1_head_init(&other, kind, other_fields, MAX_FIELDS, MAX_BYTES);
	w = HTTP1_MORE;
	for (size_t n = 0; n <= bytes.len && w == HTTP1_MORE; n++)
		w = http1_head_parse(&other, slice_sub(bytes, 0, n));
	MUST(v == w && h.bad == other.bad);
	if (v == HTTP1_DONE) {
		expect_same(&h, &other);
		write_and_parse_again(&h);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = {(const char *)data, size};
	size_t cut = size ? data[size - 1] % size : 0;
	one_kind(HTTP1_REQUEST, bytes, cut);
	one_kind(HTTP1_RESPONSE, bytes, cut);
	return 0;
}
