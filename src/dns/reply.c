#include "dns/reply.h"

#include <string.h>

enum {
	OPT_LEN = 11,
	POINTER = 0xc000,        /* RFC 1035 4.1.4 */
	RECORD_FIXED = 10,       /* type, class, TTL, length of the data */
	ADDRESS_RECORD_MAX = 28, /* a pointer to its owner and an IPv6 address */
	BADVERS_HIGH = 1,        /* BADVERS is 16: 1 << 4 */
};

/* Writes what is known to fit; MUST is the proof. */
struct writer {
	char *out;
	size_t at, max;
};

static void put_bytes(struct writer *w, const void *bytes, size_t len)
{
	MUST(len <= w->max - w->at);
	memcpy(&w->out[w->at], bytes, len);
	w->at += len;
}

static void put_u16(struct writer *w, unsigned n)
{
	const unsigned char bytes[] = {(unsigned char)(n >> 8), (unsigned char)n};
	put_bytes(w, bytes, sizeof(bytes));
}

static void put_u32(struct writer *w, uint32_t n)
{
	put_u16(w, n >> 16);
	put_u16(w, n & 0xffff);
}

static void put_record(struct writer *w, unsigned type, uint32_t ttl, size_t rdata_len)
{
	put_u16(w, type);
	put_u16(w, DNS_CLASS_IN);
	put_u32(w, ttl);
	put_u16(w, (unsigned)rdata_len);
}

static void put_head(struct writer *w, const struct dns_query *q, unsigned flags)
{
	put_u16(w, q->id);
	put_u16(w,
		DNS_FLAG_QR | (q->flags & (DNS_FLAGS_OPCODE | DNS_FLAG_RD | DNS_FLAG_CD)) | flags);
	put_u16(w, q->wire_len != 0);
	put_u16(w, 0); /* answers: fix_answers() */
	put_u16(w, 0);
	put_u16(w, q->edns);
	if (q->wire_len == 0)
		return;
	put_bytes(w, q->wire, q->wire_len);
	put_u16(w, q->type);
	put_u16(w, q->class);
}

static void put_opt(struct writer *w, const struct dns_query *q)
{
	if (!q->edns)
		return;
	put_bytes(w, "", 1); /* the root */
	put_u16(w, DNS_TYPE_OPT);
	put_u16(w, DNS_UDP_MAX);
	put_u16(w, q->bad_version ? BADVERS_HIGH << 8 : 0);
	put_u16(w, q->dnssec_ok ? 0x8000 : 0); /* given back, RFC 3225 3 */
	put_u16(w, 0);
}

size_t dns_reply_rcode(const struct dns_query *q, enum dns_rcode rcode, char *out)
{
	struct writer w = {out, 0, DNS_UDP_MIN};
	put_head(&w, q, DNS_FLAG_RA | rcode);
	put_opt(&w, q);
	return w.at;
}

static void fix_answers(struct writer *w, size_t n, bool cut)
{
	w->out[6] = (char)(n >> 8);
	w->out[7] = (char)n;
	if (cut)
		w->out[2] = (char)(w->out[2] | DNS_FLAG_TC >> 8);
}

/* As many as fit; how many those were. */
static size_t put_addresses(struct writer *w, const struct dns_query *q,
			    const struct dns_addresses *found, size_t owner)
{
	bool v4 = q->type == DNS_A;
	size_t n = 0, keep = q->edns ? OPT_LEN : 0;
	for (; n < found->n && n < UINT16_MAX - 1; n++) {
		if (w->max - w->at < ADDRESS_RECORD_MAX + keep)
			break;
		put_u16(w, POINTER | (unsigned)owner);
		put_record(w, q->type, found->ttl, v4 ? 4 : 16);
		put_bytes(w, &found->ips[n].b[v4 ? 12 : 0], v4 ? 4 : 16);
	}
	return n;
}

size_t dns_reply_addresses(const struct dns_query *q, const struct dns_addresses *found, size_t max,
			   char *out)
{
	struct writer w = {out, 0, max};
	size_t owner = DNS_HEADER_LEN, alias = 0, n = 0;
	put_head(&w, q, DNS_FLAG_RA | (found->authoritative ? DNS_FLAG_AA : 0u));
	/* Header and question are at most 271 bytes, a pointer and the alias 267: more than 512 with
	 * EDNS for the longest of names. Then it is cut before the alias. */
	size_t need = 2 + RECORD_FIXED + found->alias_of.len + (q->edns ? OPT_LEN : 0);
	bool fits = found->n == 0 || !found->alias_of.len || w.max - w.at >= need;
	if (found->n && found->alias_of.len && fits) {
		put_u16(&w, POINTER | (unsigned)owner);
		put_record(&w, DNS_CNAME, found->ttl, found->alias_of.len);
		owner = w.at;
		put_bytes(&w, found->alias_of.at, found->alias_of.len);
		alias = 1;
	}
	if (fits)
		n = put_addresses(&w, q, found, owner);
	fix_answers(&w, n + alias, n < found->n);
	put_opt(&w, q);
	return w.at;
}

size_t dns_reply_cut(const struct dns_query *q, struct slice answer, char *out)
{
	struct dns_walk a;
	struct writer w = {out, 0, DNS_UDP_MIN};
	MUST(dns_walk_start(&a, answer)); /* dns_answers() */
	put_head(&w, q, DNS_FLAG_TC | (a.flags & ~(unsigned)DNS_FLAG_CD));
	put_opt(&w, q);
	return w.at;
}

size_t dns_reply_ptr(const struct dns_query *q, struct slice host, uint32_t ttl, char *out)
{
	struct writer w = {out, 0, DNS_UDP_MIN};
	char name[DNS_NAME_WIRE];
	size_t len = dns_name_of_text(host, name);
	size_t need = DNS_HEADER_LEN + q->wire_len + 4 + 2 + RECORD_FIXED + len + OPT_LEN;
	/* An address backwards has 74 bytes at most: behind that there is room for any name. */
	if (len == 0 || need > w.max)
		return 0;
	put_head(&w, q, DNS_FLAG_RA | DNS_FLAG_AA);
	put_u16(&w, POINTER | DNS_HEADER_LEN);
	put_record(&w, DNS_PTR, ttl, len);
	put_bytes(&w, name, len);
	fix_answers(&w, 1, false);
	put_opt(&w, q);
	return w.at;
}

void dns_reply_exists(char *answer)
{
	answer[3] = (char)(answer[3] & ~(DNS_FLAGS_RCODE | DNS_FLAG_AD));
}
