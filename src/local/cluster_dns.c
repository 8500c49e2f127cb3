#include "local/cluster_dns.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "local/cluster_answer.h"
#include "nameserver/server.h"

struct cluster_dns {
	struct dns_server *server;
	struct cluster_zone zone;
	struct dns_query query;
};

static size_t write_answer(struct cluster_dns *d, bool is_question, size_t max, char *out)
{
	struct buf bytes;
	buf_init(&bytes, max);
	struct dns_answer *a = dns_answer_new(&d->query);
	if (is_question)
		cluster_answer(&d->zone, &d->query, a);
	if (!dns_answer_write(a, max, &bytes))
		log_debug("local", "dns answer too long name=%s", d->query.name);
	size_t len = buf_len(&bytes);
	if (len)
		memcpy(out, buf_slice(&bytes).at, len);
	dns_answer_free(a);
	buf_fini(&bytes);
	return len;
}

static size_t on_query(void *ctx, const struct dns_client *from, struct slice message, char *out,
		       size_t max)
{
	struct cluster_dns *d = ctx;
	enum dns_verdict verdict = dns_query_read(message, &d->query);
	if (verdict == DNS_DROP)
		return 0;
	if (!dns_client_is_tcp(from))
		max = dns_udp_limit(&d->query);
	return write_answer(d, verdict == DNS_QUESTION, max, out);
}

bool cluster_dns_listen(struct cluster_dns *d, const struct addr *on, struct err *err)
{
	return dns_server_listen(d->server, on, err);
}

struct cluster_dns *cluster_dns_new(struct loop *loop, const struct store *store, const char *zone)
{
	static const struct dns_server_events events = {on_query};
	struct cluster_dns *d = mem_new(sizeof(*d));
	d->zone = (struct cluster_zone){.store = store, .name = zone};
	d->server = dns_server_new(loop, &events, d);
	return d;
}

void cluster_dns_free(struct cluster_dns *d)
{
	if (!d)
		return;
	dns_server_free(d->server);
	free(d);
}
