/*
 * What the files of the server share: server.c (sockets, UDP), server_tcp.c (connections). Not for other
 * rooms.
 */
#pragma once
#include <bsd/sys/queue.h>

#include "base/buf.h"
#include "nameserver/server.h"
#include "net/acceptor.h"

struct dns_socket { /* UDP */
	struct dns_server *server;
	struct io io;
	TAILQ_ENTRY(dns_socket) link;
};

struct dns_conn;
struct batch;

struct dns_server {
	struct loop *loop;
	const struct dns_server_events *events;
	void *ctx;
	TAILQ_HEAD(, dns_socket) sockets;
	struct batch *batch; /* made by the first question */

	struct acceptor acceptor;
	TAILQ_HEAD(, dns_conn) conns; /* the one that was silent longest first */
	unsigned n_conns;
	uint64_t next_conn;
	char *answer; /* DNS_MESSAGE_MAX bytes, made by the first connection */
};

acceptor_fn server_on_conn;
void server_tcp_reply(struct dns_server *s, uint64_t conn, struct slice answer);
void server_close_conns(struct dns_server *s);
