#include "base/json_out.h"

#include <math.h>

/* Results of buf_* calls are ignored on purpose throughout: a refused write sets buf.full, which
 * the caller tests once. */

void json_out_init(struct json_out *j, struct buf *to)
{
	*j = (struct json_out){.to = to};
}

/* Bytes that stand for themselves in JSON: printable ASCII but the quote and the backslash. */
static const bool plain[256] = {
	[0x20 ... 0x21] = true, [0x23 ... 0x5b] = true, [0x5d ... 0x7e] = true};

/* How many bytes at the start of S stand for themselves. */
static size_t plain_len(struct slice s)
{
	size_t n = 0;
	while (n < s.len && plain[(unsigned char)s.at[n]])
		n++;
	return n;
}

static void put_escaped(struct buf *b, struct slice s)
{
	(void)buf_putc(b, '"');
	while (s.len) {
		size_t run = plain_len(s);
		if (run) {
			(void)buf_append(b, slice_sub(s, 0, run));
			s = slice_sub(s, run, s.len);
			continue;
		}
		unsigned char c = (unsigned char)s.at[0];
		size_t n = slice_utf8_len(s);
		if (n == 0) {
			(void)buf_puts(b, "\xef\xbf\xbd"); /* U+FFFD */
			n = 1;
		} else if (c == '"' || c == '\\') {
			(void)buf_putc(b, '\\');
			(void)buf_putc(b, (char)c);
		} else if (c == '\n') {
			(void)buf_puts(b, "\\n");
		} else if (c < 0x20 || c == 0x7f) {
			(void)buf_printf(b, "\\u%04x", c);
		} else {
			(void)buf_append(b, slice_sub(s, 0, n));
		}
		s = slice_sub(s, n, s.len);
	}
	(void)buf_putc(b, '"');
}

static void begin(struct json_out *j, const char *key)
{
	uint64_t bit = UINT64_C(1) << j->depth;
	if (j->comma & bit)
		(void)buf_putc(j->to, ',');
	j->comma |= bit;
	if (key) {
		put_escaped(j->to, slice_of(key));
		(void)buf_putc(j->to, ':');
	}
}

static void open_level(struct json_out *j, const char *key, bool object)
{
	begin(j, key);
	(void)buf_putc(j->to, object ? '{' : '[');
	j->depth++;
	MUST(j->depth < 64);
	uint64_t bit = UINT64_C(1) << j->depth;
	j->comma &= ~bit;
	j->object = object ? j->object | bit : j->object & ~bit;
}

void json_open_object(struct json_out *j, const char *key)
{
	open_level(j, key, true);
}

void json_open_array(struct json_out *j, const char *key)
{
	open_level(j, key, false);
}

void json_close(struct json_out *j)
{
	MUST(j->depth > 0);
	(void)buf_putc(j->to, j->object & UINT64_C(1) << j->depth ? '}' : ']');
	j->depth--;
}

void json_slice(struct json_out *j, const char *key, struct slice s)
{
	begin(j, key);
	put_escaped(j->to, s);
}

void json_cstr(struct json_out *j, const char *key, const char *s)
{
	if (s)
		json_slice(j, key, slice_of(s));
	else
		json_nil(j, key);
}

void json_u64(struct json_out *j, const char *key, uint64_t n)
{
	begin(j, key);
	(void)buf_u64(j->to, n);
}

void json_i64(struct json_out *j, const char *key, int64_t n)
{
	begin(j, key);
	if (n < 0)
		(void)buf_putc(j->to, '-');
	(void)buf_u64(j->to, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

void json_double(struct json_out *j, const char *key, double n)
{
	begin(j, key);
	if (!isfinite(n)) {
		(void)buf_puts(j->to, "null");
		return;
	}
	if (fabs(n) >= 1e15) { /* no fraction is left to write; up to 309 digits */
		(void)buf_printf(j->to, "%.0f", n);
		return;
	}
	uint64_t thousandths = (uint64_t)llround(fabs(n) * 1000);
	if (n < 0 && thousandths)
		(void)buf_putc(j->to, '-');
	(void)buf_u64(j->to, thousandths / 1000);
	unsigned rest = (unsigned)(thousandths % 1000);
	char fraction[] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
			   (char)('0' + rest % 10)};
	size_t len = rest == 0 ? 0 : rest % 10 ? 4 : rest % 100 ? 3 : 2;
	(void)buf_append(j->to, (struct slice){fraction, len});
}

void json_bool(struct json_out *j, const char *key, bool b)
{
	begin(j, key);
	(void)buf_puts(j->to, b ? "true" : "false");
}

void json_nil(struct json_out *j, const char *key)
{
	begin(j, key);
	(void)buf_puts(j->to, "null");
}

void json_raw(struct json_out *j, const char *key, struct slice json)
{
	begin(j, key);
	(void)buf_append(j->to, json);
}
