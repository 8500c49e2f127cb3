/* Ports that a Pod's annotations keep from its sidecar, and what is meant for them. */
#include <stdlib.h>
#include <string.h>

#include "analyze/inside.h"
#include "capture/capture.h"
#include "model/annotations.h"

static bool annotation(void *ctx, const char *key, struct slice *value)
{
	const struct group *g = ctx;
	const char *text = pairs_get(&g->meta->annotations, key);
	*value = slice_of(text);
	return text != NULL;
}

static bool has_port(const struct capture_ports *ports, uint16_t port)
{
	for (size_t i = 0; i < ports->n; i++)
		if (ports->at[i] == port)
			return true;
	return false;
}

static bool is_captured(const struct capture_config *cfg, uint16_t port)
{
	if (cfg->mode == CAPTURE_NONE)
		return false;
	return cfg->inbound.all ? !has_port(&cfg->inbound_exclude, port)
				: has_port(&cfg->inbound, port);
}

/* The annotation that keeps ports from the sidecar, for the place of the finding. */
static const char *blamed(const struct capture_config *cfg)
{
	return cfg->mode == CAPTURE_NONE ? "sidecar.istio.io/interceptionMode"
	       : cfg->inbound.all        ? "traffic.sidecar.istio.io/excludeInboundPorts"
					 : "traffic.sidecar.istio.io/includeInboundPorts";
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
	if (!policies[0])
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

/* Clients cannot see that nobody is there to end their TLS. */
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
				a, "port %u is kept from the sidecar, and clients send it mesh TLS",
				t->number),
			.why = say(
				a,
				"annotation %s; the Pods have a sidecar that speaks mesh TLS, and "
				"neither a PeerAuthentication nor a DestinationRule says that this "
				"port does not",
				by),
			.effect = "the application gets a ClientHello instead of its protocol",
			.affected = say(a, "clients with a sidecar of %s", port_name(a, t->port)),
			.mend = "tell the clients, by portLevelMtls DISABLE or by a "
				"DestinationRule",
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

static void check_group(struct analysis *a, struct group *g)
{
	struct capture_config cfg;
	struct err err = {0};
	capture_config_init(&cfg);
	/* A value that is malformed is told when the Pod is applied: nothing is known of it here. */
	if (!g->has_sidecar ||
	    !capture_config_from_annotations(annotation, g, a->arena, &cfg, &err))
		return;
	const char *by = blamed(&cfg);
	const char *path = say(a, "%smetadata.annotations[%s]", g->root, by);
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		if (t->group != g || !t->number || is_captured(&cfg, t->number))
			continue;
		unseen_policies(a, t, path, by);
		blind_tls(a, t, path, by);
	}
}

void analyze_capture(struct analysis *a)
{
	for (size_t i = 0; i < a->n_groups; i++)
		check_group(a, &a->groups[i]);
}
