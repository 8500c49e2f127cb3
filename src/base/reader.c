#include "base/reader.h"

struct reader reader_of(struct slice bytes)
{
	/* Never NULL: even NULL + 0 is undefined. */
	const char *at = bytes.at ? bytes.at : "";
	return (struct reader){(const unsigned char *)at, bytes.len, false};
}

bool reader_done(const struct reader *r)
{
	return r->left == 0;
}

/* The only place that moves the pointer. */
static const unsigned char *take(struct reader *r, size_t n)
{
	if (r->left < n) {
		r->left = 0;
		r->bad = true;
		return NULL;
	}
	const unsigned char *at = r->at;
	r->at += n;
	r->left -= n;
	return at;
}

static uint32_t read_be(struct reader *r, unsigned n)
{
	const unsigned char *at = take(r, n);
	uint32_t sum = 0;
	for (unsigned i = 0; at && i < n; i++)
		sum = sum << 8 | at[i];
	return sum;
}

uint8_t read_u8(struct reader *r)
{
	return (uint8_t)read_be(r, 1);
}

uint16_t read_u16(struct reader *r)
{
	return (uint16_t)read_be(r, 2);
}

uint32_t read_u24(struct reader *r)
{
	return read_be(r, 3);
}

uint32_t read_u32(struct reader *r)
{
	return read_be(r, 4);
}

uint32_t read_u24_le(struct reader *r)
{
	const unsigned char *at = take(r, 3);
	return at ? (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 : 0;
}

void read_skip(struct reader *r, size_t n)
{
	(void)take(r, n); /* a skip past the end shows in `bad` */
}

struct slice read_bytes(struct reader *r, size_t n)
{
	const unsigned char *at = take(r, n);
	return (struct slice){(const char *)at, at ? n : 0};
}

struct reader read_block(struct reader *r, unsigned len_bytes)
{
	size_t len = read_be(r, len_bytes);
	bool had_length = !r->bad;
	struct slice body = read_bytes(r, len);
	struct reader block = reader_of(body);
	block.bad = !had_length || r->bad;
	return block;
}

struct slice reader_rest(const struct reader *r)
{
	return (struct slice){(const char *)r->at, r->left};
}
