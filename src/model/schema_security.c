/* PeerAuthentication and AuthorizationPolicy (security.istio.io). */
#include "model/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/authz.h"

/* Istio's WorkloadSelector: labels as they are, no wildcards. */
void check_selector(struct decoder *d, const struct tree *n, const char *member,
		    const struct pairs *labels)
{
	enum { MAX_VALUE = 63 };
	const struct tree *map = tree_get(n, member);
	for (size_t i = 0; i < labels->n; i++) {
		const struct pair *p = &labels->at[i];
		if (!p->key[0])
			decode_problem(d, map, NULL, "a label needs a name");
		else if (strchr(p->key, '*') || strchr(p->value, '*'))
			decode_problem(d, map, p->key, "a selector has no wildcards");
		else if (strlen(p->value) > MAX_VALUE)
			decode_problem(d, map, p->key, "is longer than %d characters", MAX_VALUE);
	}
}

/* PeerAuthentication */

static const char *const mode_words[] = {"PERMISSIVE", "STRICT", "DISABLE", "UNSET", NULL};

static void default_mtls_port(void *out)
{
	struct mtls_port *p = out;
	p->mode = MTLS_UNSET;
}

static const struct field mtls_port_fields[] = {
	FIELD_ENUM(struct mtls_port, "mode", mode, mode_words),
};
static const struct schema mtls_port_schema =
	SCHEMA(struct mtls_port, mtls_port_fields, default_mtls_port, NULL);

static int port_cmp(const void *a, const void *b)
{
	const struct mtls_port *x = a, *y = b;
	return (x->port > y->port) - (x->port < y->port);
}

/* The keys are the workload's ports. */
static void read_port_modes(struct decoder *d, struct tree *n, void *out)
{
	struct peer_authentication *pa = out;
	if (n->type != TREE_MAP) {
		decode_expected(d, n, "an object whose keys are the workload's ports");
		return;
	}
	struct mtls_port *ports = arena_array(d->arena, n->n, sizeof(*ports));
	for (struct tree *c = n->first; c; c = c->next) {
		struct mtls_port *p = &ports[pa->n_ports];
		uint64_t number = 0;
		decode(d, &mtls_port_schema, c, p);
		if (!slice_to_u64(c->key, UINT16_MAX, &number) || number == 0) {
			decode_problem(d, c, NULL, "expected a port 1..65535 as the key");
			continue;
		}
		p->port = (uint16_t)number;
		pa->n_ports++;
	}
	qsort(ports, pa->n_ports, sizeof(*ports), port_cmp);
	pa->ports = ports;
}

static void default_peer_authentication(void *out)
{
	struct peer_authentication *pa = out;
	pa->mode = MTLS_UNSET;
}

static void check_peer_selector(struct decoder *d, const struct tree *n, void *out)
{
	const struct peer_authentication *pa = out;
	check_selector(d, n, "matchLabels", &pa->selector);
}

static void check_peer_spec(struct decoder *d, const struct tree *n, void *out)
{
	const struct peer_authentication *pa = out;
	const struct tree *ports = tree_get(n, "portLevelMtls");
	if (!d->strict || !ports || ports->type != TREE_MAP)
		return; /* from a server that let it pass: the ports then have no effect */
	if (ports->n == 0)
		decode_problem(d, ports, NULL, "names no port");
	else if (pa->selector.n == 0)
		decode_problem(d, ports, NULL,
			       "needs a selector with matchLabels: without one it has no effect");
}

static const struct field peer_selector_fields[] = {
	FIELD_PAIRS(struct peer_authentication, "matchLabels", selector),
};
static const struct schema peer_selector_schema =
	SCHEMA(struct peer_authentication, peer_selector_fields, NULL, check_peer_selector);

static const struct field peer_mtls_fields[] = {
	FIELD_ENUM(struct peer_authentication, "mode", mode, mode_words),
};
static const struct schema peer_mtls_schema =
	SCHEMA(struct peer_authentication, peer_mtls_fields, NULL, NULL);

static const struct field peer_spec_fields[] = {
	FIELD_INLINE("selector", &peer_selector_schema),
	FIELD_INLINE("mtls", &peer_mtls_schema),
	FIELD_CUSTOM("portLevelMtls", read_port_modes),
};
static const struct schema peer_spec_schema = SCHEMA(struct peer_authentication, peer_spec_fields,
						     default_peer_authentication, check_peer_spec);

static const struct field peer_fields[] = {
	TOP_ROWS,
	FIELD_INLINE("spec", &peer_spec_schema),
	FIELD_KNOWN("status"),
};
const struct schema peer_authentication_schema =
	SCHEMA(struct peer_authentication, peer_fields, NULL, NULL);

/* AuthorizationPolicy. What an API server has let pass is taken whatever stands in it: to drop a
 * policy is to let in whom it keeps out. So most checks are for what people write, and authz.h
 * deals with the rest. */

/* The first member that the table does not have, or "". */
static const char *unknown_member(const struct decoder *d, const struct tree *n,
				  const struct field *fields, size_t n_fields)
{
	for (const struct tree *c = n->first; c; c = c->next) {
		bool known = false;
		for (size_t i = 0; i < n_fields; i++)
			known = known || slice_is(c->key, fields[i].name);
		if (!known)
			return arena_dup(d->arena, c->key);
	}
	return "";
}

static bool is_empty(const struct tree *n, const char *member)
{
	const struct tree *list = tree_get(n, member);
	return list && list->type == TREE_SEQ && list->n == 0;
}

/* A list with members that make no sense; OK says which do. */
static void check_list(struct decoder *d, const struct tree *n, const char *member,
		       const char *const *list, bool (*ok)(struct slice), const char *what)
{
	for (size_t i = 0; list[i]; i++) {
		struct slice one = slice_of(list[i]);
		if (one.len == 0)
			decode_problem(d, list_item(n, member, i), NULL, "is empty");
		else if (ok && !ok(one))
			decode_expected(d, list_item(n, member, i), what);
	}
}

static bool is_block(struct slice text)
{
	struct cidr cidr;
	return cidr_parse(text, &cidr);
}

static bool is_port(struct slice text)
{
	uint64_t port = 0;
	return slice_to_u64(text, UINT16_MAX, &port) && port > 0;
}

#define IP_BLOCK "an IP address or a CIDR"
#define PORT_TEXT "a port 1..65535 as a string"

static void check_accounts(struct decoder *d, const struct tree *n, const char *member,
			   const char *const *list)
{
	enum { MAX_ACCOUNTS = 16, MAX_LEN = 320 };
	size_t count = 0;
	for (; list[count]; count++) {
		struct slice one = slice_of(list[count]);
		if (one.len > MAX_LEN)
			decode_problem(d, list_item(n, member, count), NULL,
				       "is longer than %d characters", MAX_LEN);
		else if (slice_find(one, '*') < one.len)
			decode_problem(d, list_item(n, member, count), NULL,
				       "a service account has no wildcards");
	}
	if (count > MAX_ACCOUNTS)
		decode_problem(d, n, member, "has more than %d entries", MAX_ACCOUNTS);
}

static const struct field source_fields[] = {
	FIELD_STRINGS(struct authz_source, "principals", principals),
	FIELD_STRINGS(struct authz_source, "notPrincipals", not_principals),
	FIELD_STRINGS(struct authz_source, "requestPrincipals", request_principals),
	FIELD_STRINGS(struct authz_source, "notRequestPrincipals", not_request_principals),
	FIELD_STRINGS(struct authz_source, "namespaces", namespaces),
	FIELD_STRINGS(struct authz_source, "notNamespaces", not_namespaces),
	FIELD_STRINGS(struct authz_source, "serviceAccounts", service_accounts),
	FIELD_STRINGS(struct authz_source, "notServiceAccounts", not_service_accounts),
	FIELD_STRINGS(struct authz_source, "trustDomains", trust_domains),
	FIELD_STRINGS(struct authz_source, "notTrustDomains", not_trust_domains),
	FIELD_STRINGS(struct authz_source, "ipBlocks", ip_blocks),
	FIELD_STRINGS(struct authz_source, "notIpBlocks", not_ip_blocks),
	FIELD_STRINGS(struct authz_source, "remoteIpBlocks", remote_ip_blocks),
	FIELD_STRINGS(struct authz_source, "notRemoteIpBlocks", not_remote_ip_blocks),
};

static void default_source(void *out)
{
	struct authz_source *s = out;
	s->unknown = "";
}

static void check_source(struct decoder *d, const struct tree *n, void *out)
{
	struct authz_source *s = out;
	s->unknown = unknown_member(d, n, source_fields, N_ELEMS(source_fields));
	if (!d->strict)
		return;
	if (n->n == 0)
		decode_problem(d, n, NULL, "names no field: leave it out to mean every source");
	check_list(d, n, "principals", s->principals, NULL, "");
	check_list(d, n, "notPrincipals", s->not_principals, NULL, "");
	check_list(d, n, "requestPrincipals", s->request_principals, NULL, "");
	check_list(d, n, "notRequestPrincipals", s->not_request_principals, NULL, "");
	check_list(d, n, "namespaces", s->namespaces, NULL, "");
	check_list(d, n, "notNamespaces", s->not_namespaces, NULL, "");
	check_list(d, n, "serviceAccounts", s->service_accounts, NULL, "");
	check_list(d, n, "notServiceAccounts", s->not_service_accounts, NULL, "");
	check_list(d, n, "trustDomains", s->trust_domains, NULL, "");
	check_list(d, n, "notTrustDomains", s->not_trust_domains, NULL, "");
	check_list(d, n, "ipBlocks", s->ip_blocks, is_block, IP_BLOCK);
	check_list(d, n, "notIpBlocks", s->not_ip_blocks, is_block, IP_BLOCK);
	check_list(d, n, "remoteIpBlocks", s->remote_ip_blocks, is_block, IP_BLOCK);
	check_list(d, n, "notRemoteIpBlocks", s->not_remote_ip_blocks, is_block, IP_BLOCK);
	check_accounts(d, n, "serviceAccounts", s->service_accounts);
	check_accounts(d, n, "notServiceAccounts", s->not_service_accounts);
	bool accounts = s->service_accounts[0] || s->not_service_accounts[0];
	if (accounts &&
	    (s->principals[0] || s->not_principals[0] || s->namespaces[0] || s->not_namespaces[0]))
		decode_problem(d, n,
			       s->service_accounts[0] ? "serviceAccounts" : "notServiceAccounts",
			       "cannot stand beside principals or namespaces");
}
static const struct schema source_schema =
	SCHEMA(struct authz_source, source_fields, default_source, check_source);

static const struct field from_fields[] = {FIELD_INLINE("source", &source_schema)};

static void check_from(struct decoder *d, const struct tree *n, void *out)
{
	struct authz_source *s = out;
	const char *unknown = unknown_member(d, n, from_fields, N_ELEMS(from_fields));
	if (unknown[0])
		s->unknown = unknown;
	if (d->strict && !tree_get(n, "source"))
		decode_problem(d, n, "source", "is required");
}
static const struct schema from_schema =
	SCHEMA(struct authz_source, from_fields, default_source, check_from);

static const struct field operation_fields[] = {
	FIELD_STRINGS(struct authz_operation, "hosts", hosts),
	FIELD_STRINGS(struct authz_operation, "notHosts", not_hosts),
	FIELD_STRINGS(struct authz_operation, "ports", ports),
	FIELD_STRINGS(struct authz_operation, "notPorts", not_ports),
	FIELD_STRINGS(struct authz_operation, "methods", methods),
	FIELD_STRINGS(struct authz_operation, "notMethods", not_methods),
	FIELD_STRINGS(struct authz_operation, "paths", paths),
	FIELD_STRINGS(struct authz_operation, "notPaths", not_paths),
};

static void default_operation(void *out)
{
	struct authz_operation *o = out;
	o->unknown = "";
}

#define PATH_TEXT "a path in which {*} stands for one segment, and {**} at the end for the rest"

static void check_operation(struct decoder *d, const struct tree *n, void *out)
{
	struct authz_operation *o = out;
	o->unknown = unknown_member(d, n, operation_fields, N_ELEMS(operation_fields));
	if (!d->strict)
		return;
	if (n->n == 0)
		decode_problem(d, n, NULL, "names no field: leave it out to mean every operation");
	check_list(d, n, "hosts", o->hosts, NULL, "");
	check_list(d, n, "notHosts", o->not_hosts, NULL, "");
	check_list(d, n, "ports", o->ports, is_port, PORT_TEXT);
	check_list(d, n, "notPorts", o->not_ports, is_port, PORT_TEXT);
	check_list(d, n, "methods", o->methods, NULL, "");
	check_list(d, n, "notMethods", o->not_methods, NULL, "");
	check_list(d, n, "paths", o->paths, authz_path_ok, PATH_TEXT);
	check_list(d, n, "notPaths", o->not_paths, authz_path_ok, PATH_TEXT);
}
static const struct schema operation_schema =
	SCHEMA(struct authz_operation, operation_fields, default_operation, check_operation);

static const struct field to_fields[] = {FIELD_INLINE("operation", &operation_schema)};

static void check_to(struct decoder *d, const struct tree *n, void *out)
{
	struct authz_operation *o = out;
	const char *unknown = unknown_member(d, n, to_fields, N_ELEMS(to_fields));
	if (unknown[0])
		o->unknown = unknown;
	if (d->strict && !tree_get(n, "operation"))
		decode_problem(d, n, "operation", "is required");
}
static const struct schema to_schema =
	SCHEMA(struct authz_operation, to_fields, default_operation, check_to);

static const struct field when_fields[] = {
	FIELD_STRING(struct authz_condition, "key", key),
	FIELD_STRINGS(struct authz_condition, "values", values),
	FIELD_STRINGS(struct authz_condition, "notValues", not_values),
};

static void default_when(void *out)
{
	struct authz_condition *c = out;
	c->unknown = "";
}

static void check_key(struct decoder *d, const struct tree *n, const struct authz_condition *c)
{
	struct slice name;
	enum authz_input input = authz_input_of_key(slice_of(c->key), &name);
	const char *near = authz_nearest_key(slice_of(c->key));
	switch (input) {
	case AUTHZ_IN_UNKNOWN:
		decode_problem(d, n, "key", "\"%.80s\" is no key that is known%s%s%s", c->key,
			       near ? ", did you mean \"" : "", near ? near : "",
			       near ? "\"?" : "");
		return;
	case AUTHZ_IN_SOURCE_IP:
	case AUTHZ_IN_REMOTE_IP:
	case AUTHZ_IN_DESTINATION_IP:
		check_list(d, n, "values", c->values, is_block, IP_BLOCK);
		check_list(d, n, "notValues", c->not_values, is_block, IP_BLOCK);
		return;
	case AUTHZ_IN_DESTINATION_PORT:
		check_list(d, n, "values", c->values, is_port, PORT_TEXT);
		check_list(d, n, "notValues", c->not_values, is_port, PORT_TEXT);
		return;
	default:
		return;
	}
}

static void check_when(struct decoder *d, const struct tree *n, void *out)
{
	struct authz_condition *c = out;
	c->unknown = unknown_member(d, n, when_fields, N_ELEMS(when_fields));
	if (!d->strict)
		return;
	if (!c->key[0])
		decode_problem(d, n, "key", "is required");
	else
		check_key(d, n, c);
	if (!c->values[0] && !c->not_values[0])
		decode_problem(d, n, "values", "either values or notValues must be set");
}
static const struct schema when_schema =
	SCHEMA(struct authz_condition, when_fields, default_when, check_when);

static const struct field rule_fields[] = {
	FIELD_LIST(struct authz_rule_spec, "from", from, n_from, &from_schema),
	FIELD_LIST(struct authz_rule_spec, "to", to, n_to, &to_schema),
	FIELD_LIST(struct authz_rule_spec, "when", when, n_when, &when_schema),
};

static void default_rule(void *out)
{
	struct authz_rule_spec *r = out;
	r->unknown = "";
}

static void check_rule(struct decoder *d, const struct tree *n, void *out)
{
	struct authz_rule_spec *r = out;
	r->unknown = unknown_member(d, n, rule_fields, N_ELEMS(rule_fields));
	for (size_t i = 0; d->strict && i < N_ELEMS(rule_fields); i++)
		if (is_empty(n, rule_fields[i].name))
			decode_problem(d, n, rule_fields[i].name,
				       "is an empty list: leave it out to mean all");
}
static const struct schema rule_schema =
	SCHEMA(struct authz_rule_spec, rule_fields, default_rule, check_rule);

static void read_target_refs(struct decoder *d, struct tree *n, void *out)
{
	struct authorization_policy *p = out;
	(void)d; /* what they name is no business of a sidecar */
	p->has_target_refs = n->type != TREE_SEQ || n->n > 0;
}

static void check_policy_selector(struct decoder *d, const struct tree *n, void *out)
{
	const struct authorization_policy *p = out;
	check_selector(d, n, "matchLabels", &p->selector);
}

static void check_policy_spec(struct decoder *d, const struct tree *n, void *out)
{
	enum { MAX_RULES = 512 };
	const struct authorization_policy *p = out;
	if (!d->strict)
		return;
	if (p->has_target_refs && p->selector.n)
		decode_problem(d, n, "selector", "cannot stand beside targetRefs");
	if (p->n_rules > MAX_RULES)
		decode_problem(d, n, "rules", "has more than %d rules", MAX_RULES);
	if (p->action == AUTHZ_CUSTOM && !p->provider[0])
		decode_problem(d, n, "provider", "is required for CUSTOM");
	if (p->action != AUTHZ_CUSTOM && p->provider[0])
		decode_problem(d, n, "provider", "has a meaning for CUSTOM only");
}

static const char *const action_words[] = {"ALLOW", "DENY", "AUDIT", "CUSTOM", NULL};

static const struct field policy_selector_fields[] = {
	FIELD_PAIRS(struct authorization_policy, "matchLabels", selector),
};
static const struct schema policy_selector_schema =
	SCHEMA(struct authorization_policy, policy_selector_fields, NULL, check_policy_selector);

static const struct field provider_fields[] = {
	FIELD_STRING(struct authorization_policy, "name", provider),
};
static const struct schema provider_schema =
	SCHEMA(struct authorization_policy, provider_fields, NULL, NULL);

static const struct field policy_spec_fields[] = {
	FIELD_INLINE("selector", &policy_selector_schema),
	FIELD_CUSTOM("targetRef", read_target_refs),
	FIELD_CUSTOM("targetRefs", read_target_refs),
	FIELD_ENUM(struct authorization_policy, "action", action, action_words),
	FIELD_INLINE("provider", &provider_schema),
	FIELD_LIST(struct authorization_policy, "rules", rules, n_rules, &rule_schema),
};
static const struct schema policy_spec_schema =
	SCHEMA(struct authorization_policy, policy_spec_fields, NULL, check_policy_spec);

static const struct field policy_fields[] = {
	TOP_ROWS,
	FIELD_INLINE("spec", &policy_spec_schema),
	FIELD_KNOWN("status"),
};
const struct schema authorization_policy_schema =
	SCHEMA(struct authorization_policy, policy_fields, NULL, NULL);
