/*
 * Asks other servers what is not ours to know.
 *
 *   static const struct forward_events events = {on_answer};
 *   struct forwarder *f = forwarder_new(loop, &events, ctx);
 *   forwarder_set_servers(f, servers, n_servers);                   // again when they change
 *   if (!forwarder_ask(f, message, &q, &client)) ...                // too many questions wait already
 *   ... on_answer(ctx, &client, &q, &answer), once
 *   forwarder_free(f);                                              // what still waits hears nothing
 *
 * The message goes out byte for byte but for its ID. Each try has a new random ID and a socket of its own,
 * connected to the server: the kernel draws a random port and lets nobody else's datagrams in. What does
 * come there and is not the answer (ID, question) is counted and ignored (RFC 5452). Servers are asked in
 * random order; the next one when one fails, says that it will not or cannot (SERVFAIL, NOTIMP, REFUSED), or
 * says nothing for FORWARD_TRY_MS: the earlier ones may still answer. When all say no, the last no is the
 * answer. Over TCP what came over TCP, and once more what a server cut to fit a datagram. One thread.
 */
#pragma once
#include "dns/message.h"
#include "loop/loop.h"
#include "nameserver/server.h"

enum {
	FORWARD_TRY_MS = 1500,
	FORWARD_TRIES =
		3, /* then a last wait of as long: 4.5 s, before a client's usual 5 s are over */
	FORWARD_LIFE_MS = FORWARD_TRIES * FORWARD_TRY_MS, /* of a question */
	FORWARD_ASKING_MAX = 1024,                        /* questions that wait */
	FORWARD_SOCKETS_MAX = 1536,
	FORWARD_AGAIN_MAX = 64,  /* cut answers that are asked for again over TCP, at a time */
	FORWARD_KEPT_MAX = 4096, /* a longer no, or cut answer, is relayed at once */
};

struct forward_counts {
	uint64_t tries; /* questions sent, each try by itself */
	/* Of them: could not be sent, refused, met silence, or a no after which another was asked. */
	uint64_t failures;
	uint64_t ignored; /* messages that were no answer to what was asked */
	uint64_t again;   /* cut answers that were asked for again over TCP */
};

struct forward_answer {
	char *at;   /* with the client's ID; may be written to until on_answer() returns */
	size_t len; /* 0: no server gave one */
	/* What the server said by datagram, with TC, before it said AT over TCP. */
	struct slice cut;
	uint64_t asked_ns;
};

struct forward_events {
	/* Not from within forwarder_ask(). */
	void (*on_answer)(void *ctx, const struct dns_client *to, const struct dns_query *q,
			  const struct forward_answer *answer);
};

struct forwarder;
struct forwarder *forwarder_new(struct loop *loop, const struct forward_events *events, void *ctx);
/* Copied; for the tries that begin from now on. */
void forwarder_set_servers(struct forwarder *f, const struct addr *servers, unsigned n);
void forwarder_free(struct forwarder *f); /* NULL is fine */
/* MESSAGE is a query that dns_query_read() took Q from; both are copied. */
bool forwarder_ask(struct forwarder *f, struct slice message, const struct dns_query *q,
		   const struct dns_client *client) MUST_CHECK;
const struct forward_counts *forwarder_counts(const struct forwarder *f);
unsigned forwarder_n_asking(const struct forwarder *f);
