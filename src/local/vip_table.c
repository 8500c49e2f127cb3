#include "local/vip_table.h"

#include <bsd/sys/queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/name_set.h"
#include "base/table.h"

/* Where the connections to one port of a virtual IP go. */
struct backends {
	bool sticky;
	size_t n; /* at least 1 */
	struct addr to[];
};

struct vip_key {
	struct addr at;
	uint32_t protocol; /* as wide as this leaves no gap whose bytes would count */
};

struct vip_service;

struct vip {
	UT_hash_handle hh;
	struct vip_key key;
	struct vip_service *owner; /* NULL: nobody's any more, gone with the next commands */
	LIST_ENTRY(vip) of_owner;
	TAILQ_ENTRY(vip) link; /* while dirty */
	struct backends *now;  /* as the rules have it; NULL: not there */
	struct backends *next; /* while dirty: as they shall have it */
	bool dirty, kept;
	bool contested; /* another Service claims it, too */
};

struct vip_service {
	UT_hash_handle hh;
	LIST_HEAD(, vip) vips; /* never empty between calls */
	size_t key_len;
	char key[];
};

/* Addresses of Pods, sorted, each once. */
struct ips {
	struct ip *at;
	size_t n;
};

struct vip_table {
	struct cidr range[N_IP_FAMILIES];
	struct vip *vips;
	struct vip_service *services;
	TAILQ_HEAD(, vip) dirty;
	struct ips pods, next_pods; /* in the rules; as they shall be, while pods_dirty */
	bool pods_dirty;
	bool whole; /* what is in force is not known: the next commands begin with nothing */
	bool has_chain[2][VIP_ENDPOINTS_MAX + 1];
};

#define TABLE "inet hark-vips"

/* Text that nft reads, by family. */
static const struct {
	const char *ip, *suffix, *refuse;
} family_words[] = {
	[IP_V4] = {"ip", "v4", "icmp port-unreachable"},
	[IP_V6] = {"ip6", "v6", "icmpv6 port-unreachable"},
};
static const char *const chain_word[] = {"pick", "stick"};

/*
 * The chains and maps stay for ever and only what is in them is exchanged: a NAT chain that goes
 * away for a moment would let packets of open connections through untranslated.
 */
static const char frame[] =
	"add table " TABLE "\n"
	"add map " TABLE " services-v4 { type ipv4_addr . inet_proto . inet_service : verdict; }\n"
	"add map " TABLE " services-v6 { type ipv6_addr . inet_proto . inet_service : verdict; }\n"
	"add map " TABLE " endpoints-v4 { type ipv4_addr . inet_proto . inet_service . mark : "
	"ipv4_addr . inet_service; }\n"
	"add map " TABLE " endpoints-v6 { type ipv6_addr . inet_proto . inet_service . mark : "
	"ipv6_addr . inet_service; }\n"
	"add set " TABLE " pods-v4 { type ipv4_addr . ipv4_addr; }\n"
	"add set " TABLE " pods-v6 { type ipv6_addr . ipv6_addr; }\n"
	"add chain " TABLE " nat { type nat hook prerouting priority -100; }\n"
	"add chain " TABLE " own-nat { type nat hook output priority -100; }\n"
	"add chain " TABLE " services\n"
	"add chain " TABLE " back { type nat hook postrouting priority 100; }\n"
	"add chain " TABLE " refuse { type filter hook prerouting priority -90; }\n"
	"flush table " TABLE "\n"
	"flush map " TABLE " services-v4\n"
	"flush map " TABLE " services-v6\n"
	"flush map " TABLE " endpoints-v4\n"
	"flush map " TABLE " endpoints-v6\n"
	"flush set " TABLE " pods-v4\n"
	"flush set " TABLE " pods-v6\n"
	"add rule " TABLE " nat jump services\n"
	"add rule " TABLE " own-nat jump services\n"
	"add rule " TABLE " services ip daddr . meta l4proto . th dport vmap @services-v4\n"
	"add rule " TABLE " services ip6 daddr . meta l4proto . th dport vmap @services-v6\n"
	"add rule " TABLE " back ct status dnat ip saddr . ip daddr @pods-v4 masquerade\n"
	"add rule " TABLE " back ct status dnat ip6 saddr . ip6 daddr @pods-v6 masquerade\n";

struct vip_table *vip_table_new(const struct node_config *cfg)
{
	struct vip_table *t = mem_new(sizeof(*t));
	t->range[IP_V4] = cfg->services_v4;
	t->range[IP_V6] = cfg->services_v6;
	t->whole = true;
	TAILQ_INIT(&t->dirty);
	return t;
}

static void set_dirty(struct vip_table *t, struct vip *v, bool dirty)
{
	if (v->dirty == dirty)
		return;
	v->dirty = dirty;
	if (dirty)
		TAILQ_INSERT_TAIL(&t->dirty, v, link);
	else
		TAILQ_REMOVE(&t->dirty, v, link);
}

static void vip_drop(struct vip *v)
{
	free(v->now);
	free(v->next);
	free(v);
}

static void vip_free(struct vip_table *t, struct vip *v)
{
	set_dirty(t, v, false);
	HASH_DELETE(hh, t->vips, v);
	if (v->owner)
		LIST_REMOVE(v, of_owner);
	vip_drop(v);
}

void vip_table_free(struct vip_table *t)
{
	if (!t)
		return;
	TABLE_DRAIN(t->vips, vip_drop);
	TABLE_DRAIN(t->services, free);
	free(t->pods.at);
	free(t->next_pods.at);
	free(t);
}

/* Services. */

static struct vip_service *find_service(struct vip_table *t, const char *ns, const char *name,
					bool make)
{
	char key[NAME_KEY_MAX];
	size_t len = name_key(ns, name, key);
	struct vip_service *s = NULL;
	HASH_FIND(hh, t->services, key, len, s);
	if (s || !make)
		return s;
	s = mem_new(sizeof(*s) + len);
	s->key_len = len;
	memcpy(s->key, key, len);
	LIST_INIT(&s->vips);
	HASH_ADD_KEYPTR(hh, t->services, s->key, s->key_len, s);
	return s;
}

static struct vip *find_vip(struct vip_table *t, const struct vip_port *p)
{
	struct vip_key key = {.at = p->at, .protocol = p->protocol};
	struct vip *v = NULL;
	HASH_FIND(hh, t->vips, &key, sizeof(key), v);
	if (!v) {
		v = mem_new(sizeof(*v));
		v->key = key;
		HASH_ADD(hh, t->vips, key, sizeof(v->key), v);
	}
	return v;
}

static struct backends *backends_of(const struct vip_port *p)
{
	struct backends *b = mem_new(sizeof(*b) + p->n_endpoints * sizeof(b->to[0]));
	b->sticky = p->sticky;
	b->n = p->n_endpoints;
	memcpy(b->to, p->endpoints, b->n * sizeof(b->to[0]));
	return b;
}

static bool same(const struct backends *a, const struct backends *b)
{
	if (!a || !b)
		return a == b;
	return a->sticky == b->sticky && a->n == b->n &&
	       memcmp(a->to, b->to, a->n * sizeof(a->to[0])) == 0;
}

/* Takes NEXT, which may be NULL. */
static void want(struct vip_table *t, struct vip *v, struct backends *next)
{
	bool dirty = !same(v->now, next);
	free(v->next);
	v->next = dirty ? next : NULL;
	if (!dirty)
		free(next);
	set_dirty(t, v, dirty);
}

static void disown(struct vip_table *t, struct vip *v)
{
	LIST_REMOVE(v, of_owner);
	v->owner = NULL;
	v->contested = false;
	want(t, v, NULL);
	if (!v->dirty)
		vip_free(t, v); /* the rules never had it */
}

bool vip_table_set(struct vip_table *t, const char *ns, const char *service,
		   const struct vip_port *ports, size_t n)
{
	struct vip_service *s = find_service(t, ns, service, n > 0);
	struct vip *v, *next;
	bool none_freed = true;
	if (!s)
		return true;
	LIST_FOREACH(v, &s->vips, of_owner)
	v->kept = false;
	for (size_t i = 0; i < n; i++) {
		MUST(ports[i].n_endpoints <= VIP_ENDPOINTS_MAX);
		if (ports[i].n_endpoints == 0)
			continue;
		v = find_vip(t, &ports[i]);
		if (v->owner && v->owner != s) {
			v->contested = true;
			continue;
		}
		if (!v->owner) {
			v->owner = s;
			LIST_INSERT_HEAD(&s->vips, v, of_owner);
		}
		v->kept = true;
		want(t, v, backends_of(&ports[i]));
	}
	LIST_FOREACH_SAFE(v, &s->vips, of_owner, next)
	{
		if (v->kept)
			continue;
		none_freed = none_freed && !v->contested;
		disown(t, v);
	}
	if (LIST_EMPTY(&s->vips)) {
		HASH_DELETE(hh, t->services, s);
		free(s);
	}
	return none_freed;
}

/* Pods. */

static int compare_ips(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip));
}

void vip_table_set_pods(struct vip_table *t, const struct ip *ips, size_t n)
{
	struct ips sorted = {.at = mem_array(n + 1, sizeof(*sorted.at))};
	memcpy(sorted.at, ips, n * sizeof(*ips));
	qsort(sorted.at, n, sizeof(*ips), compare_ips);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || !ip_eq(&sorted.at[i], &sorted.at[sorted.n - 1]))
			sorted.at[sorted.n++] = sorted.at[i];
	free(t->next_pods.at);
	t->next_pods = sorted;
	t->pods_dirty = true;
}

/* Commands. */

/* Elements of one set, one command for all of them; the command begins with the first. */
struct elements {
	struct buf *out;
	const char *verb, *set, *suffix;
	bool any;
};

static void begin_element(struct elements *e)
{
	if (e->any)
		(void)buf_puts(e->out, ", "); /* full: tested last, as all below */
	else
		(void)buf_printf(e->out, "%s element " TABLE " %s-%s { ", e->verb, e->set,
				 e->suffix);
	e->any = true;
}

static void end_elements(struct elements *e)
{
	if (e->any)
		(void)buf_puts(e->out, " }\n");
}

static void put_key(struct elements *e, const struct vip *v)
{
	char text[ADDR_TEXT];
	begin_element(e);
	(void)buf_printf(e->out, "%s . %s . %u", ip_text(&v->key.at.ip, text),
			 v->key.protocol == L4_UDP ? "udp" : "tcp", v->key.at.port);
}

static bool same_chain(const struct backends *a, const struct backends *b)
{
	return a && b && a->sticky == b->sticky && a->n == b->n;
}

static bool same_endpoint(const struct backends *a, const struct backends *b, size_t i)
{
	return a && b && i < a->n && i < b->n && addr_eq(&a->to[i], &b->to[i]);
}

/* What of V in the map of services has to go (ADD false), or to come. */
static void put_service(struct elements *e, const struct vip *v, bool add)
{
	const struct backends *b = add ? v->next : v->now;
	if (!b || same_chain(v->now, v->next))
		return;
	put_key(e, v);
	if (add)
		(void)buf_printf(e->out, " : goto %s-%zu", chain_word[b->sticky], b->n);
}

static void put_endpoints(struct elements *e, const struct vip *v, bool add)
{
	const struct backends *b = add ? v->next : v->now;
	char text[ADDR_TEXT];
	for (size_t i = 0; b && i < b->n; i++) {
		if (same_endpoint(v->now, v->next, i))
			continue;
		put_key(e, v);
		(void)buf_printf(e->out, " . %zu", i);
		if (add)
			(void)buf_printf(e->out, " : %s . %u", ip_text(&b->to[i].ip, text),
					 b->to[i].port);
	}
}

static void put_vips(const struct vip_table *t, enum ip_family f, bool add, const char *set,
		     void (*put)(struct elements *e, const struct vip *v, bool add),
		     struct buf *out)
{
	struct elements e = {out, add ? "add" : "delete", set, family_words[f].suffix, false};
	const struct vip *v;
	TAILQ_FOREACH (v, &t->dirty, link)
		if (ip_is_v4(&v->key.at.ip) == (f == IP_V4))
			put(&e, v, add);
	end_elements(&e);
}

/* The Pods in FROM that are not in TO. */
static void put_pods(const struct ips *from, const struct ips *to, enum ip_family f,
		     const char *verb, struct buf *out)
{
	struct elements e = {out, verb, "pods", family_words[f].suffix, false};
	char text[ADDR_TEXT];
	for (size_t i = 0, j = 0; i < from->n; i++) {
		while (j < to->n && compare_ips(&to->at[j], &from->at[i]) < 0)
			j++;
		if ((j < to->n && ip_eq(&to->at[j], &from->at[i])) ||
		    ip_is_v4(&from->at[i]) != (f == IP_V4))
			continue;
		begin_element(&e);
		ip_text(&from->at[i], text);
		(void)buf_printf(out, "%s . %s", text, text);
	}
	end_elements(&e);
}

static void put_chain(struct vip_table *t, const struct backends *b, struct buf *out)
{
	const char *word = chain_word[b->sticky];
	if (t->has_chain[b->sticky][b->n])
		return;
	t->has_chain[b->sticky][b->n] = true;
	(void)buf_printf(out, "add chain " TABLE " %s-%zu\n", word, b->n);
	if (!b->sticky)
		(void)buf_printf(out,
				 "add rule " TABLE " %s-%zu meta mark set numgen random mod %zu\n",
				 word, b->n, b->n);
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		const char *ip = family_words[f].ip;
		if (b->sticky)
			(void)buf_printf(out,
					 "add rule " TABLE
					 " %s-%zu meta mark set jhash %s saddr mod %zu\n",
					 word, b->n, ip, b->n);
		(void)buf_printf(out,
				 "add rule " TABLE " %s-%zu dnat %s to %s daddr . meta l4proto . "
				 "th dport . meta mark map @endpoints-%s\n",
				 word, b->n, ip, ip, family_words[f].suffix);
	}
}

static void put_refusal(const struct cidr *range, enum ip_family f, struct buf *out)
{
	const char *ip = family_words[f].ip;
	char text[ADDR_TEXT];
	unsigned bits = f == IP_V4 ? range->bits - 96u : range->bits;

	ip_text(&range->ip, text);
	(void)buf_printf(out,
			 "add rule " TABLE " refuse %s daddr %s/%u meta l4proto tcp reject with "
			 "tcp reset\n"
			 "add rule " TABLE " refuse %s daddr %s/%u reject with %s\n",
			 ip, text, bits, ip, text, bits, family_words[f].refuse);
}

static void put_all(struct vip_table *t, struct buf *out)
{
	const struct vip *v;
	if (t->whole) {
		(void)buf_puts(out, frame);
		for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++)
			put_refusal(&t->range[f], f, out);
	}
	TAILQ_FOREACH (v, &t->dirty, link)
		if (v->next)
			put_chain(t, v->next, out);
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++) {
		put_vips(t, f, false, "services", put_service, out);
		put_vips(t, f, false, "endpoints", put_endpoints, out);
		put_vips(t, f, true, "endpoints", put_endpoints, out);
		put_vips(t, f, true, "services", put_service, out);
		if (!t->pods_dirty)
			continue;
		put_pods(&t->pods, &t->next_pods, f, "delete", out);
		put_pods(&t->next_pods, &t->pods, f, "add", out);
	}
}

static void count_as_done(struct vip_table *t)
{
	struct vip *v, *next;
	TAILQ_FOREACH_SAFE (v, &t->dirty, link, next) {
		free(v->now);
		v->now = v->next;
		v->next = NULL;
		set_dirty(t, v, false);
		if (!v->owner)
			vip_free(t, v);
	}
	if (t->pods_dirty) {
		free(t->pods.at);
		t->pods = t->next_pods;
		t->next_pods = (struct ips){0};
		t->pods_dirty = false;
	}
	t->whole = false;
}

bool vip_table_commands(struct vip_table *t, struct buf *out)
{
	bool had[2][VIP_ENDPOINTS_MAX + 1];
	memcpy(had, t->has_chain, sizeof(had));
	put_all(t, out);
	if (out->full) {
		memcpy(t->has_chain, had, sizeof(had));
		buf_clear(out);
		return false;
	}
	count_as_done(t);
	return true;
}

void vip_table_failed(struct vip_table *t)
{
	struct vip *v, *next;
	HASH_ITER (hh, t->vips, v, next) {
		if (!v->dirty)
			v->next = v->now;
		else
			free(v->now);
		v->now = NULL;
		set_dirty(t, v, v->next != NULL);
		if (!v->owner)
			vip_free(t, v);
	}
	if (!t->pods_dirty)
		t->next_pods = t->pods;
	else
		free(t->pods.at);
	t->pods = (struct ips){0};
	t->pods_dirty = true;
	t->whole = true;
	memset(t->has_chain, 0, sizeof(t->has_chain));
}
