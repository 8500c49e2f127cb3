#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/mem.h"
#include "dns/stream.h"

static void give(struct dns_stream *s, struct slice bytes)
{
	while (bytes.len) {
		size_t room;
		char *at = dns_stream_room(s, &room);
		assert_non_null(at);
		struct slice now = slice_sub(bytes, 0, room);
		memcpy(at, now.at, now.len);
		buf_commit(&s->in, now.len);
		bytes = slice_sub(bytes, now.len, bytes.len);
	}
}

static const struct {
	const char *rule;
	struct slice bytes;
	const char *messages; /* one space behind each */
	bool over;            /* once the client has ended */
} cases[] = {
	{"one", SLICE("\0\3abc"), "abc ", true},
	{"two in one segment", SLICE("\0\3abc\0\1d"), "abc d ", true},
	{"an empty one between two", SLICE("\0\1a\0\0\0\1b"), "a  b ", true},
	{"cut in its length", SLICE("\0\1a\0"), "a ", true},
	{"cut in its bytes", SLICE("\0\1a\0\3bc"), "a ", true},
	{"nothing", SLICE(""), "", true},
};

/* Wherever the network cuts the bytes, the messages are the same. */
static void messages_whole_and_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		print_message("%s\n", cases[i].rule);
		for (size_t cut = 0; cut <= cases[i].bytes.len; cut++) {
			struct dns_stream s;
			struct slice m;
			char all[64] = "";
			dns_stream_init(&s);
			for (int part = 0; part < 2; part++) {
				give(&s, part ? slice_sub(cases[i].bytes, cut, SIZE_MAX)
					      : slice_sub(cases[i].bytes, 0, cut));
				while (dns_stream_next(&s, &m)) {
					strncat(all, m.at, m.len);
					strcat(all, " ");
					dns_stream_took(&s, m, false);
				}
			}
			assert_string_equal(all, cases[i].messages);
			assert_false(dns_stream_is_over(&s));
			s.ended = true;
			assert_int_equal(dns_stream_is_over(&s), cases[i].over);
			dns_stream_fini(&s);
		}
	}
}

static void an_answer_is_led_by_its_length(void **state)
{
	(void)state;
	struct dns_stream s;
	struct slice m;
	char *large = mem_new(DNS_MESSAGE_MAX);
	dns_stream_init(&s);
	give(&s, SLICE("\0\1a"));
	assert_true(dns_stream_next(&s, &m));
	dns_stream_took(&s, m, false);
	assert_true(dns_stream_answer(&s, SLICE("yes")));
	assert_true(slice_eq(buf_slice(&s.out), SLICE("\0\3yes")));
	assert_true(dns_stream_answer(&s, (struct slice){large, DNS_MESSAGE_MAX}));
	assert_int_equal(buf_len(&s.out), 5 + DNS_FRAME_MAX);
	assert_memory_equal(&buf_slice(&s.out).at[5], "\xff\xff", 2);
	free(large);
	dns_stream_fini(&s);
}

/* Who takes no answers is asked nothing more, and not read from. */
static void at_the_bounds_there_is_no_reading(void **state)
{
	(void)state;
	struct dns_stream s;
	struct slice m;
	size_t room;
	char *large = mem_new(DNS_MESSAGE_MAX);
	unsigned n = 0;
	dns_stream_init(&s);
	give(&s, SLICE("\0\1a\0\1b\0\1c\0\1d\0\1e\0\1f"));
	for (; dns_stream_next(&s, &m); n++) {
		dns_stream_took(&s, m, false);
		assert_true(dns_stream_answer(&s, (struct slice){large, DNS_MESSAGE_MAX}));
	}
	assert_int_equal(n, 4);
	assert_null(dns_stream_room(&s, &room));
	assert_false(dns_stream_may_read(&s));
	assert_false(dns_stream_answer(&s, SLICE("x"))); /* not even a late one */
	buf_consume(&s.out, DNS_FRAME_MAX);
	assert_true(dns_stream_next(&s, &m) && slice_is(m, "e"));
	free(large);
	dns_stream_fini(&s);
}

static void so_many_questions_wait(void **state)
{
	(void)state;
	struct dns_stream s;
	struct slice m;
	unsigned n = 0;
	dns_stream_init(&s);
	for (int i = 0; i < DNS_STREAM_WAITING_MAX + 2; i++)
		give(&s, SLICE("\0\1a"));
	for (; dns_stream_next(&s, &m); n++)
		dns_stream_took(&s, m, true);
	assert_int_equal(n, DNS_STREAM_WAITING_MAX);
	s.ended = true;
	assert_true(dns_stream_answer_late(&s, SLICE("z")));
	assert_true(dns_stream_next(&s, &m));
	dns_stream_took(&s, m, true);
	assert_false(dns_stream_next(&s, &m));
	assert_false(dns_stream_is_over(&s));
	dns_stream_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_whole_and_in_order),
		cmocka_unit_test(an_answer_is_led_by_its_length),
		cmocka_unit_test(at_the_bounds_there_is_no_reading),
		cmocka_unit_test(so_many_questions_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
