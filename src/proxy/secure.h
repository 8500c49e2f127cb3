/*
 * TLS on a connection's sides: the handshake with the client (inbound mesh TLS ends here) and the one
 * with the server (outbound, as the plan's transport says).
 *
 *   secure_client(c, what);          // INBOUND_TLS_TCP or _HTTP: c is CONN_HANDSHAKE from here on
 *   secure_client_event(c);          // its socket has something; ends in conn_dial() or conn_close()
 *   secure_client_timeout(c);
 *
 *   if (!secure_server_can(c)) ...   // before it is dialled; dial.c
 *   switch (secure_server(c)) ...    // the TCP connection is made
 *   switch (secure_server_event(c)) ...
 *
 * The client's peer is known and authorized before anything is dialled for it. The server's is verified
 * against the plan: the endpoint's own identity, or what a DestinationRule says. A handshake that fails
 * has its reason in the record. Unfinished handshakes of a worker are bounded: past the bound the oldest
 * one gives way.
 */
#pragma once
#include "proxy/conn.h"

enum { HANDSHAKES_MAX = 2048 }; /* unfinished ones of a worker's clients; some 45 KiB each */

enum secure_result {
	SECURE_UNDER_WAY,
	SECURE_DONE,
	SECURE_OTHER, /* the server knows nothing of this beginning: connect anew, plan.tls has the other */
	SECURE_FAILED, /* c->failure and the record say why */
};

void secure_client(struct conn *c, enum inbound_do what);
void secure_client_event(struct conn *c);
void secure_client_timeout(struct conn *c);

/* What the plan's TLS needs is there. Else c->failure and the record say what is not. */
bool secure_server_can(struct conn *c) MUST_CHECK;
enum secure_result secure_server(struct conn *c) MUST_CHECK;
enum secure_result secure_server_event(struct conn *c) MUST_CHECK;
/* For begin_tls.c: there will be no TLS. TEXT: what the operator reads instead of WHY's words, or NULL. */
void secure_server_why(struct conn *c, enum tls_why why, const char *text);
/* The server is connected, in TLS or not: why others before it were not is no news. */
void secure_server_made(struct conn *c);
/* The session and what belongs to it; the record keeps nothing of it. */
void secure_server_drop(struct conn *c);
void secure_client_drop(struct conn *c);
