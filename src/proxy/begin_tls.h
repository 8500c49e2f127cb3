/*
 * The words in clear around the beginning of TLS that a DestinationRule wants: PostgreSQL's question to its
 * server and the answer, a greeting that comes instead of a ServerHello, and the question of a client
 * that would like TLS of its own.
 *
 *   begin_choose(c);                       // connected: how does TLS begin? By the client's word
 *   switch (begin_ask(c)) ...              // TLS_ASKED: c->upstream is UPSTREAM_ASKED,
 *   switch (begin_answer(c)) ...           // and its socket has something
 *   if (!begin_heard(c, bytes)) ...        // UPSTREAM_HELLO, and the session reads for the first time
 *   switch (begin_clear(c)) ...            // the session has failed for that
 *
 *   if (!begin_client(c)) return;          // relaying, and c->pg_requests: nothing of the client's passes yet
 *
 * What does not lead to TLS says why in the record. secure.c calls all but the last, carry.c that one.
 */
#pragma once
#include "proxy/conn.h"

/* For GSSAPI and for TLS: no client asks for one of them twice, and a server takes that for an error. */
enum { BEGIN_REQUESTS = 2 };

enum begin_result {
	BEGIN_WAIT,  /* for the server's answer */
	BEGIN_TLS,   /* the ClientHello may go out */
	BEGIN_OTHER, /* it knows nothing of this beginning */
	BEGIN_FAILED,
};

void begin_choose(struct conn *c);
enum begin_result begin_ask(struct conn *c) MUST_CHECK;
enum begin_result begin_answer(struct conn *c) MUST_CHECK;
/* The first that a server says to a ClientHello: c->upstream is UPSTREAM_HANDSHAKE. False: UPSTREAM_CLEAR. */
bool begin_heard(struct conn *c, struct slice said) MUST_CHECK;
enum begin_result begin_clear(struct conn *c) MUST_CHECK; /* BEGIN_OTHER or BEGIN_FAILED */
/* PostgreSQL's client may ask for TLS or GSSAPI before it says who it is: it is told no, as by a server
 * that has neither. False: wait for more of its bytes. True: what comes now is the server's. */
bool begin_client(struct conn *c) MUST_CHECK;
