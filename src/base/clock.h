/*
 * Time. Durations are in the unit that the name says; clock_ns() never runs backwards and is not
 * the time of day.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

uint64_t clock_ns(void);      /* CLOCK_MONOTONIC */
uint64_t clock_wall_ns(void); /* CLOCK_REALTIME, since 1970 */
/* RFC 3339 in UTC with milliseconds, "2026-01-02T03:04:05.678Z"; OUT holds at least 32 bytes. */
const char *clock_rfc3339(uint64_t wall_ns, char *out, size_t out_len);
