/*
 * The cluster's DNS server: UDP and TCP port 53 in the node's namespace.
 *
 *   struct cluster_dns *d = cluster_dns_new(loop, store, "cluster.local");
 *   if (!cluster_dns_listen(d, &node->gateway_v4, &err)) ...      // once per address
 *   cluster_dns_free(d);
 *
 * Pods reach it by the virtual IP of the Service kube-system/kube-dns. What it answers is in
 * cluster_answer.h. Runs on the loop; nothing here waits.
 */
#pragma once
#include "loop/loop.h"
#include "model/store.h"
#include "net/addr.h"

struct cluster_dns;
struct cluster_dns *cluster_dns_new(struct loop *loop, const struct store *store, const char *zone);
bool cluster_dns_listen(struct cluster_dns *d, const struct addr *on, struct err *err) MUST_CHECK;
void cluster_dns_free(struct cluster_dns *d); /* NULL is fine */
