#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dns/fixture.h"

static const char a_record[] = "\xc6\x12\x00\x07";

static void made(struct test_message *m)
{
	test_query(m, 0x1234, DNS_FLAG_QR | DNS_FLAG_RD, "Db.shop", DNS_A);
	test_record(m, DNS_ANSWER, DNS_A, 30, (struct slice){a_record, 4});
	test_record(m, DNS_AUTHORITY, DNS_NS, 60, SLICE("\x01n\xc0\x0f"));
	test_opt(m, 1232, 0, 0x8000, SLICE(""));
}

static void walks_a_message(void **state)
{
	(void)state;
	struct test_message m;
	struct dns_walk w;
	struct dns_question q;
	struct dns_record rr;
	made(&m);
	assert_true(dns_walk_start(&w, test_bytes(&m)));
	assert_int_equal(w.id, 0x1234);
	assert_true(dns_walk_question(&w, &q));
	assert_int_equal(q.type, DNS_A);
	assert_int_equal(q.name.len, 9);
	assert_false(dns_walk_question(&w, &q));
	assert_true(dns_walk_record(&w, &rr));
	assert_int_equal(rr.section, DNS_ANSWER);
	assert_int_equal(rr.ttl, 30);
	assert_int_equal((unsigned char)m.at[rr.ttl_at + 3], 30);
	assert_memory_equal(rr.rdata.at, a_record, 4);
	assert_false(rr.of_root);
	assert_true(dns_walk_record(&w, &rr));
	assert_int_equal(rr.section, DNS_AUTHORITY);
	assert_true(dns_walk_record(&w, &rr));
	assert_int_equal(rr.section, DNS_ADDITIONAL);
	assert_true(rr.of_root);
	assert_int_equal(rr.class, 1232);
	assert_false(dns_walk_record(&w, &rr));
	assert_false(w.r.bad);
}

/* Wherever it is cut, the walk says so, and reads nothing behind the end. */
static void a_cut_message_is_bad(void **state)
{
	(void)state;
	struct test_message m;
	made(&m);
	for (size_t len = 0; len < m.len; len++) {
		char *copy = mem_new(len + 1);
		struct dns_walk w;
		struct dns_question q;
		struct dns_record rr;
		memcpy(copy, m.at, len);
		bool bad = !dns_walk_start(&w, (struct slice){copy, len}) ||
			   !dns_walk_question(&w, &q);
		while (!bad && dns_walk_record(&w, &rr))
			;
		assert_true(bad || w.r.bad);
		free(copy);
	}
}

static const struct {
	const char *rule;
	struct slice owner;
} bad_owners[] = {
	{"a pointer to itself", SLICE("\xc0\x19")},       {"a pointer forwards", SLICE("\xc0\xf0")},
	{"a pointer into the header", SLICE("\xc0\x02")}, {"a label of 64", SLICE("\x40")},
	{"of an unknown form", SLICE("\x80\x01")},
};

static void owners_that_cannot_be(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(bad_owners); i++) {
		struct test_message m;
		struct dns_walk w;
		struct dns_question q;
		struct dns_record rr;
		print_message("%s\n", bad_owners[i].rule);
		test_query(&m, 1, DNS_FLAG_QR, "db.shop", DNS_A);
		test_count(&m, DNS_ANSWER);
		test_put(&m, bad_owners[i].owner);
		test_put(&m, SLICE("\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x01\x02\x03\x04"));
		assert_true(dns_walk_start(&w, test_bytes(&m)) && dns_walk_question(&w, &q));
		assert_false(dns_walk_record(&w, &rr));
		assert_true(w.r.bad);
	}
}

static void names(void **state)
{
	(void)state;
	char out[DNS_NAME_WIRE], long_name[300];
	assert_int_equal(dns_name_of_text(SLICE("db.shop"), out), 9);
	assert_memory_equal(out,
			    "\x02"
			    "db"
			    "\x04"
			    "shop",
			    9);
	assert_int_equal(dns_name_of_text(SLICE("a..b"), out), 0);
	memset(long_name, 'a', sizeof(long_name));
	assert_int_equal(dns_name_of_text((struct slice){long_name, 64}, out), 0);
	for (size_t i = 1; i < sizeof(long_name); i += 2)
		long_name[i] = '.';
	assert_int_equal(dns_name_of_text((struct slice){long_name, 253}, out), 255);
	assert_int_equal(dns_name_of_text((struct slice){long_name, 255}, out), 0);
	assert_true(dns_name_eq(SLICE("\x02"
				      "dB"),
				SLICE("\x02"
				      "Db")));
	/* a zero byte within a label ends nothing */
	assert_false(dns_name_eq(SLICE("\x03"
				       "a\0b"),
				 SLICE("\x03"
				       "a\0c")));
}

static const struct {
	const char *rule;
	unsigned id, flags;
	const char *name;
	unsigned type;
	bool record_missing, is_answer;
} answers[] = {
	{"the answer", 7, DNS_FLAG_QR, "db.SHOP", DNS_A, false, true},
	{"another ID", 8, DNS_FLAG_QR, "db.shop", DNS_A, false, false},
	{"another name", 7, DNS_FLAG_QR, "dc.shop", DNS_A, false, false},
	{"another type", 7, DNS_FLAG_QR, "db.shop", DNS_AAAA, false, false},
	{"a question", 7, 0, "db.shop", DNS_A, false, false},
	{"another opcode", 7, DNS_FLAG_QR | 0x2800, "db.shop", DNS_A, false, false},
	{"broken off", 7, DNS_FLAG_QR, "db.shop", DNS_A, true, false},
	{"broken off, and it says so", 7, DNS_FLAG_QR | DNS_FLAG_TC, "db.shop", DNS_A, true, true},
};

static void tells_answers(void **state)
{
	(void)state;
	struct test_message query, m;
	test_query(&query, 7, DNS_FLAG_RD, "db.shop", DNS_A);
	for (size_t i = 0; i < N_ELEMS(answers); i++) {
		print_message("%s\n", answers[i].rule);
		test_query(&m, answers[i].id, answers[i].flags, answers[i].name, answers[i].type);
		if (answers[i].record_missing)
			test_count(&m, DNS_ANSWER);
		assert_int_equal(dns_answers(test_bytes(&m), test_bytes(&query), 7),
				 answers[i].is_answer);
	}
}

static void a_refusal_needs_no_question(void **state)
{
	(void)state;
	struct test_message query;
	test_query(&query, 7, DNS_FLAG_RD, "db.shop", DNS_A);
	assert_true(dns_answers(SLICE("\0\x07\x80\x01\0\0\0\0\0\0\0\0"), test_bytes(&query), 7));
	assert_false(dns_answers(SLICE("\0\x07\x80\x00\0\0\0\0\0\0\0\0"), test_bytes(&query), 7));
	assert_false(dns_answers(SLICE("\0\x07\x80\x03\0\0\0\0\0\0\0\0"), test_bytes(&query), 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_a_message),
		cmocka_unit_test(a_cut_message_is_bad),
		cmocka_unit_test(owners_that_cannot_be),
		cmocka_unit_test(names),
		cmocka_unit_test(tells_answers),
		cmocka_unit_test(a_refusal_needs_no_question),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
