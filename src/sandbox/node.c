#include "sandbox/node.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/read_file.h"
#include "sandbox/files.h"
#include "sandbox/node_inside.h"

static const char meshes_dir[] = "/run/hark";

static bool is_label(const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < n; i++) {
		bool inner = i > 0 && i + 1 < n;
		if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
		      (name[i] == '-' && inner)))
			return false;
	}
	return n > 0 && n < NODE_NAME_LEN;
}

bool node_config_init(struct node_config *cfg, const char *name, struct err *err)
{
	*cfg = (struct node_config){0};
	if (!is_label(name))
		return err_set(err, ERR_BAD_INPUT,
			       "\"%s\" cannot name a mesh: expected at most %d lower-case letters, "
			       "digits and inner dashes",
			       name, NODE_NAME_LEN - 1);
	memcpy(cfg->name, name, strlen(name) + 1);
	MUST(cidr_parse(SLICE("198.18.0.0/16"), &cfg->pods_v4) &&
	     cidr_parse(SLICE("198.19.0.0/16"), &cfg->services_v4) &&
	     cidr_parse(SLICE("fd68:6172:6b::/64"), &cfg->pods_v6) &&
	     cidr_parse(SLICE("fd68:6172:6b:1::/64"), &cfg->services_v6));
	return path_make(cfg->run_dir, err, "%s/%s", meshes_dir, name);
}

/* One process at a time makes, finds or removes meshes. The lock is the folder of all of them,
 * which the last one takes along: then it is made again. */
static int lock_meshes(struct err *err)
{
	for (;;) {
		struct stat st;
		if (mkdir(meshes_dir, 0755) < 0 && errno != EEXIST) {
			(void)err_sys(err, "making folder %s", meshes_dir); /* -1 says so too */
			return -1;
		}
		int fd = open(meshes_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0) {
			(void)err_sys(err, "locking %s", meshes_dir); /* as above */
			if (fd >= 0)
				(void)close(fd); /* a folder */
			return -1;
		}
		if (st.st_nlink > 0)
			return fd;
		(void)close(fd); /* a folder that is gone */
	}
}

static void unlock_meshes(int fd)
{
	(void)flock(fd,
		    LOCK_UN); /* a child may have a copy of FD; the lock must end all the same */
	(void)close(fd);      /* a folder */
}

/* Field 22 of /proc/PID/stat: when the process started. Tells it from a later one of that number. */
static bool start_time(pid_t pid, uint64_t *out)
{
	char path[64];
	struct buf stat;
	buf_init(&stat, 8192);
	MUST(snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid) < (int)sizeof(path));
	bool ok = read_file(path, &stat, NULL);
	struct slice rest = buf_slice(&stat);
	/* Field 2, the name, may hold anything, and ends with the last bracket of the line. */
	while (slice_find(rest, ')') < rest.len)
		(void)slice_cut(&rest, ')'); /* what stands before it */
	for (int field = 2; field < 22; field++)
		(void)slice_cut(&rest, ' '); /* as above */
	ok = ok && slice_to_u64(slice_cut(&rest, ' '), UINT64_MAX, out);
	buf_fini(&stat);
	return ok;
}

static bool pid_file_write(const char *run_dir, pid_t pid, struct err *err)
{
	char path[NODE_PATH_LEN], text[64];
	uint64_t started = 0;
	if (!start_time(pid, &started))
		return err_set(err, ERR_NOT_NOW, "the node ended at once");
	MUST(snprintf(text, sizeof(text), "%d %llu\n", (int)pid, (unsigned long long)started) <
	     (int)sizeof(text));
	return path_make(path, err, "%s/pid", run_dir) &&
	       file_write(path, slice_of(text), 0644, err);
}

/* A handle on the process that the pid file names; false when it is not there any more. */
static bool find_node(const char *run_dir, struct node_handle *out)
{
	char path[NODE_PATH_LEN];
	struct buf text;
	uint64_t number = 0, started = 0, now_started = 0;
	buf_init(&text, 256);
	bool ok = path_make(path, NULL, "%s/pid", run_dir) && read_file(path, &text, NULL);
	struct slice rest = slice_trim(buf_slice(&text));
	ok = ok && slice_to_u64(slice_cut(&rest, ' '), INT_MAX, &number) && number > 0 &&
	     slice_to_u64(rest, UINT64_MAX, &started);
	buf_fini(&text);
	if (!ok)
		return false;
	pid_t pid = (pid_t)number;
	int fd = pidfd_open(pid, 0);
	if (fd < 0)
		return false;
	struct pollfd ended = {.fd = fd, .events = POLLIN};
	if (!start_time(pid, &now_started) || now_started != started || poll(&ended, 1, 0) != 0) {
		(void)close(fd); /* a process handle */
		return false;
	}
	*out = (struct node_handle){.pid = pid, .pidfd = fd};
	memcpy(out->run_dir, run_dir, strlen(run_dir) + 1);
	return true;
}

/* The lock is held. */
static bool remove_run_dir(const char *run_dir, struct err *err)
{
	if (!tree_remove(run_dir, err))
		return false;
	if (rmdir(meshes_dir) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
		return err_sys(err, "removing %s", meshes_dir);
	return true;
}

static bool make_run_dir(const struct node_config *cfg, struct err *err)
{
	char path[NODE_PATH_LEN];
	struct node_handle other;
	if (find_node(cfg->run_dir, &other)) {
		node_close(&other);
		return err_set(err, ERR_CONFLICT,
			       "a mesh called %s is running (pid %d): `hark down -n %s` ends it",
			       cfg->name, (int)other.pid, cfg->name);
	}
	/* What a killed one left behind. */
	return tree_remove(cfg->run_dir, err) && folders_make(cfg->run_dir, 0755, err) &&
	       path_make(path, err, "%s/mesh", cfg->run_dir) && folders_make(path, 0755, err) &&
	       path_make(path, err, "%s/logs", cfg->run_dir) && folders_make(path, 0755, err);
}

/* In the child from here on. */

static bool redirect_output(const struct node_config *cfg, struct err *err)
{
	char path[NODE_PATH_LEN];
	if (!path_make(path, err, "%s/node.log", cfg->run_dir))
		return false;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (null < 0 || log < 0)
		return err_sys(err, "%s", log < 0 ? path : "/dev/null");
	if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		return err_sys(err, "dup2");
	(void)close(null); /* there is a copy */
	(void)close(log);  /* as above */
	return true;
}

static bool child_begin(struct node *node, int report_fd, struct err *err)
{
	const struct node_config *cfg = &node->cfg;
	if (cfg->die_with_parent) {
		struct pollfd parent = {.fd = report_fd, .events = 0};
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
			return err_sys(err, "prctl");
		if (poll(&parent, 1, 0) > 0 && (parent.revents & POLLERR))
			return err_set(err, ERR_NOT_NOW,
				       "the parent has ended"); /* it was too fast */
	}
	if (cfg->detach && (setsid() < 0 || !redirect_output(cfg, err)))
		return cfg->detach && err_wrap(err, "detaching");
	return node_set_up(node, err);
}

static _Noreturn void child(const struct node_config *cfg, node_main_fn *main, void *arg,
			    int report_fd)
{
	struct node *node = calloc(1, sizeof(*node));
	struct err err = {0};
	MUST(node);
	node->cfg = *cfg;
	bool ok = child_begin(node, report_fd, &err);
	if (write(report_fd, &err, sizeof(err)) != (ssize_t)sizeof(err) || !ok)
		_exit(1);
	(void)close(report_fd); /* all is said */
	int status = main(node, arg);
	(void)fflush(NULL); /* nowhere left to say it */
	_exit(status);
}

static pid_t clone_node(int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
			 CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static bool wait_until_up(int report_fd, struct err *err)
{
	struct err why = {0};
	ssize_t n;
	do
		n = read(report_fd, &why, sizeof(why));
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(why))
		return err_set(err, ERR_NOT_NOW, "the node ended before it was up");
	if (why.kind != ERR_NONE) {
		if (err)
			*err = why;
		return false;
	}
	return true;
}

bool node_spawn(const struct node_config *cfg, node_main_fn *main, void *arg,
		struct node_handle *out, struct err *err)
{
	int report[2];
	int lock = lock_meshes(err);
	if (lock < 0)
		return false;
	if (!make_run_dir(cfg, err))
		goto unlock;
	if (pipe2(report, O_CLOEXEC) < 0) {
		(void)err_sys(err, "pipe"); /* told below */
		goto remove;
	}
	*out = (struct node_handle){.pidfd = -1};
	memcpy(out->run_dir, cfg->run_dir, sizeof(cfg->run_dir));
	out->pid = clone_node(&out->pidfd);
	if (out->pid == 0) {
		(void)close(report[0]); /* the parent's end */
		(void)close(lock);      /* the lock is the parent's */
		child(cfg, main, arg, report[1]);
	}
	if (out->pid < 0)
		(void)err_sys(err, "making the node's namespaces (are we root?)"); /* told below */
	(void)close(report[1]); /* the child's end */
	bool ok = out->pid > 0 && pid_file_write(cfg->run_dir, out->pid, err) &&
		  wait_until_up(report[0], err);
	(void)close(report[0]); /* nothing was written by us */
	if (ok) {
		unlock_meshes(lock);
		return true;
	}
	if (out->pid > 0) {
		(void)kill(out->pid, SIGKILL); /* our child, not waited for: it is there */
		(void)node_wait(out);          /* how it ended is known */
	}
remove:
	(void)remove_run_dir(cfg->run_dir, NULL); /* the first error is the one to tell */
unlock:
	unlock_meshes(lock);
	return err_wrap(err, "starting mesh %s", cfg->name);
}

bool node_open(const char *name, struct node_handle *out, struct err *err)
{
	struct node_config cfg;
	if (!node_config_init(&cfg, name, err))
		return false;
	if (access(cfg.run_dir, F_OK) < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "no mesh called %s is running", name);
	int lock = lock_meshes(err);
	if (lock < 0)
		return false;
	bool found = find_node(cfg.run_dir, out);
	bool removed = found || remove_run_dir(cfg.run_dir, err);
	unlock_meshes(lock);
	if (!found && removed)
		return err_set(err, ERR_NOT_FOUND, "no mesh called %s is running", name);
	return found;
}

void node_close(struct node_handle *node)
{
	if (node->pidfd >= 0)
		(void)close(node->pidfd); /* a process handle */
	node->pidfd = -1;
}

static bool wait_for_end(const struct node_handle *node, struct err *err)
{
	struct pollfd ended = {.fd = node->pidfd, .events = POLLIN};
	while (poll(&ended, 1, -1) < 0)
		if (errno != EINTR)
			return err_sys(err, "waiting for the node's end");
	return true;
}

bool node_kill(struct node_handle *node, struct err *err)
{
	/* The kernel ends a PID namespace whole before the end of its first process shows. */
	if (pidfd_send_signal(node->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return err_sys(err, "killing the node");
	if (!wait_for_end(node, err))
		return false;
	siginfo_t how;
	(void)waitid(P_PIDFD, (id_t)node->pidfd, &how,
		     WEXITED | WNOHANG); /* may be no child of ours */
	int lock = lock_meshes(err);
	if (lock < 0)
		return false;
	bool ok = remove_run_dir(node->run_dir, err);
	unlock_meshes(lock);
	node_close(node);
	return ok;
}

int node_wait(struct node_handle *node)
{
	siginfo_t how = {0};
	while (waitid(P_PIDFD, (id_t)node->pidfd, &how, WEXITED) < 0)
		if (errno != EINTR)
			return -1;
	node_close(node);
	return how.si_code == CLD_EXITED ? how.si_status : 128 + how.si_status;
}

void node_host_path(const struct node_handle *node, const char *path, char out[NODE_PATH_LEN])
{
	MUST(snprintf(out, NODE_PATH_LEN, "/proc/%d/root%s", (int)node->pid, path) < NODE_PATH_LEN);
}
