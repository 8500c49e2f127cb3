#include "local/entry_vips.h"

#include <bsd/sys/queue.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "local/ip_pool.h"
#include "local/reconcile.h"
#include "model/view.h"

/* As many numbers does a name lead to by itself; then come those behind the last one. */
enum { N_TRIES = 8 };

/* A host and what it was given. */
struct given {
	UT_hash_handle hh;
	TAILQ_ENTRY(given) link; /* of `wanted` or of `gone` */
	bool is_gone;
	struct ip ip[N_IP_FAMILIES];
	bool has[N_IP_FAMILIES];
	uint64_t run;  /* the last one in which an entry wanted it */
	uint64_t walk; /* the last walk over an entry's hosts that met it */
	uint32_t hash;
	char host[];
};
TAILQ_HEAD(given_list, given);

/* An address that a host has. */
struct owner {
	UT_hash_handle hh;
	struct ip ip;
	struct given *host;
};

/* An address in the ranges that a person wrote. */
struct written {
	UT_hash_handle hh;
	struct ip ip;
	uint64_t run; /* the last one in which it stood in an entry */
};

struct entry_vips {
	struct reconciler r;
	struct cidr range[N_IP_FAMILIES];
	struct ip_pool *pool[N_IP_FAMILIES]; /* NULL: the node does not have the family */
	uint32_t n_numbers;                  /* of a range, from 1, that names lead to */
	struct given *pairs;
	struct given_list wanted; /* each run moves what it meets to the end */
	struct given_list gone;   /* the first one has been gone longest */
	struct owner *owners;
	struct written *written;
	uint64_t run, walk;
	bool full[N_IP_FAMILIES]; /* told */
};

static enum ip_family family_of(const struct ip *ip)
{
	return ip_is_v4(ip) ? IP_V4 : IP_V6;
}

/* Who has which address. */

static struct owner *owner_of(const struct entry_vips *v, const struct ip *ip)
{
	struct owner *o = NULL;
	HASH_FIND(hh, v->owners, ip, sizeof(*ip), o);
	return o;
}

static void own(struct entry_vips *v, struct given *g, const struct ip *ip)
{
	struct owner *o = mem_new(sizeof(*o));
	enum ip_family f = family_of(ip);
	g->has[f] = true;
	g->ip[f] = o->ip = *ip;
	o->host = g;
	HASH_ADD(hh, v->owners, ip, sizeof(o->ip), o);
}

/* Hosts: wanted by an entry, gone for now, forgotten. */

static struct given *find(const struct entry_vips *v, const char *host)
{
	struct given *g = NULL;
	HASH_FIND_STR(v->pairs, host, g);
	return g;
}

static struct given *given_of(struct entry_vips *v, const char *host)
{
	struct given *g = find(v, host);
	if (g)
		return g;
	size_t len = strlen(host);
	g = mem_new(sizeof(*g) + len + 1);
	memcpy(g->host, host, len + 1);
	g->hash = fnv1a(FNV1A, slice_of(host));
	HASH_ADD_KEYPTR(hh, v->pairs, g->host, len, g);
	TAILQ_INSERT_TAIL(&v->wanted, g, link);
	return g;
}

static void forget(struct entry_vips *v, struct given *g)
{
	TAILQ_REMOVE(&v->gone, g, link);
	HASH_DELETE(hh, v->pairs, g);
	free(g);
}

/* The pool still counts the address as taken. Who is gone and has none any more is forgotten. */
static void disown(struct entry_vips *v, struct given *g, enum ip_family f)
{
	struct owner *o = owner_of(v, &g->ip[f]);
	MUST(o && o->host == g);
	HASH_DELETE(hh, v->owners, o);
	free(o);
	g->has[f] = false;
	if (g->is_gone && !g->has[IP_V4] && !g->has[IP_V6])
		forget(v, g);
}

static void meet(struct entry_vips *v, struct given *g)
{
	if (g->run == v->run)
		return;
	g->run = v->run;
	TAILQ_REMOVE(g->is_gone ? &v->gone : &v->wanted, g, link);
	TAILQ_INSERT_TAIL(&v->wanted, g, link);
	g->is_gone = false;
}

/* Those whom this run has not met. */
static void part_with_others(struct entry_vips *v)
{
	struct given *g;
	/* The analyzer does not see that TAILQ_REMOVE took G out. */
	while ((g = TAILQ_FIRST(&v->wanted)) &&
	       g->run != v->run) { /* NOLINT(clang-analyzer-unix.Malloc) */
		TAILQ_REMOVE(&v->wanted, g, link);
		TAILQ_INSERT_TAIL(&v->gone, g, link);
		g->is_gone = true;
		if (!g->has[IP_V4] && !g->has[IP_V6])
			forget(v, g);
	}
}

/* The next host from *AT on that O wants virtual IPs for, each of them once; NULL: that was the last.
 * One walk at a time: it begins with *AT 0. */
static struct given *next_wanted(struct entry_vips *v, const struct object *o, size_t *at)
{
	const char *const *hosts = o->service_entry->hosts;
	if (*at == 0)
		v->walk++;
	while (hosts[*at]) {
		const char *host = hosts[(*at)++];
		struct given *g = entry_wants_vip(o, host) ? given_of(v, host) : NULL;
		if (!g || g->walk == v->walk)
			continue;
		g->walk = v->walk;
		return g;
	}
	return NULL;
}

/* What stands in the store. */

/* A person's address: whoever was given it gets another. */
static void take_written_ip(struct entry_vips *v, const struct ip *ip)
{
	enum ip_family f = family_of(ip);
	struct written *w = NULL;
	if (!v->pool[f] || ip_pool_claim(v->pool[f], ip) == IP_POOL_OUTSIDE)
		return;
	struct owner *o = owner_of(v, ip);
	if (o)
		disown(v, o->host, f);
	HASH_FIND(hh, v->written, ip, sizeof(*ip), w);
	if (!w) {
		w = mem_new(sizeof(*w));
		w->ip = *ip;
		HASH_ADD(hh, v->written, ip, sizeof(w->ip), w);
	}
	w->run = v->run;
}

static void take_written(struct entry_vips *v, const struct object_list *all)
{
	struct written *w, *next;
	for (size_t i = 0; i < all->n; i++) {
		const struct service_entry *s = all->at[i]->service_entry;
		for (size_t k = 0; k < s->n_addresses; k++)
			if (s->addresses[k].bits == IP_BITS)
				take_written_ip(v, &s->addresses[k].ip);
	}
	HASH_ITER (hh, v->written, w, next) {
		if (w->run == v->run)
			continue;
		ip_pool_release(v->pool[family_of(&w->ip)], &w->ip);
		HASH_DELETE(hh, v->written, w);
		free(w);
	}
}

/* What O's status says is the host's, where nobody else has it. */
static void take_given(struct entry_vips *v, const struct object *o)
{
	const struct service_entry *s = o->service_entry;
	struct given *g;
	for (size_t at = 0; (g = next_wanted(v, o, &at));)
		meet(v, g);
	for (size_t i = 0; i < s->n_vips; i++) {
		const struct ip *ip = &s->vips[i].ip;
		enum ip_family f = family_of(ip);
		g = find(v, s->vips[i].host);
		if (g && g->walk == v->walk && !g->has[f] && v->pool[f] &&
		    !ip_eq(ip, &v->range[f].ip) && ip_pool_claim(v->pool[f], ip) == IP_POOL_CLAIMED)
			own(v, g, ip);
	}
}

/* Giving. */

/* The number that the name leads to at that TRY. */
static uint32_t number_of(const struct entry_vips *v, const struct given *g, unsigned try)
{
	char more = (char)try;
	uint32_t h = try ? fnv1a(g->hash, (struct slice){&more, 1}) : g->hash;
	return 1 + h % v->n_numbers;
}

static void give_own(struct entry_vips *v, struct given *g, enum ip_family f, unsigned try)
{
	struct ip ip = cidr_nth(&v->range[f], number_of(v, g, try));
	if (ip_pool_claim(v->pool[f], &ip) == IP_POOL_CLAIMED)
		own(v, g, &ip);
}

/* False: all are in use. */
static bool give_any(struct entry_vips *v, struct given *g, enum ip_family f)
{
	struct ip ip;
	struct given *longest;
	if (ip_pool_take(v->pool[f], number_of(v, g, N_TRIES - 1) - 1, &ip)) {
		own(v, g, &ip);
		return true;
	}
	TAILQ_FOREACH (longest, &v->gone, link)
		if (longest->has[f])
			break;
	if (!longest)
		return false;
	ip = longest->ip[f];
	disown(v, longest, f);
	own(v, g, &ip);
	return true;
}

static bool lacks(const struct entry_vips *v, const struct given *g, enum ip_family f)
{
	return v->pool[f] && !g->has[f];
}

static int by_host(const void *a, const void *b)
{
	const struct given *const *x = a, *const *y = b;
	return strcmp((*x)->host, (*y)->host);
}

static void tell_full(struct entry_vips *v, enum ip_family f, size_t n_without, const char *one)
{
	bool full = n_without > 0;
	if (full && !v->full[f])
		log_error("local", "no virtual ip is left family=%s hosts_without=%zu one=%s",
			  f == IP_V4 ? "IPv4" : "IPv6", n_without, one);
	else if (!full && v->full[f])
		log_info("local", "every host has a virtual ip again family=%s",
			 f == IP_V4 ? "IPv4" : "IPv6");
	v->full[f] = full;
}

/* Where all of NEW's names lead to first, before anybody's second: who takes another way by a collision
 * is then in nobody's first one. */
static void give_family(struct entry_vips *v, struct given **new, size_t n, enum ip_family f)
{
	const char *one = NULL;
	size_t n_without = 0;
	for (unsigned try = 0; try < N_TRIES; try++)
		for (size_t i = 0; i < n; i++)
			if (lacks(v, new[i], f))
				give_own(v, new[i], f, try);
	for (size_t i = 0; i < n; i++) {
		if (!lacks(v, new[i], f) || give_any(v, new[i], f))
			continue;
		n_without++;
		one = new[i]->host;
	}
	tell_full(v, f, n_without, one);
}

static void give_all(struct entry_vips *v)
{
	struct given *g, **new = NULL;
	size_t n = 0, size = 0;
	TAILQ_FOREACH (g, &v->wanted, link) {
		if (!lacks(v, g, IP_V4) && !lacks(v, g, IP_V6))
			continue;
		if (n == size) {
			size = size ? size * 2 : 16;
			new = mem_grow(new, size, sizeof(struct given *));
		}
		new[n++] = g;
	}
	if (n)
		qsort(new, n, sizeof(struct given *), by_host);
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++)
		give_family(v, new, n, f);
	free(new);
}

/* Writing it down. */

/* Calls EACH for the addresses as the status has to list them, until it says false; false then. */
static bool each_wanted(struct entry_vips *v, const struct object *o,
			bool (*each)(void *ctx, const char *host, const struct ip *ip), void *ctx)
{
	const struct given *g;
	for (size_t at = 0; (g = next_wanted(v, o, &at));)
		for (int f = 0; f < N_IP_FAMILIES; f++)
			if (g->has[f] && !each(ctx, g->host, &g->ip[f]))
				return false;
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

static void run(struct reconciler *r)
{
	struct entry_vips *v = CONTAINER_OF(r, struct entry_vips, r);
	struct object_list all = store_list(r->store, KIND_SERVICE_ENTRY, NULL, NULL, NULL);
	if (all.n)
		qsort(all.at, all.n, sizeof(struct object *), by_age);
	v->run++;
	take_written(v, &all);
	for (size_t i = 0; i < all.n; i++)
		take_given(v, all.at[i]);
	part_with_others(v);
	give_all(v);
	for (size_t i = 0; i < all.n; i++)
		write_status(v, all.at[i]);
	object_list_free(&all);
}

/* IP may be one that the mesh gives. */
static bool is_given(const struct ip *ip)
{
	static const char *const texts[] = {ENTRY_VIPS_V4, ENTRY_VIPS_V6};
	struct cidr range;
	for (size_t i = 0; i < N_ELEMS(texts); i++)
		if (cidr_parse(slice_of(texts[i]), &range) && cidr_has(&range, ip))
			return true;
	return false;
}

struct object *entry_vips_admit(const struct object *entry, bool is_new, struct err *err)
{
	const struct service_entry *s = entry->service_entry;
	if (!slice_contains(entry->json, SLICE("\"status\"")))
		return object_get(entry); /* as nearly all of them */
	json_t *list = json_array();
	for (size_t i = 0; is_new && i < s->n_vips; i++)
		if (is_given(&s->vips[i].ip))
			(void)append(list, s->vips[i].host, &s->vips[i].ip); /* to the end */
	bool any = json_array_size(list) > 0;
	json_t *status = json_pack("{s:o}", "addresses", list);
	char *text = any ? json_dumps(status, JSON_COMPACT) : NULL;
	struct object *fit = object_with(entry, "status", slice_of(text), err);
	free(text);
	json_decref(status);
	return fit;
}

/* From the first address behind the network's own. */
static struct ip_pool *pool_of(const char *text, struct cidr *range)
{
	MUST(cidr_parse(slice_of(text), range));
	return ip_pool_new(range, 1);
}

struct entry_vips *entry_vips_start(struct loop *loop, struct store *store, const char *v4,
				    const char *v6)
{
	struct entry_vips *v = mem_new(sizeof(*v));
	TAILQ_INIT(&v->wanted);
	TAILQ_INIT(&v->gone);
	v->pool[IP_V4] = pool_of(v4, &v->range[IP_V4]);
	if (v6)
		v->pool[IP_V6] = pool_of(v6, &v->range[IP_V6]);
	/* Those that both families have: neither the network's own nor the last one, IPv4's broadcast
	 * address. */
	unsigned host_bits = (unsigned)IP_BITS - v->range[IP_V4].bits;
	MUST(host_bits > 1);
	v->n_numbers = (UINT32_C(1) << (host_bits < 16 ? host_bits : 16)) - 2;
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
	TABLE_DRAIN(v->written, free);
	TABLE_DRAIN(v->pairs, free);
	for (int f = 0; f < N_IP_FAMILIES; f++)
		ip_pool_free(v->pool[f]);
	free(v);
}
