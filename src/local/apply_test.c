#include "local/testing.h"

#include "local/apply.h"
#include "model/annotations.h"

static struct node node_of_test(void)
{
	struct node node = {.ipv6 = true};
	struct err err = {0};
	assert_true(node_config_init(&node.cfg, "test", &err));
	return node;
}

/* Applies (or deletes) one file; the report's text is in *REPORT. */
static bool change(struct store *s, bool deletes, const char *text, char report[4096])
{
	struct node node = node_of_test();
	struct apply_file file = {.name = "f.yaml", .text = slice_of(text)};
	struct buf out;
	struct json_out j;

	buf_init(&out, 65536);
	json_out_init(&j, &out);
	bool ok = deletes ? delete_files(s, &file, 1, false, &j)
			  : apply_files(s, &node, &file, 1, &j);
	snprintf(report, 4096, "%.*s", SLICE_FMT(buf_slice(&out)));
	buf_fini(&out);
	return ok;
}

#define MAP(name, value)                                                                           \
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " name ", namespace: shop}\n"           \
	"data: {a: " value "}\n---\n"
#define POD(name, spec)                                                                            \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: " name ", namespace: shop}\n"                 \
	"spec: {containers: [{name: c, command: [sleep, '1']}]" spec "}\n---\n"
#define SERVICE(name, ip)                                                                          \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: shop}\n"             \
	"spec: {clusterIP: " ip ", ports: [{port: 1}]}\n---\n"

static const struct {
	const char *rule, *before, *text;
	bool deletes, ok;
	const char *report; /* must stand in the report */
} cases[] = {
	{"new", "", MAP("x", "b"), false, true, "\"name\":\"x\",\"result\":\"created\""},
	{"changed", MAP("x", "b"), MAP("x", "c"), false, true, "\"result\":\"configured\""},
	{"the same again", MAP("x", "b"), MAP("x", "b"), false, true, "\"result\":\"unchanged\""},
	{"a bad one beside a good one", "", MAP("x", "b") "kind: Nope\n", false, false, "f.yaml:"},
	{"an address that is taken", SERVICE("a", "198.19.2.2"), SERVICE("b", "198.19.2.2"), false,
	 false, "spec.clusterIP: "},
	{"an address of its own", SERVICE("a", "198.19.2.2"), SERVICE("a", "198.19.2.2"), false,
	 true, "unchanged"},
	{"one address twice in a batch", "", SERVICE("a", "198.19.2.2") SERVICE("b", "198.19.2.2"),
	 false, false, "f.yaml:9: spec.clusterIP: "},
	{"a program that is not there", "",
	 "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec:\n  containers:\n"
	 "  - name: c\n    command: [/no/such/program]\n",
	 false, false, "f.yaml:7: spec.containers[0].command[0]: there is no program"},
	{"a program on a volume may be there", "",
	 "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec:\n  containers:\n"
	 "  - {name: c, command: [/vol/program], volumeMounts: [{name: v, mountPath: /vol}]}\n"
	 "  volumes: [{name: v, emptyDir: {}}]\n",
	 false, true, "created"},
	{"deleted", MAP("x", "b"), MAP("x", "b"), true, true, "\"result\":\"deleted\""},
	{"deleting what is not there", MAP("x", "b"), MAP("x", "b") MAP("y", "b"), true, false,
	 "there is no ConfigMap shop/y in the mesh"},
};

static void all_or_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct store *s = store_new();
		char report[4096];
		print_message("%s\n", cases[i].rule);
		if (*cases[i].before)
			assert_true(change(s, false, cases[i].before, report));
		uint64_t version = store_version(s);
		assert_int_equal(change(s, cases[i].deletes, cases[i].text, report), cases[i].ok);
		if (!strstr(report, cases[i].report))
			fail_msg("%s", report);
		if (!cases[i].ok)
			assert_int_equal(store_version(s), version);
		store_free(s);
	}
}

static void namespaces_come_into_being(void **state)
{
	(void)state;
	struct store *s = store_new();
	char report[4096];
	assert_true(change(s, false, MAP("x", "b"), report));
	assert_non_null(store_get(s, KIND_NAMESPACE, "", "shop"));
	assert_null(store_get(s, KIND_NAMESPACE, "", "default"));
	store_free(s);
}

static void what_the_mesh_noted_on_a_pod_stays(void **state)
{
	(void)state;
	struct store *s = store_new();
	struct err err = {0};
	char report[4096];
	assert_true(change(s, false, POD("x", ""), report));
	struct object *noted =
		object_with(store_get(s, KIND_POD, "shop", "x"), "metadata",
			    SLICE("{\"name\":\"x\",\"namespace\":\"shop\",\"annotations\":{"
				  "\"" ANNOTATION_SIDECAR_STATUS "\":\"{}\"}}"),
			    &err);
	assert_non_null(noted);
	assert_true(store_apply(s, noted, STORE_REPLACE, 0, NULL, &err));
	object_put(noted);
	assert_true(change(s, false, POD("x", ", restartPolicy: Never"), report));
	assert_non_null(pairs_get(&store_get(s, KIND_POD, "shop", "x")->meta.annotations,
				  ANNOTATION_SIDECAR_STATUS));
	store_free(s);
}

#define ENTRY(status)                                                                              \
	"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"                                 \
	"metadata: {name: e, namespace: shop}\n"                                                   \
	"spec: {hosts: [a.b], resolution: DNS, ports: [{number: 1, name: p}]}\n" status "---\n"
#define GIVEN(ip) "status: {addresses: [{host: a.b, value: " ip "}], conditions: [{type: X}]}\n"

/* An exported entry brings its address along into a new mesh; in one that has the entry the mesh's counts. */
static void a_given_address_comes_along(void **state)
{
	(void)state;
	struct store *s = store_new();
	char report[4096];
	assert_true(change(s, false, ENTRY(GIVEN("240.240.0.5")), report));
	const struct object *o = store_get(s, KIND_SERVICE_ENTRY, "shop", "e");
	assert_true(slice_contains(o->json, SLICE("\"value\":\"240.240.0.5\"")));
	assert_false(slice_contains(o->json, SLICE("conditions")));
	assert_true(change(s, false, ENTRY(GIVEN("240.240.0.6")), report));
	assert_non_null(strstr(report, "unchanged"));
	assert_true(change(s, false, ENTRY("status: {addresses: 5}\n"), report) == false);
	assert_non_null(strstr(report, "f.yaml:5: status.addresses: expected a list"));
	store_free(s);
}

static void a_pod_ends_in_its_own_time(void **state)
{
	(void)state;
	struct store *s = store_new();
	char report[4096];
	assert_true(change(s, false, POD("x", ""), report));
	assert_true(change(s, true, POD("x", ""), report));
	const struct object *pod = store_get(s, KIND_POD, "shop", "x");
	assert_non_null(pod); /* until its containers have ended */
	assert_true(pod->meta.deletion_ns != 0);
	assert_false(change(s, false, POD("x", ""), report));
	assert_non_null(strstr(report, "still ending"));
	store_free(s);
}

static void a_namespace_takes_all_along(void **state)
{
	(void)state;
	struct store *s = store_new();
	char report[4096];
	assert_true(change(s, false, MAP("x", "b") SERVICE("a", "198.19.2.2"), report));
	assert_true(change(s, true, "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
			   report));
	assert_int_equal(store_count(s, KIND_CONFIG_MAP), 0);
	assert_int_equal(store_count(s, KIND_SERVICE), 0);
	assert_int_equal(store_count(s, KIND_NAMESPACE), 0);
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(namespaces_come_into_being),
		cmocka_unit_test(what_the_mesh_noted_on_a_pod_stays),
		cmocka_unit_test(a_given_address_comes_along),
		cmocka_unit_test(a_pod_ends_in_its_own_time),
		cmocka_unit_test(a_namespace_takes_all_along),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
