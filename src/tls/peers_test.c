/* Against a peer that is not ours: openssl's s_client and s_server, in a process of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "tls/inside.h"
#include "tls/testbed.h"

extern char **environ;

enum { MAX_ARGS = 48, WAIT_MS = 20000 };

static struct pki_ca *mesh, *foreign;
static struct tls_ticket_keys *keys;
static struct tls_worker *worker;
static char dir[] = "/tmp/hark-tls-XXXXXX";

/* ---- the other process ------------------------------------------------------------------------ */

struct peer {
	pid_t pid;
	int in, out; /* its standard input and output */
};

/* ARGS are words; "@NAME" is the file NAME in the test's folder. */
static void peer_start(struct peer *p, const char *const *args, size_t n)
{
	char *argv[MAX_ARGS + 1] = {0}, paths[MAX_ARGS][128];
	int in[2], out[2];
	MUST(n <= MAX_ARGS && pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "%s%s%s", args[i][0] == '@' ? dir : "",
			       args[i][0] == '@' ? "/" : "",
			       args[i][0] == '@' ? &args[i][1] : args[i]); /* short, all ours */
		argv[i] = paths[i];
	}
	posix_spawn_file_actions_t files;
	MUST(posix_spawn_file_actions_init(&files) == 0 &&
	     posix_spawn_file_actions_adddup2(&files, in[0], 0) == 0 &&
	     posix_spawn_file_actions_adddup2(&files, out[1], 1) == 0 &&
	     posix_spawn_file_actions_adddup2(&files, out[1], 2) == 0);
	if (posix_spawnp(&p->pid, "openssl", &files, NULL, argv, environ) != 0)
		fail_msg("openssl does not start");
	(void)posix_spawn_file_actions_destroy(&files); /* cannot fail here */
	close(in[0]);
	close(out[1]);
	p->in = in[1];
	p->out = out[0];
}

static void peer_end(struct peer *p)
{
	close(p->in);
	kill(p->pid, SIGKILL); /* whatever it still hopes for */
	MUST(waitpid(p->pid, NULL, 0) == p->pid);
	close(p->out);
}

/* Its output until TEXT is in it; false when it ends before. */
static bool peer_says(struct peer *p, const char *text, char *all, size_t size)
{
	size_t n = strlen(all);
	while (!strstr(all, text)) {
		struct pollfd fd = {.fd = p->out, .events = POLLIN};
		if (poll(&fd, 1, WAIT_MS) != 1 || n + 1 >= size)
			return false;
		ssize_t got = read(p->out, &all[n], size - n - 1);
		if (got <= 0)
			return false;
		n += (size_t)got;
		all[n] = '\0';
	}
	return true;
}

/* ---- our side, waiting ------------------------------------------------------------------------ */

static void wait_for(const struct tls *t, enum tls_result r)
{
	struct pollfd fd = {.fd = t->start.fd,
			    .events = (short)(r == TLS_WANT_WRITE ? POLLOUT : POLLIN)};
	MUST(poll(&fd, 1, WAIT_MS) == 1);
}

static enum tls_result shake(struct tls *t, struct err *err)
{
	for (enum tls_result r;;) {
		r = tls_handshake(t, err);
		if (r != TLS_WANT_READ && r != TLS_WANT_WRITE)
			return r;
		wait_for(t, r);
	}
}

static enum tls_result hear(struct tls *t, char *room, size_t size, struct err *err)
{
	for (enum tls_result r;;) {
		size_t n;
		r = tls_read(t, room, size - 1, &n, err);
		room[n] = '\0';
		if (r != TLS_WANT_READ)
			return r;
		wait_for(t, r);
	}
}

static void say(struct tls *t, const char *text)
{
	struct err err = {0};
	size_t n;
	assert_int_equal(tls_write(t, slice_of(text), &n, &err), TLS_OK);
}

static int listen_here(char *address, size_t size)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 4) == 0 &&
	     getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	(void)snprintf(address, size, "127.0.0.1:%u", ntohs(at.sin_port)); /* fits */
	return fd;
}

/* ---- s_client comes to us --------------------------------------------------------------------- */

static const struct client_row {
	const char *rule;
	const char *args; /* more for s_client, blank-separated */
	const char *alpn; /* what we may select */
	enum tls_why why;
	const char *selected, *offered, *sni;
} clients[] = {
	{"a certificate of the mesh", "-cert @web.pem -key @web.key -CAfile @mesh.pem", NULL, 0, "",
	 "", ""},
	{"no certificate", "-CAfile @mesh.pem", NULL, TLS_WHY_NO_CERT, NULL, NULL, NULL},
	{"a foreign root", "-cert @stranger.pem -key @stranger.key -CAfile @mesh.pem", NULL,
	 TLS_WHY_WRONG_ROOT, NULL, NULL, NULL},
	{"expired", "-cert @expired.pem -key @expired.key -CAfile @mesh.pem", NULL, TLS_WHY_EXPIRED,
	 NULL, NULL, NULL},
	{"not valid yet", "-cert @future.pem -key @future.key -CAfile @mesh.pem", NULL,
	 TLS_WHY_NOT_YET_VALID, NULL, NULL, NULL},
	{"no SAN", "-cert @nosan.pem -key @nosan.key -CAfile @mesh.pem", NULL, TLS_WHY_NO_SAN, NULL,
	 NULL, NULL},
	{"two SANs", "-cert @twosans.pem -key @twosans.key -CAfile @mesh.pem", NULL,
	 TLS_WHY_MANY_SANS, NULL, NULL, NULL},
	{"another trust domain", "-cert @other.pem -key @other.key -CAfile @mesh.pem", NULL,
	 TLS_WHY_WRONG_DOMAIN, NULL, NULL, NULL},
	{"RSA", "-cert @rsa.pem -key @rsa.key -CAfile @mesh.pem", NULL, 0, "", "", ""},
	{"it does not trust us", "-cert @web.pem -key @web.key -CAfile @foreign.pem", NULL,
	 TLS_WHY_PEER_WRONG_ROOT, NULL, NULL, NULL},
	{"Istio's TCP list, and its SNI",
	 "-cert @web.pem -key @web.key -CAfile @mesh.pem -alpn istio-peer-exchange,istio "
	 "-servername outbound_.3306_._.db.shop.svc.cluster.local",
	 "h2,http/1.1", 0, "", "istio-peer-exchange,istio",
	 "outbound_.3306_._.db.shop.svc.cluster.local"},
	{"Istio's HTTP list",
	 "-cert @web.pem -key @web.key -CAfile @mesh.pem -alpn istio-http/1.1,istio,http/1.1",
	 "h2,http/1.1", 0, "http/1.1", "istio-http/1.1,istio,http/1.1", ""},
	{"a group that we have not", "-cert @web.pem -key @web.key -groups P-384", NULL,
	 TLS_WHY_NO_CIPHER, NULL, NULL, NULL},
	{"P-256 instead of X25519", "-cert @web.pem -key @web.key -CAfile @mesh.pem -groups P-256",
	 NULL, 0, "", "", ""},
};

/* Starts s_client with ARGS in VERSION and takes its connection. */
static struct tls *client_comes(struct peer *p, struct tls_context *ctx, const char *args,
				const char *version, const char *alpn)
{
	char address[64], words[1024];
	const char *argv[MAX_ARGS] = {"openssl", "s_client", "-connect",
				      address,   "-quiet",   "-verify_return_error",
				      version};
	size_t n = 7;
	struct err err = {0};
	int listener = listen_here(address, sizeof(address));
	(void)snprintf(words, sizeof(words), "%s", args); /* fits */
	if (!strstr(args, "-servername"))
		argv[n++] = "-noservername";
	char *save = NULL;
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	peer_start(p, argv, n);
	struct pollfd fd = {.fd = listener, .events = POLLIN};
	MUST(poll(&fd, 1, WAIT_MS) == 1);
	int conn = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	close(listener);
	struct tls *t = tls_new(ctx,
				&(struct tls_start){.fd = conn,
						    .worker = worker,
						    .alpn = alpn,
						    .accept_peer = accept_cluster_local},
				&err);
	MUST(t);
	return t;
}

static void client_leaves(struct peer *p, struct tls *t)
{
	int fd = t->start.fd;
	tls_free(t);
	close(fd);
	peer_end(p);
}

static void talk_with_client(struct peer *p, struct tls *t)
{
	char room[256] = "", out[1024] = "";
	struct err err = {0};
	MUST(write(p->in, "a word\n", 7) == 7);
	assert_int_equal(hear(t, room, sizeof(room), &err), TLS_OK);
	assert_string_equal(room, "a word\n");
	say(t, "an answer\n");
	assert_int_equal(tls_close_write(t, &err), TLS_OK);
	assert_true(peer_says(p, "an answer\n", out, sizeof(out)));
}

static void one_client(const struct client_row *row, struct tls_context *ctx, bool tls12)
{
	struct peer p;
	struct err err = {0};
	struct tls *t = client_comes(&p, ctx, row->args, tls12 ? "-tls1_2" : "-tls1_3", row->alpn);
	enum tls_result r = shake(t, &err);
	if (tls_why(t) != row->why || (r == TLS_OK) != (row->why == TLS_WHY_NONE))
		fail_msg("%s, TLS 1.%d: %s [%s]", row->rule, tls12 ? 2 : 3,
			 tls_why_label(tls_why(t)), err.text);
	if (r == TLS_OK) {
		struct tls_facts f;
		tls_facts_of(t, &f);
		assert_string_equal(f.version, tls12 ? "TLSv1.2" : "TLSv1.3");
		assert_true(slice_is(f.alpn, row->selected));
		assert_string_equal(f.offered, row->offered);
		assert_string_equal(f.sni, row->sni);
		talk_with_client(&p, t);
	}
	client_leaves(&p, t);
}

static struct tls_identity *our_identity(void)
{
	struct pki_leaf leaf = {.uris = {"spiffe://cluster.local/ns/shop/sa/db"}};
	return pki_identity(mesh, &leaf, mesh);
}

static void clients_come(void **state)
{
	(void)state;
	struct tls_context *ctx = pki_context(TLS_SERVER, our_identity(), true, keys);
	for (size_t i = 0; i < N_ELEMS(clients); i++) {
		one_client(&clients[i], ctx, false);
		one_client(&clients[i], ctx, true);
	}
	tls_context_put(ctx);
}

static void cipher_suites(void **state)
{
	(void)state;
	static const struct {
		const char *offered, *used, *cert; /* used NULL: refused */
	} rows[] = {
		{"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", "web"},
		{"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", "web"},
		{"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
		 "ECDHE-ECDSA-AES256-GCM-SHA384", "web"}, /* our order */
		{"ECDHE-ECDSA-CHACHA20-POLY1305", NULL, "web"},
		{"ECDHE-ECDSA-AES128-SHA256", NULL, "web"}, /* CBC */
	};
	struct tls_context *ctx = pki_context(TLS_SERVER, our_identity(), true, keys);
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct peer p;
		struct err err = {0};
		char args[512];
		(void)snprintf(args, sizeof(args),
			       "-cert @web.pem -key @web.key -CAfile @mesh.pem -cipher %s",
			       rows[i].offered); /* fits */
		struct tls *t = client_comes(&p, ctx, args, "-tls1_2", NULL);
		assert_int_equal(shake(t, &err), rows[i].used ? TLS_OK : TLS_FAILED);
		struct tls_facts f;
		tls_facts_of(t, &f);
		if (rows[i].used)
			assert_string_equal(f.cipher, rows[i].used);
		else
			assert_int_equal(tls_why(t), TLS_WHY_NO_CIPHER);
		client_leaves(&p, t);
	}
	tls_context_put(ctx);
}

static void clients_resume(void **state)
{
	(void)state;
	struct err err = {0};
	for (int tls12 = 0; tls12 < 2; tls12++) {
		for (int again = 0; again < 2; again++) {
			/* another context each time: the keys are what counts */
			struct tls_context *ctx =
				pki_context(TLS_SERVER, our_identity(), true, keys);
			struct peer p;
			struct tls_facts f;
			struct tls *t = client_comes(
				&p, ctx,
				again ? "-cert @web.pem -key @web.key -CAfile @mesh.pem "
					"-sess_in @session"
				      : "-cert @web.pem -key @web.key -CAfile @mesh.pem "
					"-sess_out @session",
				tls12 ? "-tls1_2" : "-tls1_3", NULL);
			assert_int_equal(shake(t, &err), TLS_OK);
			tls_facts_of(t, &f);
			assert_int_equal(f.resumed, again);
			assert_non_null(tls_peer_of(t));
			talk_with_client(&p, t);
			client_leaves(&p, t);
			tls_context_put(ctx);
			assert_true(tls_ticket_keys_rotate(keys, &err));
		}
	}
}

/* s_client's commands R and K: renegotiate, update keys. */
static void clients_want_more(void **state)
{
	(void)state;
	struct tls_context *ctx = pki_context(TLS_SERVER, our_identity(), true, keys);
	for (int tls12 = 0; tls12 < 2; tls12++) {
		char address[64], room[256] = "", out[16384] = "";
		struct err err = {0};
		int listener = listen_here(address, sizeof(address));
		const char *argv[] = {"openssl",
				      "s_client",
				      "-connect",
				      address,
				      "-cert",
				      "@web.pem",
				      "-key",
				      "@web.key",
				      "-CAfile",
				      "@mesh.pem",
				      tls12 ? "-tls1_2" : "-tls1_3"};
		struct peer p;
		peer_start(&p, argv, N_ELEMS(argv));
		struct pollfd fd = {.fd = listener, .events = POLLIN};
		MUST(poll(&fd, 1, WAIT_MS) == 1);
		int conn = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		close(listener);
		struct tls *t =
			tls_new(ctx, &(struct tls_start){.fd = conn, .worker = worker}, &err);
		MUST(t);
		assert_int_equal(shake(t, &err), TLS_OK);
		assert_true(peer_says(&p, "Verify return code: 0", out, sizeof(out)));
		MUST(write(p.in, tls12 ? "R\n" : "K\n", 2) == 2);
		if (!tls12) {
			assert_true(peer_says(&p, "KEYUPDATE", out, sizeof(out)));
			MUST(write(p.in, "under a new key\n", 16) == 16);
			assert_int_equal(hear(t, room, sizeof(room), &err), TLS_OK);
			assert_string_equal(room, "under a new key\n");
			say(t, "seen\n");
			assert_true(peer_says(&p, "seen\n", out, sizeof(out)));
		} else { /* refused, and never begun */
			assert_true(peer_says(&p, "RENEGOTIATING", out, sizeof(out)));
			enum tls_result r = hear(t, room, sizeof(room), &err);
			assert_true(r == TLS_END || r == TLS_CUT || r == TLS_FAILED ||
				    r == TLS_RESET);
			assert_string_equal(room, "");
		}
		client_leaves(&p, t);
	}
	tls_context_put(ctx);
}

/* ---- we go to s_server ------------------------------------------------------------------------ */

static const struct server_row {
	const char *rule;
	const char *args;
	const char *leaf; /* ours: "web", "none", "foreign", "expired" */
	const char *alpn;
	enum tls_why why, why12; /* 12: 0 is as in 1.3 */
	const char *selected;
} servers[] = {
	{"of the mesh, wants a certificate",
	 "-cert @db.pem -key @db.key -CAfile @mesh.pem -Verify 1", "web", "istio", 0, 0, ""},
	{"wants no certificate", "-cert @db.pem -key @db.key", "none", NULL, 0, 0, ""},
	{"wants one, and we have none", "-cert @db.pem -key @db.key -CAfile @mesh.pem -Verify 1",
	 "none", NULL, TLS_WHY_PEER_NO_CERT, 0, NULL},
	{"does not know our root", "-cert @db.pem -key @db.key -CAfile @mesh.pem -Verify 1",
	 "foreign", NULL, TLS_WHY_PEER_WRONG_ROOT, 0, NULL},
	{"finds ours expired", "-cert @db.pem -key @db.key -CAfile @mesh.pem -Verify 1", "expired",
	 NULL, TLS_WHY_PEER_EXPIRED, 0, NULL},
	{"selects by ALPN", "-cert @db.pem -key @db.key -alpn h2", "web", "istio-h2,istio,h2", 0, 0,
	 "h2"},
	{"of a foreign root", "-cert @stranger.pem -key @stranger.key", "web", NULL,
	 TLS_WHY_WRONG_ROOT, 0, NULL},
	{"expired", "-cert @expired.pem -key @expired.key", "web", NULL, TLS_WHY_EXPIRED, 0, NULL},
	{"not valid yet", "-cert @future.pem -key @future.key", "web", NULL, TLS_WHY_NOT_YET_VALID,
	 0, NULL},
	{"of another trust domain", "-cert @other.pem -key @other.key", "web", NULL,
	 TLS_WHY_WRONG_DOMAIN, 0, NULL},
	{"RSA", "-cert @rsa.pem -key @rsa.key", "web", NULL, 0, 0, ""},
	{"only P-384", "-cert @db.pem -key @db.key -groups P-384", "web", NULL,
	 TLS_WHY_PEER_REFUSED, 0, NULL},
};

static int dial(const char *address)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	to.sin_port = htons((uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	MUST(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	     fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	return fd;
}

/* OUT holds what it said; the address it listens at follows "ACCEPT ". */
static const char *server_start(struct peer *p, const char *args, const char *version, char *out,
				size_t size)
{
	char words[1024];
	const char *argv[MAX_ARGS] = {"openssl",     "s_server", "-accept",
				      "127.0.0.1:0", "-rev",     "-verify_return_error"};
	size_t n = 6;
	if (version)
		argv[n++] = version;
	(void)snprintf(words, sizeof(words), "%s", args); /* fits */
	char *save = NULL;
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	peer_start(p, argv, n);
	assert_true(peer_says(p, "ACCEPT ", out, size) && peer_says(p, "\n", out, size));
	return strstr(out, "ACCEPT ");
}

static struct tls_context *context_of(const char *leaf)
{
	struct pki_leaf l = {.uris = {"spiffe://cluster.local/ns/a/sa/web"}};
	if (strcmp(leaf, "expired") == 0)
		l.from_s = -7200, l.to_s = -3600;
	const struct pki_ca *ca = strcmp(leaf, "foreign") == 0 ? foreign : mesh;
	return pki_context(TLS_CLIENT,
			   pki_identity(ca, strcmp(leaf, "none") == 0 ? NULL : &l, mesh), true,
			   NULL);
}

static struct tls *go_to(const char *address, struct tls_context *ctx, const char *alpn,
			 struct tls_tickets *tickets)
{
	struct err err = {0};
	struct tls *t = tls_new(ctx,
				&(struct tls_start){.fd = dial(address),
						    .worker = worker,
						    .alpn = alpn,
						    .tickets = tickets,
						    .accept_peer = accept_cluster_local},
				&err);
	MUST(t);
	return t;
}

static void talk_with_server(struct tls *t)
{
	char room[256];
	struct err err = {0};
	say(t, "drawer\n");
	assert_int_equal(hear(t, room, sizeof(room), &err), TLS_OK);
	assert_string_equal(room, "reward\n");
}

static void hang_up(struct tls *t)
{
	int fd = t->start.fd;
	tls_free(t);
	close(fd);
}

static void one_server(const struct server_row *row, bool tls12)
{
	struct peer p;
	struct err err = {0};
	char out[4096] = "", room[256];
	const char *address =
		server_start(&p, row->args, tls12 ? "-tls1_2" : "-tls1_3", out, sizeof(out));
	struct tls_context *ctx = context_of(row->leaf);
	struct tls *t = go_to(address, ctx, row->alpn, NULL);
	enum tls_result r = shake(t, &err);
	if (r == TLS_OK && row->why != TLS_WHY_NONE) /* TLS 1.3: judged after we are done */
		r = hear(t, room, sizeof(room), &err);
	enum tls_why why = tls12 && row->why12 ? row->why12 : row->why;
	if (tls_why(t) != why || (r == TLS_OK) != (why == TLS_WHY_NONE))
		fail_msg("%s, TLS 1.%d: %s [%s]", row->rule, tls12 ? 2 : 3,
			 tls_why_label(tls_why(t)), err.text);
	if (r == TLS_OK) {
		struct tls_facts f;
		tls_facts_of(t, &f);
		assert_true(slice_is(f.alpn, row->selected));
		talk_with_server(t);
	}
	hang_up(t);
	tls_context_put(ctx);
	peer_end(&p);
}

static void servers_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMS(servers); i++) {
		one_server(&servers[i], false);
		one_server(&servers[i], true);
	}
}

static void servers_resume(void **state)
{
	(void)state;
	for (int tls12 = 0; tls12 < 2; tls12++) {
		struct peer p;
		char out[4096] = "";
		const char *address =
			server_start(&p, "-cert @db.pem -key @db.key -CAfile @mesh.pem -Verify 1",
				     tls12 ? "-tls1_2" : "-tls1_3", out, sizeof(out));
		struct tls_context *ctx = context_of("web");
		struct tls_tickets *tickets = tls_tickets_new();
		for (int i = 0; i < 4; i++) {
			struct tls *t = go_to(address, ctx, NULL, tickets);
			struct tls_facts f;
			struct err err = {0};
			assert_int_equal(shake(t, &err), TLS_OK);
			tls_facts_of(t, &f);
			assert_int_equal(f.resumed, i > 0);
			talk_with_server(t);
			hang_up(t);
		}
		tls_tickets_free(tickets);
		tls_context_put(ctx);
		peer_end(&p);
	}
}

static void server_of_old(void **state)
{
	(void)state;
	struct peer p;
	char out[4096] = "";
	const char *address =
		server_start(&p, "-cert @db.pem -key @db.key -tls1_1 -cipher ALL@SECLEVEL=0", NULL,
			     out, sizeof(out));
	struct tls_context *ctx = context_of("web");
	struct err err = {0};
	struct tls *t = go_to(address, ctx, NULL, NULL);
	assert_int_equal(shake(t, &err), TLS_FAILED);
	assert_int_equal(tls_why(t), TLS_WHY_NO_VERSION);
	hang_up(t);
	tls_context_put(ctx);
	peer_end(&p);
}

/* ---- the folder ------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	bool foreign;
	struct pki_leaf leaf;
} files[] = {
	{"web", false, {.uris = {"spiffe://cluster.local/ns/a/sa/web"}}},
	{"db", false, {.uris = {"spiffe://cluster.local/ns/shop/sa/db"}}},
	{"rsa", false, {.uris = {"spiffe://cluster.local/ns/a/sa/web"}, .rsa2048 = true}},
	{"stranger", true, {.uris = {"spiffe://cluster.local/ns/a/sa/web"}}},
	{"expired",
	 false,
	 {.uris = {"spiffe://cluster.local/ns/a/sa/web"}, .from_s = -7200, .to_s = -3600}},
	{"future",
	 false,
	 {.uris = {"spiffe://cluster.local/ns/a/sa/web"}, .from_s = 3600, .to_s = 7200}},
	{"nosan", false, {.subject = "web"}},
	{"twosans",
	 false,
	 {.uris = {"spiffe://cluster.local/ns/a/sa/web", "spiffe://cluster.local/ns/a/sa/db"}}},
	{"other", false, {.uris = {"spiffe://elsewhere/ns/a/sa/web"}}},
};

static int setup(void **state)
{
	(void)state;
	struct err err = {0};
	if (!mkdtemp(dir))
		return -1;
	mesh = pki_ca_new("mesh");
	foreign = pki_ca_new("foreign");
	keys = tls_ticket_keys_new(&err);
	worker = tls_worker_new();
	for (size_t i = 0; i < N_ELEMS(files); i++) {
		char *cert, *key, name[64];
		pki_issue(files[i].foreign ? foreign : mesh, &files[i].leaf, &cert, &key);
		(void)snprintf(name, sizeof(name), "%s.pem", files[i].name); /* fits */
		pki_write(dir, name, cert);
		(void)snprintf(name, sizeof(name), "%s.key", files[i].name);
		pki_write(dir, name, key);
		free(cert);
		free(key);
	}
	pki_write(dir, "mesh.pem", mesh->pem);
	pki_write(dir, "foreign.pem", foreign->pem);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	char command[64];
	tls_worker_free(worker);
	tls_ticket_keys_put(keys);
	pki_ca_free(mesh);
	pki_ca_free(foreign);
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir); /* fits */
	return system(command) == 0 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clients_come),   cmocka_unit_test(cipher_suites),
		cmocka_unit_test(clients_resume), cmocka_unit_test(clients_want_more),
		cmocka_unit_test(servers_answer), cmocka_unit_test(servers_resume),
		cmocka_unit_test(server_of_old),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
