/*
 * A buffer owns bytes and grows to a stated bound.
 *
 *   struct buf b;
 *   buf_init(&b, 64 * 1024);               // never holds more than that
 *   if (!buf_append(&b, bytes)) ...        // full: nothing was added
 *   buf_consume(&b, n);                    // the first n bytes are done with
 *   buf_fini(&b);
 *
 * A write that would pass the bound adds nothing, sets `full` and returns false: test each write,
 * or `full` once, last. An empty buffer owns no memory until the first write; buf_consume of
 * everything keeps the memory, buf_fini gives it back.
 */
#pragma once
#include <string.h>

#include "base/err.h"
#include "base/slice.h"

struct buf {
	char *bytes;
	size_t start, end, size; /* valid bytes are [start, end) */
	size_t max;
	bool full; /* a write was refused since buf_init or buf_clear */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* As buf_fini() for what is secret. Reserve all of it before the first write: memory that it grows
 * out of is not wiped. */
void buf_wipe(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
struct slice buf_slice(const struct buf *b);
size_t buf_len(const struct buf *b);
bool buf_append_slow(struct buf *b, struct slice s); /* for buf_append(): the memory has to grow */
/* Inline, because log lines and metrics are made of some dozens of these. */
static inline bool buf_append(struct buf *b, struct slice s)
{
	if (s.len == 0 || s.len > b->size - b->end)
		return buf_append_slow(b, s);
	memcpy(&b->bytes[b->end], s.at, s.len);
	b->end += s.len;
	return true;
}
bool buf_puts(struct buf *b, const char *cstr);
static inline bool buf_putc(struct buf *b, char c)
{
	return buf_append(b, (struct slice){&c, 1});
}
/* In decimal, without printf: log lines are full of numbers. */
bool buf_u64(struct buf *b, uint64_t n);
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_consume(struct buf *b, size_t n); /* N at most buf_len() */
/* Room for at least MIN bytes to be written at the returned place, NULL at the bound; then
 * buf_commit() what was written. */
char *buf_reserve(struct buf *b, size_t min, size_t *room);
void buf_commit(struct buf *b, size_t n);
/* NUL-terminated view of the contents (the NUL is not counted); NULL when the bound leaves no place
 * for it. */
const char *buf_cstr(struct buf *b);
