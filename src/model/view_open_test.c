/* Hosts of ServiceEntries that no address tells: which they are, on which ports, and which of them a name is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/view_fixture.h"

#define ENTRY(name, ns, second, spec)                                                              \
	"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " name      \
	", namespace: " ns ", creationTimestamp: '2026-01-01T00:00:" second "Z'}\n"                \
	"spec: {" spec "}\n"
#define GIVEN "status: {addresses: [{value: 240.240.0.1, host: a.example}]}\n"
#define NO_DNS                                                                                     \
	"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n" \
	"data: {mesh: 'defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"false\"}}'}\n"
#define PORT(number, protocol) "ports: [{number: " number ", name: p" protocol "}]"
#define TLS PORT("1", ", protocol: TLS")
#define TCP PORT("1", ", protocol: TCP")
#define NONE "hosts: [a.example], resolution: NONE, "
#define DNS "hosts: [a.example], resolution: DNS, "

static const struct {
	const char *rule, *yaml;
	const char *port; /* of port 1: "named", "any" and "nameless" with whose; "" for none */
} ports[] = {
	{"nothing", "", ""},
	{"a name tells", ENTRY("a", "shop", "01", NONE TLS), "named"},
	{"HTTP, too", ENTRY("a", "shop", "01", NONE PORT("1", ", protocol: GRPC")), "named"},
	{"bytes of any address", ENTRY("a", "shop", "01", NONE TCP), "any a"},
	{"nothing declared", ENTRY("a", "shop", "01", NONE PORT("1", "")), "named nameless a"},
	{"another port", ENTRY("a", "shop", "01", NONE PORT("2", "")), ""},
	{"an address tells", ENTRY("a", "shop", "01", NONE "addresses: [10.0.0.1], " TLS), ""},
	{"a range tells", ENTRY("a", "shop", "01", NONE "addresses: [10.0.0.0/8], " TLS), ""},
	{"so does a virtual IP", ENTRY("a", "shop", "01", DNS TLS) GIVEN, ""},
	{"unless nobody hears of it", NO_DNS ENTRY("a", "shop", "01", DNS TLS) GIVEN, "named"},
	{"a star that has endpoints",
	 ENTRY("a", "shop", "01",
	       "hosts: ['*.a.example'], resolution: STATIC, endpoints: [{address: "
	       "10.0.0.1}], " TCP),
	 ""},
	{"the oldest",
	 ENTRY("b", "shop", "02", "hosts: [b.example], " TCP) ENTRY("a", "shop", "01", NONE TCP)
		 ENTRY("c", "shop", "03", "hosts: [c.example], " TLS),
	 "named any a"},
	{"not what others may not know", ENTRY("a", "far", "01", NONE "exportTo: [.], " TLS), ""},
	{"nor what the Sidecar has for another port",
	 ENTRY("a", "shop", "01",
	       NONE TLS) "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\n"
			 "metadata: {name: s, namespace: shop}\nspec: {egress: [{port: {number: 1, "
			 "protocol: TLS, name: "
			 "a}, hosts: ['./b.example']}, {hosts: ['*/*']}]}\n",
	 ""},
	{"what they may", ENTRY("a", "far", "01", NONE "exportTo: [shop], " TLS), "named"},
};

static void port_text(const struct open_port *p, char *out, size_t out_len)
{
	const struct view_port *any = p ? p->any : NULL, *nameless = p ? p->nameless : NULL;
	(void)snprintf(out, out_len, "%s%s%s%s%s", p && p->named ? "named" : "",
		       any ? (p->named ? " any " : "any ") : "",
		       any ? any->service->object->meta.name : "", nameless ? " nameless " : "",
		       nameless ? nameless->service->object->meta.name : "");
}

static void what_a_port_takes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(ports); i++) {
		char text[64];
		struct view *v = test_view("shop", "web-1", ports[i].yaml);
		const struct open_port *p = view_open_port(v, 1);
		port_text(p, text, sizeof(text));
		if (strcmp(text, ports[i].port) != 0)
			fail_msg("%s: \"%s\"", ports[i].rule, text);
		view_put(v);
	}
}

static const char *host_of(const struct view *v, const char *name, uint16_t number)
{
	const struct view_port *p = view_open_host(v, slice_of(name), number);
	return p ? p->service->host : "";
}

static void which_a_name_is(void **state)
{
	(void)state;
	struct view *v = test_view(
		"shop", "web-1",
		ENTRY("a", "shop", "01", "hosts: ['*.example', '*.b.example', x.b.example], " TLS)
			ENTRY("b", "shop", "02",
			      "hosts: [y.b.example], addresses: [10.0.0.1], " TLS)
				ENTRY("c", "shop", "03",
				      "hosts: ['*.c.b.example'], " PORT("2", "")));
	assert_string_equal(host_of(v, "x.b.example", 1), "x.b.example");
	assert_string_equal(host_of(v, "X.B.Example.", 1), "x.b.example");
	assert_string_equal(host_of(v, "z.b.example", 1), "*.b.example");
	assert_string_equal(host_of(v, "b.example", 1), "*.example");
	assert_string_equal(host_of(v, "example", 1), "");
	assert_string_equal(host_of(v, "", 1), "");
	assert_string_equal(host_of(v, ".", 1), "");
	assert_string_equal(host_of(v, "z.b.example", 3), "");
	assert_string_equal(host_of(v, "y.b.example", 1),
			    "*.b.example"); /* that one has an address */
	assert_string_equal(host_of(v, "z.c.b.example", 1),
			    "*.b.example"); /* it has another port */
	assert_string_equal(host_of(v, "z.c.b.example", 2), "*.c.b.example");
	assert_string_equal(host_of(v, "z.c.b.example", 0), "*.c.b.example"); /* any */
	view_put(v);
}

/* Each view has the ports of its own hosts, whatever changes behind it. */
static void changes(void **state)
{
	(void)state;
	struct err err = {0};
	struct view_builder *b = view_builder_new("shop", "web-1");
	struct slice json =
		SLICE("{\"metadata\":{\"name\":\"a\",\"namespace\":\"shop\"},\"spec\":{"
		      "\"hosts\":[\"a.example\"],\"ports\":[{\"number\":1,\"name\":\"p\"}]}}");
	struct view *none = view_build(b, NULL);
	assert_true(view_builder_set_json(b, KIND_SERVICE_ENTRY, json, &err));
	struct view *one = view_build(b, NULL), *same = view_build(b, NULL);
	view_builder_remove(b, KIND_SERVICE_ENTRY, "shop", "a");
	struct view *gone = view_build(b, NULL);
	view_builder_free(b);
	assert_null(view_open_port(none, 1));
	assert_null(view_open_port(gone, 1));
	assert_string_equal(host_of(gone, "a.example", 1), "");
	view_put(none);
	view_put(gone);
	view_put(one);
	assert_string_equal(view_open_port(same, 1)->nameless->service->host, "a.example");
	assert_string_equal(host_of(same, "a.example", 1), "a.example");
	view_put(same);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_port_takes),
		cmocka_unit_test(which_a_name_is),
		cmocka_unit_test(changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
