#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/fixture.h"
#include "base/mem.h"

/* A Service port 3306 that leads to 13306 of Pods with a sidecar; http, so that nothing else is told. */
#define DB NAMESPACES APP("db", "{name: http, port: 3306, targetPort: 13306}")
#define OF_DB "selector: {matchLabels: {app: db}}, "
#define DISABLE(port) "portLevelMtls: {" port ": {mode: DISABLE}}"
#define BARE_CLIENT RUNS_IN("bare", "client", "", "")
/* Headless; `b` goes behind it as well. */
#define HEADLESS(name)                                                                             \
	SERVICE_IN("shop", name, "clusterIP: None, ports: [{name: http, port: 3306}]")
#define TWO(b_more, b_in)                                                                          \
	NAMESPACES                                                                                 \
	"apiVersion: v1\nkind: Pod\n"                                                              \
	"metadata: {name: a, namespace: shop, labels: {app: db, which: a}}\n"                      \
	"spec: {containers: [{name: c}]}\n---\n"                                                   \
	"apiVersion: v1\nkind: Pod\n"                                                              \
	"metadata: {name: b, namespace: shop, labels: {app: db, which: b" b_more "}}\n"            \
	"spec: {containers: [{name: c}]}\n---\n" b_in

/* clang-format off */
static const struct trial_row rows[] = {
	{"a Service's port as the key", CHECK_MODE_PORT,
	 DB PEER("shop", "db", OF_DB DISABLE("3306")), "HRK0040",
	 DB PEER("shop", "db", OF_DB DISABLE("13306")), "", "spec.portLevelMtls.3306", "13306:\n      mode: DISABLE"},
	{"a Service's port that a container has as well", CHECK_MODE_PORT,
	 DB PEER("shop", "db", OF_DB DISABLE("3306")), "HRK0040",
	 NAMESPACES RUNS("db", "", ", ports: [{containerPort: 3306}]") SERVICE("db", "{name: http, port: 3306, targetPort: 13306}") PEER("shop", "db", OF_DB DISABLE("3306")), "",
	 "spec.portLevelMtls.3306", "port 13306 stays PERMISSIVE"},
	{"ports of nobody", CHECK_MODE_NO_SELECTOR,
	 DB PEER("shop", "db", DISABLE("13306")), "HRK0041",
	 DB PEER("shop", "db", OF_DB DISABLE("13306")), "", "spec.portLevelMtls", "nobody is meant"},
	{"a selector that selects nothing", CHECK_NO_WORKLOADS,
	 DB PEER("shop", "db", "selector: {matchLabels: {app: bd}}, mtls: {mode: PERMISSIVE}"), "HRK0030",
	 DB PEER("shop", "db", "selector: {matchLabels: {app: db}}, mtls: {mode: PERMISSIVE}"), "", "spec.selector", "Deployment shop/db in the same namespace has app: db"},
	{"a selector of another namespace's Pods", CHECK_NO_WORKLOADS,
	 DB PEER("bare", "db", "selector: {matchLabels: {app: db}}, mtls: {mode: PERMISSIVE}"), "HRK0030",
	 DB PEER("shop", "db", "selector: {matchLabels: {app: db}}, mtls: {mode: PERMISSIVE}"), "", "spec.selector", "no effect"},
	{"a selector of what a kind that is not known may make", CHECK_NO_WORKLOADS,
	 DB PEER("shop", "db", "selector: {matchLabels: {app: bd}}, mtls: {mode: PERMISSIVE}"), "HRK0030",
	 DB "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: bd, namespace: shop}\n---\n"
	 PEER("shop", "db", "selector: {matchLabels: {app: bd}}, mtls: {mode: PERMISSIVE}"), "HRK0002", "spec.selector", "no effect"},
	{"a selector in the root namespace", CHECK_ROOT_SELECTOR,
	 DB PEER("istio-system", "db", OF_DB "mtls: {mode: STRICT}"), "HRK0042",
	 DB PEER("istio-system", "db", "mtls: {mode: STRICT}"), "", "spec.selector", "istio-system"},
	{"two for the namespace", CHECK_SEVERAL_MODES,
	 DB PEER("shop", "a", "mtls: {mode: STRICT}") PEER("shop", "b", "mtls: {mode: DISABLE}"), "HRK0043",
	 DB PEER("shop", "a", "mtls: {mode: STRICT}") PEER("bare", "b", "mtls: {mode: DISABLE}"), "", "metadata.name", "PeerAuthentication shop/a counts"},
	{"two for one workload", CHECK_SEVERAL_MODES,
	 DB PEER("shop", "a", OF_DB "mtls: {mode: STRICT}") PEER("shop", "b", OF_DB DISABLE("13306")), "HRK0043",
	 DB PEER("shop", "a", OF_DB "mtls: {mode: STRICT}, " DISABLE("13306")) PEER("shop", "b", "mtls: {mode: PERMISSIVE}"), "",
	 "metadata.name", "both select Deployment shop/db"},
	{"STRICT for Pods without a sidecar", CHECK_NOT_ENFORCED,
	 NAMESPACES APP_IN("bare", "db", "{name: http, port: 80}") PEER("bare", "db", OF_DB "mtls: {mode: STRICT}"), "HRK0031",
	 NAMESPACES APP_IN("shop", "db", "{name: http, port: 80}") PEER("shop", "db", OF_DB "mtls: {mode: STRICT}"), "", "spec.selector", "Deployment bare/db"},
	{"STRICT for a Pod that forbids its sidecar", CHECK_NOT_ENFORCED,
	 NAMESPACES RUNS("db", ", sidecar.istio.io/inject: 'false'", "") PEER("shop", "all", "mtls: {mode: STRICT}"), "HRK0031",
	 NAMESPACES RUNS("db", ", sidecar.istio.io/inject: 'true'", "") PEER("shop", "all", "mtls: {mode: STRICT}"), "", "metadata.namespace", "plaintext from everybody"},
	{"STRICT of the mesh is for whoever is in it", CHECK_NOT_ENFORCED,
	 NAMESPACES RUNS_IN("bare", "db", "", "") PEER("bare", "all", "mtls: {mode: STRICT}"), "HRK0031",
	 NAMESPACES RUNS_IN("bare", "db", "", "") PEER("istio-system", "all", "mtls: {mode: STRICT}"), "", "metadata.namespace", "plaintext"},
	{"STRICT, and a client without a sidecar", CHECK_STRICT_CLIENTS,
	 DB BARE_CLIENT PEER("shop", "all", "mtls: {mode: STRICT}"), "HRK0044",
	 DB BARE_CLIENT PEER("shop", "all", "mtls: {mode: PERMISSIVE}"), "", "spec", "Deployment bare/client"},
	{"STRICT on one port, and a client without a sidecar", CHECK_STRICT_CLIENTS,
	 DB BARE_CLIENT PEER("shop", "db", OF_DB "portLevelMtls: {13306: {mode: STRICT}}"), "HRK0044",
	 DB BARE_CLIENT PEER("shop", "db", OF_DB "portLevelMtls: {9999: {mode: STRICT}}"), "", "spec", "it holds for Deployment shop/db"},
	{"STRICT where the namespace says DISABLE", CHECK_NAMESPACE_OFF,
	 DB PEER("shop", "all", "mtls: {mode: DISABLE}") PEER("shop", "db", OF_DB "mtls: {mode: STRICT}"), "HRK0045",
	 DB PEER("shop", "all", "mtls: {mode: PERMISSIVE}") PEER("shop", "db", OF_DB "mtls: {mode: STRICT}"), "", "spec", "PeerAuthentication shop/all disables it"},
	{"STRICT where the mesh says DISABLE", CHECK_NAMESPACE_OFF,
	 DB PEER("istio-system", "all", "mtls: {mode: DISABLE}") PEER("shop", "db", OF_DB "mtls: {mode: STRICT}"), "HRK0045",
	 DB PEER("istio-system", "all", "mtls: {mode: DISABLE}") PEER("shop", "all", "mtls: {mode: STRICT}"), "", "spec", "PeerAuthentication istio-system/all"},
	{"headless, STRICT beside plaintext", CHECK_HEADLESS,
	 TWO(", sidecar.istio.io/inject: 'false'", HEADLESS("db")) PEER("shop", "a", "selector: {matchLabels: {which: a}}, mtls: {mode: STRICT}"), "HRK0044 HRK0046",
	 TWO("", HEADLESS("db")) PEER("shop", "a", "selector: {matchLabels: {which: a}}, mtls: {mode: STRICT}"), "", "spec.ports[0]", "Pod shop/a is STRICT, Pod shop/b speaks plaintext"},
	{"headless, mTLS off on the port", CHECK_HEADLESS,
	 TWO("", HEADLESS("db")) PEER("shop", "a", OF_DB DISABLE("3306")), "HRK0046",
	 TWO("", SERVICE("db", "{name: http, port: 3306}")) PEER("shop", "a", OF_DB DISABLE("3306")), "", "spec.ports[0]", "mode: DISABLE"},
	{"headless, mTLS off on the port, and clients know", CHECK_HEADLESS,
	 TWO("", HEADLESS("db")) PEER("shop", "a", OF_DB DISABLE("3306")), "HRK0046",
	 TWO("", HEADLESS("db")) PEER("shop", "a", OF_DB DISABLE("3306")) RULE("shop", "db", "host: db, trafficPolicy: {tls: {mode: DISABLE}}"), "", "spec.ports[0]", "ClientHello"},
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
