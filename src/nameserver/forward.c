#include "nameserver/forward.h"

#include <bsd/sys/queue.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "dns/stream.h"
#include "net/sock.h"

enum {
	SERVERS_MAX = 8,
	READS_PER_TURN = 16,
	RANDOM_POOL = 256,
};

struct asking;

/* One message to one server. */
struct
try {
	struct io io;
	struct asking *asking;
	struct addr to;
	unsigned server, generation; /* TO is this one of the forwarder's, as they were then */
	uint16_t id;
	bool tcp, open, failed;
	size_t sent;   /* TCP: of the length and the message */
	struct buf in; /* TCP */
};

struct asking {
	struct forwarder *f;
	TAILQ_ENTRY(asking) link;
	struct timer next; /* the next try, or the end */
	struct deferred gone;
	struct dns_client client;
	struct dns_query *query;
	uint64_t asked_ns;
	bool tcp;
	unsigned n_tries, first_server;
	unsigned said_no;    /* a bit for each server */
	unsigned generation; /* of the servers that those bits are about */
	struct try tries[FORWARD_TRIES];
	bool is_cut;      /* ... and AGAIN asks for the whole of it */
	struct try again; /* over TCP */
	char *kept;       /* the cut answer, or the last no: what is said if nothing better comes */
	size_t kept_len;
	size_t len;
	char message[]; /* led by its length, as TCP has it */
};

struct forwarder {
	struct loop *loop;
	struct addr servers[SERVERS_MAX];
	unsigned n_servers, generation;
	const struct forward_events *events;
	void *ctx;
	TAILQ_HEAD(, asking) asking;
	unsigned n_asking, n_sockets, n_again;
	struct forward_counts counts;
	char *scratch; /* DNS_MESSAGE_MAX bytes */
	unsigned char random[RANDOM_POOL];
	unsigned random_left;
};

static void pool_take(struct forwarder *f, void *out, unsigned n)
{
	if (f->random_left < n) {
		MUST(getrandom(f->random, sizeof(f->random), 0) == sizeof(f->random));
		f->random_left = sizeof(f->random);
	}
	f->random_left -= n;
	memcpy(out, &f->random[f->random_left], n);
	memset(&f->random[f->random_left], 0, n); /* nobody reads it twice */
}

/* Tries. */

static void close_try(struct try *t)
{
	if (!t->open)
		return;
	struct forwarder *f = t->asking->f;
	loop_forget(f->loop, &t->io);
	(void)close(t->io.fd); /* nothing is written back late */
	buf_fini(&t->in);
	t->open = false;
	f->n_sockets--;
	f->n_again -= t == &t->asking->again;
}

static void free_asking(struct deferred *gone)
{
	struct asking *a = CONTAINER_OF(gone, struct asking, gone);
	free(a->query);
	free(a->kept);
	free(a);
}

static void end(struct asking *a)
{
	struct forwarder *f = a->f;
	for (unsigned i = 0; i < a->n_tries; i++)
		close_try(&a->tries[i]);
	close_try(&a->again);
	timer_cancel(f->loop, &a->next);
	TAILQ_REMOVE(&f->asking, a, link);
	f->n_asking--;
	a->gone.run = free_asking;
	loop_defer(f->loop, &a->gone);
}

static void answer(struct asking *a, char *bytes, size_t len)
{
	struct forward_answer answer = {.at = bytes, .len = len, .asked_ns = a->asked_ns};
	if (a->is_cut && bytes != a->kept)
		answer.cut = (struct slice){a->kept, a->kept_len};
	end(a);
	a->f->events->on_answer(a->f->ctx, &a->client, a->query, &answer);
}

/* Nothing better came. */
static void settle(struct asking *a)
{
	answer(a, a->kept, a->kept_len);
}

static void keep(struct asking *a, const char *bytes, size_t len)
{
	MUST(len <= FORWARD_KEPT_MAX);
	free(a->kept);
	a->kept = mem_new(len);
	memcpy(a->kept, bytes, len);
	a->kept_len = len;
}

static unsigned n_open(const struct asking *a)
{
	unsigned n = a->again.open;
	for (unsigned i = 0; i < a->n_tries; i++)
		n += a->tries[i].open;
	return n;
}

static void count_failure(struct try *t)
{
	if (!t->failed)
		t->asking->f->counts.failures++;
	t->failed = true;
}

/* What comes next right away: from the timer, so that nothing that is on the stack goes. */
static void fail_try(struct try *t)
{
	struct asking *a = t->asking;
	bool newest = t == &a->tries[a->n_tries - 1];
	count_failure(t);
	close_try(t);
	if (n_open(a) == 0 || (newest && a->n_tries < FORWARD_TRIES))
		timer_set(a->f->loop, &a->next, 0);
}

static struct slice query_of(const struct asking *a)
{
	return (struct slice){&a->message[2], a->len - 2};
}

static void on_stream(struct io *io, uint32_t events);
static bool open_try(struct try *t);

/* The same server over TCP. False: not now. */
static bool ask_again(struct asking *a, const struct try *cut)
{
	struct forwarder *f = a->f;
	struct try *t = &a->again;
	uint64_t late_ns = clock_ns() - a->asked_ns, life_ns = FORWARD_LIFE_MS * NS_PER_MS;
	uint64_t wait_ns = FORWARD_TRY_MS * NS_PER_MS;
	if (f->n_again == FORWARD_AGAIN_MAX || late_ns >= life_ns)
		return false;
	*t = (struct try){.asking = a, .to = cut->to, .tcp = true};
	for (unsigned i = 0; i < a->n_tries; i++)
		close_try(&a->tries[i]);
	f->counts.again++;
	if (!open_try(t)) {
		count_failure(t);
		close_try(t);
		return false;
	}
	a->is_cut = true;
	/* a client gives up after 5 s in all */
	timer_set(f->loop, &a->next, wait_ns < life_ns - late_ns ? wait_ns : life_ns - late_ns);
	return true;
}

static bool is_no(unsigned flags)
{
	unsigned rcode = flags & DNS_FLAGS_RCODE;
	return rcode == DNS_SERVFAIL || rcode == DNS_NOTIMP || rcode == DNS_REFUSED;
}

/* Has every server there is said no? */
static bool all_said_no(const struct asking *a)
{
	return a->generation == a->f->generation && a->said_no == (1u << a->f->n_servers) - 1;
}

/* True: there is another server to be asked first, and T is closed. */
static bool pass_over(struct try *t, const char *bytes, size_t len)
{
	struct asking *a = t->asking;
	if (t->generation == a->generation)
		a->said_no |= 1u << t->server;
	if (all_said_no(a) || len > FORWARD_KEPT_MAX)
		return false;
	keep(a, bytes, len);
	fail_try(t);
	return true;
}

/* What AGAIN was told is worth more than the cut answer if it is whole. */
static void take_again(struct asking *a, unsigned flags, char *bytes, size_t len)
{
	if (is_no(flags) || flags & DNS_FLAG_TC)
		settle(a);
	else
		answer(a, bytes, len);
}

/* Bytes of a server, with the ID as it came. True: they were an answer, and T is gone. */
static bool take_answer(struct try *t, char *bytes, size_t len)
{
	struct asking *a = t->asking;
	struct dns_walk w;
	if (!dns_answers((struct slice){bytes, len}, query_of(a), t->id)) {
		a->f->counts.ignored++;
		return false;
	}
	MUST(dns_walk_start(&w, (struct slice){bytes, len}));
	bytes[0] = (char)(a->query->id >> 8);
	bytes[1] = (char)a->query->id;
	if (t == &a->again) {
		take_again(a, w.flags, bytes, len);
		return true;
	}
	if (is_no(w.flags) && pass_over(t, bytes, len))
		return true;
	if (!is_no(w.flags) && w.flags & DNS_FLAG_TC && !t->tcp && len <= FORWARD_KEPT_MAX) {
		keep(a, bytes, len);
		if (ask_again(a, t))
			return true;
	}
	answer(a, bytes, len);
	return true;
}

static void on_datagram(struct io *io, uint32_t events)
{
	struct try *t = CONTAINER_OF(io, struct try, io);
	struct forwarder *f = t->asking->f;
	(void)events; /* reading says what there is */
	for (int i = 0; i < READS_PER_TURN; i++) {
		ssize_t n = net_recv(io->fd, f->scratch, DNS_MESSAGE_MAX, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) { /* ECONNREFUSED, EHOSTUNREACH: ICMP told */
			fail_try(t);
			return;
		}
		if (take_answer(t, f->scratch, (size_t)n))
			return;
	}
}

/* TCP. */

static bool tcp_write(struct try *t)
{
	struct asking *a = t->asking;
	while (t->sent < a->len) {
		ssize_t n = net_send(t->io.fd, &a->message[t->sent], a->len - t->sent,
				     MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		t->sent += (size_t)n;
	}
	return loop_mod(a->f->loop, &t->io, EPOLLIN, NULL);
}

/* False: of no use any more. */
static bool tcp_read(struct try *t, bool *answered)
{
	size_t room;
	char *at = buf_reserve(&t->in, 1, &room);
	ssize_t n = at ? net_recv(t->io.fd, at, room, MSG_DONTWAIT) : 0;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	buf_commit(&t->in, (size_t)n);
	struct slice message;
	if (!dns_frame_read(buf_slice(&t->in), &message))
		return true; /* more is to come */
	memcpy(t->asking->f->scratch, message.at, message.len);
	*answered = take_answer(t, t->asking->f->scratch, message.len);
	return *answered; /* who answers something else here is asked no more */
}

static void on_stream(struct io *io, uint32_t events)
{
	struct try *t = CONTAINER_OF(io, struct try, io);
	bool ok = true, answered = false;
	if (t->sent < t->asking->len)
		ok = net_connect_result(io->fd) == 0 && tcp_write(t);
	else if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		ok = tcp_read(t, &answered);
	if (!ok && !answered)
		fail_try(t);
}

static int udp_connected(const struct addr *to)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(to, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, len) < 0) {
		(void)close(fd); /* nothing was sent on it */
		fd = -1;
	}
	return fd;
}

/* A new ID, a new socket. False: it cannot even be sent. */
static bool open_try(struct try *t)
{
	struct asking *a = t->asking;
	struct forwarder *f = a->f;
	struct err err = {0};
	f->counts.tries++;
	if (f->n_sockets == FORWARD_SOCKETS_MAX)
		return false;
	if (a->tcp && a->n_tries > 0)
		t->id = a->tries[0].id; /* that one may not have been sent whole yet */
	else
		pool_take(f, &t->id, sizeof(t->id));
	a->message[2] = (char)(t->id >> 8);
	a->message[3] = (char)t->id;
	t->io.on_ready = t->tcp ? on_stream : on_datagram;
	t->io.fd = t->tcp ? net_connect(&t->to, NULL, &err) : udp_connected(&t->to);
	if (t->io.fd < 0)
		return false;
	buf_init(&t->in, DNS_FRAME_MAX);
	t->open = true;
	f->n_sockets++;
	f->n_again += t == &a->again;
	if (!loop_add(f->loop, &t->io, t->tcp ? EPOLLOUT : EPOLLIN, &err))
		return false;
	struct slice query = query_of(a);
	return t->tcp ||
	       net_send(t->io.fd, query.at, query.len, MSG_NOSIGNAL) == (ssize_t)query.len;
}

/* The next one in turn that has not said no. */
static unsigned next_server(struct asking *a)
{
	const struct forwarder *f = a->f;
	unsigned server = (a->first_server + a->n_tries) % f->n_servers;
	if (a->generation != f->generation) { /* others than those that said no */
		a->generation = f->generation;
		a->said_no = 0;
	}
	while (a->said_no & 1u << server)
		server = (server + 1) % f->n_servers;
	return server;
}

static void on_next(struct timer *timer)
{
	struct asking *a = CONTAINER_OF(timer, struct asking, next);
	if (a->n_tries) /* silent for that long, or counted already */
		count_failure(a->is_cut ? &a->again : &a->tries[a->n_tries - 1]);
	if (a->is_cut || a->n_tries == FORWARD_TRIES || all_said_no(a)) {
		settle(a);
		return;
	}
	struct try *t = &a->tries[a->n_tries];
	unsigned server = next_server(a);
	*t = (struct try){.asking = a,
			  .to = a->f->servers[server],
			  .server = server,
			  .generation = a->generation,
			  .tcp = a->tcp};
	bool sent = open_try(t);
	a->n_tries++;
	timer_set(a->f->loop, timer, FORWARD_TRY_MS * NS_PER_MS);
	if (!sent)
		fail_try(t);
}

bool forwarder_ask(struct forwarder *f, struct slice message, const struct dns_query *q,
		   const struct dns_client *client)
{
	if (f->n_asking == FORWARD_ASKING_MAX || f->n_servers == 0)
		return false;
	if (!f->scratch)
		f->scratch = mem_new(DNS_MESSAGE_MAX);
	struct asking *a = mem_new(sizeof(*a) + 2 + message.len);
	unsigned char random;
	pool_take(f, &random, 1);
	a->f = f;
	a->client = *client;
	a->query = mem_new(sizeof(*q));
	*a->query = *q;
	a->asked_ns = clock_ns();
	a->tcp = dns_client_is_tcp(client);
	a->first_server = random;
	a->generation = f->generation;
	a->len = 2 + message.len;
	a->message[0] = (char)(message.len >> 8);
	a->message[1] = (char)message.len;
	memcpy(&a->message[2], message.at, message.len);
	a->next.fire = on_next;
	TAILQ_INSERT_TAIL(&f->asking, a, link);
	f->n_asking++;
	on_next(&a->next);
	return true;
}

struct forwarder *forwarder_new(struct loop *loop, const struct forward_events *events, void *ctx)
{
	struct forwarder *f = mem_new(sizeof(*f));
	f->loop = loop;
	f->events = events;
	f->ctx = ctx;
	TAILQ_INIT(&f->asking);
	return f;
}

void forwarder_set_servers(struct forwarder *f, const struct addr *servers, unsigned n)
{
	MUST(n > 0 && n <= SERVERS_MAX);
	memcpy(f->servers, servers, n * sizeof(*servers));
	f->n_servers = n;
	f->generation++;
}

void forwarder_free(struct forwarder *f)
{
	struct asking *a;
	if (!f)
		return;
	while ((a = TAILQ_FIRST(&f->asking)))
		end(a);
	free(f->scratch);
	free(f);
}

const struct forward_counts *forwarder_counts(const struct forwarder *f)
{
	return &f->counts;
}

unsigned forwarder_n_asking(const struct forwarder *f)
{
	return f->n_asking;
}
