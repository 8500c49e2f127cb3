#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dns/message.h"

/* Header fields of a message, as a client reads them. */
struct head {
	unsigned id, flags, questions, answers, authority, additional;
};

static struct head head_of(struct slice m)
{
	const unsigned char *b = (const unsigned char *)m.at;
	assert_true(m.len >= 12);
	return (struct head){(unsigned)(b[0] << 8 | b[1]), (unsigned)(b[2] << 8 | b[3]),
			     (unsigned)(b[4] << 8 | b[5]), (unsigned)(b[6] << 8 | b[7]),
			     (unsigned)(b[8] << 8 | b[9]), (unsigned)(b[10] << 8 | b[11])};
}

#define HEAD "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define NAME                                                                                       \
	"\x02"                                                                                     \
	"dB"                                                                                       \
	"\x04"                                                                                     \
	"shop"                                                                                     \
	"\x00"
#define OPT(size, version) "\x00\x00\x29" size "\x00" version "\x00\x00\x00\x00"
#define HEAD_OPT "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"

static const struct {
	const char *rule;
	struct slice bytes;
	enum dns_verdict verdict;
	enum dns_rcode rcode;
	unsigned type;
	const char *name;
	size_t udp;
} queries[] = {
	{"a question in lower case", SLICE(HEAD NAME "\x00\x01\x00\x01"), DNS_QUESTION, DNS_NOERROR,
	 DNS_A, "db.shop", 512},
	{"the root", SLICE(HEAD "\x00\x00\x02\x00\x01"), DNS_QUESTION, DNS_NOERROR, DNS_NS, "",
	 512},
	{"EDNS says how much", SLICE(HEAD_OPT NAME "\x00\x1c\x00\x01" OPT("\x04\xd0", "\x00")),
	 DNS_QUESTION, DNS_NOERROR, DNS_AAAA, "db.shop", 1232},
	{"EDNS below 512 is 512", SLICE(HEAD_OPT NAME "\x00\x1c\x00\x01" OPT("\x00\x10", "\x00")),
	 DNS_QUESTION, DNS_NOERROR, DNS_AAAA, "db.shop", 512},
	{"EDNS above our bound", SLICE(HEAD_OPT NAME "\x00\x1c\x00\x01" OPT("\xff\xff", "\x00")),
	 DNS_QUESTION, DNS_NOERROR, DNS_AAAA, "db.shop", 4096},
	{"EDNS version 1", SLICE(HEAD_OPT NAME "\x00\x1c\x00\x01" OPT("\x04\xd0", "\x01")),
	 DNS_REJECT, DNS_NOERROR, 0, NULL, 1232},
	{"shorter than a header", SLICE("\x12\x34\x01\x00\x00\x01"), DNS_DROP, DNS_NOERROR, 0, NULL,
	 512},
	{"an answer",
	 SLICE("\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME "\x00\x01\x00\x01"),
	 DNS_DROP, DNS_NOERROR, 0, NULL, 512},
	{"question cut short",
	 SLICE(HEAD "\x02"
		    "d"),
	 DNS_REJECT, DNS_FORMERR, 0, NULL, 512},
	{"no question", SLICE("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), DNS_REJECT,
	 DNS_FORMERR, 0, NULL, 512},
	{"two questions",
	 SLICE("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" NAME "\x00\x01\x00\x01" NAME
	       "\x00\x1c\x00\x01"),
	 DNS_REJECT, DNS_FORMERR, 0, NULL, 512},
	{"a name that points to itself", SLICE(HEAD "\xc0\x0c\x00\x01\x00\x01"), DNS_REJECT,
	 DNS_FORMERR, 0, NULL, 512},
	{"an update",
	 SLICE("\x12\x34\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME "\x00\x01\x00\x01"),
	 DNS_REJECT, DNS_NOTIMP, 0, NULL, 512},
	{"class CHAOS", SLICE(HEAD NAME "\x00\x10\x00\x03"), DNS_REJECT, DNS_REFUSED, 0, NULL, 512},
	{"a zone transfer", SLICE(HEAD NAME "\x00\xfc\x00\x01"), DNS_REJECT, DNS_REFUSED, 0, NULL,
	 512},
};

static void reads_queries(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(queries); i++) {
		struct dns_query q;
		print_message("%s\n", queries[i].rule);
		assert_int_equal(dns_query_read(queries[i].bytes, &q), queries[i].verdict);
		assert_int_equal(dns_udp_limit(&q), queries[i].udp);
		if (queries[i].verdict == DNS_DROP)
			continue;
		assert_int_equal(q.id, 0x1234);
		assert_int_equal(q.rcode, queries[i].rcode);
		if (queries[i].verdict != DNS_QUESTION) {
			struct buf out;
			buf_init(&out, 4096);
			struct dns_answer *a = dns_answer_new(&q);
			assert_true(dns_answer_write(a, 512, &out));
			struct head h = head_of(buf_slice(&out));
			assert_int_equal(h.id, 0x1234);
			assert_int_equal(h.flags & 0x8000, 0x8000);
			assert_int_equal(h.flags & 15, queries[i].rcode);
			dns_answer_free(a);
			buf_fini(&out);
			continue;
		}
		assert_int_equal(q.type, queries[i].type);
		assert_string_equal(q.name, queries[i].name);
	}
}

static void ask(uint16_t type, struct dns_query *q)
{
	char bytes[] = HEAD NAME "\x00\x01\x00\x01";
	bytes[sizeof(HEAD NAME) - 1] = (char)(type >> 8);
	bytes[sizeof(HEAD NAME)] = (char)(type & 255);
	assert_int_equal(dns_query_read((struct slice){bytes, sizeof(bytes) - 1}, q), DNS_QUESTION);
	assert_int_equal(q->type, type);
}

static void writes_an_address(void **state)
{
	(void)state;
	struct dns_query q;
	struct ip ip = ip_v4(0xc6120007);
	struct buf out;
	static const char want[] =
		"\x12\x34\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00" NAME "\x00\x01\x00\x01"
		"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc6\x12\x00\x07";

	ask(DNS_A, &q);
	buf_init(&out, 4096);
	struct dns_answer *a = dns_answer_new(&q);
	dns_answer_authoritative(a);
	dns_answer_ip(a, NULL, &ip, 30);
	assert_int_equal(dns_answer_count(a), 1);
	assert_true(dns_answer_write(a, 512, &out));
	assert_int_equal(buf_len(&out),
			 sizeof(want) - 1); /* the name is compressed, its case kept */
	assert_memory_equal(buf_slice(&out).at, want, sizeof(want) - 1);
	dns_answer_free(a);
	buf_fini(&out);
}

static void every_record_can_be_written(void **state)
{
	(void)state;
	struct dns_query q;
	struct ip v4 = ip_v4(0xc6120007), v6;
	struct buf out;

	assert_true(ip_parse(SLICE("fd00::7"), &v6));
	ask(DNS_SRV, &q);
	buf_init(&out, 4096);
	struct dns_answer *a = dns_answer_new(&q);
	dns_answer_srv(a, "db.shop.svc.cluster.local", 3306, 100, 5);
	dns_answer_cname(a, NULL, "www.example.com", 5);
	dns_answer_ptr(a, "a.b", 5);
	dns_answer_ip(a, "db.shop.svc.cluster.local", &v6, 5);
	dns_answer_extra_ip(a, "db.shop.svc.cluster.local", &v4, 5);
	dns_answer_soa(a, "cluster.local", 7, 5, false);
	/* a label of 64 bytes cannot be: it is left out rather than sent broken */
	dns_answer_cname(a, NULL,
			 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b", 5);
	assert_true(dns_answer_write(a, 4096, &out));
	struct head h = head_of(buf_slice(&out));
	assert_int_equal(h.answers, 4);
	assert_int_equal(h.authority, 1);
	assert_int_equal(h.additional, 1);
	dns_answer_free(a);
	buf_fini(&out);
}

static void what_does_not_fit_is_cut(void **state)
{
	(void)state;
	struct dns_query q;
	struct buf out;

	ask(DNS_A, &q);
	buf_init(&out, 70000);
	struct dns_answer *a = dns_answer_new(&q);
	for (uint32_t i = 0; i < 500; i++) {
		struct ip ip = ip_v4(0xc6120000 + i);
		dns_answer_ip(a, NULL, &ip, 30);
		dns_answer_extra_ip(a, "x.y", &ip, 30);
	}
	assert_true(dns_answer_write(a, 65535, &out));
	struct head h = head_of(buf_slice(&out));
	assert_int_equal(h.answers, 500);
	assert_int_equal(h.additional, 500);
	buf_clear(&out);
	assert_true(dns_answer_write(a, 9000, &out)); /* without the additional records it fits */
	h = head_of(buf_slice(&out));
	assert_int_equal(h.flags & 0x0200, 0);
	assert_int_equal(h.answers, 500);
	assert_int_equal(h.additional, 0);
	buf_clear(&out);
	assert_true(dns_answer_write(a, 512, &out));
	h = head_of(buf_slice(&out));
	assert_true(buf_len(&out) <= 512);
	assert_int_equal(h.flags & 0x0200, 0x0200);
	assert_true(h.answers > 0 && h.answers < 500);
	dns_answer_free(a);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_queries),
		cmocka_unit_test(writes_an_address),
		cmocka_unit_test(every_record_can_be_written),
		cmocka_unit_test(what_does_not_fit_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
