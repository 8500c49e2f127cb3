/*
 * Virtual IPs in the node's namespace, for what no sidecar handles: connections of Pods without
 * one, and UDP. What kube-proxy does, by its rules.
 *
 *   struct vips *v = vips_start(node, store, runner);
 *   if (vips_settled(v)) ...                   // the rules are those of the store as it is now
 *   vips_stop(v);
 *
 *   vips_rules(store, &node->cfg, &out);       // the nftables script alone, of all that is there
 *
 * A new connection to VIP:PORT goes to one of the ready endpoints, drawn at random (always the same
 * one per client with sessionAffinity ClientIP). A Pod that reaches itself that way sees the node's
 * address as the client, or it would answer itself. A VIP's port that nobody answers for is refused
 * with a TCP reset or an ICMP error, so that nobody waits. One transaction per burst of changes,
 * and while one is under way the next one gathers; open connections keep the endpoint they have.
 * The work of a change is what it touches (vip_table.h). Runs on the node's loop.
 */
#pragma once
#include "base/buf.h"
#include "model/store.h"
#include "sandbox/nft_runner.h"
#include "sandbox/node.h"

struct vips;
/* RUNNER is used by nobody else, and outlives this. */
struct vips *vips_start(const struct node *node, struct store *store, struct nft_runner *runner);
void vips_stop(struct vips *v);
bool vips_settled(const struct vips *v);
bool vips_rules(const struct store *store, const struct node_config *cfg,
		struct buf *out) MUST_CHECK;
