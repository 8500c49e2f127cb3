#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
	free(b->bytes);
	*b = (struct buf){.max = b->max};
}

void buf_wipe(struct buf *b)
{
	if (b->bytes)
		explicit_bzero(b->bytes, b->size);
	buf_fini(b);
}

void buf_clear(struct buf *b)
{
	b->start = b->end = 0;
	b->full = false;
}

struct slice buf_slice(const struct buf *b)
{
	return (struct slice){b->bytes ? b->bytes + b->start : "", b->end - b->start};
}

size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

char *buf_reserve(struct buf *b, size_t min, size_t *room)
{
	size_t len = buf_len(b);
	if (min > b->max || len > b->max - min) {
		b->full = true;
		return NULL;
	}
	if (b->size - b->end < min && b->start > 0) {
		memmove(b->bytes, b->bytes + b->start, len);
		b->start = 0;
		b->end = len;
	}
	if (b->size - b->end < min) {
		size_t want = b->size ? b->size * 2 : 256;
		if (want < len + min)
			want = len + min;
		if (want > b->max)
			want = b->max;
		b->bytes = mem_grow(b->bytes, want, 1);
		b->size = want;
	}
	if (room)
		*room = b->size - b->end;
	return b->bytes + b->end;
}

void buf_commit(struct buf *b, size_t n)
{
	MUST(n <= b->size - b->end);
	b->end += n;
}

bool buf_append_slow(struct buf *b, struct slice s)
{
	if (s.len == 0)
		return true;
	char *at = buf_reserve(b, s.len, NULL);
	if (!at)
		return false;
	memcpy(at, s.at, s.len);
	b->end += s.len;
	return true;
}

bool buf_puts(struct buf *b, const char *cstr)
{
	return buf_append(b, slice_of(cstr));
}

bool buf_u64(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);
	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	return buf_append(b, (struct slice){&digits[at], sizeof(digits) - at});
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args, again;
	va_start(args, fmt);
	va_copy(again, args);
	int len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	MUST(len >= 0);
	/* The NUL that vsnprintf writes is not part of the contents: at the bound it finds no place. */
	size_t n = (size_t)len;
	char *at = buf_reserve(b, buf_len(b) + n < b->max ? n + 1 : n, NULL);
	if (at && b->size - b->end > n) {
		MUST(vsnprintf(at, n + 1, fmt, again) == len);
		b->end += n;
	} else if (at) {
		char *text = mem_new(n + 1);
		MUST(vsnprintf(text, n + 1, fmt, again) == len);
		MUST(buf_append(b, (struct slice){text, n}));
		free(text);
	}
	va_end(again);
	return at != NULL;
}

void buf_consume(struct buf *b, size_t n)
{
	MUST(n <= buf_len(b));
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

const char *buf_cstr(struct buf *b)
{
	char *at = buf_reserve(b, 1, NULL);
	if (!at)
		return NULL;
	*at = '\0';
	return b->bytes + b->start;
}
