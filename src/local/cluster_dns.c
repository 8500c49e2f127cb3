#include "local/cluster_dns.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "local/cluster_answer.h"
#include "net/sock.h"

enum {
	DATAGRAMS_PER_TURN = 64,
	DATAGRAMS_WAITING =
		8 * 1024 * 1024, /* bytes, of which the kernel charges 768 for a query */
	TCP_CONNS = 128,
	TCP_IN_MAX = DNS_MESSAGE_MAX + 2,
	TCP_OUT_MAX = 4 * (DNS_MESSAGE_MAX + 2),
	TCP_IDLE_S = 10,
	ACCEPT_RETRY_MS = 100,
};

struct socket {
	struct cluster_dns *dns;
	struct io io;
	struct timer retry; /* TCP: while no descriptor is left to accept with */
	TAILQ_ENTRY(socket) link;
};

struct tcp_conn {
	struct cluster_dns *dns;
	struct io io;
	struct timer idle;
	struct deferred gone;
	struct buf in, out;
	bool ended; /* the client will send nothing more */
	TAILQ_ENTRY(tcp_conn) link;
};

struct cluster_dns {
	struct loop *loop;
	struct cluster_zone zone;
	TAILQ_HEAD(, socket) sockets;
	TAILQ_HEAD(, tcp_conn) conns; /* the one that was silent longest first */
	unsigned n_conns;
};

/* Appends the answer to MESSAGE, or nothing: it deserves none. MAX 0: as much as UDP allows. */
static void respond(struct cluster_dns *d, struct slice message, size_t max, struct buf *out)
{
	struct dns_query *q = mem_new(sizeof(*q));
	enum dns_verdict verdict = dns_query_read(message, q);

	if (verdict != DNS_DROP) {
		struct dns_answer *a = dns_answer_new(q);
		if (verdict == DNS_QUESTION)
			cluster_answer(&d->zone, q, a);
		if (!dns_answer_write(a, max ? max : dns_udp_limit(q), out))
			log_debug("local", "dns answer too long name=%s", q->name);
		dns_answer_free(a);
	}
	free(q);
}

static void on_datagrams(struct io *io, uint32_t events)
{
	struct socket *s = CONTAINER_OF(io, struct socket, io);
	char in[4096]; /* a query longer than this is none */
	struct buf out;
	(void)events; /* only EPOLLIN is asked for; an error shows in recvfrom */

	buf_init(&out, DNS_UDP_MAX);
	for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
		struct sockaddr_storage from;
		socklen_t from_len = sizeof(from);
		ssize_t n =
			recvfrom(io->fd, in, sizeof(in), 0, (struct sockaddr *)&from, &from_len);
		if (n < 0)
			break;
		buf_clear(&out);
		respond(s->dns, (struct slice){in, (size_t)n}, 0, &out);
		if (buf_len(&out))
			/* lost as any datagram may be: the client asks again */
			(void)sendto(io->fd, buf_slice(&out).at, buf_len(&out), 0,
				     (struct sockaddr *)&from, from_len);
	}
	buf_fini(&out);
}

static void free_conn(struct deferred *gone)
{
	struct tcp_conn *c = CONTAINER_OF(gone, struct tcp_conn, gone);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
}

static void close_conn(struct tcp_conn *c)
{
	loop_del(c->dns->loop, &c->io);
	timer_cancel(c->dns->loop, &c->idle);
	(void)close(c->io.fd); /* a socket: nothing is written back late */
	TAILQ_REMOVE(&c->dns->conns, c, link);
	c->dns->n_conns--;
	c->gone.run = free_conn;
	loop_defer(c->dns->loop, &c->gone);
}

static void on_idle(struct timer *t)
{
	close_conn(CONTAINER_OF(t, struct tcp_conn, idle));
}

/* Each message is led by its length; RFC 1035 4.2.2. False: the client takes no answers. */
static bool answer_whole_messages(struct tcp_conn *c)
{
	for (;;) {
		struct reader r = reader_of(buf_slice(&c->in));
		size_t len = read_u16(&r);
		struct slice message = read_bytes(&r, len);
		if (r.bad)
			return true;
		struct buf out;
		buf_init(&out, DNS_MESSAGE_MAX);
		respond(c->dns, message, DNS_MESSAGE_MAX, &out);
		buf_consume(&c->in, 2 + len);
		bool ok = true;
		if (buf_len(&out))
			ok = buf_putc(&c->out, (char)(buf_len(&out) >> 8)) &&
			     buf_putc(&c->out, (char)(buf_len(&out) & 255)) &&
			     buf_append(&c->out, buf_slice(&out));
		buf_fini(&out);
		if (!ok)
			return false;
	}
}

static bool read_some(struct tcp_conn *c)
{
	for (;;) {
		size_t room;
		char *at = buf_reserve(&c->in, 1, &room);
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

static bool write_some(struct tcp_conn *c)
{
	while (buf_len(&c->out)) {
		ssize_t n = send(c->io.fd, buf_slice(&c->out).at, buf_len(&c->out), MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		buf_consume(&c->out, (size_t)n);
	}
	return !c->ended;
}

static void on_conn(struct io *io, uint32_t events)
{
	struct tcp_conn *c = CONTAINER_OF(io, struct tcp_conn, io);
	(void)events; /* reading and writing say what there is to do */

	timer_set(c->dns->loop, &c->idle, TCP_IDLE_S * NS_PER_S);
	TAILQ_REMOVE(&c->dns->conns, c, link);
	TAILQ_INSERT_TAIL(&c->dns->conns, c, link);
	if (!read_some(c) || !answer_whole_messages(c) || !write_some(c)) {
		close_conn(c);
		return;
	}
	uint32_t want = c->ended ? 0 : EPOLLIN; /* the end would be readable for ever */
	if (buf_len(&c->out))
		want |= EPOLLOUT;
	if (!loop_mod(c->dns->loop, io, want, NULL))
		close_conn(c);
}

static void on_retry(struct timer *t)
{
	struct socket *s = CONTAINER_OF(t, struct socket, retry);
	if (!loop_mod(s->dns->loop, &s->io, EPOLLIN, NULL))
		timer_set(s->dns->loop, t, ACCEPT_RETRY_MS * NS_PER_MS);
}

static void add_conn(struct cluster_dns *d, int fd)
{
	/* All Pods share these places: who has been silent longest makes room, RFC 7766 6.2.3. */
	if (d->n_conns == TCP_CONNS)
		close_conn(TAILQ_FIRST(&d->conns));
	struct tcp_conn *c = mem_new(sizeof(*c));
	c->dns = d;
	c->io = (struct io){.fd = fd, .on_ready = on_conn};
	c->idle.fire = on_idle;
	buf_init(&c->in, TCP_IN_MAX);
	buf_init(&c->out, TCP_OUT_MAX);
	if (!loop_add(d->loop, &c->io, EPOLLIN, NULL)) {
		(void)close(fd); /* nothing was sent on it: the client asks again */
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&d->conns, c, link);
	d->n_conns++;
	timer_set(d->loop, &c->idle, TCP_IDLE_S * NS_PER_S);
}

static void on_accept(struct io *io, uint32_t events)
{
	struct socket *s = CONTAINER_OF(io, struct socket, io);
	(void)events; /* only EPOLLIN is asked for */

	for (;;) {
		int fd = net_accept(io->fd, NULL);
		if (fd >= 0) {
			add_conn(s->dns, fd);
			continue;
		}
		/* What cannot be accepted stays in the queue and would wake us without end. */
		bool short_of =
			errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
		if (short_of && loop_mod(s->dns->loop, io, 0, NULL))
			timer_set(s->dns->loop, &s->retry, ACCEPT_RETRY_MS * NS_PER_MS);
		if (short_of || errno == EAGAIN)
			return;
		/* Anything else concerns that one connection, accept(2). */
	}
}

static bool add_socket(struct cluster_dns *d, int fd, bool tcp, struct err *err)
{
	if (fd < 0)
		return false;
	struct socket *s = mem_new(sizeof(*s));
	s->dns = d;
	s->retry.fire = on_retry;
	s->io = (struct io){.fd = fd, .on_ready = tcp ? on_accept : on_datagrams};
	if (!loop_add(d->loop, &s->io, EPOLLIN, err)) {
		(void)close(fd); /* nothing was sent on it */
		free(s);
		return false;
	}
	TAILQ_INSERT_TAIL(&d->sockets, s, link);
	return true;
}

/*
 * A client with many threads asks hundreds of questions at once, while we may be busy with something else.
 * What does not fit is lost, and asked for again only after 5 s. The kernel's default has room for 277.
 */
static int bind_udp(const struct addr *on, struct err *err)
{
	int fd = net_bind_udp(on, err), room = DATAGRAMS_WAITING;
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		/* not root of the machine: as much as the machine allows, which is not refused */
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return fd;
}

bool cluster_dns_listen(struct cluster_dns *d, const struct addr *on, struct err *err)
{
	char text[ADDR_TEXT];
	if (!add_socket(d, bind_udp(on, err), false, err) ||
	    !add_socket(d, net_listen(on, false, err), true, err))
		return err_wrap(err, "dns %s", addr_text(on, text));
	return true;
}

struct cluster_dns *cluster_dns_new(struct loop *loop, const struct store *store, const char *zone)
{
	struct cluster_dns *d = mem_new(sizeof(*d));
	d->loop = loop;
	d->zone = (struct cluster_zone){.store = store, .name = zone};
	TAILQ_INIT(&d->sockets);
	TAILQ_INIT(&d->conns);
	return d;
}

void cluster_dns_free(struct cluster_dns *d)
{
	struct socket *s;
	struct tcp_conn *c;

	if (!d)
		return;
	while ((s = TAILQ_FIRST(&d->sockets))) {
		TAILQ_REMOVE(&d->sockets, s, link);
		timer_cancel(d->loop, &s->retry);
		loop_del(d->loop, &s->io);
		(void)close(s->io.fd); /* nothing is written back late */
		free(s);
	}
	while ((c = TAILQ_FIRST(&d->conns)))
		close_conn(c);
	free(d);
}
