#include "grpc/testbed.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/sock.h"

static void see(struct seen *seen, const struct grpc_request *q)
{
	struct slice token = grpc_metadata(q, "authorization");
	seen->calls++;
	seen->has_peer = q->peer != NULL;
	seen->uri[0] = '\0';
	if (q->peer && q->peer->n_uris)
		snprintf(seen->uri, sizeof(seen->uri), "%.*s", SLICE_FMT(q->peer->uris[0]));
	if (token.at)
		snprintf(seen->token, sizeof(seen->token), "%.*s", SLICE_FMT(token));
	addr_text(&q->from, seen->from);
}

static void on_echo(void *ctx, const struct grpc_request *q, struct grpc_reply *reply)
{
	see(ctx, q);
	assert_string_equal(q->method, ECHO);
	grpc_reply_ok(reply, q->message);
}

static void on_fail(void *ctx, const struct grpc_request *q, struct grpc_reply *reply)
{
	uint64_t status;
	see(ctx, q);
	assert_true(slice_to_u64(grpc_metadata(q, "x-status"), GRPC_UNAUTHENTICATED, &status));
	struct slice text = grpc_metadata(q, "x-text");
	grpc_reply_error(reply, (enum grpc_status)status, "%.*s", SLICE_FMT(text));
}

int bed_listen(struct addr *at)
{
	struct err err = {0};
	struct addr any = {.ip = ip_v4(INADDR_LOOPBACK)};
	int fd = net_listen(&any, false, &err);
	assert_true(fd >= 0 && net_local_addr(fd, at));
	return fd;
}

struct tls_context *bed_client(const struct pki_ca *ca, const struct pki_leaf *leaf,
			       const struct pki_ca *trusts)
{
	return pki_context(TLS_CLIENT, pki_identity(ca, leaf, trusts), true, NULL);
}

static void make_contexts(struct bed *b)
{
	struct err err = {0};
	const struct pki_leaf host = {.dns = HOST}, web = {.uris = {SPIFFE}};
	struct tls_identity *id = pki_identity(b->ca, &host, b->ca);
	b->server_tls = tls_context_new(&(struct tls_options){.role = TLS_SERVER,
							      .identity = id,
							      .verify_peer = true,
							      .peer_optional = true},
					&err);
	assert_non_null(b->server_tls);
	tls_identity_put(id);
	b->client_tls = bed_client(b->ca, &web, b->ca);
}

void bed_open(struct bed *b, enum bed_kind kind, const struct grpc_limits *limits)
{
	struct err err = {0};
	*b = (struct bed){.loop = loop_new(&err), .ca = pki_ca_new("mesh")};
	assert_non_null(b->loop);
	if (kind == BED_TLS)
		make_contexts(b);
	b->server = grpc_server_new(b->loop, "test", limits);
	grpc_server_set_tls(b->server, b->server_tls);
	grpc_serve(b->server, ECHO, on_echo, &b->seen);
	grpc_serve(b->server, FAIL, on_fail, &b->seen);
	assert_true(grpc_server_listen_fd(b->server, bed_listen(&b->at), &err));
}

void bed_close(struct bed *b)
{
	if (b->server)
		RUN_UNTIL(b->loop, grpc_server_stats(b->server).open == 0);
	grpc_server_free(b->server);
	tls_context_put(b->server_tls);
	tls_context_put(b->client_tls);
	pki_ca_free(b->ca);
	loop_free(b->loop);
}

static void on_end(void *ctx, const struct grpc_answer *answer)
{
	struct outcome *o = ctx;
	assert_false(o->done);
	o->done = true;
	o->status = answer->status;
	buf_init(&o->message, SIZE_MAX / 4);
	if (answer->status == GRPC_OK)
		assert_true(buf_append(&o->message, answer->message));
	snprintf(o->text, sizeof(o->text), "%s", answer->text);
}

struct grpc_call *bed_start(struct bed *b, const struct grpc_ask *ask, struct outcome *o)
{
	struct err err = {0};
	struct grpc_ask whole = *ask;
	*o = (struct outcome){0};
	if (!whole.to.port)
		whole.to = b->at;
	if (!whole.tls)
		whole.tls = b->client_tls;
	if (!whole.host)
		whole.host = HOST;
	struct grpc_call *call = grpc_call_start(b->loop, &whole, on_end, o, &err);
	if (!call)
		fail_msg("%s", err.text);
	assert_false(o->done);
	return call;
}

struct outcome bed_call(struct bed *b, const struct grpc_ask *ask)
{
	struct outcome o;
	(void)bed_start(b, ask, &o); /* it ends of itself */
	RUN_UNTIL(b->loop, o.done);
	return o;
}

void outcome_fini(struct outcome *o)
{
	buf_fini(&o->message);
}

int bed_dial(const struct bed *b)
{
	struct err err = {0};
	int fd = net_connect(&b->at, NULL, &err);
	assert_true(fd >= 0);
	struct pollfd p = {fd, POLLOUT, 0};
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(net_connect_result(fd), 0);
	return fd;
}
