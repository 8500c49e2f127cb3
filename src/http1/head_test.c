#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http1/head.h"
#include "http1/parse.h"

enum { MAX_FIELDS = 8, MAX_BYTES = 512 };

#define REQ(text) HTTP1_REQUEST, SLICE(text)
#define RES(text) HTTP1_RESPONSE, SLICE(text)
#define BAD(why) HTTP1_BAD, HTTP1_BAD_##why
#define DONE HTTP1_DONE, HTTP1_BAD_NONE
#define MORE HTTP1_MORE, HTTP1_BAD_NONE
#define H "Host: a\r\n"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

/* clang-format off */
static const struct {
	const char *rule; /* one thing per row, and the row says which */
	enum http1_kind kind;
	struct slice bytes;
	enum http1_verdict verdict;
	enum http1_bad bad;
} cases[] = {
	/* Request line, RFC 9112 3. */
	{"smallest 1.1 request",          REQ("GET / HTTP/1.1\r\n" H "\r\n"), DONE},
	{"1.0 needs no Host",             REQ("GET / HTTP/1.0\r\n\r\n"), DONE},
	{"empty lines come first",        REQ("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), DONE},
	{"any token is a method",         REQ("M-SEARCH! * HTTP/1.1\r\n" H "\r\n"), DONE},
	{"authority form",                REQ("CONNECT a:443 HTTP/1.1\r\n" H "\r\n"), DONE},
	{"bytes above ASCII in a target", REQ("GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"), DONE},
	{"long target",                   REQ("GET /" HUNDRED HUNDRED " HTTP/1.1\r\n" H "\r\n"), DONE},
	{"nothing yet",                   REQ(""), MORE},
	{"only an empty line",            REQ("\r\n"), MORE},
	{"method cut short",              REQ("GE"), MORE},
	{"target cut short",              REQ("GET /in"), MORE},
	{"version cut short",             REQ("GET / HTTP/1."), MORE},
	{"no method",                     REQ(" / HTTP/1.1\r\n" H "\r\n"), BAD(METHOD)},
	{"method is no token",            REQ("GE(T / HTTP/1.1\r\n" H "\r\n"), BAD(METHOD)},
	{"method above ASCII",            REQ("G\xc9T / HTTP/1.1\r\n" H "\r\n"), BAD(METHOD)},
	{"NUL in the method",             REQ("GE\0T / HTTP/1.1\r\n" H "\r\n"), BAD(METHOD)},
	{"method and nothing else",       REQ("GET\r\n"), BAD(METHOD)},
	{"LF before the request line",    REQ("\nGET / HTTP/1.1\r\n" H "\r\n"), BAD(METHOD)},
	{"CR before the request line",    REQ("\rGET / HTTP/1.1\r\n" H "\r\n"), BAD(LINE_END)},
	{"two spaces before the target",  REQ("GET  / HTTP/1.1\r\n" H "\r\n"), BAD(TARGET)},
	{"two spaces behind the target",  REQ("GET /  HTTP/1.1\r\n" H "\r\n"), BAD(VERSION)},
	{"tab in the target",             REQ("GET /a\tb HTTP/1.1\r\n" H "\r\n"), BAD(TARGET)},
	{"DEL in the target",             REQ("GET /a\x7f HTTP/1.1\r\n" H "\r\n"), BAD(TARGET)},
	{"NUL far in the target",         REQ("GET /" HUNDRED "\0 HTTP/1.1\r\n" H "\r\n"), BAD(TARGET)},
	{"HTTP/0.9",                      REQ("GET /\r\n"), BAD(TARGET)},
	{"HTTP/2 preface",                REQ("PRI * HTTP/2.0\r\n\r\n"), BAD(VERSION)},
	{"HTTP/1.2",                      REQ("GET / HTTP/1.2\r\n" H "\r\n"), BAD(VERSION)},
	{"small http",                    REQ("GET / http/1.1\r\n" H "\r\n"), BAD(VERSION)},
	{"space behind the version",      REQ("GET / HTTP/1.1 \r\n" H "\r\n"), BAD(LINE_END)},
	{"LF alone ends the first line",  REQ("GET / HTTP/1.1\n" H "\r\n"), BAD(LINE_END)},

	/* Field lines, RFC 9112 5. */
	{"no space behind the colon",     REQ("GET / HTTP/1.1\r\nHost:a\r\n\r\n"), DONE},
	{"white space around a value",    REQ("GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n"), DONE},
	{"empty value",                   REQ("GET / HTTP/1.1\r\n" H "X:\r\nY: \r\n\r\n"), DONE},
	{"obs-text in a value",           REQ("GET / HTTP/1.1\r\n" H "X: \xff\xfe\r\n\r\n"), DONE},
	{"tab in a value",                REQ("GET / HTTP/1.1\r\n" H "X: a\tb\r\n\r\n"), DONE},
	{"long value",                    REQ("GET / HTTP/1.1\r\n" H "X: " HUNDRED HUNDRED "\r\n\r\n"), DONE},
	{"long name",                     REQ("GET / HTTP/1.1\r\n" H HUNDRED ": x\r\n\r\n"), DONE},
	{"as many fields as fit",         REQ("GET / HTTP/1.1\r\n" H "a:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n\r\n"), DONE},
	{"header cut short",              REQ("GET / HTTP/1.1\r\nHos"), MORE},
	{"value cut short",               REQ("GET / HTTP/1.1\r\nHost: "), MORE},
	{"line end cut short",            REQ("GET / HTTP/1.1\r\n" H "\r"), MORE},
	{"space before the colon",        REQ("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), BAD(FIELD_NAME)},
	{"tab before the colon",          REQ("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n"), BAD(FIELD_NAME)},
	{"empty name",                    REQ("GET / HTTP/1.1\r\n" H ": a\r\n\r\n"), BAD(FIELD_NAME)},
	{"no colon",                      REQ("GET / HTTP/1.1\r\n" H "X\r\n\r\n"), BAD(FIELD_NAME)},
	{"name above ASCII",              REQ("GET / HTTP/1.1\r\n" H "\xc3\xa9: a\r\n\r\n"), BAD(FIELD_NAME)},
	{"NUL in a name",                 REQ("GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n"), BAD(FIELD_NAME)},
	{"folded line",                   REQ("GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"), BAD(OBS_FOLD)},
	{"folded with a tab",             REQ("GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n"), BAD(OBS_FOLD)},
	{"space before the first field",  REQ("GET / HTTP/1.1\r\n " H "\r\n"), BAD(OBS_FOLD)},
	{"NUL in a value",                REQ("GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n"), BAD(FIELD_VALUE)},
	{"NUL far in a value",            REQ("GET / HTTP/1.1\r\n" H "X: " HUNDRED "\0\r\n\r\n"), BAD(FIELD_VALUE)},
	{"control character in a value",  REQ("GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n"), BAD(FIELD_VALUE)},
	{"DEL in a value",                REQ("GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n"), BAD(FIELD_VALUE)},
	{"bare CR in a value",            REQ("GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n"), BAD(LINE_END)},
	{"bare LF ends a value",          REQ("GET / HTTP/1.1\r\n" H "X: a\n\r\n"), BAD(LINE_END)},
	{"bare CR ends the head",         REQ("GET / HTTP/1.1\r\n" H "\rX"), BAD(LINE_END)},
	{"bare LF ends the head",         REQ("GET / HTTP/1.1\r\n" H "\n"), BAD(FIELD_NAME)},
	{"one field too many",            REQ("GET / HTTP/1.1\r\n" H "a:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\na:\r\n\r\n"), BAD(N_FIELDS)},
	{"head too large",                REQ("GET / HTTP/1.1\r\n" H "a:" HUNDRED HUNDRED HUNDRED "\r\na:" HUNDRED HUNDRED "\r\n\r\n"), BAD(HEAD_SIZE)},
	{"head too large and unfinished", REQ("GET /" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED), BAD(HEAD_SIZE)},

	/* Host, RFC 9112 3.2. */
	{"no Host in 1.1",                REQ("GET / HTTP/1.1\r\n\r\n"), BAD(HOST)},
	{"empty Host",                    REQ("GET / HTTP/1.1\r\nHost:\r\n\r\n"), DONE},
	{"IPv6 Host with a port",         REQ("GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n\r\n"), DONE},
	{"two Hosts",                     REQ("GET / HTTP/1.1\r\n" H H "\r\n"), BAD(HOST)},
	{"Host with a path",              REQ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), BAD(HOST)},
	{"Host with user information",    REQ("GET / HTTP/1.1\r\nHost: u@b\r\n\r\n"), BAD(HOST)},
	{"Host with a space",             REQ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), BAD(HOST)},

	/* Length and coding, RFC 9112 6. */
	{"length",                        REQ("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc"), DONE},
	{"the same length twice",         REQ("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"), DONE},
	{"two lengths that disagree",     REQ("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\n"), BAD(LENGTH)},
	{"list of lengths",               REQ("POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\n"), BAD(LENGTH)},
	{"empty length",                  REQ("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"), BAD(LENGTH)},
	{"length with a sign",            REQ("POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\n"), BAD(LENGTH)},
	{"length in hex",                 REQ("POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\n"), BAD(LENGTH)},
	{"length past 63 bits",           REQ("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n"), BAD(LENGTH)},
	{"length past 64 bits",           REQ("POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551619\r\n\r\n"), BAD(LENGTH)},
	{"chunked",                       REQ("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), DONE},
	{"chunked in capitals",           REQ("POST / HTTP/1.1\r\n" H "TRANSFER-ENCODING: CHUNKED\r\n\r\n"), DONE},
	{"gzip, then chunked",            REQ("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\nTransfer-Encoding: , chunked\r\n\r\n"), DONE},
	{"length beside chunked",         REQ("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), BAD(LENGTH_AND_CODING)},
	{"chunked beside length",         REQ("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), BAD(LENGTH_AND_CODING)},
	{"chunked, then gzip",            REQ("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n"), BAD(CODING)},
	{"chunked twice",                 REQ("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"), BAD(CODING)},
	{"chunked with a parameter",      REQ("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;a=b\r\n\r\n"), BAD(CODING)},
	{"request that ends in gzip",     REQ("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"), BAD(CODING)},
	{"empty Transfer-Encoding",       REQ("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"), BAD(CODING)},
	{"chunked in HTTP/1.0",           REQ("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), BAD(CODING)},

	/* Status line, RFC 9112 4. */
	{"response",                      RES("HTTP/1.1 200 OK\r\n\r\n"), DONE},
	{"no phrase",                     RES("HTTP/1.1 200 \r\n\r\n"), DONE},
	{"no phrase, no space",           RES("HTTP/1.1 200\r\n\r\n"), DONE},
	{"phrase above ASCII",            RES("HTTP/1.0 404 \xc3\xa9t\xc3\xa9\r\nX: y\r\n\r\n"), DONE},
	{"response that ends in gzip",    RES("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), DONE},
	{"status line cut short",         RES("HTTP/1.1 20"), MORE},
	{"length beside chunked",         RES("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), BAD(LENGTH_AND_CODING)},
	{"empty line before a response",  RES("\r\nHTTP/1.1 200 OK\r\n\r\n"), BAD(VERSION)},
	{"status of two digits",          RES("HTTP/1.1 20 OK\r\n\r\n"), BAD(STATUS_LINE)},
	{"status of four digits",         RES("HTTP/1.1 2000 OK\r\n\r\n"), BAD(STATUS_LINE)},
	{"status below 100",              RES("HTTP/1.1 099 OK\r\n\r\n"), BAD(STATUS_LINE)},
	{"control character in a phrase", RES("HTTP/1.1 200 O\x01\r\n\r\n"), BAD(STATUS_LINE)},
	{"bare LF behind a phrase",       RES("HTTP/1.1 200 OK\n\r\n"), BAD(LINE_END)},
	{"another protocol",              RES("ICY 200 OK\r\n\r\n"), BAD(VERSION)},
};
/* clang-format on */

typedef enum http1_verdict parser(struct http1_head *h, struct slice bytes);

struct outcome {
	enum http1_verdict verdict;
	struct http1_head h;
	struct http1_field fields[MAX_FIELDS];
	char *bytes; /* what the slices borrow from */
};

/* Each piece is at an address of its own and nothing is behind it. */
static void feed(struct outcome *o, struct slice bytes, size_t len, parser *parse)
{
	char *old = o->bytes;
	o->bytes = mem_new(len ? len : 1);
	memcpy(o->bytes, bytes.at, len);
	o->verdict = parse(&o->h, (struct slice){o->bytes, len});
	free(old);
}

static void start(struct outcome *o, enum http1_kind kind)
{
	memset(o, 0x5a, sizeof(*o));
	o->bytes = NULL;
	http1_head_init(&o->h, kind, o->fields, MAX_FIELDS, MAX_BYTES);
}

static void expect_same(const char *rule, const struct outcome *a, const struct outcome *b)
{
	if (a->verdict != b->verdict || a->h.bad != b->h.bad)
		fail_msg("%s: %d/%s here, %d/%s there", rule, a->verdict, http1_bad_text(a->h.bad),
			 b->verdict, http1_bad_text(b->h.bad));
	if (a->verdict != HTTP1_DONE)
		return;
	assert_int_equal(a->h.len, b->h.len);
	assert_int_equal(a->h.n_fields, b->h.n_fields);
	assert_true(slice_eq(a->h.method, b->h.method) && slice_eq(a->h.target, b->h.target) &&
		    slice_eq(a->h.phrase, b->h.phrase) && slice_eq(a->h.host, b->h.host));
	for (unsigned i = 0; i < a->h.n_fields; i++) {
		assert_true(slice_eq(a->fields[i].name, b->fields[i].name));
		assert_true(slice_eq(a->fields[i].value, b->fields[i].value));
		assert_int_equal(a->fields[i].id, b->fields[i].id);
	}
}

static void each_row(parser *parse)
{
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct slice bytes = cases[i].bytes;
		struct outcome whole, cut;
		start(&whole, cases[i].kind);
		feed(&whole, bytes, bytes.len, parse);
		if (whole.verdict != cases[i].verdict || whole.h.bad != cases[i].bad)
			fail_msg("%s: verdict %d, %s", cases[i].rule, whole.verdict,
				 http1_bad_text(whole.h.bad));
		for (size_t at = 0; at <= bytes.len; at++) { /* in two pieces */
			start(&cut, cases[i].kind);
			feed(&cut, bytes, at, parse);
			if (cut.verdict == HTTP1_MORE)
				feed(&cut, bytes, bytes.len, parse);
			expect_same(cases[i].rule, &whole, &cut);
			free(cut.bytes);
		}
		start(&cut, cases[i].kind); /* byte by byte */
		cut.verdict = HTTP1_MORE;
		for (size_t n = 0; n <= bytes.len && cut.verdict == HTTP1_MORE; n++)
			feed(&cut, bytes, n, parse);
		expect_same(cases[i].rule, &whole, &cut);
		free(cut.bytes);
		free(whole.bytes);
	}
}

static void every_row_at_every_cut(void **state)
{
	(void)state;
	each_row(http1_head_parse);
	each_row(http1_parse_base);
}

static void found_values(void **state)
{
	(void)state;
	static const char text[] =
		"POST /a?b=c HTTP/1.1\r\nHost: shop.example:80\r\n"
		"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
		"content-length: 12 \r\nExpect: 100-Continue\r\nX-Y: z z\r\n\r\nrest";
	struct http1_field fields[8];
	struct http1_head h;
	http1_head_init(&h, HTTP1_REQUEST, fields, 8, sizeof(text));
	assert_int_equal(http1_head_parse(&h, SLICE(text)), HTTP1_DONE);
	assert_true(slice_is(h.method, "POST"));
	assert_true(slice_is(h.target, "/a?b=c"));
	assert_true(slice_is(h.host, "shop.example:80"));
	assert_int_equal(h.n_fields, 6);
	assert_int_equal(h.len, sizeof(text) - 1 - 4);
	assert_true(h.keep_alive && h.upgrade && !h.close && h.expect_continue);
	assert_int_equal(fields[3].id, HTTP1_CONTENT_LENGTH);
	assert_true(slice_is(fields[3].value, "12"));
	assert_true(slice_is(http1_find(&h, "x-y")->value, "z z"));
	assert_null(http1_find(&h, "x-yy"));
	assert_true(http1_keeps_alive(&h));
	assert_int_equal(http1_request_framing(&h), HTTP1_LENGTH);
	assert_int_equal(h.content_length, 12);
}

static void response_framing(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *method, *head;
		enum http1_framing framing;
		bool keeps_alive;
	} rows[] = {
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HTTP1_NO_BODY,
		 true},
		{"204", "GET", "HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", HTTP1_NO_BODY, true},
		{"304", "GET", "HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\n", HTTP1_NO_BODY, true},
		{"100", "GET", "HTTP/1.1 100 Go\r\n\r\n", HTTP1_NO_BODY, true},
		{"101", "GET", "HTTP/1.1 101 Go\r\n\r\n", HTTP1_TUNNEL, true},
		{"CONNECT", "CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", HTTP1_TUNNEL,
		 true},
		{"CONNECT refused", "CONNECT", "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\n",
		 HTTP1_LENGTH, true},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		 HTTP1_CHUNKED, true},
		{"no length", "GET", "HTTP/1.1 200 OK\r\n\r\n", HTTP1_UNTIL_CLOSE, true},
		{"length 0", "GET",
		 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, CLOSE\r\n\r\n",
		 HTTP1_NO_BODY, false},
		{"1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", HTTP1_LENGTH, false},
		{"1.0 kept", "GET",
		 "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
		 HTTP1_LENGTH, true},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct http1_field fields[8];
		struct http1_head h;
		http1_head_init(&h, HTTP1_RESPONSE, fields, 8, 1024);
		assert_int_equal(http1_head_parse(&h, slice_of(rows[i].head)), HTTP1_DONE);
		if (http1_response_framing(&h, slice_of(rows[i].method)) != rows[i].framing ||
		    http1_keeps_alive(&h) != rows[i].keeps_alive)
			fail_msg("%s", rows[i].rule);
	}
}

static const struct {
	const char *rule, *head, *authority;
} named[] = {
	{"Host", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"},
	{"less its port", "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", "a.example"},
	{"an address in brackets", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "[::1]"},
	{"nobody", "GET / HTTP/1.0\r\n\r\n", ""},
	{"an absolute target counts, RFC 9112 3.2.2",
	 "GET http://b.example:80/x HTTP/1.1\r\nHost: a.example\r\n\r\n", "b.example"},
	{"less its user", "GET http://a.example@b.example?x HTTP/1.1\r\nHost: a\r\n\r\n",
	 "b.example"},
	{"a path with a colon", "GET /x://y HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"},
	{"CONNECT", "CONNECT b.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", "b.example"},
	{"the whole server", "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"},
};

static void whom_it_is_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(named); i++) {
		struct http1_field fields[MAX_FIELDS];
		struct http1_head h;
		http1_head_init(&h, HTTP1_REQUEST, fields, MAX_FIELDS, MAX_BYTES);
		assert_int_equal(http1_head_parse(&h, slice_of(named[i].head)), HTTP1_DONE);
		struct slice found = http1_authority(&h);
		if (!slice_is(found, named[i].authority))
			fail_msg("%s: %.*s", named[i].rule, SLICE_FMT(found));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_at_every_cut),
		cmocka_unit_test(found_values),
		cmocka_unit_test(response_framing),
		cmocka_unit_test(whom_it_is_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
