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

const char *rule_host(const struct object *rule, char *out, size_t out_len)
{
	const char *host = rule->destination_rule->host;
	bool bare = host[0] != '*' && !strchr(host, '.');
	(void)snprintf(out, out_len, bare ? "%s.%s.svc.cluster.local" : "%s%s", host,
		       bare ? rule->meta.ns : ""); /* a name that is cut is nobody's */
	return out;
}

static size_t index_key(const char *ns, struct slice host, char out[HOST_TEXT])
{
	int len = snprintf(out, HOST_TEXT, "%s %.*s", ns, SLICE_FMT(host));
	return len < HOST_TEXT ? (size_t)len : HOST_TEXT - 1;
}

/* Whose rules they are: a client. */
struct viewer {
	const char *ns;
	const struct object *pod; /* NULL: not known */
};

static struct viewer self_of(const struct rules *r)
{
	return (struct viewer){r->self_ns, r->self};
}

/* May the client's namespace see it? */
static bool is_visible(const struct rules *r, const struct viewer *c, const struct object *o)
{
	const char *const *to = o->destination_rule->export_to;
	if (!to[0])
		to = r->mesh->destination_rule_export_to;
	if (!to[0])
		return true;
	for (; *to; to++)
		if (strcmp(*to, "*") == 0 || strcmp(*to, c->ns) == 0 ||
		    (strcmp(*to, ".") == 0 && strcmp(o->meta.ns, c->ns) == 0))
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

static bool is_among(const struct rules *r, const struct viewer *c, const struct object *o,
		     enum among among)
{
	const struct destination_rule *rule = o->destination_rule;
	if (rule->has_workload_selector) {
		/* For client Pods of its own namespace alone. */
		if (strcmp(o->meta.ns, c->ns) != 0 || !c->pod ||
		    !pairs_select(&rule->workload_selector, &c->pod->meta.labels))
			return false;
	}
	switch (among) {
	case AMONG_ALL:
		return true;
	case AMONG_PRIVATE:
		return is_private(r, o);
	case AMONG_VISIBLE:
		return is_visible(r, c, o);
	}
	return false;
}

static int by_age(const void *a, const void *b)
{
	const struct object *const *x = a, *const *y = b;
	return object_older(*x, *y) ? -1 : object_older(*y, *x);
}

/* All that a namespace says for exactly one host. */
struct place {
	const char *ns;
	enum among among;
	char host[HOST_TEXT];
};

struct place_walk {
	struct index_walk walk;
	char key[HOST_TEXT];
};

static struct place_walk walk_place(const struct rules *r, const struct place *p)
{
	struct place_walk w;
	size_t len = index_key(p->ns, slice_of(p->host), w.key);
	w.walk = index_find(&r->by_host, w.key, len);
	return w;
}

/* The next rule there that is the client's, as its place in r->all; false: there are no more. */
static bool walk_next(const struct rules *r, const struct viewer *c, const struct place *p,
		      struct place_walk *w, size_t *at)
{
	char whole[HOST_TEXT];
	while (index_next(&r->by_host, &w->walk)) {
		const struct object *o = r->all[w->walk.i];
		*at = w->walk.i;
		if (strcmp(o->meta.ns, p->ns) == 0 &&
		    strcmp(p->host, rule_host(o, whole, sizeof(whole))) == 0 &&
		    is_among(r, c, o, p->among))
			return true;
	}
	return false;
}

static bool is_host(const struct rules *r, const struct viewer *c, const char *star,
		    struct slice rest, struct place *p)
{
	int len = snprintf(p->host, sizeof(p->host), "%s%.*s", star, SLICE_FMT(rest));
	if (len < 0 || (size_t)len >= sizeof(p->host))
		return false;
	struct place_walk w = walk_place(r, p);
	size_t at = 0;
	return walk_next(r, c, p, &w, &at);
}

/* The most specific host of NS that covers HOST: itself, then the longest behind a star. */
static bool most_specific(const struct rules *r, const struct viewer *c, const char *ns,
			  struct slice host, enum among among, struct place *p)
{
	p->ns = ns;
	p->among = among;
	if (is_host(r, c, "", host, p))
		return true;
	for (size_t i = 0; i <= host.len; i++) {
		if (i < host.len && !r->odd_stars && host.at[i] != '.')
			continue;
		if (is_host(r, c, "*", slice_sub(host, i, host.len), p))
			return true;
	}
	return false;
}

/* The client's namespace, then the Service's, then the root: the first that has any rule wins. */
static bool place_of(const struct rules *r, const struct viewer *c, const struct view_service *s,
		     struct place *p)
{
	struct slice host = slice_of(s->host);
	const char *root = r->root_ns;
	bool in_root = strcmp(c->ns, root) == 0;
	if (r->n == 0)
		return false;
	return most_specific(r, c, c->ns, host, in_root ? AMONG_PRIVATE : AMONG_ALL, p) ||
	       most_specific(r, c, s->object->meta.ns, host, AMONG_VISIBLE, p) ||
	       most_specific(r, c, root, host, AMONG_VISIBLE, p);
}

/* The oldest at P that is for this workload alone; it beats the others. NULL: none. */
static const struct object *own_of(const struct rules *r, const struct viewer *c,
				   const struct place *p)
{
	const struct object *own = NULL;
	struct place_walk w = walk_place(r, p);
	for (size_t at = 0; walk_next(r, c, p, &w, &at);)
		if (r->all[at]->destination_rule->has_workload_selector &&
		    (!own || object_older(r->all[at], own)))
			own = r->all[at];
	return own;
}

/* What those at P say together to the own workload. There is one at least. */
static const struct view_rule *united(struct rules *r, const struct place *p)
{
	struct viewer c = self_of(r);
	size_t n = 0, first = SIZE_MAX, at = 0;
	struct place_walk w = walk_place(r, p);
	for (; walk_next(r, &c, p, &w, &at); n++)
		first = at < first ? at : first;
	struct view_rule *rule = &r->made[first];
	if (r->is_made[first])
		return rule;
	const struct object *own = own_of(r, &c, p);
	const struct object **all = arena_array(r->part.arena, n, sizeof(struct object *));
	w = walk_place(r, p);
	while (walk_next(r, &c, p, &w, &at) && rule->n < n)
		if (own ? r->all[at] == own : !r->all[at]->destination_rule->has_workload_selector)
			all[rule->n++] = r->all[at];
	qsort(all, rule->n, sizeof(struct object *), by_age);
	for (size_t i = 0; i < rule->n && !rule->policy_by; i++)
		if (all[i]->destination_rule->policy.given)
			rule->policy_by = all[i];
	rule->rules = all;
	r->is_made[first] = true;
	return rule;
}

const struct view_rule *rules_of(struct rules *r, const struct view_service *s)
{
	struct viewer self = self_of(r);
	struct place p;
	return place_of(r, &self, s, &p) ? united(r, &p) : NULL;
}

/* Whose policy counts at P for C; NULL: nobody gives one. */
static const struct object *policy_at(const struct rules *r, const struct viewer *c,
				      const struct place *p)
{
	const struct object *own = own_of(r, c, p), *oldest = NULL;
	if (own)
		return own->destination_rule->policy.given ? own : NULL;
	struct place_walk w = walk_place(r, p);
	for (size_t at = 0; walk_next(r, c, p, &w, &at);)
		if (r->all[at]->destination_rule->policy.given &&
		    (!oldest || object_older(r->all[at], oldest)))
			oldest = r->all[at];
	return oldest;
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

const struct client_tls *view_tls_of(const struct view *v, const struct workload *client,
				     const struct view_port *p, const struct object **by)
{
	struct viewer c = {client->pod->meta.ns, client->pod};
	struct place place;
	bool said = false;
	*by = place_of(v->rules, &c, p->service, &place) ? policy_at(v->rules, &c, &place) : NULL;
	return *by ? policy_tls(&(*by)->destination_rule->policy, p->port->port, &said) : NULL;
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

static void index_rules(struct rules *r)
{
	index_init(&r->by_host, r->part.arena, r->n);
	for (size_t i = 0; i < r->n; i++) {
		char host[HOST_TEXT], key[HOST_TEXT];
		const struct object *o = r->all[i];
		size_t len = index_key(o->meta.ns, slice_of(rule_host(o, host, sizeof(host))), key);
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
