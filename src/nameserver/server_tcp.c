/* Connections of the server: sockets for struct dns_stream. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "dns/stream.h"
#include "nameserver/server_inside.h"

enum {
	CONNS = 128,
	IDLE_S = 10,
};

struct dns_conn {
	struct dns_server *server;
	struct io io;
	struct timer idle;
	struct deferred gone;
	uint64_t id;
	struct dns_stream stream;
	TAILQ_ENTRY(dns_conn) link;
};

static void free_conn(struct deferred *gone)
{
	struct dns_conn *c = CONTAINER_OF(gone, struct dns_conn, gone);
	dns_stream_fini(&c->stream);
	free(c);
}

static void close_conn(struct dns_conn *c)
{
	loop_del(c->server->loop, &c->io);
	timer_cancel(c->server->loop, &c->idle);
	(void)close(c->io.fd); /* a socket: nothing is written back late */
	TAILQ_REMOVE(&c->server->conns, c, link);
	c->server->n_conns--;
	c->gone.run = free_conn;
	loop_defer(c->server->loop, &c->gone);
}

void server_close_conns(struct dns_server *s)
{
	struct dns_conn *c;
	while ((c = TAILQ_FIRST(&s->conns)))
		close_conn(c);
}

static void on_idle(struct timer *t)
{
	close_conn(CONTAINER_OF(t, struct dns_conn, idle));
}

/* A whole question or answer: only that counts, so that a byte now and then holds no place. */
static void busy(struct dns_conn *c)
{
	timer_set(c->server->loop, &c->idle, IDLE_S * NS_PER_S);
	TAILQ_REMOVE(&c->server->conns, c, link);
	TAILQ_INSERT_TAIL(&c->server->conns, c, link);
}

/* Answers what is whole. */
static void answer_whole_messages(struct dns_conn *c)
{
	struct dns_server *s = c->server;
	struct slice message;
	while (dns_stream_next(&c->stream, &message)) {
		struct dns_client from = {.conn = c->id};
		size_t n = s->events->on_query(s->ctx, &from, message, s->answer, DNS_MESSAGE_MAX);
		dns_stream_took(&c->stream, message, n == DNS_LATER);
		busy(c);
		if (n && n != DNS_LATER)
			MUST(dns_stream_answer(&c->stream, (struct slice){s->answer, n}));
	}
}

static bool read_some(struct dns_conn *c)
{
	size_t room;
	char *at;
	while ((at = dns_stream_room(&c->stream, &room))) {
		ssize_t n = read(c->io.fd, at, room);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			c->stream.ended = true;
		buf_commit(&c->stream.in, (size_t)n);
	}
	return true;
}

static bool write_some(struct dns_conn *c)
{
	struct buf *out = &c->stream.out;
	while (buf_len(out)) {
		ssize_t n = send(c->io.fd, buf_slice(out).at, buf_len(out), MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		buf_consume(out, (size_t)n);
	}
	return true;
}

/* As many answers as the client takes now. False: the connection is of no use any more. */
static bool answer_and_write(struct dns_conn *c)
{
	struct slice message;
	do {
		answer_whole_messages(c);
		if (!write_some(c))
			return false;
	} while (dns_stream_next(&c->stream, &message));
	return !dns_stream_is_over(&c->stream);
}

/* After anything happened: what is to be done next. */
static void go_on(struct dns_conn *c)
{
	uint32_t want = 0;
	if (!answer_and_write(c)) {
		close_conn(c);
		return;
	}
	if (dns_stream_may_read(&c->stream)) /* the end would be readable for ever */
		want = EPOLLIN;
	if (buf_len(&c->stream.out))
		want |= EPOLLOUT;
	if (!loop_mod(c->server->loop, &c->io, want, NULL))
		close_conn(c);
}

static void on_conn(struct io *io, uint32_t events)
{
	struct dns_conn *c = CONTAINER_OF(io, struct dns_conn, io);
	if (!(events & (EPOLLERR | EPOLLHUP)) && read_some(c))
		go_on(c);
	else
		close_conn(c);
}

void server_tcp_reply(struct dns_server *s, uint64_t conn, struct slice answer)
{
	struct dns_conn *c;
	TAILQ_FOREACH (c, &s->conns, link)
		if (c->id == conn)
			break;
	if (!c)
		return;
	busy(c);
	if (!dns_stream_answer_late(&c->stream, answer)) /* the client takes no answers */
		close_conn(c);
	else
		go_on(c);
}

void server_on_conn(struct acceptor *a, int fd, const struct addr *from)
{
	struct dns_server *s = CONTAINER_OF(a, struct dns_server, acceptor);
	(void)from; /* answers go to the connection */
	/* All clients share these places: who has been silent longest makes room, RFC 7766 6.2.3. */
	if (s->n_conns == CONNS)
		close_conn(TAILQ_FIRST(&s->conns));
	if (!s->answer)
		s->answer = mem_new(DNS_MESSAGE_MAX);
	struct dns_conn *c = mem_new(sizeof(*c));
	c->server = s;
	c->id = ++s->next_conn;
	c->io = (struct io){.fd = fd, .on_ready = on_conn};
	c->idle.fire = on_idle;
	dns_stream_init(&c->stream);
	if (!loop_add(s->loop, &c->io, EPOLLIN, NULL)) {
		(void)close(fd); /* nothing was sent on it: the client asks again */
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	s->n_conns++;
	timer_set(s->loop, &c->idle, IDLE_S * NS_PER_S);
}
