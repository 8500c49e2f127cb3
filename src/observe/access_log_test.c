#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "observe/access_log.h"
#include "observe/fixture.h"
#include "observe/metrics.h"

/* All of FD from its start, NUL-terminated. */
static char *read_all(int fd)
{
	off_t len = lseek(fd, 0, SEEK_END);
	assert_true(len >= 0);
	char *text = calloc(1, (size_t)len + 1);
	assert_int_equal(pread(fd, text, (size_t)len, 0), len);
	return text;
}

static int temporary(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static json_t *parse(const char *line)
{
	json_error_t error;
	json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	if (!o)
		fail_msg("%s: %s", error.text, line);
	return o;
}

static json_t *logged(const struct conn_record *r)
{
	int fd = temporary();
	struct access_log *log = access_log_on_fd(dup(fd));
	access_log_line(log, r);
	assert_true(access_log_flush(log));
	assert_int_equal(access_log_take_dropped(log), 0);
	access_log_close(log);
	char *text = read_all(fd);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	json_t *o = parse(text);
	free(text);
	(void)close(fd);
	return o;
}

static void string_is(const json_t *o, const char *key, const char *want)
{
	const json_t *have = json_object_get(o, key);
	if (want && (!json_is_string(have) || strcmp(json_string_value(have), want) != 0))
		fail_msg("%s is \"%s\", not \"%s\"", key,
			 json_is_string(have) ? json_string_value(have) : "?", want);
	if (!want && !json_is_null(have))
		fail_msg("%s is not null", key);
}

static void number_is(const json_t *o, const char *key, double want)
{
	const json_t *have = json_object_get(o, key);
	if (!json_is_number(have) || json_number_value(have) < want - 1e-6 ||
	    json_number_value(have) > want + 1e-6)
		fail_msg("%s is %f, not %f", key, json_number_value(have), want);
}

static void a_greeting_through_two_ends(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	struct conn_record r;
	world_init(&w, "shop", "web-1", observe_yaml);
	record_outbound(&w, "198.19.0.2:3307", &p, &r);
	struct fw_answer a = {.what = FW_DECIDED,
			      .verdict = FW_SERVER_FIRST,
			      .reason = FW_REASON_SERVER_GREETED,
			      .who = FW_SERVER,
			      .protocol = GREET_IS_MYSQL};
	decide_first_word(&p, &a);
	r.upstream = test_addr("198.18.0.2:3307");
	r.upstream_workload = view_workload_by_ip(w.view, &r.upstream.ip);
	r.first = FW_SERVER;
	r.first_byte_ns = r.start_ns + 1234567;
	r.detect_ns = 1200000;
	r.up_bytes = 11;
	r.down_bytes = 222;
	r.early = true;
	r.attempts = 1;
	r.end = END_CLIENT_CLOSED;
	json_t *o = logged(&r);
	assert_int_equal(strlen(json_string_value(json_object_get(o, "start_time"))), 24);
	assert_true(json_is_integer(json_object_get(o, "duration")));
	number_is(o, "bytes_received", 11);
	number_is(o, "bytes_sent", 222);
	number_is(o, "response_code", 0);
	string_is(o, "response_flags", "-");
	string_is(o, "connection_termination_details", NULL);
	string_is(o, "upstream_host", "198.18.0.2:3307");
	string_is(o, "upstream_cluster", "outbound|3307||db.data.svc.cluster.local");
	string_is(o, "downstream_local_address", "198.19.0.2:3307");
	string_is(o, "downstream_remote_address", "198.18.0.1:40000");
	string_is(o, "side", "outbound");
	string_is(o, "source_workload", "shop/web-1");
	string_is(o, "destination_workload", "data/db-0");
	string_is(o, "destination_service", "db.data.svc.cluster.local");
	string_is(o, "detected_protocol", "mysql");
	string_is(o, "first_bytes_from", "server");
	number_is(o, "first_byte_ms", 1.235);
	number_is(o, "detection_wait_ms", 1.2);
	assert_true(json_is_true(json_object_get(o, "early")));
	number_is(o, "attempts", 1);
	string_is(o, "end", "client-closed");
	string_is(o, "reason",
		  "198.19.0.2:3307 is Service data/db port 3307; its name \"main\" declares no "
		  "protocol; both ends are listened to; the server spoke first (mysql)");
	json_decref(o);
	world_fini(&w);
}

static void ends_that_are_errors(void **state)
{
	static const struct {
		const char *name;
		enum end_reason end;
		const char *flags, *details;
	} cases[] = {
		{"refused", END_CONNECT_REFUSED, "UF", "the server refused the connection"},
		{"no endpoint", END_NO_ENDPOINT, "UH", "no endpoint of the Service is left to try"},
		{"client reset is no error of ours", END_CLIENT_RESET, "DC", NULL},
		{"guess", END_WRONG_GUESS, "DPE",
		 "a ClientHello came after the server's greeting had gone out in clear"},
	};
	(void)state;
	struct world w;
	world_init(&w, "shop", "web-1", observe_yaml);
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct plan p;
		struct conn_record r;
		record_inbound(&w, "203.0.113.9:4000", 9000, &p, &r);
		r.upstream.port = 0;
		r.end = cases[i].end;
		json_t *o = logged(&r);
		string_is(o, "response_flags", cases[i].flags);
		string_is(o, "connection_termination_details", cases[i].details);
		string_is(o, "end", end_reason_name(cases[i].end));
		string_is(o, "upstream_host", NULL);
		string_is(o, "upstream_cluster", "inbound|9000||");
		string_is(o, "source_workload", NULL);
		string_is(o, "destination_workload", "shop/web-1");
		string_is(o, "first_bytes_from", "none");
		string_is(o, "first_byte_ms", NULL);
		json_decref(o);
	}
	world_fini(&w);
}

/* What is recognised is named after the word, then after the declaration. */
static void protocol_names(void **state)
{
	static const struct {
		const char *name, *told;
		enum fw_verdict verdict; /* FW_UNDECIDED: no race was run */
		enum greet_protocol greeted;
		enum protocol declared;
		const char *want;
	} cases[] = {
		{"what the data plane says wins", "smtp", FW_SERVER_FIRST, GREET_IS_MYSQL,
		 PROTO_AUTO, "smtp"},
		{"a greeting", NULL, FW_SERVER_FIRST, GREET_IS_SMTP, PROTO_AUTO, "smtp"},
		{"a greeting without a name", NULL, FW_SERVER_FIRST, GREET_IS_UNKNOWN, PROTO_AUTO,
		 "tcp"},
		{"a refusal in words", NULL, FW_PASS_ON, GREET_IS_REDIS, PROTO_AUTO, "redis"},
		{"a request", NULL, FW_HTTP1, GREET_IS_UNKNOWN, PROTO_AUTO, "http/1.1"},
		{"a preface", NULL, FW_HTTP2, GREET_IS_UNKNOWN, PROTO_AUTO, "http2"},
		{"a ClientHello", NULL, FW_TLS, GREET_IS_UNKNOWN, PROTO_AUTO, "tls"},
		{"other bytes", NULL, FW_OPAQUE, GREET_IS_UNKNOWN, PROTO_AUTO, "tcp"},
		{"other bytes where something is declared", NULL, FW_OPAQUE, GREET_IS_UNKNOWN,
		 PROTO_REDIS, "redis"},
		{"declared, no race", NULL, FW_UNDECIDED, GREET_IS_UNKNOWN, PROTO_MYSQL, "mysql"},
		{"nothing known", NULL, FW_UNDECIDED, GREET_IS_UNKNOWN, PROTO_AUTO, "tcp"},
	};
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		struct plan p = {
			.protocol = cases[i].declared,
			.word = {.verdict = cases[i].verdict, .protocol = cases[i].greeted},
			.has_word = cases[i].verdict != FW_UNDECIDED};
		struct conn_record r = {.plan = &p, .protocol = cases[i].told};
		if (strcmp(record_protocol(&r), cases[i].want) != 0)
			fail_msg("%s: %s", cases[i].name, record_protocol(&r));
	}
}

static void hostile_names(void **state)
{
	static const char *const names[] = {"a\"b\\c", "line\nbreak", "\x01\x1f\x7f",
					    "\xff\xfe\xc3", "\",\"end\":\"forged"};
	(void)state;
	struct world w;
	world_init(&w, "shop", "web-1", observe_yaml);
	for (size_t i = 0; i < N_ELEMS(names); i++) {
		struct plan p;
		struct conn_record r;
		record_outbound(&w, "198.19.0.2:3307", &p, &r);
		struct workload hostile = *view_self(w.view);
		hostile.name = names[i];
		r.upstream_workload = &hostile;
		r.end = END_CLIENT_CLOSED;
		json_t *o = logged(&r); /* one line, and it parses */
		string_is(o, "end", "client-closed");
		json_decref(o);
	}
	world_fini(&w);
}

/* A living connection, as the admin endpoint shows it. */
static void alive(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	struct conn_record r;
	struct buf text;
	struct json_out out;
	world_init(&w, "shop", "web-1", observe_yaml);
	record_inbound(&w, "198.18.0.2:4000", 9000, &p, &r);
	buf_init(&text, 65536);
	json_out_init(&out, &text);
	record_json(&r, false, r.start_ns + 5 * NS_PER_S, &out);
	json_t *o = parse(buf_cstr(&text));
	number_is(o, "duration", 5000);
	string_is(o, "end", NULL);
	string_is(o, "source_workload", "data/db-0");
	string_is(o, "response_flags", "-");
	json_decref(o);
	buf_fini(&text);
	world_fini(&w);
}

/* Nobody reads: nothing blocks, lines wait, then are dropped and counted; what is read later is
 * whole lines. */
static void unread(int reader, int writer)
{
	struct world w;
	struct plan p;
	struct conn_record r;
	world_init(&w, "shop", "web-1", observe_yaml);
	record_outbound(&w, "198.19.0.2:3307", &p, &r);
	struct access_log *log = access_log_on_fd(writer);
	uint64_t written = 0, dropped = 0;
	while (dropped < 10) {
		access_log_line(log, &r);
		(void)access_log_flush(log); /* nobody reads */
		dropped += access_log_take_dropped(log);
		written++;
		assert_true(written < 100000);
	}
	assert_false(access_log_flush(log));
	struct buf got;
	buf_init(&got, 64 << 20);
	bool done = false;
	while (!done) {
		done = access_log_flush(log);
		size_t room = 0;
		for (;;) {
			char *at = buf_reserve(&got, 65536, &room);
			ssize_t n = read(reader, at, room);
			if (n <= 0)
				break;
			buf_commit(&got, (size_t)n);
		}
	}
	size_t lines = 0;
	for (struct slice rest = buf_slice(&got); rest.len; lines++) {
		struct slice line = slice_cut(&rest, '\n');
		assert_true(line.len > 2 && line.at[0] == '{' && line.at[line.len - 1] == '}');
	}
	assert_int_equal(lines, written - dropped);
	buf_fini(&got);
	access_log_close(log);
	world_fini(&w);
}

static void unread_pipe(void **state)
{
	int fds[2];
	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	unread(fds[0], fds[1]); /* the writing end blocks, as a container's stdout does */
	(void)close(fds[0]);
}

static void unread_socket(void **state)
{
	int fds[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	unread(fds[0], fds[1]);
	(void)close(fds[0]);
}

static void many_lines_leave_by_themselves(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	struct conn_record r;
	world_init(&w, "shop", "web-1", observe_yaml);
	record_outbound(&w, "198.19.0.2:3307", &p, &r);
	int fd = temporary();
	struct access_log *log = access_log_on_fd(dup(fd));
	for (int i = 0; i < 2000; i++)
		access_log_line(log, &r);
	assert_true(lseek(fd, 0, SEEK_END) > 0); /* at 64 KiB, before any flush */
	access_log_close(log);
	char *text = read_all(fd);
	size_t lines = 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 2000);
	free(text);
	(void)close(fd);
	world_fini(&w);
}

/* The metrics take over what the log dropped. */
static void a_failing_file_is_counted(void **state)
{
	(void)state;
	struct world w;
	struct plan p;
	struct conn_record r;
	world_init(&w, "shop", "web-1", observe_yaml);
	record_outbound(&w, "198.19.0.2:3307", &p, &r);
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	struct access_log *log = access_log_on_fd(fd);
	for (int i = 0; i < 3; i++)
		access_log_line(log, &r);
	assert_true(access_log_flush(log));
	assert_int_equal(access_log_take_dropped(log), 3);
	access_log_close(log);
	world_fini(&w);
}

static void opening(void **state)
{
	(void)state;
	struct err err = {0};
	assert_null(access_log_open("", &err));
	assert_int_equal(err.kind, ERR_NONE);
	assert_null(access_log_open("/nonexistent/log", &err));
	assert_int_equal(err.kind, ERR_SYS);
	assert_string_equal(err.text, "access log /nonexistent/log: No such file or directory");
	struct access_log *log = access_log_open("/dev/stdout", &err);
	assert_non_null(log);
	access_log_close(log);
	assert_true(fcntl(STDOUT_FILENO, F_GETFD) >= 0); /* ours was a copy */
	access_log_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_greeting_through_two_ends),
		cmocka_unit_test(ends_that_are_errors),
		cmocka_unit_test(protocol_names),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(alive),
		cmocka_unit_test(unread_pipe),
		cmocka_unit_test(unread_socket),
		cmocka_unit_test(many_lines_leave_by_themselves),
		cmocka_unit_test(a_failing_file_is_counted),
		cmocka_unit_test(opening),
	};
	return cmocka_run_group_tests_name("observe/access_log", tests, NULL, NULL);
}
