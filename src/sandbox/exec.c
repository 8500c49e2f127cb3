#include "sandbox/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/enter.h"
#include "sandbox/files.h"
#include "sandbox/netns.h"

static int code_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* On the host. */

static bool open_from_host(struct enter *e, const struct node_handle *node, const char *id,
			   char proc[NODE_PATH_LEN], struct err *err)
{
	char dir[NODE_PATH_LEN], inside[NODE_PATH_LEN];
	node_host_path(node, "/proc", proc);
	if (!path_make(inside, err, "%s/mesh", node->run_dir))
		return false;
	node_host_path(node, inside, dir);
	return enter_open(e, proc, dir, id, err);
}

int exec_netns(const struct node_handle *node, const char *id, struct err *err)
{
	char proc[NODE_PATH_LEN];
	struct enter e;
	if (!open_from_host(&e, node, id, proc, err))
		return -1;
	int fd = netns_open(proc, e.as.pid, err);
	enter_close(&e);
	return fd;
}

static _Noreturn void foreground_child(const struct enter *e, const char *const argv[],
				       int report_fd)
{
	struct err err = {0};
	if (enter_rest(e, &err))
		run_as_exec(&e->as, (char *const *)argv, &err);
	if (write(report_fd, &err, sizeof(err)) != (ssize_t)sizeof(err))
		_exit(126); /* the parent says so without the reason */
	_exit(127);
}

/* Waits for PID; what is sent to us alone goes on to it (what a terminal sends, it gets itself). */
static int attend(pid_t pid, const sigset_t *set)
{
	for (;;) {
		int status = 0;
		pid_t ended = waitpid(pid, &status, WNOHANG);
		if (ended == pid)
			return code_of(status);
		siginfo_t info;
		int sig = sigwaitinfo(set, &info);
		if (sig > 0 && sig != SIGCHLD && info.si_code != SI_KERNEL)
			(void)kill(pid, sig); /* gone: the next turn sees it */
	}
}

/* Forks into the container's PID namespace; whatever the caller makes later is in its own again: a leak
 * checker's thread, for one, could not find its process from in there, and both would wait for ever. */
static pid_t fork_inside(const struct enter *e, struct err *err)
{
	int home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	pid_t pid = -1;
	if (home < 0) {
		(void)err_sys(err, "/proc/self/ns/pid"); /* -1 says so too */
		return -1;
	}
	if (enter_pids(e, err)) {
		pid = fork();
		if (pid == 0)
			return 0;
		if (pid < 0)
			(void)err_sys(err, "fork"); /* as above */
		MUST(setns(home, CLONE_NEWPID) == 0);
	}
	(void)close(home); /* a namespace handle */
	return pid;
}

int exec_foreground(const struct node_handle *node, const char *id, const char *const argv[],
		    struct err *err)
{
	char proc[NODE_PATH_LEN];
	struct enter e;
	int report[2];
	sigset_t set, before;
	if (!open_from_host(&e, node, id, proc, err))
		return -1;
	if (pipe2(report, O_CLOEXEC) < 0) {
		(void)err_sys(err, "pipe"); /* -1 says so too */
		enter_close(&e);
		return -1;
	}
	static const int watched[] = {SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT};
	MUST(sigemptyset(&set) == 0);
	for (size_t i = 0; i < N_ELEMS(watched); i++)
		MUST(sigaddset(&set, watched[i]) == 0);
	MUST(sigprocmask(SIG_BLOCK, &set, &before) == 0);
	pid_t pid = fork_inside(&e, err);
	if (pid == 0)
		foreground_child(&e, argv, report[1]);
	(void)close(report[1]); /* the child's end */
	int code = pid < 0 ? -1 : attend(pid, &set);
	struct err why;
	if (pid > 0 && read(report[0], &why, sizeof(why)) == (ssize_t)sizeof(why)) {
		if (err)
			*err = why;
		code = -1;
	}
	(void)close(report[0]); /* nothing was written by us */
	MUST(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
	enter_close(&e);
	return code;
}

/*
 * In the node. Being in another PID namespace takes two steps: a helper enters it, and the helper's
 * child is in it. The helper makes that child ours (CLONE_PARENT) and ends, so that there is one
 * process to wait for and to kill, and none is left over.
 */

struct message {
	pid_t pid; /* of the command; 0: none, ERR says why */
	struct err err;
};

struct exec {
	struct node *node;
	struct io report; /* fd -1 when both writers have closed it */
	struct io ended;  /* the command's pidfd, or -1 */
	struct timer timeout;
	struct deferred free_later;
	pid_t helper, pid;
	bool failed;
	struct err err;
	uint64_t timeout_ns;
	exec_done_fn *done;
	void *ctx;
};

static _Noreturn void say(int report_fd, const struct message *m)
{
	_exit(write(report_fd, m, sizeof(*m)) == (ssize_t)sizeof(*m) ? 0 : 1);
}

static _Noreturn void command(const struct enter *e, const char *const argv[], int report_fd)
{
	struct message m = {0};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0) {
			(void)err_sys(&m.err, "/dev/null"); /* told by say() */
			say(report_fd, &m);
		}
	if (enter_rest(e, &m.err))
		run_as_exec(&e->as, (char *const *)argv, &m.err);
	say(report_fd, &m);
}

static _Noreturn void helper(const struct enter *e, const char *const argv[], int report_fd)
{
	struct clone_args args = {.flags = CLONE_PARENT};
	struct message m = {0};
	if (!enter_pids(e, &m.err))
		say(report_fd, &m);
	m.pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (m.pid == 0)
		command(e, argv, report_fd);
	if (m.pid < 0) {
		m.pid = 0;
		(void)err_sys(&m.err, "making a process"); /* told by say() */
	}
	say(report_fd, &m);
}

static void exec_destroy(struct deferred *d)
{
	free(CONTAINER_OF(d, struct exec, free_later));
}

static void close_io(struct exec *e, struct io *io)
{
	if (io->fd < 0)
		return;
	loop_del(e->node->loop, io);
	(void)close(io->fd); /* only read from */
	io->fd = -1;
}

static void release(struct exec *e)
{
	timer_cancel(e->node->loop, &e->timeout);
	close_io(e, &e->report);
	close_io(e, &e->ended);
	e->free_later.run = exec_destroy;
	loop_defer(e->node->loop, &e->free_later);
}

static void finish(struct exec *e)
{
	int status = 0;
	if (e->pid > 0 && waitpid(e->pid, &status, 0) != e->pid && !e->failed)
		e->failed = !err_sys(&e->err, "waiting for the command");
	release(e);
	e->done(e->ctx, e->failed ? -1 : code_of(status), e->failed ? &e->err : NULL);
}

static void on_ended(struct io *io, uint32_t events)
{
	(void)events; /* a pidfd is ready when the process has ended */
	finish(CONTAINER_OF(io, struct exec, ended));
}

/* False at the end of what there is to read. */
static bool take_message(struct exec *e, ssize_t *n)
{
	struct message m;
	*n = read(e->report.fd, &m, sizeof(m));
	if (*n != (ssize_t)sizeof(m))
		return false;
	if (m.pid > 0)
		e->pid = m.pid;
	else if (!e->failed) {
		e->failed = true;
		e->err = m.err;
	}
	return true;
}

static void on_report(struct io *io, uint32_t events)
{
	(void)events; /* reading tells what it was */
	struct exec *e = CONTAINER_OF(io, struct exec, report);
	ssize_t n;
	while (take_message(e, &n))
		;
	if (n != 0)
		return; /* more to come */
	/* Helper and command have both closed it: the helper has ended, the command runs or has
	 * failed. */
	close_io(e, &e->report);
	(void)waitpid(e->helper, NULL, 0); /* our child, past its last line */
	e->helper = 0;
	if (!e->failed && e->pid <= 0)
		e->failed = !err_set(&e->err, ERR_NOT_NOW, "ended while starting");
	if (e->failed) {
		finish(e);
		return;
	}
	e->ended = (struct io){pidfd_open(e->pid, 0), on_ended};
	if (e->ended.fd >= 0 && loop_add(e->node->loop, &e->ended, EPOLLIN, &e->err))
		return;
	if (e->ended.fd >= 0)
		(void)close(e->ended.fd); /* a process handle */
	e->ended.fd = -1;
	e->failed = true;
	(void)err_set(&e->err, ERR_NOT_NOW, "no handle on the process"); /* told by finish() */
	(void)kill(e->pid, SIGKILL); /* our child, not waited for: it is there */
	finish(e);
}

static void on_timeout(struct timer *t)
{
	struct exec *e = CONTAINER_OF(t, struct exec, timeout);
	if (e->pid > 0 && !e->failed) {
		e->failed = true;
		(void)err_set(&e->err, ERR_LIMIT, "it ran longer than %llu ms",
			      (unsigned long long)(e->timeout_ns / NS_PER_MS)); /* for finish() */
		(void)kill(e->pid, SIGKILL); /* our child, not waited for: it is there */
	} else {
		timer_set(e->node->loop, t, 10 * NS_PER_MS); /* still being made */
	}
}

static bool spawn(struct exec *e, const char *id, const char *const argv[], struct err *err)
{
	struct enter into;
	int report[2];
	if (!enter_open(&into, "/proc", e->node->dir, id, err))
		return false;
	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0) {
		enter_close(&into);
		return err_sys(err, "pipe");
	}
	e->helper = fork();
	if (e->helper == 0)
		helper(&into, argv, report[1]);
	if (e->helper < 0)
		(void)err_sys(err, "fork"); /* told by the caller */
	enter_close(&into);
	(void)close(report[1]); /* the helper's end */
	e->report = (struct io){report[0], on_report};
	if (e->helper > 0 && loop_add(e->node->loop, &e->report, EPOLLIN, err))
		return true;
	(void)close(report[0]); /* nothing was written by us */
	e->report.fd = -1;
	if (e->helper > 0)
		(void)waitpid(e->helper, NULL, 0); /* it ends by itself; its child is lost */
	return false;
}

struct exec *exec_start(struct node *node, const char *id, const char *const argv[],
			uint64_t timeout_ns, exec_done_fn *done, void *ctx, struct err *err)
{
	struct exec *e = mem_new(sizeof(*e));
	*e = (struct exec){.node = node,
			   .report.fd = -1,
			   .ended.fd = -1,
			   .timeout.fire = on_timeout,
			   .timeout_ns = timeout_ns,
			   .done = done,
			   .ctx = ctx};
	if (!spawn(e, id, argv, err)) {
		(void)err_wrap(err, "exec in %s", id); /* NULL says so too */
		free(e);
		return NULL;
	}
	timer_set(node->loop, &e->timeout, timeout_ns);
	return e;
}

void exec_cancel(struct exec *e)
{
	ssize_t n;
	if (e->helper > 0) {
		(void)waitpid(e->helper, NULL, 0); /* a few system calls from its end */
		while (take_message(e, &n))
			;
	}
	if (e->pid > 0) {
		(void)kill(e->pid, SIGKILL);    /* our child, not waited for: it is there */
		(void)waitpid(e->pid, NULL, 0); /* as above */
	}
	release(e);
}
