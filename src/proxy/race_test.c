/* The first-word race on real sockets: whoever speaks first is heard at once, and not a byte is
 * lost or doubled. The machine's own cases are in detect/; here is what the sockets add. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proxy/testbed.h"

static struct testbed tb;

static int start(void **state)
{
	(void)state;
	testbed_start(&tb, &(struct testbed_setup){.detect = true});
	return 0;
}

static int start_mesh_tls(void **state)
{
	(void)state;
	testbed_start(&tb, &(struct testbed_setup){.detect = true, .mesh_tls = true});
	return 0;
}

static int stop(void **state)
{
	(void)state;
	testbed_stop(&tb);
	return 0;
}

static void greeting_reaches_a_silent_client(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb); /* the client says nothing: the server is dialled */
	say(p.server, "220 mail.example ESMTP\r\n");
	expect(p.client, "220 mail.example ESMTP\r\n");
	say(p.client, "QUIT\r\n");
	expect(p.server, "QUIT\r\n");
	peers_close(&p);
}

static void greeting_in_pieces(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	static const char *const pieces[] = {"2", "20", " mail", ".example", " ESMTP\r\n"};
	for (size_t i = 0; i < N_ELEMS(pieces); i++) {
		say(p.server, pieces[i]);
		expect(p.client, pieces[i]);
	}
	peers_close(&p);
}

static void client_speaks_first(void **state)
{
	(void)state;
	static const char *const words[] = {
		"*1\r\n$4\r\nPING\r\n",              /* opaque with the first byte */
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", /* HTTP/1 */
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",  /* HTTP/2 */
		"GET",                               /* cut short: passes when it stalls */
	};
	for (size_t i = 0; i < N_ELEMS(words); i++) {
		int client = testbed_connect(&tb);
		say(client, words[i]);
		struct peers p = {client, testbed_accept(&tb)};
		expect(p.server, words[i]);
		say(p.server, "answer");
		expect(p.client, "answer");
		peers_close(&p);
	}
}

static void request_line_in_pieces(void **state)
{
	(void)state;
	struct peers p = {.client = testbed_connect(&tb)};
	say(p.client, "GET /a/rather/lo");
	say(p.client, "ng/path HTTP/1.1\r\n");
	p.server = testbed_accept(&tb);
	expect(p.server, "GET /a/rather/long/path HTTP/1.1\r\n");
	peers_close(&p);
}

static void both_silent_then_client(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	expect_silence(p.server);
	expect_silence(p.client);
	say(p.client, "\1hello");
	expect(p.server, "\1hello");
	peers_close(&p);
}

static void both_at_once(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	say(p.client, "\1from the client");
	say(p.server, "from the server");
	expect(p.server, "\1from the client");
	expect(p.client, "from the server");
	peers_close(&p);
}

static void greeting_that_comes_with_the_end(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	say(p.server, "Thu Jan  1 00:00:00 1970\r\n");
	end(p.server);
	expect(p.client, "Thu Jan  1 00:00:00 1970\r\n");
	expect_end(p.client);
	peers_close(&p);
}

static void server_closes_without_a_word(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	(void)close(p.server);
	p.server = -1;
	expect_end(p.client);
	peers_close(&p);
}

static void server_resets_without_a_word(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	reset(p.server);
	p.server = -1;
	expect_reset(p.client);
	peers_close(&p);
}

static void words_before_a_reset_arrive(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) { /* the words and the reset come together, or do not */
		struct peers p = testbed_peers(&tb);
		say(p.server, "-ERR max number of clients reached\r\n");
		reset(p.server);
		p.server = -1;
		expect(p.client, "-ERR max number of clients reached\r\n");
		expect_reset(p.client);
		peers_close(&p);
	}
}

static void refused_server_resets_a_silent_client(void **state)
{
	(void)state;
	struct testbed none;
	testbed_start(&none, &(struct testbed_setup){.detect = true, .no_server = true});
	int client = testbed_connect(&none);
	expect_reset(client);
	(void)close(client);
	testbed_stop(&none);
}

static void silent_client_that_leaves_takes_the_server_along(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	(void)close(p.client);
	p.client = -1;
	expect_end(p.server);
	peers_close(&p);
}

static void silent_client_that_resets(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	reset(p.client);
	p.client = -1;
	expect_reset(p.server);
	peers_close(&p);
}

static void endless_greeting(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	char line[4096];
	memset(line, 'x', sizeof(line));
	size_t sent = 0, got = 0;
	while (sent < (1 << 20)) {
		ssize_t n = send(p.server, line, sizeof(line), MSG_DONTWAIT);
		if (n > 0)
			sent += (size_t)n;
		n = recv(p.client, line, sizeof(line), MSG_DONTWAIT);
		if (n > 0)
			got += (size_t)n;
	}
	end(p.server);
	for (ssize_t n; (n = recv(p.client, line, sizeof(line), 0)) > 0;)
		got += (size_t)n;
	assert_int_equal(got, sent);
	peers_close(&p);
}

/* The crowd is accepted within the head start, and takes all descriptors: none is left to dial. */
static void greeting_comes_when_descriptors_are_free_again(void **state)
{
	(void)state;
	enum { FEW = 32, CROWD = 2 * FEW };
	struct testbed own;
	int crowd[CROWD], servers[CROWD];
	testbed_start(&own, &(struct testbed_setup){.detect = true, .mesh = "headStart: 300ms\n"});
	for (size_t i = 0; i < CROWD; i++)
		assert_true((crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
	struct rlimit files, few;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	few = files;
	few.rlim_cur = FEW;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&own.through, &sa);
	for (size_t i = 0; i < CROWD; i++)
		assert_int_equal(connect(crowd[i], (struct sockaddr *)&sa, len), 0);
	expect_reset(crowd[CROWD - 1]); /* and so all that no descriptor was left for */
	unsigned n = worker_n_conns(own.workers[0]);
	assert_in_range(n, 2, FEW);
	(void)close(crowd[0]); /* one leaves: there is a descriptor, so one is greeted */
	assert_true(readable_within(own.server_fd, 10000));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (unsigned i = 1; i < n; i++) {
		servers[i] = testbed_accept(&own);
		say(servers[i], "220 at last\r\n");
	}
	for (unsigned i = 1; i < n; i++) {
		expect(crowd[i], "220 at last\r\n");
		(void)close(servers[i]);
	}
	for (size_t i = 1; i < CROWD; i++)
		(void)close(crowd[i]);
	testbed_stop(&own);
}

/* A place in the budget is waited for: nobody stalls because of it. */
static void budget_makes_others_wait_their_turn(void **state)
{
	(void)state;
	struct testbed few;
	testbed_start(&few, &(struct testbed_setup){.detect = true,
						    .mesh = "earlyConnections:\n  perWorker: 2\n"});
	int clients[4];
	for (size_t i = 0; i < N_ELEMS(clients); i++)
		clients[i] = testbed_connect(&few);
	int servers[4] = {testbed_accept(&few), testbed_accept(&few), -1, -1};
	assert_false(readable_within(few.server_fd, 50)); /* no third one */
	say(clients[3], "\1speaks");                      /* needs no early connection */
	servers[2] = testbed_accept(&few);
	expect(servers[2], "\1speaks");
	say(servers[0], "hello"); /* decided: its place is free */
	servers[3] = testbed_accept(&few);
	for (size_t i = 0; i < N_ELEMS(clients); i++) {
		struct peers p = {clients[i], servers[i]};
		peers_close(&p);
	}
	testbed_stop(&few);
}

/* A ClientHello as far as anybody looks, without a server name. */
static const char hello[] = "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03"
			    "0123456789abcdef0123456789abcdef\x00\x00\x02\x13\x01\x01\x00\x00\x00";

static void say_hello(int fd)
{
	assert_int_equal(send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL), sizeof(hello) - 1);
}

/* Inbound, from a source that nobody knows: a greeting is held back for a ClientHello, and where
 * the window was too short the source is remembered. */
static void wrong_guess_is_remembered(void **state)
{
	(void)state;
	struct testbed in;
	testbed_start(&in, &(struct testbed_setup){.detect = true, .inbound = true});
	struct peers p = testbed_peers(&in);
	say(p.server, "220 plain\r\n");
	expect(p.client, "220 plain\r\n"); /* the window is over */
	say_hello(p.client);
	expect_reset(p.client);
	peers_close(&p);
	testbed_wait_conns(&in, 0);
	/* From now on it is known to speak TLS: no early connection, no greeting. */
	p.client = testbed_connect(&in);
	say_hello(p.client);
	p.server = testbed_accept(&in);
	assert_true(readable_within(p.server, 10000));
	say(p.server, "server hello");
	expect(p.client, "server hello");
	peers_close(&p);
	testbed_stop(&in);
}

static void silence_ends_where_asked_for(void **state)
{
	(void)state;
	struct testbed idle;
	testbed_start(&idle,
		      &(struct testbed_setup){.detect = true, .mesh = "tcpIdleTimeout: 1s\n"});
	struct peers p = testbed_peers(&idle);
	expect_end(p.client);
	expect_end(p.server);
	peers_close(&p);
	testbed_stop(&idle);
}

static void many_silent_clients(void **state)
{
	(void)state;
	struct peers p[200];
	for (size_t i = 0; i < N_ELEMS(p); i++)
		p[i] = testbed_peers(&tb);
	for (size_t i = 0; i < N_ELEMS(p); i++)
		say(p[i].server, "hello");
	for (size_t i = 0; i < N_ELEMS(p); i++)
		expect(p[i].client, "hello");
	for (size_t i = 0; i < N_ELEMS(p); i++)
		peers_close(&p[i]);
}

int main(void)
{
	/* In clear, and through two sidecars with mesh TLS between them. */
	const struct CMUnitTest both[] = {
		cmocka_unit_test(greeting_reaches_a_silent_client),
		cmocka_unit_test(greeting_in_pieces),
		cmocka_unit_test(client_speaks_first),
		cmocka_unit_test(request_line_in_pieces),
		cmocka_unit_test(both_silent_then_client),
		cmocka_unit_test(both_at_once),
		cmocka_unit_test(greeting_that_comes_with_the_end),
		cmocka_unit_test(server_closes_without_a_word),
		cmocka_unit_test(server_resets_without_a_word),
		cmocka_unit_test(words_before_a_reset_arrive),
		cmocka_unit_test(silent_client_that_leaves_takes_the_server_along),
		cmocka_unit_test(silent_client_that_resets),
		cmocka_unit_test(endless_greeting),
		cmocka_unit_test(many_silent_clients),
	};
	const struct CMUnitTest others[] = {
		cmocka_unit_test(refused_server_resets_a_silent_client),
		cmocka_unit_test(greeting_comes_when_descriptors_are_free_again),
		cmocka_unit_test(budget_makes_others_wait_their_turn),
		cmocka_unit_test(wrong_guess_is_remembered),
		cmocka_unit_test(silence_ends_where_asked_for),
	};
	return cmocka_run_group_tests_name("plaintext", both, start, stop) +
	       cmocka_run_group_tests_name("mesh TLS", both, start_mesh_tls, stop) +
	       cmocka_run_group_tests_name("others", others, NULL, NULL);
}
