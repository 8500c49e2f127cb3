/* What an idle session costs, and a handshake that waits for its client: every allocation, ours and OpenSSL's, is counted for the side that
 * made it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tls/inside.h"
#include "tls/testbed.h"

enum { N_PAIRS = 500, PER_SESSION = 24 * 1024, PER_HANDSHAKE = 48 * 1024 };

/* What the allocator really hands out counts, and its header of 8. */
static long long live;

static void *count_malloc(size_t len, const char *file, int line)
{
	(void)file, (void)line;
	void *p = malloc(len);
	if (p)
		live += (long long)malloc_usable_size(p) + 8;
	return p;
}

static void count_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	if (p)
		live -= (long long)malloc_usable_size(p) + 8;
	free(p);
}

static void *count_realloc(void *p, size_t len, const char *file, int line)
{
	(void)file, (void)line;
	size_t before = p ? malloc_usable_size(p) + 8 : 0;
	if (len == 0) {
		count_free(p, file, line);
		return NULL;
	}
	void *q = realloc(p, len);
	if (q)
		live += (long long)malloc_usable_size(q) + 8 - (long long)before;
	return q;
}

static long long step(enum tls_result (*call)(struct tls *, struct err *), struct tls *t,
		      enum tls_result *r)
{
	struct err err = {0};
	long long before = live;
	*r = call(t, &err);
	return live - before;
}

static size_t own_bytes(const struct tls *t)
{
	return malloc_usable_size((void *)t) + 8 + (t->peer ? malloc_usable_size(t->peer) + 8 : 0) +
	       (t->offered ? malloc_usable_size(t->offered) + 8 : 0) +
	       (t->in ? malloc_usable_size(t->in) + 8 : 0) +
	       (t->out ? malloc_usable_size(t->out) + 8 : 0);
}

struct cost {
	long long server, client;
};

static struct tls_context *server, *client;
static struct tls_worker *worker;

/* Two sessions that have not begun; what they hold is added to C. */
static void new_pair(struct pair *p, struct cost *c)
{
	int fds[2];
	socket_pair(fds);
	*p = (struct pair){.server_fd = fds[0], .client_fd = fds[1]};
	long long at = live;
	p->server = tls_new(server,
			    &(struct tls_start){.fd = fds[0],
						.worker = worker,
						.accept_peer = accept_cluster_local},
			    &p->server_err);
	c->server += live - at;
	at = live;
	p->client = tls_new(client,
			    &(struct tls_start){.fd = fds[1],
						.worker = worker,
						.alpn = "istio",
						.accept_peer = accept_cluster_local},
			    &p->client_err);
	c->client += live - at;
}

/* A pair after the handshake and a word each way; what it holds then is added to C. */
static void idle_pair(struct pair *p, struct cost *c)
{
	new_pair(p, c);
	for (int turn = 0; turn < 3; turn++) {
		c->client += step(tls_handshake, p->client, &p->client_result);
		c->server += step(tls_handshake, p->server, &p->server_result);
	}
	assert_int_equal(p->client_result, TLS_OK);
	assert_int_equal(p->server_result, TLS_OK);
	long long at = live;
	pair_say(p->client, p->server, "a word");
	/* Behind a ticket; and nothing is written since, which would free what reading it took. */
	pair_say(p->server, p->client, "an answer");
	c->client += live - at; /* whosever it is: it should be nothing */
	c->server += live - at;
	c->server += (long long)own_bytes(p->server);
	c->client += (long long)own_bytes(p->client);
}

static void end_pair(struct pair *p)
{
	tls_free(p->server);
	tls_free(p->client);
	close(p->server_fd);
	close(p->client_fd);
}

static void measure(bool tls12)
{
	static struct pair pairs[N_PAIRS];
	struct cost first = {0}, c = {0};
	SSL_CTX_set_max_proto_version(client->ssl, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	idle_pair(&pairs[0], &first); /* fills caches that all share */
	end_pair(&pairs[0]);
	long long before = live;
	for (int i = 0; i < N_PAIRS; i++)
		idle_pair(&pairs[i], &c);
	printf("TLS 1.%d: an idle session holds %lld bytes as server, %lld as client\n",
	       tls12 ? 2 : 3, c.server / N_PAIRS, c.client / N_PAIRS);
	assert_true(c.server / N_PAIRS <= PER_SESSION);
	assert_true(c.client / N_PAIRS <= PER_SESSION);
	for (int i = 0; i < N_PAIRS; i++)
		end_pair(&pairs[i]);
	assert_int_equal(live, before); /* and nothing is left of them */
}

/* The client has sent its ClientHello, was answered, and says no more: OpenSSL keeps room for a whole
 * message (21 KiB) and two buffers of 4 KiB beside what an idle session has. */
static void measure_waiting(bool tls12)
{
	static struct pair pairs[N_PAIRS];
	struct cost c = {0};
	long long before = live;
	SSL_CTX_set_max_proto_version(client->ssl, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	for (int i = 0; i < N_PAIRS; i++) {
		struct pair *p = &pairs[i];
		new_pair(p, &c);
		(void)step(tls_handshake, p->client, &p->client_result);
		c.server += step(tls_handshake, p->server, &p->server_result);
		c.server += (long long)own_bytes(p->server);
		assert_int_equal(p->server_result, TLS_WANT_READ);
	}
	printf("TLS 1.%d: a handshake that waits holds %lld bytes as server\n", tls12 ? 2 : 3,
	       c.server / N_PAIRS);
	assert_true(c.server / N_PAIRS <= PER_HANDSHAKE);
	for (int i = 0; i < N_PAIRS; i++)
		end_pair(&pairs[i]);
	assert_int_equal(live, before);
}

static void idle_sessions(void **state)
{
	(void)state;
	struct err err = {0};
	struct pki_ca *mesh = pki_ca_new("mesh");
	struct pki_leaf leaf = {.uris = {"spiffe://cluster.local/ns/a/sa/b"}};
	struct tls_ticket_keys *keys = tls_ticket_keys_new(&err);
	server = pki_context(TLS_SERVER, pki_identity(mesh, &leaf, mesh), true, keys);
	client = pki_context(TLS_CLIENT, pki_identity(mesh, &leaf, mesh), true, NULL);
	worker = tls_worker_new();
	measure(false);
	measure(true);
	measure_waiting(false);
	measure_waiting(true);
	tls_worker_free(worker);
	tls_context_put(server);
	tls_context_put(client);
	tls_ticket_keys_put(keys);
	pki_ca_free(mesh);
}

int main(void)
{
	/* before OpenSSL allocates anything */
	if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
		return 1;
	const struct CMUnitTest tests[] = {cmocka_unit_test(idle_sessions)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
