#include "local/endpoints.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/name_set.h"
#include "local/reconcile.h"

#define LABEL_SERVICE "kubernetes.io/service-name"
#define LABEL_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#define MANAGED_BY "hark-endpoints"

enum { MAX_PORTS = 100, MAX_GROUPS = 64, SLICE_MAX = 1024 * 1024 };

struct endpoints {
	struct reconciler r;
	struct name_set dirty; /* Services to look at again */
	bool writing;          /* the change that is told is ours */
};

/* Pods of one Service whose ports have the same numbers. */
struct group {
	uint16_t ports[MAX_PORTS]; /* 0: this Pod has no port of that name */
	size_t n_pods, size_pods;
	const struct object **pods;
};

static const char *const family_name[] = {[IP_V4] = "IPv4", [IP_V6] = "IPv6"};
static const char *const family_suffix[] = {[IP_V4] = "ipv4", [IP_V6] = "ipv6"};
static const char *const l4_name[] = {[L4_TCP] = "TCP", [L4_UDP] = "UDP", [L4_SCTP] = "SCTP"};

static uint16_t named_port(const struct container *containers, size_t n, const char *name,
			   enum protocol_l4 protocol)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < containers[i].n_ports; j++) {
			const struct container_port *p = &containers[i].ports[j];
			if (p->protocol == protocol && strcmp(p->name, name) == 0)
				return p->port;
		}
	return 0;
}

/* A headless Service's too: nothing translates its ports, but the slice says where Pods listen, as
 * Kubernetes' does. */
static uint16_t target_of(const struct pod_spec *pod, const struct service_port *port)
{
	if (port->target_port.name && *port->target_port.name)
		return named_port(pod->containers, pod->n_containers, port->target_port.name,
				  port->protocol);
	return port->target_port.number ? port->target_port.number : port->port;
}

/* Terminated Pods keep a stale address that may be somebody else's by now. */
static bool is_endpoint(const struct object *pod, enum ip_family family)
{
	const char *phase = pod->pod->phase ? pod->pod->phase : "";
	return pod->pod->has_ip[family] && strcmp(phase, "Succeeded") != 0 &&
	       strcmp(phase, "Failed") != 0;
}

static struct group *group_for(struct group *groups, size_t *n, const uint16_t *ports)
{
	for (size_t i = 0; i < *n; i++)
		if (memcmp(groups[i].ports, ports, sizeof(groups[i].ports)) == 0)
			return &groups[i];
	if (*n == MAX_GROUPS)
		return NULL;
	memcpy(groups[*n].ports, ports, sizeof(groups[*n].ports));
	return &groups[(*n)++];
}

static size_t group_pods(const struct store *store, const struct object *svc, enum ip_family family,
			 struct group *groups)
{
	const struct service *s = svc->service;
	size_t n = 0, n_all = 0;
	struct object *const *all = store_all(store, KIND_POD, svc->meta.ns, &n_all);

	for (size_t at = 0; at < n_all; at++) {
		const struct object *pod = all[at];
		uint16_t ports[MAX_PORTS] = {0};
		if (!pairs_match(&s->selector, &pod->meta.labels) || !is_endpoint(pod, family))
			continue;
		for (size_t i = 0; i < s->n_ports && i < MAX_PORTS; i++)
			ports[i] = target_of(&pod->pod->spec, &s->ports[i]);
		struct group *g = group_for(groups, &n, ports);
		if (!g)
			continue;
		if (g->n_pods == g->size_pods) {
			g->size_pods = g->size_pods ? 2 * g->size_pods : 8;
			g->pods = mem_grow(g->pods, g->size_pods, sizeof(struct object *));
		}
		g->pods[g->n_pods++] = pod;
	}
	/* a Service that nothing stands behind has a slice too: it says so */
	if (n == 0) {
		for (size_t i = 0; i < s->n_ports && i < MAX_PORTS; i++)
			groups[0].ports[i] = s->ports[i].target_port.number
						     ? s->ports[i].target_port.number
						     : s->ports[i].port;
		n = 1;
	}
	return n;
}

static void write_endpoint(struct json_out *j, const struct object *svc, const struct object *pod,
			   enum ip_family family)
{
	const struct pod *p = pod->pod;
	char ip[ADDR_TEXT];
	bool terminating = pod->meta.deletion_ns != 0;
	bool any = svc->service->publish_not_ready_addresses;

	json_open_object(j, NULL);
	json_open_array(j, "addresses");
	json_cstr(j, NULL, ip_text(&p->ip[family], ip));
	json_close(j);
	json_open_object(j, "conditions");
	json_bool(j, "ready", any || (p->ready && !terminating));
	json_bool(j, "serving", p->ready);
	json_bool(j, "terminating", terminating);
	json_close(j);
	if (*p->spec.hostname && strcmp(p->spec.subdomain, svc->meta.name) == 0)
		json_cstr(j, "hostname", p->spec.hostname);
	json_open_object(j, "targetRef");
	json_cstr(j, "kind", "Pod");
	json_cstr(j, "name", pod->meta.name);
	json_cstr(j, "namespace", pod->meta.ns);
	json_cstr(j, "uid", pod->meta.uid);
	json_close(j);
	json_close(j);
}

static void write_ports(struct json_out *j, const struct service *s, const struct group *g)
{
	json_open_array(j, "ports");
	for (size_t i = 0; i < s->n_ports && i < MAX_PORTS; i++) {
		if (!g->ports[i])
			continue;
		json_open_object(j, NULL);
		json_cstr(j, "name", s->ports[i].name);
		json_cstr(j, "protocol", l4_name[s->ports[i].protocol]);
		json_u64(j, "port", g->ports[i]);
		if (s->ports[i].app_protocol)
			json_cstr(j, "appProtocol", s->ports[i].app_protocol);
		json_close(j);
	}
	json_close(j);
}

static void write_slice(struct endpoints *e, const struct object *svc, enum ip_family family,
			const struct group *g, const char *name)
{
	struct buf out;
	struct json_out j;

	buf_init(&out, SLICE_MAX);
	json_out_init(&j, &out);
	json_open_object(&j, NULL);
	json_cstr(&j, "apiVersion", "discovery.k8s.io/v1");
	json_cstr(&j, "kind", "EndpointSlice");
	json_open_object(&j, "metadata");
	json_cstr(&j, "name", name);
	json_cstr(&j, "namespace", svc->meta.ns);
	json_open_object(&j, "labels");
	json_cstr(&j, LABEL_SERVICE, svc->meta.name);
	json_cstr(&j, LABEL_MANAGED_BY, MANAGED_BY);
	if (svc->service->headless)
		json_cstr(&j, "service.kubernetes.io/headless", "");
	json_close(&j);
	json_open_array(&j, "ownerReferences");
	json_open_object(&j, NULL);
	json_cstr(&j, "apiVersion", "v1");
	json_cstr(&j, "kind", "Service");
	json_cstr(&j, "name", svc->meta.name);
	json_cstr(&j, "uid", svc->meta.uid);
	json_bool(&j, "controller", true);
	json_close(&j);
	json_close(&j);
	json_close(&j);
	json_cstr(&j, "addressType", family_name[family]);
	json_open_array(&j, "endpoints");
	for (size_t i = 0; i < g->n_pods; i++)
		write_endpoint(&j, svc, g->pods[i], family);
	json_close(&j);
	write_ports(&j, svc->service, g);
	json_close(&j);
	if (out.full)
		log_error("local", "too many endpoints service=%s/%s", svc->meta.ns,
			  svc->meta.name);
	else
		(void)reconciler_write(&e->r, KIND_ENDPOINT_SLICE, buf_slice(&out)); /* logged */
	buf_fini(&out);
}

/* Writes the slices of one family; their names, with their namespace, go to WANTED. */
static void write_slices(struct endpoints *e, const struct object *svc, enum ip_family f,
			 struct name_set *wanted)
{
	struct group *groups = mem_array(MAX_GROUPS, sizeof(*groups));
	size_t n = group_pods(e->r.store, svc, f, groups);
	for (size_t i = 0; i < n; i++) {
		char name[300];
		if (i == 0)
			snprintf(name, sizeof(name), "%s-%s", svc->meta.name, family_suffix[f]);
		else
			snprintf(name, sizeof(name), "%s-%s-%zu", svc->meta.name, family_suffix[f],
				 i + 1);
		write_slice(e, svc, f, &groups[i], name);
		name_set_add(wanted, svc->meta.ns, name);
		free(groups[i].pods);
	}
	free(groups);
}

static bool is_managed(const struct object *slice)
{
	const char *by = pairs_get(&slice->meta.labels, LABEL_MANAGED_BY);
	return by && strcmp(by, MANAGED_BY) == 0;
}

/* Slices of ours that the Service NS/NAME has and that are not WANTED go away. */
static void remove_unwanted(struct store *store, const char *ns, const char *name,
			    const struct name_set *wanted)
{
	size_t n = 0, i = 0;
	for (;;) {
		struct object *const *all = store_slices(store, ns, name, &n);
		while (i < n &&
		       (!is_managed(all[i]) || name_set_find(wanted, ns, all[i]->meta.name)))
			i++;
		if (i == n)
			return;
		struct err err = {0};
		/* found a moment ago, so it is there; the next one takes its place */
		MUST(store_delete(store, KIND_ENDPOINT_SLICE, ns, all[i]->meta.name, &err));
	}
}

static bool has_slices(const struct object *svc)
{
	return svc->service->selector.n && svc->service->type != SERVICE_EXTERNAL_NAME;
}

static void look_at(struct endpoints *e, const char *ns, const char *name)
{
	const struct object *found = store_get(e->r.store, KIND_SERVICE, ns, name);
	struct object *svc = found && has_slices(found) ? object_get(found) : NULL;
	struct name_set wanted = {0};

	for (enum ip_family f = IP_V4; svc && f < N_IP_FAMILIES; f++)
		if (svc->service->want_family[f])
			write_slices(e, svc, f, &wanted);
	remove_unwanted(e->r.store, ns, name, &wanted);
	name_set_clear(&wanted);
	object_put(svc);
}

void endpoints_reconcile(struct endpoints *e)
{
	struct name_set now = name_set_take(&e->dirty);
	e->writing = true;
	for (const struct name *n = name_set_first(&now); n; n = name_set_next(n))
		look_at(e, n->ns, n->name);
	e->writing = false;
	name_set_clear(&now);
}

/* Services that select Pods with LABELS. */
static bool note_pod(struct endpoints *e, const char *ns, const struct pairs *labels)
{
	size_t n = 0;
	struct object *const *all = store_all(e->r.store, KIND_SERVICE, ns, &n);
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		if (!has_slices(all[i]) || !pairs_match(&all[i]->service->selector, labels))
			continue;
		name_set_add(&e->dirty, ns, all[i]->meta.name);
		any = true;
	}
	return any;
}

/* Somebody else has written to a slice of ours. */
static bool note_slice(struct endpoints *e, const struct object *slice)
{
	if (e->writing || !slice || !is_managed(slice))
		return false;
	name_set_add(&e->dirty, slice->meta.ns, slice->endpoint_slice->service);
	return true;
}

static bool concerns(struct reconciler *r, const struct store_event *ev)
{
	struct endpoints *e = CONTAINER_OF(r, struct endpoints, r);
	const struct object *o = ev->object;
	if (o->kind == KIND_POD) {
		bool now = note_pod(e, o->meta.ns, &o->meta.labels);
		return (ev->old && note_pod(e, o->meta.ns, &ev->old->meta.labels)) || now;
	}
	if (o->kind == KIND_SERVICE) {
		name_set_add(&e->dirty, o->meta.ns, o->meta.name);
		return true;
	}
	bool now = note_slice(e, o);
	return note_slice(e, ev->old) || now;
}

static void run(struct reconciler *r)
{
	endpoints_reconcile(CONTAINER_OF(r, struct endpoints, r));
}

struct endpoints *endpoints_start(struct loop *loop, struct store *store)
{
	struct endpoints *e = mem_new(sizeof(*e));
	e->r = (struct reconciler){.loop = loop,
				   .store = store,
				   .kinds = 1u << KIND_SERVICE | 1u << KIND_POD |
					    1u << KIND_ENDPOINT_SLICE,
				   .concerns = concerns,
				   .run = run};
	reconciler_start(&e->r);
	size_t n = 0;
	struct object *const *all = store_all(store, KIND_SERVICE, NULL, &n);
	for (size_t i = 0; i < n; i++)
		name_set_add(&e->dirty, all[i]->meta.ns, all[i]->meta.name);
	return e;
}

void endpoints_stop(struct endpoints *e)
{
	if (!e)
		return;
	reconciler_stop(&e->r);
	name_set_clear(&e->dirty);
	free(e);
}
