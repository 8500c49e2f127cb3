/* As root: real namespaces, real processes: probes, exec, and the end of everything. Each test is a mesh of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/read_file.h"
#include "net/sock.h"
#include "sandbox/exec.h"
#include "sandbox/files.h"
#include "sandbox/logfile.h"
#include "sandbox/netns.h"
#include "sandbox/probe.h"
#include "sandbox/testbed.h"
#include "sandbox/volume.h"

static struct {
	bool probed, ready;
	char why[256];
	bool exec_done;
	int exec_code;
} seen;

/* Probes and exec. */

static void on_probe(void *ctx, bool ready, const char *why)
{
	(void)ctx; /* one at a time */
	seen.probed = true;
	seen.ready = ready;
	CHECK(snprintf(seen.why, sizeof(seen.why), "%s", why) >= 0);
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
	seen.probed = seen.ready = false;
	struct prober *p =
		prober_start(world.node, pod, "test.pod-1.main", &spec, on_probe, NULL, &world.err);
	CHECK(p);
	turn_until(&seen.ready); /* it may have been told of a server that was not there yet */
	seen.probed = false;
	turn_until(&seen.probed);
	CHECK(!seen.ready);
	CHECK(strcmp(seen.why, "http 198.18.0.2:8080: status 503") == 0);
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
	seen.probed = false;
	struct prober *p =
		prober_start(world.node, pod, "test.pod-1.main", &spec, on_probe, NULL, &world.err);
	CHECK(p);
	if (ready) {
		turn_until(&seen.probed);
		CHECK(seen.ready);
	} else {
		while (!*prober_last_failure(p))
			CHECK(loop_turn(world.node->loop, 100, &world.err));
		if (strcmp(prober_last_failure(p), why) != 0)
			fprintf(stderr, "%s\n", prober_last_failure(p));
		CHECK(strcmp(prober_last_failure(p), why) == 0 && !seen.probed);
		turn_until(&seen.probed); /* it was never ready, and yet told */
		CHECK(!seen.ready && strcmp(seen.why, why) == 0);
	}
	prober_free(p);
}

static void on_exec(void *ctx, int code, const struct err *err)
{
	(void)ctx; /* one at a time */
	seen.exec_done = true;
	seen.exec_code = code;
	if (err)
		world.err = *err;
}

static int exec_code(const char *const argv[], uint64_t timeout_ns)
{
	seen.exec_done = false;
	CHECK(exec_start(world.node, "test.pod-1.main", argv, timeout_ns, on_exec, NULL,
			 &world.err));
	turn_until(&seen.exec_done);
	return seen.exec_code;
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

/* Whatever its caller makes afterwards is where it was. */
static int foreground(const struct node_handle *node, const char *const argv[])
{
	struct err err = {0};
	struct stat own, children;
	int code = exec_foreground(node, "test.pod-1.main", argv, &err);
	assert_int_equal(stat("/proc/self/ns/pid", &own), 0);
	assert_int_equal(stat("/proc/self/ns/pid_for_children", &children), 0);
	assert_true(own.st_ino == children.st_ino);
	return code >= 0 ? code : err.kind == ERR_NOT_FOUND ? 201 : 202;
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
	if (!read_file(path, &b, &err))
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
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_probing),
		cmocka_unit_test(test_exec_from_host),
		cmocka_unit_test(test_kill_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
