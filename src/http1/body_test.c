#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http1/body.h"
#include "http1/write.h"

#define BAD(why) HTTP1_BAD, HTTP1_BAD_##why
#define DONE HTTP1_DONE, HTTP1_BAD_NONE
#define MORE HTTP1_MORE, HTTP1_BAD_NONE
#define K64 "0123456789012345678901234567890123456789012345678901234567890123"
#define K1 K64 K64 K64 K64 K64 K64 K64 K64 K64 K64 K64 K64 K64 K64 K64 K64

/* clang-format off */
static const struct {
	const char *rule;
	enum http1_framing framing;
	uint64_t length;
	struct slice bytes;
	enum http1_verdict verdict;
	enum http1_bad bad;
	const char *content, *behind, *trailers;
} cases[] = {
	{"no body",                   HTTP1_NO_BODY, 0, SLICE("next"), DONE, "", "next", ""},
	{"length",                    HTTP1_LENGTH, 5, SLICE("hello"), DONE, "hello", "", ""},
	{"length, and then more",     HTTP1_LENGTH, 5, SLICE("hellonext"), DONE, "hello", "next", ""},
	{"length cut short",          HTTP1_LENGTH, 5, SLICE("hel"), MORE, "hel", "", ""},
	{"until close",               HTTP1_UNTIL_CLOSE, 0, SLICE("hello"), MORE, "hello", "", ""},
	{"one chunk",                 HTTP1_CHUNKED, 0, SLICE("5\r\nhello\r\n0\r\n\r\n"), DONE, "hello", "", "\r\n"},
	{"two chunks, and more",      HTTP1_CHUNKED, 0, SLICE("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nnext"), DONE, "hello!", "next", "\r\n"},
	{"size in hex, both cases",   HTTP1_CHUNKED, 0, SLICE("a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n"), DONE, "01234567890123456789", "", "\r\n"},
	{"extensions",                HTTP1_CHUNKED, 0, SLICE("5;a=b;c=\"d\"\r\nhello\r\n0 ;e\r\n\r\n"), DONE, "hello", "", "\r\n"},
	{"trailers",                  HTTP1_CHUNKED, 0, SLICE("1\r\nx\r\n0\r\nA: b\r\nC:d\r\n\r\nnext"), DONE, "x", "next", "A: b\r\nC:d\r\n\r\n"},
	{"no last chunk",             HTTP1_CHUNKED, 0, SLICE("1\r\nx\r\n"), MORE, "x", "", ""},
	{"no empty line",             HTTP1_CHUNKED, 0, SLICE("1\r\nx\r\n0\r\n"), MORE, "x", "", ""},
	{"no size",                   HTTP1_CHUNKED, 0, SLICE("\r\n\r\n"), BAD(CHUNK_SIZE), NULL, NULL, NULL},
	{"size with a sign",          HTTP1_CHUNKED, 0, SLICE("-1\r\n"), BAD(CHUNK_SIZE), NULL, NULL, NULL},
	{"size with 0x",              HTTP1_CHUNKED, 0, SLICE("0x1\r\nx\r\n"), BAD(CHUNK_SIZE), NULL, NULL, NULL},
	{"size past its digits",      HTTP1_CHUNKED, 0, SLICE("1000000000000000\r\n"), BAD(CHUNK_SIZE), NULL, NULL, NULL},
	{"size that would wrap",      HTTP1_CHUNKED, 0, SLICE("10000000000000005\r\nhello\r\n"), BAD(CHUNK_SIZE), NULL, NULL, NULL},
	{"space behind a size",       HTTP1_CHUNKED, 0, SLICE("1 \r\nx\r\n"), BAD(CHUNK_SIZE), NULL, NULL, NULL},
	{"LF alone behind a size",    HTTP1_CHUNKED, 0, SLICE("1\nx\r\n"), BAD(CHUNK_SIZE), NULL, NULL, NULL},
	{"CR alone behind a size",    HTTP1_CHUNKED, 0, SLICE("1\rx\r\n"), BAD(CHUNK_SIZE), NULL, NULL, NULL},
	{"LF alone in an extension",  HTTP1_CHUNKED, 0, SLICE("1;a\nx\r\n"), BAD(CHUNK_EXTENSION), NULL, NULL, NULL},
	{"NUL in an extension",       HTTP1_CHUNKED, 0, SLICE("1;\0\r\nx\r\n"), BAD(CHUNK_EXTENSION), NULL, NULL, NULL},
	{"extension as long as it may be", HTTP1_CHUNKED, 0, SLICE("1;" K1 "\r\nx\r\n"), MORE, NULL, NULL, NULL},
	{"extension too long",        HTTP1_CHUNKED, 0, SLICE("1;" K1 "x\r\nx\r\n"), BAD(CHUNK_EXTENSION), NULL, NULL, NULL},
	{"chunk longer than said",    HTTP1_CHUNKED, 0, SLICE("1\r\nxy\r\n"), BAD(CHUNK_END), NULL, NULL, NULL},
	{"LF alone behind a chunk",   HTTP1_CHUNKED, 0, SLICE("1\r\nx\n0\r\n\r\n"), BAD(CHUNK_END), NULL, NULL, NULL},
	{"CR alone behind a chunk",   HTTP1_CHUNKED, 0, SLICE("1\r\nx\r0\r\n\r\n"), BAD(CHUNK_END), NULL, NULL, NULL},
	{"folded trailer",            HTTP1_CHUNKED, 0, SLICE("0\r\nA: b\r\n c\r\n\r\n"), BAD(TRAILER), NULL, NULL, NULL},
	{"space before the colon",    HTTP1_CHUNKED, 0, SLICE("0\r\nA : b\r\n\r\n"), BAD(TRAILER), NULL, NULL, NULL},
	{"NUL in a trailer",          HTTP1_CHUNKED, 0, SLICE("0\r\nA: \0\r\n\r\n"), BAD(TRAILER), NULL, NULL, NULL},
	{"LF alone ends a trailer",   HTTP1_CHUNKED, 0, SLICE("0\r\nA: b\n\r\n"), BAD(TRAILER), NULL, NULL, NULL},
	{"trailers too long",         HTTP1_CHUNKED, 0, SLICE("0\r\nA: " K1 K1 K1 K1 K1 K1 K1 K1 K1 K1 K1 K1 K1 K1 K1 K1), BAD(TRAILER), NULL, NULL, NULL},
};
/* clang-format on */

struct outcome {
	struct http1_body b;
	enum http1_verdict verdict;
	struct buf content, trailers;
	size_t taken;
};

/* BYTES from O->taken up to LEN, in memory of its own. */
static void feed(struct outcome *o, struct slice bytes, size_t len)
{
	size_t n = len - o->taken;
	char *copy = mem_new(n ? n : 1);
	memcpy(copy, bytes.at + o->taken, n);
	struct slice in = {copy, n}, piece;
	do {
		o->verdict = http1_body_next(&o->b, &in, &piece);
		assert_true(buf_append(&o->content, piece));
	} while (o->verdict == HTTP1_MORE && in.len);
	o->taken = len - in.len;
	free(copy);
}

static void start(struct outcome *o, size_t row)
{
	*o = (struct outcome){0};
	buf_init(&o->content, 1 << 20);
	buf_init(&o->trailers, 1 << 20);
	http1_body_init(&o->b, cases[row].framing, cases[row].length, &o->trailers);
}

static void stop(struct outcome *o)
{
	buf_fini(&o->content);
	buf_fini(&o->trailers);
}

static void check(const struct outcome *o, size_t row)
{
	struct slice bytes = cases[row].bytes;
	bool ok = o->verdict == cases[row].verdict && o->b.bad == cases[row].bad;
	if (ok && cases[row].content)
		ok = slice_is(buf_slice(&o->content), cases[row].content) &&
		     slice_is(slice_sub(bytes, o->taken, bytes.len), cases[row].behind) &&
		     slice_is(buf_slice(&o->trailers), cases[row].trailers);
	if (!ok)
		fail_msg("%s: verdict %d, %s, content '%.*s'", cases[row].rule, o->verdict,
			 http1_bad_text(o->b.bad), SLICE_FMT(buf_slice(&o->content)));
}

static void every_row_at_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct slice bytes = cases[i].bytes;
		size_t step = bytes.len > 4096 ? 97 : 1;
		for (size_t at = 0; at <= bytes.len; at += step) {
			struct outcome o;
			start(&o, i);
			feed(&o, bytes, at);
			if (o.verdict == HTTP1_MORE)
				feed(&o, bytes, bytes.len);
			check(&o, i);
			stop(&o);
		}
		struct outcome o;
		start(&o, i);
		o.verdict = HTTP1_MORE;
		for (size_t n = 0; n <= bytes.len && o.verdict == HTTP1_MORE; n++)
			feed(&o, bytes, n);
		check(&o, i);
		stop(&o);
	}
}

static void end_of_file(void **state)
{
	(void)state;
	static const struct {
		enum http1_framing framing;
		uint64_t length;
		const char *bytes;
		enum http1_verdict verdict;
	} rows[] = {
		{HTTP1_UNTIL_CLOSE, 0, "abc", HTTP1_DONE},   {HTTP1_TUNNEL, 0, "abc", HTTP1_DONE},
		{HTTP1_LENGTH, 3, "abc", HTTP1_DONE},        {HTTP1_LENGTH, 3, "ab", HTTP1_BAD},
		{HTTP1_CHUNKED, 0, "0\r\n\r\n", HTTP1_DONE}, {HTTP1_CHUNKED, 0, "0\r\n", HTTP1_BAD},
		{HTTP1_NO_BODY, 0, "", HTTP1_DONE},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct http1_body b;
		struct slice in = slice_of(rows[i].bytes), piece;
		http1_body_init(&b, rows[i].framing, rows[i].length, NULL);
		while (in.len && http1_body_next(&b, &in, &piece) == HTTP1_MORE)
			;
		assert_int_equal(http1_body_eof(&b), rows[i].verdict);
	}
}

static void trailers(void **state)
{
	(void)state;
	struct http1_field fields[4];
	unsigned n;
	enum http1_bad bad;
	assert_int_equal(http1_trailers_parse(SLICE("A: b\r\nC:\r\n\r\n"), fields, 4, &n, &bad),
			 HTTP1_DONE);
	assert_int_equal(n, 2);
	assert_true(slice_is(fields[0].name, "A") && slice_is(fields[0].value, "b"));
	assert_int_equal(http1_trailers_parse(SLICE("\r\n"), fields, 4, &n, &bad), HTTP1_DONE);
	assert_int_equal(n, 0);
	assert_int_equal(http1_trailers_parse(SLICE("A b\r\n\r\n"), fields, 4, &n, &bad),
			 HTTP1_BAD);
	assert_int_equal(bad, HTTP1_BAD_FIELD_NAME);
}

static void writers_refuse(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1024);
	assert_false(http1_write_request(&b, SLICE("G T"), SLICE("/"), 1));
	assert_false(http1_write_request(&b, SLICE("GET"), SLICE("/ HTTP/1.1\r\nX:"), 1));
	assert_false(http1_write_request(&b, SLICE("GET"), SLICE(""), 1));
	assert_false(http1_write_status(&b, 99, NULL, 1));
	assert_false(http1_write_status(&b, 200, "a\r\nb: c", 1));
	assert_false(http1_write_field(&b, SLICE("a:"), SLICE("b")));
	assert_false(http1_write_field(&b, SLICE("a"), SLICE("b\r\nc: d")));
	assert_int_equal(buf_len(&b), 0);
	assert_true(http1_write_chunk(&b, SLICE(""))); /* an empty chunk would be the last */
	assert_int_equal(buf_len(&b), 0);
	assert_true(http1_write_chunk(&b, SLICE("hello world, hello")) &&
		    http1_write_last_chunk(&b));
	assert_true(slice_is(buf_slice(&b), "12\r\nhello world, hello\r\n0\r\n\r\n"));
	buf_fini(&b);
	buf_init(&b, 40);
	assert_false(http1_write_chunk(&b, SLICE("0123456789012345678901234567890123456789")));
	assert_int_equal(buf_len(&b), 0);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_at_every_cut),
		cmocka_unit_test(end_of_file),
		cmocka_unit_test(trailers),
		cmocka_unit_test(writers_refuse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
