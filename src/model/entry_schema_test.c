/* What is said of ServiceEntries, WorkloadEntries and Sidecars that people write: one wrong thing per row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "model/manifest.h"

#define HEAD(kind)                                                                                 \
	"apiVersion: networking.istio.io/v1\nkind: " kind                                          \
	"\nmetadata: {name: a}\nspec:\n" /* 1 to 4 */
#define SE HEAD("ServiceEntry")
#define HOST SE "  hosts: [db.example.com]\n"         /* 5 */
#define PORT HOST "  ports: [{number: 1, name: a}]\n" /* 6 */

/* clang-format off */
static const struct {
	const char *rule, *yaml;
	const char *told; /* all of it */
} cases[] = {
	{"all of it", SE "  hosts: [DB.example.com, '*.example.org']\n  addresses: [10.1.0.0/16, 'fd00::7']\n"
		"  ports: [{number: 3306, name: mysql, protocol: MYSQL, targetPort: 3307}, {number: 80, name: b}]\n"
		"  location: MESH_INTERNAL\n  resolution: STATIC\n"
		"  endpoints: [{address: 10.2.0.1, ports: {mysql: 4000}, labels: {a: b}, network: n, locality: r/z, weight: 2, serviceAccount: db}]\n"
		"  exportTo: [., far]\n  subjectAltNames: ['spiffe://a/b']\n", ""},
	{"older versions", "apiVersion: networking.istio.io/v1alpha3\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {hosts: [a.b], ports: [{number: 1, name: a}]}\n", ""},
	{"no hosts", SE "  ports: [{number: 1, name: a}]\n", "f:4: spec.hosts: is required\n"},
	{"an empty list of hosts", SE "  hosts: []\n", "f:5: spec.hosts: names no host\n"},
	{"a star alone", SE "  hosts: ['*']\n", "f:5: spec.hosts[0]: \"*\" alone is no host\n"},
	{"a star inside", SE "  hosts: [a.*.b]\n", "f:5: spec.hosts[0]: expected a host name, or one that begins with \"*.\", got string \"a.*.b\"\n"},
	{"no ports", HOST, "f:4: spec.ports: is required: a ServiceEntry needs a port\n"},
	{"a port without a name", HOST "  ports: [{number: 1}]\n", "f:6: spec.ports[0].name: is required\n"},
	{"a number twice", HOST "  ports: [{number: 1, name: a}, {number: 1, name: b}]\n", "f:6: spec.ports[1].number: 1 is also ports[0]\n"},
	{"a name twice", HOST "  ports: [{number: 1, name: a}, {number: 2, name: a}]\n", "f:6: spec.ports[1].name: \"a\" is also ports[0]\n"},
	{"a protocol that nobody knows", HOST "  ports: [{number: 1, name: a, protocol: mysq}]\n",
		"f:6: spec.ports[0].protocol: \"mysq\" is no protocol that is known: leave it out, and both ends are listened to\n"},
	{"no address", PORT "  addresses: [db]\n", "f:7: spec.addresses[0]: expected an IP address or a range like \"10.1.0.0/16\", got string \"db\"\n"},
	{"a range that is resolved", PORT "  resolution: DNS\n  addresses: [10.0.0.0/8]\n", "f:8: spec.addresses[0]: a range needs resolution NONE or STATIC\n"},
	{"one address as a range", PORT "  resolution: DNS\n  addresses: [10.0.0.1/32]\n", ""},
	{"selector and endpoints", PORT "  resolution: STATIC\n  workloadSelector: {labels: {a: b}}\n  endpoints: [{address: 1.2.3.4}]\n",
		"f:9: spec.endpoints: cannot stand beside workloadSelector\n"},
	{"a selector of nothing", PORT "  workloadSelector: {}\n", "f:7: spec.workloadSelector.labels: names no label: nothing would be selected\n"},
	{"a selector with a star", PORT "  workloadSelector: {labels: {a: '*'}}\n", "f:7: spec.workloadSelector.labels.a: a selector has no wildcards\n"},
	{"NONE with endpoints", PORT "  endpoints: [{address: 1.2.3.4}]\n", "f:7: spec.endpoints: resolution NONE has no endpoints\n"},
	{"two in turn", PORT "  resolution: DNS_ROUND_ROBIN\n  endpoints: [{address: a.b}, {address: c.d}]\n",
		"f:8: spec.endpoints: resolution DNS_ROUND_ROBIN has at most one endpoint\n"},
	{"a star that is resolved", SE "  hosts: ['*.a']\n  ports: [{number: 1, name: a}]\n  resolution: DNS\n",
		"f:5: spec.hosts[0]: a host with a star cannot be resolved: give endpoints, or resolution NONE\n"},
	{"a name that is static", PORT "  resolution: STATIC\n  endpoints: [{address: a.b}]\n",
		"f:8: spec.endpoints[0].address: STATIC takes IP addresses: a host name needs resolution DNS\n"},
	{"an endpoint's port of nobody", PORT "  resolution: STATIC\n  endpoints:\n  - address: 1.2.3.4\n    ports: {b: 5}\n",
		"f:10: spec.endpoints[0].ports: \"b\" is no port of the ServiceEntry\n"},
	{"an endpoint without an address", PORT "  resolution: STATIC\n  endpoints: [{}]\n",
		"f:8: spec.endpoints[0].address: is required, unless network is given\n"},
	{"a Unix socket", PORT "  resolution: STATIC\n  endpoints: [{address: 'unix:///a'}]\n",
		"f:8: spec.endpoints[0].address: Unix sockets are not supported by hark\n"},
	{"DYNAMIC_DNS", PORT "  resolution: DYNAMIC_DNS\n", "f:7: spec.resolution: DYNAMIC_DNS is not supported by hark\n"},
	{"exported to no name", PORT "  exportTo: [A]\n", "f:7: spec.exportTo[0]: expected \".\", \"*\" or the name of a namespace, got string \"A\"\n"},
	{"a word spelt wrong", PORT "  resolutions: DNS\n", "f:7: spec.resolutions: unknown field, did you mean \"resolution\"?\n"},

	{"a workload", HEAD("WorkloadEntry") "  address: vm.example.com\n  serviceAccount: db\n", ""},
	{"no address of a workload", HEAD("WorkloadEntry") "  address: a_b\n", "f:5: spec.address: expected an IP address or a host name, got string \"a_b\"\n"},
	{"a port that is none", HEAD("WorkloadEntry") "  address: 1.2.3.4\n  ports: {a: 70000}\n", "f:6: spec.ports.a: expected a port 1..65535, got integer 70000\n"},

	{"a sidecar", HEAD("Sidecar") "  workloadSelector: {labels: {a: b}}\n  egress:\n  - hosts: ['./*', 'far/db.example.com', '*/*.example.org', '~far/*', '~/a.b', '~/*']\n  outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n", ""},
	{"a host without a namespace", HEAD("Sidecar") "  egress:\n  - hosts: [db]\n",
		"f:6: spec.egress[0].hosts[0]: expected \"NAMESPACE/HOST\", like \"./*\" or \"shop/db.example.com\", got string \"db\"\n"},
	{"listeners of its own", HEAD("Sidecar") "  egress:\n  - hosts: ['*/mysql.foo.com']\n    port: {number: 3306, protocol: MYSQL, name: egressmysql}\n    bind: 127.0.0.1\n    captureMode: NONE\n"
		"  - {hosts: ['./*'], port: {number: 3306}, bind: '::1', captureMode: NONE}\n  - {hosts: ['./*'], port: {number: 3307}, captureMode: NONE}\n  - {hosts: ['./*'], captureMode: IPTABLES}\n", ""},
	{"captured and bound", HEAD("Sidecar") "  egress:\n  - hosts: ['./*']\n    port: {number: 1}\n    bind: 127.0.0.1\n",
		"f:8: spec.egress[0].bind: needs captureMode NONE: of captured connections the host's own address counts\n"},
	{"open to others", HEAD("Sidecar") "  egress:\n  - hosts: ['./*']\n    port: {number: 1}\n    captureMode: NONE\n    bind: 0.0.0.0\n",
		"f:9: spec.egress[0].bind: is no loopback address: others would come in there, with the workload's identity\n"},
	{"bound to a file", HEAD("Sidecar") "  egress:\n  - hosts: ['./*']\n    port: {number: 1}\n    captureMode: NONE\n    bind: unix:///a\n",
		"f:9: spec.egress[0].bind: Unix sockets are not supported by hark: a sidecar does not share its application's files\n"},
	{"no capture of no port", HEAD("Sidecar") "  egress:\n  - hosts: ['./*']\n    captureMode: NONE\n",
		"f:6: spec.egress[0].port: is required with captureMode NONE\n"},
	{"the sidecar's own", HEAD("Sidecar") "  egress:\n  - hosts: ['./*']\n    port: {number: 15001}\n    captureMode: NONE\n",
		"f:7: spec.egress[0].port: is one of the sidecar's own\n"},
	{"bound twice", HEAD("Sidecar") "  egress:\n  - {hosts: ['a/*'], port: {number: 1}, captureMode: NONE}\n  - {hosts: ['b/*'], port: {number: 1}, bind: 127.0.0.1, captureMode: NONE}\n",
		"f:7: spec.egress[1].port: 1 is also egress[0], with the same bind\n"},
	{"in and out again", HEAD("Sidecar") "  egress:\n  - {hosts: ['a/*'], port: {number: 1}, captureMode: NONE}\n  ingress:\n"
		"  - {port: {number: 2}, defaultEndpoint: '127.0.0.1:2'}\n  - {port: {number: 3}, defaultEndpoint: '127.0.0.1:1'}\n",
		"f:9: spec.ingress[1].defaultEndpoint: is the socket of egress[0]: others would go out there, with the workload's identity\n"},
	{"to the sidecar itself", HEAD("Sidecar") "  ingress:\n  - {port: {number: 2}, defaultEndpoint: '127.0.0.1:15000'}\n",
		"f:6: spec.ingress[0].defaultEndpoint: port 15000 is one of the sidecar's own\n"},
	{"a capture that is none", HEAD("Sidecar") "  egress:\n  - hosts: ['./*']\n    captureMode: OFF\n",
		"f:7: spec.egress[0].captureMode: expected one of DEFAULT, IPTABLES, NONE, got string \"OFF\"\n"},
	{"ingress", HEAD("Sidecar") "  ingress:\n  - port: {number: 3306, protocol: MYSQL, name: db, targetPort: 1}\n    bind: 0.0.0.0\n    captureMode: IPTABLES\n    defaultEndpoint: 127.0.0.1:13306\n"
		"  - {port: {number: 80}, bind: 198.18.0.7, defaultEndpoint: '[::1]:8080'}\n  - {port: {number: 81}, bind: '::', defaultEndpoint: '0.0.0.0:8081'}\n"
		"  - {port: {number: 82}, defaultEndpoint: '[::]:8082'}\n  - {port: {number: 83}, defaultEndpoint: ''}\n", ""},
	{"no ingress", HEAD("Sidecar") "  ingress: []\n", ""},
	{"ingress without a port", HEAD("Sidecar") "  ingress:\n  - defaultEndpoint: 127.0.0.1:1\n", "f:6: spec.ingress[0].port: is required\n"},
	{"a port without a number", HEAD("Sidecar") "  ingress:\n  - port: {name: a}\n", "f:6: spec.ingress[0].port.number: is required\n"},
	{"a port listed twice", HEAD("Sidecar") "  ingress:\n  - port: {number: 1}\n  - port: {number: 1}\n", "f:7: spec.ingress[1].port: 1 is also ingress[0]\n"},
	{"an ingress protocol that nobody knows", HEAD("Sidecar") "  ingress:\n  - port: {number: 1, protocol: mysq}\n",
		"f:6: spec.ingress[0].port.protocol: \"mysq\" is no protocol that is known: leave it out, and both ends are listened to\n"},
	{"somebody else's address", HEAD("Sidecar") "  ingress:\n  - port: {number: 1}\n    defaultEndpoint: 10.0.0.1:1\n",
		"f:7: spec.ingress[0].defaultEndpoint: expected 127.0.0.1:PORT, [::1]:PORT, or 0.0.0.0:PORT or [::]:PORT for the address that was dialled, got string \"10.0.0.1:1\"\n"},
	{"no port to lead to", HEAD("Sidecar") "  ingress:\n  - port: {number: 1}\n    defaultEndpoint: 127.0.0.1\n",
		"f:7: spec.ingress[0].defaultEndpoint: expected 127.0.0.1:PORT, [::1]:PORT, or 0.0.0.0:PORT or [::]:PORT for the address that was dialled, got string \"127.0.0.1\"\n"},
	{"a Unix socket behind a port", HEAD("Sidecar") "  ingress:\n  - port: {number: 1}\n    defaultEndpoint: unix:///a\n",
		"f:7: spec.ingress[0].defaultEndpoint: Unix sockets are not supported by hark: a sidecar does not share its application's files\n"},
	{"bound to where nobody comes", HEAD("Sidecar") "  ingress:\n  - port: {number: 1}\n    bind: 127.0.0.1\n",
		"f:7: spec.ingress[0].bind: nobody can come to a loopback address: where the application listens is said by defaultEndpoint\n"},
	{"bound to no address", HEAD("Sidecar") "  ingress:\n  - port: {number: 1}\n    bind: db\n",
		"f:7: spec.ingress[0].bind: expected an IP address, got string \"db\"\n"},
	{"ingress without capture", HEAD("Sidecar") "  ingress:\n  - port: {number: 1}\n    captureMode: NONE\n",
		"f:7: spec.ingress[0].captureMode: NONE is not supported by hark: traffic comes by capture\n"},
	{"TLS of its own", HEAD("Sidecar") "  ingress:\n  - port: {number: 1}\n    tls: {mode: SIMPLE}\n", "f:7: spec.ingress[0].tls: is not supported by hark\n"},
	{"a pool for all ports", HEAD("Sidecar") "  inboundConnectionPool: {tcp: {maxConnections: 1}}\n", "f:5: spec.inboundConnectionPool: is not supported by hark\n"},
	{"an egress protocol that nobody knows", HEAD("Sidecar") "  egress:\n  - hosts: ['./*']\n    port: {number: 1, protocol: mysq}\n",
		"f:7: spec.egress[0].port.protocol: \"mysq\" is no protocol that is known: leave it out, and both ends are listened to\n"},
	{"a pool", HEAD("Sidecar") "  ingress:\n  - port: {number: 1}\n    connectionPool: {}\n", "f:7: spec.ingress[0].connectionPool: is not supported by hark\n"},
};
/* clang-format on */

static void rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct manifest m;
		struct buf told;
		print_message("%s\n", cases[i].rule);
		buf_init(&told, 65536);
		manifest_init(&m);
		manifest_read(&m, "f", slice_of(cases[i].yaml));
		manifest_check(&m, NULL);
		assert_true(manifest_print(&m, &told));
		assert_string_equal(buf_len(&told) ? buf_cstr(&told) : "", cases[i].told);
		buf_fini(&told);
		manifest_fini(&m);
	}
}

static const struct service_entry *decoded(struct object **o, bool strict, const char *json)
{
	struct err err = {0};
	*o = object_from_json(KIND_SERVICE_ENTRY, slice_of(json), strict, &err);
	if (!*o)
		fail_msg("%s", err.text);
	return (*o)->service_entry;
}

static void status(void **state)
{
	struct object *o = NULL;
	(void)state;
	const struct service_entry *s = decoded(&o, false,
						"{\"metadata\":{\"name\":\"a\"},\"spec\":{"
						"\"hosts\":[\"A.B\"]},\"status\":{\"addresses\":["
						"{\"value\":\"240.240.0.1\",\"host\":\"a.b\"},{"
						"\"value\":\"1.1.1.1\"},{\"value\":\"x\",\"host\":"
						"\"a.b\"}]}}");
	assert_string_equal(s->hosts[0], "a.b");
	assert_int_equal(s->n_vips, 1); /* of those with a host and an address */
	assert_string_equal(s->vips[0].host, "a.b");
	assert_int_equal(ip_to_v4(&s->vips[0].ip), 0xf0f00001);
	object_put(o);
}

/* Who reads a server's objects takes what a newer one lets pass. */
static void lenient(void **state)
{
	struct object *o = NULL;
	(void)state;
	const struct service_entry *s =
		decoded(&o, false,
			"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"hosts\":[\"a.b\"],"
			"\"resolution\":\"DYNAMIC_DNS\","
			"\"new\":1,\"ports\":[{\"number\":1,\"name\":\"a\",\"protocol\":\"QUIC\"}],"
			"\"endpoints\":[{"
			"\"address\":\"unix:///x\"}]}}");
	assert_int_equal(s->resolution, RESOLUTION_DYNAMIC_DNS);
	assert_string_equal(s->endpoints[0].address, "");
	object_put(o);
}

/* A Sidecar for another mesh is taken without what is not supported. */
static void lenient_sidecar(void **state)
{
	struct err err = {0};
	(void)state;
	struct object *o = object_from_json(
		KIND_SIDECAR,
		SLICE("{\"metadata\":{\"name\":\"a\"},\"spec\":{\"egress\":[{\"port\":{\"number\":"
		      "1},"
		      "\"bind\":\"10.0.0.1\",\"captureMode\":\"NONE\",\"hosts\":[\"./*\"]},"
		      "{\"bind\":\"unix:///a\",\"captureMode\":\"NONE\",\"hosts\":[\"./*\"]}],"
		      "\"ingress\":[{\"port\":{\"number\":2,\"protocol\":\"QUIC\"},\"bind\":"
		      "\"127.0.0.1\",\"captureMode\":\"NONE\",\"defaultEndpoint\":\"unix:///a\","
		      "\"tls\":{},\"new\":1}]}}"),
		false, &err);
	if (!o)
		fail_msg("%s", err.text);
	const struct sidecar *s = o->sidecar;
	assert_int_equal(s->n_egress, 2);
	assert_false(s->egress[0].binds);
	assert_false(s->egress[1].binds);
	assert_int_equal(s->n_ingress, 1);
	assert_false(s->ingress[0].has_endpoint);
	object_put(o);
}

/* Rows that lead elsewhere do not count there, and are told; the others do. */
static void lenient_ingress(void **state)
{
	struct err err = {0};
	(void)state;
	struct object *o = object_from_json(
		KIND_SIDECAR,
		SLICE("{\"metadata\":{\"name\":\"a\"},\"spec\":{\"inboundConnectionPool\":{},"
		      "\"ingress\":[{\"port\":{\"number\":1},\"defaultEndpoint\":\"10.0.0.1:1\"},{"
		      "\"port\":{\"number\":2},\"defaultEndpoint\":\"127.0.0.1:22\"},{\"port\":{"
		      "\"number\":3},\"defaultEndpoint\":\"db\"},{\"port\":{\"number\":4},"
		      "\"defaultEndpoint\":\"127.0.0.1:15000\"},{\"port\":{\"number\":5},"
		      "\"defaultEndpoint\":\"127.0.0.1:6\"}],\"egress\":[{\"port\":{\"number\":6},"
		      "\"captureMode\":\"NONE\",\"hosts\":[\"./*\"]}]}}"),
		false, &err);
	if (!o)
		fail_msg("%s", err.text);
	const struct sidecar *s = o->sidecar;
	assert_int_equal(s->n_ingress, 1);
	assert_int_equal(s->ingress[0].port, 2);
	assert_int_equal(s->ingress[0].endpoint.port, 22);
	assert_string_equal(s->left_out,
			    "spec.ingress[0].defaultEndpoint is no address of the workload's own, "
			    "spec.ingress[2].defaultEndpoint is no address of the workload's own, "
			    "spec.ingress[3].defaultEndpoint is no address of the workload's own, "
			    "spec.ingress[4].defaultEndpoint is no address of the workload's own");
	object_put(o);
}

/* N times ITEM, between commas. */
static void repeat(struct buf *to, const char *item, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_true(buf_printf(to, "%s%s", i ? "," : "", item));
}

/* How much of something there may be holds whoever asks: one more is refused, and says where. */
static void limits(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct {
		const char *before, *item, *after;
		size_t max;
		const char *told;
	} rows[] = {
		{"\"spec\":{\"hosts\":[", "\"a.b\"", "]}", 256, "spec.hosts: has more than 256 items"},
		{"\"spec\":{\"hosts\":[\"a.b\"],\"addresses\":[", "\"10.0.0.1\"", "]}", 256, "spec.addresses: has more than 256 items"},
		{"\"spec\":{\"hosts\":[\"a.b\"],\"ports\":[", "{\"number\":1,\"name\":\"a\"}", "]}", 256, "spec.ports: has more than 256 items"},
		{"\"spec\":{\"hosts\":[\"a.b\"],\"endpoints\":[", "{\"address\":\"10.0.0.1\"}", "]}", 4096, "spec.endpoints: has more than 4096 items"},
	};
	/* clang-format on */
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		for (int more = 0; more < 2; more++) {
			struct buf json;
			struct err err = {0};
			struct object_options lean = {.lean = true};
			buf_init(&json, 1 << 20);
			assert_true(buf_printf(&json, "{\"metadata\":{\"name\":\"a\"},%s",
					       rows[i].before));
			repeat(&json, rows[i].item, rows[i].max + (size_t)more);
			assert_true(buf_printf(&json, "%s}", rows[i].after));
			struct object *o =
				object_decode(KIND_SERVICE_ENTRY, buf_slice(&json), &lean, &err);
			if ((o != NULL) == more)
				fail_msg("%s: %s", rows[i].told, err.text);
			if (more && !strstr(err.text, rows[i].told))
				fail_msg("%s: %s", rows[i].told, err.text);
			object_put(o);
			buf_fini(&json);
		}
}

/* What is little by itself may be much together: every host has each port, and each of those every endpoint. */
static void many_of_each(void **state)
{
	(void)state;
	static const struct {
		size_t hosts, ports, endpoints, names;
		const char *told; /* NULL: taken */
	} rows[] = {
		/* clang-format off */
		{64, 16, 1024, 1024, NULL},
		{64, 16, 1025, 1, "spec: has more than 1048576 endpoints in all: 64 hosts with 16 ports with 1025 endpoints each"},
		{64, 1, 1, 1025, "spec.subjectAltNames: has more than 65536 names in all: 64 hosts with 1025 each"},
		{1, 1, 0, 65536, NULL},
		/* clang-format on */
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct buf json;
		struct err err = {0};
		struct object_options lean = {.lean = true};
		buf_init(&json, 1 << 20);
		assert_true(
			buf_puts(&json, "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"hosts\":["));
		repeat(&json, "\"a.b\"", rows[i].hosts);
		assert_true(buf_puts(&json, "],\"ports\":["));
		repeat(&json, "{\"number\":1,\"name\":\"a\"}", rows[i].ports);
		assert_true(buf_puts(&json, "],\"endpoints\":["));
		repeat(&json, "{\"address\":\"10.0.0.1\"}", rows[i].endpoints);
		assert_true(buf_puts(&json, "],\"subjectAltNames\":["));
		repeat(&json, "\"a.b\"", rows[i].names);
		assert_true(buf_puts(&json, "]}}"));
		struct object *o = object_decode(KIND_SERVICE_ENTRY, buf_slice(&json), &lean, &err);
		if ((o == NULL) != (rows[i].told != NULL))
			fail_msg("row %zu: %s", i, err.text);
		if (rows[i].told)
			assert_string_equal(err.text, rows[i].told);
		object_put(o);
		buf_fini(&json);
	}
}

/* What a status has too much of is left out: the entry itself is right. */
static void a_long_status(void **state)
{
	(void)state;
	struct buf json;
	struct object *o = NULL;
	buf_init(&json, 1 << 20);
	assert_true(buf_puts(&json, "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"hosts\":[\"a.b\"]},"
				    "\"status\":{\"addresses\":["));
	repeat(&json, "{\"value\":\"240.240.0.1\",\"host\":\"a.b\"}", 600);
	assert_true(buf_puts(&json, "]}}"));
	assert_int_equal(decoded(&o, false, buf_cstr(&json))->n_vips, 512);
	object_put(o);
	buf_fini(&json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),
		cmocka_unit_test(status),
		cmocka_unit_test(lenient),
		cmocka_unit_test(lenient_sidecar),
		cmocka_unit_test(lenient_ingress),
		cmocka_unit_test(limits),
		cmocka_unit_test(a_long_status),
		cmocka_unit_test(many_of_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
