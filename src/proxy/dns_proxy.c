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
#include "proxy/dns_names.h"

enum { CACHE_BYTES = 1024 * 1024, STACK_BYTES = 256 * 1024, LOOK_EVERY_S = 1 };

struct dns_proxy {
	struct dns_proxy_config cfg;
	struct loop *loop;
	struct dns_server *server;
	bool listens[N_IP_FAMILIES];

	/* Written by the thread alone, which therefore reads it without the lock. */
	struct resolv_conf conf;
	pthread_mutex_t conf_lock;
	struct resolv_file conf_file;
	uint64_t conf_seen_ns, conf_taken_ns;
	struct slice searches[RESOLV_SEARCHES]; /* of the conf */
	struct view_searches search;            /* they */

	struct forwarder *forwarder;
	struct dns_cache *cache;
	struct dns_heard *heard;
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
	observe_count(d->cfg.metrics, COUNT_DNS_CUT, now->again - d->told.again);
	d->told = *now;
	observe_dns_cache(d->cfg.metrics, dns_cache_count(d->cache));
}

static unsigned rcode_of(const char *message)
{
	return (unsigned char)message[3] & DNS_FLAGS_RCODE;
}

/* Before the client has the answer, and with it the address. */
static void hear(struct dns_proxy *d, const struct dns_query *q, struct slice answer, uint64_t now)
{
	if (d->view && view_open_host(d->view, slice_of(q->name), 0))
		dns_heard_answer(d->heard, q, answer, now);
}

/* "No such name", of one that has addresses here: it has nothing of that type (RFC 8020: else it would have
 * nothing at all). What is kept is as the nameserver said it: the view may change. */
static void never_no_such_name(struct dns_proxy *d, const struct dns_query *q, char *message)
{
	if (rcode_of(message) == DNS_NXDOMAIN && q->class == DNS_CLASS_IN && q->type != DNS_A &&
	    q->type != DNS_AAAA && dns_names_knows(d->view, q, &d->search, &d->found))
		dns_reply_exists(message);
}

/* What fits into the client's datagram; what a nameserver cut itself says more than a bare TC. */
static struct slice fit(const struct dns_query *q, const struct forward_answer *a, char *own)
{
	struct slice whole = {a->at, a->len};
	if (whole.len <= dns_udp_limit(q))
		return whole;
	if (a->cut.len && a->cut.len <= dns_udp_limit(q))
		return a->cut;
	return (struct slice){own, dns_reply_cut(q, whole, own)};
}

static void on_answer(void *ctx, const struct dns_client *to, const struct dns_query *q,
		      const struct forward_answer *a)
{
	struct dns_proxy *d = ctx;
	char own[DNS_UDP_MIN];
	bool tcp = dns_client_is_tcp(to);
	enum dns_source source = DNS_SOURCE_UPSTREAM;
	uint64_t now = clock_ns();
	struct slice answer = {a->at, a->len};
	if (!answer.len) {
		source = DNS_SOURCE_PROXY;
		answer = (struct slice){own, dns_reply_rcode(q, DNS_SERVFAIL, own)};
	} else {
		observe_dns_upstream(d->cfg.metrics, now - a->asked_ns);
		if (a->asked_ns >= d->conf_taken_ns) /* else perhaps of other servers than now */
			dns_cache_put(d->cache, q, answer, now);
		hear(d, q, answer, now);
		never_no_such_name(d, q, a->at);
		if (!tcp)
			answer = fit(q, a, own);
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

static void look_at_conf(struct dns_proxy *d);

static size_t forward(struct dns_proxy *d, const struct dns_client *from, struct slice message,
		      size_t max, char *out)
{
	bool tcp = dns_client_is_tcp(from);
	look_at_conf(d);
	size_t len = dns_cache_get(d->cache, &d->query, loop_now(d->loop), max, out);
	if (len) {
		never_no_such_name(d, &d->query, out);
		observe_dns(d->cfg.metrics, tcp, DNS_SOURCE_CACHE, rcode_of(out));
		hear(d, &d->query, (struct slice){out, len}, loop_now(d->loop));
		return len;
	}
	if (forwarder_ask(d->forwarder, message, &d->query, from))
		return DNS_LATER;
	observe_count(d->cfg.metrics, COUNT_DNS_REFUSED, 1);
	return refuse(d, tcp, DNS_SERVFAIL, out);
}

/* From the view alone. 0: a nameserver has to be asked. */
static size_t answer_by_view(struct dns_proxy *d, size_t max, char *out)
{
	const struct dns_query *q = &d->query;
	if (q->class != DNS_CLASS_IN)
		return 0;
	if (q->type == DNS_A || q->type == DNS_AAAA)
		return dns_names_find(d->view, q, &d->search, &d->found) ? answer_found(d, max, out)
									 : 0;
	if (q->type == DNS_PTR) {
		struct slice host = dns_names_of_address(d->view, q);
		if (host.len)
			return dns_reply_ptr(q, host, DNS_PROXY_TTL_S, out);
	}
	if (!dns_names_is_all_known(q) || !dns_names_knows(d->view, q, &d->search, &d->found))
		return 0;
	d->found.n = 0; /* there is such a name, and nothing of that type */
	return answer_found(d, max, out);
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
	size_t len = answer_by_view(d, max, out);
	if (!len)
		return forward(d, from, message, max, out);
	observe_dns(d->cfg.metrics, tcp, DNS_SOURCE_MESH, DNS_NOERROR);
	return len;
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

const struct dns_heard *dns_proxy_heard(const struct dns_proxy *d)
{
	return d->heard;
}

/* resolv.conf. */

void dns_proxy_conf(struct dns_proxy *d, struct resolv_conf *out)
{
	MUST(pthread_mutex_lock(&d->conf_lock) == 0);
	*out = d->conf;
	MUST(pthread_mutex_unlock(&d->conf_lock) == 0);
}

static void take_conf(struct dns_proxy *d, const struct resolv_conf *conf)
{
	struct addr servers[RESOLV_SERVERS] = {0};
	MUST(pthread_mutex_lock(&d->conf_lock) == 0);
	d->conf = *conf;
	MUST(pthread_mutex_unlock(&d->conf_lock) == 0);
	for (unsigned i = 0; i < conf->n_servers; i++)
		servers[i] = (struct addr){conf->servers[i], d->cfg.nameserver_port, 0};
	forwarder_set_servers(d->forwarder, servers, conf->n_servers);
	d->conf_taken_ns = clock_ns();
	/* Other servers may know other names: inside of a VPN, say. */
	dns_cache_free(d->cache);
	d->cache = dns_cache_new(CACHE_BYTES);
	for (unsigned i = 0; i < conf->n_searches; i++)
		d->searches[i] = resolv_conf_search(&d->conf, i);
	d->search = (struct view_searches){d->searches, conf->n_searches};
}

/* On loopback of FAMILY, where there is a nameserver that is captured, or where nobody said. */
static bool listen_on(struct dns_proxy *d, enum ip_family family, struct err *err)
{
	bool v4 = family == IP_V4, wanted = !d->conf.said;
	struct addr on = {.ip = v4 ? ip_v4(0x7f000001) : (struct ip){{[15] = 1}},
			  .port = d->cfg.port};
	for (unsigned i = 0; i < d->conf.n_servers; i++)
		wanted |= ip_is_v4(&d->conf.servers[i]) == v4;
	if (!wanted || d->listens[family])
		return true;
	d->listens[family] = dns_server_listen(d->server, &on, err);
	if (d->listens[family] || v4 || d->conf.said)
		return d->listens[family];
	*err = (struct err){0}; /* a kernel without IPv6, where nothing speaks of it */
	return true;
}

/* An empty file is one that is being written: what it said before holds. */
static void look_at_conf(struct dns_proxy *d)
{
	struct resolv_conf conf;
	struct err err = {0};
	uint64_t now = loop_now(d->loop);
	if (now - d->conf_seen_ns < LOOK_EVERY_S * NS_PER_S)
		return;
	d->conf_seen_ns = now;
	if (!resolv_file_changed(&d->conf_file))
		return;
	resolv_conf_read(d->conf_file.path, &conf);
	if (!conf.said)
		return;
	take_conf(d, &conf);
	log_info("dns", "taken path=%s nameservers=%u", d->conf_file.path, conf.n_servers);
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++)
		if (!listen_on(d, f, &err))
			log_error("dns", "%s", err.text);
}

/* Beginning and end. */

struct dns_proxy *dns_proxy_new(const struct dns_proxy_config *cfg, struct err *err)
{
	static const struct dns_server_events server_events = {on_query};
	static const struct forward_events forward_events = {on_answer};
	struct resolv_conf conf;
	struct dns_proxy *d = mem_new(sizeof(*d));
	d->cfg = *cfg;
	d->random = 0x9e3779b9;
	MUST(pthread_mutex_init(&d->conf_lock, NULL) == 0);
	d->heard = dns_heard_new();
	d->loop = loop_new(err);
	if (!d->loop)
		goto fail;
	d->server = dns_server_new(d->loop, &server_events, d);
	d->forwarder = forwarder_new(d->loop, &forward_events, d);
	d->conf_file.path = cfg->resolv_conf;
	/* Before it is read: what changes meanwhile is seen later. */
	(void)resolv_file_changed(&d->conf_file);
	resolv_conf_read(cfg->resolv_conf, &conf);
	take_conf(d, &conf);
	if (!listen_on(d, IP_V4, err) || !listen_on(d, IP_V6, err))
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
	dns_heard_free(d->heard);
	(void)pthread_mutex_destroy(&d->conf_lock); /* nobody is left to hold it */
	free(d);
}
