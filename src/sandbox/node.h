/*
 * The node: the process that a mesh on one machine hangs on. It is PID 1 of a PID namespace and has
 * network, mount, UTS and IPC namespaces of its own, so that its end, however it comes, is the end
 * of everything: processes, interfaces, rules, mounts.
 *
 * On the host's side:
 *
 *   struct node_config cfg;
 *   node_config_init(&cfg, "default");
 *   struct node_handle node;
 *   if (!node_spawn(&cfg, mesh_main, arg, &node, &err)) ...   // returns when the network is there
 *   ...
 *   if (!node_open("default", &node, &err)) ...               // later, from another process
 *   node_kill(&node);                                         // returns when nothing of it is left
 *
 * Inside, mesh_main(node, arg) runs on the main thread, makes a loop, puts it into node->loop and
 * returns the exit status at the end. Only a folder on the host outlives a node that was killed:
 * cfg.run_dir; node_kill removes it.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "loop/loop.h"
#include "net/addr.h"

enum { NODE_PATH_LEN = 512, NODE_NAME_LEN = 33 };

struct node_config {
	char name[NODE_NAME_LEN];    /* a DNS label of at most 32 characters */
	char run_dir[NODE_PATH_LEN]; /* "/run/hark/NAME" */
	struct cidr pods_v4;     /* 198.18.0.0/16; the first address is the node's, the gateway */
	struct cidr services_v4; /* 198.19.0.0/16 */
	struct cidr pods_v6;     /* a /64 of a unique-local prefix (RFC 4193) */
	struct cidr services_v6;
	bool detach;          /* own session; output goes to run_dir/node.log */
	bool die_with_parent; /* killed when the process that spawned it ends */
};

/* Inside the node. Everything is read-only for its users but LOOP and HIDDEN, which the main function
 * sets before there are Pods. */
struct node {
	struct node_config cfg;
	struct loop *loop;
	char dir[NODE_PATH_LEN]; /* a tmpfs that only this mesh sees: volumes, writable layers */
	struct ip gateway_v4, gateway_v6; /* on the bridge: where the mesh's DNS may listen */
	bool ipv6;                        /* false: this kernel has none, Pods get IPv4 only */
	unsigned next_link;               /* numbers the veth pairs */
	char hidden[NODE_PATH_LEN]; /* a folder of the host that containers find empty; "": none */
};

struct node_handle {
	pid_t pid; /* as the host sees it */
	int pidfd;
	char run_dir[NODE_PATH_LEN];
};

typedef int node_main_fn(struct node *node, void *arg);

/* The defaults above for a mesh called NAME; false when NAME cannot name one. */
bool node_config_init(struct node_config *cfg, const char *name, struct err *err) MUST_CHECK;

/*
 * Makes the namespaces, the tmpfs, the bridge `hark0` with the gateway addresses, forwarding; then
 * runs MAIN in there. Returns in the caller when MAIN is about to run. The process must have one
 * thread. Everything open stays open in the child: a pipe made before can carry news back.
 * ERR_CONFLICT: a mesh of that name is running.
 */
bool node_spawn(const struct node_config *cfg, node_main_fn *main, void *arg,
		struct node_handle *out, struct err *err) MUST_CHECK;
/* The running mesh NAME. ERR_NOT_FOUND: there is none (what a killed one left behind is removed).
 */
bool node_open(const char *name, struct node_handle *out, struct err *err) MUST_CHECK;
void node_close(struct node_handle *node); /* gives up the handle, the node lives on */
/* SIGKILL, waits for the end of all of it, removes run_dir; the handle is closed. */
bool node_kill(struct node_handle *node, struct err *err) MUST_CHECK;
/* Exit status of a node that this process spawned (128 + N: signal N), waiting for its end. */
int node_wait(struct node_handle *node);
/* PATH of the node's own files as seen from the host: "/proc/PID/root/PATH". */
void node_host_path(const struct node_handle *node, const char *path, char out[NODE_PATH_LEN]);
