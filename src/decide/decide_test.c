#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "decide/fixture.h"
#include "decide/internal.h"

/* The mesh of these tests: the sidecar of Pod shop/web-1. */
static const char mesh_yaml[] =
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: web-1, namespace: shop, labels: {app: web, security.istio.io/tlsMode: "
	"istio}, annotations: {sidecar.istio.io/status: '{}'}}\n"
	"spec: {containers: [{name: c, command: [web]}]}\n"
	"status: {phase: Running, podIP: 198.18.0.1, podIPs: [{ip: 198.18.0.1}, {ip: 'fd00::1'}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: db-0, namespace: shop, labels: {app: db}}\n"
	"spec: {containers: [{name: c, command: [db]}]}\n"
	"status: {phase: Running, podIP: 198.18.0.2, podIPs: [{ip: 198.18.0.2}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata:\n"
	"  name: peer\n"
	"  namespace: shop\n"
	"  labels: {security.istio.io/tlsMode: istio}\n"
	"  annotations: {sidecar.istio.io/status: '{}'}\n"
	"spec: {containers: [{name: c, command: [peer]}]}\n"
	"status: {phase: Running, podIP: 198.18.0.3, podIPs: [{ip: 198.18.0.3}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: db, namespace: shop}\n"
	"spec:\n"
	"  clusterIP: 198.19.0.2\n"
	"  selector: {app: db}\n"
	"  ports:\n"
	"  - {name: main, port: 3307}\n"
	"  - {name: tcp-admin, port: 4307}\n"
	"  - {name: web, appProtocol: http, port: 8080}\n"
	"  - {name: dns, protocol: UDP, port: 53}\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: db-x, namespace: shop, labels: {kubernetes.io/service-name: db}}\n"
	"addressType: IPv4\n"
	"endpoints:\n"
	"- addresses: [198.18.0.2]\n"
	"  conditions: {ready: true}\n"
	"  targetRef: {kind: Pod, name: db-0, namespace: shop}\n"
	"ports:\n"
	"- {name: main, port: 3307, protocol: TCP}\n"
	"- {name: tcp-admin, port: 4307, protocol: TCP}\n"
	"- {name: web, port: 8080, protocol: TCP}\n"
	"- {name: dns, port: 53, protocol: UDP}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: gone, namespace: shop}\n"
	"spec:\n"
	"  clusterIP: 198.19.0.3\n"
	"  selector: {app: gone}\n"
	"  ports: [{name: main, port: 5000}, {name: tcp-main, port: 5001}]\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: ring, namespace: shop}\n"
	"spec:\n"
	"  clusterIP: None\n"
	"  selector: {app: db}\n"
	"  ports: [{name: peer, port: 7000}, {name: tcp-gossip, port: 7001}, {name: http-ui, port: "
	"7002}]\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: ring-x, namespace: shop, labels: {kubernetes.io/service-name: ring}}\n"
	"addressType: IPv4\n"
	"endpoints:\n"
	"- addresses: [198.18.0.2]\n"
	"  conditions: {ready: true}\n"
	"  targetRef: {kind: Pod, name: db-0, namespace: shop}\n"
	"ports:\n"
	"- {name: peer, port: 7000, protocol: TCP}\n"
	"- {name: tcp-gossip, port: 7001, protocol: TCP}\n"
	"- {name: http-ui, port: 7002, protocol: TCP}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: web, namespace: shop}\n"
	"spec:\n"
	"  clusterIPs: [198.19.0.4, 'fd01::4']\n"
	"  selector: {app: web}\n"
	"  ports:\n"
	"  - {name: plain, port: 80, targetPort: 9000}\n"
	"  - {name: tcp-x, port: 81, targetPort: 9001}\n"
	"  - {name: http-x, port: 82, targetPort: 9002}\n"
	"  - {name: mail, port: 25, targetPort: 9025}\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: web-6, namespace: shop, labels: {kubernetes.io/service-name: web}}\n"
	"addressType: IPv6\n"
	"endpoints:\n"
	"- addresses: ['fd00::1']\n"
	"  conditions: {ready: true}\n"
	"  targetRef: {kind: Pod, name: web-1, namespace: shop}\n"
	"ports: [{name: plain, port: 9000, protocol: TCP}]\n";

static const char mesh_config_yaml[] = "apiVersion: v1\n"
				       "kind: ConfigMap\n"
				       "metadata: {name: istio, namespace: istio-system}\n"
				       "data:\n"
				       "  mesh: |\n"
				       "    protocolDetectionTimeout: %s\n"
				       "    outboundTrafficPolicy: {mode: %s}\n"
				       "  hark: |\n"
				       "    detection: %s\n"
				       "---\n";

static void start(struct world *w, const char *policy, const char *detection, const char *timeout)
{
	struct buf yaml;
	buf_init(&yaml, 65536);
	buf_printf(&yaml, mesh_config_yaml, timeout, policy, detection);
	buf_puts(&yaml, mesh_yaml);
	world_init(w, "shop", "web-1", buf_cstr(&yaml));
	buf_fini(&yaml);
}

static void reason_is(const char *name, const struct plan *p, const char *want)
{
	struct buf text;
	buf_init(&text, 4096);
	assert_true(plan_reason(p, &text));
	if (strcmp(buf_cstr(&text), want) != 0)
		fail_msg("%s:\n  said   %s\n  wanted %s", name, buf_cstr(&text), want);
	buf_fini(&text);
}

/* Outbound */

#define DB "198.19.0.2:3307 is Service shop/db port 3307; its name \"main\" declares no protocol; "

static const struct outbound_case {
	const char *name, *dst;
	enum plan_action action;
	enum plan_destination destination;
	const char *peer; /* Pod, or "" */
	const char *reason;
} outbound_cases[] = {
	/* clang-format off */
	{"undeclared port of a Service", "198.19.0.2:3307", PLAN_DETECT, DEST_SERVICE, "",
	 DB "both ends are listened to"},
	{"declared TCP", "198.19.0.2:4307", PLAN_RELAY, DEST_SERVICE, "",
	 "198.19.0.2:4307 is Service shop/db port 4307; its name \"tcp-admin\" declares tcp"},
	{"declared HTTP is carried at once", "198.19.0.2:8080", PLAN_RELAY, DEST_SERVICE, "",
	 "198.19.0.2:8080 is Service shop/db port 8080; its appProtocol \"http\" declares http"},
	{"a port that the Service does not have", "198.19.0.2:3306", PLAN_REFUSE, DEST_NONE, "",
	 "Service shop/db has no port 3306; it has 3307, 4307, 8080"},
	{"a port that is UDP", "198.19.0.2:53", PLAN_REFUSE, DEST_NONE, "", "Service shop/db port 53 is not TCP"},
	{"a Service without endpoints, undeclared", "198.19.0.3:5000", PLAN_REFUSE, DEST_NONE, "",
	 "198.19.0.3:5000 is Service shop/gone port 5000; its name \"main\" declares no protocol; "
	 "Service shop/gone port 5000 has no ready endpoint"},
	{"a Service without endpoints, declared", "198.19.0.3:5001", PLAN_REFUSE, DEST_NONE, "",
	 "198.19.0.3:5001 is Service shop/gone port 5001; its name \"tcp-main\" declares tcp; "
	 "Service shop/gone port 5001 has no ready endpoint"},
	{"IPv6 virtual IP", "[fd01::4]:80", PLAN_DETECT, DEST_SERVICE, "",
	 "[fd01::4]:80 is Service shop/web port 80; its name \"plain\" declares no protocol; both ends are listened to"},
	{"headless endpoint, undeclared", "198.18.0.2:7000", PLAN_DETECT, DEST_ENDPOINT, "db-0",
	 "198.18.0.2:7000 is an endpoint of headless Service shop/ring port 7000; its name \"peer\" declares no protocol; "
	 "both ends are listened to"},
	{"headless endpoint, declared TCP", "198.18.0.2:7001", PLAN_RELAY, DEST_ENDPOINT, "db-0",
	 "198.18.0.2:7001 is an endpoint of headless Service shop/ring port 7001; its name \"tcp-gossip\" declares tcp"},
	{"headless endpoint, declared HTTP", "198.18.0.2:7002", PLAN_RELAY, DEST_ENDPOINT, "db-0",
	 "198.18.0.2:7002 is an endpoint of headless Service shop/ring port 7002; its name \"http-ui\" declares http"},
	{"a Pod's address is no Service", "198.18.0.2:3307", PLAN_RELAY, DEST_PASSTHROUGH, "db-0",
	 "198.18.0.2:3307 is Pod shop/db-0, dialled directly and not through a Service; "
	 "outboundTrafficPolicy ALLOW_ANY lets it pass as it is"},
	{"unknown address", "203.0.113.9:3307", PLAN_RELAY, DEST_PASSTHROUGH, "",
	 "nothing in the mesh has the address 203.0.113.9:3307; outboundTrafficPolicy ALLOW_ANY lets it pass as it is"},
	{"unknown address on an HTTP Service's port number is not dragged along", "203.0.113.9:8080", PLAN_RELAY, DEST_PASSTHROUGH, "",
	 "nothing in the mesh has the address 203.0.113.9:8080; outboundTrafficPolicy ALLOW_ANY lets it pass as it is"},
	{"self-call, outbound port", "198.18.0.1:15001", PLAN_REFUSE, DEST_NONE, "",
	 "port 15001 is the sidecar's own and would lead back to it"},
	{"self-call, inbound port", "198.18.0.1:15006", PLAN_REFUSE, DEST_NONE, "",
	 "port 15006 is the sidecar's own and would lead back to it"},
	/* clang-format on */
};

static void check_outbound(const struct world *w, const struct outbound_case *c)
{
	struct outbound_facts facts = {.dst = test_addr(c->dst)};
	struct plan p;
	decide_outbound(w->view, &facts, &p);
	const char *peer = p.peer_workload ? p.peer_workload->pod->meta.name : "";
	if (p.action != c->action || p.destination != c->destination || strcmp(peer, c->peer) != 0)
		fail_msg("%s: %s to %s, peer \"%s\"", c->name, plan_action_name(p.action),
			 plan_destination_name(p.destination), peer);
	assert_true(addr_eq(&p.to, &facts.dst));
	assert_int_equal(p.side, LIVE_OUTBOUND);
	assert_false(p.bind_app_source);
	reason_is(c->name, &p, c->reason);
}

static void outbound_destinations(void **state)
{
	(void)state;
	struct world w;
	start(&w, "ALLOW_ANY", "both-ends", "0s");
	for (size_t i = 0; i < N_ELEMS(outbound_cases); i++)
		check_outbound(&w, &outbound_cases[i]);
	world_fini(&w);
}

static void outbound_registry_only(void **state)
{
	static const struct outbound_case cases[] = {
		{"unknown address", "203.0.113.9:3307", PLAN_REFUSE, DEST_NONE, "",
		 "nothing in the mesh has the address 203.0.113.9:3307; outboundTrafficPolicy "
		 "REGISTRY_ONLY refuses what no Service or ServiceEntry covers"},
		{"a Pod's address", "198.18.0.2:3307", PLAN_REFUSE, DEST_NONE, "db-0",
		 "198.18.0.2:3307 is Pod shop/db-0, dialled directly and not through a Service; "
		 "outboundTrafficPolicy REGISTRY_ONLY refuses what no Service or ServiceEntry "
		 "covers"},
		{"a headless endpoint is covered", "198.18.0.2:7001", PLAN_RELAY, DEST_ENDPOINT,
		 "db-0",
		 "198.18.0.2:7001 is an endpoint of headless Service shop/ring port 7001; its name "
		 "\"tcp-gossip\" declares tcp"},
		{"so is a Service", "198.19.0.2:3307", PLAN_DETECT, DEST_SERVICE, "",
		 DB "both ends are listened to"},
	};
	(void)state;
	struct world w;
	start(&w, "REGISTRY_ONLY", "both-ends", "0s");
	for (size_t i = 0; i < N_ELEMS(cases); i++)
		check_outbound(&w, &cases[i]);
	world_fini(&w);
}

static void outbound_client_first(void **state)
{
	static const struct outbound_case cases[] = {
		{"undeclared stalls as elsewhere", "198.19.0.2:3307", PLAN_DETECT, DEST_SERVICE, "",
		 DB "detection is client-first and waits at most 3000 ms"},
		{"declared HTTP too", "198.19.0.2:8080", PLAN_DETECT, DEST_SERVICE, "",
		 "198.19.0.2:8080 is Service shop/db port 8080; its appProtocol \"http\" declares "
		 "http; detection is client-first and waits at most 3000 ms"},
		{"declared TCP does not", "198.19.0.2:4307", PLAN_RELAY, DEST_SERVICE, "",
		 "198.19.0.2:4307 is Service shop/db port 4307; its name \"tcp-admin\" declares "
		 "tcp"},
		{"nor does an unknown address", "203.0.113.9:3307", PLAN_RELAY, DEST_PASSTHROUGH,
		 "",
		 "nothing in the mesh has the address 203.0.113.9:3307; outboundTrafficPolicy "
		 "ALLOW_ANY lets it pass as it is"},
	};
	(void)state;
	struct world w;
	start(&w, "ALLOW_ANY", "client-first", "3s");
	for (size_t i = 0; i < N_ELEMS(cases); i++)
		check_outbound(&w, &cases[i]);
	world_fini(&w);
}

/* Inbound */

#define TO_9000                                                                                    \
	"port 9000 is a target of Service shop/web port 80; its name \"plain\" declares no "       \
	"protocol; "
#define PLAIN "source 198.18.0.2 (Pod shop/db-0) speaks no mesh TLS, so no ClientHello is coming"
#define MESH "source 198.18.0.3 (Pod shop/peer) speaks mesh TLS, so its ClientHello is coming"
#define STRANGER "source 203.0.113.9 is not known, so a greeting is held back for a ClientHello"
#define MODE(port)                                                                                 \
	"no PeerAuthentication says how port " port " may be reached, so it is PERMISSIVE; "
#define BOTH "; both ends are listened to"

static const struct inbound_case {
	const char *name, *src;
	uint16_t port;
	bool spoke_tls;
	enum plan_action action;
	enum fw_source source; /* PLAN_DETECT */
	const char *reason;
} inbound_cases[] = {
	/* clang-format off */
	{"undeclared, plain source", "198.18.0.2", 9000, false, PLAN_DETECT, FW_SOURCE_PLAIN, TO_9000 MODE("9000") PLAIN BOTH},
	{"undeclared, mesh source", "198.18.0.3", 9000, false, PLAN_DETECT, FW_SOURCE_MESH, TO_9000 MODE("9000") MESH BOTH},
	{"undeclared, unknown source", "203.0.113.9", 9000, false, PLAN_DETECT, FW_SOURCE_UNKNOWN, TO_9000 MODE("9000") STRANGER BOTH},
	{"undeclared, source of a wrong guess", "203.0.113.9", 9000, true, PLAN_DETECT, FW_SOURCE_UNKNOWN,
	 TO_9000 MODE("9000") "source 203.0.113.9 sent a late ClientHello before, so a greeting is held back for longer" BOTH},
	{"what is known of a workload beats a memory", "198.18.0.2", 9000, true, PLAN_DETECT, FW_SOURCE_PLAIN, TO_9000 MODE("9000") PLAIN BOTH},
	{"declared TCP, plain source: mesh TLS may come all the same", "198.18.0.2", 9001, false, PLAN_DETECT, FW_SOURCE_PLAIN,
	 "port 9001 is a target of Service shop/web port 81; its name \"tcp-x\" declares tcp; " MODE("9001") PLAIN BOTH},
	{"declared TCP, mesh source", "198.18.0.3", 9001, false, PLAN_DETECT, FW_SOURCE_MESH,
	 "port 9001 is a target of Service shop/web port 81; its name \"tcp-x\" declares tcp; " MODE("9001") MESH BOTH},
	{"declared TCP, unknown source", "203.0.113.9", 9001, false, PLAN_DETECT, FW_SOURCE_UNKNOWN,
	 "port 9001 is a target of Service shop/web port 81; its name \"tcp-x\" declares tcp; " MODE("9001") STRANGER BOTH},
	{"declared HTTP, plain source", "198.18.0.2", 9002, false, PLAN_DETECT, FW_SOURCE_PLAIN,
	 "port 9002 is a target of Service shop/web port 82; its name \"http-x\" declares http; " MODE("9002") PLAIN BOTH},
	{"well-known Service port, other target port", "198.18.0.2", 9025, false, PLAN_DETECT, FW_SOURCE_PLAIN,
	 "port 9025 is a target of Service shop/web port 25; the well-known port 25 declares tcp; " MODE("9025") PLAIN BOTH},
	{"no Service targets the port", "198.18.0.2", 9999, false, PLAN_DETECT, FW_SOURCE_PLAIN,
	 "no Service targets port 9999, so nothing declares its protocol; " MODE("9999") PLAIN BOTH},
	{"a well-known number without a Service means nothing", "203.0.113.9", 3306, false, PLAN_DETECT, FW_SOURCE_UNKNOWN,
	 "no Service targets port 3306, so nothing declares its protocol; " MODE("3306") STRANGER BOTH},
	{"self-call", "203.0.113.9", 15006, false, PLAN_REFUSE, FW_SOURCE_PLAIN,
	 "port 15006 is the sidecar's own and would lead back to it"},
	{"self-call to the other port", "198.18.0.1", 15001, false, PLAN_REFUSE, FW_SOURCE_PLAIN,
	 "port 15001 is the sidecar's own and would lead back to it"},
	/* clang-format on */
};

static void plan_inbound(const struct world *w, const char *src, uint16_t port, bool spoke_tls,
			 struct plan *p)
{
	struct inbound_facts facts = {.dst = test_addr("198.18.0.1:1"),
				      .source_speaks_tls = spoke_tls};
	assert_true(ip_parse(slice_of(src), &facts.src.ip));
	facts.src.port = 40000;
	facts.dst.port = port;
	decide_inbound(w->view, &facts, p);
}

static void inbound_ports(void **state)
{
	(void)state;
	struct world w;
	start(&w, "ALLOW_ANY", "both-ends", "0s");
	for (size_t i = 0; i < N_ELEMS(inbound_cases); i++) {
		const struct inbound_case *c = &inbound_cases[i];
		struct plan p;
		plan_inbound(&w, c->src, c->port, c->spoke_tls, &p);
		if (p.action != c->action)
			fail_msg("%s: %s", c->name, plan_action_name(p.action));
		reason_is(c->name, &p, c->reason);
		assert_int_equal(p.destination, c->action == PLAN_REFUSE ? DEST_NONE : DEST_APP);
		assert_int_equal(p.bind_app_source, c->action != PLAN_REFUSE);
		if (c->action != PLAN_DETECT)
			continue;
		assert_int_equal(p.fw.source, c->source);
		assert_int_equal(p.fw.side, FW_INBOUND);
		assert_true(p.fw.tls_possible);
		assert_true(p.fw.early_allowed);
		/* where TCP is declared only a ClientHello is waited for, not the client's word */
		bool tcp = protocol_class(p.protocol) == CLASS_TCP;
		assert_int_equal(p.fw.head_start_us, tcp ? 0 : FW_HEAD_START_US);
		bool late = plan_has_step(&p, STEP_SOURCE_SPOKE_TLS);
		uint32_t cap_us = late ? 1000000 : view_mesh(w.view)->tls_window_max_us;
		assert_int_equal(p.fw.window_us, cap_us);
		plan_set_rtt(&p, 700);
		assert_int_equal(p.fw.window_us, late ? cap_us : 1400);
	}
	world_fini(&w);
}

/* Another mesh inspects every PERMISSIVE port, declared or not, known source or not. */
static void inbound_client_first(void **state)
{
	static const uint16_t ports[] = {9000, 9001, 9002, 9025, 9999};
	static const char *const sources[] = {"198.18.0.2", "198.18.0.3", "203.0.113.9"};
	(void)state;
	struct world w;
	start(&w, "ALLOW_ANY", "client-first", "250ms");
	for (size_t i = 0; i < N_ELEMS(ports); i++)
		for (size_t k = 0; k < N_ELEMS(sources); k++) {
			struct plan p;
			plan_inbound(&w, sources[k], ports[i], false, &p);
			assert_int_equal(p.action, PLAN_DETECT);
			assert_int_equal(p.fw.mode, FW_CLIENT_FIRST);
			assert_int_equal(p.fw.detection_timeout_ms, 250);
			assert_false(p.fw.early_allowed);
			assert_true(p.fw.tls_possible);
		}
	world_fini(&w);
}

/* Every value of the naming rules, carried through both directions. */

static const struct {
	const char *name;         /* "": none */
	const char *app_protocol; /* NULL: not set */
	uint16_t port;
	enum protocol protocol;
} naming[] = {
	/* clang-format off */
	{"http", NULL, 7, PROTO_HTTP},             {"http-x", NULL, 7, PROTO_HTTP},
	{"http2", NULL, 7, PROTO_HTTP2},           {"grpc", NULL, 7, PROTO_GRPC},
	{"grpc-web", NULL, 7, PROTO_GRPC_WEB},     {"grpc-webfoo", NULL, 7, PROTO_GRPC_WEB},
	{"https", NULL, 7, PROTO_HTTPS},           {"tls", NULL, 7, PROTO_TLS},
	{"tcp", NULL, 7, PROTO_TCP},               {"tcp-anything", NULL, 7, PROTO_TCP},
	{"mongo", NULL, 7, PROTO_MONGO},           {"mysql", NULL, 7, PROTO_MYSQL},
	{"mysql-main", NULL, 7, PROTO_MYSQL},      {"redis", NULL, 7, PROTO_REDIS},
	{"db", NULL, 7, PROTO_AUTO},               {"mysqlx", NULL, 7, PROTO_AUTO},
	{"web-http", NULL, 7, PROTO_AUTO},         {"", NULL, 7, PROTO_AUTO},
	{"", NULL, 25, PROTO_TCP},                 {"", NULL, 53, PROTO_TCP},
	{"", NULL, 3306, PROTO_TCP},               {"", NULL, 27017, PROTO_TCP},
	{"db", NULL, 3306, PROTO_TCP},             {"http", NULL, 3306, PROTO_HTTP},
	{"", NULL, 3307, PROTO_AUTO},              {"tcp-x", "foo", 7, PROTO_AUTO},
	{"tcp-x", "foo", 3306, PROTO_TCP},         {"tcp-x", "http", 7, PROTO_HTTP},
	{"", "kubernetes.io/h2c", 7, PROTO_HTTP2}, {"", "kubernetes.io/ws", 7, PROTO_HTTP},
	{"", "kubernetes.io/wss", 7, PROTO_HTTPS}, {"", "Kubernetes.io/h2c", 7, PROTO_AUTO},
	{"", "HTTP", 7, PROTO_HTTP},               {"", "MySQL", 7, PROTO_MYSQL},
	{"", "http_proxy", 7, PROTO_HTTP_PROXY},   {"", "tcp-thing", 7, PROTO_TCP},
	{"", "auto", 7, PROTO_AUTO},
	/* clang-format on */
};

static void naming_yaml(struct buf *out)
{
	buf_puts(out, mesh_yaml);
	for (size_t i = 0; i < N_ELEMS(naming); i++) {
		buf_printf(out,
			   "---\napiVersion: v1\nkind: Service\nmetadata: {name: n%zu, namespace: "
			   "shop}\nspec:\n  clusterIP: 198.19.1.%zu\n  selector: {app: web}\n  "
			   "ports:\n"
			   "  - port: %u\n    targetPort: %zu\n",
			   i, i, naming[i].port, 20000 + i);
		if (naming[i].name[0])
			buf_printf(out, "    name: %s\n", naming[i].name);
		if (naming[i].app_protocol)
			buf_printf(out, "    appProtocol: %s\n", naming[i].app_protocol);
		buf_printf(
			out,
			"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: "
			"{name: "
			"n%zu, namespace: shop, labels: {kubernetes.io/service-name: n%zu}}\n"
			"addressType: IPv4\nendpoints:\n- addresses: [198.18.0.1]\n  conditions: "
			"{ready: true}\nports: [{name: '%s', port: %zu, protocol: TCP}]\n",
			i, i, naming[i].name, 20000 + i);
	}
}

static void naming_rules(void **state)
{
	(void)state;
	struct buf yaml;
	buf_init(&yaml, 1 << 20);
	naming_yaml(&yaml);
	struct world w;
	world_init(&w, "shop", "web-1", buf_cstr(&yaml));
	buf_fini(&yaml);
	for (size_t i = 0; i < N_ELEMS(naming); i++) {
		char text[64];
		(void)snprintf(text, sizeof(text), "198.19.1.%zu:%u", i, naming[i].port);
		struct outbound_facts facts = {.dst = test_addr(text)};
		struct plan out, in;
		decide_outbound(w.view, &facts, &out);
		plan_inbound(&w, "198.18.0.2", (uint16_t)(20000 + i), false, &in);
		bool detect = naming[i].protocol == PROTO_AUTO;
		if (out.protocol != naming[i].protocol || in.protocol != naming[i].protocol ||
		    out.action != (detect ? PLAN_DETECT : PLAN_RELAY) ||
		    in.action != PLAN_DETECT) /* mesh TLS may come to any port */
			fail_msg(
				"name \"%s\" appProtocol %s port %u: outbound %s %s, inbound %s %s",
				naming[i].name,
				naming[i].app_protocol ? naming[i].app_protocol : "-",
				naming[i].port, plan_action_name(out.action),
				protocol_name(out.protocol), plan_action_name(in.action),
				protocol_name(in.protocol));
	}
	world_fini(&w);
}

/* What was learnt shortens the next race, and only on that port and side. */
static void learning(void **state)
{
	(void)state;
	struct world w;
	start(&w, "ALLOW_ANY", "both-ends", "0s");
	struct outbound_facts facts = {.dst = test_addr("198.19.0.2:3307")};
	struct plan p, other;
	decide_outbound(w.view, &facts, &p);
	assert_non_null(p.live);
	assert_int_equal(p.fw.learned, FW_LEARNED_NOTHING);
	assert_int_equal(p.fw.head_start_us, FW_HEAD_START_US);
	learn_teach(p.live, FW_TEACH_SERVER_FIRST, GREET_IS_MYSQL);
	decide_outbound(w.view, &facts, &p);
	assert_int_equal(p.fw.learned, FW_LEARNED_SERVER_FIRST);
	reason_is("server-first", &p,
		  DB "both ends are listened to; the server always spoke first here");
	plan_inbound(&w, "198.18.0.2", 9000, false, &other);
	assert_int_equal(other.fw.learned, FW_LEARNED_NOTHING);
	learn_teach(p.live, FW_TEACH_HTTP, GREET_IS_UNKNOWN);
	decide_outbound(w.view, &facts, &p);
	assert_int_equal(p.fw.learned, FW_LEARNED_NOTHING);
	learn_teach(other.live, FW_TEACH_CLIENT_OPAQUE, GREET_IS_UNKNOWN);
	plan_inbound(&w, "198.18.0.2", 9000, false, &other);
	assert_true(plan_has_step(&other, STEP_LEARNED_CLIENT_FIRST));
	assert_int_equal(other.fw.learned, FW_LEARNED_NOTHING); /* no longer head start */
	learn_teach(other.live, FW_TEACH_HTTP, GREET_IS_UNKNOWN);
	plan_inbound(&w, "198.18.0.2", 9000, false, &other);
	assert_int_equal(other.fw.learned, FW_LEARNED_CLIENT_FIRST);
	world_fini(&w);
}

static void first_word_is_the_last_step(void **state)
{
	static const struct {
		enum fw_reason reason;
		enum greet_protocol protocol;
		const char *text;
	} cases[] = {
		{FW_REASON_SERVER_GREETED, GREET_IS_MYSQL, "the server spoke first (mysql)"},
		{FW_REASON_CLIENT_HTTP1, GREET_IS_UNKNOWN,
		 "the client sent an HTTP/1 request line"},
	};
	(void)state;
	struct world w;
	start(&w, "ALLOW_ANY", "both-ends", "0s");
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct outbound_facts facts = {.dst = test_addr("198.19.0.2:3307")};
		struct plan p;
		decide_outbound(w.view, &facts, &p);
		struct fw_answer a = {.what = FW_DECIDED,
				      .reason = cases[i].reason,
				      .protocol = cases[i].protocol};
		decide_first_word(&p, &a);
		decide_first_word(&p, &a); /* again, inside TLS: the step is the newest word's */
		char want[512];
		(void)snprintf(want, sizeof(want), DB "both ends are listened to; %s",
			       cases[i].text);
		reason_is(cases[i].text, &p, want);
	}
	world_fini(&w);
}

static void window_follows_the_round_trip(void **state)
{
	static const struct {
		const char *name;
		uint32_t rtt_us, window_us;
	} cases[] = {
		{"not measured: the cap", 0, 50000}, {"twice the round trip", 4000, 8000},
		{"at least 1 ms", 40, 1000},         {"at most the cap", 30000, 50000},
		{"no overflow", UINT32_MAX, 50000},
	};
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct plan p = {.fw = {.window_us = 50000}};
		plan_set_rtt(&p, cases[i].rtt_us);
		if (p.fw.window_us != cases[i].window_us)
			fail_msg("%s: %u", cases[i].name, p.fw.window_us);
	}
	struct plan tight = {.fw = {.window_us = 500}};
	plan_set_rtt(&tight, 10);
	assert_int_equal(tight.fw.window_us, 500);
}

/* What holds of every plan, wherever the connection goes. */
static void every_plan(void **state)
{
	static const char *const policies[] = {"ALLOW_ANY", "REGISTRY_ONLY"};
	static const char *const detections[] = {"both-ends", "client-first"};
	static const char *const ips[] = {"198.19.0.2", "198.19.0.3", "198.19.0.4",  "198.18.0.1",
					  "198.18.0.2", "198.18.0.3", "203.0.113.9", "127.0.0.1",
					  "fd00::1",    "fd01::4",    "::1",         "2001:db8::1"};
	static const uint16_t ports[] = {0,    25,   53,   80,   81,    82,    3306,  3307,
					 4307, 5000, 5001, 7000, 7001,  7002,  8080,  9000,
					 9001, 9002, 9025, 9999, 15000, 15001, 15006, 65535};
	(void)state;
	for (size_t a = 0; a < N_ELEMS(policies) * N_ELEMS(detections); a++) {
		struct world w;
		start(&w, policies[a / 2], detections[a % 2], "0s");
		for (size_t i = 0; i < N_ELEMS(ips); i++)
			for (size_t k = 0; k < N_ELEMS(ports) * 2; k++) {
				struct plan p;
				struct addr dst = {.port = ports[k / 2]};
				assert_true(ip_parse(slice_of(ips[i]), &dst.ip));
				struct outbound_facts facts = {.dst = dst};
				if (k % 2)
					plan_inbound(&w, ips[i], ports[k / 2], false, &p);
				else
					decide_outbound(w.view, &facts, &p);
				assert_true(p.n_steps > 0 && p.n_steps < PLAN_STEPS);
				assert_int_equal(p.action == PLAN_REFUSE,
						 p.destination == DEST_NONE);
				assert_int_equal(p.destination == DEST_SERVICE,
						 p.port && p.side == LIVE_OUTBOUND &&
							 p.port->n_endpoints &&
							 p.destination != DEST_ENDPOINT);
				if (own_port(dst.port) && !p.port)
					assert_int_equal(p.action, PLAN_REFUSE);
				struct elsewhere_answer e;
				decide_elsewhere(w.view, &p, true, &e);
				if (p.action == PLAN_DETECT && p.fw.mode == FW_CLIENT_FIRST &&
				    !p.fw.tls_possible)
					assert_int_equal(e.what, ELSEWHERE_STALL);
			}
		world_fini(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outbound_destinations),
		cmocka_unit_test(outbound_registry_only),
		cmocka_unit_test(outbound_client_first),
		cmocka_unit_test(inbound_ports),
		cmocka_unit_test(inbound_client_first),
		cmocka_unit_test(naming_rules),
		cmocka_unit_test(learning),
		cmocka_unit_test(first_word_is_the_last_step),
		cmocka_unit_test(window_follows_the_round_trip),
		cmocka_unit_test(every_plan),
	};
	return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
