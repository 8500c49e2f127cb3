/*
 * Small allocations, which abort when memory is gone. Whatever a peer can make large has a limit of
 * its own before it gets here.
 */
#pragma once
#include <stddef.h>

void *mem_new(size_t len);              /* zeroed; free() it */
void *mem_array(size_t n, size_t size); /* zeroed; aborts on overflow */
void *mem_grow(void *old, size_t n,
	       size_t size); /* realloc to N*SIZE bytes; the new part is not cleared */
char *mem_strdup(const char *s);
/* Where AddressSanitizer watches, whatever hands out parts of a block or keeps blocks for later leaves
 * each allocation to malloc(), so that overruns and late uses are seen. */
#if defined(__SANITIZE_ADDRESS__)
#define MEM_ONE_EACH 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEM_ONE_EACH 1
#endif
#endif
#ifndef MEM_ONE_EACH
#define MEM_ONE_EACH 0
#endif
/* Frees P and sets it to NULL. */
#define MEM_FREE(p) (free(p), (p) = NULL)
/* The struct that has MEMBER at PTR. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define N_ELEMS(array) (sizeof(array) / sizeof((array)[0]))
