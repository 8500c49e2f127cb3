/*
 * One connection's life: accepted, planned, perhaps raced for its first word, dialled, relayed,
 * ended.
 *
 *   conn_accept(worker, LISTEN_OUTBOUND, fd, &peer);     // everything else comes by events
 *
 *   accepted -> names -> first-word -> handshake -> dial -> relay -> drain -> closed
 *
 * One enum says where it is, one table what may follow, one function writes it (conn_go). A state
 * is also the worker's list that the connection is on. Every end has a reason (END_ in
 * observe/record.h), and there is one way out (conn_close). conn.c reads in the order of a life;
 * the race has its own file (race.c), so have TLS with either side (secure.c), dialling (dial.c)
 * and carrying the bytes both ways (carry.c).
 *
 * A connection belongs to its worker and keeps the view that it began with. It owns no buffer
 * while it is idle.
 */
#pragma once
#include <bsd/sys/queue.h>

#include "loop/loop.h"
#include "observe/metrics.h"
#include "proxy/balance.h"
#include "proxy/relay.h"

struct worker;
struct race;
struct mesh_tls;
struct ticket_cell;

enum conn_state {
	CONN_ACCEPTED, /* within the turn that took it from the listener */
	CONN_NAMES, /* a ServiceEntry's names are being resolved: planned again with a newer view. After
		       the first word where that says which ServiceEntry */
	CONN_FIRST_WORD, /* who will speak first? race.h */
	CONN_HANDSHAKE,  /* mesh TLS with the client; nothing is dialled before its peer is known */
	CONN_DIAL,       /* to the server; the client's bytes wait in the kernel */
	CONN_RELAY,      /* bytes flow both ways */
	CONN_DRAIN,      /* one end has finished, the other one still talks */
	CONN_CLOSED,
	N_CONN_STATES,
};

enum listen_kind {
	LISTEN_OUTBOUND, /* what the app dials, redirected to us */
	LISTEN_BOUND,    /* what the app dials, at a socket of ours for a host */
	LISTEN_INBOUND,  /* what others dial here, redirected to us */
	LISTEN_FIXED,    /* no capture: everything goes to one address */
};

enum side { SIDE_CLIENT, SIDE_SERVER };

/* Each socket is registered once for all of its life. */
#define CONN_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)

enum upstream_state {
	UPSTREAM_NONE,
	UPSTREAM_CONNECTING,
	UPSTREAM_ASKED,     /* connected; PostgreSQL's SSLRequest has to be answered */
	UPSTREAM_HELLO,     /* connected; a rule's TLS, and the server has not said a word of it */
	UPSTREAM_CLEAR,     /* connected; what it said instead is plaintext: c->greeted */
	UPSTREAM_HANDSHAKE, /* connected; TLS is being agreed on */
	UPSTREAM_OPEN,
};

struct conn {
	enum conn_state state;
	enum upstream_state upstream; /* of the socket towards the server */
	struct worker *worker;
	TAILQ_ENTRY(conn) link; /* in the worker's list of this state */
	union {
		TAILQ_ENTRY(conn)
		queue;                /* for a place in the early budget (CONN_FIRST_WORD), or
					    for the next turn (CONN_RELAY, CONN_DRAIN) */
		struct deferred free; /* CONN_CLOSED */
	};
	bool in_turn;
	bool kept_alive;     /* keepalive is set on the server's socket */
	bool teach_greeting; /* the server greeted; learnt when the client answers */
	bool guessed;        /* the greeting went out on a guess: a ClientHello now refutes it */
	uint8_t pg_requests; /* relaying: how often PostgreSQL's client may still ask for encryption */
	bool teach_inside; /* the first bytes teach as they pass: what was inside mesh TLS, or
				declared to be HTTP or TLS */
	enum greet_protocol greeted;         /* what the server said: with TEACH_GREETING, or
						UPSTREAM_CLEAR */
	struct io client, server;            /* fd -1: none */
	struct flow up, down;                /* client -> server, server -> client */
	struct timer timer;                  /* until the connect has to be done, TLS included */
	struct timer peer_timer;             /* until the client has to have authenticated */
	struct tls *client_tls, *server_tls; /* NULL: plaintext */
	struct mesh_tls *mesh_tls;           /* of CLIENT_TLS; a reference */
	struct ticket_cell *tickets;         /* of SERVER_TLS; NULL: none */
	uint32_t quiet_s;                    /* seconds without a byte, counted by the sweep */
	uint32_t report_s;                   /* seconds since the metrics were told */
	uint64_t swept_bytes;                /* up and down at the last sweep */
	char *said;                          /* what plan.said borrows; NULL: nothing */
	struct race *race;                   /* while CONN_FIRST_WORD */

	struct balance balance;               /* which endpoints were tried */
	const struct view_endpoint *endpoint; /* the one dialled; NULL: not an endpoint's address */
	enum end_reason failure;              /* why dialling failed */

	struct plan plan;
	struct conn_record record; /* holds one reference to its view */
};

TAILQ_HEAD(conn_list, conn);

/* What SIDE sends. */
static inline struct flow *conn_flow(struct conn *c, enum side side)
{
	return side == SIDE_CLIENT ? &c->up : &c->down;
}

/* FD is the connection's from here on, whatever happens. */
void conn_accept(struct worker *w, enum listen_kind kind, int fd, const struct addr *peer);
/* Closes both sides; the client hears RST where WITH says so, else FIN. C is freed at the end of
 * the turn and must not be used by the caller after that. */
enum conn_close { CLOSE_FIN, CLOSE_RESET };
void conn_close(struct conn *c, enum end_reason why, enum conn_close with);
/* There is a newer view; C is CONN_NAMES. */
void conn_view_came(struct conn *c);
/* Once per second: idle timeout, and metrics of long connections. */
void conn_sweep(struct conn *c);
/* The record with the byte counters of this moment. */
struct conn_record *conn_record(struct conn *c);
const char *conn_state_name(enum conn_state s);

/* For race.c: what follows once it is known what the connection is. */
void conn_dial(struct conn *c); /* connects, unless it is under way or done already */
/* For race.c and conn.c: the race is over, as C's plan says now (inbound: who may come in, and how). */
void conn_decided(struct conn *c, const struct fw_answer *a, struct slice client_bytes);
void conn_go(struct conn *c, enum conn_state to);
