/* Which Service's port stands behind each port of the own Pod. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/annotations.h"
#include "model/view_inside.h"

void detection_lay(struct detection_words *words, struct arena *a, const struct object *o,
		   uint16_t port)
{
	const struct pairs *annotations = &o->meta.annotations;
	const char *text = pairs_get(annotations, ANNOTATION_DETECTION);
	bool found = false;
	/* Both were checked when O was decoded: a refusal here is the same as nothing. */
	if (text && annotation_detection(slice_of(text), port, &words->detection, &found, NULL) &&
	    found) {
		char name[400];
		words->from = arena_printf(a, "annotation " ANNOTATION_DETECTION " of %s",
					   object_text(o, name, sizeof(name)));
	}
	uint32_t ms = 0;
	text = pairs_get(annotations, ANNOTATION_DETECTION_TIMEOUT);
	if (text && annotation_timeout(slice_of(text), port, &ms, &found, NULL) && found)
		words->timeout_ms = ms;
}

/* The ports as they are found; few, so that a list will do. */
struct finding {
	struct arena *arena; /* the view's */
	struct inbound_port *all;
	size_t n, size;
};

static void targeted(struct finding *f, struct inbound_port *in, const struct view_port *by)
{
	const struct view_port **all =
		arena_array(f->arena, in->n_targeted_by + 1, sizeof(struct view_port *));
	for (size_t i = 0; i < in->n_targeted_by; i++)
		all[i] = in->targeted_by[i];
	all[in->n_targeted_by++] = by;
	in->targeted_by = all;
}

/* The oldest Service comes first, and says what the port is. */
static void found_port(struct finding *f, uint16_t port, const struct view_port *service_port)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->all[i].port == port) {
			if (service_port)
				targeted(f, &f->all[i], service_port);
			return;
		}
	if (f->n == f->size) {
		f->size = f->size ? f->size * 2 : 8;
		f->all = mem_grow(f->all, f->size, sizeof(*f->all));
	}
	struct inbound_port *in = &f->all[f->n++];
	*in = (struct inbound_port){
		.port = port,
		.service_port = service_port,
		.protocol = service_port ? service_port->protocol : PROTO_AUTO,
		.why = service_port ? service_port->why : WHY_UNDECLARED,
	};
	if (service_port)
		targeted(f, in, service_port);
}

static uint16_t container_port(const struct pod_spec *spec, const char *name)
{
	for (size_t i = 0; i < spec->n_containers; i++)
		for (size_t j = 0; j < spec->containers[i].n_ports; j++) {
			const struct container_port *p = &spec->containers[i].ports[j];
			if (p->protocol == L4_TCP && strcmp(p->name, name) == 0)
				return p->port;
		}
	return 0;
}

/* Endpoints kept by hand may name the own Pod as well. */
static void by_slices(struct finding *f, const struct service_part *part, const struct pod *self)
{
	const struct view_service *s = &part->service;
	for (size_t k = 0; k < part->n_slices; k++) {
		const struct endpoint_slice *slice = part->slices[k]->endpoint_slice;
		bool own = false;
		for (size_t i = 0; i < slice->n_endpoints; i++)
			own = own || (self->has_ip[slice->family] &&
				      ip_eq(&slice->endpoints[i].ip, &self->ip[slice->family]));
		for (size_t i = 0; own && i < s->n_ports; i++)
			for (size_t j = 0; j < slice->n_ports; j++)
				if (strcmp(slice->ports[j].name, s->ports[i].port->name) == 0 &&
				    slice->ports[j].port)
					found_port(f, slice->ports[j].port, &s->ports[i]);
	}
}

static void by_selector(struct finding *f, const struct view_service *s, const struct pod *self)
{
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct service_port *p = s->ports[i].port;
		uint16_t target = p->target_port.name[0]
					  ? container_port(&self->spec, p->target_port.name)
				  : p->target_port.number ? p->target_port.number
							  : p->port;
		if (target)
			found_port(f, target, &s->ports[i]);
	}
}

static int by_age(const void *a, const void *b)
{
	const struct service_part *const *x = a, *const *y = b;
	const struct view_service *m = &(*x)->service, *n = &(*y)->service;
	return service_older(m, n) ? -1 : service_older(n, m);
}

static void by_services(struct finding *f, struct service_part *const *mine, size_t n,
			const struct object *self)
{
	const struct service_part **own = mem_array(n + 1, sizeof(struct service_part *));
	for (size_t i = 0; i < n; i++)
		own[i] = mine[i];
	qsort(own, n, sizeof(struct service_part *), by_age);
	for (size_t i = 0; i < n; i++) {
		if (own[i]->service.entry || own[i]->service.object->service->selector.n)
			by_selector(f, &own[i]->service, self->pod);
		else
			by_slices(f, own[i], self->pod);
	}
	free(own);
}

static struct inbound_port *port_found(struct finding *f, uint16_t port)
{
	found_port(f, port, NULL);
	for (size_t i = 0; i < f->n; i++)
		if (f->all[i].port == port)
			return &f->all[i];
	return NULL; /* never: it is there now */
}

/* SIDECAR lists the ports: what it does not list is nobody's, though who targets it as a client is still
 * known. What it does not say of a port, the oldest Service says. */
static void by_sidecar(struct finding *f, const struct object *sidecar)
{
	const struct sidecar *s = sidecar->sidecar;
	for (size_t i = 0; i < f->n; i++) {
		f->all[i].service_port = NULL;
		f->all[i].protocol = PROTO_AUTO;
		f->all[i].why = WHY_UNDECLARED;
		f->all[i].sidecar = sidecar;
	}
	for (size_t i = 0; i < s->n_ingress; i++) {
		struct inbound_port *in = port_found(f, s->ingress[i].port);
		if (!in || in->ingress)
			continue; /* listed twice */
		in->sidecar = sidecar;
		in->ingress = &s->ingress[i];
		in->service_port = in->n_targeted_by ? in->targeted_by[0] : NULL;
		in->protocol = protocol_of_word(in->ingress->protocol, &in->why);
		if (in->service_port && !in->ingress->protocol[0]) {
			in->protocol = in->service_port->protocol;
			in->why = in->service_port->why;
		}
	}
}

static void say_detection(struct view *v, struct inbound_port *in, const struct object *self)
{
	const struct mesh_config *mesh = view_mesh(v);
	struct detection_words words = {mesh->detection, "", mesh->protocol_detection_timeout_ms};
	if (in->service_port)
		words = (struct detection_words){in->service_port->detection,
						 in->service_port->detection_from,
						 in->service_port->detection_timeout_ms};
	if (self)
		detection_lay(&words, v->arena, self, in->port);
	in->detection = words.detection;
	in->detection_from = words.from;
	in->detection_timeout_ms = words.timeout_ms;
}

void view_build_inbound(struct view *v, struct service_part *const *mine, size_t n,
			struct live *live)
{
	struct finding f = {.arena = v->arena};
	const struct object *self = v->self ? v->self->workload.pod : NULL;
	if (self) {
		const struct pod_spec *spec = &self->pod->spec;
		by_services(&f, mine, n, self);
		for (size_t i = 0; i < spec->n_containers; i++)
			for (size_t j = 0; j < spec->containers[i].n_ports; j++)
				if (spec->containers[i].ports[j].protocol == L4_TCP)
					found_port(&f, spec->containers[i].ports[j].port, NULL);
	}
	const struct object *sidecar = scope_sidecar(v->scope);
	if (sidecar && sidecar->sidecar->n_ingress == 0)
		sidecar = NULL;
	if (sidecar)
		by_sidecar(&f, sidecar);
	v->inbound = arena_array(v->arena, f.n, sizeof(*v->inbound));
	v->n_inbound = f.n;
	for (size_t i = 0; i < f.n; i++) {
		struct inbound_port *in = &v->inbound[i];
		*in = f.all[i];
		say_detection(v, in, self);
		if (!live)
			continue;
		char service[400] = "";
		if (in->service_port)
			(void)snprintf(service, sizeof(service), "%s/%s",
				       in->service_port->service->object->meta.ns,
				       in->service_port->service->object->meta.name);
		in->live = live_port_get(live, LIVE_INBOUND, service, in->port);
	}
	free(f.all);
	v->other_inbound = (struct inbound_port){
		.protocol = PROTO_AUTO, .why = WHY_UNDECLARED, .sidecar = sidecar};
	say_detection(v, &v->other_inbound, self);
}
