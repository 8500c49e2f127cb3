/* The server's connections: how many, for how long, and what becomes of those that are slow, silent,
 * rude, or in the middle of a call when something ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "grpc/frames.h"
#include "grpc/testbed.h"
#include "net/sock.h"

#define END NGHTTP2_FLAG_END_STREAM
#define SAY CALL_HEAD(ECHO)

/* ---- a client that says exactly what the test wants ------------------------------------------- */

struct raw {
	int fd;
	bool closed; /* by the server */
	struct buf out;
	struct transcript heard;
};

static void raw_over(struct raw *r, int fd)
{
	*r = (struct raw){.fd = fd};
	buf_init(&r->out, 1 << 24);
	transcript_init(&r->heard);
}

static void raw_open(struct raw *r, const struct bed *b)
{
	raw_over(r, bed_dial(b));
}

static void raw_close(struct raw *r)
{
	close(r->fd);
	buf_fini(&r->out);
	transcript_fini(&r->heard);
}

/* Sends what is in OUT, as far as it goes. True: all of it. */
static bool raw_send(struct raw *r)
{
	struct slice rest = buf_slice(&r->out);
	ssize_t n = rest.len ? send(r->fd, rest.at, rest.len, MSG_NOSIGNAL) : 0;
	if (n > 0)
		buf_consume(&r->out, (size_t)n);
	return buf_len(&r->out) == 0;
}

/* Takes what is there. True: the server has closed. */
static bool raw_hear(struct raw *r)
{
	char room[65536];
	ssize_t n = -1;
	while (!r->closed && (n = recv(r->fd, room, sizeof(room), 0)) > 0)
		transcript_hear(&r->heard, (struct slice){room, (size_t)n});
	r->closed = r->closed || n == 0 || (n < 0 && errno == ECONNRESET);
	return r->closed;
}

static bool raw_heard(struct raw *r, const char *text)
{
	(void)raw_hear(r);
	return strstr(transcript_text(&r->heard), text);
}

/* ---- time ------------------------------------------------------------------------------------- */

static const struct grpc_limits soon = {.idle_ms = 40};

static void silent_handshake(void **state)
{
	(void)state;
	struct bed b;
	struct raw r;
	bed_open(&b, BED_TLS, &soon);
	raw_open(&r, &b);
	RUN_UNTIL(b.loop, raw_hear(&r));
	assert_int_equal(grpc_server_stats(b.server).handshakes_failed, 1);
	assert_int_equal(grpc_server_stats(b.server).timeouts, 1);
	raw_close(&r);
	bed_close(&b);
}

static void silent_connections(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		bool preface, head;
		const char *trickle; /* sent again and again; NULL: nothing */
		unsigned timeouts;
	} rows[] = {
		{"not a word", false, false, NULL, 0},
		{"no call", true, false, NULL, 0},
		{"half a call", true, true, NULL, 1},
		{"half a call, and PINGs", true, true, "ping", 1},
		{"a call of many little bytes", true, true, "data", 1},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct bed b;
		struct raw r;
		bed_open(&b, BED_PLAIN, &soon);
		raw_open(&r, &b);
		if (rows[i].preface)
			frames_client_preface(&r.out);
		if (rows[i].head)
			frames_headers(&r.out, 1, 0, SAY);
		bool first = true;
		while (!raw_hear(&r)) {
			struct err err = {0};
			(void)raw_send(&r); /* hearing tells when nobody takes it any more */
			assert_true(loop_turn(b.loop, 5, &err));
			if (!rows[i].trickle)
				continue;
			if (strcmp(rows[i].trickle, "ping") == 0)
				frames_raw(&r.out, NGHTTP2_PING, 0, 0, SLICE("12345678"));
			else
				frames_raw(&r.out, NGHTTP2_DATA, 0, 1,
					   first ? SLICE("\0\0\0\0\xff") : SLICE("x"));
			first = false;
		}
		if (strcmp(r.heard.goaway, "NO_ERROR") != 0 ||
		    grpc_server_stats(b.server).timeouts != rows[i].timeouts)
			fail_msg("%s: %s", rows[i].rule, transcript_text(&r.heard));
		raw_close(&r);
		bed_close(&b);
	}
}

/* One that asks and never reads: neither answered without end, nor kept. */
static void takes_no_answer(void **state)
{
	(void)state;
	struct bed b;
	struct raw r;
	enum { CALLS = 16, LARGE = 1 << 20 };
	const struct grpc_limits limits = {
		.idle_ms = 100, .message_bytes = LARGE, .streams = CALLS};
	struct slice much = {mem_new(16384), 16384};
	bed_open(&b, BED_PLAIN, &limits);
	raw_open(&r, &b);
	frames_client_preface(&r.out);
	frames_raw(&r.out, NGHTTP2_SETTINGS, 0, 0, /* INITIAL_WINDOW_SIZE: 2^31 - 1 */
		   (struct slice){"\0\4\x7f\xff\xff\xff", 6});
	frames_raw(&r.out, NGHTTP2_WINDOW_UPDATE, 0, 0, (struct slice){"\x7f\xff\0\0", 4});
	for (uint32_t stream = 1; stream < 2 * CALLS; stream += 2) {
		frames_headers(&r.out, stream, 0, SAY);
		frames_raw(&r.out, NGHTTP2_DATA, 0, stream,
			   (struct slice){"\0\0\x0f\xc0\0", 5}); /* 63 times what follows */
		for (int i = 0; i < 63; i++)
			frames_raw(&r.out, NGHTTP2_DATA, i == 62 ? END : 0, stream, much);
	}
	RUN_UNTIL(b.loop, raw_send(&r) || grpc_server_stats(b.server).open == 0);
	RUN_UNTIL(b.loop, grpc_server_stats(b.server).timeouts == 1);
	RUN_UNTIL(b.loop, grpc_server_stats(b.server).open == 0);
	raw_close(&r);
	free((char *)(uintptr_t)much.at);
	bed_close(&b);
}

/* Calls over one connection for three idle times. False: the server closed it, after so much idleness
 * of ours that it may: this process had no CPU. */
static bool call_on_and_on(struct bed *b, struct raw *r)
{
	uint64_t start = clock_ns(), last = start;
	frames_client_preface(&r->out);
	for (uint32_t stream = 1; last - start < 3ull * soon.idle_ms * NS_PER_MS; stream += 2) {
		char answered[64];
		snprintf(answered, sizeof(answered), "HEADERS %u end\n  grpc-status: 0\n", stream);
		frames_headers(&r->out, stream, 0, SAY);
		frames_message(&r->out, stream, END, SLICE("hi"));
		(void)raw_send(r); /* it fits, or the server has closed */
		RUN_UNTIL(b->loop, raw_heard(r, answered) || r->closed);
		if (r->closed) {
			assert_true(clock_ns() - last >= soon.idle_ms * NS_PER_MS);
			return false;
		}
		last = clock_ns();
	}
	return true;
}

/* A call gives its connection new time. */
static void calls_keep_it_open(void **state)
{
	(void)state;
	struct bed b;
	struct raw r;
	bool lived = false;
	bed_open(&b, BED_PLAIN, &soon);
	while (!lived) {
		raw_open(&r, &b);
		lived = call_on_and_on(&b, &r);
		raw_close(&r);
	}
	bed_close(&b);
}

/* ---- number ----------------------------------------------------------------------------------- */

static void connections_at_once(void **state)
{
	(void)state;
	struct bed b;
	struct raw one, two, three;
	bed_open(&b, BED_PLAIN, &(struct grpc_limits){.connections = 2});
	raw_open(&one, &b);
	raw_open(&two, &b);
	RUN_UNTIL(b.loop, grpc_server_stats(b.server).open == 2);
	raw_open(&three, &b);
	RUN_UNTIL(b.loop, raw_hear(&three));
	assert_int_equal(grpc_server_stats(b.server).refused, 1);
	raw_close(&three);
	raw_close(&one);
	RUN_UNTIL(b.loop, grpc_server_stats(b.server).open == 1);
	struct outcome o = bed_call(&b, &(struct grpc_ask){.method = ECHO});
	assert_int_equal(o.status, GRPC_OK);
	outcome_fini(&o);
	raw_close(&two);
	bed_close(&b);
}

/* Who has many takes no place from others. */
static void connections_of_one_source(void **state)
{
	(void)state;
	struct bed b;
	struct raw one, two, three, elsewhere;
	struct err err = {0};
	struct addr from;
	bed_open(&b, BED_PLAIN, &(struct grpc_limits){.per_source = 2});
	raw_open(&one, &b);
	raw_open(&two, &b);
	RUN_UNTIL(b.loop, grpc_server_stats(b.server).open == 2);
	raw_open(&three, &b);
	RUN_UNTIL(b.loop, raw_hear(&three));
	assert_int_equal(grpc_server_stats(b.server).refused, 1);
	assert_true(addr_parse(SLICE("127.0.0.2:0"), &from));
	int fd = net_connect(&b.at, &from, &err);
	assert_true(fd >= 0);
	raw_over(&elsewhere, fd);
	RUN_UNTIL(b.loop, grpc_server_stats(b.server).open == 3);
	raw_close(&three);
	raw_close(&one);
	RUN_UNTIL(b.loop, grpc_server_stats(b.server).open == 2);
	struct outcome o = bed_call(&b, &(struct grpc_ask){.method = ECHO});
	assert_int_equal(o.status, GRPC_OK);
	outcome_fini(&o);
	raw_close(&two);
	raw_close(&elsewhere);
	bed_close(&b);
}

/* It ends the connection, and nothing else. */
static void flood_of_pings(void **state)
{
	(void)state;
	struct bed b;
	struct raw r;
	bed_open(&b, BED_PLAIN, NULL);
	raw_open(&r, &b);
	frames_client_preface(&r.out);
	for (int i = 0; i < 2000; i++)
		frames_raw(&r.out, NGHTTP2_PING, 0, 0, SLICE("12345678"));
	(void)raw_send(&r); /* as far as it is taken */
	RUN_UNTIL(b.loop, raw_hear(&r));
	assert_int_equal(grpc_server_stats(b.server).broken, 1);
	struct outcome o = bed_call(&b, &(struct grpc_ask){.method = ECHO});
	assert_int_equal(o.status, GRPC_OK);
	outcome_fini(&o);
	raw_close(&r);
	bed_close(&b);
}

static void garbage(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"\x16\x03\x01\x02\x01\x01\x01\x01\xfc\x03\x03 and so on",
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct bed b;
		struct raw r;
		bed_open(&b, BED_PLAIN, NULL);
		raw_open(&r, &b);
		MUST(buf_puts(&r.out, rows[i]));
		assert_true(raw_send(&r));
		RUN_UNTIL(b.loop, raw_hear(&r));
		assert_int_equal(grpc_server_stats(b.server).broken, 1);
		raw_close(&r);
		bed_close(&b);
	}
}

/* ---- ends ------------------------------------------------------------------------------------- */

static void the_client_leaves(void **state)
{
	(void)state;
	for (int reset = 0; reset < 2; reset++) {
		struct bed b;
		struct raw r;
		bed_open(&b, BED_PLAIN, NULL);
		raw_open(&r, &b);
		frames_client_preface(&r.out);
		frames_headers(&r.out, 1, 0, SAY);
		frames_raw(&r.out, NGHTTP2_DATA, 0, 1, SLICE("\0\0\0\0\xff half"));
		frames_raw(&r.out, NGHTTP2_PING, 0, 0, SLICE("12345678"));
		assert_true(raw_send(&r));
		RUN_UNTIL(b.loop, (raw_hear(&r), r.heard.ping_acks == 1)); /* it has read all */
		if (reset)
			assert_true(net_reset_on_close(r.fd));
		raw_close(&r);
		RUN_UNTIL(b.loop, grpc_server_stats(b.server).open == 0);
		assert_int_equal(grpc_server_stats(b.server).calls, 0);
		bed_close(&b);
	}
}

static void says_goodbye(void **state)
{
	(void)state;
	struct bed b;
	struct raw r;
	bed_open(&b, BED_PLAIN, NULL);
	raw_open(&r, &b);
	frames_client_preface(&r.out);
	frames_headers(&r.out, 1, 0, SAY);
	frames_message(&r.out, 1, END, SLICE("hi"));
	frames_raw(&r.out, NGHTTP2_GOAWAY, 0, 0, (struct slice){"\0\0\0\0\0\0\0\0", 8});
	assert_true(raw_send(&r));
	RUN_UNTIL(b.loop, raw_hear(&r)); /* answered, then closed by the server */
	assert_non_null(strstr(transcript_text(&r.heard), "HEADERS 1 end\n  grpc-status: 0\n"));
	raw_close(&r);
	assert_int_equal(grpc_server_stats(b.server).broken, 0);
	bed_close(&b);
}

static void on_suicide(void *ctx, const struct grpc_request *q, struct grpc_reply *reply)
{
	struct bed *b = ctx;
	grpc_server_free(b->server);
	b->server = NULL;
	/* all that Q shows is still there */
	assert_true(slice_is(q->message, "last words"));
	assert_true(!q->peer || slice_is(q->peer->uris[0], SPIFFE));
	assert_true(slice_is(grpc_metadata(q, "x-a"), "b"));
	grpc_reply_ok(reply, q->message);
}

static void a_handler_frees_the_server(void **state)
{
	(void)state;
	for (int kind = BED_PLAIN; kind <= BED_TLS; kind++) {
		struct bed b;
		const struct grpc_pair pair = {"x-a", "b"};
		bed_open(&b, (enum bed_kind)kind, NULL);
		grpc_serve(b.server, FAIL, on_suicide, &b); /* served twice: the later one */
		struct outcome o = bed_call(&b, &(struct grpc_ask){.method = FAIL,
								   .metadata = &pair,
								   .n_metadata = 1,
								   .message = SLICE("last words")});
		assert_int_equal(o.status, GRPC_UNAVAILABLE);
		assert_null(b.server);
		outcome_fini(&o);
		bed_close(&b);
	}
}

static void freed_in_the_middle(void **state)
{
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		struct bed b;
		struct outcome o;
		struct err err = {0};
		bed_open(&b, BED_TLS, NULL);
		(void)bed_start(&b, &(struct grpc_ask){.method = ECHO}, &o); /* it ends of itself */
		for (int i = 0; i < turns && !o.done; i++)
			assert_true(loop_turn(b.loop, 1000, &err));
		grpc_server_free(b.server);
		b.server = NULL;
		RUN_UNTIL(b.loop, o.done);
		assert_true(o.status == GRPC_OK || o.status == GRPC_UNAVAILABLE);
		outcome_fini(&o);
		bed_close(&b);
	}
	grpc_server_free(NULL);
}

/* A new certificate: connections that live go on with the old one, new ones get the new. */
static void another_certificate(void **state)
{
	(void)state;
	struct bed b;
	const struct pki_leaf host = {.dns = HOST}, web = {.uris = {SPIFFE}};
	struct pki_ca *next = pki_ca_new("next");
	bed_open(&b, BED_TLS, NULL);
	struct outcome before, after, old;
	(void)bed_start(&b, &(struct grpc_ask){.method = ECHO}, &before); /* it ends of itself */
	RUN_UNTIL(b.loop, grpc_server_stats(b.server).open == 1);
	struct tls_context *server =
		pki_context(TLS_SERVER, pki_identity(next, &host, b.ca), true, NULL);
	struct tls_context *client = bed_client(b.ca, &web, next);
	grpc_server_set_tls(b.server, server);
	tls_context_put(server);
	RUN_UNTIL(b.loop, before.done);
	assert_int_equal(before.status, GRPC_OK);
	after = bed_call(&b, &(struct grpc_ask){.method = ECHO, .tls = client});
	assert_int_equal(after.status, GRPC_OK);
	old = bed_call(&b, &(struct grpc_ask){.method = ECHO});
	assert_int_equal(old.status, GRPC_UNAVAILABLE);
	outcome_fini(&before);
	outcome_fini(&after);
	outcome_fini(&old);
	tls_context_put(client);
	pki_ca_free(next);
	bed_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silent_handshake),
		cmocka_unit_test(silent_connections),
		cmocka_unit_test(takes_no_answer),
		cmocka_unit_test(calls_keep_it_open),
		cmocka_unit_test(connections_at_once),
		cmocka_unit_test(connections_of_one_source),
		cmocka_unit_test(flood_of_pings),
		cmocka_unit_test(garbage),
		cmocka_unit_test(the_client_leaves),
		cmocka_unit_test(says_goodbye),
		cmocka_unit_test(a_handler_frees_the_server),
		cmocka_unit_test(freed_in_the_middle),
		cmocka_unit_test(another_certificate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
