#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "capture/capture.h"

struct setting {
	const char *name, *value;
};

/* The rules of a table of settings; freed by the caller's buf_fini. */
static void make_rules(struct arena *arena, const struct setting *settings, size_t n, bool dns,
		       struct buf *out)
{
	struct capture_config cfg;
	struct err err = {0};
	capture_config_init(&cfg);
	cfg.dns = dns;
	for (size_t i = 0; i < n && settings[i].name; i++)
		if (!capture_config_set(&cfg, settings[i].name, slice_of(settings[i].value), "test",
					arena, &err))
			fail_msg("%s", err.text);
	buf_init(out, 64 * 1024);
	if (!capture_rules(&cfg, out, &err))
		fail_msg("%s", err.text);
}

enum { MAX_SETTINGS = 3, MAX_LINES = 6 };

/* HAS: parts that must appear, in this order. NOT: one that must not. */
static const struct {
	const char *rule;
	struct setting settings[MAX_SETTINGS];
	bool dns;
	const char *has[MAX_LINES];
	const char *absent;
} cases[] = {
	{"replaces what was there in the same transaction",
	 {{0}},
	 false,
	 {"table inet hark-nat\ndelete table inet hark-nat\n",
	  "table inet hark-raw\ndelete table inet hark-raw\n", "table inet hark-nat {"},
	 "table inet hark-raw {"},
	{"I1 to I3: tunnel, the proxy's own ports, the rest",
	 {{0}},
	 false,
	 {"chain hark-inbound", "tcp dport 15008 counter return",
	  "tcp dport { 15021, 15090 } counter return", "tcp dport { 15020 } counter return",
	  "counter goto hark-in-redirect"},
	 NULL},
	{"I2: excluded inbound ports",
	 {{"excludeInboundPorts", "22,9000"}},
	 false,
	 {"tcp dport { 22, 9000 } counter return", "goto hark-in-redirect comment \"I3"},
	 NULL},
	{"I3': a list makes the exclude list mean nothing",
	 {{"includeInboundPorts", "80,81"}, {"excludeInboundPorts", "81"}},
	 false,
	 {"tcp dport { 80, 81 } counter goto hark-in-redirect"},
	 "{ 81 }"},
	{"P2: nothing inbound is captured when the list is empty",
	 {{"includeInboundPorts", ""}},
	 false,
	 {"chain prerouting"},
	 "jump hark-inbound"},
	{"P0: rerouted interfaces before excluded ones before inbound",
	 {{"rerouteVirtualInterfaces", "virbr0"}, {"excludeInterfaces", "net1"}},
	 false,
	 {"iifname \"virbr0\" meta l4proto tcp counter goto hark-redirect",
	  "iifname \"virbr0\" counter return", "iifname \"net1\" counter return",
	  "jump hark-inbound", "oifname \"net1\" counter return"},
	 NULL},
	{"O1 before O2 before O3, O4, O5 and the gid forms",
	 {{"excludeOutboundPorts", "53"}},
	 false,
	 {"tcp dport { 53 } counter return", "udp dport { 53 } counter return",
	  "ip saddr 127.0.0.6 counter return",
	  "ip daddr != 127.0.0.1 tcp dport != 15008 meta skuid 1337 counter goto hark-in-redirect",
	  "oifname \"lo\" meta skuid != 1337 counter return", "meta skuid 1337 counter return"},
	 NULL},
	{"O6 to O8 after O5",
	 {{0}},
	 false,
	 {"meta skuid 1337 counter return", "meta skgid 1337 counter goto hark-in-redirect",
	  "meta skgid != 1337 counter return", "meta skgid 1337 counter return",
	  "ip daddr 127.0.0.1 counter return", "goto hark-redirect comment \"O14"},
	 NULL},
	{"O4 is left out when a loopback range is asked for",
	 {{"includeOutboundIPRanges", "127.0.0.2/32"}},
	 false,
	 {"ip daddr { 127.0.0.2/32 } counter goto hark-redirect"},
	 "skuid != 1337"},
	{"O3, O4 with DNS: port 53 is left to the DNS rules, the gid form of O3 not",
	 {{0}},
	 true,
	 {"tcp dport != { 53, 15008 } meta skuid 1337",
	  "tcp dport != 53 meta skuid != 1337 counter return",
	  "ip daddr != 127.0.0.1 tcp dport != 15008 meta skgid 1337", "jump hark-output-dns",
	  "ct zone set 1 return"},
	 NULL},
	{"O12 before DNS (O10), before localhost (O11), before O13, O14",
	 {{"excludeOutboundIPRanges", "10.0.0.0/8,fd00::/8"}, {"includeOutboundPorts", "3306"}},
	 true,
	 {"ip daddr { 10.0.0.0/8 } counter return", "ip6 daddr { fd00::/8 } counter return",
	  "jump hark-output-dns", "ip daddr 127.0.0.1 counter return",
	  "tcp dport { 3306 } counter goto hark-redirect", "goto hark-redirect comment \"O14"},
	 NULL},
	{"O14: an empty list captures nothing outbound",
	 {{"includeOutboundIPRanges", ""}},
	 false,
	 {"chain output"},
	 "O14"},
	{"a range inside another is not named again",
	 {{"includeOutboundIPRanges", "10.1.0.0/16,10.0.0.0/8,10.0.0.0/8"}},
	 false,
	 {"ip daddr { 10.0.0.0/8 } counter goto hark-redirect"},
	 "10.1.0.0"},
	{"NONE: only the removal", {{"interceptionMode", "NONE"}}, true, {"delete"}, "chain"},
};

static void test_rules(void **state)
{
	(void)state; /* cmocka's */
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct arena *arena = arena_new();
		struct buf rules;
		make_rules(arena, cases[i].settings, MAX_SETTINGS, cases[i].dns, &rules);
		print_message("%s\n", cases[i].rule);
		const char *text = buf_cstr(&rules), *from = text;
		assert_non_null(text);
		for (size_t j = 0; j < MAX_LINES && cases[i].has[j]; j++) {
			from = strstr(from, cases[i].has[j]);
			if (!from)
				fail_msg("\"%s\" is missing or misplaced in\n%s", cases[i].has[j],
					 text);
		}
		if (cases[i].absent && strstr(text, cases[i].absent))
			fail_msg("\"%s\" should not be in\n%s", cases[i].absent, text);
		buf_fini(&rules);
		arena_free(arena);
	}
}

static void test_root_is_refused(void **state)
{
	(void)state; /* cmocka's */
	struct capture_config cfg;
	struct err err = {0};
	struct buf out;
	capture_config_init(&cfg);
	cfg.uid = 0;
	buf_init(&out, 64 * 1024);
	assert_false(capture_rules(&cfg, &out, &err));
	assert_int_equal(err.kind, ERR_BAD_INPUT);
	buf_fini(&out);
}

static void test_full_buffer(void **state)
{
	(void)state; /* cmocka's */
	struct capture_config cfg;
	struct err err = {0};
	struct buf out;
	capture_config_init(&cfg);
	buf_init(&out, 500);
	assert_false(capture_rules(&cfg, &out, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_root_is_refused),
		cmocka_unit_test(test_full_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
