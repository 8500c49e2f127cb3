#include "local/testing.h"

#include <ldns/ldns.h>

#include "local/cluster_answer.h"

static struct store *shop(void)
{
	struct store *s = store_new();
	put(s, KIND_SERVICE,
	    "{'metadata': {'name': 'db', 'namespace': 'shop'}, 'spec': {'clusterIP': '198.19.1.1', "
	    "'clusterIPs': ['198.19.1.1', 'fd00::1'], 'ipFamilies': ['IPv4', 'IPv6'], "
	    "'ports': [{'name': 'mysql', 'port': 3306}, {'name': 'dns', 'port': 53, 'protocol': "
	    "'UDP'}]}}");
	put(s, KIND_SERVICE,
	    "{'metadata': {'name': 'v4', 'namespace': 'shop'}, 'spec': {'clusterIP': '198.19.1.2', "
	    "'clusterIPs': ['198.19.1.2'], 'ipFamilies': ['IPv4'], 'ports': [{'port': 1}]}}");
	put(s, KIND_SERVICE,
	    "{'metadata': {'name': 'hl', 'namespace': 'shop'}, 'spec': {'clusterIP': 'None', "
	    "'ports': [{'name': 'p', 'port': 9}]}}");
	put(s, KIND_ENDPOINT_SLICE,
	    "{'metadata': {'name': 'hl-1', 'namespace': 'shop', 'labels': "
	    "{'kubernetes.io/service-name': 'hl'}}, 'addressType': 'IPv4', 'endpoints': ["
	    "{'addresses': ['198.18.0.7'], 'hostname': 'db-0', 'conditions': {'ready': true}},"
	    "{'addresses': ['198.18.0.8'], 'conditions': {'ready': true}},"
	    "{'addresses': ['198.18.0.9'], 'hostname': 'db-2', 'conditions': {'ready': false}}],"
	    "'ports': [{'name': 'p', 'port': 9}]}");
	put(s, KIND_SERVICE,
	    "{'metadata': {'name': 'out', 'namespace': 'shop'}, 'spec': {'type': 'ExternalName', "
	    "'externalName': 'www.example.com'}}");
	put(s, KIND_SERVICE,
	    "{'metadata': {'name': 'alias', 'namespace': 'shop'}, 'spec': {'type': 'ExternalName', "
	    "'externalName': 'db.shop.svc.cluster.local'}}");
	put(s, KIND_SERVICE,
	    "{'metadata': {'name': 'loop', 'namespace': 'shop'}, 'spec': {'type': 'ExternalName', "
	    "'externalName': 'loop.shop.svc.cluster.local'}}");
	put(s, KIND_SERVICE,
	    "{'metadata': {'name': 'empty', 'namespace': 'shop'}, 'spec': {'clusterIP': 'None', "
	    "'ports': [{'port': 1}]}}");
	put_pod(s, "web", "web", 80, "198.18.0.3", true, "");
	put_pod(s, "st", "st", 80, "198.18.0.4", true, ", 'hostname': 'st-0', 'subdomain': 'none'");
	return s;
}

#define Z ".svc.cluster.local"

/* ANSWER: "TYPE DATA" of the answer section, joined by ';'. */
static const struct {
	const char *rule, *name;
	uint16_t type;
	enum dns_rcode rcode;
	const char *answer;
} cases[] = {
	{"virtual IP", "db.shop" Z, DNS_A, DNS_NOERROR, "A 198.19.1.1"},
	{"virtual IP, IPv6", "db.shop" Z, DNS_AAAA, DNS_NOERROR, "AAAA fd00::1"},
	{"any", "db.shop" Z, DNS_ANY, DNS_NOERROR, "A 198.19.1.1;AAAA fd00::1"},
	{"a family it lacks is no NXDOMAIN", "v4.shop" Z, DNS_AAAA, DNS_NOERROR, ""},
	{"another type", "db.shop" Z, DNS_TXT, DNS_NOERROR, ""},
	{"no such service", "nope.shop" Z, DNS_A, DNS_NXDOMAIN, ""},
	{"no such namespace", "db.nope" Z, DNS_A, DNS_NXDOMAIN, ""},
	{"headless: ready endpoints", "hl.shop" Z, DNS_A, DNS_NOERROR, "A 198.18.0.7;A 198.18.0.8"},
	{"headless without endpoints exists", "empty.shop" Z, DNS_A, DNS_NOERROR, ""},
	{"host of a headless service", "db-0.hl.shop" Z, DNS_A, DNS_NOERROR, "A 198.18.0.7"},
	{"host, no IPv6", "db-0.hl.shop" Z, DNS_AAAA, DNS_NOERROR, ""},
	{"host by its address", "198-18-0-8.hl.shop" Z, DNS_A, DNS_NOERROR, "A 198.18.0.8"},
	{"host that is not ready", "db-2.hl.shop" Z, DNS_A, DNS_NXDOMAIN, ""},
	{"host of an ordinary service", "db-0.db.shop" Z, DNS_A, DNS_NXDOMAIN, ""},
	{"external name", "out.shop" Z, DNS_A, DNS_NOERROR, "CNAME www.example.com."},
	{"external name of a service", "alias.shop" Z, DNS_A, DNS_NOERROR,
	 "CNAME db.shop.svc.cluster.local.;A 198.19.1.1"},
	{"SRV", "_mysql._tcp.db.shop" Z, DNS_SRV, DNS_NOERROR,
	 "SRV 0 100 3306 db.shop.svc.cluster.local."},
	{"SRV, UDP", "_dns._udp.db.shop" Z, DNS_SRV, DNS_NOERROR,
	 "SRV 0 100 53 db.shop.svc.cluster.local."},
	{"SRV, wrong protocol", "_mysql._udp.db.shop" Z, DNS_SRV, DNS_NXDOMAIN, ""},
	{"SRV name, address asked", "_mysql._tcp.db.shop" Z, DNS_A, DNS_NOERROR, ""},
	{"above SRV", "_tcp.db.shop" Z, DNS_SRV, DNS_NOERROR, ""},
	{"SRV of a headless service", "_p._tcp.hl.shop" Z, DNS_SRV, DNS_NOERROR,
	 "SRV 0 100 9 db-0.hl.shop.svc.cluster.local.;"
	 "SRV 0 100 9 198-18-0-8.hl.shop.svc.cluster.local."},
	{"a Pod", "198-18-0-3.default.pod.cluster.local", DNS_A, DNS_NOERROR, "A 198.18.0.3"},
	{"a Pod of another namespace", "198-18-0-3.shop.pod.cluster.local", DNS_A, DNS_NXDOMAIN,
	 ""},
	{"backwards, virtual IP", "1.1.19.198.in-addr.arpa", DNS_PTR, DNS_NOERROR,
	 "PTR db.shop.svc.cluster.local."},
	{"backwards, Pod", "3.0.18.198.in-addr.arpa", DNS_PTR, DNS_NOERROR,
	 "PTR 198-18-0-3.default.pod.cluster.local."},
	{"backwards, a subdomain that is no service", "4.0.18.198.in-addr.arpa", DNS_PTR,
	 DNS_NOERROR, "PTR 198-18-0-4.default.pod.cluster.local."},
	{"backwards, nobody", "8.8.8.8.in-addr.arpa", DNS_PTR, DNS_NXDOMAIN, ""},
	{"a namespace exists", "shop" Z, DNS_A, DNS_NOERROR, ""},
	{"the zone", "cluster.local", DNS_SOA, DNS_NOERROR, NULL},
	{"outside", "www.example.com", DNS_A, DNS_NXDOMAIN, ""},
	{"searched in vain", "www.example.com.shop" Z, DNS_A, DNS_NXDOMAIN, ""},
};

/* The answer section of what cluster_answer() says, as ldns reads it. */
static void ask(struct store *s, const char *name, uint16_t type, enum dns_rcode *rcode,
		char out[2048])
{
	struct cluster_zone zone = {.store = s, .name = "cluster.local"};
	struct dns_query q;
	uint8_t *wire = NULL;
	size_t len = 0;
	ldns_pkt *pkt = ldns_pkt_query_new(ldns_dname_new_frm_str(name), (ldns_rr_type)type,
					   LDNS_RR_CLASS_IN, LDNS_RD);
	assert_int_equal(ldns_pkt2wire(&wire, pkt, &len), LDNS_STATUS_OK);
	ldns_pkt_free(pkt);
	assert_int_equal(dns_query_read((struct slice){(char *)wire, len}, &q), DNS_QUESTION);
	free(wire);
	struct dns_answer *a = dns_answer_new(&q);
	struct buf bytes;
	buf_init(&bytes, DNS_MESSAGE_MAX);
	cluster_answer(&zone, &q, a);
	assert_true(dns_answer_write(a, DNS_MESSAGE_MAX, &bytes));
	dns_answer_free(a);
	assert_int_equal(
		ldns_wire2pkt(&pkt, (const uint8_t *)buf_slice(&bytes).at, buf_len(&bytes)),
		LDNS_STATUS_OK);
	*rcode = (enum dns_rcode)ldns_pkt_get_rcode(pkt);
	out[0] = '\0';
	size_t at = 0;
	for (size_t i = 0; i < ldns_rr_list_rr_count(ldns_pkt_answer(pkt)); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_answer(pkt), i);
		char *kind = ldns_rr_type2str(ldns_rr_get_type(rr));
		at += (size_t)snprintf(out + at, 2048 - at, "%s%s", i ? ";" : "", kind);
		free(kind);
		for (size_t j = 0; j < ldns_rr_rd_count(rr); j++) {
			char *data = ldns_rdf2str(ldns_rr_rdf(rr, j));
			at += (size_t)snprintf(out + at, 2048 - at, " %s", data);
			free(data);
		}
	}
	ldns_pkt_free(pkt);
	buf_fini(&bytes);
}

static void answers_as_kubernetes(void **state)
{
	(void)state;
	struct store *s = shop();
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		enum dns_rcode rcode;
		char answer[2048];
		print_message("%s\n", cases[i].rule);
		ask(s, cases[i].name, cases[i].type, &rcode, answer);
		assert_int_equal(rcode, cases[i].rcode);
		if (cases[i].answer)
			assert_string_equal(answer, cases[i].answer);
	}
	store_free(s);
}

static void names_that_point_to_each_other_end(void **state)
{
	(void)state;
	struct store *s = shop();
	enum dns_rcode rcode;
	char answer[2048];
	ask(s, "loop.shop" Z, DNS_A, &rcode, answer);
	assert_int_equal(rcode, DNS_NOERROR);
	assert_non_null(strstr(answer, "CNAME loop.shop"));
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_as_kubernetes),
		cmocka_unit_test(names_that_point_to_each_other_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
