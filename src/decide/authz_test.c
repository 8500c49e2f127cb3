#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "decide/authz.h"

/* Policies, as an API server sends them, of namespace shop. */
struct policies {
	struct arena *arena;
	struct object *at[4];
	size_t n;
	const struct authz *authz;
};

static const char *const aliases[] = {"old.local", NULL};

static void compile(struct policies *p, const char *const *specs, size_t n)
{
	struct mesh_config mesh;
	struct err err = {0};
	mesh_config_default(&mesh);
	mesh.trust_domain_aliases = aliases;
	*p = (struct policies){.arena = arena_new()};
	for (size_t i = 0; i < n && specs[i]; i++) {
		struct buf json;
		buf_init(&json, 1 << 16);
		bool dry_run = specs[i][0] == '?'; /* a dry run */
		buf_printf(&json,
			   "{\"metadata\":{\"name\":\"p%zu\",\"namespace\":\"shop\","
			   "\"annotations\":{%s}},"
			   "\"spec\":{%s}}",
			   i, dry_run ? "\"istio.io/dry-run\":\"true\"" : "", &specs[i][dry_run]);
		p->at[i] =
			object_from_json(KIND_AUTHORIZATION_POLICY, buf_slice(&json), false, &err);
		if (!p->at[i])
			fail_msg("%s: %s", buf_cstr(&json), err.text);
		p->n++;
		buf_fini(&json);
	}
	const struct object *all[N_ELEMS(p->at)];
	memcpy(all, p->at, sizeof(all));
	p->authz = authz_compile(p->arena, all, p->n, &mesh);
}

static void drop(struct policies *p)
{
	for (size_t i = 0; i < p->n; i++)
		object_put(p->at[i]);
	arena_free(p->arena);
}

#define DENY "\"action\":\"DENY\","
#define RULES(r) "\"rules\":[" r "]"
#define FROM(s) "\"from\":[{\"source\":{" s "}}]"
#define TO(o) "\"to\":[{\"operation\":{" o "}}]"
#define WHEN(k, v) "\"when\":[{\"key\":\"" k "\",\"values\":[" v "]}]"
#define WHEN_NOT(k, v) "\"when\":[{\"key\":\"" k "\",\"notValues\":[" v "]}]"

/* One connection from 10.0.0.7 to port 9000, with the peer ns/web/sa/front, SNI db.shop. */
static void facts_of(struct authz_facts *f, const char *peer, uint16_t port)
{
	*f = (struct authz_facts){.peer = slice_of(peer), .port = port, .sni = SLICE("db.shop")};
	assert_true(ip_parse(SLICE("10.0.0.7"), &f->source));
	assert_true(ip_parse(SLICE("192.0.2.9"), &f->remote));
	assert_true(ip_parse(SLICE("198.18.0.1"), &f->destination));
}

#define FRONT "spiffe://cluster.local/ns/web/sa/front"

static const struct {
	const char *name;
	const char *specs[3];
	const char *peer;
	bool allowed;
	enum authz_reason reason;
	int rule; /* of the deciding policy; -1: does not matter */
} tcp[] = {
	/* clang-format off */
	/* authorization.md 1: what a spec means */
	{"no policy at all",                  {NULL}, FRONT, true, AUTHZ_NO_POLICY, -1},
	{"spec: {} denies everything",        {""}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"ALLOW with an empty rule",          {RULES("{}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"DENY without rules",                {DENY "\"rules\":[]"}, FRONT, true, AUTHZ_NO_ALLOW, -1},
	{"DENY with an empty rule",           {DENY RULES("{}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	{"only AUDIT policies",               {"\"action\":\"AUDIT\"," RULES("{}")}, FRONT, true, AUTHZ_NO_ALLOW, -1},
	{"for a gateway, not for sidecars",   {"\"targetRefs\":[{\"kind\":\"Gateway\",\"name\":\"g\"}]"}, FRONT, true, AUTHZ_NO_POLICY, -1},
	/* 2: the order */
	{"DENY goes before ALLOW",            {RULES("{}"), DENY RULES("{" TO("\"ports\":[\"9000\"]") "}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	{"what is not denied needs an ALLOW", {RULES("{" TO("\"ports\":[\"1\"]") "}"), DENY RULES("{" TO("\"ports\":[\"2\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"one of several ALLOW policies",     {RULES("{" TO("\"ports\":[\"1\"]") "}"), RULES("{" TO("\"ports\":[\"2\"]") "},{" TO("\"ports\":[\"9000\"]") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 1},
	{"CUSTOM: nobody can be asked",       {RULES("{}"), "\"action\":\"CUSTOM\",\"provider\":{\"name\":\"x\"}," RULES("{}")}, FRONT, false, AUTHZ_CUSTOM_RULE, 0},
	{"CUSTOM that does not match",        {"\"action\":\"CUSTOM\",\"provider\":{\"name\":\"x\"}," RULES("{" TO("\"ports\":[\"1\"]") "}")}, FRONT, true, AUTHZ_NO_ALLOW, -1},
	{"a dry run decides nothing",         {"?" DENY RULES("{}")}, FRONT, true, AUTHZ_NO_ALLOW, -1},
	{"a dry run of ALLOW is no ALLOW",    {"?"}, FRONT, true, AUTHZ_NO_ALLOW, -1},
	/* 3: rules */
	{"any of from",                       {RULES("{\"from\":[{\"source\":{\"namespaces\":[\"x\"]}},{\"source\":{\"namespaces\":[\"web\"]}}]}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"from and to",                       {RULES("{" FROM("\"namespaces\":[\"web\"]") "," TO("\"ports\":[\"1\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"fields of one source",              {RULES("{" FROM("\"namespaces\":[\"web\"],\"ipBlocks\":[\"10.1.0.0/16\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"all of when",                       {RULES("{\"when\":[{\"key\":\"source.namespace\",\"values\":[\"web\"]},{\"key\":\"destination.port\",\"values\":[\"1\"]}]}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"X and notX",                        {RULES("{" FROM("\"namespaces\":[\"w*\"],\"notNamespaces\":[\"web\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	/* principals */
	{"a principal",                       {RULES("{" FROM("\"principals\":[\"cluster.local/ns/web/sa/front\"]") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"another principal",                 {RULES("{" FROM("\"principals\":[\"cluster.local/ns/web/sa/back\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"a principal with the scheme is nobody's", {RULES("{" FROM("\"principals\":[\"spiffe://cluster.local/ns/web/sa/front\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"a prefix",                          {RULES("{" FROM("\"principals\":[\"cluster.local/ns/web/*\"]") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"a suffix",                          {RULES("{" FROM("\"principals\":[\"*/sa/front\"]") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"presence",                          {RULES("{" FROM("\"principals\":[\"*\"]") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"presence without a peer",           {RULES("{" FROM("\"principals\":[\"*\"]") "}")}, "", false, AUTHZ_NOT_ALLOWED, -1},
	{"DENY plaintext",                    {DENY RULES("{" FROM("\"notPrincipals\":[\"*\"]") "}")}, "", false, AUTHZ_DENY_RULE, 0},
	{"DENY plaintext lets peers in",      {DENY RULES("{" FROM("\"notPrincipals\":[\"*\"]") "}")}, FRONT, true, AUTHZ_NO_ALLOW, -1},
	{"an alias of the trust domain",      {RULES("{" FROM("\"principals\":[\"cluster.local/ns/web/sa/front\"]") "}")}, "spiffe://old.local/ns/web/sa/front", true, AUTHZ_ALLOW_RULE, 0},
	{"a policy in an alias",              {RULES("{" FROM("\"principals\":[\"old.local/ns/web/*\"]") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"an alias in DENY",                  {DENY RULES("{" FROM("\"principals\":[\"old.local/ns/web/sa/front\"]") "}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	{"a foreign trust domain",            {RULES("{" FROM("\"principals\":[\"cluster.local/ns/web/sa/front\"]") "}")}, "spiffe://else/ns/web/sa/front", false, AUTHZ_NOT_ALLOWED, -1},
	/* namespaces, service accounts, trust domains */
	{"a namespace's prefix",              {RULES("{" FROM("\"namespaces\":[\"we*\"]") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"a namespace is no substring",       {RULES("{" FROM("\"namespaces\":[\"we\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"notNamespaces of plaintext",        {DENY RULES("{" FROM("\"notNamespaces\":[\"web\"]") "}")}, "", false, AUTHZ_DENY_RULE, 0},
	{"an account with its namespace",     {RULES("{" FROM("\"serviceAccounts\":[\"web/front\"]") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"an account of the policy's namespace", {RULES("{" FROM("\"serviceAccounts\":[\"front\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"the same, from there",              {RULES("{" FROM("\"serviceAccounts\":[\"front\"]") "}")}, "spiffe://cluster.local/ns/shop/sa/front", true, AUTHZ_ALLOW_RULE, 0},
	{"an id with more parts",             {RULES("{" FROM("\"serviceAccounts\":[\"web/front\"]") "}")}, "spiffe://cluster.local/r/1/ns/web/x/y/sa/front/z", true, AUTHZ_ALLOW_RULE, 0},
	{"a trust domain",                    {RULES("{" FROM("\"trustDomains\":[\"cluster.*\"]") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"another trust domain",              {RULES("{" FROM("\"notTrustDomains\":[\"cluster.local\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"an id that is none",                {RULES("{" FROM("\"namespaces\":[\"*\"]") "}")}, "https://a/ns/web/sa/front", false, AUTHZ_NOT_ALLOWED, -1},
	/* addresses */
	{"a block",                           {RULES("{" FROM("\"ipBlocks\":[\"10.0.0.0/8\"]") "}")}, "", true, AUTHZ_ALLOW_RULE, 0},
	{"a bare address",                    {RULES("{" FROM("\"ipBlocks\":[\"10.0.0.7\"]") "}")}, "", true, AUTHZ_ALLOW_RULE, 0},
	{"another block",                     {RULES("{" FROM("\"ipBlocks\":[\"10.0.1.0/24\"]") "}")}, "", false, AUTHZ_NOT_ALLOWED, -1},
	{"IPv4 written as IPv6",              {RULES("{" FROM("\"ipBlocks\":[\"::ffff:10.0.0.0/104\"]") "}")}, "", true, AUTHZ_ALLOW_RULE, 0},
	{"all of IPv6 has no IPv4",           {DENY RULES("{" FROM("\"ipBlocks\":[\"2000::/3\"]") "}")}, "", true, AUTHZ_NO_ALLOW, -1},
	{"the remote address",                {RULES("{" FROM("\"remoteIpBlocks\":[\"192.0.2.0/24\"]") "}")}, "", true, AUTHZ_ALLOW_RULE, 0},
	{"notIpBlocks",                       {DENY RULES("{" FROM("\"notIpBlocks\":[\"10.0.0.0/8\"]") "}")}, "", true, AUTHZ_NO_ALLOW, -1},
	/* when */
	{"source.ip",                         {RULES("{" WHEN("source.ip", "\"10.0.0.7\"") "}")}, "", true, AUTHZ_ALLOW_RULE, 0},
	{"remote.ip",                         {RULES("{" WHEN_NOT("remote.ip", "\"192.0.2.0/24\"") "}")}, "", false, AUTHZ_NOT_ALLOWED, -1},
	{"source.namespace",                  {RULES("{" WHEN("source.namespace", "\"web\"") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"source.principal",                  {RULES("{" WHEN("source.principal", "\"old.local/ns/web/sa/front\"") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"source.serviceAccount",             {RULES("{" WHEN("source.serviceAccount", "\"web/front\"") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 0},
	{"destination.ip",                    {RULES("{" WHEN("destination.ip", "\"198.18.0.0/16\"") "}")}, "", true, AUTHZ_ALLOW_RULE, 0},
	{"destination.port",                  {RULES("{" WHEN("destination.port", "\"1\",\"9000\"") "}")}, "", true, AUTHZ_ALLOW_RULE, 0},
	{"connection.sni",                    {RULES("{" WHEN("connection.sni", "\"*.shop\"") "}")}, "", true, AUTHZ_ALLOW_RULE, 0},
	{"another SNI",                       {RULES("{" WHEN_NOT("connection.sni", "\"db.*\"") "}")}, "", false, AUTHZ_NOT_ALLOWED, -1},
	/* What nobody knows opens no door. */
	{"an unknown key in ALLOW",           {RULES("{" WHEN("a.b", "\"c\"") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"an unknown key in DENY",            {DENY RULES("{" WHEN("a.b", "\"c\"") "}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	{"what stands beside it in DENY counts", {DENY RULES("{" FROM("\"namespaces\":[\"x\"]") "," WHEN("a.b", "\"c\"") "}")}, FRONT, true, AUTHZ_NO_ALLOW, -1},
	{"a filter's key in DENY",            {DENY RULES("{" WHEN("experimental.envoy.filters.network.mysql_proxy[a.b]", "\"c\"") "}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	{"a filter's key in ALLOW",           {RULES("{" WHEN_NOT("experimental.envoy.filters.network.mysql_proxy[a.b]", "\"c\"") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"an unknown field of a source in ALLOW", {RULES("{" FROM("\"newField\":[\"a\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"an unknown field of an operation in DENY", {DENY RULES("{" TO("\"newField\":[\"a\"],\"ports\":[\"9000\"]") "}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	{"an unknown field of a rule in ALLOW", {RULES("{\"until\":\"now\"}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"a block that is none, in ALLOW",    {RULES("{" FROM("\"ipBlocks\":[\"x\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"a block that is none, in DENY",     {DENY RULES("{" FROM("\"ipBlocks\":[\"x\"]") "}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	{"not a block that is none, in ALLOW", {RULES("{" FROM("\"notIpBlocks\":[\"x\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"not a block that is none, in DENY", {DENY RULES("{" FROM("\"notIpBlocks\":[\"x\",\"10.0.0.0/8\"]") "}")}, FRONT, true, AUTHZ_NO_ALLOW, -1},
	{"a port that is none, in DENY",      {DENY RULES("{" TO("\"ports\":[\"70000\"]") "}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	/* 4: fields that only HTTP has */
	{"HTTP takes the whole ALLOW rule away", {RULES("{\"to\":[{\"operation\":{\"methods\":[\"GET\"]}},{\"operation\":{\"ports\":[\"9000\"]}}]}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"the other ALLOW rules stay",        {RULES("{" TO("\"methods\":[\"GET\"]") "},{" TO("\"ports\":[\"9000\"]") "}")}, FRONT, true, AUTHZ_ALLOW_RULE, 1},
	{"HTTP in one of several operations widens DENY to all", {DENY RULES("{\"to\":[{\"operation\":{\"methods\":[\"GET\"]}},{\"operation\":{\"ports\":[\"1\"]}}]}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	{"a header in when widens DENY",      {DENY RULES("{" TO("\"ports\":[\"9000\"]") "," WHEN("request.headers[X]", "\"a\"") "}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	{"a request's principal in ALLOW",    {RULES("{" FROM("\"requestPrincipals\":[\"*\"]") "}")}, FRONT, false, AUTHZ_NOT_ALLOWED, -1},
	{"not a request's principal in DENY", {DENY RULES("{" FROM("\"notRequestPrincipals\":[\"*\"]") "}")}, FRONT, false, AUTHZ_DENY_RULE, 0},
	{"HTTP in AUDIT decides nothing",     {"\"action\":\"AUDIT\"," RULES("{" TO("\"methods\":[\"GET\"]") "}")}, FRONT, true, AUTHZ_NO_ALLOW, -1},
	/* clang-format on */
};

static void connections(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(tcp); i++) {
		struct policies p;
		struct authz_facts f;
		struct authz_verdict v;
		struct buf text;
		buf_init(&text, 4096);
		compile(&p, tcp[i].specs, N_ELEMS(tcp[i].specs));
		facts_of(&f, tcp[i].peer, 9000);
		authz_decide(p.authz, AUTHZ_TCP, &f, &v);
		assert_true(authz_verdict_text(&v, &text));
		if (v.allowed != tcp[i].allowed || v.reason != tcp[i].reason ||
		    (tcp[i].rule >= 0 && (!v.policy || v.rule != tcp[i].rule)))
			fail_msg("%s: %s", tcp[i].name, buf_cstr(&text));
		buf_fini(&text);
		drop(&p);
	}
}

/* The vectors of Istio's task for TCP. */
static void three_ports(void **state)
{
	(void)state;
	static const struct {
		const char *spec;
		bool allowed[3]; /* 9000, 9001, 9002 */
	} rows[] = {
		{RULES("{" TO("\"ports\":[\"9000\",\"9001\"]") "}"), {true, true, false}},
		{RULES("{" TO("\"methods\":[\"GET\"],\"ports\":[\"9000\"]") "}"),
		 {false, false, false}},
		{DENY RULES("{" TO("\"methods\":[\"GET\"]") "}"), {false, false, false}},
		{DENY RULES("{" TO("\"methods\":[\"GET\"],\"ports\":[\"9000\"]") "}"),
		 {false, true, true}},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct policies p;
		compile(&p, &rows[i].spec, 1);
		for (uint16_t port = 0; port < 3; port++) {
			struct authz_facts f;
			struct authz_verdict v;
			facts_of(&f, "", (uint16_t)(9000 + port));
			authz_decide(p.authz, AUTHZ_TCP, &f, &v);
			if (v.allowed != rows[i].allowed[port])
				fail_msg("%s at %u", rows[i].spec, 9000 + port);
		}
		drop(&p);
	}
}

static bool value(void *ctx, enum authz_input input, const char *name, unsigned nth,
		  struct slice *out)
{
	(void)ctx;
	static const struct {
		enum authz_input input;
		const char *name, *values[3];
	} all[] = {
		{AUTHZ_IN_HEADER, "X-Id", {"seven"}},
		{AUTHZ_IN_REQUEST_PRINCIPAL, "", {"issuer/subject"}},
		{AUTHZ_IN_AUDIENCE, "", {"a", "b"}},
		{AUTHZ_IN_CLAIM, "group][name", {"x", "admin"}},
	};
	for (size_t i = 0; i < N_ELEMS(all); i++)
		if (input == all[i].input && strcmp(name, all[i].name) == 0 && nth < 3 &&
		    all[i].values[nth]) {
			*out = slice_of(all[i].values[nth]);
			return true;
		}
	return false;
}

static void requests(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		bool matches;
	} rows[] = {
		/* clang-format off */
		{"{}", true},
		{"{" TO("\"methods\":[\"GET\"]") "}", true},
		{"{" TO("\"methods\":[\"get\"]") "}", false},
		{"{" TO("\"notMethods\":[\"P*\"]") "}", true},
		{"{" TO("\"hosts\":[\"shop.example.com:*\"]") "}", true},
		{"{" TO("\"hosts\":[\"SHOP.EXAMPLE.COM:8080\"]") "}", true},
		{"{" TO("\"hosts\":[\"shop.example.com\"]") "}", false},
		{"{" TO("\"paths\":[\"/a/*\"]") "}", true},
		{"{" TO("\"paths\":[\"/a/{*}/c\"]") "}", true},
		{"{" TO("\"paths\":[\"/{**}\"]") "}", true},
		{"{" TO("\"paths\":[\"/a/{**}\"]") "}", true},
		{"{" TO("\"paths\":[\"/a/b/c/{**}\"]") "}", false},
		{"{" TO("\"paths\":[\"/{*}/c\"]") "}", false},
		{"{" TO("\"paths\":[\"/a/{*}\"]") "}", false},
		{"{" TO("\"paths\":[\"/a/{*}/c/{*}\"]") "}", false},
		{"{" TO("\"paths\":[\"*/c\"]") "}", true},
		{"{" TO("\"notPaths\":[\"/a/b/c\"]") "}", false},
		{"{" WHEN("request.headers[X-Id]", "\"seven\"") "}", true},
		{"{" WHEN("request.headers[X-Other]", "\"*\"") "}", false},
		{"{" WHEN_NOT("request.headers[X-Other]", "\"*\"") "}", true},
		{"{" WHEN("request.auth.principal", "\"issuer/*\"") "}", true},
		{"{" FROM("\"requestPrincipals\":[\"*\"]") "}", true},
		{"{" WHEN("request.auth.audiences", "\"b\"") "}", true},
		{"{" WHEN("request.auth.presenter", "\"*\"") "}", false},
		{"{" WHEN("request.auth.claims[group][name]", "\"admin\"") "}", true},
		{"{" WHEN("request.auth.claims[group]", "\"admin\"") "}", false},
		/* clang-format on */
	};
	struct authz_request request = {.host = SLICE("shop.example.com:8080"),
					.method = SLICE("GET"),
					.path = SLICE("/a/b/c"),
					.value = value};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		char allow[400], deny[400];
		(void)snprintf(allow, sizeof(allow), "\"rules\":[%s]", rows[i].rule);
		(void)snprintf(deny, sizeof(deny), DENY "\"rules\":[%s]", rows[i].rule);
		const char *specs[] = {allow, deny};
		for (size_t k = 0; k < 2; k++) {
			struct policies p;
			struct authz_facts f;
			struct authz_verdict v;
			compile(&p, &specs[k], 1);
			facts_of(&f, FRONT, 9000);
			f.request = &request;
			authz_decide(p.authz, AUTHZ_HTTP, &f, &v);
			bool is_allow = k == 0;
			if (v.allowed != (rows[i].matches ? is_allow : !is_allow))
				fail_msg("%s", specs[k]);
			drop(&p);
		}
	}
}

static void shadows(void **state)
{
	(void)state;
	static const struct {
		const char *specs[3];
		bool allowed, shadow_allowed;
		const char *shadow; /* policy, or "" */
	} rows[] = {
		{{RULES("{}")}, true, true, ""},
		{{RULES("{}"), "?" DENY RULES("{}")}, true, false, "p1"},
		{{RULES("{}"), "?" DENY RULES("{" TO("\"ports\":[\"1\"]") "}")}, true, true, ""},
		{{"", "?" RULES("{}")}, false, true, "p1"},
		{{RULES("{}"), "?"}, true, false, "p1"},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct policies p;
		struct authz_facts f;
		struct authz_verdict v;
		compile(&p, rows[i].specs, N_ELEMS(rows[i].specs));
		facts_of(&f, FRONT, 9000);
		authz_decide(p.authz, AUTHZ_TCP, &f, &v);
		assert_int_equal(v.allowed, rows[i].allowed);
		assert_int_equal(v.shadow_allowed, rows[i].shadow_allowed);
		assert_string_equal(v.shadow_policy ? v.shadow_policy->meta.name : "",
				    rows[i].shadow);
		drop(&p);
	}
}

static void audits(void **state)
{
	(void)state;
	static const char *const specs[] = {RULES("{}"), "\"action\":\"AUDIT\"," RULES("{" FROM(
								 "\"namespaces\":[\"web\"]") "}")};
	struct policies p;
	struct authz_facts f;
	struct authz_verdict v;
	compile(&p, specs, 2);
	facts_of(&f, FRONT, 9000);
	authz_decide(p.authz, AUTHZ_TCP, &f, &v);
	assert_true(v.allowed && v.audited);
	facts_of(&f, "", 9000);
	authz_decide(p.authz, AUTHZ_TCP, &f, &v);
	assert_true(v.allowed && !v.audited);
	drop(&p);
}

/* What was dropped and widened, for those who look why. */
static void changes(void **state)
{
	(void)state;
	static const struct {
		const char *spec;
		size_t n;
		const char *first; /* of the changes */
	} rows[] = {
		/* clang-format off */
		{RULES("{" TO("\"ports\":[\"1\"]") "}"), 0, ""},
		{RULES("{" TO("\"methods\":[\"GET\"],\"paths\":[\"/a\"]") "}"), 2,
		 "ALLOW rule 0 of AuthorizationPolicy shop/p0 matches no TCP connections because of spec.rules[0].to[0].operation.methods (only HTTP requests have it)"},
		{DENY RULES("{},{" TO("\"methods\":[\"GET\"],\"ports\":[\"1\"]") "}"), 1,
		 "DENY rule 1 of AuthorizationPolicy shop/p0 matches more TCP connections: spec.rules[1].to[0].operation.methods does not count (only HTTP requests have it)"},
		{DENY RULES("{" TO("\"methods\":[\"GET\"]") "}"), 1,
		 "DENY rule 0 of AuthorizationPolicy shop/p0 matches all TCP connections: nothing is left of it without spec.rules[0].to[0].operation.methods (only HTTP requests have it)"},
		{DENY RULES("{" WHEN("a.b", "\"c\"") "}"), 2,
		 "DENY rule 0 of AuthorizationPolicy shop/p0 matches all TCP connections: nothing is left of it without spec.rules[0].when[0].key (nothing is known of it)"},
		{"\"action\":\"CUSTOM\"," RULES("{}"), 2,
		 "CUSTOM rule 0 of AuthorizationPolicy shop/p0 denies TCP connections (no provider can be asked, so what matches is denied)"},
		/* clang-format on */
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct policies p;
		struct buf text;
		buf_init(&text, 4096);
		compile(&p, &rows[i].spec, 1);
		assert_int_equal(p.authz->n_changes, rows[i].n);
		if (rows[i].n)
			assert_true(authz_change_text(&p.authz->changes[0], &text));
		assert_string_equal(rows[i].n ? buf_cstr(&text) : "", rows[i].first);
		buf_fini(&text);
		drop(&p);
	}
	char name[80];
	struct policies p;
	compile(&p, &(const char *){""}, 1);
	assert_string_equal(authz_rule_name(p.at[0], 2, name, sizeof(name)),
			    "ns[shop]-policy[p0]-rule[2]");
	drop(&p);
}

/* Random policies: what is added to a DENY policy or taken from an ALLOW one never lets more in; and
 * a rule that says something of HTTP never lets a TCP connection in that it would keep out without
 * it. */
static const char *const pieces[] = {
	FROM("\"principals\":[\"*\"]"),        FROM("\"notPrincipals\":[\"*\"]"),
	FROM("\"namespaces\":[\"web\"]"),      FROM("\"notNamespaces\":[\"web\"]"),
	FROM("\"ipBlocks\":[\"10.0.0.0/8\"]"), TO("\"ports\":[\"9000\"]"),
	TO("\"notPorts\":[\"9000\"]"),         WHEN("connection.sni", "\"db.shop\""),
};
static const char *const http_pieces[] = {
	TO("\"methods\":[\"GET\"]"),
	WHEN("request.headers[X]", "\"a\""),
	WHEN_NOT("request.auth.principal", "\"a\""),
	WHEN("not.known", "\"a\""),
	FROM("\"notRequestPrincipals\":[\"a\"]"),
	FROM("\"new\":[\"a\"]"),
};

static bool decided(const char *const *specs, const char *peer, uint16_t port)
{
	struct policies p;
	struct authz_facts f;
	struct authz_verdict v;
	compile(&p, specs, 3);
	facts_of(&f, peer, port);
	authz_decide(p.authz, AUTHZ_TCP, &f, &v);
	drop(&p);
	return v.allowed;
}

static void property(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 3000; seed++) {
		unsigned r = seed;
		char plain[300], http[600];
		const char *rule = pieces[(unsigned)rand_r(&r) % N_ELEMS(pieces)];
		const char *extra = http_pieces[(unsigned)rand_r(&r) % N_ELEMS(http_pieces)];
		const char *peer = rand_r(&r) % 2 ? FRONT : "";
		uint16_t port = rand_r(&r) % 2 ? 9000 : 1;
		const char *action = rand_r(&r) % 2 ? DENY : "";
		if (strncmp(rule, extra, 6) == 0)
			continue; /* the same member twice */
		(void)snprintf(plain, sizeof(plain), "%s\"rules\":[{%s}]", action, rule);
		(void)snprintf(http, sizeof(http), "%s\"rules\":[{%s,%s}]", action, rule, extra);
		const char *const with[] = {http, NULL, NULL}, *const without[] = {plain, NULL,
										   NULL};
		if (decided(with, peer, port))
			assert_true(decided(without, peer, port));
		const char *const both[] = {plain, http, DENY RULES("{}")};
		assert_false(decided(both, peer, port));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections), cmocka_unit_test(three_ports),
		cmocka_unit_test(requests),    cmocka_unit_test(shadows),
		cmocka_unit_test(audits),      cmocka_unit_test(changes),
		cmocka_unit_test(property),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
