/*
 * For the tests of this room: a server and its clients on one loop, with certificates.
 *
 *   struct bed b;
 *   bed_open(&b, BED_TLS, NULL);                       // serves ECHO, and FAIL of any status
 *   struct outcome o = bed_call(&b, &(struct grpc_ask){.method = ECHO, .message = SLICE("x")});
 *   assert_int_equal(o.status, GRPC_OK);
 *   outcome_fini(&o);
 *   bed_close(&b);                                     // asserts that nothing is left open
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "grpc/grpc.h"
#include "tls/testbed.h"

#define ECHO "/hark.test.Echo/Say"
#define FAIL "/hark.test.Echo/Fail" /* with the status and the text that the metadata name */
#define HOST "istiod.istio-system.svc"
#define SPIFFE "spiffe://cluster.local/ns/shop/sa/web"

#define RUN_UNTIL(loop, condition)                                                                 \
	do {                                                                                       \
		uint64_t give_up_ = clock_ns() + 10 * NS_PER_S;                                    \
		struct err err_ = {0};                                                             \
		while (!(condition)) {                                                             \
			if (clock_ns() > give_up_)                                                 \
				fail_msg("never came true: %s", #condition);                       \
			assert_true(loop_turn(loop, 10, &err_));                                   \
		}                                                                                  \
	} while (0)

enum bed_kind { BED_PLAIN, BED_TLS };

struct seen { /* by the last call that got through to a handler */
	unsigned calls;
	bool has_peer;
	char uri[128], from[ADDR_TEXT];
	char token[128]; /* by the last that had one */
};

struct bed {
	struct loop *loop;
	struct pki_ca *ca;
	struct tls_context *server_tls, *client_tls; /* NULL: plaintext */
	struct grpc_server *server;
	struct addr at;
	struct seen seen;
};

struct outcome {
	bool done;
	enum grpc_status status;
	struct buf message;
	char text[1024];
};

void bed_open(struct bed *b, enum bed_kind kind, const struct grpc_limits *limits);
void bed_close(struct bed *b);
/* A client's context: LEAF NULL presents no certificate. */
struct tls_context *bed_client(const struct pki_ca *ca, const struct pki_leaf *leaf,
			       const struct pki_ca *trusts);
/* Fills in where to, TLS and host where ASK leaves them out; O becomes done. */
struct grpc_call *bed_start(struct bed *b, const struct grpc_ask *ask, struct outcome *o);
struct outcome bed_call(struct bed *b, const struct grpc_ask *ask);
void outcome_fini(struct outcome *o);
/* A connected socket to the server, non-blocking. */
int bed_dial(const struct bed *b);
/* A loopback listener and its address. */
int bed_listen(struct addr *at);
