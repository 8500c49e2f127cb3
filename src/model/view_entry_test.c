/* Hosts of ServiceEntries in a view: addresses, ports, endpoints, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/view_fixture.h"

static const char *range_host(const struct view *v, const char *text)
{
	struct addr a = at(text);
	const struct view_port *p = view_port_by_range(v, &a);
	return p ? p->service->host : NULL;
}

/* "10.1.1.1:5 10.1.1.2:5" behind port NUMBER of HOST */
static const char *endpoints(const struct view *v, const char *host, uint16_t number)
{
	static char text[512];
	char one[ADDR_TEXT];
	const struct view_service *s = view_entry_by_host(v, slice_of(host));
	assert_non_null(s);
	text[0] = '\0';
	for (size_t i = 0; i < s->n_ports; i++)
		for (size_t k = 0; s->ports[i].port->port == number && k < s->ports[i].n_endpoints;
		     k++)
			(void)snprintf(&text[strlen(text)], sizeof(text) - strlen(text), "%s%s",
				       text[0] ? " " : "",
				       addr_text(&s->ports[i].endpoints[k].at, one));
	return text;
}

static void addresses(void **state)
{
	(void)state;
	struct view *v = test_view(
		"shop", "web-1",
		SE("a", "shop",
		   "01") "  hosts: [a.example.com]\n  addresses: [10.1.0.1, 10.2.0.0/16, "
			 "'fd00::/64']\n"
			 "  ports: [{number: 80, name: a}]\n" SE(
				 "b", "shop",
				 "02") "  hosts: [b.example.com]\n  addresses: [10.1.0.1, "
				       "10.2.3.0/24]\n"
				       "  ports: [{number: 80, name: a}, {number: 81, name: b}]\n");
	assert_string_equal(vip_host(v, "10.1.0.1:80"), "a.example.com"); /* the oldest */
	assert_string_equal(vip_host(v, "10.1.0.1:81"), "b.example.com"); /* ports are divided */
	assert_null(vip_host(v, "10.1.0.1:82"));
	assert_null(vip_host(v, "10.2.0.0:80")); /* a range is no address */
	assert_string_equal(range_host(v, "10.2.9.9:80"), "a.example.com");
	assert_string_equal(range_host(v, "10.2.3.9:80"), "b.example.com"); /* the longest prefix */
	assert_string_equal(range_host(v, "10.2.3.9:81"), "b.example.com");
	assert_null(range_host(v, "10.2.9.9:81")); /* never another port */
	assert_null(range_host(v, "10.3.0.1:80"));
	assert_string_equal(range_host(v, "[fd00::5]:80"), "a.example.com");
	view_put(v);
}

/* Istio takes addresses as hosts, too. */
static void a_host_that_is_an_address(void **state)
{
	(void)state;
	struct view *v = test_view("shop", "web-1",
				   SE("a", "shop", "01") "  hosts: [10.1.0.1, a.example.com]\n"
							 "  resolution: DNS\n"
							 "  ports: [{number: 80, name: a}]\n");
	assert_string_equal(vip_host(v, "10.1.0.1:80"), "10.1.0.1");
	view_put(v);
	struct object entry = {.service_entry =
				       &(struct service_entry){.resolution = RESOLUTION_DNS}};
	assert_false(entry_wants_vip(&entry, "10.1.0.1"));
	assert_true(entry_wants_vip(&entry, "a.example.com"));
}

static void ranges_of_everything(void **state)
{
	(void)state;
	struct view *v = test_view("shop", "web-1",
				   SE("a", "shop", "01") "  hosts: [a.example.com]\n"
							 "  addresses: ['::/0']\n"
							 "  ports: [{number: 80, name: a}]\n");
	assert_string_equal(range_host(v, "[fd00::5]:80"), "a.example.com");
	assert_null(range_host(v, "10.1.0.1:80")); /* the other family */
	view_put(v);
	v = test_view("shop", "web-1",
		      SE("a", "shop", "01") "  hosts: [a.example.com]\n"
					    "  addresses: ['0.0.0.0/0']\n"
					    "  ports: [{number: 80, name: a}]\n");
	assert_string_equal(range_host(v, "10.1.0.1:80"), "a.example.com");
	assert_null(range_host(v, "[fd00::5]:80"));
	view_put(v);
}

/* Without an address it takes nobody else's. */
static void no_address(void **state)
{
	(void)state;
	struct ip ips[4];
	size_t n = 9;
	struct view *v = test_view(
		"shop", "web-1",
		SE("a", "shop", "01") "  hosts: [a.example.com, '*.example.org']\n"
				      "  ports: [{number: 80, name: a, protocol: TCP}]\n");
	assert_null(vip_host(v, "10.1.0.1:80"));
	assert_null(vip_host(v, "0.0.0.0:80"));
	assert_null(range_host(v, "10.1.0.1:80"));
	assert_false(view_host_ips(v, SLICE("a.example.com"), IP_V4, ips, 4, &n));
	assert_false(view_host_ips(v, SLICE("x.example.org"), IP_V4, ips, 4, &n));
	view_put(v);
}

static void kubernetes_first(void **state)
{
	(void)state;
	struct view *v = test_view(
		"shop", "web-1",
		SE("a", "shop",
		   "01") "  hosts: [db.shop.svc.cluster.local]\n  addresses: [10.9.0.1]\n"
			 "  ports: [{number: 80, name: a}]\n"
			 "---\napiVersion: v1\nkind: Service\n" META(
				 "db", "shop",
				 "02") "spec: {clusterIP: 10.9.0.2, ports: [{port: 80}]}\n");
	assert_null(vip_host(v, "10.9.0.1:80"));
	assert_string_equal(vip_host(v, "10.9.0.2:80"), "db.shop.svc.cluster.local");
	assert_null(view_entry_by_host(v, SLICE("db.shop.svc.cluster.local")));
	view_put(v);
}

static void given_addresses(void **state)
{
	(void)state;
	struct ip ips[4];
	size_t n = 0;
	struct view *v = test_view(
		"shop", "web-1",
		SE("a", "shop",
		   "01") "  hosts: [a.example.com]\n  resolution: DNS\n"
			 "  ports: [{number: 80, name: a}]\n"
			 "status:\n  addresses:\n  - {value: 240.240.0.1, host: a.example.com}\n"
			 "  - {value: '2001:2::1', host: a.example.com}\n"
			 "  - {value: 240.240.0.9, host: gone.example.com}\n" SE(
				 "w", "shop", "02") "  hosts: ['*.example.com', "
						    "'*.b.example.com']\n  addresses: [10.9.0.3]\n"
						    "  ports: [{number: 80, name: a}]\n");
	assert_string_equal(vip_host(v, "240.240.0.1:80"), "a.example.com");
	assert_string_equal(vip_host(v, "[2001:2::1]:80"), "a.example.com");
	assert_null(vip_host(v, "240.240.0.9:80"));
	assert_true(view_host_ips(v, SLICE("a.example.com"), IP_V4, ips, 4, &n));
	assert_int_equal(n, 1);
	assert_int_equal(ip_to_v4(&ips[0]), 0xf0f00001);
	assert_true(view_host_ips(v, SLICE("a.example.com"), IP_V6, ips, 4, &n));
	assert_int_equal(n, 1);
	assert_true(view_host_ips(v, SLICE("z.example.com"), IP_V4, ips, 4, &n));
	assert_int_equal(ip_to_v4(&ips[0]), 0x0a090003);
	assert_true(view_host_ips(v, SLICE("z.example.com"), IP_V6, ips, 4, &n)); /* known, but */
	assert_int_equal(n, 0);
	assert_false(view_host_ips(v, SLICE("example.com"), IP_V4, ips, 4, &n));
	assert_false(view_host_ips(v, SLICE("other.org"), IP_V4, ips, 4, &n));
	const struct view_entry *e = view_entry_by_host(v, SLICE("a.example.com"))->entry;
	assert_true(e->given);
	assert_non_null(e->other);
	assert_null(view_entry_by_host(v, SLICE("*.example.com"))->entry->other);
	view_put(v);
}

static void endpoints_of_all_kinds(void **state)
{
	(void)state;
	struct view *v = test_view(
		"shop", "web-1",
		SE("a", "shop",
		   "01") "  hosts: [a.example.com]\n  resolution: STATIC\n"
			 "  ports: [{number: 80, name: a, targetPort: 81}, {number: 90, name: b}]\n"
			 "  endpoints: [{address: 10.1.1.1}, {address: 'fd00::1'}, {address: "
			 "10.1.1.2, ports: {a: 82}}]\n"
		/* another one with the host: together */
		SE("b", "shop",
		   "02") "  hosts: [a.example.com]\n  resolution: STATIC\n"
			 "  ports: [{number: 80, name: x}]\n  endpoints: [{address: "
			 "10.1.1.3}]\n" SE(
				 "c", "shop",
				 "03") "  hosts: [c.example.com]\n  resolution: STATIC\n  "
				       "location: MESH_INTERNAL\n"
				       "  ports: [{number: 80, name: a, targetPort: 81}]\n"
				       "  workloadSelector: {labels: {tier: db, from: here}}\n"
				       "---\napiVersion: networking.istio.io/v1\nkind: "
				       "WorkloadEntry\n"
				       "metadata: {name: vm, namespace: shop, labels: {tier: db}}\n"
				       "spec: {address: 10.1.2.1, ports: {a: 85}, labels: {from: "
				       "here, tier: other}, serviceAccount: sql}\n"
				       "---\napiVersion: networking.istio.io/v1\nkind: "
				       "WorkloadEntry\n"
				       "metadata: {name: no, namespace: shop, labels: {tier: "
				       "db}}\nspec: {address: 10.1.2.2}\n"
				       "---\napiVersion: networking.istio.io/v1\nkind: "
				       "WorkloadEntry\n"
				       "metadata: {name: far, namespace: far, labels: {tier: db, "
				       "from: here}}\nspec: {address: 10.1.2.3}\n"
				       "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, "
				       "namespace: shop, labels: {tier: db, from: here}}\n"
				       "spec: {containers: [{name: c}]}\nstatus: {phase: Running, "
				       "podIP: 10.1.2.4, conditions: [{type: Ready, status: "
				       "'True'}]}\n"
				       "---\napiVersion: v1\nkind: Pod\nmetadata: {name: q, "
				       "namespace: shop, labels: {tier: db, from: here}}\n"
				       "spec: {containers: [{name: c}]}\nstatus: {phase: Running, "
				       "podIP: 10.1.2.5, conditions: [{type: Ready, status: "
				       "'False'}]}\n");
	assert_string_equal(endpoints(v, "a.example.com", 80),
			    "10.1.1.1:81 10.1.1.2:82 10.1.1.3:80 [fd00::1]:81");
	assert_string_equal(endpoints(v, "a.example.com", 90),
			    "10.1.1.1:90 10.1.1.2:90 [fd00::1]:90");
	assert_string_equal(endpoints(v, "c.example.com", 80), "10.1.2.4:81 10.1.2.1:85");
	const struct view_port *p = view_entry_by_host(v, SLICE("c.example.com"))->ports;
	assert_null(p->endpoints[0].peer); /* a Pod says for itself who it is */
	assert_true(p->endpoints[1].peer->mesh_tls);
	assert_string_equal(p->endpoints[1].peer->service_account, "sql");
	view_put(v);
}

static void add(struct view_builder *b, enum kind kind, const char *json)
{
	struct err err = {0};
	if (!view_builder_set_json(b, kind, slice_of(json), &err))
		fail_msg("%s: %s", json, err.text);
}

/* "a b": the names that servers of Service shop/db may have, as of now */
static const char *names_of(struct view_builder *b)
{
	static char text[256];
	struct view *v = view_build(b, NULL);
	const struct view_service *s = view_service_by_name(v, "shop", "db");
	assert_non_null(s);
	assert_null(view_entry_by_host(v, SLICE("db.shop.svc.cluster.local")));
	text[0] = '\0';
	for (const char *const *name = s->subject_alt_names; *name; name++)
		(void)snprintf(&text[strlen(text)], sizeof(text) - strlen(text), "%s%s",
			       text[0] ? " " : "", *name);
	view_put(v);
	return text;
}

#define DECORATES(name, ns, san)                                                                   \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns                                 \
	"\"},\"spec\":{\"hosts\":[\"db.shop.svc.cluster.local\"],\"ports\":[{\"number\":1,"        \
	"\"name\":\"a\"}],\"subjectAltNames\":[\"" san "\"]}}"

/* An entry whose host is a Service of Kubernetes says who its servers may be, and nothing else; strangers
 * have no say. It comes and goes. */
static void decorates_a_service(void **state)
{
	(void)state;
	struct view_builder *b = view_builder_new("web", "x");
	add(b, KIND_SERVICE,
	    "{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\"},\"spec\":{\"clusterIP\":"
	    "\"10.9.0.1\",\"ports\":[{\"port\":80}]}}");
	assert_string_equal(names_of(b), "");
	add(b, KIND_SERVICE_ENTRY, DECORATES("e", "shop", "one"));
	assert_string_equal(names_of(b), "one");
	add(b, KIND_SERVICE_ENTRY, DECORATES("e", "web", "two"));
	add(b, KIND_SERVICE_ENTRY, DECORATES("e", "stranger", "three"));
	assert_non_null(strstr(names_of(b), "one"));
	assert_non_null(strstr(names_of(b), "two"));
	assert_null(strstr(names_of(b), "three"));
	add(b, KIND_SERVICE_ENTRY, DECORATES("e", "web", "four"));
	view_builder_remove(b, KIND_SERVICE_ENTRY, "shop", "e");
	assert_string_equal(names_of(b), "four");
	view_builder_remove(b, KIND_SERVICE_ENTRY, "web", "e");
	assert_string_equal(names_of(b), "");
	view_builder_free(b);
}

/* Endpoints of Service shop/db's first port, with what is said of who they are */
static const char *behind_service(struct view_builder *b)
{
	static char text[512];
	char one[ADDR_TEXT];
	struct view *v = view_build(b, NULL);
	const struct view_port *p = view_service_by_name(v, "shop", "db")->ports;
	text[0] = '\0';
	for (size_t i = 0; i < p->n_endpoints; i++)
		(void)snprintf(&text[strlen(text)], sizeof(text) - strlen(text), "%s%s%s%s",
			       text[0] ? " " : "", addr_text(&p->endpoints[i].at, one),
			       p->endpoints[i].peer ? "/" : "",
			       p->endpoints[i].peer ? p->endpoints[i].peer->service_account : "");
	assert_int_equal(p->weight_upto != NULL, strstr(text, "10.2.0.3") != NULL);
	view_put(v);
	return text;
}

#define MACHINE(name, ns, labels, spec)                                                            \
	"{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns "\",\"labels\":{" labels        \
	"}},\"spec\":{" spec "}}"

/* A Service's selector takes WorkloadEntries of its namespace as well, as they come and go. */
static void machines_behind_a_service(void **state)
{
	(void)state;
	struct view_builder *b = view_builder_new("web", "x");
	add(b, KIND_SERVICE,
	    "{\"metadata\":{\"name\":\"db\",\"namespace\":\"shop\"},\"spec\":{\"clusterIP\":"
	    "\"10.9.0.1\",\"selector\":{\"app\":\"db\"},\"ports\":[{\"name\":\"sql\",\"port\":80,"
	    "\"targetPort\":81}]}}");
	add(b, KIND_ENDPOINT_SLICE,
	    "{\"metadata\":{\"name\":\"db-a\",\"namespace\":\"shop\",\"labels\":{\"kubernetes.io/"
	    "service-name\":\"db\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"sql\","
	    "\"port\":81}],\"endpoints\":[{\"addresses\":[\"10.1.0.1\"],\"conditions\":{\"ready\":"
	    "true}}]}");
	add(b, KIND_WORKLOAD_ENTRY,
	    MACHINE("one", "shop", "\"app\":\"db\"",
		    "\"address\":\"10.2.0.1\",\"serviceAccount\":\"sql\""));
	add(b, KIND_WORKLOAD_ENTRY,
	    MACHINE("far", "far", "\"app\":\"db\"", "\"address\":\"10.2.0.9\""));
	assert_string_equal(behind_service(b), "10.1.0.1:81 10.2.0.1:81/sql");
	add(b, KIND_WORKLOAD_ENTRY,
	    MACHINE("two", "shop", "",
		    "\"address\":\"fd00::2\",\"labels\":{\"app\":\"db\"},\"ports\":{\"sql\":90}"));
	assert_string_equal(behind_service(b), "10.1.0.1:81 10.2.0.1:81/sql [fd00::2]:90");
	add(b, KIND_WORKLOAD_ENTRY,
	    MACHINE("two", "shop", "",
		    "\"address\":\"10.2.0.3\",\"labels\":{\"app\":\"db\"},\"weight\":4"));
	assert_string_equal(behind_service(b), "10.1.0.1:81 10.2.0.1:81/sql 10.2.0.3:81");
	add(b, KIND_WORKLOAD_ENTRY,
	    MACHINE("two", "shop", "\"app\":\"other\"",
		    "\"address\":\"10.2.0.3\",\"labels\":{\"app\":\"db\"}"));
	view_builder_remove(b, KIND_WORKLOAD_ENTRY, "shop", "one");
	assert_string_equal(behind_service(b), "10.1.0.1:81");
	view_builder_free(b);
}

#define WEIGHED(name, rows)                                                                        \
	SE(name, "shop", "01")                                                                     \
	"  hosts: [" name                                                                          \
	".example.com]\n  resolution: STATIC\n  ports: [{number: 80, name: a}]\n"                  \
	"  endpoints: [" rows "]\n"

/* Unsaid, and zero, are one; where all are the same there is nothing to weigh. */
static void weights(void **state)
{
	(void)state;
	struct view *v = test_view(
		"shop", "web-1",
		WEIGHED("a", "{address: 10.1.1.1, weight: 3}, {address: 'fd00::1', weight: 5}, "
			     "{address: 10.1.1.2}, {address: 'fd00::2', weight: 0}")
			WEIGHED("b", "{address: 10.1.1.1, weight: 1}, {address: 10.1.1.2}"));
	const struct view_port *p = view_entry_by_host(v, SLICE("a.example.com"))->ports;
	static const uint64_t sums[] = {3, 4, 5, 6};
	assert_int_equal(p->n_endpoints, 4);
	assert_int_equal(p->n_v4, 2);
	assert_memory_equal(p->weight_upto, sums, sizeof(sums));
	assert_null(view_entry_by_host(v, SLICE("b.example.com"))->ports->weight_upto);
	view_put(v);
}

static const struct {
	const char *word;
	enum protocol protocol;
	enum protocol_why why;
} protocols[] = {
	{"", PROTO_AUTO, WHY_UNDECLARED}, /* no name and no number speaks */
	{", protocol: MySQL", PROTO_MYSQL, WHY_ENTRY},
	{", protocol: tcp", PROTO_TCP, WHY_ENTRY},
	{", protocol: HTTP", PROTO_HTTP, WHY_ENTRY},
	{", protocol: mysql-x", PROTO_AUTO, WHY_ENTRY_UNKNOWN},
};

static void declared(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(protocols); i++) {
		char text[512];
		(void)snprintf(text, sizeof(text),
			       SE("a", "shop", "01") "  hosts: [a.example.com]\n"
						     "  ports: [{number: 3306, name: http-x%s}, "
						     "{number: 53, name: u, protocol: UDP}]\n",
			       protocols[i].word);
		struct view *v = test_view("shop", "web-1", text);
		const struct view_service *s = view_entry_by_host(v, SLICE("a.example.com"));
		assert_int_equal(s->n_ports, 1); /* UDP is none */
		assert_int_equal(s->ports[0].protocol, protocols[i].protocol);
		assert_int_equal(s->ports[0].why, protocols[i].why);
		view_put(v);
	}
}

/* Names */

struct naming {
	struct view_builder *b;
	struct view *v;
};

static void put(struct naming *n, enum kind kind, const char *json)
{
	struct err err = {0};
	if (!view_builder_set_json(n->b, kind, slice_of(json), &err))
		fail_msg("%s", err.text);
}

static void next(struct naming *n)
{
	view_put(n->v);
	n->v = view_build(n->b, NULL);
}

static void resolves(struct naming *n, const char *name, const char *a, const char *b)
{
	struct ip ips[2];
	size_t count = 0;
	if (a)
		assert_true(ip_parse(slice_of(a), &ips[count++]));
	if (b)
		assert_true(ip_parse(slice_of(b), &ips[count++]));
	view_builder_set_addresses(n->b, name, ips, count);
	next(n);
}

#define ENTRY(name, rest)                                                                          \
	"{\"metadata\":{\"name\":\"" name                                                          \
	"\",\"namespace\":\"shop\"},\"spec\":{\"ports\":[{\"number\":80,\"name\":\"a\"}]," rest    \
	"}}"

static const struct view_port *port(const struct naming *n, const char *host)
{
	return view_entry_by_host(n->v, slice_of(host))->ports;
}

static void names(void **state)
{
	(void)state;
	struct naming n = {view_builder_new("shop", "web-1"), NULL};
	put(&n, KIND_SERVICE_ENTRY, ENTRY("a", "\"hosts\":[\"a.b\"],\"resolution\":\"DNS\""));
	put(&n, KIND_SERVICE_ENTRY,
	    ENTRY("c", "\"hosts\":[\"c.d\"],\"resolution\":\"DNS\",\"endpoints\":[{\"address\":\"a."
		       "b\"},{\"address\":\"x.y\"},{\"address\":\"10.0.0.9\"}]"));
	put(&n, KIND_SERVICE_ENTRY,
	    ENTRY("r", "\"hosts\":[\"r.s\"],\"resolution\":\"DNS_ROUND_ROBIN\""));
	next(&n);
	assert_true(view_port_waits(port(&n, "a.b")));
	assert_string_equal(port(&n, "a.b")->service->entry->names[0].host, "a.b");
	assert_false(view_port_waits(port(&n, "c.d"))); /* one needs no name */
	assert_int_equal(port(&n, "c.d")->service->entry->n_names, 2);

	struct view *old = view_get(n.v);
	resolves(&n, "a.b", "10.0.0.1", "10.0.0.2");
	assert_string_equal(endpoints(n.v, "a.b", 80), "10.0.0.1:80 10.0.0.2:80");
	assert_string_equal(endpoints(n.v, "c.d", 80), "10.0.0.1:80 10.0.0.2:80 10.0.0.9:80");
	assert_string_equal(endpoints(old, "a.b", 80), ""); /* a view never changes */
	view_put(old);
	resolves(&n, "r.s", "10.0.0.1", "10.0.0.2");
	assert_string_equal(endpoints(n.v, "r.s", 80), "10.0.0.1:80"); /* the first alone */
	resolves(&n, "a.b", "10.0.0.3", NULL);
	assert_string_equal(endpoints(n.v, "a.b", 80), "10.0.0.3:80");
	assert_string_equal(endpoints(n.v, "c.d", 80), "10.0.0.3:80 10.0.0.9:80");
	resolves(&n, "a.b", NULL, NULL);
	assert_string_equal(endpoints(n.v, "a.b", 80), "");
	assert_false(view_port_waits(port(&n, "a.b"))); /* there is none: nothing to wait for */
	view_builder_forget_addresses(n.b, "a.b");
	next(&n);
	assert_true(view_port_waits(port(&n, "a.b")));
	view_builder_remove(n.b, KIND_SERVICE_ENTRY, "shop", "a");
	next(&n);
	assert_null(view_entry_by_host(n.v, SLICE("a.b")));
	resolves(&n, "a.b", "10.0.0.4", NULL); /* others still use it */
	assert_string_equal(endpoints(n.v, "c.d", 80), "10.0.0.4:80 10.0.0.9:80");
	view_put(n.v);
	view_builder_free(n.b);
}

/* The own Pod has no IPv6: such addresses are none to it. */
static void families(void **state)
{
	(void)state;
	struct naming n = {view_builder_new("shop", "web-1"), NULL};
	put(&n, KIND_POD,
	    "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"shop\"},\"spec\":{\"containers\":[{"
	    "\"name\":\"c\"}]},\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\"}}");
	put(&n, KIND_SERVICE_ENTRY, ENTRY("a", "\"hosts\":[\"a.b\"],\"resolution\":\"DNS\""));
	next(&n);
	resolves(&n, "a.b", "fd00::1", "10.0.0.2");
	assert_string_equal(endpoints(n.v, "a.b", 80), "10.0.0.2:80");
	view_put(n.v);
	view_builder_free(n.b);
}
/* Nobody may write that; a file that hark only looks at, or an older API, may hold it all the same. */
static void endpoints_beside_selector(void **state)
{
	(void)state;
	struct view *v = test_view("shop", "web-1",
				   SE("a", "shop", "01") "  hosts: [a.example.com]\n"
							 "  resolution: DNS\n"
							 "  ports: [{number: 80, name: a}]\n"
							 "  workloadSelector: {labels: {app: a}}\n"
							 "  endpoints: [{address: x.example.com}, "
							 "{address: y.example.com}]\n");
	const struct view_service *s = view_entry_by_host(v, SLICE("a.example.com"));
	assert_non_null(s);
	assert_int_equal(s->entry->n_names, 2);
	assert_string_equal(s->entry->names[1].host, "y.example.com");
	view_put(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(a_host_that_is_an_address),
		cmocka_unit_test(ranges_of_everything),
		cmocka_unit_test(no_address),
		cmocka_unit_test(kubernetes_first),
		cmocka_unit_test(given_addresses),
		cmocka_unit_test(endpoints_of_all_kinds),
		cmocka_unit_test(weights),
		cmocka_unit_test(decorates_a_service),
		cmocka_unit_test(machines_behind_a_service),
		cmocka_unit_test(endpoints_beside_selector),
		cmocka_unit_test(declared),
		cmocka_unit_test(names),
		cmocka_unit_test(families),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
