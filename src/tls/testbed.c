#include "tls/testbed.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "tls/inside.h"

/* ---- certificates ----------------------------------------------------------------------------- */

enum { DAY_S = 24 * 3600 };

static EVP_PKEY *new_key(const struct pki_leaf *leaf)
{
	EVP_PKEY *key = leaf && leaf->rsa1024   ? EVP_RSA_gen(1024)
			: leaf && leaf->rsa2048 ? EVP_RSA_gen(2048)
						: EVP_EC_gen("P-256");
	MUST(key);
	return key;
}

static void add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	MUST(ext && X509_add_ext(cert, ext, -1) == 1);
	X509_EXTENSION_free(ext);
}

static X509 *begin_cert(const char *cn, long from_s, long to_s)
{
	static long serial = 1;
	X509 *cert = X509_new();
	MUST(cert && X509_set_version(cert, X509_VERSION_3) == 1 &&
	     ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial) == 1 &&
	     X509_gmtime_adj(X509_getm_notBefore(cert), from_s) &&
	     X509_gmtime_adj(X509_getm_notAfter(cert), to_s));
	if (cn)
		MUST(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
						(const unsigned char *)cn, -1, -1, 0) == 1);
	return cert;
}

static char *pem_of(BIO *bio)
{
	char *at = NULL;
	long len = BIO_get_mem_data(bio, &at);
	char *text = mem_new((size_t)len + 1);
	memcpy(text, at, (size_t)len);
	BIO_free(bio);
	return text;
}

static char *cert_pem(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	MUST(bio && PEM_write_bio_X509(bio, cert) == 1);
	return pem_of(bio);
}

static char *key_pem(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	MUST(bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
	return pem_of(bio);
}

static struct pki_ca *make_ca(const struct pki_ca *parent, const char *name)
{
	struct pki_ca *ca = mem_new(sizeof(*ca));
	ca->key = new_key(NULL);
	ca->cert = begin_cert(name, -DAY_S, DAY_S);
	X509 *issuer = parent ? parent->cert : ca->cert;
	MUST(X509_set_pubkey(ca->cert, ca->key) == 1 &&
	     X509_set_issuer_name(ca->cert, X509_get_subject_name(issuer)) == 1);
	add_ext(ca->cert, issuer, NID_basic_constraints, "critical,CA:TRUE");
	add_ext(ca->cert, issuer, NID_key_usage, "critical,keyCertSign");
	MUST(X509_sign(ca->cert, parent ? parent->key : ca->key, EVP_sha256()) > 0);
	ca->pem = cert_pem(ca->cert);
	return ca;
}

struct pki_ca *pki_ca_new(const char *name)
{
	return make_ca(NULL, name);
}

struct pki_ca *pki_intermediate(const struct pki_ca *parent, const char *name)
{
	return make_ca(parent, name);
}

void pki_ca_free(struct pki_ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
	free(ca->pem);
	free(ca);
}

static void add_sans(X509 *cert, X509 *issuer, const struct pki_leaf *leaf)
{
	char sans[1024] = "";
	size_t n = 0;
	for (size_t i = 0; i < N_ELEMS(leaf->uris) && leaf->uris[i]; i++)
		n += (size_t)snprintf(&sans[n], sizeof(sans) - n, "%sURI:%s", n ? "," : "",
				      leaf->uris[i]);
	if (leaf->dns)
		n += (size_t)snprintf(&sans[n], sizeof(sans) - n, "%sDNS:%s", n ? "," : "",
				      leaf->dns);
	if (n > 0)
		add_ext(cert, issuer, NID_subject_alt_name, sans);
}

void pki_issue(const struct pki_ca *ca, const struct pki_leaf *leaf, char **cert, char **key)
{
	bool given = leaf->from_s || leaf->to_s;
	EVP_PKEY *pkey = new_key(leaf);
	X509 *x =
		begin_cert(leaf->subject, given ? leaf->from_s : -3600, given ? leaf->to_s : DAY_S);
	MUST(X509_set_pubkey(x, pkey) == 1 &&
	     X509_set_issuer_name(x, X509_get_subject_name(ca->cert)) == 1);
	add_ext(x, ca->cert, NID_basic_constraints, "critical,CA:FALSE");
	add_ext(x, ca->cert, NID_key_usage, "critical,digitalSignature,keyEncipherment");
	add_ext(x, ca->cert, NID_ext_key_usage,
		leaf->server_only ? "serverAuth" : "serverAuth,clientAuth");
	add_sans(x, ca->cert, leaf);
	MUST(X509_sign(x, ca->key, EVP_sha256()) > 0);
	*cert = cert_pem(x);
	*key = key_pem(pkey);
	X509_free(x);
	EVP_PKEY_free(pkey);
}

struct tls_identity *pki_identity(const struct pki_ca *ca, const struct pki_leaf *leaf,
				  const struct pki_ca *roots)
{
	char *cert = NULL, *key = NULL;
	if (leaf)
		pki_issue(ca, leaf, &cert, &key);
	struct err err = {0};
	struct tls_identity *id = tls_identity_new(slice_of(cert), slice_of(key),
						   slice_of(roots ? roots->pem : NULL), &err);
	if (!id)
		fprintf(stderr, "%s\n", err.text);
	MUST(id);
	free(cert);
	free(key);
	return id;
}

struct tls_context *pki_context(enum tls_role role, struct tls_identity *id, bool verify,
				struct tls_ticket_keys *keys)
{
	struct err err = {0};
	struct tls_context *c = tls_context_new(&(struct tls_options){.role = role,
								      .identity = id,
								      .verify_peer = verify,
								      .clock_skew_s = 120,
								      .ticket_keys = keys},
						&err);
	if (!c)
		fprintf(stderr, "%s\n", err.text);
	MUST(c);
	tls_identity_put(id);
	return c;
}

void pki_write(const char *dir, const char *name, const char *text)
{
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name); /* short names of ours */
	FILE *f = fopen(path, "w");
	MUST(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

enum tls_why accept_cluster_local(void *ctx, const struct tls_peer *peer)
{
	(void)ctx;
	if (peer->n_uris == 0)
		return TLS_WHY_NO_SAN;
	if (peer->n_uris > 1)
		return TLS_WHY_MANY_SANS;
	return slice_starts(peer->uris[0], SLICE("spiffe://cluster.local/")) ? TLS_WHY_NONE
									     : TLS_WHY_WRONG_DOMAIN;
}

/* ---- pairs ------------------------------------------------------------------------------------ */

void socket_pair(int fds[2])
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
}

static void set_buffers(int fd, int bytes)
{
	if (bytes > 0)
		MUST(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0 &&
		     setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) == 0);
}

void tcp_pair(int fds[2], int buffer)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(to);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_buffers(listener, buffer); /* accepted sockets inherit them */
	MUST(listener >= 0 && bind(listener, (struct sockaddr *)&to, len) == 0 &&
	     listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&to, &len) == 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_buffers(fds[1], buffer);
	MUST(connect(fds[1], (struct sockaddr *)&to, len) == 0);
	fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	MUST(fds[0] >= 0 && fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0);
	close(listener);
}

void pair_open(struct pair *p, struct tls_context *server, struct tls_context *client,
	       const struct pair_opts *o)
{
	int fds[2];
	socket_pair(fds);
	pair_open_on(p, fds, server, client, o);
}

void pair_open_on(struct pair *p, const int fds[2], struct tls_context *server,
		  struct tls_context *client, const struct pair_opts *o)
{
	*p = (struct pair){.server_fd = fds[0], .client_fd = fds[1], .worker = tls_worker_new()};
	p->server = tls_new(server,
			    &(struct tls_start){.fd = p->server_fd,
						.worker = p->worker,
						.alpn = o->server_alpn,
						.accept_peer = o->server_accepts},
			    &p->server_err);
	p->client = tls_new(client,
			    &(struct tls_start){.fd = p->client_fd,
						.worker = p->worker,
						.alpn = o->client_alpn,
						.sni = o->sni,
						.host = o->host,
						.tickets = o->tickets,
						.accept_peer = o->client_accepts},
			    &p->client_err);
	MUST(p->server && p->client);
	p->server_result = p->client_result = TLS_WANT_READ;
}

static bool going(enum tls_result r)
{
	return r == TLS_WANT_READ || r == TLS_WANT_WRITE;
}

void pair_handshake(struct pair *p)
{
	for (int turn = 0; turn < 20; turn++) {
		if (going(p->client_result))
			p->client_result = tls_handshake(p->client, &p->client_err);
		if (going(p->server_result))
			p->server_result = tls_handshake(p->server, &p->server_err);
		/* whoever failed goes away, as a proxy would */
		if (p->server_result == TLS_FAILED)
			(void)shutdown(p->server_fd, SHUT_WR);
		if (p->client_result == TLS_FAILED)
			(void)shutdown(p->client_fd, SHUT_WR);
	}
}

void pair_close(struct pair *p)
{
	tls_free(p->server);
	tls_free(p->client);
	tls_worker_free(p->worker);
	close(p->server_fd);
	close(p->client_fd);
}

void wait_readable(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	MUST(poll(&one, 1, 10000) == 1);
}

void pair_say(struct tls *from, struct tls *to, const char *text)
{
	struct err err = {0};
	char room[256];
	size_t n = 0, len = strlen(text);
	MUST(tls_write(from, slice_of(text), &n, &err) == TLS_OK && n == len);
	wait_readable(to->start.fd);
	MUST(tls_read(to, room, sizeof(room), &n, &err) == TLS_OK && n == len);
	MUST(memcmp(room, text, len) == 0);
}
