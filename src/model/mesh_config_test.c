#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/annotations.h"
#include "model/object.h"

static bool decode(struct arena *a, const char *mesh, const char *hark, struct mesh_config *out,
		   struct err *err)
{
	const struct pair pairs[] = {{"hark", hark}, {"mesh", mesh}};
	const struct config_map config_map = {{pairs, 2}};
	const struct object o = {.kind = KIND_CONFIG_MAP, .config_map = &config_map};
	return mesh_config_decode(&o, a, out, err);
}

static void defaults(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	struct mesh_config m, none;
	struct err err = {0};
	assert_true(mesh_config_decode(NULL, a, &none, &err));
	assert_true(decode(a, "", "{}", &m, &err));
	assert_int_equal(m.outbound_policy, OUTBOUND_ALLOW_ANY);
	assert_int_equal(m.protocol_detection_timeout_ms, 0);
	assert_int_equal(m.connect_timeout_ms, 10000);
	assert_int_equal(m.keepalive_s, 300);
	assert_string_equal(m.access_log_file, "/dev/stdout");
	assert_string_equal(m.root_namespace, "istio-system");
	assert_string_equal(m.trust_domain, "cluster.local");
	assert_true(m.enable_auto_mtls);
	assert_int_equal(m.detection, DETECTION_BOTH_ENDS);
	assert_int_equal(m.lb, LB_LEAST_CONNECTIONS);
	assert_int_equal(m.head_start_us, 2000);
	assert_int_equal(m.tls_window_max_us, 50000);
	assert_int_equal(m.partial_word_ms, 1000);
	assert_int_equal(m.tcp_idle_timeout_s, 0);
	assert_int_equal(m.early_per_source, 512);
	assert_int_equal(m.early_per_destination, 1024);
	assert_int_equal(m.early_per_worker, 4096);
	assert_int_equal(m.drain_s, 30);
	assert_int_equal(m.workers, 0);
	m.access_log_file = none.access_log_file;
	m.root_namespace = none.root_namespace;
	m.trust_domain = none.trust_domain;
	assert_memory_equal(&m, &none, sizeof(m));
	arena_free(a);
}

static void all_fields(void **state)
{
	(void)state;
	struct arena *a = arena_new();
	struct mesh_config m;
	struct err err = {0};
	static const char mesh[] = "outboundTrafficPolicy:\n  mode: REGISTRY_ONLY\n"
				   "protocolDetectionTimeout: 100ms\nconnectTimeout: 1s\n"
				   "tcpKeepalive: {time: 0s, interval: 1s}\naccessLogFile: ''\n"
				   "trustDomain: td\nrootNamespace: root\nenableAutoMtls: no\n"
				   "defaultConfig: {terminationDrainDuration: 7s, concurrency: 3}\n"
				   "enableTracing: true\nfieldOfANewerIstio: {a: b}\n";
	static const char hark[] = "detection: client-first\nloadBalancer: round-robin\n"
				   "headStart: 500us\ntlsWindow: 10ms\npartialWord: 2s\n"
				   "tcpIdleTimeout: 1h\nearlyConnections: {perSource: 1, "
				   "perDestination: 2, perWorker: 3}\nterminationDrain: 8s\n";
	if (!decode(a, mesh, hark, &m, &err))
		fail_msg("%s", err.text);
	assert_int_equal(m.outbound_policy, OUTBOUND_REGISTRY_ONLY);
	assert_int_equal(m.protocol_detection_timeout_ms, 100);
	assert_int_equal(m.connect_timeout_ms, 1000);
	assert_int_equal(m.keepalive_s, 0);
	assert_string_equal(m.access_log_file, "");
	assert_string_equal(m.trust_domain, "td");
	assert_string_equal(m.root_namespace, "root");
	assert_false(m.enable_auto_mtls);
	assert_int_equal(m.detection, DETECTION_CLIENT_FIRST);
	assert_int_equal(m.lb, LB_ROUND_ROBIN);
	assert_int_equal(m.head_start_us, 500);
	assert_int_equal(m.tls_window_max_us, 10000);
	assert_int_equal(m.partial_word_ms, 2000);
	assert_int_equal(m.tcp_idle_timeout_s, 3600);
	assert_int_equal(m.early_per_source, 1);
	assert_int_equal(m.early_per_destination, 2);
	assert_int_equal(m.early_per_worker, 3);
	assert_int_equal(m.drain_s, 8); /* hark's own word over Istio's */
	assert_int_equal(m.workers, 3);
	arena_free(a);
}

static void refused(void **state)
{
	/* clang-format off */
	static const struct {
		const char *rule, *mesh, *hark, *error;
	} cases[] = {
		{"an empty policy is none", "outboundTrafficPolicy: {}", "", NULL},
		{"a policy",       "outboundTrafficPolicy: {mode: ANY}", "", "data.mesh line 1: outboundTrafficPolicy.mode: expected one of ALLOW_ANY, REGISTRY_ONLY, got string \"ANY\""},
		{"a duration",     "connectTimeout: 5", "", "data.mesh line 1: connectTimeout: expected a duration"},
		{"too short",      "\nconnectTimeout: 0s", "", "data.mesh line 2: connectTimeout: string \"0s\" is too short"},
		{"too fine",       "protocolDetectionTimeout: 1us", "", "data.mesh line 1: protocolDetectionTimeout: string \"1us\" is out of range"},
		{"no YAML",        "a: [", "", "data.mesh line"},
		{"two documents",  "{}\n---\n{}", "", "data.mesh line 3: expected one document"},
		{"a list",         "[]", "", "data.mesh line 1: expected an object"},
		{"a word",         "", "detection: auto", "data.hark line 1: detection: expected one of both-ends, client-first"},
		{"an unknown word", "", "headstart: 1ms", "data.hark line 1: headstart: unknown field, did you mean \"headStart\"?"},
	};
	/* clang-format on */
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct arena *a = arena_new();
		struct mesh_config m;
		struct err err = {0};
		char full[300];
		bool ok = decode(a, cases[i].mesh, cases[i].hark, &m, &err);
		(void)snprintf(full, sizeof(full), "ConfigMap istio-system/istio: %s",
			       cases[i].error ? cases[i].error : "");
		if (cases[i].error ? ok || !slice_starts(slice_of(err.text), slice_of(full)) : !ok)
			fail_msg("%s: %s", cases[i].rule, ok ? "taken" : err.text);
		arena_free(a);
	}
}

static void annotations(void **state)
{
	/* clang-format off */
	static const struct {
		const char *text;
		uint16_t port;
		const char *found; /* NULL: nothing said */
	} cases[] = {
		{"client-first",                        80,   "client-first"},
		{"3307=client-first,25=both-ends",      3307, "client-first"},
		{"3307=client-first, 25=both-ends",     25,   "both-ends"},
		{"3307=client-first",                   80,   NULL},
		{"client-first,80=both-ends",           80,   "both-ends"},
		{"80=both-ends,client-first",           80,   "both-ends"},
		{"80=both-ends,client-first",           81,   "client-first"},
	};
	/* clang-format on */
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		enum detection d = DETECTION_BOTH_ENDS;
		bool found = false;
		assert_true(annotation_detection(slice_of(cases[i].text), cases[i].port, &d, &found,
						 NULL));
		if (found != (cases[i].found != NULL) ||
		    (found && strcmp(detection_name(d), cases[i].found) != 0))
			fail_msg("%s for %u", cases[i].text, cases[i].port);
	}
	uint32_t ms = 0;
	bool found = false;
	assert_true(annotation_timeout(SLICE("5s,80=0s"), 443, &ms, &found, NULL));
	assert_true(found && ms == 5000);
	assert_true(annotation_timeout(SLICE("5s,80=0s"), 80, &ms, &found, NULL));
	assert_true(found && ms == 0);
	static const char *const bad[] = {"",
					  ",",
					  "x",
					  "80=",
					  "=client-first",
					  "65536=both-ends",
					  "80:both-ends",
					  "client-first,"};
	for (size_t i = 0; i < N_ELEMS(bad); i++) {
		enum detection d = DETECTION_BOTH_ENDS;
		if (annotation_detection(slice_of(bad[i]), 80, &d, &found, NULL) &&
		    strcmp(bad[i], "client-first,") != 0)
			fail_msg("taken: %s", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(all_fields),
		cmocka_unit_test(refused),
		cmocka_unit_test(annotations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
