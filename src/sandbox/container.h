/*
 * A container: a command in a Pod's namespaces with a PID namespace, a mount namespace and a file
 * system of its own (the host's, copy-on-write; see rootfs.h).
 *
 *   struct container_spec spec = {.id = "shop.db-0.mariadb", .pod = net, .argv = argv, .n_argv = 2,
 *                                 .caps = CONTAINER_DEFAULT_CAPS, .log_path = path, ...};
 *   struct container_ops ops = {started, exited};
 *   struct container_proc *c = container_start(node, &spec, &ops, ctx, &err);
 *   ... started(ctx)              // the command runs
 *   ... exited(ctx, &exit)        // once, always, also for a command that never started
 *   container_stop(c, 30);        // SIGTERM, then SIGKILL after 30 s; exited() follows
 *   container_free(c);            // also from within exited(); kills what still runs
 *
 * PID 1 in there is a small init of ours: it reaps, passes SIGTERM on and ends with the command's
 * status; its end takes the container's other processes along. Restarting is the caller's business:
 * a new start gets a fresh file system. Belongs to the node's loop.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "sandbox/node.h"
#include "sandbox/pod_net.h"

/* What containerd gives: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE
 * NET_RAW SYS_CHROOT AUDIT_WRITE SETFCAP, less MKNOD: there is no device control group here that would
 * keep root from making itself the host's disk. Bit N is capability N of capabilities(7). */
#define CONTAINER_DEFAULT_CAPS UINT64_C(0xa00425fb)

struct container_env {
	const char *name, *value; /* $(NAME) of an earlier one is replaced */
};

struct container_mount {
	const char *source; /* a path as the node sees it: a volume's, a hostPath, a socket. NULL: a
			       new tmpfs */
	const char *sub_path; /* NULL, or a path below source; made as a folder when missing */
	const char *target;   /* absolute; made when missing */
	bool read_only;
};

struct container_spec {
	const char *id; /* "NAMESPACE.POD.CONTAINER": unique in the mesh, names its files */
	const struct pod_net *pod;
	const char *const *argv; /* command, then args; $(VAR) is replaced as Kubernetes does */
	size_t n_argv;
	const struct container_env *env;
	size_t n_env;    /* PATH, HOSTNAME and HOME are added where missing */
	const char *cwd; /* NULL: "/" */
	bool has_user, has_group;
	uid_t user;    /* has_user false: 0 */
	gid_t group;   /* has_group false: the user's in /etc/passwd, or 0 */
	uint64_t caps; /* bounding set; a user other than 0 starts with none of them */
	bool no_new_privs;
	bool raise_nofile;   /* soft descriptor limit up to the hard one */
	bool read_only_root; /* mounts stay as they are */
	const struct container_mount *mounts;
	size_t n_mounts;
	const char *resolv_conf, *hosts; /* contents of these files; NULL: as on the host */
	const char *log_path;            /* stdout and stderr; see logfile.h */
};

struct container_exit {
	bool started; /* false: the command never ran, and ERR says why */
	struct err err;
	int code; /* as in Kubernetes: the exit status, or 128 + the signal */
};

struct container_ops {
	void (*started)(void *ctx); /* may be NULL */
	void (*exited)(void *ctx, const struct container_exit *exit);
};

struct container_proc; /* model/kinds.h has struct container: what a person wrote */

/* SPEC is used before this returns. NULL: no process could be made (ERR); exited() does not come.
 * The argv[0] "/proc/self/exe" is this very program, wherever it lies. */
struct container_proc *container_start(struct node *node, const struct container_spec *spec,
				       const struct container_ops *ops, void *ctx,
				       struct err *err) MUST_CHECK;
void container_stop(struct container_proc *c,
		    unsigned grace_s);                  /* 0: SIGKILL now; again: sooner only */
void container_free(struct container_proc *c);          /* exited() does not come any more */
bool container_running(const struct container_proc *c); /* started, not exited */

/* Kubernetes' $(VAR) in TEXT: a known name gives its value, an unknown one stays as it stands, "$$"
 * is "$". malloc'd; free() it. */
char *container_expand(const char *text, const struct container_env *env, size_t n_env);
