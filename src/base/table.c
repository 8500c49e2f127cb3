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

/* Each of the four in a variable of its own: as an array they would stay in memory. */
#define SIP_ROUND(a, b, c, d)                                                                      \
	do {                                                                                       \
		(a) += (b);                                                                        \
		(b) = rotl((b), 13) ^ (a);                                                         \
		(a) = rotl((a), 32);                                                               \
		(c) += (d);                                                                        \
		(d) = rotl((d), 16) ^ (c);                                                         \
		(a) += (d);                                                                        \
		(d) = rotl((d), 21) ^ (a);                                                         \
		(c) += (b);                                                                        \
		(b) = rotl((b), 17) ^ (c);                                                         \
		(c) = rotl((c), 32);                                                               \
	} while (0)

uint64_t siphash(const void *bytes, size_t len)
{
	(void)pthread_once(&key_once,
			   draw_key); /* fails only for a control that is not initialised */
	return siphash_keyed(process_key, bytes, len);
}

uint64_t siphash_keyed(const uint64_t key[2], const void *bytes, size_t len)
{
	uint64_t a = key[0] ^ UINT64_C(0x736f6d6570736575),
		 b = key[1] ^ UINT64_C(0x646f72616e646f6d);
	uint64_t c = key[0] ^ UINT64_C(0x6c7967656e657261),
		 d = key[1] ^ UINT64_C(0x7465646279746573);
	const unsigned char *at = bytes;
	size_t whole = len / 8 * 8;
	for (size_t i = 0; i < whole; i += 8) {
		uint64_t m = 0;
		memcpy(&m, at + i, 8);
		d ^= m;
		SIP_ROUND(a, b, c, d);
		SIP_ROUND(a, b, c, d);
		a ^= m;
	}
	uint64_t last = (uint64_t)len << 56;
	for (size_t i = whole; i < len; i++)
		last |= (uint64_t)at[i] << (8 * (i - whole));
	d ^= last;
	SIP_ROUND(a, b, c, d);
	SIP_ROUND(a, b, c, d);
	a ^= last;
	c ^= 0xff;
	for (int i = 0; i < 4; i++)
		SIP_ROUND(a, b, c, d);
	return a ^ b ^ c ^ d;
}
