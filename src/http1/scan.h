/*
 * The first byte that ends a run: of a token, of a request target, of a field value. The hot loops
 * of the parser, inlined into it; chars.c holds the table that they all agree with, and scan_test.c
 * checks that for every byte at every place.
 *
 *   size_t i = scan_token(s, at, end);      // s[i] is no tchar, or i == end
 *
 * Never reads at or past END. 32 bytes a step with AVX2, 16 with SSE2, one without.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum {
	CHAR_TOKEN = 1,  /* tchar, RFC 9110 5.6.2 */
	CHAR_TARGET = 2, /* visible ASCII; bytes from 0x80 up, which browsers and curl do send */
	CHAR_VALUE = 4,  /* HTAB, SP, visible ASCII, obs-text: RFC 9110 5.5 */
	CHAR_HOST = 8,   /* of uri-host and port, RFC 3986 3.2.2 */
};
extern const unsigned char http1_chars[256];

/* Each scan_* has the same shape: wide steps; byte by byte only in texts that are shorter. */

#if defined(__AVX2__)
/*
 * Which bytes of V are no tchar, as a bit mask. A tchar has its bit (1 << high nibble) in the row
 * of its low nibble; bytes from 0x80 up find no bit, for pshufb gives 0 there.
 */
static inline unsigned not_token32(__m256i v)
{
	const __m256i rows = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		(char)0xe8, (char)0xfc, (char)0xf8, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc,
		(char)0xfc, (char)0xf8, (char)0xf8, (char)0xf4, (char)0x54, (char)0xd0, (char)0x54,
		(char)0xf4, (char)0x70));
	const __m256i bits = _mm256_broadcastsi128_si256(
		_mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0));
	__m256i row = _mm256_shuffle_epi8(rows, v);
	__m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
	__m256i hit = _mm256_and_si256(row, _mm256_shuffle_epi8(bits, high));
	return (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(hit, _mm256_setzero_si256()));
}

static inline unsigned not_target32(__m256i v)
{
	__m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x20)), v);
	__m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
	return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(low, del));
}

static inline unsigned not_value32(__m256i v)
{
	__m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
	__m256i tab = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t'));
	__m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
	return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, low), del));
}
#define SCAN32(not_in)                                                                             \
	for (; end - at >= 32; at += 32) {                                                         \
		unsigned mask = not_in(_mm256_loadu_si256((const __m256i *)(const void *)&s[at])); \
		if (mask)                                                                          \
			return at + (size_t)__builtin_ctz(mask);                                   \
	}
#else
#define SCAN32(not_in)
#endif

#if defined(__SSSE3__)
static inline unsigned not_token16(__m128i v)
{
	const __m128i rows = _mm_setr_epi8((char)0xe8, (char)0xfc, (char)0xf8, (char)0xfc,
					   (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc,
					   (char)0xf8, (char)0xf8, (char)0xf4, (char)0x54,
					   (char)0xd0, (char)0x54, (char)0xf4, (char)0x70);
	const __m128i bits =
		_mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0);
	__m128i row = _mm_shuffle_epi8(rows, v);
	__m128i high = _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(0x0f));
	__m128i hit = _mm_and_si128(row, _mm_shuffle_epi8(bits, high));
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(hit, _mm_setzero_si128()));
}
#endif

#if defined(__SSE2__)
static inline unsigned not_target16(__m128i v)
{
	__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x20)), v);
	__m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
	return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, del));
}

static inline unsigned not_value16(__m128i v)
{
	__m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
	__m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
	__m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
	return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}
/* The last steps: 16 bytes that end where the text ends, those before AT shifted out. */
#define SCAN16(not_in)                                                                             \
	for (; end - at >= 16; at += 16) {                                                         \
		unsigned mask = not_in(_mm_loadu_si128((const __m128i *)(const void *)&s[at]));    \
		if (mask)                                                                          \
			return at + (size_t)__builtin_ctz(mask);                                   \
	}                                                                                          \
	if (end >= 16) {                                                                           \
		unsigned left = (unsigned)(end - at);                                              \
		unsigned mask =                                                                    \
			not_in(_mm_loadu_si128((const __m128i *)(const void *)&s[end - 16])) >>    \
			(16 - left);                                                               \
		return mask ? at + (size_t)__builtin_ctz(mask) : end;                              \
	}
#else
#define SCAN16(not_in)
#endif

static inline size_t scan_class(const unsigned char *s, size_t at, size_t end, unsigned class)
{
	while (at < end && (http1_chars[s[at]] & class))
		at++;
	return at;
}

static inline size_t scan_token(const unsigned char *s, size_t at, size_t end)
{
#if defined(__SSSE3__)
	SCAN16(not_token16) /* names are short: 16 is enough for nearly all */
#endif
	return scan_class(s, at, end, CHAR_TOKEN);
}

static inline size_t scan_target(const unsigned char *s, size_t at, size_t end)
{
	SCAN32(not_target32)
	SCAN16(not_target16)
	return scan_class(s, at, end, CHAR_TARGET);
}

static inline size_t scan_value(const unsigned char *s, size_t at, size_t end)
{
	SCAN32(not_value32)
	SCAN16(not_value16)
	return scan_class(s, at, end, CHAR_VALUE);
}
