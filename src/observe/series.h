/*
 * Counters by label set: one table per worker, read by another thread while it grows. For metrics.c
 * and render.c only.
 *
 *   struct labels key;
 *   labels_start(&key, SERIES_TCP);
 *   labels_add(&key, "source"); ...                 // as many as the kind has names
 *   struct series *s = series_find(&table, &key);   // worker: found, made, or the overflow series
 *   counter_add(&s->counters[TCP_OPENED], 1);
 *
 * A series is complete before it is linked into the list that readers walk, and lives as long as
 * its table; its counters have one writer.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/table.h"

enum series_kind { SERIES_TCP, SERIES_DETECTION, N_SERIES_KINDS };
enum { TCP_OPENED, TCP_CLOSED, TCP_SENT, TCP_RECEIVED, SERIES_COUNTERS };
enum { DETECTION_TOTAL };
enum { LABELS_MAX_BYTES = 4096, LABEL_MAX_BYTES = 255 };

/* The values, each with its NUL, one behind the other: the table's key, and all that is kept. */
struct labels {
	enum series_kind kind;
	unsigned n;
	size_t len;
	char values[LABELS_MAX_BYTES];
};

struct series {
	struct series *next; /* older one */
	enum series_kind kind;
	_Atomic uint64_t counters[SERIES_COUNTERS];
	UT_hash_handle hh; /* the worker's own */
	size_t key_len;
	char key[]; /* the kind as one character, then the values */
};

struct series_table {
	struct series *by_key; /* the worker's own */
	unsigned n;
	struct series *_Atomic newest; /* readers start here */
};

/* Names of a kind's labels, in the order in which values are added. */
const char *const *series_label_names(enum series_kind kind, unsigned *n);
void labels_start(struct labels *l, enum series_kind kind);
/* A value longer than LABEL_MAX_BYTES is cut. */
void labels_add(struct labels *l, const char *value);
void labels_add_slice(struct labels *l, struct slice value); /* without a NUL in it */
struct series *series_find(struct series_table *t, const struct labels *l);
void series_table_fini(struct series_table *t);

/* For counters that one thread writes: cheaper than an atomic addition. */
static inline void counter_add(_Atomic uint64_t *c, uint64_t n)
{
	uint64_t old = atomic_load_explicit(c, memory_order_relaxed);
	atomic_store_explicit(c, old + n, memory_order_relaxed);
}
static inline uint64_t counter_get(const _Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}
