/* What the own workload may know of: what is exported to its namespace, less what its Sidecar leaves
 * out. */
#include <string.h>

#include "base/mem.h"
#include "model/annotations.h"
#include "model/object_set.h"
#include "model/view_inside.h"

struct scope {
	struct part part;
	const struct mesh_config *mesh; /* the builder's; scopes go when it changes */
	const char *self_ns;            /* "": whoever looks at all of the mesh */
	const struct object *sidecar;   /* in force; NULL: none */
	bool by_port;                   /* it has listeners for single ports */
};

/* Exclusively by labels, then for the namespace, then for the mesh; of several the oldest. */
static unsigned rank_of(const struct view_frame *frame, const struct object *o)
{
	const struct sidecar *s = o->sidecar;
	bool own = strcmp(o->meta.ns, frame->self_ns) == 0;
	bool root = strcmp(o->meta.ns, frame->mesh->root_namespace) == 0;
	bool selects = s->has_selector && s->selector.n;
	if (own && selects)
		return frame->self && pairs_match(&s->selector, &frame->self->meta.labels) ? 3 : 0;
	if (selects)
		return 0;
	return own ? 2 : root ? 1 : 0;
}

static const struct object *sidecar_of(const struct view_frame *frame,
				       const struct object_set *sidecars)
{
	const struct object *found = NULL;
	unsigned best = 0;
	for (size_t i = 0; i < sidecars->n && frame->self_ns[0]; i++) {
		const struct object *o = sidecars->at[i];
		unsigned rank = rank_of(frame, o);
		if (rank > best || (rank && rank == best && object_older(o, found))) {
			found = o;
			best = rank;
		}
	}
	return found;
}

struct scope *scope_new(const struct view_frame *frame, const struct object_set *sidecars)
{
	struct scope *s = part_new(sizeof(*s), strlen(frame->self_ns) + 1, 1);
	s->mesh = frame->mesh;
	s->self_ns = arena_dup(s->part.arena, slice_of(frame->self_ns));
	s->sidecar = sidecar_of(frame, sidecars);
	if (s->sidecar)
		part_hold(&s->part, s->sidecar);
	for (size_t i = 0; s->sidecar && i < s->sidecar->sidecar->n_egress; i++)
		s->by_port = s->by_port || s->sidecar->sidecar->egress[i].port;
	return s;
}

const struct object *scope_sidecar(const struct scope *s)
{
	return s->sidecar;
}

struct part *scope_part(struct scope *s)
{
	return &s->part;
}

static bool exported(const struct scope *s, const char *ns, struct slice to)
{
	return slice_is(to, "*") || slice_is(to, s->self_ns) ||
	       (slice_is(to, ".") && strcmp(ns, s->self_ns) == 0);
}

static bool exported_by_list(const struct scope *s, const char *ns, const char *const *to)
{
	if (!to[0])
		to = s->mesh->service_export_to;
	if (!to[0])
		return true;
	for (; *to; to++)
		if (exported(s, ns, slice_of(*to)))
			return true;
	return false;
}

static bool ns_matches(const struct scope *s, const char *pattern, const char *ns)
{
	if (strcmp(pattern, "*") == 0)
		return true;
	if (strcmp(pattern, ".") == 0)
		pattern = s->self_ns;
	return strcmp(pattern, ns) == 0;
}

/* HOST may have a star of its own. */
static bool host_matches(const char *pattern, const char *host)
{
	struct slice p = slice_of(pattern), h = slice_of(host);
	if (slice_is(p, "*") || slice_eq(p, h))
		return true;
	return slice_starts(p, SLICE("*.")) && slice_ends(h, slice_sub(p, 1, p.len)) &&
	       h.len > p.len - 1;
}

enum said { SAID_NOTHING, SAID_IMPORTED, SAID_EXCLUDED };

static enum said says(const struct scope *s, const struct sidecar_egress *e, const char *ns,
		      const char *host)
{
	enum said said = SAID_NOTHING;
	for (size_t i = 0; i < e->n_hosts; i++) {
		const struct scope_host *h = &e->hosts[i];
		if (!ns_matches(s, h->ns, ns) || !host_matches(h->host, host))
			continue;
		if (h->excluded)
			return SAID_EXCLUDED;
		said = SAID_IMPORTED;
	}
	return said;
}

/* The listeners of PORT say what is known there; where it has none, those without a port do. Listeners
 * with a socket of their own know their hosts as well, and take nothing from others. */
static bool imported(const struct scope *s, const char *ns, const char *host, uint16_t port)
{
	const struct sidecar *sidecar = s->sidecar ? s->sidecar->sidecar : NULL;
	bool found = false;
	uint16_t of = 0;
	if (!sidecar || sidecar->n_egress == 0)
		return true;
	for (size_t i = 0; i < sidecar->n_egress; i++)
		if (port && sidecar->egress[i].port == port && !sidecar->egress[i].binds)
			of = port;
	for (size_t i = 0; i < sidecar->n_egress; i++) {
		const struct sidecar_egress *e = &sidecar->egress[i];
		if (e->port != (e->binds ? port : of))
			continue;
		enum said said = says(s, e, ns, host);
		if (e->binds && said == SAID_IMPORTED)
			return true;
		if (e->binds)
			continue;
		if (said == SAID_EXCLUDED)
			return false;
		found = found || said == SAID_IMPORTED;
	}
	return found;
}

bool scope_listener_has(const struct scope *s, const struct sidecar_egress *e, const char *ns,
			const char *host)
{
	return says(s, e, ns, host) == SAID_IMPORTED;
}

bool scope_has_port(const struct scope *s, const char *ns, const char *host, uint16_t port)
{
	return !s->self_ns[0] || imported(s, ns, host, port);
}

bool scope_has_service(const struct scope *s, const struct object *service, const char *host)
{
	const char *ns = service->meta.ns;
	const struct service *spec = service->service;
	struct slice text = slice_of(pairs_get(&service->meta.annotations, ANNOTATION_EXPORT_TO));
	static const char *const none[] = {NULL};
	bool visible = text.len == 0 && exported_by_list(s, ns, none); /* empty says nothing */
	if (!s->self_ns[0])
		return true;
	for (struct slice rest = text; rest.len && !visible;)
		visible = exported(s, ns, slice_trim(slice_cut(&rest, ',')));
	bool known = imported(s, ns, host, 0);
	for (size_t i = 0; s->by_port && i < spec->n_ports && visible && !known; i++)
		known = imported(s, ns, host, spec->ports[i].port);
	return visible && known;
}

bool scope_has_entry(const struct scope *s, const struct object *entry, const char *host)
{
	const char *ns = entry->meta.ns;
	const struct service_entry *spec = entry->service_entry;
	if (!s->self_ns[0])
		return true;
	bool known = imported(s, ns, host, 0);
	for (size_t i = 0; s->by_port && i < spec->n_ports && !known; i++)
		known = imported(s, ns, host, spec->ports[i].number);
	return known && exported_by_list(s, ns, spec->export_to);
}
