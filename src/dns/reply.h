/*
 * Answers of addresses, written straight into the caller's memory: nothing is allocated.
 *
 *   struct dns_addresses found = {.ips = ips, .n = n, .ttl = 30, .authoritative = true};
 *   size_t len = dns_reply_addresses(&q, &found, dns_udp_limit(&q), out);
 *   size_t len = dns_reply_rcode(&q, DNS_SERVFAIL, out);
 *
 * OUT has room for MAX bytes, or DNS_UDP_MIN for a bare code. The question is given back as it came, its
 * case too. What does not fit is left out and TC set: the client asks again over TCP.
 */
#pragma once
#include "dns/message.h"

struct dns_addresses {
	const struct ip *ips; /* all of one family, that of the question's type */
	size_t n;
	uint32_t ttl;
	bool authoritative;
	/* On the wire: the addresses are this name's, which the one that was asked is an alias of.
	 * Empty: they are its own. Without an address there is no alias either. */
	struct slice alias_of;
};

size_t dns_reply_addresses(const struct dns_query *q, const struct dns_addresses *found, size_t max,
			   char *out);
size_t dns_reply_rcode(const struct dns_query *q, enum dns_rcode rcode, char *out);
/* Of an answer to Q that is longer than the client takes: header and question, with TC. */
size_t dns_reply_cut(const struct dns_query *q, struct slice answer, char *out);
/* The answer to a question for a PTR: HOST, in text; 0: that cannot be a name. OUT has room for DNS_UDP_MIN. */
size_t dns_reply_ptr(const struct dns_query *q, struct slice host, uint32_t ttl, char *out);
/* "There is no such name" becomes "there is nothing of that type": for a name that exists elsewhere. The rest
 * stays, the SOA that says how long that holds, too; but nobody vouches for it any more (AD). */
void dns_reply_exists(char *answer);
