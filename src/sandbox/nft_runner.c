#include "sandbox/nft_runner.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "capture/nft.h"

/*
 * The script goes over in shared memory, so that neither side waits for a socket to drain: the node
 * writes it there and sends its length, the process answers with one struct err.
 */
struct nft_runner {
	struct io io; /* our end; fd -1: there is no process */
	struct loop *loop;
	pid_t pid;
	int script_fd;       /* memfd */
	struct timer failed; /* a script that could not even be sent: told from the loop */
	struct err why;
	bool busy;
	nft_runner_done_fn *done;
	void *ctx;
};

/* The process. */

/* ERR stays empty when all went well. */
static void apply(int script_fd, size_t len, struct err *err)
{
	/* One more byte than the script has: the file ends in zeros. */
	char *text = mmap(NULL, len + 1, PROT_READ, MAP_SHARED, script_fd, 0);
	if (text == MAP_FAILED) {
		(void)err_sys(err, "mapping the script"); /* ERR is the answer */
		return;
	}
	if (!nft_run(text, err))
		(void)err_wrap(err, "applying rules"); /* as above */
	(void)munmap(text, len + 1);
}

static _Noreturn void serve(int fd, int script_fd)
{
	/* Whoever ends the node ends us, with our end of the socket or with the PID namespace. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct err err = {0};
		size_t len = 0;
		ssize_t n = recv(fd, &len, sizeof(len), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(len))
			_exit(0);
		apply(script_fd, len, &err);
		if (send(fd, &err, sizeof(err), MSG_NOSIGNAL) != (ssize_t)sizeof(err))
			_exit(1);
	}
}

/* The node's descriptors are none of the process's business. A range without numbers in it is
 * refused, which is as good. */
static void close_others(unsigned a, unsigned b)
{
	unsigned low = a < b ? a : b, high = a < b ? b : a;
	(void)close_range(3, low - 1, 0);        /* as said */
	(void)close_range(low + 1, high - 1, 0); /* as said */
	(void)close_range(high + 1, ~0U, 0);     /* as said */
}

/* The node. */

static void reap(struct nft_runner *r)
{
	if (r->io.fd < 0)
		return;
	loop_del(r->loop, &r->io);
	(void)close(r->io.fd);          /* what it would still say, nobody waits for */
	(void)kill(r->pid, SIGKILL);    /* our own child, not waited for: it is there */
	(void)waitpid(r->pid, NULL, 0); /* as above */
	r->io.fd = -1;
}

static void end(struct nft_runner *r, const struct err *why)
{
	(void)ftruncate(r->script_fd, 0); /* may be megabytes; kept until the next one otherwise */
	r->busy = false;
	r->done(r->ctx, why);
}

static void on_answer(struct io *io, uint32_t events)
{
	struct nft_runner *r = CONTAINER_OF(io, struct nft_runner, io);
	struct err said;
	(void)events; /* reading tells what it was */
	ssize_t n = recv(io->fd, &said, sizeof(said), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(said)) {
		log_error("sandbox", "the process that applies rules has ended pid=%d",
			  (int)r->pid);
		reap(r);
		(void)err_set(&said, ERR_NOT_NOW, "the process that applies rules has ended");
	}
	if (r->busy)
		end(r, said.kind == ERR_NONE ? NULL : &said);
}

static bool start(struct nft_runner *r, struct err *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "socketpair");
	r->pid = fork();
	if (r->pid == 0) {
		close_others((unsigned)pair[1], (unsigned)r->script_fd);
		serve(pair[1], r->script_fd);
	}
	(void)close(pair[1]); /* the process has it */
	if (r->pid < 0)
		(void)err_sys(err, "fork"); /* told below */
	r->io = (struct io){.fd = pair[0], .on_ready = on_answer};
	if (r->pid > 0 && loop_add(r->loop, &r->io, EPOLLIN, err))
		return true;
	(void)close(pair[0]); /* nothing was said */
	r->io.fd = -1;
	if (r->pid > 0)
		(void)waitpid(r->pid, NULL, 0); /* its socket is closed: it ends */
	return false;
}

static void on_failed(struct timer *t)
{
	struct nft_runner *r = CONTAINER_OF(t, struct nft_runner, failed);
	end(r, &r->why);
}

struct nft_runner *nft_runner_new(struct loop *loop, struct err *err)
{
	struct nft_runner *r = mem_new(sizeof(*r));
	*r = (struct nft_runner){.io.fd = -1, .loop = loop, .failed.fire = on_failed};
	r->script_fd = memfd_create("hark-rules", MFD_CLOEXEC);
	if (r->script_fd < 0)
		(void)err_sys(err, "memfd_create"); /* NULL says so too */
	if (r->script_fd >= 0 && start(r, err))
		return r;
	nft_runner_free(r);
	return NULL;
}

void nft_runner_free(struct nft_runner *r)
{
	if (!r)
		return;
	reap(r);
	timer_cancel(r->loop, &r->failed);
	if (r->script_fd >= 0)
		(void)close(r->script_fd); /* scratch */
	free(r);
}

bool nft_runner_busy(const struct nft_runner *r)
{
	return r->busy;
}

static bool write_script(const struct nft_runner *r, struct slice script, struct err *err)
{
	if (ftruncate(r->script_fd, 0) < 0 ||
	    ftruncate(r->script_fd, (off_t)script.len + 1) < 0) /* the rest is zeros */
		return err_sys(err, "ftruncate");
	for (size_t done = 0; done < script.len;) {
		ssize_t n = pwrite(r->script_fd, &script.at[done], script.len - done, (off_t)done);
		if (n < 0 && errno != EINTR)
			return err_sys(err, "writing a script");
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

void nft_runner_run(struct nft_runner *r, struct slice script, nft_runner_done_fn *done, void *ctx)
{
	MUST(!r->busy);
	r->busy = true;
	r->done = done;
	r->ctx = ctx;
	r->why = (struct err){0};
	if ((r->io.fd >= 0 || start(r, &r->why)) && write_script(r, script, &r->why)) {
		if (send(r->io.fd, &script.len, sizeof(script.len), MSG_NOSIGNAL) ==
		    (ssize_t)sizeof(script.len))
			return;
		(void)err_sys(&r->why, "handing over a script"); /* told by on_failed() */
	}
	timer_set(r->loop, &r->failed, 0);
}
