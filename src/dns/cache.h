/*
 * Answers of other servers, kept for as long as they say themselves (RFC 1035 7.4, RFC 2308).
 *
 *   struct dns_cache *c = dns_cache_new(1024 * 1024);
 *   dns_cache_put(c, &q, answer, now_ns);                      // or not, where it may not be kept
 *   size_t len = dns_cache_get(c, &q, now_ns, max, out);       // 0: not here
 *
 * A hit has the asker's ID and its spelling of the name, and what is left of each TTL. Entries are told
 * apart by name, type, class, and by the bits that change an answer: RD, AD, CD, EDNS and DO. Bounded in
 * bytes: what was used least lately goes. No clock, one thread.
 */
#pragma once
#include "dns/message.h"

enum {
	DNS_CACHE_TTL_MAX_S = 3600,     /* however long a server says */
	DNS_CACHE_NEGATIVE_MAX_S = 300, /* of "there is none" */
	DNS_CACHE_MESSAGE_MAX = 4096,   /* longer answers are not kept */
};

struct dns_cache;
struct dns_cache *dns_cache_new(size_t max_bytes);
void dns_cache_free(struct dns_cache *c); /* NULL is fine */
/* ANSWER is one to Q (dns_answers()). */
void dns_cache_put(struct dns_cache *c, const struct dns_query *q, struct slice answer,
		   uint64_t now_ns);
/* At most MAX bytes, which are at least DNS_UDP_MIN: of a longer one there is only that it is cut (TC). */
size_t dns_cache_get(struct dns_cache *c, const struct dns_query *q, uint64_t now_ns, size_t max,
		     char *out);
size_t dns_cache_count(const struct dns_cache *c);
size_t dns_cache_bytes(const struct dns_cache *c);
