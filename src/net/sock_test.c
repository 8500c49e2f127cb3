/* Real sockets on loopback, of both families. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/sock.h"

static struct err err;

static struct addr addr_from(const char *text)
{
	struct addr a;
	if (!addr_parse(slice_of(text), &a))
		fail_msg("%s", text);
	return a;
}

static void wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	assert_int_equal(poll(&p, 1, 10000), 1);
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(close(fds[i]), 0);
}

/* A listener on any free port of ON, and its address. */
static int listen_on(const char *on, struct addr *at)
{
	struct addr a = addr_from(on);
	int fd = net_listen(&a, false, &err);
	if (fd < 0)
		fail_msg("%s", err.text);
	assert_true(net_local_addr(fd, at));
	assert_int_not_equal(at->port, 0);
	return fd;
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);
	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

/* Connects to a listener; FDS: listener, client, the accepted one. */
static void connected(const char *on, const struct addr *src, int fds[3], struct addr *peer)
{
	struct addr at;
	fds[0] = listen_on(on, &at);
	fds[1] = net_connect(&at, src, &err);
	if (fds[1] < 0)
		fail_msg("%s", err.text);
	wait_for(fds[0], POLLIN);
	fds[2] = net_accept(fds[0], peer);
	assert_true(fds[2] >= 0);
	wait_for(fds[1], POLLOUT);
	assert_int_equal(net_connect_result(fds[1]), 0);
}

static void connections_of_both_families(void **state)
{
	(void)state; /* none */
	static const char *const places[] = {"127.0.0.1:0", "[::1]:0"};
	for (size_t i = 0; i < N_ELEMS(places); i++) {
		int fds[3];
		struct addr peer, local, server, there;
		connected(places[i], NULL, fds, &peer);
		assert_true(net_local_addr(fds[1], &local));
		assert_true(addr_eq(&peer, &local)); /* what accept tells is who connected */
		assert_true(net_peer_addr(fds[1], &there));
		assert_true(net_local_addr(fds[0], &server));
		assert_true(addr_eq(&there, &server));
		assert_int_equal(write(fds[1], "hello", 5), 5);
		char text[8];
		wait_for(fds[2], POLLIN);
		assert_int_equal(read(fds[2], text, sizeof(text)), 5);
		assert_int_equal(read(fds[2], text, sizeof(text)), -1); /* non-blocking */
		assert_int_equal(errno, EAGAIN);
		assert_false(net_original_dst(fds[2], &there)); /* nothing redirected it */
		close_all(fds, 3);
	}
}

static void the_wildcard_takes_both_families(void **state)
{
	(void)state; /* none */
	struct addr at, to;
	int listener = listen_on("[::]:0", &at);
	static const char *const ways[] = {"127.0.0.1", "::1"};
	for (size_t i = 0; i < N_ELEMS(ways); i++) {
		struct addr peer;
		to = at;
		assert_true(ip_parse(slice_of(ways[i]), &to.ip));
		int client = net_connect(&to, NULL, &err);
		assert_true(client >= 0);
		wait_for(listener, POLLIN);
		int server = net_accept(listener, &peer);
		assert_true(server >= 0);
		assert_true(ip_eq(&peer.ip, &to.ip)); /* IPv4 as IPv4 */
		assert_int_equal(close(client) + close(server), 0);
	}
	assert_int_equal(close(listener), 0);
}

static void nothing_to_accept(void **state)
{
	(void)state; /* none */
	struct addr at;
	int listener = listen_on("127.0.0.1:0", &at);
	assert_int_equal(net_accept(listener, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(close(listener), 0);
}

static void a_refused_connection_says_so(void **state)
{
	(void)state; /* none */
	static const char *const places[] = {"127.0.0.1:0", "[::1]:0"};
	for (size_t i = 0; i < N_ELEMS(places); i++) {
		struct addr at;
		int bound = listen_on(places[i], &at);
		assert_int_equal(close(bound), 0); /* its port is free, and nobody is there */
		int fd = net_connect(&at, NULL, &err);
		if (fd < 0) { /* at once, or when the answer comes */
			assert_int_equal(err.sys, ECONNREFUSED);
			continue;
		}
		wait_for(fd, POLLOUT);
		assert_int_equal(net_connect_result(fd), ECONNREFUSED);
		assert_int_equal(close(fd), 0);
	}
}

static void a_source_is_bound_first(void **state)
{
	(void)state; /* none */
	int fds[3];
	struct addr src = addr_from("127.0.0.9:0"), peer;
	connected("127.0.0.1:0", &src, fds, &peer);
	assert_true(ip_eq(&peer.ip, &src.ip));
	assert_int_not_equal(peer.port, 0);
	close_all(fds, 3);
	src = addr_from("192.0.2.1:0"); /* not ours */
	struct addr to = addr_from("127.0.0.1:9");
	assert_int_equal(net_connect(&to, &src, &err), -1);
	assert_int_equal(err.sys, EADDRNOTAVAIL);
	assert_non_null(strstr(err.text, "bind source 192.0.2.1:0"));
}

/* The port is drawn at connect, when both ends are known (IP_BIND_ADDRESS_NO_PORT). */
static void many_connections_share_a_source(void **state)
{
	(void)state; /* none */
	enum { N = 50 };
	int clients[N], servers[N];
	struct addr at, src = addr_from("127.0.0.9:0");
	int listener = listen_on("127.0.0.1:0", &at);
	for (unsigned i = 0; i < N; i++) {
		clients[i] = net_connect(&at, &src, &err);
		assert_true(clients[i] >= 0);
		wait_for(listener, POLLIN);
		servers[i] = net_accept(listener, NULL);
		assert_true(servers[i] >= 0);
	}
	close_all(clients, N);
	close_all(servers, N);
	assert_int_equal(close(listener), 0);
}

static void an_address_in_use(void **state)
{
	(void)state; /* none */
	struct addr at;
	int first = listen_on("127.0.0.1:0", &at);
	assert_int_equal(net_listen(&at, false, &err), -1);
	assert_int_equal(err.sys, EADDRINUSE);
	char want[128], text[ADDR_TEXT];
	assert_true(snprintf(want, sizeof(want), "%s: Address already in use",
			     addr_text(&at, text)) > 0);
	assert_non_null(strstr(err.text, want)); /* bind or listen, and where */
	assert_int_equal(close(first), 0);
	first = net_listen(&at, true, &err); /* one per worker */
	int second = net_listen(&at, true, &err);
	assert_true(first >= 0 && second >= 0);
	assert_int_equal(close(first) + close(second), 0);
}

static void datagrams(void **state)
{
	(void)state; /* none */
	struct addr any = addr_from("127.0.0.1:0"), at;
	int a = net_bind_udp(&any, &err), b = net_bind_udp(&any, &err);
	assert_true(a >= 0 && b >= 0);
	assert_true(net_local_addr(b, &at));
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(&at, &sa);
	assert_int_equal(sendto(a, "q", 1, 0, (struct sockaddr *)&sa, len), 1);
	wait_for(b, POLLIN);
	char text[4];
	assert_int_equal(recv(b, text, sizeof(text), 0), 1);
	assert_int_equal(close(a) + close(b), 0);
	at = addr_from("192.0.2.1:53");
	assert_int_equal(net_bind_udp(&at, &err), -1);
	assert_int_equal(err.sys, EADDRNOTAVAIL);
}

static void unix_sockets(void **state)
{
	(void)state; /* none */
	char dir[] = "/tmp/hark-sock-test-XXXXXX", path[64], far[200];
	assert_non_null(mkdtemp(dir));
	assert_true(snprintf(path, sizeof(path), "%s/s", dir) > 0);
	assert_int_equal(net_connect_unix(path, &err), -1);
	assert_int_equal(err.sys, ENOENT);
	int listener = net_listen_unix(path, 0600, &err);
	assert_true(listener >= 0);
	assert_int_equal(close(listener), 0);
	listener = net_listen_unix(path, 0600, &err); /* over what the last one left behind */
	assert_true(listener >= 0);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	int client = net_connect_unix(path, &err);
	assert_true(client >= 0);
	wait_for(listener, POLLIN);
	int server = net_accept(listener, NULL);
	assert_true(server >= 0);
	assert_int_equal(close(client) + close(server) + close(listener), 0);
	memset(far, 'x', sizeof(far) - 1);
	far[sizeof(far) - 1] = '\0';
	assert_int_equal(net_listen_unix(far, 0600, &err), -1);
	assert_int_equal(err.kind, ERR_BAD_INPUT);
	assert_int_equal(net_connect_unix(far, &err), -1);
	assert_int_equal(err.kind, ERR_BAD_INPUT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void tuned_as_told(void **state)
{
	(void)state; /* none */
	int fds[3];
	connected("127.0.0.1:0", NULL, fds, NULL);
	assert_true(net_tune(fds[1], 0));
	assert_int_not_equal(option(fds[1], IPPROTO_TCP, TCP_NODELAY), 0);
	assert_int_equal(option(fds[1], SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_true(net_tune(fds[1], 300));
	assert_int_not_equal(option(fds[1], SOL_SOCKET, SO_KEEPALIVE), 0);
	assert_int_equal(option(fds[1], IPPROTO_TCP, TCP_KEEPIDLE), 300);
	assert_true(
		net_tune(fds[1], UINT32_MAX)); /* more than the kernel takes: as much as it does */
	assert_int_equal(option(fds[1], IPPROTO_TCP, TCP_KEEPIDLE), 32767);
	assert_true(net_rtt_us(fds[1]) > 0);
	assert_int_equal(net_rtt_us(-1), 0);
	close_all(fds, 3);
	assert_false(net_tune(fds[1], 0));
}

static void every_descriptor_closes_on_exec(void **state)
{
	(void)state; /* none */
	int fds[3];
	connected("127.0.0.1:0", NULL, fds, NULL);
	for (size_t i = 0; i < 3; i++) {
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
	}
	close_all(fds, 3);
}

static void a_reset_is_seen_as_one(void **state)
{
	(void)state; /* none */
	int fds[3];
	char byte;
	connected("127.0.0.1:0", NULL, fds, NULL);
	assert_true(net_reset_on_close(fds[2]));
	assert_int_equal(close(fds[2]), 0);
	wait_for(fds[1], POLLIN);
	assert_int_equal(read(fds[1], &byte, 1), -1);
	assert_int_equal(errno, ECONNRESET);
	close_all(fds, 2);
	/* and without it, an end is an end */
	connected("127.0.0.1:0", NULL, fds, NULL);
	assert_int_equal(close(fds[2]), 0);
	wait_for(fds[1], POLLIN);
	assert_int_equal(read(fds[1], &byte, 1), 0);
	close_all(fds, 2);
	assert_false(net_reset_on_close(-1));
}

static void what_is_no_socket(void **state)
{
	(void)state; /* none */
	struct addr a;
	assert_false(net_local_addr(-1, &a));
	assert_false(net_peer_addr(-1, &a));
	assert_false(net_original_dst(-1, &a));
	assert_int_equal(net_connect_result(-1), EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_of_both_families),
		cmocka_unit_test(the_wildcard_takes_both_families),
		cmocka_unit_test(nothing_to_accept),
		cmocka_unit_test(a_refused_connection_says_so),
		cmocka_unit_test(a_source_is_bound_first),
		cmocka_unit_test(many_connections_share_a_source),
		cmocka_unit_test(an_address_in_use),
		cmocka_unit_test(datagrams),
		cmocka_unit_test(unix_sockets),
		cmocka_unit_test(tuned_as_told),
		cmocka_unit_test(every_descriptor_closes_on_exec),
		cmocka_unit_test(a_reset_is_seen_as_one),
		cmocka_unit_test(what_is_no_socket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
