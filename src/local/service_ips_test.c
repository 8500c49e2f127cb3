#include "local/testing.h"

#include "local/service_ips.h"

static struct node_config config(void)
{
	struct node_config cfg;
	struct err err = {0};
	assert_true(node_config_init(&cfg, "test", &err));
	return cfg;
}

static const struct {
	const char *rule, *spec;
	bool claimed;
	const char *v4, *v6; /* NULL: none; "*": some address of the range */
	const char *first;   /* spec.clusterIP is of this family */
} cases[] = {
	{"both families by default", "'ports': [{'port': 1}]", true, "*", "*", "IPv4"},
	{"one that is asked for", "'clusterIP': '198.19.3.4', 'ports': [{'port': 1}]", true,
	 "198.19.3.4", NULL, "IPv4"},
	{"outside of the range", "'clusterIP': '10.0.0.1', 'ports': [{'port': 1}]", false, NULL,
	 NULL, ""},
	{"taken", "'clusterIP': '198.19.1.1', 'ports': [{'port': 1}]", false, NULL, NULL, ""},
	{"headless", "'clusterIP': 'None', 'ports': [{'port': 1}]", true, NULL, NULL, ""},
	{"external name", "'type': 'ExternalName', 'externalName': 'a.b'", true, NULL, NULL, ""},
	{"IPv6 alone", "'ipFamilies': ['IPv6'], 'ports': [{'port': 1}]", true, NULL, "*", "IPv6"},
	{"IPv6 first",
	 "'ipFamilyPolicy': 'PreferDualStack', 'ipFamilies': ['IPv6', 'IPv4'], 'ports': [{'port': "
	 "1}]",
	 true, "*", "*", "IPv6"},
	{"NodePort is one too", "'type': 'NodePort', 'ports': [{'port': 1}]", true, "*", "*",
	 "IPv4"},
};

static void same_ip(const struct object *o, enum ip_family f, const char *want)
{
	char text[ADDR_TEXT];
	assert_int_equal(o->service->has_ip[f], want != NULL);
	if (want && strcmp(want, "*") != 0)
		assert_string_equal(ip_text(&o->service->cluster_ip[f], text), want);
}

static void gives_what_is_wanted(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct node_config cfg = config();
		struct store *store = store_new();
		struct service_ips ips;
		struct err err = {0};
		char text[512];
		print_message("%s\n", cases[i].rule);
		put(store, KIND_SERVICE,
		    "{'metadata': {'name': 'old'}, 'spec': {'clusterIP': '198.19.1.1', "
		    "'clusterIPs': ['198.19.1.1'], 'ipFamilies': ['IPv4'], 'ports': [{'port': "
		    "1}]}}");
		snprintf(text, sizeof(text), "{'metadata': {'name': 'new'}, 'spec': {%s}}",
			 cases[i].spec);
		struct object *o = make(KIND_SERVICE, text), *full;
		service_ips_init(&ips, &cfg, true, store);
		assert_int_equal(service_ips_claim(&ips, o, &err), cases[i].claimed);
		if (cases[i].claimed) {
			full = service_ips_fill(&ips, o, &err);
			assert_non_null(full);
			same_ip(full, IP_V4, cases[i].v4);
			same_ip(full, IP_V6, cases[i].v6);
			assert_false(service_ips_wanting(&ips, full));
			bool v6_first = slice_contains(full->json, SLICE("\"clusterIP\":\"fd"));
			assert_int_equal(v6_first, strcmp(cases[i].first, "IPv6") == 0);
			object_put(full);
		}
		service_ips_fini(&ips);
		object_put(o);
		store_free(store);
	}
}

/* Written again without an address it keeps the one it has; and another gets another. */
static void keeps_its_addresses(void **state)
{
	(void)state;
	struct node_config cfg = config();
	struct store *store = store_new();
	struct service_ips ips;
	struct err err = {0};
	struct object *plain = make(KIND_SERVICE, "{'metadata': {'name': 'a'}, 'spec': {'ports': "
						  "[{'port': 1}]}}");
	service_ips_init(&ips, &cfg, true, store);
	struct object *first = service_ips_fill(&ips, plain, &err);
	service_ips_fini(&ips);
	assert_non_null(first);
	assert_true(store_apply(store, first, STORE_CREATE, 0, NULL, &err));
	service_ips_init(&ips, &cfg, true, store);
	struct object *again = service_ips_fill(&ips, plain, &err);
	assert_non_null(again);
	assert_true(ip_eq(&first->service->cluster_ip[IP_V4], &again->service->cluster_ip[IP_V4]));
	assert_true(ip_eq(&first->service->cluster_ip[IP_V6], &again->service->cluster_ip[IP_V6]));
	struct object *other = make(KIND_SERVICE, "{'metadata': {'name': 'b'}, 'spec': {'ports': "
						  "[{'port': 1}]}}");
	struct object *full = service_ips_fill(&ips, other, &err);
	assert_non_null(full);
	assert_false(ip_eq(&first->service->cluster_ip[IP_V4], &full->service->cluster_ip[IP_V4]));
	service_ips_fini(&ips);
	object_put(plain);
	object_put(first);
	object_put(again);
	object_put(other);
	object_put(full);
	store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_what_is_wanted),
		cmocka_unit_test(keeps_its_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
