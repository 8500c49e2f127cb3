#include "sandbox/testbed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/sock.h"
#include "sandbox/files.h"
#include "sandbox/logfile.h"
#include "sandbox/netns.h"

struct world world;
char log_path[NODE_PATH_LEN];

void turn_until(const bool *done)
{
	uint64_t end = clock_ns() + PATIENCE_MS * NS_PER_MS;
	while (!*done && clock_ns() < end)
		CHECK(loop_turn(world.node->loop, 100, &world.err));
	CHECK(*done);
}

void begin(struct node *node)
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

struct pod_net *make_pod(unsigned n, const struct capture_config *capture)
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

struct container_proc *start(struct container_spec *spec)
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

char *run_shell(struct pod_net *pod, const char *text, struct container_spec spec)
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

void expect_shell(struct pod_net *pod, const char *text, struct container_spec spec,
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

struct node_handle spawn(const char *name, node_main_fn *main, void *arg)
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
void run_in_mesh(const char *name, node_main_fn *main)
{
	struct err err = {0};
	struct node_handle node = spawn(name, main, NULL);
	assert_int_equal(node_wait(&node), 0);
	assert_false(node_open(name, &node, &err));
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(access(node.run_dir, F_OK), -1);
}

int connect_from(const struct pod_net *pod, const struct addr *to)
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
