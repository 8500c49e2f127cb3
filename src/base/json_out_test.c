/* What json_out writes, libjansson reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <math.h>

#include "base/json_out.h"
#include "base/mem.h"

static struct buf out;
static struct json_out j;

static int setup(void **state)
{
	(void)state; /* static: one test at a time */
	buf_init(&out, 1 << 16);
	json_out_init(&j, &out);
	return 0;
}

static int teardown(void **state)
{
	(void)state; /* as above */
	buf_fini(&out);
	return 0;
}

#define assert_json(text) assert_true(slice_is(buf_slice(&out), (text)))

static void objects_and_arrays(void **state)
{
	(void)state; /* none */
	json_open_object(&j, NULL);
	json_cstr(&j, "name", "db");
	json_u64(&j, "port", 3306);
	json_open_array(&j, "ips");
	json_cstr(&j, NULL, "198.18.0.7");
	json_open_object(&j, NULL);
	json_close(&j);
	json_open_array(&j, NULL);
	json_close(&j);
	json_close(&j);
	json_bool(&j, "ready", true);
	json_bool(&j, "mtls", false);
	json_nil(&j, "node");
	json_cstr(&j, "zone", NULL);
	json_raw(&j, "raw", SLICE("{\"a\":[1]}"));
	json_close(&j);
	assert_json("{\"name\":\"db\",\"port\":3306,\"ips\":[\"198.18.0.7\",{},[]],\"ready\":true,"
		    "\"mtls\":false,\"node\":null,\"zone\":null,\"raw\":{\"a\":[1]}}");
}

static void numbers(void **state)
{
	(void)state; /* none */
	json_open_array(&j, NULL);
	json_u64(&j, NULL, UINT64_MAX);
	json_i64(&j, NULL, INT64_MIN);
	json_double(&j, NULL, 1.5);
	json_double(&j, NULL, 2);
	json_double(&j, NULL, 0.0004);
	json_double(&j, NULL, -1234.5678);
	json_double(&j, NULL, 100);
	json_double(&j, NULL, NAN);
	json_double(&j, NULL, INFINITY);
	json_close(&j);
	assert_json("[18446744073709551615,-9223372036854775808,1.5,2,0,-1234.568,100,null,null]");
}

static void the_largest_double_is_written(void **state)
{
	(void)state; /* none */
	json_open_array(&j, NULL);
	json_double(&j, NULL, 1.7976931348623157e308);
	json_close(&j);
	json_t *read = json_loadb(buf_slice(&out).at, buf_len(&out), JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(read);
	assert_true(json_real_value(json_array_get(read, 0)) >= 1.79e308);
	json_decref(read);
}

/* Every byte as a string of its own, and every pair with a lead byte: always JSON, always UTF-8. */
static void strings_of_any_bytes_are_json(void **state)
{
	(void)state; /* none */
	for (unsigned lead = 0; lead < 256; lead++) {
		for (unsigned next = 0; next < 256; next += lead < 0x80 ? 255 : 1) {
			char bytes[3] = {(char)lead, (char)next, 'z'};
			buf_clear(&out);
			json_out_init(&j, &out);
			json_open_object(&j, NULL);
			json_slice(&j, "s", (struct slice){bytes, 3});
			json_close(&j);
			json_error_t why;
			json_t *read =
				json_loadb(buf_slice(&out).at, buf_len(&out), JSON_ALLOW_NUL, &why);
			if (!read)
				fail_msg("%02x %02x: %s", lead, next, why.text);
			json_t *s = json_object_get(read, "s");
			const char *text = json_string_value(s);
			if (lead < 0x80 && next < 0x80) { /* kept as it was */
				assert_int_equal(json_string_length(s), 3);
				assert_memory_equal(text, bytes, 3);
			}
			assert_int_equal(text[json_string_length(s) - 1], 'z');
			json_decref(read);
		}
	}
}

static void keys_are_escaped(void **state)
{
	(void)state; /* none */
	json_open_object(&j, NULL);
	json_cstr(&j, "a\"b", "c\\d\ne\tf");
	json_close(&j);
	assert_json("{\"a\\\"b\":\"c\\\\d\\ne\\u0009f\"}");
}

static void a_full_buffer_says_so(void **state)
{
	(void)state; /* none */
	struct buf small;
	buf_init(&small, 8);
	json_out_init(&j, &small);
	json_open_array(&j, NULL);
	for (unsigned i = 0; i < 100; i++)
		json_u64(&j, NULL, i);
	json_close(&j);
	assert_true(small.full);
	buf_fini(&small);
}

static void levels_keep_their_commas(void **state)
{
	(void)state; /* none */
	enum { LEVELS = 62 };
	json_open_array(&j, NULL);
	for (unsigned i = 0; i < LEVELS; i++) {
		json_u64(&j, NULL, i);
		json_open_array(&j, NULL);
	}
	for (unsigned i = 0; i < LEVELS; i++) {
		json_close(&j);
		json_u64(&j, NULL, i);
	}
	json_close(&j);
	json_t *read = json_loadb(buf_slice(&out).at, buf_len(&out), 0, NULL);
	assert_non_null(read);
	json_decref(read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(objects_and_arrays, setup, teardown),
		cmocka_unit_test_setup_teardown(numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(the_largest_double_is_written, setup, teardown),
		cmocka_unit_test_setup_teardown(strings_of_any_bytes_are_json, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_are_escaped, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_buffer_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(levels_keep_their_commas, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
