#include "base/clock.h"

#include <time.h>

#include "base/err.h"

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts = {0};
	(void)clock_gettime(id, &ts); /* cannot fail for these two ids: clock_gettime(2) */
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

/* N in decimal, WIDTH digits, at *AT; moves *AT behind them. */
static void put_digits(char **at, unsigned n, unsigned width)
{
	for (unsigned i = width; i-- > 0; n /= 10)
		(*at)[i] = (char)('0' + n % 10);
	*at += width;
}

/* Written out, not by strftime: each access log line has one. */
const char *clock_rfc3339(uint64_t wall_ns, char *out, size_t out_len)
{
	MUST(out_len >= 32);
	time_t sec = (time_t)(wall_ns / NS_PER_S);
	struct tm tm = {0};
	(void)gmtime_r(&sec, &tm); /* fails only past the year 2^31 */
	char *at = out;
	put_digits(&at, (unsigned)tm.tm_year + 1900, 4);
	*at++ = '-';
	put_digits(&at, (unsigned)tm.tm_mon + 1, 2);
	*at++ = '-';
	put_digits(&at, (unsigned)tm.tm_mday, 2);
	*at++ = 'T';
	put_digits(&at, (unsigned)tm.tm_hour, 2);
	*at++ = ':';
	put_digits(&at, (unsigned)tm.tm_min, 2);
	*at++ = ':';
	put_digits(&at, (unsigned)tm.tm_sec, 2);
	*at++ = '.';
	put_digits(&at, (unsigned)(wall_ns / NS_PER_MS % 1000), 3);
	*at++ = 'Z';
	*at = '\0';
	return out;
}
