/* Slices, readers and buffers: the three that hold bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fnv.h"
#include "base/mem.h"
#include "base/reader.h"

#define assert_slice(s, text) assert_true(slice_is((s), (text)))

static const struct slice nothing = {NULL, 0};

/* Slices */

static void slices_compare(void **state)
{
	(void)state; /* none */
	static const struct {
		const char *a, *b;
		bool eq, nocase, starts, ends, contains;
		int cmp;
	} rows[] = {
		{"", "", true, true, true, true, true, 0},
		{"a", "", false, false, true, true, true, 1},
		{"", "a", false, false, false, false, false, -1},
		{"Host", "host", false, true, false, false, false, -1},
		{"host", "ho", false, false, true, false, true, 1},
		{"host", "st", false, false, false, true, true, -1},
		{"host", "os", false, false, false, false, true, -1},
		{"host", "hosts", false, false, false, false, false, -1},
		{"\xff", "a", false, false, false, false, false, 1}, /* bytes, not chars */
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct slice a = slice_of(rows[i].a), b = slice_of(rows[i].b);
		int cmp = slice_cmp(a, b);
		assert_int_equal(slice_eq(a, b), rows[i].eq);
		assert_int_equal(slice_eq_nocase(a, b), rows[i].nocase);
		assert_int_equal(slice_starts(a, b), rows[i].starts);
		assert_int_equal(slice_ends(a, b), rows[i].ends);
		assert_int_equal(slice_contains(a, b), rows[i].contains);
		assert_int_equal((cmp > 0) - (cmp < 0), rows[i].cmp);
	}
	assert_true(slice_starts_nocase(SLICE("HoSt: a"), SLICE("host:")));
	assert_false(slice_starts_nocase(SLICE("Ho"), SLICE("host:")));
	assert_true(slice_is(SLICE("a"), "a"));
}

static void slices_may_point_nowhere(void **state)
{
	(void)state; /* none */
	struct slice rest = nothing;
	assert_int_equal(slice_of(NULL).len, 0);
	assert_true(slice_eq(nothing, SLICE("")));
	assert_true(slice_eq_nocase(SLICE(""), nothing));
	assert_true(slice_starts(SLICE("a"), nothing));
	assert_true(slice_ends(nothing, nothing));
	assert_true(slice_contains(nothing, nothing));
	assert_int_equal(slice_cmp(nothing, nothing), 0);
	assert_int_equal(slice_find(nothing, 'a'), 0);
	assert_int_equal(slice_sub(nothing, 3, 4).len, 0);
	assert_int_equal(slice_cut(&rest, ',').len, 0);
	assert_int_equal(slice_trim(nothing).len, 0);
	assert_int_equal(slice_utf8_len(nothing), 0);
	char out[8];
	assert_string_equal(slice_printable(nothing, out, sizeof(out)), "");
}

static void slices_are_cut(void **state)
{
	(void)state; /* none */
	struct slice s = SLICE("a:b::c");
	assert_slice(slice_cut(&s, ':'), "a");
	assert_slice(slice_cut(&s, ':'), "b");
	assert_slice(slice_cut(&s, ':'), "");
	assert_slice(slice_cut(&s, ':'), "c");
	assert_slice(slice_cut(&s, ':'), "");
	assert_int_equal(slice_find(SLICE("abc"), 'c'), 2);
	assert_int_equal(slice_find(SLICE("abc"), 'd'), 3);
	assert_slice(slice_sub(SLICE("abc"), 1, 1), "b");
	assert_slice(slice_sub(SLICE("abc"), 1, 99), "bc");
	assert_slice(slice_sub(SLICE("abc"), 99, 1), "");
	assert_slice(slice_sub(SLICE("abc"), 1, SIZE_MAX), "bc");
	assert_slice(slice_trim(SLICE(" \t a b\r\n")), "a b");
	assert_slice(slice_trim(SLICE("\r\n ")), "");
}

static void slices_are_numbers(void **state)
{
	(void)state; /* none */
	static const struct {
		const char *text;
		uint64_t max;
		bool ok;
		uint64_t n;
	} rows[] = {
		{"0", 9, true, 0},
		{"007", 9, true, 7},
		{"65535", UINT16_MAX, true, 65535},
		{"65536", UINT16_MAX, false, 0},
		{"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, false, 0},
		{"99999999999999999999", UINT64_MAX, false, 0},
		{"", 9, false, 0},
		{"-1", 9, false, 0},
		{"+1", 9, false, 0},
		{" 1", 9, false, 0},
		{"1 ", 9, false, 0},
		{"0x1", 99, false, 0},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		uint64_t n = 77;
		assert_int_equal(slice_to_u64(slice_of(rows[i].text), rows[i].max, &n), rows[i].ok);
		assert_true(n == (rows[i].ok ? rows[i].n : 77)); /* untouched on failure */
	}
}

static void slices_are_shown(void **state)
{
	(void)state; /* none */
	char out[32], small[6], none[1] = {'x'};
	assert_string_equal(slice_printable(SLICE("a\r\n\xff~\x7f"), out, sizeof(out)),
			    "a\\x0d\\x0a\\xff~\\x7f");
	assert_string_equal(slice_printable(SLICE("abcdef"), small, sizeof(small)), "ab");
	assert_string_equal(slice_printable(SLICE("abc"), none, sizeof(none)), "");
}

static void utf8_sequences(void **state)
{
	(void)state; /* none */
	static const struct {
		const char *rule;
		struct slice bytes;
		size_t len;
	} rows[] = {
		{"ASCII", SLICE("a"), 1},
		{"two bytes", SLICE("\xc3\xa9"), 2},
		{"three bytes", SLICE("\xe2\x82\xac"), 3},
		{"four bytes", SLICE("\xf0\x9f\x90\x99"), 4},
		{"the last code point", SLICE("\xf4\x8f\xbf\xbf"), 4},
		{"past the last code point", SLICE("\xf4\x90\x80\x80"), 0},
		{"a continuation alone", SLICE("\x80"), 0},
		{"cut short", SLICE("\xe2\x82"), 0},
		{"overlong in two", SLICE("\xc0\xaf"), 0},
		{"overlong in three", SLICE("\xe0\x80\xaf"), 0},
		{"overlong in four", SLICE("\xf0\x80\x80\xaf"), 0},
		{"a surrogate", SLICE("\xed\xa0\x80"), 0},
		{"no continuation", SLICE("\xc3x"), 0},
		{"no such first byte", SLICE("\xff\xff"), 0},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		if (slice_utf8_len(rows[i].bytes) != rows[i].len)
			fail_msg("%s", rows[i].rule);
}

/* Readers */

static void readers_read_big_endian(void **state)
{
	(void)state; /* none */
	struct reader r =
		reader_of(SLICE("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0dxyz"));
	assert_int_equal(read_u8(&r), 0x01);
	assert_int_equal(read_u16(&r), 0x0203);
	assert_int_equal(read_u24(&r), 0x040506);
	assert_int_equal(read_u32(&r), 0x0708090a);
	assert_int_equal(read_u24_le(&r), 0x0d0c0b);
	assert_slice(read_bytes(&r, 2), "xy");
	assert_slice(reader_rest(&r), "z");
	read_skip(&r, 1);
	assert_true(reader_done(&r));
	assert_false(r.bad);
}

static void readers_never_pass_the_end(void **state)
{
	(void)state; /* none */
	for (size_t len = 0; len < 4; len++) {
		char *bytes = mem_new(len); /* of exactly that size, for AddressSanitizer */
		memset(bytes, 0x7f, len);
		struct reader r = reader_of((struct slice){bytes, len});
		assert_int_equal(read_u32(&r), 0);
		assert_true(r.bad && reader_done(&r));
		assert_int_equal(read_u8(&r), 0); /* and stays there */
		assert_int_equal(read_bytes(&r, 0).len, 0);
		assert_true(r.bad);
		free(bytes);
	}
	struct reader r = reader_of(SLICE("ab"));
	read_skip(&r, SIZE_MAX);
	assert_true(r.bad);
	r = reader_of(SLICE("ab"));
	assert_int_equal(read_u24_le(&r), 0);
	assert_true(r.bad);
}

static void readers_read_blocks(void **state)
{
	(void)state; /* none */
	struct reader r = reader_of(SLICE("\2ab\0\1c\0\0\0z"));
	struct reader block = read_block(&r, 1);
	assert_slice(reader_rest(&block), "ab");
	block = read_block(&r, 2);
	assert_slice(reader_rest(&block), "c");
	block = read_block(&r, 3);
	assert_true(reader_done(&block) && !block.bad && !r.bad); /* empty is fine */
	assert_int_equal(r.left, 1);
	block = read_block(&r, 1); /* 'z' bytes are not there */
	assert_true(block.bad && r.bad && reader_done(&block));
	r = reader_of(SLICE("\0"));
	block = read_block(&r, 2); /* half a length */
	assert_true(block.bad && r.bad);
}

static void readers_of_nothing(void **state)
{
	(void)state; /* none */
	struct reader r = reader_of(nothing);
	assert_true(reader_done(&r) && !r.bad);
	assert_int_equal(read_bytes(&r, 0).len, 0);
	read_skip(&r, 0);
	assert_false(r.bad);
	assert_int_equal(read_u8(&r), 0);
	assert_true(r.bad);
}

/* Buffers */

static void buffers_grow_to_their_bound(void **state)
{
	(void)state; /* none */
	struct buf b;
	buf_init(&b, 1000);
	assert_int_equal(buf_slice(&b).len, 0);
	assert_null(b.bytes); /* owns nothing before the first write */
	for (unsigned i = 0; i < 1000; i++)
		assert_true(buf_putc(&b, (char)('a' + i % 26)));
	assert_false(b.full);
	assert_false(buf_putc(&b, 'x'));
	assert_true(b.full);
	assert_int_equal(buf_len(&b), 1000);
	assert_int_equal(buf_slice(&b).at[999], 'a' + 999 % 26);
	buf_consume(&b, 10); /* makes room, by moving what is there */
	assert_true(buf_puts(&b, "0123456789"));
	assert_false(buf_puts(&b, "0"));
	assert_int_equal(buf_slice(&b).at[0], 'k');
	assert_true(slice_ends(buf_slice(&b), SLICE("0123456789")));
	buf_fini(&b);
	assert_int_equal(buf_len(&b), 0);
	assert_true(buf_puts(&b, "again")); /* and is usable, with the same bound */
	assert_int_equal(b.max, 1000);
	buf_fini(&b);
}

static void buffers_add_all_or_nothing(void **state)
{
	(void)state; /* none */
	struct buf b;
	buf_init(&b, 4);
	assert_true(buf_append(&b, nothing));
	assert_true(buf_puts(&b, "abc"));
	assert_false(buf_puts(&b, "de"));
	assert_true(b.full);
	assert_slice(buf_slice(&b), "abc");
	assert_true(buf_puts(&b, "d")); /* the mark stays: it says that something was lost */
	assert_true(b.full);
	buf_clear(&b);
	assert_false(b.full);
	assert_int_equal(buf_len(&b), 0);
	size_t room = 0;
	assert_null(buf_reserve(&b, 5, &room));
	assert_null(buf_reserve(&b, SIZE_MAX, &room));
	buf_fini(&b);
}

static void buffers_print(void **state)
{
	(void)state; /* none */
	struct buf b;
	buf_init(&b, 8);
	assert_true(buf_printf(&b, "%s-%d", "ab", 12));
	assert_slice(buf_slice(&b), "ab-12");
	assert_string_equal(buf_cstr(&b), "ab-12");
	assert_int_equal(buf_len(&b), 5); /* the NUL is not counted */
	assert_false(buf_printf(&b, "%s", "longer than the rest"));
	assert_slice(buf_slice(&b), "ab-12");
	assert_true(buf_puts(&b, "678"));
	assert_null(buf_cstr(&b)); /* no place for the NUL */
	buf_fini(&b);
}

static void buffers_print_up_to_the_last_byte(void **state)
{
	(void)state; /* none */
	struct buf b;
	buf_init(&b, 4);
	assert_true(buf_printf(&b, "%s", "abcd")); /* the NUL that vsnprintf wants is not ours */
	assert_slice(buf_slice(&b), "abcd");
	buf_fini(&b);
}

static void buffers_write_numbers(void **state)
{
	(void)state; /* none */
	struct buf b;
	buf_init(&b, 30);
	assert_true(buf_u64(&b, 0));
	assert_true(buf_u64(&b, 3306));
	assert_true(buf_u64(&b, UINT64_MAX));
	assert_slice(buf_slice(&b), "0330618446744073709551615");
	assert_false(buf_u64(&b, 123456)); /* nothing, rather than a part of it */
	assert_slice(buf_slice(&b), "0330618446744073709551615");
	buf_fini(&b);
}

static void buffers_lend_room(void **state)
{
	(void)state; /* none */
	struct buf b;
	size_t room = 0;
	buf_init(&b, 64);
	char *at = buf_reserve(&b, 3, &room);
	assert_non_null(at);
	assert_true(room >= 3);
	memcpy(at, "abc", 3);
	buf_commit(&b, 3);
	buf_consume(&b, 1);
	assert_slice(buf_slice(&b), "bc");
	buf_consume(&b, 2);
	assert_int_equal(b.start, 0); /* empty: begins at the front again */
	buf_fini(&b);
}

/* One byte in, one byte out, for long: the buffer neither grows nor loses order. */
static void buffers_work_as_queues(void **state)
{
	(void)state; /* none */
	struct buf b;
	unsigned in = 0, out = 0;
	buf_init(&b, 300);
	while (out < 5000) {
		while (buf_len(&b) < 299)
			assert_true(buf_putc(&b, (char)in++));
		for (unsigned i = 0; i < 7; i++) {
			assert_int_equal((unsigned char)buf_slice(&b).at[0], out++ & 0xff);
			buf_consume(&b, 1);
		}
	}
	assert_true(b.size <= 300);
	buf_fini(&b);
}

/* Addresses and names of Pods hang on these values: they are those of FNV's own test suite. */
static void the_same_bytes_hash_the_same(void **state)
{
	(void)state; /* none */
	assert_int_equal(fnv1a(FNV1A, SLICE("")), 0x811c9dc5);
	assert_int_equal(fnv1a(FNV1A, SLICE("a")), 0xe40c292c);
	assert_int_equal(fnv1a(FNV1A, SLICE("foobar")), 0xbf9cf968);
	assert_int_equal(fnv1a(fnv1a(FNV1A, SLICE("foo")), SLICE("bar")), 0xbf9cf968);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_bytes_hash_the_same),
		cmocka_unit_test(slices_compare),
		cmocka_unit_test(slices_may_point_nowhere),
		cmocka_unit_test(slices_are_cut),
		cmocka_unit_test(slices_are_numbers),
		cmocka_unit_test(slices_are_shown),
		cmocka_unit_test(utf8_sequences),
		cmocka_unit_test(readers_read_big_endian),
		cmocka_unit_test(readers_never_pass_the_end),
		cmocka_unit_test(readers_read_blocks),
		cmocka_unit_test(readers_of_nothing),
		cmocka_unit_test(buffers_grow_to_their_bound),
		cmocka_unit_test(buffers_add_all_or_nothing),
		cmocka_unit_test(buffers_print),
		cmocka_unit_test(buffers_print_up_to_the_last_byte),
		cmocka_unit_test(buffers_write_numbers),
		cmocka_unit_test(buffers_lend_room),
		cmocka_unit_test(buffers_work_as_queues),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
