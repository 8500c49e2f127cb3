#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/fixture.h"
#include "base/mem.h"

#define RUN(command) ", command: [" command "]"
#define SCRIPT(text) ", command: [sh, -ec], args: [\"" text "\"]"
#define DB(ports, container) NAMESPACES RUNS("db", "", container) SERVICE("db", ports)
#define TEMPLATE(annotations)                                                                      \
	"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: db, namespace: shop}\n"           \
	"spec:\n  selector: {matchLabels: {app: db}}\n"                                            \
	"  template:\n    metadata:\n      labels: {app: db}\n      annotations: {" annotations    \
	"}\n"                                                                                      \
	"    spec: {containers: [{name: c, command: [mysqld]}]}\n---\n"
/* A second Service before the Pods of `db`, younger by name. */
#define ALSO(ports)                                                                                \
	"apiVersion: v1\nkind: Service\nmetadata: {name: db2, namespace: shop}\n"                  \
	"spec: {selector: {app: db}, ports: [" ports "]}\n---\n"
#define STRICT PEER("shop", "all", "mtls: {mode: STRICT}")

/* clang-format off */
static const struct trial_row rows[] = {
	{"undeclared", CHECK_UNDECLARED,
	 DB("{name: web, port: 80}", ""), "HRK0010",
	 DB("{name: http-web, port: 80}", ""), "", "spec.ports[0]", "port 80 declares no protocol"},
	{"undeclared, its name begins with nothing known", CHECK_UNDECLARED,
	 DB("{name: mysqlx, port: 3307}", ""), "HRK0010",
	 DB("{name: redis-x, port: 3307}", ""), "", "spec.ports[0]", "\"mysqlx\""},
	{"undeclared, one of the numbers that are known", CHECK_UNDECLARED,
	 DB("{name: db, port: 27018}", ""), "HRK0010",
	 DB("{name: db, port: 27017}", ""), "", "spec.ports[0]", "27017"},
	{"undeclared, the second port", CHECK_UNDECLARED,
	 DB("{name: http, port: 80}, {name: b, port: 81}", ""), "HRK0010",
	 DB("{name: http, port: 80}, {name: b, port: 81, protocol: UDP}", ""), "", "spec.ports[1]", "81"},
	{"the server speaks first", CHECK_SERVER_FIRST,
	 DB("{port: 3307}", RUN("mysqld")), "HRK0011",
	 DB("{port: 3307}", RUN("redis-server")), "HRK0010", "spec.ports[0]", "appProtocol: mysql"},
	{"the number of the Service counts, not the container's", CHECK_SERVER_FIRST,
	 DB("{port: 3307, targetPort: 3306}", RUN("mariadbd")), "HRK0011",
	 DB("{port: 3306, targetPort: 3307}", RUN("mariadbd")), "HRK0021", "spec.ports[0]", "D5"},
	{"a shell starts it", CHECK_SERVER_FIRST,
	 DB("{port: 2525}", SCRIPT("newaliases; exec /usr/sbin/postfix -c /config start-fg")), "HRK0011",
	 DB("{port: 2525}", SCRIPT("echo postfix")), "HRK0010", "spec.ports[0]", "SMTP"},
	{"a shell starts it after a setting", CHECK_SERVER_FIRST,
	 DB("{port: 2222}", SCRIPT("HOME=/tmp/x env A=b sshd -D")), "HRK0011",
	 DB("{port: 2222}", SCRIPT("HOME=/usr/sbin/sshd ssh -D 1")), "HRK0010", "spec.ports[0]", "SSH"},
	{"an image starts it", CHECK_SERVER_FIRST,
	 DB("{port: 3307}", ", image: 'docker.io/library/mariadb:11@sha256:1'"), "HRK0011",
	 DB("{port: 3307}", ", image: 'docker.io/library/mariadb:11', command: [sleep, inf]"), "HRK0010", "spec.ports[0]", "MariaDB"},
	{"a client has the name of an image", CHECK_SERVER_FIRST,
	 DB("{port: 3307}", RUN("mariadbd")), "HRK0011",
	 DB("{port: 3307}", RUN("mariadb")), "HRK0010", "spec.ports[0]", "MariaDB"},
	{"an entrypoint starts it", CHECK_SERVER_FIRST,
	 DB("{port: 3307}", ", image: x, command: [/docker-entrypoint.sh, mysqld]"), "HRK0011",
	 DB("{port: 3307}", ", image: mysql, args: [mysqladmin, ping]"), "HRK0010", "spec.ports[0]", "MySQL"},
	{"its container is known by the port that it declares", CHECK_SERVER_FIRST,
	 DB("{port: 3307}", ", command: [mysqld], ports: [{containerPort: 3307}]}, {name: d, command: [exporter]"), "HRK0011",
	 DB("{port: 3307}", ", command: [mysqld]}, {name: d, command: [exporter]"), "HRK0010", "spec.ports[0]", "container c"},
	{"a port on which it speaks HTTP", CHECK_SERVER_FIRST,
	 DB("{port: 4222}", RUN("nats-server")), "HRK0011",
	 DB("{port: 8222}", RUN("nats-server")), "HRK0010", "spec.ports[0]", "NATS"},
	{"the container's port is a usual one", CHECK_SERVER_FIRST,
	 DB("{port: 3307, targetPort: 3306}", ""), "HRK0011",
	 DB("{port: 3307, targetPort: 3308}", ""), "HRK0010", "spec.ports[0]", "the usual one of MySQL"},
	{"the container's port is a usual one, under another name", CHECK_SERVER_FIRST,
	 DB("{port: 2222, targetPort: 22}", ""), "HRK0011",
	 DB("{port: 2222, targetPort: 22}", ", ports: [{name: web, containerPort: 22}]"), "HRK0010", "spec.ports[0]", "SSH"},
	{"the container's port is a usual one, and what it is is declared", CHECK_SERVER_FIRST,
	 DB("{port: 8306, targetPort: 3306}", ""), "HRK0011",
	 DB("{name: http, port: 8306, targetPort: 3306}", ""), "", "spec.ports[0]", "probably"},
	{"the container's port has a telling name", CHECK_SERVER_FIRST,
	 DB("{port: 2525, targetPort: smtp}", ", ports: [{name: smtp, containerPort: 2525}]"), "HRK0011",
	 DB("{port: 2525, targetPort: mail}", ", ports: [{name: mail, containerPort: 2525}]"), "HRK0010", "spec.ports[0]", "called smtp"},
	{"appProtocol goes before the name", CHECK_APP_PROTOCOL,
	 DB("{name: tcp-db, port: 3307, appProtocol: tpc}", ""), "HRK0012",
	 DB("{name: tcp-db, port: 3307, appProtocol: tcp}", ""), "HRK0021", "spec.ports[0].appProtocol", "\"tcp-db\" declares nothing"},
	{"appProtocol is unknown and the server speaks first", CHECK_APP_PROTOCOL,
	 DB("{port: 3307, appProtocol: mariadb}", RUN("mariadbd")), "HRK0011 HRK0012",
	 DB("{port: 3307, appProtocol: mysql}", RUN("mariadbd")), "HRK0021", "spec.ports[0].appProtocol", "appProtocol: mysql"},
	{"PostgreSQL by a word that only hark knows", CHECK_POSTGRES_WORD,
	 DB("{name: tcp-db, port: 5433, appProtocol: Postgres-14}", ""), "HRK0026",
	 DB("{name: postgresql, port: 5433, appProtocol: tcp}", RUN("postgres")), "", "spec.ports[0].appProtocol", "how TLS towards the server begins"},
	{"a word of PostgreSQL, and another server", CHECK_APP_PROTOCOL,
	 DB("{port: 3307, appProtocol: postgresql}", RUN("mysqld")), "HRK0011 HRK0012",
	 DB("{port: 3307, appProtocol: postgresql}", RUN("postgres")), "HRK0026", "spec.ports[0].appProtocol", "no protocol that is known"},
	{"HTTP behind a number that is TCP", CHECK_WELL_KNOWN,
	 DB("{port: 3306}", RUN("nginx")), "HRK0013",
	 DB("{port: 3306, appProtocol: http}", RUN("nginx")), "", "spec.ports[0]", "TCP by its number"},
	{"HTTP behind a declaration as bytes", CHECK_TCP_HTTP,
	 DB("{name: tcp-web, port: 80}", RUN("nginx")), "HRK0016",
	 DB("{name: tls-web, port: 80}", RUN("nginx")), "", "spec.ports[0]", "appProtocol: http"},
	{"a greeting behind HTTP", CHECK_HTTP_GREETS,
	 DB("{name: http-db, port: 3307}", RUN("mysqld")), "HRK0014",
	 DB("{name: mysql-db, port: 3307}", RUN("mysqld")), "HRK0021", "spec.ports[0]", "declared http"},
	{"a greeting behind TLS", CHECK_TLS_GREETS,
	 DB("{name: tls-mail, port: 465}", RUN("postfix")), "HRK0015",
	 DB("{name: tls-mail, port: 465}", RUN("slapd")), "", "spec.ports[0]", "in the clear"},
	{"two protocols for one port", CHECK_TARGET_CLASH,
	 DB("{name: tcp-a, port: 80, targetPort: 8080}", "") ALSO("{name: http-b, port: 80, targetPort: 8080}"), "HRK0017 HRK0021",
	 DB("{name: tcp-a, port: 80, targetPort: 8080}", "") ALSO("{name: tcp-b, port: 80, targetPort: 8080}"), "HRK0021", "spec.ports[0]", "declares tcp, this one http"},
	{"one protocol, one declaration", CHECK_TARGET_HALF,
	 DB("{name: a, port: 80, targetPort: 8080}", "") ALSO("{name: http-b, port: 80, targetPort: 8080}"), "HRK0018 HRK0010",
	 DB("{name: http-a, port: 80, targetPort: 8080}", "") ALSO("{name: http-b, port: 80, targetPort: 8080}"), "", "spec.ports[0]", "# Service shop/db\n"},
	{"two ports of Services, one of the Pod", CHECK_TARGET_SHARED,
	 DB("{name: http, port: 80, targetPort: 8080}", "") ALSO("{name: http, port: 81, targetPort: 8080}"), "HRK0019",
	 DB("{name: http, port: 80, targetPort: 8080}, {name: http-2, port: 81, targetPort: 8080}", ""), "", "spec.ports[0]", "Service shop/db port 80"},
	{"a targetPort that nobody has", CHECK_TARGET_MISSING,
	 DB("{name: http, port: 80, targetPort: web}", ", ports: [{name: wep, containerPort: 80}]"), "HRK0020",
	 DB("{name: http, port: 80, targetPort: web}", ", ports: [{name: web, containerPort: 80}]"), "", "spec.ports[0].targetPort", "no endpoint"},
	{"TCP, PERMISSIVE", CHECK_PERMISSIVE_WAITS,
	 DB("{name: tcp, port: 3307}", ""), "HRK0021",
	 DB("{name: tcp, port: 3307}", "") STRICT, "", "spec.ports[0]", "D1"},
	{"TCP, PERMISSIVE, without a sidecar nobody waits", CHECK_PERMISSIVE_WAITS,
	 NAMESPACES APP_IN("shop", "db", "{name: tcp, port: 3307}"), "HRK0021",
	 NAMESPACES APP_IN("bare", "db", "{name: tcp, port: 3307}"), "", "spec.ports[0]", "plaintext client"},
	{"TCP, PERMISSIVE, of a client that speaks first", CHECK_PERMISSIVE_WAITS,
	 DB("{name: mysql, port: 3307}", ""), "HRK0021",
	 DB("{name: mongo, port: 3307}", ""), "", "spec.ports[0]", "probes"},
	{"the mesh listens to the client alone", CHECK_CLIENT_FIRST,
	 DB("{port: 3307}", RUN("mysqld")) MESH("", "detection: client-first"), "HRK0022",
	 DB("{port: 3307}", RUN("mysqld")) MESH("", "detection: both-ends"), "HRK0011", "spec.ports[0]", "for ever"},
	{"a Pod listens to the client alone", CHECK_CLIENT_FIRST,
	 NAMESPACES TEMPLATE("hark.mesh/detection: 3306=client-first") SERVICE("db", "{port: 3307, targetPort: 3306}"), "HRK0022",
	 NAMESPACES TEMPLATE("hark.mesh/detection: 3307=client-first") SERVICE("db", "{port: 3307, targetPort: 3306}"), "HRK0011", "spec.ports[0]", "annotation hark.mesh/detection of Deployment shop/db"},
	{"listening to the client alone harms no declared port", CHECK_CLIENT_FIRST,
	 DB("{name: http, port: 3307}", RUN("mysqld")) MESH("", "detection: client-first"), "HRK0022",
	 DB("{name: mysql, port: 3307}", RUN("mysqld")) MESH("", "detection: client-first"), "HRK0021", "spec.ports[0]", "wait for each other"},
	{"a detection timeout", CHECK_DETECTION_TIMEOUT,
	 MESH("protocolDetectionTimeout: 5s", ""), "HRK0023",
	 MESH("protocolDetectionTimeout: 0s", ""), "", "data.mesh", "5000 ms"},
	{"a port without its sidecar, with a policy", CHECK_EXCLUDED_POLICY,
	 NAMESPACES TEMPLATE("traffic.sidecar.istio.io/excludeInboundPorts: '3306'") SERVICE("db", "{name: mysql, port: 3306}")
	 POLICY("shop", "db", "action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.1]}}]}]") RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: DISABLE}}"),
	 "HRK0024",
	 NAMESPACES TEMPLATE("traffic.sidecar.istio.io/excludeInboundPorts: '3307'") SERVICE("db", "{name: mysql, port: 3306}")
	 POLICY("shop", "db", "action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.1]}}]}]") RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: DISABLE}}"),
	 "HRK0021 HRK0093", "spec.template.metadata.annotations[traffic.sidecar.istio.io/excludeInboundPorts]", "AuthorizationPolicy shop/db"},
	{"a port without its sidecar, with mesh TLS", CHECK_EXCLUDED_TLS,
	 NAMESPACES TEMPLATE("traffic.sidecar.istio.io/excludeInboundPorts: '3306'") SERVICE("db", "{name: mysql, port: 3306}"), "HRK0025",
	 NAMESPACES TEMPLATE("traffic.sidecar.istio.io/excludeInboundPorts: '3306'") SERVICE("db", "{name: mysql, port: 3306}")
	 PEER("shop", "db", "selector: {matchLabels: {app: db}}, portLevelMtls: {3306: {mode: DISABLE}}"), "",
	 "spec.template.metadata.annotations[traffic.sidecar.istio.io/excludeInboundPorts]", "ClientHello"},
	{"only some ports with a sidecar", CHECK_EXCLUDED_TLS,
	 NAMESPACES TEMPLATE("traffic.sidecar.istio.io/includeInboundPorts: '80'") SERVICE("db", "{name: mysql, port: 3306}"), "HRK0025",
	 NAMESPACES TEMPLATE("traffic.sidecar.istio.io/includeInboundPorts: '80,3306'") SERVICE("db", "{name: mysql, port: 3306}"), "HRK0021",
	 "spec.template.metadata.annotations[traffic.sidecar.istio.io/includeInboundPorts]", "ClientHello"},
	{"no port with a sidecar", CHECK_EXCLUDED_TLS,
	 NAMESPACES TEMPLATE("sidecar.istio.io/interceptionMode: NONE") SERVICE("db", "{name: mysql, port: 3306}"), "HRK0025",
	 NAMESPACES TEMPLATE("sidecar.istio.io/interceptionMode: REDIRECT") SERVICE("db", "{name: mysql, port: 3306}"), "HRK0021",
	 "spec.template.metadata.annotations[sidecar.istio.io/interceptionMode]", "kept from the sidecar"},
};
/* clang-format on */

static void each_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		trial_row_run(&rows[i]);
}

/* What was seen goes before what is guessed. */
static void seen(void **state)
{
	(void)state;
	static const struct {
		const char *name, *ports, *codes, *text;
		struct learned_port learned;
	} cases[] = {
		/* clang-format off */
		{"a greeting at the Service's port", "{port: 3307, targetPort: 3306}", "HRK0011", "the server spoke first on 3 connections (mysql)",
		 {.port = 3307, .server_first = 3, .greeting = "mysql"}},
		{"a greeting at the Pod's port", "{port: 3307, targetPort: 3306}", "HRK0011", "the server spoke first on 1 connection (mysql)",
		 {.port = 3306, .inbound = true, .server_first = 1, .greeting = "mysql"}},
		{"a greeting at another port", "{port: 3307, targetPort: 13306}", "HRK0010", "",
		 {.port = 3306, .server_first = 1, .greeting = "mysql"}},
		{"HTTP", "{port: 3306}", "HRK0013", "HTTP 7",
		 {.port = 3306, .client_http = 7, .greeting = ""}},
		{"HTTP where bytes are declared", "{name: tcp-x, port: 80}", "HRK0016", "HTTP 7",
		 {.port = 80, .client_http = 7, .greeting = ""}},
		{"a client that speaks first: nobody waits", "{name: tcp-x, port: 80}", "", "",
		 {.port = 80, .client_opaque = 1, .greeting = ""}},
		{"a greeting where HTTP is declared", "{name: http-x, port: 80}", "HRK0014", "ssh",
		 {.port = 80, .server_first = 1, .greeting = "ssh"}},
		{"now this, now that", "{port: 80}", "HRK0010", "the server spoke first on 1 connection, the client on 2 connections",
		 {.port = 80, .server_first = 1, .client_http = 2, .greeting = ""}},
		/* clang-format on */
	};
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		char yaml[2048];
		struct trial t;
		struct learned_port learned = cases[i].learned;
		learned.ns = "shop";
		learned.service = "db";
		(void)snprintf(yaml, sizeof(yaml),
			       NAMESPACES RUNS("db", "", "") SERVICE("db", "%s"), cases[i].ports);
		trial_read(&t, yaml);
		analysis_learned(t.a, &learned);
		analysis_run(t.a);
		if (strcmp(trial_codes(&t), cases[i].codes) != 0)
			fail_msg("%s: found %s", cases[i].name, t.codes);
		if (cases[i].codes[0] && !trial_says(analysis_finding(t.a, 0), cases[i].text))
			fail_msg("%s: says %s", cases[i].name, analysis_finding(t.a, 0)->why);
		trial_fini(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_check),
		cmocka_unit_test(seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
