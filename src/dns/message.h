/*
 * DNS messages: a query's bytes give its question; over libldns, an answer's records give bytes.
 *
 *   struct dns_query q;
 *   enum dns_verdict got = dns_query_read(bytes, &q);
 *   if (got == DNS_DROP)
 *           return;                                    // an answer, or too short to answer
 *   struct dns_answer *a = dns_answer_new(&q);         // says FORMERR, ... already where due
 *   if (got == DNS_QUESTION)
 *           dns_answer_ip(a, NULL, &ip, 30);           // NULL: owned by the name that was asked
 *   dns_answer_write(a, dns_udp_limit(&q), &out);      // cut to fit, with TC
 *   dns_answer_free(a);
 *
 * Names are text without the last dot, as a person writes them ("db.shop.svc.cluster.local"), in
 * lower case where we made them from a message. No socket, no clock. Reading a query allocates
 * nothing; dns/reply.h writes plain answers without that, too. An answer belongs to one thread.
 */
#pragma once
#include "base/buf.h"
#include "base/slice.h"
#include "dns/wire.h"
#include "net/addr.h"

enum {
	DNS_NAME_TEXT = 1024, /* 255 bytes of name, each at worst escaped as \DDD */
	DNS_MESSAGE_MAX = 65535,
	DNS_UDP_MIN = 512,  /* RFC 1035 4.2.1 */
	DNS_UDP_MAX = 4096, /* larger datagrams than this are not sent, whatever a client allows */
};

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_IXFR = 251,
	DNS_AXFR = 252,
	DNS_ANY = 255,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

enum dns_verdict {
	DNS_QUESTION, /* one question of class IN, standard query */
	DNS_DROP,     /* not a query: answering could make two servers talk for ever */
	DNS_REJECT,   /* to be answered with q.rcode and nothing else */
};

struct dns_query {
	uint16_t id;
	bool recursion_desired, checking_disabled;
	bool edns;
	bool dnssec_ok;    /* DO, RFC 3225 */
	bool only_for_it;  /* EDNS options that make the answer one for this client: subnet, ... */
	uint16_t udp_size; /* 0 without EDNS */
	uint16_t flags;    /* of the header, as they came */
	uint8_t opcode;
	enum dns_rcode rcode; /* NOERROR for a QUESTION */
	bool bad_version;     /* EDNS version above 0: BADVERS, RFC 6891 6.1.3 */
	uint16_t type;        /* enum dns_type, or any other */
	uint16_t class;
	size_t wire_len; /* the question's name as it came: 0x20 case is given back */
	uint8_t wire[255];
	char name[DNS_NAME_TEXT]; /* lower case, no last dot; "" is the root */
};

enum dns_verdict dns_query_read(struct slice message, struct dns_query *q);
/* How long an answer over UDP may be: 512, or what EDNS allows. */
size_t dns_udp_limit(const struct dns_query *q);

struct dns_answer;
struct dns_answer *dns_answer_new(const struct dns_query *q);
void dns_answer_free(struct dns_answer *a);
void dns_answer_rcode(struct dns_answer *a, enum dns_rcode rcode);
void dns_answer_authoritative(struct dns_answer *a);
/*
 * Records; OWNER NULL is the name that was asked. A name that cannot be one adds nothing. Adding is
 * in order; EXTRA puts the record into the additional section.
 */
void dns_answer_ip(struct dns_answer *a, const char *owner, const struct ip *ip, uint32_t ttl);
void dns_answer_extra_ip(struct dns_answer *a, const char *owner, const struct ip *ip,
			 uint32_t ttl);
void dns_answer_cname(struct dns_answer *a, const char *owner, const char *target, uint32_t ttl);
void dns_answer_ptr(struct dns_answer *a, const char *target, uint32_t ttl);
void dns_answer_srv(struct dns_answer *a, const char *target, uint16_t port, uint16_t weight,
		    uint32_t ttl);
/* The zone's SOA: in the answer when it was asked for, else in the authority section, where it says
 * for how long "there is none" may be remembered (RFC 2308). */
void dns_answer_soa(struct dns_answer *a, const char *zone, uint32_t serial, uint32_t ttl,
		    bool asked);
size_t dns_answer_count(const struct dns_answer *a); /* records in the answer section */
/* Appends the message to OUT, at most MAX bytes: additional records go first, then TC is set and as
 * many answers are kept as fit. False: OUT is full. */
bool dns_answer_write(struct dns_answer *a, size_t max, struct buf *out) MUST_CHECK;
