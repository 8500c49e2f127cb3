/*
 * DNS messages read in place: nothing is allocated, nothing is copied.
 *
 *   struct dns_walk w;
 *   struct dns_question asked;
 *   struct dns_record rr;
 *   if (!dns_walk_start(&w, message) || !dns_walk_question(&w, &asked)) ...   // malformed
 *   while (dns_walk_record(&w, &rr)) ...
 *   if (w.r.bad) ...                                       // it ended in the middle of something
 *
 * What is found borrows from the message. A compressed name points backwards only (RFC 1035 4.1.4),
 * so that no name can lead round in circles; names inside of records' data are not looked at.
 */
#pragma once
#include "base/reader.h"
#include "base/slice.h"

enum {
	DNS_HEADER_LEN = 12,
	DNS_NAME_WIRE = 255, /* RFC 1035 2.3.4 */
	DNS_LABEL_MAX = 63,
	DNS_TYPE_OPT = 41, /* RFC 6891 */
	DNS_CLASS_IN = 1,

	DNS_FLAG_QR = 0x8000,
	DNS_FLAG_AA = 0x0400,
	DNS_FLAG_TC = 0x0200,
	DNS_FLAG_RD = 0x0100,
	DNS_FLAG_RA = 0x0080,
	DNS_FLAG_AD = 0x0020,
	DNS_FLAG_CD = 0x0010,
	DNS_FLAGS_OPCODE = 0x7800,
	DNS_FLAGS_RCODE = 0x000f,
};

struct dns_walk {
	struct reader r;
	size_t len; /* of the message */
	uint16_t id, flags;
	uint16_t left[4]; /* questions, answers, authority, additional that are still to come */
};

struct dns_question {
	struct slice name; /* on the wire, uncompressed, with the root's zero byte */
	uint16_t type, class;
};

enum dns_section { DNS_ANSWER = 1, DNS_AUTHORITY, DNS_ADDITIONAL };

struct dns_record {
	enum dns_section section;
	bool of_root; /* its owner is the root */
	uint16_t type, class;
	uint32_t ttl;
	size_t at, ttl_at, rdata_at; /* where they begin in the message */
	struct slice rdata;
};

/* False: shorter than a header. */
bool dns_walk_start(struct dns_walk *w, struct slice message);
/* The next question; false: none is left, or W.r.bad. */
bool dns_walk_question(struct dns_walk *w, struct dns_question *q);
/* The next record, once all questions were taken; false: none is left, or W.r.bad. */
bool dns_walk_record(struct dns_walk *w, struct dns_record *rr);

/* Whether two names on the wire are one: ASCII case does not count, RFC 4343. */
bool dns_name_eq(struct slice a, struct slice b);
/* "db.shop" as a name on the wire, into OUT; its length, 0: it cannot be one. */
size_t dns_name_of_text(struct slice text, char out[DNS_NAME_WIRE]);
/*
 * Is ANSWER what a server says to QUERY, with ID on both? The question must be there again, except
 * in a refusal of a server that did not understand it. A message that breaks off is no answer, unless
 * it says itself that it was cut (TC).
 */
bool dns_answers(struct slice answer, struct slice query, uint16_t id);
