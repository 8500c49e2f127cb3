/*
 * A worker: one thread, one loop, its own listeners, connections and counters.
 *
 *   struct worker *w = worker_new(&setup, i, &err);    // listeners open, nobody accepted yet
 *   worker_start(w, &err);                             // its thread runs
 *   worker_set_view(w, view);                          // by message; from the first one it accepts
 *   worker_stop(w);                                    // closes what still lives
 *   worker_free(w);
 *
 * The main thread talks to a worker only by messages to its loop. Workers share the view, live
 * cells and the table of sources, all of which are immutable or atomic.
 */
#pragma once
#include <pthread.h>

#include "observe/access_log.h"
#include "proxy/binds.h"
#include "proxy/conn.h"
#include "proxy/mesh_tls.h"
#include "proxy/origin_tls.h"
#include "proxy/race.h"
#include "proxy/sources.h"
#include "proxy/tickets.h"

enum {
	WORKER_LISTENERS = 4,
	WORKER_STACK = 256 * 1024,
	ACCEPTS_PER_TURN = 64,
};

struct names;

struct listen_row {
	enum listen_kind kind;
	struct addr on; /* :: takes both families */
};

/* What all workers of a process have in common; outlives them. */
struct worker_setup {
	struct listen_row rows[WORKER_LISTENERS];
	unsigned n_rows;
	struct addr fixed_to; /* of LISTEN_FIXED */
	bool fixed_detect;  /* LISTEN_FIXED: race for the first word instead of dialling at once */
	bool fixed_inbound; /* and that as an inbound connection whose source may speak TLS */
	bool fixed_tls_server, fixed_tls_client; /* LISTEN_FIXED: mesh TLS ends, or begins here */
	bool fixed_no_resumption;                /* each of those with a full handshake */
	struct live_port *fixed_live;            /* where that race learns; NULL: nowhere */
	struct metrics *metrics;
	struct tls_sources *tls_sources;
	struct names *names;           /* resolves for ServiceEntries; NULL: nobody does */
	const struct dns_heard *heard; /* what the DNS proxy said of addresses; NULL: it is off */
	const struct loop *main_loop;  /* that workers may post to; NULL: none */
	unsigned n_workers;
};

struct listener {
	struct io io;
	struct worker *worker;
	enum listen_kind kind;
	uint16_t port;
};

/* L's events are accepts of KIND. */
void worker_listener(struct worker *w, struct listener *l, enum listen_kind kind, int fd,
		     uint16_t port);

struct worker {
	const struct worker_setup *setup;
	unsigned index;
	struct loop *loop;
	pthread_t thread;
	bool started;
	struct view *view;    /* the newest */
	struct mesh_tls *tls; /* the newest; NULL: no certificate yet */
	struct worker_metrics *metrics;
	struct access_log *log;
	char *log_path;
	bool log_due;   /* lines wait for the end of the turn */
	bool log_waits; /* for its reader */
	struct deferred log_flush;

	struct listener listeners[WORKER_LISTENERS];
	unsigned n_listeners;
	struct binds binds;
	int reserve_fd; /* given up to accept and refuse when no other descriptor is left */
	bool accepting;

	struct relay_tools tools;
	struct ticket_table tickets; /* of servers */
	struct origin_cache origins;
	struct conn_list conns[N_CONN_STATES];
	unsigned n_handshakes; /* those in CONN_HANDSHAKE */
	struct conn_list turn; /* whose share of a turn was used up */
	struct deferred turn_end;
	bool turn_due;
	atomic_uint n_conns; /* written here, read anywhere */
	uint64_t next_id;
	uint32_t random;

	struct early_budget early;    /* sources.h */
	struct conn_list early_queue; /* those that wait for a place in it */
	struct deferred early_retry;
	bool retry_due;

	struct io tick; /* timerfd: once a second while there are connections. Not a
			   struct timer: that would put a timeout into every wait */
	bool ticking;
};

struct worker *worker_new(const struct worker_setup *setup, unsigned index,
			  struct err *err) MUST_CHECK;
bool worker_start(struct worker *w, struct err *err) MUST_CHECK;
void worker_set_view(struct worker *w, struct view *view); /* any thread; takes a reference */
/* Any thread; takes a reference. New connections use it, the others keep what they began with. */
void worker_set_tls(struct worker *w, struct mesh_tls *tls);
/* Ends the thread; connections that still live are closed with END_DRAINED. */
void worker_stop(struct worker *w);
void worker_free(struct worker *w); /* stopped; NULL is fine */
unsigned worker_n_conns(const struct worker *w);

/* For conn.c, on the worker's thread. */
void worker_conn_added(struct worker *w);
void worker_conn_gone(struct worker *w);
void worker_again(struct worker *w, struct conn *c); /* carry_turn(c) in the next turn */
void worker_log_due(struct worker *w);   /* a line was added: flush at the end of the turn */
void worker_retry_due(struct worker *w); /* race_retry() at the end of the turn */
uint32_t worker_random(struct worker *w);
