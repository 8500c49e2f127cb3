/*
 * What a name asks for in a Kubernetes cluster's DNS (the "DNS-Based Service Discovery"
 * specification, schema 1.1): names only, nothing is looked up here.
 *
 *   struct cluster_name n;
 *   cluster_name_read(slice_of("db.shop.svc.cluster.local"), SLICE("cluster.local"), &n);
 *   // n.kind == CLUSTER_NAME_SERVICE, n.service "db", n.ns "shop"
 *
 * NAME is lower case and has no last dot. The slices borrow from it.
 */
#pragma once
#include "base/slice.h"
#include "net/addr.h"

enum cluster_name_kind {
	CLUSTER_NAME_OUTSIDE,  /* neither below the zone nor an address written backwards */
	CLUSTER_NAME_SERVICE,  /* SERVICE.NS.svc.ZONE */
	CLUSTER_NAME_HOST,     /* HOST.SERVICE.NS.svc.ZONE: one endpoint of a headless Service */
	CLUSTER_NAME_PORT,     /* _PORT._PROTOCOL.SERVICE.NS.svc.ZONE: SRV */
	CLUSTER_NAME_PROTOCOL, /* _PROTOCOL.SERVICE.NS.svc.ZONE: exists only above its ports */
	CLUSTER_NAME_POD,      /* 198-18-0-7.NS.pod.ZONE: .ip */
	CLUSTER_NAME_ADDRESS,  /* 7.0.18.198.in-addr.arpa, ....ip6.arpa: .ip */
	CLUSTER_NAME_NS,       /* NS.svc.ZONE, NS.pod.ZONE: exists only above what is in it */
	CLUSTER_NAME_BRANCH,   /* svc.ZONE, pod.ZONE: exist always, hold nothing */
	CLUSTER_NAME_ZONE,     /* the zone itself */
	CLUSTER_NAME_NONE,     /* in the zone, of no form that means something */
};

struct cluster_name {
	enum cluster_name_kind kind;
	struct slice ns, service, host;
	struct slice port, protocol; /* without the underscores */
	struct ip ip;
};

void cluster_name_read(struct slice name, struct slice zone, struct cluster_name *out);
/* The first label of a Pod's name: the address with dashes for dots or colons. */
const char *cluster_name_of_ip(const struct ip *ip, char out[ADDR_TEXT]);
