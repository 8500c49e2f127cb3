/* PeerAuthentication: what counts of what is written, and whom it hits. */
#include <string.h>

#include "analyze/inside.h"

static const struct peer_authentication *spec_of(const struct object *o)
{
	return o->peer_authentication;
}

static bool is_root(const struct analysis *a, const char *ns)
{
	return strcmp(ns, a->mesh->root_namespace) == 0;
}

/* The one without a selector that counts in NS; NULL: none. */
static const struct object *of_namespace(const struct analysis *a, const char *ns)
{
	const struct object_set *set = &a->sets[KIND_PEER_AUTHENTICATION];
	const struct object *found = NULL;
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->at[i]->meta.ns, ns) == 0 && spec_of(set->at[i])->selector.n == 0 &&
		    (!found || object_older(set->at[i], found)))
			found = set->at[i];
	return found;
}

/* The mode that Istio's clients take as a hint: the namespace's, else the mesh's. */
static enum mtls_mode hint_of(const struct analysis *a, const char *ns, const struct object **by)
{
	*by = of_namespace(a, ns);
	if (!*by || spec_of(*by)->mode == MTLS_UNSET)
		*by = of_namespace(a, a->mesh->root_namespace);
	return *by ? spec_of(*by)->mode : MTLS_UNSET;
}

static bool selects(const struct object *o, const struct group *g)
{
	return group_is_selected(g, o->meta.ns, &spec_of(o)->selector);
}

/* What counts instead of O, for one of the Pods that it selects; NULL: O counts. */
static const struct object *counts_instead(const struct analysis *a, const struct object *o,
					   const struct group **where)
{
	if (spec_of(o)->selector.n == 0) {
		const struct object *first = of_namespace(a, o->meta.ns);
		return first == o ? NULL : first;
	}
	for (size_t i = 0; i < a->n_groups; i++)
		if (selects(o, &a->groups[i]) && a->groups[i].workload->peer_auth->ports_by != o) {
			*where = &a->groups[i];
			return a->groups[i].workload->peer_auth->ports_by;
		}
	return NULL;
}

static void check_several(struct analysis *a, const struct object *o)
{
	const struct group *where = NULL;
	const struct object *first = counts_instead(a, o, &where);
	char text[600];
	if (!first)
		return;
	finding_add(
		a, CHECK_SEVERAL_MODES, o, "metadata.name",
		&(struct said){
			.text = say(a, "%s counts, and this one does not",
				    object_text(first, text, sizeof(text))),
			.why = where ? say(a,
					   "both select %s; of several only the oldest counts (of "
					   "equal age, the first by name), and nothing is united",
					   group_name(a, where))
				     : "both are for the whole namespace; only the oldest counts "
				       "(of "
				       "equal age, the first by name), and nothing is united",
			.effect = "what is written here has no effect",
			.mend = "write all of it into one PeerAuthentication",
		});
}

static void check_port_key(struct analysis *a, const struct object *o, const struct mtls_port *p)
{
	for (size_t i = 0; i < a->n_groups; i++) {
		const struct group *g = &a->groups[i];
		if (!selects(o, g))
			continue;
		const struct target *t = target_by_service_port(a, g, p->port);
		if (!t || group_has_port(a, g, p->port))
			continue;
		struct mtls_answer now = target_mode(t);
		finding_add(
			a, CHECK_MODE_PORT, o, say(a, "spec.portLevelMtls.%u", p->port),
			&(struct said){
				.text = say(a,
					    "%u is a Service's port: the keys are the containers' "
					    "ports",
					    p->port),
				.why = say(a, "%s leads to port %u of %s", port_name(a, t->port),
					   t->number, group_name(a, g)),
				.effect = say(a, "port %u stays %s; the entry has no effect",
					      t->number, mtls_mode_name(now.mode)),
				.affected = say(a, "whoever connects to %s", port_name(a, t->port)),
				.mend = "use the container's port",
				.yaml = say(a, "spec:\n  portLevelMtls:\n    %u:\n      mode: %s\n",
					    t->number, mtls_mode_name(p->mode)),
			});
		return;
	}
}

/* Clients that have no certificate, and the Pods that ask for one because of O. */
static void check_strict(struct analysis *a, const struct object *o)
{
	struct names servers, clients;
	names_init(&servers, a);
	names_init(&clients, a);
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		struct mtls_answer mode = target_mode(t);
		if (target_is_meshed(t) && mode.mode == MTLS_STRICT && mode.by == o)
			names_add(&servers, group_name(a, t->group));
	}
	for (size_t i = 0; i < a->n_groups; i++)
		if (!a->groups[i].mesh_tls)
			names_add(&clients, group_name(a, &a->groups[i]));
	const char *server_names = names_end(&servers), *client_names = names_end(&clients);
	if (!server_names || !client_names)
		return;
	finding_add(
		a, CHECK_STRICT_CLIENTS, o, "spec",
		&(struct said){
			.text = "STRICT, and there are Pods without mesh TLS",
			.why = say(a, "it holds for %s", server_names),
			.effect = "their connections are refused: as soon as they send plaintext, "
				  "or when "
				  "handshakeTimeout is over",
			.affected = say(a, "%s, where they connect there", client_names),
			.mend = "give them a sidecar, or PERMISSIVE for the ports that they need",
		});
}

/* Istio's clients look at the namespace's mode alone before they look at endpoints. */
static void check_namespace_off(struct analysis *a, const struct object *o)
{
	const struct object *by = NULL;
	char text[600];
	if (hint_of(a, o->meta.ns, &by) != MTLS_DISABLE)
		return;
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		struct mtls_answer mode = target_mode(t);
		if (!target_is_meshed(t) || mode.mode != MTLS_STRICT || mode.by != o ||
		    t->port->tls)
			continue;
		finding_add(a, CHECK_NAMESPACE_OFF, o, "spec",
			    &(struct said){
				    .text = say(a, "it asks for mesh TLS where %s disables it",
						object_text(by, text, sizeof(text))),
				    .why = say(a, "%s is STRICT for %s", group_name(a, t->group),
					       port_name(a, t->port)),
				    .effect = "here clients look at each endpoint, and it works. "
					      "Elsewhere they "
					      "go by the namespace's mode, send plaintext and are "
					      "refused",
				    .mend = "a DestinationRule with ISTIO_MUTUAL for the Service, "
					    "where "
					    "that "
					    "matters",
			    });
		return;
	}
}

static void check_peer(struct analysis *a, const struct object *o)
{
	const struct peer_authentication *spec = spec_of(o);
	bool root = is_root(a, o->meta.ns);
	if (spec->n_ports && spec->selector.n == 0)
		finding_add(
			a, CHECK_MODE_NO_SELECTOR, o, "spec.portLevelMtls",
			&(struct said){
				.text = "portLevelMtls without a selector",
				.why = "ports belong to workloads: without matchLabels nobody is "
				       "meant",
				.effect = "the entries have no effect; hark apply refuses the "
					  "resource",
				.mend = "say whose ports they are",
				.yaml = "spec:\n  selector:\n    matchLabels:\n      app: NAME\n",
			});
	if (root && spec->selector.n) {
		finding_add(
			a, CHECK_ROOT_SELECTOR, o, "spec.selector",
			&(struct said){
				.text = say(a, "a selector in the root namespace %s", o->meta.ns),
				.why = "there only the mesh's own PeerAuthentication, without a "
				       "selector, "
				       "counts for sidecars",
				.effect = "it has no effect",
				.mend = "put it into the namespace of the Pods",
			});
		return;
	}
	analyze_selector(a, o, &spec->selector, "spec.selector");
	check_several(a, o);
	for (size_t i = 0; i < spec->n_ports && spec->selector.n; i++)
		check_port_key(a, o, &spec->ports[i]);
	bool strict = spec->mode == MTLS_STRICT;
	for (size_t i = 0; i < spec->n_ports; i++)
		strict = strict || spec->ports[i].mode == MTLS_STRICT;
	if (!strict)
		return;
	analyze_enforced(a, o, &spec->selector, "they take plaintext from everybody");
	check_strict(a, o);
	check_namespace_off(a, o);
}

/* Istio decides for a headless Service as a whole: TLS to all of its Pods, or to none. */
static void check_headless(struct analysis *a, const struct view_port *p)
{
	const struct target *plain = NULL, *strict = NULL, *off = NULL;
	bool all_tls = true;
	if (!p->service->object->service->headless || p->tls)
		return;
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		if (t->port != p)
			continue;
		all_tls = all_tls && t->group->mesh_tls;
		if (!t->group->mesh_tls)
			plain = t;
		else if (target_mode(t).mode == MTLS_STRICT)
			strict = t;
		else if (target_mode(t).mode == MTLS_DISABLE)
			off = t;
	}
	bool refused = plain && strict, garbled = all_tls && off;
	if (!refused && !garbled)
		return;
	finding_add(
		a, CHECK_HEADLESS, p->service->object, port_path(a, p),
		&(struct said){
			.text = say(a,
				    "the Pods behind port %u of a headless Service differ in mTLS",
				    p->port->port),
			.why = refused ? say(a, "%s is STRICT, %s speaks plaintext",
					     group_name(a, strict->group),
					     group_name(a, plain->group))
				       : say(a,
					     "%s has a sidecar, and mTLS is disabled on its port "
					     "%u",
					     group_name(a, off->group), off->number),
			.effect =
				refused ? "here each Pod is spoken to as it wishes. Elsewhere all "
					  "of them "
					  "get plaintext, and the STRICT ones refuse it"
					: "here each Pod is spoken to as it wishes. Elsewhere all "
					  "of them "
					  "get mesh TLS, and the application reads a ClientHello",
			.affected = "elsewhere clients with a sidecar",
			.mend = "a DestinationRule for the port, where that matters",
			.yaml = say(
				a,
				"spec:\n  host: %s\n  trafficPolicy:\n    portLevelSettings:\n"
				"    - port:\n        number: %u\n      tls:\n        mode: %s\n",
				p->service->host, p->port->port,
				refused ? "ISTIO_MUTUAL" : "DISABLE"),
		});
}

void analyze_peers(struct analysis *a)
{
	const struct object_set *set = &a->sets[KIND_PEER_AUTHENTICATION];
	for (size_t i = 0; i < set->n; i++)
		check_peer(a, set->at[i]);
	for (size_t i = 0; i < a->n_services; i++)
		for (size_t k = 0; k < a->services[i]->n_ports; k++)
			check_headless(a, &a->services[i]->ports[k]);
}
