#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "decide/fixture.h"
#include "decide/internal.h"

#define YAML(labels, annotations)                                                                  \
	"apiVersion: v1\n"                                                                         \
	"kind: Pod\n"                                                                              \
	"metadata: {name: web-1, namespace: shop, labels: {app: web" labels                        \
	"}, annotations: {" annotations "}}\n"                                                     \
	"spec: {containers: [{name: c, command: [web]}]}\n"                                        \
	"status: {phase: Running, podIP: 198.18.0.1, podIPs: [{ip: 198.18.0.1}]}\n"                \
	"---\n"                                                                                    \
	"apiVersion: v1\n"                                                                         \
	"kind: Service\n"                                                                          \
	"metadata: {name: db, namespace: shop}\n"                                                  \
	"spec: {clusterIP: 198.19.0.2, selector: {app: web}, ports: [{name: main, port: 3307}, "   \
	"{name: "                                                                                  \
	"tcp-x, port: 3308}]}\n"                                                                   \
	"---\n"                                                                                    \
	"apiVersion: v1\n"                                                                         \
	"kind: Service\n"                                                                          \
	"metadata: {name: api, namespace: shop}\n"                                                 \
	"spec: {clusterIP: 198.19.0.3, selector: {app: none}, ports: [{name: http, port: "         \
	"8080}]}\n"                                                                                \
	"---\n"                                                                                    \
	"apiVersion: discovery.k8s.io/v1\n"                                                        \
	"kind: EndpointSlice\n"                                                                    \
	"metadata: {name: db-x, namespace: shop, labels: {kubernetes.io/service-name: db}}\n"      \
	"addressType: IPv4\n"                                                                      \
	"endpoints: [{addresses: [198.18.0.1], conditions: {ready: true}}]\n"                      \
	"ports: [{name: main, port: 3307, protocol: TCP}, {name: tcp-x, port: 3308, protocol: "    \
	"TCP}]\n"
static const char yaml[] = YAML("", "");
static const char meshed[] =
	YAML(", security.istio.io/tlsMode: istio", "sidecar.istio.io/status: '{}'");

static void text_is(const struct world *w, const struct plan *p, const char *want)
{
	struct buf out;
	buf_init(&out, 8192);
	assert_true(plan_explain_text(w->view, p, &out));
	assert_string_equal(buf_cstr(&out), want);
	buf_fini(&out);
}

static void outbound(const struct world *w, const char *dst, struct plan *p)
{
	struct outbound_facts facts = {.dst = test_addr(dst)};
	decide_outbound(w->view, &facts, p);
}

static void as_text(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	world_init(&w, "shop", "web-1", yaml);

	outbound(&w, "198.19.0.2:3307", &p);
	text_is(&w, &p,
		"outbound to 198.19.0.2:3307\n"
		"  1. 198.19.0.2:3307 is Service shop/db port 3307  [Service shop/db "
		"spec.clusterIPs]\n"
		"  2. its name \"main\" declares no protocol  [Service shop/db spec.ports[]]\n"
		"  3. both ends are listened to\n"
		"plan:       listen, then relay to the one ready endpoint of "
		"db.shop.svc.cluster.local port 3307\n"
		"learnt:     nothing yet\n"
		"elsewhere:  stall if the server speaks first (D5): nothing declares the port's "
		"protocol: the client's sidecar waits for the client to speak, whatever the "
		"server's "
		"mode\n");

	learn_teach(p.live, FW_TEACH_SERVER_FIRST, GREET_IS_MYSQL);
	learn_teach(p.live, FW_TEACH_SERVER_FIRST, GREET_IS_MYSQL);
	outbound(&w, "198.19.0.2:3307", &p);
	text_is(&w, &p,
		"outbound to 198.19.0.2:3307\n"
		"  1. 198.19.0.2:3307 is Service shop/db port 3307  [Service shop/db "
		"spec.clusterIPs]\n"
		"  2. its name \"main\" declares no protocol  [Service shop/db spec.ports[]]\n"
		"  3. both ends are listened to\n"
		"  4. the server always spoke first here\n"
		"plan:       listen, then relay to the one ready endpoint of "
		"db.shop.svc.cluster.local port 3307\n"
		"learnt:     the server spoke first on 2 connections (mysql)\n"
		"elsewhere:  stall (D5): nothing declares the port's protocol: the client's "
		"sidecar "
		"waits for the client to speak, whatever the server's mode\n"
		"to declare: appProtocol: mysql on port 3307 of Service shop/db\n");

	outbound(&w, "203.0.113.1:8080", &p);
	text_is(&w, &p,
		"outbound to 203.0.113.1:8080\n"
		"  1. nothing in the mesh has the address 203.0.113.1:8080\n"
		"  2. outboundTrafficPolicy ALLOW_ANY lets it pass as it is\n"
		"plan:       relay at once to 203.0.113.1:8080, outside the mesh's Services\n"
		"learnt:     nothing yet\n"
		"elsewhere:  stall if the server speaks first (D6): no Service has the address, "
		"but the listener that a port of the same number (HTTP's, or that of a "
		"ServiceEntry without addresses) opens for every address takes it, and waits for "
		"the client\n");

	outbound(&w, "198.19.0.3:8080", &p);
	text_is(&w, &p,
		"outbound to 198.19.0.3:8080\n"
		"  1. 198.19.0.3:8080 is Service shop/api port 8080  [Service shop/api "
		"spec.clusterIPs]\n"
		"  2. its name \"http\" declares http  [Service shop/api spec.ports[].name]\n"
		"  3. Service shop/api port 8080 has no ready endpoint  [Service shop/api "
		"spec.selector]\n"
		"plan:       reset the client\n"
		"learnt:     nothing yet\n"
		"elsewhere:  stall if the server speaks first (D5): there is no endpoint, but the "
		"client's sidecar says so only after the client has spoken\n");

	world_fini(&w);
	struct inbound_facts facts = {.src = test_addr("203.0.113.9:4000"),
				      .dst = test_addr("198.18.0.1:3308")};
	world_init(&w, "shop", "web-1", meshed);
	decide_inbound(w.view, &facts, &p);
	text_is(&w, &p,
		"inbound to port 3308 from 203.0.113.9\n"
		"  1. port 3308 is a target of Service shop/db port 3308  [Service shop/db "
		"spec.ports[].targetPort]\n"
		"  2. its name \"tcp-x\" declares tcp  [Service shop/db spec.ports[].name]\n"
		"  3. no PeerAuthentication says how port 3308 may be reached, so it is "
		"PERMISSIVE\n"
		"  4. source 203.0.113.9 is not known, so a greeting is held back for a "
		"ClientHello\n"
		"  5. both ends are listened to\n"
		"plan:       listen, then relay to the application at 198.18.0.1:3308\n"
		"plaintext:  allowed: no AuthorizationPolicy selects the workload\n"
		"mesh TLS:   allowed: no AuthorizationPolicy selects the workload\n"
		"learnt:     nothing yet\n"
		"elsewhere:  stall if the server speaks first (D1): PERMISSIVE: the server's "
		"sidecar "
		"waits for a ClientHello that a plaintext client never sends, even on a port "
		"declared "
		"TCP\n");
	facts.src = (struct addr){.port = 0}; /* explain, where nobody said which */
	decide_inbound(w.view, &facts, &p);
	text_is(&w, &p,
		"inbound to port 3308\n"
		"  1. port 3308 is a target of Service shop/db port 3308  [Service shop/db "
		"spec.ports[].targetPort]\n"
		"  2. its name \"tcp-x\" declares tcp  [Service shop/db spec.ports[].name]\n"
		"  3. no PeerAuthentication says how port 3308 may be reached, so it is "
		"PERMISSIVE\n"
		"  4. a source outside the mesh is not known, so a greeting is held back for a "
		"ClientHello\n"
		"  5. both ends are listened to\n"
		"plan:       listen, then relay to the application at 198.18.0.1:3308\n"
		"plaintext:  allowed: no AuthorizationPolicy selects the workload\n"
		"mesh TLS:   allowed: no AuthorizationPolicy selects the workload\n"
		"learnt:     nothing yet\n"
		"elsewhere:  stall if the server speaks first (D1): PERMISSIVE: the server's "
		"sidecar "
		"waits for a ClientHello that a plaintext client never sends, even on a port "
		"declared "
		"TCP\n");
	world_fini(&w);
}

static const char *member(const json_t *o, const char *outer, const char *inner)
{
	return json_string_value(json_object_get(json_object_get(o, outer), inner));
}

static json_t *explained(const struct world *w, const struct plan *p)
{
	struct buf text;
	struct json_out out;
	buf_init(&text, 65536);
	json_out_init(&out, &text);
	plan_explain_json(w->view, p, &out);
	assert_false(text.full);
	json_error_t error;
	json_t *root =
		json_loadb(buf_slice(&text).at, buf_len(&text), JSON_REJECT_DUPLICATES, &error);
	if (!root)
		fail_msg("%s: %s", error.text, buf_cstr(&text));
	buf_fini(&text);
	return root;
}

static void as_json(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	world_init(&w, "shop", "web-1", yaml);
	outbound(&w, "198.19.0.2:3307", &p);
	learn_teach(p.live, FW_TEACH_SERVER_FIRST, GREET_IS_MYSQL);
	outbound(&w, "198.19.0.2:3307", &p);
	json_t *root = explained(&w, &p);
	assert_string_equal(json_string_value(json_object_get(root, "side")), "outbound");
	assert_string_equal(member(root, "plan", "action"), "detect");
	assert_string_equal(member(root, "plan", "destination"), "service");
	assert_string_equal(member(root, "plan", "service"), "db.shop.svc.cluster.local");
	assert_string_equal(member(root, "learned", "learned"), "server-first");
	assert_string_equal(member(root, "learned", "greeting"), "mysql");
	assert_string_equal(member(root, "elsewhere", "result"), "stall");
	assert_string_equal(member(root, "elsewhere", "row"), "D5");
	assert_string_equal(json_string_value(json_object_get(root, "to_declare")), "mysql");
	const json_t *steps = json_object_get(root, "steps");
	assert_int_equal(json_array_size(steps), p.n_steps);
	const json_t *first = json_array_get(steps, 0);
	assert_string_equal(json_string_value(json_object_get(first, "step")), "service-vip");
	assert_string_equal(member(first, "resource", "kind"), "Service");
	assert_string_equal(member(first, "resource", "namespace"), "shop");
	assert_string_equal(member(first, "resource", "name"), "db");
	json_decref(root);

	struct inbound_facts facts = {.src = test_addr("203.0.113.9:4000"),
				      .dst = test_addr("198.18.0.1:9")};
	decide_inbound(w.view, &facts, &p);
	root = explained(&w, &p);
	assert_string_equal(json_string_value(json_object_get(root, "source")), "203.0.113.9");
	assert_true(json_is_null(json_object_get(root, "to_declare")));
	assert_true(json_is_null(json_object_get(json_object_get(root, "plan"), "service")));
	json_decref(root);
	world_fini(&w);
}

/* However small the buffer, it says so and nothing is written past it. */
static void small_buffers(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	world_init(&w, "shop", "web-1", yaml);
	outbound(&w, "198.19.0.2:3307", &p);
	for (size_t max = 0; max < 300; max++) {
		struct buf out;
		buf_init(&out, max);
		assert_false(plan_explain_text(w.view, &p, &out));
		assert_true(out.full && buf_len(&out) <= max);
		buf_fini(&out);
	}
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_text),
		cmocka_unit_test(as_json),
		cmocka_unit_test(small_buffers),
	};
	return cmocka_run_group_tests_name("decide/explain", tests, NULL, NULL);
}
