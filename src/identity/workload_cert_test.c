#include "identity/workload_cert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)
#define START INT64_C(1800000000000)

static struct workload_cert fresh(void)
{
	struct workload_cert w;
	workload_cert_init(&w, &workload_cert_defaults);
	return w;
}

static int64_t waits_until(struct workload_cert *w, int64_t now)
{
	int64_t at;
	assert_int_equal(workload_cert_next(w, now, &at), CERT_WAIT);
	return at;
}

static void asks(struct workload_cert *w, int64_t now)
{
	int64_t at;
	assert_int_equal(workload_cert_next(w, now, &at), CERT_ASK);
	workload_cert_asked(w);
	assert_int_equal(waits_until(w, now), WORKLOAD_CERT_NEVER);
}

static void a_day_in_the_life(void **state)
{
	(void)state;
	struct workload_cert w = fresh();
	int64_t now = START;
	assert_int_equal(workload_cert_state(&w, now), CERT_NONE);
	asks(&w, now);
	for (uint64_t day = 0; day < 200; day++) {
		uint64_t random = day * UINT64_C(0x9e3779b97f4a7c15);
		workload_cert_got(&w, now + 24 * HOUR, now, random);
		assert_int_equal(workload_cert_state(&w, now), CERT_VALID);
		int64_t at = waits_until(&w, now);
		/* half of the life, give or take a hundredth of it */
		assert_in_range(at - now, 12 * HOUR - 24 * HOUR / 100, 12 * HOUR + 24 * HOUR / 100);
		assert_int_equal(waits_until(&w, at - 1), at);
		now = at;
		asks(&w, now);
		assert_int_equal(workload_cert_state(&w, now), CERT_VALID);
	}
}

static void jitter_spreads(void **state)
{
	(void)state;
	int64_t least = INT64_MAX, most = 0;
	for (uint64_t random = 0; random < 21; random++) {
		struct workload_cert w = fresh();
		workload_cert_got(&w, START + 24 * HOUR, START, random);
		int64_t at = waits_until(&w, START);
		least = at < least ? at : least;
		most = at > most ? at : most;
	}
	assert_int_equal(most - least, 24 * HOUR / 50);
}

static void the_authority_is_away(void **state)
{
	(void)state;
	struct workload_cert w = fresh();
	int64_t now = START, last = 0;
	unsigned tries = 0;
	workload_cert_got(&w, now + 24 * HOUR, now, 10);
	now = waits_until(&w, now);
	while (workload_cert_state(&w, now) != CERT_EXPIRED) {
		asks(&w, now);
		workload_cert_failed(&w, now, tries * UINT64_C(2862933555777941757));
		assert_int_equal(workload_cert_state(&w, now), CERT_EXPIRING); /* serves on */
		int64_t wait = waits_until(&w, now) - now;
		assert_in_range(wait, 800, 72000);
		if (tries < 6) /* 1, 2, 4, 8, 16, 32 s, give or take a fifth */
			assert_in_range(wait, (800 << tries), (1200 << tries));
		else
			assert_in_range(wait, 48000, 72000);
		tries++;
		last = now;
		now += wait;
	}
	assert_in_range(tries, 500, 1000); /* 12 hours of a minute each, roughly */
	assert_true(last < START + 24 * HOUR);
	/* beyond the end it goes on asking, and one answer mends all */
	asks(&w, now);
	workload_cert_got(&w, now + 24 * HOUR, now, 10);
	assert_int_equal(workload_cert_state(&w, now), CERT_VALID);
	assert_int_equal(w.failures, 0);
}

static void never_there_at_all(void **state)
{
	(void)state;
	struct workload_cert w = fresh();
	asks(&w, START);
	workload_cert_failed(&w, START, 0);
	assert_int_equal(workload_cert_state(&w, START), CERT_NONE);
	assert_in_range(waits_until(&w, START) - START, 800, 1200);
}

static void forced(void **state)
{
	(void)state;
	struct workload_cert w = fresh();
	int64_t now = START;
	workload_cert_got(&w, now + 24 * HOUR, now, 0);
	(void)waits_until(&w, now);
	workload_cert_force(&w);
	asks(&w, now);
	/* again, while the answer is on its way: what comes may be of before */
	workload_cert_force(&w);
	assert_int_equal(waits_until(&w, now), WORKLOAD_CERT_NEVER);
	workload_cert_got(&w, now + 24 * HOUR, now, 0);
	asks(&w, now);
	workload_cert_failed(&w, now, 0);
	/* back-off does not keep an operator waiting */
	(void)waits_until(&w, now);
	workload_cert_force(&w);
	asks(&w, now);
	workload_cert_got(&w, now + 24 * HOUR, now, 0);
	assert_true(waits_until(&w, now) > now + 11 * HOUR);
}

static void odd_answers(void **state)
{
	(void)state;
	struct workload_cert w = fresh();
	/* over before it came: no pause-less asking */
	workload_cert_got(&w, START - 1, START, 0);
	assert_int_equal(workload_cert_state(&w, START), CERT_EXPIRED);
	assert_true(waits_until(&w, START) >= START + 800);
	/* a life of a second, and of ninety days */
	workload_cert_got(&w, START + 1000, START, 10);
	assert_in_range(waits_until(&w, START) - START, 490, 510);
	workload_cert_got(&w, START + 2160 * HOUR, START, 10);
	assert_in_range(waits_until(&w, START) - START, 1050 * HOUR, 1110 * HOUR);
}

static void the_clock_jumps(void **state)
{
	(void)state;
	struct workload_cert w = fresh();
	int64_t at;
	workload_cert_got(&w, START + 24 * HOUR, START, 10);
	/* forth: what has become due is due */
	assert_int_equal(workload_cert_next(&w, START + 20 * HOUR, &at), CERT_ASK);
	assert_int_equal(workload_cert_next(&w, START + 30 * HOUR, &at), CERT_ASK);
	assert_int_equal(workload_cert_state(&w, START + 30 * HOUR), CERT_EXPIRED);
	/* back, in the middle of retries: they are not put off by it */
	workload_cert_asked(&w);
	workload_cert_failed(&w, START + 20 * HOUR, 0);
	assert_true(waits_until(&w, START) - START <= 120000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_day_in_the_life),
		cmocka_unit_test(jitter_spreads),
		cmocka_unit_test(the_authority_is_away),
		cmocka_unit_test(never_there_at_all),
		cmocka_unit_test(forced),
		cmocka_unit_test(odd_answers),
		cmocka_unit_test(the_clock_jumps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
