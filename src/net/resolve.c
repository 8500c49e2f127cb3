#include "net/resolve.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { TRY_MS = 2000, TRIES = 2 };

struct socket {
	struct io io;
	struct resolve *r;
	struct socket *next;
	struct deferred gone;
};

struct resolve {
	struct loop *loop;
	ares_channel channel;
	struct socket *sockets; /* those that c-ares waits for */
	struct timer timer;     /* as it wants to be called */
	bool over;              /* on_end() has come, or shall not */
	bool whole;             /* no search, no sorting */
	int family;             /* AF_UNSPEC: both */
	resolve_end *on_end;
	void *ctx;
	char *host;
	struct deferred gone;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_library(void)
{
	MUST(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

/* c-ares may be on the stack above us: the channel ends with the turn. */
static void release(struct deferred *gone)
{
	struct resolve *r = CONTAINER_OF(gone, struct resolve, gone);
	ares_destroy(r->channel); /* its sockets are told of, and closed */
	timer_cancel(r->loop, &r->timer);
	free(r->host);
	free(r);
}

static void end(struct resolve *r)
{
	r->over = true;
	r->gone.run = release;
	loop_defer(r->loop, &r->gone);
}

static void next_timeout(struct resolve *r)
{
	struct timeval room;
	if (r->over)
		return;
	const struct timeval *tv = ares_timeout(r->channel, NULL, &room);
	if (tv)
		timer_set(r->loop, &r->timer,
			  (uint64_t)tv->tv_sec * NS_PER_S + (uint64_t)tv->tv_usec * NS_PER_US);
	else
		timer_cancel(r->loop, &r->timer);
}

static void on_timer(struct timer *t)
{
	struct resolve *r = CONTAINER_OF(t, struct resolve, timer);
	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	next_timeout(r);
}

static void on_ready(struct io *io, uint32_t events)
{
	struct socket *s = CONTAINER_OF(io, struct socket, io);
	struct resolve *r = s->r; /* S may go */
	int fd = io->fd;
	bool in = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0, out = (events & EPOLLOUT) != 0;
	ares_process_fd(r->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
	next_timeout(r);
}

static void free_socket(struct deferred *gone)
{
	free(CONTAINER_OF(gone, struct socket, gone));
}

/* The event that is being handled may be this socket's. */
static void drop(struct resolve *r, struct socket **at)
{
	struct socket *s = *at;
	*at = s->next;
	loop_del(r->loop, &s->io);
	s->gone.run = free_socket;
	loop_defer(r->loop, &s->gone);
}

static void add(struct resolve *r, int fd, uint32_t events)
{
	struct socket *s = mem_new(sizeof(*s));
	struct err err = {0};
	*s = (struct socket){.io = {fd, on_ready}, .r = r, .next = r->sockets};
	if (loop_add(r->loop, &s->io, events, &err))
		r->sockets = s;
	else
		free(s); /* the question ends with its timeout */
}

/* c-ares says what it waits for. */
static void on_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct resolve *r = ctx;
	uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
	struct socket **at = &r->sockets;
	struct err err = {0};
	while (*at && (*at)->io.fd != fd)
		at = &(*at)->next;
	if (!*at) {
		if (events)
			add(r, fd, events);
		return;
	}
	if (!events || !loop_mod(r->loop, &(*at)->io, events, &err))
		drop(r, at); /* as in add() */
}

static size_t take_ips(const struct ares_addrinfo *info, struct ip *ips, uint32_t *ttl_s)
{
	size_t n = 0;
	for (const struct ares_addrinfo_node *a = info->nodes; a && n < RESOLVE_MAX_IPS;
	     a = a->ai_next) {
		struct sockaddr_storage sa = {0};
		uint32_t ttl = a->ai_ttl > 0 ? (uint32_t)a->ai_ttl : 0;
		if (a->ai_addrlen > sizeof(sa))
			continue;
		memcpy(&sa, a->ai_addr, a->ai_addrlen);
		if (sa.ss_family != AF_INET && sa.ss_family != AF_INET6)
			continue;
		if (n == 0 || ttl < *ttl_s)
			*ttl_s = ttl;
		ips[n++] = addr_of(&sa).ip;
	}
	return n;
}

static void on_answer(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
	struct resolve *r = ctx;
	struct ip ips[RESOLVE_MAX_IPS];
	struct err err = {0};
	struct resolve_answer answer = {.ips = ips};
	(void)timeouts; /* the status says enough */
	if (status == ARES_SUCCESS && info)
		answer.n = take_ips(info, ips, &answer.ttl_s);
	if (info)
		ares_freeaddrinfo(info);
	if (r->over)
		return; /* cancelled, or destroyed with the loop */
	end(r);
	bool none = status == ARES_SUCCESS || status == ARES_ENOTFOUND || status == ARES_ENODATA;
	if (answer.n == 0) {
		(void)err_set(&err, none ? ERR_NOT_FOUND : ERR_NOT_NOW, "resolving %s: %s", r->host,
			      status == ARES_SUCCESS ? "no address"
						     : ares_strerror(status)); /* told below */
		answer.err = &err;
	}
	r->on_end(r->ctx, &answer);
}

/* RFC 6761 6.3: what names loopback is asked of nobody. c-ares 1.18 knows it, too, and leaks the name where
 * /etc/hosts has it with the other family alone. */
static bool is_localhost(struct slice host)
{
	if (slice_ends(host, SLICE(".")))
		host.len--;
	size_t len = strlen("localhost"), before = host.len - len;
	if (host.len < len ||
	    !slice_eq_nocase(slice_sub(host, before, host.len), SLICE("localhost")))
		return false;
	return before == 0 || host.at[before - 1] == '.';
}

static void answer_loopback(struct resolve *r)
{
	const struct ip ip =
		r->family == AF_INET ? ip_v4(INADDR_LOOPBACK) : (struct ip){{[15] = 1}};
	struct resolve_answer answer = {.ips = &ip, .n = 1};
	end(r);
	r->on_end(r->ctx, &answer);
}

/* The first call into c-ares comes from the loop, so that an answer from /etc/hosts does, too. */
static void begin(struct timer *t)
{
	struct resolve *r = CONTAINER_OF(t, struct resolve, timer);
	struct ares_addrinfo_hints hints = {.ai_family = r->family,
					    .ai_socktype = SOCK_STREAM,
					    .ai_flags = r->whole ? ARES_AI_NOSORT : 0};
	if (r->whole && is_localhost(slice_of(r->host))) {
		answer_loopback(r);
		return;
	}
	r->timer.fire = on_timer;
	ares_getaddrinfo(r->channel, r->host, NULL, &hints, on_answer, r);
	next_timeout(r);
}

static struct resolve *start(struct loop *loop, const struct resolve *how, struct err *err)
{
	MUST(pthread_once(&once, init_library) == 0);
	struct resolve *r = mem_new(sizeof(*r));
	*r = *how;
	struct ares_options options = {.timeout = TRY_MS,
				       .tries = TRIES,
				       .sock_state_cb = on_state,
				       .sock_state_cb_data = r};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
	if (r->whole)
		mask |= ARES_OPT_DOMAINS | ARES_OPT_NDOTS; /* of which there are none */
	int status = ares_init_options(&r->channel, &options, mask);
	if (status != ARES_SUCCESS) {
		err_set(err, ERR_NOT_NOW, "resolver: %s", ares_strerror(status));
		free(r->host);
		free(r);
		return NULL;
	}
	r->loop = loop;
	r->timer.fire = begin;
	timer_set(loop, &r->timer, 0);
	return r;
}

struct resolve *resolve_start(struct loop *loop, const char *host, resolve_end *on_end, void *ctx,
			      struct err *err)
{
	struct resolve how = {
		.family = AF_UNSPEC, .on_end = on_end, .ctx = ctx, .host = mem_strdup(host)};
	return start(loop, &how, err);
}

struct resolve *resolve_whole(struct loop *loop, const char *host, enum resolve_family family,
			      resolve_end *on_end, void *ctx, struct err *err)
{
	static const int families[] = {[RESOLVE_V4] = AF_INET, [RESOLVE_V6] = AF_INET6};
	struct resolve how = {.whole = true,
			      .family = families[family],
			      .on_end = on_end,
			      .ctx = ctx,
			      .host = mem_strdup(host)};
	return start(loop, &how, err);
}

void resolve_cancel(struct resolve *r)
{
	if (r && !r->over)
		end(r);
}
