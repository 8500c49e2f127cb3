/* What was learnt, as the declaration to write down. */
#include <string.h>

#include "analyze/inside.h"
#include "model/tree_yaml.h"

/* What an API server adds, and a person does not write. Applied again, a Service keeps its address. */
static void take_out_notes(struct tree *root)
{
	static const char *const notes[] = {"uid",           "resourceVersion",
					    "generation",    "creationTimestamp",
					    "managedFields", "selfLink"};
	struct tree *meta = tree_get(root, "metadata");
	for (size_t i = 0; i < N_ELEMS(notes); i++)
		tree_set(meta, slice_of(notes[i]), NULL);
	struct tree *spec = tree_get(root, "spec"), *ip = tree_get(spec, "clusterIP");
	if (ip && !slice_is(ip->text, "None")) {
		tree_set(spec, SLICE("clusterIP"), NULL);
		tree_set(spec, SLICE("clusterIPs"), NULL);
	}
	tree_set(root, SLICE("status"), NULL);
}

/* P as it stands in the Service's tree; NULL: it is not there. */
static struct tree *port_in(struct tree *root, const struct view_port *p)
{
	struct tree *ports = tree_get(tree_get(root, "spec"), "ports");
	struct tree *port = ports ? ports->first : NULL;
	for (const struct service_port *at = p->service->object->service->ports;
	     port && at != p->port; at++)
		port = port->next;
	return port;
}

/* The word for port P of the tree; NULL: nothing is to be declared. */
static const char *word_for(const struct analysis *a, const struct view_port *p, struct talk *talk)
{
	*talk = talk_of(a, p);
	return protocol_class(p->protocol) == CLASS_AUTO && talk->seen ? talk->declare : NULL;
}

static bool suggest(const struct analysis *a, const struct view_service *s, struct buf *out,
		    size_t *n)
{
	const struct object *o = s->object;
	struct tree *root = NULL;
	struct talk talk;
	size_t words = 0;
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct view_port *p = &s->ports[i];
		const char *word = word_for(a, p, &talk);
		if (!word && talk.seen && protocol_class(p->protocol) == CLASS_AUTO)
			(void)buf_printf(out, "# %s: nothing true can be declared: %s\n",
					 port_name(a, p), talk.why);
		words += word != NULL;
	}
	if (words == 0 || !tree_from_json(a->arena, o->json, &root, NULL))
		return true;
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct view_port *p = &s->ports[i];
		const char *word = word_for(a, p, &talk);
		struct tree *port = port_in(root, p);
		if (!word || !port)
			continue;
		tree_set(port, SLICE("appProtocol"), tree_string(a->arena, slice_of(word)));
		(void)buf_printf(out, "# %s: %s\n", port_name(a, p), talk.why);
	}
	take_out_notes(root);
	*n += words;
	return buf_puts(out, "---\n") && tree_write_yaml(root, out);
}

bool analysis_suggest(const struct analysis *a, const char *ns, struct buf *out, size_t *n)
{
	size_t count = 0;
	bool ok = true;
	for (size_t i = 0; i < a->n_services && ok; i++)
		if (!ns || strcmp(a->services[i]->object->meta.ns, ns) == 0)
			ok = suggest(a, a->services[i], out, &count);
	if (n)
		*n = count;
	return ok && !out->full;
}
