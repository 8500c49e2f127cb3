/* A sidecar and its certificate: an authority on the same loop that answers as a row says, and files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "identity/ca.h"
#include "identity/ca_messages.h"
#include "identity/cert.h"
#include "identity/spiffe.h"
#include "net/sock.h"
#include "proxy/own_cert_inside.h"

#define WEB "spiffe://cluster.local/ns/shop/sa/web"
#define HOST "istiod.istio-system.svc"

/* How the authority answers. */
enum habit { WELL, REFUSE, FOREIGN_KEY, FOREIGN_ROOT, NO_IDENTITY, NO_ROOT, RUBBISH, EXPIRED };

struct world {
	struct loop *loop;
	char dir[64];
	struct ca *ca;
	struct grpc_server *server;
	struct addr at;
	enum habit habit;
	unsigned asked;
	bool had_peer;
	char token[128], uri[128];
	int64_t validity_s, ttl_s;
	struct slice last_csr; /* of the arena */
	struct arena *arena;

	struct own_cert *cert;
	unsigned came;
	struct tls_identity *identity;
};

#define RUN_UNTIL(w, condition)                                                                    \
	do {                                                                                       \
		uint64_t give_up_ = clock_ns() + 20 * NS_PER_S;                                    \
		struct err err_ = {0};                                                             \
		while (!(condition)) {                                                             \
			if (clock_ns() > give_up_)                                                 \
				fail_msg("never came true: %s (%s)", #condition,                   \
					 own_cert_problem((w)->cert));                             \
			assert_true(loop_turn((w)->loop, 10, &err_));                              \
		}                                                                                  \
	} while (0)

static int64_t now_s(void)
{
	return (int64_t)(clock_wall_ns() / NS_PER_S);
}

static struct ca *new_root(int64_t at_s)
{
	struct err err = {0};
	struct ca *ca = ca_new_root(
		&(struct ca_root){.organization = "cluster.local", .now_s = at_s}, &err);
	assert_non_null(ca);
	return ca;
}

/* Renamed into place, as whoever projects files does. */
static void write_file(const struct world *w, const char *name, struct slice text)
{
	char path[128], next[128];
	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	snprintf(next, sizeof(next), "%s/.next", w->dir);
	FILE *f = fopen(next, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text.at, 1, text.len, f), text.len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(next, path), 0);
}

/* ---- the authority ---------------------------------------------------------------------------- */

static void sign(struct world *w, struct ca *ca, struct slice pem, struct ca_answer *answer)
{
	struct err err = {0};
	struct csr *csr = csr_read(pem, NULL, &err);
	struct keypair *stranger = keypair_new(KEYPAIR_EC_P256, &err);
	struct ca_order order = {.csr = csr, .uri = WEB, .now_s = now_s(), .ttl_s = w->ttl_s};
	assert_non_null(csr);
	if (w->habit == FOREIGN_KEY) {
		order.csr = NULL;
		order.key = stranger;
	}
	if (w->habit == NO_IDENTITY) {
		order.uri = NULL;
		order.dns[0] = "web.shop";
	}
	if (w->habit == EXPIRED)
		order.now_s -= 3600;
	assert_true(ca_sign(ca, &order, w->arena, answer, &err));
	csr_free(csr);
	keypair_put(stranger);
}

static void on_create(void *ctx, const struct grpc_request *q, struct grpc_reply *reply)
{
	struct world *w = ctx;
	struct err err = {0};
	struct ca_request request;
	struct ca_answer answer;
	struct buf out;
	w->asked++;
	w->had_peer = q->peer != NULL;
	snprintf(w->token, sizeof(w->token), "%.*s", SLICE_FMT(grpc_metadata(q, "authorization")));
	assert_true(ca_request_read(q->message, &request, &err));
	w->validity_s = request.validity_s;
	w->last_csr = arena_dup_slice(w->arena, request.csr);
	if (w->habit == REFUSE) {
		grpc_reply_error(reply, GRPC_UNAUTHENTICATED, "request authenticate failure");
		return;
	}
	if (w->habit == RUBBISH) {
		grpc_reply_ok(reply, SLICE("rubbish"));
		return;
	}
	struct ca *foreign = new_root(now_s());
	sign(w, w->ca, request.csr, &answer);
	if (w->habit == FOREIGN_ROOT)
		answer.cert[answer.n - 1] = ca_roots(foreign);
	if (w->habit == NO_ROOT)
		answer.n--;
	struct ca_response response = {.n = answer.n};
	memcpy(response.cert, answer.cert, answer.n * sizeof(answer.cert[0]));
	buf_init(&out, CA_MESSAGE_MAX);
	assert_true(ca_response_write(&response, &out));
	grpc_reply_ok(reply, buf_slice(&out));
	buf_fini(&out);
	ca_put(foreign);
}

static void serve_tls(struct world *w)
{
	struct err err = {0};
	struct ca_answer answer;
	struct keypair *key = keypair_new(KEYPAIR_EC_P256, &err);
	struct ca_order order = {.key = key, .dns = {HOST}, .now_s = now_s()};
	assert_true(ca_sign(w->ca, &order, w->arena, &answer, &err));
	struct tls_identity *id =
		tls_identity_with_key(answer.cert[0], keypair_pkey(key), ca_roots(w->ca), &err);
	struct tls_context *tls = tls_context_new(&(struct tls_options){.role = TLS_SERVER,
									.identity = id,
									.verify_peer = true,
									.peer_optional = true},
						  &err);
	assert_non_null(tls);
	grpc_server_set_tls(w->server, tls);
	tls_context_put(tls);
	tls_identity_put(id);
	keypair_put(key);
}

static void open_authority(struct world *w)
{
	struct err err = {0};
	struct addr on = {.ip = ip_v4(0x7f000001), .port = w->at.port};
	int fd = net_listen(&on, false, &err);
	assert_true(fd >= 0 && net_local_addr(fd, &w->at));
	w->server = grpc_server_new(w->loop, "test", NULL);
	grpc_serve(w->server, CA_METHOD, on_create, w);
	serve_tls(w);
	assert_true(grpc_server_listen_fd(w->server, fd, &err));
}

static void close_authority(struct world *w)
{
	grpc_server_free(w->server);
	w->server = NULL;
}

/* ---- the sidecar ------------------------------------------------------------------------------ */

static void on_identity(void *ctx, struct tls_identity *id)
{
	struct world *w = ctx;
	w->came++;
	tls_identity_put(w->identity);
	w->identity = tls_identity_get(id);
}

static void start_cert(struct world *w, const char *cert_dir)
{
	static const struct own_cert_events events = {on_identity};
	struct own_cert_config cfg;
	struct err err = {0};
	char addr[ADDR_TEXT];
	MUST(w);
	own_cert_config_default(&cfg);
	cfg.ca_addr = cert_dir ? "" : addr_text(&w->at, addr);
	cfg.ca_host = HOST;
	cfg.ca_roots = arena_printf(w->arena, "%s/root-cert.pem", w->dir);
	cfg.token = arena_printf(w->arena, "%s/token", w->dir);
	cfg.cert_dir = cert_dir ? cert_dir : "";
	cfg.trust_domain = "cluster.local";
	cfg.ns = "shop";
	cfg.service_account = "web";
	w->cert = own_cert_new(w->loop, &cfg, &events, w, &err);
	if (!w->cert)
		fail_msg("%s", err.text);
}

static int start(void **state)
{
	struct world *w = mem_new(sizeof(*w));
	struct err err = {0};
	*state = w;
	w->loop = loop_new(&err);
	w->arena = arena_new();
	snprintf(w->dir, sizeof(w->dir), "/tmp/hark-cert-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->ca = new_root(now_s());
	write_file(w, "root-cert.pem", ca_roots(w->ca));
	write_file(w, "token", SLICE("the-token\n"));
	open_authority(w);
	return 0;
}

static int stop(void **state)
{
	static const char *const names[] = {"root-cert.pem", "token", "cert-chain.pem", "key.pem"};
	struct world *w = *state;
	own_cert_free(w->cert);
	close_authority(w);
	tls_identity_put(w->identity);
	ca_put(w->ca);
	loop_free(w->loop);
	for (size_t i = 0; i < N_ELEMS(names); i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%s", w->dir, names[i]);
		(void)unlink(path); /* a test may not have made it */
	}
	assert_int_equal(rmdir(w->dir), 0);
	arena_free(w->arena);
	free(w);
	return 0;
}

static struct slice shown(struct world *w)
{
	struct buf out;
	struct json_out j;
	buf_init(&out, 1 << 20);
	json_out_init(&j, &out);
	own_cert_json(w->cert, &j);
	assert_true(own_cert_metrics(w->cert, &out));
	struct slice text = arena_dup_slice(w->arena, buf_slice(&out));
	buf_fini(&out);
	return text;
}

static void expect_shown(struct world *w, const char *text)
{
	if (!slice_contains(shown(w), slice_of(text)))
		fail_msg("%s is not in %.*s", text, SLICE_FMT(shown(w)));
}

/* ---- with an authority ------------------------------------------------------------------------ */

static void asks_as_istio_does(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	assert_false(own_cert_wanted(&(struct own_cert_config){.ca_addr = "", .cert_dir = ""}));
	start_cert(w, NULL);
	assert_false(own_cert_valid(w->cert));
	assert_null(w->identity);
	RUN_UNTIL(w, w->came == 1);
	assert_true(own_cert_valid(w->cert));
	assert_string_equal(w->token, "Bearer the-token");
	assert_false(w->had_peer);
	assert_true(w->validity_s == 86400);
	struct csr *csr = csr_read(w->last_csr, NULL, &err);
	assert_non_null(csr);
	csr_free(csr);
	expect_shown(w, "\"state\":\"valid\"");
	expect_shown(w, "\"identity\":\"" WEB "\"");
	expect_shown(w, "hark_certificate_state{state=\"valid\"} 1\n");
	expect_shown(w, "hark_certificate_renewals_total{result=\"issued\"} 1\n");
	expect_shown(w, "\nhark_certificate_expiry_seconds 86");
	assert_false(slice_contains(shown(w), SLICE("PRIVATE")));
}

/* Another key each time: the request differs. */
static void rotates(void **state)
{
	struct world *w = *state;
	start_cert(w, NULL);
	RUN_UNTIL(w, w->came == 1);
	struct slice first = w->last_csr;
	struct tls_identity *before = w->identity;
	own_cert_rotate(w->cert);
	RUN_UNTIL(w, w->came == 2);
	assert_false(slice_eq(first, w->last_csr));
	assert_ptr_not_equal(before, w->identity);
}

static void renews_at_half_life(void **state)
{
	struct world *w = *state;
	w->ttl_s = 3;
	start_cert(w, NULL);
	RUN_UNTIL(w, w->came == 3);
	assert_true(own_cert_valid(w->cert));
}

static void follows_the_roots(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	start_cert(w, NULL);
	RUN_UNTIL(w, w->came == 1);
	struct ca *fresh = new_root(now_s());
	struct ca *both = ca_with_roots(w->ca, ca_cert(fresh), &err);
	ca_put(w->ca);
	w->ca = both;
	write_file(w, "root-cert.pem", ca_roots(both));
	RUN_UNTIL(w, w->came == 2);
	assert_true(slice_contains(shown(w), SLICE("\"roots\":[")));
	ca_put(fresh);
}

static void a_token_is_read_each_time(void **state)
{
	struct world *w = *state;
	start_cert(w, NULL);
	RUN_UNTIL(w, w->came == 1);
	write_file(w, "token", SLICE("another"));
	own_cert_rotate(w->cert);
	RUN_UNTIL(w, w->came == 2);
	assert_string_equal(w->token, "Bearer another");
}

/* As a machine outside of Kubernetes renews. */
static void without_a_token_the_certificate_counts(void **state)
{
	struct world *w = *state;
	char path[128];
	start_cert(w, NULL);
	RUN_UNTIL(w, w->came == 1);
	snprintf(path, sizeof(path), "%s/token", w->dir);
	assert_int_equal(unlink(path), 0);
	own_cert_rotate(w->cert);
	RUN_UNTIL(w, w->came == 2);
	assert_true(w->had_peer);
	assert_string_equal(w->token, "");
}

static void bad_answers(void **state)
{
	static const struct {
		const char *rule;
		enum habit habit;
		const char *result, *says;
	} rows[] = {
		{"refused", REFUSE, "refused", "UNAUTHENTICATED: request authenticate failure"},
		{"for a key that is not ours", FOREIGN_KEY, "bad_answer", "the key is not that"},
		{"that leads to no root", FOREIGN_ROOT, "bad_answer", "certificate:"},
		{"without an identity", NO_IDENTITY, "bad_answer", "SPIFFE"},
		{"without a root", NO_ROOT, "bad_answer", "root"},
		{"that is none", RUBBISH, "bad_answer", "its answer"},
		{"that has expired", EXPIRED, "bad_answer", "expired"},
	};
	struct world *w = *state;
	start_cert(w, NULL);
	RUN_UNTIL(w, w->came == 1);
	struct tls_identity *good = w->identity;
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		char line[128];
		unsigned asked = w->asked;
		w->habit = rows[i].habit;
		w->ttl_s = rows[i].habit == EXPIRED ? 60 : 0;
		own_cert_rotate(w->cert);
		RUN_UNTIL(w, w->asked > asked && !w->cert->clock.asking);
		if (!strstr(own_cert_problem(w->cert), rows[i].says))
			fail_msg("%s: %s", rows[i].rule, own_cert_problem(w->cert));
		snprintf(line, sizeof(line), "{result=\"%s\"} 0\n", rows[i].result);
		if (slice_contains(shown(w), slice_of(line)))
			fail_msg("%s: not counted", rows[i].rule);
		expect_shown(w, "\"state\":\"expiring\"");
	}
	assert_ptr_equal(w->identity, good); /* the one at hand serves on */
	assert_int_equal(w->came, 1);
	w->habit = WELL;
	w->ttl_s = 0;
	own_cert_rotate(w->cert);
	RUN_UNTIL(w, w->came == 2);
	assert_string_equal(own_cert_problem(w->cert), "");
	expect_shown(w, "\"state\":\"valid\"");
}

static void the_authority_away(void **state)
{
	struct world *w = *state;
	w->ttl_s = 10; /* between its half and its end a slow machine has 5 s to look */
	start_cert(w, NULL);
	RUN_UNTIL(w, w->came == 1);
	close_authority(w);
	RUN_UNTIL(w, *own_cert_problem(w->cert));
	assert_true(own_cert_valid(w->cert));
	expect_shown(w, "\"state\":\"expiring\"");
	expect_shown(w, "hark_certificate_state{state=\"expiring\"} 1\n");
	RUN_UNTIL(w, !own_cert_valid(w->cert));
	expect_shown(w, "\"state\":\"expired\"");
	assert_int_equal(w->came, 1);
	open_authority(w);
	RUN_UNTIL(w, w->came == 2);
	assert_true(own_cert_valid(w->cert));
}

static void nobody_there_at_the_start(void **state)
{
	struct world *w = *state;
	close_authority(w);
	start_cert(w, NULL);
	RUN_UNTIL(w, *own_cert_problem(w->cert));
	expect_shown(w, "\"state\":\"none\"");
	expect_shown(w, "{result=\"unavailable\"} ");
	open_authority(w);
	RUN_UNTIL(w, w->came == 1);
}

static void an_authority_that_roots_do_not_vouch_for(void **state)
{
	struct world *w = *state;
	struct ca *foreign = new_root(now_s());
	write_file(w, "root-cert.pem", ca_roots(foreign));
	start_cert(w, NULL);
	RUN_UNTIL(w, *own_cert_problem(w->cert));
	assert_int_equal(w->asked, 0); /* it never got to see the token */
	write_file(w, "root-cert.pem", ca_roots(w->ca));
	RUN_UNTIL(w, w->came == 1);
	ca_put(foreign);
}

static void nothing_to_ask_with(void **state)
{
	struct world *w = *state;
	char path[128];
	snprintf(path, sizeof(path), "%s/token", w->dir);
	assert_int_equal(unlink(path), 0);
	start_cert(w, NULL);
	RUN_UNTIL(w, *own_cert_problem(w->cert));
	assert_non_null(strstr(own_cert_problem(w->cert), path));
	expect_shown(w, "{result=\"local\"} 1\n");
	assert_int_equal(w->asked, 0);
}

static void ended_in_the_middle_of_a_call(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	start_cert(w, NULL);
	while (!w->cert->call)
		assert_true(loop_turn(w->loop, 10, &err));
	own_cert_free(w->cert);
	w->cert = NULL;
	for (int i = 0; i < 10; i++)
		assert_true(loop_turn(w->loop, 1, &err));
	assert_int_equal(w->came, 0);
}

/* ---- with files ------------------------------------------------------------------------------- */

static struct keypair *put_cert(struct world *w, const char *uri)
{
	struct err err = {0};
	struct ca_answer answer;
	struct keypair *key = keypair_new(KEYPAIR_EC_P256, &err);
	struct ca_order order = {.key = key, .uri = uri, .now_s = now_s()};
	assert_true(ca_sign(w->ca, &order, w->arena, &answer, &err));
	write_file(w, "cert-chain.pem", answer.cert[0]);
	return key;
}

static void put_key(struct world *w, struct keypair *key)
{
	char *pem = keypair_pem(key);
	write_file(w, "key.pem", slice_of(pem));
	keypair_pem_free(pem);
	keypair_put(key);
}

static void files(void **state)
{
	struct world *w = *state;
	put_key(w, put_cert(w, WEB));
	start_cert(w, w->dir);
	RUN_UNTIL(w, w->came == 1);
	assert_int_equal(w->asked, 0);
	expect_shown(w, "\"identity\":\"" WEB "\"");
	struct tls_identity *first = w->identity;

	/* One file is there before the other: the old ones serve on until they fit. */
	struct keypair *key = put_cert(w, "spiffe://cluster.local/ns/shop/sa/next");
	RUN_UNTIL(w, *own_cert_problem(w->cert));
	assert_ptr_equal(w->identity, first);
	expect_shown(w, "\"identity\":\"" WEB "\"");
	put_key(w, key);
	RUN_UNTIL(w, w->came == 2);
	expect_shown(w, "\"identity\":\"spiffe://cluster.local/ns/shop/sa/next\"");
	assert_string_equal(own_cert_problem(w->cert), "");
}

static void files_that_come_later(void **state)
{
	struct world *w = *state;
	start_cert(w, w->dir);
	RUN_UNTIL(w, *own_cert_problem(w->cert));
	put_key(w, put_cert(w, WEB));
	RUN_UNTIL(w, w->came == 1);
}

static void files_read_again_when_asked(void **state)
{
	struct world *w = *state;
	put_key(w, put_cert(w, WEB));
	start_cert(w, w->dir);
	RUN_UNTIL(w, w->came == 1);
	own_cert_rotate(w->cert);
	RUN_UNTIL(w, w->came == 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(asks_as_istio_does),
		TEST(rotates),
		TEST(renews_at_half_life),
		TEST(follows_the_roots),
		TEST(a_token_is_read_each_time),
		TEST(without_a_token_the_certificate_counts),
		TEST(bad_answers),
		TEST(the_authority_away),
		TEST(nobody_there_at_the_start),
		TEST(an_authority_that_roots_do_not_vouch_for),
		TEST(nothing_to_ask_with),
		TEST(ended_in_the_middle_of_a_call),
		TEST(files),
		TEST(files_that_come_later),
		TEST(files_read_again_when_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
