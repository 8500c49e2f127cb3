/* How TLS begins, by the client's word, by what was learnt and by what a server did not understand. */
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
#include "detect/postgres.h"

#define WORLD(port, rule) NAMED("a", port, rule)
#define NAMED(name, port, rule)                                                                    \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: me, namespace: shop}\n"                       \
	"spec: {containers: [{name: c, command: [x]}]}\nstatus: {podIPs: [{ip: 198.18.0.1}]}\n"    \
	"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n"                            \
	"metadata: {name: db, namespace: shop}\nspec:\n"                                           \
	"  hosts: [db.example.com]\n  resolution: STATIC\n  addresses: [10.5.0.1]\n"               \
	"  ports: [{number: 5432, name: " name port "}]\n"                                         \
	"  endpoints: [{address: 10.1.1.1}, {address: 10.1.1.2}]\n" rule
#define RULE(mode)                                                                                 \
	"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, "     \
	"namespace: shop}\n"                                                                       \
	"spec: {host: db.example.com, trafficPolicy: {tls: {mode: " mode "}}}\n"

static void plan_of(struct world *w, struct plan *p, const char *yaml)
{
	world_init(w, "shop", "me", yaml);
	struct outbound_facts facts = {.dst = test_addr("10.5.0.1:5432")};
	decide_outbound(w->view, &facts, p);
}

static void towards(const struct world *w, struct plan *p, unsigned endpoint)
{
	const struct view_endpoint *ep = &p->port->endpoints[endpoint];
	decide_transport(w->view, p, &ep->at, ep, NULL);
}

#define FILES "MUTUAL, clientCertificate: /c, privateKey: /k"
#define STARTUP SLICE("\0\0\0\x29\0\3\0\0user\0me\0")
#define CANCEL SLICE("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2")
#define GSS SLICE("\0\0\0\x08\x04\xd2\x16\x30")

#define NOTHING N_TLS_BEGINS

static void by_word_and_lesson(void **state)
{
	(void)state;
	static const struct {
		const char *name, *mode;
		struct slice client;
		enum tls_begin learnt, begin;
		enum step_code step; /* N_STEPS: none */
	} rows[] = {
		/* clang-format off */
		{"silent",                       "SIMPLE", SLICE(""),             NOTHING,     TLS_AT_ONCE, N_STEPS},
		{"SSLRequest",                   "SIMPLE", SLICE(PG_SSL_REQUEST), NOTHING,     TLS_ASKED,   STEP_TLS_ASKED_WORD},
		{"SSLRequest, MUTUAL",           FILES, SLICE(PG_SSL_REQUEST), NOTHING,     TLS_ASKED,   STEP_TLS_ASKED_WORD},
		{"GSSENCRequest",                "SIMPLE", GSS,                   NOTHING,     TLS_ASKED,   STEP_TLS_ASKED_WORD},
		{"StartupMessage",               "SIMPLE", STARTUP,               NOTHING,     TLS_ASKED,   STEP_TLS_ASKED_WORD},
		{"CancelRequest",                "SIMPLE", CANCEL,                NOTHING,     TLS_ASKED,   STEP_TLS_ASKED_WORD},
		{"the beginning of a word",      "SIMPLE", SLICE("\0\0\0"),       NOTHING,     TLS_AT_ONCE, N_STEPS},
		{"another protocol",             "SIMPLE", SLICE("*1\r\n$4\r\n"), NOTHING,     TLS_AT_ONCE, N_STEPS},
		{"silent, asked before",         "SIMPLE", SLICE(""),             TLS_ASKED,   TLS_ASKED,   STEP_TLS_ASKED_LEARNED},
		{"a beginning, asked before",    "SIMPLE", SLICE("\0\0\0"),       TLS_ASKED,   TLS_ASKED,   STEP_TLS_ASKED_LEARNED},
		{"another, asked before",        "SIMPLE", SLICE("*1\r\n$4\r\n"), TLS_ASKED,   TLS_AT_ONCE, N_STEPS},
		{"the word, asked before",       "SIMPLE", STARTUP,               TLS_ASKED,   TLS_ASKED,   STEP_TLS_ASKED_WORD},
		{"the word, at once before",     "SIMPLE", STARTUP,               TLS_AT_ONCE, TLS_AT_ONCE, STEP_TLS_AT_ONCE_LEARNED},
		{"silent, at once before",       "SIMPLE", SLICE(""),             TLS_AT_ONCE, TLS_AT_ONCE, N_STEPS},
		{"mesh TLS is nobody's to ask",  "ISTIO_MUTUAL", STARTUP,         TLS_ASKED,   TLS_AT_ONCE, N_STEPS},
		{"nor is plaintext",             "DISABLE", STARTUP,              TLS_ASKED,   TLS_AT_ONCE, N_STEPS},
		/* clang-format on */
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct world w;
		struct plan p;
		char yaml[4096];
		(void)snprintf(yaml, sizeof(yaml), WORLD("", RULE("%s")), rows[i].mode);
		plan_of(&w, &p, yaml);
		towards(&w, &p, 0);
		if (rows[i].learnt != NOTHING)
			learn_tls_begun(p.live, rows[i].learnt);
		unsigned before = p.n_steps;
		decide_tls_begin(&p, rows[i].client);
		enum step_code step = p.n_steps > before ? p.steps.code[p.n_steps - 1] : N_STEPS;
		if (p.tls.begin != rows[i].begin || step != rows[i].step)
			fail_msg("%s: %s, step %d", rows[i].name, tls_begin_name(p.tls.begin),
				 (int)step);
		world_fini(&w);
	}
}

/* A port's name may say it, for clients that are silent: Istio takes none of these for a protocol. */
static void declared(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct slice client;
		enum tls_begin learnt, begin;
	} rows[] = {
		{"postgres", SLICE(""), NOTHING, TLS_ASKED},
		{"postgresql", SLICE(""), NOTHING, TLS_ASKED},
		{"postgresql-rw", SLICE("\0\0"), NOTHING, TLS_ASKED},
		{"postgres", SLICE(""), TLS_AT_ONCE, TLS_AT_ONCE},
		{"postgres", SLICE("PING\r\n"), NOTHING, TLS_AT_ONCE},
		{"postgresqls", SLICE(""), NOTHING, TLS_AT_ONCE},
		{"tcp-postgres", SLICE(""), NOTHING, TLS_AT_ONCE},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct world w;
		struct plan p;
		char yaml[4096];
		(void)snprintf(yaml, sizeof(yaml), NAMED("%s", "", RULE("SIMPLE")), rows[i].name);
		plan_of(&w, &p, yaml);
		assert_int_equal(protocol_class(p.protocol), CLASS_AUTO);
		towards(&w, &p, 0);
		if (rows[i].learnt != NOTHING)
			learn_tls_begun(p.live, rows[i].learnt);
		decide_tls_begin(&p, rows[i].client);
		if (p.tls.begin != rows[i].begin)
			fail_msg("%s, row %zu: %s", rows[i].name, i, tls_begin_name(p.tls.begin));
		assert_int_equal(plan_has_step(&p, STEP_TLS_ASKED_DECLARED),
				 rows[i].begin == TLS_ASKED);
		world_fini(&w);
	}
}

/* Each endpoint may be tried both ways, and no more often. */
static void the_other_way(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	plan_of(&w, &p, WORLD("", RULE("SIMPLE")));
	for (unsigned i = 0; i < 2; i++) {
		towards(&w, &p, i);
		decide_tls_begin(&p, SLICE(""));
		assert_true(decide_tls_other(&p));
		assert_int_equal(p.tls.begin, TLS_ASKED);
		assert_true(plan_has_step(&p, STEP_TLS_ASKED_TRIED));
		assert_false(decide_tls_other(&p));
		assert_int_equal(p.tls.begin, TLS_ASKED);
	}
	towards(&w, &p, 0);
	assert_false(plan_has_step(&p, STEP_TLS_ASKED_TRIED));
	decide_tls_begin(&p, STARTUP);
	assert_true(decide_tls_other(&p));
	assert_int_equal(p.tls.begin, TLS_AT_ONCE);
	assert_true(plan_has_step(&p, STEP_TLS_AT_ONCE_TRIED));
	assert_false(plan_has_step(&p, STEP_TLS_ASKED_WORD));
	world_fini(&w);
	plan_of(&w, &p, WORLD("", RULE("ISTIO_MUTUAL")));
	towards(&w, &p, 0);
	assert_false(decide_tls_other(&p));
	world_fini(&w);
}

static void what_is_learnt(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	plan_of(&w, &p, WORLD("", RULE("SIMPLE")));
	towards(&w, &p, 0);
	/* A ClientHello that was taken at once says nothing: PostgreSQL 17 takes it, and hangs up. */
	decide_tls_begin(&p, SLICE(""));
	decide_tls_begun(&p);
	assert_int_equal(learn_tls(p.live), N_TLS_BEGINS);
	assert_true(decide_tls_other(&p));
	decide_tls_begun(&p);
	assert_int_equal(learn_tls(p.live), TLS_ASKED);
	towards(&w, &p, 0);
	decide_tls_begin(&p, STARTUP);
	assert_true(decide_tls_other(&p));
	decide_tls_begun(&p);
	assert_int_equal(learn_tls(p.live), TLS_AT_ONCE);
	/* and no more when a server that it began with at once has nothing to say */
	towards(&w, &p, 0);
	decide_tls_unheard(&p);
	assert_int_equal(learn_tls(p.live), TLS_AT_ONCE);
	decide_tls_begin(&p, STARTUP);
	decide_tls_unheard(&p);
	assert_int_equal(learn_tls(p.live), N_TLS_BEGINS);
	/* what was heard in clear counts until TLS is made */
	struct learned l;
	learn_in_clear(p.live, GREET_IS_MYSQL);
	learn_read(p.live, &l);
	assert_true(l.spoke_in_clear && l.in_clear == GREET_IS_MYSQL);
	decide_tls_begun(&p);
	learn_read(p.live, &l);
	assert_false(l.spoke_in_clear);
	world_fini(&w);
}

/* Other meshes send a ClientHello and know no other way: what is certain of that is told. */
static void what_others_do(void **state)
{
	(void)state;
	static const struct {
		const char *port, *mode;
		enum tls_begin learnt;
		bool in_clear;
		enum greet_protocol said;
		const char *row;
	} rows[] = {
		{"", "SIMPLE", NOTHING, false, GREET_IS_UNKNOWN, "D5"},
		{"", "SIMPLE", TLS_ASKED, false, GREET_IS_UNKNOWN, "F2"},
		{", protocol: TCP", FILES, TLS_ASKED, false, GREET_IS_UNKNOWN, "F2"},
		{"", "SIMPLE", TLS_AT_ONCE, false, GREET_IS_UNKNOWN, "D5"},
		{"", "SIMPLE", NOTHING, true, GREET_IS_POSTGRESQL, "F1"},
		{"", "SIMPLE", NOTHING, true, GREET_IS_MYSQL, "D5"}, /* no ClientHello is sent */
		{", protocol: MYSQL", "SIMPLE", NOTHING, true, GREET_IS_MYSQL, "F1"},
		{", protocol: TCP", "DISABLE", TLS_ASKED, false, GREET_IS_UNKNOWN, "W1"},
		{", protocol: TCP", "ISTIO_MUTUAL", NOTHING, true, GREET_IS_MYSQL, "W1"},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		char yaml[4096];
		struct world w;
		struct plan p;
		struct elsewhere_answer e;
		(void)snprintf(yaml, sizeof(yaml), WORLD("%s", RULE("%s")), rows[i].port,
			       rows[i].mode);
		plan_of(&w, &p, yaml);
		learn_tls_begun(p.live, rows[i].learnt);
		if (rows[i].in_clear)
			learn_in_clear(p.live, rows[i].said);
		decide_elsewhere(w.view, &p, true, &e);
		if (strcmp(e.row, rows[i].row) != 0)
			fail_msg("row %zu: %s, not %s: %s", i, e.row, rows[i].row, e.text);
		world_fini(&w);
	}
}

/* NNTP knows this word, too: is it enough, or is the rest of a request waited for? */
static bool is_enough(const struct plan *p)
{
	struct first_word fw;
	struct fw_input in = {.event = FW_CLIENT_BYTES, .bytes = SLICE("HEAD")};
	(void)first_word_start(&fw, &p->fw, 0); /* it waits */
	return first_word_event(&fw, &in).what == FW_DECIDED;
}

/* Where a rule wants TLS both ends are listened to, whatever is declared; without one a declaration is
 * followed at once. Of declared bytes none is waited for. */
static void who_listens(void **state)
{
	(void)state;
	static const struct {
		const char *yaml;
		enum plan_action action;
		bool enough;
	} rows[] = {
		{WORLD("", RULE("SIMPLE")), PLAN_DETECT, false},
		{WORLD(", protocol: TCP", RULE("SIMPLE")), PLAN_DETECT, true},
		{WORLD(", protocol: MySQL", RULE(FILES)), PLAN_DETECT, true},
		{WORLD(", protocol: HTTP", RULE("SIMPLE")), PLAN_DETECT, false},
		{WORLD(", protocol: TCP", RULE("DISABLE")), PLAN_RELAY, false},
		{WORLD(", protocol: TCP", RULE("ISTIO_MUTUAL")), PLAN_RELAY, false},
		{WORLD(", protocol: TCP", ""), PLAN_RELAY, false},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct world w;
		struct plan p;
		plan_of(&w, &p, rows[i].yaml);
		if (p.action != rows[i].action)
			fail_msg("row %zu: %s", i, plan_action_name(p.action));
		if (p.action == PLAN_DETECT) {
			assert_int_equal(p.fw.mode, FW_BOTH_ENDS);
			assert_int_equal(is_enough(&p), rows[i].enough);
		}
		world_fini(&w);
	}
}

static void words_for_people(void **state)
{
	(void)state;
	static const struct {
		enum greet_protocol protocol;
		bool no;
		const char *says;
	} rows[] = {
		{GREET_IS_MYSQL, false, "plaintext (mysql) instead of TLS"},
		{GREET_IS_UNKNOWN, false, "plaintext (tcp) instead of TLS"},
		{GREET_IS_HTTP1, false, "in plaintext (http), not in TLS"},
		{GREET_IS_POSTGRESQL, true, "answered N to PostgreSQL's SSLRequest"},
		{GREET_IS_POSTGRESQL, false, "an error of PostgreSQL's"},
	};
	struct world w;
	struct plan p;
	plan_of(&w, &p, WORLD("", RULE("SIMPLE")));
	towards(&w, &p, 0);
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct buf text;
		buf_init(&text, 1024);
		assert_true(tls_in_clear_text(&p, rows[i].protocol, rows[i].no, &text));
		if (!strstr(buf_cstr(&text), rows[i].says) ||
		    !strstr(buf_cstr(&text), "take tls out of DestinationRule shop/r"))
			fail_msg("%s", buf_cstr(&text));
		buf_fini(&text);
	}
	/* and the plan's own, each step once */
	struct buf reason;
	buf_init(&reason, 4096);
	decide_tls_begin(&p, STARTUP);
	decide_own_tls_refused(&p);
	decide_own_tls_refused(&p);
	assert_true(plan_reason(&p, &reason));
	char *at = strstr(
		buf_cstr(&reason),
		"DestinationRule shop/r wants tls; the client speaks PostgreSQL, which asks for "
		"TLS by SSLRequest; the client asked for encryption of its own and was told no");
	if (!at || strstr(at + 100, "told no, for TLS begins at its sidecar;"))
		fail_msg("%s", buf_cstr(&reason));
	buf_fini(&reason);
	world_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_word_and_lesson), cmocka_unit_test(declared),
		cmocka_unit_test(the_other_way),      cmocka_unit_test(what_is_learnt),
		cmocka_unit_test(what_others_do),     cmocka_unit_test(who_listens),
		cmocka_unit_test(words_for_people),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
