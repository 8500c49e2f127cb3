/*
 * A small HTTP/1.1 server on the loop, for admin endpoints and APIs; not the data plane.
 *
 *   struct rest_server *s = rest_server_new(loop, "admin", NULL);
 *   rest_route(s, "GET", "/ready", on_ready, app);          // exactly that path
 *   rest_route(s, NULL, "/api/...", on_api, app);           // any method; that path and below
 *   if (!rest_server_listen_fd(s, fd, &err)) ...            // TCP or Unix; now the server's
 *
 *   static void on_ready(void *ctx, const struct rest_request *req, struct rest_reply *reply)
 *   { rest_reply_full(reply, 200, "text/plain", SLICE("ok\n")); }
 *
 * A handler gets the whole request (bodies are bounded) and either answers before it returns, or
 * says rest_reply_on_gone() and answers later, or streams. REQ lives until the reply is finished
 * or the peer is gone. A reply is finished by rest_reply_full() or rest_stream_end() and must not
 * be touched after that, nor after its gone callback. Nothing here calls back before it returns:
 * gone and drained come from the loop.
 *
 * Requests on one connection are answered in order, one at a time. Everything runs on the loop's
 * thread.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "loop/loop.h"

struct rest_limits {          /* 0 anywhere: the default, given here */
	size_t head_bytes;    /* 32 KiB; longer: 431 */
	size_t body_bytes;    /* 3 MiB; longer: 413 */
	size_t backlog_bytes; /* 8 MiB; streamed output that waits for the peer; longer: cut off */
	unsigned connections; /* 1024; above that a new connection is closed at once */
	unsigned request_ms;  /* 10000; from a request's first byte to its last; longer: 408 */
	unsigned idle_ms;     /* 120000; between requests */
	unsigned
		write_ms; /* 30000; a peer that takes no byte of an answer for so long is cut off */
};

struct rest_server_stats {
	uint64_t connections, requests, refused /* over the cap */, bad_requests, timeouts, cut_off;
	unsigned open; /* connections now */
};

struct rest_request {
	struct slice method;
	struct slice path;   /* decoded (RFC 3986 2.1), without the query; a NUL stands behind it */
	struct slice target; /* as sent */
	struct slice query;  /* as sent, without the '?' */
	struct slice body;
	struct slice rest;  /* what `...` of the route stands for, decoded, without a leading '/' */
	bool from_loopback; /* over TCP, and the peer's address is a loopback one */
};

struct rest_server;
struct rest_reply;
typedef void rest_handler(void *ctx, const struct rest_request *req, struct rest_reply *reply);

/* NAME is what log lines call it. LIMITS (NULL: all defaults) and NAME are copied. */
struct rest_server *rest_server_new(struct loop *loop, const char *name,
				    const struct rest_limits *limits);
/* The server owns FD from here on, also after failure. Several listeners are fine. */
bool rest_server_listen_fd(struct rest_server *s, int fd, struct err *err) MUST_CHECK;
/* METHOD NULL: all of them; GET answers HEAD too. PATH is exact, or ends in a slash and three dots:
 * that path and all below it. Exact wins over prefix, long prefix over short, a named method over
 * NULL; a route put twice replaces the first. No route: 404; only for other methods: 405. */
void rest_route(struct rest_server *s, const char *method, const char *path, rest_handler *handler,
		void *ctx);
struct rest_server_stats rest_server_stats(const struct rest_server *s);
/* Takes no new connections, closes the idle ones, lets running replies finish; streams go on. */
void rest_server_drain(struct rest_server *s);
/* Closes everything now. Kept replies hear gone() before this returns. Fine inside a handler. */
void rest_server_free(struct rest_server *s);

/* Value of the first such header; .at is NULL when there is none. */
struct slice rest_header(const struct rest_request *req, const char *name);
/* Value of the first query parameter NAME, decoded, with a NUL behind it; .at is NULL when there is
 * none. `a` and `a=` both give an empty value. */
struct slice rest_query(const struct rest_request *req, const char *name);

/* Adds a header to what comes; before rest_reply_full() and rest_reply_begin_stream(). */
void rest_reply_header(struct rest_reply *reply, const char *name, struct slice value);
/* The whole answer; finishes REPLY. CONTENT_TYPE NULL: none. BODY is copied. */
void rest_reply_full(struct rest_reply *reply, unsigned status, const char *content_type,
		     struct slice body);
/* As rest_reply_full, text/plain with a line end. */
void rest_reply_text(struct rest_reply *reply, unsigned status, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* Starts an answer of unknown length: chunked, or until close for HTTP/1.0. */
void rest_reply_begin_stream(struct rest_reply *reply, unsigned status, const char *content_type);
/* BYTES are copied and leave at the end of this turn of the loop at the latest. False: the peer is
 * gone or fell behind too far; gone() is on its way. */
bool rest_stream_write(struct rest_reply *reply, struct slice bytes);
void rest_stream_end(struct rest_reply *reply); /* finishes REPLY */
/* Output that the peer has not taken. A producer that can wait stops at some bound of its own and
 * goes on at drained(). */
size_t rest_stream_backlog(const struct rest_reply *reply);
/* The peer closed, or was cut off, before REPLY was finished. REPLY and its request are valid until
 * GONE returns. Needed by every handler that returns with its reply unfinished. */
void rest_reply_on_gone(struct rest_reply *reply, void (*gone)(void *ctx, struct rest_reply *reply),
			void *ctx);
/* All that was written has gone to the kernel. */
void rest_reply_on_drained(struct rest_reply *reply,
			   void (*drained)(void *ctx, struct rest_reply *reply), void *ctx);
