/*
 * Inside rest only: one connection of the server, from accept to close.
 *
 *   rest_conn_start(server, fd);                 // it lives on its own from here
 *   rest_conn_close(c);                          // now; gone() is told, memory goes at the turn's end
 *
 * States, in the order of a life: conn.c has the table. One timer and one deferred call per
 * connection; all output leaves from the deferred call or from EPOLLOUT, so that nothing calls back
 * into a handler's stack.
 */
#pragma once
#include <bsd/sys/queue.h>

#include "base/arena.h"
#include "base/buf.h"
#include "http1/body.h"
#include "http1/head.h"
#include "net/acceptor.h"
#include "rest/server.h"

enum { REST_MAX_FIELDS = 64 };

enum rest_conn_state {
	REST_CONN_IDLE,  /* between requests, nothing of the next one is here */
	REST_CONN_HEAD,  /* a request has begun */
	REST_CONN_BODY,  /* its head is whole */
	REST_CONN_REPLY, /* a handler has it */
	REST_CONN_FLUSH, /* answered; the answer is leaving */
	/* our side is shut; reads what is on its way, lest a reset destroys the answer */
	REST_CONN_LINGER,
	REST_CONN_CLOSED,
};

struct rest_reply {
	void (*gone)(void *ctx, struct rest_reply *reply);
	void *gone_ctx;
	void (*drained)(void *ctx, struct rest_reply *reply);
	void *drained_ctx;
	struct buf headers; /* added by the handler */
	bool streaming, chunked;
	bool no_body; /* HEAD, 204, 304 */
};

/* What a handler sees, and what rest_header() and rest_query() look into. */
struct request {
	struct rest_request req; /* first: handlers get a pointer to it */
	struct arena *arena; /* head, decoded path, decoded query values; until the next request */
	struct http1_head head;
	struct http1_field fields[REST_MAX_FIELDS];
	struct buf body;
};

struct rest_conn {
	struct rest_server *server;
	struct loop *loop;
	TAILQ_ENTRY(rest_conn) link;
	struct io io;
	struct timer timer;
	struct deferred end_of_turn; /* flushes; frees when CLOSED */
	bool queued;                 /* end_of_turn is */
	enum rest_conn_state state;
	uint32_t watched; /* events asked of the loop */
	bool half_closed; /* the peer has shut its side; bytes may still be unread */
	bool eof;         /* and none are */
	bool last;        /* close after this answer */
	bool from_loopback;
	bool too_slow; /* fell behind: to be cut off at the end of the turn */
	struct buf in, out;
	struct http1_body body;
	struct request request;
	struct rest_reply reply;
};

struct route {
	char *method; /* NULL: any */
	char *path;   /* without "/..." */
	bool prefix;
	rest_handler *handler;
	void *ctx;
};

struct rest_server {
	struct loop *loop;
	char *name;
	struct rest_limits limits;
	struct rest_server_stats stats;
	struct acceptor acceptor;
	struct route *routes;
	size_t n_routes;
	TAILQ_HEAD(, rest_conn) conns;
	bool draining;
	struct deferred end_of_turn;
};

void rest_conn_start(struct rest_server *s, int fd); /* owns FD */
void rest_conn_close(struct rest_conn *c);
void rest_conn_flush_later(struct rest_conn *c); /* at the end of this turn */

/* NULL: no such path, *KNOWN false; or only for other methods, *KNOWN true. */
const struct route *route_find(const struct rest_server *s, struct slice method, struct slice path,
			       struct slice *rest, bool *known);

/* Fills method, path, target, query of the request whose head is parsed. False: 400. */
bool request_target(struct request *r);
/* Decodes percent signs into ARENA (a '+' too when PLUS); .at NULL: malformed, or has a NUL. */
struct slice percent_decode(struct arena *arena, struct slice text, bool plus);
