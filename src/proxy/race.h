/*
 * The first-word race of one connection, on real sockets: peeks at both of them and feeds
 * detect/first_word, which decides. No byte is taken out of the kernel before the relay starts, so
 * none can be lost or sent twice.
 *
 *   race_start(c);                       // c is CONN_FIRST_WORD
 *   race_client(c, events); race_server(c, events);
 *
 * When the machine has decided, the connection moves on (conn_decided) or is closed, and
 * the race is freed. An early connection needs a place in the budgets; while there is none the race
 * listens to the client alone and stands in the worker's queue for the next place.
 */
#pragma once
#include "proxy/conn.h"

void race_start(struct conn *c);
void race_client(struct conn *c, uint32_t events);
void race_server(struct conn *c, uint32_t events);
void race_dial_timeout(struct conn *c); /* the early connection did not come in time */
/* The connection ends while racing, or the race has ended. Gives everything back. */
void race_drop(struct conn *c);
/* Early connections for those that wait for a place, as far as there are places. */
void race_retry(struct worker *w);
