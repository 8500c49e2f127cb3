#include "local/entry_vips.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "local/ip_pool.h"
#include "local/reconcile.h"
#include "model/view.h"

/* A host and what it was given; for ever, as long as the controller lives. */
struct given {
	UT_hash_handle hh;
	struct ip ip[N_IP_FAMILIES];
	bool has[N_IP_FAMILIES];
	char host[];
};

/* An address that a person wrote, or that a host has. */
struct owner {
	UT_hash_handle hh;
	struct ip ip;
	const struct given *pair; /* NULL: a person's */
};

struct entry_vips {
	struct reconciler r;
	struct ip_pool *pool[N_IP_FAMILIES]; /* NULL: the node does not have the family */
	struct given *pairs;
	struct owner *owners; /* of addresses in the ranges */
	bool full_told;
};

static enum ip_family family_of(const struct ip *ip)
{
	return ip_is_v4(ip) ? IP_V4 : IP_V6;
}

static struct owner *owner_of(const struct entry_vips *v, const struct ip *ip)
{
	struct owner *o = NULL;
	HASH_FIND(hh, v->owners, ip, sizeof(*ip), o);
	return o;
}

static void own(struct entry_vips *v, const struct ip *ip, const struct given *pair)
{
	struct owner *o = owner_of(v, ip);
	if (!o) {
		o = mem_new(sizeof(*o));
		o->ip = *ip;
		HASH_ADD(hh, v->owners, ip, sizeof(o->ip), o);
	}
	o->pair = pair;
}

static struct given *given_of(struct entry_vips *v, const char *host)
{
	struct given *p = NULL;
	HASH_FIND_STR(v->pairs, host, p);
	if (p)
		return p;
	size_t len = strlen(host);
	p = mem_new(sizeof(*p) + len + 1);
	memcpy(p->host, host, len + 1);
	HASH_ADD_KEYPTR(hh, v->pairs, p->host, len, p);
	return p;
}

/* A person's addresses: whoever was given one of them gets another. */
static void take_written(struct entry_vips *v, const struct service_entry *s)
{
	for (size_t i = 0; i < s->n_addresses; i++) {
		const struct cidr *c = &s->addresses[i];
		enum ip_family f = family_of(&c->ip);
		struct ip_pool *pool = v->pool[f];
		if (c->bits != 128 || !pool || ip_pool_claim(pool, &c->ip) == IP_POOL_OUTSIDE)
			continue;
		struct owner *o = owner_of(v, &c->ip);
		if (o && o->pair)
			given_of(v, o->pair->host)->has[f] = false;
		own(v, &c->ip, NULL);
	}
}

/* What ENTRY's status says is HOST's, where nobody else has it. */
static void take_given(struct entry_vips *v, const struct service_entry *s, struct given *p)
{
	for (size_t i = 0; i < s->n_vips; i++) {
		const struct ip *ip = &s->vips[i].ip;
		enum ip_family f = family_of(ip);
		if (strcmp(s->vips[i].host, p->host) != 0 || p->has[f] || !v->pool[f] ||
		    owner_of(v, ip) || ip_pool_claim(v->pool[f], ip) != IP_POOL_CLAIMED)
			continue;
		p->ip[f] = *ip;
		p->has[f] = true;
		own(v, ip, p);
	}
}

static void give(struct entry_vips *v, struct given *p)
{
	for (int f = 0; f < N_IP_FAMILIES; f++) {
		if (p->has[f] || !v->pool[f])
			continue;
		p->has[f] = ip_pool_take(v->pool[f], IP_POOL_NEXT, &p->ip[f]);
		if (p->has[f]) {
			own(v, &p->ip[f], p);
			continue;
		}
		if (!v->full_told)
			log_error("local", "no virtual ip is left host=%s family=%s", p->host,
				  f == IP_V4 ? "IPv4" : "IPv6");
		v->full_told = true;
	}
}

static bool is_first(const struct service_entry *s, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (strcmp(s->hosts[k], s->hosts[i]) == 0)
			return false;
	return true;
}

/* Calls EACH for the addresses as the status has to list them, until it says false; false then. */
static bool each_wanted(struct entry_vips *v, const struct object *o,
			bool (*each)(void *ctx, const char *host, const struct ip *ip), void *ctx)
{
	const struct service_entry *s = o->service_entry;
	for (size_t i = 0; s->hosts[i]; i++) {
		if (!entry_wants_vip(o, s->hosts[i]) || !is_first(s, i))
			continue;
		const struct given *g = given_of(v, s->hosts[i]);
		for (int f = 0; f < N_IP_FAMILIES; f++)
			if (g->has[f] && !each(ctx, g->host, &g->ip[f]))
				return false;
	}
	return true;
}

struct comparing {
	const struct service_entry *s;
	size_t n;
};

static bool compare(void *ctx, const char *host, const struct ip *ip)
{
	struct comparing *c = ctx;
	const struct entry_vip *is = &c->s->vips[c->n];
	return c->n++ < c->s->n_vips && ip_eq(&is->ip, ip) && strcmp(is->host, host) == 0;
}

static bool append(void *ctx, const char *host, const struct ip *ip)
{
	char text[ADDR_TEXT];
	json_array_append_new(ctx,
			      json_pack("{s:s, s:s}", "value", ip_text(ip, text), "host", host));
	return true;
}

static void write_status(struct entry_vips *v, const struct object *o)
{
	struct comparing c = {.s = o->service_entry};
	if (each_wanted(v, o, compare, &c) && c.n == c.s->n_vips)
		return; /* of ten thousand, all but one */
	json_t *root = json_loadb(o->json.at, o->json.len, 0, NULL), *list = json_array();
	json_t *status = json_object_get(root, "status");
	if (!status) {
		status = json_object();
		json_object_set_new(root, "status", status);
	}
	(void)each_wanted(v, o, append, list); /* it goes to the end */
	json_object_set_new(status, "addresses", list);
	char *text = json_dumps(status, JSON_COMPACT);
	(void)reconciler_write_status(v->r.store, o, slice_of(text)); /* told in there */
	free(text);
	json_decref(root);
}

static int by_age(const void *a, const void *b)
{
	const struct object *const *x = a, *const *y = b;
	return object_older(*x, *y) ? -1 : object_older(*y, *x);
}

static void each_host(struct entry_vips *v, const struct object_list *all, bool give_new)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct service_entry *s = all->at[i]->service_entry;
		for (const char *const *host = s->hosts; *host; host++) {
			if (!entry_wants_vip(all->at[i], *host))
				continue;
			if (give_new)
				give(v, given_of(v, *host));
			else
				take_given(v, s, given_of(v, *host));
		}
	}
}

static void run(struct reconciler *r)
{
	struct entry_vips *v = CONTAINER_OF(r, struct entry_vips, r);
	struct object_list all = store_list(r->store, KIND_SERVICE_ENTRY, NULL, NULL, NULL);
	if (all.n)
		qsort(all.at, all.n, sizeof(struct object *), by_age);
	v->full_told = false;
	for (size_t i = 0; i < all.n; i++)
		take_written(v, all.at[i]->service_entry);
	each_host(v, &all, false);
	each_host(v, &all, true);
	for (size_t i = 0; i < all.n; i++)
		write_status(v, all.at[i]);
	object_list_free(&all);
}

static struct ip_pool *pool_of(const char *range)
{
	struct cidr c;
	MUST(cidr_parse(slice_of(range), &c));
	return ip_pool_new(&c, 1); /* from the first address behind the network's own */
}

struct entry_vips *entry_vips_start(struct loop *loop, struct store *store, bool ipv6)
{
	struct entry_vips *v = mem_new(sizeof(*v));
	v->pool[IP_V4] = pool_of(ENTRY_VIPS_V4);
	v->pool[IP_V6] = ipv6 ? pool_of(ENTRY_VIPS_V6) : NULL;
	v->r = (struct reconciler){
		.loop = loop, .store = store, .kinds = 1u << KIND_SERVICE_ENTRY, .run = run};
	reconciler_start(&v->r);
	return v;
}

void entry_vips_stop(struct entry_vips *v)
{
	if (!v)
		return;
	reconciler_stop(&v->r);
	TABLE_DRAIN(v->owners, free);
	TABLE_DRAIN(v->pairs, free);
	for (int f = 0; f < N_IP_FAMILIES; f++)
		ip_pool_free(v->pool[f]);
	free(v);
}
