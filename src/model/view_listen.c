/* Sockets that the Sidecar in force has opened for its workload to dial, and whose each is. */
#include <stdlib.h>

#include "base/mem.h"
#include "model/view_inside.h"

/* A host whose endpoints are wherever the client dials cannot be meant by a socket here. */
static bool has_endpoints(const struct view_service *s)
{
	return !s->entry || s->entry->resolution != RESOLUTION_NONE;
}

static void look_at(struct view_listener *l, const struct view *v, const struct view_service *s)
{
	if (!has_endpoints(s) || !scope_listener_has(v->scope, l->by, s->object->meta.ns, s->host))
		return;
	for (size_t i = 0; i < s->n_ports; i++) {
		if (s->ports[i].port->port != l->by->port || s->ports[i].hidden)
			continue;
		l->n_hosts++;
		if (!l->port || service_older(s, l->port->service))
			l->port = &s->ports[i];
	}
}

static void look(struct view *v, struct view_listener *l)
{
	size_t n = 0;
	const struct view_service **all = view_services(v, &n);
	for (size_t i = 0; i < n; i++) {
		const struct meta *meta = &all[i]->object->meta;
		const struct service_part *part =
			view_find_service(v, slice_of(meta->ns), slice_of(meta->name));
		if (part && part->known)
			look_at(l, v, all[i]);
	}
	free(all);
	all = view_entries(v, &n);
	for (size_t i = 0; i < n; i++)
		look_at(l, v, all[i]);
	free(all);
}

void view_build_listeners(struct view *v, struct live *live)
{
	const struct object *o = scope_sidecar(v->scope);
	const struct sidecar *s = o ? o->sidecar : NULL;
	size_t n = 0;
	for (size_t i = 0; s && i < s->n_egress; i++)
		n += s->egress[i].binds;
	if (n == 0)
		return;
	struct view_listener *all = arena_array(v->arena, n, sizeof(*all));
	for (size_t i = 0; i < s->n_egress; i++) {
		const struct sidecar_egress *e = &s->egress[i];
		if (!e->binds)
			continue;
		struct view_listener *l = &all[v->n_listeners++];
		*l = (struct view_listener){.at = {.ip = e->bind, .port = e->port}, .by = e};
		look(v, l);
		if (live)
			l->live = live_socket_get(live, &l->at);
	}
	v->listeners = all;
}

const struct view_listener *view_listeners(const struct view *v, size_t *n)
{
	*n = v->n_listeners;
	return v->listeners;
}

const struct view_listener *view_listener_at(const struct view *v, const struct addr *at)
{
	for (size_t i = 0; i < v->n_listeners; i++) /* as many as a person wrote: few */
		if (v->listeners[i].port && addr_eq(&v->listeners[i].at, at))
			return &v->listeners[i];
	return NULL;
}
