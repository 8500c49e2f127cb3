/*
 * The yardstick: an epoll relay of TCP connections that inspects nothing, logs nothing, counts
 * nothing and plans nothing.
 *
 *   bare_relay LISTEN_PORT TARGET_HOST:PORT [dial|accept CERT_DIR]
 *
 * With CERT_DIR it speaks mutual TLS 1.3 towards the target (dial) or with its clients (accept), by
 * OpenSSL's own means: what two passes of AES-GCM cost when nothing else is done.
 *
 * One thread, edge-triggered, one read and one write per piece of data; a read that comes back
 * short is not followed by another one. It stands for the least that any relay in user space has to
 * do, so it is written to be fast and not to be good: what the receiver does not take at once is
 * waited for with poll(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
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
	SSL *ssl;   /* NULL: plaintext */
	struct end *peer;
};

static int epoll_fd;
static char chunk[CHUNK];
static struct addr target;
static SSL_CTX *tls; /* NULL: none */
static bool tls_dial;

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

static SSL_CTX *context(const char *dir)
{
	char path[3][512];
	static const char *const names[] = {"cert-chain.pem", "key.pem", "root-cert.pem"};
	for (size_t i = 0; i < N_ELEMS(names); i++)
		(void)snprintf(path[i], sizeof(path[i]), "%s/%s", dir, names[i]);
	SSL_CTX *c = SSL_CTX_new(TLS_method());
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_default_read_buffer_len(c, CHUNK);
	SSL_CTX_set_num_tickets(c, 0);
	if (!SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") ||
	    !SSL_CTX_set1_groups_list(c, "X25519") ||
	    SSL_CTX_use_certificate_chain_file(c, path[0]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(c, path[1], SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_load_verify_locations(c, path[2], NULL) != 1)
		die(dir);
	return c;
}

/* The whole handshake, everybody else waits meanwhile. */
static bool shake_hands(struct end *e)
{
	int flags = fcntl(e->fd, F_GETFL);
	struct pollfd connected = {.fd = e->fd, .events = POLLOUT};
	e->ssl = SSL_new(tls);
	(void)poll(&connected, 1, -1);
	if (flags < 0 || fcntl(e->fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
	    SSL_set_fd(e->ssl, e->fd) != 1)
		return false;
	int ok = tls_dial ? SSL_connect(e->ssl) : SSL_accept(e->ssl);
	SSL_set_read_ahead(e->ssl, 1); /* not before: what comes behind has to make an event */
	return ok == 1 && fcntl(e->fd, F_SETFL, flags) == 0;
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
	if (tls && !shake_hands(tls_dial ? server : client))
		return false;
	return watch(client) && watch(server);
}

static void close_pair(struct end *e)
{
	SSL_free(e->ssl);
	SSL_free(e->peer->ssl);
	e->ssl = e->peer->ssl = NULL;
	(void)close(e->fd);
	if (e->peer->fd >= 0)
		(void)close(e->peer->fd);
	e->fd = e->peer->fd = -1; /* freed by the caller, after the events of this turn */
}

/* As send(2) and recv(2); with TLS they never say that a connection has failed before it ends. */

static ssize_t put(const struct end *e, const char *bytes, size_t len)
{
	size_t n = 0;
	if (!e->ssl)
		return send(e->fd, bytes, len, MSG_NOSIGNAL);
	int ok = SSL_write_ex(e->ssl, bytes, len, &n);
	errno = EAGAIN;
	return ok == 1 ? (ssize_t)n : SSL_get_error(e->ssl, ok) == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static ssize_t get(const struct end *e)
{
	size_t n = 0;
	if (!e->ssl)
		return recv(e->fd, chunk, CHUNK, 0);
	int ok = SSL_read_ex(e->ssl, chunk, CHUNK, &n);
	errno = EAGAIN;
	return ok == 1 ? (ssize_t)n : SSL_get_error(e->ssl, ok) == SSL_ERROR_WANT_READ ? -1 : 0;
}

static bool send_all(const struct end *e, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = put(e, bytes, len);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (n < 0) {
			struct pollfd p = {.fd = e->fd, .events = POLLOUT};
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
		n = get(e);
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0) {
			e->ended = true;
			if (e->peer->ssl)
				(void)SSL_shutdown(e->peer->ssl); /* the FIN below says it too */
			(void)shutdown(e->peer->fd, SHUT_WR);
			return !e->peer->ended;
		}
		if (!send_all(e->peer, chunk, (size_t)n))
			return false;
	} while (n == CHUNK || e->ssl || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	return true;
}

static void accept_all(int listen_fd)
{
	int fd;
	while ((fd = net_accept(listen_fd, NULL)) >= 0) {
		struct end *client = mem_new(sizeof(*client));
		if (open_pair(fd, client))
			continue;
		if (!tls)
			die("connect");
		close_pair(client);
		free(client->peer);
		free(client);
	}
}

int main(int argc, char **argv)
{
	uint64_t port = 0;
	struct err err = {0};
	if ((argc != 3 && argc != 5) || !slice_to_u64(slice_of(argv[1]), UINT16_MAX, &port) ||
	    !addr_parse(slice_of(argv[2]), &target)) {
		fprintf(stderr,
			"usage: bare_relay LISTEN_PORT TARGET_HOST:PORT [dial|accept CERT_DIR]\n");
		return 2;
	}
	if (argc == 5) {
		tls_dial = strcmp(argv[3], "dial") == 0;
		tls = context(argv[4]);
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
