/* What a view's builder keeps of names that ServiceEntries need: no more than there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/view.h"

struct world {
	struct view_builder *b;
	struct view *v;
};

static void next(struct world *w)
{
	view_put(w->v);
	w->v = view_build(w->b, NULL);
}

/* A ServiceEntry NAME of HOST whose endpoints are the names A and B; "" for none. */
static void put(struct world *w, const char *name, const char *host, const char *a, const char *b)
{
	char json[1024];
	struct err err = {0};
	(void)snprintf(
		json, sizeof(json),
		"{\"metadata\":{\"name\":\"%s\",\"namespace\":\"shop\"},\"spec\":{\"hosts\":["
		"\"%s\"],\"resolution\":\"DNS\",\"ports\":[{\"number\":80,\"name\":\"a\"}],"
		"\"endpoints\":[%s%s%s%s%s%s%s]}}",
		name, host, *a ? "{\"address\":\"" : "", a, *a ? "\"}" : "", *b ? "," : "",
		*b ? "{\"address\":\"" : "", b, *b ? "\"}" : "");
	if (!view_builder_set_json(w->b, KIND_SERVICE_ENTRY, slice_of(json), &err))
		fail_msg("%s: %s", json, err.text);
}

static void resolves(struct world *w, const char *name, const char *ip)
{
	struct ip ips[1];
	assert_true(ip_parse(slice_of(ip), &ips[0]));
	view_builder_set_addresses(w->b, name, ips, 1);
}

static size_t n_endpoints(const struct world *w, const char *host)
{
	const struct view_service *s = view_entry_by_host(w->v, slice_of(host));
	assert_non_null(s);
	return s->ports[0].n_endpoints;
}

/* However many entries come and go. */
static void nothing_stays_behind(void **state)
{
	(void)state;
	struct world w = {view_builder_new("shop", "web-1"), NULL};
	for (int i = 0; i < 300; i++) {
		char name[32], host[64], a[64], b[64];
		(void)snprintf(name, sizeof(name), "e%d", i % 3);
		(void)snprintf(host, sizeof(host), "host-%d.example.com", i % 6);
		(void)snprintf(a, sizeof(a), "a-%d.example.com", i);
		(void)snprintf(b, sizeof(b), "b-%d.example.com", i);
		put(&w, name, host, a, i % 2 ? b : "");
		next(&w);
		resolves(&w, a, "10.0.0.1");
		next(&w);
		assert_int_equal(n_endpoints(&w, host), 1);
		view_builder_forget_addresses(w.b, a);
		next(&w);
		assert_int_equal(n_endpoints(&w, host), 0);
		assert_in_range(view_builder_n_names(w.b), 1, 3 * 2);
	}
	for (int i = 0; i < 3; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "e%d", i);
		view_builder_remove(w.b, KIND_SERVICE_ENTRY, "shop", name);
	}
	next(&w);
	assert_int_equal(view_builder_n_names(w.b), 0);
	view_put(w.v);
	view_builder_free(w.b);
}

/* A name of several hosts lives with the last of them, and one that is known until it is forgotten. */
static void shared_names(void **state)
{
	(void)state;
	struct world w = {view_builder_new("shop", "web-1"), NULL};
	put(&w, "e1", "one.example.com", "lb.example.com", "");
	put(&w, "e2", "two.example.com", "lb.example.com", "other.example.com");
	put(&w, "e3", "lb.example.com", "", ""); /* needs itself: nothing is kept for that */
	next(&w);
	assert_int_equal(view_builder_n_names(w.b), 2);
	resolves(&w, "lb.example.com", "10.0.0.1");
	next(&w);
	assert_int_equal(n_endpoints(&w, "one.example.com"), 1);
	assert_int_equal(n_endpoints(&w, "two.example.com"), 1);
	assert_int_equal(n_endpoints(&w, "lb.example.com"), 1);
	view_builder_remove(w.b, KIND_SERVICE_ENTRY, "shop", "e2");
	next(&w);
	assert_int_equal(view_builder_n_names(w.b), 1);
	view_builder_forget_addresses(w.b, "lb.example.com");
	next(&w);
	assert_int_equal(view_builder_n_names(w.b), 1); /* the first one still needs it */
	assert_int_equal(n_endpoints(&w, "one.example.com"), 0);
	assert_int_equal(n_endpoints(&w, "lb.example.com"), 0);
	put(&w, "e1", "one.example.com", "other.example.com", ""); /* now it needs another */
	next(&w);
	assert_int_equal(view_builder_n_names(w.b), 1);
	resolves(&w, "lb.example.com", "10.0.0.2");
	view_builder_remove(w.b, KIND_SERVICE_ENTRY, "shop", "e1");
	view_builder_remove(w.b, KIND_SERVICE_ENTRY, "shop", "e3");
	next(&w);
	assert_int_equal(view_builder_n_names(w.b), 1); /* known: whoever told it forgets it */
	view_builder_forget_addresses(w.b, "lb.example.com");
	view_builder_forget_addresses(w.b, "lb.example.com");
	assert_int_equal(view_builder_n_names(w.b), 0);
	view_put(w.v);
	view_builder_free(w.b);
}

/* As many names and ports as one entry may have: each name is there once, each port has all of them. */
static void many_names_and_ports(void **state)
{
	enum { NAMES = 4096, PORTS = 16 };
	(void)state;
	struct world w = {view_builder_new("shop", "web-1"), NULL};
	struct buf json;
	struct err err = {0};
	buf_init(&json, 1 << 20);
	assert_true(buf_puts(&json,
			     "{\"metadata\":{\"name\":\"e\",\"namespace\":\"shop\"},\"spec\":"
			     "{\"hosts\":[\"db.example.com\"],\"resolution\":\"DNS\","
			     "\"ports\":["));
	for (int i = 0; i < PORTS; i++)
		assert_true(buf_printf(&json, "%s{\"number\":%d,\"name\":\"p%d\"}", i ? "," : "",
				       1000 + i, i));
	assert_true(buf_puts(&json, "],\"endpoints\":["));
	for (int i = 0; i < NAMES; i++) /* one of them twice */
		assert_true(buf_printf(&json, "%s{\"address\":\"n%d.example.com\"}", i ? "," : "",
				       i == 77 ? 5 : i));
	assert_true(buf_puts(&json, "]}}"));
	if (!view_builder_set_json(w.b, KIND_SERVICE_ENTRY, buf_slice(&json), &err))
		fail_msg("%s", err.text);
	buf_fini(&json);
	for (int i = 0; i < NAMES; i++) {
		char name[64], ip[32];
		(void)snprintf(name, sizeof(name), "n%d.example.com", i);
		(void)snprintf(ip, sizeof(ip), "10.1.%d.%d", i / 200, i % 200 + 1);
		resolves(&w, name, ip);
	}
	next(&w);
	const struct view_service *s = view_entry_by_host(w.v, SLICE("db.example.com"));
	assert_non_null(s);
	assert_int_equal(s->entry->n_names, NAMES - 1);
	assert_int_equal(s->n_ports, PORTS);
	for (size_t i = 0; i < PORTS; i++) {
		assert_int_equal(s->ports[i].n_endpoints, NAMES - 1);
		assert_int_equal(s->ports[i].endpoints[NAMES - 2].at.port, 1000 + i);
		assert_false(view_port_waits(&s->ports[i]));
	}
	view_put(w.v);
	view_builder_free(w.b);
}

/* Many have a host in common: each of their ports has the endpoints of those alone that declare it, however much all of
 * them together might have been. */
static void many_entries_of_one_host(void **state)
{
	enum { ENTRIES = 80, PORTS = 256, ENDPOINTS = 4096 };
	(void)state;
	struct world w = {view_builder_new("shop", "web-1"), NULL};
	struct err err = {0};
	for (unsigned i = 0; i <= ENTRIES; i++) { /* the last one alone has endpoints */
		struct buf json;
		buf_init(&json, 1 << 20);
		assert_true(buf_printf(&json,
				       "{\"metadata\":{\"name\":\"e%u\",\"namespace\":\"shop\"},"
				       "\"spec\":{\"hosts\":[\"db.example.com\"],"
				       "\"resolution\":\"STATIC\",\"ports\":[",
				       i));
		for (unsigned k = 0; k < (i < ENTRIES ? PORTS : 1); k++)
			assert_true(buf_printf(&json, "%s{\"number\":%u,\"name\":\"p%u\"}",
					       k ? "," : "", 1 + i * PORTS + k, k));
		assert_true(buf_puts(&json, "],\"endpoints\":["));
		for (unsigned k = 0; i == ENTRIES && k < ENDPOINTS; k++)
			assert_true(buf_printf(&json, "%s{\"address\":\"10.1.%u.%u\"}",
					       k ? "," : "", k / 256, k % 256));
		assert_true(buf_puts(&json, "]}}"));
		if (!view_builder_set_json(w.b, KIND_SERVICE_ENTRY, buf_slice(&json), &err))
			fail_msg("%s", err.text);
		buf_fini(&json);
	}
	next(&w);
	const struct view_service *s = view_entry_by_host(w.v, SLICE("db.example.com"));
	assert_non_null(s);
	assert_int_equal(s->n_ports, ENTRIES * PORTS + 1);
	for (size_t i = 0; i < s->n_ports; i++)
		assert_int_equal(s->ports[i].n_endpoints,
				 s->ports[i].port->port == 1 + ENTRIES * PORTS ? ENDPOINTS : 0);
	view_put(w.v);
	view_builder_free(w.b);
}

/* From an API server that lets it pass: the entry stays as it was, the others are not touched. */
static void an_entry_too_large(void **state)
{
	(void)state;
	struct world w = {view_builder_new("shop", "web-1"), NULL};
	struct buf json;
	struct err err = {0};
	put(&w, "e1", "one.example.com", "a.example.com", "");
	put(&w, "e2", "two.example.com", "a.example.com", "");
	resolves(&w, "a.example.com", "10.0.0.1");
	buf_init(&json, 1 << 20);
	assert_true(buf_puts(&json,
			     "{\"metadata\":{\"name\":\"e1\",\"namespace\":\"shop\"},\"spec\":"
			     "{\"hosts\":[\"one.example.com\"],\"resolution\":\"STATIC\","
			     "\"ports\":[{\"number\":80,\"name\":\"a\"}],\"endpoints\":[{}"));
	for (int i = 0; i < 4096; i++)
		assert_true(buf_printf(&json, ",{\"address\":\"10.1.%d.%d\"}", i / 256, i % 256));
	assert_true(buf_puts(&json, "]}}"));
	assert_false(view_builder_set_json(w.b, KIND_SERVICE_ENTRY, buf_slice(&json), &err));
	assert_string_equal(err.text, "spec.endpoints: has more than 4096 items");
	next(&w);
	assert_int_equal(n_endpoints(&w, "one.example.com"), 1);
	assert_int_equal(n_endpoints(&w, "two.example.com"), 1);
	buf_fini(&json);
	view_put(w.v);
	view_builder_free(w.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_stays_behind), cmocka_unit_test(shared_names),
		cmocka_unit_test(many_names_and_ports), cmocka_unit_test(many_entries_of_one_host),
		cmocka_unit_test(an_entry_too_large),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
