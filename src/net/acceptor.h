/*
 * Listening sockets on a loop, for servers that are not the data plane: a bounded number of
 * connections in a turn, and a pause when descriptors or memory are out.
 *
 *   acceptor_init(&s->acceptor, loop, "ca", on_conn);
 *   if (!acceptor_add(&s->acceptor, fd, &err)) ...       // as many as there are
 *   static void on_conn(struct acceptor *a, int fd, const struct addr *from) ...   // FD is yours
 *   acceptor_close(&s->acceptor);                        // all of them; again is fine
 *
 * What is too many is for on_conn() to say: it has the server's counters. Belongs to the loop's
 * thread.
 */
#pragma once
#include "base/err.h"
#include "loop/loop.h"
#include "net/addr.h"

struct acceptor;
struct acceptor_socket;
/* From the loop. FROM: all zero for a Unix socket. Must not close A. */
typedef void acceptor_fn(struct acceptor *a, int fd, const struct addr *from);

struct acceptor {
	struct loop *loop;
	const char *name; /* of the server, in log lines; borrowed */
	acceptor_fn *on_conn;
	struct acceptor_socket *sockets;
};

void acceptor_init(struct acceptor *a, struct loop *loop, const char *name, acceptor_fn *on_conn);
/* FD is the acceptor's from here on, also after failure. */
bool acceptor_add(struct acceptor *a, int fd, struct err *err) MUST_CHECK;
void acceptor_close(struct acceptor *a);
