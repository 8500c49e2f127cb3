/* How clients speak to the Pods behind a Service, against what those ask for: DestinationRule against
 * PeerAuthentication and sidecars. The decision is the data plane's own. */
#include <stdlib.h>
#include <string.h>

#include "analyze/inside.h"

/* Where TLS stands in POLICY, which is at AT; NULL: not there. */
static const char *path_in(const struct analysis *a, const struct traffic_policy *policy,
			   const char *at, const struct client_tls *tls)
{
	if (&policy->tls == tls)
		return say(a, "%s.tls", at);
	for (size_t i = 0; i < policy->n_ports; i++)
		if (&policy->ports[i].tls == tls)
			return say(a, "%s.portLevelSettings[%zu].tls", at, i);
	return NULL;
}

static const char *path_of(const struct analysis *a, const struct object *rule,
			   const struct client_tls *tls)
{
	const struct destination_rule *r = rule->destination_rule;
	const char *path = path_in(a, &r->policy, "spec.trafficPolicy", tls);
	for (size_t i = 0; i < r->n_subsets && !path; i++)
		path = path_in(a, &r->subsets[i].policy,
			       say(a, "spec.subsets[%zu].trafficPolicy", i), tls);
	return path ? path : "spec";
}

static const char *mode_of(const struct client_tls *tls)
{
	static const char *const names[] = {
		[CLIENT_TLS_DISABLE] = "DISABLE",
		[CLIENT_TLS_SIMPLE] = "SIMPLE",
		[CLIENT_TLS_MUTUAL] = "MUTUAL",
		[CLIENT_TLS_ISTIO_MUTUAL] = "ISTIO_MUTUAL",
	};
	return names[tls->mode];
}

/* What is being looked at: somebody's way to the Pods of one target. */
struct way {
	const struct standpoint *from;
	const struct target *to;
	const struct subset *subset; /* or NULL */
	const struct object *rule;
	const struct client_tls *tls;
};

static const char *clients_of(const struct analysis *a, const struct way *w)
{
	const char *pod = w->from->pod[0] ? "some Pods" : "Pods with a sidecar";
	return say(a, "%s of namespace %s, towards %s%s%s", pod, w->from->ns,
		   port_name(a, w->to->port), w->subset ? ", subset " : "",
		   w->subset ? w->subset->name : "");
}

static const char *demands(const struct analysis *a, const struct mtls_answer *mode)
{
	char text[600];
	if (!mode->by)
		return mtls_mode_name(mode->mode);
	return say(a, "%s by %s%s", mtls_mode_name(mode->mode),
		   object_text(mode->by, text, sizeof(text)),
		   mode->by_port ? " for this port" : "");
}

static const char *tls_yaml(const struct analysis *a, const struct way *w, const char *mode)
{
	const char *path = path_of(a, w->rule, w->tls);
	return say(a, "# in %s\ntls:\n  mode: %s\n", path, mode);
}

static void refused(struct analysis *a, const struct way *w, const struct mtls_answer *mode)
{
	finding_add(a, CHECK_TLS_CONFLICT, w->rule, path_of(a, w->rule, w->tls),
		    &(struct said){
			    .text = say(a, "mode %s towards %s, whose Pods demand mesh TLS",
					mode_of(w->tls), port_name(a, w->to->port)),
			    .why = say(a, "port %u of %s is %s", w->to->number,
				       group_name(a, w->to->group), demands(a, mode)),
			    .effect = "every connection is refused",
			    .affected = clients_of(a, w),
			    .mend = "ISTIO_MUTUAL, or no tls at all: then each endpoint is spoken "
				    "to as "
				    "it "
				    "wishes",
			    .yaml = tls_yaml(a, w, "ISTIO_MUTUAL"),
		    });
}

/* Why mesh TLS has no end there. */
static const char *no_end(const struct analysis *a, const struct way *w,
			  const struct mtls_answer *mode)
{
	const char *name = group_name(a, w->to->group);
	if (!w->to->group->has_sidecar)
		return say(a, "%s has no sidecar", name);
	if (!w->to->group->mesh_tls)
		return say(a, "the sidecar of %s speaks no mesh TLS", name);
	if (!target_is_guarded(w->to))
		return say(a, "an annotation keeps port %u of %s from its sidecar", w->to->number,
			   name);
	return say(a, "port %u of %s is %s", w->to->number, name, demands(a, mode));
}

static void garbled(struct analysis *a, const struct way *w, const struct mtls_answer *mode)
{
	finding_add(
		a, CHECK_TLS_TO_PLAIN, w->rule, path_of(a, w->rule, w->tls),
		&(struct said){
			.text = say(
				a, "mode ISTIO_MUTUAL towards %s, whose Pods do not speak mesh TLS",
				port_name(a, w->to->port)),
			.why = no_end(a, w, mode),
			.effect = "the application gets a ClientHello instead of its protocol, and "
				  "the connection fails",
			.affected = clients_of(a, w),
			.mend = "no tls at all: then each endpoint is spoken to as it wishes; or "
				"DISABLE",
			.yaml = tls_yaml(a, w, "DISABLE"),
		});
}

static void look(struct analysis *a, const struct view *v, const struct view_port *p, struct way *w)
{
	struct plan plan = {.side = LIVE_OUTBOUND, .port = p};
	struct addr at = {.ip = w->to->group->ip, .port = w->to->number};
	decide_transport(v, &plan, &at, NULL, w->subset);
	if (!plan.tls.rule)
		return; /* each endpoint by itself: that always fits */
	w->tls = plan.tls.rule;
	w->rule = p->service->rule->policy_by;
	if (w->subset && plan.tls.rule != p->tls)
		(void)view_subset(p->service, slice_of(w->subset->name), &w->rule);
	struct mtls_answer mode = target_mode(w->to);
	bool mesh = target_is_meshed(w->to);
	if (plan.tls.transport == TRANSPORT_MESH_TLS) {
		if (!mesh || mode.mode == MTLS_DISABLE)
			garbled(a, w, &mode);
	} else if (mesh && mode.mode == MTLS_STRICT) {
		refused(a, w, &mode);
	}
}

/* The same port in the view of somebody else. */
static const struct view_port *port_in(const struct view *v, const struct target *t)
{
	const struct object *o = t->port->service->object;
	const struct view_service *s = view_service_by_name(v, o->meta.ns, o->meta.name);
	for (size_t i = 0; s && i < s->n_ports; i++)
		if (s->ports[i].port == t->port->port)
			return &s->ports[i];
	return NULL;
}

static void look_at(struct analysis *a, const struct view *v, const struct standpoint *from,
		    const struct target *t)
{
	const struct view_port *p = t->number ? port_in(v, t) : NULL;
	struct way w = {.from = from, .to = t};
	if (!p || !p->service->rule)
		return;
	look(a, v, p, &w);
	for (size_t i = 0; i < p->service->rule->n; i++) {
		const struct destination_rule *r = p->service->rule->rules[i]->destination_rule;
		for (size_t k = 0; k < r->n_subsets; k++) {
			const struct subset *s = &r->subsets[k];
			const struct object *by = NULL;
			if (!s->policy.given ||
			    !pairs_select(&s->labels, &t->group->meta->labels) ||
			    view_subset(p->service, slice_of(s->name), &by) != s)
				continue;
			w.subset = s;
			/* A subset that says nothing of TLS goes as the rule does: told above. */
			if (view_tls(p, s) != p->tls)
				look(a, v, p, &w);
		}
	}
}

void analyze_transport(struct analysis *a)
{
	size_t n = 0;
	struct standpoint *all = world_standpoints(a, &n);
	for (size_t i = 0; i < n; i++) {
		struct view *v = world_view(a, &all[i]);
		for (size_t k = 0; k < a->n_targets; k++)
			look_at(a, v, &all[i], &a->targets[k]);
		view_put(v);
	}
	free(all);
}
