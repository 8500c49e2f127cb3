#include "local/vips.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "capture/nft.h"
#include "local/reconcile.h"
#include "local/service_backends.h"

enum { MAX_BACKENDS = 1000, RULES_MAX = 16 * 1024 * 1024 };

struct vips {
	struct reconciler r;
	const struct node *node;
	char *applied; /* the rules in force */
};

/* Text that nft reads, by family. */
static const struct {
	const char *ip, *refuse;
} family_words[] = {
	[IP_V4] = {"ip", "icmp port-unreachable"},
	[IP_V6] = {"ip6", "icmpv6 port-unreachable"},
};

/* The chains stay for ever and only their rules are exchanged: a NAT chain that goes away for a
 * moment would let packets of open connections through untranslated. */
static const char frame[] =
	"add table inet hark-vips\n"
	"add chain inet hark-vips nat { type nat hook prerouting priority -100; }\n"
	"add chain inet hark-vips own-nat { type nat hook output priority -100; }\n"
	"add chain inet hark-vips services\n"
	"add chain inet hark-vips back { type nat hook postrouting priority 100; }\n"
	"add chain inet hark-vips refuse { type filter hook prerouting priority -90; }\n"
	"flush table inet hark-vips\n"
	"add rule inet hark-vips nat jump services\n"
	"add rule inet hark-vips own-nat jump services\n";

static void dnat_rule(struct buf *out, const struct object *svc, const struct service_port *port,
		      enum ip_family f, const struct addr *to, size_t n)
{
	const char *ip = family_words[f].ip;
	char text[ADDR_TEXT];

	buf_printf(out, "add rule inet hark-vips services %s daddr %s %s dport %u dnat %s to ", ip,
		   ip_text(&svc->service->cluster_ip[f], text),
		   port->protocol == L4_UDP ? "udp" : "tcp", port->port, ip);
	if (svc->service->session_affinity_client_ip)
		buf_printf(out, "jhash %s saddr mod %zu", ip, n);
	else
		buf_printf(out, "numgen random mod %zu", n);
	buf_puts(out, " map { ");
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s%zu : %s . %u", i ? ", " : "", i, ip_text(&to[i].ip, text),
			   to[i].port);
	buf_printf(out, " } comment \"%s/%s\"\n", svc->meta.ns, svc->meta.name);
}

static void service_rules(const struct store *store, const struct object *svc, struct addr *room,
			  struct buf *out)
{
	const struct service *s = svc->service;

	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		if (!s->has_ip[f])
			continue;
		for (size_t i = 0; i < s->n_ports; i++) {
			if (s->ports[i].protocol == L4_SCTP)
				continue;
			size_t n =
				service_backends(store, svc, &s->ports[i], f, room, MAX_BACKENDS);
			if (n)
				dnat_rule(out, svc, &s->ports[i], f, room, n);
		}
	}
}

static void hairpin_rule(const struct store *store, enum ip_family f, struct buf *out)
{
	const struct object *pod = NULL;
	const char *ip = family_words[f].ip;
	bool any = false;
	char text[ADDR_TEXT];

	while ((pod = store_next(store, KIND_POD, NULL, pod))) {
		if (!pod->pod->has_ip[f])
			continue;
		ip_text(&pod->pod->ip[f], text);
		if (!any)
			buf_printf(out,
				   "add rule inet hark-vips back ct status dnat %s saddr . %s "
				   "daddr { ",
				   ip, ip);
		buf_printf(out, "%s%s . %s", any ? ", " : "", text, text);
		any = true;
	}
	if (any)
		buf_puts(out, " } masquerade\n");
}

static void refuse_rules(const struct cidr *range, enum ip_family f, struct buf *out)
{
	const char *ip = family_words[f].ip;
	char text[ADDR_TEXT];
	unsigned bits = f == IP_V4 ? range->bits - 96u : range->bits;

	ip_text(&range->ip, text);
	buf_printf(out,
		   "add rule inet hark-vips refuse %s daddr %s/%u meta l4proto tcp reject with "
		   "tcp reset\n",
		   ip, text, bits);
	buf_printf(out, "add rule inet hark-vips refuse %s daddr %s/%u reject with %s\n", ip, text,
		   bits, family_words[f].refuse);
}

bool vips_rules(const struct store *store, const struct node_config *cfg, struct buf *out)
{
	const struct object *svc = NULL;
	struct addr *room = mem_array(MAX_BACKENDS, sizeof(*room));

	buf_puts(out, frame);
	while ((svc = store_next(store, KIND_SERVICE, NULL, svc)))
		service_rules(store, svc, room, out);
	free(room);
	hairpin_rule(store, IP_V4, out);
	hairpin_rule(store, IP_V6, out);
	refuse_rules(&cfg->services_v4, IP_V4, out);
	refuse_rules(&cfg->services_v6, IP_V6, out);
	return !out->full;
}

static void run(struct reconciler *r)
{
	struct vips *v = CONTAINER_OF(r, struct vips, r);
	struct err err = {0};
	struct buf out;

	buf_init(&out, RULES_MAX);
	const char *rules = vips_rules(r->store, &v->node->cfg, &out) ? buf_cstr(&out) : NULL;
	if (!rules) {
		log_error("local", "too many services and endpoints for the rules of virtual ips");
	} else if (!v->applied || !slice_is(slice_of(rules), v->applied)) {
		if (nft_run(rules, &err)) {
			free(v->applied);
			v->applied = mem_strdup(rules);
		} else {
			log_error("local", "rules of virtual ips not applied error=\"%s\"",
				  err.text);
		}
	}
	buf_fini(&out);
}

struct vips *vips_start(const struct node *node, struct store *store)
{
	struct vips *v = mem_new(sizeof(*v));
	v->node = node;
	v->r = (struct reconciler){.loop = node->loop,
				   .store = store,
				   .kinds = 1u << KIND_SERVICE | 1u << KIND_ENDPOINT_SLICE |
					    1u << KIND_POD,
				   .run = run};
	reconciler_start(&v->r);
	return v;
}

void vips_stop(struct vips *v)
{
	if (!v)
		return;
	reconciler_stop(&v->r);
	free(v->applied);
	free(v);
}
