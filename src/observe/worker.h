/* One worker's numbers, written by metrics.c and read by render.c. Not for other rooms. */
#pragma once
#include "observe/metrics.h"
#include "observe/series.h"

enum { N_SIDES = 2 }; /* enum live_side */

enum { N_TIME_BOUNDS = 18 };
enum { N_DNS_RCODES = 7 }; /* those of dns/message.h, and all others */

struct histogram {
	_Atomic uint64_t buckets[N_TIME_BOUNDS + 1]; /* not cumulative; the last one is +Inf */
	_Atomic uint64_t sum_ns;
};

/* All that has no labels of its own; nothing but counters, so that workers' can be added up. */
struct numbers {
	_Atomic uint64_t counters[N_OBSERVE_COUNTERS];
	_Atomic uint64_t early[N_EARLY_RESULTS];
	_Atomic uint64_t ended[N_SIDES][N_END_REASONS];
	_Atomic uint64_t wrong_guesses;
	_Atomic uint64_t handshakes[N_SIDES][TLS_N_WHYS];
	_Atomic uint64_t open[N_SIDES], detecting[N_SIDES]; /* now */
	struct histogram detection[N_SIDES], first_byte[N_SIDES];
	_Atomic uint64_t dns[2][N_DNS_SOURCES][N_DNS_RCODES]; /* over UDP, over TCP */
	_Atomic uint64_t dns_cached;                          /* now */
	struct histogram dns_upstream;
};
enum { N_NUMBERS = sizeof(struct numbers) / sizeof(uint64_t) };

union worker_numbers {
	struct numbers of;
	_Atomic uint64_t cells[N_NUMBERS];
};
_Static_assert(sizeof(union worker_numbers) == sizeof(struct numbers), "counters only");

struct worker_metrics {
	struct series_table series;
	union worker_numbers numbers;
} __attribute__((aligned(64))); /* workers do not share a cache line */

struct metrics {
	unsigned n_workers;
	struct worker_metrics *workers;
};

/* Upper bounds of both histograms, in seconds. */
extern const double time_bounds[N_TIME_BOUNDS];
/* The lines of the process as a whole: memory, CPU, descriptors. */
void render_process(const struct metrics_facts *facts, struct buf *out);
/* HELP and TYPE. */
void render_head(struct buf *out, const char *name, const char *type, const char *help);
