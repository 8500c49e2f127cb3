#include "proxy/dial.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "model/sidecar.h"
#include "net/sock.h"
#include "proxy/secure.h"
#include "proxy/worker.h"

static enum end_reason failure_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return END_CONNECT_REFUSED;
	case ETIMEDOUT:
		return END_CONNECT_TIMEOUT;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
		return END_NO_DESCRIPTORS;
	default:
		return END_CONNECT_FAILED;
	}
}

static void endpoint_uses(const struct view_endpoint *ep, bool one_more)
{
	if (ep && one_more)
		atomic_fetch_add_explicit(&ep->live->active, 1, memory_order_relaxed);
	else if (ep)
		atomic_fetch_sub_explicit(&ep->live->active, 1, memory_order_relaxed);
}

static void drop_socket(struct conn *c)
{
	secure_server_drop(c);
	if (c->server.fd >= 0) {
		loop_forget(c->worker->loop, &c->server);
		(void)close(c->server.fd); /* it is given up */
		c->server.fd = -1;
	}
	timer_cancel(c->worker->loop, &c->timer);
}

void dial_drop(struct conn *c)
{
	drop_socket(c);
	endpoint_uses(c->endpoint, false);
	c->endpoint = NULL;
	c->upstream = UPSTREAM_NONE;
}

void dial_start(struct conn *c)
{
	c->failure = END_NO_ENDPOINT;
	c->balance = (struct balance){0};
	const struct view_port *balanced = plan_balanced(&c->plan);
	if (!balanced)
		return;
	const struct mesh_config *mesh = view_mesh(c->record.view);
	balance_start(&c->balance, balanced, mesh->lb, ip_is_v4(&c->record.original_dst.ip),
		      worker_random(c->worker), clock_ns());
}

/* How to speak to the endpoint at TO; with one fixed destination that is settled. */
static void choose_transport(struct conn *c, const struct addr *to)
{
	if (c->plan.side == LIVE_OUTBOUND && (c->plan.port || c->plan.peer_workload))
		decide_transport(c->record.view, &c->plan, to, c->endpoint, NULL);
}

static bool wants_tls(const struct conn *c)
{
	return c->plan.side == LIVE_OUTBOUND && c->plan.tls.transport != TRANSPORT_PLAIN;
}

/* The next address to try; false: none is left. */
static bool next_address(struct conn *c, struct addr *to, const struct workload **workload)
{
	const struct view_port *balanced = plan_balanced(&c->plan);
	if (balanced) {
		c->endpoint = balance_next(&c->balance, balanced);
		if (!c->endpoint)
			return false;
		*to = c->endpoint->at;
		if (to->port == 0)
			to->port = c->plan.to.port;
		*workload = view_workload_by_ip(c->record.view, &to->ip);
		return true;
	}
	if (c->balance.next++ > 0)
		return false;
	*to = plan_app(&c->plan); /* outbound, where it was dialled to */
	*workload = c->plan.side == LIVE_OUTBOUND ? c->plan.peer_workload : NULL;
	return true;
}

static bool connect_to(struct conn *c, const struct addr *to)
{
	struct addr src = {.ip = sidecar_source(ip_is_v4(&to->ip))};
	struct err err = {0};
	c->server.fd = net_connect(to, c->plan.bind_app_source ? &src : NULL, &err);
	if (c->server.fd < 0) {
		c->failure = failure_of(err.sys);
		return false;
	}
	if (!loop_add(c->worker->loop, &c->server, CONN_EVENTS, &err)) {
		c->failure = END_NO_DESCRIPTORS; /* ENOMEM, or the user's limit of watches */
		(void)close(c->server.fd);       /* never used */
		c->server.fd = -1;
		return false;
	}
	c->upstream = UPSTREAM_CONNECTING;
	c->down.ready = c->down.to_end = false; /* what was told of a socket before */
	timer_set(c->worker->loop, &c->timer, c->plan.connect_timeout_ms * NS_PER_MS);
	return true;
}

enum dial_result dial_next(struct conn *c)
{
	struct conn_record *rec = &c->record;
	struct addr to;
	while (next_address(c, &to, &rec->upstream_workload)) {
		choose_transport(c, &to);
		if (wants_tls(c) && !secure_server_can(c)) {
			c->endpoint = NULL; /* not its fault; another one may want no TLS */
			continue;
		}
		rec->upstream = to;
		if (rec->attempts++ > 0)
			observe_count(c->worker->metrics, COUNT_RETRIES, 1);
		endpoint_uses(c->endpoint, true);
		if (connect_to(c, &to))
			return DIAL_UNDER_WAY;
		if (c->failure == END_NO_DESCRIPTORS) {
			rec->attempts--; /* nobody was asked */
			break; /* not the endpoint's fault, and the next one would fare no better */
		}
		if (c->endpoint)
			balance_refused(c->endpoint, clock_ns());
		dial_drop(c);
	}
	dial_drop(c);
	return DIAL_FAILED;
}

static enum dial_result try_another(struct conn *c, enum end_reason failure)
{
	c->failure = failure;
	if (c->endpoint)
		balance_refused(c->endpoint, clock_ns());
	dial_drop(c);
	return dial_next(c);
}

/* The same endpoint once more: it knows nothing of how TLS began. */
static enum dial_result begin_otherwise(struct conn *c)
{
	struct addr to = c->record.upstream;
	drop_socket(c);
	if (connect_to(c, &to))
		return DIAL_UNDER_WAY;
	if (c->failure != END_NO_DESCRIPTORS)
		return try_another(c, c->failure);
	dial_drop(c); /* as in dial_next(): not the endpoint's fault */
	return DIAL_FAILED;
}

static enum dial_result made(struct conn *c)
{
	timer_cancel(c->worker->loop, &c->timer);
	secure_server_made(c);
	c->upstream = UPSTREAM_OPEN;
	return DIAL_MADE;
}

static enum dial_result secured(struct conn *c, enum secure_result result)
{
	switch (result) {
	case SECURE_UNDER_WAY:
		return DIAL_UNDER_WAY;
	case SECURE_DONE:
		return made(c);
	case SECURE_OTHER:
		return begin_otherwise(c);
	case SECURE_FAILED:
		break;
	}
	return try_another(c, c->failure);
}

/* What became of the connect, 0: it was made. A server that refuses in words may reset right behind
 * them: where bytes stand, the reset is left for the relay to meet. (Asking for an error takes it away,
 * be it by SO_ERROR or by a receive.) */
static int error_of(const struct conn *c, uint32_t events)
{
	char byte;
	ssize_t n = events & EPOLLIN ? recv(c->server.fd, &byte, 1, MSG_PEEK) : -1;
	if (events & EPOLLIN && n >= 0)
		return 0;
	if (events & EPOLLIN && errno != EAGAIN)
		return errno;
	return net_connect_result(c->server.fd);
}

enum dial_result dial_event(struct conn *c, uint32_t events)
{
	if (c->upstream != UPSTREAM_CONNECTING)
		return secured(c, secure_server_event(c));
	if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		return DIAL_UNDER_WAY;
	if (events & (EPOLLERR | EPOLLHUP)) {
		int error = error_of(c, events);
		/* No error: made, and ended by both sides since. */
		if (error || !(events & EPOLLOUT))
			return try_another(c, failure_of(error ? error : ECONNRESET));
	}
	/* A socket that cannot be tuned still carries bytes. */
	(void)net_tune(c->server.fd, 0); /* keepalive: conn_sweep() */
	return wants_tls(c) ? secured(c, secure_server(c)) : made(c);
}

enum dial_result dial_timeout(struct conn *c)
{
	return try_another(c, END_CONNECT_TIMEOUT);
}
