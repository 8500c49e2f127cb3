#include "dns/wire.h"

#include <string.h>

#include "dns/message.h"

bool dns_walk_start(struct dns_walk *w, struct slice message)
{
	*w = (struct dns_walk){.r = reader_of(message), .len = message.len};
	w->id = read_u16(&w->r);
	w->flags = read_u16(&w->r);
	for (int i = 0; i < 4; i++)
		w->left[i] = read_u16(&w->r);
	return !w->r.bad;
}

static size_t place(const struct dns_walk *w)
{
	return w->len - w->r.left;
}

/* The bytes of a name up to its end or to the pointer that it ends with. */
static void read_name(struct dns_walk *w, bool *compressed)
{
	size_t wire_len = 1;
	*compressed = false;
	for (;;) {
		size_t at = place(w);
		uint8_t len = read_u8(&w->r);
		if (w->r.bad || len == 0)
			return;
		if (len >= 0xc0) {
			size_t to = (size_t)(len & 0x3f) << 8 | read_u8(&w->r);
			*compressed = true;
			if (to < DNS_HEADER_LEN || to >= at)
				w->r.bad = true;
			return;
		}
		wire_len += 1u + len;
		if (len > DNS_LABEL_MAX || wire_len > DNS_NAME_WIRE)
			w->r.bad = true;
		read_skip(&w->r, len);
	}
}

bool dns_walk_question(struct dns_walk *w, struct dns_question *q)
{
	bool compressed;
	struct reader from = w->r;
	if (w->left[0] == 0 || w->r.bad)
		return false;
	w->left[0]--;
	read_name(w, &compressed);
	if (compressed) /* nothing stands before it that it could point to */
		w->r.bad = true;
	q->name = w->r.bad ? SLICE("") : read_bytes(&from, from.left - w->r.left);
	q->type = read_u16(&w->r);
	q->class = read_u16(&w->r);
	return !w->r.bad;
}

bool dns_walk_record(struct dns_walk *w, struct dns_record *rr)
{
	unsigned section = DNS_ANSWER;
	bool compressed;
	while (section < DNS_ADDITIONAL && w->left[section] == 0)
		section++;
	if (w->left[section] == 0 || w->r.bad)
		return false;
	w->left[section]--;
	*rr = (struct dns_record){.section = (enum dns_section)section, .at = place(w)};
	read_name(w, &compressed);
	rr->of_root = !compressed && place(w) == rr->at + 1;
	rr->type = read_u16(&w->r);
	rr->class = read_u16(&w->r);
	rr->ttl_at = place(w);
	rr->ttl = read_u32(&w->r);
	size_t len = read_u16(&w->r);
	rr->rdata_at = place(w);
	rr->rdata = read_bytes(&w->r, len);
	return !w->r.bad;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Labels' lengths are below 'A': folding leaves them alone. A label may hold a zero byte. */
bool dns_name_eq(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.at[i]) != lower(b.at[i]))
			return false;
	return true;
}

size_t dns_name_of_text(struct slice text, char out[DNS_NAME_WIRE])
{
	size_t n = 0;
	while (text.len) {
		struct slice label = slice_cut(&text, '.');
		if (label.len == 0 || label.len > DNS_LABEL_MAX ||
		    n + 1 + label.len + 1 > DNS_NAME_WIRE)
			return 0;
		out[n++] = (char)label.len;
		memcpy(&out[n], label.at, label.len);
		n += label.len;
	}
	out[n++] = '\0';
	return n;
}

static bool is_whole(struct dns_walk *w)
{
	struct dns_record rr;
	while (dns_walk_record(w, &rr))
		;
	return !w->r.bad;
}

bool dns_answers(struct slice answer, struct slice query, uint16_t id)
{
	struct dns_walk a, q;
	struct dns_question asked, again;
	if (!dns_walk_start(&a, answer) || a.id != id || !(a.flags & DNS_FLAG_QR) ||
	    !dns_walk_start(&q, query) || (a.flags ^ q.flags) & DNS_FLAGS_OPCODE)
		return false;
	if (a.left[0] == 0) {
		unsigned rcode = a.flags & DNS_FLAGS_RCODE;
		return (rcode == DNS_FORMERR || rcode == DNS_SERVFAIL || rcode == DNS_NOTIMP ||
			rcode == DNS_REFUSED) &&
		       a.left[DNS_ANSWER] == 0 && is_whole(&a);
	}
	if (a.left[0] != 1 || !dns_walk_question(&a, &again) || !dns_walk_question(&q, &asked))
		return false;
	return again.type == asked.type && again.class == asked.class &&
	       dns_name_eq(again.name, asked.name) && (a.flags & DNS_FLAG_TC || is_whole(&a));
}
