#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "net/addr.h"

static struct ip ip_of(const char *text)
{
	struct ip ip;
	if (!ip_parse(slice_of(text), &ip))
		fail_msg("%s", text);
	return ip;
}

static void ips_are_parsed_and_written(void **state)
{
	(void)state; /* none */
	static const struct {
		const char *text, *again; /* NULL: refused */
		bool v4, loopback, any;
	} rows[] = {
		{"198.18.0.7", "198.18.0.7", true, false, false},
		{"127.0.0.1", "127.0.0.1", true, true, false},
		{"127.255.1.2", "127.255.1.2", true, true, false},
		{"0.0.0.0", "0.0.0.0", true, false, true},
		{"255.255.255.255", "255.255.255.255", true, false, false},
		{"fd00::7", "fd00::7", false, false, false},
		{"FD00:0:0::7", "fd00::7", false, false, false},
		{"::1", "::1", false, true, false},
		{"::", "::", false, false, true},
		{"::ffff:10.0.0.1", "10.0.0.1", true, false, false}, /* the same address */
		{"", NULL, false, false, false},
		{"1.2.3", NULL, false, false, false},
		{"1.2.3.256", NULL, false, false, false},
		{"1.2.3.4 ", NULL, false, false, false},
		{"01.2.3.4", NULL, false, false, false},
		{"fd00::7%eth0", NULL, false, false, false},
		{"[::1]", NULL, false, false, false},
		{"localhost", NULL, false, false, false},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL, false, false, false},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc", NULL, false, false,
		 false},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct ip ip;
		char text[ADDR_TEXT];
		if (ip_parse(slice_of(rows[i].text), &ip) != (rows[i].again != NULL))
			fail_msg("%s", rows[i].text);
		if (!rows[i].again)
			continue;
		assert_string_equal(ip_text(&ip, text), rows[i].again);
		assert_int_equal(ip_is_v4(&ip), rows[i].v4);
		assert_int_equal(ip_is_loopback(&ip), rows[i].loopback);
		assert_int_equal(ip_is_any(&ip), rows[i].any);
	}
	struct ip ip;
	assert_false(ip_parse(SLICE("1.2.3.4\0"), &ip)); /* a NUL does not end the text */
	struct slice cut = slice_sub(SLICE("1.2.3.45"), 0, 7);
	assert_true(ip_parse(cut, &ip)); /* and the slice does */
	assert_int_equal(ip_to_v4(&ip), 0x01020304);
}

static void ips_of_version_4_lie_in_version_6(void **state)
{
	(void)state; /* none */
	struct ip a = ip_v4(0xc6120007), b = ip_of("198.18.0.7"), c = ip_of("::ffff:198.18.0.7");
	assert_true(ip_eq(&a, &b) && ip_eq(&b, &c));
	assert_int_equal(ip_to_v4(&c), 0xc6120007);
	struct ip d = ip_of("198.18.0.8");
	assert_false(ip_eq(&a, &d));
}

static void ranges(void **state)
{
	(void)state; /* none */
	static const struct {
		const char *range, *in, *out; /* NULL range's IN: the range is refused */
	} rows[] = {
		{"198.18.0.0/16", "198.18.255.255", "198.19.0.0"},
		{"198.18.0.0/15", "198.19.255.255", "198.20.0.0"},
		{"198.18.3.4/16", "198.18.0.1", "198.17.0.1"}, /* host bits are cleared */
		{"10.0.0.1", "10.0.0.1", "10.0.0.2"},
		{"10.0.0.1/32", "10.0.0.1", "10.0.0.0"},
		{"10.0.0.0/31", "10.0.0.1", "10.0.0.2"},
		{"0.0.0.0/0", "255.1.2.3", "fd00::1"}, /* all of IPv4 and nothing else */
		{"0.0.0.0/1", "127.255.255.255", "128.0.0.0"},
		{"::/0", "fd00::1", NULL},
		{"fd00::/8", "fdff::1", "fc00::1"},
		{"fd00::7/128", "fd00::7", "fd00::8"},
		{"fd00::7", "fd00::7", "fd00::6"},
		{"10.0.0.0/33", NULL, NULL},
		{"fd00::/129", NULL, NULL},
		{"10.0.0.0/", NULL, NULL},
		{"10.0.0.0/x", NULL, NULL},
		{"10.0.0.0/-1", NULL, NULL},
		{"10.0.0/8", NULL, NULL},
		{"/8", NULL, NULL},
		{"", NULL, NULL},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct cidr c;
		if (cidr_parse(slice_of(rows[i].range), &c) != (rows[i].in != NULL))
			fail_msg("%s", rows[i].range);
		if (!rows[i].in)
			continue;
		struct cidr again;
		char text[ADDR_TEXT];
		assert_true(cidr_parse(slice_of(cidr_text(&c, text)), &again));
		if (!ip_eq(&again.ip, &c.ip) || again.bits != c.bits)
			fail_msg("%s is written as %s", rows[i].range, text);
		struct ip in = ip_of(rows[i].in);
		if (!cidr_has(&c, &in))
			fail_msg("%s has not %s", rows[i].range, rows[i].in);
		struct ip out = ip_of(rows[i].out ? rows[i].out : "::");
		if (rows[i].out && cidr_has(&c, &out))
			fail_msg("%s has %s", rows[i].range, rows[i].out);
	}
}

static void the_nth_of_a_range(void **state)
{
	(void)state; /* none */
	static const struct {
		const char *range;
		uint32_t n;
		const char *ip;
	} rows[] = {
		{"198.18.0.0/16", 0, "198.18.0.0"},
		{"198.18.0.0/16", 1, "198.18.0.1"},
		{"198.18.0.0/16", 256, "198.18.1.0"},
		{"198.18.0.0/16", 65535, "198.18.255.255"},
		{"fd00::/64", 0xffffffff, "fd00::ffff:ffff"},
		{"fd00::ff:ffff:ffff/128", 1, "fd00::100:0:0"},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct cidr c;
		assert_true(cidr_parse(slice_of(rows[i].range), &c));
		struct ip got = cidr_nth(&c, rows[i].n), want = ip_of(rows[i].ip);
		if (!ip_eq(&got, &want))
			fail_msg("%s, %u", rows[i].range, rows[i].n);
	}
}

static void addresses_are_parsed_and_written(void **state)
{
	(void)state; /* none */
	static const struct {
		const char *text, *again; /* NULL: refused */
		uint16_t port;
	} rows[] = {
		{"198.18.0.7:3307", "198.18.0.7:3307", 3307},
		{"[fd00::7]:3307", "[fd00::7]:3307", 3307},
		{"0.0.0.0:0", "0.0.0.0:0", 0},
		{"1.2.3.4:65535", "1.2.3.4:65535", 65535},
		{"1.2.3.4:65536", NULL, 0},
		{"1.2.3.4", NULL, 0},
		{"1.2.3.4:", NULL, 0},
		{":80", NULL, 0},
		{"fd00::7:80", NULL, 0}, /* brackets are required */
		{"[fd00::7]", NULL, 0},
		{"[fd00::7]80", NULL, 0},
		{"[fd00::7:80", NULL, 0},
		{"[]:80", NULL, 0},
		{"", NULL, 0},
		{"[", NULL, 0},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct addr a = {0};
		char text[ADDR_TEXT];
		if (addr_parse(slice_of(rows[i].text), &a) != (rows[i].again != NULL))
			fail_msg("%s", rows[i].text);
		if (!rows[i].again)
			continue;
		assert_string_equal(addr_text(&a, text), rows[i].again);
		assert_int_equal(a.port, rows[i].port);
		assert_int_equal(a.zero, 0);
	}
}

static void addresses_go_through_sockaddr(void **state)
{
	(void)state; /* none */
	static const char *const texts[] = {"198.18.0.7:3307", "[fd00::7]:1", "0.0.0.0:0",
					    "[::]:9"};
	for (size_t i = 0; i < N_ELEMS(texts); i++) {
		struct addr a, b;
		struct sockaddr_storage sa;
		assert_true(addr_parse(slice_of(texts[i]), &a));
		socklen_t len = addr_to_sockaddr(&a, &sa);
		assert_int_equal(len, sa.ss_family == AF_INET ? sizeof(struct sockaddr_in)
							      : sizeof(struct sockaddr_in6));
		b = addr_of(&sa);
		assert_true(addr_eq(&a, &b));
		assert_memory_equal(&a, &b, sizeof(a)); /* usable as a key of a table */
		b.port++;
		assert_false(addr_eq(&a, &b));
	}
	struct sockaddr_storage local = {.ss_family = AF_UNIX};
	struct addr none = addr_of(&local);
	assert_true(none.port == 0 && ip_is_any(&none.ip));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ips_are_parsed_and_written),
		cmocka_unit_test(ips_of_version_4_lie_in_version_6),
		cmocka_unit_test(ranges),
		cmocka_unit_test(the_nth_of_a_range),
		cmocka_unit_test(addresses_are_parsed_and_written),
		cmocka_unit_test(addresses_go_through_sockaddr),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
