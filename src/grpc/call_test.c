/* Our client against our server, over TLS and without: what passes, and what a caller is told when
 * it does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "grpc/testbed.h"
#include "net/sock.h"

static void happy_path(enum bed_kind kind)
{
	struct bed b;
	bed_open(&b, kind, NULL);
	const struct grpc_pair metadata[] = {{"authorization", "Bearer a.b.c"}, {"clusterid", "x"}};
	struct outcome o = bed_call(&b, &(struct grpc_ask){.method = ECHO,
							   .message = SLICE("a\0b"),
							   .metadata = metadata,
							   .n_metadata = N_ELEMS(metadata)});
	assert_int_equal(o.status, GRPC_OK);
	assert_true(slice_eq(buf_slice(&o.message), SLICE("a\0b")));
	assert_string_equal(b.seen.token, "Bearer a.b.c");
	assert_int_equal(b.seen.has_peer, kind == BED_TLS);
	assert_string_equal(b.seen.uri, kind == BED_TLS ? SPIFFE : "");
	assert_non_null(strstr(b.seen.from, "127.0.0.1:"));
	outcome_fini(&o);
	bed_close(&b);
}

static void over_tls(void **state)
{
	(void)state;
	happy_path(BED_TLS);
}

static void in_plaintext(void **state)
{
	(void)state;
	happy_path(BED_PLAIN);
}

static void errors_arrive(void **state)
{
	(void)state;
	struct bed b;
	bed_open(&b, BED_TLS, NULL);
	for (int status = 1; status < GRPC_N_STATUSES; status++) {
		char number[8];
		snprintf(number, sizeof(number), "%d", status);
		const struct grpc_pair metadata[] = {
			{"x-status", number},
			{"x-text", "50% of \"it\" \xe2\x82\xac; done"},
		};
		struct outcome o = bed_call(
			&b,
			&(struct grpc_ask){.method = FAIL, .metadata = metadata, .n_metadata = 2});
		assert_int_equal(o.status, status);
		assert_string_equal(o.text, metadata[1].value);
		outcome_fini(&o);
	}
	bed_close(&b);
}

/* ---- no answer, and why ----------------------------------------------------------------------- */

static void expect(const struct outcome *o, const char *rule, enum grpc_status status,
		   const char *text)
{
	if (o->status != status || !strstr(o->text, text))
		fail_msg("%s: %s %s", rule, grpc_status_name(o->status), o->text);
}

static void nobody_listens(void **state)
{
	(void)state;
	struct bed b;
	struct addr at;
	bed_open(&b, BED_TLS, NULL);
	close(bed_listen(&at));
	struct outcome o = bed_call(&b, &(struct grpc_ask){.to = at, .method = ECHO});
	expect(&o, "refused", GRPC_UNAVAILABLE, "connect: Connection refused");
	/* known before the call has begun, and told as late as the rest */
	at = (struct addr){.ip = ip_v4(INADDR_BROADCAST), .port = 1};
	o = bed_call(&b, &(struct grpc_ask){.to = at, .method = ECHO});
	expect(&o, "unreachable", GRPC_UNAVAILABLE, "connect 255.255.255.255:1: ");
	bed_close(&b);
}

static void call_with(struct bed *b, const char *rule, struct tls_context *tls, const char *host,
		      const char *text)
{
	struct outcome o =
		bed_call(b, &(struct grpc_ask){.tls = tls, .host = host, .method = ECHO});
	expect(&o, rule, GRPC_UNAVAILABLE, text);
	assert_int_equal(b->seen.calls, 0);
	tls_context_put(tls);
}

static void tls_fails(void **state)
{
	(void)state;
	struct bed b;
	struct err err = {0};
	const struct pki_leaf web = {.uris = {SPIFFE}}, host = {.dns = HOST};
	const struct pki_leaf old = {.uris = {SPIFFE}, .from_s = -7200, .to_s = -3600};
	struct pki_ca *foreign = pki_ca_new("foreign");
	bed_open(&b, BED_TLS, NULL);
	call_with(&b, "a server of a foreign root", bed_client(b.ca, &web, foreign), HOST,
		  "the peer's certificate leads to no trusted root");
	call_with(&b, "a server of another name", bed_client(b.ca, &web, b.ca), "other.host",
		  "the peer's certificate names another host");
	call_with(&b, "a client of a foreign root", bed_client(foreign, &web, b.ca), HOST,
		  "the peer does not trust our root");
	call_with(&b, "a client whose certificate has ended", bed_client(b.ca, &old, b.ca), HOST,
		  "the peer finds our certificate expired");
	assert_int_equal(grpc_server_stats(b.server).handshakes_failed, 4);
	struct tls_context *demands =
		pki_context(TLS_SERVER, pki_identity(b.ca, &host, b.ca), true, NULL);
	grpc_server_set_tls(b.server, demands);
	tls_context_put(demands);
	call_with(&b, "a client without a certificate", bed_client(NULL, NULL, b.ca), HOST,
		  "the peer demands a certificate");
	grpc_server_set_tls(b.server, NULL);
	call_with(&b, "a server without TLS", bed_client(b.ca, &web, b.ca), HOST,
		  "TLS handshake: the peer ");
	RUN_UNTIL(b.loop, grpc_server_stats(b.server).broken == 1);
	struct grpc_call *call = grpc_call_start(
		b.loop, &(struct grpc_ask){.to = b.at, .host = "a b", .method = ECHO}, NULL, NULL,
		&err);
	assert_null(call);
	pki_ca_free(foreign);
	bed_close(&b);
}

static void plaintext_towards_tls(void **state)
{
	(void)state;
	struct bed b;
	bed_open(&b, BED_TLS, NULL);
	struct tls_context *kept = b.client_tls;
	b.client_tls = NULL;
	struct outcome o = bed_call(&b, &(struct grpc_ask){.method = ECHO});
	expect(&o, "plaintext towards TLS", GRPC_UNAVAILABLE, "");
	assert_int_equal(grpc_server_stats(b.server).handshakes_failed, 1);
	b.client_tls = kept;
	bed_close(&b);
}

/* A server that speaks TLS, and never heard of HTTP/2. */
static void no_alpn(void **state)
{
	(void)state;
	struct bed b;
	struct outcome o;
	struct err err = {0};
	struct addr at;
	int listener, fd = -1;
	bed_open(&b, BED_TLS, NULL);
	listener = bed_listen(&at);
	struct tls_worker *worker = tls_worker_new();
	(void)bed_start(&b, &(struct grpc_ask){.to = at, .method = ECHO}, &o); /* it ends */
	RUN_UNTIL(b.loop, (fd = net_accept(listener, NULL)) >= 0);
	struct tls *t =
		tls_new(b.server_tls,
			&(struct tls_start){.fd = fd, .worker = worker, .alpn = "http/1.1"}, &err);
	RUN_UNTIL(b.loop, tls_handshake(t, &err) == TLS_OK || o.done);
	RUN_UNTIL(b.loop, o.done);
	expect(&o, "ALPN", GRPC_UNAVAILABLE, "the server chose no HTTP/2 (ALPN h2)");
	tls_free(t);
	tls_worker_free(worker);
	close(fd);
	close(listener);
	bed_close(&b);
}

/* ---- deadlines and cancelling ----------------------------------------------------------------- */

/* Where nobody answers: a queue of connections that is full, one that nobody takes from. */
struct silence {
	int listener, filler;
	struct addr at;
};

static void silence_open(struct silence *s, bool full)
{
	s->listener = bed_listen(&s->at);
	s->filler = -1;
	if (!full)
		return;
	const struct bed to = {.at = s->at};
	assert_int_equal(listen(s->listener, 0), 0);
	s->filler = bed_dial(&to);
}

static void silence_close(struct silence *s)
{
	if (s->filler >= 0)
		close(s->filler);
	close(s->listener);
}

static void deadlines(void **state)
{
	(void)state;
	static const struct {
		enum bed_kind kind;
		bool full;
		const char *text;
	} rows[] = {
		{BED_PLAIN, true, "no connection within 30 ms"},
		{BED_TLS, false, "no TLS handshake within 30 ms"},
		{BED_PLAIN, false, "no answer within 30 ms"},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct bed b;
		struct silence s;
		bed_open(&b, rows[i].kind, NULL);
		silence_open(&s, rows[i].full);
		struct outcome o = bed_call(
			&b, &(struct grpc_ask){.to = s.at, .method = ECHO, .timeout_ms = 30});
		expect(&o, rows[i].text, GRPC_DEADLINE_EXCEEDED, rows[i].text);
		silence_close(&s);
		bed_close(&b);
	}
}

static void cancelled(void **state)
{
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		for (int kind = BED_PLAIN; kind <= BED_TLS; kind++) {
			struct bed b;
			struct outcome o, other;
			struct err err = {0};
			bed_open(&b, (enum bed_kind)kind, NULL);
			struct grpc_call *call =
				bed_start(&b, &(struct grpc_ask){.method = ECHO}, &o);
			for (int i = 0; i < turns && !o.done; i++)
				assert_true(loop_turn(b.loop, 1000, &err));
			if (!o.done) {
				grpc_call_cancel(call);
				other = bed_call(&b, &(struct grpc_ask){.method = ECHO});
				assert_int_equal(other.status, GRPC_OK);
				outcome_fini(&other);
				assert_false(o.done);
			}
			outcome_fini(&o);
			bed_close(&b);
		}
	}
	grpc_call_cancel(NULL);
}

struct chain {
	struct bed *bed;
	struct grpc_call *other;
	unsigned ended;
};

static void cancel_the_other(void *ctx, const struct grpc_answer *answer)
{
	struct chain *c = ctx;
	assert_int_equal(answer->status, GRPC_OK);
	c->ended++;
	grpc_call_cancel(c->other);
	c->other = NULL;
}

static void an_end_may_cancel(void **state)
{
	(void)state;
	struct bed b;
	struct outcome never;
	struct err err = {0};
	bed_open(&b, BED_TLS, NULL);
	struct chain c = {.bed = &b};
	const struct grpc_ask ask = {.to = b.at, .tls = b.client_tls, .host = HOST, .method = ECHO};
	c.other = bed_start(&b, &ask, &never);
	assert_non_null(grpc_call_start(b.loop, &ask, cancel_the_other, &c, &err));
	RUN_UNTIL(b.loop, c.ended == 1 || never.done);
	outcome_fini(&never);
	bed_close(&b);
}

static void many_at_once(void **state)
{
	(void)state;
	struct bed b;
	enum { CALLS = 200 };
	static struct outcome all[CALLS];
	bed_open(&b, BED_TLS, NULL);
	for (int i = 0; i < CALLS; i++)
		(void)bed_start(&b, &(struct grpc_ask){.method = ECHO, .message = SLICE("hi")},
				&all[i]); /* they end of themselves */
	for (int i = 0; i < CALLS; i++) {
		RUN_UNTIL(b.loop, all[i].done);
		assert_int_equal(all[i].status, GRPC_OK);
		outcome_fini(&all[i]);
	}
	assert_int_equal(grpc_server_stats(b.server).calls, CALLS);
	assert_int_equal(grpc_server_stats(b.server).broken, 0);
	bed_close(&b);
}

/* More than sockets and windows hold: in both directions, and the answer waits for the client. */
static void large_messages(void **state)
{
	(void)state;
	enum { LARGE = 8 << 20 };
	char *large = mem_new(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)(i * 31 >> 3);
	for (int kind = BED_PLAIN; kind <= BED_TLS; kind++) {
		struct bed b;
		bed_open(&b, (enum bed_kind)kind, &(struct grpc_limits){.message_bytes = LARGE});
		const struct slice message = {large, LARGE};
		struct outcome o = bed_call(&b, &(struct grpc_ask){.method = ECHO,
								   .message = message,
								   .answer_bytes = LARGE});
		assert_int_equal(o.status, GRPC_OK);
		assert_true(slice_eq(buf_slice(&o.message), message));
		outcome_fini(&o);
		bed_close(&b);
	}
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_tls),      cmocka_unit_test(in_plaintext),
		cmocka_unit_test(errors_arrive), cmocka_unit_test(nobody_listens),
		cmocka_unit_test(tls_fails),     cmocka_unit_test(plaintext_towards_tls),
		cmocka_unit_test(no_alpn),       cmocka_unit_test(deadlines),
		cmocka_unit_test(cancelled),     cmocka_unit_test(an_end_may_cancel),
		cmocka_unit_test(many_at_once),  cmocka_unit_test(large_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
