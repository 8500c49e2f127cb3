/* Outbound connections to hosts of ServiceEntries: those that wait for a name, those on ports that nobody
 * declares; and names that are resolved while they are used. The host's address is where the worker listens. */
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
#include "proxy/names.h"
#include "proxy/testbed.h"

static struct testbed tb;

/* PROTOCOL: a member of the port with a comma before it, or "". */
static void start(const char *protocol, const char *istio)
{
	testbed_start(&tb, &(struct testbed_setup){.outbound = true, .istio = istio});
	testbed_apply(&tb, KIND_SERVICE_ENTRY,
		      "{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\"},\"spec\":{\"hosts\":["
		      "\"db.example.com\"],"
		      "\"addresses\":[\"127.0.0.1\"],\"resolution\":\"DNS\",\"ports\":[{\"name\":"
		      "\"a\",\"number\":%u,"
		      "\"targetPort\":%u%s}]}}",
		      tb.through.port, tb.setup.fixed_to.port, protocol);
}

static void resolved(const char *a, const char *b)
{
	struct ip ips[2];
	size_t n = 0;
	if (a)
		assert_true(ip_parse(slice_of(a), &ips[n++]));
	if (b)
		assert_true(ip_parse(slice_of(b), &ips[n++]));
	view_builder_set_addresses(tb.builder, "db.example.com", ips, n);
	testbed_serve(&tb);
}

static void waits(const char *protocol)
{
	start(protocol, NULL);
	struct peers early = {.client = testbed_connect(&tb)},
		     silent = {.client = testbed_connect(&tb)};
	say(early.client, "hello");
	testbed_wait_conns(&tb, 2);
	testbed_serve(&tb); /* a view that does not know either */
	testbed_wait_conns(&tb, 2);
	assert_false(readable_within(tb.server_fd, 20));
	resolved("127.0.0.1", NULL);
	int one = testbed_accept(&tb), other = testbed_accept(&tb);
	early.server = readable_within(one, 200) ? one : other;
	silent.server = early.server == one ? other : one;
	expect(early.server, "hello");
	say(silent.server, "greeting");
	expect(silent.client, "greeting");
	peers_close(&early);
	peers_close(&silent);
	testbed_stop(&tb);
}

static void declared_waits(void **state)
{
	(void)state;
	waits(",\"protocol\":\"TCP\"");
}

/* What the client said while it waited is heard by the race. */
static void undeclared_waits(void **state)
{
	(void)state;
	waits("");
}

static void patience_ends(void **state)
{
	(void)state;
	start("", "connectTimeout: 0.1s\n");
	int client = testbed_connect(&tb);
	expect_reset(client);
	close(client);
	testbed_stop(&tb);
}

static void client_leaves(void **state)
{
	(void)state;
	start("", NULL);
	int client = testbed_connect(&tb);
	testbed_wait_conns(&tb, 1);
	reset(client);
	testbed_wait_conns(&tb, 0);
	testbed_stop(&tb);
}

static void no_address(void **state)
{
	(void)state;
	start("", NULL);
	int client = testbed_connect(&tb);
	testbed_wait_conns(&tb, 1);
	resolved(NULL, NULL);
	expect_reset(client);
	close(client);
	testbed_stop(&tb);
}

/* A dead address is passed over before any byte has gone. */
static void dead_address(void **state)
{
	(void)state;
	start(",\"protocol\":\"TCP\"", NULL);
	resolved("127.0.0.2", "127.0.0.1");
	for (int i = 0; i < 4; i++) {
		struct peers p = testbed_peers(&tb);
		say(p.client, "hello");
		expect(p.server, "hello");
		peers_close(&p);
	}
	testbed_stop(&tb);
}

/* A connection keeps what it began with. */
static void changed_address(void **state)
{
	(void)state;
	start(",\"protocol\":\"TCP\"", NULL);
	resolved("127.0.0.1", NULL);
	struct peers old = testbed_peers(&tb);
	struct addr at = {.ip = ip_v4(0x7f000002), .port = tb.setup.fixed_to.port};
	struct err err = {0};
	int other = net_listen(&at, false, &err);
	assert_true(other >= 0);
	resolved("127.0.0.2", NULL);
	int client = testbed_connect(&tb);
	assert_true(readable_within(other, 10000));
	int server = accept(other, NULL, NULL);
	say(client, "new");
	expect(server, "new");
	say(old.client, "old");
	expect(old.server, "old");
	close(client);
	close(server);
	close(other);
	peers_close(&old);
	testbed_stop(&tb);
}

/* An address that was given hides the host's own, where another port is meant. */
static void other_port(void **state)
{
	(void)state;
	testbed_start(&tb, &(struct testbed_setup){.outbound = true});
	testbed_apply(&tb, KIND_SERVICE_ENTRY,
		      "{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\"},\"spec\":{\"hosts\":["
		      "\"db.example.com\"],"
		      "\"resolution\":\"DNS\",\"ports\":[{\"name\":\"a\",\"number\":1}]},"
		      "\"status\":{\"addresses\":[{"
		      "\"host\":\"db.example.com\",\"value\":\"127.0.0.1\"}]}}");
	struct addr at = {.ip = ip_v4(0x7f000002), .port = tb.through.port};
	struct err err = {0};
	int other = net_listen(&at, false, &err);
	assert_true(other >= 0);
	int client = testbed_connect(&tb);
	testbed_wait_conns(&tb, 1);
	resolved("127.0.0.2", NULL);
	assert_true(readable_within(other, 10000));
	int server = accept(other, NULL, NULL);
	say(client, "hello");
	expect(server, "hello");
	close(client);
	close(server);
	close(other);
	testbed_stop(&tb);
}

/* Names */

struct heard {
	unsigned told, forgotten;
	char name[64];
	size_t n;
	struct ip first;
};

static void on_addresses(void *ctx, const char *name, const struct ip *ips, size_t n)
{
	struct heard *h = ctx;
	h->told++;
	(void)snprintf(h->name, sizeof(h->name), "%s", name);
	h->n = n;
	if (n)
		h->first = ips[0];
}

static void on_forget(void *ctx, const char *name)
{
	struct heard *h = ctx;
	(void)name; /* there is one */
	h->forgotten++;
}

static struct view *view_with(struct live *live, const char *host)
{
	struct view_builder *b = view_builder_new("shop", "web");
	struct err err = {0};
	char json[512];
	(void)snprintf(json, sizeof(json),
		       "{\"metadata\":{\"name\":\"a\",\"namespace\":\"shop\"},\"spec\":{\"hosts\":["
		       "\"%s\"],\"resolution\":"
		       "\"DNS\",\"ports\":[{\"name\":\"a\",\"number\":1}]}}",
		       host);
	assert_true(view_builder_set_json(b, KIND_SERVICE_ENTRY, slice_of(json), &err));
	struct view *v = view_build(b, live);
	view_builder_free(b);
	return v;
}

/* RFC 6761 6.3: every resolver knows this one. */
static void a_name(void **state)
{
	static const struct names_events events = {on_addresses, on_forget};
	struct err err = {0};
	struct heard h = {0};
	(void)state;
	struct loop *loop = loop_new(&err);
	struct live *live = live_new();
	struct names *names = names_new(loop, &events, &h);
	struct view *v = view_with(live, "localhost");
	const struct view_service *s = view_entry_by_host(v, SLICE("localhost"));
	names_set_view(names, v);
	names_ask(names, v, s, false, clock_ns());
	names_ask(names, v, s, false, clock_ns()); /* once is enough */
	uint64_t until = clock_ns() + 30 * NS_PER_S;
	while (!h.told && clock_ns() < until)
		assert_true(loop_turn(loop, 100, &err));
	assert_int_equal(h.told, 1);
	assert_string_equal(h.name, "localhost");
	assert_true(h.n >= 1 && ip_is_loopback(&h.first));
	assert_true(s->entry->live->asked_ns > 0);
	view_put(v);
	names_free(names);
	live_free(live);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(declared_waits),  cmocka_unit_test(undeclared_waits),
		cmocka_unit_test(patience_ends),   cmocka_unit_test(client_leaves),
		cmocka_unit_test(no_address),      cmocka_unit_test(dead_address),
		cmocka_unit_test(changed_address), cmocka_unit_test(other_port),
		cmocka_unit_test(a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
