#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "detect/postgres.h"

/* clang-format off */
static const struct {
	const char *rule;
	struct slice bytes;
	enum pg_word word;
	size_t certain_at; /* the byte that makes it certain; 0: none does */
} cases[] = {
	{"nothing yet",                        SLICE(""),                                    PG_MORE,      0},
	{"SSLRequest",                         SLICE(PG_SSL_REQUEST),                        PG_WANTS_TLS, 8},
	{"SSLRequest, and more behind it",     SLICE(PG_SSL_REQUEST "\x16\3"),               PG_WANTS_TLS, 8},
	{"SSLRequest of another length",       SLICE("\0\0\0\x09\x04\xd2\x16\x2f\0"),        PG_NOT,       8},
	{"GSSENCRequest",                      SLICE("\0\0\0\x08\x04\xd2\x16\x30"),          PG_WANTS_GSS, 8},
	{"GSSENCRequest of another length",    SLICE("\0\0\0\x0a\x04\xd2\x16\x30\0"),        PG_NOT,       8},
	{"CancelRequest",                      SLICE("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1"),  PG_STARTUP,   8},
	{"CancelRequest with a longer key",    SLICE("\0\0\1\x0c\x04\xd2\x16\x2e\0\0\0\1"),  PG_STARTUP,   8},
	{"CancelRequest without a key",        SLICE("\0\0\0\x08\x04\xd2\x16\x2e"),          PG_NOT,       8},
	{"a code that nobody has",             SLICE("\0\0\0\x08\x04\xd2\x16\x31"),          PG_NOT,       8},
	{"StartupMessage 3.0",                 SLICE("\0\0\0\x29\0\3\0\0user\0me\0"),        PG_STARTUP,   9},
	{"StartupMessage 3.2",                 SLICE("\0\0\0\x29\0\3\0\2user\0me\0"),        PG_STARTUP,   9},
	{"StartupMessage, an extension first", SLICE("\0\0\0\x29\0\3\0\0_pq_.a\0"),          PG_STARTUP,   9},
	{"StartupMessage without a user",      SLICE("\0\0\0\x09\0\3\0\0\0"),                PG_NOT,       9},
	{"StartupMessage with nothing in it",  SLICE("\0\0\0\x08\0\3\0\0"),                  PG_NOT,       8},
	{"StartupMessage of protocol 2",       SLICE("\0\0\1\x28\0\2\0\0user"),              PG_NOT,       8},
	{"longer than its server takes",       SLICE("\0\0\x27\x11\0\3\0\0user"),            PG_NOT,       8},
	{"just as long as its server takes",   SLICE("\0\0\x27\x10\0\3\0\0user"),            PG_STARTUP,   9},
	{"a length of no length",              SLICE("\0\0\0\0\0\3\0\0user"),                PG_NOT,       8},
	{"Kafka's Metadata",                   SLICE("\0\0\0\x1d\0\3\0\0\0\0\0\1\0\5"),      PG_NOT,       9},
	{"Kafka's ApiVersions",                SLICE("\0\0\0\x1d\0\x12\0\3\0\0\0\1"),        PG_NOT,       8},
	{"a ClientHello",                      SLICE("\x16\3\1\0\xa5\1"),                    PG_NOT,       1},
	{"HTTP",                               SLICE("GET / HTTP/1.1\r\n"),                  PG_NOT,       1},
	{"MySQL's client",                     SLICE("\xb5\0\0\1\x85\xa6\xff\1"),            PG_NOT,       1},
};
/* clang-format on */

static void clients(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++)
		for (size_t cut = 0; cut <= cases[i].bytes.len; cut++) {
			bool certain = cases[i].certain_at && cut >= cases[i].certain_at;
			enum pg_word want = certain ? cases[i].word : PG_MORE;
			enum pg_word got = pg_client(slice_sub(cases[i].bytes, 0, cut));
			if (got != want)
				fail_msg("%s: cut at %zu: %d", cases[i].rule, cut, got);
		}
}

static void no_word_is_waited_for_past_its_length(void **state)
{
	(void)state;
	char bytes[PG_WORD_LEN];
	for (unsigned fill = 0; fill < 256; fill++) {
		memset(bytes, (int)fill, sizeof(bytes));
		bytes[0] = 0;
		assert_int_not_equal(pg_client((struct slice){bytes, sizeof(bytes)}), PG_MORE);
	}
}

static void names(void **state)
{
	(void)state;
	assert_true(pg_is_named(SLICE("postgres")) && pg_is_named(SLICE("PostgreSQL-main")));
	assert_false(pg_is_named(SLICE("")) || pg_is_named(SLICE("postgresq")) ||
		     pg_is_named(SLICE("my-postgres")));
}

static void answers(void **state)
{
	(void)state;
	static const struct {
		char byte;
		enum pg_answer answer;
	} rows[] = {{'S', PG_SAYS_YES},    {'N', PG_SAYS_NO},     {'E', PG_SAYS_ERROR},
		    {0x15, PG_SAYS_ALERT}, {0x16, PG_SAYS_OTHER}, {'G', PG_SAYS_OTHER},
		    {'s', PG_SAYS_OTHER},  {0, PG_SAYS_OTHER}};
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		assert_int_equal(pg_answer(rows[i].byte), rows[i].answer);
	assert_int_equal(sizeof(PG_SSL_REQUEST) - 1, PG_REQUEST_LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients),
		cmocka_unit_test(names),
		cmocka_unit_test(no_word_is_waited_for_past_its_length),
		cmocka_unit_test(answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
