/* OpenSSL's large blocks come from the worker, stay with it, and leave it when they are not needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/mem.h"
#include "tls/inside.h"
#include "tls/testbed.h"

static struct pki_ca *mesh;
static struct tls_context *server, *client;

static void talk(struct pair *p)
{
	pair_open(p, server, client, &(struct pair_opts){0});
	pair_handshake(p);
	assert_int_equal(p->server_result, TLS_OK);
	pair_say(p->client, p->server, "ping");
	pair_say(p->server, p->client, "pong");
}

static void kept_and_used_again(void **state)
{
	(void)state;
	struct pair p;
	talk(&p);
	unsigned kept = p.worker->n_blocks;
	if (MEM_ONE_EACH) {
		assert_int_equal(kept, 0);
		pair_close(&p);
		return;
	}
	assert_in_range(kept, 1, TLS_BLOCKS); /* no idle session holds one */
	for (int i = 0; i < 100; i++)
		pair_say(p.client, p.server, "ping");
	assert_int_equal(p.worker->n_blocks, kept);
	pair_close(&p);
}

static void given_back_when_not_needed(void **state)
{
	(void)state;
	struct pair p;
	talk(&p);
	struct tls_worker *w = p.worker;
	unsigned kept = w->n_blocks;
	(void)tls_worker_trim(w, false); /* whatever the handshake did not need all the time */
	unsigned before = w->n_blocks;
	pair_say(p.client, p.server, "one block at a time");
	assert_true(before <= kept);
	if (before > 0)
		assert_true(tls_worker_trim(w, false) > 0); /* the others were not needed */
	(void)tls_worker_trim(w, false);                    /* and now none was */
	assert_int_equal(w->n_blocks, 0);
	assert_int_equal(tls_worker_trim(w, true), 0);
	pair_say(p.client, p.server, "from malloc again");
	pair_close(&p);
}

/* More at a time than a worker keeps: a crowd in the middle of its handshakes. */
static void not_more_than_so_many(void **state)
{
	(void)state;
	enum { CROWD = TLS_BLOCKS + 20 };
	static struct tls *crowd[CROWD];
	static int fds[CROWD][2];
	struct err err = {0};
	struct tls_worker *w = tls_worker_new();
	for (int i = 0; i < CROWD; i++) {
		socket_pair(fds[i]);
		crowd[i] = tls_new(client, &(struct tls_start){.fd = fds[i][0], .worker = w}, &err);
		assert_non_null(crowd[i]);
		assert_int_equal(tls_handshake(crowd[i], &err), TLS_WANT_READ);
	}
	(void)tls_worker_trim(w, true);
	for (int i = 0; i < CROWD; i++) {
		tls_free(crowd[i]);
		close(fds[i][0]);
		close(fds[i][1]);
	}
	assert_int_equal(w->n_blocks, MEM_ONE_EACH ? 0 : TLS_BLOCKS);
	size_t given_back = tls_worker_trim(w, true);
	if (!MEM_ONE_EACH)
		assert_true(given_back >= CROWD * (size_t)TLS_RECORD_MAX);
	tls_worker_free(w);
}

static int setup(void **state)
{
	(void)state;
	static const struct pki_leaf leaf = {.uris = {"spiffe://cluster.local/ns/a/sa/b"}};
	mesh = pki_ca_new("mesh");
	server = pki_context(TLS_SERVER, pki_identity(mesh, &leaf, mesh), true, NULL);
	client = pki_context(TLS_CLIENT, pki_identity(mesh, &leaf, mesh), true, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_context_put(server);
	tls_context_put(client);
	pki_ca_free(mesh);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_and_used_again),
		cmocka_unit_test(given_back_when_not_needed),
		cmocka_unit_test(not_more_than_so_many),
	};
	tls_memory_init(); /* before OpenSSL allocates anything */
	return cmocka_run_group_tests(tests, setup, teardown);
}
