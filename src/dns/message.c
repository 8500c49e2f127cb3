#include "dns/message.h"

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct dns_answer {
	ldns_pkt *pkt;
	const struct dns_query *query;
	ldns_rdf *asked; /* owner of records that name none; NULL when the question is unknown */
};

/* ldns allocates with malloc and reports failure by NULL, as our own allocations never do. */
static void *must(void *p)
{
	MUST(p != NULL);
	return p;
}

/* As RFC 1035 5.1 has names in text: what would end a label or a word is escaped. */
static size_t put_byte(char *out, unsigned char c)
{
	if (c == '.' || c == ';' || c == '(' || c == ')' || c == '\\') {
		out[0] = '\\';
		out[1] = (char)c;
		return 2;
	}
	if (c > ' ' && c < 0x7f) {
		out[0] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : (char)c;
		return 1;
	}
	out[0] = '\\';
	out[1] = (char)('0' + c / 100);
	out[2] = (char)('0' + c / 10 % 10);
	out[3] = (char)('0' + c % 10);
	return 4;
}

static void name_to_text(struct slice wire, char out[DNS_NAME_TEXT])
{
	struct reader r = reader_of(wire);
	size_t n = 0;
	for (;;) {
		struct slice label = read_bytes(&r, read_u8(&r));
		if (label.len == 0)
			break;
		if (n)
			out[n++] = '.';
		for (size_t i = 0; i < label.len; i++)
			n += put_byte(&out[n], (unsigned char)label.at[i]);
	}
	out[n] = '\0';
}

/* RFC 6891 6.1.3: the extended RCODE, the version and the flags stand where a TTL would. */
enum { EDNS_DO = 0x8000, OPTION_COOKIE = 10, OPTION_PADDING = 12 };

static void read_edns(const struct dns_record *opt, struct dns_query *q)
{
	struct reader options = reader_of(opt->rdata);
	q->edns = true;
	q->udp_size = opt->class;
	q->bad_version = (opt->ttl >> 16 & 0xff) != 0;
	q->dnssec_ok = opt->ttl & EDNS_DO;
	while (!reader_done(&options)) {
		uint16_t code = read_u16(&options);
		struct reader body = read_block(&options, 2);
		if (options.bad || body.bad || (code != OPTION_COOKIE && code != OPTION_PADDING))
			q->only_for_it = true;
	}
}

/* The records behind the question. False: malformed. */
static bool read_records(struct dns_walk *w, struct dns_query *q)
{
	struct dns_record rr;
	while (dns_walk_record(w, &rr)) {
		if (rr.type != DNS_TYPE_OPT)
			continue;
		if (rr.section != DNS_ADDITIONAL || !rr.of_root || q->edns)
			return false; /* RFC 6891 6.1.1: at most one, and there */
		read_edns(&rr, q);
	}
	return !w->r.bad;
}

static enum dns_verdict reject(struct dns_query *q, enum dns_rcode rcode)
{
	q->rcode = rcode;
	return DNS_REJECT;
}

static enum dns_verdict read_question(struct dns_walk *w, struct dns_query *q)
{
	struct dns_question asked;
	if (w->left[0] != 1 || !dns_walk_question(w, &asked) || !read_records(w, q))
		return reject(q, DNS_FORMERR);
	q->type = asked.type;
	q->class = asked.class;
	q->wire_len = asked.name.len;
	memcpy(q->wire, asked.name.at, asked.name.len);
	name_to_text(asked.name, q->name);
	if (q->bad_version) /* told by its own code, not by that of the header */
		return reject(q, DNS_NOERROR);
	if (q->class != DNS_CLASS_IN || q->type == DNS_AXFR || q->type == DNS_IXFR)
		return reject(q, DNS_REFUSED);
	return DNS_QUESTION;
}

enum dns_verdict dns_query_read(struct slice message, struct dns_query *q)
{
	struct dns_walk w;

	memset(q, 0, offsetof(struct dns_query, wire));
	q->name[0] = '\0';
	if (!dns_walk_start(&w, message) || w.flags & DNS_FLAG_QR || message.len > DNS_MESSAGE_MAX)
		return DNS_DROP;
	q->id = w.id;
	q->flags = w.flags;
	q->opcode = (uint8_t)((w.flags & DNS_FLAGS_OPCODE) >> 11);
	q->recursion_desired = w.flags & DNS_FLAG_RD;
	q->checking_disabled = w.flags & DNS_FLAG_CD;
	if (q->opcode != 0)
		return reject(q, DNS_NOTIMP);
	return read_question(&w, q);
}

size_t dns_udp_limit(const struct dns_query *q)
{
	if (q->udp_size <= DNS_UDP_MIN)
		return DNS_UDP_MIN;
	return q->udp_size < DNS_UDP_MAX ? q->udp_size : DNS_UDP_MAX;
}

struct dns_answer *dns_answer_new(const struct dns_query *q)
{
	struct dns_answer *a = mem_new(sizeof(*a));

	a->query = q;
	a->pkt = must(ldns_pkt_new());
	ldns_pkt_set_id(a->pkt, q->id);
	ldns_pkt_set_qr(a->pkt, true);
	ldns_pkt_set_opcode(a->pkt, (ldns_pkt_opcode)q->opcode);
	ldns_pkt_set_rd(a->pkt, q->recursion_desired);
	ldns_pkt_set_cd(a->pkt, q->checking_disabled);
	ldns_pkt_set_rcode(a->pkt, (uint8_t)q->rcode);
	if (q->edns)
		ldns_pkt_set_edns_udp_size(a->pkt, DNS_UDP_MAX);
	if (q->bad_version)
		ldns_pkt_set_edns_extended_rcode(a->pkt, 1); /* BADVERS is 16: 1 << 4 */
	if (q->wire_len) {
		a->asked = must(ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, q->wire_len, q->wire));
		ldns_rr *question = must(ldns_rr_new());
		ldns_rr_set_owner(question, must(ldns_rdf_clone(a->asked)));
		ldns_rr_set_type(question, (ldns_rr_type)q->type);
		ldns_rr_set_class(question, LDNS_RR_CLASS_IN);
		ldns_rr_set_question(question, true);
		MUST(ldns_pkt_push_rr(a->pkt, LDNS_SECTION_QUESTION, question));
	}
	return a;
}

void dns_answer_free(struct dns_answer *a)
{
	if (!a)
		return;
	ldns_pkt_free(a->pkt);
	if (a->asked)
		ldns_rdf_deep_free(a->asked);
	free(a);
}

void dns_answer_rcode(struct dns_answer *a, enum dns_rcode rcode)
{
	ldns_pkt_set_rcode(a->pkt, (uint8_t)rcode);
}

void dns_answer_authoritative(struct dns_answer *a)
{
	ldns_pkt_set_aa(a->pkt, true);
}

/* NULL: NAME cannot be a name on the wire (a label over 63 bytes, ...). */
static ldns_rdf *name_of(const char *name)
{
	return ldns_dname_new_frm_str(*name ? name : ".");
}

static void push(struct dns_answer *a, ldns_pkt_section section, const char *owner, uint16_t type,
		 uint32_t ttl, ldns_rdf *const *rdata, size_t n)
{
	ldns_rdf *own = NULL;

	if (owner)
		own = name_of(owner);
	else if (a->asked)
		own = must(ldns_rdf_clone(a->asked));
	bool whole = own != NULL;
	for (size_t i = 0; i < n; i++)
		whole = whole && rdata[i];
	if (!whole) {
		for (size_t i = 0; i < n; i++)
			if (rdata[i])
				ldns_rdf_deep_free(rdata[i]);
		if (own)
			ldns_rdf_deep_free(own);
		return;
	}
	ldns_rr *rr = must(ldns_rr_new());
	ldns_rr_set_owner(rr, own);
	ldns_rr_set_type(rr, (ldns_rr_type)type);
	ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
	ldns_rr_set_ttl(rr, ttl);
	for (size_t i = 0; i < n; i++)
		MUST(ldns_rr_push_rdf(rr, rdata[i]));
	MUST(ldns_pkt_push_rr(a->pkt, section, rr));
}

static void push_ip(struct dns_answer *a, ldns_pkt_section section, const char *owner,
		    const struct ip *ip, uint32_t ttl)
{
	bool v4 = ip_is_v4(ip);
	struct slice bytes = slice_sub((struct slice){(const char *)ip->b, sizeof(ip->b)},
				       v4 ? 12 : 0, v4 ? 4 : 16);
	ldns_rdf *rdata = must(ldns_rdf_new_frm_data(v4 ? LDNS_RDF_TYPE_A : LDNS_RDF_TYPE_AAAA,
						     bytes.len, bytes.at));
	push(a, section, owner, v4 ? DNS_A : DNS_AAAA, ttl, &rdata, 1);
}

void dns_answer_ip(struct dns_answer *a, const char *owner, const struct ip *ip, uint32_t ttl)
{
	push_ip(a, LDNS_SECTION_ANSWER, owner, ip, ttl);
}

void dns_answer_extra_ip(struct dns_answer *a, const char *owner, const struct ip *ip, uint32_t ttl)
{
	push_ip(a, LDNS_SECTION_ADDITIONAL, owner, ip, ttl);
}

void dns_answer_cname(struct dns_answer *a, const char *owner, const char *target, uint32_t ttl)
{
	ldns_rdf *rdata = name_of(target);
	push(a, LDNS_SECTION_ANSWER, owner, DNS_CNAME, ttl, &rdata, 1);
}

void dns_answer_ptr(struct dns_answer *a, const char *target, uint32_t ttl)
{
	ldns_rdf *rdata = name_of(target);
	push(a, LDNS_SECTION_ANSWER, NULL, DNS_PTR, ttl, &rdata, 1);
}

void dns_answer_srv(struct dns_answer *a, const char *target, uint16_t port, uint16_t weight,
		    uint32_t ttl)
{
	ldns_rdf *rdata[] = {
		must(ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, 0)), /* priority */
		must(ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, weight)),
		must(ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, port)),
		name_of(target),
	};
	push(a, LDNS_SECTION_ANSWER, NULL, DNS_SRV, ttl, rdata, N_ELEMS(rdata));
}

void dns_answer_soa(struct dns_answer *a, const char *zone, uint32_t serial, uint32_t ttl,
		    bool asked)
{
	char server[DNS_NAME_TEXT + 16], mailbox[DNS_NAME_TEXT + 16];
	snprintf(server, sizeof(server), "ns.dns.%s", zone);
	snprintf(mailbox, sizeof(mailbox), "hostmaster.%s", zone);
	ldns_rdf *rdata[] = {
		name_of(server),
		name_of(mailbox),
		must(ldns_native2rdf_int32(LDNS_RDF_TYPE_INT32, serial)),
		must(ldns_native2rdf_int32(LDNS_RDF_TYPE_PERIOD, 7200)),  /* refresh */
		must(ldns_native2rdf_int32(LDNS_RDF_TYPE_PERIOD, 1800)),  /* retry */
		must(ldns_native2rdf_int32(LDNS_RDF_TYPE_PERIOD, 86400)), /* expire */
		must(ldns_native2rdf_int32(LDNS_RDF_TYPE_PERIOD, ttl)),
	};
	push(a, asked ? LDNS_SECTION_ANSWER : LDNS_SECTION_AUTHORITY, asked ? NULL : zone, DNS_SOA,
	     ttl, rdata, N_ELEMS(rdata));
}

size_t dns_answer_count(const struct dns_answer *a)
{
	return ldns_rr_list_rr_count(ldns_pkt_answer(a->pkt));
}

static void drop_last(struct dns_answer *a, ldns_pkt_section section, ldns_rr_list *list)
{
	ldns_rr_free(ldns_rr_list_pop_rr(list));
	ldns_pkt_set_section_count(a->pkt, section, (uint16_t)ldns_rr_list_rr_count(list));
}

static ldns_buffer *to_wire(const struct dns_answer *a)
{
	ldns_buffer *wire = must(ldns_buffer_new(LDNS_MIN_BUFLEN));
	MUST(ldns_pkt2buffer_wire(wire, a->pkt) == LDNS_STATUS_OK);
	return wire;
}

/* Halves what is over the limit until it fits: a client that sees TC asks again over TCP and uses
 * nothing of this, so which records stay does not matter. */
static ldns_buffer *cut(struct dns_answer *a, size_t max)
{
	ldns_rr_list *extra = ldns_pkt_additional(a->pkt);
	ldns_rr_list *answers = ldns_pkt_answer(a->pkt);
	ldns_rr_list *authority = ldns_pkt_authority(a->pkt);

	for (;;) {
		ldns_buffer *wire = to_wire(a);
		if (ldns_buffer_position(wire) <= max)
			return wire;
		ldns_buffer_free(wire);
		size_t keep = ldns_rr_list_rr_count(answers) / 2;
		if (ldns_rr_list_rr_count(extra)) {
			while (ldns_rr_list_rr_count(extra))
				drop_last(a, LDNS_SECTION_ADDITIONAL, extra);
			continue;
		}
		ldns_pkt_set_tc(a->pkt, true);
		if (ldns_rr_list_rr_count(authority))
			drop_last(a, LDNS_SECTION_AUTHORITY, authority);
		else if (ldns_rr_list_rr_count(answers) == 0)
			return NULL;
		while (ldns_rr_list_rr_count(answers) > keep)
			drop_last(a, LDNS_SECTION_ANSWER, answers);
	}
}

bool dns_answer_write(struct dns_answer *a, size_t max, struct buf *out)
{
	ldns_buffer *wire = cut(a, max);
	if (!wire)
		return false;
	bool ok = buf_append(out, (struct slice){(const char *)ldns_buffer_begin(wire),
						 ldns_buffer_position(wire)});
	ldns_buffer_free(wire);
	return ok;
}
