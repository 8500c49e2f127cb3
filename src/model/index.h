/*
 * A hash index over an array that does not change: four bytes a slot, at most half of them used.
 *
 *   index_init(&x, arena, n);
 *   index_add(&x, &addr, sizeof(addr), i);                   // I is a place in the caller's array
 *   for (struct index_walk w = index_find(&x, &addr, sizeof(addr)); index_next(&x, &w);)
 *           if (addr_eq(&all[w.i].addr, &addr)) ...          // the caller compares
 *
 * Keyed hash: a peer may choose the keys. Values may be added under one key more than once. Reading
 * allocates nothing and needs no lock.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/table.h"

struct index {
	uint32_t *slots; /* 0: empty, else a value + 1 */
	uint32_t mask, n;
};

struct index_walk {
	uint32_t slot;
	uint32_t i; /* the value, after index_next() */
};

/* For at most N values. */
static inline void index_init(struct index *x, struct arena *a, size_t n)
{
	uint32_t size = 4;
	MUST(n < UINT32_MAX / 4);
	while (size < n * 2)
		size *= 2;
	*x = (struct index){arena_array(a, size, sizeof(uint32_t)), size - 1, 0};
}

static inline void index_add(struct index *x, const void *key, size_t len, size_t i)
{
	uint32_t slot = (uint32_t)siphash(key, len) & x->mask;
	MUST(x->n < x->mask); /* one slot stays empty, where a walk ends */
	while (x->slots[slot])
		slot = (slot + 1) & x->mask;
	x->slots[slot] = (uint32_t)i + 1;
	x->n++;
}

static inline struct index_walk index_find(const struct index *x, const void *key, size_t len)
{
	return (struct index_walk){.slot = x->n ? (uint32_t)siphash(key, len) & x->mask : 0};
}

/* The next value that may be under the key. */
static inline bool index_next(const struct index *x, struct index_walk *w)
{
	if (x->n == 0 || !x->slots[w->slot])
		return false;
	w->i = x->slots[w->slot] - 1;
	w->slot = (w->slot + 1) & x->mask;
	return true;
}
