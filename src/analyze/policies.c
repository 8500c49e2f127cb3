/* AuthorizationPolicy: what is in force of what is written. The programs are those that sidecars run. */
#include <stdlib.h>
#include <string.h>

#include "analyze/inside.h"

static const struct authorization_policy *spec_of(const struct object *o)
{
	return o->authorization_policy;
}

bool policy_selects(const struct analysis *a, const struct object *o, const struct group *g)
{
	bool everywhere = strcmp(o->meta.ns, a->mesh->root_namespace) == 0;
	return group_is_selected(g, everywhere ? g->by->meta.ns : o->meta.ns,
				 &spec_of(o)->selector);
}

/* Ports */

static bool lists_port(const char *const *list, uint16_t port)
{
	uint64_t number = 0;
	for (; *list; list++)
		if (slice_to_u64(slice_of(*list), UINT16_MAX, &number) && number == port)
			return true;
	return false;
}

bool rule_covers_port(const struct authz_rule_spec *r, uint16_t port)
{
	bool any = r->n_to == 0;
	for (size_t i = 0; i < r->n_to && !any; i++)
		any = (!r->to[i].ports[0] || lists_port(r->to[i].ports, port)) &&
		      !lists_port(r->to[i].not_ports, port);
	for (size_t i = 0; i < r->n_when && any; i++)
		if (strcmp(r->when[i].key, "destination.port") == 0)
			any = (!r->when[i].values[0] || lists_port(r->when[i].values, port)) &&
			      !lists_port(r->when[i].not_values, port);
	return any;
}

static bool test_takes_port(const struct authz_term *term, uint16_t port)
{
	for (size_t i = 0; i < term->n; i++) {
		const struct authz_test *t = &term->tests[i];
		bool found = false;
		for (size_t k = 0; t->input == AUTHZ_IN_DESTINATION_PORT && k < t->n; k++)
			found = found || t->ports[k] == port;
		if (t->input == AUTHZ_IN_DESTINATION_PORT && found == t->negated)
			return false;
	}
	return true;
}

/* Some connection to PORT may match R. */
static bool may_match(const struct authz_rule *r, uint16_t port)
{
	bool any = r->n_to == 0;
	for (size_t i = 0; i < r->n_to && !any; i++)
		any = test_takes_port(&r->to[i], port);
	return any && test_takes_port(&r->when, port);
}

/* The connections of a port are carried as bytes, for certain. */
static bool is_tcp(const struct analysis *a, const struct target *t)
{
	struct talk talk;
	switch (protocol_class(t->port->protocol)) {
	case CLASS_TCP:
		return true;
	case CLASS_AUTO:
		talk = talk_of(a, t->port);
		return talk.speaks == SPEAKS_SERVER_FIRST || talk.speaks == SPEAKS_OPAQUE ||
		       talk.speaks == SPEAKS_TLS;
	case CLASS_HTTP:
	case CLASS_NONE:
		break;
	}
	return false;
}

/* The first TCP port of a Pod that O selects and its rule R may be meant for; NULL: none. */
static const struct target *tcp_target(const struct analysis *a, const struct object *o,
				       const struct authz_rule_spec *r)
{
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		if (target_is_guarded(t) && policy_selects(a, o, t->group) &&
		    target_of(a, t->group, t->number) == t && rule_covers_port(r, t->number) &&
		    is_tcp(a, t))
			return t;
	}
	return NULL;
}

/* Fields that only HTTP has */

/* NULL: the rule has none of that kind. */
static const struct authz_change *first_change(const struct authz *z, size_t rule,
					       enum authz_change_why why)
{
	for (size_t i = 0; i < z->n_changes; i++)
		if (z->changes[i].rule == rule && z->changes[i].protocol == AUTHZ_TCP &&
		    z->changes[i].why == why)
			return &z->changes[i];
	return NULL;
}

/* The fields that a rule has lost, each with the reason. */
static const char *lost_fields(const struct analysis *a, const struct authz *z, size_t rule)
{
	struct names lost;
	names_init(&lost, a);
	for (size_t i = 0; i < z->n_changes; i++)
		if (z->changes[i].rule == rule && z->changes[i].protocol == AUTHZ_TCP &&
		    z->changes[i].why != AUTHZ_WHY_PROVIDER)
			names_add(&lost, say(a, "%s (%s)", z->changes[i].path,
					     authz_why_text(z->changes[i].why)));
	return names_end(&lost);
}

/* What of the ALLOW rules of all policies for G is left on PORT. */
static const char *what_is_allowed(const struct analysis *a, const struct group *g, uint16_t port)
{
	const struct object_set *set = &a->sets[KIND_AUTHORIZATION_POLICY];
	const struct object **own = mem_array(set->n + 1, sizeof(struct object *));
	size_t n =
		authz_select(set, a->mesh->root_namespace, g->by->meta.ns, &g->meta->labels, own);
	const struct authz *z = authz_compile(a->arena, own, n, a->mesh);
	const struct authz_rules *allow = &z->programs[AUTHZ_TCP].allow;
	size_t left = 0;
	free(own);
	for (size_t i = 0; i < allow->n; i++)
		left += !allow->at[i].dry_run && may_match(&allow->at[i], port);
	return left ? say(a, "other ALLOW rules (%zu) still hold for port %u", left, port)
		    : say(a, "no ALLOW rule is left for port %u: everybody is denied there", port);
}

static void http_in_allow(struct analysis *a, const struct object *o, const struct authz *z,
			  size_t rule, const struct target *t)
{
	finding_add(a, CHECK_ALLOW_HTTP, o, first_change(z, rule, AUTHZ_WHY_HTTP_ONLY)->path,
		    &(struct said){
			    .text = say(a, "ALLOW rule %zu never matches on port %u, which is TCP",
					rule, t->number),
			    .why = say(a, "it has %s; port %u of %s carries bytes (%s)",
				       lost_fields(a, z, rule), t->number, group_name(a, t->group),
				       port_name(a, t->port)),
			    .effect = say(a, "effective rule: none; %s",
					  what_is_allowed(a, t->group, t->number)),
			    .affected = say(a, "whoever connects to %s", port_name(a, t->port)),
			    .mend = "give TCP ports rules of their own, with nothing that only "
				    "HTTP has",
			    .yaml = say(a, "rules:\n- to:\n  - operation:\n      ports: [\"%u\"]\n",
					t->number),
		    });
}

/* Rule RULE of the only policy in Z, as it is in force on TCP. */
static const char *effective(const struct analysis *a, const struct authz *z, size_t rule)
{
	const struct authz_program *p = &z->programs[AUTHZ_TCP];
	const struct authz_rules *all[] = {&p->deny, &p->audit, &p->custom, &p->allow};
	for (size_t i = 0; i < N_ELEMS(all); i++)
		for (size_t k = 0; k < all[i]->n; k++)
			if (all[i]->at[k].index == rule)
				return rule_text(a, &all[i]->at[k]);
	return "none";
}

static void http_in_deny(struct analysis *a, const struct object *o, const struct authz *z,
			 size_t rule, const struct target *t)
{
	const char *action = authz_action_name(spec_of(o)->action);
	finding_add(
		a, CHECK_DENY_HTTP, o, first_change(z, rule, AUTHZ_WHY_HTTP_ONLY)->path,
		&(struct said){
			.text = say(
				a, "%s rule %zu matches more than it says on port %u, which is TCP",
				action, rule, t->number),
			.why = say(a, "it has lost %s; port %u of %s carries bytes (%s)",
				   lost_fields(a, z, rule), t->number, group_name(a, t->group),
				   port_name(a, t->port)),
			.effect = say(a, "effective rule: %s %s", action, effective(a, z, rule)),
			.affected = say(a, "whoever connects to %s", port_name(a, t->port)),
			.mend = "say which ports the rule is for",
			.yaml = "to:\n- operation:\n    ports: [\"HTTP-PORT\"]\n",
		});
}

static void not_understood(struct analysis *a, const struct object *o, const struct authz *z,
			   size_t rule, enum authz_change_why why)
{
	bool allow = spec_of(o)->action == AUTHZ_ALLOW;
	const struct authz_change *c = first_change(z, rule, why);
	const char *action = authz_action_name(spec_of(o)->action);
	const char *near = NULL;
	struct slice name;
	for (size_t i = 0; i < spec_of(o)->rules[rule].n_when && !near; i++) {
		const char *key = spec_of(o)->rules[rule].when[i].key;
		if (authz_input_of_key(slice_of(key), &name) == AUTHZ_IN_UNKNOWN)
			near = authz_nearest_key(slice_of(key));
	}
	finding_add(
		a, CHECK_UNKNOWN_KEY, o, c->path,
		&(struct said){
			.text = say(a, "%s rule %zu: %s", action, rule, authz_why_text(why)),
			.why = near ? say(a, "the nearest key that is known is %s", near) : NULL,
			.effect = allow ? "the rule never matches"
					: say(a,
					      "the condition is left out. Effective rule: %s %s. "
					      "Elsewhere the whole rule is skipped, which opens a "
					      "door",
					      action, effective(a, z, rule)),
			.mend = near ? "use that key" : "write what can be evaluated",
		});
}

static void check_rule(struct analysis *a, const struct object *o, const struct authz *z, size_t i)
{
	static const enum authz_change_why others[] = {AUTHZ_WHY_UNKNOWN, AUTHZ_WHY_METADATA,
						       AUTHZ_WHY_VALUE};
	const struct target *t = first_change(z, i, AUTHZ_WHY_HTTP_ONLY)
					 ? tcp_target(a, o, &spec_of(o)->rules[i])
					 : NULL;
	if (t && spec_of(o)->action == AUTHZ_ALLOW)
		http_in_allow(a, o, z, i, t);
	else if (t)
		http_in_deny(a, o, z, i, t);
	for (size_t k = 0; k < N_ELEMS(others); k++)
		if (first_change(z, i, others[k]))
			not_understood(a, o, z, i, others[k]);
}

/* Ports by the wrong number */

static void check_port_text(struct analysis *a, const struct object *o, const char *text,
			    const char *path)
{
	uint64_t number = 0;
	const struct target *meant = NULL;
	if (!slice_to_u64(slice_of(text), UINT16_MAX, &number))
		return;
	for (size_t i = 0; i < a->n_groups; i++) {
		const struct group *g = &a->groups[i];
		if (!policy_selects(a, o, g))
			continue;
		if (group_has_port(a, g, (uint16_t)number))
			return; /* one of those that are meant has it */
		if (!meant)
			meant = target_by_service_port(a, g, (uint16_t)number);
	}
	if (!meant)
		return;
	bool allow = spec_of(o)->action == AUTHZ_ALLOW;
	finding_add(
		a, CHECK_POLICY_PORT, o, path,
		&(struct said){
			.text = say(a, "%s is a Service's port: policies see the container's ports",
				    text),
			.why = say(a, "%s leads to port %u of %s", port_name(a, meant->port),
				   meant->number, group_name(a, meant->group)),
			.effect = allow ? "the rule allows nothing there"
					: "the rule matches nothing there",
			.affected = say(a, "whoever connects to %s", port_name(a, meant->port)),
			.mend = "use the container's port",
			.yaml = say(a, "ports: [\"%u\"]\n", meant->number),
		});
}

static void check_rule_ports(struct analysis *a, const struct object *o, size_t rule)
{
	const struct authz_rule_spec *r = &spec_of(o)->rules[rule];
	for (size_t i = 0; i < r->n_to; i++)
		for (size_t k = 0; r->to[i].ports[k]; k++)
			check_port_text(
				a, o, r->to[i].ports[k],
				say(a, "spec.rules[%zu].to[%zu].operation.ports[%zu]", rule, i, k));
	for (size_t i = 0; i < r->n_when; i++)
		for (size_t k = 0;
		     strcmp(r->when[i].key, "destination.port") == 0 && r->when[i].values[k]; k++)
			check_port_text(
				a, o, r->when[i].values[k],
				say(a, "spec.rules[%zu].when[%zu].values[%zu]", rule, i, k));
}

/* Policies as a whole */

static void custom(struct analysis *a, const struct object *o)
{
	const char *provider = spec_of(o)->provider;
	finding_add(a, CHECK_CUSTOM, o, "spec.provider",
		    &(struct said){
			    .text = provider[0]
					    ? say(a, "CUSTOM by \"%s\": no provider can be asked",
						  provider)
					    : "CUSTOM without a provider",
			    .effect = "what its rules match is denied",
			    .mend = "ALLOW or DENY, with what the provider would look at",
		    });
}

/* The Pods that O selects, and that no other policy allows anything. */
static void allow_nothing(struct analysis *a, const struct object *o)
{
	const struct object_set *set = &a->sets[KIND_AUTHORIZATION_POLICY];
	struct names denied;
	names_init(&denied, a);
	for (size_t i = 0; i < a->n_groups; i++) {
		const struct group *g = &a->groups[i];
		bool allowed = !g->has_sidecar || !policy_selects(a, o, g);
		for (size_t k = 0; k < set->n && !allowed; k++) {
			const struct authorization_policy *p = spec_of(set->at[k]);
			allowed = p->action == AUTHZ_ALLOW && p->n_rules && !p->dry_run &&
				  !p->has_target_refs && policy_selects(a, set->at[k], g);
		}
		if (!allowed)
			names_add(&denied, group_name(a, g));
	}
	const char *groups = names_end(&denied);
	if (!groups)
		return;
	finding_add(
		a, CHECK_ALLOW_NOTHING, o, "spec",
		&(struct said){
			.text = "an ALLOW policy without rules allows nothing, and no other policy "
				"does",
			.effect = "everything is denied",
			.affected = say(a, "whoever connects to %s", groups),
			.mend = "to allow everything: one empty rule",
			.yaml = "spec:\n  rules:\n  - {}\n",
		});
}

static void check_empty(struct analysis *a, const struct object *o)
{
	if (spec_of(o)->n_rules)
		return;
	if (spec_of(o)->action == AUTHZ_ALLOW) {
		allow_nothing(a, o);
		return;
	}
	finding_add(a, CHECK_NO_EFFECT, o, "spec",
		    &(struct said){
			    .text = say(a, "a %s policy without rules",
					authz_action_name(spec_of(o)->action)),
			    .effect = "it matches nothing: it has no effect",
			    .mend = "to match everything: one empty rule",
			    .yaml = "spec:\n  rules:\n  - {}\n",
		    });
}

/* Servers that greet: what a mesh does that decides at the client's first byte. */
static void check_greeting(struct analysis *a, const struct object *o)
{
	struct names ports;
	names_init(&ports, a);
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		if (target_is_guarded(t) && policy_selects(a, o, t->group) &&
		    talk_of(a, t->port).speaks == SPEAKS_SERVER_FIRST)
			names_add(&ports, port_name(a, t->port));
	}
	const char *shown = names_end(&ports);
	if (!shown)
		return;
	finding_add(
		a, CHECK_GREETING, o, "spec",
		&(struct said){
			.text = "the policy guards a server that speaks first",
			.effect = "here a denied client is refused before the server hears of it. "
				  "Elsewhere "
				  "policies are asked at the client's first byte: it reads the "
				  "greeting "
				  "(version, salt) and holds a connection slot of the server until "
				  "it "
				  "speaks",
			.affected = shown,
		});
}

static void check_policy(struct analysis *a, const struct object *o)
{
	const struct authorization_policy *p = spec_of(o);
	if (p->has_target_refs) {
		finding_add(
			a, CHECK_TARGET_REFS, o, "spec.targetRefs",
			&(struct said){
				.text = "targetRefs are for gateways and waypoints",
				.effect = "sidecars leave the policy out",
				.mend = "a selector, to guard Pods with a sidecar",
				.yaml = "spec:\n  selector:\n    matchLabels:\n      app: NAME\n",
			});
		return;
	}
	const struct authz *z = authz_compile(a->arena, &o, 1, a->mesh);
	analyze_selector(a, o, &p->selector, "spec.selector");
	analyze_enforced(a, o, &p->selector, "its rules do not hold there: everybody gets in");
	if (p->action == AUTHZ_CUSTOM && p->n_rules)
		custom(a, o);
	check_empty(a, o);
	for (size_t i = 0; i < p->n_rules; i++) {
		check_rule(a, o, z, i);
		check_rule_ports(a, o, i);
	}
	analyze_callers(a, o);
	if (p->n_rules && p->action != AUTHZ_AUDIT)
		check_greeting(a, o);
}

void analyze_policies(struct analysis *a)
{
	const struct object_set *set = &a->sets[KIND_AUTHORIZATION_POLICY];
	for (size_t i = 0; i < set->n; i++)
		check_policy(a, set->at[i]);
}
