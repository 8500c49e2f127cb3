/* SipHash-2-4 as Aumasson and Bernstein describe it in "SipHash: a fast short-input PRF" (2012). */
#include "base/table.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

static uint64_t process_key[2];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void draw_key(void)
{
	MUST(getrandom(process_key, sizeof(process_key), 0) == (ssize_t)sizeof(process_key));
}

static uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void rounds(uint64_t v[4], unsigned n)
{
	while (n--) {
		v[0] += v[1];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[0] = rotl(v[0], 32);
		v[2] += v[3];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[2] = rotl(v[2], 32);
	}
}

uint64_t siphash(const void *bytes, size_t len)
{
	(void)pthread_once(&key_once,
			   draw_key); /* fails only for a control that is not initialised */
	return siphash_keyed(process_key, bytes, len);
}

uint64_t siphash_keyed(const uint64_t key[2], const void *bytes, size_t len)
{
	uint64_t v[4] = {
		key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
	const unsigned char *at = bytes;
	size_t whole = len / 8 * 8;
	for (size_t i = 0; i < whole; i += 8) {
		uint64_t m = 0;
		memcpy(&m, at + i, 8);
		v[3] ^= m;
		rounds(v, 2);
		v[0] ^= m;
	}
	uint64_t last = (uint64_t)len << 56;
	for (size_t i = whole; i < len; i++)
		last |= (uint64_t)at[i] << (8 * (i - whole));
	v[3] ^= last;
	rounds(v, 2);
	v[0] ^= last;
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
