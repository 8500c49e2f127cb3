/* The client's engine, frame by frame: what a caller is told of each kind of answer, however its
 * bytes are cut; and what is no call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "grpc/client_session.h"
#include "grpc/frames.h"
#include "grpc/h2.h"

#define END NGHTTP2_FLAG_END_STREAM
#define HEAD ":status: 200\ncontent-type: application/grpc\n"
#define TRAILER "grpc-status: 0\n"

struct world {
	struct client_session *session;
	struct buf in, out;
	struct transcript heard;
};

/* False: it broke, or is over. */
static bool feed(struct world *w, struct slice bytes)
{
	struct err err = {0};
	bool ok = client_session_feed(w->session, bytes, &err);
	while (ok && !client_session_over(w->session)) {
		buf_clear(&w->out);
		ok = client_session_fill(w->session, &w->out, &err);
		if (!buf_len(&w->out))
			break;
		struct slice said = buf_slice(&w->out);
		if (slice_starts(said, SLICE(NGHTTP2_CLIENT_MAGIC)))
			said = slice_sub(said, NGHTTP2_CLIENT_MAGIC_LEN, said.len);
		transcript_hear(&w->heard, said);
	}
	return ok && !client_session_over(w->session);
}

static void world_open(struct world *w, const struct grpc_ask *ask)
{
	struct err err = {0};
	w->session = client_session_new(ask, &err);
	if (!w->session)
		fail_msg("%s", err.text);
	buf_init(&w->in, 1 << 24);
	buf_init(&w->out, GRPC_H2_OUT);
	transcript_init(&w->heard);
	assert_true(feed(w, SLICE(""))); /* the request leaves */
}

static void world_close(struct world *w)
{
	client_session_free(w->session);
	buf_fini(&w->in);
	buf_fini(&w->out);
	transcript_fini(&w->heard);
}

/* ---- answers ---------------------------------------------------------------------------------- */

static const struct row {
	const char *rule;
	const char *head; /* NULL: none comes */
	uint8_t head_flags;
	struct slice body; /* of one DATA frame; .at NULL: none comes */
	uint8_t body_flags;
	const char *trailer; /* NULL: none comes */
	enum grpc_status status;
	const char *text; /* or the message */
} rows[] = {
	{"a message", HEAD, 0, {"\0\0\0\0\2hi", 7}, 0, TRAILER, GRPC_OK, "hi"},
	{"an empty message", HEAD, 0, {"\0\0\0\0\0", 5}, 0, TRAILER, GRPC_OK, ""},
	{"as long as it may be", HEAD, 0, {"\0\0\0\0\4four", 9}, 0, TRAILER, GRPC_OK, "four"},
	{"longer than it may be",
	 HEAD,
	 0,
	 {"\0\0\0\0\5", 5},
	 0,
	 NULL,
	 GRPC_RESOURCE_EXHAUSTED,
	 "the message is too large"},
	{"100 Continue first", NULL, 0, {0}, 0, NULL, GRPC_OK, "hi"},
	{"no message", HEAD, 0, {0}, 0, TRAILER, GRPC_UNIMPLEMENTED, "no message in a unary call"},
	{"two messages",
	 HEAD,
	 0,
	 {"\0\0\0\0\1h\0\0\0\0\1i", 12},
	 0,
	 NULL,
	 GRPC_UNIMPLEMENTED,
	 "more than one message in a unary call"},
	{"compressed",
	 HEAD,
	 0,
	 {"\1\0\0\0\2hi", 7},
	 0,
	 NULL,
	 GRPC_UNIMPLEMENTED,
	 "compressed messages are not supported"},
	{"a message cut short",
	 HEAD,
	 0,
	 {"\0\0\0\0\3hi", 7},
	 0,
	 TRAILER,
	 GRPC_INTERNAL,
	 "the stream ended inside its message"},
	{"trailers only",
	 HEAD "grpc-status: 16\ngrpc-message: 100%25 no%0a%zz%E2%82%AC\n",
	 END,
	 {0},
	 0,
	 NULL,
	 GRPC_UNAUTHENTICATED,
	 "100% no?%zz\xe2\x82\xac"},
	{"an error behind a message",
	 HEAD,
	 0,
	 {"\0\0\0\0\2hi", 7},
	 0,
	 "grpc-status: 5\ngrpc-message: gone\n",
	 GRPC_NOT_FOUND,
	 "gone"},
	{"an error without words", HEAD "grpc-status: 5\n", END, {0}, 0, NULL, GRPC_NOT_FOUND, ""},
	{"a status that gRPC has not",
	 HEAD "grpc-status: 99\n",
	 END,
	 {0},
	 0,
	 NULL,
	 GRPC_UNKNOWN,
	 ""},
	{"a status that is no number",
	 HEAD "grpc-status: -1\n",
	 END,
	 {0},
	 0,
	 NULL,
	 GRPC_UNKNOWN,
	 ""},
	{"no status",
	 HEAD,
	 0,
	 {"\0\0\0\0\2hi", 7},
	 END,
	 NULL,
	 GRPC_UNKNOWN,
	 "the server gave no grpc-status"},
	{"a web page",
	 ":status: 200\ncontent-type: text/html\n",
	 0,
	 {"<html>", 6},
	 END,
	 NULL,
	 GRPC_UNKNOWN,
	 "the server does not speak gRPC"},
	{"HTTP 401",
	 ":status: 401\n",
	 END,
	 {0},
	 0,
	 NULL,
	 GRPC_UNAUTHENTICATED,
	 "the server answered HTTP 401"},
	{"HTTP 403", ":status: 403\n", END, {0}, 0, NULL, GRPC_PERMISSION_DENIED, "HTTP 403"},
	{"HTTP 404",
	 ":status: 404\ncontent-type: text/html\n",
	 0,
	 {"<html>", 6},
	 END,
	 NULL,
	 GRPC_UNIMPLEMENTED,
	 "HTTP 404"},
	{"HTTP 503", ":status: 503\n", END, {0}, 0, NULL, GRPC_UNAVAILABLE, "HTTP 503"},
	{"HTTP 500", ":status: 500\n", END, {0}, 0, NULL, GRPC_UNKNOWN, "HTTP 500"},
	{"HTTP 400 with a status of its own",
	 ":status: 400\ngrpc-status: 3\ngrpc-message: bad\n",
	 END,
	 {0},
	 0,
	 NULL,
	 GRPC_INVALID_ARGUMENT,
	 "bad"},
};

static void write_row(struct world *w, const struct row *row)
{
	frames_server_preface(&w->in);
	if (!row->head) {
		frames_headers(&w->in, 1, 0, ":status: 100\n");
		frames_headers(&w->in, 1, 0, HEAD);
		frames_message(&w->in, 1, 0, SLICE("hi"));
		frames_headers(&w->in, 1, END, TRAILER);
		return;
	}
	frames_headers(&w->in, 1, row->head_flags, row->head);
	if (row->body.at)
		frames_raw(&w->in, NGHTTP2_DATA, row->body_flags, 1, row->body);
	if (row->trailer)
		frames_headers(&w->in, 1, END, row->trailer);
}

static const struct grpc_ask ask = {
	.host = "host", .method = "/s/Say", .timeout_ms = 1500, .answer_bytes = 4};

static void expect(struct world *w, const char *rule, size_t cut, enum grpc_status status,
		   const char *text)
{
	struct grpc_answer answer;
	if (!client_session_over(w->session))
		fail_msg("%s, cut at %zu: no answer", rule, cut);
	client_session_answer(w->session, &answer);
	bool as_told = status == GRPC_OK ? slice_is(answer.message, text)
					 : strstr(answer.text, text) && (*text || !*answer.text);
	if (answer.status != status || !as_told)
		fail_msg("%s, cut at %zu: %s %s", rule, cut, grpc_status_name(answer.status),
			 answer.text);
}

static void answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		for (size_t cut = 0, len = 1; cut < len; cut++) {
			struct world w;
			world_open(&w, &ask);
			write_row(&w, &rows[i]);
			struct slice all = buf_slice(&w.in);
			len = all.len;
			if (feed(&w, slice_sub(all, 0, cut)))
				(void)feed(&w, slice_sub(all, cut, all.len)); /* expect() looks */
			expect(&w, rows[i].rule, cut, rows[i].status, rows[i].text);
			world_close(&w);
		}
	}
}

/* What ends a call without an answer of its own. */
static void ends(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		struct slice bytes; /* behind the server's SETTINGS */
		enum grpc_status status;
		const char *text;
	} ways[] = {
		{"REFUSED_STREAM",
		 {"\0\0\4\3\0\0\0\0\1\0\0\0\7", 13},
		 GRPC_UNAVAILABLE,
		 "the server takes no call now"},
		{"CANCEL", {"\0\0\4\3\0\0\0\0\1\0\0\0\10", 13}, GRPC_CANCELLED, "CANCEL"},
		{"ENHANCE_YOUR_CALM",
		 {"\0\0\4\3\0\0\0\0\1\0\0\0\13", 13},
		 GRPC_RESOURCE_EXHAUSTED,
		 "ENHANCE_YOUR_CALM"},
		{"INADEQUATE_SECURITY",
		 {"\0\0\4\3\0\0\0\0\1\0\0\0\14", 13},
		 GRPC_PERMISSION_DENIED,
		 "INADEQUATE_SECURITY"},
		{"INTERNAL_ERROR",
		 {"\0\0\4\3\0\0\0\0\1\0\0\0\2", 13},
		 GRPC_INTERNAL,
		 "the server reset the call: INTERNAL_ERROR"},
		{"GOAWAY before our call",
		 {"\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\0", 17},
		 GRPC_UNAVAILABLE,
		 "the server takes no call now"},
		{"a frame longer than may be",
		 {"\xff\xff\xff\0\0\0\0\0\1", 9},
		 GRPC_UNAVAILABLE,
		 "the server broke HTTP/2: FRAME_SIZE_ERROR"},
		{"DATA before a head",
		 {"\0\0\1\0\0\0\0\0\1x", 10},
		 GRPC_UNAVAILABLE,
		 "the server broke HTTP/2: PROTOCOL_ERROR"},
		{"PUSH_PROMISE",
		 {"\0\0\4\5\4\0\0\0\1\0\0\0\2", 13},
		 GRPC_UNAVAILABLE,
		 "the server broke HTTP/2"},
		{"no :status", {"\0\0\1\1\4\0\0\0\1\x84", 10}, GRPC_INTERNAL, "PROTOCOL_ERROR"},
	};
	for (size_t i = 0; i < N_ELEMS(ways); i++) {
		struct world w;
		world_open(&w, &ask);
		frames_server_preface(&w.in);
		MUST(buf_append(&w.in, ways[i].bytes));
		(void)feed(&w, buf_slice(&w.in));
		expect(&w, ways[i].rule, 0, ways[i].status, ways[i].text);
		world_close(&w);
	}
}

static void not_http2(void **state)
{
	(void)state;
	struct world w;
	world_open(&w, &ask);
	(void)feed(&w, SLICE("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
	expect(&w, "HTTP/1", 0, GRPC_UNAVAILABLE, "the server broke HTTP/2");
	world_close(&w);
}

static void a_head_too_large(void **state)
{
	(void)state;
	struct world w;
	char fields[17000];
	int n = snprintf(fields, sizeof(fields), HEAD "x-much: %016300d\n", 0);
	assert_true(n > 0 && (size_t)n < sizeof(fields));
	world_open(&w, &ask);
	frames_server_preface(&w.in);
	frames_headers(&w.in, 1, 0, fields);
	(void)feed(&w, buf_slice(&w.in));
	expect(&w, "16 KiB", 0, GRPC_RESOURCE_EXHAUSTED, "the metadata of the answer is too large");
	world_close(&w);
}

/* ---- what is asked ---------------------------------------------------------------------------- */

static void the_request(void **state)
{
	(void)state;
	struct world w;
	const struct grpc_pair metadata[] = {{"authorization", "Bearer x"}, {"clusterid", ""}};
	struct grpc_ask whole = ask;
	whole.metadata = metadata;
	whole.n_metadata = 2;
	whole.message = SLICE("hello");
	world_open(&w, &whole);
	assert_string_equal(transcript_text(&w.heard), "HEADERS 1\n"
						       "  :method: POST\n"
						       "  :scheme: http\n"
						       "  :path: /s/Say\n"
						       "  :authority: host\n"
						       "  te: trailers\n"
						       "  grpc-timeout: 1500m\n"
						       "  content-type: application/grpc\n"
						       "  user-agent: grpc-c-hark\n"
						       "  grpc-accept-encoding: identity\n"
						       "  authorization: Bearer x\n"
						       "  clusterid: \n"
						       "DATA 1 10 bytes end\n");
	world_close(&w);
}

static void no_calls(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *host, *method, *name, *value, *says;
	} bad[] = {
		{"no host", "", "/s/Say", "a", "b", "is no host"},
		{"a host of two lines", "a\r\nb", "/s/Say", "a", "b", "is no host"},
		{"a method without a slash", "h", "s/Say", "a", "b", "is no method"},
		{"a method with a blank", "h", "/s Say", "a", "b", "is no method"},
		{"a name in upper case", "h", "/s/Say", "Authorization", "b", "cannot be the name"},
		{"no name", "h", "/s/Say", "", "b", "cannot be the name"},
		{"a pseudo field", "h", "/s/Say", ":path", "/x", "cannot be the name"},
		{"gRPC's own", "h", "/s/Say", "grpc-timeout", "1S", "cannot be the name"},
		{"a line end in a value", "h", "/s/Say", "authorization", "Bearer secret\n",
		 "\"authorization\" has characters"},
	};
	for (size_t i = 0; i < N_ELEMS(bad); i++) {
		struct err err = {0};
		const struct grpc_pair pair = {bad[i].name, bad[i].value};
		const struct grpc_ask one = {.host = bad[i].host,
					     .method = bad[i].method,
					     .metadata = &pair,
					     .n_metadata = 1};
		assert_null(client_session_new(&one, &err));
		if (!strstr(err.text, bad[i].says) || strstr(err.text, "secret"))
			fail_msg("%s: %s", bad[i].rule, err.text);
		assert_true(err.kind == ERR_BAD_INPUT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),     cmocka_unit_test(ends),
		cmocka_unit_test(not_http2),   cmocka_unit_test(a_head_too_large),
		cmocka_unit_test(the_request), cmocka_unit_test(no_calls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
