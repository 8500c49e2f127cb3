/*
 * PID 1 of a container: makes its file system, starts the command, reaps, passes signals on, ends with
 * the command's status. Private to src/sandbox: container_start() calls it in the new process.
 */
#pragma once
#include <signal.h>

#include "sandbox/container.h"
#include "sandbox/rootfs.h"
#include "sandbox/run_as.h"

struct container_init {
	const struct pod_net *pod;
	struct rootfs_config rootfs;
	struct run_as as;
	char **argv;   /* expanded, NULL-terminated */
	int output_fd; /* the command's standard output and error */
	int report_fd; /* one struct err when the command cannot start; closes when it has */
};

_Noreturn void container_init(const struct container_init *init);
/* The signals that init waits for; blocked before it is made, so that none is lost. */
void container_init_signals(sigset_t *set);
