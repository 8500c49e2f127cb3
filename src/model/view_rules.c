/* Which DestinationRules a sidecar follows for each Service. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/object_set.h"
#include "model/view_inside.h"

enum { HOST_TEXT = 512 };

struct ruling {
	struct view *v;
	const struct object_set *set;
	struct index by_host; /* in the set, by namespace and whole host */
	struct arena *scratch;
	bool odd_stars; /* a host like "*-db.local": a star that stands for part of a label */
	struct view_rule *made; /* for the rules of the set, at the place of the first of them */
	bool *is_made;
};

/* A rule's host as a whole name: a bare word is a Service of the rule's namespace. */
static const char *whole_host(const struct object *o, char out[HOST_TEXT])
{
	const char *host = o->destination_rule->host;
	bool bare = host[0] != '*' && !strchr(host, '.');
	(void)snprintf(out, HOST_TEXT, bare ? "%s.%s.svc.cluster.local" : "%s%s", host,
		       bare ? o->meta.ns : ""); /* a name that is cut is nobody's */
	return out;
}

static size_t index_key(const char *ns, struct slice host, char out[HOST_TEXT])
{
	int len = snprintf(out, HOST_TEXT, "%s %.*s", ns, SLICE_FMT(host));
	return len < HOST_TEXT ? (size_t)len : HOST_TEXT - 1;
}

/* May the own namespace see it? */
static bool is_visible(const struct view *v, const struct object *o)
{
	const char *const *to = o->destination_rule->export_to;
	if (!to[0])
		to = v->mesh.destination_rule_export_to;
	if (!to[0])
		return true;
	for (; *to; to++)
		if (strcmp(*to, "*") == 0 || strcmp(*to, v->self_ns) == 0 ||
		    (strcmp(*to, ".") == 0 && strcmp(o->meta.ns, v->self_ns) == 0))
			return true;
	return false;
}

static bool is_private(const struct view *v, const struct object *o)
{
	const char *const *to = o->destination_rule->export_to;
	if (!to[0])
		to = v->mesh.destination_rule_export_to;
	return to[0] && !to[1] && (strcmp(to[0], ".") == 0 || strcmp(to[0], o->meta.ns) == 0);
}

/* Of which rules of a namespace the search is. */
enum among { AMONG_ALL, AMONG_PRIVATE, AMONG_VISIBLE };

static bool is_among(const struct ruling *r, const struct object *o, enum among among)
{
	const struct view *v = r->v;
	const struct destination_rule *rule = o->destination_rule;
	if (rule->has_workload_selector) {
		/* For client Pods of its own namespace alone. */
		if (strcmp(o->meta.ns, v->self_ns) != 0 || !v->self ||
		    !pairs_select(&rule->workload_selector, &v->self->pod->meta.labels))
			return false;
	}
	switch (among) {
	case AMONG_ALL:
		return true;
	case AMONG_PRIVATE:
		return is_private(v, o);
	case AMONG_VISIBLE:
		return is_visible(v, o);
	}
	return false;
}

static int by_age(const void *a, const void *b)
{
	const struct object *const *x = a, *const *y = b;
	return object_older(*x, *y) ? -1 : object_older(*y, *x);
}

/* All that NS says for exactly HOST; NULL: nothing. */
static const struct view_rule *rules_of(struct ruling *r, const char *ns, struct slice host,
					enum among among)
{
	char key[HOST_TEXT], whole[HOST_TEXT];
	size_t len = index_key(ns, host, key), n = 0, first = SIZE_MAX;
	const struct object *own = NULL; /* the oldest for this workload alone beats the others */
	for (struct index_walk w = index_find(&r->by_host, key, len);
	     index_next(&r->by_host, &w);) {
		const struct object *o = r->set->at[w.i];
		if (strcmp(o->meta.ns, ns) != 0 || !slice_is(host, whole_host(o, whole)) ||
		    !is_among(r, o, among))
			continue;
		if (o->destination_rule->has_workload_selector && (!own || object_older(o, own)))
			own = o;
		first = w.i < first ? w.i : first;
		n++;
	}
	if (n == 0)
		return NULL;
	struct view_rule *rule = &r->made[first];
	if (r->is_made[first])
		return rule;
	const struct object **all = arena_array(r->v->arena, n, sizeof(struct object *));
	for (struct index_walk w = index_find(&r->by_host, key, len);
	     index_next(&r->by_host, &w) && rule->n < n;) {
		const struct object *o = r->set->at[w.i];
		if (strcmp(o->meta.ns, ns) == 0 && slice_is(host, whole_host(o, whole)) &&
		    is_among(r, o, among) &&
		    (own ? o == own : !o->destination_rule->has_workload_selector))
			all[rule->n++] = o;
	}
	qsort(all, rule->n, sizeof(struct object *), by_age);
	for (size_t i = 0; i < rule->n && !rule->policy_by; i++)
		if (all[i]->destination_rule->policy.given)
			rule->policy_by = all[i];
	rule->rules = all;
	r->is_made[first] = true;
	return rule;
}

/* The most specific host of NS that covers HOST: itself, then the longest behind a star. */
static const struct view_rule *most_specific(struct ruling *r, const char *ns, struct slice host,
					     enum among among)
{
	const struct view_rule *found = rules_of(r, ns, host, among);
	char star[HOST_TEXT];
	for (size_t i = 0; i <= host.len && !found; i++) {
		struct slice rest = slice_sub(host, i, host.len);
		if (i < host.len && !r->odd_stars && host.at[i] != '.')
			continue;
		int len = snprintf(star, sizeof(star), "*%.*s", SLICE_FMT(rest));
		if (len > 0 && (size_t)len < sizeof(star))
			found = rules_of(r, ns, (struct slice){star, (size_t)len}, among);
	}
	return found;
}

/* The client's namespace, then the Service's, then the root: the first that has any rule wins. */
static const struct view_rule *rule_for(struct ruling *r, const struct view_service *s)
{
	const struct view *v = r->v;
	struct slice host = slice_of(s->host);
	const char *root = v->mesh.root_namespace;
	bool in_root = strcmp(v->self_ns, root) == 0;
	const struct view_rule *found =
		most_specific(r, v->self_ns, host, in_root ? AMONG_PRIVATE : AMONG_ALL);
	if (!found)
		found = most_specific(r, s->object->meta.ns, host, AMONG_VISIBLE);
	return found ? found : most_specific(r, root, host, AMONG_VISIBLE);
}

/* What a policy says of TLS to a port. A port's own settings replace the others as a whole: where
 * they say nothing of TLS, nothing is said. *SAID: it says something, be it that nothing. */
static const struct client_tls *policy_tls(const struct traffic_policy *p, uint16_t port,
					   bool *said)
{
	for (size_t i = 0; i < p->n_ports; i++)
		if (p->ports[i].port == port) {
			*said = true;
			return p->ports[i].tls.given ? &p->ports[i].tls : NULL;
		}
	*said = p->tls.given;
	return p->tls.given ? &p->tls : NULL;
}

const struct client_tls *view_tls(const struct view_port *p, const struct subset *subset)
{
	bool said = false;
	const struct client_tls *tls =
		subset ? policy_tls(&subset->policy, p->port->port, &said) : NULL;
	return said ? tls : p->tls;
}

const struct subset *view_subset(const struct view_service *s, struct slice name,
				 const struct object **by)
{
	for (size_t i = 0; s->rule && i < s->rule->n; i++) {
		const struct destination_rule *r = s->rule->rules[i]->destination_rule;
		for (size_t j = 0; j < r->n_subsets; j++)
			if (slice_is(name, r->subsets[j].name)) {
				*by = s->rule->rules[i];
				return &r->subsets[j];
			}
	}
	*by = NULL;
	return NULL;
}

static void index_rules(struct ruling *r)
{
	index_init(&r->by_host, r->scratch, r->set->n);
	for (size_t i = 0; i < r->set->n; i++) {
		char host[HOST_TEXT], key[HOST_TEXT];
		const struct object *o = r->set->at[i];
		size_t len = index_key(o->meta.ns, slice_of(whole_host(o, host)), key);
		index_add(&r->by_host, key, len, i);
		r->odd_stars = r->odd_stars || (host[0] == '*' && host[1] && host[1] != '.');
	}
}

void view_build_rules(struct view *v, const struct object_set *rules)
{
	struct ruling r = {.v = v, .set = rules};
	if (rules->n == 0)
		return;
	r.scratch = arena_new();
	r.made = arena_array(v->arena, rules->n, sizeof(*r.made));
	r.is_made = arena_array(r.scratch, rules->n, sizeof(bool));
	index_rules(&r);
	for (size_t i = 0; i < v->n_services; i++) {
		struct view_service *s = &v->services[i];
		struct view_port *ports = &v->ports[s->n_ports ? s->ports - v->ports : 0];
		s->rule = rule_for(&r, s);
		const struct object *by = s->rule ? s->rule->policy_by : NULL;
		bool said = false;
		for (size_t k = 0; by && k < s->n_ports; k++)
			ports[k].tls = policy_tls(&by->destination_rule->policy,
						  ports[k].port->port, &said);
	}
	arena_free(r.scratch);
}
