#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dns/fixture.h"
#include "dns/heard.h"

#define T0 (1000 * NS_PER_S)

static struct ip ip_of(const char *text)
{
	struct ip ip;
	assert_true(ip_parse(slice_of(text), &ip));
	return ip;
}

/* What is heard of IP, the latest first, joined by spaces. */
static void expect(const struct dns_heard *h, const char *ip, uint64_t now_ns, const char *names)
{
	struct dns_heard_name found[DNS_HEARD_NAMES];
	struct ip at = ip_of(ip);
	char all[2048] = "";
	size_t n = dns_heard_find(h, &at, now_ns, found), len = 0;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(strlen(found[i].text), found[i].len);
		len += (size_t)snprintf(&all[len], sizeof(all) - len, "%s%s", i ? " " : "",
					found[i].text);
	}
	assert_string_equal(all, names);
}

static void put(struct dns_heard *h, const char *name, const char *ip, uint32_t ttl_s, uint64_t now)
{
	struct ip at = ip_of(ip);
	dns_heard_put(h, slice_of(name), &at, ttl_s, now);
}

static const struct {
	const char *rule;
	uint32_t ttl_s;
	unsigned holds_s;
} lives[] = {
	{"a usual one", 60, 60 + DNS_HEARD_GRACE_S},
	{"not at all", 0, DNS_HEARD_TTL_MIN_S + DNS_HEARD_GRACE_S},
	{"for a week", 604800, DNS_HEARD_TTL_MAX_S + DNS_HEARD_GRACE_S},
};

static void holds_for_the_ttl_and_a_while(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(lives); i++) {
		struct dns_heard *h = dns_heard_new();
		put(h, "db.example.com", "10.0.0.1", lives[i].ttl_s, T0);
		print_message("%s\n", lives[i].rule);
		expect(h, "10.0.0.1", T0 + lives[i].holds_s * NS_PER_S - 1, "db.example.com");
		expect(h, "10.0.0.1", T0 + lives[i].holds_s * NS_PER_S, "");
		dns_heard_free(h);
	}
}

static void several_names(void **state)
{
	(void)state;
	struct dns_heard *h = dns_heard_new();
	expect(NULL, "10.0.0.1", T0, "");
	put(h, "a.example.com", "10.0.0.1", 60, T0);
	put(h, "b.example.com", "10.0.0.1", 60, T0 + 1);
	put(h, "b.example.com", "2001:db8::1", 60, T0 + 1);
	expect(h, "10.0.0.1", T0 + 1, "b.example.com a.example.com");
	expect(h, "2001:db8::1", T0 + 1, "b.example.com");
	expect(h, "10.0.0.2", T0 + 1, "");
	/* Said once more: the latest, and it holds for longer. */
	put(h, "a.example.com", "10.0.0.1", 120, T0 + 2);
	expect(h, "10.0.0.1", T0 + 2, "a.example.com b.example.com");
	expect(h, "10.0.0.1", T0 + 2 + (60 + DNS_HEARD_GRACE_S) * NS_PER_S, "a.example.com");
	/* A shorter TTL takes nothing away. */
	put(h, "a.example.com", "10.0.0.1", 30, T0 + 3);
	expect(h, "10.0.0.1", T0 + (120 + DNS_HEARD_GRACE_S) * NS_PER_S, "a.example.com");
	/* A fifth name takes the place of the one that would have ended first. */
	put(h, "c.example.com", "10.0.0.1", 600, T0 + 4);
	put(h, "d.example.com", "10.0.0.1", 600, T0 + 5);
	put(h, "e.example.com", "10.0.0.1", 600, T0 + 6);
	expect(h, "10.0.0.1", T0 + 6, "e.example.com d.example.com c.example.com a.example.com");
	dns_heard_free(h);
}

static void longer_than_a_name(void **state)
{
	(void)state;
	char name[DNS_HEARD_NAME_MAX + 2];
	struct dns_heard *h = dns_heard_new();
	memset(name, 'a', sizeof(name));
	name[DNS_HEARD_NAME_MAX + 1] = '\0';
	put(h, name, "10.0.0.1", 60, T0);
	put(h, "", "10.0.0.1", 60, T0);
	expect(h, "10.0.0.1", T0, "");
	name[DNS_HEARD_NAME_MAX] = '\0';
	put(h, name, "10.0.0.1", 60, T0);
	expect(h, "10.0.0.1", T0, name);
	dns_heard_free(h);
}

static void of_an_answer(void **state)
{
	(void)state;
	struct test_message m;
	struct dns_query q;
	struct ip ip;
	struct dns_heard *h = dns_heard_new();
	test_query(&m, 1, DNS_FLAG_RD, "DB.example.com", DNS_A);
	assert_int_equal(dns_query_read(test_bytes(&m), &q), DNS_QUESTION);
	test_query(&m, 1, DNS_FLAG_QR, "DB.example.com", DNS_A);
	test_record(&m, DNS_ANSWER, DNS_CNAME, 60, SLICE("\1x\xc0\x0f"));
	test_record(&m, DNS_ANSWER, DNS_A, 60, SLICE("\x0a\0\0\1"));
	test_record(&m, DNS_ANSWER, DNS_A, 60, SLICE("\x0a\0\0\2"));
	test_record(&m, DNS_ANSWER, DNS_A, 60, SLICE("\x0a\0\0\2\2")); /* no address */
	test_record(&m, DNS_ADDITIONAL, DNS_A, 60, SLICE("\x0a\0\0\3"));
	dns_heard_answer(h, &q, test_bytes(&m), T0);
	expect(h, "10.0.0.1", T0, "db.example.com");
	expect(h, "10.0.0.2", T0, "db.example.com");
	expect(h, "10.0.0.3", T0, "");
	assert_true(dns_heard_ip(h, SLICE("Db.example.com"), T0, &ip));
	assert_false(dns_heard_ip(h, SLICE("db.example.org"), T0, &ip));
	assert_false(dns_heard_ip(NULL, SLICE("db.example.com"), T0, &ip));
	/* A refusal has no addresses, whatever stands in it. */
	test_query(&m, 1, DNS_FLAG_QR | DNS_NXDOMAIN, "DB.example.com", DNS_A);
	test_record(&m, DNS_ANSWER, DNS_A, 60, SLICE("\x0a\0\0\4"));
	dns_heard_answer(h, &q, test_bytes(&m), T0);
	expect(h, "10.0.0.4", T0, "");
	dns_heard_answer(h, &q, SLICE("\0\1"), T0);
	dns_heard_free(h);
}

/* What one server says pushes out what others said only so far. */
static void of_a_long_answer(void **state)
{
	enum { RECORDS = 200 };
	(void)state;
	size_t known = 0;
	struct test_message m;
	struct dns_query q;
	struct dns_heard_name names[DNS_HEARD_NAMES];
	struct dns_heard *h = dns_heard_new();
	test_query(&m, 1, DNS_FLAG_RD, "db.example.com", DNS_A);
	assert_int_equal(dns_query_read(test_bytes(&m), &q), DNS_QUESTION);
	test_query(&m, 1, DNS_FLAG_QR, "db.example.com", DNS_A);
	for (int i = 0; i < RECORDS; i++)
		test_record(&m, DNS_ANSWER, DNS_A, 3600,
			    (struct slice){(char[]){10, 1, 3, (char)i}, 4});
	dns_heard_answer(h, &q, test_bytes(&m), T0);
	for (unsigned i = 0; i < RECORDS; i++) {
		struct ip ip = ip_v4(0x0a010300 + i);
		size_t n = dns_heard_find(h, &ip, T0, names);
		known += n;
		if (i >= DNS_HEARD_OF_ANSWER)
			assert_int_equal(n, 0);
	}
	assert_true(known > DNS_HEARD_OF_ANSWER / 2); /* nearly all: five may meet in one place */
	dns_heard_free(h);
}

/* Names of one letter many times over, so that one put together of two shows. */
enum { LETTERS = 26, LONG = 200, LOOKS = 300000 };

static struct slice long_name(unsigned i, char out[LONG])
{
	memset(out, 'a' + (int)(i % LETTERS), LONG);
	return (struct slice){out, LONG};
}

struct reading {
	struct dns_heard *h;
	unsigned torn, missed;
	atomic_bool done;
};

static bool is_torn(const struct dns_heard_name *n)
{
	for (size_t i = 1; i < n->len; i++)
		if (n->text[i] != n->text[0])
			return true;
	return n->len != LONG;
}

static void *read_on(void *arg)
{
	struct reading *r = arg;
	struct dns_heard_name found[DNS_HEARD_NAMES];
	struct ip ip = ip_v4(1);
	for (unsigned looks = 0; looks < LOOKS; looks++) {
		size_t n = dns_heard_find(r->h, &ip, T0, found);
		bool stays = false;
		for (size_t i = 0; i < n; i++) {
			stays |= found[i].text[0] == 'Z';
			r->torn += is_torn(&found[i]);
		}
		r->missed += !stays;
	}
	atomic_store(&r->done, true);
	return NULL;
}

/* Whatever is written meanwhile, a reader finds whole names, and always the one that holds. */
static void while_it_is_written(void **state)
{
	(void)state;
	struct reading r = {.h = dns_heard_new()};
	struct ip ip = ip_v4(1);
	pthread_t thread;
	char name[LONG];
	memset(name, 'Z', LONG);
	dns_heard_put(r.h, (struct slice){name, LONG}, &ip, 3600, T0);
	assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
	for (unsigned i = 0; !atomic_load(&r.done); i++)
		dns_heard_put(r.h, long_name(i, name), &ip, 30, T0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.torn, 0);
	assert_int_equal(r.missed, 0);
	dns_heard_free(r.h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_for_the_ttl_and_a_while),
		cmocka_unit_test(several_names),
		cmocka_unit_test(longer_than_a_name),
		cmocka_unit_test(of_an_answer),
		cmocka_unit_test(of_a_long_answer),
		cmocka_unit_test(while_it_is_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
