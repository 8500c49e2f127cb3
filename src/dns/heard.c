#include "dns/heard.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"

enum {
	WAYS = DNS_HEARD_NAMES,
	SETS = DNS_HEARD_MAX / WAYS,
	WORD = sizeof(uint64_t),
	IP_WORDS = sizeof(struct ip) / WORD,
	NAME_WORDS = sizeof(struct dns_heard_name) / WORD,
};
_Static_assert(sizeof(struct ip) % WORD == 0, "an address is whole words");
_Static_assert(sizeof(struct dns_heard_name) % WORD == 0, "a name is whole words");
_Static_assert((SETS & (SETS - 1)) == 0, "a power of two");

/*
 * One name of one address. VERSION is odd while the rest is written. Words are stored with release and
 * loaded with acquire: who sees a new word sees the odd version in front of it, too, so no fence is
 * needed (which ThreadSanitizer could not follow).
 */
struct cell {
	_Atomic uint64_t version;
	_Atomic uint64_t until_ns; /* 0: empty. It alone may change without the version */
	_Atomic uint64_t heard_ns; /* likewise: the latest answer */
	_Atomic uint64_t ip[IP_WORDS];
	_Atomic uint64_t name[NAME_WORDS];
};

struct dns_heard {
	struct cell cells[SETS][WAYS];
};

struct dns_heard *dns_heard_new(void)
{
	return mem_new(
		sizeof(struct dns_heard)); /* its pages are the kernel's until they are used */
}

void dns_heard_free(struct dns_heard *h)
{
	free(h);
}

static uint64_t get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static void set(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static void load(const _Atomic uint64_t *from, size_t n, void *to)
{
	char *at = to;
	for (size_t i = 0; i < n; i++) {
		uint64_t word = get(&from[i]);
		memcpy(at + i * WORD, &word, WORD);
	}
}

static void store(_Atomic uint64_t *to, size_t n, const void *from)
{
	const char *at = from;
	for (size_t i = 0; i < n; i++) {
		uint64_t word;
		memcpy(&word, at + i * WORD, WORD);
		set(&to[i], word);
	}
}

static size_t set_of(const struct ip *ip)
{
	return (size_t)siphash(ip, sizeof(*ip)) & (SETS - 1);
}

/* A whole look at C, as of one moment. False: it is empty, over, or being written. */
static bool look(const struct cell *c, uint64_t now_ns, struct ip *ip, struct dns_heard_name *name)
{
	uint64_t version = get(&c->version);
	if (version & 1 || get(&c->until_ns) <= now_ns)
		return false;
	load(c->ip, IP_WORDS, ip);
	load(c->name, NAME_WORDS, name);
	return get(&c->version) == version;
}

static void later(_Atomic uint64_t *word, uint64_t value)
{
	if (get(word) < value)
		set(word, value);
}

void dns_heard_put(struct dns_heard *h, struct slice name, const struct ip *ip, uint32_t ttl_s,
		   uint64_t now_ns)
{
	struct cell *cells = h->cells[set_of(ip)], *oldest = &cells[0];
	struct dns_heard_name new = {.len = name.len}, known;
	struct ip at;
	if (name.len == 0 || name.len > DNS_HEARD_NAME_MAX)
		return;
	memcpy(new.text, name.at, name.len);
	ttl_s = ttl_s < DNS_HEARD_TTL_MIN_S   ? DNS_HEARD_TTL_MIN_S
		: ttl_s > DNS_HEARD_TTL_MAX_S ? DNS_HEARD_TTL_MAX_S
					      : ttl_s;
	uint64_t until_ns = now_ns + (uint64_t)(ttl_s + DNS_HEARD_GRACE_S) * NS_PER_S;
	for (size_t i = 0; i < WAYS; i++) {
		struct cell *c = &cells[i];
		if (look(c, now_ns, &at, &known) && ip_eq(&at, ip) && known.len == new.len &&
		    memcmp(known.text, new.text, new.len) == 0) {
			later(&c->until_ns, until_ns);
			later(&c->heard_ns, now_ns);
			return;
		}
		if (get(&c->until_ns) < get(&oldest->until_ns))
			oldest = c;
	}
	uint64_t version = get(&oldest->version);
	set(&oldest->version, version + 1);
	store(oldest->ip, IP_WORDS, ip);
	store(oldest->name, NAME_WORDS, &new);
	set(&oldest->heard_ns, now_ns);
	set(&oldest->until_ns, until_ns);
	set(&oldest->version, version + 2);
}

static bool address_of(const struct dns_record *rr, struct ip *ip)
{
	if (rr->type == DNS_A && rr->rdata.len == 4) {
		struct reader r = reader_of(rr->rdata);
		*ip = ip_v4(read_u32(&r));
		return true;
	}
	if (rr->type != DNS_AAAA || rr->rdata.len != sizeof(*ip))
		return false;
	memcpy(ip, rr->rdata.at, sizeof(*ip));
	return true;
}

void dns_heard_answer(struct dns_heard *h, const struct dns_query *q, struct slice answer,
		      uint64_t now_ns)
{
	struct dns_walk w;
	struct dns_question asked;
	struct dns_record rr;
	struct ip ip;
	unsigned n = 0;
	if (q->class != DNS_CLASS_IN || (q->type != DNS_A && q->type != DNS_AAAA))
		return;
	if (!dns_walk_start(&w, answer) || w.flags & DNS_FLAGS_RCODE ||
	    !dns_walk_question(&w, &asked))
		return;
	/* Whatever aliases lie between: these are the addresses that the client gets for the name. */
	while (n < DNS_HEARD_OF_ANSWER && dns_walk_record(&w, &rr)) {
		if (rr.section != DNS_ANSWER || rr.class != DNS_CLASS_IN || !address_of(&rr, &ip))
			continue;
		dns_heard_put(h, slice_of(q->name), &ip, rr.ttl & 0x80000000 ? 0 : rr.ttl, now_ns);
		n++;
	}
}

size_t dns_heard_find(const struct dns_heard *h, const struct ip *ip, uint64_t now_ns,
		      struct dns_heard_name out[DNS_HEARD_NAMES])
{
	uint64_t heard_ns[WAYS];
	size_t n = 0;
	if (!h)
		return 0;
	const struct cell *cells = h->cells[set_of(ip)];
	for (size_t i = 0; i < WAYS; i++) {
		struct ip at;
		struct dns_heard_name name;
		uint64_t when = get(&cells[i].heard_ns);
		if (!look(&cells[i], now_ns, &at, &name) || !ip_eq(&at, ip))
			continue;
		size_t k = n++;
		for (; k > 0 && heard_ns[k - 1] < when; k--) {
			heard_ns[k] = heard_ns[k - 1];
			out[k] = out[k - 1];
		}
		heard_ns[k] = when;
		out[k] = name;
	}
	return n;
}

bool dns_heard_ip(const struct dns_heard *h, struct slice name, uint64_t now_ns, struct ip *out)
{
	for (size_t i = 0; h && i < SETS; i++)
		for (size_t k = 0; k < WAYS; k++) {
			struct dns_heard_name at;
			if (look(&h->cells[i][k], now_ns, out, &at) &&
			    slice_eq_nocase(name, (struct slice){at.text, at.len}))
				return true;
		}
	return false;
}
