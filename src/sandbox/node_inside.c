#include "sandbox/node_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "sandbox/files.h"
#include "sandbox/job.h"

const char *node_mac(const struct ip *v4, char out[ADDR_TEXT])
{
	uint32_t a = ip_to_v4(v4);
	MUST(snprintf(out, ADDR_TEXT, "02:00:%02x:%02x:%02x:%02x", a >> 24, a >> 16 & 0xff,
		      a >> 8 & 0xff, a & 0xff) < ADDR_TEXT);
	return out;
}

bool node_ip_batch(const char *lines, struct err *err)
{
	static const char *const argv[] = {"ip", "-batch", "-", NULL};
	return job_command(argv, lines, err);
}

/*
 * Our "/" may be an ordinary folder that somebody chroot(2)ed into: there mounts cannot be made private,
 * nor can a container's pivot_root(2) work. So it becomes the root of our mount namespace: entering the
 * namespace that we are in already leads out of the chroot, to where that can be done.
 */
static bool leave_chroot(int tree, int self, struct err *err)
{
	if (tree < 0 || self < 0)
		return err_sys(err, "copying the mounts of a chroot");
	if (setns(self, CLONE_NEWNS) < 0)
		return err_sys(err, "leaving a chroot");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "making the mounts private");
	/* pivot_root(2): "." over ".", so that no folder for the old root is needed. */
	if (move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(tree) < 0 ||
	    mount(NULL, ".", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(err, "making a chroot the root of all mounts");
	return true;
}

/* What is mounted from now on, the host never sees. */
static bool private_mounts(struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		return true;
	if (errno != EINVAL) /* EINVAL: "/" is no mount */
		return err_sys(err, "making the mounts private");
	int tree = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | AT_RECURSIVE | OPEN_TREE_CLOEXEC);
	int self = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	bool ok = leave_chroot(tree, self, err);
	if (tree >= 0)
		(void)close(tree); /* a mount handle */
	if (self >= 0)
		(void)close(self); /* a namespace handle */
	return ok;
}

static bool mounts(struct node *node, struct err *err)
{
	if (!path_make(node->dir, err, "%s/mesh", node->cfg.run_dir) || !private_mounts(err))
		return false;
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return err_sys(err, "mounting /proc");
	if (mount("hark", node->dir, "tmpfs", MS_NODEV, "mode=0755") < 0)
		return err_sys(err, "mounting %s", node->dir);
	return true;
}

/* WANTED: without it nothing works. The others make it better, and not every kernel has them. */
static const struct {
	const char *path, *value;
	bool wanted, ipv6;
} settings[] = {
	{"/proc/sys/net/ipv4/ip_forward", "1", true, false},
	/* All Pods are on one bridge, and yet each must come to us and not go to the other Pod: the
	 * way back would miss our connection tracking. */
	{"/proc/sys/net/ipv4/conf/all/send_redirects", "0", true, false},
	{"/proc/sys/net/ipv4/conf/default/send_redirects", "0", true, false},
	{"/proc/sys/net/ipv4/conf/all/rp_filter", "0", false, false},
	{"/proc/sys/net/ipv4/conf/default/rp_filter", "0", false, false},
	{"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0", false, false},
	/* What cannot be reached is said every time: our Pods are no strangers to be rationed. */
	{"/proc/sys/net/ipv4/icmp_ratemask", "0", false, false},
	{"/proc/sys/net/ipv6/icmp/ratelimit", "0", false, true},
	/* Where the module is loaded, bridged packets would meet the rules twice. */
	{"/proc/sys/net/bridge/bridge-nf-call-iptables", "0", false, false},
	{"/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0", false, false},
	{"/proc/sys/net/ipv6/conf/all/disable_ipv6", "0", true, true},
	{"/proc/sys/net/ipv6/conf/default/disable_ipv6", "0", true, true},
	{"/proc/sys/net/ipv6/conf/all/forwarding", "1", true, true},
	{"/proc/sys/net/ipv6/conf/default/accept_dad", "0", false, true},
	{"/proc/sys/net/ipv6/conf/default/accept_ra", "0", false, true},
};

static bool sysctls(const struct node *node, struct err *err)
{
	for (size_t i = 0; i < N_ELEMS(settings); i++) {
		struct err why = {0};
		if ((settings[i].ipv6 && !node->ipv6) ||
		    file_set(settings[i].path, settings[i].value, &why))
			continue;
		if (settings[i].wanted)
			return err_set(err, ERR_NOT_NOW, "%s", why.text);
		log_debug("sandbox", "left as it is: %s", why.text);
	}
	return true;
}

static bool bridge(const struct node *node, struct err *err)
{
	char mac[ADDR_TEXT], v4[ADDR_TEXT], v6[ADDR_TEXT];
	struct buf lines;
	buf_init(&lines, 4096);
	(void)buf_printf(&lines,
			 "link set lo up\n"
			 "link add hark0 address %s type bridge stp_state 0 forward_delay 0 "
			 "mcast_snooping 0\n"
			 "link set hark0 addrgenmode none up\n"
			 "addr add %s/%u dev hark0\n",
			 node_mac(&node->gateway_v4, mac), ip_text(&node->gateway_v4, v4),
			 node->cfg.pods_v4.bits - 96U); /* full: seen in buf_cstr */
	if (node->ipv6)
		(void)buf_printf(&lines,
				 "addr add %s/%u dev hark0 nodad\n"
				 /* Neighbours are asked for in the name of a link-local
				  * address when the packet is not our own. */
				 "addr add fe80::1/64 dev hark0 nodad\n",
				 ip_text(&node->gateway_v6, v6),
				 node->cfg.pods_v6.bits); /* as above */
	const char *text = buf_cstr(&lines);
	MUST(text);
	bool ok = node_ip_batch(text, err);
	buf_fini(&lines);
	return ok;
}

/* A mesh has many descriptors: pipes of logs, handles of processes, watchers. */
static void descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit); /* raising the soft limit cannot fail */
	}
}

bool node_set_up(struct node *node, struct err *err)
{
	char host[64];
	node->gateway_v4 = cidr_nth(&node->cfg.pods_v4, 1);
	node->gateway_v6 = cidr_nth(&node->cfg.pods_v6, 1);
	node->ipv6 = access("/proc/sys/net/ipv6", F_OK) == 0;
	descriptors();
	(void)umask(022);
	MUST(snprintf(host, sizeof(host), "hark-%s", node->cfg.name) < (int)sizeof(host));
	if (sethostname(host, strlen(host)) < 0)
		return err_sys(err, "sethostname");
	return mounts(node, err) && sysctls(node, err) && bridge(node, err);
}
