#include "capture/in_netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

/* One struct err up the pipe when it failed, nothing when it went well. */
static _Noreturn void child(int netns_fd, in_netns_fn *run, void *arg, int report_fd)
{
	struct err err = {0};
	bool ok = setns(netns_fd, CLONE_NEWNET) == 0
			  ? run(arg, &err)
			  : err_sys(&err, "entering the network namespace");
	if (!ok && write(report_fd, &err, sizeof(err)) != (ssize_t)sizeof(err))
		_exit(2); /* the parent says so without the reason */
	_exit(ok ? 0 : 1);
}

bool in_netns(int netns_fd, in_netns_fn *run, void *arg, struct err *err)
{
	int report[2];
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	pid_t pid = fork();
	if (pid < 0) {
		(void)err_sys(err, "fork");
		(void)close(report[0]); /* nothing was written */
		(void)close(report[1]); /* as above */
		return false;
	}
	if (pid == 0)
		child(netns_fd, run, arg, report[1]);
	(void)close(report[1]); /* the child has the other copy */
	struct err why;
	ssize_t n;
	do
		n = read(report[0], &why, sizeof(why)); /* a pipe keeps PIPE_BUF bytes whole */
	while (n < 0 && errno == EINTR);
	(void)close(report[0]); /* as above */
	int status = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "waiting for a child");
	if (n == (ssize_t)sizeof(why)) {
		if (err)
			*err = why;
		return false;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, ERR_NOT_NOW, "a child ended with status %#x", (unsigned)status);
	return true;
}
