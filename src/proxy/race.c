#include "proxy/race.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "decide/learn.h"
#include "net/sock.h"
#include "proxy/dial.h"
#include "proxy/worker.h"

struct race {
	struct conn *conn;
	struct first_word fw;
	struct timer timer;
	bool client_fin, server_fin; /* announced by the kernel; bytes may still stand before it */
	bool place;                  /* holds a place in the budgets */
	bool by_source;              /* counted there by the client's address too */
	bool waiting;                /* in the worker's queue for one */
	bool short_told;             /* counted as short of descriptors, once */
};

enum { RETRY_SCAN = 32 }; /* how far down the queue a freed place is offered */

static void feed(struct conn *c, enum fw_event event, struct slice bytes, bool fin);
static void look_into_tls(struct conn *c);

static bool racing(const struct conn *c)
{
	return c->state == CONN_FIRST_WORD && c->race;
}

/* By source only where sources differ, and not where the server is known to speak at once: such
 * an early connection holds its place for a round trip. */
static bool counts_by_source(const struct conn *c)
{
	return c->plan.fw.side == FW_INBOUND &&
	       learn_state(c->plan.live) != FW_LEARNED_SERVER_FIRST;
}

static const struct ip *budget_source(const struct conn *c)
{
	return c->race->by_source ? &c->record.client.ip : NULL;
}

static void give_place_back(struct conn *c)
{
	struct race *r = c->race;
	struct worker *w = c->worker;
	if (r->waiting)
		TAILQ_REMOVE(&w->early_queue, c, queue);
	if (r->place) {
		early_release(&w->early, budget_source(c), c->plan.live);
		worker_retry_due(w);
	}
	r->waiting = r->place = false;
}

void race_drop(struct conn *c)
{
	if (!c->race)
		return;
	give_place_back(c);
	timer_cancel(c->worker->loop, &c->race->timer);
	MEM_FREE(c->race);
}

/* There was a place and no descriptor: it is offered again, once a second at the latest. Not at
 * the end of this turn, which would ask for what is not there without a pause. */
static void wait_for_descriptor(struct conn *c)
{
	struct race *r = c->race;
	struct worker *w = c->worker;
	if (!r->short_told)
		observe_early(w->metrics, EARLY_NO_DESCRIPTORS);
	r->short_told = true;
	if (r->place)
		early_release(&w->early, budget_source(c), c->plan.live);
	r->place = c->record.early = false;
	TAILQ_INSERT_TAIL(&w->early_queue, c, queue);
	r->waiting = true;
}

static void dialled(struct conn *c, enum dial_result result)
{
	switch (result) {
	case DIAL_UNDER_WAY:
		return;
	case DIAL_MADE:
		feed(c, FW_UPSTREAM_OPEN, (struct slice){0}, false);
		if (racing(c) && c->server_tls)
			look_into_tls(c); /* its first bytes may have come with the handshake */
		return;
	case DIAL_FAILED:
		if (c->failure == END_NO_DESCRIPTORS) {
			wait_for_descriptor(c); /* and listens to the client alone meanwhile */
			return;
		}
		feed(c, FW_UPSTREAM_REFUSED, (struct slice){0}, false);
		return;
	}
}

/* An outbound port that declares what it speaks is dialled in any case: there the race only tells how a
 * rule's TLS begins. */
static bool is_dialled_anyway(const struct conn *c)
{
	return c->plan.side == LIVE_OUTBOUND && protocol_class(c->plan.protocol) != CLASS_AUTO;
}

/* False: there is none; C waits for one. */
static bool take_place(struct conn *c)
{
	struct race *r = c->race;
	struct worker *w = c->worker;
	if (is_dialled_anyway(c))
		return true;
	r->by_source = counts_by_source(c);
	if (!early_take(&w->early, view_mesh(c->record.view), budget_source(c), c->plan.live)) {
		if (!r->waiting) {
			observe_early(w->metrics, EARLY_NO_BUDGET);
			TAILQ_INSERT_TAIL(&w->early_queue, c, queue);
		}
		r->waiting = true;
		return false;
	}
	r->place = true;
	return true;
}

/* False: no place, or no descriptor; C waits for one. */
static bool open_early(struct conn *c)
{
	struct race *r = c->race;
	if (!take_place(c))
		return false;
	if (r->waiting)
		TAILQ_REMOVE(&c->worker->early_queue, c, queue);
	r->waiting = false;
	c->record.early = true;
	dial_start(c);
	dialled(c, dial_next(c));
	return !racing(c) || !c->race->waiting;
}

void race_retry(struct worker *w)
{
	struct conn *c = TAILQ_FIRST(&w->early_queue);
	for (unsigned missed = 0; c && missed < RETRY_SCAN;) {
		struct conn *next = TAILQ_NEXT(c, queue);
		if (!open_early(c))
			missed++;
		/* C may be closed now; NEXT is not: opening one connection ends no other. */
		c = next;
	}
}

static enum early_result early_result(const struct fw_answer *a)
{
	if (a->verdict == FW_REFUSED)
		return EARLY_REFUSED;
	return a->verdict == FW_CLOSE ? EARLY_DROPPED : EARLY_USED;
}

static void end_without_word(struct conn *c, const struct fw_answer *a)
{
	if (a->verdict == FW_REFUSED)
		conn_close(c, a->reason == FW_REASON_UPSTREAM_RESET ? END_SERVER_RESET : c->failure,
			   CLOSE_RESET);
	else if (a->reason == FW_REASON_CLIENT_RESET)
		conn_close(c, END_CLIENT_RESET, CLOSE_FIN);
	else
		conn_close(c, END_CLIENT_CLOSED, CLOSE_FIN);
}

static void decided(struct conn *c, const struct fw_answer *a, struct slice bytes)
{
	struct conn_record *rec = &c->record;
	rec->detect_ns = clock_ns() - rec->start_ns;
	rec->first = a->who;
	decide_first_word(&c->plan, a);
	observe_detected(c->worker->metrics, rec);
	if (c->race->place)
		observe_early(c->worker->metrics, early_result(a));
	race_drop(c);
	if (a->verdict == FW_REFUSED || a->verdict == FW_CLOSE)
		end_without_word(c, a);
	else
		conn_decided(c, a, bytes);
}

/* BYTES: the client's, where its event is what A answers. */
static void follow(struct conn *c, struct fw_answer a, struct slice bytes)
{
	struct race *r = c->race;
	if (a.what == FW_DECIDED) {
		decided(c, &a, bytes);
		return;
	}
	if (a.timer_us)
		timer_set(c->worker->loop, &r->timer, a.timer_us * NS_PER_US);
	else
		timer_cancel(c->worker->loop, &r->timer);
	if (a.what == FW_OPEN_UPSTREAM)
		(void)open_early(c); /* no place: it waits for one, and for the client */
}

static uint64_t since_accept_us(const struct conn *c)
{
	return (clock_ns() - c->record.start_ns) / NS_PER_US;
}

static void feed(struct conn *c, enum fw_event event, struct slice bytes, bool fin)
{
	struct fw_input in = {event, bytes, fin, since_accept_us(c)};
	follow(c, first_word_event(&c->race->fw, &in), bytes);
}

/* The server's words, where TLS hides them from the kernel. */
static void look_into_tls(struct conn *c)
{
	struct flow_end server = {c->server.fd, c->server_tls};
	struct slice bytes;
	switch (flow_read_ahead(&c->down, &server, GREET_ENOUGH + 1, &bytes)) {
	case FLOW_DRAINED:
	case FLOW_MORE:
		if (bytes.len)
			feed(c, FW_UPSTREAM_BYTES, bytes, false);
		return;
	case FLOW_FIN:
		feed(c, bytes.len ? FW_UPSTREAM_BYTES : FW_UPSTREAM_END, bytes, true);
		return;
	case FLOW_CUT:
	case FLOW_RESET:
	case FLOW_BAD_TLS:
		c->record.tls_why = tls_why(c->server_tls);
		/* Its last words still count; what came behind them is met again by the relay. */
		feed(c, bytes.len ? FW_UPSTREAM_BYTES : FW_UPSTREAM_RESET, bytes, bytes.len > 0);
		return;
	case FLOW_BLOCKED: /* none of these is the answer of a read */
	case FLOW_GONE:
	case FLOW_STOPPED:
		return;
	}
}

static void on_timer(struct timer *t)
{
	feed(CONTAINER_OF(t, struct race, timer)->conn, FW_TIMER, (struct slice){0}, false);
}

struct words {
	enum fw_event bytes, end, reset;
};

/* Tells the machine what stands in FD's receive queue: all of it up to MAX bytes, more than the
 * machine looks at. FIN: the kernel has announced the end. */
static void peek(struct conn *c, int fd, size_t max, bool fin, struct words say)
{
	char *scratch = c->worker->tools.scratch;
	ssize_t n = recv(fd, scratch, max, MSG_PEEK);
	if (n > 0)
		feed(c, say.bytes, (struct slice){scratch, (size_t)n}, fin && (size_t)n < max);
	else if (n == 0)
		feed(c, say.end, (struct slice){0}, true);
	else if (errno != EAGAIN && errno != EINTR)
		feed(c, say.reset, (struct slice){0}, false);
}

void race_client(struct conn *c, uint32_t events)
{
	static const struct words say = {FW_CLIENT_BYTES, FW_CLIENT_END, FW_CLIENT_RESET};
	if (events & (EPOLLRDHUP | EPOLLHUP))
		c->race->client_fin = true;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		peek(c, c->client.fd, CLASSIFY_MAX_PEEK + 1, c->race->client_fin, say);
	if (racing(c) && events & (EPOLLERR | EPOLLHUP))
		feed(c, FW_CLIENT_RESET, (struct slice){0}, false);
}

void race_server(struct conn *c, uint32_t events)
{
	static const struct words say = {FW_UPSTREAM_BYTES, FW_UPSTREAM_END, FW_UPSTREAM_RESET};
	if (c->upstream != UPSTREAM_OPEN) {
		dialled(c, dial_event(c, events));
		if (!racing(c) || c->upstream != UPSTREAM_OPEN)
			return;
	}
	if (c->server_tls) {
		look_into_tls(c);
		return;
	}
	if (events & (EPOLLRDHUP | EPOLLHUP))
		c->race->server_fin = true;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		peek(c, c->server.fd, GREET_ENOUGH + 1, c->race->server_fin, say);
	if (racing(c) && c->upstream == UPSTREAM_OPEN && events & (EPOLLERR | EPOLLHUP))
		feed(c, FW_UPSTREAM_RESET, (struct slice){0}, false);
}

void race_dial_timeout(struct conn *c)
{
	dialled(c, dial_timeout(c));
}

void race_start(struct conn *c)
{
	struct race *r = mem_new(sizeof(*r));
	r->conn = c;
	r->timer.fire = on_timer;
	c->race = r;
	if (c->plan.fw.tls_possible && c->plan.fw.source == FW_SOURCE_UNKNOWN)
		plan_set_rtt(&c->plan, net_rtt_us(c->client.fd));
	observe_detecting(c->worker->metrics, &c->record);
	follow(c, first_word_start(&r->fw, &c->plan.fw, since_accept_us(c)), (struct slice){0});
}
