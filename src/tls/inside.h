/*
 * What the files of this room share: nobody outside includes it. OpenSSL's types appear only here
 * and in the .c files.
 */
#pragma once
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "tls/tls.h"

enum {
	TLS_RECORD_MAX = 16384,
	TLS_IN_LEN = 64 * 1024,
	TLS_IN_LEAST = 4096,         /* received at once, however small the reader's room */
	TLS_MAX_HELLO = 16384,       /* body of a ClientHello */
	TLS_MAX_CERTS = 64 * 1024,   /* the peer's Certificate message */
	TLS_MAX_BACKLOG = 64 * 1024, /* sealed bytes that the peer does not take */
	TLS_HELLO_PREFIX = 9,        /* record header, handshake type, length */
	TLS_MAX_ALPN = 255,
	TLS_BLOCKS = 128, /* kept at most: a crowd's handshakes */
};
#define TLS_REKEY_BYTES (UINT64_C(1) << 36)

struct tls_identity {
	_Atomic unsigned refs;
	EVP_PKEY *key; /* NULL: none */
	X509 *leaf;
	STACK_OF(X509) * chain; /* intermediates */
	STACK_OF(X509) * roots;
	uint8_t roots_hash[32];
};

struct tls_ticket_key {
	bool set;
	uint8_t name[16], aes[32], mac[32];
};

struct tls_ticket_keys {
	_Atomic unsigned refs;
	pthread_mutex_t lock; /* held for a copy of one key, once per handshake */
	struct tls_ticket_key key[TLS_TICKET_KEYS]; /* newest first */
};

struct tls_context {
	_Atomic unsigned refs;
	uint64_t serial; /* never used twice in a process: client tickets remember it */
	SSL_CTX *ssl;
	enum tls_role role;
	bool verify_peer, peer_optional;
	unsigned clock_skew_s;
	struct tls_ticket_keys *ticket_keys;
};

struct tls_tickets {
	SSL_SESSION *newest;
	uint64_t context; /* serial of the context that got it */
};

struct tls_worker {
	/* Large blocks that OpenSSL does not use now; LEAST: since the last trim. */
	unsigned n_blocks, least_blocks;
	void *blocks[TLS_BLOCKS];
	size_t given_back; /* bytes of blocks that were too many, since the last trim */
	/* Ciphertext on its way in: bytes [in_at, in_end) of IN belong to the session inside whose
	 * call we are; between calls there are none. */
	size_t in_at, in_end;
	char in[TLS_IN_LEN];
};

/* Ciphertext that had to wait; one block of just its size. */
struct tls_rest {
	size_t at, len;
	char bytes[];
};

struct tls {
	SSL *ssl;
	struct tls_context *ctx;
	struct tls_worker *worker;
	struct tls_start start;
	struct tls_peer *peer;
	char *offered;
	struct tls_rest *in;  /* received, not yet read by OpenSSL */
	struct tls_rest *out; /* sealed, not yet sent */
	size_t out_plain;     /* plaintext bytes in OUT that no tls_write() has counted as taken */
	size_t in_limit;      /* of this call's receive */
	uint64_t sealed;      /* plaintext bytes under the present key */
	enum tls_why why;
	int io_errno;  /* of the failed receive or send, 0: none */
	int out_errno; /* of a send after the handshake: nothing leaves any more, reads go on */
	uint8_t hello_seen;
	uint8_t hello[TLS_HELLO_PREFIX];
	bool more;         /* the record that is being sealed is followed by another one at once */
	bool got_ticket;   /* in this call */
	bool done;         /* the handshake is over */
	bool failed;       /* for good */
	bool heard;        /* bytes of the peer's application came: it had accepted us */
	bool empty;        /* a short receive: the queue was empty */
	bool to_end;       /* receive until the end comes */
	bool eof;          /* the peer's FIN */
	bool ended;        /* close_notify or the end was read, behind bytes */
	bool notified;     /* close_notify was written */
	bool write_closed; /* and the socket's write side shut down */
};

/* blocks.c: from now on W serves this thread's OpenSSL with large blocks; NULL: malloc() */
void tls_lend(struct tls_worker *w);

/* bio.c: the way to the socket */
bool tls_bio_attach(struct tls *t);
void tls_in_begin(struct tls *t, size_t limit); /* a call begins: what waited comes back */
void tls_in_end(struct tls *t);                 /* a call ends: what was not read waits */
bool tls_flush(struct tls *t);                  /* false: something still waits */

/* peer.c: what a certificate says of its owner */
struct tls_peer *tls_peer_new(X509 *cert);

/* lean.c: sessions that have a peer's names instead of its certificate */
void tls_peer_pack(const struct tls_peer *p, struct buf *out);
struct tls_peer *tls_peer_unpack(struct slice packed); /* NULL: not as packed by us */
/* SESSION has PEER's certificate, and nobody else holds it. False: it is broken, for want of memory. */
bool tls_session_lean(SSL_SESSION *session, const struct tls_peer *peer) MUST_CHECK;
/* Whom SESSION is with, NULL: nobody was verified. To be freed. */
struct tls_peer *tls_peer_of_session(SSL_SESSION *session);

/* verify.c: chains, dates, who is let in */
void tls_verify_setup(struct tls_context *c);
/* The times of CERT hold, give or take the context's skew. */
bool tls_in_time(const struct tls_context *c, const X509 *cert);
/* Asks accept_peer about CERT, and keeps what it says as the session's peer. */
bool tls_accept(struct tls *t, X509 *cert);
/* The same for whom the ticket vouches that resumed T. */
bool tls_accept_resumed(struct tls *t);
/* The answer alone, for the SESSION of a ticket that may yet go unused. */
bool tls_would_accept(const struct tls *t, SSL_SESSION *session);

/* alpn.c */
void tls_alpn_setup(struct tls_context *c);
/* The comma-separated LIST as RFC 7301 3.1 has it on the wire; 0: an empty or too long value. */
size_t tls_alpn_wire(const char *list, uint8_t out[TLS_MAX_ALPN]);

/* tickets.c */
bool tls_tickets_setup(struct tls_context *c, const struct tls_identity *id, struct err *err);
void tls_tickets_offer(struct tls *t);
void tls_tickets_renewed(struct tls *t); /* the handshake is over */
void tls_tickets_drop(struct tls_tickets *t);

/* why.c */
/* OpenSSL's last complaint as WHY (unless something set it before) and text. Empties its queue. */
bool tls_blame(struct tls *t, const char *what, struct err *err);
/* Before a call whose complaints count. ERR_clear_error() writes all 16 places of the queue, each
 * time; mostly it is empty. */
void tls_forget_errors(void);
/* For calls that have no session: "WHAT: OpenSSL's reason". */
bool tls_ossl_err(struct err *err, enum err_kind kind, const char *what);
