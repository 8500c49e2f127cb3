/*
 * The DNS proxy: answers the application's questions for names of the mesh from the view, and forwards all
 * others to the nameservers of resolv.conf.
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
#include "dns/message.h"
#include "model/view.h"
#include "nameserver/resolv_conf.h"
#include "observe/metrics.h"

enum { DNS_PROXY_TTL_S = 30 };

struct dns_proxy_config {
	const char *resolv_conf; /* read once, by dns_proxy_new() */
	uint16_t port;           /* to listen at, on loopback of each family that has nameservers */
	uint16_t nameserver_port;       /* 53 */
	struct worker_metrics *metrics; /* the thread's own; outlives it */
};

struct dns_proxy;
struct dns_proxy *dns_proxy_new(const struct dns_proxy_config *cfg, struct err *err) MUST_CHECK;
bool dns_proxy_start(struct dns_proxy *d, struct err *err) MUST_CHECK;
void dns_proxy_set_view(struct dns_proxy *d, struct view *view); /* any thread; takes a reference */
bool dns_proxy_ready(const struct dns_proxy *d);                 /* any thread: it has a view */
const struct resolv_conf *dns_proxy_conf(const struct dns_proxy *d); /* does not change */
void dns_proxy_stop(struct dns_proxy *d);
void dns_proxy_free(struct dns_proxy *d); /* stopped; NULL is fine */

/* The answer for Q, a question for addresses (A or AAAA), as the proxy has it: the records' owner, where that is
 * another name, into ALIAS as it is on the wire. False: not a name of the mesh. Any thread that holds V. */
struct dns_found {
	struct ip ips[VIEW_NAME_IPS];
	size_t n, alias_len;
	char alias[DNS_NAME_WIRE];
};
bool dns_proxy_find(const struct view *v, const struct dns_query *q, struct slice search,
		    struct dns_found *out);
