#include "sandbox/pod_net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "sandbox/files.h"
#include "sandbox/job.h"
#include "sandbox/netns.h"
#include "sandbox/node_inside.h"

/* What the job that makes the network needs; a copy is in its process. */
struct pod_net_setup {
	struct pod_net *net;
	struct job *job;
	const struct capture_config *capture;
	pod_net_ready_fn *ready;
	void *ctx;
};

/* Missing ones are no loss: IPv6 may be absent, others have the value already. */
static const struct {
	const char *path, *value;
} settings[] = {
	{"/proc/sys/net/ipv4/conf/all/rp_filter", "0"},
	{"/proc/sys/net/ipv4/conf/eth0/rp_filter", "0"},
	/* The node says "the other Pod is on your own link", which over IPv6 cannot be turned off
	 * there; whoever believed it would talk past the node, into a bridge port that is shut. */
	{"/proc/sys/net/ipv4/conf/all/accept_redirects", "0"},
	{"/proc/sys/net/ipv4/conf/eth0/accept_redirects", "0"},
	{"/proc/sys/net/ipv6/conf/all/accept_redirects", "0"},
	{"/proc/sys/net/ipv6/conf/eth0/accept_redirects", "0"},
	{"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"}, /* as containerd gives it */
	{"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"},
	{"/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"},
	{"/proc/sys/net/ipv6/conf/eth0/accept_dad", "0"},
	{"/proc/sys/net/ipv6/conf/eth0/accept_ra", "0"},
	/* The node forwards out of the interface it received on, so the kernel tells each Pod to go
	 * straight to the other one, where isolated bridge ports let nothing through. IPv4's router
	 * can be told not to say it; IPv6's cannot, so nobody listens. */
	{"/proc/sys/net/ipv6/conf/eth0/accept_redirects", "0"},
};

/*
 * Keeps the namespaces and does nothing else. An own program, so that no copy of the node's memory
 * is kept with it; it shows in `ps` under the Pod's name.
 */
static _Noreturn void keeper(const char *name)
{
	char title[300];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd); /* it reads and writes nothing */
	(void)close_range(3, ~0U, 0); /* the node's, none of which it uses */
	(void)snprintf(title, sizeof(title), "hark-pod:%s", name); /* cut short is fine */
	(void)execlp("sleep", title, "infinity", (char *)NULL);    /* else it waits as it is */
	for (;;)
		(void)pause(); /* until killed */
}

static bool start_keeper(struct pod_net *net, const char *name, struct err *err)
{
	struct clone_args args = {
		.flags = CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&net->pidfd,
		.exit_signal = SIGCHLD,
	};
	net->pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (net->pid < 0)
		return err_sys(err, "making the Pod's namespaces");
	if (net->pid == 0)
		keeper(name);
	net->netns_fd = netns_open("/proc", net->pid, err);
	return net->netns_fd >= 0;
}

static bool node_end(const struct pod_net *net, struct err *err)
{
	char lines[512], mac[ADDR_TEXT];
	MUST(snprintf(
		     lines, sizeof(lines),
		     "link add %s type veth peer name eth0 address %s netns %d\n"
		     "link set %s master hark0 addrgenmode none up\n"
		     "link set %s type bridge_slave isolated on\n", /* Pod to Pod only through us */
		     net->link, node_mac(&net->v4, mac), (int)net->pid, net->link,
		     net->link) < (int)sizeof(lines));
	return node_ip_batch(lines, err);
}

static bool pod_end(const struct pod_net *net, struct err *err)
{
	const struct node *node = net->node;
	char ip[ADDR_TEXT], gateway[ADDR_TEXT], mac[ADDR_TEXT];
	struct buf lines;
	buf_init(&lines, 4096);
	/* The gateway's Ethernet address is known, so the first packet need not ask for it. */
	(void)buf_printf(&lines,
			 "link set lo up\n"
			 "link set eth0 addrgenmode none up\n"
			 "addr add %s/32 dev eth0\n"
			 "neigh replace %s lladdr %s dev eth0 nud permanent\n"
			 "route add default via %s dev eth0 onlink\n",
			 ip_text(&net->v4, ip), ip_text(&node->gateway_v4, gateway),
			 node_mac(&node->gateway_v4, mac), gateway); /* full: seen in buf_cstr */
	if (!ip_is_any(&net->v6))
		(void)buf_printf(&lines,
				 "addr add %s/128 dev eth0 nodad\n"
				 "addr add ::6/128 dev lo nodad\n" /* capture.h, probe.h */
				 "neigh replace %s lladdr %s dev eth0 nud permanent\n"
				 "route add default via %s dev eth0 onlink\n",
				 ip_text(&net->v6, ip), ip_text(&node->gateway_v6, gateway), mac,
				 gateway); /* as above */
	const char *text = buf_cstr(&lines);
	MUST(text);
	bool ok = node_ip_batch(text, err);
	buf_fini(&lines);
	return ok;
}

static bool make_network(void *arg, struct err *err)
{
	struct pod_net_setup *setup = arg;
	struct pod_net *net = setup->net;
	if (!node_end(net, err))
		return false;
	if (setns(net->pidfd, CLONE_NEWNET | CLONE_NEWUTS) < 0)
		return err_sys(err, "entering the Pod's namespaces");
	if (sethostname(net->hostname, strlen(net->hostname)) < 0)
		return err_sys(err, "sethostname");
	for (size_t i = 0; i < N_ELEMS(settings); i++)
		if (!file_set(settings[i].path, settings[i].value, NULL))
			continue; /* no loss, see there */
	return pod_end(net, err) && (!setup->capture || capture_apply(setup->capture, err));
}

static void on_made(void *ctx, const struct err *err)
{
	struct pod_net_setup *setup = ctx;
	pod_net_ready_fn *ready = setup->ready;
	void *ready_ctx = setup->ctx;
	setup->net->setup = NULL;
	free(setup);
	ready(ready_ctx, err); /* may free the pod_net */
}

struct pod_net *pod_net_start(struct node *node, const struct pod_net_config *cfg,
			      pod_net_ready_fn *ready, void *ctx, struct err *err)
{
	struct pod_net *net = mem_new(sizeof(*net));
	*net = (struct pod_net){
		.node = node, .pid = -1, .pidfd = -1, .netns_fd = -1, .v4 = cfg->v4};
	if (node->ipv6)
		net->v6 = cfg->v6;
	MUST(snprintf(net->link, sizeof(net->link), "hk%u", ++node->next_link) <
	     (int)sizeof(net->link));
	if (strlen(cfg->hostname) >= sizeof(net->hostname)) {
		(void)err_set(err, ERR_BAD_INPUT, "host name %s is longer than %zu characters",
			      cfg->hostname, sizeof(net->hostname) - 1); /* told below */
		goto fail;
	}
	memcpy(net->hostname, cfg->hostname, strlen(cfg->hostname) + 1);
	if (!start_keeper(net, cfg->name, err))
		goto fail;
	net->setup = mem_new(sizeof(*net->setup));
	*net->setup = (struct pod_net_setup){
		.net = net, .capture = cfg->capture, .ready = ready, .ctx = ctx};
	net->setup->job = job_start(node->loop, make_network, net->setup, on_made, net->setup, err);
	if (!net->setup->job)
		goto fail;
	return net;
fail:
	(void)err_wrap(err, "network of Pod %s", cfg->name); /* NULL says so too */
	if (net->setup)
		MEM_FREE(net->setup); /* its job was not started */
	pod_net_free(net);
	return NULL;
}

static bool remove_link(void *arg, struct err *err)
{
	char line[64];
	MUST(snprintf(line, sizeof(line), "link del %s\n", (const char *)arg) < (int)sizeof(line));
	return node_ip_batch(line, err);
}

static void on_link_removed(void *ctx, const struct err *err)
{
	(void)ctx; /* nobody waits */
	if (err)   /* the namespace's end was faster, as a rule */
		log_debug("sandbox", "%s", err->text);
}

void pod_net_free(struct pod_net *net)
{
	if (!net)
		return;
	if (net->setup) {
		job_cancel(net->setup->job);
		free(net->setup);
	}
	/* Its other end is in use as long as the kernel tidies up, which it does when it likes. */
	if (net->netns_fd >= 0 &&
	    !job_start(net->node->loop, remove_link, net->link, on_link_removed, NULL, NULL))
		log_warn("sandbox", "interface %s stays until its namespace is gone", net->link);
	if (net->pidfd >= 0) {
		(void)pidfd_send_signal(net->pidfd, SIGKILL, NULL, 0); /* it may have ended */
		(void)waitpid(net->pid, NULL, 0); /* our child: it ends with the signal */
		(void)close(net->pidfd);          /* a process handle */
	}
	if (net->netns_fd >= 0)
		(void)close(net->netns_fd); /* a namespace handle */
	free(net);
}
