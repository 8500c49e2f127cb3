#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/file_list.h"
#include "cli/mesh_client.h"
#include "cli/node_stop.h"
#include "cli/wait.h"
#include "local/mesh.h"
#include "rest/client.h"
#include "sandbox/logfile.h"

enum { NODE_LOG_LINES = 20, NODE_LOG_MAX = 16 * 1024, MESSAGES_MAX = 1024 * 1024 };

static const char *name = "default";
static const char *ca_dir;
static const char *pods_v4, *pods_v6, *services_v4, *services_v6;
static struct arg_list given;
static bool detach;
static unsigned timeout_s = 120;

/* `hark up` while it waits: for the Pods, for the node's end, for a signal. */
struct up {
	struct loop *loop;
	struct node_handle node;
	struct rest_client *client;
	struct waiting waiting;
	struct io signals, end;
	int status;
	bool ended; /* the node is no more */
};

static int failed(const char *text)
{
	fprintf(stderr, "hark up: %s\n", text);
	return EXIT_FAILED;
}

static bool set_range(const char *text, const char *option, bool v4, unsigned max_bits,
		      struct cidr *out, struct err *err)
{
	if (!text)
		return true;
	if (!cidr_parse(slice_of(text), out) || ip_is_v4(&out->ip) != v4 ||
	    (v4 ? out->bits - 96u : out->bits) > max_bits)
		return err_set(err, ERR_BAD_INPUT,
			       "--%s: expected an %s range like %s, at most /%u, got \"%s\"",
			       option, v4 ? "IPv4" : "IPv6", v4 ? "198.18.0.0/16" : "fd00:1::/64",
			       max_bits, text);
	return true;
}

static bool configure(struct node_config *cfg, struct err *err)
{
	if (!node_config_init(cfg, name, err) ||
	    !set_range(pods_v4, "pods", true, 24, &cfg->pods_v4, err) ||
	    !set_range(services_v4, "services", true, 22, &cfg->services_v4, err) ||
	    !set_range(pods_v6, "pods6", false, 112, &cfg->pods_v6, err) ||
	    !set_range(services_v6, "services6", false, 112, &cfg->services_v6, err))
		return false;
	cfg->detach = detach;
	cfg->die_with_parent = !detach;
	return true;
}

static void show_node_log(const struct node_handle *node)
{
	char path[NODE_PATH_LEN + 16];
	struct buf tail;
	snprintf(path, sizeof(path), "%s/node.log", node->run_dir);
	buf_init(&tail, NODE_LOG_MAX);
	logfile_tail(path, NODE_LOG_LINES, &tail);
	fprintf(stderr, "%.*s", SLICE_FMT(buf_slice(&tail)));
	buf_fini(&tail);
}

/* The node is elsewhere: a path from here means nothing to it. */
static bool absolute(const char *path, char out[PATH_MAX], struct err *err)
{
	char here[PATH_MAX] = "";
	if (path[0] != '/' && !getcwd(here, sizeof(here)))
		return err_sys(err, "the working folder");
	int n = snprintf(out, PATH_MAX, "%s%s%s", here, *here ? "/" : "", path);
	return n < PATH_MAX || err_set(err, ERR_LIMIT, "--ca-dir: the path is too long");
}

/* Returns when the mesh's API answers. */
static bool spawn(const struct file_list *files, struct node_handle *node, struct err *err)
{
	struct node_config cfg;
	int news[2];
	char byte, ca_path[PATH_MAX];

	if (!configure(&cfg, err) || (ca_dir && !absolute(ca_dir, ca_path, err)))
		return false;
	if (pipe2(news, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	struct mesh_options opt = {.files = files->at,
				   .n_files = files->n,
				   .ca_dir = ca_dir ? ca_path : NULL,
				   .ready_fd = news[1]};
	bool ok = node_spawn(&cfg, mesh_main, &opt, node, err);
	(void)close(news[1]); /* the node has its own */
	if (!ok && err->kind == ERR_CONFLICT)
		(void)err_set(err, ERR_CONFLICT,
			      "a mesh called %s is running already; change it with `hark apply -n "
			      "%s`, end it with `hark down -n %s`",
			      name, name, name); /* OK says so too */
	if (ok) {
		ssize_t n;
		while ((n = read(news[0], &byte, 1)) < 0 && errno == EINTR)
			;
		if (n != 1) {
			ok = err_set(err, ERR_NOT_NOW, "the mesh did not start");
			show_node_log(node);
			struct err unheard = {0};
			if (!node_kill(node, &unheard))
				(void)err_wrap(err, "%s", unheard.text); /* OK says so too */
		}
	}
	(void)close(news[0]); /* read to its end */
	return ok;
}

static void finish(struct up *up, int status)
{
	up->status = status;
	loop_stop(up->loop);
}

static void on_signal(struct io *io, uint32_t events)
{
	struct up *up = CONTAINER_OF(io, struct up, signals);
	struct signalfd_siginfo info;
	(void)events; /* only EPOLLIN is asked for */
	if (read(io->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	finish(up, detach ? 128 + (int)info.ssi_signo : 0);
}

static void on_node_end(struct io *io, uint32_t events)
{
	struct up *up = CONTAINER_OF(io, struct up, end);
	(void)events; /* a process handle is readable when the process has ended */
	up->ended = true;
	finish(up, failed("the mesh has ended"));
}

static void on_body(void *ctx, struct slice bytes)
{
	struct up *up = ctx;
	waiting_bytes(&up->waiting, bytes);
}

/* The wait is over. In the foreground a mesh that is not ready goes on: there is somebody who can
 * look at it. Detached it is taken down: all of it is up, or nothing. */
static void on_wait_end(void *ctx, const struct err *err)
{
	struct up *up = ctx;

	if (up->waiting.result == WAIT_READY) {
		printf("mesh %s is up: %u Pod%s\n", name, up->waiting.n_total,
		       up->waiting.n_total == 1 ? "" : "s");
		(void)fflush(stdout); /* a closed standard output is no reason to stop */
		if (detach)
			finish(up, 0);
		return;
	}
	if (err)
		fprintf(stderr, "hark up: %s\n", err->text);
	else if (up->waiting.result == WAIT_TIMEOUT)
		fprintf(stderr, "hark up: not every Pod is ready after %u s\n", timeout_s);
	else
		fprintf(stderr, "hark up: not every Pod can become ready\n");
	if (detach)
		finish(up, EXIT_FAILED);
}

static bool listen_for_ends(struct up *up, struct err *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_sys(err, "sigprocmask");
	up->signals = (struct io){.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
				  .on_ready = on_signal};
	if (up->signals.fd < 0)
		return err_sys(err, "signalfd");
	up->end = (struct io){.fd = up->node.pidfd, .on_ready = on_node_end};
	return loop_add(up->loop, &up->signals, EPOLLIN, err) &&
	       loop_add(up->loop, &up->end, EPOLLIN, err);
}

static bool wait_here(struct up *up, struct err *err)
{
	static const struct rest_events events = {.on_body = on_body, .on_end = on_wait_end};
	char base[NODE_PATH_LEN + 32], path[64];
	struct rest_ask ask = {.path = waiting_path(timeout_s, path, sizeof(path))};

	snprintf(base, sizeof(base), "unix:%s/" MESH_ADMIN_SOCKET, up->node.run_dir);
	up->loop = loop_new(err);
	if (!up->loop || !listen_for_ends(up, err))
		return false;
	up->client = rest_client_new(up->loop, base, err);
	if (!up->client)
		return false;
	waiting_init(&up->waiting);
	rest_client_send(up->client, &ask, &events, up);
	bool ok = loop_run(up->loop, err);
	rest_client_free(up->client);
	waiting_fini(&up->waiting);
	loop_free(up->loop);
	return ok;
}

static int run_up(char **operands, unsigned n)
{
	struct err err = {0};
	struct file_list files;
	struct up up = {.node.pidfd = -1, .signals.fd = -1};
	struct buf messages;

	if (given.n + n == 0)
		return args_bad(&cmd_up, "nothing to run: give files with -f");
	buf_init(&messages, MESSAGES_MAX);
	bool ok = file_list_read(&files, &given, operands, n, &err);
	bool good = ok && apply_check(files.at, files.n, &messages);
	fprintf(stderr, "%.*s", SLICE_FMT(buf_slice(&messages)));
	buf_fini(&messages);
	ok = good && spawn(&files, &up.node, &err);
	file_list_fini(&files);
	if (!ok)
		return err.kind == ERR_NONE ? EXIT_FAILED : failed(err.text);
	ok = wait_here(&up, &err);
	if (!ok)
		up.status = failed(err.text);
	if (detach && up.status == 0) {
		node_close(&up.node);
		return 0;
	}
	if (!node_stop(&up.node, up.ended, up.signals.fd, &err))
		up.status = failed(err.text);
	return up.status;
}

static const struct arg_row rows[] = {
	{'f', "file", "FILE", "a file, a folder, or - for standard input; may be repeated",
	 ARG_LIST, &given},
	{'n', "name", "NAME", "what the mesh is called (\"default\")", ARG_TEXT, &name},
	{'d', "detach", NULL, "return when every Pod is ready; the mesh goes on", ARG_FLAG,
	 &detach},
	{0, "timeout", "SECONDS", "how long Pods may take to become ready (120)", ARG_NUMBER,
	 &timeout_s},
	{0, "ca-dir", "DIR",
	 "where the certificate authority is kept, as Istio's cacerts (none: a new one each time)",
	 ARG_TEXT, &ca_dir},
	{0, "pods", "CIDR", "addresses of Pods (198.18.0.0/16)", ARG_TEXT, &pods_v4},
	{0, "services", "CIDR", "virtual IPs (198.19.0.0/16)", ARG_TEXT, &services_v4},
	{0, "pods6", "CIDR", "IPv6 addresses of Pods (fd68:6172:6b::/64)", ARG_TEXT, &pods_v6},
	{0, "services6", "CIDR", "IPv6 virtual IPs (fd68:6172:6b:1::/64)", ARG_TEXT, &services_v6},
};

const struct command cmd_up = {
	.name = "up",
	.operands = "-f FILE... [-n NAME] [--detach]",
	.summary = "a whole mesh on this machine, from Kubernetes YAML",
	.detail = "Every Pod becomes a network namespace with its own address, its containers' "
		  "commands run there\n"
		  "with the host's files (copy on write), Services get virtual IPs and DNS names, "
		  "and Pods of\n"
		  "namespaces with istio-injection=enabled get a sidecar. All of it lives in "
		  "namespaces of its own:\n"
		  "the host's network is not touched, and there is no way out.\n\n"
		  "Without --detach the command stays, and Ctrl-C takes the mesh down. With it, it "
		  "returns when\n"
		  "every Pod is ready; when one is not, it says which and why, takes everything "
		  "down again and\n"
		  "exits with 1.",
	.rows = rows,
	.n_rows = N_ELEMS(rows),
	.max_operands = OPERANDS_ANY,
	.run = run_up,
};
