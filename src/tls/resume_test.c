/* Tickets: who may resume what, under which key, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "tls/inside.h"
#include "tls/testbed.h"

static struct pki_ca *mesh, *other;
static struct tls_ticket_keys *keys;
static const struct pki_leaf leaf = {.uris = {"spiffe://cluster.local/ns/a/sa/b"}};

static struct tls_context *server_of(const struct pki_ca *roots)
{
	return pki_context(TLS_SERVER, pki_identity(mesh, &leaf, roots), true, keys);
}

static struct tls_context *client_with(const struct pki_leaf *l, bool tls12)
{
	struct tls_context *c = pki_context(TLS_CLIENT, pki_identity(mesh, l, mesh), true, NULL);
	if (tls12)
		SSL_CTX_set_max_proto_version(c->ssl, TLS1_2_VERSION);
	return c;
}

/* One connection with a word each way; whether it was resumed. */
static bool connect_once(struct tls_context *server, struct tls_context *client,
			 struct pair_opts *o)
{
	struct pair p;
	struct tls_facts s, c;
	pair_open(&p, server, client, o);
	pair_handshake(&p);
	assert_int_equal(p.server_result, TLS_OK);
	assert_int_equal(p.client_result, TLS_OK);
	pair_say(p.client, p.server, "ping");
	pair_say(p.server, p.client, "pong");
	tls_facts_of(p.server, &s);
	tls_facts_of(p.client, &c);
	assert_int_equal(s.resumed, c.resumed);
	/* the peer is known either way */
	assert_true(slice_is(tls_peer_of(p.server)->uris[0], leaf.uris[0]));
	assert_true(slice_is(tls_peer_of(p.client)->uris[0], leaf.uris[0]));
	pair_close(&p);
	return s.resumed;
}

static void rotate(unsigned times)
{
	struct err err = {0};
	while (times-- > 0)
		assert_true(tls_ticket_keys_rotate(keys, &err));
}

static void again_and_again(void **state)
{
	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		struct tls_context *server = server_of(mesh), *client = client_with(&leaf, tls12);
		struct tls_tickets *tickets = tls_tickets_new();
		struct pair_opts o = {.tickets = tickets,
				      .server_alpn = "h2",
				      .client_alpn = "h2",
				      .server_accepts = accept_cluster_local,
				      .client_accepts = accept_cluster_local};
		assert_false(tls_tickets_ready(tickets));
		assert_false(connect_once(server, client, &o));
		assert_true(tls_tickets_ready(tickets));
		for (int i = 0; i < 5; i++)
			assert_true(connect_once(server, client, &o));
		/* another worker's context, or one made for a new certificate of ours */
		struct tls_context *renewed = server_of(mesh);
		assert_true(connect_once(renewed, client, &o));
		tls_context_put(renewed);
		tls_tickets_free(tickets);
		tls_context_put(server);
		tls_context_put(client);
	}
}

static void keys_rotate(void **state)
{
	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		struct tls_context *server = server_of(mesh), *client = client_with(&leaf, tls12);
		struct tls_tickets *tickets = tls_tickets_new();
		struct pair_opts o = {.tickets = tickets};
		struct pair live; /* while sessions live: they do not notice */
		pair_open(&live, server, client, &(struct pair_opts){0});
		pair_handshake(&live);
		assert_false(connect_once(server, client, &o));
		rotate(TLS_TICKET_KEYS - 1);
		assert_true(connect_once(server, client, &o)); /* old, and renewed by this */
		rotate(TLS_TICKET_KEYS - 1);
		assert_true(connect_once(server, client, &o));
		rotate(TLS_TICKET_KEYS);
		assert_false(connect_once(server, client, &o)); /* gone: the long way */
		assert_true(connect_once(server, client, &o));
		pair_say(live.client, live.server, "still here");
		pair_close(&live);
		tls_tickets_free(tickets);
		tls_context_put(server);
		tls_context_put(client);
	}
}

static void not_across_roots(void **state)
{
	(void)state;
	struct tls_context *server = server_of(mesh), *client = client_with(&leaf, false);
	struct tls_tickets *tickets = tls_tickets_new();
	struct pair_opts o = {.tickets = tickets};
	assert_false(connect_once(server, client, &o));
	/* the same keys, but this one trusts somebody else: the client must be judged again */
	struct tls_context *elsewhere = server_of(other);
	struct pair p;
	pair_open(&p, elsewhere, client, &o);
	pair_handshake(&p);
	assert_int_equal(tls_why(p.server), TLS_WHY_WRONG_ROOT);
	pair_close(&p);
	tls_context_put(elsewhere);
	tls_tickets_free(tickets);
	tls_context_put(server);
	tls_context_put(client);
}

static bool welcome;
static enum tls_why accept_if_welcome(void *ctx, const struct tls_peer *peer)
{
	(void)ctx, (void)peer;
	return welcome ? TLS_WHY_NONE : TLS_WHY_WRONG_DOMAIN;
}

static void not_when_unwelcome(void **state)
{
	(void)state;
	struct tls_context *server = server_of(mesh), *client = client_with(&leaf, false);
	struct tls_tickets *tickets = tls_tickets_new();
	struct pair_opts o = {.tickets = tickets, .server_accepts = accept_if_welcome};
	struct pair p;
	welcome = true;
	assert_false(connect_once(server, client, &o));
	assert_true(connect_once(server, client, &o));
	welcome = false; /* the server's mind changes */
	pair_open(&p, server, client, &o);
	pair_handshake(&p);
	assert_int_equal(tls_why(p.server), TLS_WHY_WRONG_DOMAIN);
	pair_close(&p);
	welcome = true; /* or the client's */
	o.client_accepts = accept_if_welcome;
	o.server_accepts = NULL;
	assert_true(connect_once(server, client, &o));
	welcome = false;
	pair_open(&p, server, client, &o);
	pair_handshake(&p);
	assert_int_equal(tls_why(p.client), TLS_WHY_WRONG_DOMAIN);
	pair_close(&p);
	tls_tickets_free(tickets);
	tls_context_put(server);
	tls_context_put(client);
}

static enum tls_why accept_other(void *ctx, const struct tls_peer *peer)
{
	(void)ctx;
	return peer->n_uris && slice_is(peer->uris[0], "spiffe://cluster.local/ns/a/sa/other")
		       ? TLS_WHY_NONE
		       : TLS_WHY_WRONG_SAN;
}

/* Two servers of one operator behind one address: a ticket of one is no ticket for the other. */
static void not_with_another_server(void **state)
{
	(void)state;
	static const struct pki_leaf other_leaf = {
		.uris = {"spiffe://cluster.local/ns/a/sa/other"}};
	for (int tls12 = 0; tls12 < 2; tls12++) {
		struct tls_context *one = server_of(mesh), *client = client_with(&leaf, tls12);
		struct tls_context *two =
			pki_context(TLS_SERVER, pki_identity(mesh, &other_leaf, mesh), true, keys);
		struct tls_tickets *tickets = tls_tickets_new();
		struct pair_opts o = {.tickets = tickets};
		struct tls_facts facts;
		struct pair p;
		assert_false(connect_once(one, client, &o));
		o.client_accepts = accept_other;
		pair_open(&p, two, client, &o);
		pair_handshake(&p);
		assert_int_equal(p.client_result, TLS_OK);
		tls_facts_of(p.client, &facts);
		assert_false(facts.resumed);
		assert_true(slice_is(tls_peer_of(p.client)->uris[0], other_leaf.uris[0]));
		pair_close(&p);
		tls_tickets_free(tickets);
		tls_context_put(one);
		tls_context_put(two);
		tls_context_put(client);
	}
}

/* A ticket is no way to outlive a certificate. */
static void not_past_the_certificate(void **state)
{
	(void)state;
	struct pki_leaf ending = leaf;
	ending.from_s = -3600;
	ending.to_s = -60; /* has ended; alive by the tolerance alone */
	struct tls_context *server = server_of(mesh), *client = client_with(&ending, false);
	struct tls_tickets *tickets = tls_tickets_new();
	struct pair_opts o = {.tickets = tickets};
	struct pair p;
	assert_false(connect_once(server, client, &o));
	assert_true(connect_once(server, client, &o));
	server->clock_skew_s = 10; /* as if 50 seconds and more had gone by */
	pair_open(&p, server, client, &o);
	pair_handshake(&p);
	assert_int_equal(tls_why(p.server), TLS_WHY_EXPIRED);
	pair_close(&p);
	tls_context_put(server);
	tls_context_put(client);
	/* the other way round: the server's has ended */
	server = pki_context(TLS_SERVER, pki_identity(mesh, &ending, mesh), true, keys);
	client = client_with(&leaf, false);
	assert_false(connect_once(server, client, &o));
	assert_true(connect_once(server, client, &o));
	client->clock_skew_s = 10;
	pair_open(&p, server, client, &o);
	assert_false(tls_tickets_ready(tickets));
	pair_handshake(&p);
	assert_int_equal(tls_why(p.client), TLS_WHY_EXPIRED);
	pair_close(&p);
	tls_tickets_free(tickets);
	tls_context_put(server);
	tls_context_put(client);
}

static void not_with_another_identity_of_ours(void **state)
{
	(void)state;
	struct tls_context *server = server_of(mesh), *client = client_with(&leaf, false);
	struct tls_tickets *tickets = tls_tickets_new();
	struct pair_opts o = {.tickets = tickets};
	assert_false(connect_once(server, client, &o));
	struct tls_context *renewed = client_with(&leaf, false);
	assert_false(connect_once(server, renewed, &o));
	assert_true(connect_once(server, renewed, &o));
	tls_context_put(renewed);
	tls_tickets_free(tickets);
	tls_context_put(server);
	tls_context_put(client);
}

static void no_keys_no_tickets(void **state)
{
	(void)state;
	struct tls_context *server =
		pki_context(TLS_SERVER, pki_identity(mesh, &leaf, mesh), true, NULL);
	struct tls_context *client = client_with(&leaf, false);
	struct tls_tickets *tickets = tls_tickets_new();
	struct pair_opts o = {.tickets = tickets};
	assert_false(connect_once(server, client, &o));
	assert_false(tls_tickets_ready(tickets));
	tls_tickets_free(tickets);
	tls_context_put(server);
	tls_context_put(client);
}

/* Whoever came without a certificate resumes without one, but only where none is demanded. */
static void none_resumes_where_none_is_demanded(void **state)
{
	(void)state;
	struct err err = {0};
	struct tls_identity *id = pki_identity(mesh, &leaf, mesh);
	struct tls_context *lenient = tls_context_new(&(struct tls_options){.role = TLS_SERVER,
									    .identity = id,
									    .verify_peer = true,
									    .peer_optional = true,
									    .ticket_keys = keys},
						      &err);
	struct tls_context *strict = server_of(mesh), *client = client_with(NULL, false);
	struct tls_context *servers[] = {lenient, lenient, strict};
	struct tls_tickets *tickets = tls_tickets_new();
	for (size_t i = 0; i < N_ELEMS(servers); i++) {
		struct pair p;
		struct tls_facts facts;
		pair_open(&p, servers[i], client, &(struct pair_opts){.tickets = tickets});
		pair_handshake(&p);
		if (servers[i] == strict) {
			assert_int_equal(tls_why(p.server), TLS_WHY_NO_CERT);
		} else {
			assert_int_equal(p.server_result, TLS_OK);
			pair_say(p.server, p.client, "a ticket, and this");
			tls_facts_of(p.server, &facts);
			assert_int_equal(facts.resumed, i == 1);
			assert_null(tls_peer_of(p.server));
		}
		pair_close(&p);
	}
	tls_tickets_free(tickets);
	tls_context_put(lenient);
	tls_context_put(strict);
	tls_context_put(client);
	tls_identity_put(id);
}

/* Tickets of TLS 1.3 cross the wire in clear. Somebody who has seen one presents it together with
 * a suite that it does not fit, and no certificate: the handshake takes the long way, where he is
 * nobody. */
static void no_name_from_a_ticket_that_is_not_used(void **state)
{
	(void)state;
	struct err err = {0};
	struct tls_identity *id = pki_identity(mesh, &leaf, mesh);
	struct tls_context *lenient = tls_context_new(&(struct tls_options){.role = TLS_SERVER,
									    .identity = id,
									    .verify_peer = true,
									    .peer_optional = true,
									    .ticket_keys = keys},
						      &err);
	struct tls_context *client = client_with(&leaf, false), *thief = client_with(NULL, false);
	struct tls_tickets *tickets = tls_tickets_new();
	struct pair_opts o = {.tickets = tickets};
	struct pair p;
	struct tls_facts facts;
	assert_false(connect_once(lenient, client, &o));
	assert_true(connect_once(lenient, client, &o));
	tickets->context = thief->serial;
	assert_int_equal(SSL_CTX_set_ciphersuites(thief->ssl, "TLS_AES_256_GCM_SHA384"), 1);
	pair_open(&p, lenient, thief, &o);
	assert_true(tls_tickets_ready(tickets));
	pair_handshake(&p);
	assert_int_equal(p.server_result, TLS_OK);
	tls_facts_of(p.server, &facts);
	assert_false(facts.resumed);
	assert_null(tls_peer_of(p.server));
	pair_close(&p);
	tls_tickets_free(tickets);
	tls_context_put(lenient);
	tls_context_put(client);
	tls_context_put(thief);
	tls_identity_put(id);
}

static int setup(void **state)
{
	(void)state;
	struct err err = {0};
	mesh = pki_ca_new("mesh");
	other = pki_ca_new("other");
	keys = tls_ticket_keys_new(&err);
	return keys ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	tls_ticket_keys_put(keys);
	pki_ca_free(mesh);
	pki_ca_free(other);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(again_and_again),
		cmocka_unit_test(keys_rotate),
		cmocka_unit_test(not_across_roots),
		cmocka_unit_test(not_when_unwelcome),
		cmocka_unit_test(not_with_another_server),
		cmocka_unit_test(not_past_the_certificate),
		cmocka_unit_test(not_with_another_identity_of_ours),
		cmocka_unit_test(no_keys_no_tickets),
		cmocka_unit_test(none_resumes_where_none_is_demanded),
		cmocka_unit_test(no_name_from_a_ticket_that_is_not_used),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
