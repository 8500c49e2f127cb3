/*
 * TLS sessions on OpenSSL, behind one header: nobody else includes OpenSSL's for a connection.
 *
 *   struct tls_context *ctx = tls_context_new(&(struct tls_options){.role = TLS_SERVER,
 *                                 .identity = id, .verify_peer = true}, &err);
 *   struct tls *t = tls_new(ctx, &(struct tls_start){.fd = fd, .worker = w, .alpn = "h2"}, &err);
 *   switch (tls_handshake(t, &err)) ...          // TLS_OK, TLS_WANT_READ, TLS_WANT_WRITE, ...
 *   tls_read(t, room, len, &n, &err); tls_write(t, bytes, &n, &err);
 *   tls_close_write(t, &err);                    // the peer reads an end, and may go on writing
 *   tls_free(t);
 *
 * Identities, contexts and ticket keys are counted and may be used by all workers; a session
 * belongs to one connection and one thread. A session keeps the context it began with, so that a
 * new certificate disturbs nothing. The descriptor stays the caller's; it is non-blocking, and
 * sessions never wait. TLS 1.2 and 1.3, no renegotiation, no compression, no early data. An idle
 * session owns no buffer: ciphertext passes through its worker's.
 *
 * RFC 8446 and 5246, RFC 7301 (ALPN), RFC 6066 (SNI), RFC 5077 (tickets), RFC 5280 (chains).
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

/* ---- why a session ended ---------------------------------------------------------------------
 * One row makes the enum, the name in counters and what the operator reads. */
#define TLS_WHY_ROWS                                                                               \
	TLS_WHY_ROW(NONE, "none", "nothing is wrong")                                              \
	TLS_WHY_ROW(NOT_TLS, "not_tls", "the peer's bytes are not TLS")                            \
	TLS_WHY_ROW(NO_TLS, "no_tls", "the server offers no TLS: it answered N to SSLRequest")     \
	TLS_WHY_ROW(EARLY_BYTES, "early_bytes", "bytes in clear came where TLS was to begin")      \
	TLS_WHY_ROW(BAD_HELLO, "bad_hello", "the peer's hello is malformed")                       \
	TLS_WHY_ROW(HELLO_TOO_LONG, "hello_too_long", "the ClientHello is longer than 16 KiB")     \
	TLS_WHY_ROW(NO_VERSION, "no_version", "no TLS version in common with the peer")            \
	TLS_WHY_ROW(NO_CIPHER, "no_cipher", "no cipher suite, group or signature in common")       \
	TLS_WHY_ROW(NO_CERT, "no_certificate", "the peer presented no certificate")                \
	TLS_WHY_ROW(WRONG_ROOT, "wrong_root", "the peer's certificate leads to no trusted root")   \
	TLS_WHY_ROW(EXPIRED, "expired", "the peer's certificate has expired")                      \
	TLS_WHY_ROW(NOT_YET_VALID, "not_yet_valid", "the peer's certificate is not valid yet")     \
	TLS_WHY_ROW(BAD_CERT, "bad_certificate", "the peer's certificate is not usable")           \
	TLS_WHY_ROW(WRONG_HOST, "wrong_host", "the peer's certificate names another host")         \
	TLS_WHY_ROW(NO_SAN, "no_san", "the peer's certificate carries no SPIFFE identity")         \
	TLS_WHY_ROW(MANY_SANS, "many_sans", "the peer's certificate carries two identities")       \
	TLS_WHY_ROW(WRONG_DOMAIN, "wrong_trust_domain", "the peer's trust domain is not ours")     \
	TLS_WHY_ROW(WRONG_SAN, "wrong_san", "the peer is not the workload we meant to reach")      \
	TLS_WHY_ROW(PEER_NO_CERT, "peer_wants_certificate", "the peer demands a certificate")      \
	TLS_WHY_ROW(PEER_WRONG_ROOT, "peer_unknown_ca", "the peer does not trust our root")        \
	TLS_WHY_ROW(PEER_EXPIRED, "peer_says_expired", "the peer finds our certificate expired")   \
	TLS_WHY_ROW(PEER_BAD_CERT, "peer_refused_certificate", "the peer refuses our certificate") \
	TLS_WHY_ROW(PEER_REFUSED, "peer_refused", "the peer refused the handshake")                \
	TLS_WHY_ROW(PEER_ALERT, "peer_alert", "the peer ended the session with an alert")          \
	TLS_WHY_ROW(CUT, "cut", "the peer closed the connection in the middle of the handshake")   \
	TLS_WHY_ROW(RESET, "reset", "the peer reset the connection")                               \
	TLS_WHY_ROW(BROKEN, "broken", "the peer broke the TLS protocol")                           \
	TLS_WHY_ROW(FLOOD, "flood", "the peer makes us answer without reading the answers")        \
	TLS_WHY_ROW(OURS, "internal", "our side failed")

enum tls_why {
#define TLS_WHY_ROW(name, label, text) TLS_WHY_##name,
	TLS_WHY_ROWS
#undef TLS_WHY_ROW
		TLS_N_WHYS
};
const char *tls_why_label(enum tls_why why);
const char *tls_why_text(enum tls_why why);

/* ---- identity: a certificate chain, its key, the roots to trust ------------------------------ */
struct evp_pkey_st; /* OpenSSL's EVP_PKEY; src/identity/ makes them */
struct tls_identity;
/*
 * PEM texts. CHAIN: leaf first; roots among it are not sent. CHAIN and KEY are both empty for a
 * client without a certificate. ROOTS: one or more certificates, each a trust anchor; may be empty
 * where nobody is verified. KEY is read, not kept; the copy inside is wiped with the last
 * reference.
 */
struct tls_identity *tls_identity_new(struct slice chain, struct slice key, struct slice roots,
				      struct err *err) MUST_CHECK;
/* The same with a key that was never text; a reference to KEY is taken. */
struct tls_identity *tls_identity_with_key(struct slice chain, struct evp_pkey_st *key,
					   struct slice roots, struct err *err) MUST_CHECK;
struct tls_identity *tls_identity_get(struct tls_identity *id);
void tls_identity_put(struct tls_identity *id); /* NULL is fine */

/* ---- server: keys that seal session tickets -------------------------------------------------- */
enum {
	TLS_TICKET_KEYS = 3,         /* the newest seals; all open */
	TLS_TICKET_LIFE_S = 2 * 3600 /* rotate hourly, and each ticket opens to its end */
};
/* One set for all contexts and workers of a process, so that resumption works on any of them and
 * outlives a new certificate. Any thread. */
struct tls_ticket_keys;
struct tls_ticket_keys *tls_ticket_keys_new(struct err *err) MUST_CHECK;
/* A new key seals from now on; the oldest is wiped. On failure nothing changes. */
bool tls_ticket_keys_rotate(struct tls_ticket_keys *k, struct err *err) MUST_CHECK;
struct tls_ticket_keys *tls_ticket_keys_get(struct tls_ticket_keys *k);
void tls_ticket_keys_put(struct tls_ticket_keys *k); /* NULL is fine */

/* ---- client: what servers gave us to resume with --------------------------------------------- */
/* The newest ticket of one endpoint; of one thread. Tickets that were got with another context, whose
 * server certificate has ended, or whose server accept_peer would refuse, are dropped by themselves. */
struct tls_tickets;
struct tls_tickets *tls_tickets_new(void);
void tls_tickets_free(struct tls_tickets *t); /* NULL is fine */
bool tls_tickets_ready(const struct tls_tickets *t);

/* ---- context --------------------------------------------------------------------------------- */
enum tls_role { TLS_SERVER, TLS_CLIENT };

struct tls_options {
	enum tls_role role;
	struct tls_identity *identity; /* a reference is taken */
	/* The peer's chain must lead to the identity's roots; a server then demands a
	 * certificate. */
	bool verify_peer;
	/* Server, with verify_peer: a client may present none, and tls_peer_of() is NULL then; what
	 * it presents is verified as ever. */
	bool peer_optional;
	bool min_tls13;
	unsigned clock_skew_s; /* tolerated on notBefore and notAfter; 120 in a mesh */
	const char *ciphers;   /* TLS 1.2, OpenSSL's names; NULL: those of Istio's sidecars */
	struct tls_ticket_keys *ticket_keys; /* server, a reference is taken; NULL: no tickets */
};

struct tls_context;
struct tls_context *tls_context_new(const struct tls_options *o, struct err *err) MUST_CHECK;
struct tls_context *tls_context_get(struct tls_context *c);
void tls_context_put(struct tls_context *c); /* NULL is fine */

/* ---- peer ------------------------------------------------------------------------------------ */
enum { TLS_MAX_SANS = 8 };

/* What the peer's leaf says. All slices borrow from the session. */
struct tls_peer {
	unsigned n_uris, n_dns;
	struct slice uris[TLS_MAX_SANS];
	struct slice dns[TLS_MAX_SANS];
	bool sans_dropped;    /* more came than fit */
	struct slice subject; /* RFC 2253 text, empty for an empty subject */
	uint8_t sha256[32];   /* of the certificate's DER */
	int64_t not_after_s;  /* seconds since 1970 */
};

struct tls_facts {
	const char *version; /* "TLSv1.3" */
	const char *cipher;  /* OpenSSL's name */
	struct slice alpn;   /* what was selected, empty: nothing */
	const char *offered; /* server: what the client offered, comma-separated, "" nothing */
	const char *sni;     /* server: what the client asked for; "" nothing */
	bool resumed;
};

/* ---- session --------------------------------------------------------------------------------- */
/* The buffers through which a worker's sessions receive and send; of one thread. */
struct tls_worker;
struct tls_worker *tls_worker_new(void);
void tls_worker_free(struct tls_worker *w); /* after its sessions; NULL is fine */
/* Gives back to malloc() what was not needed since the last call, or ALL that is not needed now: once
 * a second, where there may be crowds. Answers how many bytes went back since the last call. */
size_t tls_worker_trim(struct tls_worker *w, bool all);
/* OpenSSL's large blocks come from the workers. Once, before anything of OpenSSL is used; too late or
 * never, they come from malloc(). */
void tls_memory_init(void);

struct tls_start {
	int fd;                    /* the caller's, connected, outlives the session */
	struct tls_worker *worker; /* outlives the session */
	/*
	 * Comma-separated, by preference; borrowed until the handshake is over; NULL: none.
	 * Client: what is offered. Server: what may be selected; nothing in common selects
	 * nothing and goes on.
	 */
	const char *alpn;
	const char *sni;  /* client; NULL: none is sent */
	const char *host; /* client: the certificate must be for this DNS name; NULL: any name */
	struct tls_tickets *tickets; /* client, outlives the session; NULL: no resumption */
	/*
	 * Called during the handshake with a peer whose chain is verified, also on resumption;
	 * anything but TLS_WHY_NONE refuses it, with an alert. May be called twice, and by tls_new()
	 * for the server that a ticket is from. NULL: whoever the roots vouch for. Needs verify_peer.
	 */
	enum tls_why (*accept_peer)(void *ctx, const struct tls_peer *peer);
	void *accept_ctx;
	/* Client: called once, with accept_ctx and the first bytes that come, before they are taken for TLS.
	 * False: they are none, TLS_WHY_NOT_TLS. NULL: nobody looks. */
	bool (*first_bytes)(void *ctx, struct slice bytes);
};

enum tls_result {
	TLS_OK,
	TLS_WANT_READ,
	TLS_WANT_WRITE,
	TLS_END,    /* the peer sent close_notify: an orderly end of its side */
	TLS_CUT,    /* the peer's side ended without close_notify; ours may still write */
	TLS_RESET,  /* the connection is gone */
	TLS_FAILED, /* tls_why() and ERR say why; an alert was sent where one is due */
};

struct tls;
/* Nothing is sent yet. NULL with ERR: a bad ALPN list, host or SNI, or no memory. */
struct tls *tls_new(struct tls_context *ctx, const struct tls_start *start,
		    struct err *err) MUST_CHECK;
/* TLS_OK, TLS_WANT_READ, TLS_WANT_WRITE (call again when the descriptor is so) or TLS_FAILED.
 * After TLS_OK ask tls_pending(): the peer's first bytes may have come along. */
enum tls_result tls_handshake(struct tls *t, struct err *err) MUST_CHECK;
/*
 * Fills as much of ROOM as the peer has sent, several records at once: TLS_OK with N > 0, else
 * TLS_WANT_READ, an end or a failure. Never TLS_WANT_WRITE. One receive for up to LEN bytes, so
 * rooms of 64 KiB make bulk cheap. LEN > 0.
 */
enum tls_result tls_read(struct tls *t, char *room, size_t len, size_t *n,
			 struct err *err) MUST_CHECK;
/* Read again before waiting for the descriptor: bytes are here already, or may be in the kernel.
 * False: the receive queue was seen empty, the next byte makes a new edge. */
bool tls_pending(const struct tls *t);
/* An end or an error was announced (EPOLLRDHUP, EPOLLHUP, EPOLLERR): reads go on until it comes,
 * even where a short read said that the queue is empty. */
void tls_end_announced(struct tls *t);
/*
 * As write(2): TLS_OK with 0 < N <= bytes.len taken, or TLS_WANT_WRITE with N = 0. When fewer than
 * all were taken, the next record may be sealed already and partly sent: wait until the descriptor
 * is writable, and call again with the same bytes from N on (and others behind them, if there are).
 * bytes.len > 0. TLS_RESET: nobody takes them; what the peer had sent before can still be read.
 */
enum tls_result tls_write(struct tls *t, struct slice bytes, size_t *n, struct err *err) MUST_CHECK;
/* close_notify, then the write side of the socket is shut down. Only after all writes were taken.
 * TLS_WANT_WRITE: call again. Twice is fine. */
enum tls_result tls_close_write(struct tls *t, struct err *err) MUST_CHECK;
enum tls_why tls_why(const struct tls *t);
/* The verified peer, NULL when it presented nothing or nobody was verified. Valid while T is. */
const struct tls_peer *tls_peer_of(const struct tls *t);
/* After the handshake. Valid while T is. */
void tls_facts_of(const struct tls *t, struct tls_facts *out);
/* Says nothing to the peer. NULL is fine. */
void tls_free(struct tls *t);
