#include "proxy/carry.h"

#include "base/mem.h"
#include "decide/learn.h"
#include "net/sock.h"
#include "proxy/begin_tls.h"
#include "proxy/worker.h"

/* What was learnt. */

static void learn(struct conn *c, enum fw_teach teach)
{
	learn_teach(c->plan.live, teach, c->greeted);
}

void carry_learn(struct conn *c, const struct fw_answer *a)
{
	/* A greeting followed at once by a close would be a refusal: learnt when the client
	 * answers. */
	c->teach_greeting = a->teach == FW_TEACH_SERVER_FIRST;
	c->greeted = a->protocol;
	c->guessed =
		a->reason == FW_REASON_SERVER_WINDOW ||
		(a->verdict == FW_SERVER_FIRST && plan_has_step(&c->plan, STEP_SOURCE_BY_RULE));
	if (!c->teach_greeting)
		learn(c, a->teach);
}

/* The first bytes each way, looked at as they pass. */

static const char *client_protocol(const struct classify *word)
{
	switch (word->word) {
	case WORD_HTTP1:
		return word->http_minor == 0 ? "http/1.0" : "http/1.1";
	case WORD_HTTP2:
		return "http2";
	case WORD_TLS:
		return "tls";
	case WORD_MORE:
	case WORD_OPAQUE:
		return NULL;
	}
	return NULL;
}

/* What came out of mesh TLS: who speaks first in there says what the port is. */
static void learn_inside(struct conn *c, const struct classify *word)
{
	static const enum fw_teach teach[] = {
		[WORD_MORE] = FW_TEACH_NOTHING, [WORD_OPAQUE] = FW_TEACH_CLIENT_OPAQUE,
		[WORD_HTTP1] = FW_TEACH_HTTP,   [WORD_HTTP2] = FW_TEACH_HTTP,
		[WORD_TLS] = FW_TEACH_TLS,
	};
	c->teach_inside = false;
	learn(c, teach[word->word]);
}

static bool first_up(struct flow *f, struct slice bytes)
{
	struct conn *c = CONTAINER_OF(f, struct conn, up);
	struct conn_record *rec = &c->record;
	f->watch = NULL;
	struct classify word;
	(void)classify_client(bytes, &word); /* the word says it */
	/* A ClientHello begins with 0x16 also where it came in pieces. */
	bool hello = word.word == WORD_TLS || (word.word == WORD_MORE && bytes.at[0] == 0x16);
	if (c->guessed && hello)
		return false;
	if (c->teach_greeting)
		learn(c, FW_TEACH_SERVER_FIRST);
	else if (c->teach_inside)
		learn_inside(c, &word);
	if (rec->first == FW_NOBODY)
		rec->first = FW_CLIENT;
	if (rec->first == FW_CLIENT && !rec->protocol)
		rec->protocol = client_protocol(&word);
	return true;
}

static bool first_down(struct flow *f, struct slice bytes)
{
	struct conn *c = CONTAINER_OF(f, struct conn, down);
	struct conn_record *rec = &c->record;
	f->watch = NULL;
	rec->first_byte_ns = clock_ns();
	if (rec->first == FW_NOBODY)
		rec->first = FW_SERVER;
	if (rec->first == FW_SERVER && !rec->protocol) {
		struct greet g = greet_server(bytes);
		if (g.protocol != GREET_IS_UNKNOWN)
			rec->protocol = greet_name(g.protocol);
		if (c->teach_inside && g.kind == GREET_WORDS && !g.refusal) {
			c->teach_greeting = true; /* kept when the client answers */
			c->greeted = g.protocol;
		}
	}
	c->teach_inside = false;
	return true;
}

/* Relay. */

static enum side other_side(enum side side)
{
	return side == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT;
}

static enum side sender(const struct conn *c, const struct flow *f)
{
	return f == &c->up ? SIDE_CLIENT : SIDE_SERVER;
}

/* The peer at SIDE is gone by reset. The other peer hears the same, the client by RST; for the
 * server's socket conn_close() sees to it. */
static void reset_from(struct conn *c, enum side side)
{
	conn_close(c, side == SIDE_CLIENT ? END_CLIENT_RESET : END_SERVER_RESET, CLOSE_RESET);
}

static struct flow_end end_at(const struct conn *c, enum side side)
{
	return side == SIDE_CLIENT ? (struct flow_end){c->client.fd, c->client_tls}
				   : (struct flow_end){c->server.fd, c->server_tls};
}

/* The TLS of one side is broken: the record says how. */
static void tls_broken(struct conn *c)
{
	bool client = c->client_tls && tls_why(c->client_tls) != TLS_WHY_NONE;
	c->record.tls_why = tls_why(client ? c->client_tls : c->server_tls);
	conn_close(c, client ? END_DOWNSTREAM_TLS : END_UPSTREAM_TLS, CLOSE_RESET);
}

/* F has ended, and so much of that as its receiver can take now is passed on. */
static void pass_end(struct conn *c, struct flow *f)
{
	enum side from = sender(c, f);
	struct flow *other = conn_flow(c, other_side(from));
	struct flow_end to = end_at(c, other_side(from));
	enum flow_result r = FLOW_FIN;
	/* Where both have ended and nothing is unread on either side, close() sends the FIN. */
	if (other->state == FLOW_OPEN || to.tls)
		r = flow_pass_end(f, &to);
	if (r == FLOW_BAD_TLS) {
		tls_broken(c);
	} else if (r == FLOW_GONE) {
		reset_from(c, other_side(from));
	} else if (c->state == CONN_RELAY) {
		c->record.end = from == SIDE_CLIENT ? END_CLIENT_CLOSED : END_SERVER_CLOSED;
		conn_go(c, CONN_DRAIN);
	} else if (other->state == FLOW_ENDED && !f->closing && !other->closing) {
		conn_close(c, c->record.end, CLOSE_FIN);
	}
}

static void on_fin(struct conn *c, struct flow *f)
{
	const struct flow *other = conn_flow(c, other_side(sender(c, f)));
	if (other->state == FLOW_BROKEN) /* all that the peer had said before it went away is handed
					    on now */
		reset_from(c, sender(c, f));
	else
		pass_end(c, f);
}

static void pump(struct conn *c, struct flow *f);

/* F's receiver is gone. What it said before that still counts. */
static void on_gone(struct conn *c, struct flow *f)
{
	enum side from = sender(c, f);
	struct flow *other = conn_flow(c, other_side(from));
	if (other->state != FLOW_OPEN) {
		reset_from(c, other_side(from));
		return;
	}
	other->to_end = true;
	pump(c, other);
}

/* SIDE's peer ended without close_notify. Servers outside the mesh often do so once their client has
 * ended: that is a reset for whoever still reads, but no error. */
static void cut_from(struct conn *c, enum side side)
{
	bool habit = side == SIDE_SERVER && transport_is_own(c->plan.tls.transport) &&
		     c->state == CONN_DRAIN;
	conn_close(c, habit ? END_CLIENT_CLOSED : END_TLS_CUT, CLOSE_RESET);
}

static void pump(struct conn *c, struct flow *f)
{
	enum side side = sender(c, f);
	if (side == SIDE_CLIENT && c->pg_requests && !begin_client(c)) {
		if (c->down.state == FLOW_BROKEN)
			reset_from(c, side);
		return;
	}
	struct flow_end from = end_at(c, side), to = end_at(c, other_side(side));
	switch (flow_pump(f, &from, &to, &c->worker->tools)) {
	case FLOW_DRAINED:
		if (conn_flow(c, other_side(side))->state == FLOW_BROKEN)
			reset_from(c, side);
		return;
	case FLOW_BLOCKED:
		return;
	case FLOW_MORE:
		f->again = true;
		worker_again(c->worker, c);
		return;
	case FLOW_FIN:
		on_fin(c, f);
		return;
	case FLOW_RESET:
		reset_from(c, side);
		return;
	case FLOW_GONE:
		on_gone(c, f);
		return;
	case FLOW_CUT: /* of a peer that is gone, as was seen by writing to it: its reset has been told */
		if (conn_flow(c, other_side(side))->state == FLOW_BROKEN)
			reset_from(c, side);
		else
			cut_from(c, side);
		return;
	case FLOW_BAD_TLS:
		tls_broken(c);
		return;
	case FLOW_STOPPED:
		tls_sources_add(c->worker->setup->tls_sources, &c->record.client.ip);
		conn_close(c, END_WRONG_GUESS, CLOSE_RESET);
		return;
	}
}

static bool relaying(const struct conn *c)
{
	return c->state == CONN_RELAY || c->state == CONN_DRAIN;
}

void carry_event(struct conn *c, enum side side, uint32_t events)
{
	struct flow *in = conn_flow(c, side);
	struct flow *out = conn_flow(c, other_side(side));
	int fd = side == SIDE_CLIENT ? c->client.fd : c->server.fd;
	if (in->state == FLOW_OPEN && in->ready && !flow_blocked(in))
		pump(c, in);
	if (relaying(c) && events & EPOLLOUT && out->state == FLOW_OPEN && flow_blocked(out))
		pump(c, out);
	if (relaying(c) && events & EPOLLOUT && out->closing)
		pass_end(c, out);
	/* Nothing is read from an end that has sent FIN: its reset shows only here. */
	if (relaying(c) && events & EPOLLERR && in->state != FLOW_OPEN && net_connect_result(fd))
		reset_from(c, side);
}

void carry_turn(struct conn *c)
{
	struct flow *flows[] = {&c->up, &c->down};
	for (size_t i = 0; i < N_ELEMS(flows) && relaying(c); i++)
		if (flows[i]->again) {
			flows[i]->again = false;
			if (flows[i]->state == FLOW_OPEN)
				pump(c, flows[i]);
		}
}

void carry_end(struct conn *c)
{
	for (enum side side = SIDE_CLIENT; relaying(c) && side <= SIDE_SERVER; side++) {
		struct flow *in = conn_flow(c, other_side(side));
		struct flow_end to = end_at(c, side);
		if (to.tls && in->state == FLOW_OPEN && !flow_blocked(in))
			(void)flow_pass_end(in, &to); /* whoever does not take it sees the cut */
	}
}

/* What the server said while it was listened to by reading: it goes out before all that follows. */
static void start_down(struct conn *c)
{
	struct slice held = flow_held(&c->down);
	if (held.len)
		(void)first_down(&c->down, held); /* never stops */
	if (held.len || (c->down.ready && c->down.state == FLOW_OPEN && !flow_blocked(&c->down)))
		pump(c, &c->down);
}

void carry_start(struct conn *c)
{
	conn_go(c, CONN_RELAY);
	c->up.watch = first_up;
	c->down.watch = first_down;
	observe_bytes(c->worker->metrics, &c->record);
	if (c->up.ready)
		pump(c, &c->up);
	if (relaying(c))
		start_down(c);
}
