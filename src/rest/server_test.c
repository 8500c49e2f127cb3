#include "base/log.h"
#include "rest/rest_test.h"
#include "rest/server.h"

/* The server of every test here: some routes, a kept reply, a stream. */
struct app {
	struct loop *loop;
	struct rest_server *server;
	char base[64];
	struct rest_reply *kept, *stream;
	unsigned n_gone, n_drained;
	bool dead;
	bool from_loopback; /* the last greeting was asked for */
};

static void on_hello(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct slice who = rest_query(req, "who");
	((struct app *)ctx)->from_loopback = req->from_loopback;
	rest_reply_text(reply, 200, "hello %.*s", SLICE_FMT(who));
}

static void on_echo(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)ctx;
	rest_reply_header(reply, "X-Rest", req->rest);
	rest_reply_header(reply, "X-Evil", SLICE("a\r\nInjected: yes"));
	rest_reply_full(reply, 201, "application/octet-stream", req->body);
}

static void on_gone(void *ctx, struct rest_reply *reply)
{
	struct app *app = ctx;
	app->n_gone++;
	if (reply == app->kept)
		app->kept = NULL;
	if (reply == app->stream)
		app->stream = NULL;
}

static void on_drained(void *ctx, struct rest_reply *reply)
{
	(void)reply;
	((struct app *)ctx)->n_drained++;
}

static void on_keep(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)req;
	struct app *app = ctx;
	rest_reply_on_gone(reply, on_gone, app);
	app->kept = reply;
}

static void on_stream(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)req;
	struct app *app = ctx;
	rest_reply_on_gone(reply, on_gone, app);
	rest_reply_on_drained(reply, on_drained, app);
	rest_reply_begin_stream(reply, 200, "application/json");
	app->stream = reply;
}

static void on_suicide(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)req;
	(void)reply;
	struct app *app = ctx;
	rest_server_free(app->server);
	app->dead = true;
}

static void app_start(struct app *app, int (*listener)(char base[64]),
		      const struct rest_limits *limits)
{
	struct err err = {0};
	*app = (struct app){.loop = test_loop()};
	app->server = rest_server_new(app->loop, "test", limits);
	rest_route(app->server, "GET", "/hello", on_hello, app);
	rest_route(app->server, NULL, "/echo/...", on_echo, app);
	rest_route(app->server, "GET", "/keep", on_keep, app);
	rest_route(app->server, "GET", "/stream", on_stream, app);
	rest_route(app->server, "GET", "/suicide", on_suicide, app);
	assert_true(rest_server_listen_fd(app->server, listener(app->base), &err));
}

static void app_stop(struct app *app)
{
	if (!app->dead)
		rest_server_free(app->server);
	loop_free(app->loop);
	test_unlink(app->base);
}

/* What the server says to BYTES on a connection of its own, up to its close; our side shuts when
 * SHUT. */
static void converse(struct app *app, struct slice bytes, bool shut, struct buf *answer)
{
	int fd = test_dial(app->base);
	test_say(fd, bytes);
	if (shut)
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
	RUN_UNTIL(app->loop, test_hear(fd, answer));
	close(fd);
}

#define REQ(method, path) method " " path " HTTP/1.1\r\nHost: a\r\n"
#define C100                                                                                       \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567" \
	"890123456789"
#define K1 C100 C100 C100 C100 C100 C100 C100 C100 C100 C100
#define A4 "a:\r\na:\r\na:\r\na:\r\n"
#define A16 A4 A4 A4 A4
#define CLOSE "Connection: close\r\n\r\n"

/* clang-format off */
static const struct {
	const char *rule;
	struct slice say;
	const char *start, *has; /* of what comes back */
	unsigned n_answers;
} rows[] = {
	{"a request",             SLICE(REQ("GET", "/hello") CLOSE), "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello \n", 1},
	{"query is decoded",      SLICE(REQ("GET", "/hello?x=1&who=a%20b+c%21") CLOSE), "HTTP/1.1 200 ", "\r\n\r\nhello a b c!\n", 1},
	{"path is decoded",       SLICE(REQ("GET", "/%68ello") CLOSE), "HTTP/1.1 200 ", "hello", 1},
	{"absolute form",         SLICE(REQ("GET", "http://a/hello?who=x") CLOSE), "HTTP/1.1 200 ", "hello x", 1},
	{"malformed percent",     SLICE(REQ("GET", "/hell%zz") CLOSE), "HTTP/1.1 400 ", "malformed path", 1},
	{"percent cut short",     SLICE(REQ("GET", "/hell%4") CLOSE), "HTTP/1.1 400 ", "malformed path", 1},
	{"NUL in a path",         SLICE(REQ("GET", "/hello%00") CLOSE), "HTTP/1.1 400 ", "malformed path", 1},
	{"asterisk form",         SLICE(REQ("OPTIONS", "*") CLOSE), "HTTP/1.1 400 ", "malformed path", 1},
	{"HEAD has no body",      SLICE(REQ("HEAD", "/hello") CLOSE), "HTTP/1.1 200 OK\r\n", "Content-Length: 7\r\nConnection: close\r\n\r\n", 1},
	{"no such path",          SLICE(REQ("GET", "/hello/x") CLOSE), "HTTP/1.1 404 ", "no such path", 1},
	{"no such method",        SLICE(REQ("PUT", "/hello") CLOSE), "HTTP/1.1 405 ", "not allowed", 1},
	{"prefix",                SLICE(REQ("PUT", "/echo/a/b") "Content-Length: 3\r\n" CLOSE "abc"), "HTTP/1.1 201 Created\r\n", "X-Rest: a/b\r\n", 1},
	{"prefix alone",          SLICE(REQ("PUT", "/echo") "Content-Length: 3\r\n" CLOSE "abc"), "HTTP/1.1 201 ", "X-Rest: \r\n", 1},
	{"prefix ends at a slash", SLICE(REQ("PUT", "/echoes") CLOSE), "HTTP/1.1 404 ", "", 1},
	{"body of a length",      SLICE(REQ("PUT", "/echo") "Content-Length: 3\r\n" CLOSE "abc"), "HTTP/1.1 201 ", "\r\n\r\nabc", 1},
	{"body in chunks",        SLICE(REQ("PUT", "/echo") "Transfer-Encoding: chunked\r\n" CLOSE "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), "HTTP/1.1 201 ", "\r\n\r\nabc", 1},
	{"HTTP/1.0 closes",       SLICE("GET /hello HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK\r\n", "Connection: close\r\n", 1},
	{"three in a pipeline",   SLICE(REQ("GET", "/hello?who=1") "\r\n" REQ("PUT", "/echo") "Content-Length: 2\r\n\r\n22" REQ("GET", "/hello?who=3") CLOSE), "HTTP/1.1 200 ", "hello 3\n", 3},
	{"garbage",               SLICE("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "HTTP/1.1 400 ", "Connection: close\r\n", 1},
	{"nothing behind a refusal", SLICE("GET / HTTP/1.1\r\n\r\n" REQ("GET", "/hello") CLOSE), "HTTP/1.1 400 ", "Host is missing", 1},
	{"HTTP/2",                SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "HTTP/1.1 505 ", "", 1},
	{"length that is too large", SLICE(REQ("PUT", "/echo") "Content-Length: 1001\r\n\r\n"), "HTTP/1.1 413 ", "", 1},
	{"chunks that are too large", SLICE(REQ("PUT", "/echo") "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" K1 "\r\n1\r\nx\r\n0\r\n\r\n"), "HTTP/1.1 413 ", "", 1},
	{"malformed chunk",       SLICE(REQ("PUT", "/echo") "Transfer-Encoding: chunked\r\n\r\nx\r\n"), "HTTP/1.1 400 ", "chunk size", 1},
	{"too many fields",       SLICE(REQ("GET", "/hello")  A16 A16 A16 A16 "\r\n"), "HTTP/1.1 431 ", "", 1},
};
/* clang-format on */

static unsigned count(struct slice s, struct slice what)
{
	unsigned n = 0;
	for (size_t i = 0; i + what.len <= s.len; i++)
		n += memcmp(s.at + i, what.at, what.len) == 0;
	return n;
}

static void each_row(int (*listener)(char base[64]), bool shut)
{
	static const struct rest_limits limits = {.body_bytes = 1000};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct app app;
		struct buf answer;
		buf_init(&answer, 1 << 20);
		app_start(&app, listener, &limits);
		converse(&app, rows[i].say, shut, &answer);
		struct slice got = buf_slice(&answer);
		if (!slice_starts(got, slice_of(rows[i].start)) ||
		    !slice_contains(got, slice_of(rows[i].has)) ||
		    slice_contains(got, SLICE("Injected")) ||
		    count(got, SLICE("Content-Type: ")) != rows[i].n_answers)
			fail_msg("%s: '%.*s'", rows[i].rule, SLICE_FMT(got));
		RUN_UNTIL(app.loop, rest_server_stats(app.server).open == 0);
		buf_fini(&answer);
		app_stop(&app);
	}
}

static void peer_is_told_apart(void **state)
{
	(void)state;
	int (*const listeners[])(char base[64]) = {test_listen_tcp, test_listen_unix};
	for (size_t i = 0; i < N_ELEMS(listeners); i++) {
		struct app app;
		struct buf answer;
		buf_init(&answer, 1 << 10);
		app_start(&app, listeners[i], NULL);
		app.from_loopback = i != 0;
		converse(&app, SLICE(REQ("GET", "/hello") CLOSE), false, &answer);
		assert_int_equal(app.from_loopback, i == 0);
		app_stop(&app);
		buf_fini(&answer);
	}
}

static void rows_over_tcp_and_unix(void **state)
{
	(void)state;
	each_row(test_listen_tcp, false);
	each_row(test_listen_unix, false);
	each_row(test_listen_tcp, true); /* a peer that is done asking still gets its answers */
}

static void byte_by_byte(void **state)
{
	(void)state;
	struct app app;
	struct buf answer;
	static const char say[] = REQ("PUT", "/echo/x") "Transfer-Encoding: chunked\r\n" CLOSE
							"3\r\nabc\r\n0\r\n\r\n";
	buf_init(&answer, 1 << 20);
	app_start(&app, test_listen_tcp, NULL);
	int fd = test_dial(app.base);
	for (size_t i = 0; i < sizeof(say) - 1; i++) {
		struct err err = {0};
		test_say(fd, (struct slice){say + i, 1});
		assert_true(loop_turn(app.loop, 0, &err));
	}
	RUN_UNTIL(app.loop, test_hear(fd, &answer));
	assert_true(slice_ends(buf_slice(&answer), SLICE("\r\n\r\nabc")));
	close(fd);
	buf_fini(&answer);
	app_stop(&app);
}

static void expect_continue(void **state)
{
	(void)state;
	struct app app;
	struct buf answer;
	buf_init(&answer, 1 << 20);
	app_start(&app, test_listen_tcp, NULL);
	int fd = test_dial(app.base);
	test_say(fd,
		 SLICE(REQ("PUT", "/echo") "Expect: 100-continue\r\nContent-Length: 3\r\n" CLOSE));
	RUN_UNTIL(app.loop, (test_hear(fd, &answer), buf_len(&answer) > 0));
	assert_true(slice_is(buf_slice(&answer), "HTTP/1.1 100 Continue\r\n\r\n"));
	test_say(fd, SLICE("abc"));
	RUN_UNTIL(app.loop, test_hear(fd, &answer));
	assert_true(slice_ends(buf_slice(&answer), SLICE("\r\n\r\nabc")));
	close(fd);
	buf_fini(&answer);
	app_stop(&app);
}

static void kept_reply(void **state)
{
	(void)state;
	struct app app;
	struct buf answer;
	buf_init(&answer, 1 << 20);
	app_start(&app, test_listen_tcp, NULL);
	int fd = test_dial(app.base);
	/* What is behind it in the pipeline waits for it. */
	test_say(fd, SLICE(REQ("GET", "/keep") "\r\n" REQ("GET", "/hello") CLOSE));
	RUN_UNTIL(app.loop, app.kept);
	assert_false(test_hear(fd, &answer));
	assert_int_equal(buf_len(&answer), 0);
	rest_reply_text(app.kept, 200, "at last");
	RUN_UNTIL(app.loop, test_hear(fd, &answer));
	assert_true(slice_contains(buf_slice(&answer), SLICE("at last\nHTTP/1.1 200 OK\r\n")));
	assert_int_equal(app.n_gone, 0);
	close(fd);

	/* Its peer resets. */
	app.kept = NULL;
	fd = test_dial(app.base);
	test_say(fd, SLICE(REQ("GET", "/keep") "\r\n"));
	RUN_UNTIL(app.loop, app.kept);
	assert_true(net_reset_on_close(fd));
	close(fd);
	RUN_UNTIL(app.loop, app.n_gone == 1);

	/* The server ends while one is kept. */
	fd = test_dial(app.base);
	test_say(fd, SLICE(REQ("GET", "/keep") "\r\n"));
	RUN_UNTIL(app.loop, app.kept);
	rest_server_free(app.server);
	app.dead = true;
	assert_int_equal(app.n_gone, 2);
	close(fd);
	buf_fini(&answer);
	app_stop(&app);
}

static void streaming(void **state)
{
	(void)state;
	struct app app;
	struct buf answer;
	buf_init(&answer, 1 << 20);
	app_start(&app, test_listen_unix, NULL);
	int fd = test_dial(app.base);
	test_say(fd, SLICE(REQ("GET", "/stream") CLOSE));
	RUN_UNTIL(app.loop, app.stream && app.n_drained);
	assert_true(rest_stream_write(app.stream, SLICE("one")));
	assert_true(rest_stream_write(app.stream, SLICE("")));
	assert_true(rest_stream_backlog(app.stream) > 0);
	RUN_UNTIL(app.loop, app.n_drained == 2);
	test_hear(fd, &answer);
	assert_true(slice_ends(buf_slice(&answer), SLICE("\r\n\r\n3\r\none\r\n")));
	rest_stream_end(app.stream);
	RUN_UNTIL(app.loop, test_hear(fd, &answer));
	assert_true(slice_ends(buf_slice(&answer), SLICE("3\r\none\r\n0\r\n\r\n")));
	assert_int_equal(app.n_gone, 0);
	close(fd);

	/* A watcher that leaves is noticed although nothing is written to it. */
	app.stream = NULL;
	fd = test_dial(app.base);
	test_say(fd, SLICE(REQ("GET", "/stream") "\r\n"));
	RUN_UNTIL(app.loop, app.stream);
	close(fd);
	RUN_UNTIL(app.loop, app.n_gone == 1);
	RUN_UNTIL(app.loop, rest_server_stats(app.server).open == 0);
	buf_fini(&answer);
	app_stop(&app);
}

static void slow_reader(void **state)
{
	(void)state;
	static const struct rest_limits limits = {.backlog_bytes = 256 << 10};
	static const char line[4096] = {[0 ... 4095] = 'x'};
	struct app app;
	app_start(&app, test_listen_unix, &limits);
	int fd = test_dial(app.base);
	test_say(fd, SLICE(REQ("GET", "/stream") "\r\n"));
	RUN_UNTIL(app.loop, app.stream);
	unsigned n = 0;
	while (app.stream && rest_stream_write(app.stream, (struct slice){line, sizeof(line)})) {
		struct err err = {0};
		assert_true(loop_turn(app.loop, 0, &err));
		assert_true(++n < 100000);
	}
	RUN_UNTIL(app.loop, app.n_gone == 1);
	assert_int_equal(rest_server_stats(app.server).cut_off, 1);
	assert_int_equal(rest_server_stats(app.server).open, 0);
	close(fd);
	app_stop(&app);
}

static void peer_that_takes_nothing(void **state)
{
	(void)state;
	static const struct rest_limits limits = {.write_ms = 30, .body_bytes = 8 << 20};
	struct app app;
	app_start(&app, test_listen_unix, &limits);
	int fd = test_dial(app.base);
	test_say(fd, SLICE(REQ("GET", "/keep") "\r\n"));
	RUN_UNTIL(app.loop, app.kept);
	char *big = mem_new(8 << 20);
	rest_reply_full(app.kept, 200, NULL, (struct slice){big, 8 << 20});
	free(big);
	RUN_UNTIL(app.loop, rest_server_stats(app.server).cut_off == 1);
	close(fd);
	app_stop(&app);
}

static void timeouts(void **state)
{
	(void)state;
	static const struct rest_limits limits = {.request_ms = 20, .idle_ms = 20};
	struct app app;
	struct buf answer;
	buf_init(&answer, 1 << 20);
	app_start(&app, test_listen_tcp, &limits);
	converse(&app, SLICE("GET /hel"), false, &answer);
	assert_true(slice_starts(buf_slice(&answer), SLICE("HTTP/1.1 408 ")));
	buf_clear(&answer);
	converse(&app, SLICE(REQ("PUT", "/echo") "Content-Length: 3\r\n\r\nab"), false, &answer);
	assert_true(slice_starts(buf_slice(&answer), SLICE("HTTP/1.1 408 ")));
	buf_clear(&answer);
	converse(&app, SLICE(REQ("GET", "/hello") "\r\n"), false, &answer); /* kept, then idle */
	assert_true(slice_ends(buf_slice(&answer), SLICE("hello \n")));
	assert_int_equal(rest_server_stats(app.server).timeouts, 2);
	buf_fini(&answer);
	app_stop(&app);
}

static void connection_cap(void **state)
{
	(void)state;
	static const struct rest_limits limits = {.connections = 2};
	struct app app;
	struct buf answer;
	buf_init(&answer, 1 << 20);
	app_start(&app, test_listen_tcp, &limits);
	int a = test_dial(app.base), b = test_dial(app.base), c = test_dial(app.base);
	RUN_UNTIL(app.loop, test_hear(c, &answer));
	assert_int_equal(rest_server_stats(app.server).refused, 1);
	close(a);
	RUN_UNTIL(app.loop, rest_server_stats(app.server).open == 1);
	close(c);
	c = test_dial(app.base);
	test_say(c, SLICE(REQ("GET", "/hello") CLOSE));
	RUN_UNTIL(app.loop, test_hear(c, &answer));
	assert_true(buf_len(&answer) > 0);
	close(b);
	close(c);
	buf_fini(&answer);
	app_stop(&app);
}

static void draining(void **state)
{
	(void)state;
	struct app app;
	struct buf answer;
	buf_init(&answer, 1 << 20);
	app_start(&app, test_listen_tcp, NULL);
	int idle = test_dial(app.base), busy = test_dial(app.base);
	test_say(busy, SLICE(REQ("GET", "/keep") "\r\n"));
	RUN_UNTIL(app.loop, app.kept && rest_server_stats(app.server).open == 2);
	rest_server_drain(app.server);
	RUN_UNTIL(app.loop, test_hear(idle, &answer));
	rest_reply_text(app.kept, 200, "done");
	RUN_UNTIL(app.loop, test_hear(busy, &answer));
	assert_true(slice_ends(buf_slice(&answer), SLICE("done\n")));
	close(idle);
	close(busy);
	RUN_UNTIL(app.loop, rest_server_stats(app.server).open == 0);
	buf_fini(&answer);
	app_stop(&app);
}

static void freed_inside_a_handler(void **state)
{
	(void)state;
	struct app app;
	struct buf answer;
	buf_init(&answer, 1 << 20);
	app_start(&app, test_listen_tcp, NULL);
	converse(&app, SLICE(REQ("GET", "/suicide") "\r\n" REQ("GET", "/hello") CLOSE), false,
		 &answer);
	assert_true(app.dead);
	buf_fini(&answer);
	app_stop(&app);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_over_tcp_and_unix),
		cmocka_unit_test(peer_is_told_apart),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(expect_continue),
		cmocka_unit_test(kept_reply),
		cmocka_unit_test(streaming),
		cmocka_unit_test(slow_reader),
		cmocka_unit_test(peer_that_takes_nothing),
		cmocka_unit_test(timeouts),
		cmocka_unit_test(connection_cap),
		cmocka_unit_test(draining),
		cmocka_unit_test(freed_inside_a_handler),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
