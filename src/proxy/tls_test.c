/* Mesh TLS of real workers: who is refused and how it shows, what a cut is, new certificates. That
 * bytes, ends and resets pass is tested in race_test.c, worker_test.c and storm_test.c. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/sock.h"
#include "proxy/secure.h"
#include "proxy/testbed.h"

enum { METRICS_BYTES = 4 << 20, ANSWER_MS = 10000 };

static struct testbed tb;

static int start(void **state)
{
	(void)state;
	testbed_start(&tb,
		      &(struct testbed_setup){.mesh_tls = true, .mesh = "handshakeTimeout: 2s\n"});
	return 0;
}

static int stop(void **state)
{
	(void)state;
	testbed_stop(&tb);
	return 0;
}

/* Value of a series as scrapes see it. */
static uint64_t metric(const struct testbed *of, const char *series)
{
	struct buf out;
	struct metrics_facts facts = {.version = "test"};
	uint64_t value = UINT64_MAX;
	buf_init(&out, METRICS_BYTES);
	assert_true(metrics_render(of->metrics, &facts, &out));
	for (struct slice text = buf_slice(&out); text.len;) {
		struct slice line = slice_cut(&text, '\n');
		if (slice_starts(line, slice_of(series)))
			assert_true(
				slice_to_u64(slice_trim(slice_sub(line, strlen(series), line.len)),
					     UINT64_MAX, &value));
	}
	if (value == UINT64_MAX)
		fail_msg("no series %s", series);
	buf_fini(&out);
	return value;
}

/* The worker counts behind what its peer sees. */
static void wait_metric(const struct testbed *of, const char *series, uint64_t want)
{
	uint64_t until = clock_ns() + ANSWER_MS * NS_PER_MS;
	while (metric(of, series) != want && clock_ns() < until)
		(void)poll(NULL, 0, 1); /* the count is the condition that is waited for */
	assert_int_equal(metric(of, series), want);
}

static void nobody_is_dialled(const struct testbed *of)
{
	struct pollfd p = {.fd = of->server_fd, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 0);
}

static void refused_client(struct mesh_tls *client, const char *result)
{
	char series[256];
	(void)snprintf(series, sizeof(series),
		       "hark_tls_handshakes_total{side=\"inbound\",result=\"%s\"}", result);
	uint64_t before = metric(tb.far, series);
	testbed_certify(&tb, client);
	int fd = testbed_connect(&tb);
	expect_reset(fd);
	wait_metric(tb.far, series, before + 1);
	nobody_is_dialled(&tb);
	(void)close(fd);
	testbed_wait_conns(&tb, 0);
	testbed_certify(&tb, testbed_tls(TESTBED_CLIENT, CA_DAY_S));
}

static void clients_that_are_refused(void **state)
{
	(void)state;
	refused_client(testbed_tls_of_others(TESTBED_CLIENT, true), "wrong_root");
	refused_client(testbed_tls(TESTBED_CLIENT, -3600), "expired");
	refused_client(testbed_tls("spiffe://elsewhere.example/ns/shop/sa/web", CA_DAY_S),
		       "wrong_trust_domain");
	refused_client(testbed_tls(NULL, CA_DAY_S), "no_san");
}

static void server_of_another_root(void **state)
{
	(void)state;
	static const char refused[] =
		"hark_tls_handshakes_total{side=\"outbound\",result=\"wrong_root\"}";
	uint64_t before = metric(&tb, refused);
	testbed_certify(tb.far, testbed_tls_of_others(TESTBED_SERVER, false));
	int fd = testbed_connect(&tb);
	expect_reset(fd);
	wait_metric(&tb, refused, before + 1);
	(void)close(fd);
	testbed_certify(tb.far, testbed_tls(TESTBED_SERVER, CA_DAY_S));
}

static int connect_to(const struct testbed *of)
{
	struct sockaddr_storage sa;
	struct timeval limit = {.tv_sec = ANSWER_MS / 1000};
	socklen_t len = addr_to_sockaddr(&of->through, &sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

static int connect_far(void)
{
	return connect_to(tb.far);
}

static void plaintext_is_reset_at_once(void **state)
{
	(void)state;
	static const char *const words[] = {"\1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
					    "EHLO a\r\n"};
	for (size_t i = 0; i < N_ELEMS(words); i++) {
		int fd = connect_far();
		say(fd, words[i]);
		expect_reset(fd);
		(void)close(fd);
	}
	nobody_is_dialled(&tb);
}

static void silent_client_is_reset_after_the_handshake_timeout(void **state)
{
	(void)state;
	static const char late[] =
		"hark_connections_ended_total{side=\"inbound\",reason=\"handshake-timeout\"}";
	uint64_t before = metric(tb.far, late);
	int fd = connect_far();
	expect_reset(fd);
	wait_metric(tb.far, late, before + 1);
	nobody_is_dialled(&tb);
	(void)close(fd);
}

/* What the near worker sends as its ClientHello. */
static size_t real_hello(char *out, size_t room)
{
	struct err err = {0};
	struct mesh_tls *t = testbed_tls(TESTBED_CLIENT, CA_DAY_S);
	struct tls_worker *w = tls_worker_new();
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	struct tls *s =
		tls_new(mesh_tls_client(t),
			&(struct tls_start){.fd = fds[0], .worker = w, .alpn = "istio"}, &err);
	assert_non_null(s);
	assert_int_equal(tls_handshake(s, &err), TLS_WANT_READ);
	ssize_t n = recv(fds[1], out, room, 0);
	assert_true(n > 0);
	tls_free(s);
	tls_worker_free(w);
	mesh_tls_put(t);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return (size_t)n;
}

static void hello_cut_at_every_byte(void **state)
{
	(void)state;
	char hello[4096];
	size_t len = real_hello(hello, sizeof(hello));
	for (size_t cut = 1; cut < len; cut++) {
		int fd = connect_far();
		assert_int_equal(send(fd, hello, cut, MSG_NOSIGNAL), cut);
		end(fd);
		char byte;
		assert_true(recv(fd, &byte, 1, 0) <= 0); /* an end or a reset, and soon */
		(void)close(fd);
	}
	nobody_is_dialled(&tb);
	testbed_wait_conns(tb.far, 0);
}

/* The end is there when the handshake begins: no event will tell of it again. */
static void hello_and_the_end(void **state)
{
	(void)state;
	enum { TIMES = 20 };
	static const char cut[] = "hark_tls_handshakes_total{side=\"inbound\",result=\"cut\"}";
	char hello[4096], answer[4096];
	size_t len = real_hello(hello, sizeof(hello));
	uint64_t before = metric(tb.far, cut);
	for (unsigned i = 0; i < TIMES; i++) {
		int fd = connect_far();
		assert_int_equal(send(fd, hello, len, MSG_NOSIGNAL), len);
		end(fd);
		while (recv(fd, answer, sizeof(answer), 0) > 0)
			;
		(void)close(fd);
	}
	wait_metric(tb.far, cut, before + TIMES);
	nobody_is_dialled(&tb);
}

static void hello_and_then_garbage(void **state)
{
	(void)state;
	char hello[4096], answer[4096];
	size_t len = real_hello(hello, sizeof(hello));
	int fd = connect_far();
	assert_int_equal(send(fd, hello, len, MSG_NOSIGNAL), len);
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	say(fd, "\x17\x03\x03\x00\x08garbage!");
	while (recv(fd, answer, sizeof(answer), 0) > 0)
		;
	(void)close(fd);
	nobody_is_dialled(&tb);
	testbed_wait_conns(tb.far, 0);
}

/* The world goes on while somebody opens handshakes and finishes none: the oldest give way. */
static void handshakes_that_are_never_finished(void **state)
{
	(void)state;
	enum { CROWD = 10000 };
	static int fds[CROWD];
	char hello[4096];
	struct rlimit files;
	size_t len = real_hello(hello, sizeof(hello));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (size_t i = 0; i < CROWD; i++) {
		fds[i] = connect_far();
		assert_int_equal(send(fds[i], hello, len, MSG_NOSIGNAL), len);
	}
	struct peers p = testbed_peers(&tb);
	say(p.client, "question");
	expect(p.server, "question");
	peers_close(&p);
	assert_in_range(metric(tb.far, "hark_tls_handshakes_evicted_total"), 1, CROWD);
	for (size_t i = 0; i < CROWD; i++)
		(void)close(fds[i]);
	testbed_wait_conns(tb.far, 0);
}

/* A client of mesh TLS by hand, up to the end of its handshake. */
struct by_hand {
	int fd;
	struct mesh_tls *identity;
	struct tls_worker *worker;
	struct tls *tls;
};

static void by_hand_open(struct by_hand *h, const struct testbed *of)
{
	struct err err = {0};
	h->fd = connect_to(of);
	h->identity = testbed_tls(TESTBED_CLIENT, CA_DAY_S);
	h->worker = tls_worker_new();
	h->tls = tls_new(mesh_tls_client(h->identity),
			 &(struct tls_start){.fd = h->fd, .worker = h->worker, .alpn = "istio"},
			 &err);
	assert_non_null(h->tls);
	if (tls_handshake(h->tls, &err) != TLS_OK) /* the socket blocks */
		fail_msg("%s", err.text);
}

static void by_hand_close(struct by_hand *h)
{
	tls_free(h->tls);
	tls_worker_free(h->worker);
	mesh_tls_put(h->identity);
	(void)close(h->fd);
}

static void end_without_close_notify_is_no_end(void **state)
{
	(void)state;
	struct by_hand h;
	struct err err = {0};
	size_t n;
	by_hand_open(&h, tb.far);
	int server = testbed_accept(&tb);
	assert_int_equal(tls_write(h.tls, SLICE("half of it"), &n, &err), TLS_OK);
	end(h.fd); /* as somebody in between could do it */
	expect(server, "half of it");
	expect_reset(server);
	wait_metric(tb.far, "hark_connections_ended_total{side=\"inbound\",reason=\"tls-cut\"}", 1);
	by_hand_close(&h);
	(void)close(server);
}

static void close_notify_is_an_end(void **state)
{
	(void)state;
	struct by_hand h;
	struct err err = {0};
	size_t n;
	by_hand_open(&h, tb.far);
	int server = testbed_accept(&tb);
	assert_int_equal(tls_write(h.tls, SLICE("all of it"), &n, &err), TLS_OK);
	assert_int_equal(tls_close_write(h.tls, &err), TLS_OK);
	expect(server, "all of it");
	expect_end(server);
	end(server);
	by_hand_close(&h);
	(void)close(server);
}

/* Ours as well: the peer does not take the idle timeout for somebody's cut. */
static void silence_ends_in_order(void **state)
{
	(void)state;
	struct testbed idle;
	struct by_hand h;
	struct err err = {0};
	char byte;
	size_t n;
	testbed_start(&idle,
		      &(struct testbed_setup){.tls_server = true, .mesh = "tcpIdleTimeout: 1s\n"});
	testbed_certify(&idle, testbed_tls(TESTBED_SERVER, CA_DAY_S));
	by_hand_open(&h, &idle);
	int server = testbed_accept(&idle);
	enum tls_result r;
	while ((r = tls_read(h.tls, &byte, 1, &n, &err)) == TLS_WANT_READ)
		; /* the socket blocks, and a ticket comes before the end */
	assert_int_equal(r, TLS_END);
	expect_end(server);
	by_hand_close(&h);
	(void)close(server);
	testbed_stop(&idle);
}

static void new_certificates_disturb_nobody(void **state)
{
	(void)state;
	struct peers old = testbed_peers(&tb);
	say(old.client, "before");
	expect(old.server, "before");
	testbed_certify(&tb, testbed_tls(TESTBED_CLIENT, CA_DAY_S));
	testbed_certify(tb.far, testbed_tls(TESTBED_SERVER, CA_DAY_S));
	struct peers new = testbed_peers(&tb);
	say(new.client, "after");
	expect(new.server, "after");
	say(old.server, "still");
	expect(old.client, "still");
	peers_close(&old);
	peers_close(&new);
}

static void sessions_are_resumed(void **state)
{
	(void)state;
	uint64_t before = metric(tb.far, "hark_tls_resumed_total");
	for (unsigned i = 0; i < 2; i++) {
		struct peers p = testbed_peers(&tb);
		say(p.server, "greeting"); /* the ticket has come before it */
		expect(p.client, "greeting");
		peers_close(&p);
		testbed_wait_conns(&tb, 0);
	}
	assert_in_range(metric(tb.far, "hark_tls_resumed_total"), before + 1, before + 2);
}

static void without_a_certificate(void **state)
{
	(void)state;
	struct testbed none;
	char hello[4096];
	size_t len = real_hello(hello, sizeof(hello));
	testbed_start(&none, &(struct testbed_setup){.tls_server = true});
	int fd = testbed_connect(&none);
	assert_int_equal(send(fd, hello, len, MSG_NOSIGNAL), len);
	expect_reset(fd);
	(void)close(fd);
	wait_metric(&none,
		    "hark_connections_ended_total{side=\"inbound\",reason=\"no-certificate\"}", 1);
	testbed_stop(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_that_are_refused),
		cmocka_unit_test(server_of_another_root),
		cmocka_unit_test(plaintext_is_reset_at_once),
		cmocka_unit_test(silent_client_is_reset_after_the_handshake_timeout),
		cmocka_unit_test(hello_cut_at_every_byte),
		cmocka_unit_test(hello_and_the_end),
		cmocka_unit_test(hello_and_then_garbage),
		cmocka_unit_test(handshakes_that_are_never_finished),
		cmocka_unit_test(end_without_close_notify_is_no_end),
		cmocka_unit_test(close_notify_is_an_end),
		cmocka_unit_test(silence_ends_in_order),
		cmocka_unit_test(new_certificates_disturb_nobody),
		cmocka_unit_test(sessions_are_resumed),
		cmocka_unit_test(without_a_certificate),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
