#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/view_fixture.h"

/* PeerAuthentication */

#define POD(name, ns, ip)                                                                          \
	"apiVersion: v1\nkind: Pod\n"                                                              \
	"metadata: {name: " name ", namespace: " ns ", labels: {app: db, tier: back}}\n"           \
	"spec: {serviceAccountName: sql, containers: [{name: c}]}\n"                               \
	"status: {phase: Running, podIP: " ip ", podIPs: [{ip: " ip "}]}\n---\n"

static void policy(struct buf *out, const char *name, const char *ns, const char *selector,
		   const char *mode, const char *port_mode, unsigned day)
{
	buf_printf(out,
		   "apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\n"
		   "metadata: {name: %s, namespace: %s, creationTimestamp: "
		   "'2026-01-%02uT00:00:00Z'}\nspec:\n",
		   name, ns, day);
	buf_printf(out, "  selector: {matchLabels: {%s}}\n", selector);
	if (mode[0])
		buf_printf(out, "  mtls: {mode: %s}\n", mode);
	if (port_mode[0])
		buf_printf(out, "  portLevelMtls: {3306: {mode: %s}, 33060: {}}\n", port_mode);
	buf_puts(out, "---\n");
}

static const struct {
	const char *name;
	const char *mesh, *ns, *workload, *port; /* modes; "-": no such policy */
	enum mtls_mode on_port, elsewhere;
	const char *by; /* of the port's mode */
	bool by_port;
} modes[] = {
	/* clang-format off */
	{"nothing says anything",             "-",       "-",          "-",       "",        MTLS_PERMISSIVE, MTLS_PERMISSIVE, "", false},
	{"the mesh",                          "STRICT",  "-",          "-",       "",        MTLS_STRICT,     MTLS_STRICT,     "mesh", false},
	{"a namespace that says UNSET",       "STRICT",  "UNSET",      "-",       "",        MTLS_STRICT,     MTLS_STRICT,     "mesh", false},
	{"a namespace that says nothing",     "STRICT",  "",           "-",       "",        MTLS_STRICT,     MTLS_STRICT,     "mesh", false},
	{"a namespace over the mesh",         "STRICT",  "PERMISSIVE", "-",       "",        MTLS_PERMISSIVE, MTLS_PERMISSIVE, "ns", false},
	{"a port over a workload's UNSET",    "STRICT",  "-",          "UNSET",   "DISABLE", MTLS_DISABLE,    MTLS_STRICT,     "workload", true},
	{"a port that says UNSET",            "-",       "STRICT",     "DISABLE", "UNSET",   MTLS_DISABLE,    MTLS_DISABLE,    "workload", false},
	{"a mesh that says UNSET",            "UNSET",   "-",          "-",       "",        MTLS_PERMISSIVE, MTLS_PERMISSIVE, "", false},
	{"a workload over its namespace",     "STRICT",  "DISABLE",    "STRICT",  "",        MTLS_STRICT,     MTLS_STRICT,     "workload", false},
	{"a port alone",                      "-",       "-",          "",        "STRICT",  MTLS_STRICT,     MTLS_PERMISSIVE, "workload", true},
	/* clang-format on */
};

static void peer_authentication(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(modes); i++) {
		struct buf yaml;
		buf_init(&yaml, 1 << 16);
		buf_puts(&yaml,
			 POD("db-0", "shop", "198.18.0.1") POD("other", "far", "198.18.0.2"));
		if (strcmp(modes[i].mesh, "-") != 0)
			policy(&yaml, "mesh", "istio-system", "", modes[i].mesh, "", 9);
		if (strcmp(modes[i].ns, "-") != 0)
			policy(&yaml, "ns", "shop", "", modes[i].ns, "", 9);
		if (strcmp(modes[i].workload, "-") != 0)
			policy(&yaml, "workload", "shop", "tier: back, app: db", modes[i].workload,
			       modes[i].port, 9);
		/* Of these nobody speaks: younger ones of each scope, one of other labels, a
		 * selector in the root namespace. */
		policy(&yaml, "z-mesh", "istio-system", "",
		       modes[i].mesh[0] == '-' ? "" : "DISABLE", "", 10);
		policy(&yaml, "z-ns", "shop", "", modes[i].ns[0] == '-' ? "" : "DISABLE", "", 10);
		policy(&yaml, "a-workload", "shop", "app: db, tier: back, more: x", "DISABLE",
		       "STRICT", 1);
		policy(&yaml, "a-root", "istio-system", "app: db", "DISABLE", "", 1);
		struct view *v = test_view("far", "other", buf_cstr(&yaml));
		struct ip ip = ip_v4(0xc6120001);
		const struct workload *w = view_workload_by_ip(v, &ip);
		struct mtls_answer at = view_mtls(w, 3306), other = view_mtls(w, 33060);
		if (at.mode != modes[i].on_port || other.mode != modes[i].elsewhere ||
		    view_mtls(w, 1).mode != modes[i].elsewhere ||
		    strcmp(at.by ? at.by->meta.name : "", modes[i].by) != 0 ||
		    at.by_port != modes[i].by_port)
			fail_msg("%s: port %d, elsewhere %d, by %s", modes[i].name, at.mode,
				 other.mode, at.by ? at.by->meta.name : "nobody");
		/* Another namespace has the mesh's. */
		enum mtls_mode mesh =
			strcmp(modes[i].mesh, "STRICT") == 0 ? MTLS_STRICT : MTLS_PERMISSIVE;
		assert_int_equal(view_mtls(view_self(v), 3306).mode, mesh);
		view_put(v);
		buf_fini(&yaml);
	}
}

/* Of several in one scope the oldest counts, whole; the name decides between twins. */
static void oldest(void **state)
{
	(void)state;
	struct buf yaml;
	buf_init(&yaml, 1 << 16);
	buf_puts(&yaml, POD("db-0", "shop", "198.18.0.1"));
	policy(&yaml, "b", "shop", "app: db", "STRICT", "", 2);
	policy(&yaml, "a", "shop", "tier: back", "DISABLE", "PERMISSIVE", 3); /* not merged */
	policy(&yaml, "d", "shop", "", "DISABLE", "", 5);
	policy(&yaml, "c", "shop", "", "STRICT", "", 5);
	struct view *v = test_view("shop", "db-0", buf_cstr(&yaml));
	struct mtls_answer at = view_mtls(view_self(v), 3306);
	assert_int_equal(at.mode, MTLS_STRICT);
	assert_string_equal(at.by->meta.name, "b");
	view_put(v);
	buf_fini(&yaml);
}

/* The index by labels gives what a look at every policy would give. */
static const struct object *by_hand(struct object *const *all, size_t n, const struct pairs *labels)
{
	const struct object *found = NULL;
	for (size_t i = 0; i < n; i++)
		if (pairs_match(&all[i]->peer_authentication->selector, labels) &&
		    (!found || object_older(all[i], found)))
			found = all[i];
	return found;
}

static void random_labels(unsigned *seed, char *out, size_t len)
{
	out[0] = '\0';
	for (int k = 0; k < 4; k++)
		if (rand_r(seed) % 2)
			(void)snprintf(out + strlen(out), len - strlen(out), "%sk%d: v%d",
				       out[0] ? ", " : "", k, rand_r(seed) % 2);
}

static void property_labels(void **state)
{
	(void)state;
	enum { N = 40 };
	for (unsigned round = 0; round < 50; round++) {
		unsigned seed = round;
		struct view_builder *b = view_builder_new("shop", "none");
		struct object *policies[N];
		struct err err = {0};
		for (unsigned i = 0; i < N; i++) {
			char labels[200], text[600];
			int k0 = rand_r(&seed) % 4, v0 = rand_r(&seed) % 2;
			(void)snprintf(labels, sizeof(labels), "\"k%d\":\"v%d\",\"k%d\":\"v%d\"",
				       k0, v0, (k0 + 1 + rand_r(&seed) % 3) % 4, rand_r(&seed) % 2);
			(void)snprintf(
				text, sizeof(text),
				"{\"metadata\":{\"name\":\"p%u\",\"namespace\":\"shop\","
				"\"creationTimestamp\":\"2026-01-01T00:00:%02uZ\"},\"spec\":{"
				"\"selector\":{\"matchLabels\":{%s}},\"mtls\":{\"mode\":"
				"\"STRICT\"}}}",
				i, (unsigned)rand_r(&seed) % 20, labels);
			policies[i] = object_from_json(KIND_PEER_AUTHENTICATION, slice_of(text),
						       true, &err);
			assert_non_null(policies[i]);
			view_builder_set(b, policies[i]);
		}
		for (unsigned i = 0; i < N; i++) {
			char labels[200], text[600];
			random_labels(&seed, labels, sizeof(labels));
			(void)snprintf(text, sizeof(text),
				       "apiVersion: v1\nkind: Pod\n"
				       "metadata: {name: w%u, namespace: shop, labels: {%s}}\n"
				       "spec: {containers: [{name: c}]}\n"
				       "status: {phase: Running, podIPs: [{ip: 198.18.1.%u}]}\n",
				       i, labels, i + 1);
			struct arena *a = arena_new();
			struct yaml *y = yaml_open(slice_of(text));
			struct tree *root = NULL;
			struct buf json;
			unsigned line = 0;
			buf_init(&json, 4096);
			assert_int_equal(yaml_next(y, a, &root, &err, &line), YAML_DOCUMENT);
			assert_true(tree_write_json(root, &json));
			assert_true(view_builder_set_json(b, KIND_POD, buf_slice(&json), &err));
			buf_fini(&json);
			yaml_close(y);
			arena_free(a);
		}
		struct view *v = view_build(b, NULL);
		for (unsigned i = 0; i < N; i++) {
			struct ip ip = ip_v4(0xc6120101 + i);
			const struct workload *w = view_workload_by_ip(v, &ip);
			assert_non_null(w);
			assert_ptr_equal(view_mtls(w, 1).by,
					 by_hand(policies, N, &w->pod->meta.labels));
		}
		view_put(v);
		view_builder_free(b);
		for (unsigned i = 0; i < N; i++)
			object_put(policies[i]);
	}
}

/* DestinationRule */

#define SERVICE(name, ns)                                                                          \
	"apiVersion: v1\nkind: Service\n"                                                          \
	"metadata: {name: " name ", namespace: " ns "}\n"                                          \
	"spec: {clusterIP: 198.19.0.1, ports: [{name: a, port: 80}, {name: b, port: 81}]}\n---\n"

/* A rule in one line: "NS HOST EXPORT DAY EXTRA". */
static void rule(struct buf *out, size_t i, const char *ns, const char *host, const char *extra,
		 unsigned day)
{
	buf_printf(out,
		   "apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\n"
		   "metadata: {name: r%zu, namespace: %s, creationTimestamp: "
		   "'2026-01-%02uT00:00:00Z'}\nspec: {host: '%s', %s}\n---\n",
		   i, ns, day, host, extra);
}

#define SNI(text) "trafficPolicy: {tls: {mode: SIMPLE, sni: " text "}}"

static const struct {
	const char *name;
	const char *client; /* namespace */
	struct {
		const char *ns, *host, *extra;
		unsigned day;
	} rules[4];
	const char *sni; /* of the rule that counts for shop/db; "-": none */
} lookups[] = {
	/* clang-format off */
	{"no rule",                        "shop", {{0}}, "-"},
	{"a short name",                   "shop", {{"shop", "db", SNI("a"), 1}}, "a"},
	{"a short name of another namespace", "web", {{"web", "db", SNI("a"), 1}}, "-"},
	{"name and namespace is no short name", "shop", {{"shop", "db.shop", SNI("a"), 1}}, "-"},
	{"the whole name",                 "web",  {{"web", "db.shop.svc.cluster.local", SNI("a"), 1}}, "a"},
	{"exact before a star",            "shop", {{"shop", "*.shop.svc.cluster.local", SNI("a"), 1}, {"shop", "db", SNI("b"), 2}}, "b"},
	{"the longest behind a star",      "shop", {{"shop", "*.local", SNI("a"), 1}, {"shop", "*.shop.svc.cluster.local", SNI("b"), 2}, {"shop", "*", SNI("c"), 1}}, "b"},
	{"a star alone",                   "shop", {{"shop", "*", SNI("a"), 1}}, "a"},
	{"a star inside a label",          "shop", {{"shop", "*b.shop.svc.cluster.local", SNI("a"), 1}, {"shop", "*.cluster.local", SNI("b"), 1}}, "a"},
	{"a star needs something before it", "shop", {{"shop", "*.db.shop.svc.cluster.local", SNI("a"), 1}}, "-"},
	{"the client's namespace first",   "web",  {{"shop", "db", SNI("a"), 1}, {"web", "*.local", SNI("b"), 2}, {"istio-system", "db.shop.svc.cluster.local", SNI("c"), 1}}, "b"},
	{"then the Service's",             "web",  {{"shop", "*.local", SNI("a"), 1}, {"istio-system", "db.shop.svc.cluster.local", SNI("b"), 1}}, "a"},
	{"then the root's",                "web",  {{"istio-system", "*.local", SNI("a"), 1}, {"else", "db.shop.svc.cluster.local", SNI("b"), 1}}, "a"},
	{"private to its namespace",       "web",  {{"shop", "db", "exportTo: ['.'], " SNI("a"), 1}, {"istio-system", "*", SNI("b"), 1}}, "b"},
	{"private to the client's",        "shop", {{"shop", "db", "exportTo: ['.'], " SNI("a"), 1}}, "a"},
	{"exported to the client by name", "web",  {{"shop", "db", "exportTo: [x, web], " SNI("a"), 1}}, "a"},
	{"exported to nobody",             "web",  {{"shop", "db", "exportTo: ['~'], " SNI("a"), 1}}, "-"},
	{"one that is not exported hides nothing", "web", {{"shop", "db", "exportTo: [x], " SNI("a"), 1}, {"shop", "*.local", SNI("b"), 1}}, "b"},
	{"the oldest policy of a host",    "shop", {{"shop", "db", SNI("a"), 2}, {"shop", "db.shop.svc.cluster.local", SNI("b"), 1}}, "b"},
	{"the oldest that has one",        "shop", {{"shop", "db", "exportTo: ['*']", 1}, {"shop", "db", SNI("b"), 2}}, "b"},
	{"a rule without policy still wins by its namespace", "shop", {{"shop", "db", "exportTo: ['*']", 1}, {"istio-system", "*", SNI("b"), 2}}, "-"},
	{"for this workload alone",        "shop", {{"shop", "db", SNI("a"), 1}, {"shop", "db", "workloadSelector: {matchLabels: {app: db}}, " SNI("b"), 2}}, "b"},
	{"for another workload alone",     "shop", {{"shop", "db", "workloadSelector: {matchLabels: {app: x}}, " SNI("b"), 1}}, "-"},
	{"for workloads of its own namespace alone", "web", {{"shop", "db", "workloadSelector: {matchLabels: {app: db}}, " SNI("b"), 1}}, "-"},
	{"a client in the root namespace: the Service's before the root's public ones", "istio-system", {{"istio-system", "*", SNI("a"), 1}, {"shop", "db", SNI("b"), 2}}, "b"},
	{"a client in the root namespace: the root's private ones first", "istio-system", {{"istio-system", "*", "exportTo: ['.'], " SNI("a"), 1}, {"shop", "db", SNI("b"), 2}}, "a"},
	/* clang-format on */
};

/* Somebody else's sidecar says the same of "me". */
static void seen_by_another(size_t i, const char *yaml)
{
	struct ip ip;
	struct view *v = test_view("elsewhere", "another", yaml);
	assert_true(ip_parse(SLICE("198.18.0.7"), &ip));
	const struct workload *me = view_workload_by_ip(v, &ip);
	const struct view_service *s = view_service_by_name(v, "shop", "db");
	assert_non_null(me);
	const struct object *by = NULL;
	const struct client_tls *tls = view_tls_of(v, me, &s->ports[0], &by);
	if (strcmp(tls ? tls->sni : "-", lookups[i].sni) != 0)
		fail_msg("%s, seen by another: %s", lookups[i].name, tls ? tls->sni : "-");
	assert_true(!tls || &by->destination_rule->policy.tls == tls);
	view_put(v);
}

static void destination_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(lookups); i++) {
		struct buf yaml;
		buf_init(&yaml, 1 << 16);
		buf_puts(&yaml, SERVICE("db", "shop"));
		buf_printf(&yaml,
			   "apiVersion: v1\nkind: Pod\n"
			   "metadata: {name: me, namespace: %s, labels: {app: db}}\n"
			   "spec: {containers: [{name: c}]}\n"
			   "status: {phase: Running, podIPs: [{ip: 198.18.0.7}]}\n---\n",
			   lookups[i].client);
		for (size_t j = 0; j < N_ELEMS(lookups[i].rules) && lookups[i].rules[j].ns; j++)
			rule(&yaml, j, lookups[i].rules[j].ns, lookups[i].rules[j].host,
			     lookups[i].rules[j].extra, lookups[i].rules[j].day);
		struct view *v = test_view(lookups[i].client, "me", buf_cstr(&yaml));
		const struct view_service *s = view_service_by_name(v, "shop", "db");
		const struct client_tls *tls = s->ports[0].tls;
		if (strcmp(tls ? tls->sni : "-", lookups[i].sni) != 0)
			fail_msg("%s: %s", lookups[i].name, tls ? tls->sni : "-");
		view_put(v);
		seen_by_another(i, buf_cstr(&yaml));
		buf_fini(&yaml);
	}
}

static const struct {
	const char *name;
	const char *spec;   /* of the rule */
	const char *subset; /* or "" */
	const char *at[2];  /* SNI at ports 80 and 81; "-": nothing is said */
} ports[] = {
	/* clang-format off */
	{"no policy",                      "host: db", "", {"-", "-"}},
	{"a policy without tls",           "host: db, trafficPolicy: {loadBalancer: {simple: RANDOM}}", "", {"-", "-"}},
	{"tls",                            "host: db, " SNI("a"), "", {"a", "a"}},
	{"a port over all",                "host: db, trafficPolicy: {tls: {sni: a}, portLevelSettings: [{port: {number: 81}, tls: {sni: b}}]}", "", {"a", "b"}},
	{"a port replaces as a whole",     "host: db, trafficPolicy: {tls: {sni: a}, portLevelSettings: [{port: {number: 81}, loadBalancer: {simple: RANDOM}}]}", "", {"a", "-"}},
	{"a port alone",                   "host: db, trafficPolicy: {portLevelSettings: [{port: {number: 81}, tls: {sni: b}}]}", "", {"-", "b"}},
	{"a subset without a policy",      "host: db, trafficPolicy: {tls: {sni: a}}, subsets: [{name: v1}]", "v1", {"a", "a"}},
	{"a subset over the rule",         "host: db, trafficPolicy: {tls: {sni: a}}, subsets: [{name: v1, trafficPolicy: {tls: {sni: c}}}]", "v1", {"c", "c"}},
	{"a subset's other block",         "host: db, trafficPolicy: {tls: {sni: a}}, subsets: [{name: v1, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]", "v1", {"a", "a"}},
	{"a subset over the rule's port",  "host: db, trafficPolicy: {portLevelSettings: [{port: {number: 81}, tls: {sni: b}}]}, subsets: [{name: v1, trafficPolicy: {tls: {sni: c}}}]", "v1", {"c", "c"}},
	{"a subset's port",                "host: db, trafficPolicy: {tls: {sni: a}}, subsets: [{name: v1, trafficPolicy: {portLevelSettings: [{port: {number: 81}, tls: {sni: d}}]}}]", "v1", {"a", "d"}},
	{"another subset",                 "host: db, trafficPolicy: {tls: {sni: a}}, subsets: [{name: v1, trafficPolicy: {tls: {sni: c}}}]", "v2", {"a", "a"}},
	/* clang-format on */
};

static void tls_of_ports(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(ports); i++) {
		struct buf yaml;
		buf_init(&yaml, 1 << 16);
		buf_puts(&yaml, SERVICE("db", "shop"));
		buf_printf(&yaml,
			   "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
			   "metadata: {name: r, namespace: shop}\nspec: {%s}\n---\n",
			   ports[i].spec);
		struct view *v = test_view("shop", "me", buf_cstr(&yaml));
		const struct view_service *s = view_service_by_name(v, "shop", "db");
		const struct object *by = NULL;
		const struct subset *subset = view_subset(s, slice_of(ports[i].subset), &by);
		assert_true(!subset == !by);
		for (size_t k = 0; k < 2; k++) {
			const struct client_tls *tls = view_tls(&s->ports[k], subset);
			if (strcmp(tls ? tls->sni : "-", ports[i].at[k]) != 0)
				fail_msg("%s: port %u: %s", ports[i].name, s->ports[k].port->port,
					 tls ? tls->sni : "-");
		}
		view_put(v);
		buf_fini(&yaml);
	}
}

/* Subsets of all rules for a host are there; of two with one name the older one's. */
static void subsets(void **state)
{
	(void)state;
	struct buf yaml;
	buf_init(&yaml, 1 << 16);
	buf_puts(&yaml, SERVICE("db", "shop"));
	rule(&yaml, 0, "shop", "db", "subsets: [{name: v1, labels: {v: young}}, {name: v2}]", 2);
	rule(&yaml, 1, "shop", "db", "subsets: [{name: v1, labels: {v: old}}, {name: v3}]", 1);
	struct view *v = test_view("shop", "me", buf_cstr(&yaml));
	const struct view_service *s = view_service_by_name(v, "shop", "db");
	const struct object *by = NULL;
	assert_string_equal(pairs_get(&view_subset(s, SLICE("v1"), &by)->labels, "v"), "old");
	assert_string_equal(by->meta.name, "r1");
	assert_non_null(view_subset(s, SLICE("v2"), &by));
	assert_string_equal(by->meta.name, "r0");
	assert_non_null(view_subset(s, SLICE("v3"), &by));
	assert_null(view_subset(s, SLICE("v4"), &by));
	view_put(v);
	buf_fini(&yaml);
}

/* AuthorizationPolicy: which ones, in which order */

#define AP(name, ns, day, spec)                                                                    \
	"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"                            \
	"metadata: {name: " name ", namespace: " ns ", creationTimestamp: '2026-01-" day           \
	"T00:00:00Z'}\n"                                                                           \
	"spec: {" spec "}\n---\n"

static void own_policies(void **state)
{
	(void)state;
	static const char yaml[] = POD("db-0", "shop", "198.18.0.1") AP("z", "shop", "01", "")
		AP("a", "shop", "02", "selector: {matchLabels: {app: db}}")
			AP("b", "shop", "01", "selector: {matchLabels: {app: other}}")
				AP("c", "shop", "01", "targetRefs: [{kind: Gateway, name: g}]")
					AP("root", "istio-system", "03",
					   "selector: {matchLabels: {tier: back}}")
						AP("root-other", "istio-system", "01",
						   "selector: {matchLabels: {tier: front}}")
							AP("far", "far", "01", "");
	struct view *v = test_view("shop", "db-0", yaml);
	const struct authz *z = view_authz(v);
	assert_int_equal(z->n_policies, 3);
	assert_string_equal(z->policies[0]->meta.name, "root");
	assert_string_equal(z->policies[1]->meta.name, "z");
	assert_string_equal(z->policies[2]->meta.name, "a");
	view_put(v);
	v = test_view("web", "nobody", yaml);
	assert_int_equal(view_authz(v)->n_policies, 0);
	view_put(v);
	v = test_view("istio-system", "nobody", yaml); /* the root's own: once */
	assert_int_equal(view_authz(v)->n_policies, 0);
	view_put(v);
}

static void identities(void **state)
{
	(void)state;
	static const char yaml[] = POD(
		"db-0", "shop", "198.18.0.1") "apiVersion: v1\nkind: ConfigMap\n"
					      "metadata: {name: istio, namespace: istio-system}\n"
					      "data:\n  mesh: |\n    trustDomain: me@home\n"
					      "    trustDomainAliases: [old.local]\n---\n";
	static const struct {
		const char *uri;
		bool is;
	} uris[] = {
		{"spiffe://me.home/ns/shop/sa/sql", true},
		{"spiffe://old.local/ns/shop/sa/sql", true},
		{"spiffe://cluster.local/ns/shop/sa/sql", false},
		{"spiffe://me.home/ns/shop/sa/sql2", false},
		{"spiffe://me.home/ns/shop/sa/sq", false},
		{"spiffe://me.home/ns/shop2/sa/sql", false},
		{"spiffe://me.home/ns/shop/sa/sql/", false},
		{"https://me.home/ns/shop/sa/sql", false},
		{"spiffe://me.home", false},
		{"", false},
	};
	struct view *v = test_view("shop", "db-0", yaml);
	char text[VIEW_IDENTITY_LEN];
	assert_string_equal(view_identity(v, view_self(v), text, sizeof(text)), uris[0].uri);
	for (size_t i = 0; i < N_ELEMS(uris); i++)
		if (view_is_identity(v, view_self(v), slice_of(uris[i].uri)) != uris[i].is)
			fail_msg("%s", uris[i].uri);
	view_put(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peer_authentication), cmocka_unit_test(oldest),
		cmocka_unit_test(property_labels),     cmocka_unit_test(destination_rules),
		cmocka_unit_test(tls_of_ports),        cmocka_unit_test(subsets),
		cmocka_unit_test(own_policies),        cmocka_unit_test(identities),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
