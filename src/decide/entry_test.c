/* Connections to hosts of ServiceEntries: where they go and why, and how the server is spoken to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "decide/fixture.h"
#include "decide/plan.h"

#define SELF                                                                                       \
	"---\napiVersion: v1\nkind: Pod\n"                                                         \
	"metadata: {name: me, namespace: shop, labels: {security.istio.io/tlsMode: istio}, "       \
	"annotations: {sidecar.istio.io/status: '{}'}}\n"                                          \
	"spec: {containers: [{name: c}]}\nstatus: {phase: Running, podIP: 198.18.0.1}\n"
#define SE(name)                                                                                   \
	"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " name      \
	", namespace: shop}\nspec:\n"
#define GIVEN(host) "status: {addresses: [{value: 240.240.0.1, host: " host "}]}\n"
#define REGISTRY_ONLY                                                                              \
	"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n" \
	"data: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'}\n"
#define STATIC                                                                                     \
	SE("db")                                                                                   \
	"  hosts: [db.example.com]\n  resolution: STATIC\n  ports: [{number: 3306, name: a}]\n"    \
	"  endpoints: [{address: 10.1.1.1}]\n" GIVEN("db.example.com")
#define DNS                                                                                        \
	SE("db")                                                                                   \
	"  hosts: [db.example.com]\n  resolution: DNS\n  ports: [{number: 3306, name: a, "         \
	"protocol: TCP}]\n" GIVEN("db.example.com")
#define NONE                                                                                       \
	SE("any")                                                                                  \
	"  hosts: ['*.example.org']\n  addresses: [10.9.0.0/16, 10.8.0.1]\n  ports: [{number: "    \
	"443, name: a, protocol: TLS}]\n"
#define SIDECAR(listeners)                                                                         \
	"---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: "  \
	"shop}\nspec: {egress: [" listeners "]}\n"
#define SERVICE                                                                                    \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"             \
	"spec: {clusterIP: 198.19.0.1, ports: [{port: 80, name: a}, {port: 81, name: b}]}\n"
#define IS                                                                                         \
	"240.240.0.1:3306 is port 3306 of db.example.com, a virtual IP that the mesh has given "   \
	"it; "

static const struct {
	const char *rule, *yaml, *dst;
	enum plan_action action;
	enum plan_destination destination;
	const char *reason;
} rows[] = {
	{"an endpoint", STATIC, "240.240.0.1:3306", PLAN_DETECT, DEST_SERVICE,
	 IS "it declares no protocol; both ends are listened to"},
	{"a name that nobody has asked for", DNS, "240.240.0.1:3306", PLAN_WAIT, DEST_NONE,
	 IS "its protocol \"TCP\" declares tcp; the names behind db.example.com have to be "
	    "resolved first"},
	{"a port that nobody declares", STATIC, "240.240.0.1:22", PLAN_WAIT, DEST_NONE,
	 "240.240.0.1 is db.example.com by a virtual IP that the mesh has given it, and "
	 "ServiceEntry shop/db has no port 22; "
	 "it has 3306; the names behind db.example.com have to be resolved first"},
	{"the same where only what is declared may pass", REGISTRY_ONLY STATIC, "240.240.0.1:22",
	 PLAN_REFUSE, DEST_NONE,
	 "240.240.0.1 is db.example.com by a virtual IP that the mesh has given it, and "
	 "ServiceEntry shop/db has no port 22; "
	 "it has 3306; outboundTrafficPolicy REGISTRY_ONLY refuses what no Service or ServiceEntry "
	 "covers"},
	{"what is declared passes there", REGISTRY_ONLY STATIC, "240.240.0.1:3306", PLAN_DETECT,
	 DEST_SERVICE, IS "it declares no protocol; both ends are listened to"},
	{"nobody's address there", REGISTRY_ONLY STATIC, "10.1.1.1:3306", PLAN_REFUSE, DEST_NONE,
	 "nothing in the mesh has the address 10.1.1.1:3306; outboundTrafficPolicy REGISTRY_ONLY "
	 "refuses what no Service or ServiceEntry covers"},
	{"as it was dialled", REGISTRY_ONLY NONE, "10.9.3.4:443", PLAN_RELAY, DEST_ENDPOINT,
	 "10.9.3.4:443 is port 443 of *.example.org, as its ServiceEntry says; its resolution is "
	 "NONE, so the address that was "
	 "dialled counts; its protocol \"TLS\" declares tls"},
	{"another port of the range", REGISTRY_ONLY NONE, "10.9.3.4:80", PLAN_REFUSE, DEST_NONE,
	 "nothing in the mesh has the address 10.9.3.4:80; outboundTrafficPolicy REGISTRY_ONLY "
	 "refuses what no Service or ServiceEntry covers"},
	{"another port of a written address", NONE, "10.8.0.1:80", PLAN_RELAY, DEST_PASSTHROUGH,
	 "10.8.0.1 is *.example.org, and ServiceEntry shop/any has no port 80; it has 443; "
	 "outboundTrafficPolicy ALLOW_ANY lets it "
	 "pass as it is"},
	{"no endpoint",
	 SE("db") "  hosts: [db.example.com]\n  resolution: STATIC\n  ports: [{number: 1, name: "
		  "a}]\n" GIVEN("db.example.com"),
	 "240.240.0.1:1", PLAN_REFUSE, DEST_NONE,
	 "240.240.0.1:1 is port 1 of db.example.com, a virtual IP that the mesh has given it; it "
	 "declares no protocol; "
	 "ServiceEntry shop/db has no endpoint for port 1 of db.example.com"},
	{"by a Sidecar",
	 STATIC "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, "
		"namespace: shop}\n"
		"spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}\n",
	 "10.3.3.3:1", PLAN_REFUSE, DEST_NONE,
	 "nothing in the mesh has the address 10.3.3.3:1; outboundTrafficPolicy REGISTRY_ONLY of "
	 "Sidecar shop/s refuses what no "
	 "Service or ServiceEntry covers"},
	{"a port that the Sidecar imports, by its virtual IP",
	 STATIC SIDECAR("{port: {number: 3306}, hosts: ['./db.example.com']}"), "240.240.0.1:3306",
	 PLAN_DETECT, DEST_SERVICE, IS "it declares no protocol; both ends are listened to"},
	{"what has no port of its own there",
	 STATIC SIDECAR("{port: {number: 80}, hosts: ['~/*']}, {hosts: ['./*']}"),
	 "240.240.0.1:3306", PLAN_DETECT, DEST_SERVICE,
	 IS "it declares no protocol; both ends are listened to"},
	{"a port that is others'",
	 STATIC SIDECAR("{port: {number: 3306}, hosts: ['./x.example.com']}, {hosts: ['./*']}"),
	 "240.240.0.1:3306", PLAN_WAIT, DEST_NONE,
	 "Sidecar shop/s does not import db.example.com for port 3306; the names behind "
	 "db.example.com have to be resolved first"},
	{"a port that is others' where only what is declared may pass",
	 REGISTRY_ONLY STATIC SIDECAR(
		 "{port: {number: 3306}, hosts: ['./x.example.com']}, {hosts: ['./*']}"),
	 "240.240.0.1:3306", PLAN_REFUSE, DEST_NONE,
	 "Sidecar shop/s does not import db.example.com for port 3306; outboundTrafficPolicy "
	 "REGISTRY_ONLY refuses what no Service or ServiceEntry covers"},
	{"a host that is known for no port", STATIC SIDECAR("{port: {number: 80}, hosts: ['./*']}"),
	 "240.240.0.1:3306", PLAN_RELAY, DEST_PASSTHROUGH,
	 "nothing in the mesh has the address 240.240.0.1:3306; outboundTrafficPolicy ALLOW_ANY "
	 "lets it pass as it is"},
	{"a socket of a Sidecar's",
	 STATIC SIDECAR("{port: {number: 3306}, captureMode: NONE, hosts: ['*/db.example.com']}"),
	 "127.0.0.1:3306", PLAN_DETECT, DEST_SERVICE,
	 "127.0.0.1:3306 is a socket that Sidecar shop/s has opened for port 3306 of "
	 "db.example.com; it declares no protocol; both ends are listened to"},
	{"a socket and others' names for its port",
	 STATIC SIDECAR("{port: {number: 3306}, captureMode: NONE, hosts: ['*/x.example.com']}, "
			"{hosts: ['./*']}"),
	 "240.240.0.1:3306", PLAN_DETECT, DEST_SERVICE,
	 IS "it declares no protocol; both ends are listened to"},
	{"a socket that waits for a name",
	 DNS SIDECAR("{port: {number: 3306}, captureMode: NONE, bind: '::1', hosts: "
		     "['*/db.example.com']}"),
	 "[::1]:3306", PLAN_WAIT, DEST_NONE,
	 "[::1]:3306 is a socket that Sidecar shop/s has opened for port 3306 of "
	 "db.example.com; its protocol \"TCP\" declares tcp; the names behind db.example.com "
	 "have to be resolved first"},
	{"a socket cannot stand for what is dialled as it is",
	 NONE SIDECAR("{port: {number: 443}, captureMode: NONE, hosts: ['./*']}"), "127.0.0.1:443",
	 PLAN_RELAY, DEST_PASSTHROUGH,
	 "nothing in the mesh has the address 127.0.0.1:443; outboundTrafficPolicy ALLOW_ANY "
	 "lets it pass as it is"},
	{"one port of a Service", SERVICE SIDECAR("{port: {number: 80}, hosts: ['./*']}"),
	 "198.19.0.1:80", PLAN_REFUSE, DEST_NONE,
	 "198.19.0.1:80 is Service shop/web port 80; its name \"a\" declares no protocol; Service "
	 "shop/web "
	 "port 80 has no ready endpoint"},
	{"and the other one", SERVICE SIDECAR("{port: {number: 80}, hosts: ['./*']}"),
	 "198.19.0.1:81", PLAN_RELAY, DEST_PASSTHROUGH,
	 "Sidecar shop/s does not import 198.19.0.1 for port 81; outboundTrafficPolicy ALLOW_ANY "
	 "lets it pass as it is"},
	{"the sidecar's own port", NONE, "10.8.0.1:15001", PLAN_REFUSE, DEST_NONE,
	 "port 15001 is the sidecar's own and would lead back to it"},
};

static void where_it_goes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct world w;
		struct plan p;
		struct buf reason;
		char *yaml = malloc(strlen(SELF) + strlen(rows[i].yaml) + 1);
		assert_non_null(yaml);
		(void)strcpy(strcpy(yaml, SELF) + strlen(SELF), rows[i].yaml);
		buf_init(&reason, 4096);
		world_init(&w, "shop", "me", yaml);
		struct outbound_facts facts = {.dst = test_addr(rows[i].dst)};
		decide_outbound(w.view, &facts, &p);
		assert_true(plan_reason(&p, &reason));
		if (p.action != rows[i].action || p.destination != rows[i].destination ||
		    strcmp(buf_cstr(&reason), rows[i].reason) != 0)
			fail_msg("%s: %s %s: %s", rows[i].rule, plan_action_name(p.action),
				 plan_destination_name(p.destination), buf_cstr(&reason));
		buf_fini(&reason);
		world_fini(&w);
		free(yaml);
	}
}

/* A socket that is gone leads nowhere, least of all to itself. */
static void socket_gone(void **state)
{
	struct world w;
	struct plan p;
	(void)state;
	world_init(&w, "shop", "me", SELF STATIC);
	struct outbound_facts facts = {.dst = test_addr("127.0.0.1:3306"), .bound = true};
	decide_outbound(w.view, &facts, &p);
	assert_int_equal(p.action, PLAN_REFUSE);
	assert_true(plan_has_step(&p, STEP_LISTENER_GONE));
	world_fini(&w);
}

#define INTERNAL(endpoint)                                                                         \
	SE("db")                                                                                   \
	"  hosts: [db.example.com]\n  resolution: STATIC\n  location: MESH_INTERNAL\n  "           \
	"addresses: [10.5.0.1]\n"                                                                  \
	"  ports: [{number: 3306, name: a}]\n  subjectAltNames: "                                  \
	"['spiffe://cluster.local/ns/x/sa/y']\n"                                                   \
	"  endpoints: [" endpoint "]\n"
#define MACHINE(more)                                                                              \
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\n"              \
	"spec: {clusterIP: 10.5.0.1, selector: {a: b}, ports: [{port: 3306}]}\n"                   \
	"---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"                           \
	"metadata: {name: vm, namespace: shop, labels: {a: b}}\n"                                  \
	"spec: {address: 10.1.1.1, " more "}\n"
#define OUTSIDE                                                                                    \
	SE("db")                                                                                   \
	"  hosts: [db.example.com]\n  resolution: STATIC\n  addresses: [10.5.0.1]\n"               \
	"  ports: [{number: 3306, name: a}]\n  subjectAltNames: [db.example.com]\n"                \
	"  endpoints: [{address: 10.1.1.1, serviceAccount: sql}]\n"
#define RULE(mode)                                                                                 \
	"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, "     \
	"namespace: shop}\n"                                                                       \
	"spec: {host: db.example.com, trafficPolicy: {tls: {mode: " mode "}}}\n"

static const struct {
	const char *rule, *yaml;
	enum transport transport;
	enum step_code step;
	const char *sni;                /* NULL: none */
	const char *accepted, *refused; /* names of a certificate; NULL: any is accepted */
} transports[] = {
	{"outside", OUTSIDE, TRANSPORT_PLAIN, STEP_TLS_EXTERNAL, NULL, NULL, NULL},
	{"outside, as a rule says", OUTSIDE RULE("SIMPLE"), TRANSPORT_TLS, STEP_TLS_BY_RULE,
	 "db.example.com", "db.example.com", "other.example.com"},
	{"inside, said to speak it", INTERNAL("{address: 10.1.1.1, serviceAccount: sql}"),
	 TRANSPORT_MESH_TLS, STEP_TLS_ENTRY, "outbound_.3306_._.db.example.com",
	 "spiffe://cluster.local/ns/shop/sa/sql", "spiffe://cluster.local/ns/shop/sa/other"},
	{"inside, by the entry's names",
	 INTERNAL("{address: 10.1.1.1, labels: {security.istio.io/tlsMode: istio}}"),
	 TRANSPORT_MESH_TLS, STEP_TLS_ENTRY, "outbound_.3306_._.db.example.com",
	 "spiffe://cluster.local/ns/x/sa/y", "spiffe://cluster.local/ns/shop/sa/sql"},
	{"inside, said not to",
	 INTERNAL("{address: 10.1.1.1, serviceAccount: sql, labels: {security.istio.io/tlsMode: "
		  "disabled}}"),
	 TRANSPORT_PLAIN, STEP_TLS_NO_SIDECAR, NULL, NULL, NULL},
	{"inside, of which nothing is said", INTERNAL("{address: 10.1.1.1}"), TRANSPORT_PLAIN,
	 STEP_TLS_NO_SIDECAR, NULL, NULL, NULL},
	{"a machine behind a Service, said to speak it", MACHINE("serviceAccount: sql"),
	 TRANSPORT_MESH_TLS, STEP_TLS_ENTRY, "outbound_.3306_._.db.shop.svc.cluster.local",
	 "spiffe://cluster.local/ns/shop/sa/sql", "spiffe://cluster.local/ns/shop/sa/other"},
	{"a machine of which nothing is said", MACHINE("weight: 1"), TRANSPORT_PLAIN,
	 STEP_TLS_NO_SIDECAR, NULL, NULL, NULL},
	{"a Pod says for itself", INTERNAL("{address: 198.18.0.1}"), TRANSPORT_MESH_TLS,
	 STEP_TLS_AUTO, "outbound_.3306_._.db.example.com",
	 "spiffe://cluster.local/ns/shop/sa/default", "spiffe://cluster.local/ns/shop/sa/other"},
};

static void how_it_is_spoken_to(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(transports); i++) {
		struct world w;
		struct plan p;
		char sni[512], yaml[8192];
		(void)snprintf(yaml, sizeof(yaml), "%s%s", SELF, transports[i].yaml);
		print_message("%s\n", transports[i].rule);
		world_init(&w, "shop", "me", yaml);
		struct outbound_facts facts = {.dst = test_addr("10.5.0.1:3306")};
		decide_outbound(w.view, &facts, &p);
		assert_int_equal(p.destination, DEST_SERVICE);
		const struct view_endpoint *ep = &p.port->endpoints[0];
		decide_transport(w.view, &p, &ep->at, ep, NULL);
		assert_int_equal(p.tls.transport, transports[i].transport);
		assert_true(plan_has_step(&p, transports[i].step));
		const char *said = tls_plan_sni(&p.tls, p.port, "", sni, sizeof(sni));
		if (transports[i].sni)
			assert_string_equal(said, transports[i].sni);
		else
			assert_null(said);
		struct slice name = slice_of(transports[i].accepted);
		assert_true(tls_plan_accepts(w.view, &p.tls, &name, 1) || !transports[i].accepted);
		name = slice_of(transports[i].refused);
		assert_true(!transports[i].refused || !tls_plan_accepts(w.view, &p.tls, &name, 1));
		world_fini(&w);
	}
}

/* The entry is for those that name a host. */
static void every_step_has_words(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	struct buf text;
	buf_init(&text, 4096);
	world_init(&w, "shop", "me", SELF STATIC);
	struct outbound_facts facts = {.dst = test_addr("240.240.0.1:3306")};
	decide_outbound(w.view, &facts, &p);
	const struct object *some = plan_step_at(&p, 0).resource;
	for (unsigned code = 0; code < N_STEPS; code++)
		for (unsigned k = 0; k < 2; k++) {
			struct step s = {k ? some : NULL, (enum step_code)code, 3306};
			buf_clear(&text);
			assert_true(step_text(&p, &s, &text));
			if (buf_len(&text) == 0)
				fail_msg("%s", step_name(s.code));
		}
	buf_fini(&text);
	world_fini(&w);
}

/* What an entry says of a Service's servers is accepted, beside who its Pods are. */
static void decorated_service(void **state)
{
	struct world w;
	struct plan p;
	(void)state;
	world_init(&w, "shop", "me",
		   SELF
		   "---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\n"
		   "spec: {clusterIP: 10.5.0.1, ports: [{port: 3306}]}\n"
		   "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: "
		   "db-a, namespace: shop, labels: {kubernetes.io/service-name: db}}\n"
		   "addressType: IPv4\nports: [{name: '', port: 3306}]\nendpoints: [{addresses: "
		   "[198.18.0.1], conditions: {ready: true}}]\n" SE(
			   "db") "  hosts: [db.shop.svc.cluster.local]\n  ports: [{number: 1, "
				 "name: a}]\n"
				 "  subjectAltNames: ['spiffe://cluster.local/ns/x/sa/y']\n");
	static const struct {
		const char *name;
		bool accepted;
	} names[] = {{"spiffe://cluster.local/ns/x/sa/y", true},
		     {"spiffe://cluster.local/ns/shop/sa/default", true},
		     {"spiffe://cluster.local/ns/x/sa/z", false}};
	struct outbound_facts facts = {.dst = test_addr("10.5.0.1:3306")};
	decide_outbound(w.view, &facts, &p);
	assert_int_equal(p.destination, DEST_SERVICE);
	decide_transport(w.view, &p, &p.port->endpoints[0].at, &p.port->endpoints[0], NULL);
	assert_int_equal(p.tls.transport, TRANSPORT_MESH_TLS);
	for (size_t i = 0; i < N_ELEMS(names); i++) {
		struct slice name = slice_of(names[i].name);
		assert_int_equal(tls_plan_accepts(w.view, &p.tls, &name, 1), names[i].accepted);
	}
	world_fini(&w);
}

/* What DNS says of one host may be two servers. */
static void explained_family_by_family(void **state)
{
	static const struct {
		const char *dst, *plan;
	} told[] = {
		{"240.240.0.1:3306",
		 "to one of 2 ready endpoints of db.example.com port 3306, and to "
		 "its IPv6 address should that fail\n"},
		{"[2001:2::1]:3306",
		 "to the one ready endpoint of db.example.com port 3306, and to its "
		 "IPv4 addresses should that fail\n"},
	};
	(void)state;
	struct world w;
	struct plan p;
	struct buf text;
	world_init(&w, "shop", "me",
		   SELF SE("db") "  hosts: [db.example.com]\n  resolution: STATIC\n"
				 "  ports: [{number: 3306, name: a}]\n"
				 "  endpoints: [{address: 10.1.1.1}, {address: 10.1.1.2}, "
				 "{address: 'fd00::1'}]\n"
				 "status: {addresses: [{value: 240.240.0.1, host: db.example.com}, "
				 "{value: '2001:2::1', host: db.example.com}]}\n");
	for (size_t i = 0; i < N_ELEMS(told); i++) {
		struct outbound_facts facts = {.dst = test_addr(told[i].dst)};
		buf_init(&text, 8192);
		decide_outbound(w.view, &facts, &p);
		assert_true(plan_explain_text(w.view, &p, &text));
		if (!strstr(buf_cstr(&text), told[i].plan))
			fail_msg("%s", buf_cstr(&text));
		buf_fini(&text);
	}
	world_fini(&w);
}

/* The explanation names all of it. */
static void explained(void **state)
{
	static const char *const words[] = {"240.240.0.1:3306",       "db.example.com",
					    "ServiceEntry shop/db",   "status.addresses",
					    "the one ready endpoint", "plaintext to 10.1.1.1:3306",
					    "MESH_EXTERNAL"};
	(void)state;
	struct world w;
	struct plan p;
	struct buf text;
	buf_init(&text, 8192);
	world_init(&w, "shop", "me", SELF STATIC);
	struct outbound_facts facts = {.dst = test_addr("240.240.0.1:3306")};
	decide_outbound(w.view, &facts, &p);
	assert_true(plan_explain_text(w.view, &p, &text));
	for (size_t i = 0; i < N_ELEMS(words); i++)
		if (!strstr(buf_cstr(&text), words[i]))
			fail_msg("%s is missing: %s", words[i], buf_cstr(&text));
	buf_fini(&text);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_it_goes),
		cmocka_unit_test(socket_gone),
		cmocka_unit_test(how_it_is_spoken_to),
		cmocka_unit_test(decorated_service),
		cmocka_unit_test(explained),
		cmocka_unit_test(explained_family_by_family),
		cmocka_unit_test(every_step_has_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
