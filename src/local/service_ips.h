/*
 * Virtual IPs of Services: what a person asked for is honoured, the rest is given out.
 *
 *   struct service_ips ips;
 *   service_ips_init(&ips, &node->cfg, node->ipv6, store);      // knows what the store holds
 *   for each Service of a batch:  if (!service_ips_claim(&ips, svc, &err)) ...  // asked-for ones
 *   for each Service of a batch:  full = service_ips_fill(&ips, svc, &err);     // then the rest
 *   service_ips_fini(&ips);
 *
 * Nothing is kept between batches: the store is the only record of who has which address, so a
 * batch that is refused leaves nothing behind. A Service keeps the addresses it has, and a name
 * that comes back tends to get the address it had.
 */
#pragma once
#include "local/ip_pool.h"
#include "model/store.h"
#include "sandbox/node.h"

struct service_ips {
	const struct store *store;
	struct ip_pool *pool[N_IP_FAMILIES]; /* NULL: the node does not have the family */
};

void service_ips_init(struct service_ips *ips, const struct node_config *cfg, bool ipv6,
		      const struct store *store);
void service_ips_fini(struct service_ips *ips);
/* Marks the addresses that SVC names as its own. False: taken by another Service, or outside of the
 * range. */
bool service_ips_claim(struct service_ips *ips, const struct object *svc,
		       struct err *err) MUST_CHECK;
/* SVC with an address for each family that it wants; one reference. NULL: the range is used up. */
struct object *service_ips_fill(struct service_ips *ips, const struct object *svc,
				struct err *err) MUST_CHECK;
/* SVC can have virtual IPs and lacks one that it wants, on a node that has IPv6 or has not. */
bool service_ips_wants(const struct object *svc, bool ipv6);
/* The same on this node. */
bool service_ips_wanting(const struct service_ips *ips, const struct object *svc);
