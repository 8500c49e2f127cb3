/* Sidecars: whether what they list is what Services lead to, and whose their sockets are. */
#include <string.h>

#include "analyze/inside.h"

static const struct sidecar_ingress *row_of(const struct object *o, uint16_t port)
{
	for (size_t i = 0; i < o->sidecar->n_ingress; i++)
		if (o->sidecar->ingress[i].port == port)
			return &o->sidecar->ingress[i];
	return NULL;
}

/* Services lead to ports of G that O, which is in force there, does not list. */
static void check_unlisted(struct analysis *a, const struct object *o, const struct group *g)
{
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		if (t->group != g || !t->number || row_of(o, t->number))
			continue;
		finding_add(
			a, CHECK_INGRESS_UNLISTED, o, "spec.ingress",
			&(struct said){
				.text = say(a, "%s leads to port %u, which is not listed",
					    port_name(a, t->port), t->number),
				.why = "where a Sidecar has ingress, only what it lists counts as "
				       "the workload's ports",
				.effect = "what the Service declares of the port is not followed: "
					  "both ends are listened to. Elsewhere a server that "
					  "speaks first stalls there",
				.affected = group_name(a, g),
				.mend = "list the port",
				.yaml = say(a, "spec:\n  ingress:\n  - port:\n      number: %u\n",
					    t->number),
			});
	}
}

static const char *place(struct analysis *a, const struct object *o,
			 const struct sidecar_ingress *row, const char *member)
{
	return say(a, "spec.ingress[%zu].%s", (size_t)(row - o->sidecar->ingress), member);
}

static void check_untargeted(struct analysis *a, const struct object *o, const struct group *g)
{
	for (size_t i = 0; i < o->sidecar->n_ingress; i++) {
		const struct sidecar_ingress *row = &o->sidecar->ingress[i];
		if (target_of(a, g, row->port))
			continue;
		finding_add(a, CHECK_INGRESS_UNTARGETED, o, place(a, o, row, "port"),
			    &(struct said){
				    .text = say(a, "no Service leads to port %u of %s", row->port,
						group_name(a, g)),
				    .why = "the number is the workload's: a Service's targetPort, "
					   "not its port",
				    .effect = "only who dials a Pod's own address comes in there",
				    .mend = "let a Service's targetPort be that number",
			    });
	}
}

/* On a running mesh it is known which addresses there are. */
static void check_bind(struct analysis *a, const struct object *o,
		       const struct sidecar_ingress *row)
{
	const struct object_set *pods = &a->sets[KIND_POD];
	char text[ADDR_TEXT];
	if (!a->live || !row->has_bind)
		return;
	for (size_t i = 0; i < pods->n; i++)
		for (int f = 0; f < N_IP_FAMILIES; f++)
			if (strcmp(pods->at[i]->meta.ns, o->meta.ns) == 0 &&
			    pods->at[i]->pod->has_ip[f] &&
			    ip_eq(&pods->at[i]->pod->ip[f], &row->bind))
				return;
	finding_add(a, CHECK_INGRESS_BIND, o, place(a, o, row, "bind"),
		    &(struct said){
			    .text = say(a, "no Pod of the namespace has the address %s",
					ip_text(&row->bind, text)),
			    .effect = say(a, "the row of port %u is never in force", row->port),
			    .mend = "leave bind out: the port counts on all addresses of a Pod",
		    });
}

/* Sockets that V's workload dials instead of hosts. */
static void check_sockets(struct analysis *a, const struct view *v, const struct group *g)
{
	const struct object *o = view_sidecar(v);
	size_t n = 0;
	char text[ADDR_TEXT];
	const struct view_listener *all = view_listeners(v, &n);
	for (size_t i = 0; i < n; i++) {
		const struct view_listener *l = &all[i];
		const char *at = say(a, "%s", addr_text(&l->at, text));
		const char *path =
			say(a, "spec.egress[%zu].hosts", (size_t)(l->by - o->sidecar->egress));
		if (!l->port)
			finding_add(
				a, CHECK_SOCKET_NOBODY, o, path,
				&(struct said){
					.text = say(a, "no host that is named for %s has port %u",
						    at, l->at.port),
					.why = "it takes a Service or ServiceEntry with the "
					       "port, and of an entry a resolution but NONE",
					.effect = "the socket is not opened",
					.affected = group_name(a, g),
					.mend = "name a host that has the port",
				});
		else if (l->n_hosts > 1)
			finding_add(a, CHECK_SOCKET_SEVERAL, o, path,
				    &(struct said){
					    .text = say(a, "%zu hosts are named for %s", l->n_hosts,
							at),
					    .why = "nothing that a client says there can tell "
						   "which is meant",
					    .effect = say(a,
							  "all connections to it are %s's, the "
							  "oldest's",
							  l->port->service->host),
					    .affected = group_name(a, g),
					    .mend = "name one host, or give each a bind of its own",
				    });
	}
}

static bool needs_views(const struct sidecar *s)
{
	bool any = s->n_ingress > 0;
	for (size_t i = 0; i < s->n_egress; i++)
		any = any || s->egress[i].binds;
	return any;
}

void analyze_sidecars(struct analysis *a)
{
	const struct object_set *set = &a->sets[KIND_SIDECAR];
	bool any = false;
	for (size_t i = 0; i < set->n; i++) {
		any = any || needs_views(set->at[i]->sidecar);
		for (size_t k = 0; k < set->at[i]->sidecar->n_ingress; k++)
			check_bind(a, set->at[i], &set->at[i]->sidecar->ingress[k]);
	}
	for (size_t i = 0; any && i < a->n_groups; i++) {
		const struct group *g = &a->groups[i];
		struct standpoint at = {g->by->meta.ns, g->pod->meta.name};
		struct view *v = g->has_sidecar ? world_view(a, &at) : NULL;
		const struct object *o = v ? view_sidecar(v) : NULL;
		if (o && o->sidecar->n_ingress) {
			check_unlisted(a, o, g);
			check_untargeted(a, o, g);
		}
		if (o)
			check_sockets(a, v, g);
		view_put(v);
	}
}
