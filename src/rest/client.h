/*
 * A small HTTP/1.1 client: on the loop, or blocking for the command line.
 *
 *   struct rest_client *c = rest_client_new(loop, "unix:/run/hark/api.sock", &err);
 *   static const struct rest_events events = {on_head, on_body, on_end};
 *   rest_client_send(c, &(struct rest_ask){.path = "/api/v1/pods?watch=1"}, &events, app);
 *
 *   bool ok = rest_call("http://127.0.0.1:15000",
 *                       &(struct rest_ask){.path = "/connections"}, &status, &out, &err);
 *
 * A client has one connection and at most one request at a time; it keeps the connection for the
 * next request and dials again when it must. Callbacks come from the loop, never from inside
 * rest_client_send(), and each of them may send, cancel or free the client.
 *
 * A base is `unix:/path` or `http://address:port` (a literal address, or localhost); nothing here
 * resolves names.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "loop/loop.h"

struct rest_ask {                 /* copied by rest_client_send */
	const char *method;       /* NULL: GET */
	const char *path;         /* with the query, encoded: see rest_escape() */
	const char *content_type; /* NULL: application/json when there is a body */
	const char *accept;       /* NULL: none sent */
	struct slice body;
	unsigned timeout_ms; /* until the head of the response; 0: 30 s */
	unsigned idle_ms;    /* longest silence inside the body; 0: as long as it likes */
};

struct rest_response {
	unsigned status;
	struct slice content_type; /* borrowed for the call */
	uint64_t retry_after_ms;   /* of Retry-After in seconds; 0: none */
};

struct rest_events {
	void (*on_head)(void *ctx, const struct rest_response *res);
	void (*on_body)(void *ctx, struct slice bytes); /* as they come, framing taken off */
	/* The last event of a request. ERR is NULL when the whole response came. */
	void (*on_end)(void *ctx, const struct err *err);
};

struct rest_client;
/* BASE is checked and copied; nothing is dialled yet. NULL: it is no base. */
struct rest_client *rest_client_new(struct loop *loop, const char *base,
				    struct err *err) MUST_CHECK;
/* Over a connected socket, which the client owns from here on; it can't dial again when that ends.
 */
struct rest_client *rest_client_new_fd(struct loop *loop, int fd);
void rest_client_free(struct rest_client *c); /* no callback comes after this; NULL is fine */
/* EVENTS must outlive the request; any of its members may be NULL. No request is running. A dial
 * that fails is told by on_end. */
void rest_client_send(struct rest_client *c, const struct rest_ask *ask,
		      const struct rest_events *events, void *ctx);
void rest_client_cancel(struct rest_client *c); /* no callback comes after this; closes */
bool rest_client_busy(const struct rest_client *c);

/*
 * Blocking, on a loop of their own. OUT gets the body whatever the status is (its bound holds: a
 * longer one is ERR_LIMIT); a status is not an error. OUT may be NULL. rest_call_fd() takes over a
 * connected socket instead of dialling (one that was connected in another network namespace).
 */
bool rest_call(const char *base, const struct rest_ask *ask, unsigned *status, struct buf *out,
	       struct err *err) MUST_CHECK;
bool rest_call_fd(int fd, const struct rest_ask *ask, unsigned *status, struct buf *out,
		  struct err *err) MUST_CHECK;
/* The body piece by piece, for as long as it comes; CHUNK returns false to stop (which is no
 * error). A status other than 2xx: the body goes to OUT instead. FD below 0: dial BASE. */
bool rest_call_stream(const char *base, int fd, const struct rest_ask *ask,
		      bool (*chunk)(void *ctx, struct slice bytes), void *ctx, unsigned *status,
		      struct buf *out, struct err *err) MUST_CHECK;

/* Appends TEXT percent-encoded for use inside a path segment or a query value (RFC 3986 2.3). */
bool rest_escape(struct buf *to, struct slice text);
