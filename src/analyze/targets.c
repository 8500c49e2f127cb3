/* Several Services before one port of a Pod; ports that no container has. */
#include <string.h>

#include "analyze/inside.h"

static const char *declares(const struct analysis *a, const struct view_port *p)
{
	return p->protocol == PROTO_AUTO ? "nothing" : say(a, "%s", protocol_name(p->protocol));
}

/* OLD's Service was made before NEW's, and both lead to one port of a group. */
static void check_pair(struct analysis *a, const struct target *old, const struct target *new)
{
	enum proto_class was = protocol_class(old->port->protocol);
	enum proto_class is = protocol_class(new->port->protocol);
	const char *group = group_name(a, new->group);
	const struct object *o = new->port->service->object;
	struct said said = {
		.text = say(a, "port %u leads to port %u of %s, and so does %s",
			    new->port->port->port, new->number, group, port_name(a, old->port)),
		.why = say(a,
			   "%s declares %s, this one %s; the oldest Service counts (of equal age, "
			   "the first by name)",
			   port_name(a, old->port), declares(a, old->port), declares(a, new->port)),
	};
	if (was == is) {
		if (old->port->port->port == new->port->port->port)
			return; /* the same thing under two names */
		said.why = "from different ports of two Services";
		said.effect = "what is configured for one port is met under the other as well";
		said.mend = "one port for each number of the container, if that is not meant";
		finding_add(a, CHECK_TARGET_SHARED, o, port_path(a, new->port), &said);
		return;
	}
	said.effect =
		say(a,
		    "inbound the port is treated as the older Service says (%s), outbound as the "
		    "one that is dialled says",
		    declares(a, old->port));
	said.mend = "declare the same protocol in both";
	bool half = was == CLASS_AUTO || is == CLASS_AUTO;
	enum protocol word = was == CLASS_AUTO ? new->port->protocol : old->port->protocol;
	const struct view_port *change = was == CLASS_AUTO ? old->port : new->port;
	said.yaml = say(a, "# Service %s/%s\nspec:\n  ports:\n  - port: %u\n    appProtocol: %s\n",
			change->service->object->meta.ns, change->service->object->meta.name,
			change->port->port, protocol_name(word));
	finding_add(a, half ? CHECK_TARGET_HALF : CHECK_TARGET_CLASH, o, port_path(a, new->port),
		    &said);
}

static void check_target(struct analysis *a, const struct target *t)
{
	const struct target *oldest = t->number ? target_of(a, t->group, t->number) : NULL;
	if (oldest && oldest->port->service != t->port->service)
		check_pair(a, oldest, t);
}

/* A name that no container of any Pod behind the Service has. */
static void check_named(struct analysis *a, const struct view_port *p)
{
	size_t found = 0;
	struct names groups;
	names_init(&groups, a);
	for (size_t i = 0; i < a->n_targets; i++)
		if (a->targets[i].port == p) {
			found += a->targets[i].number != 0;
			names_add(&groups, group_name(a, a->targets[i].group));
		}
	const char *shown = names_end(&groups);
	if (!shown || found)
		return;
	finding_add(a, CHECK_TARGET_MISSING, p->service->object,
		    say(a, "%s.targetPort", port_path(a, p)),
		    &(struct said){
			    .text = say(a, "no container has a port named \"%s\"",
					p->port->target_port.name),
			    .why = say(a, "the Service selects %s", shown),
			    .effect = say(a, "port %u has no endpoint: who connects is refused",
					  p->port->port),
			    .mend = "give the container's port that name, or use its number",
			    .yaml = say(a, "ports:\n- name: %s\n  containerPort: NUMBER\n",
					p->port->target_port.name),
		    });
}

void analyze_targets(struct analysis *a)
{
	for (size_t i = 0; i < a->n_targets; i++)
		check_target(a, &a->targets[i]);
	for (size_t i = 0; i < a->n_services; i++)
		for (size_t k = 0; k < a->services[i]->n_ports; k++)
			check_named(a, &a->services[i]->ports[k]);
}
