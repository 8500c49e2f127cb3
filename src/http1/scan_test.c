#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "http1/scan.h"

/* RFC 9110 5.6.2, written out. */
static bool is_tchar(unsigned c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && c < 128 && strchr("!#$%&'*+-.^_`|~", (int)c));
}

static bool is_target(unsigned c)
{
	return c > 0x20 && c != 0x7f;
}

static bool is_value(unsigned c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static void check(size_t (*scan)(const unsigned char *, size_t, size_t), bool (*is)(unsigned))
{
	enum { LEN = 100 };
	for (unsigned c = 0; c < 256; c++)
		for (size_t place = 0; place < LEN; place++) {
			unsigned char s[LEN];
			memset(s, 'x', LEN);
			s[place] = (unsigned char)c;
			size_t stop = is(c) ? LEN : place;
			assert_int_equal(scan(s, 0, LEN), stop);
			/* Never past the end, wherever that is, nor before the start. */
			assert_int_equal(scan(s, 0, place), place);
			assert_int_equal(scan(s, place, LEN), stop);
		}
}

static void every_byte_at_every_place(void **state)
{
	(void)state;
	check(scan_token, is_tchar);
	check(scan_target, is_target);
	check(scan_value, is_value);
	for (unsigned c = 0; c < 256; c++) {
		assert_int_equal((http1_chars[c] & CHAR_TOKEN) != 0, is_tchar(c));
		assert_int_equal((http1_chars[c] & CHAR_TARGET) != 0, is_target(c));
		assert_int_equal((http1_chars[c] & CHAR_VALUE) != 0, is_value(c));
		/* reg-name / IP-literal [ ":" port ], RFC 3986 3.2.2 */
		bool host = (is_tchar(c) && !strchr("#^`|", (int)c)) ||
			    (c && c < 128 && strchr("(),;=:[]", (int)c));
		assert_int_equal((http1_chars[c] & CHAR_HOST) != 0, host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_byte_at_every_place)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
