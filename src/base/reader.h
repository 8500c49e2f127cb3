/*
 * A bounded reader over borrowed bytes, big-endian unless the name says otherwise.
 * A read past the end gives zero, skips to the end and sets `bad`: test once, last.
 *
 *   struct reader r = reader_of(bytes);
 *   uint16_t type = read_u16(&r);
 *   struct reader body = read_block(&r, 2);     // a 2-byte length, then that many bytes
 *   if (r.bad || body.bad) ...
 */
#pragma once
#include "base/slice.h"

struct reader {
	const unsigned char *at;
	size_t left;
	bool bad;
};

struct reader reader_of(struct slice bytes);
bool reader_done(const struct reader *r); /* nothing is left (also after `bad`) */
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u24(struct reader *r);
uint32_t read_u32(struct reader *r);
uint32_t read_u24_le(struct reader *r);
void read_skip(struct reader *r, size_t n);
struct slice read_bytes(struct reader *r, size_t n);
/* A length of LEN_BYTES (1, 2 or 3) and that many bytes, as a reader of its own; empty and bad when
 * cut short. */
struct reader read_block(struct reader *r, unsigned len_bytes);
struct slice reader_rest(const struct reader *r);
