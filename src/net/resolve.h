/*
 * Names to addresses without waiting: one question, asked with c-ares on the loop, by the rules of
 * /etc/resolv.conf and /etc/hosts as they are now.
 *
 *   struct resolve *r = resolve_start(loop, "istiod.istio-system.svc", on_end, ctx, &err);
 *   ... on_end(ctx, ips, n, NULL), or on_end(ctx, NULL, 0, &why)     // once, from the loop
 *   resolve_cancel(r);                                               // on_end() does not come
 *
 * Not for the data path: each call has servers and sockets of its own.
 */
#pragma once
#include <stddef.h>

#include "base/err.h"
#include "loop/loop.h"
#include "net/addr.h"

enum { RESOLVE_MAX_IPS = 16 };

struct resolve;
/* IPS live until it returns. */
typedef void resolve_end(void *ctx, const struct ip *ips, size_t n, const struct err *err);
/* NULL: no resolver could be made. HOST may be a literal address. */
struct resolve *resolve_start(struct loop *loop, const char *host, resolve_end *on_end, void *ctx,
			      struct err *err) MUST_CHECK;
void resolve_cancel(struct resolve *r); /* NULL is fine; not after on_end */
