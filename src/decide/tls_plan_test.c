#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/mem.h"
#include "decide/fixture.h"
#include "decide/internal.h"

/* Protocol selection, section 6: the whole table. Where it says "stall" the rows here say what
 * happens instead. */
#define T INBOUND_TLS_TCP
#define H INBOUND_TLS_HTTP
#define P INBOUND_PASS_TLS
#define X INBOUND_REFUSE
#define t INBOUND_TCP
#define h INBOUND_HTTP
#define L INBOUND_LISTEN

static const struct {
	const char *name;
	struct inbound_word word;
	enum inbound_do cell[9]; /* PERMISSIVE, STRICT, DISABLE; TCP, HTTP, AUTO of each */
} cells[] = {
	/* clang-format off */
	{"mesh TLS, an HTTP name",       {INBOUND_HELLO, INBOUND_ALPN_MESH_HTTP, {0}, false}, {T, H, H, T, H, H, P, h, P}},
	{"mesh TLS, a TCP name",         {INBOUND_HELLO, INBOUND_ALPN_MESH_TCP,  {0}, false}, {T, H, T, T, H, T, P, h, P}},
	{"TLS without a mesh name",      {INBOUND_HELLO, INBOUND_ALPN_FOREIGN,   {0}, false}, {P, X, P, T, H, T, P, h, P}},
	{"HTTP/1.1",                     {INBOUND_HTTP11, 0, {0}, false},                     {t, h, h, X, X, X, t, h, h}},
	{"the HTTP/2 preface",           {INBOUND_HTTP2, 0, {0}, false},                      {t, h, h, X, X, X, t, h, h}},
	{"HTTP/1.0",                     {INBOUND_HTTP10, 0, {0}, false},                     {t, h, t, X, X, X, t, h, t}},
	{"other plaintext",              {INBOUND_OTHER, 0, {0}, false},                      {t, h, t, X, X, X, t, h, t}},
	{"a beginning of HTTP",          {INBOUND_PART, 0, {0}, false},                       {L, L, L, X, X, X, t, L, L}},
	{"a beginning of a ClientHello", {INBOUND_PART_HELLO, 0, {0}, false},                 {L, L, L, L, L, L, t, L, L}},
	{"nothing",                      {INBOUND_SILENT, 0, {0}, false},                     {L, L, L, L, L, L, t, L, L}},
	/* and what goes on from the last three */
	{"the server speaks",            {INBOUND_SERVER, 0, {0}, false},                     {t, t, t, X, X, X, t, t, t}},
	{"nothing for too long",         {INBOUND_SILENT, 0, {0}, true},                      {L, L, L, X, X, X, t, L, L}},
	{"a ClientHello that never ends", {INBOUND_PART_HELLO, 0, {0}, true},                 {L, L, L, X, X, X, t, L, L}},
	/* clang-format on */
};

static void table(void **state)
{
	(void)state;
	static const enum mtls_mode modes[] = {MTLS_PERMISSIVE, MTLS_STRICT, MTLS_DISABLE};
	static const enum proto_class classes[] = {CLASS_TCP, CLASS_HTTP, CLASS_AUTO};
	for (size_t i = 0; i < N_ELEMS(cells); i++)
		for (size_t k = 0; k < 9; k++) {
			enum inbound_do got =
				inbound_cell(modes[k / 3], classes[k % 3], &cells[i].word);
			if (got != cells[i].cell[k])
				fail_msg("%s, %s, class %zu: %s", cells[i].name,
					 mtls_mode_name(modes[k / 3]), k % 3, inbound_do_name(got));
		}
}

/* What the table means, whatever the word: STRICT lets nothing through that is not TLS, DISABLE ends
 * none, and listening ends with the words that end it. */
static void table_rules(void **state)
{
	(void)state;
	for (unsigned first = 0; first < N_INBOUND_FIRSTS; first++)
		for (unsigned bits = 0; bits < 3 * 2 * 4; bits++) {
			struct inbound_word w = {.first = (enum inbound_first)first,
						 .alpn = (enum inbound_alpn)(bits % 3),
						 .too_late = bits / 3 % 2};
			enum proto_class class = (enum proto_class)(bits / 6);
			enum inbound_do strict = inbound_cell(MTLS_STRICT, class, &w);
			enum inbound_do permissive = inbound_cell(MTLS_PERMISSIVE, class, &w);
			enum inbound_do disable = inbound_cell(MTLS_DISABLE, class, &w);
			assert_true(strict == T || strict == H || strict == X || strict == L);
			assert_false(w.too_late && w.first != INBOUND_HELLO && strict == L);
			assert_false(disable == T || disable == H || disable == X);
			if (class == CLASS_TCP)
				assert_true(disable == t || disable == P);
			bool open = first == INBOUND_SILENT || first == INBOUND_PART ||
				    first == INBOUND_PART_HELLO;
			assert_int_equal(permissive == L, open);
			/* Mesh TLS ends alike wherever it ends. */
			if (permissive == T || permissive == H)
				assert_int_equal(permissive, strict);
		}
}
#undef T
#undef H
#undef P
#undef X
#undef t
#undef h
#undef L

static void hello(struct classify *c, const char *const *alpn)
{
	*c = (struct classify){.word = WORD_TLS};
	for (; *alpn; alpn++) {
		c->alpn[c->n_alpn].len = (uint8_t)strlen(*alpn);
		memcpy(c->alpn[c->n_alpn++].text, *alpn, strlen(*alpn));
	}
}

static void alpn(void **state)
{
	(void)state;
	static const struct {
		const char *offered[5];
		enum inbound_alpn is;
	} rows[] = {
		{{NULL}, INBOUND_ALPN_FOREIGN},
		{{"h2", "http/1.1"}, INBOUND_ALPN_FOREIGN},
		{{"istio-peer-exchange", "istio"}, INBOUND_ALPN_MESH_TCP},
		{{"istio"}, INBOUND_ALPN_MESH_TCP},
		{{"istio-peer-exchange", "istio", "h2"}, INBOUND_ALPN_MESH_TCP},
		{{"istio-http/1.1", "istio", "http/1.1"}, INBOUND_ALPN_MESH_HTTP},
		{{"istio-http/1.0", "istio", "http/1.0"}, INBOUND_ALPN_MESH_HTTP},
		{{"istio-h2", "istio", "h2"}, INBOUND_ALPN_MESH_HTTP},
		{{"h2", "istio"}, INBOUND_ALPN_MESH_TCP}, /* the first that sidecars know */
		{{"istio", "istio-h2"}, INBOUND_ALPN_MESH_TCP},
		{{"istio-http/2"}, INBOUND_ALPN_FOREIGN},
		{{"ISTIO"}, INBOUND_ALPN_FOREIGN},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct classify c;
		hello(&c, rows[i].offered);
		if (inbound_alpn_of(&c) != rows[i].is)
			fail_msg("%s", rows[i].offered[0]);
	}
	/* Never what a server must not select. */
	assert_null(strstr(inbound_alpn_list(INBOUND_TLS_TCP), "istio"));
	assert_null(strstr(inbound_alpn_list(INBOUND_TLS_HTTP), "istio"));
	assert_null(inbound_alpn_list(INBOUND_PASS_TLS));
}

static void words(void **state)
{
	(void)state;
	static const struct {
		enum fw_verdict verdict;
		enum fw_reason reason;
		struct classify c;
		enum inbound_first first;
	} rows[] = {
		{FW_UNDECIDED, FW_REASON_WAIT_MESH_HELLO, {.word = WORD_MORE}, INBOUND_SILENT},
		{FW_UNDECIDED, FW_REASON_WAIT_REST, {.word = WORD_MORE}, INBOUND_PART},
		{FW_UNDECIDED,
		 FW_REASON_WAIT_REST,
		 {.word = WORD_MORE, .may_be_hello = true},
		 INBOUND_PART_HELLO},
		{FW_HTTP1, FW_REASON_CLIENT_HTTP1, {.word = WORD_HTTP1}, INBOUND_HTTP10},
		{FW_HTTP1,
		 FW_REASON_CLIENT_HTTP1,
		 {.word = WORD_HTTP1, .http_minor = 1},
		 INBOUND_HTTP11},
		{FW_HTTP2, FW_REASON_CLIENT_HTTP2, {.word = WORD_HTTP2}, INBOUND_HTTP2},
		{FW_TLS, FW_REASON_CLIENT_TLS, {.word = WORD_TLS}, INBOUND_HELLO},
		{FW_OPAQUE, FW_REASON_CLIENT_OPAQUE, {.word = WORD_OPAQUE}, INBOUND_OTHER},
		{FW_OPAQUE, FW_REASON_CLIENT_STALLED, {.word = WORD_MORE}, INBOUND_OTHER},
		{FW_SERVER_FIRST, FW_REASON_SERVER_GREETED, {.word = WORD_MORE}, INBOUND_SERVER},
		{FW_PASS_ON, FW_REASON_SERVER_CLOSED, {.word = WORD_MORE}, INBOUND_SERVER},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct fw_answer a = {.verdict = rows[i].verdict, .reason = rows[i].reason};
		assert_int_equal(inbound_word_of(&a, &rows[i].c).first, rows[i].first);
	}
}

/* Outbound: the sidecar of shop/me; db has a sidecar, bare has none, off disables mTLS on 3306. */
#define POD(name, ip, labels, annotations)                                                         \
	"apiVersion: v1\nkind: Pod\n"                                                              \
	"metadata: {name: " name ", namespace: shop, labels: {app: " name labels                   \
	"}, annotations: "                                                                         \
	"{" annotations "}}\n"                                                                     \
	"spec: {serviceAccountName: sa-" name ", containers: [{name: c}]}\n"                       \
	"status: {phase: Running, podIPs: [{ip: " ip "}]}\n---\n"
#define TLS ", security.istio.io/tlsMode: istio"
#define SIDECAR "sidecar.istio.io/status: '{}'"
#define SERVICE                                                                                    \
	"apiVersion: v1\nkind: Service\n"                                                          \
	"metadata: {name: db, namespace: shop}\n"                                                  \
	"spec: {clusterIP: 198.19.0.2, ports: [{name: sql, port: 3306}]}\n---\n"                   \
	"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"                                   \
	"metadata: {name: db-x, namespace: shop, labels: {kubernetes.io/service-name: db}}\n"      \
	"addressType: IPv4\n"                                                                      \
	"endpoints: [{addresses: [198.18.0.2]}, {addresses: [198.18.0.3]}, {addresses: "           \
	"[198.18.0.4]}, {addresses: [203.0.113.1]}]\n"                                             \
	"ports: [{name: sql, port: 13306}]\n---\n"
#define MESH                                                                                       \
	POD("me", "198.18.0.1", TLS, SIDECAR)                                                      \
	POD("db", "198.18.0.2", TLS, SIDECAR)                                                      \
	POD("bare", "198.18.0.3", "", "")                                                          \
	POD("off", "198.18.0.4", TLS, SIDECAR)                                                     \
	SERVICE "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"                     \
		"metadata: {name: off, namespace: shop}\n"                                         \
		"spec: {selector: {matchLabels: {app: off}}, portLevelMtls: {13306: {mode: "       \
		"DISABLE}}}\n---\n"
#define RULE(spec)                                                                                 \
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"                              \
	"metadata: {name: r, namespace: shop}\nspec: {host: db, " spec "}\n---\n"
#define AUTO_OFF                                                                                   \
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"      \
	"data: {mesh: 'enableAutoMtls: false'}\n---\n"
#define STRICT                                                                                     \
	"apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"                             \
	"metadata: {name: all, namespace: shop}\nspec: {mtls: {mode: STRICT}}\n---\n"
#define DISABLE                                                                                    \
	"apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"                             \
	"metadata: {name: all, namespace: shop}\nspec: {mtls: {mode: DISABLE}}\n---\n"             \
	"apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"                             \
	"metadata: {name: one, namespace: shop}\n"                                                 \
	"spec: {selector: {matchLabels: {app: db}}, mtls: {mode: STRICT}}\n---\n"

static const struct {
	const char *name, *yaml;
	const char *pod; /* the endpoint's; "": no Pod */
	enum transport transport;
	const char *reason; /* the step's; "" none */
} endpoints[] = {
	/* clang-format off */
	{"an endpoint with a sidecar",       MESH, "198.18.0.2", TRANSPORT_MESH_TLS, "Pod shop/db speaks mesh TLS, so traffic to it does"},
	{"one that says so, without our sidecar", POD("me", "198.18.0.1", TLS, SIDECAR) POD("db", "198.18.0.2", TLS, "") SERVICE, "198.18.0.2", TRANSPORT_MESH_TLS, "Pod shop/db speaks mesh TLS, so traffic to it does"},
	{"one without, of the same Service", MESH, "198.18.0.3", TRANSPORT_PLAIN, "Pod shop/bare speaks no mesh TLS, so traffic to it is plaintext"},
	{"one whose port disables mTLS",     MESH, "198.18.0.4", TRANSPORT_PLAIN, "PeerAuthentication shop/off disables mTLS for port 13306 there"},
	{"one that is no Pod",               MESH, "203.0.113.1", TRANSPORT_PLAIN, "the endpoint speaks no mesh TLS, so traffic to it is plaintext"},
	{"STRICT",                           MESH STRICT, "198.18.0.2", TRANSPORT_MESH_TLS, "Pod shop/db speaks mesh TLS, so traffic to it does"},
	{"a namespace that disables, a workload that does not", MESH DISABLE, "198.18.0.2", TRANSPORT_MESH_TLS, "Pod shop/db speaks mesh TLS, so traffic to it does"},
	{"a namespace that disables",        MESH DISABLE, "198.18.0.4", TRANSPORT_PLAIN, "PeerAuthentication shop/off disables mTLS for port 13306 there"},
	{"auto mTLS off",                    AUTO_OFF MESH, "198.18.0.2", TRANSPORT_PLAIN, "enableAutoMtls is off, so traffic is plaintext"},
	{"the own sidecar speaks none yet",  POD("me", "198.18.0.1", "", SIDECAR) POD("db", "198.18.0.2", TLS, SIDECAR) SERVICE, "198.18.0.2", TRANSPORT_PLAIN, ""},
	{"a rule without tls",               MESH RULE("trafficPolicy: {loadBalancer: {simple: RANDOM}}"), "198.18.0.2", TRANSPORT_MESH_TLS, "Pod shop/db speaks mesh TLS, so traffic to it does"},
	{"a rule: DISABLE",                  MESH STRICT RULE("trafficPolicy: {tls: {}}"), "198.18.0.2", TRANSPORT_PLAIN, "DestinationRule shop/r wants plaintext"},
	{"a rule: ISTIO_MUTUAL, literally",  MESH RULE("trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}"), "198.18.0.3", TRANSPORT_MESH_TLS, "DestinationRule shop/r wants mesh-tls"},
	{"a rule: SIMPLE",                   MESH RULE("trafficPolicy: {tls: {mode: SIMPLE}}"), "198.18.0.2", TRANSPORT_TLS, "DestinationRule shop/r wants tls"},
	{"a rule: MUTUAL",                   MESH RULE("trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: /c, privateKey: /k}}"), "198.18.0.2", TRANSPORT_MUTUAL_TLS, "DestinationRule shop/r wants mutual-tls"},
	{"a rule for the Service's port",    MESH RULE("trafficPolicy: {portLevelSettings: [{port: {number: 3306}, tls: {}}]}"), "198.18.0.2", TRANSPORT_PLAIN, "DestinationRule shop/r wants plaintext"},
	{"a rule for the endpoint's number says nothing", MESH RULE("trafficPolicy: {portLevelSettings: [{port: {number: 13306}, tls: {}}]}"), "198.18.0.2", TRANSPORT_MESH_TLS, "Pod shop/db speaks mesh TLS, so traffic to it does"},
	/* clang-format on */
};

static const char *last_reason(const struct plan *p, unsigned from, struct buf *out)
{
	buf_clear(out);
	for (unsigned i = from; i < p->n_steps; i++) {
		struct step s = plan_step_at(p, i);
		assert_true(step_text(p, &s, out));
	}
	return buf_cstr(out);
}

static void transports(void **state)
{
	(void)state;
	struct outbound_facts facts = {.dst = test_addr("198.19.0.2:3306")};
	for (size_t i = 0; i < N_ELEMS(endpoints); i++) {
		struct world w;
		struct plan p;
		struct addr at = {.port = 13306};
		struct buf text;
		buf_init(&text, 4096);
		world_init(&w, "shop", "me", endpoints[i].yaml);
		assert_true(ip_parse(slice_of(endpoints[i].pod), &at.ip));
		decide_outbound(w.view, &facts, &p);
		unsigned before = p.n_steps;
		decide_transport(w.view, &p, &at, NULL, NULL);
		decide_transport(w.view, &p, &at, NULL, NULL);
		const char *said = last_reason(&p, before, &text);
		if (p.tls.transport != endpoints[i].transport ||
		    strcmp(said, endpoints[i].reason) != 0)
			fail_msg("%s: %s: %s", endpoints[i].name, transport_name(p.tls.transport),
				 said);
		buf_fini(&text);
		world_fini(&w);
	}
}

/* The next endpoint's step takes the place of the one before. */
static void next_endpoint(void **state)
{
	(void)state;
	struct outbound_facts facts = {.dst = test_addr("198.19.0.2:3306")};
	struct world w;
	struct plan p;
	world_init(&w, "shop", "me", MESH);
	decide_outbound(w.view, &facts, &p);
	unsigned before = p.n_steps;
	for (size_t i = 0; i < p.port->n_endpoints; i++) {
		const struct view_endpoint *ep = &p.port->endpoints[i];
		decide_transport(w.view, &p, &ep->at, ep, NULL);
		assert_int_equal(p.n_steps, before + 1);
	}
	world_fini(&w);
}

/* An address that no Service covers: a Pod that speaks mesh TLS gets it, everything else passes as it
 * is. */
static void outside_of_services(void **state)
{
	(void)state;
	struct outbound_facts facts = {.dst = test_addr("198.18.0.2:13306")};
	struct world w;
	struct plan p;
	world_init(&w, "shop", "me", MESH);
	decide_outbound(w.view, &facts, &p);
	decide_transport(w.view, &p, &p.to, NULL, NULL);
	assert_int_equal(p.tls.transport, TRANSPORT_MESH_TLS);
	assert_true(plan_has_step(&p, STEP_TLS_AUTO));
	assert_null(tls_plan_sni(&p.tls, p.port, "", NULL, 0));
	facts.dst = test_addr("198.18.0.2:15090"); /* the sidecar's own, which nothing captures */
	decide_outbound(w.view, &facts, &p);
	decide_transport(w.view, &p, &p.to, NULL, NULL);
	assert_int_equal(p.tls.transport, TRANSPORT_PLAIN);
	assert_true(plan_has_step(&p, STEP_TLS_NOT_CAPTURED));
	facts.dst = test_addr("203.0.113.9:3306");
	decide_outbound(w.view, &facts, &p);
	unsigned before = p.n_steps;
	decide_transport(w.view, &p, &p.to, NULL, NULL);
	assert_int_equal(p.tls.transport, TRANSPORT_PLAIN);
	assert_int_equal(p.n_steps, before);
	world_fini(&w);
}

static void on_the_wire(void **state)
{
	(void)state;
	struct outbound_facts facts = {.dst = test_addr("198.19.0.2:3306")};
	struct world w;
	struct plan p;
	char sni[512];
	struct addr at = test_addr("198.18.0.2:13306");
	world_init(&w, "shop", "me", MESH);
	decide_outbound(w.view, &facts, &p);
	decide_transport(w.view, &p, &at, NULL, NULL);
	assert_string_equal(tls_plan_sni(&p.tls, p.port, "", sni, sizeof(sni)),
			    "outbound_.3306_._.db.shop.svc.cluster.local");
	assert_string_equal(tls_plan_sni(&p.tls, p.port, "v1", sni, sizeof(sni)),
			    "outbound_.3306_.v1_.db.shop.svc.cluster.local");
	assert_string_equal(tls_plan_alpn(&p.tls, TLS_APP_TCP), "istio");
	assert_string_equal(tls_plan_alpn(&p.tls, TLS_APP_HTTP1), "istio-http/1.1,istio,http/1.1");
	assert_string_equal(tls_plan_alpn(&p.tls, TLS_APP_HTTP1_0),
			    "istio-http/1.0,istio,http/1.0");
	assert_string_equal(tls_plan_alpn(&p.tls, TLS_APP_HTTP2), "istio-h2,istio,h2");

	struct slice right = SLICE("spiffe://cluster.local/ns/shop/sa/sa-db");
	struct slice wrong = SLICE("spiffe://cluster.local/ns/shop/sa/sa-bare");
	assert_true(tls_plan_accepts(w.view, &p.tls, &right, 1));
	assert_false(tls_plan_accepts(w.view, &p.tls, &wrong, 1));
	assert_false(tls_plan_accepts(w.view, &p.tls, NULL, 0));

	static const char *const names[] = {"db.example.com", "spiffe://x/y", NULL};
	struct client_tls rule = {.sni = "", .subject_alt_names = names};
	struct tls_plan tls = {.transport = TRANSPORT_TLS, .rule = &rule};
	struct slice named = SLICE("db.example.com");
	assert_null(tls_plan_sni(&tls, p.port, "", sni, sizeof(sni)));
	assert_null(tls_plan_alpn(&tls, TLS_APP_TCP));
	assert_string_equal(tls_plan_alpn(&tls, TLS_APP_HTTP2), "h2");
	assert_true(tls_plan_accepts(w.view, &tls, &named, 1));
	assert_false(tls_plan_accepts(w.view, &tls, &right, 1));
	rule.sni = "db.example.com";
	assert_string_equal(tls_plan_sni(&tls, p.port, "", sni, sizeof(sni)), "db.example.com");
	rule.insecure_skip_verify = true;
	assert_true(tls_plan_accepts(w.view, &tls, &right, 1));
	/* The mesh's own is always verified, and the rule's names go before the endpoint's. */
	tls.transport = TRANSPORT_MESH_TLS;
	tls.peer = p.tls.peer;
	assert_false(tls_plan_accepts(w.view, &tls, &right, 1));
	rule.subject_alt_names = &names[2];
	assert_true(tls_plan_accepts(w.view, &tls, &right, 1));
	assert_false(tls_plan_accepts(w.view, &tls, &wrong, 1));
	tls.peer = NULL; /* no Pod that is known: any of the mesh's root */
	assert_true(tls_plan_accepts(w.view, &tls, &wrong, 1));
	tls.transport = TRANSPORT_PLAIN;
	assert_null(tls_plan_alpn(&tls, TLS_APP_HTTP2));
	assert_null(tls_plan_sni(&tls, p.port, "", sni, sizeof(sni)));
	world_fini(&w);
}

/* A certificate's name, and what a rule wants. */
static void wanted_names(void **state)
{
	(void)state;
	static const struct {
		const char *name, *want;
		bool accepted;
	} rows[] = {
		{"www.example.com", "www.example.com", true},
		{"WWW.Example.com", "www.example.COM", true},
		{"www.example.com", "example.com", false},
		{"*.example.com", "www.example.com", true},
		{"*.EXAMPLE.com", "www.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", ".example.com", false},
		{"*.example.com", "a.b.example.com", false},
		{"*.example.com", "*.example.com", true},
		{"*.com", "com", false},
		{"*", "www", false},
		{"w*.example.com", "www.example.com", false},
		{"www.example.com", "*.example.com", false}, /* the rule's are exact */
		{"spiffe://a.b/ns/x/sa/y", "spiffe://a.b/ns/x/sa/y", true},
		{"spiffe://a.b/ns/x/sa/Y", "spiffe://a.b/ns/x/sa/y", false},
		{"", "www.example.com", false},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		const char *const wants[] = {"somebody.else", rows[i].want, NULL};
		struct client_tls rule = {.mode = CLIENT_TLS_SIMPLE, .subject_alt_names = wants};
		struct tls_plan plan = {.transport = TRANSPORT_TLS, .rule = &rule};
		struct slice name = slice_of(rows[i].name);
		if (tls_plan_accepts(NULL, &plan, &name, 1) != rows[i].accepted)
			fail_msg("%s for %s", rows[i].name, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),        cmocka_unit_test(table_rules),
		cmocka_unit_test(alpn),         cmocka_unit_test(words),
		cmocka_unit_test(transports),   cmocka_unit_test(next_endpoint),
		cmocka_unit_test(on_the_wire),  cmocka_unit_test(outside_of_services),
		cmocka_unit_test(wanted_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
