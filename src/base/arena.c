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
	uint32_t used, size;
	alignas(max_align_t) unsigned char bytes[];
};

struct arena {
	struct chunk *chunks; /* the one being filled first */
	size_t total, used;
	uint32_t next_size;
	uint32_t own; /* size of the chunk behind it in its own block; 0: none */
};

/* A struct behind which a chunk stands in the same block: many arenas are one small block. */
static struct chunk *own_chunk(struct arena *a)
{
	return (struct chunk *)(void *)(a + 1);
}

static struct chunk *chunk_push(struct arena *a, struct chunk *c, size_t size)
{
	*c = (struct chunk){.next = a->chunks, .size = (uint32_t)size};
	a->chunks = c;
	a->total += sizeof(*c) + size;
	return c;
}

static struct arena *arena_with(size_t first)
{
	MUST(first < UINT32_MAX / 2);
	struct arena *a =
		mem_grow(NULL, 1, sizeof(*a) + (first ? sizeof(struct chunk) + first : 0));
	*a = (struct arena){.next_size = FIRST_CHUNK, .own = (uint32_t)first};
	if (first)
		(void)chunk_push(a, own_chunk(a), first); /* alloc_aligned() finds it */
	return a;
}

struct arena *arena_new(void)
{
	return arena_with(0);
}

struct arena *arena_new_sized(size_t first)
{
	return arena_with(MEM_ONE_EACH ? 0 : first);
}

static void free_chunks(struct arena *a)
{
	for (struct chunk *c = a->chunks, *next; c; c = next) {
		next = c->next;
		if (!a->own || c != own_chunk(a))
			free(c);
	}
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	free_chunks(a);
	free(a);
}

void arena_reset(struct arena *a)
{
	free_chunks(a);
	a->chunks = NULL;
	a->total = a->used = 0;
	if (a->own)
		(void)chunk_push(a, own_chunk(a), a->own); /* as in arena_with() */
}

/* Not cleared. */
static void *alloc_aligned(struct arena *a, size_t len, size_t align)
{
	MUST(len < UINT32_MAX / 2);
	struct chunk *c = a->chunks;
	size_t pad = c ? (align - c->used % align) % align : 0;
	if (MEM_ONE_EACH || !c || c->size - c->used < pad || c->size - c->used - pad < len) {
		size_t size = MEM_ONE_EACH || len > a->next_size ? len : a->next_size;
		if (!MEM_ONE_EACH && a->next_size < MAX_CHUNK)
			a->next_size *= 2;
		c = chunk_push(a, mem_grow(NULL, 1, sizeof(*c) + size), size);
		pad = 0;
	}
	void *at = c->bytes + c->used + pad;
	c->used += (uint32_t)(pad + len);
	a->used += pad + len;
	return at;
}

void *arena_alloc(struct arena *a, size_t len)
{
	void *at = alloc_aligned(a, len, alignof(max_align_t));
	memset(at, 0, len);
	return at;
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
	copy[s.len] = '\0';
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

size_t arena_spare(const struct arena *a)
{
	size_t spare = 0;
	for (const struct chunk *c = a->chunks; c; c = c->next)
		spare += c->size - c->used;
	return spare;
}

size_t arena_bytes(const struct arena *a)
{
	return a->total;
}
