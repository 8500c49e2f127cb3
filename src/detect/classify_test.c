#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "detect/classify.h"

#define GET "GET / HTTP/1.1\r\n"
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* clang-format off */
static const struct {
	const char *rule;
	struct slice bytes;
	enum word word;
	size_t certain_at; /* the byte that makes it certain; 0: none does */
} cases[] = { /* one thing per row, and the row says which */
	{"nothing yet",                                SLICE(""),                                WORD_MORE,   0},
	{"a request line",                             SLICE(GET "Host: a\r\n\r\n"),             WORD_HTTP1, 16},
	{"a bare LF ends the line",                    SLICE("GET / HTTP/1.1\n"),                WORD_HTTP1, 15},
	{"HTTP/1.0",                                   SLICE("GET / HTTP/1.0\r\n"),              WORD_HTTP1, 16},
	{"a later minor version",                      SLICE("GET / HTTP/1.7\r\n"),              WORD_HTTP1, 16},
	{"a minor version of two digits",              SLICE("GET / HTTP/1.10\r\n"),             WORD_OPAQUE, 15},
	{"HTTP/0.9",                                   SLICE("GET /\r\n"),                       WORD_OPAQUE, 6},
	{"HTTP/2 in a request line",                   SLICE("GET / HTTP/2.0\r\n"),              WORD_OPAQUE, 12},
	{"HTTP/1. must end the line",                  SLICE("GET / HTTP/1.1 x\r\n"),            WORD_OPAQUE, 15},
	{"CR without LF",                              SLICE("GET / HTTP/1.1\rx"),               WORD_OPAQUE, 16},
	{"two spaces before the target",               SLICE("GET  / HTTP/1.1\r\n"),             WORD_OPAQUE, 5},
	{"two spaces before the version",              SLICE("GET /  HTTP/1.1\r\n"),             WORD_OPAQUE, 7},
	{"an empty line first",                        SLICE("\r\n" GET),                        WORD_OPAQUE, 1},
	{"lower case is no method",                    SLICE("get / HTTP/1.1\r\n"),              WORD_OPAQUE, 1},
	{"a method nobody registered",                 SLICE("FETCH / HTTP/1.1\r\n"),            WORD_OPAQUE, 1},
	{"a method that goes on",                      SLICE("GETS / HTTP/1.1\r\n"),             WORD_OPAQUE, 4},
	{"a method of UPnP",                           SLICE("M-SEARCH * HTTP/1.1\r\n"),         WORD_HTTP1, 21},
	{"a method of WebDAV",                         SLICE("PROPFIND /d HTTP/1.1\r\n"),        WORD_HTTP1, 22},
	{"a method with a hyphen",                     SLICE("VERSION-CONTROL /d HTTP/1.1\r\n"), WORD_HTTP1, 29},
	{"a target of UTF-8",                          SLICE("GET /\xc3\xa9 HTTP/1.1\r\n"),      WORD_HTTP1, 18},
	{"a tab in the target",                        SLICE("GET /\tx HTTP/1.1\r\n"),           WORD_OPAQUE, 6},
	{"a NUL in the target",                        SLICE("GET /\0x HTTP/1.1\r\n"),           WORD_OPAQUE, 6},
	{"absolute-form",                              SLICE("GET http://a/ HTTP/1.1\r\n"),      WORD_HTTP1, 24},
	{"absolute-form without slashes is SIP",       SLICE("OPTIONS sip:a@b SIP/2.0\r\n"),     WORD_OPAQUE, 13},
	{"asterisk-form",                              SLICE("OPTIONS * HTTP/1.1\r\n"),          WORD_HTTP1, 20},
	{"an asterisk and more",                       SLICE("OPTIONS *x HTTP/1.1\r\n"),         WORD_OPAQUE, 10},
	{"authority-form",                             SLICE("CONNECT a:443 HTTP/1.1\r\n"),      WORD_HTTP1, 24},
	{"authority-form of IPv6",                     SLICE("CONNECT [::1]:443 HTTP/1.1\r\n"),  WORD_HTTP1, 28},
	{"CONNECT to no port",                         SLICE("CONNECT a HTTP/1.1\r\n"),          WORD_OPAQUE, 10},
	{"authority-form of another method",           SLICE("GET a:443 HTTP/1.1\r\n"),          WORD_OPAQUE, 7},
	{"a query without a path",                     SLICE("GET ?x HTTP/1.1\r\n"),             WORD_OPAQUE, 5},
	{"RTSP",                                       SLICE("OPTIONS rtsp://a/ RTSP/1.0\r\n"),  WORD_OPAQUE, 19},
	{"RTSP, another method",                       SLICE("DESCRIBE rtsp://a/ RTSP/1.0\r\n"), WORD_OPAQUE, 3},
	{"SIP, a method of its own",                   SLICE("REGISTER sip:a SIP/2.0\r\n"),      WORD_OPAQUE, 3},
	{"Redis inline, a word of its own",            SLICE("PING\r\n"),                        WORD_OPAQUE, 2},
	{"Redis inline, a word of HTTP's",             SLICE("GET key\r\n"),                     WORD_OPAQUE, 8},
	{"Redis inline that names a URL",              SLICE("GET http://a/\r\n"),               WORD_OPAQUE, 14},
	{"memcached",                                  SLICE("get foo\r\n"),                     WORD_OPAQUE, 1},
	{"SMTP from a client that does not wait",      SLICE("EHLO a\r\n"),                      WORD_OPAQUE, 1},
	{"FTP's QUIT is not QUERY",                    SLICE("QUIT\r\n"),                        WORD_OPAQUE, 3},
	{"SSH",                                        SLICE("SSH-2.0-x\r\n"),                   WORD_OPAQUE, 2},
	{"a method cut short",                         SLICE("PO"),                              WORD_MORE,   0},
	{"a target cut short",                         SLICE("GET /index"),                      WORD_MORE,   0},
	{"a version cut short",                        SLICE("GET / HTTP/1."),                   WORD_MORE,   0},
	{"a line end cut short",                       SLICE("GET / HTTP/1.1\r"),                WORD_MORE,   0},
	{"the HTTP/2 preface",                         SLICE(PREFACE "\0\0\0"),                  WORD_HTTP2, 24},
	{"the preface cut short",                      SLICE("PRI * HTTP/2.0\r\n"),              WORD_MORE,   0},
	{"P alone: POST or PRI",                       SLICE("P"),                               WORD_MORE,   0},
	{"PR: PROPFIND or PRI",                        SLICE("PR"),                              WORD_MORE,   0},
	{"a preface gone wrong",                       SLICE("PRI * HTTP/2.0\r\n\r\nXX"),        WORD_OPAQUE, 19},
	{"the preface with bare LF",                   SLICE("PRI * HTTP/2.0\n\nSM\n\n"),        WORD_OPAQUE, 15},
	{"PostgreSQL",                                 SLICE("\0\0\0\x08\x04\xd2\x16\x2f"),      WORD_OPAQUE, 1},
	{"Java RMI",                                   SLICE("JRMI\0\2K"),                       WORD_OPAQUE, 1},
	{"a TLS record type alone",                    SLICE("\x16"),                            WORD_MORE,   0},
	{"a record of another major version",          SLICE("\x16\2"),                          WORD_OPAQUE, 2},
	{"a record header cut short",                  SLICE("\x16\3\1\2"),                      WORD_MORE,   0},
	{"an empty record",                            SLICE("\x16\3\1\0\0"),                    WORD_OPAQUE, 5},
	{"a record over 2^14",                         SLICE("\x16\3\1\x40\1"),                  WORD_OPAQUE, 5},
	{"a handshake that is no ClientHello",         SLICE("\x16\3\1\2\0\2"),                  WORD_OPAQUE, 6},
	{"a hello too short to be one",                SLICE("\x16\3\1\0\x2c\1\0\0\x28"),        WORD_OPAQUE, 9},
	{"a hello over 16 KiB: TLS without names",     SLICE("\x16\3\1\x40\0\1\0\x40\1"),        WORD_TLS,    9},
	{"a TLS alert",                                SLICE("\x15\3\1\0\2\1\0"),                WORD_OPAQUE, 1},
	{"an SSLv2 hello",                             SLICE("\x80\x2e\1\3\1"),                  WORD_OPAQUE, 1},
};
/* clang-format on */

/* Bytes in memory of exactly their size, so that AddressSanitizer sees a read past the end. */
static enum word classify_exact(struct slice bytes, struct classify *c)
{
	char *copy = mem_new(bytes.len);
	if (bytes.len)
		memcpy(copy, bytes.at, bytes.len);
	enum word word = classify_client((struct slice){copy, bytes.len}, c);
	free(copy);
	return word;
}

static void rules(void **state)
{
	(void)state; /* none */
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		size_t certain_at = 0;
		struct classify c;
		for (size_t cut = 0; cut <= cases[i].bytes.len; cut++) {
			enum word word = classify_exact(slice_sub(cases[i].bytes, 0, cut), &c);
			if (word != WORD_MORE && certain_at == 0)
				certain_at = cut;
			if (word != (certain_at ? cases[i].word : WORD_MORE))
				fail_msg("%s: cut at %zu: %s", cases[i].rule, cut, word_name(word));
		}
		if (certain_at != cases[i].certain_at)
			fail_msg("%s: certain at %zu", cases[i].rule, certain_at);
	}
}

static void http_minor_is_told(void **state)
{
	(void)state; /* none */
	struct classify c;
	assert_int_equal(classify_client(SLICE("GET / HTTP/1.0\r\n"), &c), WORD_HTTP1);
	assert_int_equal(c.http_minor, 0);
	assert_int_equal(classify_client(SLICE(GET), &c), WORD_HTTP1);
	assert_int_equal(c.http_minor, 1);
	assert_int_equal(classify_client(SLICE("GET / HTTP/1.1 x"), &c), WORD_OPAQUE);
	assert_int_equal(c.http_minor, 0);
}

static void a_line_without_end_is_opaque(void **state)
{
	(void)state; /* none */
	char *line = mem_new(CLASSIFY_MAX_LINE + 32);
	struct classify c;
	memset(line, 'a', CLASSIFY_MAX_LINE + 32);
	memcpy(line, "GET /", 5);
	assert_int_equal(classify_client((struct slice){line, CLASSIFY_MAX_LINE - 1}, &c),
			 WORD_MORE);
	assert_int_equal(classify_client((struct slice){line, CLASSIFY_MAX_LINE}, &c), WORD_OPAQUE);
	/* An end that comes later changes nothing: the verdict was final. */
	memcpy(&line[CLASSIFY_MAX_LINE], " HTTP/1.1\r\n", 11);
	assert_int_equal(classify_client((struct slice){line, CLASSIFY_MAX_LINE + 11}, &c),
			 WORD_OPAQUE);
	/* The longest line that is one. */
	memcpy(&line[CLASSIFY_MAX_LINE - 11], " HTTP/1.1\r\n", 11);
	assert_int_equal(classify_client((struct slice){line, CLASSIFY_MAX_LINE}, &c), WORD_HTTP1);
	free(line);
}

/* ClientHellos made by hand, one thing wrong in each. */

struct hello {
	const char *rule;
	const char *session, *ciphers, *compressions; /* in hex, lengths included */
	const char *extensions; /* in hex, without the length of them all; NULL: none at all */
	enum word word;
	const char *sni, *alpn; /* joined by commas */
};

/* clang-format off */
static const struct hello hellos[] = {
	{"no extensions at all",         "00", "00021301", "0100", NULL, WORD_TLS, "", ""},
	{"an empty list of extensions",  "00", "00021301", "0100", "", WORD_TLS, "", ""},
	{"a name",                       "00", "00021301", "0100", "0000" "0006" "0004" "00" "0001" "61", WORD_TLS, "a", ""},
	{"a name and ALPN",              "00", "00021301", "0100", "0000" "0006" "0004" "00" "0001" "61" "0010" "0009" "0007" "026832" "036162" "63",
	                                                           WORD_TLS, "a", "h2,abc"},
	{"an unknown extension",         "00", "00021301", "0100", "fafa" "0001" "00", WORD_TLS, "", ""},
	{"a name type nobody defined",   "00", "00021301", "0100", "0000" "000a" "0008" "07" "0001" "78" "00" "0001" "61", WORD_TLS, "a", ""},
	{"a session id of 33 bytes",     "21000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
	                                       "00021301", "0100", "", WORD_OPAQUE, "", ""},
	{"no cipher suite",              "00", "0000",     "0100", "", WORD_OPAQUE, "", ""},
	{"half a cipher suite",          "00", "0003130113", "0100", "", WORD_OPAQUE, "", ""},
	{"no compression method",        "00", "00021301", "00",   "0000" "0006" "0004" "00" "0001" "61", WORD_OPAQUE, "", ""},
	{"an extension past the end",    "00", "00021301", "0100", "fafa" "0009" "00", WORD_OPAQUE, "", ""},
	{"half an extension header",     "00", "00021301", "0100", "fafa00", WORD_OPAQUE, "", ""},
	{"two server_name extensions",   "00", "00021301", "0100", "0000" "0006" "0004" "00" "0001" "61" "0000" "0006" "0004" "00" "0001" "62",
	                                                           WORD_OPAQUE, "", ""},
	{"two names in one list",        "00", "00021301", "0100", "0000" "000a" "0008" "00" "0001" "61" "00" "0001" "62", WORD_OPAQUE, "", ""},
	{"an empty name",                "00", "00021301", "0100", "0000" "0005" "0003" "00" "0000", WORD_OPAQUE, "", ""},
	{"an empty list of names",       "00", "00021301", "0100", "0000" "0002" "0000", WORD_OPAQUE, "", ""},
	{"an empty server_name",         "00", "00021301", "0100", "0000" "0000", WORD_OPAQUE, "", ""},
	{"bytes after the list",         "00", "00021301", "0100", "0000" "0007" "0004" "00" "0001" "61" "00", WORD_OPAQUE, "", ""},
	{"a NUL in the name",            "00", "00021301", "0100", "0000" "0007" "0005" "00" "0002" "6100", WORD_OPAQUE, "", ""},
	{"a space in the name",          "00", "00021301", "0100", "0000" "0007" "0005" "00" "0002" "6120", WORD_OPAQUE, "", ""},
	{"an empty ALPN list",           "00", "00021301", "0100", "0010" "0002" "0000", WORD_OPAQUE, "", ""},
	{"an empty ALPN value",          "00", "00021301", "0100", "0010" "0003" "0001" "00", WORD_OPAQUE, "", ""},
	{"an ALPN value past its list",  "00", "00021301", "0100", "0010" "0004" "0002" "0561", WORD_OPAQUE, "", ""},
	{"two ALPN extensions",          "00", "00021301", "0100", "0010" "0004" "0002" "0161" "0010" "0004" "0002" "0161", WORD_OPAQUE, "", ""},
	{"ALPN beyond what is kept",     "00", "00021301", "0100", "0010" "0016" "0014" "0161" "0162" "0163" "0164" "0165" "0166" "0167" "0168" "0169" "016a",
	                                                           WORD_TLS, "", "a,b,c,d,e,f,g,h"},
	{"an ALPN value too long to keep", "00", "00021301", "0100", "0010" "0025" "0023" "20" "6161616161616161616161616161616161616161616161616161616161616161" "0162",
	                                                           WORD_TLS, "", "b"},
};
/* clang-format on */

static void put_hex(struct buf *b, const char *hex)
{
	for (; hex && *hex; hex += 2) {
		char two[3] = {hex[0], hex[1], '\0'};
		assert_true(buf_putc(b, (char)strtoul(two, NULL, 16)));
	}
}

static void put_uint(struct buf *b, size_t n, unsigned bytes)
{
	while (bytes--)
		assert_true(buf_putc(b, (char)(n >> 8 * bytes)));
}

/* HELLO's handshake message, then cut into records of PER_RECORD bytes. */
static void put_records(struct buf *to, struct slice message, size_t per_record)
{
	while (message.len) {
		struct slice part = slice_sub(message, 0, per_record);
		put_hex(to, "160301");
		put_uint(to, part.len, 2);
		assert_true(buf_append(to, part));
		message = slice_sub(message, part.len, message.len);
	}
}

static void put_message(struct buf *to, const struct hello *h)
{
	struct buf body, exts;
	buf_init(&body, 1024);
	buf_init(&exts, 1024);
	put_hex(&body, "0303");
	for (unsigned i = 0; i < 32; i++)
		put_uint(&body, i, 1);
	put_hex(&body, h->session);
	put_hex(&body, h->ciphers);
	put_hex(&body, h->compressions);
	if (h->extensions) {
		put_hex(&exts, h->extensions);
		put_uint(&body, buf_len(&exts), 2);
		assert_true(buf_append(&body, buf_slice(&exts)));
	}
	put_uint(to, 1, 1);
	put_uint(to, buf_len(&body), 3);
	assert_true(buf_append(to, buf_slice(&body)));
	buf_fini(&exts);
	buf_fini(&body);
}

static void join_alpn(const struct classify *c, char *out, size_t size)
{
	size_t n = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < c->n_alpn; i++)
		n += (size_t)snprintf(&out[n], size - n, "%s%.*s", i ? "," : "",
				      SLICE_FMT(classify_alpn(c, i)));
}

static void hellos_made_by_hand(void **state)
{
	(void)state; /* none */
	for (size_t i = 0; i < N_ELEMS(hellos); i++) {
		const struct hello *h = &hellos[i];
		struct buf message;
		buf_init(&message, 2048);
		put_message(&message, h);
		for (size_t per_record = 1; per_record <= buf_len(&message); per_record++) {
			struct buf wire;
			struct classify c;
			char alpn[300];
			buf_init(&wire, 16384);
			put_records(&wire, buf_slice(&message), per_record);
			for (size_t cut = 0; cut < buf_len(&wire); cut++) {
				enum word word =
					classify_client(slice_sub(buf_slice(&wire), 0, cut), &c);
				if (word != WORD_MORE)
					fail_msg("%s: cut at %zu: %s", h->rule, cut,
						 word_name(word));
				assert_true(cut == 0 || c.may_be_hello);
			}
			if (classify_exact(buf_slice(&wire), &c) != h->word)
				fail_msg("%s: %s", h->rule, word_name(c.word));
			join_alpn(&c, alpn, sizeof(alpn));
			assert_true(slice_is(classify_sni(&c), h->sni));
			assert_string_equal(alpn, h->alpn);
			assert_false(c.may_be_hello);
			buf_fini(&wire);
		}
		buf_fini(&message);
	}
}

static void names_that_do_not_fit_are_said_to_be_dropped(void **state)
{
	(void)state; /* none */
	struct buf message, wire;
	struct classify c;
	for (size_t i = 0; i < N_ELEMS(hellos); i++) {
		bool drops = strstr(hellos[i].rule, "beyond") || strstr(hellos[i].rule, "too long");
		buf_init(&message, 2048);
		buf_init(&wire, 4096);
		put_message(&message, &hellos[i]);
		put_records(&wire, buf_slice(&message), 16384);
		(void)classify_client(buf_slice(&wire), &c); /* the verdict is tested above */
		assert_int_equal(c.names_dropped, drops);
		buf_fini(&wire);
		buf_fini(&message);
	}
}

static void a_hello_in_crumbs_ends(void **state)
{
	(void)state; /* none */
	struct buf message, wire;
	struct classify c;
	buf_init(&message, 32768);
	buf_init(&wire, 262144);
	put_uint(&message, 1, 1);
	put_uint(&message, 16000, 3);
	for (size_t i = 0; i < 16000; i++)
		put_uint(&message, 3, 1);
	put_records(&wire, buf_slice(&message), 1);
	assert_int_equal(classify_client(slice_sub(buf_slice(&wire), 0, CLASSIFY_MAX_PEEK - 1), &c),
			 WORD_MORE);
	assert_int_equal(classify_client(slice_sub(buf_slice(&wire), 0, CLASSIFY_MAX_PEEK), &c),
			 WORD_TLS);
	assert_true(c.hello_unread);
	assert_int_equal(classify_sni(&c).len, 0);
	buf_fini(&wire);
	buf_fini(&message);
}

static void words_have_names(void **state)
{
	(void)state; /* none */
	assert_string_equal(word_name(WORD_TLS), "tls");
	assert_string_equal(word_name((enum word)99), "?");
	struct classify c = {0};
	assert_int_equal(classify_alpn(&c, 0).len, 0);
	assert_int_equal(classify_alpn(&c, 99).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(http_minor_is_told),
		cmocka_unit_test(a_line_without_end_is_opaque),
		cmocka_unit_test(hellos_made_by_hand),
		cmocka_unit_test(names_that_do_not_fit_are_said_to_be_dropped),
		cmocka_unit_test(a_hello_in_crumbs_ends),
		cmocka_unit_test(words_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
