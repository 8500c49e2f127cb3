#include "local/testing.h"

#include "local/vips.h"

static const char slice_v4[] =
	"{'metadata': {'name': 's4', 'labels': {'kubernetes.io/service-name': 'db'}}, "
	"'addressType': "
	"'IPv4', 'endpoints': [{'addresses': ['198.18.0.7'], 'conditions': {'ready': true}}, "
	"{'addresses': ['198.18.0.8'], 'conditions': {'ready': true}}, {'addresses': "
	"['198.18.0.9'], "
	"'conditions': {'ready': false}}], 'ports': [{'name': 'p', 'port': 3306}]}";

static const struct {
	const char *rule, *affinity;
	const char *line; /* must stand in the rules; with '!' in front: must not */
} cases[] = {
	{"random over the ready ones", "",
	 "endpoints-v4 { 198.19.1.1 . tcp . 80 . 0 : 198.18.0.7 . 3306, 198.19.1.1 . tcp . 80 . 1 "
	 ": "
	 "198.18.0.8 . 3306 }\nadd element inet hark-vips services-v4 { 198.19.1.1 . tcp . 80 : "
	 "goto pick-2 }"},
	{"the client's address decides with affinity", ", 'sessionAffinity': 'ClientIP'",
	 "198.19.1.1 . tcp . 80 : goto stick-2"},
	{"a port without endpoints is not translated", "", "!tcp . 81"},
	{"what is not translated is refused", "",
	 "refuse ip daddr 198.19.0.0/16 meta l4proto tcp reject with tcp reset"},
	{"and so is UDP, and IPv6", "",
	 "refuse ip6 daddr fd68:6172:6b:1::/64 reject with icmpv6 port-unreachable"},
	{"a Pod that reaches itself", "", "198.18.0.7 . 198.18.0.7"},
};

static void rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct node_config cfg;
		struct err err = {0};
		struct store *s = store_new();
		struct buf out;
		char text[512];
		print_message("%s\n", cases[i].rule);
		assert_true(node_config_init(&cfg, "test", &err));
		snprintf(text, sizeof(text),
			 "{'metadata': {'name': 'db'}, 'spec': {'clusterIP': '198.19.1.1', "
			 "'clusterIPs': ['198.19.1.1'], 'ipFamilies': ['IPv4'], 'ports': [{'name': "
			 "'p', 'port': 80}, {'name': 'q', 'port': 81}]%s}}",
			 cases[i].affinity);
		put(s, KIND_SERVICE, text);
		put(s, KIND_ENDPOINT_SLICE, slice_v4);
		put_pod(s, "db-0", "db", 1, "198.18.0.7", true, "");
		buf_init(&out, 1024 * 1024);
		assert_true(vips_rules(s, &cfg, &out));
		bool absent = cases[i].line[0] == '!';
		assert_int_equal(slice_contains(buf_slice(&out), slice_of(cases[i].line + absent)),
				 !absent);
		buf_fini(&out);
		store_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rules)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
