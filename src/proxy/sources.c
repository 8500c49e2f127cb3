#include "proxy/sources.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/table.h"

static uint64_t fingerprint(const struct ip *ip)
{
	uint64_t h = siphash(ip->b, sizeof(ip->b));
	return h ? h : 1; /* 0 is a free slot */
}

static size_t first_way(uint64_t print)
{
	return print % (TLS_SOURCES_SLOTS / TLS_SOURCES_WAYS) * TLS_SOURCES_WAYS;
}

bool tls_sources_has(const struct tls_sources *t, const struct ip *ip)
{
	if (atomic_load_explicit(&t->added, memory_order_relaxed) == 0)
		return false; /* nearly always */
	uint64_t print = fingerprint(ip);
	size_t at = first_way(print);
	for (size_t i = at; i < at + TLS_SOURCES_WAYS; i++)
		if (atomic_load_explicit(&t->slots[i], memory_order_relaxed) == print)
			return true;
	return false;
}

void tls_sources_add(struct tls_sources *t, const struct ip *ip)
{
	if (tls_sources_has(t, ip))
		return;
	uint64_t print = fingerprint(ip);
	size_t at = first_way(print);
	size_t place = at + atomic_fetch_add_explicit(&t->turn, 1, memory_order_relaxed) %
				    TLS_SOURCES_WAYS;
	for (size_t i = at; i < at + TLS_SOURCES_WAYS; i++)
		if (atomic_load_explicit(&t->slots[i], memory_order_relaxed) == 0)
			place = i;
	atomic_store_explicit(&t->slots[place], print, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->added, 1, memory_order_relaxed);
}

struct early_source {
	struct ip ip;
	uint32_t n;
	UT_hash_handle hh;
};

static struct early_source *find(const struct early_budget *b, const struct ip *src)
{
	struct early_source *s = NULL;
	HASH_FIND(hh, b->by_source, src, sizeof(*src), s);
	return s;
}

bool early_take(struct early_budget *b, const struct mesh_config *limits, const struct ip *src,
		struct live_port *port)
{
	struct early_source *s = src ? find(b, src) : NULL;
	if (b->n >= limits->early_per_worker || (s && s->n >= limits->early_per_source))
		return false;
	if (src && limits->early_per_source == 0)
		return false;
	/* Another worker may pass the same test in between: a budget, not a promise. */
	if (port && atomic_load_explicit(&port->early, memory_order_relaxed) >=
			    limits->early_per_destination)
		return false;
	if (src && !s) {
		s = mem_new(sizeof(*s));
		s->ip = *src;
		HASH_ADD(hh, b->by_source, ip, sizeof(s->ip), s);
	}
	if (s)
		s->n++;
	if (port)
		atomic_fetch_add_explicit(&port->early, 1, memory_order_relaxed);
	b->n++;
	return true;
}

void early_release(struct early_budget *b, const struct ip *src, struct live_port *port)
{
	struct early_source *s = src ? find(b, src) : NULL;
	if (s && --s->n == 0) {
		HASH_DEL(b->by_source, s);
		free(s);
	}
	if (port)
		atomic_fetch_sub_explicit(&port->early, 1, memory_order_relaxed);
	b->n--;
}
