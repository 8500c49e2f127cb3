#include "base/slice.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct slice slice_of(const char *cstr)
{
	return (struct slice){cstr, cstr ? strlen(cstr) : 0};
}

/* Only an empty slice may point nowhere, so two of one length are equal when either does. */
bool slice_eq(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	return !a.at || !b.at || memcmp(a.at, b.at, a.len) == 0;
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	return !a.at || !b.at || strncasecmp(a.at, b.at, a.len) == 0;
}

bool slice_is(struct slice a, const char *cstr)
{
	return slice_eq(a, slice_of(cstr));
}

bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_eq(slice_sub(s, 0, prefix.len), prefix);
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_eq_nocase(slice_sub(s, 0, prefix.len), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len &&
	       slice_eq(slice_sub(s, s.len - suffix.len, suffix.len), suffix);
}

int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n ? memcmp(a.at, b.at, n) : 0;
	if (order != 0)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

size_t slice_find(struct slice s, char c)
{
	const char *hit = s.len ? memchr(s.at, c, s.len) : NULL;
	return hit ? (size_t)(hit - s.at) : s.len;
}

bool slice_contains(struct slice s, struct slice what)
{
	return what.len == 0 ||
	       (s.len >= what.len && memmem(s.at, s.len, what.at, what.len) != NULL);
}

struct slice slice_sub(struct slice s, size_t from, size_t len)
{
	if (from > s.len)
		from = s.len;
	if (len > s.len - from)
		len = s.len - from;
	return (struct slice){s.at ? s.at + from : NULL, len};
}

struct slice slice_cut(struct slice *s, char sep)
{
	size_t at = slice_find(*s, sep);
	struct slice head = slice_sub(*s, 0, at);
	*s = slice_sub(*s, at < s->len ? at + 1 : at, s->len);
	return head;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

size_t slice_join(char *out, size_t out_len, const struct slice *parts, size_t n)
{
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		size_t room = out_len - 1 - len;
		size_t more = parts[i].len < room ? parts[i].len : room;
		if (more)
			memcpy(out + len, parts[i].at, more);
		len += more;
	}
	out[len] = '\0';
	return len;
}

struct slice slice_trim(struct slice s)
{
	while (s.len && is_space(s.at[0]))
		s = slice_sub(s, 1, s.len);
	while (s.len && is_space(s.at[s.len - 1]))
		s.len--;
	return s;
}

bool slice_to_u64(struct slice s, uint64_t max, uint64_t *out)
{
	uint64_t sum = 0;
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		uint64_t digit = (uint64_t)(s.at[i] - '0');
		if (sum > (UINT64_MAX - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	if (sum > max)
		return false;
	*out = sum;
	return true;
}

const char *slice_printable(struct slice s, char *out, size_t out_len)
{
	size_t n = 0;
	for (size_t i = 0; i < s.len && n + 5 <= out_len; i++) {
		unsigned char c = (unsigned char)s.at[i];
		if (c >= 0x20 && c < 0x7f)
			out[n++] = (char)c;
		else
			n += (size_t)snprintf(out + n, out_len - n, "\\x%02x", c);
	}
	if (out_len)
		out[n] = '\0';
	return out;
}

size_t slice_utf8_len(struct slice s)
{
	if (s.len == 0)
		return 0;
	unsigned char c = (unsigned char)s.at[0];
	size_t n = c < 0x80                ? 1
		   : c >= 0xc2 && c < 0xe0 ? 2
		   : c >= 0xe0 && c < 0xf0 ? 3
		   : c >= 0xf0 && c < 0xf5 ? 4
					   : 0;
	if (n == 0 || s.len < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s.at[i] & 0xc0) != 0x80)
			return 0;
	if (n > 2) {
		unsigned char d = (unsigned char)s.at[1];
		if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) ||
		    (c == 0xf4 && d > 0x8f))
			return 0;
	}
	return n;
}
