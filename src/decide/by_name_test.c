/* Connections to hosts of ServiceEntries that no address tells: by the client's word, by what DNS said, by
 * their port; and what of it a policy lets pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "decide/fixture.h"
#include "decide/plan.h"

#define T0 (1000 * NS_PER_S)
#define AT(second)                                                                                 \
	"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"                            \
	"metadata: {namespace: shop, creationTimestamp: '2026-01-01T00:00:" second "Z', name: "
#define SE(name, second, hosts, port, protocol)                                                    \
	AT(second)                                                                                 \
	name "}\nspec: {hosts: [" hosts "], resolution: NONE, ports: [{number: " port              \
	     ", name: p" protocol "}]}\n"
#define TLS(host) SE("tls", "01", host, "443", ", protocol: TLS")
#define HTTP(host) SE("web", "01", host, "80", ", protocol: HTTP")
#define BYTES(name, host) SE(name, "02", host, "3306", ", protocol: TCP")
#define OPEN(name, host) SE(name, "03", host, "3306", "")
#define REGISTRY_ONLY                                                                              \
	"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n" \
	"data: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'}\n"
#define MESHED ", labels: {security.istio.io/tlsMode: istio}"
#define POD(labels)                                                                                \
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: db, namespace: shop" labels "}\n"        \
	"spec: {containers: [{name: c}]}\nstatus: {phase: Running, podIP: 198.18.0.7}\n"
#define STATIC                                                                                     \
	AT("01")                                                                                   \
	"static}\nspec: {hosts: ['*.static.example'], resolution: STATIC, "                        \
	"ports: [{number: 443, name: p, protocol: TLS}], endpoints: [{address: 10.9.9.9}]}\n"
#define RESOLVED                                                                                   \
	AT("01")                                                                                   \
	"dns, labels: {networking.istio.io/enable-autoallocate-ip: 'false'}}\n"                    \
	"spec: {hosts: [www.dns.example], resolution: DNS, ports: [{number: 443, name: p, "        \
	"protocol: TLS}]}\n"

/* What the client's first word is. */
enum spoken { NO_WORD, HELLO, REQUEST, HTTP2, BYTES_WORD, GREETING };

static const struct {
	const char *rule, *yaml, *dst, *heard; /* what DNS said of DST; NULL: nothing */
	/* before the word, */
	enum plan_action first;
	bool early;
	/* the word, where it is waited for, */
	enum spoken word;
	const char *name;
	/* and after it. */
	enum plan_action action;
	enum plan_destination destination;
	const char *host, *step; /* host NULL: nobody's */
} rows[] = {
#define R REGISTRY_ONLY
#define TO "1.2.3.4:443"
#define WEB "1.2.3.4:80"
#define DB "1.2.3.4:3306"
	/* by SNI */
	{"SNI", R TLS("'*.wiki.example'"), TO, NULL, PLAN_DETECT, false, HELLO, "en.wiki.example",
	 PLAN_RELAY, DEST_ENDPOINT, "*.wiki.example", "name-said"},
	{"of any case, with a dot", R TLS("'*.wiki.example'"), TO, NULL, PLAN_DETECT, false, HELLO,
	 "EN.Wiki.example.", PLAN_RELAY, DEST_ENDPOINT, "*.wiki.example", "name-said"},
	{"a star stands for more than one label", R TLS("'*.wiki.example'"), TO, NULL, PLAN_DETECT,
	 false, HELLO, "a.b.wiki.example", PLAN_RELAY, DEST_ENDPOINT, "*.wiki.example",
	 "name-said"},
	{"and for one at least", R TLS("'*.wiki.example'"), TO, NULL, PLAN_DETECT, false, HELLO,
	 "wiki.example", PLAN_REFUSE, DEST_NONE, NULL, "name-unknown"},
	{"whole labels only", R TLS("'*.wiki.example'"), TO, NULL, PLAN_DETECT, false, HELLO,
	 "evilwiki.example", PLAN_REFUSE, DEST_NONE, NULL, "name-unknown"},
	{"another SNI", R TLS("'*.wiki.example'"), TO, NULL, PLAN_DETECT, false, HELLO,
	 "evil.example", PLAN_REFUSE, DEST_NONE, NULL, "registry-only"},
	{"no SNI", R TLS("'*.wiki.example'"), TO, NULL, PLAN_DETECT, false, HELLO, "", PLAN_REFUSE,
	 DEST_NONE, NULL, "name-none"},
	{"the longest star", R TLS("'*.example', '*.b.example'"), TO, NULL, PLAN_DETECT, false,
	 HELLO, "a.b.example", PLAN_RELAY, DEST_ENDPOINT, "*.b.example", "name-said"},
	{"the host itself before a star", R TLS("'*.b.example', a.b.example"), TO, NULL,
	 PLAN_DETECT, false, HELLO, "a.b.example", PLAN_RELAY, DEST_ENDPOINT, "a.b.example",
	 "name-said"},
	{"a longer one without the port is passed over",
	 R TLS("'*.example'") SE("web", "01", "'*.b.example'", "80", ", protocol: HTTP"), TO, NULL,
	 PLAN_DETECT, false, HELLO, "a.b.example", PLAN_RELAY, DEST_ENDPOINT, "*.example",
	 "name-said"},
	{"another port", R TLS("'*.wiki.example'"), "1.2.3.4:444", NULL, PLAN_REFUSE, false,
	 NO_WORD, NULL, PLAN_REFUSE, DEST_NONE, NULL, "registry-only"},
	{"what may pass anyway is named", TLS("'*.wiki.example'"), TO, NULL, PLAN_DETECT, true,
	 HELLO, "en.wiki.example", PLAN_RELAY, DEST_ENDPOINT, "*.wiki.example", "name-said"},
	{"or not", TLS("'*.wiki.example'"), TO, NULL, PLAN_DETECT, true, HELLO, "evil.example",
	 PLAN_RELAY, DEST_PASSTHROUGH, NULL, "allow-any"},
	{"a Pod like any server", R POD("") TLS("'*.wiki.example'"), "198.18.0.7:443", NULL,
	 PLAN_DETECT, false, HELLO, "en.wiki.example", PLAN_RELAY, DEST_ENDPOINT, "*.wiki.example",
	 "pod-ip"},
	{"a meshed Pod is no server outside", R POD(MESHED) TLS("'*.wiki.example'"),
	 "198.18.0.7:443", NULL, PLAN_REFUSE, false, NO_WORD, NULL, PLAN_REFUSE, DEST_NONE, NULL,
	 "pod-ip"},
	{"endpoints of its own", R STATIC, TO, NULL, PLAN_DETECT, false, HELLO, "a.static.example",
	 PLAN_RELAY, DEST_SERVICE, "*.static.example", "name-said"},
	{"names to be resolved", R RESOLVED, TO, NULL, PLAN_DETECT, false, HELLO, "www.dns.example",
	 PLAN_WAIT, DEST_NONE, "www.dns.example", "resolving"},

	/* by Host */
	{"Host", R HTTP("'*.wiki.example'"), WEB, NULL, PLAN_DETECT, false, REQUEST,
	 "en.wiki.example", PLAN_RELAY, DEST_ENDPOINT, "*.wiki.example", "name-said"},
	{"another Host", R HTTP("'*.wiki.example'"), WEB, NULL, PLAN_DETECT, false, REQUEST,
	 "evil.example", PLAN_REFUSE, DEST_NONE, NULL, "name-unknown"},
	{"HTTP/2 is not read", R HTTP("'*.wiki.example'"), WEB, NULL, PLAN_DETECT, false, HTTP2, "",
	 PLAN_REFUSE, DEST_NONE, NULL, "name-none"},
	{"whatever was declared, the word counts", R HTTP("'*.wiki.example'"), WEB, NULL,
	 PLAN_DETECT, false, HELLO, "en.wiki.example", PLAN_RELAY, DEST_ENDPOINT, "*.wiki.example",
	 "name-said"},

	/* by what DNS said */
	{"bytes: nothing is waited for", R BYTES("db", "'*.rds.example'"), DB, "a.rds.example",
	 PLAN_RELAY, false, NO_WORD, NULL, PLAN_RELAY, DEST_ENDPOINT, "*.rds.example", "heard"},
	{"nothing declared, and the server greets", R OPEN("db", "'*.rds.example'"), DB,
	 "a.rds.example", PLAN_DETECT, true, GREETING, "", PLAN_RELAY, DEST_ENDPOINT,
	 "*.rds.example", "heard"},
	{"declared to name somebody, and it greets", R TLS("'*.rds.example'"), TO, "a.rds.example",
	 PLAN_DETECT, true, GREETING, "", PLAN_RELAY, DEST_ENDPOINT, "*.rds.example", "heard"},
	{"a word that names another counts more", R TLS("'*.rds.example', '*.b.example'"), TO,
	 "a.rds.example", PLAN_DETECT, true, HELLO, "a.b.example", PLAN_RELAY, DEST_ENDPOINT,
	 "*.b.example", "name-said"},
	{"and one that names a stranger", R TLS("'*.rds.example'"), TO, "a.rds.example",
	 PLAN_DETECT, true, HELLO, "evil.example", PLAN_REFUSE, DEST_NONE, NULL, "name-unknown"},
	{"a name that nobody has is none", R TLS("'*.rds.example'"), TO, "a.other.example",
	 PLAN_DETECT, false, BYTES_WORD, "", PLAN_REFUSE, DEST_NONE, NULL, "name-none"},

	/* by the port alone */
	{"bytes of any address", R BYTES("db", "'*.rds.example'"), DB, NULL, PLAN_RELAY, false,
	 NO_WORD, NULL, PLAN_RELAY, DEST_PASSTHROUGH, NULL, "any-address"},
	{"which pass anyway", BYTES("db", "'*.rds.example'"), DB, NULL, PLAN_RELAY, false, NO_WORD,
	 NULL, PLAN_RELAY, DEST_PASSTHROUGH, NULL, "allow-any"},
	{"of two the one that DNS said", R BYTES("a", "'*.a.example'") BYTES("b", "'*.b.example'"),
	 DB, "x.b.example", PLAN_RELAY, false, NO_WORD, NULL, PLAN_RELAY, DEST_ENDPOINT,
	 "*.b.example", "heard"},
	{"nothing declared: any address", R OPEN("db", "'*.rds.example'"), DB, NULL, PLAN_DETECT,
	 true, GREETING, "", PLAN_RELAY, DEST_PASSTHROUGH, NULL, "any-address"},
	{"but not whoever names a stranger", R OPEN("db", "'*.rds.example'"), DB, NULL, PLAN_DETECT,
	 true, HELLO, "evil.example", PLAN_REFUSE, DEST_NONE, NULL, "name-unknown"},
	{"where bytes are declared as well, it may be anybody",
	 R BYTES("a", "'*.a.example'") OPEN("b", "'*.b.example'"), DB, NULL, PLAN_DETECT, true,
	 HELLO, "evil.example", PLAN_RELAY, DEST_PASSTHROUGH, NULL, "any-address"},
	{"endpoints of its own are no any address", R STATIC, TO, NULL, PLAN_DETECT, false,
	 BYTES_WORD, "", PLAN_REFUSE, DEST_NONE, NULL, "name-none"},
#undef R
};

static void say(struct plan *p, enum spoken word)
{
	static const struct fw_answer words[] = {
		[HELLO] = {FW_DECIDED, FW_TLS, FW_REASON_CLIENT_TLS},
		[REQUEST] = {FW_DECIDED, FW_HTTP1, FW_REASON_CLIENT_HTTP1},
		[HTTP2] = {FW_DECIDED, FW_HTTP2, FW_REASON_CLIENT_HTTP2},
		[BYTES_WORD] = {FW_DECIDED, FW_OPAQUE, FW_REASON_CLIENT_OPAQUE},
		[GREETING] = {FW_DECIDED, FW_SERVER_FIRST, FW_REASON_SERVER_GREETED},
	};
	decide_first_word(p, &words[word]);
}

static bool has_step(const struct plan *p, const char *name)
{
	for (unsigned i = 0; i < p->n_steps; i++)
		if (strcmp(step_name(plan_step_at(p, i).code), name) == 0)
			return true;
	return false;
}

static void whose_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct world w;
		struct plan p;
		struct buf reason;
		struct dns_heard_name room;
		struct dns_heard *heard = dns_heard_new();
		struct outbound_facts facts = {
			.dst = test_addr(rows[i].dst), .heard = heard, .now_ns = T0, .room = &room};
		if (rows[i].heard)
			dns_heard_put(heard, slice_of(rows[i].heard), &facts.dst.ip, 60, T0);
		world_init(&w, "shop", "me", rows[i].yaml);
		decide_outbound(w.view, &facts, &p);
		enum plan_action first = p.action;
		bool early = first == PLAN_DETECT && p.fw.early_allowed;
		if (rows[i].word != NO_WORD && p.open) {
			struct outbound_word word = {rows[i].name, SAID_SNI};
			say(&p, rows[i].word);
			decide_outbound_word(w.view, &p, &word);
		}
		buf_init(&reason, 4096);
		assert_true(plan_reason(&p, &reason));
		bool same_host = rows[i].host ? p.host && strcmp(p.host->host, rows[i].host) == 0
					      : !p.host && !p.port;
		if (first != rows[i].first || early != rows[i].early ||
		    p.action != rows[i].action || p.destination != rows[i].destination ||
		    !same_host || !has_step(&p, rows[i].step))
			fail_msg("%s: %s%s, then %s %s: %s", rows[i].rule, plan_action_name(first),
				 early ? " (early)" : "", plan_action_name(p.action),
				 plan_destination_name(p.destination), buf_cstr(&reason));
		buf_fini(&reason);
		world_fini(&w);
		dns_heard_free(heard);
	}
}

/* The sentence for people, of one that passes and one that does not. */
static void in_words(void **state)
{
	(void)state;
	static const struct {
		const char *yaml, *dst, *heard, *name, *reason;
	} texts[] = {
		{REGISTRY_ONLY TLS("'*.wiki.example'"), TO, NULL, "en.wiki.example",
		 "nothing in the mesh has the address 1.2.3.4:443; hosts that no address tells "
		 "declare port 443, so the name that the client says counts; nothing is opened "
		 "before the client has named a host; the client sent a TLS ClientHello; the "
		 "client names en.wiki.example (SNI), a host of ServiceEntry shop/tls; its "
		 "resolution is NONE, so the address that was dialled counts; its protocol \"TLS\" "
		 "declares tls"},
		{REGISTRY_ONLY TLS("'*.wiki.example'"), TO, NULL, "evil.example",
		 "nothing in the mesh has the address 1.2.3.4:443; hosts that no address tells "
		 "declare port 443, so the name that the client says counts; nothing is opened "
		 "before the client has named a host; the client sent a TLS ClientHello; the "
		 "client names evil.example (SNI), and no ServiceEntry has that host with port "
		 "443; outboundTrafficPolicy REGISTRY_ONLY refuses what no Service or ServiceEntry "
		 "covers"},
		{REGISTRY_ONLY TLS("'*.wiki.example'"), TO, "de.wiki.example", "en.wiki.example",
		 "nothing in the mesh has the address 1.2.3.4:443; the DNS proxy gave the address "
		 "out for a name of ServiceEntry shop/tls; both ends are listened to; the client "
		 "sent a TLS ClientHello; the client names en.wiki.example (SNI), a host of "
		 "ServiceEntry shop/tls; its resolution is NONE, so the address that was dialled "
		 "counts; its protocol \"TLS\" declares tls"},
		{REGISTRY_ONLY BYTES("db", "'*.rds.example'"), DB, "a.rds.example", NULL,
		 "nothing in the mesh has the address 1.2.3.4:3306; the DNS proxy gave the address "
		 "out for a name of ServiceEntry shop/db: a.rds.example; its resolution is NONE, "
		 "so the address that was dialled counts; its protocol \"TCP\" declares tcp"},
		{REGISTRY_ONLY BYTES("db", "'*.rds.example'"), DB, NULL, NULL,
		 "nothing in the mesh has the address 1.2.3.4:3306; ServiceEntry shop/db has no "
		 "address, so its port 3306 takes any"},
	};
	for (size_t i = 0; i < N_ELEMS(texts); i++) {
		struct world w;
		struct plan p;
		struct buf reason;
		struct dns_heard_name room;
		struct dns_heard *heard = dns_heard_new();
		struct outbound_facts facts = {.dst = test_addr(texts[i].dst),
					       .heard = heard,
					       .now_ns = T0,
					       .room = &room};
		if (texts[i].heard)
			dns_heard_put(heard, slice_of(texts[i].heard), &facts.dst.ip, 60, T0);
		world_init(&w, "shop", "me", texts[i].yaml);
		decide_outbound(w.view, &facts, &p);
		if (texts[i].name) {
			say(&p, HELLO);
			decide_outbound_word(w.view, &p,
					     &(struct outbound_word){texts[i].name, SAID_SNI});
		}
		buf_init(&reason, 4096);
		assert_true(plan_reason(&p, &reason));
		assert_string_equal(buf_cstr(&reason), texts[i].reason);
		buf_fini(&reason);
		world_fini(&w);
		dns_heard_free(heard);
	}
}

/* For people: an address, and a name whose address nobody knows. */
static void explained(void **state)
{
	(void)state;
	static const char listens[] =
		"outbound to 1.2.3.4:443\n"
		"  1. nothing in the mesh has the address 1.2.3.4:443\n"
		"  2. hosts that no address tells declare port 443, so the name that the client "
		"says counts\n"
		"  3. nothing is opened before the client has named a host\n"
		"plan:       listen for a name (SNI, Host); a host's that declares port 443 goes "
		"where its ServiceEntry says, anything else is reset\n";
	static const char by_name[] =
		"outbound to en.wiki.example:443\n"
		"  1. whatever its address is, on port 443\n"
		"  2. hosts that no address tells declare port 443, so the name that the client "
		"says counts\n"
		"  3. nothing is opened before the client has named a host\n"
		"  4. the client names en.wiki.example (by SNI or Host), a host of ServiceEntry "
		"shop/tls  [ServiceEntry shop/tls spec.hosts]\n"
		"  5. its resolution is NONE, so the address that was dialled counts  "
		"[ServiceEntry shop/tls spec.resolution]\n"
		"  6. its protocol \"TLS\" declares tls  [ServiceEntry shop/tls "
		"spec.ports[].protocol]\n"
		"plan:       relay at once to whatever address is dialled, which is "
		"*.wiki.example\n";
	struct world w;
	struct plan p;
	struct buf text;
	struct outbound_facts facts = {.dst = test_addr(TO)};
	world_init(&w, "shop", "me", REGISTRY_ONLY TLS("'*.wiki.example'"));
	buf_init(&text, 8192);
	decide_outbound(w.view, &facts, &p);
	assert_true(plan_explain_text(w.view, &p, &text));
	assert_true(slice_starts(buf_slice(&text), slice_of(listens)));
	assert_non_null(strstr(buf_cstr(&text), "stall if the server speaks first (D6)"));
	buf_clear(&text);
	facts.dst.ip = (struct ip){0};
	decide_outbound(w.view, &facts, &p);
	decide_outbound_word(w.view, &p, &(struct outbound_word){"en.wiki.example", SAID_EITHER});
	assert_true(plan_explain_text(w.view, &p, &text));
	if (!slice_starts(buf_slice(&text), slice_of(by_name)))
		fail_msg("%s", buf_cstr(&text));
	buf_fini(&text);
	world_fini(&w);
}

/* What was learnt is no news where the host that was heard of declares it. */
static void nothing_to_declare(void **state)
{
	(void)state;
	static const struct {
		const char *yaml, *dst, *heard;
		bool tells;
	} told[] = {{TLS("'*.wiki.example'"), TO, "a.wiki.example", false},
		    {OPEN("db", "'*.rds.example'"), DB, "a.rds.example", true}};
	for (size_t i = 0; i < N_ELEMS(told); i++) {
		struct world w;
		struct plan p;
		struct buf text;
		struct dns_heard_name room;
		struct dns_heard *heard = dns_heard_new();
		struct outbound_facts facts = {
			.dst = test_addr(told[i].dst), .heard = heard, .now_ns = T0, .room = &room};
		dns_heard_put(heard, slice_of(told[i].heard), &facts.dst.ip, 60, T0);
		world_init(&w, "shop", "me", told[i].yaml);
		decide_outbound(w.view, &facts, &p);
		assert_non_null(p.live);
		atomic_store(&p.live->client_tls, 3);
		buf_init(&text, 8192);
		assert_true(plan_explain_text(w.view, &p, &text));
		assert_non_null(strstr(buf_cstr(&text), "TLS 3"));
		assert_int_equal(strstr(buf_cstr(&text), "to declare") != NULL, told[i].tells);
		buf_fini(&text);
		world_fini(&w);
		dns_heard_free(heard);
	}
}

#define RULE                                                                                       \
	"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n"                         \
	"metadata: {name: r, namespace: shop}\n"                                                   \
	"spec: {host: '*.wiki.example', trafficPolicy: {tls: {mode: SIMPLE}}}\n"

/* TLS of a rule is for those who speak none. */
static void no_tls_around_tls(void **state)
{
	(void)state;
	static const struct {
		enum spoken word;
		const char *name;
		enum transport transport;
	} says[] = {{REQUEST, "a.wiki.example", TRANSPORT_TLS},
		    {HELLO, "a.wiki.example", TRANSPORT_PLAIN}};
	struct world w;
	world_init(&w, "shop", "me", TLS("'*.wiki.example'") RULE);
	for (size_t i = 0; i < N_ELEMS(says); i++) {
		struct plan p;
		decide_outbound(w.view, &(struct outbound_facts){.dst = test_addr(TO)}, &p);
		say(&p, says[i].word);
		decide_outbound_word(w.view, &p, &(struct outbound_word){says[i].name, SAID_SNI});
		decide_transport(w.view, &p, &p.to, NULL, NULL);
		assert_int_equal(p.tls.transport, says[i].transport);
	}
	world_fini(&w);
}

/* A slow client is waited for, where nothing else can tell. */
static void how_long_a_word_may_take(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	struct outbound_facts facts = {.dst = test_addr(TO)};
	world_init(&w, "shop", "me", REGISTRY_ONLY TLS("'*.wiki.example'"));
	decide_outbound(w.view, &facts, &p);
	assert_true(p.fw.whole_head);
	assert_int_equal(p.fw.partial_ms, view_mesh(w.view)->connect_timeout_ms);
	world_fini(&w);
	world_init(&w, "shop", "me", TLS("'*.wiki.example'"));
	decide_outbound(w.view, &facts, &p);
	assert_int_equal(p.fw.partial_ms, view_mesh(w.view)->partial_word_ms);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whose_it_is),       cmocka_unit_test(in_words),
		cmocka_unit_test(explained),         cmocka_unit_test(nothing_to_declare),
		cmocka_unit_test(no_tls_around_tls), cmocka_unit_test(how_long_a_word_may_take),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
