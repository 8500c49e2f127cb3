#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/manifest.h"
#include "model/store.h"

#define HEAD(kind) "apiVersion: v1\nkind: " kind "\n" /* lines 1 and 2 */
#define POD HEAD("Pod") "metadata: {name: a, labels: {app: a}}\nspec:\n  containers:\n" /* 3 to 5 */
#define SVC HEAD("Service") "metadata: {name: s}\nspec:\n"                              /* 3, 4 */
#define MACHINE(ns)                                                                                \
	"apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: m, "            \
	"namespace: " ns "}\nspec: {address: 1.2.3.4, labels: {app: b}}\n"

/* clang-format off */
static const struct {
	const char *rule, *yaml;
	const char *told; /* all of it */
} cases[] = {
	{"nothing", "", ""},
	{"empty documents", "---\n---\n# a comment\n", ""},
	{"no YAML", "a: b\n  c: d\n", "f:2: mapping values are not allowed in this context\n"},
	{"a tab for indentation", "a:\n\tb: 1\n", "f:2: found character that cannot start any token (YAML indents with spaces, not with tabs)\n"},
	{"a list is open", "a: [1, 2\n", "f:2: did not find expected ',' or ']' (while parsing a flow sequence from line 1)\n"},
	{"no UTF-8", "a: \xff\n", "f: invalid leading UTF-8 octet\n"},
	{"a scalar", "hello\n", "f:1: expected a resource with apiVersion, kind and metadata\n"},
	{"no kind", "apiVersion: v1\n", "f:1: kind: is required\n"},
	{"no apiVersion", "kind: Pod\n", "f:1: apiVersion: is required\n"},
	{"an unknown kind", HEAD("Pood"), "f:2: kind: \"Pood\" is no kind that hark knows, did you mean \"Pod\"?\n"},
	{"a known kind elsewhere", HEAD("Deployment"), "f:1: apiVersion: expected \"apps/v1\" for a Deployment, got \"v1\"\n"},
	{"a member twice", "a: 1\nb: 2\na: 3\n", "f:3: \"a\" stands here twice, first at line 1\n"},
	{"no anchor", "a: *b\n", "f:1: no anchor &b stands before this\n"},
	{"an alias inside its anchor", "a: &b\n  c: *b\n", "f:2: no anchor &b stands before this\n"},
	{"a tag", "a: !env x\n", "f:1: tag !env is not known here\n"},
	{"infinity", "a: .inf\n", "f:1: .inf is no number that a resource can hold\n"},
	{"a bad document, then a good one", "a: 1\na: 2\n---\n" POD "  - name: c\n    comand: [x]\n",
		"f:2: \"a\" stands here twice, first at line 1\n"
		"f:10: spec.containers[0].comand: unknown field, did you mean \"command\"?\n"},
	{"several errors", POD "  - name: C\n    ports: [{containerPort: 70000}, {containerPort: http}]\n  - {}\n",
		"f:7: spec.containers[0].ports[0].containerPort: expected an integer 1..65535, got integer 70000\n"
		"f:7: spec.containers[0].ports[1].containerPort: expected an integer 1..65535, got string \"http\"\n"
		"f:8: spec.containers[1].name: is required\n"},
	{"an unquoted number", POD "  - name: c\n    env:\n    - name: A\n      value: 5\n",
		"f:9: spec.containers[0].env[0].value: expected a string, got integer 5 (put it in quotes)\n"},
	{"an unquoted true", HEAD("Namespace") "metadata:\n  name: a\n  labels:\n    istio-injection: true\n",
		"f:6: metadata.labels.istio-injection: expected a string, got boolean true (put it in quotes)\n"},
	{"yes is a string", HEAD("Namespace") "metadata:\n  name: a\n  labels:\n    b: yes\n", ""},
	{"yes in a boolean field", POD "  - name: c\n  hostNetwork: yes\n", ""},
	{"quoted yes in a boolean field", POD "  - name: c\n  hostNetwork: 'yes'\n",
		"f:7: spec.hostNetwork: expected true or false, got string \"yes\"\n"},
	{"the same name twice", HEAD("Namespace") "metadata: {name: a}\n---\n" HEAD("Namespace") "metadata: {name: a}\n",
		"f:5: metadata.name: Namespace a is already in f:1\n"},
	{"a list", HEAD("List") "items:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: A}\n- 5\n",
		"f:6: metadata.name: \"A\" is no valid name: at most 63 lower-case letters, digits and '-', with a letter or digit at both ends\n"
		"f:7: expected a resource\n"},
	{"JSON", "{\"apiVersion\": \"v1\",\n\t\"kind\": \"Namespace\",\n\t\"metadata\": {\"name\": 5}}\n",
		"f:3: metadata.name: expected a string, got integer 5 (put it in quotes)\n"},
	{"a name to make", HEAD("Namespace") "metadata: {generateName: a-}\n", "f:3: metadata.name: is required\n"},
	{"octal", POD "  - name: c\n  volumes:\n  - {name: v, configMap: {name: m, optional: true, defaultMode: 0640}}\n  - {name: w, configMap: {name: m, optional: true, defaultMode: 0o1000}}\n",
		"f:9: spec.volumes[1].configMap.defaultMode: expected an integer 0..511, got integer 512\n"},
	{"anchors and merges", "x: &x {name: c, command: [a]}\n---\n" POD "  - &c\n    name: c\n    command: [a]\n  - <<: *c\n    name: d\n  - {<<: [*c], name: c}\n",
		"f:1: apiVersion: is required\n"
		"f:13: spec.containers[2].name: \"c\" names two containers\n"},
	{"a note for the image", POD "  - {name: c, image: a}\n  - {name: d, image: a}\n",
		"f:6: note: spec.containers[0].image: image is ignored by hark up: commands run from this machine\n"},
	{"a day is no time", HEAD("Namespace") "metadata: {name: a, creationTimestamp: '2026-01-02'}\n",
		"f:3: metadata.creationTimestamp: expected a time like \"2026-01-02T03:04:05Z\", got string \"2026-01-02\"\n"},
	{"a year is no time", HEAD("Namespace") "metadata: {name: a, creationTimestamp: '2026'}\n",
		"f:3: metadata.creationTimestamp: expected a time like \"2026-01-02T03:04:05Z\", got string \"2026\"\n"},
	{"a status is left out", POD "  - name: c\nstatus: {phase: 5}\n", ""},

	{"the mesh's texts", HEAD("ConfigMap") "metadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    a: 1\n    connectTimeout: 0s\n  hark: |\n    detection: maybe\n    b\n",
		"f:6: data.mesh: a: unknown field, did you mean \"ca\"?\n"
		"f:7: data.mesh: connectTimeout: string \"0s\" is too short\n"
		"f:11: data.hark: could not find expected ':' (while scanning a simple key from line 2)\n"},
	{"another ConfigMap is free", HEAD("ConfigMap") "metadata: {name: istio}\ndata: {mesh: 'a: b'}\n", ""},

	{"a namespace is made", HEAD("ConfigMap") "metadata:\n  name: a\n  namespace: n\n---\n" HEAD("ConfigMap") "metadata:\n  name: b\n  namespace: n\n",
		"f:5: note: metadata.namespace: namespace \"n\" is not declared, it is made\n"},
	{"a namespace is declared", HEAD("ConfigMap") "metadata: {name: a, namespace: n}\n---\n" HEAD("Namespace") "metadata: {name: n}\n", ""},
	{"a namespace is in the store", HEAD("ConfigMap") "metadata: {name: a, namespace: stored}\n", ""},
	{"an address twice", SVC "  clusterIP: 1.2.3.4\n  ports: [{port: 80}]\n---\n" HEAD("Service") "metadata: {name: t}\nspec:\n  ports: [{port: 80}]\n  clusterIPs: ['fd00::1', 1.2.3.4]\n",
		"f:11: spec.clusterIP: is the address of Service default/s\n"},
	{"a Service that selects nothing", SVC "  selector: {app: b}\n  ports: [{port: 80}]\n",
		"f:5: note: spec.selector: selects no Pod, no Deployment's Pods and no WorkloadEntry\n"},
	{"a Service of a machine", SVC "  selector: {app: b}\n  ports: [{port: 80, targetPort: db}]\n---\n" MACHINE("default"), ""},
	{"a Service of a stored machine", SVC "  selector: {app: machine}\n  ports: [{port: 80}]\n", ""},
	{"a Service of another namespace's machine", SVC "  selector: {app: b}\n  ports: [{port: 80}]\n---\n" MACHINE("stored"),
		"f:5: note: spec.selector: selects no Pod, no Deployment's Pods and no WorkloadEntry\n"},
	{"a targetPort without a port", SVC "  selector: {app: a}\n  ports:\n  - port: 80\n    targetPort: htp\n---\n" POD "  - {name: c, ports: [{name: http, containerPort: 80}]}\n",
		"f:8: spec.ports[0].targetPort: no container of the Pods that the Service selects has a port named \"htp\", did you mean \"http\"?\n"},
	{"a targetPort with one", SVC "  selector: {app: a}\n  ports: [{port: 80, targetPort: http}]\n---\n" POD "  - {name: c, ports: [{name: http, containerPort: 8080}]}\n", ""},
	{"a number that nobody declares", SVC "  selector: {app: a}\n  ports: [{port: 80, targetPort: 81}]\n---\n" POD "  - {name: c, ports: [{containerPort: 80}]}\n",
		"f:6: note: spec.ports[0].targetPort: no container of the Pods that the Service selects declares port 81\n"},
	{"a number where nothing is declared", SVC "  selector: {app: a}\n  ports: [{port: 80, targetPort: 81}]\n---\n" POD "  - {name: c}\n", ""},
	{"a targetPort of a stored Pod", SVC "  selector: {app: stored}\n  ports: [{port: 80, targetPort: nope}]\n",
		"f:6: spec.ports[0].targetPort: no container of the Pods that the Service selects has a port named \"nope\"\n"},
	{"a targetPort of a stored Pod, right", SVC "  selector: {app: stored}\n  ports: [{port: 80, targetPort: sql}]\n", ""},
	{"a volume of no ConfigMap", POD "  - {name: c}\n  volumes:\n  - name: v\n    configMap:\n      name: m\n",
		"f:10: spec.volumes[0].configMap.name: there is no ConfigMap \"m\" in namespace \"default\"\n"},
	{"a volume of no key", POD "  - {name: c}\n  volumes:\n  - name: v\n    configMap: {name: m, items: [{key: k, path: p}]}\n---\n" HEAD("ConfigMap") "metadata: {name: m}\ndata: {j: ''}\n",
		"f:9: spec.volumes[0].configMap.items[0].key: ConfigMap \"m\" has no key \"k\"\n"},
	{"a variable of no ConfigMap", POD "  - name: c\n    env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: k}}}]\n",
		"f:7: spec.containers[0].env[0].valueFrom.configMapKeyRef.name: there is no ConfigMap \"m\" in namespace \"default\"\n"},
	{"a variable that may be missing", POD "  - name: c\n    env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: k, optional: true}}}]\n", ""},
};
/* clang-format on */

static void put(struct store *s, enum kind kind, const char *json)
{
	struct object *o = object_from_json(kind, slice_of(json), true, NULL);
	assert_true(store_apply(s, o, STORE_CREATE, 0, NULL, NULL));
	object_put(o);
}

static struct store *some_store(void)
{
	static const char namespace[] = "{\"metadata\":{\"name\":\"stored\"}}";
	static const char pod[] =
		"{\"metadata\":{\"name\":\"p\",\"labels\":{\"app\":\"stored\"}},\"spec\":{"
		"\"containers\":[{\"name\":\"c\",\"ports\":[{\"name\":\"sql\","
		"\"containerPort\":3307}]}]}}";
	static const char machine[] =
		"{\"metadata\":{\"name\":\"m\"},\"spec\":{\"address\":\"1.2.3.4\",\"labels\":{"
		"\"app\":\"machine\"}}}";
	struct store *s = store_new();
	put(s, KIND_NAMESPACE, namespace);
	put(s, KIND_POD, pod);
	put(s, KIND_WORKLOAD_ENTRY, machine);
	return s;
}

static void rules(void **state)
{
	(void)state;
	struct store *s = some_store();
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct manifest m;
		struct buf told;
		buf_init(&told, 65536);
		manifest_init(&m);
		manifest_read(&m, "f", slice_of(cases[i].yaml));
		manifest_check(&m, s);
		assert_true(manifest_print(&m, &told));
		if (strcmp(buf_cstr(&told), cases[i].told) != 0)
			fail_msg("%s:\n%s", cases[i].rule, buf_cstr(&told));
		buf_fini(&told);
		manifest_fini(&m);
	}
	store_free(s);
}

static void objects(void **state)
{
	(void)state;
	struct manifest m;
	manifest_init(&m);
	manifest_read(&m, "one.yaml", SLICE(POD "  - name: c\n    command: [sleep, '1']\n"));
	manifest_read(&m, "two.yaml", SLICE("---\n" SVC "  ports: [{port: 80}]\n"));
	manifest_check(&m, NULL);
	assert_int_equal(m.n_errors, 0);
	assert_int_equal(m.n_objects, 2);
	const struct object *pod = m.objects[0];
	assert_string_equal(pod->meta.ns, "default");
	assert_string_equal(pod->origin_file, "one.yaml");
	assert_int_equal(pod->pod->spec.containers[0].line, 6);
	assert_ptr_equal(manifest_get(&m, KIND_SERVICE, "default", "s"), m.objects[1]);
	assert_int_equal(m.objects[1]->origin_line, 2);
	/* What others find wrong gets its place as well. */
	manifest_problem(&m, PROBLEM_ERROR, pod, "spec.containers[0].command[0]", "%s is not there",
			 "sleep");
	manifest_problem(&m, PROBLEM_ERROR, pod, "spec.containers[0].nothing.here", "x");
	assert_int_equal(m.problems[0].line, 7);
	assert_string_equal(m.problems[0].file, "one.yaml");
	assert_int_equal(m.problems[1].line, 6);
	manifest_fini(&m);
}

static void bounded(void **state)
{
	(void)state;
	struct manifest m;
	struct buf yaml, told;
	buf_init(&yaml, 1 << 20);
	buf_init(&told, 1 << 20);
	manifest_init(&m);
	for (int i = 0; i < 150; i++)
		assert_true(buf_printf(&yaml, "x%d: 1\n---\n", i));
	manifest_read(&m, "f", buf_slice(&yaml));
	assert_int_equal(m.n_errors, 150);
	assert_int_equal(m.n_problems, 100);
	assert_true(manifest_print(&m, &told));
	assert_true(slice_ends(buf_slice(&told), SLICE("\nand 50 more errors\n")));
	manifest_fini(&m);

	/* Aliases of aliases: stopped long before they fill the memory. */
	buf_clear(&yaml);
	assert_true(buf_puts(&yaml, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"));
	for (int i = 1; i < 12; i++) {
		assert_true(buf_printf(&yaml, "a%d: &a%d [", i, i));
		for (int j = 0; j < 10; j++)
			assert_true(buf_printf(&yaml, "%s*a%d", j ? ", " : "", i - 1));
		assert_true(buf_puts(&yaml, "]\n"));
	}
	manifest_init(&m);
	manifest_read(&m, "bomb", buf_slice(&yaml));
	assert_int_equal(m.n_errors, 1);
	assert_string_equal(m.problems[0].text, "aliases make more than 20000 copies");
	manifest_fini(&m);

	buf_clear(&yaml);
	for (int i = 0; i < 1000; i++)
		assert_true(buf_puts(&yaml, "["));
	manifest_init(&m);
	manifest_read(&m, "deep", buf_slice(&yaml));
	assert_true(m.n_errors > 0);
	manifest_fini(&m);
	buf_fini(&yaml);
	buf_fini(&told);
}

static void surveyed(void **state)
{
	(void)state;
	static const char text[] = "apiVersion: security.istio.io/v1\n"
				   "kind: PeerAuthentication\n"
				   "metadata: {name: db, namespace: shop}\n"
				   "spec:\n"
				   "  portLevelMtls:\n"
				   "    3306: {mode: DISABLE}\n"
				   "---\n"
				   "apiVersion: v1\n"
				   "kind: Service\n"
				   "metadata: {name: db, namespace: shop}\n"
				   "spec: {ports: [{port: none}]}\n"
				   "---\n"
				   "apiVersion: networking.istio.io/v1\n"
				   "kind: VirtualService\n"
				   "metadata: {name: web, namespace: shop}\n"
				   "---\n"
				   "apiVersion: v1\n"
				   "kind: Namespace\n"
				   "metadata: {name: shop}\n";
	struct manifest m;
	manifest_init(&m);
	m.survey = true;
	manifest_read(&m, "f", slice_of(text));
	/* What an API server could let pass is kept, told all the same; what nobody can read is not. */
	assert_int_equal(m.n_errors, 2);
	assert_int_equal(m.n_objects, 2);
	const struct object *pa = manifest_get(&m, KIND_PEER_AUTHENTICATION, "shop", "db");
	assert_non_null(pa);
	assert_null(manifest_get(&m, KIND_SERVICE, "shop", "db"));
	assert_string_equal(m.problems[0].kind, "PeerAuthentication");
	assert_string_equal(m.problems[0].ns, "shop");
	assert_string_equal(m.problems[1].kind, "Service");
	assert_string_equal(m.problems[1].name, "db");
	assert_int_equal(m.problems[1].line, 11);
	/* Kinds that are not known are no problem, but known of. */
	assert_int_equal(m.n_strangers, 1);
	assert_string_equal(m.strangers[0].kind, "VirtualService");
	assert_string_equal(m.strangers[0].name, "web");
	assert_int_equal(m.strangers[0].line, 13);
	/* Places: the field, the nearest one above it, and those of others. */
	assert_int_equal(manifest_line(&m, pa, "spec.portLevelMtls[3306]"), 6);
	assert_int_equal(manifest_line(&m, pa, "spec.mtls.mode"), 4);
	manifest_fini(&m);
	/* Without it the same text keeps nothing that is wrong. */
	manifest_init(&m);
	manifest_read(&m, "f", slice_of(text));
	assert_int_equal(m.n_errors, 3);
	assert_int_equal(m.n_objects, 1);
	assert_int_equal(m.n_strangers, 0);
	manifest_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(surveyed),
		cmocka_unit_test(rules),
		cmocka_unit_test(objects),
		cmocka_unit_test(bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
