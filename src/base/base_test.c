/* Arenas, errors, clocks, tables, memory and the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"

/* What RUN writes to standard error, in a process of its own; SIGNAL: what ended it, 0 for none. (A
 * sanitizer's report ends it as MUST would have.) */
static void in_a_child(void (*run)(void), char *out, size_t size, int *signal)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit no_core = {0, 0};
		(void)setrlimit(RLIMIT_CORE, &no_core); /* only spares the disk */
		if (dup2(ends[1], STDERR_FILENO) < 0)
			_exit(2);
		run();
		_exit(0);
	}
	assert_int_equal(close(ends[1]), 0);
	size_t n = 0;
	for (ssize_t got; n + 1 < size && (got = read(ends[0], &out[n], size - n - 1)) > 0;)
		n += (size_t)got;
	out[n] = '\0';
	assert_int_equal(close(ends[0]), 0);
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	bool report = WIFEXITED(status) && WEXITSTATUS(status) != 0;
	*signal = WIFSIGNALED(status) ? WTERMSIG(status) : report ? SIGABRT : 0;
}

/* Arenas */

static void arenas_give_zeroed_aligned_memory(void **state)
{
	(void)state; /* none */
	struct arena *a = arena_new();
	unsigned char *before = NULL;
	for (size_t len = 0; len < 3000; len += 7) {
		unsigned char *at = arena_alloc(a, len);
		assert_non_null(at);
		assert_int_equal((uintptr_t)at % alignof(max_align_t), 0);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(at[i], 0);
		memset(at, 0xff, len); /* a neighbour that overlaps would show in the next round */
		assert_true(len < 8 || at != before); /* what has no bytes may share its place */
		before = at;
	}
	assert_non_null(arena_alloc(a, 1 << 20)); /* larger than any chunk */
	assert_true(arena_bytes(a) > 1 << 20);
	arena_free(a);
	arena_free(NULL);
}

static void arenas_fit_what_is_known(void **state)
{
	(void)state;
	struct arena *a = arena_new(), *b = NULL;
	for (int pass = 0; pass < 2; pass++) {
		b = pass ? arena_new_sized(arena_used(a)) : a;
		(void)arena_alloc(b, 3);
		(void)arena_dup(b, SLICE("text"));
		(void)arena_alloc(b, 40);
	}
	assert_int_equal(arena_used(a), arena_used(b));
	assert_true(arena_used(a) < 80);
	assert_true(arena_bytes(b) <= arena_bytes(a));
	arena_free(a);
	arena_free(b);
}

/* What it was given at first is there again; all else went. */
static void arenas_are_used_again(void **state)
{
	(void)state;
	struct arena *a = arena_new_sized(100);
	for (int turn = 0; turn < 3; turn++) {
		assert_int_equal(arena_used(a), 0);
		memset(arena_alloc(a, 90), 0xff, 90);
		unsigned char *more = arena_alloc(a, 2000); /* beyond it */
		assert_int_equal(more[0] | more[1999], 0);
		assert_true(arena_bytes(a) > 2000);
		arena_reset(a);
		assert_true(arena_bytes(a) < 200);
		unsigned char *again = arena_alloc(a, 90);
		for (int i = 0; i < 90; i++)
			assert_int_equal(again[i], 0);
		assert_true(arena_spare(a) <= 10);
		arena_reset(a);
	}
	arena_free(a);
	a = arena_new();
	assert_int_equal(arena_spare(a), 0);
	(void)arena_alloc(a, 16);
	arena_reset(a);
	assert_int_equal(arena_bytes(a), 0);
	arena_free(a);
}

static void arenas_copy_text(void **state)
{
	(void)state; /* none */
	struct arena *a = arena_new();
	char *name = arena_dup(a, SLICE("db\0x"));
	assert_memory_equal(name, "db\0x", 5); /* with the NUL behind it */
	assert_string_equal(arena_dup(a, (struct slice){NULL, 0}), "");
	struct slice s = arena_dup_slice(a, SLICE("shop"));
	assert_true(slice_is(s, "shop"));
	assert_string_equal(arena_printf(a, "%s/%d", "shop", 7), "shop/7");
	assert_int_equal(strlen(arena_printf(a, "%*s", 5000, "")), 5000);
	uint32_t *numbers = arena_array(a, 100, sizeof(uint32_t));
	numbers[99] = 1;
	arena_free(a);
}

static void overflowing_array(void)
{
	(void)arena_array(arena_new(), SIZE_MAX / 2, 3);
}

static void arenas_abort_on_overflow(void **state)
{
	(void)state; /* none */
	char text[512];
	int signal = 0;
	in_a_child(overflowing_array, text, sizeof(text), &signal);
	assert_int_equal(signal, SIGABRT);
}

/* Errors */

static void errors_are_filled_and_wrapped(void **state)
{
	(void)state; /* none */
	struct err err = {0};
	errno = EADDRINUSE;
	assert_false(err_sys(&err, "bind %s", "10.1.0.4:15008"));
	assert_int_equal(err.kind, ERR_SYS);
	assert_int_equal(err.sys, EADDRINUSE);
	assert_string_equal(err.text, "bind 10.1.0.4:15008: Address already in use");
	assert_false(err_wrap(&err, "listener %s", "inbound"));
	assert_string_equal(err.text,
			    "listener inbound: bind 10.1.0.4:15008: Address already in use");
	assert_int_equal(err.kind, ERR_SYS); /* a wrap keeps what went wrong */
	assert_int_equal(err.sys, EADDRINUSE);
	assert_false(err_set(&err, ERR_LIMIT, "too many"));
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_int_equal(err.sys, 0);
	assert_string_equal(err.text, "too many");
}

static void errors_without_a_reader(void **state)
{
	(void)state; /* none */
	assert_false(err_set(NULL, ERR_LIMIT, "x"));
	assert_false(err_sys(NULL, "x"));
	assert_false(err_wrap(NULL, "x"));
}

static void errors_are_cut_and_not_overrun(void **state)
{
	(void)state; /* none */
	struct err err = {0};
	errno = ENOENT;
	assert_false(err_sys(&err, "%*s", 5000, "x"));
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_false(err_wrap(&err, "%*s", 5000, "y"));
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void broken(void)
{
	MUST(1 + 1 == 3);
}

static void must_says_where_and_aborts(void **state)
{
	(void)state; /* none */
	char text[512];
	int signal = 0;
	in_a_child(broken, text, sizeof(text), &signal);
	assert_int_equal(signal, SIGABRT);
	assert_non_null(strstr(text, "base_test.c:"));
	assert_non_null(strstr(text, "1 + 1 == 3"));
}

/* Clocks */

static void clocks_go_forward(void **state)
{
	(void)state; /* none */
	uint64_t before = clock_ns();
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t now = clock_ns();
		assert_true(now >= before);
		before = now;
	}
	assert_true(clock_wall_ns() > UINT64_C(1700000000) * NS_PER_S);
}

static void clocks_are_written_as_rfc3339(void **state)
{
	(void)state; /* none */
	static const struct {
		uint64_t ns;
		const char *text;
	} rows[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{UINT64_C(951782399999) * NS_PER_MS, "2000-02-28T23:59:59.999Z"},
		{UINT64_C(951782400) * NS_PER_S + 999999, "2000-02-29T00:00:00.000Z"},
		{UINT64_C(4102444800001) * NS_PER_MS, "2100-01-01T00:00:00.001Z"},
	};
	char out[32];
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		assert_string_equal(clock_rfc3339(rows[i].ns, out, sizeof(out)), rows[i].text);
}

/* Tables */

/* From the reference implementation: key 00 01 ... 0f, message 00 01 ... of each length. */
static void siphash_matches_its_reference(void **state)
{
	(void)state; /* none */
	static const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	static const struct {
		size_t len;
		uint64_t hash;
	} rows[] = {
		{0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
		{7, UINT64_C(0xab0200f58b01d137)},  {8, UINT64_C(0x93f5f5799a932462)},
		{15, UINT64_C(0xa129ca6149be45e5)}, {63, UINT64_C(0x958a324ceb064572)},
	};
	unsigned char message[64];
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (unsigned char)i;
	for (size_t i = 0; i < N_ELEMS(rows); i++)
		assert_true(siphash_keyed(key, message, rows[i].len) == rows[i].hash);
}

static void siphash_has_a_key_of_its_own(void **state)
{
	(void)state; /* none */
	static const uint64_t zero[2] = {0, 0};
	assert_true(siphash("abc", 3) == siphash("abc", 3));
	assert_true(siphash("abc", 3) != siphash("abd", 3));
	assert_true(siphash("abc", 3) != siphash("abc\0", 4));
	assert_true(siphash("abc", 3) != siphash_keyed(zero, "abc", 3));
}

struct row {
	uint32_t key;
	UT_hash_handle hh;
};

static void tables_find_what_was_put_in(void **state)
{
	(void)state; /* none */
	enum { N = 5000 };
	struct row *table = NULL, *rows = mem_array(N, sizeof(*rows)), *hit = NULL;
	for (uint32_t i = 0; i < N; i++) {
		rows[i].key = i * 7919;
		HASH_ADD(hh, table, key, sizeof(rows[i].key), &rows[i]);
	}
	assert_int_equal(HASH_COUNT(table), N);
	for (uint32_t i = 0; i < N; i++) {
		uint32_t key = i * 7919;
		HASH_FIND(hh, table, &key, sizeof(key), hit);
		assert_ptr_equal(hit, &rows[i]);
		HASH_DEL(table, hit);
	}
	assert_null(table);
	free(rows);
}

static void a_table_is_drained_in_order(void **state)
{
	(void)state; /* none */
	enum { N = 1000 };
	struct row *table = NULL;
	uint32_t n = 0;
	for (uint32_t i = 0; i < N; i++) {
		struct row *row = mem_new(sizeof(*row));
		row->key = i;
		HASH_ADD(hh, table, key, sizeof(row->key), row);
	}
#define DROP(row) (assert_int_equal((row)->key, n), n++, free(row))
	TABLE_DRAIN(table, DROP);
#undef DROP
	assert_int_equal(n, N);
	assert_null(table);
	TABLE_DRAIN(table, free); /* an empty one */
}

/* Memory */

struct outer {
	int first;
	struct row inner;
};

static void memory_helpers(void **state)
{
	(void)state; /* none */
	char *p = mem_new(0);
	assert_non_null(p);
	MEM_FREE(p);
	assert_null(p);
	uint32_t *n = mem_array(3, sizeof(*n));
	assert_int_equal(n[2], 0);
	n = mem_grow(n, 300, sizeof(*n));
	n[299] = 1;
	free(n);
	char *s = mem_strdup("db");
	assert_string_equal(s, "db");
	free(s);
	struct outer o;
	assert_ptr_equal(CONTAINER_OF(&o.inner, struct outer, inner), &o);
}

static void too_much(void)
{
	free(mem_array(SIZE_MAX / 2, 4));
}

static void memory_that_is_gone_aborts(void **state)
{
	(void)state; /* none */
	char text[512];
	int signal = 0;
	in_a_child(too_much, text, sizeof(text), &signal);
	assert_int_equal(signal, SIGABRT);
}

/* The log */

static void write_lines(void)
{
	log_debug("test", "not shown %d", 1);
	log_info("test", "pod ready name=%s", "db\nshop");
	log_set_level(LOG_DEBUG);
	log_debug("test", "shown");
	log_set_level(LOG_ERROR);
	log_warn("test", "not shown either");
	log_error("test", "%*s", 9000, "long");
}

static void joined_slices(void **state)
{
	(void)state; /* none */
	char out[8];
	const struct slice parts[] = {SLICE("db"), SLICE("."), {NULL, 0}, SLICE("shop")};
	assert_int_equal(slice_join(out, sizeof(out), parts, 4), 7);
	assert_string_equal(out, "db.shop");
	assert_int_equal(slice_join(out, 6, parts, 4), 5); /* cut, with its NUL */
	assert_string_equal(out, "db.sh");
	assert_int_equal(slice_join(out, 1, parts, 4), 0);
	assert_string_equal(out, "");
}

static void lines_of_the_log(void **state)
{
	(void)state; /* none */
	char text[8192];
	int signal = 0;
	in_a_child(write_lines, text, sizeof(text), &signal);
	assert_int_equal(signal, 0);
	struct slice rest = slice_of(text);
	struct slice line = slice_cut(&rest, '\n');
	assert_true(slice_ends(line, SLICE("Z info test: pod ready name=db shop"))); /* one line */
	assert_int_equal(line.at[4], '-');
	line = slice_cut(&rest, '\n');
	assert_true(slice_ends(line, SLICE(" debug test: shown")));
	line = slice_cut(&rest, '\n');
	assert_true(slice_contains(line, SLICE(" error test: ")));
	assert_int_equal(rest.len, 0);
}

static void levels_have_names(void **state)
{
	(void)state; /* none */
	enum log_level level = LOG_ERROR;
	assert_true(log_level_parse("debug", &level) && level == LOG_DEBUG);
	assert_true(log_level_parse("warning", &level) && level == LOG_WARN);
	assert_true(log_level_parse("error", &level) && level == LOG_ERROR);
	assert_false(log_level_parse("Error", &level));
	assert_false(log_level_parse("", &level));
	assert_int_equal(level, LOG_ERROR);
	assert_true(log_on(LOG_INFO));
	assert_false(log_on(LOG_DEBUG));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arenas_give_zeroed_aligned_memory),
		cmocka_unit_test(arenas_fit_what_is_known),
		cmocka_unit_test(arenas_copy_text),
		cmocka_unit_test(arenas_abort_on_overflow),
		cmocka_unit_test(errors_are_filled_and_wrapped),
		cmocka_unit_test(errors_without_a_reader),
		cmocka_unit_test(errors_are_cut_and_not_overrun),
		cmocka_unit_test(must_says_where_and_aborts),
		cmocka_unit_test(clocks_go_forward),
		cmocka_unit_test(clocks_are_written_as_rfc3339),
		cmocka_unit_test(siphash_matches_its_reference),
		cmocka_unit_test(siphash_has_a_key_of_its_own),
		cmocka_unit_test(tables_find_what_was_put_in),
		cmocka_unit_test(a_table_is_drained_in_order),
		cmocka_unit_test(memory_helpers),
		cmocka_unit_test(memory_that_is_gone_aborts),
		cmocka_unit_test(lines_of_the_log),
		cmocka_unit_test(joined_slices),
		cmocka_unit_test(arenas_are_used_again),
		cmocka_unit_test(levels_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
