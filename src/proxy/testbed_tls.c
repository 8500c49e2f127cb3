/* Certificates of the tests: an authority in memory, and workloads that it vouches for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "identity/keypair.h"
#include "proxy/testbed.h"

enum { CHAIN_MAX = 64 * 1024 };

static struct ca *new_ca(const char *name)
{
	struct err err = {0};
	struct ca *ca = ca_new_root(
		&(struct ca_root){.organization = name, .now_s = (int64_t)time(NULL)}, &err);
	if (!ca)
		fail_msg("%s", err.text);
	return ca;
}

static struct tls_identity *certify(struct ca *ca, const char *uri, int64_t valid_s,
				    const struct ca *trusts)
{
	struct err err = {0};
	struct arena *arena = arena_new();
	struct keypair *key = keypair_new(KEYPAIR_EC_P256, &err);
	struct ca_answer answer;
	struct buf chain;
	int64_t now_s = (int64_t)time(NULL), ago_s = valid_s < 0 ? CA_DAY_S - valid_s : 0;
	struct ca_order order = {.key = key, .uri = uri, .now_s = now_s - ago_s, .ttl_s = valid_s};
	buf_init(&chain, CHAIN_MAX);
	if (!uri)
		order.dns[0] = "nobody.example";
	if (!ca_sign(ca, &order, arena, &answer, &err))
		fail_msg("%s", err.text);
	for (unsigned i = 0; i + 1 < answer.n; i++)
		assert_true(buf_append(&chain, answer.cert[i]));
	struct tls_identity *id =
		tls_identity_with_key(buf_slice(&chain), keypair_pkey(key), ca_roots(trusts), &err);
	if (!id)
		fail_msg("%s", err.text);
	buf_fini(&chain);
	keypair_put(key);
	arena_free(arena);
	return id;
}

static struct mesh_tls *speak(struct tls_identity *id)
{
	static struct tls_ticket_keys *keys;
	static const struct mesh_config mesh = {.trust_domain = "cluster.local"};
	struct err err = {0};
	if (!keys)
		keys = tls_ticket_keys_new(&err);
	assert_non_null(keys);
	struct mesh_tls *t = mesh_tls_new(&(struct mesh_tls_options){id, keys, &mesh}, &err);
	if (!t)
		fail_msg("%s", err.text);
	tls_identity_put(id);
	return t;
}

static struct ca *our_ca(void)
{
	static struct ca *ca;
	if (!ca)
		ca = new_ca("cluster.local");
	return ca;
}

struct mesh_tls *testbed_tls(const char *uri, int64_t valid_s)
{
	return speak(certify(our_ca(), uri, valid_s, our_ca()));
}

struct mesh_tls *testbed_tls_of_others(const char *uri, bool trusts_us)
{
	struct ca *ca = new_ca("somebody.else");
	struct mesh_tls *t = speak(certify(ca, uri, CA_DAY_S, trusts_us ? our_ca() : ca));
	ca_put(ca);
	return t;
}
