#include "local/vips.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/name_set.h"
#include "local/reconcile.h"
#include "local/service_backends.h"
#include "local/vip_table.h"

enum {
	RULES_MAX = 256 * 1024 * 1024,
	AGAIN_FIRST_MS = 100, /* after rules were refused, doubling */
	AGAIN_MAX_MS = 10000,
};

struct vips {
	struct reconciler r;
	struct nft_runner *runner;
	struct vip_table *table;
	struct name_set dirty; /* Services to look at again */
	bool pods_dirty;
	struct timer again;
	unsigned n_failures; /* in a row */
};

/* What to look at again. */

static void all_dirty(struct vips *v)
{
	size_t n = 0;
	struct object *const *all = store_all(v->r.store, KIND_SERVICE, NULL, &n);
	for (size_t i = 0; i < n; i++)
		name_set_add(&v->dirty, all[i]->meta.ns, all[i]->meta.name);
}

static bool note_slice(struct vips *v, const struct object *slice)
{
	if (!slice || !slice->endpoint_slice->service[0])
		return false;
	name_set_add(&v->dirty, slice->meta.ns, slice->endpoint_slice->service);
	return true;
}

static bool same_ips(const struct pod *a, const struct pod *b)
{
	for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++)
		if (a->has_ip[f] != b->has_ip[f] || (a->has_ip[f] && !ip_eq(&a->ip[f], &b->ip[f])))
			return false;
	return true;
}

static bool concerns(struct reconciler *r, const struct store_event *ev)
{
	struct vips *v = CONTAINER_OF(r, struct vips, r);
	const struct object *o = ev->object;
	if (o->kind == KIND_ENDPOINT_SLICE) {
		bool now = note_slice(v, o);
		return note_slice(v, ev->old) || now;
	}
	if (o->kind == KIND_POD) {
		bool moved = ev->type != STORE_MODIFIED || !same_ips(o->pod, ev->old->pod);
		v->pods_dirty = v->pods_dirty || moved;
		return moved;
	}
	name_set_add(&v->dirty, o->meta.ns, o->meta.name);
	return true;
}

/* Looking. */

/* Room for the ports of one Service and their endpoints. */
struct gathered {
	struct vip_port *ports;
	struct addr *endpoints;
	size_t n, size;
};

static void add_port(struct gathered *g, const struct store *store, const struct object *svc,
		     const struct service_port *port, enum ip_family f)
{
	struct addr room[VIP_ENDPOINTS_MAX];
	size_t n = service_backends(store, svc, port, f, room, VIP_ENDPOINTS_MAX);
	if (n == 0)
		return;
	struct addr *endpoints = mem_array(n, sizeof(*endpoints));
	memcpy(endpoints, room, n * sizeof(*endpoints));
	if (g->n == g->size) {
		g->size = g->size ? 2 * g->size : 4;
		g->ports = mem_grow(g->ports, g->size, sizeof(*g->ports));
	}
	g->ports[g->n++] = (struct vip_port){
		.at = {.ip = svc->service->cluster_ip[f], .port = port->port},
		.protocol = port->protocol,
		.sticky = svc->service->session_affinity_client_ip,
		.endpoints = endpoints,
		.n_endpoints = n,
	};
}

/* False: as vip_table_set(). */
static bool set_service(struct vip_table *t, const struct store *store, const char *ns,
			const char *name)
{
	const struct object *svc = store_get(store, KIND_SERVICE, ns, name);
	struct gathered g = {0};
	for (enum ip_family f = IP_V4; svc && f < N_IP_FAMILIES; f++)
		for (size_t i = 0; svc->service->has_ip[f] && i < svc->service->n_ports; i++)
			if (svc->service->ports[i].protocol != L4_SCTP)
				add_port(&g, store, svc, &svc->service->ports[i], f);
	bool ok = vip_table_set(t, ns, name, g.ports, g.n);
	for (size_t i = 0; i < g.n; i++)
		free((struct addr *)g.ports[i].endpoints);
	free(g.ports);
	return ok;
}

static void set_pods(struct vip_table *t, const struct store *store)
{
	size_t n = 0, n_ips = 0;
	struct object *const *all = store_all(store, KIND_POD, NULL, &n);
	struct ip *ips = mem_array(n * N_IP_FAMILIES + 1, sizeof(*ips));
	for (size_t i = 0; i < n; i++)
		for (enum ip_family f = IP_V4; f < N_IP_FAMILIES; f++)
			if (all[i]->pod->has_ip[f])
				ips[n_ips++] = all[i]->pod->ip[f];
	vip_table_set_pods(t, ips, n_ips);
	free(ips);
}

bool vips_rules(const struct store *store, const struct node_config *cfg, struct buf *out)
{
	struct vip_table *t = vip_table_new(cfg);
	size_t n = 0;
	struct object *const *all = store_all(store, KIND_SERVICE, NULL, &n);
	for (size_t i = 0; i < n; i++)
		/* none is taken away, so nothing becomes free */
		MUST(set_service(t, store, all[i]->meta.ns, all[i]->meta.name));
	set_pods(t, store);
	bool ok = vip_table_commands(t, out);
	vip_table_free(t);
	return ok;
}

/* Applying. */

static void on_again(struct timer *t)
{
	reconciler_kick(&CONTAINER_OF(t, struct vips, again)->r);
}

static void failed(struct vips *v, const char *why)
{
	uint64_t wait_ms = AGAIN_MAX_MS;
	if (v->n_failures < 7 && (uint64_t)AGAIN_FIRST_MS << v->n_failures < wait_ms)
		wait_ms = (uint64_t)AGAIN_FIRST_MS << v->n_failures;
	v->n_failures++;
	log_error("local", "rules of virtual ips not applied error=\"%s\" again_ms=%llu", why,
		  (unsigned long long)wait_ms);
	vip_table_failed(v->table);
	timer_set(v->r.loop, &v->again, wait_ms * NS_PER_MS);
}

static void on_applied(void *ctx, const struct err *err)
{
	struct vips *v = ctx;
	if (err) {
		failed(v, err->text);
		return;
	}
	v->n_failures = 0;
	reconciler_kick(&v->r); /* what has gathered meanwhile */
}

static void run(struct reconciler *r)
{
	struct vips *v = CONTAINER_OF(r, struct vips, r);
	const struct name *n;
	struct buf out;

	if (nft_runner_busy(v->runner) || timer_is_set(&v->again))
		return; /* comes back when that is over */
	struct name_set now = name_set_take(&v->dirty);
	for (n = name_set_first(&now); n; n = name_set_next(n))
		if (!set_service(v->table, r->store, n->ns, n->name)) {
			all_dirty(v);
			reconciler_kick(r);
		}
	name_set_clear(&now);
	if (v->pods_dirty)
		set_pods(v->table, r->store);
	v->pods_dirty = false;
	buf_init(&out, RULES_MAX);
	if (!vip_table_commands(v->table, &out))
		failed(v, "too many services and endpoints");
	else if (buf_len(&out))
		nft_runner_run(v->runner, buf_slice(&out), on_applied, v);
	buf_fini(&out);
}

struct vips *vips_start(const struct node *node, struct store *store, struct nft_runner *runner)
{
	struct vips *v = mem_new(sizeof(*v));
	v->runner = runner;
	v->table = vip_table_new(&node->cfg);
	v->again.fire = on_again;
	v->r = (struct reconciler){.loop = node->loop,
				   .store = store,
				   .kinds = 1u << KIND_SERVICE | 1u << KIND_ENDPOINT_SLICE |
					    1u << KIND_POD,
				   .concerns = concerns,
				   .run = run};
	reconciler_start(&v->r);
	all_dirty(v);
	v->pods_dirty = true;
	return v;
}

bool vips_settled(const struct vips *v)
{
	return !nft_runner_busy(v->runner) && !timer_is_set(&v->again) &&
	       !timer_is_set(&v->r.timer) && !name_set_first(&v->dirty) && !v->pods_dirty;
}

void vips_stop(struct vips *v)
{
	if (!v)
		return;
	reconciler_stop(&v->r);
	timer_cancel(v->r.loop, &v->again);
	name_set_clear(&v->dirty);
	vip_table_free(v->table);
	free(v);
}
