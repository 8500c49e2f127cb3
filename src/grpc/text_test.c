/* Texts and numbers of HTTP/2 fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "grpc/text.h"

static void encoding(void **state)
{
	(void)state;
	static const struct {
		const char *text, *encoded, *read; /* read NULL: as it was */
	} rows[] = {
		{"", "", NULL},
		{"plain words, 'quotes' and ~", "plain words, 'quotes' and ~", NULL},
		{"100%", "100%25", NULL},
		{"a\r\nb\x1b[2J", "a%0D%0Ab%1B[2J", "a??b?[2J"},
		{"\xe2\x82\xac", "%E2%82%AC", NULL},
		{"\xff\xe2\x82", "%FF%E2%82", "???"},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		char encoded[3 * GRPC_TEXT_MAX], read[GRPC_TEXT_MAX];
		grpc_text_encode(rows[i].text, encoded);
		assert_string_equal(encoded, rows[i].encoded);
		grpc_text_decode(slice_of(encoded), read);
		assert_string_equal(read, rows[i].read ? rows[i].read : rows[i].text);
	}
}

static void wrong_escapes_stay(void **state)
{
	(void)state;
	static const char *const rows[] = {"%", "%4", "%zz", "100% sure", "%%"};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		char read[GRPC_TEXT_MAX];
		grpc_text_decode(slice_of(rows[i]), read);
		assert_string_equal(read, rows[i]);
	}
}

static void long_texts_are_cut(void **state)
{
	(void)state;
	char text[3 * GRPC_TEXT_MAX], encoded[3 * GRPC_TEXT_MAX], read[GRPC_TEXT_MAX];
	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	grpc_text_encode(text, encoded);
	assert_int_equal(strlen(encoded), 3 * (GRPC_TEXT_MAX - 1));
	memset(text, 'a', sizeof(text) - 1);
	grpc_text_decode(slice_of(text), read);
	assert_int_equal(strlen(read), GRPC_TEXT_MAX - 1);
}

static void timeouts(void **state)
{
	(void)state;
	static const struct {
		unsigned ms;
		const char *text;
	} rows[] = {{1, "1m"},
		    {99999999, "99999999m"},
		    {100000000, "100000S"},
		    {UINT32_MAX, "4294967S"}};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		char text[16];
		grpc_timeout_text(rows[i].ms, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(grpc_status_name(GRPC_OK), "OK");
	assert_string_equal(grpc_status_name(GRPC_DEADLINE_EXCEEDED), "DEADLINE_EXCEEDED");
	assert_string_equal(grpc_status_name(GRPC_UNAUTHENTICATED), "UNAUTHENTICATED");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoding),
		cmocka_unit_test(wrong_escapes_stay),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(timeouts),
		cmocka_unit_test(names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
