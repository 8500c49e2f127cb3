/*
 * No Service changes what happens to another Service's addresses, nor to addresses of nobody: the
 * trap of meshes whose HTTP listeners take every address on a port number. Random meshes, grown by
 * one Service at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "decide/fixture.h"
#include "decide/plan.h"

enum { MESHES = 40, SERVICES = 8, PROBES = 64 };

static uint64_t seed = 20260111; /* any but 0 */

/* xorshift64*: the same meshes on every run. */
static unsigned roll(unsigned sides)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (unsigned)(seed * UINT64_C(2685821657736338717) >> 33) % sides;
}

static const unsigned numbers[] = {25, 80, 3306, 3307, 8080};

static void add_service(struct buf *yaml, unsigned n)
{
	static const char *const names[] = {"http", "tcp-x", "db", "grpc", "mysql", "https"};
	bool headless = roll(4) == 0;
	unsigned port = numbers[roll(N_ELEMS(numbers))], target = numbers[roll(N_ELEMS(numbers))];
	const char *name = names[roll(N_ELEMS(names))];
	buf_printf(
		yaml,
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: s%u, namespace: a}\nspec:\n"
		"  selector: {app: s%u}\n  ports: [{name: %s, port: %u, targetPort: %u}]\n",
		n, n, name, port, target);
	if (headless)
		buf_puts(yaml, "  clusterIP: None\n");
	else
		buf_printf(yaml, "  clusterIP: 198.19.0.%u\n", n + 1);
	buf_printf(
		yaml,
		"---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s%u, "
		"namespace: a, labels: {kubernetes.io/service-name: s%u}}\naddressType: IPv4\n"
		"endpoints: [{addresses: [198.18.0.%u], conditions: {ready: %s}}]\n"
		"ports: [{name: %s, port: %u, protocol: TCP}]\n",
		n, n, n + 1, roll(4) ? "true" : "false", name, target);
}

/* What a plan comes to, as text. */
static void summary(const struct world *w, const struct addr *dst, char *out, size_t len)
{
	struct outbound_facts facts = {.dst = *dst};
	struct plan p;
	struct buf text;
	decide_outbound(w->view, &facts, &p);
	buf_init(&text, 4096);
	assert_true(plan_reason(&p, &text));
	(void)snprintf(out, len, "%s %s %s %s", plan_action_name(p.action),
		       plan_destination_name(p.destination), protocol_name(p.protocol),
		       buf_cstr(&text));
	buf_fini(&text);
}

/* Of the addresses of Services before N, and of nobody. */
static struct addr probe(unsigned n)
{
	char text[64];
	unsigned port = numbers[roll(N_ELEMS(numbers))];
	switch (roll(3)) {
	case 0:
		(void)snprintf(text, sizeof(text), "203.0.113.%u:%u", roll(5), port);
		break;
	case 1:
		(void)snprintf(text, sizeof(text), "198.19.0.%u:%u", 1 + roll(n), port);
		break;
	default:
		(void)snprintf(text, sizeof(text), "198.18.0.%u:%u", 1 + roll(n), port);
		break;
	}
	return test_addr(text);
}

static void one_more_service_changes_no_other(void **state)
{
	(void)state;
	for (unsigned m = 0; m < MESHES; m++) {
		struct buf yaml;
		buf_init(&yaml, 1 << 20);
		add_service(&yaml, 0);
		for (unsigned n = 1; n < SERVICES; n++) {
			struct world before, after;
			world_init(&before, "a", "self", buf_cstr(&yaml));
			add_service(&yaml, n);
			world_init(&after, "a", "self", buf_cstr(&yaml));
			for (unsigned i = 0; i < PROBES; i++) {
				char was[4200], is[4200], at[ADDR_TEXT];
				struct addr dst = probe(n);
				summary(&before, &dst, was, sizeof(was));
				summary(&after, &dst, is, sizeof(is));
				if (strcmp(was, is) != 0)
					fail_msg("%s\n  was %s\n  is  %s\n%s", addr_text(&dst, at),
						 was, is, buf_cstr(&yaml));
			}
			world_fini(&before);
			world_fini(&after);
		}
		buf_fini(&yaml);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_more_service_changes_no_other),
	};
	return cmocka_run_group_tests_name("decide/independence", tests, NULL, NULL);
}
