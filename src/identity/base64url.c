#include "identity/base64url.h"

#include "base/reader.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool base64url_put(struct slice bytes, struct buf *out)
{
	struct reader r = reader_of(bytes);
	bool ok = true;
	while (ok && !reader_done(&r)) {
		size_t n = r.left < 3 ? r.left : 3;
		uint32_t group = 0;
		for (size_t i = 0; i < 3; i++)
			group = group << 8 | (i < n ? read_u8(&r) : 0);
		for (size_t i = 0; i <= n; i++)
			ok = ok && buf_putc(out, alphabet[group >> (18 - 6 * i) & 63]);
	}
	return ok;
}

static int value_of(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_get(struct slice text, struct buf *out)
{
	struct reader r = reader_of(text);
	while (!reader_done(&r)) {
		size_t n = r.left < 4 ? r.left : 4;
		uint32_t group = 0;
		for (size_t i = 0; i < 4; i++) {
			int v = i < n ? value_of(read_u8(&r)) : 0;
			if (v < 0)
				return false;
			group = group << 6 | (uint32_t)v;
		}
		/* what lies behind the last whole byte must be zero, and a byte needs two signs */
		if (n == 1 || (group & ((1U << (24 - 8 * (n - 1))) - 1)) != 0)
			return false;
		for (size_t i = 0; i + 1 < n; i++)
			if (!buf_putc(out, (char)(group >> (16 - 8 * i) & 0xff)))
				return false;
	}
	return true;
}
