/* Whom a policy is for: what PeerAuthentications and AuthorizationPolicies have in common. */
#include <string.h>

#include "analyze/inside.h"

/* The labels of SELECTOR as people write them. */
static const char *labels_text(const struct analysis *a, const struct pairs *selector)
{
	struct names names;
	names_init(&names, a);
	for (size_t i = 0; i < selector->n; i++)
		names_add(&names, say(a, "%s: %s", selector->at[i].key, selector->at[i].value));
	return names_end(&names);
}

/* The policy of the root namespace is for Pods of all. */
static bool is_for(const struct analysis *a, const struct object *o, const struct pairs *selector,
		   const struct group *g)
{
	bool everywhere = o->kind == KIND_AUTHORIZATION_POLICY &&
			  strcmp(o->meta.ns, a->mesh->root_namespace) == 0;
	return group_is_selected(g, everywhere ? g->by->meta.ns : o->meta.ns, selector);
}

/* One whose labels differ in values alone: probably the one that is meant. */
static const struct group *near_miss(const struct analysis *a, const char *ns,
				     const struct pairs *selector)
{
	for (size_t i = 0; i < a->n_groups; i++) {
		const struct group *g = &a->groups[i];
		size_t n = 0;
		for (size_t k = 0; k < selector->n; k++)
			n += pairs_get(&g->meta->labels, selector->at[k].key) != NULL;
		if (strcmp(g->by->meta.ns, ns) == 0 && n == selector->n)
			return g;
	}
	return NULL;
}

void analyze_selector(struct analysis *a, const struct object *o, const struct pairs *selector,
		      const char *path)
{
	if (selector->n == 0)
		return;
	for (size_t i = 0; i < a->n_groups; i++)
		if (is_for(a, o, selector, &a->groups[i]))
			return;
	if (world_has_strangers(a, o->meta.ns))
		return; /* what they make may be selected */
	const struct group *near = near_miss(a, o->meta.ns, selector);
	finding_add(
		a, CHECK_NO_WORKLOADS, o, path,
		&(struct said){
			.text = say(a, "no Pod has the labels %s", labels_text(a, selector)),
			.why = near ? say(a, "%s in the same namespace has %s", group_name(a, near),
					  labels_text(a, &near->meta->labels))
				    : NULL,
			.effect = "it has no effect",
			.mend = "use the labels of the Pods (of a Deployment: its template's)",
		});
}

void analyze_enforced(struct analysis *a, const struct object *o, const struct pairs *selector,
		      const char *effect)
{
	struct names bare;
	names_init(&bare, a);
	for (size_t i = 0; i < a->n_groups; i++) {
		const struct group *g = &a->groups[i];
		if (!g->has_sidecar && group_is_selected(g, o->meta.ns, selector))
			names_add(&bare, group_name(a, g));
	}
	const char *groups = names_end(&bare);
	if (!groups || strcmp(o->meta.ns, a->mesh->root_namespace) == 0)
		return; /* the mesh's own are for whoever is in the mesh */
	finding_add(
		a, CHECK_NOT_ENFORCED, o, selector->n ? "spec.selector" : "metadata.namespace",
		&(struct said){
			.text = "it selects Pods that have no sidecar: nobody enforces it there",
			.effect = effect,
			.affected = groups,
			.mend = "give them a sidecar",
			.yaml = "metadata:\n  labels:\n    sidecar.istio.io/inject: \"true\"\n",
		});
}
