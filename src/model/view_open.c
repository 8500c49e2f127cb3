/* Hosts of ServiceEntries that no address tells: by port, and by the names that clients say or DNS said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/view_inside.h"

struct open_part {
	struct part part;
	const struct open_port *ports; /* by number */
	size_t n;
};

struct part *open_part(struct open_part *o)
{
	return o ? &o->part : NULL;
}

/* Ports as they are gathered, one for each that a host declares. */
struct gathering {
	struct open_port *ports;
	size_t n, size;
};

static bool takes_any(const struct view_port *p)
{
	return p->service->entry->resolution == RESOLUTION_NONE;
}

static void add_port(struct gathering *g, const struct view_port *p)
{
	bool named = protocol_names_host(p->protocol);
	bool undeclared = protocol_class(p->protocol) == CLASS_AUTO;
	if (g->n == g->size) {
		g->size = g->size ? g->size * 2 : 16;
		g->ports = mem_grow(g->ports, g->size, sizeof(*g->ports));
	}
	g->ports[g->n++] = (struct open_port){
		.number = p->port->port,
		.named = named,
		.any = !named && takes_any(p) ? p : NULL,
		.nameless = undeclared && takes_any(p) ? p : NULL,
	};
}

static void gather(void *ctx, void *value)
{
	const struct view_service *s = &((const struct service_part *)value)->service;
	for (size_t i = 0; s->entry->open && i < s->n_ports; i++)
		if (!s->ports[i].hidden)
			add_port(ctx, &s->ports[i]);
}

static int by_number(const void *a, const void *b)
{
	const struct open_port *x = a, *y = b;
	return (x->number > y->number) - (x->number < y->number);
}

static const struct view_port *older(const struct view_port *a, const struct view_port *b)
{
	if (!a || !b)
		return a ? a : b;
	return service_older(b->service, a->service) ? b : a;
}

/* Each number once. */
static void unite(struct gathering *g)
{
	size_t n = 0;
	for (size_t i = 0; i < g->n; i++) {
		const struct open_port *next = &g->ports[i];
		if (n == 0 || g->ports[n - 1].number != next->number) {
			g->ports[n++] = *next;
			continue;
		}
		struct open_port *p = &g->ports[n - 1];
		p->named |= next->named;
		p->any = older(p->any, next->any);
		p->nameless = older(p->nameless, next->nameless);
	}
	g->n = n;
}

struct open_part *open_part_new(const struct shared_map *hosts)
{
	struct gathering g = {0};
	shared_map_each(hosts, gather, &g);
	if (g.n == 0)
		return NULL;
	qsort(g.ports, g.n, sizeof(*g.ports), by_number);
	unite(&g);
	struct open_part *part = part_new(sizeof(*part), g.n * sizeof(*g.ports), 0);
	struct open_port *ports = arena_array(part->part.arena, g.n, sizeof(*ports));
	memcpy(ports, g.ports, g.n * sizeof(*ports));
	part->ports = ports;
	part->n = g.n;
	free(g.ports);
	return part;
}

const struct open_port *view_open_port(const struct view *v, uint16_t number)
{
	struct open_port key = {.number = number};
	if (!v->open)
		return NULL;
	return bsearch(&key, v->open->ports, v->open->n, sizeof(key), by_number);
}

static const struct view_port *port_of(const struct view_service *s, uint16_t number)
{
	for (size_t i = 0; s && s->entry->open && i < s->n_ports; i++)
		if ((number == 0 || s->ports[i].port->port == number) && !s->ports[i].hidden)
			return &s->ports[i];
	return NULL;
}

enum { MAX_NAME = 253 };

/* "A.example.com." -> "a.example.com". False: it can be no host's. */
static bool plain_name(struct slice name, char out[MAX_NAME])
{
	if (name.len == 0 || name.len > MAX_NAME)
		return false;
	for (size_t i = 0; i < name.len; i++)
		out[i] = name.at[i] >= 'A' && name.at[i] <= 'Z' ? (char)(name.at[i] - 'A' + 'a')
								: name.at[i];
	return true;
}

const struct view_port *view_open_host(const struct view *v, struct slice name, uint16_t number)
{
	char lower[MAX_NAME], wild[MAX_NAME + 2];
	if (slice_ends(name, SLICE(".")))
		name.len--;
	if (!v->open || !plain_name(name, lower))
		return NULL;
	struct slice rest = {lower, name.len};
	const struct view_port *found = port_of(view_entry_by_host(v, rest), number);
	while (!found) {
		(void)slice_cut(&rest, '.'); /* the label that the star stands for */
		if (rest.len == 0)
			return NULL;
		int len = snprintf(wild, sizeof(wild), "*.%.*s", SLICE_FMT(rest));
		found = port_of(view_entry_by_host(v, (struct slice){wild, (size_t)len}), number);
	}
	return found;
}
