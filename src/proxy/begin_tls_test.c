/* The words in clear around the beginning of TLS that a rule wants, with the server played by the test: what
 * is asked, what is tried next, and what ends it. Handshakes that succeed are in the end-to-end tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "decide/learn.h"
#include "detect/postgres.h"
#include "proxy/testbed.h"

static struct testbed tb;

#define STARTUP SLICE("\0\0\0\x29\0\3\0\0user\0me\0database\0shop\0\0\0\0\0\0\0")
#define REDIS SLICE("*1\r\n$4\r\nPING\r\n")

/* PORT: a member of the entry's port with a comma before it, or "". */
static void start_in(const char *mesh, const char *port, const char *mode)
{
	testbed_start(&tb, &(struct testbed_setup){.outbound = true, .mesh = mesh});
	testbed_apply(&tb, KIND_SERVICE_ENTRY,
		      "{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\"},\"spec\":{\"hosts\":["
		      "\"db.example.com\"],\"addresses\":[\"127.0.0.1\"],\"resolution\":\"STATIC\","
		      "\"ports\":[{\"name\":\"a\",\"number\":%u,\"targetPort\":%u%s}],"
		      "\"endpoints\":[{\"address\":\"127.0.0.1\"}]}}",
		      tb.through.port, tb.setup.fixed_to.port, port);
	testbed_apply(&tb, KIND_DESTINATION_RULE,
		      "{\"metadata\":{\"name\":\"r\",\"namespace\":\"shop\"},\"spec\":{\"host\":"
		      "\"db.example.com\",\"trafficPolicy\":{\"tls\":{\"mode\":\"%s\","
		      "\"insecureSkipVerify\":true}}}}",
		      mode);
	testbed_serve(&tb);
}

static void start(const char *port, const char *mode)
{
	start_in(NULL, port, mode);
}

static void say_bytes(int fd, struct slice bytes)
{
	assert_int_equal(send(fd, bytes.at, bytes.len, MSG_NOSIGNAL), bytes.len);
}

/* The server's end of the next connection, whose first bytes are an SSLRequest and no more. */
static int asked(void)
{
	char bytes[PG_REQUEST_LEN];
	int fd = testbed_accept(&tb);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
	assert_memory_equal(bytes, PG_SSL_REQUEST, sizeof(bytes));
	expect_silence(fd);
	return fd;
}

static void hello_comes(int fd)
{
	char bytes[4096];
	assert_int_equal(recv(fd, bytes, 3, MSG_WAITALL), 3);
	assert_memory_equal(bytes, "\x16\3\1", 3);
	assert_true(recv(fd, bytes, sizeof(bytes), 0) > 0); /* or the close is a reset */
}

/* or whose first bytes are a ClientHello. */
static int hello(void)
{
	int fd = testbed_accept(&tb);
	hello_comes(fd);
	return fd;
}

static int client_says(struct slice word)
{
	int fd = testbed_connect(&tb);
	if (word.len)
		say_bytes(fd, word);
	return fd;
}

static const struct learned *learnt(void)
{
	static struct learned l;
	struct live_port *live =
		live_port_get(tb.live, LIVE_OUTBOUND, "db.example.com", tb.through.port);
	learn_read(live, &l);
	live_port_put(live);
	return &l;
}

/* Nothing came of it. */
static void over(int client)
{
	testbed_wait_conns(&tb, 0);
	close(client);
	testbed_stop(&tb);
}

static void what_the_client_says(void **state)
{
	(void)state;
	static const char *const ports[] = {"", ",\"protocol\":\"TCP\"", ",\"protocol\":\"HTTP\""};
	static const struct slice words[] = {SLICE(PG_SSL_REQUEST), STARTUP, REDIS};
	for (size_t i = 0; i < N_ELEMS(ports); i++)
		for (size_t k = 0; k < N_ELEMS(words); k++) {
			start(ports[i], "SIMPLE");
			int client = client_says(words[k]);
			int server = k < 2 ? asked() : hello();
			assert_int_equal(learnt()->tls_begins, N_TLS_BEGINS);
			reset(client);
			testbed_wait_conns(&tb, 0);
			close(server);
			testbed_stop(&tb);
		}
}

static void yes(void **state)
{
	(void)state;
	start("", "SIMPLE");
	int client = client_says(STARTUP), server = asked();
	say(server, "S");
	hello_comes(server);
	reset(client);
	testbed_wait_conns(&tb, 0);
	close(server);
	testbed_stop(&tb);
}

static void bytes_behind_the_yes(void **state)
{
	(void)state;
	start("", "SIMPLE");
	int client = client_says(STARTUP), server = asked();
	char byte;
	say(server, "SE");
	expect_reset(client);
	assert_true(recv(server, &byte, 1, 0) <= 0); /* no ClientHello went out on it */
	close(server);
	over(client);
}

static void in_clear(const char *answer, size_t len, enum greet_protocol protocol)
{
	start("", "SIMPLE");
	int client = client_says(STARTUP), server = asked();
	say_bytes(server, (struct slice){answer, len});
	expect_reset(client);
	assert_true(learnt()->spoke_in_clear);
	assert_int_equal(learnt()->in_clear, protocol);
	assert_false(readable_within(tb.server_fd, 0));
	close(server);
	over(client);
}

static void other_answers(void **state)
{
	(void)state;
	in_clear("N", 1, GREET_IS_POSTGRESQL);
	in_clear("E\0\0\0\x10SFATAL\0", 12, GREET_IS_POSTGRESQL);
	in_clear("\x4a\0", 2, GREET_IS_UNKNOWN);
}

/* Whoever does not understand the question gets a ClientHello; and no third try. */
static void the_question_is_not_understood(void **state)
{
	(void)state;
	static const struct slice answers[] = {SLICE("\x15\3\1\0\2\2\x46"), SLICE("")};
	for (size_t i = 0; i < N_ELEMS(answers); i++) {
		start("", "SIMPLE");
		int client = client_says(STARTUP), server = asked();
		if (answers[i].len)
			say_bytes(server, answers[i]);
		close(server);
		server = hello();
		reset(server);
		expect_reset(client);
		assert_int_equal(learnt()->tls_begins, N_TLS_BEGINS);
		assert_false(readable_within(tb.server_fd, 0));
		over(client);
	}
}

enum hang_up { BY_RESET, BY_FIN };

/* A silent client: TLS at once, as ever. A server that ends the connection there is asked. */
static void silent(const char *port, enum hang_up how)
{
	start(port, "SIMPLE");
	int client = client_says(SLICE("")), server = testbed_accept(&tb);
	assert_true(readable_within(server, 5000));
	if (how == BY_FIN)
		hello_comes(server);
	else
		reset(server); /* as PostgreSQL does, which reads four bytes and leaves the rest */
	if (how == BY_FIN)
		close(server);
	server = asked();
	say(server, "S");
	hello_comes(server);
	reset(server);
	expect_reset(client);
	assert_false(readable_within(tb.server_fd, 0));
	over(client);
}

static void silent_clients(void **state)
{
	(void)state;
	silent("", BY_RESET);
	silent("", BY_FIN);
	silent(",\"protocol\":\"TCP\"", BY_RESET);
	silent(",\"protocol\":\"MySQL\"", BY_FIN);
	silent(",\"protocol\":\"HTTP\"", BY_RESET);
}

/* What a port declares is dialled for at once: there is no budget for that. */
static void declared_and_no_budget(void **state)
{
	(void)state;
	static const char *const ports[] = {",\"protocol\":\"TCP\"", ",\"protocol\":\"HTTP\""};
	for (size_t i = 0; i < N_ELEMS(ports); i++) {
		start_in("earlyConnections: {perWorker: 0}\n", ports[i], "SIMPLE");
		int client = client_says(SLICE("")), server = hello();
		reset(client);
		testbed_wait_conns(&tb, 0);
		close(server);
		testbed_stop(&tb);
	}
	start_in("earlyConnections: {perWorker: 0}\n", "", "SIMPLE");
	int client = client_says(SLICE(""));
	assert_false(readable_within(tb.server_fd, 50)); /* nothing says what it speaks */
	reset(client);
	testbed_wait_conns(&tb, 0);
	testbed_stop(&tb);
}

/* The word comes while a ClientHello is under way to a server that does not take it. */
static void late_client(void **state)
{
	(void)state;
	start("", "SIMPLE");
	int client = client_says(SLICE("")), server = testbed_accept(&tb);
	assert_true(readable_within(server, 5000));
	say_bytes(client, STARTUP);
	reset(server);
	server = asked();
	reset(client);
	testbed_wait_conns(&tb, 0);
	close(server);
	testbed_stop(&tb);
}

/* Servers that greet in clear: refused at once, with nothing tried again, and it is remembered. */
static void greeting(const char *text, size_t len, enum greet_protocol protocol)
{
	start("", "SIMPLE");
	int client = client_says(SLICE("")), server = testbed_accept(&tb);
	say_bytes(server, (struct slice){text, len});
	expect_reset(client);
	assert_true(learnt()->spoke_in_clear);
	assert_int_equal(learnt()->in_clear, protocol);
	assert_int_equal(learnt()->server_first, 0);
	assert_false(readable_within(tb.server_fd, 0));
	close(server);
	over(client);
}

static void greetings(void **state)
{
	(void)state;
	static const char mysql[] = "\x5b\0\0\0\x0a"
				    "10.11.6-MariaDB\0\1\0\0\0";
	static const char of_22[] = "\x16\0\0\0\x0a"
				    "5.5.5\0\1\0\0\0"; /* a length like a record's type */
	greeting(mysql, sizeof(mysql), GREET_IS_MYSQL);
	greeting(of_22, sizeof(of_22), GREET_IS_MYSQL);
	greeting("220 mail.a ESMTP\r\n", 18, GREET_IS_SMTP);
	greeting("HTTP/1.1 400 Bad Request\r\n", 26, GREET_IS_HTTP1);
	greeting("what\n", 5, GREET_IS_UNKNOWN);
}

/* PgBouncer answers a ClientHello with an error of PostgreSQL's. */
static void an_error_asks_for_the_question(void **state)
{
	(void)state;
	start("", "SIMPLE");
	int client = client_says(SLICE("")), server = hello();
	say_bytes(server, SLICE("E\0\0\0\x23SFATAL\0C08P01\0Mbad packet\0\0"));
	close(server);
	server = asked();
	reset(client);
	testbed_wait_conns(&tb, 0);
	close(server);
	testbed_stop(&tb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_client_says),
		cmocka_unit_test(yes),
		cmocka_unit_test(bytes_behind_the_yes),
		cmocka_unit_test(other_answers),
		cmocka_unit_test(the_question_is_not_understood),
		cmocka_unit_test(silent_clients),
		cmocka_unit_test(declared_and_no_budget),
		cmocka_unit_test(late_client),
		cmocka_unit_test(greetings),
		cmocka_unit_test(an_error_asks_for_the_question),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
