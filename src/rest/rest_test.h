/*
 * Shared by the tests of rest and of the rooms above it: run the loop until something is true,
 * listen somewhere, speak raw bytes.
 *
 *   RUN_UNTIL(loop, app.n == 3);            // fails the test after 10 s
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/sock.h"

#define RUN_UNTIL(loop, condition)                                                                 \
	do {                                                                                       \
		uint64_t give_up_ = clock_ns() + 10 * NS_PER_S;                                    \
		struct err err_ = {0};                                                             \
		while (!(condition)) {                                                             \
			if (clock_ns() > give_up_)                                                 \
				fail_msg("never came true: %s", #condition);                       \
			assert_true(loop_turn(loop, 10, &err_));                                   \
		}                                                                                  \
	} while (0)

static inline struct loop *test_loop(void)
{
	struct err err = {0};
	struct loop *loop = loop_new(&err);
	assert_non_null(loop);
	return loop;
}

/* A TCP listener on a free loopback port; BASE gets its URL. */
static inline int test_listen_tcp(char base[64])
{
	struct err err = {0};
	struct addr any = {.ip = ip_v4(INADDR_LOOPBACK)}, bound;
	int fd = net_listen(&any, false, &err);
	assert_true(fd >= 0 && net_local_addr(fd, &bound));
	char text[ADDR_TEXT];
	snprintf(base, 64, "http://%s", addr_text(&bound, text));
	return fd;
}

/* A Unix listener in a new folder of its own; BASE gets its URL. */
static inline int test_listen_unix(char base[64])
{
	struct err err = {0};
	char dir[] = "/tmp/hark-test-XXXXXX";
	assert_non_null(mkdtemp(dir));
	snprintf(base, 64, "unix:%s/s", dir);
	int fd = net_listen_unix(base + 5, 0600, &err);
	assert_true(fd >= 0);
	return fd;
}

/* Removes the socket of test_listen_unix() and its folder. */
static inline void test_unlink(char base[64])
{
	if (strncmp(base, "unix:", 5) != 0)
		return;
	(void)unlink(base + 5); /* may be gone already */
	*strrchr(base, '/') = '\0';
	(void)rmdir(base + 5); /* as above */
}

/* A blocking-minded client that says exactly what the test wants. */
static inline int test_dial(const char *base)
{
	struct err err = {0};
	struct addr to;
	int fd;
	if (strncmp(base, "unix:", 5) == 0) {
		fd = net_connect_unix(base + 5, &err);
	} else {
		assert_true(addr_parse(slice_of(base + 7), &to));
		fd = net_connect(&to, NULL, &err);
	}
	assert_true(fd >= 0);
	struct pollfd p = {fd, POLLOUT, 0};
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(net_connect_result(fd), 0);
	return fd;
}

static inline void test_say(int fd, struct slice bytes)
{
	assert_int_equal(send(fd, bytes.at, bytes.len, MSG_NOSIGNAL), (ssize_t)bytes.len);
}

/* Takes what is there into B. True once the peer has closed. */
static inline bool test_hear(int fd, struct buf *b)
{
	char bytes[65536];
	ssize_t n;
	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		assert_true(buf_append(b, (struct slice){bytes, (size_t)n}));
	return n == 0 || errno == ECONNRESET;
}
