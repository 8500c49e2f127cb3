/*
 * Inside grpc only: the client's side of a connection that makes one call, as an engine: bytes in,
 * bytes out, then an answer. No socket, no clock.
 *
 *   struct client_session *s = client_session_new(&ask, &err);
 *   ok = client_session_feed(s, bytes, &err) && client_session_fill(s, out, &err);
 *   if (client_session_over(s)) client_session_answer(s, &answer);
 *   client_session_free(s);
 */
#pragma once
#include "base/buf.h"
#include "grpc/grpc.h"

struct client_session;
/* Copies what it needs of ASK. NULL: it is no call. */
struct client_session *client_session_new(const struct grpc_ask *ask, struct err *err) MUST_CHECK;
void client_session_free(struct client_session *s); /* NULL is fine */
/* All of BYTES is taken. False: the server broke HTTP/2. */
bool client_session_feed(struct client_session *s, struct slice bytes, struct err *err) MUST_CHECK;
/* Appends output to OUT, whose bound is GRPC_H2_OUT. */
bool client_session_fill(struct client_session *s, struct buf *out, struct err *err) MUST_CHECK;
/* The answer is whole, or none will come. To be asked after feed and after fill. */
bool client_session_over(const struct client_session *s);
/* Borrows from S. */
void client_session_answer(const struct client_session *s, struct grpc_answer *out);
/* A polite end: GOAWAY is what fill() gives next. */
void client_session_go_away(struct client_session *s);
