#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/fixture.h"
#include "base/mem.h"

/* A Service port 3306 that leads to 13306 of Pods with a sidecar; http, so that nothing else is told. */
#define PORTS "{name: http, port: 3306, targetPort: 13306}"
#define DB NAMESPACES RUNS("db", ", version: v1", "") SERVICE("db", PORTS)
#define WEB RUNS_IN("shop", "web", "", "")
#define OTHER                                                                                      \
	"apiVersion: v1\nkind: Namespace\n"                                                        \
	"metadata: {name: other, labels: {istio-injection: enabled}}\n---\n" RUNS_IN(              \
		"other", "web", "", "")
#define BARE_DB NAMESPACES APP_IN("bare", "db", PORTS) WEB
#define STRICT PEER("shop", "all", "mtls: {mode: STRICT}")
#define OFF PEER("shop", "all", "mtls: {mode: DISABLE}")
#define TLS(mode) "trafficPolicy: {tls: {mode: " mode "}}"
#define PORT_TLS(number, tls)                                                                      \
	"trafficPolicy: {portLevelSettings: [{port: {number: " number "}" tls "}]}"
#define FULL "db.shop.svc.cluster.local"
#define ENTRY                                                                                      \
	"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"                                 \
	"metadata: {name: out, namespace: shop}\n"                                                 \
	"spec: {hosts: [db.example.com], resolution: DNS, ports: [{number: 1, name: a}]}\n---\n"
#define OUTSIDE(port, more)                                                                        \
	"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"                                 \
	"metadata: {name: o, namespace: shop}\n"                                                   \
	"spec: {hosts: [o.example.com], resolution: DNS, ports: [{number: " port ", name: a" more  \
	"}]}\n---\n"
#define EXCLUDING(ports)                                                                           \
	"apiVersion: v1\nkind: Pod\n"                                                              \
	"metadata: {name: db, namespace: shop, labels: {app: db}, annotations: "                   \
	"{traffic.sidecar.istio.io/excludeInboundPorts: '" ports "'}}\n"                           \
	"spec: {containers: [{name: c}]}\n---\n"
#define CA ", caCertificates: /ca.pem"

/* clang-format off */
static const struct trial_row rows[] = {
	/* against what the Pods ask for */
	{"DISABLE towards STRICT", CHECK_TLS_CONFLICT,
	 DB STRICT RULE("shop", "db", "host: db, " TLS("DISABLE")), "HRK0050",
	 DB STRICT RULE("shop", "db", "host: db, " TLS("ISTIO_MUTUAL")), "", "spec.trafficPolicy.tls", "STRICT by PeerAuthentication shop/all"},
	{"DISABLE towards STRICT, for one port", CHECK_TLS_CONFLICT,
	 DB STRICT RULE("shop", "db", "host: db, " PORT_TLS("3306", ", tls: {mode: DISABLE}")), "HRK0050",
	 DB STRICT RULE("shop", "db", "host: db, trafficPolicy: {loadBalancer: {simple: RANDOM}}"), "", "spec.trafficPolicy.portLevelSettings[0].tls", "port 3306"},
	{"SIMPLE towards STRICT", CHECK_TLS_CONFLICT,
	 DB STRICT RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: SIMPLE" CA "}}"), "HRK0050",
	 DB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: SIMPLE" CA "}}"), "", "spec.trafficPolicy.tls", "mode SIMPLE"},
	{"DISABLE towards STRICT, on another port", CHECK_TLS_CONFLICT,
	 DB PEER("shop", "db", "selector: {matchLabels: {app: db}}, portLevelMtls: {13306: {mode: STRICT}}") RULE("shop", "db", "host: db, " TLS("DISABLE")), "HRK0050",
	 DB PEER("shop", "db", "selector: {matchLabels: {app: db}}, mtls: {mode: STRICT}, portLevelMtls: {13306: {mode: DISABLE}}") RULE("shop", "db", "host: db, " TLS("DISABLE")), "",
	 "spec.trafficPolicy.tls", "for this port"},
	{"DISABLE towards STRICT, of a subset", CHECK_TLS_CONFLICT,
	 DB STRICT RULE("shop", "db", "host: db, subsets: [{name: v1, labels: {version: v1}, " TLS("DISABLE") "}]"), "HRK0050",
	 DB STRICT RULE("shop", "db", "host: db, subsets: [{name: v1, labels: {version: v1}, " TLS("ISTIO_MUTUAL") "}]"), "", "spec.subsets[0].trafficPolicy.tls", "subset v1"},
	{"DISABLE towards STRICT, for clients elsewhere", CHECK_TLS_CONFLICT,
	 DB OTHER STRICT RULE("other", "db", "host: " FULL ", " TLS("DISABLE")), "HRK0050",
	 DB OTHER STRICT RULE("bare", "db", "host: " FULL ", " TLS("DISABLE")), "", "spec.trafficPolicy.tls", "namespace other"},
	{"DISABLE towards STRICT, kept from the clients", CHECK_TLS_CONFLICT,
	 DB OTHER STRICT RULE("shop", "db", "host: db, exportTo: [other], " TLS("DISABLE")), "HRK0050",
	 DB OTHER STRICT RULE("bare", "db", "host: " FULL ", exportTo: ['.'], " TLS("DISABLE")), "", "spec.trafficPolicy.tls", "every connection is refused"},
	{"DISABLE towards STRICT, for some Pods", CHECK_TLS_CONFLICT,
	 DB WEB STRICT RULE("shop", "db", "host: db, workloadSelector: {matchLabels: {app: web}}, " TLS("DISABLE")), "HRK0050",
	 DB WEB STRICT RULE("shop", "db", "host: db, workloadSelector: {matchLabels: {app: web}}, " TLS("ISTIO_MUTUAL")), "", "spec.trafficPolicy.tls", "some Pods of namespace shop"},
	{"ISTIO_MUTUAL towards Pods without a sidecar", CHECK_TLS_TO_PLAIN,
	 BARE_DB RULE("bare", "db", "host: db, " TLS("ISTIO_MUTUAL")), "HRK0051",
	 BARE_DB RULE("bare", "db", "host: db, " TLS("DISABLE")), "", "spec.trafficPolicy.tls", "Deployment bare/db has no sidecar"},
	{"ISTIO_MUTUAL towards a port with DISABLE", CHECK_TLS_TO_PLAIN,
	 DB OFF RULE("shop", "db", "host: db, " TLS("ISTIO_MUTUAL")), "HRK0051",
	 DB RULE("shop", "db", "host: db, " TLS("ISTIO_MUTUAL")), "", "spec.trafficPolicy.tls", "DISABLE by PeerAuthentication shop/all"},
	{"ISTIO_MUTUAL towards a port that is kept from its sidecar", CHECK_TLS_TO_PLAIN,
	 NAMESPACES EXCLUDING("13306") SERVICE("db", PORTS) RULE("shop", "db", "host: db, " TLS("ISTIO_MUTUAL")), "HRK0051",
	 NAMESPACES EXCLUDING("13307") SERVICE("db", PORTS) RULE("shop", "db", "host: db, " TLS("ISTIO_MUTUAL")), "", "spec.trafficPolicy.tls", "an annotation keeps port 13306"},
	{"DISABLE towards STRICT, where the sidecar hears of it", CHECK_TLS_CONFLICT,
	 NAMESPACES EXCLUDING("13307") SERVICE("db", PORTS) STRICT RULE("shop", "db", "host: db, " TLS("DISABLE")), "HRK0050",
	 NAMESPACES EXCLUDING("13306") SERVICE("db", PORTS) STRICT RULE("shop", "db", "host: db, " TLS("DISABLE")), "HRK0024", "spec.trafficPolicy.tls", "refused"},
	/* by itself */
	{"a host that is no Service", CHECK_HOST,
	 DB RULE("shop", "db", "host: bd"), "HRK0060",
	 DB RULE("shop", "db", "host: db"), "", "spec.host", "a Service of the rule's namespace, shop"},
	{"a Service of another namespace", CHECK_HOST,
	 DB RULE("bare", "db", "host: db"), "HRK0060",
	 DB RULE("bare", "db", "host: " FULL), "", "spec.host", "host: " FULL},
	{"a name that is not completed", CHECK_HOST,
	 DB RULE("bare", "db", "host: db.shop"), "HRK0060",
	 DB RULE("bare", "db", "host: " FULL), "", "spec.host", "is not completed"},
	{"a star over nothing", CHECK_HOST,
	 DB RULE("shop", "db", "host: '*.ship.svc.cluster.local'"), "HRK0060",
	 DB RULE("shop", "db", "host: '*.shop.svc.cluster.local'"), "", "spec.host", "no effect"},
	{"a host outside, which no ServiceEntry has", CHECK_HOST,
	 DB RULE("shop", "db", "host: db.example.com"), "HRK0060",
	 DB ENTRY RULE("shop", "db", "host: db.example.com"), "", "spec.host", "db.example.com"},
	{"SIMPLE without authorities", CHECK_NO_CA,
	 DB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: SIMPLE}}"), "HRK0061",
	 DB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: SIMPLE" CA "}}"), "", "spec.trafficPolicy.tls", "caCertificates: "},
	{"SIMPLE without authorities, on purpose", CHECK_NO_CA,
	 DB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: SIMPLE}}"), "HRK0061",
	 DB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true}}"), "", "spec.trafficPolicy.tls", "mode SIMPLE"},
	{"SIMPLE without authorities, of a subset", CHECK_NO_CA,
	 DB RULE("shop", "db", "host: db, subsets: [{name: v1, labels: {version: v1}, " TLS("SIMPLE") "}]"), "HRK0061",
	 DB RULE("shop", "db", "host: db, subsets: [{name: v1, labels: {version: v1}, " TLS("DISABLE") "}]"), "", "spec.subsets[0].trafficPolicy.tls", "SIMPLE"},
	{"SIMPLE without authorities, for a port", CHECK_NO_CA_PORT,
	 DB RULE("shop", "db", "host: db, " PORT_TLS("3306", ", tls: {mode: SIMPLE}")), "HRK0062",
	 DB RULE("shop", "db", "host: db, " PORT_TLS("3306", ", tls: {mode: SIMPLE" CA "}")), "", "spec.trafficPolicy.portLevelSettings[0].tls", "SIMPLE"},
	{"MUTUAL without a certificate", CHECK_NO_CERTIFICATE,
	 DB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: MUTUAL, privateKey: /k.pem" CA "}}"), "HRK0063",
	 DB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: /c.pem, privateKey: /k.pem" CA "}}"), "", "spec.trafficPolicy.tls", "clientCertificate"},
	{"MUTUAL without a key", CHECK_NO_CERTIFICATE,
	 DB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: /c.pem" CA "}}"), "HRK0063",
	 DB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: SIMPLE, clientCertificate: /c.pem" CA "}}"), "", "spec.trafficPolicy.tls", "privateKey"},
	{"a port that the Service does not have", CHECK_RULE_PORT,
	 DB RULE("shop", "db", "host: db, " PORT_TLS("3307", ", tls: {mode: DISABLE}")), "HRK0064",
	 DB RULE("shop", "db", "host: db, " PORT_TLS("3306", ", tls: {mode: DISABLE}")), "", "spec.trafficPolicy.portLevelSettings[0].port.number", "has no port 3307"},
	{"the container's port", CHECK_RULE_PORT,
	 DB RULE("shop", "db", "host: db, " PORT_TLS("13306", ", tls: {mode: DISABLE}")), "HRK0064",
	 DB RULE("shop", "db", "host: db, " PORT_TLS("3306", ", tls: {mode: DISABLE}")), "", "spec.trafficPolicy.portLevelSettings[0].port.number", "number: 3306"},
	{"an entry that drops tls", CHECK_PORT_DROPS_TLS,
	 DB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 3306}}]}"), "HRK0065",
	 DB RULE("shop", "db", "host: db, trafficPolicy: {portLevelSettings: [{port: {number: 3306}}]}"), "", "spec.trafficPolicy.portLevelSettings[0]", "as a whole"},
	{"a subset of nobody", CHECK_SUBSET_EMPTY,
	 DB RULE("shop", "db", "host: db, subsets: [{name: v2, labels: {version: v2}}]"), "HRK0066",
	 DB RULE("shop", "db", "host: db, subsets: [{name: v2, labels: {version: v1}}]"), "", "spec.subsets[0].labels", "Deployment shop/db"},
	{"a subset without labels", CHECK_SUBSET_LABELS,
	 DB RULE("shop", "db", "host: db, subsets: [{name: v1}]"), "HRK0067",
	 DB RULE("shop", "db", "host: db, subsets: [{name: v1, labels: {version: v1}}]"), "", "spec.subsets[0]", "all Pods of the Service"},
	{"two policies for one host", CHECK_SEVERAL_RULES,
	 DB RULE("shop", "a", "host: db, " TLS("ISTIO_MUTUAL")) RULE("shop", "b", "host: " FULL ", " TLS("DISABLE")), "HRK0068",
	 DB RULE("shop", "a", "host: db, " TLS("ISTIO_MUTUAL")) RULE("shop", "b", "host: " FULL ", subsets: [{name: v1, labels: {version: v1}}]"), "", "spec.host", "the trafficPolicy of this one is lost"},
	{"one subset twice", CHECK_SEVERAL_RULES,
	 DB RULE("shop", "a", "host: db, subsets: [{name: v1, labels: {version: v1}}]") RULE("shop", "b", "host: db, subsets: [{name: v1, labels: {app: db}}]"), "HRK0068",
	 DB RULE("shop", "a", "host: db, subsets: [{name: v1, labels: {version: v1}}]") RULE("shop", "b", "host: db, subsets: [{name: all, labels: {app: db}}]"), "", "spec.host", "subset \"v1\""},
	{"a credential for every sidecar", CHECK_CREDENTIAL,
	 DB WEB RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}"), "HRK0069",
	 DB WEB RULE("shop", "db", "host: db, workloadSelector: {matchLabels: {app: web}}, trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}"), "",
	 "spec.trafficPolicy.tls.credentialName", "workloadSelector"},
	{"TLS towards MySQL outside, as it seems", CHECK_TLS_GUESS,
	 DB OUTSIDE("3306", "") RULE("shop", "o", "host: o.example.com, trafficPolicy: {tls: {mode: SIMPLE" CA "}}"), "HRK0071",
	 DB OUTSIDE("5432", "") RULE("shop", "o", "host: o.example.com, trafficPolicy: {tls: {mode: SIMPLE" CA "}}"), "", "spec.trafficPolicy.tls", "MySQL"},
	{"TLS towards declared MySQL outside", CHECK_TLS_GUESS,
	 DB OUTSIDE("4000", ", protocol: MySQL") RULE("shop", "o", "host: o.example.com, trafficPolicy: {tls: {mode: SIMPLE" CA "}}"), "HRK0071",
	 DB OUTSIDE("4000", ", protocol: MySQL") RULE("shop", "o", "host: o.example.com, trafficPolicy: {tls: {mode: SIMPLE" CA "}, portLevelSettings: [{port: {number: 4000}, tls: {mode: DISABLE}}]}"), "",
	 "spec.trafficPolicy.tls", "Behind a terminator"},
	{"TLS towards the usual port of MySQL, declared as something else", CHECK_TLS_GUESS,
	 DB OUTSIDE("3306", ", protocol: TCP") RULE("shop", "o", "host: o.example.com, " PORT_TLS("3306", ", tls: {mode: SIMPLE" CA "}")), "HRK0071",
	 DB OUTSIDE("3306", ", protocol: HTTP") RULE("shop", "o", "host: o.example.com, " PORT_TLS("3306", ", tls: {mode: SIMPLE" CA "}")), "",
	 "spec.trafficPolicy.portLevelSettings[0].tls", "looks like MySQL"},
	{"TLS towards a MySQL server without a sidecar", CHECK_TLS_GUESS,
	 NAMESPACES RUNS_IN("bare", "db", "", ", command: [mariadbd]") SERVICE_IN("bare", "db", "ports: [{name: tcp, port: 3307}]") WEB RULE("bare", "db", "host: db, trafficPolicy: {tls: {mode: SIMPLE" CA "}}"), "HRK0071",
	 NAMESPACES RUNS_IN("bare", "db", "", ", command: [postgres]") SERVICE_IN("bare", "db", "ports: [{name: tcp, port: 3307}]") WEB RULE("bare", "db", "host: db, trafficPolicy: {tls: {mode: SIMPLE" CA "}}"), "",
	 "spec.trafficPolicy.tls", "Service bare/db port 3307"},
	{"a workloadSelector that selects nothing", CHECK_NO_WORKLOADS,
	 DB WEB RULE("shop", "db", "host: db, workloadSelector: {matchLabels: {app: wbe}}"), "HRK0030",
	 DB WEB RULE("shop", "db", "host: db, workloadSelector: {matchLabels: {app: web}}"), "", "spec.workloadSelector", "app: wbe"},
};
/* clang-format on */

static void each_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		trial_row_run(&rows[i]);
}

#define ORIGINATES(mode)                                                                           \
	DB OUTSIDE("3306", ", protocol: TCP")                                                      \
		RULE("shop", "o", "host: o.example.com, trafficPolicy: {tls: {mode: " mode "}}")

/* What the sidecars heard of a server that a rule wants TLS with. */
static void what_was_heard(void **state)
{
	(void)state;
	static const struct {
		const char *yaml, *in_clear;
		unsigned server_first, client_opaque;
		const char *codes, *says;
	} cases[] = {
		{ORIGINATES("SIMPLE" CA), "mysql", 0, 0, "HRK0070", "speaks plaintext (mysql)"},
		{ORIGINATES("SIMPLE" CA), "postgresql", 0, 3, "HRK0070",
		 "it was asked by SSLRequest"},
		{ORIGINATES("SIMPLE" CA), "", 3, 0, "", ""}, /* it greets, but inside the TLS */
		{ORIGINATES("SIMPLE" CA), "", 0, 3, "", ""},
		{ORIGINATES("SIMPLE" CA), "", 0, 0, "HRK0071", "looks like MySQL"},
		{ORIGINATES("DISABLE"), "mysql", 0, 0, "", ""},
	};
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct trial t;
		trial_read(&t, cases[i].yaml);
		analysis_learned(t.a,
				 &(struct learned_port){.service = "o.example.com",
							.port = 3306,
							.server_first = cases[i].server_first,
							.client_opaque = cases[i].client_opaque,
							.greeting = "mysql",
							.in_clear = cases[i].in_clear});
		analysis_run(t.a);
		assert_string_equal(trial_codes(&t), cases[i].codes);
		if (cases[i].codes[0] && !trial_says(analysis_finding(t.a, 0), cases[i].says))
			fail_msg("row %zu: %s", i, analysis_finding(t.a, 0)->text);
		trial_fini(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_check),
		cmocka_unit_test(what_was_heard),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
