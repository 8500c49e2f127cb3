#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "decide/learn.h"

#define NO GREET_IS_UNKNOWN
enum { END = -1 };

static const struct {
	const char *name;
	int teach[4]; /* enum fw_teach, until END */
	enum greet_protocol greeted;
	enum fw_learned state;
	const char *suggest;
	unsigned contradicted;
} cases[] = {
	/* clang-format off */
	{"nothing seen",                  {END}, NO, FW_LEARNED_NOTHING, NULL, 0},
	{"nothing taught",                {FW_TEACH_NOTHING, END}, NO, FW_LEARNED_NOTHING, NULL, 0},
	{"a greeting",                    {FW_TEACH_SERVER_FIRST, END}, NO, FW_LEARNED_SERVER_FIRST, "tcp", 0},
	{"a greeting with a name",        {FW_TEACH_SERVER_FIRST, END}, GREET_IS_MYSQL, FW_LEARNED_SERVER_FIRST, "mysql", 0},
	{"a name that no mesh has",       {FW_TEACH_SERVER_FIRST, END}, GREET_IS_SMTP, FW_LEARNED_SERVER_FIRST, "tcp", 0},
	{"requests",                      {FW_TEACH_HTTP, FW_TEACH_HTTP, END}, NO, FW_LEARNED_CLIENT_FIRST, "http", 0},
	{"ClientHellos",                  {FW_TEACH_TLS, END}, NO, FW_LEARNED_CLIENT_FIRST, "tls", 0},
	{"other first bytes",             {FW_TEACH_CLIENT_OPAQUE, END}, NO, FW_LEARNED_CLIENT_FIRST, "tcp", 0},
	{"TLS and other bytes",           {FW_TEACH_TLS, FW_TEACH_CLIENT_OPAQUE, END}, NO, FW_LEARNED_CLIENT_FIRST, "tcp", 0},
	{"HTTP on some only",             {FW_TEACH_HTTP, FW_TEACH_TLS, END}, NO, FW_LEARNED_CLIENT_FIRST, NULL, 0},
	{"contradiction by the client",   {FW_TEACH_SERVER_FIRST, FW_TEACH_HTTP, END}, NO, FW_LEARNED_NOTHING, NULL, 1},
	{"contradiction by the server",   {FW_TEACH_TLS, FW_TEACH_SERVER_FIRST, END}, NO, FW_LEARNED_NOTHING, NULL, 1},
	{"open again stays open",         {FW_TEACH_TLS, FW_TEACH_SERVER_FIRST, FW_TEACH_SERVER_FIRST, END}, NO, FW_LEARNED_NOTHING, NULL, 1},
	/* clang-format on */
};

static void what_is_taught_is_learnt(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct live_port live = {0};
		for (size_t k = 0; k < 4 && cases[i].teach[k] != END; k++)
			learn_teach(&live, (enum fw_teach)cases[i].teach[k], cases[i].greeted);
		struct learned l;
		learn_read(&live, &l);
		const char *suggest = learn_suggest(&live), *want = cases[i].suggest;
		if (learn_state(&live) != cases[i].state ||
		    l.contradicted != cases[i].contradicted || !suggest != !want ||
		    (want && strcmp(suggest, want) != 0))
			fail_msg("%s: state %d, suggest %s, contradicted %u", cases[i].name,
				 (int)learn_state(&live), suggest ? suggest : "-", l.contradicted);
	}
}

static void nowhere_to_learn(void **state)
{
	(void)state;
	learn_teach(NULL, FW_TEACH_HTTP, NO);
	assert_int_equal(learn_state(NULL), FW_LEARNED_NOTHING);
	assert_null(learn_suggest(NULL));
}

static void counters_do_not_wrap(void **state)
{
	(void)state;
	struct live_port live = {0};
	atomic_store(&live.server_first, UINT32_MAX / 2);
	learn_teach(&live, FW_TEACH_SERVER_FIRST, NO);
	assert_int_equal(learn_state(&live), FW_LEARNED_SERVER_FIRST);
	assert_int_equal(atomic_load(&live.server_first), UINT32_MAX / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_taught_is_learnt),
		cmocka_unit_test(nowhere_to_learn),
		cmocka_unit_test(counters_do_not_wrap),
	};
	return cmocka_run_group_tests_name("decide/learn", tests, NULL, NULL);
}
