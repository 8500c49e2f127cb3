/* Policies -> programs. What a policy says in words, field by field, becomes tests; what a protocol
 * cannot answer is left out here, so that running a program is mere comparing. */
#include "model/authz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/decode.h"

static const struct {
	const char *key;
	bool http;
} inputs[N_AUTHZ_INPUTS] = {
#define X(id, key, http) [AUTHZ_IN_##id] = {key, http},
	AUTHZ_INPUTS(X)
#undef X
};

bool authz_input_is_http(enum authz_input input)
{
	return inputs[input].http;
}

bool authz_input_is_jwt(enum authz_input input)
{
	return input >= AUTHZ_IN_REQUEST_PRINCIPAL && input <= AUTHZ_IN_CLAIM;
}

bool authz_input_is_peer(enum authz_input input)
{
	return input >= AUTHZ_IN_PRINCIPAL && input <= AUTHZ_IN_TRUST_DOMAIN;
}

enum authz_input authz_input_of_key(struct slice key, struct slice *name)
{
	*name = SLICE("");
	for (enum authz_input i = AUTHZ_IN_PRINCIPAL; i < N_AUTHZ_INPUTS; i++) {
		struct slice base = slice_of(inputs[i].key);
		bool bracket = i == AUTHZ_IN_HEADER || i == AUTHZ_IN_CLAIM;
		if (base.len == 0 || !slice_starts(key, base))
			continue;
		struct slice rest = slice_sub(key, base.len, key.len);
		if (i == AUTHZ_IN_METADATA && rest.len)
			return i;
		if (!bracket && rest.len == 0)
			return i;
		if (bracket && rest.len > 2 && rest.at[0] == '[' && slice_ends(rest, SLICE("]"))) {
			*name = slice_sub(rest, 1, rest.len - 2);
			return i;
		}
	}
	return AUTHZ_IN_UNKNOWN;
}

const char *authz_nearest_key(struct slice key)
{
	struct nearest near = {.word = key};
	for (enum authz_input i = AUTHZ_IN_PRINCIPAL; i < N_AUTHZ_INPUTS; i++)
		if (inputs[i].key[0] && i != AUTHZ_IN_METADATA)
			nearest_try(&near, inputs[i].key);
	return near.best;
}

bool authz_path_ok(struct slice path)
{
	bool template = slice_contains(path, SLICE("{"));
	while (template && path.len) {
		struct slice segment = slice_cut(&path, '/');
		if (slice_is(segment, "{**}")  ? path.len > 0
		    : slice_is(segment, "{*}") ? false
					       : slice_contains(segment, SLICE("{")) ||
							 slice_contains(segment, SLICE("}")) ||
							 slice_contains(segment, SLICE("*")))
			return false;
	}
	return true;
}

/* A program as it grows. */
struct compiling {
	struct arena *arena;
	const struct mesh_config *mesh;
	enum authz_protocol protocol;
	const struct object *policy;
	enum authz_action action;
	uint16_t rule;
	bool dropped;        /* the rule at hand */
	size_t first_change; /* of the rule at hand */
	struct authz_change *changes;
	size_t n_changes, size_changes;
};

static void changed(struct compiling *c, enum authz_change_why why, enum authz_input input,
		    const char *path)
{
	bool allow = c->action == AUTHZ_ALLOW;
	c->dropped = c->dropped || allow;
	if (c->n_changes == c->size_changes) { /* few: what the arena loses does not count */
		size_t size = c->size_changes ? c->size_changes * 2 : 8;
		struct authz_change *more = arena_array(c->arena, size, sizeof(*more));
		if (c->n_changes)
			memcpy(more, c->changes, c->n_changes * sizeof(*more));
		c->changes = more;
		c->size_changes = size;
	}
	c->changes[c->n_changes++] = (struct authz_change){
		.policy = c->policy,
		.rule = c->rule,
		.protocol = c->protocol,
		.kind = allow ? AUTHZ_RULE_DROPPED : AUTHZ_RULE_WIDENED,
		.why = why,
		.input = input,
		.path = path,
	};
}

static struct authz_text text_of(struct slice s, enum authz_input input)
{
	struct slice star = SLICE("*");
	if (input == AUTHZ_IN_PATH && slice_contains(s, SLICE("{")))
		return (struct authz_text){AUTHZ_TEXT_TEMPLATE, s};
	if (input == AUTHZ_IN_SERVICE_ACCOUNT)
		return (struct authz_text){AUTHZ_TEXT_EXACT, s};
	if (slice_eq(s, star))
		return (struct authz_text){AUTHZ_TEXT_PRESENT, SLICE("")};
	if (slice_ends(s, star))
		return (struct authz_text){AUTHZ_TEXT_PREFIX, slice_sub(s, 0, s.len - 1)};
	if (slice_starts(s, star))
		return (struct authz_text){AUTHZ_TEXT_SUFFIX, slice_sub(s, 1, s.len)};
	return (struct authz_text){AUTHZ_TEXT_EXACT, s};
}

static size_t count(const char *const *list)
{
	size_t n = 0;
	while (list[n])
		n++;
	return n;
}

/* The trust domain with which a principal begins is one of the mesh's. */
static bool of_mesh(const struct mesh_config *mesh, struct slice domain)
{
	bool found = slice_is(domain, mesh->trust_domain);
	for (const char *const *a = mesh->trust_domain_aliases; *a && !found; a++)
		found = slice_is(domain, *a);
	return found;
}

/* A principal under every name that the mesh's trust domain has. */
static size_t add_principal(const struct compiling *c, struct slice value, struct authz_text *out)
{
	const struct mesh_config *mesh = c->mesh;
	struct slice rest = value;
	struct slice domain = slice_cut(&rest, '/');
	size_t n = 0;
	out[n++] = text_of(value, AUTHZ_IN_PRINCIPAL);
	if (domain.len == value.len || !of_mesh(mesh, domain))
		return n;
	for (size_t i = 0; i == 0 || mesh->trust_domain_aliases[i - 1]; i++) {
		const char *other = i ? mesh->trust_domain_aliases[i - 1] : mesh->trust_domain;
		if (!slice_is(domain, other))
			out[n++] = text_of(
				slice_of(arena_printf(c->arena, "%s/%.*s", other, SLICE_FMT(rest))),
				AUTHZ_IN_PRINCIPAL);
	}
	return n;
}

static void fill_texts(const struct compiling *c, struct authz_test *t, const char *const *values)
{
	size_t names = 2 + count(c->mesh->trust_domain_aliases);
	struct authz_text *texts =
		arena_array(c->arena, count(values) * (t->input == AUTHZ_IN_PRINCIPAL ? names : 1),
			    sizeof(*texts));
	for (; *values; values++) {
		struct slice one = slice_of(*values);
		if (t->input == AUTHZ_IN_PRINCIPAL)
			t->n += add_principal(c, one, &texts[t->n]);
		else if (t->input == AUTHZ_IN_SERVICE_ACCOUNT && slice_find(one, '/') == one.len)
			texts[t->n++] = text_of(slice_of(arena_printf(c->arena, "%s/%s",
								      c->policy->meta.ns, *values)),
						t->input);
		else
			texts[t->n++] = text_of(one, t->input);
	}
	t->texts = texts;
}

static void fill_cidrs(const struct compiling *c, struct authz_test *t, const char *const *values)
{
	struct cidr *cidrs = arena_array(c->arena, count(values), sizeof(*cidrs));
	for (; *values; values++)
		t->n += cidr_parse(slice_of(*values), &cidrs[t->n]);
	t->cidrs = cidrs;
}

static void fill_ports(const struct compiling *c, struct authz_test *t, const char *const *values)
{
	uint16_t *ports = arena_array(c->arena, count(values), sizeof(*ports));
	for (; *values; values++) {
		uint64_t port = 0;
		if (slice_to_u64(slice_of(*values), UINT16_MAX, &port))
			ports[t->n++] = (uint16_t)port;
	}
	t->ports = ports;
}

static void fill(const struct compiling *c, struct authz_test *t, const char *const *values)
{
	switch (t->input) {
	case AUTHZ_IN_SOURCE_IP:
	case AUTHZ_IN_REMOTE_IP:
	case AUTHZ_IN_DESTINATION_IP:
		fill_cidrs(c, t, values);
		return;
	case AUTHZ_IN_DESTINATION_PORT:
		fill_ports(c, t, values);
		return;
	default:
		fill_texts(c, t, values);
	}
}

/* A term as it grows. */
struct building {
	struct authz_test *tests;
	size_t n;
	const char *path; /* "spec.rules[0].from[1].source" */
};

/* INPUT is one of VALUES (none of them), as the field FIELD says; an empty list says nothing. */
static void add_test(struct compiling *c, struct building *b, enum authz_input input, bool negated,
		     const char *name, const char *const *values, const char *field)
{
	if (!values[0])
		return;
	const char *path = arena_printf(c->arena, "%s.%s", b->path, field);
	struct authz_test t = {.input = input, .negated = negated, .name = name};
	if (input == AUTHZ_IN_UNKNOWN || input == AUTHZ_IN_METADATA) {
		changed(c, input == AUTHZ_IN_METADATA ? AUTHZ_WHY_METADATA : AUTHZ_WHY_UNKNOWN,
			input, path);
		return;
	}
	if (c->protocol == AUTHZ_TCP && authz_input_is_http(input)) {
		changed(c, AUTHZ_WHY_HTTP_ONLY, input, path);
		return;
	}
	fill(c, &t, values);
	/* A value that makes no sense matches nothing. That is right for ALLOW with it and for DENY
	 * without it; the other two would open a door. */
	bool lost = t.n < count(values);
	if (lost && negated == (c->action == AUTHZ_ALLOW)) {
		changed(c, AUTHZ_WHY_VALUE, input, path);
		return;
	}
	b->tests[b->n++] = t;
}

static void add_unknown(struct compiling *c, struct building *b, const char *unknown)
{
	if (unknown[0])
		changed(c, AUTHZ_WHY_UNKNOWN, AUTHZ_IN_UNKNOWN,
			arena_printf(c->arena, "%s.%s", b->path, unknown));
}

static struct authz_term source(struct compiling *c, const struct authz_source *s, const char *path)
{
	enum { MAX = 14 };
	struct building b = {arena_array(c->arena, MAX, sizeof(struct authz_test)), 0, path};
	const struct {
		enum authz_input input;
		const char *const *is, *const *is_not;
		const char *field, *not_field;
	} lists[] = {
		{AUTHZ_IN_PRINCIPAL, s->principals, s->not_principals, "principals",
		 "notPrincipals"},
		{AUTHZ_IN_REQUEST_PRINCIPAL, s->request_principals, s->not_request_principals,
		 "requestPrincipals", "notRequestPrincipals"},
		{AUTHZ_IN_NAMESPACE, s->namespaces, s->not_namespaces, "namespaces",
		 "notNamespaces"},
		{AUTHZ_IN_SERVICE_ACCOUNT, s->service_accounts, s->not_service_accounts,
		 "serviceAccounts", "notServiceAccounts"},
		{AUTHZ_IN_TRUST_DOMAIN, s->trust_domains, s->not_trust_domains, "trustDomains",
		 "notTrustDomains"},
		{AUTHZ_IN_SOURCE_IP, s->ip_blocks, s->not_ip_blocks, "ipBlocks", "notIpBlocks"},
		{AUTHZ_IN_REMOTE_IP, s->remote_ip_blocks, s->not_remote_ip_blocks, "remoteIpBlocks",
		 "notRemoteIpBlocks"},
	};
	for (size_t i = 0; i < N_ELEMS(lists); i++) {
		add_test(c, &b, lists[i].input, false, "", lists[i].is, lists[i].field);
		add_test(c, &b, lists[i].input, true, "", lists[i].is_not, lists[i].not_field);
	}
	add_unknown(c, &b, s->unknown);
	return (struct authz_term){b.tests, b.n};
}

static struct authz_term operation(struct compiling *c, const struct authz_operation *o,
				   const char *path)
{
	enum { MAX = 8 };
	struct building b = {arena_array(c->arena, MAX, sizeof(struct authz_test)), 0, path};
	add_test(c, &b, AUTHZ_IN_HOST, false, "", o->hosts, "hosts");
	add_test(c, &b, AUTHZ_IN_HOST, true, "", o->not_hosts, "notHosts");
	add_test(c, &b, AUTHZ_IN_DESTINATION_PORT, false, "", o->ports, "ports");
	add_test(c, &b, AUTHZ_IN_DESTINATION_PORT, true, "", o->not_ports, "notPorts");
	add_test(c, &b, AUTHZ_IN_METHOD, false, "", o->methods, "methods");
	add_test(c, &b, AUTHZ_IN_METHOD, true, "", o->not_methods, "notMethods");
	add_test(c, &b, AUTHZ_IN_PATH, false, "", o->paths, "paths");
	add_test(c, &b, AUTHZ_IN_PATH, true, "", o->not_paths, "notPaths");
	add_unknown(c, &b, o->unknown);
	return (struct authz_term){b.tests, b.n};
}

static struct authz_term conditions(struct compiling *c, const struct authz_rule_spec *r)
{
	struct building b = {arena_array(c->arena, r->n_when * 2, sizeof(struct authz_test)), 0,
			     ""};
	for (size_t i = 0; i < r->n_when; i++) {
		const struct authz_condition *w = &r->when[i];
		struct slice name;
		enum authz_input input = authz_input_of_key(slice_of(w->key), &name);
		const char *text = arena_dup(c->arena, name);
		b.path = arena_printf(c->arena, "spec.rules[%u].when[%zu]", c->rule, i);
		if (input == AUTHZ_IN_UNKNOWN) {
			add_unknown(c, &b, "key");
			continue;
		}
		add_test(c, &b, input, false, text, w->values, "values");
		add_test(c, &b, input, true, text, w->not_values, "notValues");
		add_unknown(c, &b, w->unknown);
	}
	return (struct authz_term){b.tests, b.n};
}

/* Terms of which one is always true say nothing. */
static size_t any_left(const struct authz_term *terms, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (terms[i].n == 0)
			return 0;
	return n;
}

/* False: the rule is not part of the program. */
static bool compile_rule(struct compiling *c, const struct authz_rule_spec *r,
			 struct authz_rule *out)
{
	struct authz_term *from = arena_array(c->arena, r->n_from, sizeof(*from));
	struct authz_term *to = arena_array(c->arena, r->n_to, sizeof(*to));
	struct building whole = {NULL, 0, arena_printf(c->arena, "spec.rules[%u]", c->rule)};
	c->dropped = false;
	c->first_change = c->n_changes;
	for (size_t i = 0; i < r->n_from; i++)
		from[i] = source(
			c, &r->from[i],
			arena_printf(c->arena, "spec.rules[%u].from[%zu].source", c->rule, i));
	for (size_t i = 0; i < r->n_to; i++)
		to[i] = operation(
			c, &r->to[i],
			arena_printf(c->arena, "spec.rules[%u].to[%zu].operation", c->rule, i));
	*out = (struct authz_rule){
		.policy = c->policy,
		.index = c->rule,
		.dry_run = c->policy->authorization_policy->dry_run,
		.from = from,
		.to = to,
		.when = conditions(c, r),
	};
	add_unknown(c, &whole, r->unknown);
	out->n_from = any_left(from, r->n_from);
	out->n_to = any_left(to, r->n_to);
	bool always = out->n_from == 0 && out->n_to == 0 && out->when.n == 0;
	for (size_t i = c->first_change; i < c->n_changes; i++)
		c->changes[i].matches_always = always && !c->dropped;
	return !c->dropped;
}

static void compile_policy(struct compiling *c, const struct object *o, struct authz_program *p,
			   struct authz_rule *const room[4])
{
	const struct authorization_policy *spec = o->authorization_policy;
	struct authz_rules *const lists[] = {
		[AUTHZ_ALLOW] = &p->allow,
		[AUTHZ_DENY] = &p->deny,
		[AUTHZ_AUDIT] = &p->audit,
		[AUTHZ_CUSTOM] = &p->custom,
	};
	struct authz_rules *list = lists[spec->action];
	const struct object **first = spec->dry_run ? &p->dry_run_allow : &p->allow_policy;
	c->policy = o;
	c->action = spec->action;
	if (spec->action == AUTHZ_ALLOW && !*first)
		*first = o;
	for (size_t i = 0; i < spec->n_rules && i < UINT16_MAX; i++) {
		c->rule = (uint16_t)i;
		if (spec->action == AUTHZ_CUSTOM)
			changed(c, AUTHZ_WHY_PROVIDER, AUTHZ_IN_UNKNOWN, "spec.provider");
		list->n += compile_rule(c, &spec->rules[i], &room[spec->action][list->n]);
	}
}

static void compile_program(struct compiling *c, const struct authz *z, size_t n_rules,
			    struct authz_program *p)
{
	struct authz_rule *room[4]; /* by action */
	for (size_t i = 0; i < N_ELEMS(room); i++)
		room[i] = arena_array(c->arena, n_rules, sizeof(struct authz_rule));
	p->allow.at = room[AUTHZ_ALLOW];
	p->deny.at = room[AUTHZ_DENY];
	p->audit.at = room[AUTHZ_AUDIT];
	p->custom.at = room[AUTHZ_CUSTOM];
	for (size_t i = 0; i < z->n_policies; i++)
		compile_policy(c, z->policies[i], p, room);
}

const struct authz *authz_compile(struct arena *arena, const struct object *const *policies,
				  size_t n, const struct mesh_config *mesh)
{
	struct authz *z = arena_alloc(arena, sizeof(*z));
	const struct object **mine = arena_array(arena, n, sizeof(struct object *));
	struct compiling c = {.arena = arena, .mesh = mesh};
	size_t n_rules = 0;
	for (size_t i = 0; i < n; i++)
		if (!policies[i]->authorization_policy->has_target_refs) {
			mine[z->n_policies++] = policies[i];
			n_rules += policies[i]->authorization_policy->n_rules;
		}
	z->policies = mine;
	for (enum authz_protocol p = AUTHZ_TCP; z->n_policies && p < N_AUTHZ_PROTOCOLS; p++) {
		c.protocol = p;
		compile_program(&c, z, n_rules, &z->programs[p]);
	}
	z->changes = c.changes;
	z->n_changes = c.n_changes;
	return z;
}

static int by_age(const void *a, const void *b)
{
	const struct object *const *x = a, *const *y = b;
	return object_older(*x, *y) ? -1 : object_older(*y, *x);
}

/* Those of NS that select LABELS, oldest first, into OUT; how many. */
static size_t select_in(const struct object_set *set, const char *ns, const struct pairs *labels,
			const struct object **out)
{
	size_t n = 0, at = 0;
	(void)object_set_find(set, ns, "", &at); /* where the namespace begins */
	for (; at < set->n && strcmp(set->at[at]->meta.ns, ns) == 0; at++)
		if (pairs_select(&set->at[at]->authorization_policy->selector, labels))
			out[n++] = set->at[at];
	qsort(out, n, sizeof(struct object *), by_age);
	return n;
}

size_t authz_select(const struct object_set *policies, const char *root_ns, const char *ns,
		    const struct pairs *labels, const struct object **out)
{
	size_t n = select_in(policies, root_ns, labels, out);
	if (strcmp(ns, root_ns) != 0)
		n += select_in(policies, ns, labels, &out[n]);
	return n;
}

const char *authz_rule_name(const struct object *policy, unsigned rule, char *out, size_t out_len)
{
	(void)snprintf(out, out_len, "ns[%s]-policy[%s]-rule[%u]", policy->meta.ns,
		       policy->meta.name, rule); /* cut short is fine */
	return out;
}

const char *authz_action_name(enum authz_action action)
{
	static const char *const names[] = {[AUTHZ_ALLOW] = "ALLOW",
					    [AUTHZ_DENY] = "DENY",
					    [AUTHZ_AUDIT] = "AUDIT",
					    [AUTHZ_CUSTOM] = "CUSTOM"};
	return names[action];
}

const char *authz_why_text(enum authz_change_why why)
{
	static const char *const texts[] = {
		[AUTHZ_WHY_HTTP_ONLY] = "only HTTP requests have it",
		[AUTHZ_WHY_UNKNOWN] = "nothing is known of it",
		[AUTHZ_WHY_METADATA] = "it needs a filter of Envoy",
		[AUTHZ_WHY_VALUE] = "a value makes no sense",
		[AUTHZ_WHY_PROVIDER] = "no provider can be asked, so what matches is denied",
	};
	return texts[why];
}
