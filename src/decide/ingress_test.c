/* A Sidecar that lists what comes in: what its ports are, where they lead, and what becomes of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "decide/fixture.h"
#include "decide/plan.h"

#define SELF                                                                                       \
	"---\napiVersion: v1\nkind: Pod\n"                                                         \
	"metadata: {name: db-0, namespace: shop, labels: {app: db, "                               \
	"security.istio.io/tlsMode: istio}, "                                                      \
	"annotations: {sidecar.istio.io/status: '{}'}}\n"                                          \
	"spec: {containers: [{name: c, ports: [{containerPort: 9000}]}]}\n"                        \
	"status: {phase: Running, podIPs: [{ip: 198.18.0.1}, {ip: 'fd00::1'}]}\n"
#define SERVICE                                                                                    \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\n"              \
	"spec: {clusterIP: 198.19.0.1, selector: {app: db}, ports: ["                              \
	"{name: http-a, port: 80, targetPort: 3306}, {name: tcp-b, port: 81, targetPort: "         \
	"3307}]}\n"
#define INGRESS(rows)                                                                              \
	"---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: "  \
	"shop}\nspec: {ingress: [" rows "]}\n"
#define MODE(mode)                                                                                 \
	"---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p, "    \
	"namespace: shop}\nspec: {mtls: {mode: " mode "}}\n"
#define DISABLE MODE("DISABLE")
#define DENY                                                                                       \
	"---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: d, "   \
	"namespace: shop}\nspec: {action: DENY, rules: [{to: [{operation: {ports: "                \
	"['3306']}}]}]}\n"
#define OFF "; PeerAuthentication shop/p is DISABLE"

static const struct {
	const char *rule, *yaml, *dst;
	enum plan_action action;
	enum protocol protocol;
	const char *app; /* where the application is dialled; "": nowhere */
	const char *reason;
} rows[] = {
	{"its protocol wins over the Service's",
	 SERVICE INGRESS("{port: {number: 3306, protocol: MYSQL}}") DISABLE, "198.18.0.1:3306",
	 PLAN_RELAY, PROTO_MYSQL, "198.18.0.1:3306",
	 "port 3306 is an ingress port of Sidecar shop/s; its protocol \"MYSQL\" declares "
	 "mysql" OFF},
	{"without one the Service's counts", SERVICE INGRESS("{port: {number: 3306}}") DISABLE,
	 "198.18.0.1:3306", PLAN_RELAY, PROTO_HTTP, "198.18.0.1:3306",
	 "port 3306 is an ingress port of Sidecar shop/s; port 3306 is a target of Service shop/db "
	 "port 80; its name \"http-a\" declares http" OFF},
	{"nobody declares anything: both ends",
	 INGRESS("{port: {number: 3306}, defaultEndpoint: '127.0.0.1:13306'}") DISABLE,
	 "198.18.0.1:3306", PLAN_DETECT, PROTO_AUTO, "127.0.0.1:13306",
	 "port 3306 is an ingress port of Sidecar shop/s that leads to 127.0.0.1:13306; it "
	 "declares no protocol" OFF "; both ends are listened to"},
	{"to loopback, whatever family was dialled",
	 INGRESS("{port: {number: 3306, protocol: TCP}, defaultEndpoint: '127.0.0.1:13306'}")
		 DISABLE,
	 "[fd00::1]:3306", PLAN_RELAY, PROTO_TCP, "127.0.0.1:13306",
	 "port 3306 is an ingress port of Sidecar shop/s that leads to 127.0.0.1:13306; its "
	 "protocol \"TCP\" declares tcp" OFF},
	{"to another port of the address that was dialled",
	 INGRESS("{port: {number: 3306, protocol: TCP}, defaultEndpoint: '0.0.0.0:13306'}") DISABLE,
	 "[fd00::1]:3306", PLAN_RELAY, PROTO_TCP, "[fd00::1]:13306",
	 "port 3306 is an ingress port of Sidecar shop/s that leads to [fd00::1]:13306; its "
	 "protocol \"TCP\" declares tcp" OFF},
	{"bound to another address",
	 SERVICE INGRESS("{port: {number: 3306, protocol: TCP}, bind: 'fd00::1', defaultEndpoint: "
			 "'127.0.0.1:1'}") DISABLE,
	 "198.18.0.1:3306", PLAN_DETECT, PROTO_AUTO, "198.18.0.1:3306",
	 "port 3306 is none that Sidecar shop/s lists under ingress, so nothing declares its "
	 "protocol" OFF "; both ends are listened to"},
	{"bound to this address",
	 INGRESS("{port: {number: 3306, protocol: TCP}, bind: 'fd00::1', defaultEndpoint: "
		 "'127.0.0.1:1'}") DISABLE,
	 "[fd00::1]:3306", PLAN_RELAY, PROTO_TCP, "127.0.0.1:1",
	 "port 3306 is an ingress port of Sidecar shop/s that leads to 127.0.0.1:1; its "
	 "protocol \"TCP\" declares tcp" OFF},
	{"a Service's port that is not listed passes, undeclared",
	 SERVICE INGRESS("{port: {number: 3306}}") DISABLE, "198.18.0.1:3307", PLAN_DETECT,
	 PROTO_AUTO, "198.18.0.1:3307",
	 "port 3307 is none that Sidecar shop/s lists under ingress, so nothing declares its "
	 "protocol" OFF "; both ends are listened to"},
	{"a port of nobody's passes as well", INGRESS("{port: {number: 3306}}") DISABLE,
	 "198.18.0.1:1", PLAN_DETECT, PROTO_AUTO, "198.18.0.1:1",
	 "port 1 is none that Sidecar shop/s lists under ingress, so nothing declares its "
	 "protocol" OFF "; both ends are listened to"},
	{"an empty list is none", SERVICE INGRESS("") DISABLE, "198.18.0.1:3307", PLAN_RELAY,
	 PROTO_TCP, "198.18.0.1:3307",
	 "port 3307 is a target of Service shop/db port 81; its name \"tcp-b\" declares tcp" OFF},
	{"who may come in is said of the port that was dialled",
	 INGRESS("{port: {number: 3306}, defaultEndpoint: '127.0.0.1:13306'}") DISABLE DENY,
	 "198.18.0.1:3306", PLAN_REFUSE, PROTO_AUTO, "",
	 "port 3306 is an ingress port of Sidecar shop/s that leads to 127.0.0.1:13306; it "
	 "declares no protocol" OFF "; rule 0 of AuthorizationPolicy shop/d (DENY) denies it"},
	{"STRICT before anything is opened",
	 INGRESS("{port: {number: 3306}, defaultEndpoint: '127.0.0.1:13306'}") MODE("STRICT"),
	 "198.18.0.1:3306", PLAN_DETECT, PROTO_AUTO, "127.0.0.1:13306",
	 "port 3306 is an ingress port of Sidecar shop/s that leads to 127.0.0.1:13306; it "
	 "declares no protocol; PeerAuthentication shop/p is STRICT; nothing is opened before the "
	 "client has authenticated"},
};

static void plan_of(const struct world *w, const char *dst, struct plan *p)
{
	struct inbound_facts facts = {.src = test_addr("198.18.0.9:40000"), .dst = test_addr(dst)};
	decide_inbound(w->view, &facts, p);
}

static void each_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct world w;
		struct plan p;
		struct buf reason;
		char yaml[8192], text[ADDR_TEXT];
		(void)snprintf(yaml, sizeof(yaml), "%s%s", SELF, rows[i].yaml);
		buf_init(&reason, 4096);
		world_init(&w, "shop", "db-0", yaml);
		plan_of(&w, rows[i].dst, &p);
		struct addr app = plan_app(&p);
		const char *where = p.destination == DEST_APP ? addr_text(&app, text) : "";
		assert_true(plan_reason(&p, &reason));
		if (p.action != rows[i].action || p.protocol != rows[i].protocol ||
		    strcmp(where, rows[i].app) != 0 ||
		    strcmp(buf_cstr(&reason), rows[i].reason) != 0)
			fail_msg("%s: %s %s %s: %s", rows[i].rule, plan_action_name(p.action),
				 protocol_name(p.protocol), where, buf_cstr(&reason));
		buf_fini(&reason);
		world_fini(&w);
	}
}

/* What comes by a Service's port that is not listed still comes from clients who follow the Service's
 * DestinationRule. */
static void clients_are_known(void **state)
{
	struct world w;
	(void)state;
	world_init(&w, "shop", "db-0", SELF SERVICE INGRESS("{port: {number: 3306}}"));
	const struct inbound_port *in = view_inbound_port(w.view, 3307);
	assert_null(in->service_port);
	assert_int_equal(in->n_targeted_by, 1);
	assert_non_null(view_inbound_port(w.view, 3306)->service_port);
	world_fini(&w);
}

/* The longest path there is: its steps have to fit. */
static void longest(void **state)
{
	struct world w;
	struct plan p;
	struct buf text;
	(void)state;
	buf_init(&text, 8192);
	world_init(&w, "shop", "db-0",
		   SELF SERVICE INGRESS("{port: {number: 3306}, defaultEndpoint: '127.0.0.1:1'}")
			   MODE("PERMISSIVE") DENY);
	plan_of(&w, "198.18.0.1:3306", &p);
	decide_first_word(&p, &(struct fw_answer){.verdict = FW_TLS});
	struct inbound_word word = {.first = INBOUND_HELLO, .alpn = INBOUND_ALPN_MESH_TCP};
	(void)decide_inbound_word(w.view, &p, &word);
	assert_false(decide_inbound_peer(w.view, &p, SLICE("spiffe://a/ns/b/sa/c"), SLICE("")));
	assert_true(plan_explain_text(w.view, &p, &text));
	assert_non_null(strstr(buf_cstr(&text), "[Sidecar shop/s spec.ingress]"));
	buf_fini(&text);
	world_fini(&w);
}

static void explained(void **state)
{
	struct world w;
	struct plan p;
	struct buf text;
	(void)state;
	buf_init(&text, 8192);
	world_init(&w, "shop", "db-0",
		   SELF INGRESS("{port: {number: 3306, protocol: TCP}, defaultEndpoint: "
				"'127.0.0.1:13306'}"));
	plan_of(&w, "198.18.0.1:3306", &p);
	assert_true(plan_explain_text(w.view, &p, &text));
	assert_non_null(strstr(buf_cstr(&text), " to the application at 127.0.0.1:13306"));
	assert_non_null(strstr(buf_cstr(&text), "[Sidecar shop/s spec.ingress[].port.protocol]"));
	buf_fini(&text);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row),
		cmocka_unit_test(clients_are_known),
		cmocka_unit_test(longest),
		cmocka_unit_test(explained),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
