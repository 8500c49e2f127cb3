/* Our client against our server, over TLS and without: what passes, and what a caller is told when
 * it does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "grpc/testbed.h"

static void happy_path(enum bed_kind kind)
{
	struct bed b;
	bed_open(&b, kind, NULL);
	const struct grpc_pair metadata[] = {{"authorization", "Bearer a.b.c"}, {"clusterid", "x"}};
	struct outcome o = bed_call(&b, &(struct grpc_ask){.method = ECHO,
							   .message = SLICE("a\0b"),
							   .metadata = metadata,
							   .n_metadata = N_ELEMS(metadata)});
	assert_int_equal(o.status, GRPC_OK);
	assert_true(slice_eq(buf_slice(&o.message), SLICE("a\0b")));
	assert_string_equal(b.seen.token, "Bearer a.b.c");
	assert_int_equal(b.seen.has_peer, kind == BED_TLS);
	assert_string_equal(b.seen.uri, kind == BED_TLS ? SPIFFE : "");
	assert_non_null(strstr(b.seen.from, "127.0.0.1:"));
	outcome_fini(&o);
	bed_close(&b);
}

static void over_tls(void **state)
{
	(void)state;
	happy_path(BED_TLS);
}

static void in_plaintext(void **state)
{
	(void)state;
	happy_path(BED_PLAIN);
}

static void errors_arrive(void **state)
{
	(void)state;
	struct bed b;
	bed_open(&b, BED_TLS, NULL);
	for (int status = 1; status < GRPC_N_STATUSES; status++) {
		char number[8];
		snprintf(number, sizeof(number), "%d", status);
		const struct grpc_pair metadata[] = {
			{"x-status", number},
			{"x-text", "50% of \"it\" \xe2\x82\xac; done"},
		};
		struct outcome o = bed_call(
			&b,
			&(struct grpc_ask){.method = FAIL, .metadata = metadata, .n_metadata = 2});
		assert_int_equal(o.status, status);
		assert_string_equal(o.text, metadata[1].value);
		outcome_fini(&o);
	}
	bed_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_tls),
		cmocka_unit_test(in_plaintext),
		cmocka_unit_test(errors_arrive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
