#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "local/ip_pool.h"

static struct ip_pool *pool(const char *cidr, uint32_t n_reserved)
{
	struct cidr c;
	assert_true(cidr_parse(slice_of(cidr), &c));
	return ip_pool_new(&c, n_reserved);
}

static void is_ip(const struct ip *got, const char *want)
{
	char text[ADDR_TEXT];
	assert_string_equal(ip_text(got, text), want);
}

static struct ip ip(const char *text)
{
	struct ip out;
	assert_true(ip_parse(slice_of(text), &out));
	return out;
}

static void goes_round_and_ends(void **state)
{
	(void)state;
	struct ip_pool *p = pool("10.0.0.0/29", 2);
	struct ip got;
	static const char *const want[] = {"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5",
					   "10.0.0.6"};
	for (size_t i = 0; i < N_ELEMS(want); i++) {
		assert_true(ip_pool_take(p, IP_POOL_NEXT, &got));
		is_ip(&got, want[i]);
	}
	assert_false(ip_pool_take(p, IP_POOL_NEXT, &got)); /* .7 is the broadcast address */
	struct ip back = ip("10.0.0.4");
	ip_pool_release(p, &back);
	assert_true(ip_pool_take(p, IP_POOL_NEXT, &got));
	is_ip(&got, "10.0.0.4");
	ip_pool_free(p);
}

/* Reserved ones, and what is given back twice, make it neither larger nor smaller. */
static void it_knows_how_many_are_left(void **state)
{
	(void)state;
	struct ip_pool *p = pool("10.0.0.0/29", 2);
	struct ip got, reserved = ip("10.0.0.1"), back = ip("10.0.0.5");
	assert_int_equal(ip_pool_claim(p, &reserved), IP_POOL_CLAIMED);
	for (int i = 0; i < 5; i++)
		assert_true(ip_pool_take(p, 1, &got));
	assert_false(ip_pool_take(p, 1, &got));
	ip_pool_release(p, &reserved);
	assert_false(ip_pool_take(p, 1, &got));
	ip_pool_release(p, &back);
	ip_pool_release(p, &back);
	assert_true(ip_pool_take(p, 1, &got));
	is_ip(&got, "10.0.0.5");
	assert_false(ip_pool_take(p, 1, &got));
	ip_pool_free(p);
}

static void an_address_rests_before_it_is_given_again(void **state)
{
	(void)state;
	struct ip_pool *p = pool("10.0.0.0/24", 1);
	struct ip got;
	assert_true(ip_pool_take(p, IP_POOL_NEXT, &got));
	ip_pool_release(p, &got);
	assert_true(ip_pool_take(p, IP_POOL_NEXT, &got));
	is_ip(&got, "10.0.0.2");
	ip_pool_free(p);
}

static void a_hint_gives_the_same_again(void **state)
{
	(void)state;
	struct ip_pool *p = pool("10.0.0.0/24", 16);
	struct ip first, second;
	assert_true(ip_pool_take(p, 0x12345678, &first));
	assert_true(ip_pool_take(p, 0x12345678, &second));
	assert_false(ip_eq(&first, &second));
	ip_pool_release(p, &first);
	assert_true(ip_pool_take(p, 0x12345678, &second));
	assert_true(ip_eq(&first, &second));
	ip_pool_free(p);
}

static void a_wide_range_is_used_at_its_start(void **state)
{
	(void)state;
	struct ip_pool *p = pool("fd00:1::/64", 256);
	struct ip got, far = ip("fd00:1::1:0:7"), other = ip("fd00:2::107"), near = ip("fd00:1::a");
	assert_true(ip_pool_take(p, IP_POOL_NEXT, &got));
	is_ip(&got, "fd00:1::100");
	assert_int_equal(ip_pool_claim(p, &got), IP_POOL_TAKEN);
	assert_int_equal(ip_pool_claim(p, &far), IP_POOL_OUTSIDE);
	assert_int_equal(ip_pool_claim(p, &other), IP_POOL_OUTSIDE);
	assert_int_equal(ip_pool_claim(p, &near), IP_POOL_CLAIMED); /* reserved for who asks */
	assert_int_equal(ip_pool_claim(p, &near), IP_POOL_TAKEN);
	ip_pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_round_and_ends),
		cmocka_unit_test(it_knows_how_many_are_left),
		cmocka_unit_test(an_address_rests_before_it_is_given_again),
		cmocka_unit_test(a_hint_gives_the_same_again),
		cmocka_unit_test(a_wide_range_is_used_at_its_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
