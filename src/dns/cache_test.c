#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dns/cache.h"
#include "dns/fixture.h"

#define T0 (1000 * NS_PER_S)
#define SOA(minimum) "\x00\x00\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0" minimum

/* What an answer is made of, and for how long it is kept. */
static const struct {
	const char *rule;
	unsigned rcode, type, ttl; /* TTL of one record of that type; 0: no record */
	unsigned soa_ttl;          /* 0: none */
	char soa_minimum;
	unsigned flags, kept_s;
} cases[] = {
	{"an address", DNS_NOERROR, DNS_A, 60, 0, 0, 0, 60},
	{"longer than we would", DNS_NOERROR, DNS_A, 86400, 0, 0, 0, DNS_CACHE_TTL_MAX_S},
	{"a TTL with the first bit set is 0", DNS_NOERROR, DNS_A, 0x80000001, 0, 0, 0, 0},
	{"cut", DNS_NOERROR, DNS_A, 60, 0, 0, DNS_FLAG_TC, 0},
	{"SERVFAIL", DNS_SERVFAIL, DNS_A, 0, 60, 60, 0, 0},
	{"no such name", DNS_NXDOMAIN, DNS_A, 0, 60, 20, 0, 20},
	{"no such name, the SOA's TTL is less", DNS_NXDOMAIN, DNS_A, 0, 10, 20, 0, 10},
	{"no such name, and nobody says for how long", DNS_NXDOMAIN, DNS_A, 0, 0, 0, 0, 0},
	{"no such record", DNS_NOERROR, DNS_A, 0, 60, 20, 0, 20},
	{"an alias of nothing", DNS_NOERROR, DNS_CNAME, 60, 100, 20, 0, 20},
	{"an alias, and nobody says", DNS_NOERROR, DNS_CNAME, 60, 0, 0, 0, 0},
};

static void ask(struct dns_query *q, unsigned id, const char *name)
{
	struct test_message m;
	test_query(&m, id, DNS_FLAG_RD, name, DNS_A);
	assert_int_equal(dns_query_read(test_bytes(&m), q), DNS_QUESTION);
}

static void make(struct test_message *m, size_t i)
{
	char soa[] = SOA("\0");
	soa[sizeof(soa) - 2] = cases[i].soa_minimum;
	test_query(m, 9, DNS_FLAG_QR | cases[i].flags | cases[i].rcode, "www.example.com", DNS_A);
	if (cases[i].ttl)
		test_record(m, DNS_ANSWER, cases[i].type, cases[i].ttl, SLICE("\1\2\3\4"));
	if (cases[i].soa_ttl)
		test_record(m, DNS_AUTHORITY, DNS_SOA, cases[i].soa_ttl,
			    (struct slice){soa, sizeof(soa) - 1});
}

static void keeps_for_as_long_as_said(void **state)
{
	(void)state;
	char out[DNS_UDP_MAX];
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct dns_cache *c = dns_cache_new(1 << 20);
		struct test_message m;
		struct dns_query q;
		print_message("%s\n", cases[i].rule);
		make(&m, i);
		ask(&q, 9, "www.example.com");
		dns_cache_put(c, &q, test_bytes(&m), T0);
		assert_int_equal(dns_cache_count(c), cases[i].kept_s > 0);
		if (cases[i].kept_s) {
			uint64_t end = T0 + cases[i].kept_s * NS_PER_S;
			assert_int_equal(dns_cache_get(c, &q, end - 1, 512, out), m.len);
			assert_int_equal(dns_cache_get(c, &q, end, 512, out), 0);
			assert_int_equal(dns_cache_count(c), 0);
		}
		dns_cache_free(c);
	}
}

static void a_hit_is_the_askers_own(void **state)
{
	(void)state;
	struct dns_cache *c = dns_cache_new(1 << 20);
	struct test_message m;
	struct dns_query q;
	struct dns_walk w;
	struct dns_question asked;
	struct dns_record rr;
	char out[DNS_UDP_MAX];
	make(&m, 0);
	ask(&q, 9, "www.example.com");
	dns_cache_put(c, &q, test_bytes(&m), T0);
	ask(&q, 0xabcd, "wWw.eXample.com");
	size_t len = dns_cache_get(c, &q, T0 + 25 * NS_PER_S, 512, out);
	assert_true(dns_walk_start(&w, (struct slice){out, len}));
	assert_int_equal(w.id, 0xabcd);
	assert_true(dns_walk_question(&w, &asked));
	assert_memory_equal(asked.name.at,
			    "\x03"
			    "wWw"
			    "\x07"
			    "eXample"
			    "\x03"
			    "com",
			    17);
	assert_true(dns_walk_record(&w, &rr));
	assert_int_equal(rr.ttl, 35);
	dns_cache_free(c);
}

/* Who takes less than it is hears that, and asks again over TCP. */
static void too_long_for_a_datagram(void **state)
{
	(void)state;
	struct dns_cache *c = dns_cache_new(1 << 20);
	struct test_message m;
	struct dns_query q;
	struct dns_walk w;
	char out[DNS_UDP_MAX];
	make(&m, 0);
	for (int i = 0; i < 99; i++)
		test_record(&m, DNS_ANSWER, DNS_A, 60, SLICE("\1\2\3\4"));
	ask(&q, 9, "www.example.com");
	dns_cache_put(c, &q, test_bytes(&m), T0);
	size_t len = dns_cache_get(c, &q, T0, DNS_UDP_MIN, out);
	assert_true(len && len <= DNS_UDP_MIN);
	assert_true(dns_walk_start(&w, (struct slice){out, len}));
	assert_int_equal(w.flags & (DNS_FLAG_QR | DNS_FLAG_TC), DNS_FLAG_QR | DNS_FLAG_TC);
	assert_int_equal(w.left[DNS_ANSWER], 0);
	assert_int_equal(dns_cache_get(c, &q, T0, m.len - 1, out), len);
	assert_int_equal(dns_cache_get(c, &q, T0, m.len, out), m.len);
	dns_cache_free(c);
}

static const struct {
	const char *rule;
	unsigned flags, type, opt_size, opt_low;
	struct slice options;
	bool hit;
} others[] = {
	{"the same", DNS_FLAG_RD, DNS_A, 0, 0, {"", 0}, true},
	{"checking disabled", DNS_FLAG_RD | DNS_FLAG_CD, DNS_A, 0, 0, {"", 0}, false},
	{"recursion not desired", 0, DNS_A, 0, 0, {"", 0}, false},
	{"another type", DNS_FLAG_RD, DNS_AAAA, 0, 0, {"", 0}, false},
	{"with EDNS", DNS_FLAG_RD, DNS_A, 1232, 0, {"", 0}, false},
	{"with DNSSEC", DNS_FLAG_RD, DNS_A, 1232, 0x8000, {"", 0}, false},
	{"for one network", DNS_FLAG_RD, DNS_A, 1232, 0, {"\0\x08\0\4\0\1\x18\0", 8}, false},
};

static void what_changes_an_answer_tells_entries_apart(void **state)
{
	(void)state;
	struct dns_cache *c = dns_cache_new(1 << 20);
	struct test_message m;
	struct dns_query q;
	char out[DNS_UDP_MAX];
	make(&m, 0);
	ask(&q, 9, "www.example.com");
	dns_cache_put(c, &q, test_bytes(&m), T0);
	for (size_t i = 0; i < N_ELEMS(others); i++) {
		print_message("%s\n", others[i].rule);
		test_query(&m, 1, others[i].flags, "www.example.com", others[i].type);
		if (others[i].opt_size)
			test_opt(&m, others[i].opt_size, 0, others[i].opt_low, others[i].options);
		assert_int_equal(dns_query_read(test_bytes(&m), &q), DNS_QUESTION);
		assert_int_equal(dns_cache_get(c, &q, T0, 512, out) != 0, others[i].hit);
	}
	dns_cache_free(c);
}

static void a_servers_cookie_is_kept_for_nobody(void **state)
{
	(void)state;
	struct dns_cache *c = dns_cache_new(1 << 20);
	struct test_message m;
	struct dns_query q;
	struct dns_walk w;
	struct dns_question asked;
	struct dns_record rr;
	char out[DNS_UDP_MAX];
	test_query(&m, 1, 0, "www.example.com", DNS_A);
	test_opt(&m, 1232, 0, 0,
		 SLICE("\0\x0a\0\x08"
		       "12345678"));
	assert_int_equal(dns_query_read(test_bytes(&m), &q), DNS_QUESTION);
	make(&m, 0);
	test_opt(&m, 1232, 0, 0,
		 SLICE("\0\x0a\0\x08"
		       "abcdefgh"));
	dns_cache_put(c, &q, test_bytes(&m), T0);
	size_t len = dns_cache_get(c, &q, T0, 512, out);
	assert_true(dns_walk_start(&w, (struct slice){out, len}) && dns_walk_question(&w, &asked));
	assert_true(dns_walk_record(&w, &rr) && dns_walk_record(&w, &rr));
	assert_int_equal(rr.type, DNS_TYPE_OPT);
	assert_int_equal(rr.rdata.len, 0);
	assert_false(dns_walk_record(&w, &rr));
	assert_false(w.r.bad);
	dns_cache_free(c);
}

static void bounded(void **state)
{
	(void)state;
	enum { BOUND = 10000 };
	struct dns_cache *c = dns_cache_new(BOUND);
	struct test_message m;
	struct dns_query q;
	char name[64], out[DNS_UDP_MAX];
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "n%u.example.com", i);
		test_query(&m, 1, DNS_FLAG_QR, name, DNS_A);
		test_record(&m, DNS_ANSWER, DNS_A, 60, SLICE("\1\2\3\4"));
		ask(&q, 1, name);
		dns_cache_put(c, &q, test_bytes(&m), T0);
		assert_true(dns_cache_bytes(c) <= BOUND);
		ask(&q, 1, "n0.example.com"); /* in use all the time: it stays */
		assert_true(dns_cache_get(c, &q, T0, 512, out) > 0);
	}
	assert_true(dns_cache_count(c) > 10);
	ask(&q, 1, "n1.example.com");
	assert_int_equal(dns_cache_get(c, &q, T0, 512, out), 0);
	dns_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_for_as_long_as_said),
		cmocka_unit_test(a_hit_is_the_askers_own),
		cmocka_unit_test(too_long_for_a_datagram),
		cmocka_unit_test(what_changes_an_answer_tells_entries_apart),
		cmocka_unit_test(a_servers_cookie_is_kept_for_nobody),
		cmocka_unit_test(bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
