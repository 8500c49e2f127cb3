#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/tree_yaml.h"
#include "model/view.h"

/* A small mesh, as the API would tell it. */
static const char mesh_yaml[] =
	"apiVersion: v1\n"
	"kind: ConfigMap\n"
	"metadata: {name: istio, namespace: istio-system, resourceVersion: '99'}\n"
	"data:\n"
	"  mesh: |\n"
	"    protocolDetectionTimeout: 5s\n"
	"    outboundTrafficPolicy: {}\n"
	"  hark: |\n"
	"    headStart: 3ms\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata:\n"
	"  name: db\n"
	"  namespace: shop\n"
	"  creationTimestamp: '2026-01-02T00:00:00Z'\n"
	"  annotations: {hark.mesh/detection: '3307=client-first', "
	"hark.mesh/protocol-detection-timeout: 3307=1s}\n"
	"spec:\n"
	"  clusterIPs: [198.19.0.1, 'fd00::1']\n"
	"  selector: {app: db}\n"
	"  ports:\n"
	"  - {name: sql, port: 3307, targetPort: sql}\n"
	"  - {name: mysql-x, port: 33060}\n"
	"  - {name: dns, port: 3307, protocol: UDP}\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: db-a, namespace: shop, labels: {kubernetes.io/service-name: db}}\n"
	"addressType: IPv4\n"
	"endpoints:\n"
	"- {addresses: [198.18.0.1], targetRef: {kind: Pod, name: db-0}}\n"
	"- {addresses: [198.18.0.2], conditions: {ready: false}}\n"
	"ports: [{name: sql, port: 13307}, {name: mysql-x, port: 33060}]\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: db-b, namespace: shop, labels: {kubernetes.io/service-name: db}}\n"
	"addressType: IPv6\n"
	"endpoints: [{addresses: ['fd00::101']}]\n"
	"ports: [{name: sql, port: 13307}]\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: db-c, namespace: shop, labels: {kubernetes.io/service-name: db}}\n"
	"addressType: IPv4\n"
	"endpoints: [{addresses: [198.18.0.1]}, {addresses: [198.18.0.3]}]\n"
	"ports: [{name: sql, port: 13307}]\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: peers, namespace: shop, creationTimestamp: '2026-01-01T00:00:00Z'}\n"
	"spec:\n"
	"  clusterIP: None\n"
	"  selector: {app: db}\n"
	"  ports: [{name: tcp-gossip, port: 7000}]\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: peers-a, namespace: shop, labels: {kubernetes.io/service-name: peers}}\n"
	"addressType: IPv4\n"
	"endpoints:\n"
	"- {addresses: [198.18.0.1], hostname: db-0}\n"
	"- {addresses: [198.18.0.2], hostname: db-1, conditions: {ready: false}}\n"
	"ports: [{name: tcp-gossip, port: 7000}]\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: newer, namespace: shop, creationTimestamp: '2026-01-03T00:00:00Z'}\n"
	"spec:\n"
	"  clusterIPs: [198.19.0.1]\n"
	"  selector: {app: db}\n"
	"  ports: [{name: http, port: 80, targetPort: 7000}, {name: http-2, port: 81, targetPort: "
	"8080}]\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: alias, namespace: shop}\n"
	"spec: {type: ExternalName, externalName: db.shop.svc.cluster.local}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: loop, namespace: shop}\n"
	"spec: {type: ExternalName, externalName: loop.shop.svc.cluster.local}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata:\n"
	"  name: db-0\n"
	"  namespace: shop\n"
	"  labels: {app: db, version: v7, security.istio.io/tlsMode: istio, pod-template-hash: "
	"abc}\n"
	"  annotations: {sidecar.istio.io/status: '{}', hark.mesh/detection: 9999=client-first}\n"
	"  ownerReferences: [{kind: ReplicaSet, name: db-abc, controller: true}]\n"
	"spec:\n"
	"  containers:\n"
	"  - name: db\n"
	"    ports: [{name: sql, containerPort: 13307}, {containerPort: 9999}]\n"
	"status: {phase: Running, podIP: 198.18.0.1, podIPs: [{ip: 198.18.0.1}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: old, namespace: shop}\n"
	"spec: {containers: [{name: c}]}\n"
	"status: {phase: Succeeded, podIP: 198.18.0.1}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: web, namespace: shop, labels: {app.kubernetes.io/name: shop-web}}\n"
	"spec: {containers: [{name: c}]}\n"
	"status: {phase: Running, podIP: 198.18.0.9, podIPs: [{ip: 198.18.0.9}, {ip: "
	"'fd00::109'}]}\n";

static struct view_builder *builder_of(const char *text)
{
	struct view_builder *b = view_builder_new("shop", "db-0");
	struct arena *a = arena_new();
	struct yaml *y = yaml_open(slice_of(text));
	struct tree *root = NULL;
	struct err err = {0};
	unsigned line = 0;
	enum yaml_result got;
	while ((got = yaml_next(y, a, &root, &err, &line)) == YAML_DOCUMENT) {
		const struct kind_info *kind = kind_by_gvk(tree_get(root, "apiVersion")->text,
							   tree_get(root, "kind")->text);
		struct buf json;
		buf_init(&json, 1 << 20);
		assert_true(tree_write_json(root, &json));
		if (!view_builder_set_json(b, kind->kind, buf_slice(&json), &err))
			fail_msg("%s: %s", buf_cstr(&json), err.text);
		buf_fini(&json);
	}
	if (got == YAML_BAD)
		fail_msg("line %u: %s", line, err.text);
	yaml_close(y);
	arena_free(a);
	return b;
}

static struct addr addr_at(const char *text)
{
	struct addr a;
	assert_true(addr_parse(slice_of(text), &a));
	return a;
}

struct fixture {
	struct view_builder *b;
	struct live *live;
	struct view *v;
};

static int set_up(void **state)
{
	struct fixture *f = mem_new(sizeof(*f));
	f->b = builder_of(mesh_yaml);
	f->live = live_new();
	f->v = view_build(f->b, f->live);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	view_put(f->v);
	view_builder_free(f->b);
	live_free(f->live);
	free(f);
	return 0;
}

static void mesh(void **state)
{
	struct fixture *f = *state;
	const struct mesh_config *m = view_mesh(f->v);
	assert_int_equal(m->protocol_detection_timeout_ms, 5000);
	assert_int_equal(m->outbound_policy, OUTBOUND_REGISTRY_ONLY);
	assert_int_equal(m->head_start_us, 3000);
	assert_string_equal(m->access_log_file, "/dev/stdout");
	assert_string_equal(view_builder_problem(f->b), "");
	assert_int_equal(view_version(f->v), 99);
	assert_int_equal(view_count(f->v, KIND_POD), 3);
}

static void vip(void **state)
{
	struct fixture *f = *state;
	struct addr at = addr_at("198.19.0.1:3307");
	const struct view_port *p = view_port_by_vip(f->v, &at);
	assert_non_null(p);
	assert_string_equal(p->service->host, "db.shop.svc.cluster.local");
	assert_int_equal(p->protocol, PROTO_AUTO);
	assert_int_equal(p->detection, DETECTION_CLIENT_FIRST);
	assert_string_equal(p->detection_from, "annotation hark.mesh/detection of Service shop/db");
	assert_int_equal(p->detection_timeout_ms, 1000);
	assert_int_equal(p->service->n_ports, 2); /* UDP is not proxied */

	assert_int_equal(p->n_endpoints, 3); /* each address once, ready ones only, IPv4 first */
	assert_int_equal(p->n_v4, 2);
	assert_int_equal(p->n_known, 3);
	struct addr first = addr_at("198.18.0.1:13307");
	assert_true(addr_eq(&p->endpoints[0].at, &first));
	assert_non_null(p->endpoints[0].live);
	assert_string_equal(view_workload_by_ip(f->v, &p->endpoints[0].at.ip)->pod->meta.name,
			    "db-0");
	assert_null(view_workload_by_ip(f->v, &p->endpoints[1].at.ip));

	at = addr_at("[fd00::1]:33060");
	p = view_port_by_vip(f->v, &at);
	assert_non_null(p);
	assert_int_equal(p->protocol, PROTO_MYSQL);
	assert_int_equal(p->why, WHY_NAME);
	assert_int_equal(p->detection, DETECTION_BOTH_ENDS);
	assert_string_equal(p->detection_from, "");
	assert_int_equal(p->detection_timeout_ms, 5000);
	assert_int_equal(p->n_endpoints, 1);

	at.port = 33061;
	assert_null(view_port_by_vip(f->v, &at));
	assert_non_null(view_service_by_vip(f->v, &at.ip));
	at = addr_at("198.19.0.1:80"); /* the address is the older Service's */
	assert_null(view_port_by_vip(f->v, &at));
	at = addr_at("198.19.0.2:80");
	assert_null(view_service_by_vip(f->v, &at.ip));
}

static void headless(void **state)
{
	struct fixture *f = *state;
	const struct view_endpoint *ep = NULL;
	struct addr at = addr_at("198.18.0.2:7000");
	const struct view_port *p = view_port_by_headless(f->v, &at, &ep);
	assert_non_null(p);
	assert_string_equal(p->service->object->meta.name, "peers");
	assert_int_equal(p->protocol, PROTO_TCP);
	assert_true(addr_eq(&ep->at, &at));
	assert_false(ep->ready); /* known all the same */
	assert_int_equal(p->n_endpoints, 1);
	assert_int_equal(p->n_known, 2);
	at.port = 7001;
	assert_null(view_port_by_headless(f->v, &at, &ep));
	assert_null(ep);
}

static void workloads(void **state)
{
	struct fixture *f = *state;
	const struct workload *w = view_self(f->v);
	assert_non_null(w);
	assert_string_equal(w->name, "db"); /* the ReplicaSet's name without the hash */
	assert_string_equal(w->canonical_name, "db");
	assert_string_equal(w->canonical_revision, "v7");
	assert_string_equal(w->version, "v7");
	assert_true(w->has_sidecar && w->mesh_tls);
	struct addr at = addr_at("198.18.0.1:1");
	assert_ptr_equal(view_workload_by_ip(f->v, &at.ip), w); /* not the finished Pod */
	at = addr_at("[fd00::109]:1");
	w = view_workload_by_ip(f->v, &at.ip);
	assert_string_equal(w->name, "web");
	assert_string_equal(w->canonical_name, "shop-web");
	assert_string_equal(w->canonical_revision, "latest");
	assert_string_equal(w->app, "unknown");
	assert_false(w->has_sidecar);
	at = addr_at("198.18.0.3:1");
	assert_null(view_workload_by_ip(f->v, &at.ip));
}

static void inbound(void **state)
{
	struct fixture *f = *state;
	/* Named target: the container's port. The Service's words hold for both directions. */
	const struct inbound_port *in = view_inbound_port(f->v, 13307);
	assert_string_equal(in->service_port->service->object->meta.name, "db");
	assert_int_equal(in->detection, DETECTION_CLIENT_FIRST);
	assert_non_null(in->live);
	/* Two Services target it: the older one counts. */
	in = view_inbound_port(f->v, 7000);
	assert_string_equal(in->service_port->service->object->meta.name, "peers");
	assert_int_equal(in->protocol, PROTO_TCP);
	in = view_inbound_port(f->v, 8080);
	assert_int_equal(in->protocol, PROTO_HTTP);
	/* Declared by the container, in no Service; the Pod's annotation counts. */
	in = view_inbound_port(f->v, 9999);
	assert_int_equal(in->port, 9999);
	assert_null(in->service_port);
	assert_int_equal(in->detection, DETECTION_CLIENT_FIRST);
	assert_string_equal(in->detection_from, "annotation hark.mesh/detection of Pod shop/db-0");
	assert_non_null(in->live);
	/* Any other. */
	in = view_inbound_port(f->v, 1);
	assert_int_equal(in->port, 0);
	assert_null(in->service_port);
	assert_null(in->live);
	assert_int_equal(in->detection, DETECTION_BOTH_ENDS);
}

static void names(void **state)
{
	static const struct {
		const char *name, *ips;
	} cases[] = {
		{"db", "198.19.0.1 fd00::1 "},
		{"DB.Shop", "198.19.0.1 fd00::1 "},
		{"db.shop.svc", "198.19.0.1 fd00::1 "},
		{"db.shop.svc.cluster.local", "198.19.0.1 fd00::1 "},
		{"db.shop.svc.cluster.local.", "198.19.0.1 fd00::1 "},
		{"db.", ""},
		{"db.other", ""},
		{"peers", "198.18.0.1 "},
		{"db-0.peers", "198.18.0.1 "},
		{"db-0.peers.shop.svc.cluster.local", "198.18.0.1 "},
		{"db-1.peers", ""}, /* not ready */
		{"db-0.db", ""},    /* not headless */
		{"alias", "198.19.0.1 fd00::1 "},
		{"loop", ""},
		{"example.com", ""},
		{"", ""},
		{".", ""},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct ip ips[8];
		char got[256] = "", text[ADDR_TEXT];
		size_t n = view_resolve(f->v, slice_of(cases[i].name), ips, N_ELEMS(ips));
		for (size_t j = 0; j < n; j++)
			(void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ",
				       ip_text(&ips[j], text));
		if (strcmp(got, cases[i].ips) != 0)
			fail_msg("%s: %s", cases[i].name, got);
	}
	struct ip one;
	assert_int_equal(view_resolve(f->v, SLICE("db"), &one, 1), 1);
}

static void changes(void **state)
{
	struct fixture *f = *state;
	struct addr at = addr_at("198.19.0.1:3307");
	struct live_port *cell = view_port_by_vip(f->v, &at)->live;
	atomic_fetch_add(&cell->server_first, 7);
	struct err err = {0};
	assert_false(view_builder_set_json(f->b, KIND_SERVICE,
					   SLICE("{\"metadata\":{\"name\":\"db\",\"namespace\":"
						 "\"shop\"},\"spec\":5}"),
					   &err)); /* the one that is there stays */
	/* A mesh configuration that is wrong changes nothing, and is told. */
	struct object *bad = object_from_json(
		KIND_CONFIG_MAP,
		SLICE("{\"metadata\":{\"name\":\"istio\",\"namespace\":\"istio-system\"},"
		      "\"data\":{\"mesh\":\"a: 1\\nconnectTimeout: x\\n\"}}"),
		true, &err);
	assert_non_null(bad);
	view_builder_set(f->b, bad);
	object_put(bad);
	view_builder_remove(f->b, KIND_POD, "shop", "db-0");
	view_builder_remove(f->b, KIND_POD, "shop", "db-0");
	struct view *next = view_build(f->b, f->live);
	assert_string_equal(
		view_builder_problem(f->b),
		"ConfigMap istio-system/istio: data.mesh line 2: connectTimeout: expected "
		"a duration like \"5s\", \"1m30s\" or \"100ms\", got string \"x\"");
	assert_int_equal(view_mesh(next)->protocol_detection_timeout_ms, 5000);
	assert_null(view_self(next));
	assert_int_equal(atomic_load(&view_port_by_vip(next, &at)->live->server_first), 7);
	/* The old view is as it was. */
	assert_non_null(view_self(f->v));
	view_put(view_get(f->v));
	/* Without a ConfigMap the defaults hold. */
	view_builder_remove(f->b, KIND_CONFIG_MAP, "istio-system", "istio");
	struct view *last = view_build(f->b, NULL);
	assert_string_equal(view_builder_problem(f->b), "");
	assert_int_equal(view_mesh(last)->protocol_detection_timeout_ms, 0);
	assert_null(view_port_by_vip(last, &at)->live);
	view_put(last);
	view_put(next);
}

static void empty(void **state)
{
	(void)state;
	struct view_builder *b = view_builder_new("shop", "db-0");
	struct view *v = view_build(b, NULL);
	struct addr at = addr_at("198.19.0.1:3307");
	const struct view_endpoint *ep = NULL;
	struct ip ip;
	assert_null(view_port_by_vip(v, &at));
	assert_null(view_port_by_headless(v, &at, &ep));
	assert_null(view_workload_by_ip(v, &at.ip));
	assert_null(view_service_by_name(v, "shop", "db"));
	assert_int_equal(view_resolve(v, SLICE("db"), &ip, 1), 0);
	assert_int_equal(view_inbound_port(v, 80)->port, 0);
	assert_int_equal(view_count(v, KIND_SERVICE), 0);
	view_put(v);
	view_builder_free(b);
}

int main(void)
{
#define WITH_MESH(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_MESH(mesh),    WITH_MESH(vip),   WITH_MESH(headless), WITH_MESH(workloads),
		WITH_MESH(inbound), WITH_MESH(names), WITH_MESH(changes),  cmocka_unit_test(empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
