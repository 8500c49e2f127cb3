#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/fixture.h"
#include "base/mem.h"

/* Pods with a sidecar: port 13306 is Redis (bytes, and its client speaks first), 8080 is HTTP. */
#define PORTS                                                                                      \
	"{name: redis, port: 3306, targetPort: 13306}, {name: http, port: 80, targetPort: 8080}"
#define DB NAMESPACES APP("db", PORTS)
#define WEB RUNS_IN("shop", "web", "", "")
#define BARE RUNS_IN("bare", "client", "", "")
#define RULES(rules) POLICY("shop", "db", "rules: [" rules "]")
#define ACT(action, rules) POLICY("shop", "db", "action: " action ", rules: [" rules "]")
#define TO(operation) "to: [{operation: {" operation "}}]"
#define FROM(source) "from: [{source: {" source "}}]"
#define OF(app) "selector: {matchLabels: {app: " app "}}"
#define OFF(port) PEER("shop", "db", OF("db") ", portLevelMtls: {" port ": {mode: DISABLE}}")

/* clang-format off */
static const struct trial_row rows[] = {
	/* what is in force */
	{"ALLOW with methods, on TCP", CHECK_ALLOW_HTTP,
	 DB RULES("{" TO("methods: [GET]") "}"), "HRK0080",
	 DB RULES("{" TO("methods: [GET], ports: ['8080']") "}"), "", "spec.rules[0].to[0].operation.methods", "no ALLOW rule is left for port 13306: everybody is denied"},
	{"ALLOW with methods, on TCP, beside another rule", CHECK_ALLOW_HTTP,
	 DB RULES("{" TO("methods: [GET]") "}, {" TO("ports: ['13306']") "}"), "HRK0080",
	 DB RULES("{" TO("ports: ['8080']") "}, {" TO("ports: ['13306']") "}"), "", "spec.rules[0].to[0].operation.methods", "other ALLOW rules (1) still hold"},
	{"ALLOW with a header, on TCP", CHECK_ALLOW_HTTP,
	 DB RULES("{when: [{key: 'request.headers[X]', values: [a]}]}"), "HRK0080",
	 DB RULES("{when: [{key: 'request.headers[X]', values: [a]}, {key: destination.port, values: ['8080']}]}"), "", "spec.rules[0].when[0].values", "effective rule: none"},
	{"ALLOW with methods, on an undeclared port that is seen to be TCP", CHECK_ALLOW_HTTP,
	 NAMESPACES RUNS("db", "", ", command: [redis-server]") SERVICE("db", "{port: 6380}") RULES("{" TO("methods: [GET]") "}"), "HRK0080 HRK0010",
	 NAMESPACES RUNS("db", "", ", command: [nginx]") SERVICE("db", "{port: 6380}") RULES("{" TO("methods: [GET]") "}"), "HRK0010", "spec.rules[0].to[0].operation.methods", "never matches on port 6380"},
	{"DENY with methods, on TCP", CHECK_DENY_HTTP,
	 DB ACT("DENY", "{" TO("methods: [GET]") "}"), "HRK0081",
	 DB ACT("DENY", "{" TO("methods: [GET], ports: ['8080']") "}"), "", "spec.rules[0].to[0].operation.methods", "effective rule: DENY everything"},
	{"DENY with methods and addresses, on TCP", CHECK_DENY_HTTP,
	 DB ACT("DENY", "{" FROM("ipBlocks: [10.0.0.0/8, 192.0.2.1]") ", " TO("paths: ['/x'], ports: ['13306', '8080']") "}"), "HRK0081",
	 DB ACT("DENY", "{" FROM("ipBlocks: [10.0.0.0/8, 192.0.2.1]") ", " TO("ports: ['13306', '8080']") "}"), "", "spec.rules[0].to[0].operation.paths",
	 "DENY source.ip is 10.0.0.0/8 or 192.0.2.1/32, and destination.port is 13306 or 8080"},
	{"AUDIT with a host, on TCP", CHECK_DENY_HTTP,
	 DB ACT("AUDIT", "{" TO("hosts: [a], notPorts: ['8080']") "}"), "HRK0081",
	 DB ACT("AUDIT", "{" TO("hosts: [a], notPorts: ['13306']") "}"), "", "spec.rules[0].to[0].operation.hosts", "AUDIT destination.port is none of 8080"},
	{"a key that nobody knows", CHECK_UNKNOWN_KEY,
	 DB ACT("DENY", "{when: [{key: source.prinzipal, values: [a]}], " FROM("ipBlocks: [10.0.0.1]") "}"), "HRK0082",
	 DB ACT("DENY", "{when: [{key: source.principal, values: ['*']}], " FROM("ipBlocks: [10.0.0.1]") "}"), "", "spec.rules[0].when[0].key", "source.principal"},
	{"a field that nobody knows", CHECK_UNKNOWN_KEY,
	 DB RULES("{" FROM("ipBlok: [10.0.0.1]") "}"), "HRK0082",
	 DB RULES("{" FROM("ipBlocks: [10.0.0.1]") "}"), "", "spec.rules[0].from[0].source.ipBlok", "never matches"},
	{"a value that makes no sense", CHECK_UNKNOWN_KEY,
	 DB ACT("DENY", "{" FROM("ipBlocks: [10.0.0.1.1]") "}"), "HRK0082",
	 DB ACT("DENY", "{" FROM("ipBlocks: [10.0.0.1]") "}"), "", "spec.rules[0].from[0].source.ipBlocks", "Effective rule: DENY everything"},
	{"what a filter of Envoy would know", CHECK_UNKNOWN_KEY,
	 DB RULES("{when: [{key: 'experimental.envoy.filters.network.mysql_proxy[a.b]', values: [x]}]}"), "HRK0082",
	 DB RULES("{when: [{key: connection.sni, values: [x]}]}"), "", "spec.rules[0].when[0].values", "never matches"},
	{"CUSTOM", CHECK_CUSTOM,
	 DB POLICY("shop", "db", "action: CUSTOM, provider: {name: opa}, rules: [{}]"), "HRK0083",
	 DB POLICY("shop", "db", "action: AUDIT, rules: [{}]"), "", "spec.provider", "opa"},
	{"CUSTOM without a provider", CHECK_CUSTOM,
	 DB POLICY("shop", "db", "action: CUSTOM, rules: [{}]"), "HRK0083",
	 DB POLICY("shop", "db", "action: DENY, rules: [{}]"), "", "spec.provider", "without a provider"},
	/* whom it is for */
	{"a selector that selects nothing", CHECK_NO_WORKLOADS,
	 DB POLICY("shop", "db", OF("bd") ", rules: [{}]"), "HRK0030",
	 DB POLICY("shop", "db", OF("db") ", rules: [{}]"), "", "spec.selector", "app: bd"},
	{"a selector of the root namespace is for Pods of all", CHECK_NO_WORKLOADS,
	 DB POLICY("bare", "db", OF("db") ", rules: [{}]"), "HRK0030",
	 DB POLICY("istio-system", "db", OF("db") ", rules: [{}]"), "", "spec.selector", "app: db"},
	{"Pods without a sidecar", CHECK_NOT_ENFORCED,
	 NAMESPACES APP_IN("bare", "db", PORTS) POLICY("bare", "db", OF("db") ", rules: [{}]"), "HRK0031",
	 NAMESPACES APP_IN("shop", "db", PORTS) POLICY("shop", "db", OF("db") ", rules: [{}]"), "", "spec.selector", "everybody gets in"},
	{"targetRefs", CHECK_TARGET_REFS,
	 DB POLICY("shop", "db", "targetRefs: [{kind: Service, name: db, group: ''}], rules: [{}]"), "HRK0092",
	 DB POLICY("shop", "db", OF("db") ", rules: [{}]"), "", "spec.targetRefs", "sidecars leave the policy out"},
	{"ALLOW without rules", CHECK_ALLOW_NOTHING,
	 DB POLICY("shop", "db", ""), "HRK0090",
	 DB POLICY("shop", "db", "rules: [{}]"), "", "spec", "whoever connects to Deployment shop/db"},
	{"ALLOW without rules, beside one that allows", CHECK_ALLOW_NOTHING,
	 DB WEB POLICY("shop", "db", "") POLICY("shop", "web", OF("web") ", rules: [{}]"), "HRK0090",
	 DB WEB POLICY("shop", "db", "") POLICY("shop", "web", "rules: [{}]"), "", "spec", "Deployment shop/db"},
	{"DENY without rules", CHECK_NO_EFFECT,
	 DB POLICY("shop", "db", "action: DENY"), "HRK0091",
	 DB POLICY("shop", "db", "action: DENY, rules: [{}]"), "", "spec", "matches nothing"},
	{"a Service's port", CHECK_POLICY_PORT,
	 DB RULES("{" TO("ports: ['3306']") "}"), "HRK0086",
	 DB RULES("{" TO("ports: ['13306']") "}"), "", "spec.rules[0].to[0].operation.ports[0]", "ports: [\"13306\"]"},
	{"a Service's port as a condition", CHECK_POLICY_PORT,
	 DB ACT("DENY", "{when: [{key: destination.port, values: ['3306']}]}"), "HRK0086",
	 DB ACT("DENY", "{when: [{key: destination.port, values: ['13306']}]}"), "", "spec.rules[0].when[0].values[0]", "matches nothing there"},
	{"a Service's port that another of the Pods has", CHECK_POLICY_PORT,
	 DB RULES("{" TO("ports: ['80']") "}"), "HRK0086",
	 DB RUNS("w", "", ", ports: [{containerPort: 80}]") RULES("{" TO("ports: ['80']") "}"), "", "spec.rules[0].to[0].operation.ports[0]", "port 8080"},
	{"a server that speaks first", CHECK_GREETING,
	 NAMESPACES RUNS("db", "", ", command: [mysqld]") SERVICE("db", "{name: mysql, port: 3306}") ACT("DENY", "{" FROM("ipBlocks: [10.0.0.1]") "}"), "HRK0021 HRK0093",
	 NAMESPACES RUNS("db", "", ", command: [redis-server]") SERVICE("db", "{name: redis, port: 3306}") ACT("DENY", "{" FROM("ipBlocks: [10.0.0.1]") "}"), "", "spec", "reads the greeting"},
	/* who is named */
	{"nobody has an identity: DISABLE", CHECK_IDENTITY_OFF,
	 DB WEB OFF("13306") RULES("{" FROM("principals: ['cluster.local/ns/shop/sa/web']") "}"), "HRK0084",
	 DB WEB OFF("13306") RULES("{" FROM("principals: ['cluster.local/ns/shop/sa/web']") ", " TO("ports: ['8080']") "}"), "",
	 "spec.rules[0].from[0].source.principals", "port 13306 of Deployment shop/db is DISABLE by PeerAuthentication shop/db"},
	{"nobody has an identity: its trust domain", CHECK_IDENTITY_OFF,
	 DB OFF("13306") RULES("{" FROM("trustDomains: [cluster.local]") "}"), "HRK0084",
	 DB OFF("13307") RULES("{" FROM("trustDomains: [cluster.local]") "}"), "", "spec.rules[0].from[0].source.trustDomains", "lets nobody in"},
	{"nobody has an identity: a condition", CHECK_IDENTITY_OFF,
	 DB WEB OFF("13306") ACT("DENY", "{when: [{key: source.namespace, values: [shop]}]}"), "HRK0084",
	 DB WEB OFF("13306") ACT("DENY", "{when: [{key: source.namespace, notValues: [shop]}]}"), "", "spec.rules[0].when[0].values", "keeps nobody out"},
	{"a client without a sidecar, by its namespace", CHECK_CALLER_PLAIN,
	 DB BARE RULES("{" FROM("namespaces: [bare]") "}"), "HRK0085",
	 DB BARE RUNS_IN("bare", "other", ", sidecar.istio.io/inject: 'true'", "") RULES("{" FROM("namespaces: [bare]") "}"), "", "spec.rules[0].from[0].source.namespaces[0]", "Deployment bare/client"},
	{"a client without a sidecar, by its account", CHECK_CALLER_PLAIN,
	 DB BARE RULES("{" FROM("serviceAccounts: [bare/client]") "}"), "HRK0085",
	 DB WEB RULES("{" FROM("serviceAccounts: [web]") "}"), "", "spec.rules[0].from[0].source.serviceAccounts[0]", "lets nobody in"},
	{"a namespace that is not there", CHECK_NAMESPACE,
	 DB RULES("{" FROM("namespaces: [ship]") "}"), "HRK0087",
	 DB RULES("{" FROM("namespaces: [shop]") "}"), "", "spec.rules[0].from[0].source.namespaces[0]", "ship"},
	{"a principal of a namespace that is not there", CHECK_NAMESPACE,
	 DB RULES("{" FROM("principals: [cluster.local/ns/ship/sa/db]") "}"), "HRK0087",
	 DB RULES("{" FROM("principals: [cluster.local/ns/shop/sa/db]") "}"), "", "spec.rules[0].from[0].source.principals[0]", "ship"},
	{"an account that nobody has", CHECK_ACCOUNT,
	 DB RULES("{" FROM("principals: [cluster.local/ns/shop/sa/bd]") "}"), "HRK0088",
	 DB RULES("{" FROM("principals: ['cluster.local/ns/shop/sa/*']") "}"), "", "spec.rules[0].from[0].source.principals[0]", "there are db"},
	{"an account that nobody has here", CHECK_ACCOUNT,
	 DB RULES("{" FROM("serviceAccounts: [bare/db]") "}"), "HRK0088",
	 DB RULES("{" FROM("serviceAccounts: [shop/db]") "}"), "", "spec.rules[0].from[0].source.serviceAccounts[0]", "there is no Pod at all"},
	{"an account of a gateway, of which nothing is known", CHECK_ACCOUNT,
	 DB RULES("{" FROM("principals: [cluster.local/ns/bare/sa/gateway]") "}"), "HRK0088",
	 DB RULES("{" FROM("principals: [cluster.local/ns/istio-system/sa/gateway]") "}"), "", "spec.rules[0].from[0].source.principals[0]", "gateway"},
	{"a principal with its scheme", CHECK_PRINCIPAL,
	 DB RULES("{" FROM("principals: ['spiffe://cluster.local/ns/shop/sa/db']") "}"), "HRK0089",
	 DB RULES("{" FROM("principals: ['cluster.local/ns/shop/sa/db']") "}"), "", "spec.rules[0].from[0].source.principals[0]", "principals: [\"cluster.local/ns/shop/sa/db\"]"},
	{"a principal of another form", CHECK_PRINCIPAL,
	 DB RULES("{" FROM("principals: [db]") "}"), "HRK0089",
	 DB RULES("{" FROM("principals: ['*/sa/db']") "}"), "", "spec.rules[0].from[0].source.principals[0]", "\"db\""},
	{"a principal of another trust domain", CHECK_PRINCIPAL,
	 DB RULES("{" FROM("principals: [old.local/ns/shop/sa/db]") "}"), "HRK0089",
	 DB MESH("trustDomainAliases: [old.local]", "") RULES("{" FROM("principals: [old.local/ns/shop/sa/db]") "}"), "", "spec.rules[0].from[0].source.principals[0]", "trust domain is cluster.local"},
};
/* clang-format on */

static void each_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		trial_row_run(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_check),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
