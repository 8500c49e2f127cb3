/* The DNS proxy with real sockets: what it answers, relays, keeps and refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/dns_testbed.h"

enum { MANY = FORWARD_ASKING_MAX + 50 };

static void servfail_before_the_first_view(void **state)
{
	(void)state;
	struct world w;
	struct test_message m;
	start(&w, false);
	assert_false(dns_proxy_ready(w.proxy));
	test_query(&m, 7, DNS_FLAG_RD, "db.shop", DNS_A);
	say(w.app, &m);
	hear(w.app, &m);
	assert_int_equal(flags_of(&m) & DNS_FLAGS_RCODE, DNS_SERVFAIL);
	finish(&w);
}

static const struct {
	const char *rule, *name;
	unsigned type;
	uint32_t address; /* 0: empty, without an error */
} mesh_names[] = {
	{"a Service", "db.shop.svc.cluster.local", DNS_A, 0xc6130001},
	{"in whatever case", "dB.sHOp", DNS_A, 0xc6130001},
	{"with the search domain", "db.shop.shop.svc.cluster.local", DNS_A, 0xc6130001},
	{"the same in whatever case", "Db.sHop.shOp.svc.Cluster.LOCAL", DNS_A, 0xc6130001},
	{"of the other family", "dB", DNS_AAAA, 0},
	{"an ExternalName within the mesh", "inner.shop", DNS_A, 0xc6130001},
};

static void answers_for_the_mesh(void **state)
{
	(void)state;
	struct world w;
	struct test_message query, m;
	start(&w, true);
	for (size_t i = 0; i < N_ELEMS(mesh_names); i++) {
		print_message("%s\n", mesh_names[i].rule);
		test_query(&query, 7, DNS_FLAG_RD, mesh_names[i].name, mesh_names[i].type);
		say(w.app, &query);
		hear(w.app, &m);
		assert_int_equal(id_of(&m), 7);
		assert_int_equal(flags_of(&m) & (DNS_FLAG_AA | DNS_FLAGS_RCODE), DNS_FLAG_AA);
		assert_int_equal(address_in(&m), mesh_names[i].address);
		/* the question as it was spelt */
		assert_memory_equal(&m.at[DNS_HEADER_LEN], &query.at[DNS_HEADER_LEN],
				    query.len - DNS_HEADER_LEN);
	}
	finish(&w);
}

/* Only the ID is another one: options and types that nobody here knows go through. */
static void relays_byte_for_byte(void **state)
{
	(void)state;
	struct world w;
	struct test_message query, at_server, reply, got;
	start(&w, true);
	test_query(&query, 7, DNS_FLAG_RD | DNS_FLAG_CD, "wWw.example.com", 65280);
	test_opt(&query, 1232, 0, 0x8000, SLICE("\xff\xf0\0\2ab"));
	say(w.app, &query);
	asked(&w, &at_server);
	assert_int_equal(at_server.len, query.len);
	assert_memory_equal(&at_server.at[2], &query.at[2], query.len - 2);
	test_query(&reply, id_of(&at_server), DNS_FLAG_QR | DNS_FLAG_AD, "wWw.example.com", 65280);
	test_record(&reply, DNS_ANSWER, 65280, 60, SLICE("whatever"));
	test_opt(&reply, 4096, 0, 0x8000, SLICE("\xff\xf1\0\1x"));
	tell_asker(&w, w.udp, &reply);
	hear(w.app, &got);
	assert_int_equal(id_of(&got), 7);
	assert_int_equal(got.len, reply.len);
	assert_memory_equal(&got.at[2], &reply.at[2], reply.len - 2);
	finish(&w);
}

static void an_externalname_that_leads_out_is_for_others(void **state)
{
	(void)state;
	static const char *const names[] = {"outer.shop.svc.cluster.local",
					    "loop.shop.svc.cluster.local"};
	struct world w;
	struct test_message m, reply;
	start(&w, true);
	for (size_t i = 0; i < N_ELEMS(names); i++) {
		test_query(&m, 7, DNS_FLAG_RD, names[i], DNS_A);
		say(w.app, &m);
		asked(&w, &m);
		answer_it(&m, &reply);
		tell_asker(&w, w.udp, &reply);
		hear(w.app, &m);
		assert_int_equal(address_in(&m), 0x0a010203);
	}
	finish(&w);
}

static void spoofed_answers_are_ignored(void **state)
{
	(void)state;
	struct world w;
	struct test_message query, m, good, bad;
	struct addr any = local(0);
	struct err err = {0};
	start(&w, true);
	test_query(&query, 7, DNS_FLAG_RD, "www.example.com", DNS_A);
	say(w.app, &query);
	asked(&w, &m);
	answer_it(&m, &good);
	/* from another port: the kernel drops it */
	int other = net_bind_udp(&any, &err);
	bad = good;
	bad.at[bad.len - 1] = 99;
	tell_asker(&w, other, &bad);
	/* from the right port, but */
	bad.at[1] ^= 1; /* another ID */
	tell_asker(&w, w.udp, &bad);
	test_query(&bad, id_of(&m), DNS_FLAG_QR, "www.example.org", DNS_A);
	tell_asker(&w, w.udp, &bad);
	tell_asker(&w, w.udp, &m); /* its own question */
	bad = good;
	bad.len -= 3; /* broken off */
	tell_asker(&w, w.udp, &bad);
	tell_asker(&w, w.udp, &good);
	hear(w.app, &m);
	assert_int_equal(address_in(&m), 0x0a010203);
	assert_int_equal(counted(&w, COUNT_DNS_IGNORED), 4);
	close(other);
	finish(&w);
}

/* Each question from another port, with another ID. */
static void ports_and_ids_are_drawn(void **state)
{
	(void)state;
	enum { N = 40 };
	struct world w;
	struct test_message m, reply;
	unsigned ids[N], ports[N], same_id = 0, same_port = 0;
	char name[32];
	start(&w, true);
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "n%u.example.com", i);
		test_query(&m, 7, DNS_FLAG_RD, name, DNS_A);
		say(w.app, &m);
		asked(&w, &m);
		ids[i] = id_of(&m);
		ports[i] = addr_of(&w.asker).port;
		for (unsigned k = 0; k < i; k++) {
			same_id += ids[i] == ids[k];
			same_port += ports[i] == ports[k];
		}
		answer_it(&m, &reply);
		tell_asker(&w, w.udp, &reply);
		hear(w.app, &m);
	}
	/* of 780 pairs, 0.01 and 0.03 meet by chance */
	assert_true(same_id < 4 && same_port < 4);
	finish(&w);
}

static void answers_are_kept(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, reply;
	start(&w, true);
	test_query(&m, 7, DNS_FLAG_RD, "www.example.com", DNS_A);
	say(w.app, &m);
	asked(&w, &m);
	answer_it(&m, &reply);
	tell_asker(&w, w.udp, &reply);
	hear(w.app, &m);
	test_query(&m, 8, DNS_FLAG_RD, "WWW.example.com", DNS_A);
	say(w.app, &m); /* the nameserver is not asked: nobody answers there */
	hear(w.app, &m);
	assert_int_equal(id_of(&m), 8);
	assert_memory_equal(&m.at[DNS_HEADER_LEN], "\x03WWW", 4);
	assert_int_equal(counter_get(&w.metrics->workers[0].numbers.of.dns[0][DNS_SOURCE_CACHE][0]),
			 1);
	finish(&w);
}

/* The latest name of 10.1.2.3; "" where nothing was heard. */
static const char *heard(const struct world *w)
{
	static struct dns_heard_name found[DNS_HEARD_NAMES];
	struct ip ip = ip_v4(0x0a010203);
	return dns_heard_find(dns_proxy_heard(w->proxy), &ip, clock_ns(), found) ? found[0].text
										 : "";
}

/* With the answer, so that whoever connects to the address is known: from a nameserver, and from the cache. */
static void names_of_hosts_without_address_are_heard(void **state)
{
	(void)state;
	static const char star[] =
		"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"
		"metadata: {name: a, namespace: shop}\n"
		"spec: {hosts: ['*.example.com'], ports: [{number: 3306, name: a}]}\n";
	struct world w;
	struct test_message m, reply;
	start(&w, true);
	test_query(&m, 7, DNS_FLAG_RD, "www.example.com", DNS_A);
	say(w.app, &m);
	asked(&w, &m);
	answer_it(&m, &reply);
	tell_asker(&w, w.udp, &reply);
	hear(w.app, &m);
	assert_string_equal(heard(&w), ""); /* no entry wants to know */
	struct view *v = test_view("shop", "client", star);
	dns_proxy_set_view(w.proxy, v);
	view_put(v);
	for (unsigned i = 0; !heard(&w)[0] && i < 100000; i++) { /* until it has the view */
		test_query(&m, 8, DNS_FLAG_RD, "WWW.example.com", DNS_A);
		say(w.app, &m);
		hear(w.app, &m);
	}
	assert_string_equal(heard(&w), "www.example.com");
	test_query(&m, 9, DNS_FLAG_RD, "db.example.com", DNS_A);
	say(w.app, &m);
	asked(&w, &m);
	answer_it(&m, &reply);
	tell_asker(&w, w.udp, &reply);
	hear(w.app, &m);
	assert_string_equal(heard(&w), "db.example.com");
	finish(&w);
}

static void a_silent_server_is_asked_again(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, first, reply;
	start(&w, true);
	test_query(&m, 7, DNS_FLAG_RD, "www.example.com", DNS_A);
	say(w.app, &m);
	asked(&w, &first);
	struct sockaddr_storage first_asker = w.asker;
	asked(&w, &m); /* the second try: from elsewhere, with another ID */
	assert_true(addr_of(&first_asker).port != addr_of(&w.asker).port);
	/* the first one is still listened to */
	w.asker = first_asker;
	answer_it(&first, &reply);
	tell_asker(&w, w.udp, &reply);
	hear(w.app, &m);
	assert_int_equal(address_in(&m), 0x0a010203);
	finish(&w);
}

static void no_nameserver_is_servfail(void **state)
{
	(void)state;
	struct world w;
	struct test_message m;
	start(&w, true);
	close(w.udp);
	test_query(&m, 7, DNS_FLAG_RD, "www.example.com", DNS_A);
	say(w.app, &m);
	hear(w.app, &m);
	assert_int_equal(flags_of(&m) & DNS_FLAGS_RCODE, DNS_SERVFAIL);
	assert_int_equal(counted(&w, COUNT_DNS_FAILURES), FORWARD_TRIES);
	test_query(&m, 8, DNS_FLAG_RD, "db", DNS_A); /* the mesh's names go on */
	say(w.app, &m);
	hear(w.app, &m);
	assert_int_equal(address_in(&m), 0xc6130001);
	w.udp = app_socket(&w);
	finish(&w);
}

/* Too many at once: those over the bound are told so at once, and the mesh's names go on. */
static void a_flood_is_bounded(void **state)
{
	(void)state;
	struct world w;
	struct test_message m;
	char name[32];
	unsigned refused = 0;
	start(&w, true);
	for (unsigned i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "n%u.example.com", i);
		test_query(&m, i, DNS_FLAG_RD, name, DNS_A);
		say(w.app, &m);
		if (i % 16 == 15) { /* not faster than it takes them */
			test_query(&m, 0xffff, DNS_FLAG_RD, "db", DNS_A);
			say(w.app, &m);
			do {
				hear(w.app, &m);
				refused += id_of(&m) != 0xffff;
			} while (id_of(&m) != 0xffff);
		}
	}
	assert_true(refused > 0 && refused <= MANY - FORWARD_ASKING_MAX);
	assert_true(counted(&w, COUNT_DNS_REFUSED) > 0);
	finish(&w);
}

static const struct {
	const char *rule;
	struct slice bytes;
	int rcode; /* -1: dropped */
} malformed[] = {
	{"shorter than a header", SLICE("\0\7\1\0\0"), -1},
	{"an answer", SLICE("\0\7\x81\0\0\1\0\0\0\0\0\0\2db\0\0\1\0\1"), -1},
	{"no question", SLICE("\0\7\1\0\0\0\0\0\0\0\0\0"), DNS_FORMERR},
	{"a name that points to itself", SLICE("\0\7\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"),
	 DNS_FORMERR},
	{"a record that is not there", SLICE("\0\7\1\0\0\1\0\0\0\0\0\1\2db\0\0\1\0\1"),
	 DNS_FORMERR},
	{"an update", SLICE("\0\7\x28\0\0\1\0\0\0\0\0\0\2db\0\0\1\0\1"), DNS_NOTIMP},
	{"a zone transfer", SLICE("\0\7\1\0\0\1\0\0\0\0\0\0\2db\0\0\xfc\0\1"), DNS_REFUSED},
};

static void malformed_messages(void **state)
{
	(void)state;
	struct world w;
	struct test_message m;
	start(&w, true);
	for (size_t i = 0; i < N_ELEMS(malformed); i++) {
		print_message("%s\n", malformed[i].rule);
		assert_int_equal(send(w.app, malformed[i].bytes.at, malformed[i].bytes.len, 0),
				 malformed[i].bytes.len);
		if (malformed[i].rcode >= 0) {
			hear(w.app, &m);
			assert_int_equal(id_of(&m), 7);
			assert_int_equal(flags_of(&m) & DNS_FLAGS_RCODE, malformed[i].rcode);
		}
	}
	test_query(&m, 8, DNS_FLAG_RD, "db", DNS_A); /* what was dropped got no answer */
	say(w.app, &m);
	hear(w.app, &m);
	assert_int_equal(id_of(&m), 8);
	assert_int_equal(counted(&w, COUNT_DNS_MALFORMED), 5);
	finish(&w);
}

/* Over TCP. */

/* Many questions on one connection: whoever is known first is answered first. */
static void tcp_goes_over_tcp(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, reply;
	start(&w, true);
	int app = tcp_app(&w);
	test_query(&m, 1, DNS_FLAG_RD, "www.example.com", DNS_A);
	tcp_say(app, &m);
	test_query(&m, 2, DNS_FLAG_RD, "db", DNS_A);
	tcp_say(app, &m);
	tcp_hear(app, &m);
	assert_int_equal(id_of(&m), 2);
	int server = tcp_asked(&w, &m);
	answer_it(&m, &reply);
	for (int i = 0; i < 200; i++) /* more than UDP carries */
		test_record(&reply, DNS_ADDITIONAL, DNS_TXT, 60,
			    SLICE("\x14"
				  "a text of 20 bytes.."));
	tcp_say(server, &reply);
	assert_int_equal(shutdown(app, SHUT_WR), 0); /* it waits for its answer all the same */
	tcp_hear(app, &m);
	assert_int_equal(id_of(&m), 1);
	assert_int_equal(m.len, reply.len);
	readable(app);
	assert_int_equal(recv(app, m.at, 1, 0), 0); /* then it is closed */
	close(server);
	close(app);
	finish(&w);
}

/* More answers than the proxy keeps, all asked for before the first is read. */
static void many_questions_in_one_go(void **state)
{
	(void)state;
	enum { QUESTIONS = 4000 };
	struct world w;
	struct test_message m;
	start(&w, true);
	int app = tcp_app(&w);
	for (unsigned i = 0; i < QUESTIONS; i++) {
		test_query(&m, i, DNS_FLAG_RD, "crowd", DNS_A);
		tcp_say(app, &m);
	}
	assert_int_equal(shutdown(app, SHUT_WR), 0);
	for (unsigned i = 0; i < QUESTIONS; i++) {
		tcp_hear(app, &m);
		assert_int_equal(id_of(&m), i);
	}
	readable(app);
	assert_int_equal(recv(app, m.at, 1, 0), 0);
	close(app);
	finish(&w);
}

static void a_frame_in_pieces_and_the_largest_frame(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, framed = {.len = 0};
	start(&w, true);
	int app = tcp_app(&w);
	test_query(&m, 3, DNS_FLAG_RD, "db", DNS_A);
	test_u16(&framed, (unsigned)m.len);
	test_put(&framed, test_bytes(&m));
	for (size_t i = 0; i < framed.len; i++)
		assert_int_equal(send(app, &framed.at[i], 1, 0), 1);
	tcp_hear(app, &m);
	assert_int_equal(address_in(&m), 0xc6130001);
	/* 64 KiB that are no query, then one that is */
	framed.len = 0;
	test_u16(&framed, 0xffff);
	say(app, &framed);
	char *junk = mem_new(0xffff);
	for (size_t at = 0; at < 0xffff;) {
		ssize_t n = send(app, &junk[at], 0xffff - at, 0);
		assert_true(n > 0);
		at += (size_t)n;
	}
	free(junk);
	tcp_hear(app, &m); /* zeroes: a query of no question */
	assert_int_equal(flags_of(&m) & DNS_FLAGS_RCODE, DNS_FORMERR);
	test_query(&m, 4, DNS_FLAG_RD, "db", DNS_A);
	tcp_say(app, &m);
	tcp_hear(app, &m);
	assert_int_equal(id_of(&m), 4);
	close(app);
	finish(&w);
}

/* A client that goes away takes nothing along. */
static void a_client_that_is_gone(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, reply;
	start(&w, true);
	int app = tcp_app(&w);
	test_query(&m, 1, DNS_FLAG_RD, "www.example.com", DNS_A);
	tcp_say(app, &m);
	int server = tcp_asked(&w, &m);
	struct linger reset = {.l_onoff = 1};
	assert_int_equal(setsockopt(app, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(app);
	answer_it(&m, &reply);
	tcp_say(server, &reply);
	test_query(&m, 8, DNS_FLAG_RD, "db", DNS_A);
	say(w.app, &m);
	hear(w.app, &m);
	assert_int_equal(id_of(&m), 8);
	close(server);
	finish(&w);
}

/* What a server sends in spite of what the client takes. */
static void an_answer_that_is_too_long(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, reply;
	start(&w, true);
	test_query(&m, 7, DNS_FLAG_RD, "www.example.com", DNS_A);
	say(w.app, &m);
	asked(&w, &m);
	answer_it(&m, &reply);
	for (int i = 0; i < 100; i++)
		test_record(&reply, DNS_ADDITIONAL, DNS_TXT, 60,
			    SLICE("\x14"
				  "a text of 20 bytes.."));
	tell_asker(&w, w.udp, &reply);
	hear(w.app, &m);
	assert_true(m.len <= 512);
	assert_int_equal(flags_of(&m) & DNS_FLAG_TC, DNS_FLAG_TC);
	finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servfail_before_the_first_view),
		cmocka_unit_test(answers_for_the_mesh),
		cmocka_unit_test(relays_byte_for_byte),
		cmocka_unit_test(an_externalname_that_leads_out_is_for_others),
		cmocka_unit_test(spoofed_answers_are_ignored),
		cmocka_unit_test(ports_and_ids_are_drawn),
		cmocka_unit_test(answers_are_kept),
		cmocka_unit_test(names_of_hosts_without_address_are_heard),
		cmocka_unit_test(a_silent_server_is_asked_again),
		cmocka_unit_test(no_nameserver_is_servfail),
		cmocka_unit_test(a_flood_is_bounded),
		cmocka_unit_test(malformed_messages),
		cmocka_unit_test(tcp_goes_over_tcp),
		cmocka_unit_test(many_questions_in_one_go),
		cmocka_unit_test(a_frame_in_pieces_and_the_largest_frame),
		cmocka_unit_test(a_client_that_is_gone),
		cmocka_unit_test(an_answer_that_is_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
