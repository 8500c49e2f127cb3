/* One identity, one set of ticket keys and the contexts made of them, under all workers at once,
 * while a main thread renews all three. Meant for ThreadSanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls/inside.h"
#include "tls/testbed.h"

enum { N_WORKERS = 3, N_CONNECTIONS = 60 };

/* What main hands to workers; they take a reference under the lock, as by a message. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tls_context *server, *client;
static struct tls_ticket_keys *keys;
static struct pki_ca *mesh;
static _Atomic int n_resumed, n_done;

static void *work(void *arg)
{
	struct tls_tickets *tickets = tls_tickets_new();
	for (int i = 0; i < N_CONNECTIONS; i++) {
		(void)pthread_mutex_lock(&lock);
		struct tls_context *s = tls_context_get(server), *c = tls_context_get(client);
		(void)pthread_mutex_unlock(&lock);
		struct pair p;
		struct tls_facts f;
		pair_open(&p, s, c, &(struct pair_opts){.tickets = tickets});
		tls_context_put(s); /* the session keeps it */
		tls_context_put(c);
		pair_handshake(&p);
		MUST(p.server_result == TLS_OK && p.client_result == TLS_OK);
		pair_say(p.client, p.server, "ping");
		pair_say(p.server, p.client, "pong");
		tls_facts_of(p.server, &f);
		n_resumed += f.resumed;
		pair_close(&p);
	}
	tls_tickets_free(tickets);
	n_done++;
	return arg;
}

static void renew(void)
{
	struct err err = {0};
	struct pki_leaf leaf = {.uris = {"spiffe://cluster.local/ns/a/sa/b"}};
	struct tls_identity *id = pki_identity(mesh, &leaf, mesh);
	struct tls_context *s = pki_context(TLS_SERVER, tls_identity_get(id), true, keys);
	struct tls_context *c = pki_context(TLS_CLIENT, id, true, NULL);
	(void)pthread_mutex_lock(&lock);
	tls_context_put(server);
	tls_context_put(client);
	server = s;
	client = c;
	(void)pthread_mutex_unlock(&lock);
	MUST(tls_ticket_keys_rotate(keys, &err));
}

static void workers_and_renewals(void **state)
{
	(void)state;
	struct err err = {0};
	pthread_t thread[N_WORKERS];
	mesh = pki_ca_new("mesh");
	keys = tls_ticket_keys_new(&err);
	renew();
	for (int i = 0; i < N_WORKERS; i++)
		MUST(pthread_create(&thread[i], NULL, work, NULL) == 0);
	while (n_done < N_WORKERS)
		renew();
	for (int i = 0; i < N_WORKERS; i++)
		MUST(pthread_join(thread[i], NULL) == 0);
	printf("%d of %d resumed\n", n_resumed, N_WORKERS * N_CONNECTIONS);
	tls_context_put(server);
	tls_context_put(client);
	tls_ticket_keys_put(keys);
	pki_ca_free(mesh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(workers_and_renewals)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
