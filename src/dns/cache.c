#include "dns/cache.h"

#include <bsd/sys/queue.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"
#include "dns/reply.h"

enum { KEY_FIXED = 5, KEY_MAX = KEY_FIXED + DNS_NAME_WIRE };

struct entry {
	UT_hash_handle hh;
	TAILQ_ENTRY(entry) link;
	uint64_t stored_ns, expires_ns;
	size_t key_len, len;
	char bytes[]; /* the key, then the message */
};

struct dns_cache {
	struct entry *by_key;
	TAILQ_HEAD(, entry) used; /* the one used longest ago first */
	size_t bytes, max_bytes;
};

struct dns_cache *dns_cache_new(size_t max_bytes)
{
	struct dns_cache *c = mem_new(sizeof(*c));
	TAILQ_INIT(&c->used);
	c->max_bytes = max_bytes;
	return c;
}

static size_t cost(const struct entry *e)
{
	return sizeof(*e) + e->key_len + e->len;
}

static void drop(struct dns_cache *c, struct entry *e)
{
	MUST(c->by_key != NULL); /* E is in it */
	HASH_DEL(c->by_key, e);
	TAILQ_REMOVE(&c->used, e, link);
	c->bytes -= cost(e);
	free(e);
}

void dns_cache_free(struct dns_cache *c)
{
	if (!c)
		return;
	TABLE_DRAIN(c->by_key, free); /* every entry is in it */
	free(c);
}

static size_t make_key(const struct dns_query *q, char key[KEY_MAX])
{
	unsigned bits = q->edns | (unsigned)q->dnssec_ok << 1 | (q->flags & DNS_FLAG_RD ? 4u : 0u) |
			(q->flags & DNS_FLAG_AD ? 8u : 0u) | (q->flags & DNS_FLAG_CD ? 16u : 0u);
	key[0] = (char)(q->type >> 8);
	key[1] = (char)q->type;
	key[2] = (char)(q->class >> 8);
	key[3] = (char)q->class;
	key[4] = (char)bits;
	for (size_t i = 0; i < q->wire_len; i++) {
		char b = (char)q->wire[i];
		key[KEY_FIXED + i] = b >= 'A' && b <= 'Z' ? (char)(b + ('a' - 'A')) : b;
	}
	return KEY_FIXED + q->wire_len;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* The last 32 bits of an SOA's data: for how long "there is none" holds. */
static uint32_t soa_minimum(const struct dns_record *rr)
{
	struct reader r = reader_of(rr->rdata);
	if (rr->rdata.len < 4)
		return 0;
	read_skip(&r, rr->rdata.len - 4);
	return read_u32(&r);
}

/* For how many seconds ANSWER may be kept; 0: not at all. *OPT is where an OPT's data begins that ends the
 * message; 0: it has none. */
static uint32_t lifetime(struct slice answer, size_t *opt)
{
	struct dns_walk w;
	struct dns_question asked;
	struct dns_record rr;
	uint32_t ttl = DNS_CACHE_TTL_MAX_S, negative = 0;
	bool found = false;
	*opt = 0;
	if (!dns_walk_start(&w, answer) || w.flags & DNS_FLAG_TC || !dns_walk_question(&w, &asked))
		return 0;
	unsigned rcode = w.flags & DNS_FLAGS_RCODE;
	if (rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN)
		return 0;
	while (dns_walk_record(&w, &rr)) {
		*opt = rr.type == DNS_TYPE_OPT ? rr.rdata_at : 0;
		if (rr.type == DNS_TYPE_OPT) {
			if (rr.ttl >> 24) /* an extended RCODE: an error */
				return 0;
			continue;
		}
		ttl = least(ttl, rr.ttl & 0x80000000 ? 0 : rr.ttl); /* RFC 2181 8 */
		found |= rr.section == DNS_ANSWER && rr.type == asked.type;
		if (rr.section == DNS_AUTHORITY && rr.type == DNS_SOA)
			negative = least(soa_minimum(&rr), DNS_CACHE_NEGATIVE_MAX_S);
	}
	if (w.r.bad)
		return 0;
	/* Without an SOA nobody said for how long: RFC 2308 5. */
	return rcode == DNS_NOERROR && (found || asked.type == DNS_ANY) ? ttl
									: least(ttl, negative);
}

static struct entry *find(struct dns_cache *c, const struct dns_query *q)
{
	char key[KEY_MAX];
	size_t len = make_key(q, key);
	struct entry *e = NULL;
	HASH_FIND(hh, c->by_key, key, len, e);
	return e;
}

/* For NEED bytes more: what was used least lately goes. */
static void make_room(struct dns_cache *c, size_t need)
{
	struct entry *e, *next;
	TAILQ_FOREACH_SAFE (e, &c->used, link, next) {
		if (c->bytes + need <= c->max_bytes)
			return;
		drop(c, e);
	}
}

void dns_cache_put(struct dns_cache *c, const struct dns_query *q, struct slice answer,
		   uint64_t now_ns)
{
	size_t opt;
	uint32_t ttl = lifetime(answer, &opt);
	if (ttl == 0 || q->only_for_it || answer.len > DNS_CACHE_MESSAGE_MAX)
		return;
	if (opt) /* its options (a cookie, a reason) were for who asked */
		answer.len = opt;
	struct entry *old = find(c, q);
	if (old)
		drop(c, old);
	char key[KEY_MAX];
	size_t key_len = make_key(q, key), need = sizeof(struct entry) + key_len + answer.len;
	make_room(c, need);
	struct entry *e = mem_new(need);
	e->key_len = key_len;
	e->len = answer.len;
	memcpy(e->bytes, key, key_len);
	memcpy(&e->bytes[key_len], answer.at, answer.len);
	if (opt)
		memset(&e->bytes[key_len + opt - 2], 0, 2);
	e->stored_ns = now_ns;
	e->expires_ns = now_ns + ttl * NS_PER_S;
	HASH_ADD_KEYPTR(hh, c->by_key, e->bytes, e->key_len, e);
	TAILQ_INSERT_TAIL(&c->used, e, link);
	c->bytes += cost(e);
}

/* Who asks gets its own ID and spelling, and what is left of the time. */
static void make_own(const struct dns_query *q, uint32_t age_s, struct slice from, char *out)
{
	struct dns_walk w;
	struct dns_question asked;
	struct dns_record rr;
	memcpy(out, from.at, from.len);
	out[0] = (char)(q->id >> 8);
	out[1] = (char)q->id;
	memcpy(&out[DNS_HEADER_LEN], q->wire, q->wire_len);
	MUST(dns_walk_start(&w, from) && dns_walk_question(&w, &asked)); /* lifetime() did */
	while (dns_walk_record(&w, &rr)) {
		if (rr.type == DNS_TYPE_OPT)
			continue;
		uint32_t ttl = rr.ttl > age_s ? rr.ttl - age_s : 0;
		for (unsigned i = 0; i < 4; i++)
			out[rr.ttl_at + i] = (char)(ttl >> (24 - 8 * i));
	}
}

size_t dns_cache_get(struct dns_cache *c, const struct dns_query *q, uint64_t now_ns, size_t max,
		     char *out)
{
	struct entry *e = q->only_for_it ? NULL : find(c, q);
	if (!e)
		return 0;
	if (now_ns >= e->expires_ns) {
		drop(c, e);
		return 0;
	}
	TAILQ_REMOVE(&c->used, e, link);
	TAILQ_INSERT_TAIL(&c->used, e, link);
	struct slice message = {&e->bytes[e->key_len], e->len};
	if (e->len > max)
		return dns_reply_cut(q, message, out);
	uint64_t age_ns = now_ns > e->stored_ns ? now_ns - e->stored_ns : 0;
	make_own(q, (uint32_t)(age_ns / NS_PER_S), message, out);
	return e->len;
}

size_t dns_cache_count(const struct dns_cache *c)
{
	return HASH_COUNT(c->by_key);
}

size_t dns_cache_bytes(const struct dns_cache *c)
{
	return c->bytes;
}
