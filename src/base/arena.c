#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { FIRST_CHUNK = 512, MAX_CHUNK = 65536 };

struct chunk {
	struct chunk *next;
	size_t used, size;
	alignas(max_align_t) unsigned char bytes[];
};

struct arena {
	struct chunk *chunks; /* the one being filled first */
	size_t next_size;
	size_t total, used;
};

static struct chunk *chunk_add(struct arena *a, size_t size)
{
	struct chunk *c = mem_new(sizeof(*c) + size);
	c->size = size;
	c->next = a->chunks;
	a->chunks = c;
	a->total += sizeof(*c) + size;
	return c;
}

struct arena *arena_new(void)
{
	struct arena *a = mem_new(sizeof(*a));
	a->next_size = FIRST_CHUNK;
	return a;
}

struct arena *arena_new_sized(size_t first)
{
	struct arena *a = arena_new();
	if (!MEM_ONE_EACH)
		(void)chunk_add(a, first); /* alloc_aligned() finds it */
	return a;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	for (struct chunk *c = a->chunks, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(a);
}

static void *alloc_aligned(struct arena *a, size_t len, size_t align)
{
	MUST(len < SIZE_MAX / 2);
	struct chunk *c = a->chunks;
	size_t pad = c ? (align - c->used % align) % align : 0;
	if (MEM_ONE_EACH || !c || c->size - c->used < pad || c->size - c->used - pad < len) {
		size_t size = MEM_ONE_EACH || len > a->next_size ? len : a->next_size;
		if (!MEM_ONE_EACH && a->next_size < MAX_CHUNK)
			a->next_size *= 2;
		c = chunk_add(a, size);
		pad = 0;
	}
	void *at = c->bytes + c->used + pad;
	c->used += pad + len;
	a->used += pad + len;
	return at;
}

void *arena_alloc(struct arena *a, size_t len)
{
	return alloc_aligned(a, len, alignof(max_align_t));
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t total = 0;
	MUST(!__builtin_mul_overflow(n, size, &total));
	return arena_alloc(a, total);
}

char *arena_dup(struct arena *a, struct slice s)
{
	char *copy = alloc_aligned(a, s.len + 1, 1); /* texts stand close together */
	if (s.len)
		memcpy(copy, s.at, s.len);
	return copy;
}

struct slice arena_dup_slice(struct arena *a, struct slice s)
{
	return (struct slice){arena_dup(a, s), s.len};
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	MUST(fmt != NULL); /* also tells gcc, which under UBSan warns of a path where it is */
	va_list args, again;
	va_start(args, fmt);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	MUST(len >= 0);
	char *text = alloc_aligned(a, (size_t)len + 1, 1);
	MUST(vsnprintf(text, (size_t)len + 1, fmt, again) == len);
	va_end(again);
	return text;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}

size_t arena_bytes(const struct arena *a)
{
	return a->total;
}
