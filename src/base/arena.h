/*
 * An arena: many small allocations with one end. An arena per request, per resource, per view.
 *
 *   struct arena *a = arena_new();
 *   char *name = arena_dup(a, slice);      // NUL-terminated copy
 *   arena_free(a);                         // everything at once
 *
 * Not locked. Aborts when memory is gone. Under AddressSanitizer each call is an allocation of its
 * own, so overruns are seen.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"

struct arena;
struct arena *arena_new(void);
/* Its first piece of memory holds FIRST bytes: no slack where what comes is known. */
struct arena *arena_new_sized(size_t first);
void arena_free(struct arena *a); /* NULL is fine */
/* Ends all that it has handed out; what arena_new_sized() gave it is there for the next. */
void arena_reset(struct arena *a);
/* Zeroed, aligned for any type. LEN 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t len);
void *arena_array(struct arena *a, size_t n, size_t size); /* aborts on overflow */
char *arena_dup(struct arena *a, struct slice s);          /* with a NUL behind it */
struct slice arena_dup_slice(struct arena *a, struct slice s);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Bytes handed out, with what alignment left between them. */
size_t arena_used(const struct arena *a);
size_t arena_spare(const struct arena *a); /* what it holds and has not handed out */
size_t arena_bytes(const struct arena *a); /* what it holds, for statistics */
