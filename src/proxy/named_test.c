/* Outbound connections that no address tells: on real sockets, by the Host of a request and by what DNS said.
 * What is dialled is where the worker listens, so the hosts have endpoints of their own. */
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
#include "detect/postgres.h"
#include "dns/heard.h"
#include "net/sock.h"
#include "proxy/testbed.h"

#define REGISTRY_ONLY "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n"
#define REQUEST(host) "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n"

static struct testbed tb;
static struct dns_heard *heard;

/* HOST's endpoint is IP, where the servers' port is. */
static void entry(const char *name, const char *host, const char *spec)
{
	testbed_apply(&tb, KIND_SERVICE_ENTRY,
		      "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"shop\"},\"spec\":{\"hosts\":["
		      "\"%s\"],%s,\"ports\":[{\"name\":\"a\",\"number\":%u,\"targetPort\":%u}]}}",
		      name, host, spec, tb.through.port, tb.setup.fixed_to.port);
}

static int start(void **state)
{
	(void)state;
	testbed_start(&tb, &(struct testbed_setup){.outbound = true, .istio = REGISTRY_ONLY});
	heard = dns_heard_new();
	tb.setup.heard = heard;
	entry("one", "*.one.example",
	      "\"resolution\":\"STATIC\",\"endpoints\":[{\"address\":\"127.0.0.1\"}]");
	entry("two", "*.two.example",
	      "\"resolution\":\"STATIC\",\"endpoints\":[{\"address\":\"127.0.0.2\"}]");
	return 0;
}

static int stop(void **state)
{
	(void)state;
	testbed_stop(&tb);
	dns_heard_free(heard);
	return 0;
}

/* DNS said that what clients dial here is NAME. */
static void dns_said(const char *name)
{
	dns_heard_put(heard, slice_of(name), &tb.through.ip, 60, clock_ns());
}

static int listen_at_two(void)
{
	struct addr at = {.ip = ip_v4(0x7f000002), .port = tb.setup.fixed_to.port};
	struct err err = {0};
	int fd = net_listen(&at, false, &err);
	assert_true(fd >= 0);
	return fd;
}

static void the_host_of_a_request(void **state)
{
	(void)state;
	static const char head[] = REQUEST("a.one.example");
	struct peers p = {.client = testbed_connect(&tb)};
	for (size_t i = 0; i + 1 < sizeof(head) - 1; i++) { /* byte by byte; not the last one */
		char byte[2] = {head[i], '\0'};
		say(p.client, byte);
	}
	testbed_wait_conns(&tb, 1);
	assert_false(readable_within(tb.server_fd, 20));
	say(p.client, "\n");
	p.server = testbed_accept(&tb);
	expect(p.server, head);
	say(p.server, "answer");
	expect(p.client, "answer");
	peers_close(&p);
}

static void words_that_are_refused(void **state)
{
	(void)state;
	static const char *const words[] = {
		REQUEST("evil.example"),
		"bytes",
		"GET / HTTP/1.1\r\nHost: a.one.example\r\nHost: a.one.example\r\n\r\n",
		"GET http://evil.example/ HTTP/1.1\r\nHost: a.one.example\r\n\r\n",
		"GET / HTTP/1.1\nHost: a.one.example\n\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	};
	for (size_t i = 0; i < N_ELEMS(words); i++) {
		int client = testbed_connect(&tb);
		say(client, words[i]);
		expect_reset(client);
		close(client);
	}
	assert_false(readable_within(tb.server_fd, 20));
	int client = testbed_connect(&tb);
	end(client); /* who says nothing at all is let go */
	expect_end(client);
	close(client);
}

static void a_greeting_by_what_dns_said(void **state)
{
	(void)state;
	dns_said("db.one.example");
	struct peers p = testbed_peers(&tb); /* while the client is silent */
	say(p.server, "greeting");
	expect(p.client, "greeting");
	say(p.client, "hello");
	expect(p.server, "hello");
	peers_close(&p);
}

static void the_word_leads_elsewhere(void **state)
{
	(void)state;
	int two = listen_at_two();
	dns_said("db.one.example");
	struct peers p = testbed_peers(&tb);
	say(p.client, REQUEST("a.two.example"));
	expect_end(p.server); /* it heard nothing */
	assert_true(readable_within(two, 10000));
	int server = accept(two, NULL, NULL);
	expect(server, REQUEST("a.two.example"));
	say(server, "answer");
	expect(p.client, "answer");
	close(server);
	close(two);
	peers_close(&p);
}

static void the_word_leads_nowhere(void **state)
{
	(void)state;
	dns_said("db.one.example");
	struct peers p = testbed_peers(&tb);
	say(p.client, REQUEST("evil.example"));
	expect_reset(p.client);
	expect_end(p.server); /* it heard nothing */
	peers_close(&p);
}

/* The word is heard once more when the name is resolved. */
static void a_name_to_be_resolved(void **state)
{
	(void)state;
	struct ip ip = ip_v4(0x7f000001);
	entry("www", "www.three.example", "\"resolution\":\"DNS\"");
	struct peers p = {.client = testbed_connect(&tb)};
	say(p.client, REQUEST("www.three.example"));
	testbed_wait_conns(&tb, 1);
	testbed_serve(&tb); /* a view that does not know either */
	assert_false(readable_within(tb.server_fd, 20));
	view_builder_set_addresses(tb.builder, "www.three.example", &ip, 1);
	testbed_serve(&tb);
	p.server = testbed_accept(&tb);
	expect(p.server, REQUEST("www.three.example"));
	peers_close(&p);
}

static void pod(bool there)
{
	testbed_apply(
		&tb, KIND_POD,
		"{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\",\"uid\":\"u\"},\"spec\":{"
		"\"containers\":[{\"name\":\"a\"}]},"
		"\"status\":{\"phase\":\"%s\",\"podIP\":\"127.0.0.1\",\"podIPs\":["
		"{\"ip\":\"127.0.0.1\"}]}}",
		there ? "Running" : "Succeeded");
}

/* Who was dialled early is forgotten with the view that knew it. */
static void what_waits_keeps_nothing_of_its_first_view(void **state)
{
	(void)state;
	entry("www", "www.three.example", "\"resolution\":\"DNS\"");
	pod(true);
	dns_said("db.one.example");
	struct peers p = testbed_peers(&tb);
	say(p.client, REQUEST("www.three.example"));
	expect_end(p.server);
	pod(false);
	pod(false); /* the last view but one is gone */
	reset(p.client);
	testbed_wait_conns(&tb, 0);
	close(p.server);
}

/* TLS that was begun for whom DNS named goes on when the client has spoken, and may begin the other way. */
static void a_rule_for_a_star(void **state)
{
	(void)state;
	static const char startup[] = "\0\0\0\x11\0\3\0\0user\0me\0\0";
	char bytes[PG_REQUEST_LEN];
	testbed_apply(&tb, KIND_DESTINATION_RULE,
		      "{\"metadata\":{\"name\":\"r\",\"namespace\":\"shop\"},\"spec\":{\"host\":"
		      "\"*.one.example\",\"trafficPolicy\":{\"tls\":{\"mode\":\"SIMPLE\","
		      "\"insecureSkipVerify\":true}}}}");
	dns_said("db.one.example");
	struct peers p = testbed_peers(&tb);
	assert_true(readable_within(p.server, 10000)); /* a ClientHello */
	assert_int_equal(send(p.client, startup, sizeof(startup) - 1, MSG_NOSIGNAL), 17);
	assert_false(readable_within(tb.server_fd, 20));
	reset(p.server);
	p.server = testbed_accept(&tb);
	assert_int_equal(recv(p.server, bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
	assert_memory_equal(bytes, PG_SSL_REQUEST, sizeof(bytes));
	reset(p.client);
	testbed_wait_conns(&tb, 0);
	close(p.server);
}

#define AROUND(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		AROUND(the_host_of_a_request),
		AROUND(words_that_are_refused),
		AROUND(a_greeting_by_what_dns_said),
		AROUND(the_word_leads_elsewhere),
		AROUND(the_word_leads_nowhere),
		AROUND(a_name_to_be_resolved),
		AROUND(what_waits_keeps_nothing_of_its_first_view),
		AROUND(a_rule_for_a_star),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
