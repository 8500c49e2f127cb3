/* As root: real namespaces, real processes. Each test is a mesh of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "local/container.h"
#include "local/exec.h"
#include "local/files.h"
#include "local/logfile.h"
#include "local/netns.h"
#include "local/probe.h"
#include "local/volume.h"
#include "net/sock.h"

enum { PATIENCE_MS = 10000 };

/* Inside the node cmocka cannot help: say where, end with a status that the test sees. */
#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #x,                \
				world.err.text);                                                   \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* What the callbacks of a scenario tell; inside the node. */
static struct world {
	struct node *node;
	struct err err;
	int n_ready;
	bool started, exited;
	struct container_exit how;
	bool probed, probe_ready;
	char probe_why[256];
	bool exec_done;
	int exec_code;
} world;

static void turn_until(const bool *done)
{
	uint64_t end = clock_ns() + PATIENCE_MS * NS_PER_MS;
	while (!*done && clock_ns() < end)
		CHECK(loop_turn(world.node->loop, 100, &world.err));
	CHECK(*done);
}

static void begin(struct node *node)
{
	world = (struct world){.node = node};
	node->loop = loop_new(&world.err);
	CHECK(node->loop);
}

static void on_ready(void *ctx, const struct err *err)
{
	if (err)
		world.err = *err;
	CHECK(!err);
	*(bool *)ctx = true;
}

static struct pod_net *make_pod(unsigned n, const struct capture_config *capture)
{
	char name[32];
	bool ready = false;
	CHECK(snprintf(name, sizeof(name), "test/pod-%u", n) < (int)sizeof(name));
	struct pod_net_config cfg = {
		.name = name,
		.hostname = name + 5,
		.v4 = cidr_nth(&world.node->cfg.pods_v4, n + 1),
		.v6 = cidr_nth(&world.node->cfg.pods_v6, n + 1),
		.capture = capture,
	};
	struct pod_net *pod = pod_net_start(world.node, &cfg, on_ready, &ready, &world.err);
	CHECK(pod);
	turn_until(&ready);
	return pod;
}

static void on_started(void *ctx)
{
	(void)ctx; /* one container at a time */
	world.started = true;
}

static void on_exited(void *ctx, const struct container_exit *how)
{
	(void)ctx; /* as above */
	world.exited = true;
	world.how = *how;
}

static const struct container_ops ops = {on_started, on_exited};

static char log_path[NODE_PATH_LEN];

static struct container_proc *start(struct container_spec *spec)
{
	CHECK(path_make(log_path, &world.err, "%s/logs/test.log", world.node->cfg.run_dir));
	world.started = world.exited = false;
	if (!spec->id)
		spec->id = "test.pod-1.main";
	spec->log_path = log_path;
	struct container_proc *c = container_start(world.node, spec, &ops, NULL, &world.err);
	CHECK(c);
	return c;
}

/* The shell command TEXT in a new container, to its end; its output, freed by the caller. */
static char *run_shell(struct pod_net *pod, const char *text, struct container_spec spec)
{
	const char *argv[] = {"sh", "-c", text};
	struct buf out;
	spec.pod = pod;
	spec.argv = argv;
	spec.n_argv = N_ELEMS(argv);
	spec.caps = CONTAINER_DEFAULT_CAPS;
	CHECK(!unlink(log_path) || errno == ENOENT);
	struct container_proc *c = start(&spec);
	turn_until(&world.exited);
	container_free(c);
	buf_init(&out, LOGFILE_MAX);
	logfile_tail(log_path, SIZE_MAX, &out);
	char *copy = mem_strdup(buf_cstr(&out));
	buf_fini(&out);
	return copy;
}

static void expect_shell(struct pod_net *pod, const char *text, struct container_spec spec,
			 const char *expected)
{
	char *said = run_shell(pod, text, spec);
	if (strcmp(said, expected) != 0 || world.how.code != 0) {
		fprintf(stderr, "%s\nsaid (status %d, %s):\n%s\nexpected:\n%s\n", text,
			world.how.code, world.how.err.text, said, expected);
		exit(1);
	}
	free(said);
}

/* The host's side. */

static struct node_handle spawn(const char *name, node_main_fn *main, void *arg)
{
	struct node_config cfg;
	struct node_handle node;
	struct err err = {0};
	if (geteuid() != 0)
		skip();
	if (!node_config_init(&cfg, name, &err))
		fail_msg("%s", err.text);
	cfg.die_with_parent = true;
	if (!node_spawn(&cfg, main, arg, &node, &err))
		fail_msg("%s", err.text);
	return node;
}

/* MAIN in a mesh to its end; nothing may be left. */
static void run_in_mesh(const char *name, node_main_fn *main)
{
	struct err err = {0};
	struct node_handle node = spawn(name, main, NULL);
	assert_int_equal(node_wait(&node), 0);
	assert_false(node_open(name, &node, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(access(node.run_dir, F_OK), -1);
}

/* Networks. */

static int listen_in(const struct pod_net *pod, const struct addr *on)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(on, &sa);
	int fd = netns_socket(pod->netns_fd, ip_is_v4(&on->ip) ? AF_INET : AF_INET6, SOCK_STREAM,
			      &world.err);
	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&sa, len) == 0 && listen(fd, 16) == 0);
	return fd;
}

/* 0, or the errno of a connection from inside POD. */
static int connect_from(const struct pod_net *pod, const struct addr *to)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(to, &sa);
	int fd = netns_socket(pod->netns_fd, ip_is_v4(&to->ip) ? AF_INET : AF_INET6, SOCK_STREAM,
			      &world.err);
	CHECK(fd >= 0);
	int why = connect(fd, (struct sockaddr *)&sa, len) == 0 ? 0 : errno;
	struct pollfd writable = {.fd = fd, .events = POLLOUT};
	if (why == EINPROGRESS) {
		CHECK(poll(&writable, 1, PATIENCE_MS) == 1);
		why = net_connect_result(fd);
	}
	CHECK(close(fd) == 0);
	return why;
}

static int pods_talk(struct node *node, void *arg)
{
	(void)arg; /* none */
	begin(node);
	struct pod_net *a = make_pod(1, NULL), *b = make_pod(2, NULL);
	struct addr v4 = {.ip = b->v4, .port = 80}, v6 = {.ip = b->v6, .port = 80};
	struct addr outside = {.port = 53};
	CHECK(connect_from(a, &v4) == ECONNREFUSED);
	int l4 = listen_in(b, &v4);
	CHECK(connect_from(a, &v4) == 0);
	CHECK(connect_from(b, &v4) == 0);
	struct addr peer;
	struct pollfd waiting = {.fd = l4, .events = POLLIN};
	CHECK(poll(&waiting, 1, PATIENCE_MS) == 1);
	int got = net_accept(l4, &peer);
	CHECK(got >= 0 && ip_eq(&peer.ip, &a->v4)); /* seen as who it is */
	if (node->ipv6) {
		int l6 = listen_in(b, &v6);
		CHECK(connect_from(a, &v6) == 0);
		CHECK(close(l6) == 0);
	}
	CHECK(ip_parse(SLICE("192.0.2.1"), &outside.ip));
	CHECK(connect_from(a, &outside) == ENETUNREACH); /* there is no way out */
	CHECK(close(got) == 0 && close(l4) == 0);
	pod_net_free(a);
	pod_net_free(b);
	return 0;
}

static void test_pods_talk(void **state)
{
	(void)state; /* cmocka's */
	run_in_mesh("test-talk", pods_talk);
}

/* Containers. */

static int container_sees(struct node *node, void *arg)
{
	(void)arg; /* none */
	begin(node);
	struct pod_net *pod = make_pod(1, NULL);
	const struct container_env env[] = {{"A", "1"}, {"B", "<$(A)$(NO)$$(A)>"}, {"A", "2"}};
	const struct container_spec plain = {0};
	expect_shell(pod, "hostname; cat /etc/hostname; pwd; id -u", plain, "pod-1\npod-1\n/\n0\n");
	expect_shell(pod, "echo $A $B $HOSTNAME $HOME",
		     (struct container_spec){.env = env, .n_env = 3},
		     "2 <1$(NO)$(A)> pod-1 /root\n");
	expect_shell(pod, "cat /etc/resolv.conf /etc/hosts; pwd",
		     (struct container_spec){
			     .resolv_conf = "nameserver 1\n", .hosts = "hosts\n", .cwd = "/etc"},
		     "nameserver 1\nhosts\n/etc\n");
	expect_shell(pod, "id -u; id -g; grep -h CapEff /proc/self/status; echo out >/dev/stdout",
		     (struct container_spec){.has_user = true, .user = 65534},
		     "65534\n65534\nCapEff:\t0000000000000000\nout\n");
	expect_shell(pod, "grep NoNewPrivs /proc/self/status",
		     (struct container_spec){.no_new_privs = true}, "NoNewPrivs:\t1\n");
	/* PID 1 is ours; the command's orphans end with it. */
	expect_shell(pod, "cat /proc/1/comm; (sleep 1000 &) ; ls /proc | grep -c '^[0-9]'", plain,
		     "hark-init\n5\n");
	/* Writes go nowhere, a restart starts anew. */
	expect_shell(pod,
		     "echo x > /etc/hark-test-file; rm -rf /usr/share/doc; cat /etc/hark-test-file",
		     plain, "x\n");
	CHECK(access("/etc/hark-test-file", F_OK) < 0 && access("/usr/share/doc", F_OK) == 0);
	expect_shell(pod, "ls /etc/hark-test-file 2>/dev/null || echo none", plain, "none\n");
	expect_shell(pod, "echo 1 2>/dev/null > /proc/sys/kernel/panic || echo no", plain, "no\n");
	expect_shell(pod, "touch /x 2>/dev/null || echo no; touch /tmp/x && echo yes",
		     (struct container_spec){.read_only_root = true}, "no\nyes\n");
	pod_net_free(pod);
	return 0;
}

static void test_container_sees(void **state)
{
	(void)state; /* cmocka's */
	run_in_mesh("test-sees", container_sees);
}

static const struct {
	const char *rule, *argv0, *cwd, *error;
	struct container_mount mount;
} bad_starts[] = {
	{"command not in PATH",
	 "no-such-command",
	 NULL,
	 "command \"no-such-command\" is not found in PATH "
	 "(/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)",
	 {0}},
	{"command that is not there", "/no/such", NULL, "command \"/no/such\" does not exist", {0}},
	{"command that is no program",
	 "/etc/passwd",
	 NULL,
	 "command \"/etc/passwd\": Permission denied",
	 {0}},
	{"folder that is not there",
	 "true",
	 "/no/such",
	 "workingDir /no/such: No such file or directory",
	 {0}},
	{"hostPath that is not there",
	 "true",
	 NULL,
	 "mount /data: /no/such: No such file or directory",
	 {.source = "/no/such", .target = "/data"}},
	{"subPath that leads out",
	 "true",
	 NULL,
	 "mount /data: subPath a/../..: must not contain ..",
	 {.source = "/usr", .sub_path = "a/../..", .target = "/data"}},
};

static int bad_start(struct node *node, void *arg)
{
	(void)arg; /* none */
	begin(node);
	struct pod_net *pod = make_pod(1, NULL);
	for (size_t i = 0; i < N_ELEMS(bad_starts); i++) {
		const char *argv[] = {bad_starts[i].argv0};
		struct container_spec spec = {
			.pod = pod,
			.argv = argv,
			.n_argv = 1,
			.cwd = bad_starts[i].cwd,
			.mounts = &bad_starts[i].mount,
			.n_mounts = bad_starts[i].mount.source ? 1 : 0,
		};
		struct container_proc *c = start(&spec);
		turn_until(&world.exited);
		container_free(c);
		world.err = world.how.err;
		CHECK(!world.how.started && !world.started);
		if (strcmp(world.how.err.text, bad_starts[i].error) != 0)
			fprintf(stderr, "%s\n", bad_starts[i].rule);
		CHECK(strcmp(world.how.err.text, bad_starts[i].error) == 0);
	}
	pod_net_free(pod);
	return 0;
}

static void test_bad_start(void **state)
{
	(void)state; /* cmocka's */
	run_in_mesh("test-bad-start", bad_start);
}

static bool log_has(const char *line)
{
	struct buf out;
	buf_init(&out, LOGFILE_MAX);
	logfile_tail(log_path, SIZE_MAX, &out);
	bool has = slice_contains(buf_slice(&out), slice_of(line));
	buf_fini(&out);
	return has;
}

static const struct {
	const char *rule, *command;
	unsigned grace_s;
	int code;
} stops[] = {
	{"default disposition, although it is the only process", "echo up; exec sleep 1000", 30,
	 143},
	{"its own handler", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done", 30, 7},
	{"deaf: killed after the grace period", "trap '' TERM; echo up; while :; do sleep 1; done",
	 1, 137},
	{"no grace", "echo up; exec sleep 1000", 0, 137},
};

static int stopping(struct node *node, void *arg)
{
	(void)arg; /* none */
	begin(node);
	struct pod_net *pod = make_pod(1, NULL);
	for (size_t i = 0; i < N_ELEMS(stops); i++) {
		const char *argv[] = {"sh", "-c", stops[i].command};
		struct container_spec spec = {.pod = pod, .argv = argv, .n_argv = 3};
		CHECK(!unlink(log_path) || errno == ENOENT);
		struct container_proc *c = start(&spec);
		while (!log_has("up\n"))
			CHECK(loop_turn(node->loop, 100, &world.err));
		CHECK(container_running(c));
		container_stop(c, stops[i].grace_s);
		turn_until(&world.exited);
		if (world.how.code != stops[i].code)
			fprintf(stderr, "%s: %d\n", stops[i].rule, world.how.code);
		CHECK(world.how.started && world.how.code == stops[i].code);
		container_free(c);
	}
	pod_net_free(pod);
	return 0;
}

static void test_stopping(void **state)
{
	(void)state; /* cmocka's */
	run_in_mesh("test-stopping", stopping);
}

static int volumes(struct node *node, void *arg)
{
	(void)arg; /* none */
	begin(node);
	struct pod_net *pod = make_pod(1, NULL);
	char data[NODE_PATH_LEN], conf[NODE_PATH_LEN];
	struct volume_file files[] = {{"a.conf", SLICE("one\n"), 0}, {"d/b", SLICE("two\n"), 0600}};
	CHECK(volume_empty_dir(node, "test.pod-1", "data", data, &world.err));
	CHECK(volume_config(node, "test.pod-1", "conf", files, 2, conf, &world.err));
	const struct container_mount mounts[] = {
		{data, "inner", "/new/place/data/inner", false},
		{data, NULL, "/new/place/data", false},
		{conf, NULL, "/etc/test-conf", true},
		{conf, "a.conf", "/etc/test-one.conf", true},
		{"/usr", NULL, "/host-usr", true},
		{NULL, NULL, "/scratch", false},
	};
	const struct container_spec spec = {.mounts = mounts, .n_mounts = N_ELEMS(mounts)};
	expect_shell(pod,
		     "cat /etc/test-conf/a.conf /etc/test-conf/d/b /etc/test-one.conf; "
		     "touch /etc/test-conf/x 2>/dev/null || echo read-only; "
		     "touch /host-usr/x 2>/dev/null || echo read-only; "
		     "echo kept > /new/place/data/file; touch /new/place/data/inner/x /scratch/x; "
		     "ls /host-usr | grep -x bin",
		     spec, "one\ntwo\none\nread-only\nread-only\nbin\n");
	files[0].data = SLICE("new\n");
	CHECK(volume_config(node, "test.pod-1", "conf", files, 1, conf, &world.err));
	/* Of the Pod, so another container and a restart find it; but not what was a tmpfs. */
	expect_shell(pod,
		     "cat /new/place/data/file /etc/test-conf/*; ls /new/place/data/inner; "
		     "ls /scratch",
		     spec, "kept\nnew\nx\n");
	CHECK(!volume_config(node, "test.pod-1", "conf",
			     &(struct volume_file){"../x", SLICE("x"), 0}, 1, conf, &world.err));
	volume_remove_pod(node, "test.pod-1");
	CHECK(access(data, F_OK) < 0);
	pod_net_free(pod);
	return 0;
}

static void test_volumes(void **state)
{
	(void)state; /* cmocka's */
	run_in_mesh("test-volumes", volumes);
}

static int long_log(struct node *node, void *arg)
{
	(void)arg; /* none */
	begin(node);
	struct pod_net *pod = make_pod(1, NULL);
	struct stat now, old;
	char old_path[NODE_PATH_LEN];
	free(run_shell(pod, "seq -w 1 3000000; echo the end", (struct container_spec){0}));
	CHECK(path_make(old_path, &world.err, "%s.1", log_path));
	CHECK(stat(log_path, &now) == 0 && stat(old_path, &old) == 0);
	CHECK(now.st_size + old.st_size <= LOGFILE_MAX);
	struct buf out;
	buf_init(&out, LOGFILE_MAX);
	logfile_tail(log_path, 2, &out);
	CHECK(slice_is(buf_slice(&out), "3000000\nthe end\n"));
	buf_clear(&out);
	logfile_tail(log_path, 900000, &out); /* more than the newer part holds */
	CHECK(slice_starts(buf_slice(&out), SLICE("2100002\n")));
	buf_fini(&out);
	pod_net_free(pod);
	return 0;
}

static void test_long_log(void **state)
{
	(void)state; /* cmocka's */
	run_in_mesh("test-log", long_log);
}

/* Probes and exec. */

static void on_probe(void *ctx, bool ready, const char *why)
{
	(void)ctx; /* one at a time */
	world.probed = true;
	world.probe_ready = ready;
	CHECK(snprintf(world.probe_why, sizeof(world.probe_why), "%s", why) >= 0);
}

static const char http_server[] =
	"import http.server\n"
	"class H(http.server.BaseHTTPRequestHandler):\n"
	" n=0\n"
	" def do_GET(s):\n"
	"  H.n+=1\n"
	"  ok=s.path=='/ok?x' and s.headers['X-A']=='b' and s.client_address[0]=='127.0.0.6'\n"
	"  s.send_response(204 if ok and H.n<3 else 503)\n"
	"  s.end_headers()\n"
	"http.server.HTTPServer(('',8080),H).serve_forever()\n";

/* Ready once, then not: the server changes its mind at the third request. */
static void probe_http(struct pod_net *pod)
{
	const struct pair headers[] = {{"X-A", "b"}};
	struct probe_spec spec;
	probe_spec_init(&spec);
	spec.kind = PROBE_HTTP;
	spec.port = 8080;
	spec.path = "/ok?x";
	spec.headers = headers;
	spec.n_headers = 1;
	spec.period_s = 1;
	spec.success_threshold = 2;
	spec.failure_threshold = 1;
	world.probed = false;
	struct prober *p =
		prober_start(world.node, pod, "test.pod-1.main", &spec, on_probe, NULL, &world.err);
	CHECK(p);
	turn_until(&world.probed);
	CHECK(world.probe_ready);
	world.probed = false;
	turn_until(&world.probed);
	CHECK(!world.probe_ready);
	CHECK(strcmp(world.probe_why, "http 198.18.0.2:8080: status 503") == 0);
	prober_free(p);
}

static void probe_other(struct pod_net *pod, enum probe_kind kind, const char *const argv[],
			uint16_t port, bool ready, const char *why)
{
	struct probe_spec spec;
	probe_spec_init(&spec);
	spec.kind = kind;
	spec.port = port;
	spec.argv = argv;
	world.probed = false;
	struct prober *p =
		prober_start(world.node, pod, "test.pod-1.main", &spec, on_probe, NULL, &world.err);
	CHECK(p);
	if (ready) {
		turn_until(&world.probed);
		CHECK(world.probe_ready);
	} else {
		while (!*prober_last_failure(p))
			CHECK(loop_turn(world.node->loop, 100, &world.err));
		if (strcmp(prober_last_failure(p), why) != 0)
			fprintf(stderr, "%s\n", prober_last_failure(p));
		CHECK(strcmp(prober_last_failure(p), why) == 0 && !world.probed);
	}
	prober_free(p);
}

static void on_exec(void *ctx, int code, const struct err *err)
{
	(void)ctx; /* one at a time */
	world.exec_done = true;
	world.exec_code = code;
	if (err)
		world.err = *err;
}

static int exec_code(const char *const argv[], uint64_t timeout_ns)
{
	world.exec_done = false;
	CHECK(exec_start(world.node, "test.pod-1.main", argv, timeout_ns, on_exec, NULL,
			 &world.err));
	turn_until(&world.exec_done);
	return world.exec_code;
}

static int probing(struct node *node, void *arg)
{
	(void)arg; /* none */
	begin(node);
	struct capture_config capture;
	capture_config_init(&capture); /* nothing listens at 15006: what is captured is refused */
	struct pod_net *pod = make_pod(1, &capture), *other = make_pod(2, NULL);
	const char *argv[] = {"python3", "-c", http_server};
	const struct container_env env[] = {{"WHO", "me"}};
	struct container_spec spec = {.pod = pod,
				      .argv = argv,
				      .n_argv = 3,
				      .env = env,
				      .n_env = 1,
				      .cwd = "/usr",
				      .has_user = true,
				      .user = 65534};
	struct container_proc *c = start(&spec);
	turn_until(&world.started);
	probe_http(pod);
	const struct addr to = {.ip = pod->v4, .port = 8080};
	CHECK(connect_from(other, &to) == ECONNREFUSED);

	probe_other(pod, PROBE_TCP, NULL, 8080, true, "");
	probe_other(pod, PROBE_TCP, NULL, 8081, false, "tcp 198.18.0.2:8081: Connection refused");
	const char *const yes[] = {"sh", "-c", "test $(id -u)$WHO$PWD = 65534me/usr", NULL};
	const char *const no[] = {"sh", "-c", "exit 3", NULL};
	const char *const missing[] = {"no-such", NULL};
	const char *const slow[] = {"sleep", "1000", NULL};
	probe_other(pod, PROBE_EXEC, yes, 0, true, "");
	probe_other(pod, PROBE_EXEC, no, 0, false, "exec sh: exit status 3");
	CHECK(exec_code(no, NS_PER_S) == 3);
	CHECK(exec_code(missing, NS_PER_S) == -1 && world.err.kind == ERR_NOT_FOUND);
	CHECK(exec_code(slow, 50 * NS_PER_MS) == -1 && world.err.kind == ERR_LIMIT);
	for (int i = 0; i < 20; i++) { /* whatever step it is at */
		struct exec *e = exec_start(node, "test.pod-1.main", slow, NS_PER_S, on_exec, NULL,
					    &world.err);
		CHECK(e);
		for (int j = 0; j < i / 4; j++)
			CHECK(loop_turn(node->loop, 1, &world.err));
		exec_cancel(e);
	}
	container_free(c);
	CHECK(!exec_start(node, "test.pod-1.main", yes, NS_PER_S, on_exec, NULL, &world.err));
	CHECK(world.err.kind == ERR_NOT_FOUND);
	pod_net_free(pod);
	pod_net_free(other);
	return 0;
}

static void test_probing(void **state)
{
	(void)state; /* cmocka's */
	run_in_mesh("test-probing", probing);
}

/* From the host, and the end of everything. */

struct far_side {
	int tell[2]; /* the node writes a byte when the container runs */
	int held[2]; /* the container holds the writing end */
};

static int run_for_ever(struct node *node, void *arg)
{
	const struct far_side *far = arg;
	begin(node);
	struct pod_net *pod = make_pod(1, NULL);
	const char *argv[] = {"sh", "-c", "cd /tmp; (sleep 1000 &); exec sleep 1000"};
	const struct container_env env[] = {{"WHO", "me"}};
	struct container_spec spec = {
		.pod = pod, .argv = argv, .n_argv = 3, .env = env, .n_env = 1};
	CHECK(close(far->held[0]) == 0 && close(far->tell[0]) == 0);
	CHECK(fcntl(far->held[1], F_SETFD, 0) == 0); /* the command inherits it */
	struct container_proc *c = start(&spec);
	turn_until(&world.started);
	CHECK(c && write(far->tell[1], "x", 1) == 1);
	CHECK(loop_run(node->loop, &world.err));
	return 1; /* it is killed */
}

static struct node_handle spawn_for_ever(const char *name, struct far_side *far)
{
	char byte;
	assert_int_equal(pipe2(far->tell, O_CLOEXEC), 0);
	assert_int_equal(pipe2(far->held, O_CLOEXEC), 0);
	struct node_handle node = spawn(name, run_for_ever, far);
	assert_int_equal(close(far->held[1]), 0);
	assert_int_equal(close(far->tell[1]), 0);
	assert_int_equal(read(far->tell[0], &byte, 1), 1);
	return node;
}

static void far_side_close(struct far_side *far)
{
	assert_int_equal(close(far->held[0]), 0);
	assert_int_equal(close(far->tell[0]), 0);
}

/* exec_foreground leaves its caller's children in another PID namespace, so each has a process. */
static int foreground(const struct node_handle *node, const char *const argv[])
{
	struct err err = {0};
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		int code = exec_foreground(node, "test.pod-1.main", argv, &err);
		_exit(code >= 0 ? code : err.kind == ERR_NOT_FOUND ? 201 : 202);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_exec_from_host(void **state)
{
	(void)state; /* cmocka's */
	struct far_side far;
	struct node_handle node = spawn_for_ever("test-exec", &far), found;
	struct err err = {0};
	const char *const yes[] = {"sh", "-c", "test $(id -u)$WHO$(hostname) = 0mepod-1", NULL};
	const char *const no[] = {"sh", "-c", "exit 3", NULL};
	const char *const killed[] = {"sh", "-c", "kill -9 $$", NULL};
	const char *const missing[] = {"no-such", NULL};
	assert_int_equal(foreground(&node, yes), 0);
	assert_int_equal(foreground(&node, no), 3);
	assert_int_equal(foreground(&node, killed), 137);
	assert_int_equal(foreground(&node, missing), 201);
	assert_int_equal(exec_foreground(&node, "test.pod-2.main", yes, &err), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	int ns = exec_netns(&node, "test.pod-1.main", &err);
	assert_true(ns >= 0 && close(ns) == 0);
	assert_true(node_open("test-exec", &found, &err));
	assert_int_equal(found.pid, node.pid);
	node_close(&found);
	struct node_config cfg;
	assert_true(node_config_init(&cfg, "test-exec", &err));
	assert_false(node_spawn(&cfg, run_for_ever, NULL, &found, &err));
	assert_int_equal(err.kind, ERR_CONFLICT);
	assert_true(node_kill(&node, &err));
	assert_int_equal(access("/run/hark/test-exec", F_OK), -1);
	far_side_close(&far);
}

static char *slurp(const char *path)
{
	struct buf b;
	struct err err = {0};
	buf_init(&b, 1024 * 1024);
	if (!file_read(path, &b, &err))
		fail_msg("%s", err.text);
	char *copy = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	return copy;
}

static void test_kill_leaves_nothing(void **state)
{
	(void)state; /* cmocka's */
	char *mounts = slurp("/proc/self/mountinfo"), *links = slurp("/proc/net/dev");
	struct far_side far;
	struct node_handle node = spawn_for_ever("test-kill", &far);
	struct err err = {0};
	char byte;
	/* Not a word to the node: as if somebody had killed it. */
	assert_int_equal(kill(node.pid, SIGKILL), 0);
	assert_int_equal(node_wait(&node), 137);
	/* Its end shows only after that of all its processes: the pipe is closed already. */
	struct pollfd ended = {.fd = far.held[0], .events = POLLIN};
	assert_int_equal(poll(&ended, 1, 0), 1);
	assert_int_equal(read(far.held[0], &byte, 1), 0);
	char *mounts_after = slurp("/proc/self/mountinfo"), *links_after = slurp("/proc/net/dev");
	assert_string_equal(mounts, mounts_after);
	assert_int_equal(strlen(links) / 200, strlen(links_after) / 200); /* the counters go on */
	assert_null(strstr(links_after, "hark0"));
	assert_int_equal(access("/run/hark/test-kill", F_OK), 0);
	assert_false(node_open("test-kill", &node, &err)); /* finds the folder and removes it */
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(access("/run/hark/test-kill", F_OK), -1);
	far_side_close(&far);
	free(mounts);
	free(links);
	free(mounts_after);
	free(links_after);
}

static void test_names(void **state)
{
	(void)state; /* cmocka's */
	static const char *const bad[] = {"",   "a/b", "..",  "A",
					  "-a", "a-",  "a.b", "abcdefghijklmnopqrstuvwxyz0123456"};
	struct node_config cfg;
	for (size_t i = 0; i < N_ELEMS(bad); i++)
		assert_false(node_config_init(&cfg, bad[i], NULL));
	assert_true(node_config_init(&cfg, "my-mesh-2", NULL));
	assert_string_equal(cfg.run_dir, "/run/hark/my-mesh-2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),          cmocka_unit_test(test_pods_talk),
		cmocka_unit_test(test_container_sees), cmocka_unit_test(test_bad_start),
		cmocka_unit_test(test_stopping),       cmocka_unit_test(test_volumes),
		cmocka_unit_test(test_long_log),       cmocka_unit_test(test_probing),
		cmocka_unit_test(test_exec_from_host), cmocka_unit_test(test_kill_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
