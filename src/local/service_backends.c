#include "local/service_backends.h"

#include <string.h>

void service_slices(const struct store *store, const char *ns, const char *service,
		    void (*each)(void *ctx, const struct endpoint_slice *slice), void *ctx)
{
	size_t n = 0;
	struct object *const *all = store_slices(store, ns, service, &n);
	for (size_t i = 0; i < n; i++)
		each(ctx, all[i]->endpoint_slice);
}

struct gather {
	const struct service_port *port;
	enum ip_family family;
	bool ending; /* collect those that end and serve, instead of the ready ones */
	struct addr *out;
	size_t n, max;
};

static void add(struct gather *g, const struct ip *ip, uint16_t port)
{
	struct addr at = {.ip = *ip, .port = port};
	for (size_t i = 0; i < g->n; i++)
		if (addr_eq(&g->out[i], &at))
			return;
	if (g->n < g->max)
		g->out[g->n++] = at;
}

static void gather_slice(void *ctx, const struct endpoint_slice *slice)
{
	struct gather *g = ctx;
	uint16_t port = 0;

	if (slice->family != g->family)
		return;
	for (size_t i = 0; i < slice->n_ports; i++)
		if (slice->ports[i].protocol == g->port->protocol &&
		    strcmp(slice->ports[i].name, g->port->name) == 0)
			port = slice->ports[i].port;
	for (size_t i = 0; port && i < slice->n_endpoints; i++) {
		const struct endpoint *ep = &slice->endpoints[i];
		if (g->ending ? ep->serving && ep->terminating : ep->ready)
			add(g, &ep->ip, port);
	}
}

size_t service_backends(const struct store *store, const struct object *svc,
			const struct service_port *port, enum ip_family family, struct addr *out,
			size_t max)
{
	struct gather g = {.port = port, .family = family, .out = out, .max = max};
	service_slices(store, svc->meta.ns, svc->meta.name, gather_slice, &g);
	if (g.n == 0) {
		g.ending = true;
		service_slices(store, svc->meta.ns, svc->meta.name, gather_slice, &g);
	}
	return g.n;
}
