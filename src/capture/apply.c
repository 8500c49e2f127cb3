/* The rules put into force in this namespace, taken out again, and shown. */
#include <errno.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "capture/capture.h"
#include "capture/nft.h"

enum { RULES_MAX = 1024 * 1024 };

/* What the kernel says where IPv6 is compiled in and switched off. */
static bool ipv6_is_off(int sys)
{
	return sys == EACCES || sys == EOPNOTSUPP || sys == ENODEV;
}

/*
 * ::6 is the address from which the proxy reaches its application over IPv6 (rule O2). Unlike
 * 127.0.0.6 it is nobody's until it is put on the loopback interface. Without IPv6 there is nothing
 * to do.
 */
static bool loopback_address(bool add, struct err *err)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno == EAFNOSUPPORT || err_sys(err, "socket");
	struct in6_ifreq req = {.ifr6_ifindex = (int)if_nametoindex("lo"),
				.ifr6_prefixlen = 128,
				.ifr6_addr.s6_addr[15] = 6};
	bool ok = true;
	if (add && ioctl(fd, SIOCSIFADDR, &req) < 0 && errno != EEXIST && !ipv6_is_off(errno))
		ok = err_sys(err, "putting ::6 on lo");
	if (!add && ioctl(fd, SIOCDIFADDR, &req) < 0 && errno != EADDRNOTAVAIL &&
	    !ipv6_is_off(errno))
		ok = err_sys(err, "taking ::6 from lo");
	(void)close(fd); /* nothing was written through it */
	return ok;
}

static bool apply(const struct capture_config *cfg, struct err *err)
{
	struct buf script;
	buf_init(&script, RULES_MAX);
	bool ok = capture_rules(cfg, &script, err);
	if (ok) {
		const char *commands = buf_cstr(&script);
		ok = commands ? nft_run(commands, err)
			      : err_set(err, ERR_LIMIT, "the rules do not fit into %d bytes",
					RULES_MAX);
	}
	buf_fini(&script);
	return ok && loopback_address(cfg->mode != CAPTURE_NONE, err);
}

bool capture_apply(const struct capture_config *cfg, struct err *err)
{
	return apply(cfg, err) || err_wrap(err, "capture rules");
}

bool capture_clean(struct err *err)
{
	struct capture_config none;
	capture_config_init(&none);
	none.mode = CAPTURE_NONE;
	return capture_apply(&none, err);
}

bool capture_print(struct buf *out, struct err *err)
{
	static const char *const tables[] = {"hark-nat", "hark-raw"};
	struct buf list;
	buf_init(&list, RULES_MAX);
	bool ok = nft_query("list tables inet", &list, err);
	for (size_t i = 0; ok && i < N_ELEMS(tables); i++) {
		char command[64];
		MUST(snprintf(command, sizeof(command), "table inet %s\n", tables[i]) <
		     (int)sizeof(command));
		if (!slice_contains(buf_slice(&list), slice_of(command)))
			continue;
		MUST(snprintf(command, sizeof(command), "list table inet %s", tables[i]) <
		     (int)sizeof(command));
		ok = nft_query(command, out, err);
	}
	buf_fini(&list);
	return ok || err_wrap(err, "capture rules");
}
