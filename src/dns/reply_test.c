#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dns/fixture.h"
#include "dns/reply.h"

enum { MANY = 500 };

static void read_query(struct test_message *m, struct dns_query *q)
{
	assert_int_equal(dns_query_read(test_bytes(m), q), DNS_QUESTION);
}

/* A reader of answers: flags, and how many records of TYPE with which owner. */
struct seen {
	unsigned flags, addresses, aliases;
	bool edns;
	struct slice question;
};

static struct seen look(const char *out, size_t len)
{
	struct seen s = {0};
	struct dns_walk w;
	struct dns_question q;
	struct dns_record rr;
	assert_true(dns_walk_start(&w, (struct slice){out, len}));
	s.flags = w.flags;
	assert_true(dns_walk_question(&w, &q));
	s.question = q.name;
	while (dns_walk_record(&w, &rr)) {
		s.addresses += rr.type == q.type && rr.section == DNS_ANSWER;
		s.aliases += rr.type == DNS_CNAME;
		s.edns |= rr.type == DNS_TYPE_OPT;
	}
	assert_false(w.r.bad);
	assert_true(reader_done(&w.r));
	return s;
}

static void addresses_of_the_name(void **state)
{
	(void)state;
	static const char want[] =
		"\x12\x34\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00"
		"\x02"
		"dB"
		"\x04"
		"shop"
		"\x00"
		"\x00\x01\x00\x01"
		"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc6\x12\x00\x07";
	struct test_message m;
	struct dns_query q;
	struct ip ip = ip_v4(0xc6120007);
	struct dns_addresses found = {.ips = &ip, .n = 1, .ttl = 30, .authoritative = true};
	char out[DNS_UDP_MAX];
	test_query(&m, 0x1234, DNS_FLAG_RD, "dB.shop", DNS_A);
	read_query(&m, &q);
	assert_int_equal(dns_reply_addresses(&q, &found, 512, out), sizeof(want) - 1);
	assert_memory_equal(out, want, sizeof(want) - 1); /* its case is given back */
}

static void an_alias_comes_first(void **state)
{
	(void)state;
	struct test_message m;
	struct dns_query q;
	struct ip ip;
	char out[DNS_UDP_MAX];
	assert_true(ip_parse(SLICE("fd00::7"), &ip));
	struct dns_addresses found = {.ips = &ip,
				      .n = 1,
				      .ttl = 30,
				      .alias_of = SLICE("\x02"
							"db"
							"\0")};
	test_query(&m, 1, 0, "db.shop", DNS_AAAA);
	test_opt(&m, 1232, 0, 0x8000, SLICE(""));
	read_query(&m, &q);
	struct seen s = look(out, dns_reply_addresses(&q, &found, 512, out));
	assert_int_equal(s.aliases, 1);
	assert_int_equal(s.addresses, 1);
	assert_true(s.edns);
	assert_int_equal(s.flags & DNS_FLAG_AA, 0);
	found.n = 0; /* without an address there is nothing to be an alias of */
	s = look(out, dns_reply_addresses(&q, &found, 512, out));
	assert_int_equal(s.aliases + s.addresses, 0);
	assert_int_equal(s.flags & DNS_FLAGS_RCODE, DNS_NOERROR);
}

static void what_does_not_fit_is_cut(void **state)
{
	(void)state;
	struct test_message m;
	struct dns_query q;
	struct ip ips[MANY];
	struct dns_addresses found = {.ips = ips, .n = MANY, .ttl = 30};
	char out[DNS_MESSAGE_MAX];
	for (uint32_t i = 0; i < MANY; i++)
		ips[i] = ip_v4(0xc6120000 + i);
	test_query(&m, 1, 0, "db.shop", DNS_A);
	read_query(&m, &q);
	size_t len = dns_reply_addresses(&q, &found, 512, out);
	struct seen s = look(out, len);
	assert_true(len <= 512 && s.addresses > 20);
	assert_int_equal(s.flags & DNS_FLAG_TC, DNS_FLAG_TC);
	s = look(out, dns_reply_addresses(&q, &found, DNS_MESSAGE_MAX, out));
	assert_int_equal(s.addresses, MANY);
	assert_int_equal(s.flags & DNS_FLAG_TC, 0);
}

/* The longest name there is as an alias of another such: it does not fit into 512 bytes, and says so. */
static void the_longest_names(void **state)
{
	(void)state;
	struct test_message m;
	struct dns_query q;
	struct ip ip = ip_v4(1);
	char name[254], alias[DNS_NAME_WIRE], out[DNS_UDP_MAX];
	for (size_t i = 0; i < 253; i++)
		name[i] = i % 2 ? '.' : 'a';
	name[253] = '\0';
	size_t alias_len = dns_name_of_text(slice_of(name), alias);
	struct dns_addresses found = {.ips = &ip, .n = 1, .alias_of = {alias, alias_len}};
	test_query(&m, 1, 0, name, DNS_A);
	test_opt(&m, 512, 0, 0, SLICE(""));
	read_query(&m, &q);
	size_t len = dns_reply_addresses(&q, &found, 512, out);
	struct seen s = look(out, len);
	assert_true(len <= 512);
	assert_int_equal(s.aliases + s.addresses, 0);
	assert_int_equal(s.flags & DNS_FLAG_TC, DNS_FLAG_TC);
	s = look(out, dns_reply_addresses(&q, &found, 1232, out));
	assert_int_equal(s.aliases + s.addresses, 2);
}

static void codes(void **state)
{
	(void)state;
	struct test_message m;
	struct dns_query q;
	struct dns_walk w;
	struct dns_question asked;
	struct dns_record rr;
	char out[DNS_UDP_MIN];
	test_query(&m, 1, DNS_FLAG_RD | DNS_FLAG_CD, "db.shop", DNS_SRV);
	read_query(&m, &q);
	struct seen s = look(out, dns_reply_rcode(&q, DNS_SERVFAIL, out));
	assert_int_equal(s.flags,
			 DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA | DNS_FLAG_CD | DNS_SERVFAIL);
	test_opt(&m, 1232, 1, 0, SLICE("")); /* EDNS version 1 */
	assert_int_equal(dns_query_read(test_bytes(&m), &q), DNS_REJECT);
	size_t len = dns_reply_rcode(&q, q.rcode, out);
	assert_true(dns_walk_start(&w, (struct slice){out, len}) && dns_walk_question(&w, &asked));
	assert_true(dns_walk_record(&w, &rr));
	assert_int_equal(rr.ttl >> 24, 1); /* BADVERS */
	/* no question could be read: none is given back */
	assert_int_equal(dns_query_read(SLICE("\0\1\0\0\0\1\0\0\0\0\0\0\x05"), &q), DNS_REJECT);
	assert_int_equal(dns_reply_rcode(&q, q.rcode, out), DNS_HEADER_LEN);
}

static void cuts_an_answer_of_others(void **state)
{
	(void)state;
	struct test_message m;
	struct dns_query q;
	char out[DNS_UDP_MIN];
	test_query(&m, 1, DNS_FLAG_RD, "dB.shop", DNS_A);
	test_opt(&m, 1232, 0, 0x8000, SLICE(""));
	read_query(&m, &q);
	test_query(&m, 1, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA, "db.shop", DNS_A);
	for (int i = 0; i < 100; i++)
		test_record(&m, DNS_ANSWER, DNS_A, 30, SLICE("\1\2\3\4"));
	size_t len = dns_reply_cut(&q, test_bytes(&m), out);
	struct seen s = look(out, len);
	assert_int_equal(s.flags, DNS_FLAG_QR | DNS_FLAG_RD | DNS_FLAG_RA | DNS_FLAG_TC);
	assert_int_equal(s.addresses, 0);
	assert_int_equal(s.question.len, 9);
	assert_memory_equal(s.question.at, "\2dB", 3);
	assert_true(s.edns); /* who speaks EDNS is spoken to so */
}

static void the_name_behind_an_address(void **state)
{
	(void)state;
	struct test_message m;
	struct dns_query q;
	struct dns_walk w;
	struct dns_question asked;
	struct dns_record rr;
	char out[DNS_UDP_MIN], longest[254];
	test_query(&m, 1, DNS_FLAG_RD, "5.0.19.198.in-addr.arpa", DNS_PTR);
	read_query(&m, &q);
	size_t len = dns_reply_ptr(&q, SLICE("db.shop"), 30, out);
	assert_true(dns_walk_start(&w, (struct slice){out, len}) && dns_walk_question(&w, &asked));
	assert_int_equal(w.flags, DNS_FLAG_QR | DNS_FLAG_AA | DNS_FLAG_RD | DNS_FLAG_RA);
	assert_true(dns_walk_record(&w, &rr));
	assert_int_equal(rr.type, DNS_PTR);
	assert_int_equal(rr.ttl, 30);
	assert_true(slice_eq(rr.rdata, SLICE("\2db\4shop\0")));
	assert_int_equal(dns_reply_ptr(&q, SLICE("no..name"), 30, out), 0);
	memset(longest, 'a', 253);
	for (size_t i = 63; i < 253; i += 64)
		longest[i] = '.';
	assert_true(dns_reply_ptr(&q, (struct slice){longest, 253}, 30, out) > 253);
}

static void a_name_that_exists_after_all(void **state)
{
	(void)state;
	struct test_message m;
	test_query(&m, 1, DNS_FLAG_QR | DNS_FLAG_RA | DNS_FLAG_AD | DNS_NXDOMAIN, "db.shop", 65);
	test_record(&m, DNS_AUTHORITY, DNS_SOA, 30, SLICE("\0\0"));
	size_t len = m.len;
	dns_reply_exists(m.at);
	struct seen s = look(m.at, len);
	assert_int_equal(s.flags, DNS_FLAG_QR | DNS_FLAG_RA);
	assert_int_equal(m.at[9], 1); /* the SOA stays */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_the_name),
		cmocka_unit_test(an_alias_comes_first),
		cmocka_unit_test(what_does_not_fit_is_cut),
		cmocka_unit_test(the_longest_names),
		cmocka_unit_test(codes),
		cmocka_unit_test(cuts_an_answer_of_others),
		cmocka_unit_test(the_name_behind_an_address),
		cmocka_unit_test(a_name_that_exists_after_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
