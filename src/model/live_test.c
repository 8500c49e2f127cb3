#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "model/live.h"

struct sum {
	unsigned n;
	const char *service;
};

static void count(void *ctx, enum live_side side, const char *service, uint16_t port,
		  const struct live_port *p)
{
	struct sum *sum = ctx;
	sum->n++;
	sum->service = service;
	assert_int_equal(side, LIVE_OUTBOUND);
	assert_int_equal(port, 3307);
	assert_non_null(p);
}

static void ports(void **state)
{
	(void)state;
	struct live *l = live_new();
	struct live_port *a = live_port_get(l, LIVE_OUTBOUND, "shop/db", 3307);
	struct live_port *again = live_port_get(l, LIVE_OUTBOUND, "shop/db", 3307);
	struct live_port *inbound = live_port_get(l, LIVE_INBOUND, "shop/db", 3307);
	struct live_port *other = live_port_get(l, LIVE_OUTBOUND, "shop/db", 3308);
	assert_ptr_equal(a, again);
	assert_ptr_not_equal(a, inbound);
	assert_ptr_not_equal(a, other);
	live_port_put(again);
	atomic_store(&a->server_first, 3);
	live_sweep(l, 0); /* whoever is held stays, however many */
	live_port_put(a);
	live_port_put(inbound);
	live_port_put(other);
	live_sweep(l, 10);
	struct sum sum = {0};
	live_ports(l, count, &sum);
	assert_int_equal(sum.n, 1);
	assert_string_equal(sum.service, "shop/db");
	a = live_port_get(l, LIVE_OUTBOUND, "shop/db", 3307);
	assert_int_equal(atomic_load(&a->server_first), 3);
	live_free(l); /* the cell outlives the registry */
	assert_int_equal(atomic_load(&a->server_first), 3);
	live_port_put(a);
}

static void endpoints(void **state)
{
	(void)state;
	struct live *l = live_new();
	struct addr at;
	assert_true(addr_parse(SLICE("10.0.0.1:3307"), &at));
	struct live_endpoint *e = live_endpoint_get(l, &at);
	atomic_store(&e->avoid_until_ns, clock_ns() + 3600 * NS_PER_S);
	live_endpoint_put(e);
	live_sweep(l, 10); /* still to be avoided: remembered */
	struct live_endpoint *again = live_endpoint_get(l, &at);
	assert_true(atomic_load(&again->avoid_until_ns) > 0);
	atomic_store(&again->avoid_until_ns, 0);
	live_endpoint_put(again);
	live_sweep(l, 10);
	again = live_endpoint_get(l, &at);
	assert_int_equal(atomic_load(&again->avoid_until_ns), 0);
	live_endpoint_put(again);
	live_free(l);
}

/* What a worker says of a socket is there for every later view, until nobody wants it. */
static void sockets(void **state)
{
	(void)state;
	struct live *l = live_new();
	struct addr at;
	assert_true(addr_parse(SLICE("127.0.0.1:3307"), &at));
	struct live_socket *view = live_socket_get(l, &at), *worker = live_socket_share(view);
	atomic_store(&worker->open, 1);
	live_socket_put(view);
	live_sweep(l, 10); /* the worker still has it */
	view = live_socket_get(l, &at);
	assert_ptr_equal(view, worker);
	assert_int_equal(atomic_load(&view->open), 1);
	live_socket_put(view);
	live_socket_put(worker);
	live_sweep(l, 10);
	view = live_socket_get(l, &at);
	assert_int_equal(atomic_load(&view->open), 0);
	live_free(l); /* the cell outlives the registry */
	assert_int_equal(atomic_load(&view->error), 0);
	live_socket_put(view);
}

static void oldest_go(void **state)
{
	(void)state;
	struct live *l = live_new();
	for (uint16_t i = 1; i <= 5; i++) {
		struct live_port *p = live_port_get(l, LIVE_OUTBOUND, "shop/db", i);
		atomic_store(&p->client_http, i);
		live_port_put(p);
	}
	live_port_put(live_port_get(l, LIVE_OUTBOUND, "shop/db", 1)); /* asked for again */
	live_sweep(l, 2);
	struct live_port *one = live_port_get(l, LIVE_OUTBOUND, "shop/db", 1);
	struct live_port *five = live_port_get(l, LIVE_OUTBOUND, "shop/db", 5);
	struct live_port *four = live_port_get(l, LIVE_OUTBOUND, "shop/db", 4);
	assert_int_equal(atomic_load(&one->client_http), 1);
	assert_int_equal(atomic_load(&five->client_http), 5);
	assert_int_equal(atomic_load(&four->client_http), 0);
	live_port_put(one);
	live_port_put(five);
	live_port_put(four);
	live_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports),
		cmocka_unit_test(endpoints),
		cmocka_unit_test(sockets),
		cmocka_unit_test(oldest_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
