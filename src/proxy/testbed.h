/*
 * For tests: a real worker with one fixed destination, and the two peers around it, all on
 * loopback.
 *
 *   struct testbed tb;
 *   testbed_start(&tb, &(struct testbed_setup){.detect = true});
 *   struct peers p = testbed_peers(&tb);        // through the worker: p.client <-> p.server
 *   ...
 *   peers_close(&p);
 *   testbed_stop(&tb);                        // fails when a connection is still alive
 *
 * The peers' sockets block, with a limit of 10 s on each call, so that a lost byte fails a test
 * instead of hanging it.
 */
#pragma once
#include "identity/ca.h"
#include "proxy/worker.h"

#define TESTBED_CLIENT "spiffe://cluster.local/ns/shop/sa/web"
#define TESTBED_SERVER "spiffe://cluster.local/ns/shop/sa/db"

struct testbed_setup {
	const char *mesh;  /* YAML of the MeshConfig's `hark` key; NULL: all defaults */
	const char *istio; /* YAML of its `mesh` key, added to what tests need */
	bool detect;
	bool inbound;    /* detect: as inbound connections whose source may speak TLS */
	bool outbound;   /* by the view instead of one fixed destination, as captured */
	bool no_view;    /* testbed_serve() gives it later */
	bool tls_server; /* mesh TLS ends here; no certificate until testbed_certify() */
	bool mesh_tls; /* two such worlds in a row, as a client's and a server's sidecar stand, and
			     mesh TLS between them */
	unsigned workers; /* 0: one */
	bool no_server;   /* nobody listens at the destination */
};

struct testbed {
	struct testbed *far; /* the server's sidecar; NULL: there is one world */
	struct worker_setup setup;
	struct worker *workers[4];
	struct live *live;
	struct view_builder *builder;
	struct metrics *metrics;
	struct tls_sources *tls_sources;
	int server_fd; /* listens at the destination */
	struct addr through;
};

struct peers {
	int client, server;
};

void testbed_start(struct testbed *tb, const struct testbed_setup *with);
void testbed_stop(struct testbed *tb);
/* A resource changes, and the workers get a new view. JSON: printf format. */
void testbed_apply(struct testbed *tb, enum kind kind, const char *json, ...) PRINTF_LIKE(3, 4);
void testbed_serve(struct testbed *tb);  /* a new view, in force on return */
int testbed_connect(struct testbed *tb); /* a client's socket towards the worker */
int testbed_accept(struct testbed *tb);  /* the server's side of what the worker dialled */
struct peers testbed_peers(struct testbed *tb);
void peers_close(struct peers *p);
/*
 * An authority of the test's own, made once, and what it certifies: URI NULL for no name at all.
 * VALID_S: from now on; below 0: it has ended. For cluster.local.
 */
struct mesh_tls *testbed_tls(const char *uri, int64_t valid_s);
/* Under another root; TRUSTS_US: but trusting the test's. */
struct mesh_tls *testbed_tls_of_others(const char *uri, bool trusts_us);
/* The workers have TLS from now on; takes the reference. */
void testbed_certify(struct testbed *tb, struct mesh_tls *tls);
/* Waits until so many connections live in the worker(s). */
void testbed_wait_conns(struct testbed *tb, unsigned n);

void say(int fd, const char *text);
void expect(int fd, const char *text); /* exactly these bytes come next */
void expect_end(int fd);               /* FIN comes next */
void expect_reset(int fd);
void expect_silence(int fd); /* nothing stands in the socket now */
bool readable_within(int fd, int ms);
void reset(int fd); /* closes with RST */
void end(int fd);   /* FIN, reading goes on */

/* A stream whose byte at every place is known: one for what goes in, one for what comes out. */
struct stream {
	uint64_t at, end;
	uint32_t seed;
};
/* One step without waiting, with PIECE of LEN bytes as scratch. True: something moved. */
bool stream_send(struct stream *s, int fd, unsigned char *piece, size_t len); /* FIN at the end */
bool stream_receive(struct stream *s, int fd, unsigned char *piece, size_t len);
