#include "sandbox/container_init.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

static const int passed_on[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};

void container_init_signals(sigset_t *set)
{
	MUST(sigemptyset(set) == 0 && sigaddset(set, SIGCHLD) == 0);
	for (size_t i = 0; i < N_ELEMS(passed_on); i++)
		MUST(sigaddset(set, passed_on[i]) == 0);
}

static _Noreturn void fail(const struct container_init *init, const struct err *err)
{
	if (write(init->report_fd, err, sizeof(*err)) != (ssize_t)sizeof(*err))
		_exit(126); /* the node says so without the reason */
	_exit(127);
}

static _Noreturn void command(const struct container_init *init)
{
	struct err err = {0};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	/* Programs that open /dev/stdout again need to be allowed to. */
	if (fchown(init->output_fd, init->as.user, init->as.group) < 0 || null < 0 ||
	    dup2(null, 0) < 0 || dup2(init->output_fd, 1) < 0 || dup2(init->output_fd, 2) < 0) {
		(void)err_sys(&err, "standard input and output"); /* told by fail() */
		fail(init, &err);
	}
	(void)setsid(); /* it leads no group, so this cannot fail */
	run_as_exec(&init->as, init->argv, &err);
	fail(init, &err);
}

/* The command's status when it has ended, else -1. All other processes are somebody's orphans. */
static int reap(pid_t main_pid)
{
	int code = -1, status = 0;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		if (pid == main_pid)
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return code;
}

static _Noreturn void look_after(pid_t main_pid)
{
	sigset_t set;
	container_init_signals(&set);
	/* This is a copy of the node's process: what is in its memory is not the container's. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* 0 is always valid */
	(void)close_range(0, ~0U, 0);             /* nothing is read or written from here on */
	for (;;) {
		int code = reap(main_pid);
		if (code >= 0)
			_exit(code);
		int sig = sigwaitinfo(&set, NULL);
		if (sig > 0 && sig != SIGCHLD)
			(void)kill(main_pid, sig); /* gone: the next turn sees it */
	}
}

_Noreturn void container_init(const struct container_init *init)
{
	struct err err = {0};
	(void)prctl(PR_SET_NAME, "hark-init", 0, 0, 0); /* for ps; a literal is always valid */
	if (setns(init->pod->pidfd, CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC) < 0) {
		(void)err_sys(&err, "entering the Pod's namespaces"); /* told by fail() */
		fail(init, &err);
	}
	(void)umask(022);
	if (!rootfs_enter(&init->rootfs, &err))
		fail(init, &err);
	pid_t pid = fork();
	if (pid < 0) {
		(void)err_sys(&err, "fork"); /* told by fail() */
		fail(init, &err);
	}
	if (pid == 0)
		command(init);
	look_after(pid);
}
