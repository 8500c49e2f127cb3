#include "local/ip_pool.h"

#include <stdlib.h>

#include "base/mem.h"

enum { POOL_MAX = 65536 };

struct ip_pool {
	struct cidr range;
	uint32_t n, n_reserved, next;
	uint32_t n_free; /* of those that are not reserved */
	uint8_t taken[POOL_MAX / 8];
};

struct ip_pool *ip_pool_new(const struct cidr *range, uint32_t n_reserved)
{
	struct ip_pool *p = mem_new(sizeof(*p));
	unsigned host_bits = 128u - range->bits;

	p->range = *range;
	p->n = host_bits >= 16 ? POOL_MAX : UINT32_C(1) << host_bits;
	/* an IPv4 range ends in its broadcast address */
	if (ip_is_v4(&range->ip) && host_bits > 1 && host_bits <= 16)
		p->n--;
	p->n_reserved = p->next = n_reserved < p->n ? n_reserved : p->n;
	p->n_free = p->n - p->n_reserved;
	return p;
}

void ip_pool_free(struct ip_pool *p)
{
	free(p);
}

static bool is_taken(const struct ip_pool *p, uint32_t i)
{
	return p->taken[i / 8] >> i % 8 & 1;
}

static void set_taken(struct ip_pool *p, uint32_t i, bool taken)
{
	unsigned bit = 1u << i % 8;
	if (is_taken(p, i) == taken)
		return;
	if (i >= p->n_reserved)
		p->n_free = taken ? p->n_free - 1 : p->n_free + 1;
	p->taken[i / 8] = (uint8_t)(p->taken[i / 8] ^ bit);
}

bool ip_pool_take(struct ip_pool *p, uint32_t hint, struct ip *out)
{
	if (p->n_free == 0)
		return false; /* those who get none ask often: no walk over all of them */
	uint32_t usable = p->n - p->n_reserved;
	uint32_t at = hint == IP_POOL_NEXT ? p->next : p->n_reserved + hint % usable;
	while (is_taken(p, at))
		at = at + 1 < p->n ? at + 1 : p->n_reserved;
	set_taken(p, at, true);
	if (hint == IP_POOL_NEXT)
		p->next = at + 1 < p->n ? at + 1 : p->n_reserved;
	*out = cidr_nth(&p->range, at);
	return true;
}

/* The number of IP in the range, or p->n. */
static uint32_t index_of(const struct ip_pool *p, const struct ip *ip)
{
	if (!cidr_has(&p->range, ip))
		return p->n;
	uint32_t low = (uint32_t)ip->b[12] << 24 | (uint32_t)ip->b[13] << 16 |
		       (uint32_t)ip->b[14] << 8 | ip->b[15];
	const uint8_t *base = p->range.ip.b;
	uint32_t start = (uint32_t)base[12] << 24 | (uint32_t)base[13] << 16 |
			 (uint32_t)base[14] << 8 | base[15];
	uint32_t i = low - start;
	if (i >= p->n)
		return p->n;
	struct ip back = cidr_nth(&p->range, i); /* differs in a wide range's higher bits */
	return ip_eq(&back, ip) ? i : p->n;
}

enum ip_pool_claim ip_pool_claim(struct ip_pool *p, const struct ip *ip)
{
	uint32_t i = index_of(p, ip);
	if (i >= p->n)
		return IP_POOL_OUTSIDE;
	if (is_taken(p, i))
		return IP_POOL_TAKEN;
	set_taken(p, i, true);
	return IP_POOL_CLAIMED;
}

void ip_pool_release(struct ip_pool *p, const struct ip *ip)
{
	uint32_t i = index_of(p, ip);
	if (i < p->n)
		set_taken(p, i, false);
}
