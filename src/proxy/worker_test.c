/* A worker relays: ends, resets, back-pressure, many bytes, many connections. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "net/sock.h"
#include "proxy/testbed.h"

static struct testbed tb;

static int start_plain(void **state)
{
	(void)state;
	testbed_start(&tb, &(struct testbed_setup){0});
	return 0;
}

static int start_mesh_tls(void **state)
{
	(void)state;
	testbed_start(&tb, &(struct testbed_setup){.mesh_tls = true});
	return 0;
}

static int stop(void **state)
{
	(void)state;
	testbed_stop(&tb);
	return 0;
}

static void bytes_pass_both_ways(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	say(p.client, "question");
	expect(p.server, "question");
	say(p.server, "answer");
	expect(p.client, "answer");
	peers_close(&p);
}

static void server_may_speak_first(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	say(p.server, "220 hello\r\n");
	expect(p.client, "220 hello\r\n");
	peers_close(&p);
}

static void client_ends_and_still_reads(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	say(p.client, "all of it");
	end(p.client);
	expect(p.server, "all of it");
	expect_end(p.server);
	say(p.server, "answer after the end");
	expect(p.client, "answer after the end");
	end(p.server);
	expect_end(p.client);
	testbed_wait_conns(&tb, 0);
	peers_close(&p);
}

static void server_ends_and_still_reads(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	end(p.server);
	expect_end(p.client);
	say(p.client, "more");
	expect(p.server, "more");
	end(p.client);
	expect_end(p.server);
	peers_close(&p);
}

static void bytes_and_end_in_one_go(void **state)
{
	(void)state;
	int client = testbed_connect(&tb);
	say(client, "hasty");
	end(client); /* most likely before the server is dialled */
	int server = testbed_accept(&tb);
	expect(server, "hasty");
	expect_end(server);
	say(server, "late");
	expect(client, "late");
	struct peers p = {client, server};
	peers_close(&p);
}

static void client_reset_reaches_server(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	say(p.client, "last words");
	expect(p.server, "last words");
	reset(p.client);
	expect_reset(p.server);
	p.client = -1;
	peers_close(&p);
}

static void server_reset_reaches_client(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	say(p.server, "last words");
	expect(p.client, "last words");
	reset(p.server);
	expect_reset(p.client);
	p.server = -1;
	peers_close(&p);
}

static void reset_after_own_end(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	end(p.client);
	expect_end(p.server);
	reset(p.client);
	/* recv(2) goes on saying "end": the reset shows as an error of the socket. */
	struct pollfd gone = {p.server, 0, 0};
	assert_int_equal(poll(&gone, 1, 10000), 1);
	assert_int_equal(net_connect_result(p.server), EPIPE);
	p.client = -1;
	peers_close(&p);
}

static void answer_before_reset_arrives(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	say(p.client, "never read");
	assert_true(readable_within(p.server, 1000));
	say(p.server, "go away");
	(void)close(p.server); /* unread bytes: the kernel makes it a reset */
	p.server = -1;
	expect(p.client, "go away");
	expect_reset(p.client);
	peers_close(&p);
}

static void urgent_byte_stays_in_the_stream(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	say(p.client, "AB");
	assert_int_equal(send(p.client, "!", 1, MSG_OOB), 1);
	say(p.client, "OR");
	expect(p.server, "AB!OR");
	say(p.client, "\r\n");
	expect(p.server, "\r\n");
	peers_close(&p);
}

static void refused_server_resets_client(void **state)
{
	(void)state;
	struct testbed none;
	testbed_start(&none, &(struct testbed_setup){.no_server = true});
	int client = testbed_connect(&none);
	expect_reset(client);
	(void)close(client);
	testbed_stop(&none);
}

enum { PIECE = 256 * 1024 };

static void exchange(const struct peers *p, uint64_t up_bytes, uint64_t down_bytes)
{
	struct stream up_in = {.end = up_bytes}, up_out = up_in;
	struct stream down_in = {.end = down_bytes}, down_out = down_in;
	unsigned char *piece = mem_new(PIECE);
	while (up_out.at < up_out.end || down_out.at < down_out.end) {
		bool moved = stream_send(&up_in, p->client, piece, PIECE);
		moved = stream_receive(&up_out, p->server, piece, PIECE) || moved;
		moved = stream_send(&down_in, p->server, piece, PIECE) || moved;
		moved = stream_receive(&down_out, p->client, piece, PIECE) || moved;
		struct pollfd wait[] = {
			{p->client, POLLIN, 0},
			{p->server, POLLIN, 0},
			{up_in.at < up_in.end ? p->client : -1, POLLOUT, 0},
			{down_in.at < down_in.end ? p->server : -1, POLLOUT, 0},
		};
		if (!moved)
			assert_true(poll(wait, N_ELEMS(wait), 10000) > 0);
	}
	free(piece);
	expect_end(p->client);
	expect_end(p->server);
}

static void hundred_megabytes_both_ways(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	exchange(&p, 100 << 20, 100 << 20);
	peers_close(&p);
}

static void odd_sizes_both_ways(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {1, 65535, 65536, 65537, 131072, 196608, 1000003};
	for (size_t i = 0; i < N_ELEMS(sizes); i++) {
		struct peers p = testbed_peers(&tb);
		exchange(&p, sizes[i], sizes[N_ELEMS(sizes) - 1 - i]);
		peers_close(&p);
	}
}

static void nobody_reads_then_all_arrives(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	struct stream in = {.end = 64 << 20}, out = in;
	unsigned char *piece = mem_new(PIECE);
	/* Until nothing moves for a while: buffers of the kernel and of the worker are full. */
	struct pollfd writable = {p.client, POLLOUT, 0};
	while (poll(&writable, 1, 200) == 1 && stream_send(&in, p.client, piece, PIECE))
		;
	assert_true(in.at < in.end); /* back-pressure: not all of it was taken */
	while (out.at < out.end) {
		bool moved = stream_receive(&out, p.server, piece, PIECE);
		moved = stream_send(&in, p.client, piece, PIECE) || moved;
		struct pollfd readable = {p.server, POLLIN, 0};
		if (!moved)
			assert_true(poll(&readable, 1, 10000) == 1);
	}
	expect_end(p.server);
	free(piece);
	peers_close(&p);
}

static void blocked_flow_dies_with_its_receiver(void **state)
{
	(void)state;
	struct peers p = testbed_peers(&tb);
	struct stream in = {.end = 64 << 20};
	unsigned char *piece = mem_new(PIECE);
	struct pollfd writable = {p.client, POLLOUT, 0};
	while (poll(&writable, 1, 100) == 1 && stream_send(&in, p.client, piece, PIECE))
		;
	(void)close(p.server); /* with bytes unread: a reset */
	p.server = -1;
	struct pollfd gone = {p.client, POLLIN, 0};
	assert_int_equal(poll(&gone, 1, 10000), 1);
	expect_reset(p.client);
	free(piece);
	peers_close(&p);
}

struct closing {
	struct post post;
	struct worker *worker;
};

/* The worker's thread: the only one that waits for its next share is closed in the same turn, and
 * then another one waits. */
static void close_one_that_waits(struct post *post)
{
	struct worker *w = CONTAINER_OF(post, struct closing, post)->worker;
	struct conn *first = TAILQ_FIRST(&w->conns[CONN_RELAY]);
	struct conn *second = TAILQ_NEXT(first, link);
	worker_again(w, first);
	conn_close(first, END_SERVER_RESET, CLOSE_RESET);
	worker_again(w, second);
}

static void closed_while_it_waits_for_its_share(void **state)
{
	(void)state;
	struct peers p[] = {testbed_peers(&tb), testbed_peers(&tb)};
	for (size_t i = 0; i < N_ELEMS(p); i++) {
		say(p[i].client, "ping");
		expect(p[i].server, "ping");
	}
	struct closing c = {{.run = close_one_that_waits}, tb.workers[0]};
	loop_post(tb.workers[0]->loop, &c.post);
	expect_reset(p[0].client);
	say(p[1].server, "pong");
	expect(p[1].client, "pong");
	peers_close(&p[0]);
	peers_close(&p[1]);
	testbed_wait_conns(&tb, 0);
}

static void many_connections_at_once(void **state)
{
	(void)state;
	struct rlimit files;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	unsigned n = files.rlim_cur > 9000 ? 2000 : 200; /* four descriptors each, all in here */
	struct peers *pairs = mem_array(n, sizeof(*pairs));
	for (unsigned i = 0; i < n; i++)
		pairs[i] = testbed_peers(&tb);
	testbed_wait_conns(&tb, n);
	for (unsigned i = 0; i < n; i++)
		say(pairs[i].client, "ping");
	for (unsigned i = 0; i < n; i++)
		say(pairs[i].server, "pong");
	for (unsigned i = 0; i < n; i++) {
		expect(pairs[i].client, "pong");
		expect(pairs[i].server, "ping");
		peers_close(&pairs[i]);
	}
	testbed_wait_conns(&tb, 0);
	free(pairs);
}

static void clients_wait_for_the_first_view(void **state)
{
	(void)state;
	struct testbed early;
	testbed_start(&early, &(struct testbed_setup){.no_view = true});
	int client = testbed_connect(&early); /* connected: it stands in the backlog */
	say(client, "patience");
	assert_false(readable_within(early.server_fd, 50));
	testbed_serve(&early);
	struct peers p = {client, testbed_accept(&early)};
	expect(p.server, "patience");
	peers_close(&p);
	testbed_stop(&early);
}

static void two_workers_share_one_port(void **state)
{
	(void)state;
	struct testbed two;
	testbed_start(&two, &(struct testbed_setup){.workers = 2});
	struct peers pairs[64];
	for (size_t i = 0; i < N_ELEMS(pairs); i++)
		pairs[i] = testbed_peers(&two);
	testbed_wait_conns(&two, N_ELEMS(pairs));
	assert_true(worker_n_conns(two.workers[0]) > 0);
	assert_true(worker_n_conns(two.workers[1]) > 0);
	for (size_t i = 0; i < N_ELEMS(pairs); i++) {
		say(pairs[i].client, "ping");
		expect(pairs[i].server, "ping");
		peers_close(&pairs[i]);
	}
	testbed_stop(&two);
}

static void quiet_connection_ends_where_asked_for(void **state)
{
	(void)state;
	struct testbed idle;
	testbed_start(&idle, &(struct testbed_setup){.mesh = "tcpIdleTimeout: 1s\n"});
	struct peers p = testbed_peers(&idle);
	say(p.client, "ping");
	expect(p.server, "ping");
	expect_end(p.client);
	expect_end(p.server);
	peers_close(&p);
	testbed_stop(&idle);
}

static void out_of_descriptors_refuses_and_serves_on(void **state)
{
	(void)state;
	enum { FEW = 32, CROWD = 2 * FEW };
	struct peers p = testbed_peers(&tb);
	int crowd[CROWD];
	for (size_t i = 0; i < CROWD; i++)
		assert_true((crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
	struct rlimit files, few;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	few = files;
	few.rlim_cur = FEW; /* the worker needs two for each of the crowd */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&tb.through, &sa);
	for (size_t i = 0; i < CROWD; i++)
		assert_int_equal(connect(crowd[i], (struct sockaddr *)&sa, len), 0);
	expect_reset(crowd[CROWD - 1]);
	say(p.client, "still here");
	expect(p.server, "still here");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	for (size_t i = 0; i < CROWD; i++)
		(void)close(crowd[i]);
	peers_close(&p);
	/* Those that were served stand in the server's backlog: gone through, the last is ours. */
	int client = testbed_connect(&tb);
	say(client, "back");
	bool found = false;
	while (!found) {
		char got[5] = "";
		int server = testbed_accept(&tb);
		found = recv(server, got, 4, 0) == 4 && memcmp(got, "back", 4) == 0;
		(void)close(server);
	}
	(void)close(client);
}

int main(void)
{
	/* In clear, and through two sidecars with mesh TLS between them. */
	const struct CMUnitTest both[] = {
		cmocka_unit_test(bytes_pass_both_ways),
		cmocka_unit_test(server_may_speak_first),
		cmocka_unit_test(client_ends_and_still_reads),
		cmocka_unit_test(server_ends_and_still_reads),
		cmocka_unit_test(bytes_and_end_in_one_go),
		cmocka_unit_test(client_reset_reaches_server),
		cmocka_unit_test(server_reset_reaches_client),
		cmocka_unit_test(reset_after_own_end),
		cmocka_unit_test(answer_before_reset_arrives),
		cmocka_unit_test(urgent_byte_stays_in_the_stream),
		cmocka_unit_test(odd_sizes_both_ways),
		cmocka_unit_test(hundred_megabytes_both_ways),
		cmocka_unit_test(nobody_reads_then_all_arrives),
		cmocka_unit_test(blocked_flow_dies_with_its_receiver),
		cmocka_unit_test(many_connections_at_once),
	};
	const struct CMUnitTest plaintext[] = {
		cmocka_unit_test(refused_server_resets_client),
		cmocka_unit_test(closed_while_it_waits_for_its_share),
		cmocka_unit_test(clients_wait_for_the_first_view),
		cmocka_unit_test(two_workers_share_one_port),
		cmocka_unit_test(quiet_connection_ends_where_asked_for),
		cmocka_unit_test(out_of_descriptors_refuses_and_serves_on),
	};
	return cmocka_run_group_tests_name("plaintext", both, start_plain, stop) +
	       cmocka_run_group_tests_name("mesh TLS", both, start_mesh_tls, stop) +
	       cmocka_run_group_tests_name("others", plaintext, start_plain, stop);
}
