/*
 * Names to addresses without waiting: one question, asked with c-ares on the loop, by the rules of
 * /etc/resolv.conf and /etc/hosts as they are now.
 *
 *   struct resolve *r = resolve_start(loop, "istiod.istio-system.svc", on_end, ctx, &err);
 *   struct resolve *r = resolve_whole(loop, "db.example.com", RESOLVE_V4, on_end, ctx, &err);
 *   ... on_end(ctx, &answer)                                         // once, from the loop
 *   resolve_cancel(r);                                               // on_end() does not come
 *
 * Not for the data path: each call has servers and sockets of its own.
 */
#pragma once
#include <stddef.h>

#include "base/err.h"
#include "loop/loop.h"
#include "net/addr.h"

enum { RESOLVE_MAX_IPS = 64 };
enum resolve_family { RESOLVE_V4, RESOLVE_V6 };

/* Lives until on_end() returns. */
struct resolve_answer {
	const struct ip *ips;
	size_t n;
	uint32_t ttl_s; /* the least of them; 0: not known */
	const struct err
		*err; /* NULL: there is an address. ERR_NOT_FOUND: there is none, for sure */
};

struct resolve;
typedef void resolve_end(void *ctx, const struct resolve_answer *answer);
/* NULL: no resolver could be made. HOST may be a literal address; search domains count, and the
 * address that is reached best comes first. */
struct resolve *resolve_start(struct loop *loop, const char *host, resolve_end *on_end, void *ctx,
			      struct err *err) MUST_CHECK;
/* HOST as it is, the addresses of one family in the order of the answer. Of localhost: loopback. */
struct resolve *resolve_whole(struct loop *loop, const char *host, enum resolve_family family,
			      resolve_end *on_end, void *ctx, struct err *err) MUST_CHECK;
void resolve_cancel(struct resolve *r); /* NULL is fine; not after on_end */
