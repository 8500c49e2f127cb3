/* Who may shake hands with whom: one row, one thing wrong, on TLS 1.3 and on TLS 1.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tls/inside.h"
#include "tls/testbed.h"

static struct pki_ca *mesh, *foreign, *namesake;

#define WEB "spiffe://cluster.local/ns/a/sa/web"
static const struct pki_leaf good = {.uris = {WEB}};

enum issuer { MESH, FOREIGN, NAMESAKE, NOBODY };

struct side {
	enum issuer issuer;
	struct pki_leaf leaf;
};

static struct tls_identity *identity_of(const struct side *s)
{
	struct pki_ca *const cas[] = {mesh, foreign, namesake};
	struct pki_leaf leaf = s->leaf;
	if (!leaf.uris[0] && !leaf.subject)
		leaf.uris[0] = WEB;
	if (s->issuer == NOBODY)
		return pki_identity(NULL, NULL, mesh);
	return pki_identity(cas[s->issuer], &leaf, mesh);
}

#define NO_URI .subject = "no san" /* a subject, so that the fixture puts no SAN of its own */

static const struct {
	const char *rule;
	struct side server, client;
	enum tls_why server_why, client_why, client_why12; /* 12: 0 is as in 1.3 */
} cases[] = {
	{"both of the mesh", {0}, {0}, 0, 0, 0},
	{"client without a certificate",
	 {0},
	 {.issuer = NOBODY},
	 TLS_WHY_NO_CERT,
	 TLS_WHY_PEER_NO_CERT,
	 TLS_WHY_PEER_NO_CERT},
	{"client of a foreign root",
	 {0},
	 {.issuer = FOREIGN},
	 TLS_WHY_WRONG_ROOT,
	 TLS_WHY_PEER_WRONG_ROOT,
	 0},
	{"client of a foreign root with our root's name",
	 {0},
	 {.issuer = NAMESAKE},
	 TLS_WHY_WRONG_ROOT,
	 TLS_WHY_PEER_REFUSED,
	 0},
	{"client expired",
	 {0},
	 {MESH, {.from_s = -7200, .to_s = -600}},
	 TLS_WHY_EXPIRED,
	 TLS_WHY_PEER_EXPIRED,
	 0},
	{"client expired within the skew", {0}, {MESH, {.from_s = -7200, .to_s = -60}}, 0, 0, 0},
	{"client not yet valid",
	 {0},
	 {MESH, {.from_s = 600, .to_s = 7200}},
	 TLS_WHY_NOT_YET_VALID,
	 TLS_WHY_PEER_BAD_CERT,
	 0},
	{"client not yet valid within the skew",
	 {0},
	 {MESH, {.from_s = 60, .to_s = 7200}},
	 0,
	 0,
	 0},
	{"client with no SAN", {0}, {MESH, {NO_URI}}, TLS_WHY_NO_SAN, TLS_WHY_PEER_BAD_CERT, 0},
	{"client with a DNS SAN alone",
	 {0},
	 {MESH, {NO_URI, .dns = "web.a"}},
	 TLS_WHY_NO_SAN,
	 TLS_WHY_PEER_BAD_CERT,
	 0},
	{"client with two SANs",
	 {0},
	 {MESH, {.uris = {WEB, "spiffe://cluster.local/ns/b/sa/c"}}},
	 TLS_WHY_MANY_SANS,
	 TLS_WHY_PEER_BAD_CERT,
	 0},
	{"client of another trust domain",
	 {0},
	 {MESH, {.uris = {"spiffe://other/ns/a/sa/web"}}},
	 TLS_WHY_WRONG_DOMAIN,
	 TLS_WHY_PEER_BAD_CERT,
	 0},
	{"client whose trust domain begins as ours",
	 {0},
	 {MESH, {.uris = {"spiffe://cluster.localhost/ns/a/sa/web"}}},
	 TLS_WHY_WRONG_DOMAIN,
	 TLS_WHY_PEER_BAD_CERT,
	 0},
	{"client with a server's certificate",
	 {0},
	 {MESH, {.server_only = true}},
	 TLS_WHY_BAD_CERT,
	 TLS_WHY_PEER_BAD_CERT,
	 0},
	{"client with RSA 2048", {0}, {MESH, {.rsa2048 = true}}, 0, 0, 0},
	{"server with RSA 2048", {MESH, {.rsa2048 = true}}, {0}, 0, 0, 0},
	{"server of a foreign root",
	 {.issuer = FOREIGN},
	 {0},
	 TLS_WHY_PEER_WRONG_ROOT,
	 TLS_WHY_WRONG_ROOT,
	 0},
	{"server expired",
	 {MESH, {.from_s = -7200, .to_s = -600}},
	 {0},
	 TLS_WHY_PEER_EXPIRED,
	 TLS_WHY_EXPIRED,
	 0},
	{"server expired within the skew", {MESH, {.from_s = -7200, .to_s = -60}}, {0}, 0, 0, 0},
	{"server with no SAN", {MESH, {NO_URI}}, {0}, TLS_WHY_PEER_BAD_CERT, TLS_WHY_NO_SAN, 0},
	{"server of another trust domain",
	 {MESH, {.uris = {"spiffe://other/ns/a/sa/db"}}},
	 {0},
	 TLS_WHY_PEER_BAD_CERT,
	 TLS_WHY_WRONG_DOMAIN,
	 0},
};

/* A client of TLS 1.3 is done before the server has judged it: the verdict comes with a read. */
static enum tls_why client_learns(struct pair *p)
{
	char room[64];
	size_t n;
	if (p->client_result == TLS_OK && p->server_result == TLS_FAILED)
		p->client_result = tls_read(p->client, room, sizeof(room), &n, &p->client_err);
	return tls_why(p->client);
}

static void check_row(size_t i, bool tls12)
{
	struct tls_context *server =
		pki_context(TLS_SERVER, identity_of(&cases[i].server), true, NULL);
	struct tls_context *client =
		pki_context(TLS_CLIENT, identity_of(&cases[i].client), true, NULL);
	if (tls12)
		SSL_CTX_set_max_proto_version(client->ssl, TLS1_2_VERSION);
	struct pair p;
	pair_open(&p, server, client,
		  &(struct pair_opts){.server_accepts = accept_cluster_local,
				      .client_accepts = accept_cluster_local});
	pair_handshake(&p);
	enum tls_why want =
		tls12 && cases[i].client_why12 ? cases[i].client_why12 : cases[i].client_why;
	enum tls_why client_why = client_learns(&p);
	if (tls_why(p.server) != cases[i].server_why || client_why != want)
		fail_msg("%s, TLS 1.%d: server %s [%s], client %s [%s]", cases[i].rule,
			 tls12 ? 2 : 3, tls_why_label(tls_why(p.server)), p.server_err.text,
			 tls_why_label(client_why), p.client_err.text);
	if (want == TLS_WHY_NONE) {
		struct tls_facts f;
		tls_facts_of(p.server, &f);
		assert_string_equal(f.version, tls12 ? "TLSv1.2" : "TLSv1.3");
		assert_false(f.resumed);
		pair_say(p.client, p.server, "ping");
		pair_say(p.server, p.client, "pong");
	} else {
		assert_true(strlen(p.server_err.text) > 0 && strlen(p.client_err.text) > 0);
	}
	pair_close(&p);
	tls_context_put(server);
	tls_context_put(client);
}

static void outcomes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(cases); i++) {
		check_row(i, false);
		check_row(i, true);
	}
}

static void alpn(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *server, *client, *selected;
	} rows[] = {
		{"nobody speaks of it", NULL, NULL, ""},
		{"the server's order counts", "h2,http/1.1", "http/1.1,h2", "h2"},
		{"one in common", "h2,http/1.1", "istio-http/1.1,istio,http/1.1", "http/1.1"},
		{"istio's TCP list against a server without peer exchange", "h2,http/1.1",
		 "istio-peer-exchange,istio", ""},
		{"istio is never selected", "h2,http/1.1", "istio", ""},
		{"nothing in common goes on without", "h2", "foo", ""},
		{"the client offers nothing", "h2,http/1.1", NULL, ""},
		{"the server wants nothing", NULL, "h2", ""},
	};
	struct tls_context *server =
		pki_context(TLS_SERVER, pki_identity(mesh, &good, mesh), true, NULL);
	struct tls_context *client =
		pki_context(TLS_CLIENT, pki_identity(mesh, &good, mesh), true, NULL);
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct pair p;
		pair_open(
			&p, server, client,
			&(struct pair_opts){.server_alpn = rows[i].server,
					    .client_alpn = rows[i].client,
					    .sni = "outbound_.3306_._.db.shop.svc.cluster.local"});
		pair_handshake(&p);
		assert_int_equal(p.server_result, TLS_OK);
		assert_int_equal(p.client_result, TLS_OK);
		struct tls_facts s, c;
		tls_facts_of(p.server, &s);
		tls_facts_of(p.client, &c);
		if (!slice_is(s.alpn, rows[i].selected) || !slice_is(c.alpn, rows[i].selected))
			fail_msg("%s: %.*s", rows[i].rule, SLICE_FMT(s.alpn));
		assert_string_equal(s.offered, rows[i].client ? rows[i].client : "");
		assert_string_equal(s.sni, "outbound_.3306_._.db.shop.svc.cluster.local");
		pair_close(&p);
	}
	tls_context_put(server);
	tls_context_put(client);
}

static void peer_is_described(void **state)
{
	(void)state;
	struct pki_leaf leaf = {.uris = {WEB}, .dns = "web.a.svc", .subject = "web"};
	struct tls_context *server =
		pki_context(TLS_SERVER, pki_identity(mesh, &good, mesh), true, NULL);
	struct tls_context *client =
		pki_context(TLS_CLIENT, pki_identity(mesh, &leaf, mesh), true, NULL);
	struct pair p;
	pair_open(&p, server, client, &(struct pair_opts){0});
	assert_null(tls_peer_of(p.server));
	pair_handshake(&p);
	const struct tls_peer *peer = tls_peer_of(p.server);
	assert_non_null(peer);
	assert_int_equal(peer->n_uris, 1);
	assert_true(slice_is(peer->uris[0], WEB));
	assert_int_equal(peer->n_dns, 1);
	assert_true(slice_is(peer->dns[0], "web.a.svc"));
	assert_true(slice_is(peer->subject, "CN=web"));
	assert_true(peer->not_after_s > time(NULL) + 23 * 3600);
	assert_false(peer->sans_dropped);
	pair_close(&p);
	tls_context_put(server);
	tls_context_put(client);
}

static void host_is_checked(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *host;
		enum tls_why why;
	} rows[] = {
		{"the name itself", "istiod.istio-system.svc", TLS_WHY_NONE},
		{"another name", "istiod.other.svc", TLS_WHY_WRONG_HOST},
		{"a suffix is not it", "istio-system.svc", TLS_WHY_WRONG_HOST},
	};
	struct pki_leaf leaf = {.dns = "istiod.istio-system.svc", .subject = "istiod"};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct tls_context *server =
			pki_context(TLS_SERVER, pki_identity(mesh, &leaf, NULL), false, NULL);
		struct tls_context *client =
			pki_context(TLS_CLIENT, pki_identity(NULL, NULL, mesh), true, NULL);
		struct pair p;
		pair_open(&p, server, client, &(struct pair_opts){.host = rows[i].host});
		pair_handshake(&p);
		if (tls_why(p.client) != rows[i].why)
			fail_msg("%s: %s", rows[i].rule, p.client_err.text);
		pair_close(&p);
		tls_context_put(server);
		tls_context_put(client);
	}
}

static void several_roots_and_an_intermediate(void **state)
{
	(void)state;
	struct pki_ca *under = pki_intermediate(foreign, "under");
	char *cert, *key, text[8192], roots[8192];
	pki_issue(under, &good, &cert, &key);
	/* the root at the end of the chain, as Istio's CA answers, is not sent */
	(void)snprintf(text, sizeof(text), "%s%s%s", cert, under->pem, foreign->pem);
	(void)snprintf(roots, sizeof(roots), "%s%s", mesh->pem, foreign->pem);
	struct err err = {0};
	struct tls_identity *id =
		tls_identity_new(slice_of(text), slice_of(key), slice_of(roots), &err);
	assert_non_null(id);
	assert_int_equal(sk_X509_num(id->chain), 1);
	assert_int_equal(sk_X509_num(id->roots), 2);
	struct tls_context *server = pki_context(TLS_SERVER, id, true, NULL);
	struct tls_context *client =
		pki_context(TLS_CLIENT, pki_identity(mesh, &good, foreign), true, NULL);
	struct pair p;
	pair_open(&p, server, client, &(struct pair_opts){0});
	pair_handshake(&p);
	assert_int_equal(p.server_result, TLS_OK);
	assert_int_equal(p.client_result, TLS_OK);
	pair_close(&p);
	tls_context_put(server);
	tls_context_put(client);
	/* an intermediate as the only anchor is enough */
	server = pki_context(TLS_SERVER, pki_identity(under, &good, mesh), true, NULL);
	client = pki_context(TLS_CLIENT, pki_identity(mesh, &good, under), true, NULL);
	pair_open(&p, server, client, &(struct pair_opts){0});
	pair_handshake(&p);
	assert_int_equal(p.client_result, TLS_OK);
	pair_close(&p);
	tls_context_put(server);
	tls_context_put(client);
	pki_ca_free(under);
	free(cert);
	free(key);
}

static void versions_and_ciphers(void **state)
{
	(void)state;
	struct err err = {0};
	struct tls_identity *id = pki_identity(mesh, &good, mesh);
	struct tls_context *strict = tls_context_new(
		&(struct tls_options){.role = TLS_SERVER, .identity = id, .min_tls13 = true}, &err);
	struct tls_context *narrow =
		tls_context_new(&(struct tls_options){.role = TLS_SERVER,
						      .identity = id,
						      .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384"},
				&err);
	assert_true(strict && narrow);
	assert_null(tls_context_new(
		&(struct tls_options){.role = TLS_SERVER, .identity = id, .ciphers = "NONSENSE"},
		&err));
	struct tls_context *client =
		pki_context(TLS_CLIENT, pki_identity(NULL, NULL, mesh), true, NULL);
	SSL_CTX_set_max_proto_version(client->ssl, TLS1_2_VERSION);
	struct pair p;
	pair_open(&p, strict, client, &(struct pair_opts){0});
	pair_handshake(&p);
	assert_int_equal(tls_why(p.server), TLS_WHY_NO_VERSION);
	assert_int_equal(tls_why(p.client), TLS_WHY_NO_VERSION);
	pair_close(&p);
	pair_open(&p, narrow, client, &(struct pair_opts){0});
	pair_handshake(&p);
	struct tls_facts f;
	tls_facts_of(p.client, &f);
	assert_string_equal(f.cipher, "ECDHE-ECDSA-AES256-GCM-SHA384");
	pair_close(&p);
	MUST(SSL_CTX_set_cipher_list(client->ssl, "ECDHE-ECDSA-CHACHA20-POLY1305") == 1);
	pair_open(&p, narrow, client, &(struct pair_opts){0});
	pair_handshake(&p);
	assert_int_equal(tls_why(p.server), TLS_WHY_NO_CIPHER);
	pair_close(&p);
	tls_context_put(client);
	tls_context_put(strict);
	tls_context_put(narrow);
	tls_identity_put(id);
}

static void bad_identities(void **state)
{
	(void)state;
	char *cert, *key, *cert2, *key2, broken[4096];
	pki_issue(mesh, &good, &cert, &key);
	pki_issue(mesh, &good, &cert2, &key2);
	(void)snprintf(broken, sizeof(broken), "%.80s\n%s", cert, &cert[200]);
	const struct {
		const char *rule, *cert, *key, *roots, *says;
	} rows[] = {
		{"key without certificate", "", key, "", "come together"},
		{"certificate without key", cert, "", "", "come together"},
		{"another certificate's key", cert, key2, "", "not that of the certificate"},
		{"key is no key", cert, "nonsense", "", "private key"},
		{"key is a certificate", cert, cert, "", "private key"},
		{"certificate is no PEM", "nonsense", key, "", "no certificate in it"},
		{"certificate is broken inside", broken, key, "", "certificate chain"},
		{"roots hold nothing", cert, key, "nonsense", "no certificate in them"},
		{"one root of two is broken", cert, key, NULL, "roots"},
	};
	char two[8192];
	(void)snprintf(two, sizeof(two), "%s%s", mesh->pem, broken);
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct err err = {0};
		assert_null(tls_identity_new(slice_of(rows[i].cert), slice_of(rows[i].key),
					     slice_of(rows[i].roots ? rows[i].roots : two), &err));
		if (!strstr(err.text, rows[i].says))
			fail_msg("%s: %s", rows[i].rule, err.text);
	}
	free(cert), free(key), free(cert2), free(key2);
}

/* As a control plane's port has it: with a certificate or without, but never with a wrong one. */
static void optional_certificate(void **state)
{
	(void)state;
	struct err err = {0};
	const struct {
		const char *rule;
		struct tls_identity *client;
		enum tls_why why;
		bool has_peer;
	} rows[] = {
		{"none", pki_identity(NULL, NULL, mesh), TLS_WHY_NONE, false},
		{"one of ours", pki_identity(mesh, &good, mesh), TLS_WHY_NONE, true},
		{"a foreign one", pki_identity(foreign, &good, mesh), TLS_WHY_WRONG_ROOT, false},
	};
	struct tls_identity *id = pki_identity(mesh, &good, mesh);
	struct tls_context *server = tls_context_new(&(struct tls_options){.role = TLS_SERVER,
									   .identity = id,
									   .verify_peer = true,
									   .peer_optional = true},
						     &err);
	assert_non_null(server);
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct tls_context *client = pki_context(TLS_CLIENT, rows[i].client, true, NULL);
		struct pair p;
		pair_open(&p, server, client,
			  &(struct pair_opts){.server_accepts = accept_cluster_local});
		pair_handshake(&p);
		if (tls_why(p.server) != rows[i].why ||
		    (p.server_result == TLS_OK) != (rows[i].why == TLS_WHY_NONE))
			fail_msg("%s: %s", rows[i].rule, tls_why_text(tls_why(p.server)));
		if (p.server_result == TLS_OK)
			assert_int_equal(tls_peer_of(p.server) != NULL, rows[i].has_peer);
		pair_close(&p);
		tls_context_put(client);
	}
	tls_context_put(server);
	tls_identity_put(id);
}

static void bad_contexts(void **state)
{
	(void)state;
	struct err err = {0};
	struct tls_identity *bare = pki_identity(NULL, NULL, NULL);
	assert_null(tls_context_new(
		&(struct tls_options){.role = TLS_CLIENT, .identity = bare, .verify_peer = true},
		&err));
	assert_non_null(strstr(err.text, "without roots"));
	assert_null(
		tls_context_new(&(struct tls_options){.role = TLS_SERVER, .identity = bare}, &err));
	assert_non_null(strstr(err.text, "needs a certificate"));
	struct tls_identity *fine = pki_identity(mesh, &good, mesh);
	for (int role = TLS_SERVER; role <= TLS_CLIENT; role++) {
		assert_null(tls_context_new(&(struct tls_options){.role = (enum tls_role)role,
								  .identity = fine,
								  .verify_peer = role == TLS_CLIENT,
								  .peer_optional = true},
					    &err));
		assert_non_null(strstr(err.text, "optional"));
	}
	tls_identity_put(fine);
	struct pki_leaf weak = {.uris = {WEB}, .rsa1024 = true};
	struct tls_identity *id = pki_identity(mesh, &weak, mesh);
	assert_null(
		tls_context_new(&(struct tls_options){.role = TLS_SERVER, .identity = id}, &err));
	assert_non_null(strstr(err.text, "too small"));
	tls_identity_put(id);
	struct tls_context *c = pki_context(TLS_CLIENT, bare, false, NULL);
	struct tls_worker *w = tls_worker_new();
	assert_null(tls_new(c, &(struct tls_start){.fd = -1, .worker = w, .alpn = "h2,,x"}, &err));
	assert_non_null(strstr(err.text, "ALPN"));
	tls_worker_free(w);
	tls_context_put(c);
}

static int setup(void **state)
{
	(void)state;
	mesh = pki_ca_new("mesh");
	foreign = pki_ca_new("foreign");
	namesake = pki_ca_new("mesh");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pki_ca_free(mesh);
	pki_ca_free(foreign);
	pki_ca_free(namesake);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcomes),
		cmocka_unit_test(alpn),
		cmocka_unit_test(peer_is_described),
		cmocka_unit_test(host_is_checked),
		cmocka_unit_test(several_roots_and_an_intermediate),
		cmocka_unit_test(versions_and_ciphers),
		cmocka_unit_test(bad_identities),
		cmocka_unit_test(optional_certificate),
		cmocka_unit_test(bad_contexts),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
