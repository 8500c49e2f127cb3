/*
 * Asks other servers what is not ours to know.
 *
 *   static const struct forward_events events = {on_answer};
 *   struct forwarder *f = forwarder_new(loop, servers, n_servers, &events, ctx);
 *   if (!forwarder_ask(f, message, &q, &client)) ...            // too many questions wait already
 *   ... on_answer(ctx, &client, &q, answer), once
 *   forwarder_free(f);                                          // what still waits hears nothing
 *
 * The message goes out byte for byte but for its ID. Each try has a new random ID and a socket of its own,
 * connected to the server: the kernel draws a random port and lets nobody else's datagrams in. What does
 * come there and is not the answer (ID, question) is counted and ignored (RFC 5452). Servers are asked in
 * random order; the next one when one fails, or says nothing for FORWARD_TRY_MS: the earlier ones may still
 * answer. What a server says is final, whatever it says. Over TCP what came over TCP. One thread.
 */
#pragma once
#include "dns/message.h"
#include "loop/loop.h"
#include "nameserver/server.h"

enum {
	FORWARD_TRY_MS = 1500,
	FORWARD_TRIES =
		3, /* then a last wait of as long: 4.5 s, before a client's usual 5 s are over */
	FORWARD_ASKING_MAX = 1024, /* questions that wait */
	FORWARD_SOCKETS_MAX = 1536,
};

struct forward_counts {
	uint64_t tries;    /* questions sent, each try by itself */
	uint64_t failures; /* of them: could not be sent, refused, silent */
	uint64_t ignored;  /* messages that were no answer to what was asked */
};

struct forward_events {
	/* ANSWER has the client's ID; empty: no server gave one. ASKED_NS: when it was asked. Not from
	 * within forwarder_ask(). */
	void (*on_answer)(void *ctx, const struct dns_client *to, const struct dns_query *q,
			  struct slice answer, uint64_t asked_ns);
};

struct forwarder;
struct forwarder *forwarder_new(struct loop *loop, const struct addr *servers, unsigned n_servers,
				const struct forward_events *events, void *ctx);
void forwarder_free(struct forwarder *f); /* NULL is fine */
/* MESSAGE is a query that dns_query_read() took Q from; both are copied. */
bool forwarder_ask(struct forwarder *f, struct slice message, const struct dns_query *q,
		   const struct dns_client *client) MUST_CHECK;
const struct forward_counts *forwarder_counts(const struct forwarder *f);
unsigned forwarder_n_asking(const struct forwarder *f);
