#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "local/vip_table.h"

enum { N_PORTS = 3, N_ENDPOINTS = 3, N_STEPS = 4, N_TEXTS = 8, MANY = 2000 };

/* What a Service's ports are, as text: "198.19.0.1:80 tcp > 198.18.0.5:8080". */
struct port_words {
	const char *at;
	enum protocol_l4 protocol;
	bool sticky;
	const char *to[N_ENDPOINTS];
};

static const struct {
	const char *rule;
	struct {
		const char *service; /* NULL: Pods */
		struct port_words ports[N_PORTS];
		const char *pods[N_ENDPOINTS];
		bool failed;    /* before this step: what was sent last was refused */
		bool contested; /* expected: an address has become free that somebody waits for */
	} steps[N_STEPS];
	const char *has[N_TEXTS]; /* in the commands of the last step, in this order */
	const char *absent;
} cases[] = {
	{"the first commands begin with nothing",
	 {{.service = "db",
	   .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:8080", "198.18.0.6:8080"}}}}},
	 {"flush table", "flush map inet hark-vips endpoints-v4",
	  "refuse ip daddr 198.19.0.0/16 meta l4proto tcp reject with tcp reset",
	  "add chain inet hark-vips pick-2", "meta mark set numgen random mod 2",
	  "add element inet hark-vips endpoints-v4 { 198.19.0.1 . tcp . 80 . 0 : 198.18.0.5 . "
	  "8080, 198.19.0.1 . tcp . 80 . 1 : 198.18.0.6 . 8080 }",
	  "add element inet hark-vips services-v4 { 198.19.0.1 . tcp . 80 : goto pick-2 }"},
	 "delete"},
	{"later ones hold what changed, and no rules",
	 {{.service = "db",
	   .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:8080", "198.18.0.6:8080"}}}},
	  {.service = "web",
	   .ports = {{"198.19.0.2:80", L4_TCP, false, {"198.18.0.7:80", "198.18.0.8:80"}}}}},
	 {"add element inet hark-vips endpoints-v4 { 198.19.0.2 . tcp . 80 . 0 : 198.18.0.7 . 80",
	  "add element inet hark-vips services-v4 { 198.19.0.2 . tcp . 80 : goto pick-2 }"},
	 "chain"},
	{"an endpoint that moved: its element alone",
	 {{.service = "db",
	   .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:8080", "198.18.0.6:8080"}}}},
	  {.service = "db",
	   .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:8080", "198.18.0.9:8080"}}}}},
	 {"delete element inet hark-vips endpoints-v4 { 198.19.0.1 . tcp . 80 . 1 }\n"
	  "add element inet hark-vips endpoints-v4 { 198.19.0.1 . tcp . 80 . 1 : 198.18.0.9 . 8080 "
	  "}\n"},
	 "services-v4"},
	{"one endpoint less: another chain, the same endpoint",
	 {{.service = "db",
	   .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:8080", "198.18.0.6:8080"}}}},
	  {.service = "db", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:8080"}}}}},
	 {"add chain inet hark-vips pick-1",
	  "delete element inet hark-vips services-v4 { 198.19.0.1 . tcp . 80 }",
	  "delete element inet hark-vips endpoints-v4 { 198.19.0.1 . tcp . 80 . 1 }",
	  "add element inet hark-vips services-v4 { 198.19.0.1 . tcp . 80 : goto pick-1 }"},
	 "add element inet hark-vips endpoints-v4"},
	{"a Service without endpoints has no element: it is refused",
	 {{.service = "db", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:8080"}}}},
	  {.service = "db", .ports = {{"198.19.0.1:80", L4_TCP, false, {NULL}}}}},
	 {"delete element inet hark-vips services-v4 { 198.19.0.1 . tcp . 80 }",
	  "delete element inet hark-vips endpoints-v4 { 198.19.0.1 . tcp . 80 . 0 }"},
	 "add"},
	{"one port number for two protocols",
	 {{.service = "dns",
	   .ports = {{"198.19.0.10:53", L4_TCP, false, {"198.18.0.1:53"}},
		     {"198.19.0.10:53", L4_UDP, false, {"198.18.0.1:53"}}}}},
	 {"198.19.0.10 . tcp . 53 : goto pick-1", "198.19.0.10 . udp . 53 : goto pick-1"},
	 NULL},
	{"a client keeps its endpoint: drawn from its address",
	 {{.service = "db",
	   .ports = {{"198.19.0.1:80", L4_TCP, true, {"198.18.0.5:80", "198.18.0.6:80"}}}}},
	 {"add chain inet hark-vips stick-2", "meta mark set jhash ip saddr mod 2",
	  "meta mark set jhash ip6 saddr mod 2", "goto stick-2"},
	 "numgen"},
	{"IPv6 has maps of its own",
	 {{.service = "db", .ports = {{"[fd00::1]:80", L4_TCP, false, {"[fd00::5]:80"}}}}},
	 {"add element inet hark-vips endpoints-v6 { fd00::1 . tcp . 80 . 0 : fd00::5 . 80 }",
	  "add element inet hark-vips services-v6 { fd00::1 . tcp . 80 : goto pick-1 }"},
	 "services-v4 { fd"},
	{"nothing new, nothing to do",
	 {{.service = "db", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:80"}}}},
	  {.service = "db", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:80"}}}}},
	 {NULL},
	 "inet"},
	{"there and back before the next commands: nothing to do",
	 {{.service = "db", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:80"}}}},
	  {.pods = {"198.18.0.5"}},
	  {.pods = {"198.18.0.5"}}},
	 {NULL},
	 "inet"},
	{"after a failure everything again, as it shall be",
	 {{.service = "db", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:80"}}}},
	  {.service = "web", .ports = {{"198.19.0.2:80", L4_TCP, false, {"198.18.0.6:80"}}}},
	  {.pods = {"198.18.0.5"}},
	  {.service = "web", .failed = true}},
	 {"flush table", "flush map inet hark-vips services-v4", "add chain inet hark-vips pick-1",
	  "add element inet hark-vips services-v4 { 198.19.0.1 . tcp . 80 : goto pick-1 }",
	  "add element inet hark-vips pods-v4 { 198.18.0.5 . 198.18.0.5 }"},
	 "198.19.0.2"},
	{"Pods come and go",
	 {{.pods = {"198.18.0.5", "198.18.0.6", "fd00::5"}},
	  {.pods = {"198.18.0.7", "198.18.0.6", "198.18.0.6"}}},
	 {"delete element inet hark-vips pods-v4 { 198.18.0.5 . 198.18.0.5 }",
	  "add element inet hark-vips pods-v4 { 198.18.0.7 . 198.18.0.7 }",
	  "delete element inet hark-vips pods-v6 { fd00::5 . fd00::5 }"},
	 "198.18.0.6"},
	{"an address that two Services claim stays the first one's",
	 {{.service = "db", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:80"}}}},
	  {.service = "web", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.6:80"}}}}},
	 {NULL},
	 "inet"},
	{"the other one hears when it becomes free",
	 {{.service = "db", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:80"}}}},
	  {.service = "web", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.6:80"}}}},
	  {.service = "db", .contested = true},
	  {.service = "web", .ports = {{"198.19.0.1:80", L4_TCP, false, {"198.18.0.6:80"}}}}},
	 {"add element inet hark-vips endpoints-v4 { 198.19.0.1 . tcp . 80 . 0 : 198.18.0.6 . 80"},
	 "goto pick-2"},
};

static struct vip_table *new_table(void)
{
	struct node_config cfg;
	struct err err = {0};
	assert_true(node_config_init(&cfg, "test", &err));
	return vip_table_new(&cfg);
}

static bool set(struct vip_table *t, const char *service, const struct port_words *words)
{
	struct vip_port ports[N_PORTS] = {0};
	struct addr to[N_PORTS][N_ENDPOINTS];
	size_t n = 0;
	for (; n < N_PORTS && words[n].at; n++) {
		ports[n] = (struct vip_port){.protocol = words[n].protocol,
					     .sticky = words[n].sticky,
					     .endpoints = to[n]};
		assert_true(addr_parse(slice_of(words[n].at), &ports[n].at));
		for (size_t i = 0; i < N_ENDPOINTS && words[n].to[i]; i++)
			assert_true(addr_parse(slice_of(words[n].to[i]),
					       &to[n][ports[n].n_endpoints++]));
	}
	return vip_table_set(t, "shop", service, ports, n);
}

static void set_pods(struct vip_table *t, const char *const *words)
{
	struct ip ips[N_ENDPOINTS];
	size_t n = 0;
	for (; n < N_ENDPOINTS && words[n]; n++)
		assert_true(ip_parse(slice_of(words[n]), &ips[n]));
	vip_table_set_pods(t, ips, n);
}

static void steps(void **state)
{
	(void)state; /* cmocka's */
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct vip_table *t = new_table();
		struct buf out;
		print_message("%s\n", cases[i].rule);
		buf_init(&out, 64 * 1024);
		for (size_t j = 0; j < N_STEPS; j++) {
			bool pods = cases[i].steps[j].pods[0] != NULL;
			if (!pods && !cases[i].steps[j].service)
				break;
			if (cases[i].steps[j].failed)
				vip_table_failed(t);
			if (pods)
				set_pods(t, cases[i].steps[j].pods);
			else
				assert_int_equal(
					set(t, cases[i].steps[j].service, cases[i].steps[j].ports),
					!cases[i].steps[j].contested);
			buf_clear(&out);
			assert_true(vip_table_commands(t, &out));
		}
		const char *text = buf_cstr(&out), *from = text;
		assert_non_null(text);
		for (size_t j = 0; j < N_TEXTS && cases[i].has[j]; j++) {
			from = strstr(from, cases[i].has[j]);
			if (!from)
				fail_msg("\"%s\" is missing or misplaced in\n%s", cases[i].has[j],
					 text);
		}
		if (cases[i].absent && strstr(text, cases[i].absent))
			fail_msg("\"%s\" should not be in\n%s", cases[i].absent, text);
		buf_fini(&out);
		vip_table_free(t);
	}
}

static void set_nth(struct vip_table *t, uint32_t i, uint32_t endpoint)
{
	char name[32];
	struct addr to = {.ip = ip_v4(endpoint), .port = 80};
	struct vip_port port = {.at = {.ip = ip_v4(0xc6130100 + i), .port = 80},
				.endpoints = &to,
				.n_endpoints = 1};
	(void)snprintf(name, sizeof(name), "s%u", i);
	assert_true(vip_table_set(t, "many", name, &port, 1));
}

/* No clock: what a change costs is what it writes. */
static void many(void **state)
{
	(void)state; /* cmocka's */
	struct vip_table *t = new_table();
	struct buf out;
	buf_init(&out, 1024 * 1024);
	for (uint32_t i = 0; i < MANY; i++)
		set_nth(t, i, 0xc6120005);
	assert_true(vip_table_commands(t, &out));
	assert_true(buf_len(&out) > MANY * 50);
	buf_clear(&out);
	set_nth(t, 1000, 0xc6120006);
	assert_true(vip_table_commands(t, &out));
	assert_in_range(buf_len(&out), 1, 300);
	buf_fini(&out);
	vip_table_free(t);
}

static void full_buffer(void **state)
{
	(void)state; /* cmocka's */
	static const struct port_words ports[N_PORTS] = {
		{"198.19.0.1:80", L4_TCP, false, {"198.18.0.5:80"}}};
	struct vip_table *t = new_table();
	struct buf small, large;
	buf_init(&small, 1000);
	buf_init(&large, 64 * 1024);
	assert_true(set(t, "db", ports));
	assert_false(vip_table_commands(t, &small));
	assert_int_equal(buf_len(&small), 0);
	assert_true(vip_table_commands(t, &large));
	assert_non_null(strstr(buf_cstr(&large), "add chain inet hark-vips pick-1"));
	assert_non_null(strstr(buf_cstr(&large), "goto pick-1"));
	buf_fini(&small);
	buf_fini(&large);
	vip_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps),
		cmocka_unit_test(many),
		cmocka_unit_test(full_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
