/* Connections of the server: each message is led by its length, RFC 1035 4.2.2. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/reader.h"
#include "dns/message.h"
#include "nameserver/server_inside.h"

enum {
	CONNS = 128,
	IN_MAX = DNS_MESSAGE_MAX + 2,
	OUT_MAX = 4 * (DNS_MESSAGE_MAX + 2),
	WAITING_MAX = 64, /* questions of one connection without an answer */
	IDLE_S = 10,
};

struct dns_conn {
	struct dns_server *server;
	struct io io;
	struct timer idle;
	struct deferred gone;
	uint64_t id;
	struct buf in, out;
	unsigned waiting;
	bool ended; /* the client will send nothing more */
	TAILQ_ENTRY(dns_conn) link;
};

static void free_conn(struct deferred *gone)
{
	struct dns_conn *c = CONTAINER_OF(gone, struct dns_conn, gone);
	buf_fini(&c->in);
	buf_fini(&c->out);
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

/* False: the client takes no answers. */
static bool put_answer(struct dns_conn *c, struct slice answer)
{
	return buf_putc(&c->out, (char)(answer.len >> 8)) &&
	       buf_putc(&c->out, (char)(answer.len & 255)) && buf_append(&c->out, answer);
}

/* The next whole question; false: there is none. */
static bool next_message(const struct dns_conn *c, struct slice *message)
{
	struct reader r = reader_of(buf_slice(&c->in));
	*message = read_bytes(&r, read_u16(&r));
	return !r.bad;
}

/* Another question may be answered: whatever the answer is, there is room for it. */
static bool may_answer(const struct dns_conn *c)
{
	return c->waiting < WAITING_MAX && buf_len(&c->out) + DNS_MESSAGE_MAX + 2 <= OUT_MAX;
}

/* False: the connection is of no use any more. */
static bool answer_whole_messages(struct dns_conn *c)
{
	struct dns_server *s = c->server;
	struct slice message;
	while (may_answer(c) && next_message(c, &message)) {
		struct dns_client from = {.conn = c->id};
		size_t n = s->events->on_query(s->ctx, &from, message, s->answer, DNS_MESSAGE_MAX);
		buf_consume(&c->in, 2 + message.len);
		busy(c);
		c->waiting += n == DNS_LATER;
		if (n && n != DNS_LATER && !put_answer(c, (struct slice){s->answer, n}))
			return false;
	}
	return true;
}

static bool read_some(struct dns_conn *c)
{
	for (;;) {
		size_t room;
		char *at = c->ended ? NULL : buf_reserve(&c->in, 1, &room);
		if (!at)
			return true; /* a whole message is in there: answered first */
		ssize_t n = read(c->io.fd, at, room);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0) {
			c->ended = true;
			return true;
		}
		buf_commit(&c->in, (size_t)n);
	}
}

static bool write_some(struct dns_conn *c)
{
	while (buf_len(&c->out)) {
		ssize_t n = send(c->io.fd, buf_slice(&c->out).at, buf_len(&c->out), MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		buf_consume(&c->out, (size_t)n);
	}
	return true;
}

/* As many answers as the client takes now. False: the connection is of no use any more. */
static bool answer_and_write(struct dns_conn *c)
{
	struct slice message;
	do {
		if (!answer_whole_messages(c) || !write_some(c))
			return false;
	} while (may_answer(c) && next_message(c, &message));
	return !c->ended || c->waiting || buf_len(&c->out);
}

/* After anything happened: what is to be done next. */
static void go_on(struct dns_conn *c)
{
	uint32_t want = 0;
	if (!answer_and_write(c)) {
		close_conn(c);
		return;
	}
	if (!c->ended && may_answer(c)) /* the end would be readable for ever */
		want = EPOLLIN;
	if (buf_len(&c->out))
		want |= EPOLLOUT;
	if (!loop_mod(c->server->loop, &c->io, want, NULL))
		close_conn(c);
}

static void on_conn(struct io *io, uint32_t events)
{
	struct dns_conn *c = CONTAINER_OF(io, struct dns_conn, io);
	if (!(events & (EPOLLERR | EPOLLHUP)) && (!may_answer(c) || read_some(c)))
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
	c->waiting--;
	busy(c);
	if (!put_answer(c, answer))
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
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, OUT_MAX);
	if (!loop_add(s->loop, &c->io, EPOLLIN, NULL)) {
		(void)close(fd); /* nothing was sent on it: the client asks again */
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&s->conns, c, link);
	s->n_conns++;
	timer_set(s->loop, &c->idle, IDLE_S * NS_PER_S);
}
