/* Sessions and tickets with names instead of certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tls/inside.h"
#include "tls/testbed.h"

static void same_peer(const struct tls_peer *a, const struct tls_peer *b)
{
	assert_int_equal(a->n_uris, b->n_uris);
	assert_int_equal(a->n_dns, b->n_dns);
	for (unsigned i = 0; i < a->n_uris; i++)
		assert_true(slice_eq(a->uris[i], b->uris[i]));
	for (unsigned i = 0; i < a->n_dns; i++)
		assert_true(slice_eq(a->dns[i], b->dns[i]));
	assert_int_equal(a->sans_dropped, b->sans_dropped);
	assert_true(slice_eq(a->subject, b->subject));
	assert_memory_equal(a->sha256, b->sha256, sizeof(a->sha256));
	assert_int_equal(a->not_after_s, b->not_after_s);
}

static struct tls_peer example(void)
{
	struct tls_peer p = {.n_uris = TLS_MAX_SANS,
			     .n_dns = 1,
			     .dns = {SLICE("")},
			     .sans_dropped = true,
			     .subject = SLICE("CN=w,O=shop"),
			     .sha256 = {1, 2, 0xff},
			     .not_after_s = INT64_C(0x123456789a)};
	for (unsigned i = 0; i < TLS_MAX_SANS; i++)
		p.uris[i] = SLICE("spiffe://cluster.local/ns/a/sa/b");
	return p;
}

static void packed_and_unpacked(void **state)
{
	(void)state;
	struct tls_peer p = example(), nobody = {0};
	const struct tls_peer *peers[] = {&p, &nobody};
	for (size_t i = 0; i < N_ELEMS(peers); i++) {
		struct buf b;
		buf_init(&b, 4096);
		tls_peer_pack(peers[i], &b);
		assert_false(b.full);
		struct tls_peer *again = tls_peer_unpack(buf_slice(&b));
		assert_non_null(again);
		same_peer(peers[i], again);
		free(again);
		for (size_t cut = 0; cut < buf_len(&b); cut++)
			assert_null(tls_peer_unpack(slice_sub(buf_slice(&b), 0, cut)));
		(void)buf_putc(&b, 0);
		assert_null(tls_peer_unpack(buf_slice(&b))); /* one byte too many */
		buf_fini(&b);
	}
}

static void what_was_not_packed_by_us(void **state)
{
	(void)state;
	struct tls_peer p = {.n_uris = 1, .uris = {SLICE("u")}};
	struct buf b;
	buf_init(&b, 4096);
	tls_peer_pack(&p, &b);
	b.bytes[0] = 2; /* of another version */
	assert_null(tls_peer_unpack(buf_slice(&b)));
	b.bytes[0] = 1;
	b.bytes[1 + 1 + 8 + 32 + 2] = TLS_MAX_SANS + 1; /* more than there is room for */
	assert_null(tls_peer_unpack(buf_slice(&b)));
	buf_fini(&b);
}

static void pair_of(struct pair *p, struct tls_context *server, struct tls_context *client,
		    struct tls_tickets *tickets, bool resumed)
{
	struct tls_facts facts;
	pair_open(p, server, client, &(struct pair_opts){.tickets = tickets});
	pair_handshake(p);
	assert_int_equal(p->server_result, TLS_OK);
	pair_say(p->client, p->server, "ping");
	pair_say(p->server, p->client, "pong");
	tls_facts_of(p->server, &facts);
	assert_int_equal(facts.resumed, resumed);
}

/* The server knows its client by everything that the certificate said, and has no certificate. */
static void known_without_certificate(void **state)
{
	(void)state;
	struct err err = {0};
	struct pki_ca *mesh = pki_ca_new("mesh");
	struct tls_ticket_keys *keys = tls_ticket_keys_new(&err);
	static const struct pki_leaf leaf = {
		.uris = {"spiffe://cluster.local/ns/a/sa/b", "spiffe://old/ns/a/sa/b"},
		.dns = "b.a.svc",
		.subject = "b"};
	for (int tls12 = 0; tls12 < 2; tls12++) {
		struct tls_context *server =
			pki_context(TLS_SERVER, pki_identity(mesh, &leaf, mesh), true, keys);
		struct tls_context *client =
			pki_context(TLS_CLIENT, pki_identity(mesh, &leaf, mesh), true, NULL);
		SSL_CTX_set_max_proto_version(client->ssl, tls12 ? TLS1_2_VERSION : TLS1_3_VERSION);
		struct tls_tickets *tickets = tls_tickets_new();
		struct pair full, again[3];
		pair_of(&full, server, client, tickets, false);
		assert_null(SSL_get0_peer_certificate(full.server->ssl));
		assert_int_equal(tls_peer_of(full.server)->n_uris, 2);
		assert_true(slice_is(tls_peer_of(full.server)->subject, "CN=b"));
		for (size_t i = 0; i < N_ELEMS(again); i++) {
			pair_of(&again[i], server, client, tickets, true);
			assert_null(SSL_get0_peer_certificate(again[i].server->ssl));
			same_peer(tls_peer_of(full.server), tls_peer_of(again[i].server));
			pair_close(&again[i]);
		}
		pair_close(&full);
		tls_tickets_free(tickets);
		tls_context_put(server);
		tls_context_put(client);
	}
	tls_ticket_keys_put(keys);
	pki_ca_free(mesh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_and_unpacked),
		cmocka_unit_test(what_was_not_packed_by_us),
		cmocka_unit_test(known_without_certificate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
