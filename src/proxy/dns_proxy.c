#include "proxy/dns_proxy.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "dns/cache.h"
#include "dns/reply.h"
#include "nameserver/forward.h"
#include "nameserver/server.h"

enum { CACHE_BYTES = 1024 * 1024, ALIASES_MAX = 8, STACK_BYTES = 256 * 1024 };

struct dns_proxy {
	struct dns_proxy_config cfg;
	struct resolv_conf conf;
	struct loop *loop;
	struct dns_server *server;
	struct forwarder *forwarder;
	struct dns_cache *cache;
	struct forward_counts told; /* what the metrics have of the forwarder's */
	struct view *view;          /* NULL: none yet */
	atomic_bool ready;
	pthread_t thread;
	bool started;
	uint32_t random;

	/* One question at a time. */
	struct dns_query query;
	struct dns_found found;
};

/* Names of the mesh. */

/* Where an ExternalName leads within the mesh, through others if need be. False: out of it. */
static bool follow_alias(const struct view *v, const char *alias, enum ip_family family,
			 struct dns_found *out)
{
	struct view_name name;
	for (unsigned hops = 0; hops < ALIASES_MAX; hops++) {
		struct slice to = slice_of(alias);
		if (slice_ends(to, SLICE(".")))
			to.len--;
		if (!view_name(v, to, SLICE(""), family, out->ips, N_ELEMS(out->ips), &name))
			return false;
		alias = name.alias;
		if (alias)
			continue;
		out->n = name.n;
		out->alias_len = dns_name_of_text(to, out->alias);
		return out->alias_len != 0;
	}
	return false;
}

/* The name that was asked without the search domain behind it. */
static size_t cut_search(const struct dns_query *q, struct slice search, char out[DNS_NAME_WIRE])
{
	size_t len = q->wire_len - 1 - (search.len + 1); /* its labels and their lengths */
	MUST(len < q->wire_len);
	memcpy(out, q->wire, len);
	out[len] = '\0';
	return len + 1;
}

bool dns_proxy_find(const struct view *v, const struct dns_query *q, struct slice search,
		    struct dns_found *out)
{
	struct view_name name;
	enum ip_family family = q->type == DNS_A ? IP_V4 : IP_V6;
	if (!view_name(v, slice_of(q->name), search, family, out->ips, N_ELEMS(out->ips), &name))
		return false;
	if (name.alias)
		return follow_alias(v, name.alias, family, out);
	out->n = name.n;
	out->alias_len = name.is_alias ? cut_search(q, search, out->alias) : 0;
	return true;
}

/* Clients take the first one: every client another. */
static void shuffle(struct dns_proxy *d, struct ip *ips, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		d->random ^= d->random << 13; /* xorshift32: spreads load, keeps no secret */
		d->random ^= d->random >> 17;
		d->random ^= d->random << 5;
		size_t j = d->random % i;
		struct ip last = ips[i - 1];
		ips[i - 1] = ips[j];
		ips[j] = last;
	}
}

static size_t answer_found(struct dns_proxy *d, size_t max, char *out)
{
	struct dns_found *f = &d->found;
	shuffle(d, f->ips, f->n);
	struct dns_addresses a = {.ips = f->ips,
				  .n = f->n,
				  .ttl = DNS_PROXY_TTL_S,
				  .authoritative = true,
				  .alias_of = {f->alias, f->alias_len}};
	return dns_reply_addresses(&d->query, &a, max, out);
}

/* Everybody else's. */

static void tell_counts(struct dns_proxy *d)
{
	const struct forward_counts *now = forwarder_counts(d->forwarder);
	observe_count(d->cfg.metrics, COUNT_DNS_TRIES, now->tries - d->told.tries);
	observe_count(d->cfg.metrics, COUNT_DNS_FAILURES, now->failures - d->told.failures);
	observe_count(d->cfg.metrics, COUNT_DNS_IGNORED, now->ignored - d->told.ignored);
	d->told = *now;
	observe_dns_cache(d->cfg.metrics, dns_cache_count(d->cache));
}

static unsigned rcode_of(const char *message)
{
	return (unsigned char)message[3] & DNS_FLAGS_RCODE;
}

static void on_answer(void *ctx, const struct dns_client *to, const struct dns_query *q,
		      struct slice answer, uint64_t asked_ns)
{
	struct dns_proxy *d = ctx;
	char own[DNS_UDP_MIN];
	bool tcp = dns_client_is_tcp(to);
	enum dns_source source = DNS_SOURCE_UPSTREAM;
	uint64_t now = clock_ns();
	if (!answer.len) {
		source = DNS_SOURCE_PROXY;
		answer = (struct slice){own, dns_reply_rcode(q, DNS_SERVFAIL, own)};
	} else {
		observe_dns_upstream(d->cfg.metrics, now - asked_ns);
		dns_cache_put(d->cache, q, answer, now);
		if (!tcp && answer.len > dns_udp_limit(q))
			answer = (struct slice){own, dns_reply_cut(answer, own)};
	}
	observe_dns(d->cfg.metrics, tcp, source, rcode_of(answer.at));
	tell_counts(d);
	dns_server_reply(d->server, to, answer);
}

static size_t refuse(struct dns_proxy *d, bool tcp, enum dns_rcode rcode, char *out)
{
	observe_dns(d->cfg.metrics, tcp, DNS_SOURCE_PROXY, rcode);
	return dns_reply_rcode(&d->query, rcode, out);
}

static size_t forward(struct dns_proxy *d, const struct dns_client *from, struct slice message,
		      size_t max, char *out)
{
	bool tcp = dns_client_is_tcp(from);
	size_t len = dns_cache_get(d->cache, &d->query, loop_now(d->loop), max, out);
	if (len) {
		observe_dns(d->cfg.metrics, tcp, DNS_SOURCE_CACHE, rcode_of(out));
		return len;
	}
	if (forwarder_ask(d->forwarder, message, &d->query, from))
		return DNS_LATER;
	observe_count(d->cfg.metrics, COUNT_DNS_REFUSED, 1);
	return refuse(d, tcp, DNS_SERVFAIL, out);
}

static size_t on_query(void *ctx, const struct dns_client *from, struct slice message, char *out,
		       size_t max)
{
	struct dns_proxy *d = ctx;
	struct dns_query *q = &d->query;
	bool tcp = dns_client_is_tcp(from);
	enum dns_verdict verdict = dns_query_read(message, q);
	if (verdict == DNS_DROP || q->rcode == DNS_FORMERR)
		observe_count(d->cfg.metrics, COUNT_DNS_MALFORMED, 1);
	if (verdict == DNS_DROP)
		return 0;
	/* What is of another class is for a nameserver to refuse, or not. */
	if (verdict == DNS_REJECT && (q->rcode != DNS_REFUSED || q->class == DNS_CLASS_IN))
		return refuse(d, tcp, q->rcode, out);
	if (!d->view)
		return refuse(d, tcp, DNS_SERVFAIL, out);
	if (!tcp)
		max = dns_udp_limit(q);
	bool addresses = q->class == DNS_CLASS_IN && (q->type == DNS_A || q->type == DNS_AAAA);
	if (!addresses || !dns_proxy_find(d->view, q, slice_of(d->conf.search), &d->found))
		return forward(d, from, message, max, out);
	observe_dns(d->cfg.metrics, tcp, DNS_SOURCE_MESH, DNS_NOERROR);
	return answer_found(d, max, out);
}

/* The view. */

struct view_message {
	struct post post;
	struct dns_proxy *proxy;
	struct view *view;
};

static void take_view(struct post *p)
{
	struct view_message *m = CONTAINER_OF(p, struct view_message, post);
	view_put(m->proxy->view);
	m->proxy->view = m->view;
	atomic_store_explicit(&m->proxy->ready, true, memory_order_relaxed);
	free(m);
}

void dns_proxy_set_view(struct dns_proxy *d, struct view *view)
{
	struct view_message *m = mem_new(sizeof(*m));
	m->post.run = take_view;
	m->proxy = d;
	m->view = view_get(view);
	loop_post(d->loop, &m->post);
}

bool dns_proxy_ready(const struct dns_proxy *d)
{
	return atomic_load_explicit(&d->ready, memory_order_relaxed);
}

const struct resolv_conf *dns_proxy_conf(const struct dns_proxy *d)
{
	return &d->conf;
}

/* Beginning and end. */

/* On loopback of FAMILY, where there is a nameserver that is captured, or where nobody said. */
static bool listen_on(struct dns_proxy *d, bool v4, struct err *err)
{
	struct addr on = {.ip = v4 ? ip_v4(0x7f000001) : (struct ip){{[15] = 1}},
			  .port = d->cfg.port};
	bool wanted = !d->conf.said;
	for (unsigned i = 0; i < d->conf.n_servers; i++)
		wanted |= ip_is_v4(&d->conf.servers[i]) == v4;
	if (!wanted || dns_server_listen(d->server, &on, err))
		return true;
	if (v4 || d->conf.said)
		return false;
	*err = (struct err){0}; /* a kernel without IPv6, where nothing speaks of it */
	return true;
}

struct dns_proxy *dns_proxy_new(const struct dns_proxy_config *cfg, struct err *err)
{
	static const struct dns_server_events server_events = {on_query};
	static const struct forward_events forward_events = {on_answer};
	struct addr servers[RESOLV_SERVERS] = {0};
	struct dns_proxy *d = mem_new(sizeof(*d));
	d->cfg = *cfg;
	d->random = 0x9e3779b9;
	resolv_conf_read(cfg->resolv_conf, &d->conf);
	for (unsigned i = 0; i < d->conf.n_servers; i++)
		servers[i] = (struct addr){d->conf.servers[i], cfg->nameserver_port, 0};
	d->cache = dns_cache_new(CACHE_BYTES);
	d->loop = loop_new(err);
	if (!d->loop)
		goto fail;
	d->server = dns_server_new(d->loop, &server_events, d);
	d->forwarder = forwarder_new(d->loop, servers, d->conf.n_servers, &forward_events, d);
	if (!listen_on(d, true, err) || !listen_on(d, false, err))
		goto fail;
	return d;
fail:
	dns_proxy_free(d);
	return NULL;
}

static void *run(void *arg)
{
	struct dns_proxy *d = arg;
	struct err err = {0};
	if (!loop_run(d->loop, &err))
		log_error("dns", "%s", err.text);
	return NULL;
}

bool dns_proxy_start(struct dns_proxy *d, struct err *err)
{
	pthread_attr_t attr;
	MUST(pthread_attr_init(&attr) == 0);
	MUST(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
	errno = pthread_create(&d->thread, &attr, run, d);
	(void)pthread_attr_destroy(&attr); /* holds nothing */
	if (errno)
		return err_sys(err, "pthread_create");
	d->started = true;
	return true;
}

void dns_proxy_stop(struct dns_proxy *d)
{
	if (!d->started)
		return;
	loop_stop(d->loop);
	(void)pthread_join(d->thread, NULL); /* it was started and never joined */
	d->started = false;
}

void dns_proxy_free(struct dns_proxy *d)
{
	if (!d)
		return;
	forwarder_free(d->forwarder);
	dns_server_free(d->server);
	loop_free(d->loop); /* runs what was still posted */
	view_put(d->view);
	dns_cache_free(d->cache);
	free(d);
}
