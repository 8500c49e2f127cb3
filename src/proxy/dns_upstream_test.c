/* The DNS proxy and its nameservers: cut answers, servers that say no, names that only the mesh knows,
 * resolv.conf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/dns_testbed.h"

/* An answer of 40 addresses to M: 667 bytes, with an OPT 678. */
static void answer_with_many(const struct test_message *m, struct test_message *out)
{
	struct dns_query q;
	assert_int_equal(dns_query_read(test_bytes(m), &q), DNS_QUESTION);
	answer_it(m, out);
	for (unsigned char i = 1; i < 40; i++)
		test_record(out, DNS_ANSWER, DNS_A, 60,
			    (struct slice){(char[]){10, 1, 3, (char)i}, 4});
	if (q.edns)
		test_opt(out, 1232, 0, 0, SLICE(""));
}

static void cut_it(const struct test_message *m, struct test_message *out)
{
	struct dns_query q;
	answer_it(m, out);
	assert_int_equal(dns_query_read(test_bytes(m), &q), DNS_QUESTION);
	if (q.edns)
		test_opt(out, 1232, 0, 0, SLICE(""));
	out->at[2] = (char)(out->at[2] | DNS_FLAG_TC >> 8);
}

static void ask_for(struct test_message *m, unsigned id, const char *name, unsigned udp_size)
{
	test_query(m, id, DNS_FLAG_RD, name, DNS_A);
	if (udp_size)
		test_opt(m, udp_size, 0, 0, SLICE(""));
}

/* What a server cuts is asked for over TCP, and a client whose datagrams it fits into never sees TC. */
static void a_cut_answer_is_made_whole(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, reply, over_udp;
	start(&w, true);
	ask_for(&m, 7, "www.example.com", 4096);
	say(w.app, &m);
	asked(&w, &over_udp);
	cut_it(&over_udp, &reply);
	tell_asker(&w, w.udp, &reply);
	int server = tcp_asked(&w, &m);
	assert_memory_equal(&m.at[2], &over_udp.at[2], m.len - 2); /* the same but for its ID */
	answer_with_many(&m, &reply);
	tcp_say(server, &reply);
	hear(w.app, &m);
	assert_int_equal(id_of(&m), 7);
	assert_int_equal(m.len, reply.len);
	assert_int_equal(flags_of(&m) & DNS_FLAG_TC, 0);
	assert_int_equal(counted(&w, COUNT_DNS_CUT), 1);
	assert_int_equal(counted(&w, COUNT_DNS_FAILURES), 0);
	ask_for(&m, 8, "WWW.example.com", 4096); /* nobody is asked again: it is kept */
	say(w.app, &m);
	hear(w.app, &m);
	assert_int_equal(id_of(&m), 8);
	assert_int_equal(m.len, reply.len);
	assert_memory_equal(&m.at[DNS_HEADER_LEN], "\x03WWW", 4);
	close(server);
	finish(&w);
}

/* Who takes less sees what the server cut itself, and its own question over TCP is answered at once. */
static void a_whole_answer_that_does_not_fit(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, cut, reply;
	start(&w, true);
	ask_for(&m, 7, "www.example.com", 512);
	say(w.app, &m);
	asked(&w, &m);
	cut_it(&m, &cut);
	tell_asker(&w, w.udp, &cut);
	int server = tcp_asked(&w, &m);
	answer_with_many(&m, &reply);
	tcp_say(server, &reply);
	hear(w.app, &m);
	assert_int_equal(m.len, cut.len);
	assert_memory_equal(&m.at[2], &cut.at[2], cut.len - 2);
	int app = tcp_app(&w);
	ask_for(&m, 9, "www.example.com", 512);
	tcp_say(app, &m);
	tcp_hear(app, &m);
	assert_int_equal(id_of(&m), 9);
	assert_int_equal(m.len, reply.len);
	ask_for(&m, 10, "www.example.com", 512); /* by datagram: what is kept does not fit */
	say(w.app, &m);
	hear(w.app, &m);
	assert_int_equal(flags_of(&m) & DNS_FLAG_TC, DNS_FLAG_TC);
	assert_true(m.len <= 512);
	assert_true(is_silent(w.udp));
	close(app);
	close(server);
	finish(&w);
}

/* How the server fails over TCP. */
enum tcp_failure {
	FAIL_CLOSED,
	FAIL_REFUSED,
	FAIL_SILENT,
	FAIL_OTHER,
	FAIL_NO,
	FAIL_HALF,
	FAIL_CUT
};

static const struct {
	const char *rule;
	enum tcp_failure how;
} tcp_failures[] = {
	{"closes", FAIL_CLOSED},           {"answers something else", FAIL_OTHER},
	{"says SERVFAIL", FAIL_NO},        {"breaks off in the middle", FAIL_HALF},
	{"cuts that, too", FAIL_CUT},      {"says nothing", FAIL_SILENT},
	{"does not listen", FAIL_REFUSED},
};

static void fail_over_tcp(struct world *w, enum tcp_failure how)
{
	struct test_message m, reply;
	if (how == FAIL_REFUSED)
		return;
	int fd = tcp_asked(w, &m);
	answer_it(&m, &reply);
	if (how == FAIL_NO)
		reply.at[3] = (char)(reply.at[3] | DNS_SERVFAIL);
	if (how == FAIL_OTHER)
		reply.at[1] ^= 1;
	if (how == FAIL_CUT)
		cut_it(&m, &reply);
	if (how == FAIL_HALF) {
		static const char head[] = "\0\x40half";
		assert_int_equal(send(fd, head, sizeof(head) - 1, 0), sizeof(head) - 1);
	} else if (how != FAIL_CLOSED && how != FAIL_SILENT) {
		tcp_say(fd, &reply);
	}
	if (how == FAIL_SILENT)
		readable(fd); /* until the proxy gives up */
	close(fd);
}

static void over_tcp_it_fails(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, cut;
	char name[32];
	start(&w, true);
	for (unsigned i = 0; i < N_ELEMS(tcp_failures); i++) {
		print_message("%s\n", tcp_failures[i].rule);
		if (tcp_failures[i].how == FAIL_REFUSED) {
			close(w.tcp);
			w.tcp = -1;
		}
		(void)snprintf(name, sizeof(name), "n%u.example.com", i);
		ask_for(&m, 7, name, 4096);
		uint64_t begin = clock_ns();
		say(w.app, &m);
		asked(&w, &m);
		cut_it(&m, &cut);
		tell_asker(&w, w.udp, &cut);
		fail_over_tcp(&w, tcp_failures[i].how);
		hear(w.app, &m);
		assert_int_equal(id_of(&m), 7);
		assert_memory_equal(&m.at[2], &cut.at[2], cut.len - 2);
		assert_true(clock_ns() - begin < 60 * NS_PER_S);
	}
	assert_int_equal(counted(&w, COUNT_DNS_CUT), N_ELEMS(tcp_failures));
	finish(&w);
}

/* How many of the others gave up before the one too many was answered. */
static unsigned one_too_many(struct world *w)
{
	struct test_message m, cut;
	char name[32];
	unsigned gave_up = 0;
	int held[FORWARD_AGAIN_MAX];
	for (unsigned i = 0; i < FORWARD_AGAIN_MAX + 1; i++) {
		(void)snprintf(name, sizeof(name), "n%u.example.com", i);
		ask_for(&m, i, name, 4096);
		say(w->app, &m);
		asked(w, &m);
		cut_it(&m, &cut);
		tell_asker(w, w->udp, &cut);
		if (i < FORWARD_AGAIN_MAX)
			held[i] = tcp_asked(w, &m); /* and never answered */
	}
	for (;; gave_up++) {
		hear(w->app, &m);
		assert_int_equal(flags_of(&m) & DNS_FLAG_TC, DNS_FLAG_TC);
		if (id_of(&m) == FORWARD_AGAIN_MAX)
			break;
	}
	for (unsigned i = 0; i < FORWARD_AGAIN_MAX; i++)
		close(held[i]);
	return gave_up;
}

/* What is cut beyond the bound goes to the client at once, who may ask over TCP itself. */
static void so_many_are_made_whole_at_a_time(void **state)
{
	(void)state;
	for (unsigned attempt = 0; attempt < 5;
	     attempt++) { /* a slow machine may take 1.5 s for it */
		struct world w;
		start(&w, true);
		unsigned gave_up = one_too_many(&w);
		uint64_t n = counted(&w, COUNT_DNS_CUT);
		finish(&w);
		if (gave_up)
			continue;
		assert_int_equal(n, FORWARD_AGAIN_MAX);
		return;
	}
	fail_msg("the bound was never seen");
}

static void say_code(const struct world *w, int fd, const struct test_message *to, unsigned code)
{
	struct test_message reply;
	struct dns_query q;
	assert_int_equal(dns_query_read(test_bytes(to), &q), DNS_QUESTION);
	test_query(&reply, q.id, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA | code, q.name, q.type);
	tell_asker((struct world *)w, fd, &reply);
}

static const struct {
	unsigned code;
	bool final;
} codes[] = {
	{DNS_SERVFAIL, false}, {DNS_NOTIMP, false}, {DNS_REFUSED, false},    {DNS_NXDOMAIN, true},
	{DNS_FORMERR, true},   {DNS_NOERROR, true}, {8 /* NXRRSET */, true},
};

static const char two_servers[] = "nameserver 127.0.0.1\nnameserver 127.0.0.2\n";

/* As stub resolvers do: a server that cannot or will not is passed over. */
static void a_no_of_one_server_is_not_the_last_word(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, reply;
	char name[32];
	start_with(&w, two_servers, true);
	for (unsigned i = 0; i < N_ELEMS(codes); i++) {
		print_message("%u\n", codes[i].code);
		(void)snprintf(name, sizeof(name), "n%u.example.com", i);
		test_query(&m, 7, DNS_FLAG_RD, name, DNS_A);
		say(w.app, &m);
		int first = asked_one(&w, &m), second = first == w.udp ? w.other : w.udp;
		say_code(&w, first, &m, codes[i].code);
		if (!codes[i].final) {
			asked_at(&w, second, &m);
			answer_it(&m, &reply);
			tell_asker(&w, second, &reply);
		}
		hear(w.app, &m);
		assert_int_equal(id_of(&m), 7);
		assert_int_equal(flags_of(&m) & DNS_FLAGS_RCODE,
				 codes[i].final ? codes[i].code : DNS_NOERROR);
		assert_int_equal(address_in(&m), codes[i].final ? 0 : 0x0a010203);
		assert_true(is_silent(w.udp) && is_silent(w.other));
	}
	assert_int_equal(counted(&w, COUNT_DNS_FAILURES), 3);
	finish(&w);
}

static void when_all_say_no_the_last_is_the_answer(void **state)
{
	(void)state;
	struct world w;
	struct test_message m;
	start_with(&w, two_servers, true);
	test_query(&m, 7, DNS_FLAG_RD, "www.example.com", DNS_A);
	say(w.app, &m);
	int first = asked_one(&w, &m);
	say_code(&w, first, &m, DNS_SERVFAIL);
	int second = asked_one(&w, &m);
	assert_true(second != first);
	say_code(&w, second, &m, DNS_REFUSED);
	hear(w.app, &m);
	assert_int_equal(flags_of(&m) & DNS_FLAGS_RCODE, DNS_REFUSED);
	assert_true(is_silent(w.udp) && is_silent(w.other));
	finish(&w);
}

/* One says no, the other nothing: that no comes in time, and a late answer would have been better. */
static void a_no_and_silence(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, reply;
	start_with(&w, two_servers, true);
	test_query(&m, 7, DNS_FLAG_RD, "a.example.com", DNS_A);
	say(w.app, &m);
	int first = asked_one(&w, &m), second = first == w.udp ? w.other : w.udp;
	say_code(&w, first, &m, DNS_NOTIMP);
	asked_at(&w, second, &m);
	asked_at(&w, second, &m); /* the first one is not asked twice */
	hear(w.app, &m);
	assert_int_equal(flags_of(&m) & DNS_FLAGS_RCODE, DNS_NOTIMP);
	assert_true(is_silent(first));
	test_query(&m, 8, DNS_FLAG_RD, "b.example.com", DNS_A);
	say(w.app, &m);
	first = asked_one(&w, &m);
	say_code(&w, first, &m, DNS_NOTIMP);
	second = first == w.udp ? w.other : w.udp;
	asked_at(&w, second, &m);
	answer_it(&m, &reply);
	struct sockaddr_storage waits = w.asker;
	asked_at(&w, second, &m);
	w.asker = waits;
	tell_asker(&w, second, &reply);
	hear(w.app, &m);
	assert_int_equal(address_in(&m), 0x0a010203);
	finish(&w);
}

/* Types other than addresses: who asks for those beside them must not hear that there is no such name. */
static const struct {
	const char *rule, *name;
	unsigned type;
	bool is_asked; /* the nameserver, who knows no such name */
	unsigned code;
} other_types[] = {
	{"of an entry's host", "db.example.net", 65, true, DNS_NOERROR},
	{"of one that a wildcard covers", "any.wild.example.net", 15, true, DNS_NOERROR},
	{"of a short name", "db.shop", 65, true, DNS_NOERROR},
	{"of a name of the cluster", "dB.shop.SVC.cluster.local", 65, false, DNS_NOERROR},
	{"of one with the search domain", "db.example.net.shop.svc.cluster.local", 15, false,
	 DNS_NOERROR},
	{"of a name of the cluster, SRV", "db.shop.svc.cluster.local", DNS_SRV, true, DNS_NOERROR},
	{"of a name of the cluster, all", "db.shop.svc.cluster.local", DNS_ANY, true, DNS_NOERROR},
	{"of an ExternalName within the mesh", "inner.shop.svc.cluster.local", 65, false,
	 DNS_NOERROR},
	{"of one that leads out", "outer.shop.svc.cluster.local", 65, true, DNS_NXDOMAIN},
	{"of a name that is nobody's", "www.example.net", 65, true, DNS_NXDOMAIN},
	{"of a name of the cluster that is nobody's", "no.shop.svc.cluster.local", 65, true,
	 DNS_NXDOMAIN},
};

static void a_known_name_is_never_no_such_name(void **state)
{
	(void)state;
	static const char soa[] = "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\x3c";
	struct world w;
	struct test_message query, m, reply;
	start(&w, true);
	for (size_t i = 0; i < N_ELEMS(other_types); i++) {
		print_message("%s\n", other_types[i].rule);
		for (int again = 0; again < 2; again++) { /* then from what is kept */
			test_query(&query, 7, DNS_FLAG_RD, other_types[i].name,
				   other_types[i].type);
			say(w.app, &query);
			if (other_types[i].is_asked && !again) {
				asked(&w, &m);
				test_query(&reply, id_of(&m),
					   DNS_FLAG_QR | DNS_FLAG_RA | DNS_FLAG_AD | DNS_NXDOMAIN,
					   other_types[i].name, other_types[i].type);
				test_record(&reply, DNS_AUTHORITY, DNS_SOA, 60,
					    (struct slice){soa, sizeof(soa) - 1});
				tell_asker(&w, w.udp, &reply);
			}
			hear(w.app, &m);
			assert_int_equal(id_of(&m), 7);
			assert_int_equal(flags_of(&m) & DNS_FLAGS_RCODE, other_types[i].code);
			assert_int_equal(m.at[7], 0); /* no record */
			assert_memory_equal(&m.at[DNS_HEADER_LEN], &query.at[DNS_HEADER_LEN],
					    query.len - DNS_HEADER_LEN);
			/* for how long that holds, the nameserver has said */
			assert_int_equal(m.at[9], other_types[i].is_asked);
			if (other_types[i].code == DNS_NOERROR)
				assert_int_equal(flags_of(&m) & DNS_FLAG_AD, 0);
		}
		assert_true(is_silent(w.udp));
	}
	finish(&w);
}

/* What a nameserver has for such a name is the client's. */
static void real_records_of_a_known_name(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, reply;
	start(&w, true);
	test_query(&m, 7, DNS_FLAG_RD, "db.example.net", DNS_TXT);
	say(w.app, &m);
	asked(&w, &m);
	test_query(&reply, id_of(&m), DNS_FLAG_QR | DNS_FLAG_AD, "db.example.net", DNS_TXT);
	test_record(&reply, DNS_ANSWER, DNS_TXT, 60, SLICE("\3abc"));
	tell_asker(&w, w.udp, &reply);
	hear(w.app, &m);
	assert_int_equal(m.len, reply.len);
	assert_memory_equal(&m.at[2], &reply.at[2], reply.len - 2);
	finish(&w);
}

static const struct {
	const char *rule, *name, *host; /* NULL: a nameserver is asked */
} addresses[] = {
	{"a Service's", "1.0.19.198.in-addr.arpa", "db.shop.svc.cluster.local"},
	{"one that the mesh gave", "7.0.240.240.in-addr.arpa", "db.example.net"},
	{"one of IPv6", "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.0.2.ip6.arpa",
	 "db.example.net"},
	{"one that somebody wrote down", "9.2.0.192.in-addr.arpa", NULL},
	{"nobody's", "1.2.0.192.in-addr.arpa", NULL},
	{"no address", "example.in-addr.arpa", NULL},
};

static void names_behind_addresses(void **state)
{
	(void)state;
	struct world w;
	struct test_message m;
	char wire[DNS_NAME_WIRE];
	start(&w, true);
	for (size_t i = 0; i < N_ELEMS(addresses); i++) {
		print_message("%s\n", addresses[i].rule);
		test_query(&m, 7, DNS_FLAG_RD, addresses[i].name, DNS_PTR);
		say(w.app, &m);
		if (!addresses[i].host) {
			asked(&w, &m);
			continue;
		}
		hear(w.app, &m);
		size_t len = dns_name_of_text(slice_of(addresses[i].host), wire);
		assert_int_equal(m.at[7], 1);
		assert_memory_equal(&m.at[m.len - len], wire, len);
	}
	finish(&w);
}

/* Asks for names that nobody has asked for yet until FD is asked, who answers. */
static void ask_until(struct world *w, int fd)
{
	static unsigned n;
	struct test_message m, reply;
	char name[32];
	int got;
	do {
		(void)snprintf(name, sizeof(name), "n%u.example.com", n++);
		test_query(&m, 7, DNS_FLAG_RD, name, DNS_A);
		say(w->app, &m);
		got = asked_one(w, &m);
		answer_it(&m, &reply);
		tell_asker(w, got, &reply);
		hear(w->app, &m);
		usleep(10000);
	} while (got != fd);
}

/* resolv.conf is written anew: other servers, other search domains. */
static void resolv_conf_is_followed(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, reply;
	struct resolv_conf conf;
	start_with(&w, "nameserver 127.0.0.2\nsearch shop.svc.cluster.local\n", true);
	test_query(&m, 7, DNS_FLAG_RD, "www.example.com", DNS_A);
	say(w.app, &m);
	asked_at(&w, w.other, &m);
	answer_it(&m, &reply);
	tell_asker(&w, w.other, &reply);
	hear(w.app, &m);
	write_conf(&w, ""); /* it is being written */
	usleep(1100000);    /* the proxy looks once a second */
	test_query(&m, 7, DNS_FLAG_RD, "other.example.com", DNS_A);
	say(w.app, &m);
	asked_at(&w, w.other, &m); /* what it said before holds */
	write_conf(&w, "nameserver 127.0.0.1\nsearch svc.cluster.local\n");
	ask_until(&w, w.udp);
	dns_proxy_conf(w.proxy, &conf);
	assert_true(slice_is(resolv_conf_search(&conf, 0), "svc.cluster.local"));
	test_query(&m, 8, DNS_FLAG_RD, "db.example.net.svc.cluster.local", DNS_A);
	say(w.app, &m);
	hear(w.app, &m);
	assert_int_equal(address_in(&m), 0xf0f00007);
	/* what the old one said is forgotten */
	test_query(&m, 9, DNS_FLAG_RD, "www.example.com", DNS_A);
	say(w.app, &m);
	asked(&w, &m);
	finish(&w);
}

/* What was asked of the old servers is told, and not kept: the new ones may know better. */
static void answers_of_old_servers_are_not_kept(void **state)
{
	(void)state;
	struct world w;
	struct test_message m, late, reply;
	start_with(&w, "nameserver 127.0.0.2\n", true);
	test_query(&m, 7, DNS_FLAG_RD, "www.example.com", DNS_A);
	say(w.app, &m); /* the proxy looks now, and then in a second */
	asked_at(&w, w.other, &m);
	answer_it(&m, &reply);
	tell_asker(&w, w.other, &reply);
	hear(w.app, &m);
	test_query(&m, 8, DNS_FLAG_RD, "late.example.com", DNS_A);
	say(w.app, &m);
	asked_at(&w, w.other, &late);
	struct sockaddr_storage waits = w.asker;
	write_conf(&w, "nameserver 127.0.0.1\n");
	ask_until(&w, w.udp);
	w.asker = waits;
	answer_it(&late, &reply);
	tell_asker(&w, w.other, &reply);
	hear(w.app, &m);
	assert_int_equal(id_of(&m), 8);
	while (!is_silent(w.udp)) /* it took so long that they were asked, too */
		asked(&w, &m);
	test_query(&m, 9, DNS_FLAG_RD, "late.example.com", DNS_A);
	say(w.app, &m);
	struct pollfd either[] = {{.fd = w.udp, .events = POLLIN}, {.fd = w.app, .events = POLLIN}};
	assert_int_equal(poll(either, 2, WAIT_MS), 1);
	assert_true(either[0].revents);
	finish(&w);
}

static bool is_refused(const struct addr *at)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(at, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result = connect(fd, (struct sockaddr *)&sa, len);
	assert_true(result == 0 || errno == ECONNREFUSED);
	close(fd);
	return result < 0;
}

/* On loopback of each family that has nameservers, over both protocols; also of one that comes later. */
static void listens_where_nameservers_are(void **state)
{
	(void)state;
	struct world w;
	struct test_message m;
	struct addr v4, v6;
	char name[32];
	start_with(&w, "nameserver ::1\n", true);
	v4 = w.at;
	v6 = (struct addr){.ip = {{[15] = 1}}, .port = v4.port};
	assert_true(is_refused(&v4) && !is_refused(&v6));
	close(w.app);
	w.at = v6;
	w.app = app_socket(&w);
	test_query(&m, 7, DNS_FLAG_RD, "db", DNS_A);
	say(w.app, &m);
	hear(w.app, &m);
	assert_int_equal(address_in(&m), 0xc6130001);
	int app = tcp_app(&w);
	tcp_say(app, &m); /* an answer: it deserves none */
	test_query(&m, 7, DNS_FLAG_RD, "db", DNS_A);
	tcp_say(app, &m);
	tcp_hear(app, &m);
	assert_int_equal(address_in(&m), 0xc6130001);
	close(app);
	write_conf(&w, "nameserver ::1\nnameserver 127.0.0.1\n");
	for (unsigned n = 0; is_refused(&v4);
	     n++) { /* looked at by questions that go to nameservers */
		(void)snprintf(name, sizeof(name), "n%u.example.com", n);
		test_query(&m, 7, DNS_FLAG_RD, name, DNS_A);
		say(w.app, &m);
		usleep(50000);
		assert_true(n < 1000);
	}
	finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cut_answer_is_made_whole),
		cmocka_unit_test(a_whole_answer_that_does_not_fit),
		cmocka_unit_test(over_tcp_it_fails),
		cmocka_unit_test(so_many_are_made_whole_at_a_time),
		cmocka_unit_test(a_no_of_one_server_is_not_the_last_word),
		cmocka_unit_test(when_all_say_no_the_last_is_the_answer),
		cmocka_unit_test(a_no_and_silence),
		cmocka_unit_test(a_known_name_is_never_no_such_name),
		cmocka_unit_test(real_records_of_a_known_name),
		cmocka_unit_test(names_behind_addresses),
		cmocka_unit_test(resolv_conf_is_followed),
		cmocka_unit_test(answers_of_old_servers_are_not_kept),
		cmocka_unit_test(listens_where_nameservers_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
