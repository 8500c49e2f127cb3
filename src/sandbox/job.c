#include "sandbox/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"

struct job {
	struct io io; /* the child's pidfd */
	struct loop *loop;
	pid_t pid;
	int report_fd; /* one struct err, or nothing */
	job_done_fn *done;
	void *ctx;
	struct deferred free_later;
};

static void signals_as_new(void)
{
	sigset_t none;
	MUST(sigemptyset(&none) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0);
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_DFL); /* some cannot be set, and are as they should be */
}

static _Noreturn void child(job_run_fn *run, void *arg, int report_fd)
{
	struct err err = {0};
	signals_as_new();
	bool ok = run(arg, &err);
	if (!ok && write(report_fd, &err, sizeof(err)) != (ssize_t)sizeof(err))
		_exit(2); /* the parent says so without the reason */
	_exit(ok ? 0 : 1);
}

static void job_free(struct deferred *d)
{
	free(CONTAINER_OF(d, struct job, free_later));
}

static void job_end(struct job *job)
{
	loop_del(job->loop, &job->io);
	(void)close(job->io.fd);     /* a process handle */
	(void)close(job->report_fd); /* nothing was written by us */
	job->free_later.run = job_free;
	loop_defer(job->loop, &job->free_later);
}

static void on_exit_of_child(struct io *io, uint32_t events)
{
	(void)events; /* a pidfd is ready when the process has ended */
	struct job *job = CONTAINER_OF(io, struct job, io);
	int status = 0;
	struct err why = {0};
	bool ok = waitpid(job->pid, &status, 0) == job->pid && WIFEXITED(status) &&
		  WEXITSTATUS(status) == 0;
	if (!ok && read(job->report_fd, &why, sizeof(why)) != (ssize_t)sizeof(why))
		(void)err_set(&why, ERR_NOT_NOW, "a child ended with status %#x",
			      (unsigned)status); /* handed to DONE */
	job_end(job);
	job->done(job->ctx, ok ? NULL : &why);
}

struct job *job_start(struct loop *loop, job_run_fn *run, void *arg, job_done_fn *done, void *ctx,
		      struct err *err)
{
	int report[2];
	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0) {
		(void)err_sys(err, "pipe"); /* NULL says so too */
		return NULL;
	}
	pid_t pid = fork();
	if (pid == 0)
		child(run, arg, report[1]);
	if (pid < 0)
		(void)err_sys(err, "fork"); /* as above */
	(void)close(report[1]);             /* the child has the other copy */
	struct job *job = mem_new(sizeof(*job));
	*job = (struct job){
		.io = {.fd = pid < 0 ? -1 : pidfd_open(pid, 0), .on_ready = on_exit_of_child},
		.loop = loop,
		.pid = pid,
		.report_fd = report[0],
		.done = done,
		.ctx = ctx};
	if (pid > 0 && job->io.fd < 0)
		(void)err_sys(err, "pidfd_open"); /* as above */
	if (job->io.fd >= 0 && loop_add(loop, &job->io, EPOLLIN, err))
		return job;
	if (pid > 0) {
		(void)kill(pid, SIGKILL);    /* our own child, not waited for: it is there */
		(void)waitpid(pid, NULL, 0); /* as above */
	}
	if (job->io.fd >= 0)
		(void)close(job->io.fd); /* a process handle */
	(void)close(report[0]);          /* nothing was written by us */
	free(job);
	return NULL;
}

void job_cancel(struct job *job)
{
	(void)kill(job->pid, SIGKILL);    /* our own child, not waited for: it is there */
	(void)waitpid(job->pid, NULL, 0); /* as above */
	job_end(job);
}

/* In memory, so that neither side waits for the other as with pipes. */
static int scratch(const char *text, struct err *err)
{
	int fd = memfd_create("hark-job", MFD_CLOEXEC);
	if (fd < 0)
		(void)err_sys(err, "memfd_create"); /* -1 says so too */
	size_t len = text ? strlen(text) : 0;
	if (fd >= 0 && len && (pwrite(fd, text, len, 0) != (ssize_t)len)) {
		(void)err_sys(err, "memfd"); /* as above */
		(void)close(fd);             /* thrown away */
		return -1;
	}
	return fd;
}

static _Noreturn void exec_command(const char *const argv[], int in, int out)
{
	signals_as_new();
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	(void)execvp(argv[0], (char *const *)argv); /* returns only when it failed */
	dprintf(2, "%s", strerror(errno));
	_exit(127);
}

bool job_command(const char *const argv[], const char *input, struct err *err)
{
	int in = scratch(input, err);
	int out = in < 0 ? -1 : scratch(NULL, err);
	bool ok = false;
	if (out < 0)
		goto done;
	pid_t pid = fork();
	if (pid < 0) {
		(void)err_sys(err, "fork"); /* OK is false */
		goto done;
	}
	if (pid == 0)
		exec_command(argv, in, out);
	int status = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR) {
			(void)err_sys(err, "waiting for %s", argv[0]); /* as above */
			goto done;
		}
	ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!ok) {
		char said[600];
		ssize_t n = pread(out, said, sizeof(said), 0);
		struct slice text = slice_trim((struct slice){said, n > 0 ? (size_t)n : 0});
		(void)err_set(err, ERR_NOT_NOW, "%s: %.*s (status %#x)", argv[0], SLICE_FMT(text),
			      (unsigned)status); /* as above */
	}
done:
	if (in >= 0)
		(void)close(in); /* scratch */
	if (out >= 0)
		(void)close(out); /* scratch */
	return ok;
}
