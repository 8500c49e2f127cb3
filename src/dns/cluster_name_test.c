#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dns/cluster_name.h"

static const struct {
	const char *rule, *name;
	enum cluster_name_kind kind;
	const char *ns, *service, *host, *port, *protocol, *ip;
} cases[] = {
	{"a service", "db.shop.svc.cluster.local", .kind = CLUSTER_NAME_SERVICE, .ns = "shop",
	 .service = "db"},
	{"an endpoint of a headless service", "db-0.db.shop.svc.cluster.local",
	 .kind = CLUSTER_NAME_HOST, .ns = "shop", .service = "db", .host = "db-0"},
	{"a port", "_mysql._tcp.db.shop.svc.cluster.local", .kind = CLUSTER_NAME_PORT, .ns = "shop",
	 .service = "db", .port = "mysql", .protocol = "tcp"},
	{"above the ports", "_tcp.db.shop.svc.cluster.local", .kind = CLUSTER_NAME_PROTOCOL,
	 .ns = "shop", .service = "db", .protocol = "tcp"},
	{"a port without its underscore", "mysql._tcp.db.shop.svc.cluster.local",
	 .kind = CLUSTER_NAME_NONE},
	{"one label too many", "x.db-0.db.shop.svc.cluster.local", .kind = CLUSTER_NAME_NONE},
	{"far too many", "1.2.3.4.5.6.7.8.9.svc.cluster.local", .kind = CLUSTER_NAME_NONE},
	{"a namespace", "shop.svc.cluster.local", .kind = CLUSTER_NAME_NS, .ns = "shop"},
	{"a namespace of pods", "shop.pod.cluster.local", .kind = CLUSTER_NAME_NS, .ns = "shop"},
	{"a branch", "svc.cluster.local", .kind = CLUSTER_NAME_BRANCH},
	{"the zone", "cluster.local", .kind = CLUSTER_NAME_ZONE},
	{"another branch", "db.shop.cluster.local", .kind = CLUSTER_NAME_NONE},
	{"not in the zone", "db.shop.svc.example.com", .kind = CLUSTER_NAME_OUTSIDE},
	{"ends like the zone", "xcluster.local", .kind = CLUSTER_NAME_OUTSIDE},
	{"the root", "", .kind = CLUSTER_NAME_OUTSIDE},
	{"a pod", "198-18-0-7.shop.pod.cluster.local", .kind = CLUSTER_NAME_POD, .ns = "shop",
	 .ip = "198.18.0.7"},
	{"a pod, IPv6", "fd00--7.shop.pod.cluster.local", .kind = CLUSTER_NAME_POD, .ns = "shop",
	 .ip = "fd00::7"},
	{"a pod that is no address", "web.shop.pod.cluster.local", .kind = CLUSTER_NAME_NONE},
	{"backwards", "7.0.18.198.in-addr.arpa", .kind = CLUSTER_NAME_ADDRESS, .ip = "198.18.0.7"},
	{"backwards, a net only", "0.18.198.in-addr.arpa", .kind = CLUSTER_NAME_OUTSIDE},
	{"backwards, too large", "7.0.18.256.in-addr.arpa", .kind = CLUSTER_NAME_OUTSIDE},
	{"backwards, IPv6",
	 "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
	 .kind = CLUSTER_NAME_ADDRESS, .ip = "fd00::7"},
	{"backwards, IPv6, a nibble short",
	 "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
	 .kind = CLUSTER_NAME_OUTSIDE},
	{"backwards, IPv6, no digit",
	 "g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
	 .kind = CLUSTER_NAME_OUTSIDE},
};

static void same(struct slice got, const char *want)
{
	assert_true(slice_eq(got, slice_of(want)));
}

static void reads_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct cluster_name n;
		char text[ADDR_TEXT];
		print_message("%s\n", cases[i].rule);
		cluster_name_read(slice_of(cases[i].name), SLICE("cluster.local"), &n);
		assert_int_equal(n.kind, cases[i].kind);
		if (n.kind == CLUSTER_NAME_NONE)
			continue;
		same(n.ns, cases[i].ns);
		same(n.service, cases[i].service);
		same(n.host, cases[i].host);
		same(n.port, cases[i].port);
		same(n.protocol, cases[i].protocol);
		if (cases[i].ip)
			assert_string_equal(ip_text(&n.ip, text), cases[i].ip);
	}
}

static void writes_addresses_as_labels(void **state)
{
	(void)state;
	struct ip ip;
	char text[ADDR_TEXT];
	assert_true(ip_parse(SLICE("198.18.0.7"), &ip));
	assert_string_equal(cluster_name_of_ip(&ip, text), "198-18-0-7");
	assert_true(ip_parse(SLICE("fd00::7"), &ip));
	assert_string_equal(cluster_name_of_ip(&ip, text), "fd00--7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_names),
		cmocka_unit_test(writes_addresses_as_labels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
