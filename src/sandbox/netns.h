/*
 * Entering network namespaces for a moment.
 *
 *   int fd = netns_socket(pod->netns_fd, AF_INET, SOCK_STREAM, &err);   // belongs to the Pod
 *   int ns = netns_open("/proc", pid, &err);
 *
 * A socket stays in the namespace in which it was made, whoever uses it. These calls switch the
 * calling thread there and back. CAP_SYS_ADMIN.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"

/* The network namespace of process PID, as the proc file system mounted at PROC counts. -1: failed.
 */
int netns_open(const char *proc, pid_t pid, struct err *err);
/* A non-blocking, close-on-exec socket made inside. -1: failed. */
int netns_socket(int netns_fd, int family, int type, struct err *err);
