#include "proxy/conn.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "decide/learn.h"
#include "net/sock.h"
#include "proxy/carry.h"
#include "proxy/dial.h"
#include "proxy/fixed.h"
#include "proxy/named.h"
#include "proxy/names.h"
#include "proxy/race.h"
#include "proxy/secure.h"
#include "proxy/worker.h"

enum { REPORT_S = 5 }; /* how often a living connection's bytes are told to the metrics */

_Static_assert(sizeof(struct conn) <= 928, "an idle connection has to cost less than 1 KiB");

#define TO(s) (1u << CONN_##s)
static const struct {
	const char *name;
	unsigned next; /* states that may follow, as a bit set */
} states[N_CONN_STATES] = {
	[CONN_ACCEPTED] = {"accepted", TO(NAMES) | TO(FIRST_WORD) | TO(DIAL) | TO(CLOSED)},
	[CONN_NAMES] = {"names", TO(FIRST_WORD) | TO(DIAL) | TO(CLOSED)},
	[CONN_FIRST_WORD] = {"first-word",
			     TO(NAMES) | TO(HANDSHAKE) | TO(DIAL) | TO(RELAY) | TO(CLOSED)},
	[CONN_HANDSHAKE] = {"handshake", TO(DIAL) | TO(RELAY) | TO(CLOSED)},
	[CONN_DIAL] = {"dial", TO(RELAY) | TO(CLOSED)},
	[CONN_RELAY] = {"relay", TO(DRAIN) | TO(CLOSED)},
	[CONN_DRAIN] = {"drain", TO(CLOSED)},
	[CONN_CLOSED] = {"closed", 0},
};

const char *conn_state_name(enum conn_state s)
{
	return states[s].name;
}

/* The only place that writes c->state. */
void conn_go(struct conn *c, enum conn_state to)
{
	MUST(states[c->state].next & (1u << to));
	log_debug("proxy", "id=%llu %s -> %s", (unsigned long long)c->record.id,
		  states[c->state].name, states[to].name);
	TAILQ_REMOVE(&c->worker->conns[c->state], c, link);
	TAILQ_INSERT_TAIL(&c->worker->conns[to], c, link);
	if (to == CONN_HANDSHAKE)
		c->worker->n_handshakes++;
	else if (c->state == CONN_HANDSHAKE)
		c->worker->n_handshakes--;
	c->state = to;
}

/* Dial. */

static void dialled(struct conn *c, enum dial_result result)
{
	switch (result) {
	case DIAL_UNDER_WAY:
		return;
	case DIAL_MADE:
		carry_start(c);
		return;
	case DIAL_FAILED:
		conn_close(c, c->failure, CLOSE_RESET);
		return;
	}
}

void conn_dial(struct conn *c)
{
	switch (c->upstream) {
	case UPSTREAM_OPEN:
		carry_start(c);
		return;
	case UPSTREAM_CONNECTING:
	case UPSTREAM_ASKED:
	case UPSTREAM_HELLO:
	case UPSTREAM_CLEAR:
	case UPSTREAM_HANDSHAKE:
		conn_go(c, CONN_DIAL);
		return;
	case UPSTREAM_NONE:
		conn_go(c, CONN_DIAL);
		dial_start(c);
		dialled(c, dial_next(c));
		return;
	}
}

static void dial_event_of(struct conn *c, enum side side, uint32_t events)
{
	if (side == SIDE_SERVER)
		dialled(c, dial_event(c, events));
	else if (events & (EPOLLERR | EPOLLHUP))
		conn_close(c, END_CLIENT_RESET, CLOSE_FIN);
	/* The client's bytes and its FIN wait in the kernel until the relay starts. */
}

/* The race is over. */

/* Inbound: who may come in with such a first word, and how. */
static void inbound_decided(struct conn *c, const struct fw_answer *a, struct slice client_bytes)
{
	struct classify hello = {0};
	if (client_bytes.len && (a->verdict == FW_TLS || a->verdict == FW_HTTP1))
		(void)classify_client(client_bytes, &hello); /* the verdict says it */
	struct inbound_word word = inbound_word_of(a, &hello);
	enum inbound_do what = decide_inbound_word(c->record.view, &c->plan, &word);
	switch (what) {
	case INBOUND_TLS_TCP:
	case INBOUND_TLS_HTTP:
		c->teach_inside = true;
		secure_client(c, what);
		return;
	case INBOUND_PASS_TLS:
	case INBOUND_TCP:
	case INBOUND_HTTP:
		carry_learn(c, a);
		conn_dial(c);
		return;
	case INBOUND_LISTEN:
		MUST(!"the answer to a word that has decided");
		return;
	case INBOUND_REFUSE:
		if (a->reason == FW_REASON_CLIENT_ENDED)
			conn_close(c, END_CLIENT_CLOSED, CLOSE_FIN);
		else
			conn_close(c, end_of_refusal(&c->plan), CLOSE_RESET);
		return;
	case N_INBOUND_DOS:
		return;
	}
}

/* What a connection to a host of ServiceEntries needs is resolved, and stays fresh while it is used. */
static void ask_for_names(struct conn *c)
{
	const struct view_service *s = c->plan.host;
	if (s && s->entry->live && c->plan.action != PLAN_REFUSE)
		names_ask(c->worker->setup->names, (struct view *)c->record.view, s,
			  plan_means_host(&c->plan), clock_ns());
}

static void wait_for_names(struct conn *c)
{
	conn_go(c, CONN_NAMES);
	timer_set(c->worker->loop, &c->timer, c->plan.connect_timeout_ms * NS_PER_MS);
}

/* Outbound, where a name tells whose the connection is. False: it is not to be dialled (now). */
static bool outbound_named(struct conn *c, const struct fw_answer *a, struct slice client_bytes)
{
	named_word(c, a, client_bytes);
	switch (c->plan.action) {
	case PLAN_RELAY:
		ask_for_names(c);
		return true;
	case PLAN_WAIT: /* no byte has been taken: conn_view_came() goes on with the same word */
		ask_for_names(c);
		wait_for_names(c);
		return false;
	case PLAN_REFUSE:
		if (a->reason == FW_REASON_CLIENT_ENDED)
			conn_close(c, END_CLIENT_CLOSED, CLOSE_FIN);
		else
			conn_close(c, end_of_refusal(&c->plan), CLOSE_RESET);
		return false;
	case PLAN_DETECT:
	case N_PLAN_ACTIONS:
		break;
	}
	MUST(!"a word decides");
	return false;
}

void conn_decided(struct conn *c, const struct fw_answer *a, struct slice client_bytes)
{
	if (c->plan.side == LIVE_INBOUND) {
		timer_cancel(c->worker->loop, &c->peer_timer);
		inbound_decided(c, a, client_bytes);
		return;
	}
	if (c->plan.open && !outbound_named(c, a, client_bytes))
		return;
	carry_learn(c, a);
	conn_dial(c);
}

/* The client has not authenticated in time. */
static void on_peer_timeout(struct timer *t)
{
	struct conn *c = CONTAINER_OF(t, struct conn, peer_timer);
	if (c->state == CONN_HANDSHAKE) {
		secure_client_timeout(c);
		return;
	}
	struct inbound_word nothing = {.first = INBOUND_SILENT, .too_late = true};
	if (decide_inbound_word(c->record.view, &c->plan, &nothing) == INBOUND_REFUSE)
		conn_close(c, end_of_refusal(&c->plan), CLOSE_RESET);
}

/* Events: one function, whatever the state. */

/* An early connection goes on while the client authenticates. One that fails is tried anew by
 * conn_dial(), which then has somebody to tell. */
static void early_goes_on(const struct conn *c, enum dial_result result)
{
	MUST(result != DIAL_FAILED || c->upstream == UPSTREAM_NONE);
}

static void handshake_event(struct conn *c, enum side side, uint32_t events)
{
	if (side == SIDE_CLIENT)
		secure_client_event(c);
	else if (c->upstream == UPSTREAM_CONNECTING)
		early_goes_on(c, dial_event(c, events));
}

static void conn_event(struct conn *c, enum side side, uint32_t events)
{
	struct flow *in = conn_flow(c, side);
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI))
		in->to_end = in->ready = true;
	else if (events & EPOLLIN)
		in->ready = true;
	switch (c->state) {
	case CONN_NAMES:
		/* Its bytes and its FIN wait in the kernel. */
		if (events & (EPOLLERR | EPOLLHUP))
			conn_close(c, END_CLIENT_RESET, CLOSE_FIN);
		return;
	case CONN_FIRST_WORD:
		if (side == SIDE_CLIENT)
			race_client(c, events);
		else
			race_server(c, events);
		return;
	case CONN_HANDSHAKE:
		handshake_event(c, side, events);
		return;
	case CONN_DIAL:
		dial_event_of(c, side, events);
		return;
	case CONN_RELAY:
	case CONN_DRAIN:
		carry_event(c, side, events);
		return;
	case CONN_ACCEPTED:
	case CONN_CLOSED:
	case N_CONN_STATES:
		return; /* its sockets are not watched yet, or no more */
	}
}

static void on_client(struct io *io, uint32_t events)
{
	conn_event(CONTAINER_OF(io, struct conn, client), SIDE_CLIENT, events);
}

static void on_server(struct io *io, uint32_t events)
{
	conn_event(CONTAINER_OF(io, struct conn, server), SIDE_SERVER, events);
}

static void on_connect_timeout(struct timer *t)
{
	struct conn *c = CONTAINER_OF(t, struct conn, timer);
	if (c->state == CONN_NAMES)
		conn_close(c, END_NOT_RESOLVED, CLOSE_RESET);
	else if (c->state == CONN_FIRST_WORD)
		race_dial_timeout(c);
	else if (c->state == CONN_HANDSHAKE)
		early_goes_on(c, dial_timeout(c));
	else
		dialled(c, dial_timeout(c));
}

static void free_conn(struct deferred *d);

/* The beginning. */

static void make_plan(struct conn *c, enum listen_kind kind)
{
	const struct conn_record *rec = &c->record;
	switch (kind) {
	case LISTEN_BOUND:
	case LISTEN_OUTBOUND:
		named_plan(c, kind == LISTEN_BOUND);
		return;
	case LISTEN_INBOUND: {
		struct tls_sources *t = c->worker->setup->tls_sources;
		struct inbound_facts facts = {.src = rec->client,
					      .dst = rec->original_dst,
					      .source_speaks_tls =
						      tls_sources_has(t, &rec->client.ip)};
		decide_inbound(c->record.view, &facts, &c->plan);
		return;
	}
	case LISTEN_FIXED:
		plan_fixed(c);
		return;
	}
}

/* What a server may contradict: nobody listens to both ends there, so the bytes teach as they pass. */
static bool declares_client_first(const struct plan *p)
{
	return p->side == LIVE_OUTBOUND && p->live &&
	       (protocol_class(p->protocol) == CLASS_HTTP || p->protocol == PROTO_TLS ||
		p->protocol == PROTO_HTTPS);
}

static void follow_plan(struct conn *c)
{
	ask_for_names(c);
	switch (c->plan.action) {
	case PLAN_RELAY:
		c->teach_inside = declares_client_first(&c->plan);
		conn_dial(c);
		return;
	case PLAN_DETECT:
		if (c->plan.side == LIVE_INBOUND && c->plan.guard.peer_timeout_ms)
			timer_set(c->worker->loop, &c->peer_timer,
				  c->plan.guard.peer_timeout_ms * NS_PER_MS);
		conn_go(c, CONN_FIRST_WORD);
		race_start(c);
		return;
	case PLAN_WAIT:
		wait_for_names(c);
		return;
	case PLAN_REFUSE:
		conn_close(c, end_of_refusal(&c->plan), CLOSE_RESET);
		return;
	case N_PLAN_ACTIONS:
		return;
	}
}

void conn_view_came(struct conn *c)
{
	struct err err = {0};
	/* Which listener took it is not kept, but the old plan shows. */
	bool bound = plan_has_step(&c->plan, STEP_EGRESS_LISTENER);
	view_put((struct view *)c->record.view); /* nothing of it is in use but the old plan */
	c->record.view = view_get(c->worker->view);
	if (c->plan.open)
		named_again(c);
	else
		make_plan(c, bound ? LISTEN_BOUND : LISTEN_OUTBOUND);
	if (c->plan.action == PLAN_WAIT) {
		ask_for_names(c);
		return;
	}
	timer_cancel(c->worker->loop, &c->timer);
	/* What the client has said meanwhile is told once more, now that somebody listens. */
	if (!loop_mod(c->worker->loop, &c->client, CONN_EVENTS, &err)) {
		log_warn("proxy", "client: %s", err.text);
		conn_close(c, END_NO_DESCRIPTORS, CLOSE_RESET);
		return;
	}
	follow_plan(c);
}

static void begin(struct conn *c)
{
	struct err err = {0};
	if (c->plan.action != PLAN_REFUSE &&
	    !loop_add(c->worker->loop, &c->client, CONN_EVENTS, &err)) {
		log_warn("proxy", "client: %s", err.text);
		conn_close(c, END_NO_DESCRIPTORS, CLOSE_RESET);
		return;
	}
	follow_plan(c);
}

static struct addr original_dst(const struct worker *w, enum listen_kind kind, int fd)
{
	struct addr dst = {0};
	if (kind == LISTEN_FIXED)
		return w->setup->fixed_to;
	/* Not redirected to us: it was dialled right here, which decide/ refuses by the port. */
	if (!net_original_dst(fd, &dst) && !net_local_addr(fd, &dst))
		log_warn("proxy", "no original destination");
	return dst;
}

void conn_accept(struct worker *w, enum listen_kind kind, int fd, const struct addr *peer)
{
	struct conn *c = mem_new(sizeof(*c));
	c->worker = w;
	c->client = (struct io){fd, on_client};
	c->server = (struct io){-1, on_server};
	c->timer.fire = on_connect_timeout;
	c->peer_timer.fire = on_peer_timeout;
	c->record = (struct conn_record){
		.id = ++w->next_id * w->setup->n_workers + w->index,
		.start_ns = clock_ns(),
		.client = *peer,
		.original_dst = original_dst(w, kind, fd),
		.view = view_get(w->view),
		.plan = &c->plan,
	};
	TAILQ_INSERT_TAIL(&w->conns[CONN_ACCEPTED], c, link);
	worker_conn_added(w);
	make_plan(c, kind);
	observe_opened(w->metrics, &c->record);
	begin(c);
}

/* While it lives. */

struct conn_record *conn_record(struct conn *c)
{
	c->record.up_bytes = c->up.bytes;
	c->record.down_bytes = c->down.bytes;
	return &c->record;
}

void conn_sweep(struct conn *c)
{
	uint64_t bytes = c->up.bytes + c->down.bytes;
	if (!c->kept_alive && c->upstream == UPSTREAM_OPEN) {
		/* Not while dialling: most connections do not live long enough to need it. */
		c->kept_alive = true;
		(void)net_keepalive(c->server.fd,
				    view_mesh(c->record.view)->keepalive_s); /* a help */
	}
	bool quiet = bytes == c->swept_bytes;
	c->swept_bytes = bytes;
	c->quiet_s = quiet ? c->quiet_s + 1 : 0;
	if (c->plan.idle_timeout_s && c->quiet_s >= c->plan.idle_timeout_s) {
		carry_end(c);
		conn_close(c, END_IDLE_TIMEOUT, CLOSE_FIN);
		return;
	}
	if (++c->report_s < REPORT_S)
		return;
	c->report_s = 0;
	struct conn_record *rec = conn_record(c);
	if (rec->up_bytes != rec->up_reported || rec->down_bytes != rec->down_reported)
		observe_bytes(c->worker->metrics, rec);
}

/* The end. */

static void free_conn(struct deferred *d)
{
	struct conn *c = CONTAINER_OF(d, struct conn, free);
	TAILQ_REMOVE(&c->worker->conns[CONN_CLOSED], c, link);
	view_put((struct view *)c->record.view);
	free(c->record.tls_problem);
	free(c->said);
	free(c);
}

/* How each socket is to go. Failure to set it only makes a reset look like an end. */
static void choose_end(struct conn *c, enum end_reason why, enum conn_close with)
{
	if (with == CLOSE_RESET)
		(void)net_reset_on_close(c->client.fd);
	if ((with == CLOSE_RESET || why == END_CLIENT_RESET) && c->server.fd >= 0)
		(void)net_reset_on_close(c->server.fd);
}

void conn_close(struct conn *c, enum end_reason why, enum conn_close with)
{
	struct worker *w = c->worker;
	race_drop(c);
	choose_end(c, why, with);
	conn_record(c)->end = why;
	observe_closed(w->metrics, &c->record, w->log); /* it names what the sessions know */
	worker_log_due(w);
	timer_cancel(w->loop, &c->peer_timer);
	dial_drop(c);
	secure_client_drop(c);
	flow_fini(&c->up, &w->tools);
	flow_fini(&c->down, &w->tools);
	if (c->in_turn)
		TAILQ_REMOVE(&w->turn, c, queue);
	loop_forget(w->loop, &c->client);
	(void)close(c->client.fd); /* all that was to be said has been said */
	c->client.fd = -1;
	conn_go(c, CONN_CLOSED);
	worker_conn_gone(w);
	c->free.run = free_conn;
	loop_defer(w->loop, &c->free);
}
