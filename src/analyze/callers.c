/* Who is named in the rules of AuthorizationPolicies: whether anybody can be that, and whether it can be
 * known. */
#include <string.h>

#include "analyze/inside.h"

/* A list of names in a rule. */
enum naming { NAMES_PRINCIPALS, NAMES_NAMESPACES, NAMES_ACCOUNTS, NAMES_NOTHING };

struct named {
	const struct object *policy;
	size_t rule;
	enum naming what;
	const char *text; /* as written */
	const char *path;
};

/* TEXT, which may have a star at one end, is or takes in WORD. */
static bool takes(const char *text, const char *word)
{
	struct slice t = slice_of(text), w = slice_of(word);
	if (slice_ends(t, SLICE("*")))
		return slice_starts(w, slice_sub(t, 0, t.len - 1));
	if (slice_starts(t, SLICE("*")))
		return slice_ends(w, slice_sub(t, 1, t.len));
	return slice_eq(t, w);
}

static bool has_star(const char *text)
{
	return strchr(text, '*') != NULL;
}

static bool principal_is(const struct analysis *a, const char *text, const struct group *g)
{
	const char *rest = say(a, "ns/%s/sa/%s", g->by->meta.ns, g->spec->service_account);
	const char *const *alias = a->mesh->trust_domain_aliases;
	if (takes(text, say(a, "%s/%s", a->mesh->trust_domain, rest)))
		return true;
	for (; *alias; alias++)
		if (takes(text, say(a, "%s/%s", *alias, rest)))
			return true;
	return false;
}

static bool is_named(const struct analysis *a, const struct named *n, const struct group *g)
{
	switch (n->what) {
	case NAMES_PRINCIPALS:
		return principal_is(a, n->text, g);
	case NAMES_NAMESPACES:
		return takes(n->text, g->by->meta.ns);
	case NAMES_ACCOUNTS:
		return strcmp(strchr(n->text, '/') ? n->text
						   : say(a, "%s/%s", n->policy->meta.ns, n->text),
			      say(a, "%s/%s", g->by->meta.ns, g->spec->service_account)) == 0;
	case NAMES_NOTHING:
		break;
	}
	return false;
}

static bool is_declared(const struct analysis *a, const char *ns)
{
	size_t at = 0;
	if (object_set_find(&a->sets[KIND_NAMESPACE], "", ns, &at))
		return true;
	for (enum kind k = 0; k < N_KINDS; k++) {
		const struct object_set *set = &a->sets[k];
		(void)object_set_find(set, ns, "", &at); /* where the namespace begins */
		if (at < set->n && strcmp(set->at[at]->meta.ns, ns) == 0)
			return true;
	}
	return world_has_strangers(a, ns);
}

static const char *no_match(const struct named *n)
{
	return n->policy->authorization_policy->action == AUTHZ_ALLOW
		       ? "the rule lets nobody in by that name"
		       : "the rule keeps nobody out by that name";
}

/* The namespace and the account in a principal or a service account; false: it has another form. */
static bool take_apart(const struct analysis *a, const struct named *n, struct slice *domain,
		       const char **ns, struct slice *account)
{
	struct slice rest = slice_of(n->text);
	*domain = SLICE("");
	if (n->what == NAMES_ACCOUNTS) {
		bool whole = strchr(n->text, '/') != NULL;
		*ns = whole ? arena_dup(a->arena, slice_cut(&rest, '/')) : n->policy->meta.ns;
		*account = rest;
		return true;
	}
	*domain = slice_cut(&rest, '/');
	bool ok = slice_is(slice_cut(&rest, '/'), "ns");
	*ns = arena_dup(a->arena, slice_cut(&rest, '/'));
	ok = ok && slice_is(slice_cut(&rest, '/'), "sa");
	*account = rest;
	return ok && rest.len && slice_find(rest, '/') == rest.len;
}

static bool is_ours(const struct analysis *a, struct slice domain)
{
	bool found = domain.len == 0 || slice_is(domain, a->mesh->trust_domain);
	for (const char *const *alias = a->mesh->trust_domain_aliases; *alias && !found; alias++)
		found = slice_is(domain, *alias);
	return found;
}

static void no_principal(struct analysis *a, const struct named *n, const char *why,
			 const char *better)
{
	finding_add(a, CHECK_PRINCIPAL, n->policy, n->path,
		    &(struct said){
			    .text = say(a, "nobody of this mesh can be \"%s\"", n->text),
			    .why = why,
			    .effect = no_match(n),
			    .mend = "TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT",
			    .yaml = better ? say(a, "principals: [\"%s\"]\n", better) : NULL,
		    });
}

static void no_account(struct analysis *a, const struct named *n, const char *ns,
		       struct slice account)
{
	struct names there;
	names_init(&there, a);
	for (size_t i = 0; i < a->n_groups; i++)
		if (strcmp(a->groups[i].by->meta.ns, ns) == 0)
			names_add(&there, a->groups[i].spec->service_account);
	const char *accounts = names_end(&there);
	finding_add(
		a, CHECK_ACCOUNT, n->policy, n->path,
		&(struct said){
			.text = say(a, "no Pod of namespace %s has the service account \"%.*s\"",
				    ns, SLICE_FMT(account)),
			.why = accounts ? say(a, "there are %s", accounts)
					: "there is no Pod at all",
			.effect = no_match(n),
			.mend = "name the serviceAccountName of the clients' Pods",
		});
}

static void no_namespace(struct analysis *a, const struct named *n, const char *ns)
{
	finding_add(a, CHECK_NAMESPACE, n->policy, n->path,
		    &(struct said){
			    .text = say(a, "there is no namespace \"%s\"", ns),
			    .effect = no_match(n),
			    .mend = "name one that exists",
		    });
}

/* Nobody that is known is named. */
static void check_unknown(struct analysis *a, const struct named *n)
{
	struct slice domain = {0}, account = {0};
	const char *ns = n->text;
	if (n->what == NAMES_PRINCIPALS && slice_starts(slice_of(n->text), SLICE("spiffe://"))) {
		struct slice rest = slice_sub(slice_of(n->text), 9, strlen(n->text));
		no_principal(a, n, "spiffe:// is put before it by itself",
			     say(a, "%.*s", SLICE_FMT(rest)));
		return;
	}
	if (has_star(n->text))
		return; /* for whoever may come */
	if (n->what != NAMES_NAMESPACES) {
		if (!take_apart(a, n, &domain, &ns, &account)) {
			no_principal(a, n, NULL, NULL);
			return;
		}
		if (!is_ours(a, domain)) {
			no_principal(a, n,
				     say(a, "the mesh's trust domain is %s", a->mesh->trust_domain),
				     say(a, "%s/ns/%s/sa/%.*s", a->mesh->trust_domain, ns,
					 SLICE_FMT(account)));
			return;
		}
	}
	if (strcmp(ns, a->mesh->root_namespace) == 0 || world_has_strangers(a, ns))
		return; /* gateways and such, of which nothing is known here */
	if (!is_declared(a, ns))
		no_namespace(a, n, ns);
	else if (n->what != NAMES_NAMESPACES)
		no_account(a, n, ns, account);
}

static void check_name(struct analysis *a, const struct named *n)
{
	size_t n_named = 0, n_meshed = 0;
	struct names bare;
	names_init(&bare, a);
	for (size_t i = 0; i < a->n_groups; i++) {
		const struct group *g = &a->groups[i];
		if (!is_named(a, n, g))
			continue;
		n_named++;
		n_meshed += g->mesh_tls;
		if (!g->mesh_tls)
			names_add(&bare, group_name(a, g));
	}
	const char *groups = names_end(&bare);
	if (n_named == 0) {
		check_unknown(a, n);
		return;
	}
	if (n_meshed)
		return;
	finding_add(
		a, CHECK_CALLER_PLAIN, n->policy, n->path,
		&(struct said){
			.text = say(a, "whoever \"%s\" means has no sidecar, and so no identity",
				    n->text),
			.why = groups,
			.effect = no_match(n),
			.affected = groups,
			.mend = "give them a sidecar, or name their addresses (ipBlocks)",
			.yaml = "metadata:\n  labels:\n    sidecar.istio.io/inject: \"true\"\n",
		});
}

/* A port of the Pods that O selects on which nobody authenticates; NULL: none. */
static const struct target *nobody_known(const struct analysis *a, const struct object *o,
					 const struct authz_rule_spec *r)
{
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		if (target_is_guarded(t) && policy_selects(a, o, t->group) &&
		    rule_covers_port(r, t->number) &&
		    (!t->group->mesh_tls || target_mode(t).mode == MTLS_DISABLE))
			return t;
	}
	return NULL;
}

static void check_identity(struct analysis *a, const struct named *n)
{
	const struct authz_rule_spec *r = &n->policy->authorization_policy->rules[n->rule];
	const struct target *t = nobody_known(a, n->policy, r);
	char text[600];
	if (!t)
		return;
	struct mtls_answer mode = target_mode(t);
	const char *why =
		!t->group->mesh_tls
			? say(a, "the sidecar of %s speaks no mesh TLS", group_name(a, t->group))
			: say(a, "port %u of %s is DISABLE by %s", t->number,
			      group_name(a, t->group),
			      mode.by ? object_text(mode.by, text, sizeof(text)) : "default");
	finding_add(
		a, CHECK_IDENTITY_OFF, n->policy, n->path,
		&(struct said){
			.text = say(
				a, "rule %zu asks who the client is, and on port %u nobody says so",
				n->rule, t->number),
			.why = why,
			.effect = no_match(n),
			.affected = say(a, "whoever connects to %s", port_name(a, t->port)),
			.mend = "PERMISSIVE or STRICT for the port; or a rule that names addresses "
				"(ipBlocks)",
			.yaml = say(a,
				    "# PeerAuthentication\nspec:\n  portLevelMtls:\n    %u:\n      "
				    "mode: "
				    "STRICT\n",
				    t->number),
		});
}

static void check_names(struct analysis *a, struct named *n, const char *const *list,
			enum naming what, const char *path)
{
	n->what = what;
	n->path = path;
	if (!list[0])
		return;
	check_identity(a, n);
	for (size_t i = 0; list[i] && what != NAMES_NOTHING; i++) {
		n->text = list[i];
		n->path = say(a, "%s[%zu]", path, i);
		check_name(a, n);
	}
}

static enum naming naming_of(enum authz_input input)
{
	switch (input) {
	case AUTHZ_IN_PRINCIPAL:
		return NAMES_PRINCIPALS;
	case AUTHZ_IN_NAMESPACE:
		return NAMES_NAMESPACES;
	case AUTHZ_IN_SERVICE_ACCOUNT:
		return NAMES_ACCOUNTS;
	default:
		return NAMES_NOTHING;
	}
}

/* What a rule says of the client that it does not want to be (notPrincipals) holds for those without an
 * identity as well, and is how plaintext is named: it is not looked at. */
void analyze_callers(struct analysis *a, const struct object *o)
{
	const struct authorization_policy *p = o->authorization_policy;
	for (size_t r = 0; r < p->n_rules; r++) {
		const struct authz_rule_spec *rule = &p->rules[r];
		struct named n = {.policy = o, .rule = r};
		for (size_t i = 0; i < rule->n_from; i++) {
			const struct authz_source *s = &rule->from[i];
			const char *at = say(a, "spec.rules[%zu].from[%zu].source", r, i);
			check_names(a, &n, s->principals, NAMES_PRINCIPALS,
				    say(a, "%s.principals", at));
			check_names(a, &n, s->namespaces, NAMES_NAMESPACES,
				    say(a, "%s.namespaces", at));
			check_names(a, &n, s->service_accounts, NAMES_ACCOUNTS,
				    say(a, "%s.serviceAccounts", at));
			check_names(a, &n, s->trust_domains, NAMES_NOTHING,
				    say(a, "%s.trustDomains", at));
		}
		for (size_t i = 0; i < rule->n_when; i++) {
			struct slice name;
			enum authz_input input =
				authz_input_of_key(slice_of(rule->when[i].key), &name);
			if (authz_input_is_peer(input))
				check_names(a, &n, rule->when[i].values, naming_of(input),
					    say(a, "spec.rules[%zu].when[%zu].values", r, i));
		}
	}
}
