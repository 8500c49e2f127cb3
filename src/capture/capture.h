/*
 * The nftables rules that bring a network namespace's TCP traffic to the sidecar: inbound to port
 * 15006, outbound to port 15001, and around the proxy's own connections.
 *
 *   struct capture_config cfg;
 *   capture_config_init(&cfg);                                          // the defaults
 *   if (!capture_config_from_annotations(get, pod, arena, &cfg, &err))  // a Pod's own wishes
 *           return false;
 *   if (!capture_apply(&cfg, &err)) ...                                 // in this namespace
 *
 * The rules live in two tables of family inet, `hark-nat` and (DNS capture only) `hark-raw`.
 * Applying replaces both in one transaction, so it can be repeated at any time and there is no
 * moment without rules; NAT rules see the first packet of a connection only, so open connections
 * are not disturbed. Lists in the config are borrowed: they live as long as the arena or array that
 * they came from.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "net/addr.h"

enum capture_mode { CAPTURE_REDIRECT, CAPTURE_NONE };

enum { CAPTURE_IFACE_LEN = 16 }; /* IFNAMSIZ */

/* ALL: every port, the list does not matter. Neither ALL nor a port: none. */
struct capture_ports {
	bool all;
	const uint16_t *at;
	size_t n;
};

struct capture_cidrs {
	bool all;
	const struct cidr *at;
	size_t n;
};

struct capture_ifaces {
	const char (*at)[CAPTURE_IFACE_LEN];
	size_t n;
};

struct capture_config {
	enum capture_mode mode; /* CAPTURE_NONE: applying removes the rules */
	uint16_t outbound_port, inbound_port, dns_port, status_port;
	uint32_t uid, gid;                     /* the proxy's, exempt from capture; 0 is refused */
	struct capture_ports inbound;          /* to capture; all by default */
	struct capture_ports inbound_exclude;  /* only looked at when inbound.all; the proxy's own
						  ports 15020 (status_port), 15021, 15090 are always
						  exempt then */
	struct capture_ports outbound_include; /* captured whatever the address ranges say */
	struct capture_ports outbound_exclude; /* TCP and UDP, before everything else */
	struct capture_cidrs ranges;           /* outbound; all by default, empty: none */
	struct capture_cidrs ranges_exclude;
	struct capture_ifaces ifaces_exclude; /* both directions */
	struct capture_ifaces ifaces_reroute; /* what comes in there counts as outbound */
	bool dns;                             /* DNS to the sidecar's resolver at dns_port */
	const struct ip *dns_servers;         /* only questions to these; none: to anybody */
	size_t n_dns_servers;
};

/* What a Pod without annotations gets. */
void capture_config_init(struct capture_config *cfg);

/* Value of the annotation KEY; false when the Pod has none (an empty value is a value). */
typedef bool capture_annotation_fn(void *ctx, const char *key, struct slice *value);

/*
 * Overlays CFG (initialised before) with the Pod annotations that concern capture
 * (traffic.sidecar.istio.io/..., sidecar.istio.io/interceptionMode, status.sidecar.istio.io/port,
 * istio.io/reroute-virtual-interfaces). A value that is not valid is an error naming the
 * annotation, the entry and what was expected, and CFG is then not to be used.
 */
bool capture_config_from_annotations(capture_annotation_fn *get, void *ctx, struct arena *arena,
				     struct capture_config *cfg, struct err *err) MUST_CHECK;
/* One annotation-like setting by its short name ("excludeInboundPorts", "interceptionMode", ...):
 * what the flags of `hark capture` use. WHERE names it in messages. */
bool capture_config_set(struct capture_config *cfg, const char *name, struct slice value,
			const char *where, struct arena *arena, struct err *err) MUST_CHECK;

/* The nftables script that makes CFG true, whatever was there before. False only for a config that
 * cannot be (uid 0), or a full buffer. */
bool capture_rules(const struct capture_config *cfg, struct buf *out, struct err *err) MUST_CHECK;

/* Also puts ::6/128 on lo, from which the proxy reaches its application over IPv6. */
bool capture_apply(const struct capture_config *cfg, struct err *err) MUST_CHECK;
/* Removes the rules and ::6; fine when there are none. Redirected connections end with them: nobody
 * translates their addresses any more. */
bool capture_clean(struct err *err) MUST_CHECK;
/* What is in force in this namespace now, with counters, as nft lists it; empty when nothing is. */
bool capture_print(struct buf *out, struct err *err) MUST_CHECK;
