/*
 * Addresses of one range, each given to one holder at a time.
 *
 *   struct ip_pool *pods = ip_pool_new(&node->cfg.pods_v4, 16);  // .0 to .15 are never given
 *   if (!ip_pool_take(pods, IP_POOL_NEXT, &ip)) ...              // the range is used up
 *   ip_pool_release(pods, &ip);
 *
 * Only the first 65536 addresses of a range are used. IP_POOL_NEXT goes round the range, so that an
 * address rests before somebody else gets it; a hint starts there instead, so that the same thing
 * gets the same address when it can. Not locked.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"

#define IP_POOL_NEXT UINT32_MAX

struct ip_pool;
struct ip_pool *ip_pool_new(const struct cidr *range, uint32_t n_reserved);
void ip_pool_free(struct ip_pool *p); /* NULL is fine */
bool ip_pool_take(struct ip_pool *p, uint32_t hint, struct ip *out);
enum ip_pool_claim { IP_POOL_CLAIMED, IP_POOL_TAKEN, IP_POOL_OUTSIDE };
/* IP in particular, which may be a reserved one. */
enum ip_pool_claim ip_pool_claim(struct ip_pool *p, const struct ip *ip);
void ip_pool_release(struct ip_pool *p, const struct ip *ip); /* fine when nobody has it */
