#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "proxy/sources.h"

static void a_source_is_remembered(void **state)
{
	(void)state;
	struct tls_sources *t = mem_new(sizeof(*t));
	struct ip one = ip_v4(0x0a000001), other = ip_v4(0x0a000002);
	assert_false(tls_sources_has(t, &one));
	tls_sources_add(t, &one);
	assert_true(tls_sources_has(t, &one));
	assert_false(tls_sources_has(t, &other));
	free(t);
}

static void many_sources_do_not_grow_it(void **state)
{
	(void)state;
	struct tls_sources *t = mem_new(sizeof(*t));
	for (uint32_t i = 0; i < 100 * TLS_SOURCES_SLOTS; i++) {
		struct ip ip = ip_v4(i);
		tls_sources_add(t, &ip);
		assert_true(tls_sources_has(t, &ip)); /* the newest one always is there */
	}
	free(t);
}

static const struct mesh_config limits = {
	.early_per_source = 2, .early_per_destination = 3, .early_per_worker = 4};

static void each_budget_holds(void **state)
{
	(void)state;
	struct early_budget b = {0};
	struct live_port p = {0}, q = {0};
	struct ip one = ip_v4(1), other = ip_v4(2);
	assert_true(early_take(&b, &limits, &one, &p));
	assert_true(early_take(&b, &limits, &one, &p));
	assert_false(early_take(&b, &limits, &one, &q)); /* the source's */
	assert_true(early_take(&b, &limits, &other, &p));
	assert_false(early_take(&b, &limits, &other, &p)); /* the destination's */
	assert_true(early_take(&b, &limits, NULL, &q));
	assert_false(early_take(&b, &limits, NULL, NULL)); /* the worker's */
	early_release(&b, NULL, &q);
	early_release(&b, &other, &p);
	early_release(&b, &one, &p);
	early_release(&b, &one, &p);
	assert_int_equal(b.n, 0);
	assert_null(b.by_source);
	assert_int_equal(p.early, 0);
	assert_int_equal(q.early, 0);
}

static void a_budget_of_nothing_allows_nothing(void **state)
{
	(void)state;
	struct early_budget b = {0};
	struct ip one = ip_v4(1);
	struct mesh_config none = limits;
	none.early_per_source = 0;
	assert_false(early_take(&b, &none, &one, NULL));
	assert_true(early_take(&b, &none, NULL, NULL));
	none.early_per_worker = 0;
	early_release(&b, NULL, NULL);
	assert_false(early_take(&b, &none, NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_is_remembered),
		cmocka_unit_test(many_sources_do_not_grow_it),
		cmocka_unit_test(each_budget_holds),
		cmocka_unit_test(a_budget_of_nothing_allows_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
