#include "net/sock.h"

#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* From <linux/netfilter_ipv6/ip6_tables.h>, which does not compile beside <netinet/in.h>. */
enum { ORIGINAL_DST_V6 = 80 };

static bool set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* Closes FD with errno kept: the caller reports what failed before. */
static int close_failed(int fd)
{
	int saved = errno;
	(void)close(fd); /* nothing was written to it */
	errno = saved;
	return -1;
}

static int open_bound(const struct addr *on, int type, bool reuseport, struct err *err)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(on, &sa);
	char text[ADDR_TEXT];
	int fd = socket(sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		(void)err_sys(err, "socket");
		return -1;
	}
	bool wildcard6 = sa.ss_family == AF_INET6 && ip_is_any(&on->ip);
	if ((type == SOCK_STREAM && !set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1)) ||
	    (reuseport && !set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1)) ||
	    (sa.ss_family == AF_INET6 &&
	     !set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, wildcard6 ? 0 : 1))) {
		(void)err_sys(err, "setsockopt %s", addr_text(on, text));
		return close_failed(fd);
	}
	if (bind(fd, (struct sockaddr *)&sa, len) < 0) {
		(void)err_sys(err, "bind %s", addr_text(on, text));
		return close_failed(fd);
	}
	return fd;
}

int net_listen(const struct addr *on, bool reuseport, struct err *err)
{
	char text[ADDR_TEXT];
	int fd = open_bound(on, SOCK_STREAM, reuseport, err);
	if (fd >= 0 && listen(fd, SOMAXCONN) < 0) {
		(void)err_sys(err, "listen %s", addr_text(on, text));
		return close_failed(fd);
	}
	return fd;
}

int net_bind_udp(const struct addr *on, struct err *err)
{
	return open_bound(on, SOCK_DGRAM, false, err);
}

static bool unix_addr(const char *path, struct sockaddr_un *sa, struct err *err)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(sa->sun_path))
		return err_set(err, ERR_BAD_INPUT, "socket path longer than %zu bytes: %s",
			       sizeof(sa->sun_path) - 1, path);
	memcpy(sa->sun_path, path, strlen(path));
	return true;
}

int net_listen_unix(const char *path, unsigned mode, struct err *err)
{
	struct sockaddr_un sa;
	if (!unix_addr(path, &sa, err))
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		(void)err_sys(err, "socket");
		return -1;
	}
	if (unlink(path) < 0 && errno != ENOENT) {
		(void)err_sys(err, "unlink %s", path);
		return close_failed(fd);
	}
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(path, (mode_t)mode) < 0 ||
	    listen(fd, SOMAXCONN) < 0) {
		(void)err_sys(err, "listen %s", path);
		return close_failed(fd);
	}
	return fd;
}

int net_accept(int listen_fd, struct addr *peer)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int fd = accept4(listen_fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0 && peer)
		*peer = addr_of(&sa);
	return fd;
}

int net_connect(const struct addr *to, const struct addr *src, struct err *err)
{
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(to, &sa);
	char text[ADDR_TEXT];
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		(void)err_sys(err, "socket");
		return -1;
	}
	if (src) {
		struct sockaddr_storage from;
		socklen_t from_len = addr_to_sockaddr(src, &from);
		if (!set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) ||
		    bind(fd, (struct sockaddr *)&from, from_len) < 0) {
			(void)err_sys(err, "bind source %s", addr_text(src, text));
			return close_failed(fd);
		}
	}
	if (connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS) {
		(void)err_sys(err, "connect %s", addr_text(to, text));
		return close_failed(fd);
	}
	return fd;
}

int net_connect_unix(const char *path, struct err *err)
{
	struct sockaddr_un sa;
	if (!unix_addr(path, &sa, err))
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		(void)err_sys(err, "socket");
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		(void)err_sys(err, "connect %s", path);
		return close_failed(fd);
	}
	return fd;
}

int net_connect_result(int fd)
{
	int result = 0;
	socklen_t len = sizeof(result);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &len) < 0)
		return errno;
	return result;
}

bool net_original_dst(int fd, struct addr *out)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	if (getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &sa, &len) < 0) {
		len = sizeof(sa);
		if (getsockopt(fd, SOL_IPV6, ORIGINAL_DST_V6, &sa, &len) < 0)
			return false;
	}
	*out = addr_of(&sa);
	return true;
}

bool net_local_addr(int fd, struct addr *out)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return false;
	*out = addr_of(&sa);
	return true;
}

bool net_peer_addr(int fd, struct addr *out)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
		return false;
	*out = addr_of(&sa);
	return true;
}

bool net_tune(int fd, unsigned keepalive_s)
{
	if (!set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1) || !set_int(fd, SOL_SOCKET, SO_OOBINLINE, 1))
		return false;
	return net_keepalive(fd, keepalive_s);
}

bool net_keepalive(int fd, unsigned keepalive_s)
{
	if (keepalive_s == 0)
		return true;
	int s = (int)(keepalive_s > 32767 ? 32767 : keepalive_s);
	return set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
	       set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, s);
}

uint32_t net_rtt_us(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return 0;
	return info.tcpi_rtt;
}

bool net_reset_on_close(int fd)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};
	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0;
}
