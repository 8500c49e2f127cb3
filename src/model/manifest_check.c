/* What must hold between resources: those just read, and those in the store that they do not replace. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/decode.h"
#include "model/manifest_inside.h"
#include "model/store.h"
#include "model/view_inside.h"

struct checking {
	struct manifest *m;
	const struct store *store; /* or NULL */
};

static const struct object *get(const struct checking *c, enum kind kind, const char *ns,
				const char *name)
{
	const struct object *o = manifest_get(c->m, kind, ns, name);
	return o || !c->store ? o : store_get(c->store, kind, ns, name);
}

/* A Pod, or what a Deployment makes Pods of. */
struct pod_like {
	const struct object *o;
	const struct meta *meta; /* labels */
	const struct pod_spec *spec;
	const char *path; /* of the spec, from the object's root */
};

static bool as_pod(const struct object *o, struct pod_like *out)
{
	if (o->kind == KIND_POD)
		*out = (struct pod_like){o, &o->meta, &o->pod->spec, "spec"};
	else if (o->kind == KIND_DEPLOYMENT)
		*out = (struct pod_like){o, &o->deployment->template_meta,
					 &o->deployment->template_spec, "spec.template.spec"};
	return o->kind == KIND_POD || o->kind == KIND_DEPLOYMENT;
}

/* Calls EACH for every Pod and template that SERVICE selects. */
static void selected(const struct checking *c, const struct object *service,
		     void (*each)(void *ctx, const struct pod_like *pod), void *ctx)
{
	static const enum kind kinds[] = {KIND_POD, KIND_DEPLOYMENT};
	const char *ns = service->meta.ns;
	struct pod_like pod;
	for (size_t k = 0; k < N_ELEMS(kinds); k++) {
		const struct object_set *set = &c->m->inside->sets[kinds[k]];
		size_t at = 0;
		(void)object_set_find(set, ns, "", &at); /* where the namespace begins */
		for (; at < set->n && strcmp(set->at[at]->meta.ns, ns) == 0; at++)
			if (as_pod(set->at[at], &pod) &&
			    pairs_match(&service->service->selector, &pod.meta->labels))
				each(ctx, &pod);
		const struct object *o = NULL;
		while (c->store && (o = store_next(c->store, kinds[k], ns, o)))
			if (!manifest_get(c->m, kinds[k], ns, o->meta.name) && as_pod(o, &pod) &&
			    pairs_match(&service->service->selector, &pod.meta->labels))
				each(ctx, &pod);
	}
}

/* What the selected Pods say of one port of a Service. */
struct targets {
	const struct service_port *port;
	uint16_t number; /* of the target; 0: by name */
	size_t n_pods, n_ports;
	bool found;
	struct nearest near;
};

static void look_at_pod(void *ctx, const struct pod_like *pod)
{
	struct targets *t = ctx;
	t->n_pods++;
	for (size_t i = 0; i < pod->spec->n_containers; i++)
		for (size_t j = 0; j < pod->spec->containers[i].n_ports; j++) {
			const struct container_port *p = &pod->spec->containers[i].ports[j];
			t->n_ports++;
			if (t->number ? p->port == t->number && p->protocol == t->port->protocol
				      : strcmp(p->name, t->port->target_port.name) == 0)
				t->found = true;
			if (p->name[0])
				nearest_try(&t->near, p->name);
		}
}

static void check_target(struct checking *c, const struct object *o, size_t i)
{
	const struct service_port *p = &o->service->ports[i];
	bool named = p->target_port.name[0];
	struct targets t = {.port = p, .near = {.word = slice_of(p->target_port.name)}};
	char path[80];
	t.number = named ? 0 : p->target_port.number ? p->target_port.number : p->port;
	selected(c, o, look_at_pod, &t);
	if (t.found || t.n_pods == 0)
		return;
	(void)snprintf(path, sizeof(path), "spec.ports[%zu].targetPort", i);
	if (named)
		manifest_problem(
			c->m, PROBLEM_ERROR, o, path,
			"no container of the Pods that the Service selects has a port named "
			"\"%s\"%s%s%s",
			p->target_port.name, t.near.best ? ", did you mean \"" : "",
			t.near.best ? t.near.best : "", t.near.best ? "\"?" : "");
	else if (t.n_ports)
		manifest_problem(
			c->m, PROBLEM_NOTE, o, path,
			"no container of the Pods that the Service selects declares port %u",
			t.number);
}

static void count_pod(void *ctx, const struct pod_like *pod)
{
	size_t *n = ctx;
	(void)pod; /* any counts */
	(*n)++;
}

/* Some WorkloadEntry stands behind SERVICE: sidecars know such machines beside Pods. */
static bool has_machine(const struct checking *c, const struct object *service)
{
	const struct object_set *set = &c->m->inside->sets[KIND_WORKLOAD_ENTRY];
	const struct pairs *selector = &service->service->selector;
	const char *ns = service->meta.ns;
	const struct object *o = NULL;
	size_t at = 0;
	(void)object_set_find(set, ns, "", &at); /* where the namespace begins */
	for (; at < set->n && strcmp(set->at[at]->meta.ns, ns) == 0; at++)
		if (workload_is_selected(selector, set->at[at]))
			return true;
	while (c->store && (o = store_next(c->store, KIND_WORKLOAD_ENTRY, ns, o)))
		if (!manifest_get(c->m, KIND_WORKLOAD_ENTRY, ns, o->meta.name) &&
		    workload_is_selected(selector, o))
			return true;
	return false;
}

static bool share_address(const struct service *a, const struct service *b)
{
	for (int f = 0; f < N_IP_FAMILIES; f++)
		if (a->has_ip[f] && b->has_ip[f] && ip_eq(&a->cluster_ip[f], &b->cluster_ip[f]))
			return true;
	return false;
}

static void tell_address(struct checking *c, const struct object *o, const struct object *other)
{
	char name[400];
	manifest_problem(c->m, PROBLEM_ERROR, o, "spec.clusterIP", "is the address of %s",
			 object_text(other, name, sizeof(name)));
}

/* An address belongs to one Service: of those just read the first, and before them a stored one. */
static void check_address(struct checking *c, const struct object *o)
{
	const struct object *other = NULL;
	if (!o->service->has_ip[IP_V4] && !o->service->has_ip[IP_V6])
		return;
	for (size_t i = 0; i < c->m->n_objects && c->m->objects[i] != o; i++) {
		other = c->m->objects[i];
		if (other->kind == KIND_SERVICE && share_address(o->service, other->service))
			tell_address(c, o, other);
	}
	other = NULL;
	while (c->store && (other = store_next(c->store, KIND_SERVICE, NULL, other)))
		if (!manifest_get(c->m, KIND_SERVICE, other->meta.ns, other->meta.name) &&
		    share_address(o->service, other->service))
			tell_address(c, o, other);
}

static void check_service(struct checking *c, const struct object *o)
{
	const struct service *s = o->service;
	size_t n_pods = 0;
	check_address(c, o);
	if (s->type == SERVICE_EXTERNAL_NAME || s->selector.n == 0)
		return;
	selected(c, o, count_pod, &n_pods);
	if (n_pods == 0 && !has_machine(c, o))
		manifest_problem(c->m, PROBLEM_NOTE, o, "spec.selector",
				 "selects no Pod, no Deployment's Pods and no WorkloadEntry");
	for (size_t i = 0; i < s->n_ports; i++)
		check_target(c, o, i);
}

static void check_config_key(struct checking *c, const struct pod_like *pod,
			     const struct object *config_map, const char *key, const char *path)
{
	if (!pairs_get(&config_map->config_map->data, key))
		manifest_problem(c->m, PROBLEM_ERROR, pod->o, path,
				 "ConfigMap \"%s\" has no key \"%.80s\"", config_map->meta.name,
				 key);
}

static void check_volume(struct checking *c, const struct pod_like *pod, size_t i)
{
	const struct volume *v = &pod->spec->volumes[i];
	char path[160];
	if (v->kind != VOLUME_CONFIG_MAP || v->optional)
		return;
	const struct object *cm = get(c, KIND_CONFIG_MAP, pod->o->meta.ns, v->config_map);
	if (!cm) {
		(void)snprintf(path, sizeof(path), "%s.volumes[%zu].configMap.name", pod->path, i);
		manifest_problem(c->m, PROBLEM_ERROR, pod->o, path,
				 "there is no ConfigMap \"%.253s\" in namespace \"%s\"",
				 v->config_map, pod->o->meta.ns);
		return;
	}
	for (size_t j = 0; j < v->n_items; j++) {
		(void)snprintf(path, sizeof(path), "%s.volumes[%zu].configMap.items[%zu].key",
			       pod->path, i, j);
		check_config_key(c, pod, cm, v->items[j].key, path);
	}
}

static void check_env(struct checking *c, const struct pod_like *pod, const char *list,
		      size_t container, const struct container *of)
{
	char path[200];
	for (size_t i = 0; i < of->n_env; i++) {
		const struct env_var *e = &of->env[i];
		if (!e->config_map[0] || e->optional)
			continue;
		const struct object *cm = get(c, KIND_CONFIG_MAP, pod->o->meta.ns, e->config_map);
		(void)snprintf(path, sizeof(path),
			       "%s.%s[%zu].env[%zu].valueFrom.configMapKeyRef.%s", pod->path, list,
			       container, i, cm ? "key" : "name");
		if (cm)
			check_config_key(c, pod, cm, e->config_map_key, path);
		else
			manifest_problem(c->m, PROBLEM_ERROR, pod->o, path,
					 "there is no ConfigMap \"%.253s\" in namespace \"%s\"",
					 e->config_map, pod->o->meta.ns);
	}
}

static void check_pod(struct checking *c, const struct pod_like *pod)
{
	const struct pod_spec *spec = pod->spec;
	for (size_t i = 0; i < spec->n_volumes; i++)
		check_volume(c, pod, i);
	for (size_t i = 0; i < spec->n_init_containers; i++)
		check_env(c, pod, "initContainers", i, &spec->init_containers[i]);
	for (size_t i = 0; i < spec->n_containers; i++)
		check_env(c, pod, "containers", i, &spec->containers[i]);
}

/* These exist in every cluster. */
static bool is_given(const char *ns)
{
	static const char *const given[] = {"default", "kube-system", "kube-public",
					    "kube-node-lease", "istio-system"};
	for (size_t i = 0; i < N_ELEMS(given); i++)
		if (strcmp(ns, given[i]) == 0)
			return true;
	return false;
}

/* A namespace that nobody declares is made all the same, and told once. */
static void check_namespace(struct checking *c, const struct object *o, struct object_set *noted)
{
	const char *ns = o->meta.ns;
	if (!ns[0] || is_given(ns) || get(c, KIND_NAMESPACE, "", ns))
		return;
	for (size_t i = 0; i < noted->n; i++)
		if (strcmp(noted->at[i]->meta.ns, ns) == 0)
			return;
	object_set_put(noted, o);
	manifest_problem(c->m, PROBLEM_NOTE, o, "metadata.namespace",
			 "namespace \"%s\" is not declared, it is made", ns);
}

void manifest_check(struct manifest *m, const struct store *store)
{
	struct checking c = {m, store};
	struct object_set noted = {0};
	for (size_t i = 0; i < m->n_objects; i++) {
		const struct object *o = m->objects[i];
		struct pod_like pod;
		check_namespace(&c, o, &noted);
		if (o->kind == KIND_SERVICE)
			check_service(&c, o);
		if (as_pod(o, &pod))
			check_pod(&c, &pod);
	}
	object_set_fini(&noted);
}
