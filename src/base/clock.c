#include "base/clock.h"

#include <stdio.h>
#include <time.h>

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

const char *clock_rfc3339(uint64_t wall_ns, char *out, size_t out_len)
{
	time_t sec = (time_t)(wall_ns / NS_PER_S);
	struct tm tm = {0};
	(void)gmtime_r(&sec, &tm); /* fails only past the year 2^31 */
	size_t n = strftime(out, out_len, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, out_len - n, ".%03uZ", (unsigned)(wall_ns / NS_PER_MS % 1000));
	return out;
}
