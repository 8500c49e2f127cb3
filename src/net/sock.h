/*
 * Sockets: non-blocking, close-on-exec, one call per thing that a proxy does with them. Return a
 * descriptor that the caller owns, or -1 with ERR filled.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/err.h"
#include "net/addr.h"

/* A listener on ON; an IPv6 wildcard also takes IPv4. REUSEPORT: one such listener per worker, the
 * kernel spreads connections. */
int net_listen(const struct addr *on, bool reuseport, struct err *err);
/* A Unix stream listener; an old socket file at PATH is replaced. MODE is the file's mode. */
int net_listen_unix(const char *path, unsigned mode, struct err *err);
/* A UDP socket bound to ON. */
int net_bind_udp(const struct addr *on, struct err *err);
/* The next connection, or -1 with errno as accept4(2) left it. PEER may be NULL. */
int net_accept(int listen_fd, struct addr *peer);
/*
 * Starts a connection; it is made (or failed: net_connect_result) when the socket becomes writable.
 * SRC: the address to bind first, NULL for none; its port 0 takes a free one, drawn at connect
 * (IP_BIND_ADDRESS_NO_PORT), so that many connections from one source do not run out of ports.
 */
int net_connect(const struct addr *to, const struct addr *src, struct err *err);
int net_connect_unix(const char *path,
		     struct err *err); /* connected on return: a Unix connect does not wait */
int net_connect_result(int fd);        /* 0, or the errno of the failed connect (SO_ERROR) */
/*
 * Where FD was going before an nftables redirect; false when it was not redirected (no entry). A
 * redirected IPv4 connection on an IPv6 socket is found as IPv4. SO_ORIGINAL_DST: netfilter's
 * conntrack look-up, to be asked right after accept.
 */
bool net_original_dst(int fd, struct addr *out);
bool net_local_addr(int fd, struct addr *out);
bool net_peer_addr(int fd, struct addr *out);
/* TCP_NODELAY, urgent data kept in the stream (SO_OOBINLINE), and keepalive (probes after
 * KEEPALIVE_S of silence; 0: off). On a listener: what it accepts inherits all of it. Failure is
 * not fatal to a connection: false with errno. */
bool net_tune(int fd, unsigned keepalive_s);
bool net_keepalive(int fd, unsigned keepalive_s); /* that part alone */
/* The kernel's smoothed round trip in microseconds, 0 when it has no sample yet. TCP_INFO, tcp(7).
 */
uint32_t net_rtt_us(int fd);
/* Makes the next close() send RST instead of FIN: SO_LINGER with zero time, socket(7). */
bool net_reset_on_close(int fd);
/*
 * As recv(2) and send(2), for the data path. glibc's are cancellation points, which in a process
 * with threads costs two atomic operations around each call: 3 % of a small message's way through a
 * relay. Nothing here is ever cancelled.
 */
static inline ssize_t net_recv(int fd, void *bytes, size_t len, int flags)
{
	return syscall(SYS_recvfrom, fd, bytes, len, flags, NULL, NULL);
}
static inline ssize_t net_send(int fd, const void *bytes, size_t len, int flags)
{
	return syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
}
