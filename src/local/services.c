#include "local/services.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "local/reconcile.h"
#include "local/service_ips.h"

struct services {
	struct reconciler r;
	const struct node *node;
};

static void give(struct services *s, struct service_ips *ips, struct object *svc)
{
	struct err err = {0};
	struct object *full = service_ips_fill(ips, svc, &err);
	if (!full || !store_apply(s->r.store, full, STORE_REPLACE, 0, NULL, &err))
		log_error("local", "no virtual ip service=%s/%s error=\"%s\"", svc->meta.ns,
			  svc->meta.name, err.text);
	object_put(full);
}

static bool is_wanting(const void *ips, const struct object *svc)
{
	return service_ips_wanting(ips, svc);
}

static bool concerns(struct reconciler *r, const struct store_event *ev)
{
	struct services *s = CONTAINER_OF(r, struct services, r);
	return ev->type != STORE_DELETED && service_ips_wants(ev->object, s->node->ipv6);
}

static void run(struct reconciler *r)
{
	struct services *s = CONTAINER_OF(r, struct services, r);
	struct service_ips ips;

	service_ips_init(&ips, &s->node->cfg, s->node->ipv6, r->store);
	struct object_list wanting = store_list(r->store, KIND_SERVICE, NULL, is_wanting, &ips);
	for (size_t i = 0; i < wanting.n; i++)
		give(s, &ips, wanting.at[i]);
	object_list_free(&wanting);
	service_ips_fini(&ips);
}

struct services *services_start(const struct node *node, struct store *store)
{
	struct services *s = mem_new(sizeof(*s));
	s->node = node;
	s->r = (struct reconciler){.loop = node->loop,
				   .store = store,
				   .kinds = 1u << KIND_SERVICE,
				   .concerns = concerns,
				   .run = run};
	reconciler_start(&s->r);
	return s;
}

void services_stop(struct services *s)
{
	if (!s)
		return;
	reconciler_stop(&s->r);
	free(s);
}
