/*
 * Which names led to an address: what the answers of nameservers said, for whoever has nothing but the
 * address of a connection.
 *
 *   struct dns_heard *h = dns_heard_new();
 *   dns_heard_answer(h, &q, answer, now_ns);              // one thread, before the client gets the answer
 *   struct dns_heard_name names[DNS_HEARD_NAMES];
 *   size_t n = dns_heard_find(h, &ip, now_ns, names);     // any thread: the latest first
 *
 * What was heard holds for the TTL and a while longer, since programs keep addresses. Bounded: what ends
 * first gives way. Readers take no lock: a cell that is being written is passed over, and an
 * address that a client has been told is not written again while it holds.
 */
#pragma once
#include "dns/message.h"

enum {
	DNS_HEARD_NAMES = 4,       /* of one address, at most */
	DNS_HEARD_MAX = 2048,      /* names of addresses */
	DNS_HEARD_OF_ANSWER = 128, /* addresses of one answer: the first so many */
	DNS_HEARD_NAME_MAX = 253,  /* longer ones are not kept */
	DNS_HEARD_TTL_MIN_S = 30,  /* a shorter TTL counts as this, */
	DNS_HEARD_TTL_MAX_S = 3600,
	DNS_HEARD_GRACE_S = 300, /* and this comes behind it */
};

struct dns_heard_name {
	size_t len;
	char text[DNS_HEARD_NAME_MAX + 3]; /* lower case, no last dot, NUL-terminated */
};

struct dns_heard;
struct dns_heard *dns_heard_new(void);
void dns_heard_free(struct dns_heard *h); /* NULL is fine */
/* NAME is lower case. */
void dns_heard_put(struct dns_heard *h, struct slice name, const struct ip *ip, uint32_t ttl_s,
		   uint64_t now_ns);
/* The addresses that ANSWER has for Q: none, where Q is not for any. */
void dns_heard_answer(struct dns_heard *h, const struct dns_query *q, struct slice answer,
		      uint64_t now_ns);
/* Of IP; H NULL has heard nothing. */
size_t dns_heard_find(const struct dns_heard *h, const struct ip *ip, uint64_t now_ns,
		      struct dns_heard_name out[DNS_HEARD_NAMES]);
/* An address of NAME; looks at every cell, for people. */
bool dns_heard_ip(const struct dns_heard *h, struct slice name, uint64_t now_ns, struct ip *out);
