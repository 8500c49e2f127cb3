/*
 * For the tests of this room: certificates made on the spot, and two sessions on a socket pair.
 *
 *   struct pki_ca *ca = pki_ca_new("mesh");
 *   struct pki_leaf leaf = {.uris = {"spiffe://cluster.local/ns/a/sa/b"}, .days = 1};
 *   struct tls_identity *id = pki_identity(ca, &leaf, ca);       // trusts CA
 *   struct pair p;
 *   pair_open(&p, server_ctx, client_ctx, &(struct pair_opts){.client_alpn = "h2"});
 *   pair_handshake(&p);                                          // p.server_result, p.client_result
 *   pair_close(&p);
 *
 * Everything aborts where the test itself is broken.
 */
#pragma once
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls/tls.h"

struct pki_ca {
	X509 *cert;
	EVP_PKEY *key;
	char *pem;
};

struct pki_leaf {
	const char *uris[3], *dns;
	long from_s, to_s;     /* from now; both 0: from an hour ago for a day */
	const char *subject;   /* CN, NULL: empty */
	bool rsa1024, rsa2048; /* else P-256 */
	bool server_only, ca;  /* extended key usage; basic constraints */
};

struct pki_ca *pki_ca_new(const char *name);
void pki_ca_free(struct pki_ca *ca);
/* A CA whose certificate is signed by PARENT. */
struct pki_ca *pki_intermediate(const struct pki_ca *parent, const char *name);
/* PEM texts, to be freed. */
void pki_issue(const struct pki_ca *ca, const struct pki_leaf *leaf, char **cert, char **key);
/* LEAF NULL: no certificate. ROOTS NULL: trusts nobody. */
struct tls_identity *pki_identity(const struct pki_ca *ca, const struct pki_leaf *leaf,
				  const struct pki_ca *roots);
/* Takes ID's reference. */
struct tls_context *pki_context(enum tls_role role, struct tls_identity *id, bool verify,
				struct tls_ticket_keys *keys);
void pki_write(const char *dir, const char *name, const char *text);

/* Trust domain cluster.local, as a sidecar would ask. */
enum tls_why accept_cluster_local(void *ctx, const struct tls_peer *peer);

struct pair_opts {
	const char *server_alpn, *client_alpn, *sni, *host;
	struct tls_tickets *tickets;
	enum tls_why (*server_accepts)(void *, const struct tls_peer *);
	enum tls_why (*client_accepts)(void *, const struct tls_peer *);
};

struct pair {
	int server_fd, client_fd;
	struct tls_worker *worker;
	struct tls *server, *client;
	enum tls_result server_result, client_result;
	struct err server_err, client_err;
};

void pair_open(struct pair *p, struct tls_context *server, struct tls_context *client,
	       const struct pair_opts *o);
/* The same over the descriptors given, which become the pair's. */
void pair_open_on(struct pair *p, const int fds[2], struct tls_context *server,
		  struct tls_context *client, const struct pair_opts *o);
void pair_handshake(struct pair *p); /* until neither can go on */
void pair_close(struct pair *p);
/* TEXT goes from one to the other, whole. */
void pair_say(struct tls *from, struct tls *to, const char *text);
void wait_readable(int fd); /* or ended, or reset */
void socket_pair(int fds[2]);
void tcp_pair(int fds[2], int buffer); /* BUFFER bytes in the kernel each way, 0: as it likes */
