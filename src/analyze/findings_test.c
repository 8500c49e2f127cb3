#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "analyze/fixture.h"
#include "base/mem.h"

/* One error, one warning that connections stall elsewhere, one that they do not, one info. */
#define ERROR_RULE RULE("shop", "lost", "host: nowhere")
#define STALLS RUNS("db", "", ", command: [mysqld]") SERVICE("db", "{port: 3307}")
#define WARNING POLICY("shop", "idle", "action: DENY")
#define INFO SERVICE("web", "{port: 80}")
#define ALL NAMESPACES INFO WARNING STALLS ERROR_RULE
#define ALL_CODES "HRK0060 HRK0011 HRK0091 HRK0010"

static void worst_first(void **state)
{
	(void)state;
	struct trial t;
	trial_init(&t, ALL);
	assert_string_equal(trial_codes(&t), ALL_CODES);
	trial_fini(&t);
	/* Of one check: by namespace and name, then by place; whatever order the files have. */
	trial_init(&t, NAMESPACES SERVICE_IN("shop", "b",
					     "ports: [{name: x, port: 2}, {name: y, port: 1}]")
			       SERVICE_IN("shop", "a", "ports: [{port: 3}]")
				       SERVICE_IN("bare", "z", "ports: [{port: 4}]"));
	static const char *const names[] = {"z", "a", "b", "b"};
	static const char *const paths[] = {"spec.ports[0]", "spec.ports[0]", "spec.ports[0]",
					    "spec.ports[1]"};
	assert_int_equal(analysis_count(t.a), N_ELEMS(names));
	for (size_t i = 0; i < N_ELEMS(names); i++) {
		assert_string_equal(analysis_finding(t.a, i)->name, names[i]);
		assert_string_equal(analysis_finding(t.a, i)->path, paths[i]);
	}
	trial_fini(&t);
}

static void suppressed(void **state)
{
	(void)state;
	static const struct {
		const char *what, *codes; /* NULL: refused */
		size_t n;
	} cases[] = {
		{"HRK0010", "HRK0060 HRK0011 HRK0091", 1},
		{"hrk0010=Service shop/web", "HRK0060 HRK0011 HRK0091", 1},
		{"HRK0010=Service web.shop", "HRK0060 HRK0011 HRK0091", 1},
		{"HRK0010=Service shop/*", "HRK0060 HRK0011 HRK0091", 1},
		{"HRK0010=Service *.shop", "HRK0060 HRK0011 HRK0091", 1},
		{"HRK0010=* shop/w*b", "HRK0060 HRK0011 HRK0091", 1},
		{"HRK0010=Service bare/web", ALL_CODES, 0},
		{"HRK0010=Pod shop/web", ALL_CODES, 0},
		{"HRK0010=Service shop/we", ALL_CODES, 0},
		{"HRK0011=Service shop/web", ALL_CODES, 0},
		{"IST0118", "HRK0060 HRK0011 HRK0091", 1}, /* what only Istio's words mean */
		{"IST0101", "HRK0011 HRK0091 HRK0010", 1},
		{"IST0137", ALL_CODES, 0},
		{"*=Service shop/*", "HRK0060 HRK0091", 2},
		{"*", "", 4},
		{"HRK9999", NULL, 0},
		{"", NULL, 0},
		{"HRK0010=", NULL, 0},
	};
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct trial t;
		struct err err = {0};
		trial_read(&t, ALL);
		bool ok = analysis_suppress(t.a, cases[i].what, &err);
		if (ok != (cases[i].codes != NULL))
			fail_msg("%s: %s", cases[i].what, err.text);
		analysis_run(t.a);
		if (ok && strcmp(trial_codes(&t), cases[i].codes) != 0)
			fail_msg("%s: leaves %s", cases[i].what, t.codes);
		assert_int_equal(analysis_n_suppressed(t.a), cases[i].n);
		trial_fini(&t);
	}
}

/* One of Istio's codes may be two of ours. */
static void suppressed_by_both(void **state)
{
	(void)state;
	static const char yaml[] = NAMESPACES RUNS("db", "", "") SERVICE(
		"db", "{name: http, port: 80}") APP_IN("bare", "db", "{name: http, port: 80}")
		PEER("shop", "db", "selector: {matchLabels: {app: db}}, mtls: {mode: STRICT}") RULE(
			"shop", "db", "host: db, trafficPolicy: {tls: {mode: DISABLE}}")
			RULE("bare", "db", "host: db, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}");
	struct trial t;
	struct err err = {0};
	trial_init(&t, yaml);
	assert_string_equal(trial_codes(&t), "HRK0050 HRK0051 HRK0044");
	trial_fini(&t);
	trial_read(&t, yaml);
	assert_true(analysis_suppress(t.a, "IST0113", &err));
	analysis_run(t.a);
	assert_string_equal(trial_codes(&t), "HRK0044");
	trial_fini(&t);
}

static void suppressed_by_annotation(void **state)
{
	(void)state;
	static const struct {
		const char *annotation, *codes;
	} cases[] = {
		{"x/y: z", "HRK0010"},
		{"hark.mesh/analyze-suppress: HRK0010", ""},
		{"hark.mesh/analyze-suppress: 'HRK0011, HRK0010'", ""},
		{"hark.mesh/analyze-suppress: HRK0011", "HRK0010"},
		{"hark.mesh/analyze-suppress: ''", "HRK0010"},
		{"galley.istio.io/analyze-suppress: IST0118", ""},
		{"galley.istio.io/analyze-suppress: HRK0010", ""},
		{"galley.istio.io/analyze-suppress: '*'", ""},
	};
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		char yaml[600];
		struct trial t;
		(void)snprintf(yaml, sizeof(yaml),
			       "apiVersion: v1\nkind: Service\n"
			       "metadata: {name: db, namespace: shop, annotations: {%s}}\n"
			       "spec: {ports: [{port: 80}]}\n",
			       cases[i].annotation);
		trial_init(&t, yaml);
		if (strcmp(trial_codes(&t), cases[i].codes) != 0)
			fail_msg("%s: found %s", cases[i].annotation, t.codes);
		trial_fini(&t);
	}
}

static void thresholds(void **state)
{
	(void)state;
	static const struct {
		const char *name, *yaml;
		bool fails[4]; /* by default; with Info, Warning, Error */
	} cases[] = {
		{"nothing", NAMESPACES, {false, false, false, false}},
		{"an info", NAMESPACES INFO, {false, true, false, false}},
		{"a warning", NAMESPACES WARNING, {false, true, true, false}},
		{"a warning of what stalls elsewhere",
		 NAMESPACES STALLS,
		 {true, true, true, false}},
		{"an error", NAMESPACES ERROR_RULE, {true, true, true, true}},
	};
	const struct analysis_filter all = {0}, bare = {.ns = "bare"};
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct trial t;
		trial_init(&t, cases[i].yaml);
		for (int k = 0; k < 4; k++) {
			enum check_level level = k ? (enum check_level)(k - 1) : LEVEL_INFO;
			if (analysis_fails(t.a, &all, k ? &level : NULL) != cases[i].fails[k])
				fail_msg("%s, %d", cases[i].name, k);
			assert_false(analysis_fails(t.a, &bare, k ? &level : NULL));
		}
		trial_fini(&t);
	}
}

static const char *text_of(const struct trial *t, const struct analysis_filter *filter,
			   struct buf *out)
{
	buf_init(out, 1 << 20);
	assert_true(analysis_text(t->a, filter, out));
	return buf_cstr(out);
}

static void as_text(void **state)
{
	(void)state;
	struct trial t;
	struct buf out;
	trial_init(&t, RULE("bare", "db", "host: db.shop") ALL);
	const struct analysis_filter all = {0}, errors = {.at_least = LEVEL_ERROR},
				     bare = {.ns = "bare"}, shop = {.ns = "shop"};
	assert_string_equal(
		text_of(&t, &bare, &out),
		"Error [HRK0060] (DestinationRule bare/db f:4) no Service or ServiceEntry "
		"has the host \"db.shop\"\n"
		"  at:       spec.host\n"
		"  why:      a name with a dot is taken whole: \"NAME.NAMESPACE\" is not "
		"completed\n"
		"  then:     the rule has no effect\n"
		"  mend:     write the whole name\n"
		"      spec:\n"
		"        host: db.shop.svc.cluster.local\n");
	buf_fini(&out);
	assert_non_null(strstr(text_of(&t, &errors, &out), "shop/lost"));
	assert_null(strstr(buf_cstr(&out), "Warning"));
	buf_fini(&out);
	assert_non_null(strstr(text_of(&t, &shop, &out), "Info [HRK0010]"));
	assert_null(strstr(buf_cstr(&out), "bare/db"));
	buf_fini(&out);
	assert_int_equal(analysis_count_level(t.a, &all, LEVEL_ERROR), 2);
	assert_int_equal(analysis_count_level(t.a, &shop, LEVEL_ERROR), 1);
	assert_int_equal(analysis_count_level(t.a, &errors, LEVEL_INFO), 0);
	trial_fini(&t);
}

static void as_json(void **state)
{
	(void)state;
	struct trial t;
	struct buf out;
	json_error_t why;
	trial_init(&t, ALL);
	buf_init(&out, 1 << 20);
	assert_true(analysis_json(t.a, &(struct analysis_filter){0}, &out));
	json_t *root = json_loadb(buf_slice(&out).at, buf_len(&out), 0, &why);
	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "errors")), 1);
	assert_int_equal(json_integer_value(json_object_get(root, "warnings")), 2);
	assert_int_equal(json_integer_value(json_object_get(root, "infos")), 1);
	assert_int_equal(json_integer_value(json_object_get(root, "suppressed")), 0);
	assert_int_equal(json_integer_value(json_object_get(root, "resources")), 7);
	const json_t *findings = json_object_get(root, "findings"), *f;
	assert_int_equal(json_array_size(findings), 4);
	f = json_array_get(findings, 1);
	static const char *const want[][2] = {
		{"code", "HRK0011"}, {"level", "Warning"},      {"check", "ServerFirstUndeclared"},
		{"kind", "Service"}, {"namespace", "shop"},     {"name", "db"},
		{"file", "f"},       {"path", "spec.ports[0]"},
	};
	for (size_t i = 0; i < N_ELEMS(want); i++)
		assert_string_equal(json_string_value(json_object_get(f, want[i][0])), want[i][1]);
	assert_true(json_is_null(json_object_get(f, "istio_code")));
	assert_true(json_is_true(json_object_get(f, "stalls_elsewhere")));
	assert_true(json_integer_value(json_object_get(f, "line")) > 0);
	f = json_array_get(findings, 3);
	assert_string_equal(json_string_value(json_object_get(f, "istio_code")), "IST0118");
	json_decref(root);
	buf_fini(&out);
	/* A bound that is reached is told, not passed over. */
	buf_init(&out, 100);
	assert_false(analysis_json(t.a, &(struct analysis_filter){0}, &out));
	buf_fini(&out);
	trial_fini(&t);
}

/* What is wrong is told with its place, and the rest is looked at. */
static void unreadable(void **state)
{
	(void)state;
	struct trial t;
	trial_init(&t, "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\n"
		       "spec:\n  ports:\n  - port: 70000\n---\n"
		       "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
		       "metadata: {name: web}\n---\n"
		       "a: [\n---\n" INFO);
	/* Text that is no YAML takes what follows along: nobody knows where it would go on. */
	assert_string_equal(trial_codes(&t), "HRK0001 HRK0002");
	const struct finding *f = trial_find(&t, CHECK_UNREADABLE);
	assert_string_equal(f->kind, "");
	f = analysis_finding(t.a, 1);
	assert_string_equal(f->kind, "Service");
	assert_string_equal(f->ns, "shop");
	assert_string_equal(f->name, "db");
	assert_int_equal(f->line, 6);
	assert_string_equal(f->path, "spec.ports[0].port");
	f = trial_find(&t, CHECK_STRANGER);
	assert_string_equal(f->kind, "VirtualService");
	assert_string_equal(f->ns, "default");
	assert_int_equal(f->line, 8);
	trial_fini(&t);
	trial_init(&t, "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\n"
		       "spec: {ports: [{port: 80, prot: TCP}]}\n---\n" INFO);
	assert_string_equal(trial_codes(&t), "HRK0001 HRK0010");
	assert_int_equal(analysis_count(t.a), 3); /* the Service is looked at all the same */
	trial_fini(&t);
}

/* On a running mesh Pods say themselves whether they have a sidecar. */
static void running(void **state)
{
	(void)state;
	static const struct {
		const char *name, *annotations, *labels, *codes;
	} cases[] = {
		{"a sidecar", "sidecar.istio.io/status: '{}'", "security.istio.io/tlsMode: istio",
		 ""},
		{"a sidecar without mesh TLS", "sidecar.istio.io/status: '{}'", "x: y", "HRK0051"},
		{"none, whatever the namespace says", "x: y", "x: y", "HRK0051"},
	};
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct trial t;
		struct manifest m;
		char yaml[2048];
		(void)snprintf(yaml, sizeof(yaml),
			       NAMESPACES APP("db", "{name: http, port: 80}")
				       RULE("shop", "db",
					    "host: db, trafficPolicy: {tls: {mode: "
					    "ISTIO_MUTUAL}}") "apiVersion: v1\nkind: Pod\n"
							      "metadata: {name: db-1, namespace: "
							      "shop, labels: {app: db, %s}, "
							      "annotations: {%s}, "
							      "ownerReferences: [{apiVersion: "
							      "apps/v1, kind: "
							      "Deployment, name: db, uid: u, "
							      "controller: true}]}\n"
							      "spec: {containers: [{name: "
							      "c}]}\n---\n"
							      "apiVersion: v1\nkind: Pod\n"
							      "metadata: {name: client, "
							      "namespace: shop, annotations: "
							      "{sidecar.istio.io/status: '{}'}}\n"
							      "spec: {containers: [{name: c}]}\n",
			       cases[i].labels, cases[i].annotations);
		manifest_init(&m);
		manifest_read(&m, "f", slice_of(yaml));
		assert_int_equal(m.n_errors, 0);
		t.a = analysis_new(true);
		for (size_t k = 0; k < m.n_objects; k++)
			analysis_add(t.a, m.objects[k]);
		analysis_unreadable(t.a, KIND_POD, "shop", "odd", "spec: expected an object");
		analysis_run(t.a);
		const struct finding *f = trial_find(&t, CHECK_UNREADABLE);
		assert_string_equal(f->name, "odd");
		const char *codes = trial_codes(&t);
		assert_true(slice_starts(slice_of(codes), SLICE("HRK0001")));
		if (strcmp(&codes[codes[7] == ' ' ? 8 : 7], cases[i].codes) != 0)
			fail_msg("%s: found %s", cases[i].name, codes);
		analysis_free(t.a);
		manifest_fini(&m);
	}
}

static void suggested(void **state)
{
	(void)state;
	struct trial t;
	struct buf out;
	size_t n = 0;
	trial_read(
		&t,
		NAMESPACES SERVICE_IN("shop", "db",
				      "clusterIP: 198.19.0.1, ports: [{name: a, port: 3307}, "
				      "{name: tcp-b, port: 22}, {name: c, port: 80}, "
				      "{name: d, port: 81}]")
			INFO SERVICE_IN("shop", "head", "clusterIP: None, ports: [{port: 3307}]"));
	static const struct learned_port seen[] = {
		{"shop", "db", 3307, false, 2, 0, 0, 0, "mysql", NULL},
		{"shop", "db", 22, false, 1, 0, 0, 0, "ssh", NULL},  /* declares it already */
		{"shop", "db", 80, false, 1, 1, 0, 0, "", NULL},     /* one says this, one that */
		{"shop", "gone", 3307, false, 2, 0, 0, 0, "", NULL}, /* no such Service any more */
		{"shop", "head", 3307, false, 0, 0, 3, 0, "", NULL},
	};
	for (size_t i = 0; i < N_ELEMS(seen); i++)
		analysis_learned(t.a, &seen[i]);
	analysis_run(t.a);
	buf_init(&out, 1 << 20);
	assert_true(analysis_suggest(t.a, NULL, &out, &n));
	assert_int_equal(n, 2);
	const char *text = buf_cstr(&out);
	assert_non_null(strstr(text, "# Service shop/db port 80: nothing true can be declared"));
	assert_non_null(strstr(
		text, "# Service shop/db port 3307: the server spoke first on 2 connections"));
	/* It can be applied: the same Service, with one word more. */
	struct manifest m;
	manifest_init(&m);
	manifest_read(&m, "s", buf_slice(&out));
	assert_int_equal(m.n_errors, 0);
	assert_int_equal(m.n_objects, 2);
	assert_true(m.objects[1]->service->headless);
	assert_string_equal(m.objects[1]->service->ports[0].app_protocol, "tls");
	const struct service *s = m.objects[0]->service;
	assert_false(s->headless || s->has_ip[IP_V4]); /* it keeps the one that it has */
	assert_int_equal(s->n_ports, 4);
	assert_int_equal(s->selector.n, 1);
	assert_string_equal(s->ports[0].app_protocol, "mysql");
	for (size_t i = 1; i < 4; i++)
		assert_null(s->ports[i].app_protocol);
	manifest_fini(&m);
	buf_fini(&out);
	buf_init(&out, 1 << 20);
	assert_true(analysis_suggest(t.a, "bare", &out, &n));
	assert_int_equal(n, 0);
	assert_int_equal(buf_len(&out), 0);
	buf_fini(&out);
	trial_fini(&t);
}

#define ENTRY(name, hosts, ports)                                                                  \
	"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"                                 \
	"metadata: {name: " name ", namespace: shop}\n"                                            \
	"spec: {hosts: [" hosts "], ports: [" ports "], resolution: DNS}\n---\n"

static void suggested_for_entries(void **state)
{
	(void)state;
	struct trial t;
	struct buf out;
	size_t n = 0;
	trial_read(&t, NAMESPACES ENTRY("one", "db.example.com",
					"{name: a, number: 3306}, {name: b, number: 25, protocol: "
					"TCP}, {name: c, number: 80}")
			       ENTRY("two", "a.example.com, b.example.com, c.example.com",
				     "{name: a, number: 3306}, {name: b, number: 9000}"));
	static const struct learned_port seen[] = {
		{"", "db.example.com", 3306, false, 2, 0, 0, 0, "mysql", NULL},
		{"", "db.example.com", 25, false, 1, 0, 0, 0, "smtp", NULL}, /* declared */
		{"", "a.example.com", 3306, false, 1, 0, 0, 0, "mysql", NULL},
		{"", "b.example.com", 3306, false, 0, 3, 0, 0, "", NULL}, /* contradicts */
		{"", "b.example.com", 9000, false, 0, 0, 4, 0, "", NULL}, /* of all that it knows */
	};
	for (size_t i = 0; i < N_ELEMS(seen); i++)
		analysis_learned(t.a, &seen[i]);
	analysis_run(t.a);
	buf_init(&out, 1 << 20);
	assert_true(analysis_suggest(t.a, NULL, &out, &n));
	assert_int_equal(n, 2);
	const char *text = buf_cstr(&out);
	assert_non_null(strstr(text, "# ServiceEntry shop/one port 3306: it was heard to speak "
				     "mysql"));
	assert_non_null(strstr(text, "# ServiceEntry shop/two port 3306: nothing true can be "
				     "declared: b.example.com speaks http, and others mysql"));
	struct manifest m;
	manifest_init(&m);
	manifest_read(&m, "s", buf_slice(&out));
	assert_int_equal(m.n_errors, 0);
	assert_int_equal(m.n_objects, 2);
	const struct entry_port *one = m.objects[0]->service_entry->ports;
	assert_string_equal(one[0].protocol, "mysql");
	assert_string_equal(one[1].protocol, "TCP");
	assert_string_equal(one[2].protocol, "");
	const struct entry_port *two = m.objects[1]->service_entry->ports;
	assert_string_equal(two[0].protocol, "");
	assert_string_equal(two[1].protocol, "tls");
	manifest_fini(&m);
	buf_fini(&out);
	trial_fini(&t);
}

static void codes(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1 << 20);
	assert_true(analysis_list(&out));
	for (enum check c = 0; c < N_CHECKS; c++) {
		assert_int_equal(check_find(check_info(c)->code, 0), c); /* each code once */
		assert_non_null(strstr(buf_cstr(&out), check_info(c)->code));
		assert_non_null(strstr(buf_cstr(&out), check_info(c)->name));
	}
	assert_int_equal(check_find("", 0), N_CHECKS);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worst_first),
		cmocka_unit_test(suppressed),
		cmocka_unit_test(suppressed_by_both),
		cmocka_unit_test(suppressed_by_annotation),
		cmocka_unit_test(thresholds),
		cmocka_unit_test(as_text),
		cmocka_unit_test(as_json),
		cmocka_unit_test(unreadable),
		cmocka_unit_test(running),
		cmocka_unit_test(suggested),
		cmocka_unit_test(suggested_for_entries),
		cmocka_unit_test(codes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
