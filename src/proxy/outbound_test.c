/* Outbound connections by a view of Services: endpoints, retries, learning, changes. The Service's
 * virtual IP is where the worker listens, so that no packet filter is needed. */
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
#include "net/sock.h"
#include "proxy/testbed.h"

static struct testbed tb;
static const char *port_name;
static uint16_t
	app_port; /* of all endpoints; nobody listens on 127.0.0.2 to .4 unless a test does */

static int start_service(const char *name, struct testbed_setup with)
{
	port_name = name;
	with.outbound = true;
	testbed_start(&tb, &with);
	app_port = tb.setup.fixed_to.port;
	testbed_apply(
		&tb, KIND_SERVICE,
		"{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\",\"resourceVersion\":\"2\"},"
		"\"spec\":{\"clusterIP\":\"127.0.0.1\",\"clusterIPs\":[\"127.0.0.1\"],"
		"\"selector\":{\"app\":\"db\"},"
		"\"ports\":[{\"name\":\"%s\",\"port\":%u,\"targetPort\":%u}]}}",
		port_name, tb.through.port, app_port);
	return 0;
}

static int declared(void **state)
{
	(void)state;
	return start_service("tcp-db", (struct testbed_setup){0});
}

static int declared_round_robin(void **state)
{
	(void)state;
	return start_service("tcp-db",
			     (struct testbed_setup){.mesh = "loadBalancer: round-robin\n"});
}

static int undeclared(void **state)
{
	(void)state;
	return start_service("db", (struct testbed_setup){0});
}

static int declared_http(void **state)
{
	(void)state;
	return start_service("http-db", (struct testbed_setup){0});
}

static int declared_hasty(void **state)
{
	(void)state;
	return start_service("tcp-db", (struct testbed_setup){.istio = "connectTimeout: 0.1s\n"});
}

static int undeclared_hasty(void **state)
{
	(void)state;
	return start_service("db", (struct testbed_setup){.istio = "connectTimeout: 0.1s\n"});
}

static int stop(void **state)
{
	(void)state;
	testbed_stop(&tb);
	return 0;
}

static void set_endpoints(const char *a, const char *b)
{
	static unsigned version = 10;
	char second[128] = "";
	if (b)
		(void)snprintf(second, sizeof(second),
			       ",{\"addresses\":[\"%s\"],\"conditions\":{\"ready\":true}}", b);
	testbed_apply(
		&tb, KIND_ENDPOINT_SLICE,
		"{\"metadata\":{\"name\":\"db-1\",\"namespace\":\"shop\",\"resourceVersion\":\"%"
		"u\","
		"\"labels\":{\"kubernetes.io/service-name\":\"db\"}},\"addressType\":\"IPv4\","
		"\"endpoints\":[{\"addresses\":[\"%s\"],\"conditions\":{\"ready\":true}}%s],"
		"\"ports\":[{\"name\":\"%s\",\"port\":%u,\"protocol\":\"TCP\"}]}",
		++version, a, second, port_name, app_port);
}

static int listen_at(const char *ip)
{
	struct err err = {0};
	struct addr on = {.port = app_port};
	assert_true(ip_parse(slice_of(ip), &on.ip));
	int fd = net_listen(&on, false, &err);
	assert_true(fd >= 0);
	return fd;
}

static int accept_at(int listener)
{
	assert_true(readable_within(listener, 10000));
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void another_endpoint_is_tried(void **state)
{
	(void)state;
	set_endpoints("127.0.0.2", "127.0.0.1"); /* the first one refuses */
	for (int i = 0; i < 4; i++) {
		struct peers p = testbed_peers(&tb);
		say(p.client, "hello");
		expect(p.server, "hello");
		peers_close(&p);
	}
}

/* A listener that answers nobody: its backlog is full, so the kernel drops every further SYN. */
static void another_is_tried_when_one_does_not_answer(void **state)
{
	(void)state;
	enum { FULL = 3 };
	struct sockaddr_storage sa;
	struct addr on = {.ip = ip_v4(0x7f000002), .port = app_port};
	socklen_t len = addr_to_sockaddr(&on, &sa);
	int deaf = listen_at("127.0.0.2"), in_backlog[FULL];
	assert_int_equal(listen(deaf, 0), 0);
	for (size_t i = 0; i < FULL; i++) {
		in_backlog[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(in_backlog[i], (struct sockaddr *)&sa, len); /* made, or hanging */
	}
	set_endpoints("127.0.0.2", "127.0.0.1");
	for (int i = 0; i < 2; i++) { /* they take turns: one of the two meets the deaf one first */
		struct peers p = testbed_peers(&tb);
		say(p.client, "hello");
		expect(p.server, "hello");
		peers_close(&p);
	}
	set_endpoints("127.0.0.2", NULL);
	int client = testbed_connect(&tb);
	expect_reset(client); /* in time */
	(void)close(client);
	for (size_t i = 0; i < FULL; i++)
		(void)close(in_backlog[i]);
	(void)close(deaf);
}

static void nobody_answers(void **state)
{
	(void)state;
	set_endpoints("127.0.0.2", "127.0.0.3");
	for (int i = 0; i < 3; i++) { /* the second time all of them are being avoided */
		int client = testbed_connect(&tb);
		expect_reset(client);
		(void)close(client);
	}
}

static void nobody_is_there(void **state)
{
	(void)state;
	int client = testbed_connect(&tb); /* the Service has no endpoints */
	expect_reset(client);
	(void)close(client);
}

static void round_robin_takes_turns(void **state)
{
	(void)state;
	int two = listen_at("127.0.0.2");
	set_endpoints("127.0.0.1", "127.0.0.2");
	for (int i = 0; i < 3; i++) {
		struct peers p = {testbed_connect(&tb), testbed_accept(&tb)};
		struct peers q = {testbed_connect(&tb), accept_at(two)};
		peers_close(&p);
		peers_close(&q);
	}
	(void)close(two);
}

static void least_connections_spreads(void **state)
{
	(void)state;
	int two = listen_at("127.0.0.2");
	set_endpoints("127.0.0.1", "127.0.0.2");
	struct peers p[6];
	for (size_t i = 0; i < N_ELEMS(p); i++)
		p[i].client = testbed_connect(&tb);
	for (size_t i = 0; i < N_ELEMS(p); i++)
		p[i].server = i % 2 ? accept_at(two) : testbed_accept(&tb);
	assert_false(readable_within(two, 0) || readable_within(tb.server_fd, 0));
	for (size_t i = 0; i < N_ELEMS(p); i++) {
		(void)shutdown(p[i].client, SHUT_WR);
		(void)shutdown(p[i].server, SHUT_WR);
	}
	for (size_t i = 0; i < N_ELEMS(p); i++)
		peers_close(&p[i]);
	(void)close(two);
}

static void a_change_leaves_the_living_alone(void **state)
{
	(void)state;
	set_endpoints("127.0.0.1", NULL);
	struct peers old = testbed_peers(&tb);
	int two = listen_at("127.0.0.2");
	set_endpoints("127.0.0.2", NULL);
	struct peers fresh = {testbed_connect(&tb), accept_at(two)};
	say(old.client, "old");
	expect(old.server, "old");
	say(fresh.client, "new");
	expect(fresh.server, "new");
	peers_close(&old);
	peers_close(&fresh);
	(void)close(two);
}

static void remember(void *ctx, enum live_side side, const char *service, uint16_t port,
		     const struct live_port *p)
{
	(void)service; /* there is one */
	(void)port;    /* as above */
	if (side == LIVE_OUTBOUND)
		*(const struct live_port **)ctx = p;
}

static const struct live_port *learned(void)
{
	const struct live_port *p = NULL;
	live_ports(tb.live, remember, &p);
	assert_non_null(p);
	return p;
}

static void a_greeting_is_learnt_when_it_is_answered(void **state)
{
	(void)state;
	set_endpoints("127.0.0.1", NULL);
	struct peers p = testbed_peers(&tb);
	say(p.server, "220 mail.example ESMTP\r\n");
	expect(p.client, "220 mail.example ESMTP\r\n");
	assert_int_equal(learned()->server_first, 0);
	say(p.client, "EHLO me\r\n");
	expect(p.server, "EHLO me\r\n");
	assert_int_equal(learned()->server_first, 1);
	assert_int_equal(learned()->greeting, GREET_IS_SMTP);
	peers_close(&p);
}

static void a_refusal_in_words_teaches_nothing(void **state)
{
	(void)state;
	set_endpoints("127.0.0.1", NULL);
	struct peers p = testbed_peers(&tb);
	say(p.server, "Too many connections\r\n");
	end(p.server);
	expect(p.client, "Too many connections\r\n");
	expect_end(p.client);
	peers_close(&p);
	testbed_wait_conns(&tb, 0);
	assert_int_equal(learned()->server_first, 0);
}

static void one_contradiction_opens_the_port(void **state)
{
	(void)state;
	set_endpoints("127.0.0.1", NULL);
	struct peers p = {testbed_connect(&tb), -1};
	say(p.client, "\1binary");
	p.server = testbed_accept(&tb);
	expect(p.server, "\1binary");
	peers_close(&p);
	assert_int_equal(learned()->client_opaque, 1);
	p = testbed_peers(&tb);
	say(p.server, "hello, I speak first\r\n");
	expect(p.client, "hello, I speak first\r\n");
	say(p.client, "ok");
	expect(p.server, "ok");
	assert_int_equal(learned()->server_first, 1);
	assert_int_equal(learned()->early, 0);
	peers_close(&p);
}

/* Nobody listens to both ends of a port that is declared HTTP, and yet it is heard what its server does. */
static void contradiction_is_heard(void **state)
{
	(void)state;
	set_endpoints("127.0.0.1", NULL);
	struct peers p = testbed_peers(&tb);
	say(p.server, "220 ready\r\n");
	expect(p.client, "220 ready\r\n");
	say(p.client, "QUIT\r\n");
	expect(p.server, "QUIT\r\n");
	peers_close(&p);
	testbed_wait_conns(&tb, 0);
	struct live_port *port = live_port_get(tb.live, LIVE_OUTBOUND, "shop/db", tb.through.port);
	assert_int_equal(atomic_load(&port->server_first), 1);
	live_port_put(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(contradiction_is_heard, declared_http, stop),
		cmocka_unit_test_setup_teardown(another_endpoint_is_tried, declared, stop),
		cmocka_unit_test_setup_teardown(another_is_tried_when_one_does_not_answer,
						declared_hasty, stop),
		cmocka_unit_test_setup_teardown(another_is_tried_when_one_does_not_answer,
						undeclared_hasty, stop),
		cmocka_unit_test_setup_teardown(nobody_answers, declared, stop),
		cmocka_unit_test_setup_teardown(nobody_is_there, declared, stop),
		cmocka_unit_test_setup_teardown(round_robin_takes_turns, declared_round_robin,
						stop),
		cmocka_unit_test_setup_teardown(least_connections_spreads, declared, stop),
		cmocka_unit_test_setup_teardown(a_change_leaves_the_living_alone, declared, stop),
		cmocka_unit_test_setup_teardown(another_endpoint_is_tried, undeclared, stop),
		cmocka_unit_test_setup_teardown(nobody_answers, undeclared, stop),
		cmocka_unit_test_setup_teardown(nobody_is_there, undeclared, stop),
		cmocka_unit_test_setup_teardown(a_greeting_is_learnt_when_it_is_answered,
						undeclared, stop),
		cmocka_unit_test_setup_teardown(a_refusal_in_words_teaches_nothing, undeclared,
						stop),
		cmocka_unit_test_setup_teardown(one_contradiction_opens_the_port, undeclared, stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
