/* Sockets that a Sidecar has a sidecar open: they lead to a host, come and go with the view, and wait for
 * a port that somebody else has. Real workers, real sockets. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/sock.h"
#include "proxy/testbed.h"

static struct testbed tb;
static struct addr at; /* of the socket that the Sidecar wants */

/* A port that nobody has. */
static void choose_port(void)
{
	struct addr any = {.ip = ip_v4(0x7f000001)};
	struct err err = {0};
	int fd = net_listen(&any, false, &err);
	assert_true(fd >= 0);
	assert_true(net_local_addr(fd, &at));
	(void)close(fd); /* its port is free again */
}

static void entry_of(const char *name, const char *host, const char *spec)
{
	testbed_apply(&tb, KIND_SERVICE_ENTRY,
		      "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\"},\"spec\":{"
		      "\"hosts\":[\"%s\"],%s,\"ports\":[{\"name\":\"a\","
		      "\"number\":%u,\"targetPort\":%u}]}}",
		      name, host, spec, at.port, tb.setup.fixed_to.port);
}

static void entry(const char *name, const char *host)
{
	entry_of(name, host,
		 "\"resolution\":\"STATIC\",\"endpoints\":[{\"address\":\"127.0.0.1\"}]");
}

static void sidecar(const char *hosts)
{
	testbed_apply(&tb, KIND_SIDECAR,
		      "{\"metadata\":{\"name\":\"s\",\"namespace\":\"default\"},\"spec\":{"
		      "\"egress\":[{\"port\":{\"number\":%u},\"captureMode\":\"NONE\",\"hosts\":["
		      "\"%s\"]}]}}",
		      at.port, hosts);
}

static void start(unsigned workers)
{
	testbed_start(&tb, &(struct testbed_setup){.outbound = true, .workers = workers});
	choose_port();
	entry("db", "db.example.com");
}

/* To the Sidecar's socket; -1: refused. */
static int dial(void)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&at, &sa);
	struct timeval limit = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	if (connect(fd, (struct sockaddr *)&sa, len) == 0)
		return fd;
	assert_int_equal(errno, ECONNREFUSED);
	(void)close(fd); /* never connected */
	return -1;
}

/* The server speaks first, and nothing is declared. */
static struct peers talk(void)
{
	struct peers p = {.client = dial()};
	assert_true(p.client >= 0);
	p.server = testbed_accept(&tb);
	say(p.server, "greeting");
	expect(p.client, "greeting");
	say(p.client, "answer");
	expect(p.server, "answer");
	return p;
}

static void leads_to_the_host(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 3; workers += 2) {
		start(workers);
		assert_int_equal(dial(), -1);
		sidecar("./*");
		for (int i = 0; i < 8; i++) {
			struct peers p = talk();
			peers_close(&p);
		}
		testbed_stop(&tb);
	}
}

/* What was accepted lives on; nobody else comes. */
static void goes_with_the_sidecar(void **state)
{
	(void)state;
	start(1);
	sidecar("./db.example.com");
	struct peers p = talk();
	sidecar("./other.example.com"); /* which nobody has */
	assert_int_equal(dial(), -1);
	say(p.server, "still");
	expect(p.client, "still");
	sidecar("*/db.example.com");
	struct peers again = talk();
	peers_close(&again);
	view_builder_remove(tb.builder, KIND_SIDECAR, "default", "s");
	testbed_serve(&tb);
	assert_int_equal(dial(), -1);
	peers_close(&p);
	testbed_stop(&tb);
}

/* A port that another program has is waited for, and that program is not disturbed. */
static void taken(void **state)
{
	struct err err = {0};
	(void)state;
	start(2);
	int other = net_listen(&at, false, &err);
	assert_true(other >= 0);
	sidecar("./*");
	int client = dial();
	assert_true(client >= 0 && readable_within(other, 10000));
	(void)close(client); /* it is the other program's */
	(void)close(other);  /* and that ends */
	uint64_t until = clock_ns() + 10 * NS_PER_S;
	while ((client = dial()) < 0 && clock_ns() < until)
		(void)poll(NULL, 0, 10); /* being let in is the condition that is waited for */
	assert_true(client >= 0);
	struct peers p = {client, testbed_accept(&tb)};
	say(p.server, "greeting");
	expect(p.client, "greeting");
	peers_close(&p);
	testbed_stop(&tb);
}

/* Of several hosts it is the oldest's. */
static void several(void **state)
{
	(void)state;
	start(1);
	entry("more", "more.example.com");
	sidecar("*/*");
	size_t n = 0;
	struct view *v = view_build(tb.builder, NULL);
	const struct view_listener *l = view_listeners(v, &n);
	assert_int_equal(n, 1);
	assert_int_equal(l->n_hosts, 2);
	assert_string_equal(l->port->service->host, "db.example.com");
	view_put(v);
	struct peers p = talk();
	peers_close(&p);
	testbed_stop(&tb);
}

/* Who waits for a name is led there when it is known, and nowhere when the socket's row has gone. */
static void a_host_to_be_resolved(void **state)
{
	(void)state;
	struct ip ip = ip_v4(0x7f000001);
	for (int gone = 0; gone < 2; gone++) {
		start(1);
		entry_of("www", "www.example.com", "\"resolution\":\"DNS\"");
		sidecar("./www.example.com");
		struct peers p = {.client = dial()};
		testbed_wait_conns(&tb, 1);
		if (gone) {
			struct err err = {0};
			int other = net_listen(&at, true, &err); /* who has the port then */
			assert_true(other >= 0);
			sidecar("./other.example.com");
			expect_reset(p.client);
			assert_false(readable_within(other, 0));
			(void)close(other);    /* nobody came */
			(void)close(p.client); /* it has heard the reset */
		} else {
			view_builder_set_addresses(tb.builder, "www.example.com", &ip, 1);
			testbed_serve(&tb);
			p.server = testbed_accept(&tb);
			say(p.server, "greeting");
			expect(p.client, "greeting");
			peers_close(&p);
		}
		testbed_wait_conns(&tb, 0);
		testbed_stop(&tb);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leads_to_the_host),
		cmocka_unit_test(goes_with_the_sidecar),
		cmocka_unit_test(taken),
		cmocka_unit_test(several),
		cmocka_unit_test(a_host_to_be_resolved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
