/*
 * The DNS proxy: answers the application's questions for names of the mesh from the view (proxy/dns_names.h), and
 * forwards all others to the nameservers of resolv.conf.
 *
 *   struct dns_proxy *d = dns_proxy_new(&cfg, &err);       // its ports are bound, nothing is answered yet
 *   if (!dns_proxy_start(d, &err)) ...                     // its thread
 *   dns_proxy_set_view(d, view);                           // any thread, as often as there is a new one
 *   dns_proxy_stop(d), dns_proxy_free(d);
 *
 * It has a thread and a loop of its own: a view that is being built, or a connection that a worker is busy
 * with, delays no name. SERVFAIL until the first view. Each question is answered from one view, the newest.
 */
#pragma once
#include "dns/heard.h"
#include "model/view.h"
#include "nameserver/resolv_conf.h"
#include "observe/metrics.h"

enum { DNS_PROXY_TTL_S = 30 };

struct dns_proxy_config {
	const char *resolv_conf; /* followed: questions for nameservers look at it, once a second */
	uint16_t port;           /* to listen at, on loopback of each family that has nameservers */
	uint16_t nameserver_port;       /* 53 */
	struct worker_metrics *metrics; /* the thread's own; outlives it */
};

struct dns_proxy;
struct dns_proxy *dns_proxy_new(const struct dns_proxy_config *cfg, struct err *err) MUST_CHECK;
bool dns_proxy_start(struct dns_proxy *d, struct err *err) MUST_CHECK;
void dns_proxy_set_view(struct dns_proxy *d, struct view *view); /* any thread; takes a reference */
bool dns_proxy_ready(const struct dns_proxy *d);                 /* any thread: it has a view */
/* Which names its clients were given an address for, as far as hosts that no address tells are concerned. */
const struct dns_heard *dns_proxy_heard(const struct dns_proxy *d);
/* What holds of resolv.conf now; any thread. */
void dns_proxy_conf(struct dns_proxy *d, struct resolv_conf *out);
void dns_proxy_stop(struct dns_proxy *d);
void dns_proxy_free(struct dns_proxy *d); /* stopped; NULL is fine */
