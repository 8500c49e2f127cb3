/* After the handshake: every byte in order, once, whatever the buffers; and every way of ending. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "tls/inside.h"
#include "tls/testbed.h"

static struct tls_context *server, *client, *client12;

static void connected(struct pair *p, const int fds[2], bool tls12)
{
	pair_open_on(p, fds, server, tls12 ? client12 : client, &(struct pair_opts){0});
	/* over TCP the bytes take their time */
	for (int turn = 0; p->server_result != TLS_OK || p->client_result != TLS_OK; turn++) {
		assert_true(turn < 1000);
		pair_handshake(p);
		assert_int_not_equal(p->server_result, TLS_FAILED);
		assert_int_not_equal(p->client_result, TLS_FAILED);
	}
}

static void connected_here(struct pair *p, bool tls12)
{
	int fds[2];
	socket_pair(fds);
	connected(p, fds, tls12);
}

/* ---- bulk ------------------------------------------------------------------------------------- */

/* One direction: a stream whose every byte can be told from its place. */
struct stream {
	struct tls *from, *to;
	size_t total, sent, got;
	bool closed, ended;
};

static char byte_at(size_t at)
{
	return (char)((at * 2654435761U) >> 13);
}

static bool send_some(struct stream *s, size_t piece)
{
	static char bytes[200000];
	struct err err = {0};
	size_t n, len = s->total - s->sent < piece ? s->total - s->sent : piece;
	if (s->closed)
		return false;
	if (len == 0) {
		enum tls_result r = tls_close_write(s->from, &err);
		s->closed = r == TLS_OK;
		assert_true(r == TLS_OK || r == TLS_WANT_WRITE);
		return s->closed;
	}
	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(s->sent + i);
	enum tls_result r = tls_write(s->from, (struct slice){bytes, len}, &n, &err);
	assert_true(r == TLS_OK ? n > 0 && n <= len : r == TLS_WANT_WRITE && n == 0);
	s->sent += n;
	return n > 0;
}

static bool take_some(struct stream *s, size_t room)
{
	static char bytes[200000];
	struct err err = {0};
	size_t n;
	if (s->ended)
		return false;
	enum tls_result r = tls_read(s->to, bytes, room, &n, &err);
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != byte_at(s->got + i))
			fail_msg("byte %zu", s->got + i);
	s->got += n;
	s->ended = r == TLS_END;
	assert_true(r == TLS_END || r == TLS_WANT_READ || (r == TLS_OK && n > 0));
	return n > 0 || s->ended;
}

static void move_all(struct stream s[2], size_t piece, size_t room)
{
	while (!s[0].ended || !s[1].ended) {
		bool moved = false;
		for (int i = 0; i < 2; i++) {
			moved |= send_some(&s[i], piece);
			moved |= take_some(&s[i], room);
		}
		if (!moved) { /* the kernel has it all: wait for it to move on */
			struct pollfd fd[2] = {{.fd = s[0].to->start.fd, .events = POLLIN},
					       {.fd = s[1].to->start.fd, .events = POLLIN}};
			assert_true(poll(fd, 2, 5000) > 0);
		}
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(s[i].got, s[i].total);
}

static void bulk_both_ways(void **state)
{
	(void)state;
	static const struct {
		size_t piece, room, total;
		int buffer;
		bool tls12;
	} rows[] = {
		{65536, 65536, 20 << 20, 0, false},
		{65536, 65536, 4 << 20, 4096, false},
		{200000, 65536, 4 << 20, 0, true},
		{16384, 16384, 4 << 20, 0, false},
		{65536, 1000, 1 << 20, 4096, true},
		{1, 65536, 3000, 0, false},
		{70000, 1, 20000, 0, false},
		{16385, 16383, 1 << 20, 16384, true},
		{0, 1, 0, 0, false},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		int fds[2];
		struct pair p;
		tcp_pair(fds, rows[i].buffer);
		connected(&p, fds, rows[i].tls12);
		struct stream s[2] = {
			{.from = p.client, .to = p.server, .total = rows[i].total},
			{.from = p.server, .to = p.client, .total = rows[i].total / 2}};
		move_all(s, rows[i].piece, rows[i].room);
		pair_close(&p);
	}
}

/* ---- ends ------------------------------------------------------------------------------------- */

static enum tls_result read_once(struct tls *t, size_t *n)
{
	char room[256];
	struct err err = {0};
	return tls_read(t, room, sizeof(room), n, &err);
}

static void half_close(void **state)
{
	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		struct pair p;
		struct err err = {0};
		size_t n;
		connected_here(&p, tls12);
		pair_say(p.client, p.server, "question");
		assert_int_equal(tls_close_write(p.client, &err), TLS_OK);
		assert_int_equal(tls_close_write(p.client, &err), TLS_OK);
		assert_int_equal(read_once(p.server, &n), TLS_END);
		assert_int_equal(read_once(p.server, &n), TLS_END);
		pair_say(p.server, p.client, "answer");
		pair_say(p.server, p.client, "and more");
		assert_int_equal(tls_close_write(p.server, &err), TLS_OK);
		assert_int_equal(read_once(p.client, &n), TLS_END);
		/* the sockets ended as well */
		char byte;
		assert_int_equal(recv(p.server_fd, &byte, 1, 0), 0);
		assert_int_equal(recv(p.client_fd, &byte, 1, 0), 0);
		pair_close(&p);
	}
}

static void an_end_behind_bytes(void **state)
{
	(void)state;
	struct pair p;
	struct err err = {0};
	size_t n;
	connected_here(&p, false);
	assert_int_equal(tls_write(p.client, SLICE("last"), &n, &err), TLS_OK);
	assert_int_equal(tls_close_write(p.client, &err), TLS_OK);
	assert_int_equal(read_once(p.server, &n), TLS_OK);
	assert_int_equal(n, 4);
	assert_true(tls_pending(p.server)); /* no new edge will come for it */
	assert_int_equal(read_once(p.server, &n), TLS_END);
	pair_close(&p);
}

static void cut(void **state)
{
	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		struct pair p;
		size_t n;
		connected_here(&p, tls12);
		pair_say(p.client, p.server, "x");
		shutdown(p.client_fd, SHUT_WR); /* no close_notify */
		assert_int_equal(read_once(p.server, &n), TLS_CUT);
		assert_int_equal(read_once(p.server, &n), TLS_CUT);
		pair_say(p.server, p.client, "still here"); /* a peer that only half-closed */
		pair_close(&p);
	}
}

static void cut_inside_a_record(void **state)
{
	(void)state;
	struct pair p;
	struct err err = {0};
	char wire[256];
	size_t n;
	connected_here(&p, false);
	assert_int_equal(tls_write(p.client, SLICE("hello"), &n, &err), TLS_OK);
	ssize_t len = read(p.server_fd, wire, sizeof(wire));
	assert_true(len > 10);
	assert_int_equal(write(p.client_fd, wire, (size_t)len - 1), len - 1);
	assert_int_equal(read_once(p.server, &n), TLS_WANT_READ);
	shutdown(p.client_fd, SHUT_WR);
	assert_int_equal(read_once(p.server, &n), TLS_CUT);
	pair_close(&p);
}

static void reset(void **state)
{
	(void)state;
	int fds[2];
	struct pair p;
	struct err err = {0};
	size_t n;
	tcp_pair(fds, 0);
	connected(&p, fds, false);
	pair_say(p.client, p.server, "x");
	struct linger now = {.l_onoff = 1};
	MUST(setsockopt(p.client_fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
	close(p.client_fd);
	p.client_fd = -1;
	wait_readable(p.server_fd);
	assert_int_equal(read_once(p.server, &n), TLS_RESET);
	assert_int_equal(tls_why(p.server), TLS_WHY_RESET);
	assert_int_equal(tls_write(p.server, SLICE("x"), &n, &err), TLS_RESET);
	pair_close(&p);
}

/* Who goes away by reset because we still write has perhaps said something before. */
static void what_was_said_before_a_reset(void **state)
{
	(void)state;
	int fds[2];
	struct pair p;
	struct err err = {0};
	size_t n;
	tcp_pair(fds, 0);
	connected(&p, fds, false);
	pair_say(p.server, p.client, "hello"); /* the tickets have been read */
	assert_int_equal(tls_write(p.client, SLICE("unread"), &n, &err), TLS_OK);
	wait_readable(p.server_fd);
	assert_int_equal(tls_write(p.server, SLICE("last words"), &n, &err), TLS_OK);
	close(p.server_fd); /* with bytes unread: RST */
	p.server_fd = -1;
	enum tls_result r = TLS_OK;
	while (r == TLS_OK) /* the RST is on its way */
		r = tls_write(p.client, SLICE("more"), &n, &err);
	assert_int_equal(r, TLS_RESET);
	assert_int_equal(tls_write(p.client, SLICE("and more"), &n, &err), TLS_RESET);
	assert_int_equal(tls_why(p.client), TLS_WHY_NONE);
	char room[64];
	assert_int_equal(tls_read(p.client, room, sizeof(room), &n, &err), TLS_OK);
	assert_true(slice_is((struct slice){room, n}, "last words"));
	r = read_once(p.client, &n);
	assert_true(r == TLS_CUT || r == TLS_RESET); /* the write may have taken the error */
	assert_int_equal(tls_close_write(p.client, &err), r == TLS_CUT ? TLS_OK : TLS_RESET);
	pair_close(&p);
}

static void spoilt_record(void **state)
{
	(void)state;
	struct pair p;
	struct err err = {0};
	char wire[256];
	size_t n;
	connected_here(&p, false);
	pair_say(p.server, p.client, "banner"); /* whoever has heard us was accepted */
	assert_int_equal(tls_write(p.client, SLICE("hello"), &n, &err), TLS_OK);
	ssize_t len = read(p.server_fd, wire, sizeof(wire));
	wire[8] ^= 1;
	assert_int_equal(write(p.client_fd, wire, (size_t)len), len);
	assert_int_equal(read_once(p.server, &n), TLS_FAILED);
	assert_int_equal(tls_why(p.server), TLS_WHY_BROKEN);
	assert_int_equal(tls_write(p.server, SLICE("x"), &n, &err), TLS_FAILED);
	assert_int_equal(read_once(p.client, &n), TLS_FAILED);
	assert_int_equal(tls_why(p.client), TLS_WHY_PEER_ALERT);
	pair_close(&p);
}

/* ---- what else a peer may do ------------------------------------------------------------------ */

static void renegotiation_is_refused(void **state)
{
	(void)state;
	struct pair p;
	size_t n;
	connected_here(&p, true);
	SSL_CTX_clear_options(p.client->ctx->ssl, SSL_OP_NO_RENEGOTIATION);
	SSL_clear_options(p.client->ssl, SSL_OP_NO_RENEGOTIATION);
	assert_int_equal(SSL_renegotiate(p.client->ssl), 1);
	tls_in_begin(p.client, 1);
	(void)SSL_do_handshake(p.client->ssl);
	tls_in_end(p.client);
	assert_int_equal(read_once(p.server, &n), TLS_WANT_READ);
	assert_int_equal(SSL_get_state(p.server->ssl), TLS_ST_OK);
	SSL_CTX_set_options(p.client->ctx->ssl, SSL_OP_NO_RENEGOTIATION);
	pair_close(&p);
}

static void keys_are_updated(void **state)
{
	(void)state;
	struct pair p;
	connected_here(&p, false);
	/* the peer asks for it */
	assert_int_equal(SSL_key_update(p.client->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
	pair_say(p.client, p.server, "under a new key");
	pair_say(p.server, p.client, "mine is new as well");
	/* and by ourselves, after much data */
	p.server->sealed = TLS_REKEY_BYTES - 1;
	pair_say(p.server, p.client, "with yet another key");
	assert_int_equal(p.server->sealed, 0);
	pair_say(p.client, p.server, "fine");
	pair_close(&p);
}

/* Key updates that want answers, from a peer that reads none of them. */
static void answers_are_bounded(void **state)
{
	(void)state;
	int fds[2];
	struct pair p;
	struct err err = {0};
	enum tls_result r = TLS_OK;
	size_t n;
	tcp_pair(fds, 4096);
	connected(&p, fds, false);
	for (int i = 0; i < 100000 && r != TLS_FAILED; i++) {
		assert_int_equal(SSL_key_update(p.client->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(tls_write(p.client, SLICE("x"), &n, &err), TLS_OK);
		wait_readable(p.server_fd);
		r = read_once(p.server, &n);
	}
	assert_int_equal(r, TLS_FAILED);
	assert_int_equal(tls_why(p.server), TLS_WHY_FLOOD);
	pair_close(&p);
}

static void pending_says_when_to_read(void **state)
{
	(void)state;
	struct pair p;
	struct err err = {0};
	char room[65536];
	size_t n;
	connected_here(&p, false);
	assert_int_equal(read_once(p.server, &n), TLS_WANT_READ);
	assert_false(tls_pending(p.server));
	assert_int_equal(tls_write(p.client, SLICE("0123456789"), &n, &err), TLS_OK);
	assert_int_equal(tls_read(p.server, room, 4, &n, &err), TLS_OK);
	assert_int_equal(n, 4);
	assert_true(tls_pending(p.server)); /* six are decrypted already */
	assert_int_equal(tls_read(p.server, room, sizeof(room), &n, &err), TLS_OK);
	assert_int_equal(n, 6);
	assert_int_equal(tls_write(p.client, SLICE("abc"), &n, &err), TLS_OK);
	assert_int_equal(tls_read(p.server, room, sizeof(room), &n, &err), TLS_OK);
	assert_false(tls_pending(p.server)); /* a short receive: the queue was empty */
	tls_end_announced(p.server);
	assert_true(tls_pending(p.server));
	assert_int_equal(tls_read(p.server, room, sizeof(room), &n, &err), TLS_WANT_READ);
	assert_false(tls_pending(p.server));
	pair_close(&p);
}

/* In TLS 1.3 a client may speak together with its Finished: the server must not wait for more. */
static void bytes_behind_the_handshake(void **state)
{
	(void)state;
	int fds[2];
	struct pair p;
	struct err err = {0};
	size_t n;
	socket_pair(fds);
	pair_open_on(&p, fds, server, client, &(struct pair_opts){0});
	assert_int_equal(tls_handshake(p.client, &err), TLS_WANT_READ);
	assert_int_equal(tls_handshake(p.server, &err), TLS_WANT_READ);
	assert_int_equal(tls_handshake(p.client, &err), TLS_OK);
	assert_int_equal(tls_write(p.client, SLICE("early"), &n, &err), TLS_OK);
	assert_int_equal(tls_handshake(p.server, &err), TLS_OK);
	assert_true(tls_pending(p.server));
	assert_int_equal(read_once(p.server, &n), TLS_OK);
	assert_int_equal(n, 5);
	pair_close(&p);
}

static int setup(void **state)
{
	(void)state;
	struct pki_ca *mesh = pki_ca_new("mesh");
	struct pki_leaf leaf = {.uris = {"spiffe://cluster.local/ns/a/sa/b"}};
	server = pki_context(TLS_SERVER, pki_identity(mesh, &leaf, mesh), true, NULL);
	client = pki_context(TLS_CLIENT, pki_identity(mesh, &leaf, mesh), true, NULL);
	client12 = pki_context(TLS_CLIENT, pki_identity(mesh, &leaf, mesh), true, NULL);
	SSL_CTX_set_max_proto_version(client12->ssl, TLS1_2_VERSION);
	pki_ca_free(mesh);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_context_put(server);
	tls_context_put(client);
	tls_context_put(client12);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_both_ways),
		cmocka_unit_test(half_close),
		cmocka_unit_test(an_end_behind_bytes),
		cmocka_unit_test(cut),
		cmocka_unit_test(cut_inside_a_record),
		cmocka_unit_test(reset),
		cmocka_unit_test(what_was_said_before_a_reset),
		cmocka_unit_test(spoilt_record),
		cmocka_unit_test(renegotiation_is_refused),
		cmocka_unit_test(keys_are_updated),
		cmocka_unit_test(answers_are_bounded),
		cmocka_unit_test(pending_says_when_to_read),
		cmocka_unit_test(bytes_behind_the_handshake),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
