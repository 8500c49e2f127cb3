/*
 * Unary gRPC over HTTP/2, server and client: for the few calls of a control plane, not for the data
 * plane.
 *
 *   struct grpc_server *s = grpc_server_new(loop, "ca", NULL);
 *   grpc_serve(s, "/istio.v1.auth.IstioCertificateService/CreateCertificate", on_create, app);
 *   grpc_server_set_tls(s, tls_context);       // new connections from now on; NULL: none (h2c)
 *   if (!grpc_server_listen_fd(s, fd, &err)) ...
 *   grpc_server_free(s);
 *
 *   static void on_create(void *ctx, const struct grpc_request *q, struct grpc_reply *reply)
 *   { grpc_reply_ok(reply, q->message); }
 *
 *   struct grpc_call *call = grpc_call_start(loop, &(struct grpc_ask){.to = addr, .tls = tls_context,
 *           .host = "istiod.istio-system.svc", .method = METHOD, .message = bytes}, on_end, app, &err);
 *   grpc_call_cancel(call);                    // on_end does not come
 *
 * One thread, that of the loop. HTTP/2 by nghttp2, TLS by tls/tls.h (ALPN h2). Whatever a peer can
 * make large has a limit. Messages go uncompressed both ways. A handler may free its server, on_end
 * may start other calls.
 *
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md and statuscodes.md beside it,
 * RFC 9113 (HTTP/2).
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "tls/tls.h"

/* The numbers are gRPC's. */
#define GRPC_STATUS_ROWS                                                                           \
	GRPC_STATUS_ROW(OK)                  /* 0 */                                               \
	GRPC_STATUS_ROW(CANCELLED)           /* 1 */                                               \
	GRPC_STATUS_ROW(UNKNOWN)             /* 2 */                                               \
	GRPC_STATUS_ROW(INVALID_ARGUMENT)    /* 3 */                                               \
	GRPC_STATUS_ROW(DEADLINE_EXCEEDED)   /* 4 */                                               \
	GRPC_STATUS_ROW(NOT_FOUND)           /* 5 */                                               \
	GRPC_STATUS_ROW(ALREADY_EXISTS)      /* 6 */                                               \
	GRPC_STATUS_ROW(PERMISSION_DENIED)   /* 7 */                                               \
	GRPC_STATUS_ROW(RESOURCE_EXHAUSTED)  /* 8 */                                               \
	GRPC_STATUS_ROW(FAILED_PRECONDITION) /* 9 */                                               \
	GRPC_STATUS_ROW(ABORTED)             /* 10 */                                              \
	GRPC_STATUS_ROW(OUT_OF_RANGE)        /* 11 */                                              \
	GRPC_STATUS_ROW(UNIMPLEMENTED)       /* 12 */                                              \
	GRPC_STATUS_ROW(INTERNAL)            /* 13 */                                              \
	GRPC_STATUS_ROW(UNAVAILABLE)         /* 14 */                                              \
	GRPC_STATUS_ROW(DATA_LOSS)           /* 15 */                                              \
	GRPC_STATUS_ROW(UNAUTHENTICATED)     /* 16 */

enum grpc_status {
#define GRPC_STATUS_ROW(name) GRPC_##name,
	GRPC_STATUS_ROWS
#undef GRPC_STATUS_ROW
		GRPC_N_STATUSES
};
const char *grpc_status_name(enum grpc_status s); /* "UNAUTHENTICATED" */

/* ---- server ---------------------------------------------------------------------------------- */

struct grpc_limits {          /* 0 anywhere: the default, given here */
	unsigned connections; /* 1024; above that a new connection is closed at once */
	unsigned per_source;  /* any; those of them that one address may have */
	unsigned streams;     /* 16; calls at once on one connection */
	/* 64 KiB; of one request, longer: RESOURCE_EXHAUSTED. So is a request for which there is
	 * no room among all that are unfinished, 64 MiB. */
	size_t message_bytes;
	/* 30 s; a handshake, a connection without a call, and one on which for so long no call came
	 * to its end. */
	unsigned idle_ms;
};

struct grpc_server_stats {
	uint64_t connections, refused /* over a cap */;
	uint64_t handshakes_failed, broken /* HTTP/2 */, timeouts;
	uint64_t calls, errors; /* answered; those of them with another status than OK */
	unsigned open;          /* connections now */
};

struct grpc_server;
struct grpc_reply;
struct grpc_request {
	const char *method; /* "/package.Service/Method" */
	struct slice message;
	const struct tls_peer *peer;    /* verified client certificate, or NULL */
	struct addr from;               /* zero where the listener is no TCP one */
	const struct grpc_reply *reply; /* for grpc_metadata() */
};
/* Answers exactly once, before it returns. All that Q shows is borrowed until then. */
typedef void grpc_handler(void *ctx, const struct grpc_request *q, struct grpc_reply *reply);
/* The first metadata NAME, which is lower case, as it was sent; .at is NULL when there is none. */
struct slice grpc_metadata(const struct grpc_request *q, const char *name);
void grpc_reply_ok(struct grpc_reply *reply, struct slice message); /* copied */
/* The text goes to the peer; no longer than 1 KiB of it. */
void grpc_reply_error(struct grpc_reply *reply, enum grpc_status status, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* NAME is what log lines call it. Both are copied; LIMITS may be NULL. */
struct grpc_server *grpc_server_new(struct loop *loop, const char *name,
				    const struct grpc_limits *limits);
/* METHOD is copied; served twice, the later one replaces the first. */
void grpc_serve(struct grpc_server *s, const char *method, grpc_handler *handler, void *ctx);
/* Takes a reference. Connections that live keep theirs. Who must present a certificate is the
 * context's affair (verify_peer, peer_optional). NULL, as at first: plaintext. */
void grpc_server_set_tls(struct grpc_server *s, struct tls_context *ctx);
/* FD is the server's from here on, also after failure. Several listeners are fine. */
bool grpc_server_listen_fd(struct grpc_server *s, int fd, struct err *err) MUST_CHECK;
struct grpc_server_stats grpc_server_stats(const struct grpc_server *s);
/* Closes everything now. Fine inside a handler, which still answers into the void. NULL is fine. */
void grpc_server_free(struct grpc_server *s);

/* ---- client: one connection per call --------------------------------------------------------- */

struct grpc_pair {
	const char *name, *value;
};

struct grpc_ask {
	struct addr to;
	struct tls_context *tls; /* NULL: h2c. A reference is taken for the call */
	const char *host;        /* :authority, SNI, and the name that the certificate must have */
	const char *method;
	const struct grpc_pair *metadata; /* names in lower case; copied */
	size_t n_metadata;
	struct slice message; /* copied */
	unsigned timeout_ms;  /* for all of it; also sent as grpc-timeout; 0: 10 s */
	size_t answer_bytes;  /* at most; 0: 64 KiB */
};

struct grpc_answer {
	/* What came from the server; or UNAVAILABLE (no connection, no TLS, no answer) and
	 * DEADLINE_EXCEEDED of our own. */
	enum grpc_status status;
	struct slice message; /* GRPC_OK: borrowed until on_end returns */
	const char *text;     /* else: why, for people, in the server's words or ours */
};

/* Once; never from within grpc_call_start(). The call is gone when it returns. */
typedef void grpc_end(void *ctx, const struct grpc_answer *answer);
struct grpc_call;
/* NULL: what is asked is no call (ERR_BAD_INPUT). A connection that fails is told by ON_END. */
struct grpc_call *grpc_call_start(struct loop *loop, const struct grpc_ask *ask, grpc_end *on_end,
				  void *ctx, struct err *err) MUST_CHECK;
void grpc_call_cancel(struct grpc_call *call); /* NULL is fine; not after on_end */
