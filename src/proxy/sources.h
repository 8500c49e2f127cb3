/*
 * What is remembered of the addresses that connect to us: those that turned out to speak TLS, and
 * how many early connections each of them has.
 *
 *   if (tls_sources_has(t, &src)) facts.source_speaks_tls = true;
 *   tls_sources_add(t, &src);                            // a guess about it was wrong
 *
 *   if (early_take(&w->early, limits, &src, port)) ...   // one early connection may be opened
 *   early_release(&w->early, &src, port);
 *
 * Both are bounded however many addresses come. tls_sources holds fingerprints (SipHash) in a
 * fixed number of slots, shared by all workers through relaxed atomics; when its neighbourhood is
 * full one entry gives way. early_budget belongs to one worker and holds no more entries
 * than early connections.
 */
#pragma once
#include <stdatomic.h>

#include "model/view.h"

enum { TLS_SOURCES_SLOTS = 1024, TLS_SOURCES_WAYS = 4 };

struct tls_sources {
	_Atomic uint64_t slots[TLS_SOURCES_SLOTS]; /* 0: free */
	atomic_uint turn;                          /* which way gives way next */
	atomic_uint added;
};

bool tls_sources_has(const struct tls_sources *t, const struct ip *ip);
void tls_sources_add(struct tls_sources *t, const struct ip *ip);

struct early_source;
struct early_budget {
	struct early_source *by_source; /* table.h */
	uint32_t n;                     /* early connections of this worker */
};

/* SRC NULL: not counted by source; PORT NULL: not counted by destination. False: a budget is used
 * up, nothing was taken. */
bool early_take(struct early_budget *b, const struct mesh_config *limits, const struct ip *src,
		struct live_port *port) MUST_CHECK;
void early_release(struct early_budget *b, const struct ip *src, struct live_port *port);
