/* What PeerAuthentications and AuthorizationPolicies say of the workloads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/object_set.h"
#include "model/view_inside.h"

/* Selectors by namespace and one of their labels: a workload asks for each of its own labels, and
 * finds no policy that another label would have ruled out but those that share this one. */
enum { LABEL_TEXT = 512 };

static size_t label_key(const char *ns, const struct pair *label, char out[LABEL_TEXT])
{
	int len = snprintf(out, LABEL_TEXT, "%s %s=%s", ns, label->key, label->value);
	return len < LABEL_TEXT ? (size_t)len : LABEL_TEXT - 1; /* cut alike on both sides */
}

struct authing {
	struct view *v;
	const struct object_set *set;
	struct index by_ns;      /* of the set: the oldest without a selector */
	struct index by_label;   /* of the set: those with one */
	struct peer_auth *made;  /* what each of the set leads to */
	struct peer_auth *whole; /* the mesh's */
	struct arena *scratch;
};

static bool is_for_mesh(const struct view *v, const struct object *o)
{
	return strcmp(o->meta.ns, v->mesh.root_namespace) == 0;
}

/* MODE of O over what holds without it. */
static struct peer_auth over(const struct peer_auth *before, const struct object *o)
{
	enum mtls_mode mode = o->peer_authentication->mode;
	return mode == MTLS_UNSET ? *before : (struct peer_auth){mode, o, NULL};
}

/* The place in the set of the one without a selector that counts in NS; SIZE_MAX: none. */
static size_t of_namespace(const struct authing *a, const char *ns)
{
	size_t found = SIZE_MAX;
	for (struct index_walk w = index_find(&a->by_ns, ns, strlen(ns));
	     index_next(&a->by_ns, &w);) {
		const struct object *o = a->set->at[w.i];
		if (strcmp(o->meta.ns, ns) == 0 &&
		    (found == SIZE_MAX || object_older(o, a->set->at[found])))
			found = w.i;
	}
	return found;
}

static const struct peer_auth *base_of(const struct authing *a, const char *ns)
{
	size_t at = strcmp(ns, a->v->mesh.root_namespace) == 0 ? SIZE_MAX : of_namespace(a, ns);
	return at == SIZE_MAX ? a->whole : &a->made[at];
}

static size_t of_workload(const struct authing *a, const struct object *pod)
{
	size_t found = SIZE_MAX;
	for (size_t i = 0; i < pod->meta.labels.n && a->by_label.n; i++) {
		char key[LABEL_TEXT];
		size_t len = label_key(pod->meta.ns, &pod->meta.labels.at[i], key);
		for (struct index_walk w = index_find(&a->by_label, key, len);
		     index_next(&a->by_label, &w);) {
			const struct object *o = a->set->at[w.i];
			if (strcmp(o->meta.ns, pod->meta.ns) == 0 &&
			    pairs_match(&o->peer_authentication->selector, &pod->meta.labels) &&
			    (found == SIZE_MAX || object_older(o, a->set->at[found])))
				found = w.i;
		}
	}
	return found;
}

static void index_policies(struct authing *a)
{
	const struct object_set *set = a->set;
	index_init(&a->by_ns, a->scratch, set->n);
	index_init(&a->by_label, a->scratch, set->n);
	for (size_t i = 0; i < set->n; i++) {
		const struct object *o = set->at[i];
		const struct pairs *selector = &o->peer_authentication->selector;
		char key[LABEL_TEXT];
		if (selector->n == 0)
			index_add(&a->by_ns, o->meta.ns, strlen(o->meta.ns), i);
		else if (!is_for_mesh(a->v, o)) /* there a selector is ignored, as in Istio */
			index_add(&a->by_label, key, label_key(o->meta.ns, &selector->at[0], key),
				  i);
	}
}

void view_build_peer_auth(struct view *v, const struct object_set *policies)
{
	struct authing a = {.v = v, .set = policies, .scratch = arena_new()};
	a.whole = arena_alloc(v->arena, sizeof(*a.whole)); /* PERMISSIVE, by nobody */
	a.made = arena_array(v->arena, policies->n, sizeof(*a.made));
	index_policies(&a);
	size_t mesh = of_namespace(&a, v->mesh.root_namespace);
	if (mesh != SIZE_MAX)
		*a.whole = over(a.whole, policies->at[mesh]);
	for (size_t i = 0; i < policies->n; i++)
		if (policies->at[i]->peer_authentication->selector.n == 0)
			a.made[i] = over(a.whole, policies->at[i]);
	for (size_t i = 0; i < policies->n; i++)
		if (policies->at[i]->peer_authentication->selector.n) {
			a.made[i] = over(base_of(&a, policies->at[i]->meta.ns), policies->at[i]);
			a.made[i].ports_by = policies->at[i];
		}
	for (size_t i = 0; i < v->n_workloads; i++) {
		struct workload *w = &v->workloads[i];
		size_t own = of_workload(&a, w->pod);
		w->peer_auth = own == SIZE_MAX ? base_of(&a, w->pod->meta.ns) : &a.made[own];
	}
	arena_free(a.scratch);
}

struct mtls_answer view_mtls(const struct workload *w, uint16_t port)
{
	const struct peer_auth *auth = w->peer_auth;
	struct mtls_answer answer = {auth->mode, auth->by, false};
	if (!auth->ports_by)
		return answer;
	const struct peer_authentication *pa = auth->ports_by->peer_authentication;
	size_t from = 0, to = pa->n_ports;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (pa->ports[middle].port == port && pa->ports[middle].mode != MTLS_UNSET)
			return (struct mtls_answer){pa->ports[middle].mode, auth->ports_by, true};
		if (pa->ports[middle].port < port)
			from = middle + 1;
		else
			to = middle;
	}
	return answer;
}

static int by_age(const void *a, const void *b)
{
	const struct object *const *x = a, *const *y = b;
	return object_older(*x, *y) ? -1 : object_older(*y, *x);
}

/* Those of NS that select the own workload, oldest first, into OUT; how many. */
static size_t own_policies(const struct view *v, const struct object_set *set, const char *ns,
			   const struct object **out)
{
	static const struct pairs none;
	const struct pairs *labels = v->self ? &v->self->pod->meta.labels : &none;
	size_t n = 0, at = 0;
	(void)object_set_find(set, ns, "", &at); /* where the namespace begins */
	for (; at < set->n && strcmp(set->at[at]->meta.ns, ns) == 0; at++)
		if (pairs_select(&set->at[at]->authorization_policy->selector, labels))
			out[n++] = set->at[at];
	qsort(out, n, sizeof(struct object *), by_age);
	return n;
}

void view_build_authz(struct view *v, const struct object_set *policies)
{
	const struct object **own = mem_array(policies->n + 1, sizeof(struct object *));
	size_t n = own_policies(v, policies, v->mesh.root_namespace, own);
	if (strcmp(v->self_ns, v->mesh.root_namespace) != 0)
		n += own_policies(v, policies, v->self_ns, &own[n]);
	v->authz = authz_compile(v->arena, own, n, &v->mesh);
	free(own);
}

const struct authz *view_authz(const struct view *v)
{
	return v->authz;
}

const char *view_identity(const struct view *v, const struct workload *w, char *out, size_t out_len)
{
	(void)snprintf(out, out_len, "spiffe://%s/ns/%s/sa/%s", v->mesh.trust_domain,
		       w->pod->meta.ns, w->pod->pod->spec.service_account); /* cut short is fine */
	return out;
}

bool view_is_identity(const struct view *v, const struct workload *w, struct slice uri)
{
	char path[VIEW_IDENTITY_LEN];
	struct slice scheme = SLICE("spiffe://");
	if (!slice_starts(uri, scheme))
		return false;
	struct slice rest = slice_sub(uri, scheme.len, uri.len);
	struct slice domain = slice_cut(&rest, '/');
	(void)snprintf(path, sizeof(path), "ns/%s/sa/%s", w->pod->meta.ns,
		       w->pod->pod->spec.service_account);
	if (!slice_is(rest, path))
		return false;
	bool ours = slice_is(domain, v->mesh.trust_domain);
	for (const char *const *a = v->mesh.trust_domain_aliases; *a && !ours; a++)
		ours = slice_is(domain, *a);
	return ours;
}
