/* Against an implementation that is not ours: gRPC's own (python3-grpcio), in a process of its own;
 * peer.py is its side. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "grpc/testbed.h"

extern char **environ;

static const char *script;
static char dir[] = "/tmp/hark-grpc-XXXXXX";

/* ---- the other process ------------------------------------------------------------------------ */

struct peer {
	pid_t pid;
	int in, out; /* its standard input and output */
	struct buf said;
};

static void peer_start(struct peer *p, const char *role, const char *more)
{
	/* Debian's, whose packages bring grpcio, whatever else is called python3 here. */
	char *argv[] = {"/usr/bin/python3",      (char *)(uintptr_t)script,
			(char *)(uintptr_t)role, dir,
			(char *)(uintptr_t)more, NULL};
	int in[2], out[2];
	posix_spawn_file_actions_t files;
	MUST(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	MUST(posix_spawn_file_actions_init(&files) == 0 &&
	     posix_spawn_file_actions_adddup2(&files, in[0], 0) == 0 &&
	     posix_spawn_file_actions_adddup2(&files, out[1], 1) == 0);
	if (posix_spawn(&p->pid, argv[0], &files, NULL, argv, environ) != 0)
		fail_msg("%s does not start", argv[0]);
	(void)posix_spawn_file_actions_destroy(&files); /* cannot fail here */
	close(in[0]);
	close(out[1]);
	p->in = in[1];
	p->out = out[0];
	MUST(fcntl(p->out, F_SETFL, O_NONBLOCK) == 0);
	buf_init(&p->said, 1 << 20);
}

/* Takes what it said. True once it has ended. */
static bool peer_ended(struct peer *p)
{
	char room[4096];
	ssize_t n;
	while ((n = read(p->out, room, sizeof(room))) > 0)
		assert_true(buf_append(&p->said, (struct slice){room, (size_t)n}));
	return n == 0;
}

static bool peer_said(struct peer *p, const char *text)
{
	(void)peer_ended(p);
	return slice_contains(buf_slice(&p->said), slice_of(text));
}

static void peer_end(struct peer *p)
{
	int status;
	close(p->in);
	MUST(waitpid(p->pid, &status, 0) == p->pid);
	close(p->out);
	buf_fini(&p->said);
	assert_int_equal(status, 0);
}

static void write_leaf(const struct pki_ca *ca, const char *name, const struct pki_leaf *leaf)
{
	char *cert, *key, file[64];
	pki_issue(ca, leaf, &cert, &key);
	(void)snprintf(file, sizeof(file), "%s.pem", name); /* fits */
	pki_write(dir, file, cert);
	(void)snprintf(file, sizeof(file), "%s.key", name);
	pki_write(dir, file, key);
	free(cert);
	free(key);
}

/* What peer.py reads. Gives the CA that signed what nobody trusts. */
static struct pki_ca *write_files(const struct bed *b)
{
	const struct pki_leaf web = {.uris = {SPIFFE}}, host = {.dns = HOST};
	struct pki_ca *stranger = pki_ca_new("stranger");
	pki_write(dir, "mesh.pem", b->ca->pem);
	write_leaf(b->ca, "web", &web);
	write_leaf(b->ca, "server", &host);
	write_leaf(stranger, "stranger", &web);
	return stranger;
}

/* ---- its client comes to us ------------------------------------------------------------------- */

static const struct {
	const char *name, *starts;
} lines[] = {
	{"echo", "OK hello"},
	{"empty", "OK 0"},
	{"large", "OK True"},
	{"too-large", "RESOURCE_EXHAUSTED the message is too large"},
	{"much-too-large", "RESOURCE_EXHAUSTED the message is too large"},
	{"status", "UNAUTHENTICATED no 100% valid token"},
	{"unknown-method", "UNIMPLEMENTED no such method"},
	{"unknown-method-large", "UNIMPLEMENTED no such method"},
	{"gzip", "UNIMPLEMENTED compressed messages are not supported"},
	{"metadata-too-large", "RESOURCE_EXHAUSTED"}, /* it heeds our SETTINGS, or we refuse */
	{"many", "OK True"},
	{"as-None", "OK hello"},
	{"as-stranger", "UNAVAILABLE"},
};

static void its_client_comes(void **state)
{
	(void)state;
	struct bed b;
	struct peer p;
	char at[ADDR_TEXT];
	bed_open(&b, BED_TLS, &(struct grpc_limits){.streams = 4});
	pki_ca_free(write_files(&b));
	peer_start(&p, "client", addr_text(&b.at, at));
	RUN_UNTIL(b.loop, peer_said(&p, "echo OK"));
	assert_string_equal(b.seen.token, "Bearer a.b.c");
	assert_string_equal(b.seen.uri, SPIFFE);
	RUN_UNTIL(b.loop, peer_said(&p, "as-None "));
	assert_false(b.seen.has_peer);
	RUN_UNTIL(b.loop, peer_ended(&p));
	struct slice rest = buf_slice(&p.said);
	for (size_t i = 0; i < N_ELEMS(lines); i++) {
		struct slice line = slice_cut(&rest, '\n');
		struct slice name = slice_cut(&line, ' ');
		if (!slice_is(name, lines[i].name) ||
		    !slice_starts(line, slice_of(lines[i].starts)))
			fail_msg("%s: %.*s", lines[i].name, SLICE_FMT(line));
	}
	assert_int_equal(rest.len, 0);
	struct grpc_server_stats stats = grpc_server_stats(b.server);
	assert_int_equal(stats.broken, 0);
	assert_int_equal(stats.timeouts, 0);
	assert_true(stats.handshakes_failed > 0); /* the stranger's */
	peer_end(&p);
	bed_close(&b);
}

/* ---- we go to its server ---------------------------------------------------------------------- */

struct ask_row {
	const char *rule, *method, *message;
	const char *leaf; /* ours: "web", "none", "stranger" */
	const char *host;
	unsigned timeout_ms;
	size_t answer_bytes;
	enum grpc_status status;
	const char *has; /* the answer, or the reason */
};

static void ask_once(struct bed *b, const struct ask_row *row, const struct pki_ca *stranger)
{
	const struct pki_leaf web = {.uris = {SPIFFE}};
	const struct grpc_pair token = {"authorization", "Bearer a.b.c"};
	bool strange = strcmp(row->leaf, "stranger") == 0;
	struct tls_context *tls = bed_client(strange ? stranger : b->ca,
					     strcmp(row->leaf, "none") == 0 ? NULL : &web, b->ca);
	struct outcome o = bed_call(b, &(struct grpc_ask){.to = b->at,
							  .tls = tls,
							  .host = row->host,
							  .method = row->method,
							  .metadata = &token,
							  .n_metadata = 1,
							  .message = slice_of(row->message),
							  .timeout_ms = row->timeout_ms,
							  .answer_bytes = row->answer_bytes});
	if (o.status != row->status)
		fail_msg("%s: %s %s", row->rule, grpc_status_name(o.status), o.text);
	struct slice got = o.status == GRPC_OK ? buf_slice(&o.message) : slice_of(o.text);
	if (!slice_contains(got, slice_of(row->has)))
		fail_msg("%s: %.*s", row->rule, SLICE_FMT(got));
	outcome_fini(&o);
	tls_context_put(tls);
}

static void go_to_server(const char *kind, const struct ask_row *rows, size_t n)
{
	struct bed b;
	struct peer p;
	uint64_t port;
	bed_open(&b, BED_TLS, NULL);
	struct pki_ca *stranger = write_files(&b);
	peer_start(&p, "server", kind);
	RUN_UNTIL(b.loop, peer_said(&p, "\n"));
	struct slice line = buf_slice(&p.said);
	assert_true(slice_is(slice_cut(&line, ' '), "port"));
	assert_true(slice_to_u64(slice_cut(&line, '\n'), 65535, &port));
	b.at = (struct addr){.ip = ip_v4(INADDR_LOOPBACK), .port = (uint16_t)port};
	for (size_t i = 0; i < n; i++)
		ask_once(&b, &rows[i], stranger);
	peer_end(&p);
	pki_ca_free(stranger);
	bed_close(&b);
}

static void we_go_to_its_server(void **state)
{
	(void)state;
	char large[60001];
	memset(large, 'y', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	const struct ask_row rows[] = {
		{"a message there and back", ECHO, "hello", "web", HOST, 0, 0, GRPC_OK, "hello"},
		{"nothing there and back", ECHO, "", "web", HOST, 0, 0, GRPC_OK, ""},
		{"several frames", ECHO, large, "web", HOST, 0, 0, GRPC_OK, large},
		{"token, time, and it asks for no certificate", "/hark.test.Echo/Show", "", "web",
		 HOST, 9000, 0, GRPC_OK, "Bearer a.b.c True none"},
		{"more than the flow-control window", "/hark.test.Echo/Big", "1000000", "web", HOST,
		 0, 1 << 20, GRPC_OK, "xxx"},
		{"more than we take", "/hark.test.Echo/Big", "1000000", "web", HOST, 0, 999999,
		 GRPC_RESOURCE_EXHAUSTED, "too large"},
		{"compressed, though we take none", "/hark.test.Echo/Zip", "", "web", HOST, 0, 0,
		 GRPC_UNIMPLEMENTED, "compressed messages are not supported"},
		{"its own words", FAIL, "", "web", HOST, 0, 0, GRPC_FAILED_PRECONDITION,
		 "50% of \xe2\x80\x9cit\xe2\x80\x9d?and a line"},
		{"unknown method", "/hark.test.Echo/Nothing", "", "web", HOST, 0, 0,
		 GRPC_UNIMPLEMENTED, "ethod"},
		{"never an answer", "/hark.test.Echo/Hang", "", "web", HOST, 50, 0,
		 GRPC_DEADLINE_EXCEEDED, ""},
		{"another name in its certificate", ECHO, "", "web", "other.host", 0, 0,
		 GRPC_UNAVAILABLE, "the peer's certificate names another host"},
	};
	go_to_server(NULL, rows, N_ELEMS(rows));
}

static void we_go_to_its_server_that_demands(void **state)
{
	(void)state;
	const struct ask_row rows[] = {
		{"with a certificate", "/hark.test.Echo/Show", "", "web", HOST, 9000, 0, GRPC_OK,
		 "Bearer a.b.c True " SPIFFE},
		{"with none", ECHO, "", "none", HOST, 0, 0, GRPC_UNAVAILABLE,
		 "closed the connection"}, /* it sends no alert */
		{"with a foreign one", ECHO, "", "stranger", HOST, 0, 0, GRPC_UNAVAILABLE,
		 "closed the connection"},
	};
	go_to_server("--demand", rows, N_ELEMS(rows));
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	char command[64];
	(void)snprintf(command, sizeof(command), "rm -rf %s", dir); /* fits */
	return system(command) == 0 ? 0 : -1;
}

/* ARGV: where peer.py is. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_client_comes),
		cmocka_unit_test(we_go_to_its_server),
		cmocka_unit_test(we_go_to_its_server_that_demands),
	};
	MUST(argc == 2);
	script = argv[1];
	return cmocka_run_group_tests(tests, setup, teardown);
}
