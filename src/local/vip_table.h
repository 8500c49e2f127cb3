/*
 * The virtual IPs that are in force and those that shall be, and the nftables commands from one to
 * the other.
 *
 *   struct vip_table *t = vip_table_new(&node->cfg);
 *   vip_table_set(t, "shop", "db", ports, n);        // all ports of that Service; 0: none (any more)
 *   vip_table_set_pods(t, ips, n);
 *   if (vip_table_commands(t, &out)) run(buf_slice(&out));       // counts as done
 *   vip_table_failed(t);                             // it was not: the next commands write all of it
 *
 * The rules are the same for every mesh; what changes are elements of maps and sets, so that a
 * change costs what it changes, and a packet two hash lookups however many Services there are:
 *
 *   services-v4   VIP . protocol . port           -> goto pick-N: the Service has N endpoints
 *   pick-N        draws a number below N into the packet's mark (stick-N: from the client's address)
 *   endpoints-v4  VIP . protocol . port . number  -> endpoint
 *   pods-v4       IP . IP of each Pod             a Pod that reached itself: masquerade
 *
 * and the same for IPv6. A chain pick-N exists for each number of endpoints that some Service has
 * had. One thread.
 */
#pragma once
#include "base/buf.h"
#include "model/kinds.h"
#include "sandbox/node.h"

enum { VIP_ENDPOINTS_MAX = 1000 };

struct vip_port {
	struct addr at; /* the virtual IP and port */
	enum protocol_l4 protocol;
	bool sticky;                  /* the same client gets the same endpoint */
	const struct addr *endpoints; /* of AT's family, copied; none: the port is refused */
	size_t n_endpoints;           /* at most VIP_ENDPOINTS_MAX */
};

struct vip_table;
struct vip_table *vip_table_new(const struct node_config *cfg); /* copied */
void vip_table_free(struct vip_table *t);                       /* NULL is fine */
/* Of an address that two Services claim, the first has it. False: such an address has become free,
 * so that all Services must be set again. */
bool vip_table_set(struct vip_table *t, const char *ns, const char *service,
		   const struct vip_port *ports, size_t n) MUST_CHECK;
void vip_table_set_pods(struct vip_table *t, const struct ip *ips, size_t n);
/* One transaction, nothing when nothing has changed. False: it does not fit into OUT, which is
 * empty then, and nothing counts as done. */
bool vip_table_commands(struct vip_table *t, struct buf *out) MUST_CHECK;
void vip_table_failed(struct vip_table *t);
