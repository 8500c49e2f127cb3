/* The server's engine, frame by frame: what each kind of request gets, however its bytes are cut,
 * and what a peer that breaks the rules gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "grpc/frames.h"
#include "grpc/h2.h"
#include "grpc/server_session.h"

#define END NGHTTP2_FLAG_END_STREAM
#define SAY CALL_HEAD("/s/Say")

static unsigned handled;

static void on_say(void *ctx, const struct grpc_request *q, struct grpc_reply *reply)
{
	(void)ctx;
	handled++;
	struct slice twice = grpc_metadata(q, "x-twice");
	if (twice.at)
		assert_true(slice_is(twice, "first"));
	assert_null(grpc_metadata(q, "x-none").at);
	grpc_reply_ok(reply, q->message);
}

static void on_deny(void *ctx, const struct grpc_request *q, struct grpc_reply *reply)
{
	(void)ctx, (void)q;
	handled++;
	grpc_reply_error(reply, GRPC_UNAUTHENTICATED, "%s", "100% no\n");
}

struct world {
	struct server_shared shared;
	struct server_session *session;
	struct buf in, out;
	struct transcript heard;
};

static void world_open(struct world *w)
{
	*w = (struct world){.shared = {.streams = 2,
				       .message_bytes = 1000,
				       .held_max = 1 << 20,
				       .methods = {mem_array(2, sizeof(struct grpc_method)), 2}}};
	w->shared.methods.rows[0] = (struct grpc_method){"/s/Say", on_say, NULL};
	w->shared.methods.rows[1] = (struct grpc_method){"/s/Deny", on_deny, NULL};
	w->session = server_session_new(&(struct server_session_config){.shared = &w->shared});
	buf_init(&w->in, 1 << 24);
	buf_init(&w->out, GRPC_H2_OUT);
	transcript_init(&w->heard);
	handled = 0;
}

static void world_close(struct world *w)
{
	server_session_free(w->session);
	assert_int_equal(w->shared.held, 0);
	free(w->shared.methods.rows);
	buf_fini(&w->in);
	buf_fini(&w->out);
	transcript_fini(&w->heard);
}

static bool feed(struct world *w, struct slice bytes)
{
	struct err err = {0};
	bool ok = server_session_feed(w->session, bytes, &err);
	do {
		buf_clear(&w->out);
		ok = server_session_fill(w->session, &w->out, &err) && ok;
		transcript_hear(&w->heard, buf_slice(&w->out));
	} while (ok && buf_len(&w->out));
	return ok;
}

/* All that was written to w->in, in two pieces. */
static bool feed_cut(struct world *w, size_t cut)
{
	struct slice all = buf_slice(&w->in);
	return feed(w, slice_sub(all, 0, cut)) && feed(w, slice_sub(all, cut, all.len));
}

/* ---- requests --------------------------------------------------------------------------------- */

static const struct row {
	const char *rule;
	const char *head;
	uint8_t head_flags;
	struct slice body; /* of one DATA frame; .at NULL: none comes */
	uint8_t body_flags;
	unsigned handled;
	const char *gets; /* begins so */
} rows[] = {
	{"a message",
	 SAY,
	 0,
	 {"\0\0\0\0\2hi", 7},
	 END,
	 1,
	 "HEADERS 1\n  :status: 200\n  content-type: application/grpc\nDATA 1 7 bytes\n"
	 "HEADERS 1 end\n  grpc-status: 0\n"},
	{"an empty message",
	 SAY,
	 0,
	 {"\0\0\0\0\0", 5},
	 END,
	 1,
	 "HEADERS 1\n  :status: 200\n  content-type: application/grpc\nDATA 1 5 bytes\n"
	 "HEADERS 1 end\n  grpc-status: 0\n"},
	{"content-type with a suffix",
	 ":method: POST\n:scheme: https\n:path: /s/Say\n:authority: h\ncontent-type: "
	 "application/grpc+proto\n",
	 0,
	 {"\0\0\0\0\0", 5},
	 END,
	 1,
	 "HEADERS 1\n  :status: 200\n"},
	{"a name twice",
	 SAY "x-twice: first\nx-twice: second\n",
	 0,
	 {"\0\0\0\0\0", 5},
	 END,
	 1,
	 "HEADERS 1\n  :status: 200\n"},
	{"an error",
	 CALL_HEAD("/s/Deny"),
	 0,
	 {"\0\0\0\0\0", 5},
	 END,
	 1,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 16\n"
	 "  grpc-message: 100%25 no%0A\n  grpc-accept-encoding: identity\n"},
	{"no message",
	 SAY,
	 END,
	 {0},
	 0,
	 0,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 12\n"
	 "  grpc-message: no message in a unary call\n"},
	{"a prefix cut short",
	 SAY,
	 0,
	 {"\0\0\0", 3},
	 END,
	 0,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 13\n"
	 "  grpc-message: the stream ended inside its message\n"},
	{"a message cut short",
	 SAY,
	 0,
	 {"\0\0\0\0\3hi", 7},
	 END,
	 0,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 13\n"
	 "  grpc-message: the stream ended inside its message\n"},
	{"a byte behind the message",
	 SAY,
	 0,
	 {"\0\0\0\0\1hi", 7},
	 END,
	 0,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 12\n"
	 "  grpc-message: more than one message in a unary call\n"},
	{"two messages",
	 SAY,
	 0,
	 {"\0\0\0\0\1h\0\0\0\0\1i", 12},
	 END,
	 0,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 12\n"
	 "  grpc-message: more than one message in a unary call\n"},
	{"compressed",
	 SAY "grpc-encoding: gzip\n",
	 0,
	 {"\1\0\0\0\2hi", 7},
	 0,
	 0,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 12\n"
	 "  grpc-message: compressed messages are not supported\n"
	 "  grpc-accept-encoding: identity\nRST_STREAM 1 NO_ERROR\n"},
	{"not compressed, whatever the head says",
	 SAY "grpc-encoding: gzip\n",
	 0,
	 {"\0\0\0\0\2hi", 7},
	 END,
	 1,
	 "HEADERS 1\n  :status: 200\n"},
	{"as long as it may be", SAY, 0, {"\0\0\0\3\350", 5}, 0, 0, ""}, /* 1000 */
	{"longer than it may be",
	 SAY,
	 0,
	 {"\0\0\0\3\351", 5},
	 0,
	 0,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 8\n"
	 "  grpc-message: the message is too large\n  grpc-accept-encoding: identity\n"
	 "RST_STREAM 1 NO_ERROR\n"},
	{"as long as a number can say",
	 SAY,
	 0,
	 {"\0\377\377\377\377", 5},
	 0,
	 0,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 8\n"},
	{"unknown method",
	 CALL_HEAD("/s/Nothing"),
	 0,
	 {0},
	 0,
	 0,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 12\n"
	 "  grpc-message: no such method\n  grpc-accept-encoding: identity\n"
	 "RST_STREAM 1 NO_ERROR\n"},
	{"the whole of an unknown call",
	 CALL_HEAD("/s/Nothing"),
	 END,
	 {0},
	 0,
	 0,
	 "HEADERS 1 end\n  :status: 200\n  content-type: application/grpc\n  grpc-status: 12\n"
	 "  grpc-message: no such method\n  grpc-accept-encoding: identity\n"},
	{"GET",
	 ":method: GET\n:scheme: https\n:path: /s/Say\n:authority: h\n",
	 END,
	 {0},
	 0,
	 0,
	 "HEADERS 1 end\n  :status: 405\n"},
	{"a form",
	 ":method: POST\n:scheme: https\n:path: /s/Say\n:authority: h\ncontent-type: text/plain\n",
	 0,
	 {0},
	 0,
	 0,
	 "HEADERS 1 end\n  :status: 415\n"},
	{"gRPC-Web",
	 ":method: POST\n:scheme: https\n:path: /s/Say\n:authority: h\ncontent-type: "
	 "application/grpc-web\n",
	 0,
	 {0},
	 0,
	 0,
	 "HEADERS 1 end\n  :status: 415\n"},
	{"no path",
	 ":method: POST\n:scheme: https\n:authority: h\n",
	 0,
	 {0},
	 0,
	 0,
	 "RST_STREAM 1 PROTOCOL_ERROR\n"},
	{"upper case in a name", SAY "X-Upper: 1\n", 0, {0}, 0, 0, "RST_STREAM 1 PROTOCOL_ERROR\n"},
	{"HTTP/1 in HTTP/2",
	 SAY "connection: close\n",
	 0,
	 {0},
	 0,
	 0,
	 "RST_STREAM 1 PROTOCOL_ERROR\n"},
	{"a content-length that lies",
	 SAY "content-length: 3\n",
	 0,
	 {"\0\0\0\0\2hi", 7},
	 END,
	 0,
	 "RST_STREAM 1 PROTOCOL_ERROR\n"},
};

static void write_row(struct world *w, const struct row *row)
{
	frames_client_preface(&w->in);
	frames_headers(&w->in, 1, row->head_flags, row->head);
	if (row->body.at)
		frames_raw(&w->in, NGHTTP2_DATA, row->body_flags, 1, row->body);
}

static void requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		for (size_t cut = 0, len = 1; cut < len; cut++) {
			struct world w;
			world_open(&w);
			write_row(&w, &rows[i]);
			len = buf_len(&w.in);
			bool ok = feed_cut(&w, cut);
			const char *got = transcript_text(&w.heard);
			bool as_told = rows[i].gets[0]
					       ? slice_starts(slice_of(got), slice_of(rows[i].gets))
					       : !got[0];
			if (!ok || !as_told || handled != rows[i].handled)
				fail_msg("%s, cut at %zu: handled %u\n%s", rows[i].rule, cut,
					 handled, got);
			world_close(&w);
		}
	}
}

/* What a client sends behind an answer that came early is dropped, and the connection lives on. */
static void the_rest_of_a_refused_request(void **state)
{
	(void)state;
	struct world w;
	world_open(&w);
	frames_client_preface(&w.in);
	frames_headers(&w.in, 1, 0, CALL_HEAD("/s/Nothing"));
	for (int i = 0; i < 40; i++) /* beyond the first flow-control window: it is given back */
		frames_raw(&w.in, NGHTTP2_DATA, 0, 1, (struct slice){(char[4000]){0}, 4000});
	frames_raw(&w.in, NGHTTP2_DATA, END, 1, SLICE(""));
	frames_headers(&w.in, 3, 0, SAY);
	frames_message(&w.in, 3, END, SLICE("hi"));
	for (struct slice rest = buf_slice(&w.in); rest.len; rest = slice_sub(rest, 1000, rest.len))
		assert_true(feed(&w, slice_sub(rest, 0, 1000)));
	assert_int_equal(handled, 1);
	assert_non_null(strstr(transcript_text(&w.heard), "HEADERS 3 end\n  grpc-status: 0\n"));
	assert_int_equal(server_session_calls(w.session), 0);
	world_close(&w);
}

static void many_fields(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		unsigned fields;
		size_t each;
		const char *gets;
	} heads[] = {
		{"some", 40, 10, "grpc-status: 0"},
		{"too many", 80, 10, "the metadata is too large"},
		{"too large in sum", 40, 500, "the metadata is too large"},
		{"one too large", 1, 15000, "grpc-status: 0"},
		{"one too large", 1, 16200, "the metadata is too large"},
	};
	for (size_t i = 0; i < N_ELEMS(heads); i++) {
		struct world w;
		struct buf fields;
		world_open(&w);
		buf_init(&fields, 1 << 20);
		MUST(buf_puts(&fields, SAY));
		for (unsigned f = 0; f < heads[i].fields; f++)
			MUST(buf_printf(&fields, "x-%u: %0*d\n", f, (int)heads[i].each, 0));
		frames_client_preface(&w.in);
		frames_headers(&w.in, 1, 0, buf_cstr(&fields));
		frames_message(&w.in, 1, END, SLICE("hi"));
		assert_true(feed_cut(&w, 30));
		if (!strstr(transcript_text(&w.heard), heads[i].gets))
			fail_msg("%s: %s", heads[i].rule, transcript_text(&w.heard));
		buf_fini(&fields);
		world_close(&w);
	}
}

/* ---- limits ----------------------------------------------------------------------------------- */

static void streams_at_once(void **state)
{
	(void)state;
	struct world w;
	world_open(&w);
	frames_client_preface(&w.in);
	for (uint32_t stream = 1; stream <= 5; stream += 2)
		frames_headers(&w.in, stream, 0, SAY);
	assert_true(feed_cut(&w, 0));
	assert_int_equal(server_session_calls(w.session), 2);
	assert_string_equal(transcript_text(&w.heard), "RST_STREAM 5 REFUSED_STREAM\n");
	world_close(&w);
}

static void unfinished_requests_of_all(void **state)
{
	(void)state;
	struct world w;
	world_open(&w);
	w.shared.held_max = 1200; /* of this connection and of others */
	frames_client_preface(&w.in);
	for (uint32_t stream = 1; stream <= 3; stream += 2) {
		frames_headers(&w.in, stream, 0, SAY);
		frames_raw(&w.in, NGHTTP2_DATA, 0, stream,
			   (struct slice){"\0\0\0\3\350" /* 1000 */ "", 5});
		frames_raw(&w.in, NGHTTP2_DATA, 0, stream, (struct slice){(char[900]){0}, 900});
	}
	assert_true(feed_cut(&w, 0));
	assert_int_equal(w.shared.held, 905);
	assert_non_null(strstr(transcript_text(&w.heard), "HEADERS 3 end\n  :status: 200\n"));
	assert_non_null(strstr(transcript_text(&w.heard), "too many unfinished requests"));
	buf_clear(&w.in);
	frames_raw(&w.in, NGHTTP2_RST_STREAM, 0, 1, (struct slice){"\0\0\0\10", 4});
	assert_true(feed_cut(&w, 0));
	assert_int_equal(w.shared.held, 0);
	world_close(&w);
}

/* Only calls that begin or end give a connection more time. */
static void progress(void **state)
{
	(void)state;
	struct world w;
	world_open(&w);
	frames_client_preface(&w.in);
	assert_true(feed_cut(&w, 0));
	uint64_t before = server_session_progress(w.session);
	buf_clear(&w.in);
	frames_headers(&w.in, 1, 0, SAY);
	assert_true(feed_cut(&w, 0));
	assert_true(server_session_progress(w.session) > before);
	before = server_session_progress(w.session);
	buf_clear(&w.in);
	frames_raw(&w.in, NGHTTP2_DATA, 0, 1, SLICE("\0\0\0"));
	frames_raw(&w.in, NGHTTP2_PING, 0, 0, SLICE("12345678"));
	frames_headers(&w.in, 3, 0, SAY);
	assert_true(feed_cut(&w, 0));
	assert_int_equal(server_session_progress(w.session), before);
	buf_clear(&w.in);
	frames_message(&w.in, 3, END, SLICE("hi"));
	assert_true(feed_cut(&w, 0));
	assert_true(server_session_progress(w.session) > before);
	world_close(&w);
}

/* ---- peers that break the rules --------------------------------------------------------------- */

static void fill_flood(struct buf *to, const char *what, unsigned n)
{
	frames_client_preface(to);
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(what, "ping") == 0)
			frames_raw(to, NGHTTP2_PING, 0, 0, SLICE("12345678"));
		else if (strcmp(what, "settings") == 0)
			frames_raw(to, NGHTTP2_SETTINGS, 0, 0, SLICE(""));
		else if (strcmp(what, "continuation") == 0)
			frames_raw(to, i ? NGHTTP2_CONTINUATION : NGHTTP2_HEADERS, 0, 1,
				   SLICE("\0\1a\1b"));
		else if (strcmp(what, "reset") == 0) {
			frames_headers(to, 2 * i + 1, 0, SAY);
			frames_raw(to, NGHTTP2_RST_STREAM, 0, 2 * i + 1,
				   (struct slice){"\0\0\0\10", 4});
		}
	}
}

static void floods(void **state)
{
	(void)state;
	static const struct {
		const char *what;
		unsigned n;
		bool ends;
	} floods_[] = {
		{"ping", 50, false},      {"ping", 1000, true},        {"settings", 50, false},
		{"settings", 1000, true}, {"continuation", 500, true}, {"reset", 50, false},
		{"reset", 1000, true},
	};
	for (size_t i = 0; i < N_ELEMS(floods_); i++) {
		struct world w;
		world_open(&w);
		fill_flood(&w.in, floods_[i].what, floods_[i].n);
		bool ok = feed_cut(&w, 0); /* at once, as one that reads no answers */
		bool ended = !ok || server_session_over(w.session);
		if (ended != floods_[i].ends)
			fail_msg("%u x %s: %s", floods_[i].n, floods_[i].what,
				 transcript_text(&w.heard));
		assert_int_equal(handled, 0);
		world_close(&w);
	}
}

static void broken_connections(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		struct slice
			bytes; /* behind the preface, which is left out where PREFACE says so */
		bool no_preface;
		const char *goaway; /* NULL: closed without a word */
	} breaks[] = {
		{"HTTP/1", {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27}, true, NULL},
		{"TLS", {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11}, true, NULL},
		{"a frame longer than may be",
		 {"\xff\xff\xff\0\0\0\0\0\1", 9},
		 false,
		 "FRAME_SIZE_ERROR"},
		{"DATA on stream 0", {"\0\0\1\0\0\0\0\0\0x", 10}, false, "PROTOCOL_ERROR"},
		{"DATA on no stream", {"\0\0\1\0\0\0\0\0\1x", 10}, false, "PROTOCOL_ERROR"},
		{"HEADERS on an even stream",
		 {"\0\0\1\1\4\0\0\0\2\x82", 10},
		 false,
		 "PROTOCOL_ERROR"},
		{"HPACK that is none", {"\0\0\1\1\4\0\0\0\1\xff", 10}, false, "COMPRESSION_ERROR"},
		{"a window of nothing",
		 {"\0\0\4\x8\0\0\0\0\0\0\0\0\0", 13},
		 false,
		 "PROTOCOL_ERROR"},
		{"PING of 7 bytes",
		 {"\0\0\7\6\0\0\0\0\0"
		  "1234567",
		  16},
		 false,
		 "FRAME_SIZE_ERROR"},
		{"PUSH_PROMISE of a client",
		 {"\0\0\4\5\4\0\0\0\1\0\0\0\2", 13},
		 false,
		 "PROTOCOL_ERROR"},
	};
	for (size_t i = 0; i < N_ELEMS(breaks); i++) {
		struct world w;
		world_open(&w);
		if (!breaks[i].no_preface)
			frames_client_preface(&w.in);
		MUST(buf_append(&w.in, breaks[i].bytes));
		bool ok = feed_cut(&w, buf_len(&w.in) - 1);
		if (ok != (breaks[i].goaway != NULL) ||
		    (ok && (strcmp(w.heard.goaway, breaks[i].goaway) != 0 ||
			    !server_session_over(w.session) || !server_session_fault(w.session))))
			fail_msg("%s: %s", breaks[i].rule, transcript_text(&w.heard));
		world_close(&w);
	}
}

/* The client says GOAWAY: what runs is answered, then it is over, and nobody is to blame. */
static void goes_away(void **state)
{
	(void)state;
	struct world w;
	world_open(&w);
	frames_client_preface(&w.in);
	frames_headers(&w.in, 1, 0, SAY);
	frames_raw(&w.in, NGHTTP2_GOAWAY, 0, 0, (struct slice){"\0\0\0\0\0\0\0\0", 8});
	assert_true(feed_cut(&w, 0));
	assert_false(server_session_over(w.session));
	buf_clear(&w.in);
	frames_message(&w.in, 1, END, SLICE("hi"));
	assert_true(feed_cut(&w, 0));
	assert_int_equal(handled, 1);
	assert_true(server_session_over(w.session));
	assert_null(server_session_fault(w.session));
	world_close(&w);
}

static void is_sent_away(void **state)
{
	(void)state;
	struct world w;
	world_open(&w);
	frames_client_preface(&w.in);
	assert_true(feed_cut(&w, 0));
	server_session_go_away(w.session);
	assert_true(feed(&w, SLICE("")));
	assert_string_equal(w.heard.goaway, "NO_ERROR");
	assert_true(server_session_over(w.session));
	assert_null(server_session_fault(w.session));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(the_rest_of_a_refused_request),
		cmocka_unit_test(many_fields),
		cmocka_unit_test(streams_at_once),
		cmocka_unit_test(unfinished_requests_of_all),
		cmocka_unit_test(progress),
		cmocka_unit_test(floods),
		cmocka_unit_test(broken_connections),
		cmocka_unit_test(goes_away),
		cmocka_unit_test(is_sent_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
