#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "decide/plan.h"

/* What protocol selection says of meshes that wait for the client; one row each, and its
 * neighbours where one fact less makes it work. */
static const struct {
	const char *name;
	struct elsewhere_facts facts;
	enum elsewhere what;
	const char *row;
	uint32_t delay_ms;
} cases[] = {
	/* clang-format off */
	{"D1: permissive, declared TCP, plaintext client",
	 {.side = LIVE_INBOUND, .class = CLASS_TCP, .server_first = true}, ELSEWHERE_STALL, "D1", 0},
	{"D1: permissive, undeclared, plaintext client",
	 {.side = LIVE_INBOUND, .class = CLASS_AUTO, .server_first = true}, ELSEWHERE_STALL, "D1", 0},
	{"D1: a timeout ends it",
	 {.side = LIVE_INBOUND, .class = CLASS_TCP, .server_first = true, .timeout_ms = 5000}, ELSEWHERE_DELAY, "D1", 5000},
	{"D2: disable, undeclared",
	 {.side = LIVE_INBOUND, .class = CLASS_AUTO, .mode = MTLS_DISABLE, .server_first = true}, ELSEWHERE_STALL, "D2", 0},
	{"D2: a timeout ends it",
	 {.side = LIVE_INBOUND, .class = CLASS_AUTO, .mode = MTLS_DISABLE, .server_first = true, .timeout_ms = 100}, ELSEWHERE_DELAY, "D2", 100},
	{"D3: strict, plaintext client, declared TCP",
	 {.side = LIVE_INBOUND, .class = CLASS_TCP, .mode = MTLS_STRICT, .server_first = true}, ELSEWHERE_STALL, "D3", 0},
	{"D3: a timeout closes but never delivers",
	 {.side = LIVE_INBOUND, .class = CLASS_AUTO, .mode = MTLS_STRICT, .server_first = true, .timeout_ms = 100}, ELSEWHERE_STALL, "D3", 0},
	{"D4: declared HTTP, permissive",
	 {.side = LIVE_INBOUND, .class = CLASS_HTTP, .server_first = true}, ELSEWHERE_STALL, "D4", 0},
	{"D4: declared HTTP, disable",
	 {.side = LIVE_INBOUND, .class = CLASS_HTTP, .mode = MTLS_DISABLE, .server_first = true}, ELSEWHERE_STALL, "D4", 0},
	{"D4: the codec waits even in the mesh, and no timeout ends it",
	 {.side = LIVE_INBOUND, .class = CLASS_HTTP, .source_mesh_tls = true, .server_first = true, .timeout_ms = 100}, ELSEWHERE_STALL, "D4", 0},
	{"D5: outbound, undeclared",
	 {.side = LIVE_OUTBOUND, .class = CLASS_AUTO, .matched = true, .server_first = true}, ELSEWHERE_STALL, "D5", 0},
	{"D5: outbound, declared HTTP",
	 {.side = LIVE_OUTBOUND, .class = CLASS_HTTP, .matched = true, .server_first = true}, ELSEWHERE_STALL, "D5", 0},
	{"D5: a timeout ends it",
	 {.side = LIVE_OUTBOUND, .class = CLASS_AUTO, .matched = true, .server_first = true, .timeout_ms = 1}, ELSEWHERE_DELAY, "D5", 1},
	{"D5: and holds the ClientHello back from the server's side",
	 {.side = LIVE_INBOUND, .class = CLASS_AUTO, .source_mesh_tls = true, .server_first = true}, ELSEWHERE_STALL, "D5", 0},
	{"D6: unknown address on an HTTP Service's port number",
	 {.side = LIVE_OUTBOUND, .class = CLASS_AUTO, .wildcard_http = true, .server_first = true}, ELSEWHERE_STALL, "D6", 0},
	{"D6: a timeout ends it",
	 {.side = LIVE_OUTBOUND, .class = CLASS_AUTO, .wildcard_http = true, .server_first = true, .timeout_ms = 20}, ELSEWHERE_DELAY, "D6", 20},
	{"W1: outbound, declared TCP",
	 {.side = LIVE_OUTBOUND, .class = CLASS_TCP, .matched = true, .server_first = true}, ELSEWHERE_OK, "W1", 0},
	{"W1: and what the server's side then sees",
	 {.side = LIVE_INBOUND, .class = CLASS_TCP, .source_mesh_tls = true, .server_first = true}, ELSEWHERE_OK, "W1", 0},
	{"W1: strict as well",
	 {.side = LIVE_INBOUND, .class = CLASS_TCP, .mode = MTLS_STRICT, .source_mesh_tls = true, .server_first = true}, ELSEWHERE_OK, "W1", 0},
	{"W1 does not need a wildcard's absence",
	 {.side = LIVE_OUTBOUND, .class = CLASS_TCP, .matched = true, .wildcard_http = true, .server_first = true}, ELSEWHERE_OK, "W1", 0},
	{"W2: disable, declared TCP",
	 {.side = LIVE_INBOUND, .class = CLASS_TCP, .mode = MTLS_DISABLE, .server_first = true}, ELSEWHERE_OK, "W2", 0},
	{"W3: the client app speaks TLS first",
	 {.side = LIVE_INBOUND, .class = CLASS_AUTO, .client_tls = true}, ELSEWHERE_OK, "W3", 0},
	{"W4: unknown address",
	 {.side = LIVE_OUTBOUND, .class = CLASS_AUTO, .server_first = true}, ELSEWHERE_OK, "W4", 0},
	{"a client that speaks first waits for nobody, outbound",
	 {.side = LIVE_OUTBOUND, .class = CLASS_AUTO, .matched = true}, ELSEWHERE_OK, "", 0},
	{"a client that speaks first waits for nobody, inbound",
	 {.side = LIVE_INBOUND, .class = CLASS_HTTP}, ELSEWHERE_OK, "", 0},
	{"F1: a rule wants TLS, and the server speaks in clear",
	 {.side = LIVE_OUTBOUND, .class = CLASS_TCP, .matched = true, .server_first = true, .speaks_in_clear = true}, ELSEWHERE_FAIL, "F1", 0},
	{"F1: no timeout ends it",
	 {.side = LIVE_OUTBOUND, .class = CLASS_AUTO, .matched = true, .speaks_in_clear = true, .timeout_ms = 5}, ELSEWHERE_FAIL, "F1", 0},
	{"D5 comes before F1: no ClientHello is sent",
	 {.side = LIVE_OUTBOUND, .class = CLASS_AUTO, .matched = true, .server_first = true, .speaks_in_clear = true}, ELSEWHERE_STALL, "D5", 0},
	{"F2: a rule wants TLS, and the server wants to be asked",
	 {.side = LIVE_OUTBOUND, .class = CLASS_AUTO, .matched = true, .wants_to_be_asked = true}, ELSEWHERE_FAIL, "F2", 0},
	/* clang-format on */
};

static void rows_stand(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct elsewhere_answer a;
		elsewhere_of(&cases[i].facts, &a);
		if (a.what != cases[i].what || strcmp(a.row, cases[i].row) != 0 ||
		    a.delay_ms != cases[i].delay_ms)
			fail_msg("%s: %s %s %u ms", cases[i].name, elsewhere_name(a.what), a.row,
				 a.delay_ms);
		assert_true(a.text[0]);
	}
}

/* Whatever the facts, a timeout never turns working into waiting, and a delay is the timeout. */
static void timeouts_only_end_stalls(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 1u << 10; bits++) {
		struct elsewhere_facts f = {
			.side = bits & 1 ? LIVE_INBOUND : LIVE_OUTBOUND,
			.class = (enum proto_class)(bits >> 1 & 3),
			.mode = (enum mtls_mode)((bits >> 3 & 3) % 3),
			.matched = bits >> 5 & 1,
			.wildcard_http = bits >> 6 & 1,
			.source_mesh_tls = bits >> 7 & 1,
			.server_first = bits >> 8 & 1,
			.client_tls = bits >> 9 & 1,
		};
		struct elsewhere_answer without, with;
		elsewhere_of(&f, &without);
		f.timeout_ms = 777;
		elsewhere_of(&f, &with);
		assert_true(without.what != ELSEWHERE_DELAY);
		assert_int_equal(without.what == ELSEWHERE_OK, with.what == ELSEWHERE_OK);
		assert_int_equal(with.delay_ms, with.what == ELSEWHERE_DELAY ? 777 : 0);
		assert_string_equal(without.row, with.row);
		if (!f.server_first)
			assert_int_equal(without.what, ELSEWHERE_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_stand),
		cmocka_unit_test(timeouts_only_end_stalls),
	};
	return cmocka_run_group_tests_name("decide/elsewhere", tests, NULL, NULL);
}
