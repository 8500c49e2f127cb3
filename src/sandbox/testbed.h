/*
 * For the tests of the sandbox, as root: a mesh per test, and what happens in it.
 *
 *   static int scenario(struct node *node, void *arg)      // inside the node
 *   {
 *           begin(node);
 *           struct pod_net *pod = make_pod(1, NULL);
 *           expect_shell(pod, "hostname", (struct container_spec){0}, "pod-1\n");
 *           CHECK(...);
 *   run_in_mesh("test-name", scenario);                    // outside: it went well, and left nothing
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "sandbox/container.h"
#include "sandbox/node.h"
#include "sandbox/pod_net.h"

enum { PATIENCE_MS = 10000 };

/* Inside the node cmocka cannot help: say where, end with a status that the test sees. */
#define CHECK(x)                                                                                   \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #x,                \
				world.err.text);                                                   \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

struct world {
	struct node *node;
	struct err err;
	bool started, exited;
	struct container_exit how;
};
extern struct world world;           /* what the callbacks of a scenario tell; inside the node */
extern char log_path[NODE_PATH_LEN]; /* of all its containers, one at a time */

void begin(struct node *node);
void turn_until(const bool *done);
struct pod_net *make_pod(unsigned n,
			 const struct capture_config *capture); /* 198.18.0.(N+1), pod-N */
/* Fills in id and log; world.started and world.exited tell. */
struct container_proc *start(struct container_spec *spec);
/* The shell command TEXT in a new container, to its end; its output, freed by the caller. */
char *run_shell(struct pod_net *pod, const char *text, struct container_spec spec);
void expect_shell(struct pod_net *pod, const char *text, struct container_spec spec,
		  const char *expected);
/* 0, or the errno of a connection from inside POD. */
int connect_from(const struct pod_net *pod, const struct addr *to);

struct node_handle spawn(const char *name, node_main_fn *main, void *arg); /* skips without root */
void run_in_mesh(const char *name, node_main_fn *main);
