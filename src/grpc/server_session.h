/*
 * Inside grpc only: the server's side of one connection as an engine: bytes in, calls to handlers,
 * bytes out. No socket, no clock of ours.
 *
 *   struct server_session *s = server_session_new(&(struct server_session_config){...});
 *   ok = server_session_feed(s, bytes, &err) && server_session_fill(s, out, &err);
 *   if (server_session_over(s)) ...              // nothing more to read or write
 *   server_session_free(s);
 *
 * The life of a call: its head comes (CALL_HEAD), is judged, its message comes (CALL_BODY), the
 * handler answers (CALL_ANSWERED), the answer leaves, the stream closes and takes the call along.
 * What is wrong with a call is answered as soon as it is known, and its rest is dropped.
 *
 * Handlers run inside feed(); they may do anything but free the session.
 */
#pragma once
#include "base/buf.h"
#include "grpc/grpc.h"

struct grpc_method {
	char *name;
	grpc_handler *handler;
	void *ctx;
};

struct grpc_methods {
	struct grpc_method *rows;
	size_t n;
};

/* What all sessions of a server share. */
struct server_shared {
	struct grpc_methods methods;
	unsigned streams;
	size_t message_bytes;
	size_t held, held_max; /* bytes of requests that are not yet answered */
	uint64_t calls, errors;
};

struct server_session_config {
	struct server_shared *shared; /* outlives the session */
	const struct tls_peer *peer;  /* as above; may be NULL */
	struct addr from;
};

struct server_session;
struct server_session *server_session_new(const struct server_session_config *config);
void server_session_free(struct server_session *s); /* NULL is fine */
/* All of BYTES is taken. False: close the connection; what fill() gives may still be sent. */
bool server_session_feed(struct server_session *s, struct slice bytes, struct err *err) MUST_CHECK;
/* Appends output to OUT, whose bound is GRPC_H2_OUT. */
bool server_session_fill(struct server_session *s, struct buf *out, struct err *err) MUST_CHECK;
/* Says GOAWAY; calls that run are dropped. */
void server_session_go_away(struct server_session *s);
/* Everything is said: GOAWAY was sent, or was received and no call is left. */
bool server_session_over(struct server_session *s);
/* What broke, when it is over by the peer's fault; else NULL. Static. */
const char *server_session_fault(const struct server_session *s);
/* Moves on when the first call begins after none, and when one ends: from then on the connection
 * may take its time anew. Bytes alone don't move it, or a trickle would hold it for ever. */
uint64_t server_session_progress(const struct server_session *s);
unsigned server_session_calls(const struct server_session *s); /* that run */
