/* What is found in Sidecars: each check with what raises it, and the nearest that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/fixture.h"
#include "base/mem.h"

#define SIDECAR(spec) ISTIO("networking", "Sidecar", "shop", "s", spec)
#define SOCKET(port, hosts)                                                                        \
	"egress: [{port: {number: " port "}, captureMode: NONE, hosts: ['" hosts                   \
	"']}, {hosts: ['*/*']}]"
#define ENTRY(name, host)                                                                          \
	ISTIO("networking", "ServiceEntry", "shop", name,                                          \
	      "hosts: [" host "], resolution: DNS, ports: [{number: 3306, name: a}]")
#define WEB APP("web", "{port: 80, name: http, targetPort: 8080}")

static const struct trial_row rows[] = {
	{"a Service's port is not listed", CHECK_INGRESS_UNLISTED,
	 NAMESPACES RUNS("web", "", "")
		 SERVICE("web", "{port: 80, name: http, targetPort: 8080}, {port: "
				"81, name: http-b, targetPort: 8081}")
			 SIDECAR("ingress: [{port: {number: 8080}}]"),
	 "HRK0120",
	 NAMESPACES RUNS("web", "", "")
		 SERVICE("web", "{port: 80, name: http, targetPort: 8080}, {port: "
				"81, name: http-b, targetPort: 8081}")
			 SIDECAR("ingress: [{port: {number: 8080}}, {port: {number: 8081}}]"),
	 "", "spec.ingress", "leads to port 8081, which is not listed"},
	{"the Service's number instead of the workload's", CHECK_INGRESS_UNTARGETED,
	 NAMESPACES WEB SIDECAR("ingress: [{port: {number: 8080}}, {port: {number: 80}}]"),
	 "HRK0121", NAMESPACES WEB SIDECAR("ingress: [{port: {number: 8080}}]"), "",
	 "spec.ingress[1].port", "not its port"},
	{"a socket for nobody", CHECK_SOCKET_NOBODY,
	 NAMESPACES WEB SIDECAR(SOCKET("80", "./db.example.com")) ENTRY("db", "db.example.com"),
	 "HRK0123",
	 NAMESPACES WEB SIDECAR(SOCKET("3306", "./db.example.com")) ENTRY("db", "db.example.com"),
	 "", "spec.egress[0].hosts", "the socket is not opened"},
	{"a socket for several", CHECK_SOCKET_SEVERAL,
	 NAMESPACES WEB SIDECAR(SOCKET("3306", "./*.example.com")) ENTRY("b", "b.example.com")
		 ENTRY("a", "a.example.com"),
	 "HRK0124",
	 NAMESPACES WEB SIDECAR(SOCKET("3306", "./a.example.com")) ENTRY("b", "b.example.com")
		 ENTRY("a", "a.example.com"),
	 "", "spec.egress[0].hosts", "2 hosts are named for 127.0.0.1:3306"},
	{"another workload's Sidecar", CHECK_INGRESS_UNLISTED,
	 NAMESPACES WEB SIDECAR("workloadSelector: {labels: {app: web}}, ingress: [{port: "
				"{number: 1}}]"),
	 "HRK0120 HRK0121",
	 NAMESPACES WEB SIDECAR("workloadSelector: {labels: {app: db}}, ingress: [{port: "
				"{number: 1}}]"),
	 "", "spec.ingress", "Deployment shop/web"},
};

static void each_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		trial_row_run(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
