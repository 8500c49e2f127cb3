/* Ports that a Pod's annotations keep from its sidecar, and what is meant for them. */
#include <stdlib.h>
#include <string.h>

#include "analyze/inside.h"
#include "model/annotations.h"

/* The annotation that keeps ports of G from the sidecar, for the place of the finding; NULL: none does. */
static const char *blamed(const struct group *g)
{
	const struct pairs *annotations = &g->meta->annotations;
	const char *mode = pairs_get(annotations, ANNOTATION_INTERCEPTION);
	const char *included = pairs_get(annotations, ANNOTATION_INCLUDE_IN_PORTS);
	if (mode && strcmp(mode, "NONE") == 0)
		return ANNOTATION_INTERCEPTION;
	if (included && strcmp(included, "*") != 0)
		return ANNOTATION_INCLUDE_IN_PORTS;
	return pairs_get(annotations, ANNOTATION_EXCLUDE_IN_PORTS) ? ANNOTATION_EXCLUDE_IN_PORTS
								   : NULL;
}

/* "PeerAuthentication shop/db (STRICT)" and so on: what would hold on the port. */
static const char *meant_for(const struct analysis *a, const struct target *t)
{
	const struct object_set *set = &a->sets[KIND_AUTHORIZATION_POLICY];
	const struct object **own = mem_array(set->n + 1, sizeof(struct object *));
	size_t n = authz_select(set, a->mesh->root_namespace, t->group->by->meta.ns,
				&t->group->meta->labels, own);
	struct mtls_answer mode = target_mode(t);
	struct names names;
	char text[600];
	names_init(&names, a);
	if (mode.mode == MTLS_STRICT && mode.by)
		names_add(&names, say(a, "%s (STRICT)", object_text(mode.by, text, sizeof(text))));
	for (size_t i = 0; i < n; i++)
		if (!own[i]->authorization_policy->has_target_refs &&
		    !own[i]->authorization_policy->dry_run)
			names_add(&names, say(a, "%s", object_text(own[i], text, sizeof(text))));
	free(own);
	return names_end(&names);
}

static void unseen_policies(struct analysis *a, const struct target *t, const char *path,
			    const char *by)
{
	const char *policies = meant_for(a, t);
	if (!policies)
		return;
	finding_add(
		a, CHECK_EXCLUDED_POLICY, t->group->by, path,
		&(struct said){
			.text = say(
				a,
				"port %u is kept from the sidecar, and policies are meant for it",
				t->number),
			.why = say(a, "annotation %s; for the port there is %s", by, policies),
			.effect = "they do not hold there: every client gets in, in plaintext",
			.affected = port_name(a, t->port),
			.mend = say(a,
				    "take port %u out of the annotation, or accept that the "
				    "application guards it",
				    t->number),
		});
}

/* Elsewhere clients do not look at the Pod's annotations. */
static void blind_tls(struct analysis *a, const struct target *t, const char *path, const char *by)
{
	if (!t->group->mesh_tls || !a->mesh->enable_auto_mtls || t->port->tls ||
	    target_mode(t).mode == MTLS_DISABLE)
		return;
	const struct meta *m = &t->port->service->object->meta;
	finding_add(
		a, CHECK_EXCLUDED_TLS, t->group->by, path,
		&(struct said){
			.text = say(
				a,
				"port %u is kept from the sidecar, which nobody tells the clients",
				t->number),
			.why = say(
				a,
				"annotation %s; the Pods have a sidecar that speaks mesh TLS, and "
				"neither a PeerAuthentication nor a DestinationRule says that this "
				"port does not",
				by),
			.effect = "here clients know of it, and send plaintext. Elsewhere they "
				  "send mesh "
				  "TLS, and the application reads a ClientHello instead of its "
				  "protocol",
			.affected = say(a, "elsewhere clients with a sidecar of %s",
					port_name(a, t->port)),
			.mend = "where that matters: portLevelMtls DISABLE, or a DestinationRule",
			.yaml = say(a,
				    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
				    "metadata:\n  name: %s-%u\n  namespace: %s\nspec:\n"
				    "  host: %s.%s.svc.cluster.local\n  trafficPolicy:\n"
				    "    portLevelSettings:\n    - port:\n        number: %u\n"
				    "      tls:\n        mode: DISABLE\n",
				    m->name, t->port->port->port, m->ns, m->name, m->ns,
				    t->port->port->port),
		});
}

static void check_target(struct analysis *a, const struct target *t)
{
	const struct group *g = t->group;
	const char *by = g->has_sidecar && t->number ? blamed(g) : NULL;
	if (!by || target_is_guarded(t))
		return;
	const char *path = say(a, "%smetadata.annotations[%s]", g->root, by);
	unseen_policies(a, t, path, by);
	blind_tls(a, t, path, by);
}

void analyze_capture(struct analysis *a)
{
	for (size_t i = 0; i < a->n_targets; i++)
		check_target(a, &a->targets[i]);
}
