/*
 * For unit tests only: DNS messages made by hand.
 *
 *   struct test_message m = test_query(0x1234, DNS_FLAG_RD, "db.shop", DNS_A);
 *   test_record(&m, DNS_ANSWER, DNS_A, 30, SLICE("\xc6\x12\x00\x07"));      // of the name that was asked
 *   ... (struct slice){m.at, m.len}
 *
 * Include <cmocka.h> and what it needs first.
 */
#pragma once
#include <string.h>

#include "dns/message.h"

struct test_message {
	char at[65536];
	size_t len;
};

static inline void test_put(struct test_message *m, struct slice bytes)
{
	assert_true(m->len + bytes.len <= sizeof(m->at));
	memcpy(&m->at[m->len], bytes.at, bytes.len);
	m->len += bytes.len;
}

static inline void test_u16(struct test_message *m, unsigned n)
{
	const char bytes[] = {(char)(n >> 8), (char)n};
	test_put(m, (struct slice){bytes, 2});
}

static inline void test_query(struct test_message *m, unsigned id, unsigned flags, const char *name,
			      unsigned type)
{
	char wire[DNS_NAME_WIRE];
	size_t len = dns_name_of_text(slice_of(name), wire);
	assert_true(len > 0);
	m->len = 0;
	test_u16(m, id);
	test_u16(m, flags);
	test_u16(m, 1);
	for (int i = 0; i < 3; i++)
		test_u16(m, 0);
	test_put(m, (struct slice){wire, len});
	test_u16(m, type);
	test_u16(m, DNS_CLASS_IN);
}

static inline void test_count(struct test_message *m, enum dns_section section)
{
	m->at[4 + 2 * section + 1]++; /* fewer than 256 */
}

/* Owned by the name that was asked. */
static inline void test_record(struct test_message *m, enum dns_section section, unsigned type,
			       unsigned ttl, struct slice rdata)
{
	test_count(m, section);
	test_u16(m, 0xc00c);
	test_u16(m, type);
	test_u16(m, DNS_CLASS_IN);
	test_u16(m, ttl >> 16);
	test_u16(m, ttl & 0xffff);
	test_u16(m, (unsigned)rdata.len);
	test_put(m, rdata);
}

/* An OPT record: class SIZE, the TTL's halves HIGH (extended RCODE, version) and LOW (DO). */
static inline void test_opt(struct test_message *m, unsigned size, unsigned high, unsigned low,
			    struct slice options)
{
	test_count(m, DNS_ADDITIONAL);
	test_put(m, (struct slice){"", 1});
	test_u16(m, DNS_TYPE_OPT);
	test_u16(m, size);
	test_u16(m, high);
	test_u16(m, low);
	test_u16(m, (unsigned)options.len);
	test_put(m, options);
}

static inline struct slice test_bytes(const struct test_message *m)
{
	return (struct slice){m->at, m->len};
}
