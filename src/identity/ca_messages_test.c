#include "identity/ca_messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"

#define B(text)                                                                                    \
	{                                                                                          \
		(text), sizeof(text) - 1                                                           \
	}

/* As protoc --encode writes it; the texts are shortened. */
static const struct slice request_wire = B("\x0a\x03PEM\x18\x80\xa3\x05\x22\x1b\x0a\x19\x0a\x0a"
					   "CertSigner\x12\x0b\x1a\x09my-signer");

static void requests_on_the_wire(void **state)
{
	(void)state;
	struct err err = {0};
	struct ca_request q;
	assert_true(ca_request_read(request_wire, &q, &err));
	assert_true(slice_is(q.csr, "PEM"));
	assert_int_equal(q.validity_s, 86400);
	assert_true(slice_is(ca_request_metadata(&q, "CertSigner"), "my-signer"));
	assert_int_equal(ca_request_metadata(&q, "ClusterID").len, 0);
	struct buf out;
	buf_init(&out, CA_MESSAGE_MAX);
	assert_true(ca_request_write(&q, &out));
	assert_true(slice_eq(buf_slice(&out), request_wire));
	buf_fini(&out);
}

static void bad_requests(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		struct slice wire;
		bool ok;
	} rows[] = {
		{"nothing: all fields have defaults", B(""), true},
		{"unknown fields of each kind",
		 B("\x50\x01\x59"
		   "12345678\x62\x02hi\x6d"
		   "1234\x0a\x01x"),
		 true},
		{"a field of another type than ours is unknown", B("\x08\x01"), true},
		{"the last csr counts", B("\x0a\x01x\x0a\x01y"), true},
		{"negative seconds", B("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), true},
		{"metadata that is no text", B("\x22\x0b\x0a\x09\x0a\x01k\x12\x04\x20\x01\x20\x01"),
		 true},
		{"field number 0", B("\x02\x00"), false},
		{"a group", B("\x0b\x0c"), false},
		{"wire type 6", B("\x0e"), false},
		{"length beyond the end", B("\x0a\x05PEM"), false},
		{"length of 2^63", B("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), false},
		{"a varint of eleven bytes", B("\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
		 false},
		{"a varint of 65 bits", B("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), false},
		{"a varint cut short", B("\x18\x80"), false},
		{"a key cut short", B("\x80"), false},
		{"a fixed field cut short",
		 B("\x59"
		   "1234"),
		 false},
		{"csr is no UTF-8", B("\x0a\x01\xff"), false},
		{"metadata cut short",
		 B("\x22\x05\x0a\x19\x0a\x0a"
		   "C"),
		 false},
		{"metadata value cut short", B("\x22\x07\x0a\x05\x0a\x01k\x12\x09"), false},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct ca_request q;
		struct err err = {0};
		if (ca_request_read(rows[i].wire, &q, &err) != rows[i].ok)
			fail_msg("%s: %s", rows[i].rule, err.text);
		assert_int_equal(rows[i].ok, err.kind == ERR_NONE);
	}
	/* cut anywhere, it is never read past its end, and mostly refused */
	struct ca_request q;
	struct err err = {0};
	for (size_t cut = 0; cut < request_wire.len; cut++) {
		bool whole = cut == 0 || cut == 5 || cut == 9; /* between fields */
		assert_int_equal(ca_request_read(slice_sub(request_wire, 0, cut), &q, &err), whole);
	}
	static char huge[CA_MESSAGE_MAX + 1];
	assert_false(ca_request_read((struct slice){huge, sizeof(huge)}, &q, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
}

static void metadata_is_bounded(void **state)
{
	(void)state;
	struct ca_request q = {.csr = SLICE("x"), .n_metadata = CA_REQUEST_MAX_METADATA}, back;
	struct err err = {0};
	struct buf out;
	for (unsigned i = 0; i < q.n_metadata; i++) {
		q.metadata[i].key = SLICE("k");
		q.metadata[i].value = slice_sub(SLICE("0123456789abcdef"), i, 1);
	}
	buf_init(&out, CA_MESSAGE_MAX);
	assert_true(ca_request_write(&q, &out));
	assert_true(ca_request_read(buf_slice(&out), &back, &err));
	assert_true(slice_is(ca_request_metadata(&back, "k"), "f")); /* the last one */
	/* the whole message once more behind itself: twice as many */
	char twice[1024];
	size_t len = buf_len(&out);
	assert_true(2 * len <= sizeof(twice));
	memcpy(twice, buf_slice(&out).at, len);
	memcpy(&twice[len], buf_slice(&out).at, len);
	assert_false(ca_request_read((struct slice){twice, 2 * len}, &back, &err));
	buf_fini(&out);
}

static void responses(void **state)
{
	(void)state;
	struct err err = {0};
	struct ca_response a = {.n = 3,
				.cert = {SLICE("leaf\n"), SLICE("middle\n"), SLICE("root\n")}},
			   back;
	struct buf out;
	buf_init(&out, CA_MESSAGE_MAX);
	assert_true(ca_response_write(&a, &out));
	assert_true(
		slice_eq(buf_slice(&out), SLICE("\x0a\x05leaf\n\x0a\x07middle\n\x0a\x05root\n")));
	assert_true(ca_response_read(buf_slice(&out), &back, &err));
	assert_int_equal(back.n, 3);
	assert_true(slice_is(back.cert[2], "root\n"));
	buf_fini(&out);
	static const struct {
		const char *rule;
		struct slice wire;
		const char *says;
	} rows[] = {
		{"nothing", B(""), "a leaf and a root"},
		{"a leaf without a root", B("\x0a\x05leaf\n"), "a leaf and a root"},
		{"cut short", B("\x0a\x05leaf\n\x0a\x05root"), "malformed"},
		{"no UTF-8", B("\x0a\x01x\x0a\x01\xc0"), "malformed"},
		{"too many",
		 B("\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00"
		   "\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00\x0a\x00"),
		 "more than"},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		assert_false(ca_response_read(rows[i].wire, &back, &err));
		if (!strstr(err.text, rows[i].says))
			fail_msg("%s: %s", rows[i].rule, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_on_the_wire), cmocka_unit_test(bad_requests),
		cmocka_unit_test(metadata_is_bounded), cmocka_unit_test(responses)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
