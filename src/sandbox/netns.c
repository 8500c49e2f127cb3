#include "sandbox/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int netns_open(const char *proc, pid_t pid, struct err *err)
{
	char path[1024];
	MUST(snprintf(path, sizeof(path), "%s/%d/ns/net", proc, (int)pid) < (int)sizeof(path));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		(void)err_sys(err, "%s", path); /* -1 says so too */
	return fd;
}

int netns_socket(int netns_fd, int family, int type, struct err *err)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0) {
		(void)err_sys(err, "/proc/thread-self/ns/net"); /* -1 says so too */
		return -1;
	}
	int fd = -1;
	if (setns(netns_fd, CLONE_NEWNET) < 0) {
		(void)err_sys(err, "entering the Pod's network namespace"); /* as above */
	} else {
		fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < 0)
			(void)err_sys(err, "socket"); /* as above */
		/* A thread lost in a Pod's namespace would do all its later work there. */
		MUST(setns(home, CLONE_NEWNET) == 0);
	}
	(void)close(home); /* a namespace handle has no data to lose */
	return fd;
}
