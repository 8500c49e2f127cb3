/* Which DestinationRules a sidecar follows for each Service. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/object_set.h"
#include "model/view_inside.h"

enum { HOST_TEXT = 512 };

/* DestinationRules as a view's Services need them. What they mean together is found when a Service
 * asks, and stays. */
struct rules {
	struct part part;
	const struct mesh_config *mesh; /* the builder's; these go when it changes */
	const char *self_ns, *root_ns;
	const struct object *self; /* NULL: not known */
	const struct object *const *all;
	size_t n;
	struct index by_host; /* in all, by namespace and whole host */
	bool odd_stars;       /* a host like "*-db.local": a star that stands for part of a label */
	struct view_rule *made; /* at the place of the first of them */
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

/* Who dials: whose namespace and labels count. */
struct client {
	const char *ns;
	const struct object *pod; /* NULL: not known */
};

static struct client ourselves(const struct rules *r)
{
	return (struct client){r->self_ns, r->self};
}

/* May the client's namespace see it? */
static bool is_visible(const struct rules *r, const struct object *o, struct client client)
{
	const char *const *to = o->destination_rule->export_to;
	if (!to[0])
		to = r->mesh->destination_rule_export_to;
	if (!to[0])
		return true;
	for (; *to; to++)
		if (strcmp(*to, "*") == 0 || strcmp(*to, client.ns) == 0 ||
		    (strcmp(*to, ".") == 0 && strcmp(o->meta.ns, client.ns) == 0))
			return true;
	return false;
}

static bool is_private(const struct rules *r, const struct object *o)
{
	const char *const *to = o->destination_rule->export_to;
	if (!to[0])
		to = r->mesh->destination_rule_export_to;
	return to[0] && !to[1] && (strcmp(to[0], ".") == 0 || strcmp(to[0], o->meta.ns) == 0);
}

/* Of which rules of a namespace the search is. */
enum among { AMONG_ALL, AMONG_PRIVATE, AMONG_VISIBLE };

static bool is_among(const struct rules *r, const struct object *o, struct client client,
		     enum among among)
{
	const struct destination_rule *rule = o->destination_rule;
	if (rule->has_workload_selector) {
		/* For client Pods of its own namespace alone. */
		if (strcmp(o->meta.ns, client.ns) != 0 || !client.pod ||
		    !pairs_select(&rule->workload_selector, &client.pod->meta.labels))
			return false;
	}
	switch (among) {
	case AMONG_ALL:
		return true;
	case AMONG_PRIVATE:
		return is_private(r, o);
	case AMONG_VISIBLE:
		return is_visible(r, o, client);
	}
	return false;
}

static int by_age(const void *a, const void *b)
{
	const struct object *const *x = a, *const *y = b;
	return object_older(*x, *y) ? -1 : object_older(*y, *x);
}

/* All that NS says for exactly HOST; NULL: nothing. */
static const struct view_rule *united(struct rules *r, const char *ns, struct slice host,
				      enum among among)
{
	char key[HOST_TEXT], whole[HOST_TEXT];
	size_t len = index_key(ns, host, key), n = 0, first = SIZE_MAX;
	const struct object *own = NULL; /* the oldest for this workload alone beats the others */
	for (struct index_walk w = index_find(&r->by_host, key, len);
	     index_next(&r->by_host, &w);) {
		const struct object *o = r->all[w.i];
		if (strcmp(o->meta.ns, ns) != 0 || !slice_is(host, whole_host(o, whole)) ||
		    !is_among(r, o, ourselves(r), among))
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
	const struct object **all = arena_array(r->part.arena, n, sizeof(struct object *));
	for (struct index_walk w = index_find(&r->by_host, key, len);
	     index_next(&r->by_host, &w) && rule->n < n;) {
		const struct object *o = r->all[w.i];
		if (strcmp(o->meta.ns, ns) == 0 && slice_is(host, whole_host(o, whole)) &&
		    is_among(r, o, ourselves(r), among) &&
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
static const struct view_rule *most_specific(struct rules *r, const char *ns, struct slice host,
					     enum among among)
{
	const struct view_rule *found = united(r, ns, host, among);
	char star[HOST_TEXT];
	for (size_t i = 0; i <= host.len && !found; i++) {
		struct slice rest = slice_sub(host, i, host.len);
		if (i < host.len && !r->odd_stars && host.at[i] != '.')
			continue;
		int len = snprintf(star, sizeof(star), "*%.*s", SLICE_FMT(rest));
		if (len > 0 && (size_t)len < sizeof(star))
			found = united(r, ns, (struct slice){star, (size_t)len}, among);
	}
	return found;
}

/* The client's namespace, then the Service's, then the root: the first that has any rule wins. */
const struct view_rule *rules_of(struct rules *r, const struct view_service *s)
{
	struct slice host = slice_of(s->host);
	const char *root = r->root_ns;
	bool in_root = strcmp(r->self_ns, root) == 0;
	if (r->n == 0)
		return NULL;
	const struct view_rule *found =
		most_specific(r, r->self_ns, host, in_root ? AMONG_PRIVATE : AMONG_ALL);
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

const struct client_tls *rule_tls(const struct view_rule *rule, uint16_t port)
{
	const struct object *by = rule ? rule->policy_by : NULL;
	bool said = false;
	return by ? policy_tls(&by->destination_rule->policy, port, &said) : NULL;
}

/* Other clients. What their rules mean together is not kept: it is asked for as their connections come,
 * on any thread, and only whose trafficPolicy counts. */

/* As united(). True: NS has a rule for exactly HOST; *BY is the one whose policy counts, or NULL. */
static bool policy_for(const struct rules *r, struct client client, const char *ns,
		       struct slice host, enum among among, const struct object **by)
{
	char key[HOST_TEXT], whole[HOST_TEXT];
	size_t len = index_key(ns, host, key);
	const struct object *own = NULL, *policy = NULL;
	bool any = false;
	for (struct index_walk w = index_find(&r->by_host, key, len);
	     index_next(&r->by_host, &w);) {
		const struct object *o = r->all[w.i];
		const struct destination_rule *rule = o->destination_rule;
		if (strcmp(o->meta.ns, ns) != 0 || !slice_is(host, whole_host(o, whole)) ||
		    !is_among(r, o, client, among))
			continue;
		any = true;
		if (rule->has_workload_selector && (!own || object_older(o, own)))
			own = o;
		else if (!rule->has_workload_selector && rule->policy.given &&
			 (!policy || object_older(o, policy)))
			policy = o;
	}
	if (own)
		policy = own->destination_rule->policy.given ? own : NULL;
	*by = policy;
	return any;
}

/* As most_specific(). */
static bool policy_of(const struct rules *r, struct client client, const char *ns,
		      struct slice host, enum among among, const struct object **by)
{
	char star[HOST_TEXT];
	if (policy_for(r, client, ns, host, among, by))
		return true;
	for (size_t i = 0; i <= host.len; i++) {
		struct slice rest = slice_sub(host, i, host.len);
		if (i < host.len && !r->odd_stars && host.at[i] != '.')
			continue;
		int len = snprintf(star, sizeof(star), "*%.*s", SLICE_FMT(rest));
		if (len > 0 && (size_t)len < sizeof(star) &&
		    policy_for(r, client, ns, (struct slice){star, (size_t)len}, among, by))
			return true;
	}
	return false;
}

/* As rules_of(), for a Pod that is not the own one. */
static const struct object *policy_by(const struct rules *r, const struct object *pod,
				      const struct view_service *s)
{
	struct client client = {pod->meta.ns, pod};
	struct slice host = slice_of(s->host);
	bool in_root = strcmp(client.ns, r->root_ns) == 0;
	const struct object *by = NULL;
	if (r->n == 0 ||
	    policy_of(r, client, client.ns, host, in_root ? AMONG_PRIVATE : AMONG_ALL, &by) ||
	    policy_of(r, client, s->object->meta.ns, host, AMONG_VISIBLE, &by))
		return by;
	(void)policy_of(r, client, r->root_ns, host, AMONG_VISIBLE, &by); /* none: BY is NULL */
	return by;
}

bool view_client_is_plain(const struct view *v, const struct workload *client,
			  const struct view_port *port, const struct object **by)
{
	bool said = false;
	*by = policy_by(v->rules, client->pod, port->service);
	const struct client_tls *tls =
		*by ? policy_tls(&(*by)->destination_rule->policy, port->port->port, &said) : NULL;
	if (tls)
		return tls->mode == CLIENT_TLS_DISABLE;
	*by = NULL;
	return !view_mesh(v)->enable_auto_mtls;
}

static void index_rules(struct rules *r)
{
	index_init(&r->by_host, r->part.arena, r->n);
	for (size_t i = 0; i < r->n; i++) {
		char host[HOST_TEXT], key[HOST_TEXT];
		const struct object *o = r->all[i];
		size_t len = index_key(o->meta.ns, slice_of(whole_host(o, host)), key);
		index_add(&r->by_host, key, len, i);
		r->odd_stars = r->odd_stars || (host[0] == '*' && host[1] && host[1] != '.');
	}
}

struct rules *rules_new(const struct view_frame *frame, const struct object_set *rules)
{
	struct rules *r = part_new(sizeof(*r), 0, rules->n + 1);
	struct arena *a = r->part.arena;
	for (size_t i = 0; i < rules->n; i++)
		part_hold(&r->part, rules->at[i]);
	r->all = (const struct object *const *)r->part.held;
	r->n = rules->n;
	if (frame->self)
		part_hold(&r->part, frame->self);
	r->self = frame->self;
	r->mesh = frame->mesh;
	r->self_ns = arena_dup(a, slice_of(frame->self_ns));
	r->root_ns = arena_dup(a, slice_of(frame->mesh->root_namespace));
	r->made = arena_array(a, r->n, sizeof(*r->made));
	r->is_made = arena_array(a, r->n, sizeof(bool));
	index_rules(r);
	return r;
}

struct part *rules_part(struct rules *r)
{
	return &r->part;
}
