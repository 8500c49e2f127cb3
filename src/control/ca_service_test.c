/* Who gets a certificate and who does not: each refusal has its reason, status and counter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/ca_service.h"
#include "identity/ca_messages.h"
#include "identity/cert.h"

#define WEB "spiffe://cluster.local/ns/shop/sa/web"

static int64_t now;
static struct arena *arena;
static struct keypair *token_key, *foreign_key;
static struct token_keys *keys, *foreign_keys;
static struct store *store;
static struct ca *ca;
static struct ca_service *service;
static const char *uid; /* of the Pod shop/web-1 */
static unsigned n_issued;
static bool issued_to_pod;

static void put(enum kind kind, const char *text)
{
	struct err err = {0};
	char *json = mem_strdup(text);
	for (char *c = json; *c; c++)
		if (*c == '\'')
			*c = '"';
	struct object *o = object_from_json(kind, slice_of(json), false, &err);
	if (!o || !store_apply(store, o, STORE_CREATE_OR_REPLACE, 0, NULL, &err))
		fail_msg("%s: %s", err.text, json);
	object_put(o);
	free(json);
}

static void put_pod(const char *name, const char *account, const char *phase)
{
	put(KIND_POD, arena_printf(arena,
				   "{'metadata': {'namespace': 'shop', 'name': '%s'}, 'spec': "
				   "{'serviceAccountName': '%s', 'containers': [{'name': 'c', "
				   "'command': ['x']}]}, 'status': {'phase': '%s'}}",
				   name, account, phase));
}

static void on_issued(void *ctx, const struct object *pod, const char *uri)
{
	(void)ctx;
	n_issued++;
	issued_to_pod = pod != NULL;
	assert_string_equal(uri, WEB);
}

static int start(void **state)
{
	struct err err = {0};
	(void)state;
	now = (int64_t)(clock_wall_ns() / NS_PER_S);
	n_issued = 0;
	arena = arena_new();
	store = store_new();
	put_pod("web-1", "web", "Running");
	uid = arena_dup(arena, slice_of(store_get(store, KIND_POD, "shop", "web-1")->meta.uid));
	token_key = keypair_new(KEYPAIR_EC_P256, &err);
	foreign_key = keypair_new(KEYPAIR_EC_P256, &err);
	keys = token_keys_new(token_key, &err);
	foreign_keys = token_keys_new(foreign_key, &err);
	ca = ca_new_root(&(struct ca_root){.organization = "cluster.local", .now_s = now}, &err);
	assert_true(keys && foreign_keys && ca);
	service = ca_service_new(
		&(struct ca_service_config){.store = store, .keys = keys, .issued = on_issued});
	ca_service_set_authority(service, ca);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	ca_service_free(service);
	ca_put(ca);
	token_keys_free(keys);
	token_keys_free(foreign_keys);
	keypair_put(token_key);
	keypair_put(foreign_key);
	store_free(store);
	arena_free(arena);
	return 0;
}

/* ---- what a caller brings --------------------------------------------------------------------- */

static struct token_claims usual(void)
{
	return (struct token_claims){.issuer = TOKEN_ISSUER,
				     .audience = {TOKEN_AUDIENCE},
				     .issued_s = now - 10,
				     .not_before_s = now - 10,
				     .expires_s = now + 3600,
				     .ns = "shop",
				     .service_account = "web",
				     .pod = "web-1",
				     .pod_uid = uid};
}

static struct slice bearer(const struct token_keys *k, const struct token_claims *c)
{
	struct buf out;
	struct err err = {0};
	buf_init(&out, TOKEN_MAX + 16);
	assert_true(buf_puts(&out, "Bearer ") && token_make(k, c, &out, &err));
	struct slice text = arena_dup_slice(arena, buf_slice(&out));
	buf_fini(&out);
	return text;
}

static struct slice csr_by(const char *uri)
{
	struct err err = {0};
	struct buf out;
	struct keypair *key = keypair_new(KEYPAIR_EC_P256, &err);
	buf_init(&out, CSR_MAX);
	assert_true(csr_make(key, uri, &out, &err));
	struct slice pem = arena_dup_slice(arena, buf_slice(&out));
	keypair_put(key);
	buf_fini(&out);
	return pem;
}

/* Carries CLAIMED's public key, signed by SIGNER. */
static struct slice csr_of(EVP_PKEY *claimed, EVP_PKEY *signer, const EVP_MD *md)
{
	char *at = NULL;
	X509_REQ *req = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem());
	MUST(X509_REQ_set_pubkey(req, claimed) == 1 && X509_REQ_sign(req, signer, md) > 0 &&
	     PEM_write_bio_X509_REQ(bio, req) == 1);
	long len = BIO_get_mem_data(bio, &at);
	struct slice pem = arena_dup_slice(arena, (struct slice){at, (size_t)len});
	BIO_free(bio);
	X509_REQ_free(req);
	return pem;
}

static struct slice message(struct slice csr, int64_t validity_s)
{
	struct buf out;
	buf_init(&out, CA_MESSAGE_MAX);
	assert_true(
		ca_request_write(&(struct ca_request){.csr = csr, .validity_s = validity_s}, &out));
	struct slice bytes = arena_dup_slice(arena, buf_slice(&out));
	buf_fini(&out);
	return bytes;
}

static struct ca_call good_call(void)
{
	struct token_claims claims = usual();
	return (struct ca_call){.message = message(csr_by(WEB), 0),
				.authorization = bearer(keys, &claims),
				.now_s = now};
}

static enum ca_result ask(const struct ca_call *call, struct buf *out, struct err *err)
{
	*err = (struct err){0};
	buf_init(out, CA_MESSAGE_MAX);
	return ca_service_answer(service, call, out, err);
}

/* The counter of exactly that result goes up. */
static void expect(const char *rule, const struct ca_call *call, enum ca_result want)
{
	struct buf out;
	struct err err;
	uint64_t before = ca_service_count(service, want);
	enum ca_result got = ask(call, &out, &err);
	if (got != want)
		fail_msg("%s: %s (%s)", rule, ca_result_label(got), err.text);
	if (ca_service_count(service, want) != before + 1)
		fail_msg("%s: not counted", rule);
	if (want != CA_RESULT_ISSUED && (buf_len(&out) || !err.text[0]))
		fail_msg("%s: an answer without a reason", rule);
	buf_fini(&out);
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void issues(void **state)
{
	struct ca_call call = good_call();
	struct buf out;
	struct err err;
	struct ca_response response;
	struct cert_facts leaf;
	(void)state;
	call.message = message(csr_by("spiffe://cluster.local/ns/kube-system/sa/admin"), 3600);
	assert_int_equal(ask(&call, &out, &err), CA_RESULT_ISSUED);
	assert_true(ca_response_read(buf_slice(&out), &response, &err));
	assert_int_equal(response.n, 2);
	assert_true(slice_eq(response.cert[1], ca_roots(ca)));
	assert_true(cert_nth(response.cert[0], 0, arena, &leaf, &err));
	assert_string_equal(leaf.names, WEB); /* whatever the request asked for */
	assert_true(leaf.not_after_s == now + 3600);
	assert_true(leaf.not_before_s == now - CA_SKEW_S);
	assert_true(cert_leads_to(response.cert[0], ca_roots(ca), now, 0, &err));
	assert_int_equal(n_issued, 1);
	assert_true(issued_to_pod);
	buf_fini(&out);
}

static void a_day_by_default(void **state)
{
	struct ca_call call = good_call();
	struct buf out;
	struct err err;
	struct ca_response response;
	struct cert_facts leaf;
	(void)state;
	assert_int_equal(ask(&call, &out, &err), CA_RESULT_ISSUED);
	assert_true(ca_response_read(buf_slice(&out), &response, &err));
	assert_true(cert_nth(response.cert[0], 0, arena, &leaf, &err));
	assert_true(leaf.not_after_s == now + CA_DAY_S);
	buf_fini(&out);
}

/* The mesh's trust domain is the one in force now. */
static void another_trust_domain(void **state)
{
	struct ca_call call = good_call();
	struct buf out;
	struct err err;
	struct ca_response response;
	struct cert_facts leaf;
	(void)state;
	ca_service_free(service);
	service = ca_service_new(&(struct ca_service_config){.store = store, .keys = keys});
	ca_service_set_authority(service, ca);
	put(KIND_CONFIG_MAP, "{'metadata': {'namespace': 'istio-system', 'name': 'istio'}, 'data': "
			     "{'mesh': 'trustDomain: example.org'}}");
	assert_int_equal(ask(&call, &out, &err), CA_RESULT_ISSUED);
	assert_true(ca_response_read(buf_slice(&out), &response, &err));
	assert_true(cert_nth(response.cert[0], 0, arena, &leaf, &err));
	assert_string_equal(leaf.uri, "spiffe://example.org/ns/shop/sa/web");
	buf_fini(&out);
}

static void tokens(void **state)
{
	(void)state;
	const struct {
		const char *rule;
		struct token_claims claims;
		const struct token_keys *by;
		enum ca_result want;
	} rows[] = {
#define ROW(rule, member, value, want)                                                             \
	{rule, ({                                                                                  \
		 struct token_claims c_ = usual();                                                 \
		 c_.member = (value);                                                              \
		 c_;                                                                               \
	 }),                                                                                       \
	 keys, CA_RESULT_##want}
		ROW("as a Pod brings it", id, NULL, ISSUED),
		ROW("another issuer", issuer, "https://elsewhere", TOKEN_ISSUER),
		ROW("another audience", audience[0], "vault", TOKEN_AUDIENCE),
		ROW("expired", expires_s, now - CA_TOKEN_SKEW_S - 1, TOKEN_EXPIRED),
		ROW("expired within the skew", expires_s, now - CA_TOKEN_SKEW_S + 1, ISSUED),
		ROW("of tomorrow", not_before_s, now + CA_TOKEN_SKEW_S + 1, TOKEN_NOT_YET),
		ROW("of a clock a little ahead", not_before_s, now + CA_TOKEN_SKEW_S, ISSUED),
		ROW("no such Pod", pod, "web-2", TOKEN_POD_GONE),
		ROW("an earlier Pod of that name", pod_uid, "another", TOKEN_POD),
		ROW("another account than the Pod's", service_account, "admin", TOKEN_POD),
		ROW("bound to no Pod", pod, NULL, TOKEN_POD),
		ROW("two accounts in one", service_account, "web:x", TOKEN_SUBJECT),
		{"signed by a stranger", usual(), foreign_keys, CA_RESULT_TOKEN_SIGNATURE},
	};
	struct ca_call call = good_call();
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		call.authorization = bearer(rows[i].by, &rows[i].claims);
		expect(rows[i].rule, &call, rows[i].want);
	}
}

static void no_token_at_all(void **state)
{
	struct ca_call call = good_call();
	struct token_claims claims = usual();
	struct slice good = bearer(keys, &claims);
	(void)state;
	call.authorization = (struct slice){0};
	expect("nothing", &call, CA_RESULT_NO_CREDENTIALS);
	call.authorization = SLICE("Basic dXNlcjpwYXNz");
	expect("another scheme", &call, CA_RESULT_NO_CREDENTIALS);
	call.authorization = SLICE("Bearer ");
	expect("a scheme alone", &call, CA_RESULT_NO_CREDENTIALS);
	call.authorization = SLICE("Bearer hello");
	expect("no token", &call, CA_RESULT_TOKEN_MALFORMED);
	call.authorization = SLICE("Bearer eyJhbGciOiJub25lIn0.e30.");
	expect("not signed", &call, CA_RESULT_TOKEN_MALFORMED);
	call.authorization = SLICE("Bearer eyJhbGciOiJub25lIn0.e30.AA");
	expect("signed by nobody", &call, CA_RESULT_TOKEN_ALGORITHM);
	char *text = arena_dup(arena, good);
	text[good.len - 10] = text[good.len - 10] == 'A' ? 'B' : 'A';
	call.authorization = slice_of(text);
	expect("a changed byte", &call, CA_RESULT_TOKEN_SIGNATURE);
	call.authorization = slice_of(
		arena_printf(arena, "bearer  %.*s", SLICE_FMT(slice_sub(good, 7, good.len))));
	expect("the scheme in small letters", &call, CA_RESULT_ISSUED);
}

static void a_pod_that_went(void **state)
{
	struct ca_call call = good_call();
	struct err err = {0};
	(void)state;
	assert_true(store_delete(store, KIND_POD, "shop", "web-1", &err));
	expect("deleted", &call, CA_RESULT_TOKEN_POD_GONE);
	put_pod("web-1", "web", "Running");
	expect("made again", &call, CA_RESULT_TOKEN_POD);
}

static void certificates(void **state)
{
	(void)state;
	const struct {
		const char *rule, *uri;
		enum ca_result want;
	} rows[] = {
		{"a running Pod's", WEB, CA_RESULT_ISSUED},
		{"nobody's", "spiffe://cluster.local/ns/shop/sa/gone",
		 CA_RESULT_CLIENT_CERTIFICATE},
		{"of a finished Pod", "spiffe://cluster.local/ns/shop/sa/job",
		 CA_RESULT_CLIENT_CERTIFICATE},
		{"in no such namespace", "spiffe://cluster.local/ns/none/sa/web",
		 CA_RESULT_CLIENT_CERTIFICATE},
		{"of a foreign domain", "spiffe://elsewhere/ns/shop/sa/web",
		 CA_RESULT_CLIENT_CERTIFICATE},
		{"no identity of a workload", "spiffe://cluster.local/web",
		 CA_RESULT_CLIENT_CERTIFICATE},
	};
	struct ca_call call = good_call();
	put_pod("job-1", "job", "Succeeded");
	call.authorization = (struct slice){0};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct tls_peer peer = {.n_uris = 1, .uris = {slice_of(rows[i].uri)}};
		call.peer = &peer;
		expect(rows[i].rule, &call, rows[i].want);
	}
	struct tls_peer two = {.n_uris = 2, .uris = {SLICE(WEB), SLICE(WEB)}};
	call.peer = &two;
	expect("two identities", &call, CA_RESULT_CLIENT_CERTIFICATE);
	assert_int_equal(n_issued, 1);
	assert_false(issued_to_pod);
	struct token_claims claims = usual();
	call.authorization = bearer(keys, &claims);
	expect("but with a token", &call, CA_RESULT_ISSUED);
}

static void an_alias(void **state)
{
	struct ca_call call = good_call();
	struct tls_peer peer = {.n_uris = 1, .uris = {SLICE("spiffe://old/ns/shop/sa/web")}};
	(void)state;
	put(KIND_CONFIG_MAP, "{'metadata': {'namespace': 'istio-system', 'name': 'istio'}, 'data': "
			     "{'mesh': 'trustDomainAliases: [old]'}}");
	call.authorization = (struct slice){0};
	call.peer = &peer;
	expect("of the domain's old name", &call, CA_RESULT_ISSUED);
}

static void requests(void **state)
{
	(void)state;
	EVP_PKEY *weak = EVP_RSA_gen(1024), *p224 = EVP_EC_gen("P-224"), *a = EVP_EC_gen("P-256"),
		 *b = EVP_EC_gen("P-256");
	const struct {
		const char *rule;
		struct slice message;
		enum ca_result want;
	} rows[] = {
		{"no protocol buffer", SLICE("\xff\xff\xff"), CA_RESULT_MESSAGE},
		{"nothing", {0}, CA_RESULT_CSR_MALFORMED},
		{"no PEM", message(SLICE("hello"), 0), CA_RESULT_CSR_MALFORMED},
		{"RSA 1024", message(csr_of(weak, weak, EVP_sha256()), 0), CA_RESULT_CSR_WEAK_KEY},
		{"P-224", message(csr_of(p224, p224, EVP_sha256()), 0), CA_RESULT_CSR_WEAK_KEY},
		{"SHA-1", message(csr_of(a, a, EVP_sha1()), 0), CA_RESULT_CSR_ALGORITHM},
		{"signed by another key", message(csr_of(a, b, EVP_sha256()), 0),
		 CA_RESULT_CSR_SIGNATURE},
		{"longer than 90 days", message(csr_by(WEB), 91 * CA_DAY_S), CA_RESULT_VALIDITY},
		{"90 days", message(csr_by(WEB), 90 * CA_DAY_S), CA_RESULT_ISSUED},
		{"less than nothing", message(csr_by(WEB), -1), CA_RESULT_ISSUED},
	};
	struct ca_call call = good_call();
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		call.message = rows[i].message;
		expect(rows[i].rule, &call, rows[i].want);
	}
	EVP_PKEY *all[] = {weak, p224, a, b};
	for (size_t i = 0; i < N_ELEMS(all); i++)
		EVP_PKEY_free(all[i]);
}

static void no_authority(void **state)
{
	struct ca_call call = good_call();
	struct err err = {0};
	(void)state;
	ca_service_free(service);
	service = ca_service_new(&(struct ca_service_config){.store = store, .keys = keys});
	expect("not there yet", &call, CA_RESULT_NO_AUTHORITY);
	struct ca *old = ca_new_root(
		&(struct ca_root){.organization = "x", .now_s = now - 1000, .ttl_s = 10}, &err);
	ca_service_set_authority(service, old);
	expect("expired", &call, CA_RESULT_NO_AUTHORITY);
	ca_put(old);
}

static void metrics(void **state)
{
	struct ca_call call = good_call();
	struct buf out;
	(void)state;
	expect("fine", &call, CA_RESULT_ISSUED);
	call.authorization = (struct slice){0};
	expect("nothing", &call, CA_RESULT_NO_CREDENTIALS);
	buf_init(&out, 65536);
	assert_true(ca_service_metrics(service, &out));
	struct slice text = buf_slice(&out);
	assert_true(slice_contains(text, SLICE("hark_ca_requests_total{result=\"issued\"} 1\n")));
	assert_true(slice_contains(text,
				   SLICE("hark_ca_requests_total{result=\"no_credentials\"} 1\n")));
	assert_true(
		slice_contains(text, SLICE("hark_ca_requests_total{result=\"csr_weak_key\"} 0\n")));
	buf_fini(&out);
}

static void statuses(void **state)
{
	(void)state;
	assert_int_equal(ca_result_status(CA_RESULT_ISSUED), GRPC_OK);
	assert_int_equal(ca_result_status(CA_RESULT_TOKEN_EXPIRED), GRPC_UNAUTHENTICATED);
	assert_int_equal(ca_result_status(CA_RESULT_CLIENT_CERTIFICATE), GRPC_UNAUTHENTICATED);
	assert_int_equal(ca_result_status(CA_RESULT_CSR_SIGNATURE), GRPC_INVALID_ARGUMENT);
	assert_int_equal(ca_result_status(CA_RESULT_NO_AUTHORITY), GRPC_UNAVAILABLE);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(issues),       TEST(a_day_by_default), TEST(another_trust_domain),
		TEST(tokens),       TEST(no_token_at_all),  TEST(a_pod_that_went),
		TEST(certificates), TEST(an_alias),         TEST(requests),
		TEST(no_authority), TEST(metrics),          TEST(statuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
