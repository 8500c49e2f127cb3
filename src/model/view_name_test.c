#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "model/view_fixture.h"

static const char yaml[] =
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: db, namespace: shop}\n"
	"spec: {clusterIPs: [198.19.0.1, 'fd00::1'], ports: [{port: 3306}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: only4, namespace: other}\n"
	"spec: {clusterIPs: [198.19.0.2], ports: [{port: 80}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: heads, namespace: shop}\n"
	"spec: {clusterIP: None, ports: [{port: 80}]}\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: heads-a, namespace: shop, labels: {kubernetes.io/service-name: heads}}\n"
	"addressType: IPv4\n"
	"endpoints:\n"
	"- {addresses: [198.18.0.1], hostname: h-0}\n"
	"- {addresses: [198.18.0.2], hostname: h-1, conditions: {ready: false}}\n"
	"- {addresses: [198.18.0.3]}\n"
	"---\n"
	"apiVersion: discovery.k8s.io/v1\n"
	"kind: EndpointSlice\n"
	"metadata: {name: heads-b, namespace: shop, labels: {kubernetes.io/service-name: heads}}\n"
	"addressType: IPv4\n"
	"endpoints: [{addresses: [198.18.0.3]}]\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: empty, namespace: shop}\n"
	"spec: {clusterIP: None, ports: [{port: 80}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: alias, namespace: shop}\n"
	"spec: {type: ExternalName, externalName: db.example.com}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: both, namespace: shop}\n"
	"spec: {clusterIPs: [198.19.0.3], ports: [{port: 80}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: top, namespace: cluster}\n"
	"spec: {clusterIPs: [198.19.0.5], ports: [{port: 80}]}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Service\n"
	"metadata: {name: near, namespace: far}\n"
	"spec: {clusterIPs: [198.19.0.4], ports: [{port: 80}]}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: {name: named, namespace: shop}\n"
	"spec: {hosts: [both, both.shop, near.far.svc, db.example.com, "
	"both.shop.svc.cluster.local],\n"
	"  addresses: [192.0.2.1], ports: [{number: 80, name: tcp}], resolution: STATIC,\n"
	"  endpoints: [{address: 192.0.2.9}]}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: {name: wild, namespace: shop}\n"
	"spec: {hosts: ['*.far', '*.example.com'], addresses: [192.0.2.2], ports: [{number: 80, "
	"name: tcp}],\n"
	"  resolution: NONE}\n"
	"---\n"
	"apiVersion: networking.istio.io/v1\n"
	"kind: ServiceEntry\n"
	"metadata: {name: bare, namespace: shop}\n"
	"spec: {hosts: [heads.shop], ports: [{number: 80, name: tcp}], resolution: NONE}\n";

static const struct slice domains[] = {SLICE("shop.svc.cluster.local"),
				       SLICE("svc.cluster.local"),
				       SLICE("cluster.local"),
				       SLICE("corp.example"),
				       SLICE("local"),
				       SLICE("mycluster.local")};
static const struct view_searches searches = {domains, N_ELEMS(domains)}, no_searches = {NULL, 0};

static const struct {
	const char *rule, *name;
	bool found, is_alias;
	const char *alias, *v4; /* addresses in text, one space behind each */
} cases[] = {
	{"the whole name", "db.shop.svc.cluster.local", true, false, NULL, "198.19.0.1 "},
	{"without the zone", "db.shop.svc", true, false, NULL, "198.19.0.1 "},
	{"with its namespace", "db.shop", true, false, NULL, "198.19.0.1 "},
	{"bare, of the own namespace", "db", true, false, NULL, "198.19.0.1 "},
	{"bare, of another namespace", "only4", false, false, NULL, ""},
	{"of another namespace", "only4.other", true, false, NULL, "198.19.0.2 "},
	{"bare, with the search domain: that is its name", "db.shop.svc.cluster.local", true, false,
	 NULL, "198.19.0.1 "},
	{"whole, with the search domain", "db.shop.svc.cluster.local.shop.svc.cluster.local", true,
	 true, NULL, "198.19.0.1 "},
	{"half, with the search domain", "only4.other.svc.shop.svc.cluster.local", true, true, NULL,
	 "198.19.0.2 "},
	{"that is a whole name", "only4.other.svc.cluster.local", true, false, NULL, "198.19.0.2 "},
	{"with the second search domain", "only4.other.svc.svc.cluster.local", true, true, NULL,
	 "198.19.0.2 "},
	{"with the third", "only4.other.cluster.local", true, true, NULL, "198.19.0.2 "},
	{"whole, with the third", "db.shop.svc.cluster.local.cluster.local", true, true, NULL,
	 "198.19.0.1 "},
	{"with one that is not the cluster's", "db.shop.corp.example", false, false, NULL, ""},
	{"with one that only ends like the cluster's", "only4.other.mycluster.local", false, false,
	 NULL, ""},
	{"with one above the cluster's", "top.cluster.local", false, false, NULL, ""},
	{"bare, with the second", "db.svc.cluster.local", false, false, NULL, ""},
	{"bare, with the third", "db.cluster.local", false, false, NULL, ""},
	{"with another namespace's", "only4.other.other.svc.cluster.local", false, false, NULL, ""},
	{"an entry's host", "db.example.com", true, false, NULL, "192.0.2.1 "},
	{"with the first search domain", "db.example.com.shop.svc.cluster.local", true, true, NULL,
	 "192.0.2.1 "},
	{"with the third search domain", "db.example.com.cluster.local", true, true, NULL,
	 "192.0.2.1 "},
	{"a wildcard, with the second", "x.example.com.svc.cluster.local", true, true, NULL,
	 "192.0.2.2 "},
	{"an entry's host before a Service's short name", "both.shop", true, false, NULL,
	 "192.0.2.1 "},
	{"a bare one, too", "both", true, false, NULL, "192.0.2.1 "},
	{"and one that ends in svc", "near.far.svc", true, false, NULL, "192.0.2.1 "},
	{"a Service's short name before a wildcard", "near.far", true, false, NULL, "198.19.0.4 "},
	{"the wildcard for all others", "other.far", true, false, NULL, "192.0.2.2 "},
	{"a Service before an entry of its whole name", "both.shop.svc.cluster.local", true, false,
	 NULL, "198.19.0.3 "},
	{"an entry without addresses takes nothing", "heads.shop", true, false, NULL,
	 "198.18.0.1 198.18.0.3 "},
	{"the search domain alone", "shop.svc.cluster.local", false, false, NULL, ""},
	{"ends like the search domain", "xshop.svc.cluster.local", false, false, NULL, ""},
	{"headless", "heads", true, false, NULL, "198.18.0.1 198.18.0.3 "},
	{"headless without an endpoint", "empty.shop", true, false, NULL, ""},
	{"a host", "h-0.heads.shop.svc.cluster.local", true, false, NULL, "198.18.0.1 "},
	{"a host, short", "h-0.heads", true, false, NULL, "198.18.0.1 "},
	{"a host with its namespace", "h-0.heads.shop", true, false, NULL, "198.18.0.1 "},
	{"a host without the zone", "h-0.heads.shop.svc", true, false, NULL, "198.18.0.1 "},
	{"a host with the search domain", "h-0.heads.shop.shop.svc.cluster.local", true, true, NULL,
	 "198.18.0.1 "},
	{"a host that is not ready", "h-1.heads.shop.svc.cluster.local", false, false, NULL, ""},
	{"a host of no headless Service", "h-0.db.shop.svc.cluster.local", false, false, NULL, ""},
	{"an ExternalName", "alias.shop.svc.cluster.local", true, false, "db.example.com", ""},
	{"nothing of ours", "www.example.org", false, false, NULL, ""},
	{"too many labels", "a.b.c.d.svc", false, false, NULL, ""},
	{"the root", "", false, false, NULL, ""},
	{"no name", ".", false, false, NULL, ""},
	{"dots", "db..shop", false, false, NULL, ""},
};

static void answers_names(void **state)
{
	(void)state;
	struct view *v = test_view("shop", "client", yaml);
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct ip ips[8];
		struct view_name found;
		char text[ADDR_TEXT], all[8 * ADDR_TEXT] = "";
		print_message("%s\n", cases[i].rule);
		bool known = view_name(v, slice_of(cases[i].name), &searches, IP_V4, ips,
				       N_ELEMS(ips), &found);
		assert_int_equal(known, cases[i].found);
		if (!known)
			continue;
		assert_int_equal(found.search_len != 0, cases[i].is_alias);
		for (size_t n = 0; n < found.n; n++) {
			strcat(all, ip_text(&ips[n], text));
			strcat(all, " ");
		}
		assert_string_equal(all, cases[i].v4);
		if (cases[i].alias)
			assert_string_equal(found.alias, cases[i].alias);
		else
			assert_null(found.alias);
	}
	view_put(v);
}

/* What `hark explain` takes a name for: as a Pod's resolver comes to it, through its search domains. */
static void resolves_as_clients_do(void **state)
{
	(void)state;
	static const struct {
		const char *name, *v4;
	} rows[] = {
		{"both", "198.19.0.3"}, /* its first question is for the whole name */
		{"both.shop", "192.0.2.1"},
		{"near.far", "198.19.0.4"},
		{"both.shop.svc.cluster.local", "198.19.0.3"},
	};
	struct view *v = test_view("shop", "client", yaml);
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct ip ip;
		char text[ADDR_TEXT];
		print_message("%s\n", rows[i].name);
		assert_int_equal(view_resolve(v, slice_of(rows[i].name), &ip, 1), 1);
		assert_string_equal(ip_text(&ip, text), rows[i].v4);
	}
	view_put(v);
}

static void the_other_family_is_empty(void **state)
{
	(void)state;
	struct view *v = test_view("shop", "client", yaml);
	struct ip ip;
	struct view_name found;
	assert_true(view_name(v, SLICE("only4.other"), &no_searches, IP_V6, &ip, 1, &found));
	assert_int_equal(found.n, 0);
	assert_true(view_name(v, SLICE("h-0.heads"), &no_searches, IP_V6, &ip, 1, &found));
	assert_int_equal(found.n, 0);
	assert_true(view_name(v, SLICE("db"), &no_searches, IP_V6, &ip, 1, &found));
	assert_int_equal(found.n, 1);
	view_put(v);
}

static void no_more_than_there_is_room_for(void **state)
{
	(void)state;
	struct view *v = test_view("shop", "client", yaml);
	struct ip ip;
	struct view_name found;
	assert_true(view_name(v, SLICE("heads"), &no_searches, IP_V4, &ip, 1, &found));
	assert_int_equal(found.n, 1);
	view_put(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_names),
		cmocka_unit_test(resolves_as_clients_do),
		cmocka_unit_test(the_other_family_is_empty),
		cmocka_unit_test(no_more_than_there_is_room_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
