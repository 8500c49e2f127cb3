/* Real listeners and clients on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/acceptor.h"
#include "net/sock.h"

enum { MANY = 150, PATIENCE_MS = 10000 };

static struct {
	struct acceptor acceptor;
	int fds[MANY];
	struct addr from[MANY];
	unsigned n;
} server;
static struct loop *loop;
static struct err err;

static void on_conn(struct acceptor *a, int fd, const struct addr *from)
{
	assert_ptr_equal(a, &server.acceptor);
	assert_true(server.n < MANY);
	server.fds[server.n] = fd;
	server.from[server.n++] = *from;
}

static int begin(void **state)
{
	(void)state;
	server.n = 0;
	loop = loop_new(&err);
	acceptor_init(&server.acceptor, loop, "test", on_conn);
	return loop ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < server.n; i++)
		(void)close(server.fds[i]);
	acceptor_close(&server.acceptor);
	acceptor_close(&server.acceptor); /* as a server does that is drained, then freed */
	loop_free(loop);
	return 0;
}

static struct addr add_listener(const char *on)
{
	struct addr at;
	assert_true(addr_parse(slice_of(on), &at));
	int fd = net_listen(&at, false, &err);
	assert_true(fd >= 0 && net_local_addr(fd, &at));
	assert_true(acceptor_add(&server.acceptor, fd, &err));
	return at;
}

/* Blocking: when it returns, the connection is in the listener's queue. */
static int dial(const struct addr *to, struct addr *self)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(to, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&sa, len) == 0);
	assert_true(net_local_addr(fd, self));
	return fd;
}

static void turn(int wait_ms)
{
	assert_true(loop_turn(loop, wait_ms, &err));
}

static void each_connection_comes_with_its_peer(void **state)
{
	(void)state;
	struct addr at[2] = {add_listener("127.0.0.1:0"), add_listener("127.0.0.1:0")}, self;
	for (unsigned i = 0; i < 2; i++) {
		int fd = dial(&at[i], &self);
		turn(PATIENCE_MS);
		assert_int_equal(server.n, i + 1);
		assert_true(addr_eq(&server.from[i], &self));
		assert_true(fcntl(server.fds[i], F_GETFL) & O_NONBLOCK);
		(void)close(fd);
	}
}

/* The loop has other work. */
static void a_turn_is_bounded(void **state)
{
	(void)state;
	struct addr at = add_listener("127.0.0.1:0"), self;
	int clients[MANY];
	for (unsigned i = 0; i < MANY; i++)
		clients[i] = dial(&at, &self);
	turn(PATIENCE_MS);
	assert_in_range(server.n, 1, MANY / 2);
	for (int i = 0; i < 5; i++)
		turn(0);
	assert_int_equal(server.n, MANY);
	for (unsigned i = 0; i < MANY; i++)
		(void)close(clients[i]);
}

static void no_more_descriptors(struct rlimit *before)
{
	assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
	struct rlimit none = {.rlim_cur = 0, .rlim_max = before->rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void short_of_descriptors_it_rests_and_goes_on(void **state)
{
	(void)state;
	enum { LOOK_MS = 30 };
	struct addr at = add_listener("127.0.0.1:0"), self;
	struct rlimit before;
	int fd = dial(&at, &self);
	no_more_descriptors(&before);
	turn(PATIENCE_MS);
	uint64_t from = clock_ns();
	turn(LOOK_MS); /* the queue is not empty, and yet nothing wakes us */
	uint64_t rested = clock_ns() - from;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(rested >= (LOOK_MS - 1) * NS_PER_MS);
	assert_int_equal(server.n, 0);
	for (int i = 0; i < 10 && server.n == 0; i++)
		turn(PATIENCE_MS); /* the timer's, then the connection's */
	assert_int_equal(server.n, 1);
	assert_true(addr_eq(&server.from[0], &self));
	(void)close(fd);
}

static void closed_while_it_rests(void **state)
{
	(void)state;
	struct addr at = add_listener("127.0.0.1:0"), self;
	struct rlimit before;
	int fd = dial(&at, &self);
	no_more_descriptors(&before);
	turn(PATIENCE_MS);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	acceptor_close(&server.acceptor);
	turn(150); /* past the pause: its timer is gone too */
	assert_int_equal(server.n, 0);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_connection_comes_with_its_peer, begin, end),
		cmocka_unit_test_setup_teardown(a_turn_is_bounded, begin, end),
		cmocka_unit_test_setup_teardown(short_of_descriptors_it_rests_and_goes_on, begin,
						end),
		cmocka_unit_test_setup_teardown(closed_while_it_rests, begin, end),
	};
	return cmocka_run_group_tests_name("net/acceptor", tests, NULL, NULL);
}
