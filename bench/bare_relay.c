/*
 * The yardstick: an epoll relay of TCP connections that inspects nothing, logs nothing, counts
 * nothing and plans nothing.
 *
 *   bare_relay LISTEN_PORT TARGET_HOST:PORT
 *
 * One thread, edge-triggered, one read and one write per piece of data; a read that comes back
 * short is not followed by another one. It stands for the least that any relay in user space has to
 * do, so it is written to be fast and not to be good: what the receiver does not take at once is
 * waited for with poll(2).
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/sock.h"

enum { CHUNK = 64 * 1024, EVENTS = 256 };

struct end {
	int fd;
	bool ended; /* has sent FIN */
	struct end *peer;
};

static int epoll_fd;
static char chunk[CHUNK];
static struct addr target;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static bool watch(struct end *e)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = e};
	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, e->fd, &ev) == 0;
}

static bool open_pair(int client_fd, struct end *client)
{
	struct end *server = mem_new(sizeof(*server));
	struct err err = {0};
	*client = (struct end){.fd = client_fd, .peer = server};
	*server = (struct end){.fd = net_connect(&target, NULL, &err), .peer = client};
	if (server->fd < 0)
		return false;
	(void)net_tune(client->fd, 0); /* slower without */
	(void)net_tune(server->fd, 0);
	return watch(client) && watch(server);
}

static void close_pair(struct end *e)
{
	(void)close(e->fd);
	if (e->peer->fd >= 0)
		(void)close(e->peer->fd);
	e->fd = e->peer->fd = -1; /* freed by the caller, after the events of this turn */
}

static bool send_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};
			(void)poll(&p, 1, -1);
			continue;
		}
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/* False: the pair is done with. */
static bool relay(struct end *e, uint32_t events)
{
	ssize_t n;
	do {
		n = recv(e->fd, chunk, CHUNK, 0);
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0) {
			e->ended = true;
			(void)shutdown(e->peer->fd, SHUT_WR);
			return !e->peer->ended;
		}
		if (!send_all(e->peer->fd, chunk, (size_t)n))
			return false;
	} while (n == CHUNK || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	return true;
}

static void accept_all(int listen_fd)
{
	int fd;
	while ((fd = net_accept(listen_fd, NULL)) >= 0) {
		struct end *client = mem_new(sizeof(*client));
		if (!open_pair(fd, client))
			die("connect");
	}
}

int main(int argc, char **argv)
{
	uint64_t port = 0;
	struct err err = {0};
	if (argc != 3 || !slice_to_u64(slice_of(argv[1]), UINT16_MAX, &port) ||
	    !addr_parse(slice_of(argv[2]), &target)) {
		fprintf(stderr, "usage: bare_relay LISTEN_PORT TARGET_HOST:PORT\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	struct addr on = {.ip = ip_v4(0x7f000001), .port = (uint16_t)port};
	struct end listener = {.fd = net_listen(&on, false, &err)};
	epoll_fd = epoll_create1(0);
	if (listener.fd < 0 || epoll_fd < 0 || !watch(&listener))
		die(err.text);
	for (;;) {
		struct epoll_event events[EVENTS];
		struct end *done[EVENTS];
		int n = epoll_wait(epoll_fd, events, EVENTS, -1), n_done = 0;
		for (int i = 0; i < n; i++) {
			struct end *e = events[i].data.ptr;
			if (e == &listener)
				accept_all(listener.fd);
			else if (e->fd >= 0 && !relay(e, events[i].events)) {
				close_pair(e);
				done[n_done++] = e;
			}
		}
		while (n_done--) {
			free(done[n_done]->peer);
			free(done[n_done]);
		}
	}
}
