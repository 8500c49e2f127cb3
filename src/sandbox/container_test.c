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

/* Networks. */

static int listen_in(const struct pod_net *pod, const struct addr *on)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(on, &sa);
	int fd = netns_socket(pod->netns_fd, ip_is_v4(&on->ip) ? AF_INET : AF_INET6, SOCK_STREAM,
			      &world.err);
	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&sa, len) == 0 && listen(fd, 64) == 0);
	return fd;
}

/*
 * The node tells who sends that there is a shorter way. A socket hears that only while nobody is busy
 * with it, so it must be an acknowledgement that is answered so. Who believes it talks to nobody.
 */
static void believe_no_redirect(const struct pod_net *pod, int listener, const struct addr *to)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(to, &sa);
	int near = netns_socket(pod->netns_fd, AF_INET6, SOCK_STREAM, &world.err);
	struct pollfd waiting = {.fd = listener, .events = POLLIN};
	CHECK(near >= 0);
	CHECK(connect(near, (struct sockaddr *)&sa, len) == 0 || errno == EINPROGRESS);
	CHECK(poll(&waiting, 1, PATIENCE_MS) == 1);
	int far = net_accept(listener, NULL);
	CHECK(far >= 0 && send(far, "x", 1, 0) == 1);
	waiting.fd = near;
	CHECK(poll(&waiting, 1, PATIENCE_MS) == 1);
	for (int i = 0; i < 5; i++) {
		uint64_t before = clock_ns();
		CHECK(connect_from(pod, to) == 0);
		CHECK(clock_ns() - before < 900 * NS_PER_MS); /* a lost SYN costs a second */
	}
	CHECK(close(near) == 0 && close(far) == 0);
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
		believe_no_redirect(a, l6, &v6);
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
	expect_shell(
		pod,
		"mknod /tmp/x c 1 3 2>/dev/null || echo no; echo x > /dev/null; stty </dev/ptmx "
		"2>/dev/null >/dev/null && echo pty",
		plain, "no\npty\n");
	expect_shell(pod,
		     "cat /proc/1/mem 2>/dev/null || ls -l /proc/1/exe 2>/dev/null >&2 || echo no",
		     plain, "no\n");
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

/* As a sidecar: this very program, wherever it lies (here: not in any container's /tmp), as a user who
 * may do nothing, with a socket of the node. */
static int like_a_sidecar(struct node *node, void *arg)
{
	(void)arg; /* none */
	begin(node);
	struct pod_net *pod = make_pod(1, NULL);
	char path[NODE_PATH_LEN];
	CHECK(path_make(path, &world.err, "%s/api.sock", node->dir));
	int listener = net_listen_unix(path, 0666, &world.err);
	CHECK(listener >= 0);
	const struct container_mount mount = {path, NULL, "/run/hark/api.sock", true};
	const char *argv[] = {"/proc/self/exe", "as-a-sidecar"};
	struct container_spec spec = {
		.pod = pod,
		.argv = argv,
		.n_argv = 2,
		.has_user = true,
		.user = 1337,
		.has_group = true,
		.group = 1337,
		.no_new_privs = true,
		.raise_nofile = true,
		.mounts = &mount,
		.n_mounts = 1,
	};
	CHECK(!unlink(log_path) || errno == ENOENT);
	struct container_proc *c = start(&spec);
	turn_until(&world.exited);
	world.err = world.how.err;
	CHECK(world.how.code == 0);
	int got = net_accept(listener, NULL);
	CHECK(got >= 0 && close(got) == 0 && close(listener) == 0);
	container_free(c);
	pod_net_free(pod);
	return 0;
}

/* The other side of it: what this program does as a sidecar. */
static int as_a_sidecar(void)
{
	struct buf status;
	struct rlimit nofile;
	buf_init(&status, 1024 * 1024);
	bool ok = geteuid() == 1337 && getegid() == 1337 &&
		  read_file("/proc/self/status", &status, NULL) &&
		  slice_contains(buf_slice(&status), SLICE("CapBnd:\t0000000000000000\n")) &&
		  slice_contains(buf_slice(&status), SLICE("NoNewPrivs:\t1\n")) &&
		  getrlimit(RLIMIT_NOFILE, &nofile) == 0 && nofile.rlim_cur == nofile.rlim_max &&
		  net_connect_unix("/run/hark/api.sock", NULL) >= 0;
	buf_fini(&status);
	return ok ? 0 : 1;
}

static void test_like_a_sidecar(void **state)
{
	(void)state; /* cmocka's */
	run_in_mesh("test-sidecar", like_a_sidecar);
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
	struct volume_file files[] = {{.path = "a.conf", .data = SLICE("one\n")},
				      {.path = "d/b", .data = SLICE("two\n"), .mode = 0600}};
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
			     &(struct volume_file){.path = "../x", .data = SLICE("x")}, 1, conf,
			     &world.err));
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

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "as-a-sidecar") == 0)
		return as_a_sidecar();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pods_talk),      cmocka_unit_test(test_container_sees),
		cmocka_unit_test(test_like_a_sidecar), cmocka_unit_test(test_bad_start),
		cmocka_unit_test(test_stopping),       cmocka_unit_test(test_volumes),
		cmocka_unit_test(test_long_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
