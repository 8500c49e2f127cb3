#include "nameserver/server.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "dns/message.h"
#include "nameserver/server_inside.h"
#include "net/sock.h"

enum {
	BATCH = 32,
	BATCHES_PER_TURN = 4,
	QUERY_MAX = 4096, /* a query longer than this is none */
	/* Bytes, of which the kernel charges 768 for a query. A client with many threads asks hundreds of
	 * questions at once, while we may be busy with something else. What does not fit is lost, and asked for
	 * again only after 5 s. The kernel's default has room for 277. */
	DATAGRAMS_WAITING = 8 * 1024 * 1024,
};

/* One batch: read with one call, answered with one call. */
struct batch {
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_at[BATCH], out_at[BATCH];
	struct sockaddr_storage from[BATCH];
	char queries[BATCH][QUERY_MAX], answers[BATCH][DNS_UDP_MAX];
};

static void prepare(struct batch *b)
{
	for (unsigned i = 0; i < BATCH; i++) {
		b->in_at[i] = (struct iovec){b->queries[i], QUERY_MAX};
		b->in[i].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
						   .msg_namelen = sizeof(b->from[i]),
						   .msg_iov = &b->in_at[i],
						   .msg_iovlen = 1};
	}
}

/* Answers that are ready at once leave together. */
static unsigned answer_batch(struct dns_socket *s, struct batch *b, unsigned n)
{
	const struct dns_server *server = s->server;
	unsigned n_out = 0;
	for (unsigned i = 0; i < n; i++) {
		struct dns_client from = {.socket = s, .peer = addr_of(&b->from[i])};
		struct slice message = {b->queries[i], b->in[i].msg_len};
		if (b->in[i].msg_hdr.msg_flags & MSG_TRUNC)
			continue;
		size_t len = server->events->on_query(server->ctx, &from, message,
						      b->answers[n_out], DNS_UDP_MAX);
		if (len == 0 || len == DNS_LATER)
			continue;
		b->out_at[n_out] = (struct iovec){b->answers[n_out], len};
		b->out[n_out].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
							.msg_namelen = b->in[i].msg_hdr.msg_namelen,
							.msg_iov = &b->out_at[n_out],
							.msg_iovlen = 1};
		n_out++;
	}
	return n_out;
}

/* One that cannot be sent (its client's port is closed, say) does not keep the others back. */
static void send_batch(int fd, struct batch *b, unsigned n)
{
	for (unsigned at = 0; at < n;) {
		int sent = sendmmsg(fd, &b->out[at], n - at, MSG_DONTWAIT);
		at += sent > 0 ? (unsigned)sent : 1; /* lost as any datagram may be */
	}
}

static void on_datagrams(struct io *io, uint32_t events)
{
	struct dns_socket *s = CONTAINER_OF(io, struct dns_socket, io);
	struct dns_server *server = s->server;
	(void)events; /* only EPOLLIN is asked for; an error shows in recvmmsg */
	if (!server->batch)
		server->batch = mem_new(sizeof(*server->batch));
	for (int turn = 0; turn < BATCHES_PER_TURN; turn++) {
		struct batch *b = server->batch;
		prepare(b);
		int n = recvmmsg(io->fd, b->in, BATCH, MSG_DONTWAIT, NULL);
		if (n <= 0)
			return;
		send_batch(io->fd, b, answer_batch(s, b, (unsigned)n));
		if (n < BATCH)
			return;
	}
}

void dns_server_reply(struct dns_server *s, const struct dns_client *to, struct slice answer)
{
	struct sockaddr_storage sa;
	if (dns_client_is_tcp(to)) {
		server_tcp_reply(s, to->conn, answer);
		return;
	}
	socklen_t len = addr_to_sockaddr(&to->peer, &sa);
	/* lost as any datagram may be: the client asks again */
	(void)sendto(to->socket->io.fd, answer.at, answer.len, MSG_DONTWAIT, (struct sockaddr *)&sa,
		     len);
}

static bool add_udp(struct dns_server *server, int fd, struct err *err)
{
	if (fd < 0)
		return false;
	struct dns_socket *s = mem_new(sizeof(*s));
	s->server = server;
	s->io = (struct io){.fd = fd, .on_ready = on_datagrams};
	if (!loop_add(server->loop, &s->io, EPOLLIN, err)) {
		(void)close(fd); /* nothing was sent on it */
		free(s);
		return false;
	}
	TAILQ_INSERT_TAIL(&server->sockets, s, link);
	return true;
}

static int bind_udp(const struct addr *on, struct err *err)
{
	int fd = net_bind_udp(on, err), room = DATAGRAMS_WAITING;
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		/* not root of the machine: as much as the machine allows, which is not refused */
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return fd;
}

bool dns_server_listen(struct dns_server *s, const struct addr *on, struct err *err)
{
	char text[ADDR_TEXT];
	int tcp;
	if (!add_udp(s, bind_udp(on, err), err) || (tcp = net_listen(on, false, err)) < 0 ||
	    !acceptor_add(&s->acceptor, tcp, err))
		return err_wrap(err, "dns %s", addr_text(on, text));
	return true;
}

struct dns_server *dns_server_new(struct loop *loop, const struct dns_server_events *events,
				  void *ctx)
{
	struct dns_server *s = mem_new(sizeof(*s));
	s->loop = loop;
	s->events = events;
	s->ctx = ctx;
	TAILQ_INIT(&s->sockets);
	TAILQ_INIT(&s->conns);
	acceptor_init(&s->acceptor, loop, "dns", server_on_conn);
	return s;
}

void dns_server_free(struct dns_server *s)
{
	struct dns_socket *socket;
	if (!s)
		return;
	while ((socket = TAILQ_FIRST(&s->sockets))) {
		TAILQ_REMOVE(&s->sockets, socket, link);
		loop_del(s->loop, &socket->io);
		(void)close(socket->io.fd); /* nothing is written back late */
		free(socket);
	}
	acceptor_close(&s->acceptor);
	server_close_conns(s);
	free(s->batch);
	free(s->answer);
	free(s);
}

unsigned dns_server_n_conns(const struct dns_server *s)
{
	return s->n_conns;
}
