/*
 * The settings as an nftables script.
 *
 * Row numbers (I1, O2, ...) are those of Istio's iptables program, which users' habits and
 * documents refer to; each rule carries its row as a comment, so that `nft list` and its counters
 * can be read.
 *
 * Where this differs from there: the excluded address ranges (O12) stand before the DNS rules
 * (O10), so that an excluded range is excluded for DNS too; and ranges are nft sets, one rule per
 * family.
 */
#include <stdio.h>

#include "base/mem.h"
#include "capture/capture.h"
#include "model/sidecar.h"

enum { FAMILIES = 2 };
static const char *const family_name[FAMILIES] = {"ip", "ip6"};

static const uint16_t own_ports[] = {SIDECAR_HEALTH_PORT,
				     SIDECAR_PROMETHEUS_PORT}; /* never captured inbound */

/* The set of ports "{ 1, 2 }". False when there are none. */
static bool put_ports(struct buf *b, const struct capture_ports *ports)
{
	for (size_t i = 0; i < ports->n; i++)
		(void)buf_printf(b, "%s%u", i ? ", " : "{ ", ports->at[i]); /* full: seen last */
	return ports->n != 0 && buf_puts(b, " }");
}

static bool in_family(const struct ip *ip, int family)
{
	return ip_is_v4(ip) == (family == 0);
}

static size_t count_family(const struct capture_cidrs *cidrs, int family)
{
	size_t n = 0;
	for (size_t i = 0; i < cidrs->n; i++)
		n += in_family(&cidrs->at[i].ip, family);
	return n;
}

static void put_cidr(struct buf *b, const struct cidr *c)
{
	char text[ADDR_TEXT];
	(void)buf_puts(b, cidr_text(c, text)); /* full: seen last */
}

/* Does CIDR N of the list lie inside an earlier or a wider one? A set must not name it again: nft
 * refuses overlapping intervals. */
static bool covered(const struct capture_cidrs *cidrs, size_t n)
{
	const struct cidr *c = &cidrs->at[n];
	for (size_t i = 0; i < cidrs->n; i++) {
		const struct cidr *o = &cidrs->at[i];
		if (i == n || !in_family(&o->ip, ip_is_v4(&c->ip) ? 0 : 1) || !cidr_has(o, &c->ip))
			continue;
		if (o->bits < c->bits || (o->bits == c->bits && i < n))
			return true;
	}
	return false;
}

/* "HEAD ip daddr { a, b } counter TAIL" for each family that the list has. */
static void put_cidr_rules(struct buf *b, const char *head, const struct capture_cidrs *cidrs,
			   const char *tail)
{
	for (int f = 0; f < FAMILIES; f++) {
		if (count_family(cidrs, f) == 0)
			continue;
		const char *sep = "";
		(void)buf_printf(b, "\t\t%s%s daddr { ", head,
				 family_name[f]); /* full: seen last */
		for (size_t i = 0; i < cidrs->n; i++) {
			if (!in_family(&cidrs->at[i].ip, f) || covered(cidrs, i))
				continue;
			(void)buf_puts(b, sep); /* full: seen last */
			put_cidr(b, &cidrs->at[i]);
			sep = ", ";
		}
		(void)buf_printf(b, " } counter %s\n", tail); /* full: seen last */
	}
}

static void put_iface_rules(struct buf *b, const char *match, const struct capture_ifaces *ifaces,
			    const char *tail)
{
	for (size_t i = 0; i < ifaces->n; i++)
		(void)buf_printf(b, "\t\t%s \"%s\" counter %s\n", match, ifaces->at[i],
				 tail); /* full: seen last */
}

static void put_port_rule(struct buf *b, const char *match, const struct capture_ports *ports,
			  const char *tail)
{
	if (ports->n == 0)
		return;
	(void)buf_printf(b, "\t\t%s ", match); /* full: seen last */
	(void)put_ports(b, ports);
	(void)buf_printf(b, " counter %s\n", tail); /* full: seen last */
}

/* Whoever asked for a loopback range by name wants it captured (O4). */
static bool wants_loopback(const struct capture_cidrs *cidrs)
{
	for (size_t i = 0; i < cidrs->n; i++)
		if (ip_is_loopback(&cidrs->at[i].ip))
			return true;
	return false;
}

/*
 * A connection that was open before the rules, in a namespace where nothing tracked connections, is
 * new to the kernel at its next packet. Redirecting it in its middle would cut it off: the operator's
 * ssh session on a virtual machine, say.
 */
static const char only_beginnings[] = "\t\ttcp flags & (fin | syn | rst | ack) != syn counter "
				      "return comment \"S0: older than the "
				      "rules\"\n";

static void put_prerouting(struct buf *b, const struct capture_config *cfg)
{
	(void)buf_puts(b, "\tchain prerouting {\n"
			  "\t\ttype nat hook prerouting priority -100; policy accept;\n");
	(void)buf_puts(b, only_beginnings);
	for (size_t i = 0; i < cfg->ifaces_reroute.n; i++) {
		const char *name = cfg->ifaces_reroute.at[i];
		char head[64];
		MUST(snprintf(head, sizeof(head), "iifname \"%s\" meta l4proto tcp ", name) <
		     (int)sizeof(head));
		if (cfg->ranges.all)
			(void)buf_printf(b, "\t\t%scounter goto hark-redirect comment \"P0\"\n",
					 head);
		else
			put_cidr_rules(b, head, &cfg->ranges, "goto hark-redirect comment \"P0\"");
	}
	put_iface_rules(b, "iifname", &cfg->ifaces_reroute, "return comment \"P0'\"");
	put_iface_rules(b, "iifname", &cfg->ifaces_exclude, "return comment \"P1\"");
	if (cfg->inbound.all || cfg->inbound.n)
		(void)buf_puts(
			b,
			"\t\tmeta l4proto tcp counter jump hark-inbound comment \"P2: inbound\"\n");
	(void)buf_puts(b, "\t}\n");
}

static void put_inbound(struct buf *b, const struct capture_config *cfg)
{
	(void)buf_printf(b,
			 "\tchain hark-inbound {\n"
			 "\t\ttcp dport %d counter return comment \"I1: mesh tunnel\"\n",
			 SIDECAR_TUNNEL_PORT);
	if (cfg->inbound.all) {
		struct capture_ports own = {.at = own_ports, .n = N_ELEMS(own_ports)};
		struct capture_ports status = {.at = &cfg->status_port, .n = cfg->status_port != 0};
		put_port_rule(b, "tcp dport", &own, "return comment \"I2: the proxy's own\"");
		put_port_rule(b, "tcp dport", &status, "return comment \"I2: status port\"");
		put_port_rule(b, "tcp dport", &cfg->inbound_exclude,
			      "return comment \"I2: excluded ports\"");
		(void)buf_puts(b, "\t\tmeta l4proto tcp counter goto hark-in-redirect comment "
				  "\"I3: the rest\"\n");
	} else {
		put_port_rule(b, "tcp dport", &cfg->inbound,
			      "goto hark-in-redirect comment \"I3': included ports\"");
	}
	(void)buf_puts(b, "\t}\n");
}

/* O3 to O5 for one owner: meta skuid, then meta skgid. */
static void put_owner(struct buf *b, const struct capture_config *cfg, const char *owner,
		      uint32_t id, bool is_uid)
{
	static const char *const loopback[FAMILIES] = {"127.0.0.1", "::1"};
	const char *not_port = cfg->dns && is_uid ? "{ 53, 15008 }" : "15008";
	for (int f = 0; f < FAMILIES; f++)
		(void)buf_printf(b,
				 "\t\toifname \"lo\" %s daddr != %s tcp dport != %s meta %s %u "
				 "counter goto hark-in-redirect comment \"O%d: own VIP\"\n",
				 family_name[f], loopback[f], not_port, owner, id, is_uid ? 3 : 6);
	if (!wants_loopback(&cfg->ranges))
		(void)buf_printf(b,
				 "\t\toifname \"lo\" %smeta %s != %u counter return comment "
				 "\"O%d: within the Pod\"\n",
				 cfg->dns ? "tcp dport != 53 " : "", owner, id, is_uid ? 4 : 7);
	(void)buf_printf(b, "\t\tmeta %s %u counter return comment \"O%d: the proxy's own\"\n",
			 owner, id, is_uid ? 5 : 8);
}

static void put_dns(struct buf *b, const struct capture_config *cfg, const char *tail)
{
	for (int proto = 0; proto < 2; proto++) {
		const char *dport = proto ? "udp dport 53" : "tcp dport 53";
		if (cfg->n_dns_servers == 0)
			(void)buf_printf(b, "\t\t%s counter %s\n", dport, tail);
		for (size_t i = 0; i < cfg->n_dns_servers; i++) {
			const struct ip *ip = &cfg->dns_servers[i];
			char text[ADDR_TEXT];
			(void)buf_printf(b, "\t\t%s daddr %s %s counter %s\n",
					 family_name[ip_is_v4(ip) ? 0 : 1], ip_text(ip, text),
					 dport, tail);
		}
	}
}

static void put_output(struct buf *b, const struct capture_config *cfg)
{
	(void)buf_puts(b, "\tchain output {\n"
			  "\t\ttype nat hook output priority -100; policy accept;\n");
	(void)buf_puts(b, only_beginnings);
	put_iface_rules(b, "oifname", &cfg->ifaces_exclude, "return comment \"U1\"");
	put_port_rule(b, "tcp dport", &cfg->outbound_exclude,
		      "return comment \"O1: excluded ports\"");
	put_port_rule(b, "udp dport", &cfg->outbound_exclude,
		      "return comment \"O1: excluded ports\"");
	/* The proxy reaches its application at the Pod's address from 127.0.0.6: without this rule
	 * that connection would meet O3 and come back for ever. */
	(void)buf_puts(b, "\t\toifname \"lo\" ip saddr 127.0.0.6 counter return comment \"O2\"\n"
			  "\t\toifname \"lo\" ip6 saddr ::6 counter return comment \"O2\"\n");
	put_owner(b, cfg, "skuid", cfg->uid, true);
	put_owner(b, cfg, "skgid", cfg->gid, false);
	put_cidr_rules(b, "", &cfg->ranges_exclude, "return comment \"O12: excluded ranges\"");
	if (cfg->dns)
		(void)buf_puts(b, "\t\tjump hark-output-dns\n");
	(void)buf_puts(b, "\t\tip daddr 127.0.0.1 counter return comment \"O11: localhost\"\n"
			  "\t\tip6 daddr ::1 counter return comment \"O11: localhost\"\n");
	put_port_rule(b, "tcp dport", &cfg->outbound_include,
		      "goto hark-redirect comment \"O13: included ports\"");
	if (cfg->ranges.all)
		(void)buf_puts(b, "\t\tmeta l4proto tcp counter goto hark-redirect comment \"O14: "
				  "the rest\"\n");
	else
		put_cidr_rules(b, "meta l4proto tcp ", &cfg->ranges,
			       "goto hark-redirect comment \"O14: included ranges\"");
	(void)buf_puts(b, "\t}\n");
}

static void put_nat(struct buf *b, const struct capture_config *cfg)
{
	(void)buf_printf(b,
			 "table inet hark-nat {\n"
			 "\tchain hark-redirect {\n"
			 "\t\tmeta l4proto tcp counter redirect to :%u comment \"R1\"\n"
			 "\t}\n"
			 "\tchain hark-in-redirect {\n"
			 "\t\tmeta l4proto tcp counter redirect to :%u comment \"R2\"\n"
			 "\t}\n",
			 cfg->outbound_port, cfg->inbound_port);
	if (cfg->dns) {
		char tail[64];
		MUST(snprintf(tail, sizeof(tail), "redirect to :%u comment \"O10: DNS\"",
			      cfg->dns_port) < (int)sizeof(tail));
		(void)buf_puts(b, "\tchain hark-output-dns {\n");
		put_dns(b, cfg, tail);
		(void)buf_puts(b, "\t}\n");
	}
	put_inbound(b, cfg);
	put_prerouting(b, cfg);
	put_output(b, cfg);
	(void)buf_puts(b, "}\n");
}

/*
 * Zone 2: application to sidecar; zone 1: sidecar to the real server. Both may use the same ports
 * and addresses, and in one zone the second would be taken for a packet of the first. A zone once
 * given must not be given again: the last would win.
 */
static void put_raw(struct buf *b, const struct capture_config *cfg)
{
	(void)buf_printf(b,
			 "table inet hark-raw {\n"
			 "\tchain output {\n"
			 "\t\ttype filter hook output priority -300; policy accept;\n"
			 "\t\tudp dport 53 meta skuid %u counter ct zone set 1 return\n"
			 "\t\tudp sport %u meta skuid %u counter ct zone set 2 return\n"
			 "\t\tudp dport 53 meta skgid %u counter ct zone set 1 return\n"
			 "\t\tudp sport %u meta skgid %u counter ct zone set 2 return\n",
			 cfg->uid, cfg->dns_port, cfg->uid, cfg->gid, cfg->dns_port, cfg->gid);
	if (cfg->n_dns_servers == 0)
		(void)buf_puts(b, "\t\tudp dport 53 counter ct zone set 2\n");
	for (size_t i = 0; i < cfg->n_dns_servers; i++) {
		char text[ADDR_TEXT];
		(void)buf_printf(b, "\t\t%s daddr %s udp dport 53 counter ct zone set 2\n",
				 family_name[ip_is_v4(&cfg->dns_servers[i]) ? 0 : 1],
				 ip_text(&cfg->dns_servers[i], text));
	}
	(void)buf_puts(b, "\t}\n"
			  "\tchain prerouting {\n"
			  "\t\ttype filter hook prerouting priority -300; policy accept;\n");
	if (cfg->n_dns_servers == 0)
		(void)buf_puts(b, "\t\tudp sport 53 counter ct zone set 1\n");
	for (size_t i = 0; i < cfg->n_dns_servers; i++) {
		char text[ADDR_TEXT];
		(void)buf_printf(b, "\t\t%s saddr %s udp sport 53 counter ct zone set 1\n",
				 family_name[ip_is_v4(&cfg->dns_servers[i]) ? 0 : 1],
				 ip_text(&cfg->dns_servers[i], text));
	}
	(void)buf_puts(b, "\t}\n}\n");
}

bool capture_rules(const struct capture_config *cfg, struct buf *out, struct err *err)
{
	if (cfg->mode != CAPTURE_NONE && (cfg->uid == 0 || cfg->gid == 0))
		return err_set(err, ERR_BAD_INPUT,
			       "the proxy cannot be uid or gid 0: everything that root does would "
			       "bypass it");
	/* Naming a table makes it, so that deleting it cannot fail. */
	(void)buf_puts(out, "table inet hark-nat\ndelete table inet hark-nat\n"
			    "table inet hark-raw\ndelete table inet hark-raw\n");
	if (cfg->mode != CAPTURE_NONE) {
		put_nat(out, cfg);
		if (cfg->dns)
			put_raw(out, cfg);
	}
	if (out->full)
		return err_set(err, ERR_LIMIT, "the rules do not fit into %zu bytes", out->max);
	return true;
}
