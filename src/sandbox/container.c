#include "sandbox/container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "sandbox/container_init.h"
#include "sandbox/files.h"
#include "sandbox/job.h"
#include "sandbox/logfile.h"

enum { LOG_CHUNK = 64 * 1024, LOG_CHUNKS_PER_TURN = 4 };

struct container_proc {
	struct node *node;
	struct io ended;  /* its init's pidfd */
	struct io report; /* how the start went; fd -1 once that is known */
	struct io output; /* fd -1 at its end */
	struct timer kill_at;
	struct deferred free_later;
	pid_t pid;
	bool started, gone, freed;
	struct err start_err;
	struct logfile *log;
	struct container_ops ops;
	void *ctx;
	char id[201];
	char layer[NODE_PATH_LEN], state[NODE_PATH_LEN];
};

/* Files of a container. */

static bool make_places(struct container_proc *c, struct err *err)
{
	char dir[NODE_PATH_LEN];
	return path_make(dir, err, "%s/containers/%s", c->node->dir, c->id) &&
	       folders_make(dir, 0755, err) && path_make(c->state, err, "%s/state", dir) &&
	       path_make(c->layer, err, "%s/layer-%u", dir, ++c->node->next_link) &&
	       folders_make(c->layer, 0755, err);
}

static bool remove_places_job(void *arg, struct err *err)
{
	return tree_remove(arg, err);
}

static void on_places_removed(void *ctx, const struct err *err)
{
	(void)ctx; /* nobody waits */
	if (err)
		log_warn("sandbox", "%s", err->text);
}

/* A database's layer may be large: not on the loop. */
static void remove_places(struct container_proc *c)
{
	struct err err = {0};
	if (unlink(c->state) < 0 && errno != ENOENT)
		log_warn("sandbox", "removing %s failed: %s", c->state, strerror(errno));
	if (!job_start(c->node->loop, remove_places_job, c->layer, on_places_removed, NULL, &err))
		log_warn("sandbox", "%s stays until the mesh ends: %s", c->layer, err.text);
}

/* Output and start. */

static void io_end(struct container_proc *c, struct io *io)
{
	if (io->fd < 0)
		return;
	loop_del(c->node->loop, io);
	(void)close(io->fd); /* only read from */
	io->fd = -1;
}

static void read_output(struct container_proc *c, size_t chunks)
{
	static char bytes[LOG_CHUNK];
	for (size_t i = 0; i < chunks && c->output.fd >= 0; i++) {
		ssize_t n = read(c->output.fd, bytes, sizeof(bytes));
		if (n > 0)
			logfile_write(c->log, (struct slice){bytes, (size_t)n});
		else if (n == 0)
			io_end(c, &c->output);
		else if (errno != EINTR)
			return;
	}
}

static void on_output(struct io *io, uint32_t events)
{
	(void)events; /* reading tells what it was */
	read_output(CONTAINER_OF(io, struct container_proc, output), LOG_CHUNKS_PER_TURN);
}

/* KILLED: init is known to have ended by a signal. */
static void take_report(struct container_proc *c, bool killed)
{
	struct err said = {0};
	ssize_t n = read(c->report.fd, &said, sizeof(said));
	if (n < 0)
		return; /* EINTR: comes again */
	io_end(c, &c->report);
	if (n == (ssize_t)sizeof(said)) {
		c->start_err = said; /* init ends now, and with that comes exited() */
		return;
	}
	/* The pipe closed by itself: with the exec, or with a process that had no chance to say
	 * more. */
	if (killed)
		return;
	c->started = true;
	if (c->ops.started)
		c->ops.started(c->ctx);
}

static void on_report(struct io *io, uint32_t events)
{
	(void)events; /* as above */
	take_report(CONTAINER_OF(io, struct container_proc, report), false);
}

static void container_destroy(struct deferred *d)
{
	free(CONTAINER_OF(d, struct container_proc, free_later));
}

static void release(struct container_proc *c)
{
	io_end(c, &c->report);
	io_end(c, &c->output);
	io_end(c, &c->ended);
	timer_cancel(c->node->loop, &c->kill_at);
	logfile_close(c->log);
	c->log = NULL;
}

static void on_ended(struct io *io, uint32_t events)
{
	(void)events; /* a pidfd is ready when the process has ended */
	struct container_proc *c = CONTAINER_OF(io, struct container_proc, ended);
	int status = 0;
	if (waitpid(c->pid, &status, 0) != c->pid)
		status = 0; /* somebody else waited for it: never ours */
	c->gone = true;
	if (c->report.fd >= 0)
		take_report(c, WIFSIGNALED(status)); /* both came in one turn */
	/* All its processes are gone, so what is in the pipe is all there will be. */
	read_output(c, SIZE_MAX);
	struct container_exit how = {
		.started = c->started,
		.err = c->start_err,
		.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
	};
	if (!c->started && how.err.kind == ERR_NONE)
		(void)err_set(&how.err, ERR_NOT_NOW, "it ended with status %d while starting",
			      how.code); /* handed on */
	release(c);
	remove_places(c);
	if (!c->freed)
		c->ops.exited(c->ctx, &how); /* may free C, which lives to the end of the turn */
}

/* Starting. */

static char **expand_argv(const struct container_spec *spec)
{
	char **argv = mem_array(spec->n_argv + 1, sizeof(*argv));
	for (size_t i = 0; i < spec->n_argv; i++)
		argv[i] = container_expand(spec->argv[i], spec->env, spec->n_env);
	return argv;
}

static pid_t clone_init(int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static bool start_init(struct container_proc *c, const struct container_init *init, struct err *err)
{
	sigset_t wanted, before;
	int pidfd = -1;
	container_init_signals(&wanted);
	/* From its first moment: a SIGTERM that comes while it sets up must not be lost. */
	MUST(sigprocmask(SIG_BLOCK, &wanted, &before) == 0);
	c->pid = clone_init(&pidfd);
	if (c->pid == 0)
		container_init(init);
	int why = errno;
	MUST(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
	errno = why;
	if (c->pid < 0)
		return err_sys(err, "making a process");
	c->ended.fd = pidfd;
	return true;
}

/* Pipes to the new process; ours do not block. */
static bool make_pipes(int output[2], int report[2], struct err *err)
{
	if (pipe2(output, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	if (pipe2(report, O_CLOEXEC) < 0) {
		(void)err_sys(err, "pipe"); /* told by the caller */
		(void)close(output[0]);     /* nothing was written */
		(void)close(output[1]);     /* as above */
		return false;
	}
	MUST(fcntl(output[0], F_SETFL, O_NONBLOCK) == 0);
	return true;
}

static bool watch(struct container_proc *c, struct err *err)
{
	c->ended.on_ready = on_ended;
	c->report.on_ready = on_report;
	c->output.on_ready = on_output;
	struct io *const ios[] = {&c->ended, &c->report, &c->output};
	for (size_t i = 0; i < N_ELEMS(ios); i++) {
		if (loop_add(c->node->loop, ios[i], EPOLLIN, err))
			continue;
		for (size_t j = i; j < N_ELEMS(ios); j++) {
			(void)close(ios[j]->fd); /* not watched, so release() would not */
			ios[j]->fd = -1;
		}
		return false;
	}
	return true;
}

static bool launch(struct container_proc *c, struct container_init *init, struct err *err)
{
	int output[2] = {-1, -1}, report[2] = {-1, -1};
	if (!make_pipes(output, report, err))
		return false;
	init->output_fd = output[1];
	init->report_fd = report[1];
	bool ok = start_init(c, init, err);
	(void)close(output[1]); /* the new process has it */
	(void)close(report[1]); /* as above */
	c->output.fd = output[0];
	c->report.fd = report[0];
	if (!ok) {
		(void)close(output[0]); /* nothing was written */
		(void)close(report[0]); /* as above */
		c->output.fd = c->report.fd = -1;
		return false;
	}
	init->as.pid = c->pid;
	pid_t pid = c->pid;
	if (watch(c, err) && run_as_save(&init->as, c->state, err))
		return true;
	(void)kill(pid, SIGKILL);    /* our child, not waited for: it is there */
	(void)waitpid(pid, NULL, 0); /* as above */
	return false;
}

static bool check_spec(const struct container_spec *spec, struct err *err)
{
	if (!id_ok(spec->id))
		return err_set(err, ERR_BAD_INPUT, "\"%s\" cannot name a container", spec->id);
	if (spec->n_argv == 0 || !*spec->argv[0])
		return err_set(err, ERR_BAD_INPUT, "no command: nothing to run without an image");
	return true;
}

struct container_proc *container_start(struct node *node, const struct container_spec *spec,
				       const struct container_ops *ops, void *ctx, struct err *err)
{
	struct container_init init = {.pod = spec->pod};
	struct container_proc *c = mem_new(sizeof(*c));
	*c = (struct container_proc){.node = node,
				     .ops = *ops,
				     .ctx = ctx,
				     .ended.fd = -1,
				     .report.fd = -1,
				     .output.fd = -1};
	c->free_later.run = container_destroy;
	bool ok = check_spec(spec, err);
	if (ok) {
		memcpy(c->id, spec->id, strlen(spec->id) + 1);
		c->log = logfile_open(spec->log_path, err);
		ok = c->log && make_places(c, err) && run_as_of_spec(&init.as, spec, err);
	}
	if (ok) {
		init.argv = expand_argv(spec);
		init.rootfs = (struct rootfs_config){
			.layer = c->layer,
			.mounts = spec->mounts,
			.n_mounts = spec->n_mounts,
			.hostname = spec->pod->hostname,
			.resolv_conf = spec->resolv_conf,
			.hosts = spec->hosts,
			.read_only = spec->read_only_root,
			.hidden = node->hidden,
		};
		ok = launch(c, &init, err);
	}
	for (size_t i = 0; init.argv && i < spec->n_argv; i++)
		free(init.argv[i]);
	free(init.argv);
	run_as_fini(&init.as);
	if (ok)
		return c;
	(void)err_wrap(err, "container %s", spec->id); /* NULL says so too */
	release(c);
	if (c->layer[0])
		remove_places(c);
	loop_defer(node->loop, &c->free_later);
	return NULL;
}

/* Stopping. */

static void kill_now(struct timer *t)
{
	struct container_proc *c = CONTAINER_OF(t, struct container_proc, kill_at);
	if (!c->gone)
		(void)pidfd_send_signal(c->ended.fd, SIGKILL, NULL, 0); /* it may just have ended */
}

void container_stop(struct container_proc *c, unsigned grace_s)
{
	uint64_t grace = grace_s * NS_PER_S;
	if (c->gone)
		return;
	if (grace_s == 0) {
		kill_now(&c->kill_at);
		return;
	}
	(void)pidfd_send_signal(c->ended.fd, SIGTERM, NULL, 0); /* it may just have ended */
	if (timer_is_set(&c->kill_at) && c->kill_at.at_ns <= clock_ns() + grace)
		return;
	c->kill_at.fire = kill_now;
	timer_set(c->node->loop, &c->kill_at, grace);
}

void container_free(struct container_proc *c)
{
	c->freed = true;
	if (!c->gone) {
		kill_now(&c->kill_at);
		(void)waitpid(c->pid, NULL, 0); /* our child: it ends with the signal */
		c->gone = true;
		read_output(c, SIZE_MAX);
		release(c);
		remove_places(c);
	}
	loop_defer(c->node->loop, &c->free_later);
}

bool container_running(const struct container_proc *c)
{
	return c->started && !c->gone;
}
