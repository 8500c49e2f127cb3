/* What is found in ServiceEntries: each check with what raises it, and the nearest that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/fixture.h"
#include "base/mem.h"

#define ENTRY(ns, name, spec) ISTIO("networking", "ServiceEntry", ns, name, spec)
#define PORT "ports: [{number: 3306, name: a}]"
#define DNS_IS(on) MESH("defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"" on "\"}}", "")
#define STAR_STATIC                                                                                \
	"hosts: ['*.example.com'], resolution: STATIC, endpoints: [{address: 10.0.0.1}], " PORT
#define CLIENT RUNS("web", "", "")

static const struct trial_row rows[] = {
	{"no address and none given", CHECK_ENTRY_ANY_ADDRESS,
	 NAMESPACES CLIENT ENTRY("shop", "db", "hosts: [db.example.com], " PORT), "HRK0107",
	 NAMESPACES CLIENT ENTRY("shop", "db", "hosts: [db.example.com], resolution: DNS, " PORT),
	 "", "spec.ports[0]", "by whoever names no other host"},
	{"a star, bytes and no address", CHECK_ENTRY_ANY_ADDRESS,
	 NAMESPACES CLIENT ENTRY("shop", "db",
				 "hosts: ['*.example.com'], ports: [{number: 443, name: b, "
				 "protocol: TLS}, {number: 1, name: a, protocol: MySQL}]"),
	 "HRK0107",
	 NAMESPACES CLIENT ENTRY("shop", "db",
				 "hosts: ['*.example.com'], ports: [{number: 443, name: b, "
				 "protocol: TLS}, {number: 80, name: a, protocol: HTTP}]"),
	 "", "spec.ports[1]", "every address may be connected to on port 1."},
	{"a star, an address", CHECK_ENTRY_ANY_ADDRESS,
	 NAMESPACES CLIENT ENTRY("shop", "db", "hosts: ['*.example.com'], " PORT), "HRK0107",
	 NAMESPACES CLIENT ENTRY("shop", "db",
				 "hosts: ['*.example.com'], addresses: [10.0.0.0/8], " PORT),
	 "", "spec.ports[0]", "one of its"},
	{"nobody hears its name", CHECK_ENTRY_ADDRESS,
	 NAMESPACES CLIENT DNS_IS("false") ENTRY("shop", "db", STAR_STATIC), "HRK0100",
	 NAMESPACES CLIENT DNS_IS("true") ENTRY("shop", "db", STAR_STATIC), "", "spec.hosts",
	 "nobody hears"},
	{"the DNS proxy is off", CHECK_ENTRY_DNS_OFF,
	 NAMESPACES CLIENT MESH(
		 "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"false\"}}", "")
		 ENTRY("shop", "db", "hosts: [db.example.com], resolution: DNS, " PORT),
	 "HRK0101",
	 NAMESPACES CLIENT MESH(
		 "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"true\"}}", "")
		 ENTRY("shop", "db", "hosts: [db.example.com], resolution: DNS, " PORT),
	 "", "spec.hosts", "no name leads to them"},
	{"two protocols for one port", CHECK_ENTRY_PROTOCOLS,
	 NAMESPACES CLIENT ENTRY("shop", "a",
				 "hosts: [db.example.com], resolution: DNS, ports: [{number: 1, "
				 "name: a, protocol: HTTP}]")
		 ENTRY("shop", "b",
		       "hosts: [db.example.com], resolution: DNS, ports: [{number: 2, name: c}, "
		       "{number: 1, name: b, protocol: TCP}]"),
	 "HRK0102",
	 NAMESPACES CLIENT ENTRY("shop", "a",
				 "hosts: [db.example.com], resolution: DNS, ports: [{number: 1, "
				 "name: a, protocol: TCP}]")
		 ENTRY("shop", "b",
		       "hosts: [db.example.com], resolution: DNS, ports: [{number: 1, name: b, "
		       "protocol: tcp}]"),
	 "", "spec.ports[1].protocol", "ServiceEntry shop/a"},
	{"two that do not meet", CHECK_ENTRY_PROTOCOLS,
	 NAMESPACES CLIENT ENTRY(
		 "shop", "a",
		 "hosts: [x.y], resolution: DNS, ports: [{number: 1, name: a, protocol: HTTP}]")
		 ENTRY("bare", "b", "hosts: [x.y], resolution: DNS, ports: [{number: 1, name: b}]"),
	 "HRK0102",
	 NAMESPACES CLIENT ENTRY("shop", "a",
				 "hosts: [x.y], resolution: DNS, exportTo: [.], ports: [{number: "
				 "1, name: a, protocol: HTTP}]")
		 ENTRY("bare", "b",
		       "hosts: [x.y], resolution: DNS, exportTo: [.], ports: [{number: 1, name: "
		       "b}]"),
	 "", "spec.ports[0].protocol", "the oldest"},
	{"one address for two", CHECK_ENTRY_OVERLAP,
	 NAMESPACES CLIENT ENTRY("shop", "a", "hosts: [a.b], addresses: [10.0.0.1], " PORT)
		 ENTRY("shop", "b", "hosts: [c.d], addresses: [10.0.0.1], " PORT),
	 "HRK0103",
	 NAMESPACES CLIENT ENTRY("shop", "a", "hosts: [a.b], addresses: [10.0.0.1], " PORT)
		 ENTRY("shop", "b",
		       "hosts: [c.d], addresses: [10.0.0.1], ports: [{number: 3307, name: a}]"),
	 "", "spec.ports[0].number", "a.b's"},
	{"exported to nobody", CHECK_ENTRY_EXPORT,
	 NAMESPACES CLIENT ENTRY("shop", "a",
				 "hosts: [a.b], addresses: [10.0.0.1], exportTo: [nowhere], " PORT),
	 "HRK0104",
	 NAMESPACES CLIENT ENTRY(
		 "shop", "a",
		 "hosts: [a.b], addresses: [10.0.0.1], exportTo: [nowhere, bare], " PORT),
	 "", "spec.exportTo", "no namespace of that name"},
	{"exported to its own, which nobody declares", CHECK_ENTRY_EXPORT,
	 ENTRY("lone", "a", "hosts: [a.b], addresses: [10.0.0.1], exportTo: [other], " PORT),
	 "HRK0104",
	 ENTRY("lone", "a", "hosts: [a.b], addresses: [10.0.0.1], exportTo: [lone], " PORT), "",
	 "spec.exportTo", "no namespace of that name"},
	{"no endpoints", CHECK_ENTRY_ENDPOINTS,
	 NAMESPACES CLIENT ENTRY("shop", "a", "hosts: [a.b], resolution: STATIC, " PORT), "HRK0105",
	 NAMESPACES CLIENT ENTRY(
		 "shop", "a",
		 "hosts: [a.b], resolution: STATIC, endpoints: [{address: 10.0.0.1}], " PORT),
	 "", "spec.resolution", "refused"},
	{"nothing is selected", CHECK_ENTRY_ENDPOINTS,
	 NAMESPACES CLIENT ENTRY(
		 "shop", "a",
		 "hosts: [a.b], resolution: STATIC, workloadSelector: {labels: {app: db}}, " PORT),
	 "HRK0105",
	 NAMESPACES CLIENT ENTRY(
		 "shop", "a",
		 "hosts: [a.b], resolution: STATIC, workloadSelector: {labels: {app: web}}, " PORT),
	 "", "spec.workloadSelector", "selects no Pod"},
	{"a Service has the host", CHECK_ENTRY_SHADOWED,
	 NAMESPACES APP("web", "{port: 80, name: http}")
		 ENTRY("shop", "a", "hosts: [web.shop.svc.cluster.local], resolution: DNS, " PORT),
	 "HRK0106",
	 NAMESPACES APP("web", "{port: 80, name: http}")
		 ENTRY("shop", "a", "hosts: [web.shop.svc.other.local], resolution: DNS, " PORT),
	 "", "spec.hosts[0]", "the Service counts"},
};

static void each_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		trial_row_run(&rows[i]);
}

#define LEARNT(protocol)                                                                           \
	NAMESPACES CLIENT ENTRY("shop", "db",                                                      \
				"hosts: [db.example.com], resolution: DNS, ports: [{number: "      \
				"3306, name: a" protocol "}]")

static const struct {
	const char *yaml;
	unsigned server_first, client_http;
	const char *codes;
} learnt[] = {
	{LEARNT(""), 3, 0, "HRK0011"},
	{LEARNT(", protocol: HTTP"), 3, 0, "HRK0014"},
	{LEARNT(", protocol: TLS"), 3, 0, "HRK0015"},
	{LEARNT(", protocol: TCP"), 3, 0, ""},
	{LEARNT(""), 0, 3, ""},
	{LEARNT(""), 3, 1, ""}, /* who knows */
};

static void what_was_learnt(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(learnt); i++) {
		struct trial t;
		trial_read(&t, learnt[i].yaml);
		analysis_learned(t.a, &(struct learned_port){.service = "db.example.com",
							     .port = 3306,
							     .server_first = learnt[i].server_first,
							     .client_http = learnt[i].client_http,
							     .greeting = "mysql"});
		analysis_run(t.a);
		assert_string_equal(trial_codes(&t), learnt[i].codes);
		if (learnt[i].codes[0]) {
			const struct finding *f = analysis_finding(t.a, 0);
			assert_string_equal(f->path, "spec.ports[0].protocol");
			assert_non_null(strstr(f->yaml, "protocol: mysql"));
		}
		trial_fini(&t);
	}
}

/* A rule for such a host is one for something that exists. */
static void rule_for_a_host(void **state)
{
	struct trial t;
	(void)state;
	trial_init(&t,
		   LEARNT("") RULE("shop", "r",
				   "host: db.example.com, trafficPolicy: {tls: {mode: DISABLE}}"));
	assert_string_equal(trial_codes(&t), "");
	trial_fini(&t);
	trial_init(&t, LEARNT("") RULE(
			       "shop", "r",
			       "host: other.example.com, trafficPolicy: {tls: {mode: DISABLE}}"));
	assert_string_equal(trial_codes(&t), "HRK0060");
	trial_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row),
		cmocka_unit_test(what_was_learnt),
		cmocka_unit_test(rule_for_a_host),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
