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

/* The sidecar of shop/db. From 198.18.0.2 comes shop/web, which has a sidecar, from .3 shop/bare, which
 * has none; from .9 somebody whom nobody knows. */
#define POD(name, ip, labels, annotations)                                                         \
	"apiVersion: v1\nkind: Pod\n"                                                              \
	"metadata: {name: " name ", namespace: shop, labels: {app: " name labels                   \
	"}, annotations: "                                                                         \
	"{" annotations "}}\n"                                                                     \
	"spec: {serviceAccountName: " name ", containers: [{name: c}]}\n"                          \
	"status: {phase: Running, podIPs: [{ip: " ip "}]}\n---\n"
#define TLS ", security.istio.io/tlsMode: istio"
#define SIDECAR "sidecar.istio.io/status: '{}'"
#define OTHERS POD("web", "198.18.0.2", TLS, SIDECAR) REST
#define REST                                                                                       \
	POD("bare", "198.18.0.3", "", "")                                                          \
	"apiVersion: v1\nkind: Service\n"                                                          \
	"metadata: {name: db, namespace: shop}\n"                                                  \
	"spec:\n  clusterIP: 198.19.0.2\n  selector: {app: db}\n"                                  \
	"  ports: [{name: tcp-sql, port: 3306, targetPort: 13306}, {name: sql, port: 3307, "       \
	"targetPort: 13307}, {name: http-ui, port: 80, targetPort: 8080}]\n---\n"
#define MESH POD("db", "198.18.0.1", TLS, SIDECAR) OTHERS
#define PLAIN POD("db", "198.18.0.1", "", SIDECAR) OTHERS
#define MODE(mode, ports)                                                                          \
	"apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"                             \
	"metadata: {name: db, namespace: shop}\n"                                                  \
	"spec: {selector: {matchLabels: {app: db}}, mtls: {mode: " mode "}" ports "}\n---\n"
#define STRICT MODE("STRICT", "")
#define DISABLE MODE("DISABLE", "")
#define POLICY(spec)                                                                               \
	"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"                            \
	"metadata: {name: db, namespace: shop}\nspec: {" spec "}\n---\n"
#define ONLY_WEB                                                                                   \
	POLICY("rules: [{from: [{source: {principals: ['cluster.local/ns/shop/sa/web']}}]}]")
#define NOT_BARE POLICY("action: DENY, rules: [{from: [{source: {ipBlocks: [198.18.0.3]}}]}]")
#define ONLY_SNI POLICY("rules: [{when: [{key: connection.sni, values: [db.example.com]}]}]")

#define RULE(ns, to, mode)                                                                         \
	"apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"                              \
	"metadata: {name: db, namespace: " ns "}\n"                                                \
	"spec: {host: db.shop.svc.cluster.local, exportTo: [" to                                   \
	"], trafficPolicy: {tls: {mode: " mode "}}}\n---\n"
#define AUTO_OFF                                                                                   \
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"      \
	"data: {mesh: 'enableAutoMtls: false'}\n---\n"
#define BYPASS                                                                                     \
	POD("db", "198.18.0.1", TLS, SIDECAR)                                                      \
	POD("web", "198.18.0.2", TLS,                                                              \
	    SIDECAR ", traffic.sidecar.istio.io/excludeOutboundPorts: '3307'")
#define WEB "198.18.0.2"
#define BARE "198.18.0.3"
#define WHO "198.18.0.9"

static const struct {
	const char *name, *yaml, *from;
	uint16_t port;
	enum plan_action action;
	bool early;        /* the application may be dialled before anybody has authenticated */
	bool tls;          /* a ClientHello is looked for */
	bool only;         /* and nothing else is told apart */
	const char *steps; /* behind those of the port */
} accepted[] = {
	/* clang-format off */
	{"no mesh TLS here: as ever",              PLAIN STRICT, WHO, 13307, PLAN_DETECT, true, false, false, "both-ends"},
	{"no mesh TLS here, declared, plain",      PLAIN STRICT, BARE, 13306, PLAN_RELAY, false, false, false, ""},
	{"PERMISSIVE by default",                  MESH, WHO, 13307, PLAN_DETECT, true, true, false, "mtls-mode source-unknown both-ends"},
	{"PERMISSIVE, declared, plain: mesh TLS may come all the same", MESH, BARE, 13306, PLAN_DETECT, true, true, true, "mtls-mode source-plain both-ends"},
	{"PERMISSIVE, declared HTTP",              MESH, WHO, 8080, PLAN_DETECT, true, true, false, "mtls-mode source-unknown both-ends"},
	{"no mesh TLS here: no ClientHello comes",  PLAIN, WEB, 13307, PLAN_DETECT, true, false, false, "both-ends"},
	{"who has a sidecar is waited for",         MESH, WEB, 13307, PLAN_DETECT, true, true, false, "mtls-mode source-mesh both-ends"},
	{"not where a rule makes it speak plaintext", MESH RULE("shop", "'*'", "DISABLE"), WEB, 13307, PLAN_DETECT, true, true, false, "mtls-mode source-plain-by-rule both-ends"},
	{"a rule that nobody there sees",           MESH RULE("other", "'.'", "DISABLE"), WEB, 13307, PLAN_DETECT, true, true, false, "mtls-mode source-mesh both-ends"},
	{"a rule that asks for mesh TLS",           MESH RULE("shop", "'*'", "ISTIO_MUTUAL"), WEB, 13307, PLAN_DETECT, true, true, false, "mtls-mode source-mesh both-ends"},
	{"a port that no Service leads to is dialled by the Pod's address", MESH RULE("shop", "'*'", "DISABLE"), WEB, 9999, PLAN_DETECT, true, true, false, "mtls-mode source-mesh both-ends"},
	{"auto mTLS is off",                        MESH AUTO_OFF, WEB, 13307, PLAN_DETECT, true, true, false, "mtls-mode source-plain-by-default both-ends"},
	{"auto mTLS is off, but a rule asks",       MESH AUTO_OFF RULE("shop", "'*'", "ISTIO_MUTUAL"), WEB, 13307, PLAN_DETECT, true, true, false, "mtls-mode source-mesh both-ends"},
	{"some of its traffic bypasses its sidecar", BYPASS REST, WEB, 13307, PLAN_DETECT, true, true, false, "mtls-mode source-bypasses both-ends"},
	{"STRICT opens nothing",                   MESH STRICT, WEB, 13307, PLAN_DETECT, false, true, true, "mtls-mode peer-first"},
	{"STRICT, declared",                       MESH STRICT, BARE, 13306, PLAN_DETECT, false, true, true, "mtls-mode peer-first"},
	{"STRICT, declared HTTP",                  MESH STRICT, WHO, 8080, PLAN_DETECT, false, true, true, "mtls-mode peer-first"},
	{"DISABLE, undeclared",                    MESH DISABLE, WEB, 13307, PLAN_DETECT, true, false, false, "mtls-mode both-ends"},
	{"DISABLE, declared TCP",                  MESH DISABLE, WEB, 13306, PLAN_RELAY, false, false, false, "mtls-mode"},
	{"DISABLE, declared HTTP",                 MESH DISABLE, WEB, 8080, PLAN_RELAY, false, false, false, "mtls-mode"},
	{"a port that disables, of a STRICT workload", MESH MODE("STRICT", ", portLevelMtls: {13306: {mode: DISABLE}}"), BARE, 13306, PLAN_RELAY, false, false, false, "mtls-port-mode"},
	{"and another one",                        MESH MODE("STRICT", ", portLevelMtls: {13306: {mode: DISABLE}}"), BARE, 13307, PLAN_DETECT, false, true, true, "mtls-mode peer-first"},
	{"the number of the Service means nothing", MESH MODE("STRICT", ", portLevelMtls: {3306: {mode: DISABLE}}"), BARE, 13306, PLAN_DETECT, false, true, true, "mtls-mode peer-first"},
	{"a port that no Service has",             MESH STRICT, WHO, 9999, PLAN_DETECT, false, true, true, "mtls-mode peer-first"},
	/* with policies */
	{"who is let in by name has to say it first", MESH ONLY_WEB, WHO, 13307, PLAN_DETECT, false, true, false, "mtls-mode source-unknown plaintext-denied both-ends"},
	{"plaintext that a policy lets in",        MESH NOT_BARE, WHO, 13307, PLAN_DETECT, true, true, false, "mtls-mode source-unknown plaintext-allowed both-ends"},
	{"plaintext that a policy keeps out",      MESH NOT_BARE, BARE, 13306, PLAN_DETECT, false, true, true, "mtls-mode source-plain plaintext-denied both-ends"},
	{"DISABLE: refused at once",               MESH DISABLE NOT_BARE, BARE, 13306, PLAN_REFUSE, false, false, false, "mtls-mode not-authorized"},
	{"DISABLE: nobody has a name there",       MESH DISABLE ONLY_WEB, WEB, 13307, PLAN_REFUSE, false, false, false, "mtls-mode not-authorized"},
	{"DISABLE: let in",                        MESH DISABLE NOT_BARE, WEB, 13307, PLAN_DETECT, true, false, false, "mtls-mode authorized both-ends"},
	{"STRICT: decided after the handshake",    MESH STRICT NOT_BARE, BARE, 13307, PLAN_DETECT, false, true, true, "mtls-mode peer-first"},
	{"no mesh TLS here: policies hold in plaintext", PLAIN NOT_BARE, BARE, 13306, PLAN_REFUSE, false, false, false, "not-authorized"},
	{"no mesh TLS here: nobody has a name",    PLAIN ONLY_WEB, WEB, 13307, PLAN_REFUSE, false, false, false, "not-authorized"},
	{"no mesh TLS here: let in",               PLAIN NOT_BARE, WHO, 13307, PLAN_DETECT, true, false, false, "authorized both-ends"},
	/* clang-format on */
};

static void accept_from(const struct world *w, const char *from, uint16_t port, struct plan *p)
{
	struct inbound_facts facts = {.dst = test_addr("198.18.0.1:1")};
	assert_true(ip_parse(slice_of(from), &facts.src.ip));
	facts.src.port = 40000;
	facts.dst.port = port;
	decide_inbound(w->view, &facts, p);
}

static const char *step_names(const struct plan *p, unsigned from, char *out, size_t len)
{
	out[0] = '\0';
	for (unsigned i = from; i < p->n_steps; i++)
		(void)snprintf(out + strlen(out), len - strlen(out), "%s%s", out[0] ? " " : "",
			       step_name(plan_step_at(p, i).code));
	return out;
}

static void at_accept(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(accepted); i++) {
		struct world w;
		struct plan p;
		char names[400];
		world_init(&w, "shop", "db", accepted[i].yaml);
		accept_from(&w, accepted[i].from, accepted[i].port, &p);
		bool detect = p.action == PLAN_DETECT;
		const char *steps =
			step_names(&p, accepted[i].port == 9999 ? 1 : 2, names, sizeof(names));
		if (p.action != accepted[i].action || strcmp(steps, accepted[i].steps) != 0 ||
		    (detect &&
		     (p.fw.early_allowed != accepted[i].early ||
		      p.fw.tls_possible != accepted[i].tls || p.fw.tls_only != accepted[i].only)))
			fail_msg("%s: %s early %d tls %d only %d: %s", accepted[i].name,
				 plan_action_name(p.action), p.fw.early_allowed, p.fw.tls_possible,
				 p.fw.tls_only, steps);
		/* Whoever has to authenticate has a time for it, and nothing open before. */
		bool waits = detect && !accepted[i].early;
		assert_int_equal(p.guard.peer_timeout_ms, waits ? 10000 : 0);
		world_fini(&w);
	}
}

#define HELLO(kind)                                                                                \
	{                                                                                          \
		.first = INBOUND_HELLO, .alpn = INBOUND_ALPN_##kind                                \
	}
#define WORD(kind)                                                                                 \
	{                                                                                          \
		.first = INBOUND_##kind                                                            \
	}
#define LATE                                                                                       \
	{                                                                                          \
		.first = INBOUND_SILENT, .too_late = true                                          \
	}
#define WEB_ID "spiffe://cluster.local/ns/shop/sa/web"
#define BARE_ID "spiffe://cluster.local/ns/shop/sa/bare"

static const struct {
	const char *name, *yaml, *from;
	uint16_t port;
	struct inbound_word word;
	enum inbound_do what;
	const char *peer; /* then the handshake gives this; NULL: none */
	bool allowed;
	const char *reason; /* the last step's */
} heard[] = {
	/* clang-format off */
	{"mesh TLS",                     MESH, WEB, 13307, HELLO(MESH_TCP), INBOUND_TLS_TCP, WEB_ID, true, "the client speaks mesh TLS, which ends here"},
	{"the application's TLS",        MESH, WHO, 13307, HELLO(FOREIGN), INBOUND_PASS_TLS, NULL, true, "the client's TLS is the application's own and passes untouched"},
	{"foreign TLS to HTTP",          MESH, WHO, 8080, HELLO(FOREIGN), INBOUND_REFUSE, NULL, false, "what came is TLS, but not the mesh's, and the port is declared HTTP"},
	{"mesh HTTP",                    MESH, WEB, 13307, HELLO(MESH_HTTP), INBOUND_TLS_HTTP, WEB_ID, true, "the client speaks mesh TLS, which ends here"},
	{"STRICT, plaintext",            MESH STRICT, WHO, 13307, WORD(OTHER), INBOUND_REFUSE, NULL, false, "what came is not TLS, and STRICT takes nothing else"},
	{"STRICT, a beginning of HTTP",  MESH STRICT, WHO, 8080, WORD(PART), INBOUND_REFUSE, NULL, false, "what came is not TLS, and STRICT takes nothing else"},
	{"STRICT, silence",              MESH STRICT, WHO, 13307, WORD(SILENT), INBOUND_LISTEN, NULL, true, "nothing is opened before the client has authenticated"},
	{"STRICT, silence for too long", MESH STRICT, WHO, 13307, LATE, INBOUND_REFUSE, NULL, false, "the client did not authenticate in time"},
	{"PERMISSIVE, silence",          MESH, WHO, 13307, LATE, INBOUND_LISTEN, NULL, true, "both ends are listened to"},
	{"PERMISSIVE, a server speaks",  MESH, BARE, 13306, WORD(SERVER), INBOUND_TCP, NULL, true, "both ends are listened to"},
	{"DISABLE, mesh TLS goes on",    MESH DISABLE, WEB, 13307, HELLO(MESH_TCP), INBOUND_PASS_TLS, NULL, true, "the client's TLS is the application's own and passes untouched"},
	{"no mesh TLS here",             PLAIN STRICT, WEB, 13307, HELLO(MESH_TCP), INBOUND_PASS_TLS, NULL, true, "the client's TLS is the application's own and passes untouched"},
	/* with policies */
	{"the right name",               MESH ONLY_WEB, WEB, 13307, HELLO(MESH_TCP), INBOUND_TLS_TCP, WEB_ID, true, "rule 0 of AuthorizationPolicy shop/db allows it"},
	{"the wrong name",               MESH ONLY_WEB, BARE, 13307, HELLO(MESH_TCP), INBOUND_TLS_TCP, BARE_ID, false, "no ALLOW rule matches it, and there are ALLOW policies (AuthorizationPolicy shop/db)"},
	{"the right name, STRICT",       MESH STRICT ONLY_WEB, WEB, 13306, HELLO(MESH_TCP), INBOUND_TLS_TCP, WEB_ID, true, "rule 0 of AuthorizationPolicy shop/db allows it"},
	{"the wrong name, STRICT",       MESH STRICT ONLY_WEB, WHO, 13306, HELLO(FOREIGN), INBOUND_TLS_TCP, BARE_ID, false, "no ALLOW rule matches it, and there are ALLOW policies (AuthorizationPolicy shop/db)"},
	{"no name at all",               MESH ONLY_WEB, WHO, 13307, WORD(OTHER), INBOUND_REFUSE, NULL, false, "no ALLOW rule matches it, and there are ALLOW policies (AuthorizationPolicy shop/db)"},
	{"its own TLS is no name",       MESH ONLY_WEB, WHO, 13307, HELLO(FOREIGN), INBOUND_REFUSE, NULL, false, "no ALLOW rule matches it, and there are ALLOW policies (AuthorizationPolicy shop/db)"},
	{"who stays silent, denied",     MESH ONLY_WEB, WHO, 13307, LATE, INBOUND_REFUSE, NULL, false, "the client did not authenticate in time"},
	{"an address that is kept out",  MESH STRICT NOT_BARE, BARE, 13307, HELLO(MESH_TCP), INBOUND_TLS_TCP, BARE_ID, false, "rule 0 of AuthorizationPolicy shop/db (DENY) denies it"},
	{"the SNI of the application's TLS", MESH ONLY_SNI, WHO, 13307, {.first = INBOUND_HELLO, .sni = {"db.example.com", 14}}, INBOUND_PASS_TLS, NULL, true, "rule 0 of AuthorizationPolicy shop/db allows it"},
	{"another SNI",                  MESH ONLY_SNI, WHO, 13307, {.first = INBOUND_HELLO, .sni = {"db.example.org", 14}}, INBOUND_REFUSE, NULL, false, "no ALLOW rule matches it, and there are ALLOW policies (AuthorizationPolicy shop/db)"},
	/* clang-format on */
};

static void after_the_word(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(heard); i++) {
		struct world w;
		struct plan p;
		struct buf text;
		buf_init(&text, 4096);
		world_init(&w, "shop", "db", heard[i].yaml);
		accept_from(&w, heard[i].from, heard[i].port, &p);
		enum inbound_do what = decide_inbound_word(w.view, &p, &heard[i].word);
		bool allowed = what != INBOUND_REFUSE;
		if (heard[i].peer)
			allowed =
				decide_inbound_peer(w.view, &p, slice_of(heard[i].peer), SLICE(""));
		struct step s = plan_step_at(&p, p.n_steps - 1);
		assert_true(step_text(&p, &s, &text));
		if (what != heard[i].what || allowed != heard[i].allowed ||
		    strcmp(buf_cstr(&text), heard[i].reason) != 0)
			fail_msg("%s: %s, %s: %s", heard[i].name, inbound_do_name(what),
				 allowed ? "allowed" : "denied", buf_cstr(&text));
		assert_int_equal(p.action == PLAN_REFUSE, !allowed);
		assert_int_equal(p.destination == DEST_NONE, !allowed);
		assert_true(plan_reason(&p, &text));
		buf_fini(&text);
		world_fini(&w);
	}
}

/* Whatever a mesh says and whatever comes: what a policy denies is never dialled before it is known,
 * STRICT never lets plaintext through, and the steps fit. */
static void property(void **state)
{
	(void)state;
	static const char *const modes[] = {
		"", STRICT, DISABLE,
		MODE("PERMISSIVE", ", portLevelMtls: {13307: {mode: STRICT}}")};
	static const char *const policies[] = {"",       ONLY_WEB,   NOT_BARE,
					       ONLY_SNI, POLICY(""), POLICY("rules: [{}]")};
	static const char *const meshes[] = {MESH, PLAIN};
	static const char *const from[] = {WEB, BARE, WHO};
	static const uint16_t ports[] = {13306, 13307, 8080, 9999};
	for (unsigned n = 0; n < 2 * 4 * 6; n++) {
		struct world w;
		struct buf yaml;
		buf_init(&yaml, 1 << 16);
		buf_printf(&yaml, "%s%s%s", meshes[n % 2], modes[n / 2 % 4], policies[n / 8]);
		world_init(&w, "shop", "db", buf_cstr(&yaml));
		for (unsigned k = 0; k < 3 * 4 * N_INBOUND_FIRSTS * 6; k++) {
			struct inbound_word word = {
				.first = (enum inbound_first)(k / 12 % N_INBOUND_FIRSTS),
				.alpn = (enum inbound_alpn)(k / 12 / N_INBOUND_FIRSTS % 3),
				.too_late = k / 12 / N_INBOUND_FIRSTS / 3,
			};
			struct plan p;
			struct authz_verdict plain;
			accept_from(&w, from[k % 3], ports[k / 3 % 4], &p);
			struct authz_facts facts = {.source = p.from.ip,
						    .remote = p.from.ip,
						    .destination = p.to.ip,
						    .port = p.to.port};
			authz_decide(view_authz(w.view), AUTHZ_TCP, &facts, &plain);
			bool dialled = p.action == PLAN_RELAY ||
				       (p.action == PLAN_DETECT && p.fw.early_allowed);
			assert_false(dialled && (!plain.allowed || p.guard.mode == MTLS_STRICT));
			if (p.action == PLAN_REFUSE)
				continue;
			struct fw_answer answer = {.verdict = FW_OPAQUE};
			decide_first_word(&p, &answer);
			enum inbound_do what = decide_inbound_word(w.view, &p, &word);
			if (what == INBOUND_TCP || what == INBOUND_HTTP)
				assert_true(plain.allowed && p.guard.mode != MTLS_STRICT);
			if (what == INBOUND_TLS_TCP || what == INBOUND_TLS_HTTP) {
				bool in = decide_inbound_peer(w.view, &p, SLICE(WEB_ID), SLICE(""));
				assert_int_equal(in, p.action != PLAN_REFUSE);
			}
			assert_true(p.n_steps <= PLAN_STEPS);
		}
		buf_fini(&yaml);
		world_fini(&w);
	}
}

static void explained(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	struct buf text;
	struct inbound_facts facts = {.dst = test_addr("198.18.0.1:13306")};
	buf_init(&text, 1 << 16);
	world_init(&w, "shop", "db",
		   MESH ONLY_WEB
		   "apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\n"
		   "metadata: {name: web, namespace: istio-system}\n"
		   "spec: {action: DENY, rules: [{to: [{operation: {methods: [GET], ports: "
		   "['1']}}]}]}\n");
	assert_true(ip_parse(SLICE(WEB), &facts.src.ip));
	decide_inbound(w.view, &facts, &p);
	assert_true(plan_explain_text(w.view, &p, &text));
	assert_non_null(strstr(buf_cstr(&text),
			       "no PeerAuthentication says how port 13306 may be reached, so it is "
			       "PERMISSIVE"));
	assert_non_null(strstr(buf_cstr(&text), "\nplaintext:  denied: no ALLOW rule matches it"));
	assert_non_null(strstr(buf_cstr(&text), "\nrule:       DENY rule 0 of AuthorizationPolicy "
						"istio-system/web matches more TCP "
						"connections: "));
	buf_clear(&text);
	struct json_out j;
	json_out_init(&j, &text);
	plan_explain_json(w.view, &p, &j);
	assert_non_null(
		strstr(buf_cstr(&text), "\"access\":{\"mode\":\"PERMISSIVE\",\"policies\":2"));
	assert_non_null(strstr(buf_cstr(&text), "\"mesh_tls\":{\"identity\":\"" WEB_ID "\""));
	world_fini(&w);

	buf_clear(&text);
	world_init(&w, "shop", "db", MESH STRICT ONLY_WEB);
	decide_inbound(w.view, &facts, &p);
	assert_true(plan_explain_text(w.view, &p, &text));
	assert_non_null(strstr(buf_cstr(&text), "\nplaintext:  refused: the port is STRICT"));
	assert_non_null(strstr(buf_cstr(&text), "\nmesh TLS:   as " WEB_ID " allowed: rule 0 of "
						"AuthorizationPolicy shop/db allows it"));
	world_fini(&w);

	buf_clear(&text);
	world_init(&w, "shop", "web",
		   MESH "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
			"metadata: {name: db-x, namespace: shop, labels: "
			"{kubernetes.io/service-name: db}}\n"
			"addressType: IPv4\nendpoints: [{addresses: [198.18.0.1]}]\n"
			"ports: [{name: sql, port: 13307}]\n");
	struct outbound_facts out = {.dst = test_addr("198.19.0.2:3307")};
	decide_outbound(w.view, &out, &p);
	assert_true(plan_explain_text(w.view, &p, &text));
	assert_non_null(
		strstr(buf_cstr(&text),
		       "\ntransport:  mesh-tls to 198.18.0.1:13307: Pod shop/db speaks mesh "
		       "TLS, so traffic to it does\n"));
	buf_clear(&text);
	json_out_init(&j, &text);
	plan_explain_json(w.view, &p, &j);
	assert_non_null(strstr(buf_cstr(&text), "\"transport\":[{\"endpoint\":\"198.18.0.1:13307\","
						"\"transport\":\"mesh-tls\""));
	world_fini(&w);
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_accept),
		cmocka_unit_test(after_the_word),
		cmocka_unit_test(property),
		cmocka_unit_test(explained),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
