/*
 * The cluster's DNS, without its sockets: a question and the store give an answer (the Kubernetes
 * "DNS-Based Service Discovery" specification).
 *
 *   struct cluster_zone zone = {.store = store, .name = "cluster.local"};
 *   cluster_answer(&zone, &query, answer);
 *
 * A name that exists without records of the type asked for is answered empty; a name that does not
 * exist, and any name outside the zone, with NXDOMAIN: there is no way out of the mesh, so nobody
 * else could know it.
 */
#pragma once
#include "dns/message.h"
#include "model/store.h"

enum { CLUSTER_TTL_S = 5 }; /* addresses follow readiness */

struct cluster_zone {
	const struct store *store;
	const char *name; /* "cluster.local" */
};

void cluster_answer(const struct cluster_zone *zone, const struct dns_query *q,
		    struct dns_answer *a);
