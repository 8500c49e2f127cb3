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

/* PeerAuthentications as a view's workloads need them. */
struct peer_auths {
	struct part part;
	const char *root_ns;
	const struct object *const *all;
	size_t n;
	struct index by_ns;     /* of all: those without a selector */
	struct index by_label;  /* of all: those with one */
	struct peer_auth *made; /* what each of them leads to */
	struct peer_auth whole; /* the mesh's; PERMISSIVE by nobody, when nothing is said */
};

static bool is_for_mesh(const struct peer_auths *a, const struct object *o)
{
	return strcmp(o->meta.ns, a->root_ns) == 0;
}

/* MODE of O over what holds without it. */
static struct peer_auth over(const struct peer_auth *before, const struct object *o)
{
	enum mtls_mode mode = o->peer_authentication->mode;
	return mode == MTLS_UNSET ? *before : (struct peer_auth){mode, o, NULL};
}

/* The place of the one without a selector that counts in NS; SIZE_MAX: none. */
static size_t of_namespace(const struct peer_auths *a, const char *ns)
{
	size_t found = SIZE_MAX;
	for (struct index_walk w = index_find(&a->by_ns, ns, strlen(ns));
	     index_next(&a->by_ns, &w);) {
		const struct object *o = a->all[w.i];
		if (strcmp(o->meta.ns, ns) == 0 &&
		    (found == SIZE_MAX || object_older(o, a->all[found])))
			found = w.i;
	}
	return found;
}

static const struct peer_auth *base_of(const struct peer_auths *a, const char *ns)
{
	size_t at = strcmp(ns, a->root_ns) == 0 ? SIZE_MAX : of_namespace(a, ns);
	return at == SIZE_MAX ? &a->whole : &a->made[at];
}

static size_t of_workload(const struct peer_auths *a, const struct object *pod)
{
	size_t found = SIZE_MAX;
	for (size_t i = 0; i < pod->meta.labels.n && a->by_label.n; i++) {
		char key[LABEL_TEXT];
		size_t len = label_key(pod->meta.ns, &pod->meta.labels.at[i], key);
		for (struct index_walk w = index_find(&a->by_label, key, len);
		     index_next(&a->by_label, &w);) {
			const struct object *o = a->all[w.i];
			if (strcmp(o->meta.ns, pod->meta.ns) == 0 &&
			    pairs_match(&o->peer_authentication->selector, &pod->meta.labels) &&
			    (found == SIZE_MAX || object_older(o, a->all[found])))
				found = w.i;
		}
	}
	return found;
}

static void index_policies(struct peer_auths *a)
{
	index_init(&a->by_ns, a->part.arena, a->n);
	index_init(&a->by_label, a->part.arena, a->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct object *o = a->all[i];
		const struct pairs *selector = &o->peer_authentication->selector;
		char key[LABEL_TEXT];
		if (selector->n == 0)
			index_add(&a->by_ns, o->meta.ns, strlen(o->meta.ns), i);
		else if (!is_for_mesh(a, o)) /* there a selector is ignored, as in Istio */
			index_add(&a->by_label, key, label_key(o->meta.ns, &selector->at[0], key),
				  i);
	}
}

struct peer_auths *peer_auths_new(const struct mesh_config *mesh, const struct object_set *policies)
{
	struct peer_auths *a = part_new(sizeof(*a), 0, policies->n);
	for (size_t i = 0; i < policies->n; i++)
		part_hold(&a->part, policies->at[i]);
	a->root_ns = arena_dup(a->part.arena, slice_of(mesh->root_namespace));
	a->all = (const struct object *const *)a->part.held;
	a->n = policies->n;
	a->made = arena_array(a->part.arena, a->n, sizeof(*a->made));
	index_policies(a);
	size_t whole = of_namespace(a, a->root_ns);
	if (whole != SIZE_MAX)
		a->whole = over(&a->whole, a->all[whole]);
	for (size_t i = 0; i < a->n; i++)
		if (a->all[i]->peer_authentication->selector.n == 0)
			a->made[i] = over(&a->whole, a->all[i]);
	for (size_t i = 0; i < a->n; i++)
		if (a->all[i]->peer_authentication->selector.n) {
			a->made[i] = over(base_of(a, a->all[i]->meta.ns), a->all[i]);
			a->made[i].ports_by = a->all[i];
		}
	return a;
}

const struct peer_auth *peer_auths_of(const struct peer_auths *a, const struct object *pod)
{
	size_t own = of_workload(a, pod);
	return own == SIZE_MAX ? base_of(a, pod->meta.ns) : &a->made[own];
}

struct part *peer_auths_part(struct peer_auths *a)
{
	return &a->part;
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

struct authz_part *authz_part_new(const struct view_frame *frame, const struct object_set *policies)
{
	static const struct pairs none;
	const struct object **own = mem_array(policies->n + 1, sizeof(struct object *));
	size_t n = authz_select(policies, frame->mesh->root_namespace, frame->self_ns,
				frame->self ? &frame->self->meta.labels : &none, own);
	struct authz_part *a = part_new(sizeof(*a), 0, n);
	for (size_t i = 0; i < n; i++)
		part_hold(&a->part, own[i]);
	a->authz = authz_compile(a->part.arena, own, n, frame->mesh);
	free(own);
	return a;
}

const struct authz *view_authz(const struct view *v)
{
	return v->authz->authz;
}

const char *view_identity(const struct view *v, const struct workload *w, char *out, size_t out_len)
{
	(void)snprintf(out, out_len, "spiffe://%s/ns/%s/sa/%s", v->mesh->mesh.trust_domain,
		       w->pod->meta.ns, w->pod->pod->spec.service_account); /* cut short is fine */
	return out;
}

bool view_is_account(const struct view *v, const char *ns, const char *account, struct slice uri)
{
	char path[VIEW_IDENTITY_LEN];
	struct slice scheme = SLICE("spiffe://");
	if (!slice_starts(uri, scheme))
		return false;
	struct slice rest = slice_sub(uri, scheme.len, uri.len);
	struct slice domain = slice_cut(&rest, '/');
	(void)snprintf(path, sizeof(path), "ns/%s/sa/%s", ns, account); /* cut, it is nobody's */
	if (!slice_is(rest, path))
		return false;
	bool ours = slice_is(domain, v->mesh->mesh.trust_domain);
	for (const char *const *a = v->mesh->mesh.trust_domain_aliases; *a && !ours; a++)
		ours = slice_is(domain, *a);
	return ours;
}

bool view_is_identity(const struct view *v, const struct workload *w, struct slice uri)
{
	return view_is_account(v, w->pod->meta.ns, w->pod->pod->spec.service_account, uri);
}
