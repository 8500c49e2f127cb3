/* What was learnt, as the declaration to write down. */
#include <stdlib.h>
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

/* The port that clients of HOST know by NUMBER; NULL: none is known. */
static const struct view_port *port_of_host(const struct view_service *const *entries, size_t n,
					    const char *host, uint16_t number)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; strcmp(entries[i]->host, host) == 0 && k < entries[i]->n_ports;
		     k++)
			if (entries[i]->ports[k].port->port == number)
				return &entries[i]->ports[k];
	return NULL;
}

/* The word for a port of ServiceEntry O, which all of its hosts share; NULL: nothing is to be declared.
 * NOTE gets why, or why not. */
static const char *word_for_hosts(const struct analysis *a, const struct object *o,
				  const struct entry_port *port,
				  const struct view_service *const *entries, size_t n,
				  const char **note)
{
	const char *word = NULL;
	*note = NULL;
	if (protocol_class(protocol_parse(slice_of(port->protocol))) != CLASS_AUTO)
		return NULL;
	for (size_t i = 0; o->service_entry->hosts[i]; i++) {
		const char *host = o->service_entry->hosts[i];
		const struct view_port *p = port_of_host(entries, n, host, port->number);
		const char *heard = p ? learn_suggest(p->live) : NULL;
		if (heard && word && strcmp(heard, word) != 0) {
			*note = say(a, "nothing true can be declared: %s speaks %s, and others %s",
				    host, heard, word);
			return NULL;
		}
		word = heard ? heard : word;
	}
	if (word)
		*note = say(a, "it was heard to speak %s", word);
	return word;
}

static bool suggest_entry(const struct analysis *a, const struct object *o,
			  const struct view_service *const *entries, size_t n_entries,
			  struct buf *out, size_t *n)
{
	const struct service_entry *s = o->service_entry;
	struct tree *root = NULL;
	size_t words = 0;
	if (!tree_from_json(a->arena, o->json, &root, NULL))
		return true;
	struct tree *ports = tree_get(tree_get(root, "spec"), "ports");
	struct tree *port = ports ? ports->first : NULL;
	for (size_t i = 0; i < s->n_ports && port; i++, port = port->next) {
		const char *note = NULL;
		const char *word = word_for_hosts(a, o, &s->ports[i], entries, n_entries, &note);
		if (note)
			(void)buf_printf(out, "# ServiceEntry %s/%s port %u: %s\n", o->meta.ns,
					 o->meta.name, s->ports[i].number, note);
		if (word)
			tree_set(port, SLICE("protocol"), tree_string(a->arena, slice_of(word)));
		words += word != NULL;
	}
	if (words == 0)
		return true;
	take_out_notes(root);
	*n += words;
	return buf_puts(out, "---\n") && tree_write_yaml(root, out);
}

static bool suggest_entries(const struct analysis *a, const char *ns, struct buf *out, size_t *n)
{
	const struct object_set *set = &a->sets[KIND_SERVICE_ENTRY];
	size_t n_entries = 0;
	bool ok = true;
	const struct view_service **entries = view_entries(a->view, &n_entries);
	for (size_t i = 0; i < set->n && ok; i++)
		if (!ns || strcmp(set->at[i]->meta.ns, ns) == 0)
			ok = suggest_entry(a, set->at[i], entries, n_entries, out, n);
	free(entries);
	return ok;
}

bool analysis_suggest(const struct analysis *a, const char *ns, struct buf *out, size_t *n)
{
	size_t count = 0;
	bool ok = true;
	for (size_t i = 0; i < a->n_services && ok; i++)
		if (!ns || strcmp(a->services[i]->object->meta.ns, ns) == 0)
			ok = suggest(a, a->services[i], out, &count);
	ok = ok && suggest_entries(a, ns, out, &count);
	if (n)
		*n = count;
	return ok && !out->full;
}
