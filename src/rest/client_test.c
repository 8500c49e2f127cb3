#include "rest/rest_test.h"

#include <pthread.h>

#include "base/log.h"
#include "rest/client.h"
#include "rest/server.h"

/* What the callbacks of one request saw. */
struct seen {
	struct rest_client *client;
	unsigned status, n_head, n_end;
	uint64_t retry_after_ms;
	struct buf body;
	bool ok;
	struct err err;
	char type[64];
	enum { DO_NOTHING, CANCEL_AT_HEAD, FREE_AT_BODY, FREE_AT_END, AGAIN_AT_END } then;
};

static void ask(struct seen *seen, const char *path);

static void on_head(void *ctx, const struct rest_response *res)
{
	struct seen *seen = ctx;
	seen->n_head++;
	seen->status = res->status;
	seen->retry_after_ms = res->retry_after_ms;
	snprintf(seen->type, sizeof(seen->type), "%.*s", SLICE_FMT(res->content_type));
	if (seen->then == CANCEL_AT_HEAD)
		rest_client_cancel(seen->client);
}

static void on_body(void *ctx, struct slice bytes)
{
	struct seen *seen = ctx;
	assert_true(buf_append(&seen->body, bytes));
	if (seen->then == FREE_AT_BODY)
		rest_client_free(seen->client);
}

static void on_end(void *ctx, const struct err *err)
{
	struct seen *seen = ctx;
	seen->n_end++;
	seen->ok = !err;
	if (err)
		seen->err = *err;
	if (seen->then == FREE_AT_END) {
		rest_client_free(seen->client);
	} else if (seen->then == AGAIN_AT_END) {
		seen->then = DO_NOTHING;
		ask(seen, "/second");
	}
}

static const struct rest_events events = {on_head, on_body, on_end};

static void ask(struct seen *seen, const char *path)
{
	rest_client_send(seen->client, &(struct rest_ask){.path = path}, &events, seen);
}

static void seen_init(struct seen *seen, struct loop *loop, const char *base)
{
	struct err err = {0};
	*seen = (struct seen){0};
	buf_init(&seen->body, 64 << 20);
	seen->client = rest_client_new(loop, base, &err);
	assert_non_null(seen->client);
}

/* A peer that says what the test wants. */
struct peer {
	struct loop *loop;
	int listen_fd, fd;
	char base[64];
	struct buf heard;
};

static void peer_start(struct peer *p)
{
	*p = (struct peer){.loop = test_loop(), .fd = -1};
	p->listen_fd = test_listen_tcp(p->base);
	buf_init(&p->heard, 64 << 20);
}

/* Waits for a connection and a whole request head on it. */
static void peer_accept(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	RUN_UNTIL(p->loop, (p->fd = net_accept(p->listen_fd, NULL)) >= 0);
}

static void peer_hear_head(struct peer *p)
{
	buf_clear(&p->heard);
	RUN_UNTIL(p->loop, (test_hear(p->fd, &p->heard),
			    slice_contains(buf_slice(&p->heard), SLICE("\r\n\r\n"))));
}

static void peer_stop(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	close(p->listen_fd);
	buf_fini(&p->heard);
	loop_free(p->loop);
}

/* clang-format off */
static const struct {
	const char *rule, *say;
	bool ok;
	unsigned status;
	const char *body; /* or a part of the error */
} rows[] = {
	{"length",                   "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true, 200, "abc"},
	{"length 0",                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, 200, ""},
	{"chunked",                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x\r\nbc\r\n0\r\nT: u\r\n\r\n", true, 200, "abc"},
	{"until close",              "HTTP/1.1 200 OK\r\n\r\nabc", true, 200, "abc"},
	{"HTTP/1.0",                 "HTTP/1.0 200 OK\r\n\r\nabc", true, 200, "abc"},
	{"204",                      "HTTP/1.1 204 No Content\r\n\r\n", true, 204, ""},
	{"interim responses",        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", true, 200, "x"},
	{"error with a body",        "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", true, 500, "no"},
	{"nothing",                  "", false, 0, "closed without a response"},
	{"head cut",                 "HTTP/1.1 200 OK\r\nConte", false, 0, "closed without a response"},
	{"length cut",               "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false, 200, "closed inside"},
	{"chunk cut",                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", false, 200, "closed inside"},
	{"last chunk missing",       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", false, 200, "closed inside"},
	{"malformed chunk",          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", false, 200, "RFC 9112 7.1"},
	{"two lengths that disagree", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nabc", false, 0, "RFC 9112 6.3"},
	{"not HTTP",                 "SSH-2.0-OpenSSH_9.2\r\n", false, 0, "neither HTTP/1.0"},
};
/* clang-format on */

static void each_response(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct peer p;
		struct seen seen;
		peer_start(&p);
		seen_init(&seen, p.loop, p.base);
		ask(&seen, "/x");
		peer_accept(&p);
		peer_hear_head(&p);
		assert_true(
			slice_starts(buf_slice(&p.heard), SLICE("GET /x HTTP/1.1\r\nHost: 127.")));
		test_say(p.fd, slice_of(rows[i].say));
		close(p.fd);
		p.fd = -1;
		RUN_UNTIL(p.loop, seen.n_end);
		struct slice got = seen.ok ? buf_slice(&seen.body) : slice_of(seen.err.text);
		if (seen.ok != rows[i].ok || seen.status != rows[i].status || seen.n_end != 1 ||
		    !(seen.ok ? slice_is(got, rows[i].body)
			      : slice_contains(got, slice_of(rows[i].body))))
			fail_msg("%s: ok %d, status %u, '%.*s'", rows[i].rule, seen.ok, seen.status,
				 SLICE_FMT(got));
		rest_client_free(seen.client);
		buf_fini(&seen.body);
		peer_stop(&p);
	}
}

static void kept_connection(void **state)
{
	(void)state;
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nok";
	struct peer p;
	struct seen seen;
	peer_start(&p);
	seen_init(&seen, p.loop, p.base);
	ask(&seen, "/1");
	peer_accept(&p);
	peer_hear_head(&p);
	test_say(p.fd, SLICE(ok));
	RUN_UNTIL(p.loop, seen.n_end == 1);
	assert_int_equal(seen.retry_after_ms, 7000);
	ask(&seen, "/2"); /* the same connection */
	peer_hear_head(&p);
	test_say(p.fd, SLICE(ok));
	RUN_UNTIL(p.loop, seen.n_end == 2);
	/* The server closes it just as the third request goes out: asked again on a new one. */
	ask(&seen, "/3");
	peer_hear_head(&p);
	peer_accept(&p); /* closes the old one */
	peer_hear_head(&p);
	assert_true(slice_starts(buf_slice(&p.heard), SLICE("GET /3 ")));
	test_say(p.fd, SLICE(ok));
	RUN_UNTIL(p.loop, seen.n_end == 3);
	assert_true(seen.ok);
	/* But not what may not be done twice. */
	rest_client_send(seen.client, &(struct rest_ask){.method = "POST", .path = "/4"}, &events,
			 &seen);
	peer_hear_head(&p);
	close(p.fd);
	p.fd = -1;
	RUN_UNTIL(p.loop, seen.n_end == 4);
	assert_false(seen.ok);
	rest_client_free(seen.client);
	buf_fini(&seen.body);
	peer_stop(&p);
}

static void callbacks_that_end_things(void **state)
{
	(void)state;
	static const int thens[] = {CANCEL_AT_HEAD, FREE_AT_BODY, FREE_AT_END, AGAIN_AT_END};
	for (size_t i = 0; i < N_ELEMS(thens); i++) {
		struct peer p;
		struct seen seen;
		peer_start(&p);
		seen_init(&seen, p.loop, p.base);
		seen.then = thens[i];
		ask(&seen, "/first");
		peer_accept(&p);
		peer_hear_head(&p);
		test_say(p.fd, SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				     "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"));
		if (thens[i] == AGAIN_AT_END) {
			peer_hear_head(&p);
			assert_true(slice_starts(buf_slice(&p.heard), SLICE("GET /second ")));
			test_say(p.fd, SLICE("HTTP/1.1 204 OK\r\n\r\n"));
			RUN_UNTIL(p.loop, seen.n_end == 2);
			rest_client_free(seen.client);
		} else {
			RUN_UNTIL(p.loop, test_hear(p.fd, &p.heard)); /* it hangs up */
			assert_int_equal(seen.n_end, thens[i] == FREE_AT_END);
			if (thens[i] == CANCEL_AT_HEAD) {
				assert_int_equal(buf_len(&seen.body), 0);
				rest_client_free(seen.client);
			}
		}
		buf_fini(&seen.body);
		peer_stop(&p);
	}
}

static void failures(void **state)
{
	(void)state;
	struct err err = {0};
	struct peer p;
	struct seen seen;
	static const char *const no_bases[] = {"",
					       "unix:",
					       "https://1.2.3.4:1",
					       "http://name:80",
					       "http://1.2.3.4:x",
					       "1.2.3.4:80",
					       "http://1.2.3.4:80/path"};
	peer_start(&p);
	for (size_t i = 0; i < N_ELEMS(no_bases); i++)
		if (rest_client_new(p.loop, no_bases[i], &err))
			fail_msg("taken for a base: %s", no_bases[i]);

	/* Nobody listens: told by on_end, and not from inside the call. */
	seen_init(&seen, p.loop, "unix:/nonexistent/socket");
	ask(&seen, "/");
	assert_int_equal(seen.n_end, 0);
	RUN_UNTIL(p.loop, seen.n_end);
	assert_true(slice_contains(slice_of(seen.err.text), SLICE("No such file")));
	rest_client_free(seen.client);
	buf_fini(&seen.body);

	char closed[64];
	close(test_listen_tcp(closed));
	seen_init(&seen, p.loop, closed);
	ask(&seen, "/");
	RUN_UNTIL(p.loop, seen.n_end);
	assert_true(slice_contains(slice_of(seen.err.text), SLICE("refused")));
	ask(&seen, "/not a path");
	RUN_UNTIL(p.loop, seen.n_end == 2);
	assert_int_equal(seen.err.kind, ERR_BAD_INPUT);
	rest_client_free(seen.client);
	buf_fini(&seen.body);

	/* Silence before the head, then inside the body. */
	seen_init(&seen, p.loop, p.base);
	struct rest_ask quick = {.path = "/", .timeout_ms = 20, .idle_ms = 20};
	rest_client_send(seen.client, &quick, &events, &seen);
	RUN_UNTIL(p.loop, seen.n_end);
	assert_true(slice_contains(slice_of(seen.err.text), SLICE("timed out waiting")));
	peer_accept(&p); /* that one */
	quick.timeout_ms = 0;
	rest_client_send(seen.client, &quick, &events, &seen);
	peer_accept(&p);
	peer_hear_head(&p);
	test_say(p.fd, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"));
	RUN_UNTIL(p.loop, seen.n_end == 2);
	assert_true(slice_contains(slice_of(seen.err.text), SLICE("timed out inside")));
	rest_client_free(seen.client);
	buf_fini(&seen.body);
	peer_stop(&p);
}

/* Against the real server, in both directions at once. */

static void on_echo(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)ctx;
	rest_reply_full(reply, 200, "application/x-test", req->body);
}

static void on_count(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)ctx;
	(void)req;
	rest_reply_begin_stream(reply, 200, "text/plain");
	for (int i = 0; i < 100000; i++)
		rest_stream_write(reply, SLICE("0123456789\n"));
	rest_stream_end(reply);
}

static void on_forever_gone(void *ctx, struct rest_reply *reply)
{
	(void)reply;
	++*(unsigned *)ctx;
}

static void on_forever(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	(void)req;
	rest_reply_on_gone(reply, on_forever_gone, ctx);
	rest_reply_begin_stream(reply, 200, "text/plain");
	rest_stream_write(reply, SLICE("first\n"));
}

static struct rest_server *serve(struct loop *loop, int fd, unsigned *n_gone)
{
	static const struct rest_limits limits = {.body_bytes = 16 << 20};
	struct err err = {0};
	struct rest_server *s = rest_server_new(loop, "test", &limits);
	rest_route(s, NULL, "/echo", on_echo, NULL);
	rest_route(s, "GET", "/count", on_count, NULL);
	rest_route(s, "GET", "/forever", on_forever, n_gone);
	assert_true(rest_server_listen_fd(s, fd, &err));
	return s;
}

static void large_bodies(void **state)
{
	(void)state;
	enum { LARGE = 10 << 20 };
	char base[64];
	struct loop *loop = test_loop();
	unsigned n_gone = 0;
	struct rest_server *server = serve(loop, test_listen_unix(base), &n_gone);
	char *large = mem_new(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)(i * 31 % 251);
	struct seen seen;
	seen_init(&seen, loop, base);
	for (unsigned round = 1; round <= 2; round++) {
		rest_client_send(seen.client,
				 &(struct rest_ask){
					 .method = "PUT", .path = "/echo", .body = {large, LARGE}},
				 &events, &seen);
		RUN_UNTIL(loop, seen.n_end == round);
		assert_true(seen.ok && slice_is(slice_of(seen.type), "application/x-test"));
		assert_true(slice_eq(buf_slice(&seen.body), (struct slice){large, LARGE}));
		buf_clear(&seen.body);
	}
	ask(&seen, "/count");
	RUN_UNTIL(loop, seen.n_end == 3);
	assert_int_equal(buf_len(&seen.body), 1100000);
	assert_int_equal(rest_server_stats(server).connections, 1);
	rest_client_free(seen.client);
	buf_fini(&seen.body);
	free(large);
	rest_server_free(server);
	loop_free(loop);
	test_unlink(base);
}

/* The blocking calls need a server on another thread. */
struct thread {
	pthread_t id;
	struct loop *loop;
	struct rest_server *server;
	char base[64];
	unsigned n_gone;
};

static bool take_first(void *ctx, struct slice bytes)
{
	assert_true(slice_is(bytes, "first\n"));
	return ++*(unsigned *)ctx == 0;
}

static void *loop_thread(void *arg)
{
	struct err err = {0};
	return loop_run(((struct thread *)arg)->loop, &err) ? arg : NULL;
}

static void blocking_calls(void **state)
{
	(void)state;
	struct thread t = {.loop = test_loop()};
	struct err err = {0};
	struct buf out;
	unsigned status, n_chunks = 0;
	t.server = serve(t.loop, test_listen_unix(t.base), &t.n_gone);
	assert_int_equal(pthread_create(&t.id, NULL, loop_thread, &t), 0);

	buf_init(&out, 100);
	struct rest_ask put = {.method = "PUT", .path = "/echo", .body = SLICE("hello")};
	assert_true(rest_call(t.base, &put, &status, &out, &err));
	assert_int_equal(status, 200);
	assert_true(slice_is(buf_slice(&out), "hello"));

	buf_clear(&out);
	assert_true(rest_call_fd(net_connect_unix(t.base + 5, &err), &put, &status, &out, &err));
	assert_true(slice_is(buf_slice(&out), "hello"));

	buf_clear(&out);
	assert_true(rest_call(t.base, &(struct rest_ask){.path = "/nothing"}, &status, &out, &err));
	assert_int_equal(status, 404); /* a status is not an error */

	assert_false(rest_call(t.base, &(struct rest_ask){.path = "/count"}, &status, &out, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_false(rest_call("unix:/nonexistent", &put, &status, &out, &err));
	assert_true(slice_contains(slice_of(err.text), SLICE("unix:/nonexistent: ")));
	assert_false(rest_call_fd(-1, &put, &status, &out, &err));

	struct rest_ask forever = {.path = "/forever"};
	assert_true(
		rest_call_stream(t.base, -1, &forever, take_first, &n_chunks, &status, &out, &err));
	assert_int_equal(n_chunks, 1);
	assert_int_equal(status, 200);

	loop_stop(t.loop);
	assert_int_equal(pthread_join(t.id, NULL), 0);
	rest_server_free(t.server);
	loop_free(t.loop);
	test_unlink(t.base);
	buf_fini(&out);
}

static void escaping(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 100);
	assert_true(rest_escape(&b, SLICE("a-Z_0.~ /=&\xc3\xa9%")));
	assert_true(slice_is(buf_slice(&b), "a-Z_0.~%20%2F%3D%26%C3%A9%25"));
	buf_fini(&b);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_response),
		cmocka_unit_test(kept_connection),
		cmocka_unit_test(callbacks_that_end_things),
		cmocka_unit_test(failures),
		cmocka_unit_test(large_bodies),
		cmocka_unit_test(blocking_calls),
		cmocka_unit_test(escaping),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
