#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "capture/capture.h"

struct annotation {
	const char *key, *value;
};

static bool get_one(void *ctx, const char *key, struct slice *value)
{
	const struct annotation *a = ctx;
	if (strcmp(a->key, key) != 0)
		return false;
	*value = slice_of(a->value);
	return true;
}

#define TRAFFIC "traffic.sidecar.istio.io/"
#define ONLY_PORTS "a port (1 to 65535; the list is separated by commas)"
#define ANY_PORTS "a port (1 to 65535; the list is separated by commas, or is * for all ports)"

static const struct {
	const char *rule;
	struct annotation in;
	const char *error; /* the whole text */
} bad_cases[] = {
	{"port 0",
	 {TRAFFIC "excludeInboundPorts", "0"},
	 "annotation " TRAFFIC "excludeInboundPorts: \"0\" is not " ONLY_PORTS},
	{"port too large",
	 {TRAFFIC "excludeOutboundPorts", "80,65536"},
	 "annotation " TRAFFIC "excludeOutboundPorts: \"65536\" is not " ONLY_PORTS},
	{"range of ports",
	 {TRAFFIC "excludeInboundPorts", "8000-9000"},
	 "annotation " TRAFFIC "excludeInboundPorts: \"8000-9000\" is not " ONLY_PORTS},
	{"a star among ports",
	 {TRAFFIC "includeInboundPorts", "80,*"},
	 "annotation " TRAFFIC "includeInboundPorts: \"*\" is not " ANY_PORTS},
	{"star where it means nothing",
	 {TRAFFIC "includeOutboundPorts", "*"},
	 "annotation " TRAFFIC "includeOutboundPorts: \"*\" is not " ONLY_PORTS},
	{"an entry left empty",
	 {TRAFFIC "excludeInboundPorts", "80,,90"},
	 "annotation " TRAFFIC "excludeInboundPorts: \"\" is not " ONLY_PORTS},
	{"no address",
	 {TRAFFIC "includeOutboundIPRanges", "10.0.0.0/8,example.com"},
	 "annotation " TRAFFIC "includeOutboundIPRanges: \"example.com\" is not an address range "
	 "such as 10.0.0.0/8 or fd00::/8"},
	{"prefix too long",
	 {TRAFFIC "includeOutboundIPRanges", "10.0.0.0/33"},
	 "annotation " TRAFFIC "includeOutboundIPRanges: \"10.0.0.0/33\" is not an address range "
	 "such as 10.0.0.0/8 or fd00::/8"},
	{"star among excluded ranges",
	 {TRAFFIC "excludeOutboundIPRanges", "*"},
	 "annotation " TRAFFIC "excludeOutboundIPRanges: \"*\" is not an address range such as "
	 "10.0.0.0/8 or fd00::/8"},
	{"interface name that would end the quoting",
	 {TRAFFIC "excludeInterfaces", "eth0\" accept #"},
	 "annotation " TRAFFIC
	 "excludeInterfaces: \"eth0\" accept #\" is not the name of a network interface"},
	{"interface name too long",
	 {TRAFFIC "excludeInterfaces", "abcdefghijklmnop"},
	 "annotation " TRAFFIC
	 "excludeInterfaces: \"abcdefghijklmnop\" is not the name of a network interface"},
	{"mode unknown",
	 {"sidecar.istio.io/interceptionMode", "redirect"},
	 "annotation sidecar.istio.io/interceptionMode: \"redirect\" is not REDIRECT or NONE"},
	{"mode not offered",
	 {"sidecar.istio.io/interceptionMode", "TPROXY"},
	 "annotation sidecar.istio.io/interceptionMode: TPROXY is not offered here; use REDIRECT "
	 "(the default) or NONE"},
	{"status port",
	 {"status.sidecar.istio.io/port", "http"},
	 "annotation status.sidecar.istio.io/port: \"http\" is not a port (1 to 65535, or 0 for "
	 "none)"},
};

static void test_bad(void **state)
{
	(void)state; /* cmocka's */
	for (size_t i = 0; i < N_ELEMS(bad_cases); i++) {
		struct arena *arena = arena_new();
		struct capture_config cfg;
		struct err err = {0};
		capture_config_init(&cfg);
		struct annotation in = bad_cases[i].in;
		print_message("%s\n", bad_cases[i].rule);
		assert_false(capture_config_from_annotations(get_one, &in, arena, &cfg, &err));
		assert_string_equal(err.text, bad_cases[i].error);
		assert_int_equal(err.kind, ERR_BAD_INPUT);
		arena_free(arena);
	}
}

static struct capture_config take(struct arena *arena, const char *key, const char *value)
{
	struct capture_config cfg;
	struct err err = {0};
	struct annotation in = {key, value};
	capture_config_init(&cfg);
	if (!capture_config_from_annotations(get_one, &in, arena, &cfg, &err))
		fail_msg("%s=%s: %s", key, value, err.text);
	return cfg;
}

static void test_defaults(void **state)
{
	(void)state; /* cmocka's */
	struct capture_config cfg;
	capture_config_init(&cfg);
	assert_int_equal(cfg.mode, CAPTURE_REDIRECT);
	assert_int_equal(cfg.outbound_port, 15001);
	assert_int_equal(cfg.inbound_port, 15006);
	assert_int_equal(cfg.uid, 1337);
	assert_int_equal(cfg.gid, 1337);
	assert_true(cfg.inbound.all && cfg.ranges.all);
	assert_false(cfg.dns);
}

static void test_good(void **state)
{
	(void)state; /* cmocka's */
	struct arena *arena = arena_new();
	struct capture_config cfg;

	cfg = take(arena, TRAFFIC "includeInboundPorts", "*");
	assert_true(cfg.inbound.all);
	cfg = take(arena, TRAFFIC "includeInboundPorts", "");
	assert_true(!cfg.inbound.all && cfg.inbound.n == 0);
	cfg = take(arena, TRAFFIC "includeInboundPorts", " 80 , 3307 ");
	assert_true(!cfg.inbound.all && cfg.inbound.n == 2 && cfg.inbound.at[1] == 3307);
	cfg = take(arena, TRAFFIC "excludeOutboundPorts", "53");
	assert_true(cfg.outbound_exclude.n == 1 && cfg.outbound_exclude.at[0] == 53);
	cfg = take(arena, TRAFFIC "includeOutboundIPRanges", "10.1.2.3/8,fd00::/8,192.0.2.1");
	assert_true(!cfg.ranges.all && cfg.ranges.n == 3);
	char text[ADDR_TEXT];
	assert_string_equal(ip_text(&cfg.ranges.at[0].ip, text), "10.0.0.0");
	cfg = take(arena, TRAFFIC "includeOutboundIPRanges", "");
	assert_true(!cfg.ranges.all && cfg.ranges.n == 0);
	cfg = take(arena, TRAFFIC "excludeInterfaces", "eth1,net-2.100");
	assert_int_equal(cfg.ifaces_exclude.n, 2);
	assert_string_equal(cfg.ifaces_exclude.at[1], "net-2.100");
	cfg = take(arena, "istio.io/reroute-virtual-interfaces", "virbr0");
	assert_int_equal(cfg.ifaces_reroute.n, 1);
	cfg = take(arena, "sidecar.istio.io/interceptionMode", "NONE");
	assert_int_equal(cfg.mode, CAPTURE_NONE);
	cfg = take(arena, "status.sidecar.istio.io/port", "0");
	assert_int_equal(cfg.status_port, 0);
	cfg = take(arena, "example.com/other", "anything");
	assert_true(cfg.inbound.all);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
