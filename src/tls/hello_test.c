/* What a server makes of a peer's first bytes: garbage, lies about lengths, and hellos in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "tls/inside.h"
#include "tls/testbed.h"

static struct tls_context *server, *client;
static struct tls_worker *worker;
static uint8_t hello[1024]; /* a real one */
static size_t hello_len;

static struct tls *serve(int fd)
{
	struct err err = {0};
	struct tls *t = tls_new(server, &(struct tls_start){.fd = fd, .worker = worker}, &err);
	assert_non_null(t);
	return t;
}

static void put(int fd, const void *bytes, size_t len)
{
	assert_int_equal(write(fd, bytes, len), len);
}

static void garbage(void **state)
{
	(void)state;
#define B(text) text, sizeof(text) - 1
	static const struct {
		const char *rule;
		const char *bytes;
		size_t len;
		enum tls_why why;
	} rows[] = {
		{"an HTTP request", B("GET / HTTP/1.1\r\n\r\n"), TLS_WHY_NOT_TLS},
		{"one byte that begins no record", B("G"), TLS_WHY_NOT_TLS},
		{"zeros", B("\0\0\0\0\0\0\0\0\0\0\0\0"), TLS_WHY_NOT_TLS},
		{"an SSLv2 hello", B("\x80\x2e\x01\x00\x02\x00\x15\x00\x00"), TLS_WHY_NOT_TLS},
		{"a handshake of another version family", B("\x16\x02"), TLS_WHY_NOT_TLS},
		{"application data first", B("\x17\x03\x03\x00\x05hello"), TLS_WHY_NOT_TLS},
		{"an alert first", B("\x15\x03\x03\x00\x02\x02\x28"), TLS_WHY_NOT_TLS},
		{"a handshake that is no ClientHello", B("\x16\x03\x01\x00\x04\x02\x00\x00\x00"),
		 TLS_WHY_BAD_HELLO},
		{"an empty record", B("\x16\x03\x01\x00\x00"), TLS_WHY_BAD_HELLO},
		{"a record shorter than the handshake header",
		 B("\x16\x03\x01\x00\x03\x01\x00\x00"), TLS_WHY_BAD_HELLO},
		{"a hello of 16 KiB and a byte", B("\x16\x03\x01\x40\x00\x01\x00\x40\x01"),
		 TLS_WHY_HELLO_TOO_LONG},
		{"a hello of 16 MiB", B("\x16\x03\x01\x40\x00\x01\xff\xff\xff"),
		 TLS_WHY_HELLO_TOO_LONG},
		{"a record longer than any", B("\x16\x03\x01\xff\xff\x01\x00\x10\x00"),
		 TLS_WHY_BAD_HELLO},
		{"a hello of nothing", B("\x16\x03\x01\x00\x04\x01\x00\x00\x00"),
		 TLS_WHY_BAD_HELLO},
		{"a hello of SSL 3.0",
		 B("\x16\x03\x00\x00\x2d\x01\x00\x00\x29\x03\x00"
		   "0123456789abcdef0123456789abcdef\0\0\2\0\x2f\1\0"),
		 TLS_WHY_NO_VERSION},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		int fds[2];
		struct err err = {0};
		socket_pair(fds);
		struct tls *t = serve(fds[0]);
		put(fds[1], rows[i].bytes, rows[i].len);
		enum tls_result r = tls_handshake(t, &err);
		if (r != TLS_FAILED || tls_why(t) != rows[i].why)
			fail_msg("%s: result %d, %s [%s]", rows[i].rule, r,
				 tls_why_label(tls_why(t)), err.text);
		assert_true(strlen(err.text) > 0);
		/* it stays refused */
		assert_int_equal(tls_handshake(t, &err), TLS_FAILED);
		tls_free(t);
		close(fds[0]);
		close(fds[1]);
	}
}

struct first {
	unsigned calls;
	char byte;
	bool answer;
};

static bool first_bytes(void *ctx, struct slice bytes)
{
	struct first *f = ctx;
	f->calls++;
	f->byte = bytes.at[0];
	return f->answer;
}

/* What a server says first is shown once, and may be refused before it is taken for TLS. */
static void first_bytes_are_seen(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		bool answer;
		enum tls_result result;
	} rows[] = {{"220 mail\r\n", false, TLS_FAILED}, {"\x16", true, TLS_WANT_READ}};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		int fds[2];
		struct err err = {0};
		struct first f = {.answer = rows[i].answer};
		struct tls_start start = {
			.worker = worker, .accept_ctx = &f, .first_bytes = first_bytes};
		socket_pair(fds);
		start.fd = fds[0];
		struct tls *t = tls_new(client, &start, &err);
		assert_non_null(t);
		assert_int_equal(tls_handshake(t, &err), TLS_WANT_READ);
		assert_int_equal(f.calls, 0);
		put(fds[1], rows[i].bytes, strlen(rows[i].bytes));
		assert_int_equal(tls_handshake(t, &err), rows[i].result);
		assert_int_equal(tls_why(t), rows[i].answer ? TLS_WHY_NONE : TLS_WHY_NOT_TLS);
		assert_int_equal(f.byte, rows[i].bytes[0]);
		put(fds[1], "\3", 1);
		assert_int_equal(tls_handshake(t, &err), rows[i].result);
		assert_int_equal(f.calls, 1);
		tls_free(t);
		close(fds[0]);
		close(fds[1]);
	}
}

/* At every byte: the rest comes later, or never. */
static void cut_everywhere(void **state)
{
	(void)state;
	for (size_t cut = 0; cut < hello_len; cut++) {
		int fds[2];
		struct err err = {0};
		char answer[4096];
		socket_pair(fds);
		struct tls *t = serve(fds[0]);
		put(fds[1], hello, cut);
		assert_int_equal(tls_handshake(t, &err), TLS_WANT_READ);
		assert_int_equal(read(fds[1], answer, sizeof(answer)), -1);
		put(fds[1], &hello[cut], hello_len - cut);
		assert_int_equal(tls_handshake(t, &err), TLS_WANT_READ);
		assert_true(read(fds[1], answer, sizeof(answer)) > 100); /* the server's flight */
		tls_free(t);

		t = serve(fds[0]);
		put(fds[1], hello, cut);
		assert_int_equal(tls_handshake(t, &err), TLS_WANT_READ);
		shutdown(fds[1], SHUT_WR);
		assert_int_equal(tls_handshake(t, &err), TLS_FAILED);
		assert_int_equal(tls_why(t), TLS_WHY_CUT);
		tls_free(t);
		close(fds[0]);
		close(fds[1]);
	}
}

static void byte_by_byte(void **state)
{
	(void)state;
	int fds[2];
	struct err err = {0};
	socket_pair(fds);
	struct tls *t = serve(fds[0]);
	for (size_t i = 0; i < hello_len; i++) {
		assert_int_equal(tls_handshake(t, &err), TLS_WANT_READ);
		put(fds[1], &hello[i], 1);
	}
	assert_int_equal(tls_handshake(t, &err), TLS_WANT_READ);
	char answer[4096];
	assert_true(read(fds[1], answer, sizeof(answer)) > 100);
	tls_free(t);
	close(fds[0]);
	close(fds[1]);
}

/* Whatever byte is changed, the server goes on or refuses, and says why. */
static void each_byte_spoilt(void **state)
{
	(void)state;
	for (size_t i = 0; i < hello_len; i++) {
		int fds[2];
		struct err err = {0};
		socket_pair(fds);
		struct tls *t = serve(fds[0]);
		hello[i] ^= 0xff;
		put(fds[1], hello, hello_len);
		hello[i] ^= 0xff;
		shutdown(fds[1], SHUT_WR);
		enum tls_result r;
		for (int turn = 0; (r = tls_handshake(t, &err)) == TLS_WANT_READ; turn++)
			assert_true(turn < 5);
		assert_int_equal(r, TLS_FAILED);
		assert_int_not_equal(tls_why(t), TLS_WHY_NONE);
		assert_int_not_equal(tls_why(t), TLS_WHY_OURS);
		tls_free(t);
		close(fds[0]);
		close(fds[1]);
	}
}

static void set_u16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The real hello with a padding extension (RFC 7685) up to BODY bytes; in one record or two. */
static size_t padded(uint8_t *out, size_t body)
{
	size_t handshake = hello_len - 5; /* with its header of 4 */
	size_t exts_at = 4 + 2 + 32;
	const uint8_t *h = &hello[5];
	exts_at += 1 + (size_t)h[exts_at];
	exts_at += 2 + ((size_t)h[exts_at] << 8 | h[exts_at + 1]);
	exts_at += 1 + (size_t)h[exts_at];
	uint8_t *message = mem_new(4 + body);
	memcpy(message, h, handshake);
	size_t pad = 4 + body - handshake - 4;
	set_u16(&message[handshake], 21);
	set_u16(&message[handshake + 2], pad);
	message[1] = (uint8_t)(body >> 16);
	set_u16(&message[2], body & 0xffff);
	set_u16(&message[exts_at], 4 + body - exts_at - 2);
	size_t n = 0;
	for (size_t at = 0, take; at < 4 + body; at += take) {
		take = 4 + body - at < TLS_RECORD_MAX ? 4 + body - at : TLS_RECORD_MAX;
		memcpy(&out[n], "\x16\x03\x01", 3);
		set_u16(&out[n + 3], take);
		memcpy(&out[n + 5], &message[at], take);
		n += 5 + take;
	}
	free(message);
	return n;
}

static void long_hellos(void **state)
{
	(void)state;
	static uint8_t wire[20000];
	static const struct {
		size_t body;
		enum tls_result result;
	} rows[] = {{4096, TLS_WANT_READ},
		    {TLS_MAX_HELLO, TLS_WANT_READ},
		    {TLS_MAX_HELLO + 1, TLS_FAILED}};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		int fds[2];
		char answer[4096];
		struct err err = {0};
		size_t n = padded(wire, rows[i].body);
		socket_pair(fds);
		struct tls *t = serve(fds[0]);
		put(fds[1], wire, n);
		assert_int_equal(tls_handshake(t, &err), rows[i].result);
		assert_int_equal(tls_why(t), rows[i].result == TLS_FAILED ? TLS_WHY_HELLO_TOO_LONG
									  : TLS_WHY_NONE);
		assert_int_equal(read(fds[1], answer, sizeof(answer)) > 100,
				 rows[i].result == TLS_WANT_READ);
		tls_free(t);
		close(fds[0]);
		close(fds[1]);
	}
}

static void reset_in_the_handshake(void **state)
{
	(void)state;
	int fds[2];
	struct err err = {0};
	tcp_pair(fds, 0);
	struct tls *t = serve(fds[0]);
	put(fds[1], hello, hello_len / 2);
	wait_readable(fds[0]);
	assert_int_equal(tls_handshake(t, &err), TLS_WANT_READ);
	struct linger now = {.l_onoff = 1};
	MUST(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
	close(fds[1]);
	wait_readable(fds[0]);
	assert_int_equal(tls_handshake(t, &err), TLS_FAILED);
	assert_int_equal(tls_why(t), TLS_WHY_RESET);
	tls_free(t);
	close(fds[0]);
}

static int setup(void **state)
{
	(void)state;
	struct pki_ca *mesh = pki_ca_new("mesh");
	struct pki_leaf leaf = {.uris = {"spiffe://cluster.local/ns/a/sa/b"}};
	server = pki_context(TLS_SERVER, pki_identity(mesh, &leaf, mesh), true, NULL);
	client = pki_context(TLS_CLIENT, pki_identity(mesh, &leaf, mesh), true, NULL);
	worker = tls_worker_new();
	pki_ca_free(mesh);
	int fds[2];
	struct err err = {0};
	socket_pair(fds);
	struct tls *t = tls_new(client, &(struct tls_start){.fd = fds[0], .worker = worker}, &err);
	MUST(t && tls_handshake(t, &err) == TLS_WANT_READ);
	ssize_t n = read(fds[1], hello, sizeof(hello));
	MUST(n > 0);
	hello_len = (size_t)n;
	tls_free(t);
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_worker_free(worker);
	tls_context_put(server);
	tls_context_put(client);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage),
		cmocka_unit_test(first_bytes_are_seen),
		cmocka_unit_test(cut_everywhere),
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(each_byte_spoilt),
		cmocka_unit_test(long_hellos),
		cmocka_unit_test(reset_in_the_handshake),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
