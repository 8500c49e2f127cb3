/* Any bytes as a query and as its answer: what may be kept is given back as a message, and what is written is
 * one. */
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "dns/cache.h"
#include "dns/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_whole(const char *out, size_t len)
{
	struct dns_walk w;
	struct dns_question asked;
	struct dns_record rr;
	MUST(dns_walk_start(&w, (struct slice){out, len}));
	while (dns_walk_question(&w, &asked))
		;
	while (dns_walk_record(&w, &rr))
		;
	MUST(!w.r.bad);
}

/* The first two bytes say where the query ends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char out[DNS_MESSAGE_MAX];
	struct reader r = reader_of((struct slice){(const char *)data, size});
	size_t len = read_u16(&r);
	struct slice query = read_bytes(&r, len), answer = reader_rest(&r);
	struct ip ips[] = {ip_v4(1), ip_v4(2)};
	struct dns_query q;
	if (r.bad || dns_query_read(query, &q) == DNS_DROP)
		return 0;
	must_be_whole(out, dns_reply_rcode(&q, q.rcode, out));
	struct dns_addresses found = {.ips = ips, .n = N_ELEMS(ips), .alias_of = {"", 1}};
	if (q.wire_len) {
		size_t n = dns_reply_addresses(&q, &found, dns_udp_limit(&q), out);
		MUST(n <= dns_udp_limit(&q));
		must_be_whole(out, n);
		n = dns_reply_ptr(&q, SLICE("db.shop.svc.cluster.local"), 30, out);
		MUST(n <= DNS_UDP_MIN);
		if (n)
			must_be_whole(out, n);
	}
	if (!dns_answers(answer, query, q.id))
		return 0;
	struct dns_cache *c = dns_cache_new(1 << 20);
	if (q.wire_len)
		dns_cache_put(c, &q, answer, 0);
	size_t n = q.wire_len ? dns_cache_get(c, &q, 1, DNS_MESSAGE_MAX, out) : 0;
	if (n)
		must_be_whole(out, n);
	if (n) { /* and to who takes little */
		n = dns_cache_get(c, &q, 1, DNS_UDP_MIN, out);
		MUST(n && n <= DNS_UDP_MIN);
		must_be_whole(out, n);
		dns_reply_exists(out);
		must_be_whole(out, n);
	}
	n = dns_reply_cut(&q, answer, out);
	MUST(n <= DNS_UDP_MIN);
	must_be_whole(out, n);
	dns_cache_free(c);
	return 0;
}
