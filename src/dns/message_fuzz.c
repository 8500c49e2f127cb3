/* Any bytes as a query: what is read must be answerable, and the answer must be a message. */
#include <stddef.h>
#include <stdint.h>

#include "dns/cluster_name.h"
#include "dns/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query q;
	struct cluster_name n;
	struct buf out;
	struct ip ip = ip_v4(0xc6120007);

	if (dns_query_read((struct slice){(const char *)data, size}, &q) == DNS_DROP)
		return 0;
	cluster_name_read(slice_of(q.name), SLICE("cluster.local"), &n);
	buf_init(&out, DNS_MESSAGE_MAX);
	struct dns_answer *a = dns_answer_new(&q);
	dns_answer_cname(a, NULL, q.name, 5);
	dns_answer_ip(a, q.name, &ip, 5);
	dns_answer_soa(a, "cluster.local", 1, 5, false);
	MUST(dns_answer_write(a, dns_udp_limit(&q), &out));
	MUST(buf_len(&out) >= 12 && buf_len(&out) <= dns_udp_limit(&q));
	dns_answer_free(a);
	buf_fini(&out);
	return 0;
}
