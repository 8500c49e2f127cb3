/*
 * TLS, both ways: what an inbound connection's first word means under each mode, and how to speak
 * to an endpoint outbound. The names on the wire are those of Istio's sidecars.
 *
 *   switch (inbound_cell(MTLS_STRICT, CLASS_AUTO, &word)) ...        // the whole table, pure
 *   tls_plan_sni(&plan->tls, port, subset, text, sizeof(text));      // "outbound_.3306_._.db.shop..."
 *   tls_new(ctx, &(struct tls_start){.alpn = tls_plan_alpn(&plan->tls, TLS_APP_TCP), ...});
 *   ... and in its accept_peer: tls_plan_accepts(view, &plan->tls, &uris)
 *
 * Nothing here touches a socket or a certificate. Any thread.
 */
#pragma once
#include "detect/classify.h"
#include "detect/first_word.h"
#include "model/view.h"

/* Inbound */

enum inbound_first {
	INBOUND_SILENT,     /* nobody has spoken */
	INBOUND_PART,       /* the client has begun what may be HTTP or TLS */
	INBOUND_PART_HELLO, /* what it has begun can only be a ClientHello */
	INBOUND_HTTP10,
	INBOUND_HTTP11,
	INBOUND_HTTP2,
	INBOUND_HELLO,  /* a ClientHello: .alpn counts */
	INBOUND_OTHER,  /* bytes that are none of these, or a beginning that stalled */
	INBOUND_SERVER, /* the application has spoken, or has closed */
	N_INBOUND_FIRSTS
};

/* What a ClientHello offers: the first value in the client's order that sidecars know. */
enum inbound_alpn { INBOUND_ALPN_FOREIGN, INBOUND_ALPN_MESH_HTTP, INBOUND_ALPN_MESH_TCP };

struct inbound_word {
	enum inbound_first first;
	enum inbound_alpn alpn;
	struct slice sni; /* of a ClientHello */
	bool too_late; /* plan's handshake timeout is over, and the client had said nothing else */
};

/* The race's answer as a word; HELLO as of classify_client() for FW_TLS and FW_HTTP1. */
struct inbound_word inbound_word_of(const struct fw_answer *answer, const struct classify *hello);
enum inbound_alpn inbound_alpn_of(const struct classify *hello);

enum SMALL_ENUM inbound_do {
	INBOUND_LISTEN,   /* nothing is certain yet */
	INBOUND_TLS_TCP,  /* end mesh TLS, then bytes */
	INBOUND_TLS_HTTP, /* end mesh TLS, then HTTP */
	INBOUND_PASS_TLS, /* the application's own TLS: bytes, untouched */
	INBOUND_TCP,      /* plaintext bytes */
	INBOUND_HTTP,     /* plaintext HTTP; what is none is answered with 400 */
	INBOUND_REFUSE,
	N_INBOUND_DOS
};
const char *inbound_do_name(enum inbound_do what); /* "tls-then-tcp" */

/* Istio's table of modes, classes and first bytes; but where it stalls, this goes on listening to
 * both ends, or refuses as soon as that is certain. */
enum inbound_do inbound_cell(enum mtls_mode mode, enum proto_class class,
			     const struct inbound_word *word);

/* What a server may select from after INBOUND_TLS_TCP and INBOUND_TLS_HTTP; for tls_start.alpn. */
const char *inbound_alpn_list(enum inbound_do what);

/* Outbound */

enum SMALL_ENUM transport {
	TRANSPORT_PLAIN,
	TRANSPORT_MESH_TLS,   /* the mesh's certificate, both verified */
	TRANSPORT_TLS,        /* SIMPLE: no client certificate */
	TRANSPORT_MUTUAL_TLS, /* MUTUAL: the rule's certificate */
	N_TRANSPORTS
};
const char *transport_name(enum transport t); /* "mesh-tls" */

/* How TLS begins with a server that a rule wants it with (TRANSPORT_TLS and _MUTUAL_TLS). */
enum SMALL_ENUM tls_begin {
	TLS_AT_ONCE, /* the ClientHello is the first word */
	TLS_ASKED,   /* PostgreSQL's way: SSLRequest and its answer go before it, in clear */
	N_TLS_BEGINS
};
const char *tls_begin_name(enum tls_begin b); /* "at-once" */

struct tls_plan {
	enum transport transport;
	enum tls_begin begin;
	bool second;                   /* BEGIN is the second that is tried with this endpoint */
	const struct client_tls *rule; /* the DestinationRule's words; NULL: nobody's but ours */
	const struct workload *peer;   /* whose identity is expected; NULL: any of the mesh root */
	const struct view_peer *named; /* the same of a ServiceEntry's endpoint; NULL: nobody's */
	const struct view_service
		*service; /* whose subjectAltNames are accepted, too; NULL: none */
};

/* SIMPLE or MUTUAL: TLS that is not the mesh's. */
bool transport_is_own(enum transport t);

struct buf;
struct plan;
/* What the operator reads where P's rule wants TLS, and the server spoke PROTOCOL in clear. NO: it was asked,
 * and answered no. False: OUT is full. */
bool tls_in_clear_text(const struct plan *p, enum greet_protocol protocol, bool no,
		       struct buf *out);

enum tls_app { TLS_APP_TCP, TLS_APP_HTTP1_0, TLS_APP_HTTP1, TLS_APP_HTTP2 };
/* Comma-separated, by preference; NULL: no ALPN. */
const char *tls_plan_alpn(const struct tls_plan *t, enum tls_app app);
/* Into OUT; NULL: none is sent. SUBSET "" for none. */
const char *tls_plan_sni(const struct tls_plan *t, const struct view_port *port, const char *subset,
			 char *out, size_t out_len);
/* One of the names in the peer's certificate is as expected: the rule's subjectAltNames, else the
 * endpoint's identity. The chain is verified elsewhere. */
bool tls_plan_accepts(const struct view *v, const struct tls_plan *t, const struct slice *names,
		      size_t n);
