/* A full buffer shows in buf.full, which the calls answer with; so single results are not looked
 * at. */
#include "observe/admin.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "decide/learn.h"
#include "model/annotations.h"

static const char *why_name(enum protocol_why why)
{
	switch (why) {
	case WHY_PROTOCOL_UDP:
		return "protocol";
	case WHY_APP_PROTOCOL:
		return "appProtocol";
	case WHY_APP_PROTOCOL_UNKNOWN:
		return "unknown-appProtocol";
	case WHY_NAME:
		return "name";
	case WHY_WELL_KNOWN_PORT:
		return "well-known-port";
	case WHY_ENTRY:
		return "protocol";
	case WHY_ENTRY_UNKNOWN:
		return "unknown-protocol";
	case WHY_UNDECLARED:
		break;
	}
	return "undeclared";
}

static void mesh_json(const struct mesh_config *mesh, struct json_out *out)
{
	json_open_object(out, "mesh");
	json_cstr(out, "outbound_traffic_policy",
		  mesh->outbound_policy == OUTBOUND_REGISTRY_ONLY ? "REGISTRY_ONLY" : "ALLOW_ANY");
	json_u64(out, "protocol_detection_timeout_ms", mesh->protocol_detection_timeout_ms);
	json_u64(out, "connect_timeout_ms", mesh->connect_timeout_ms);
	json_u64(out, "tcp_keepalive_seconds", mesh->keepalive_s);
	json_cstr(out, "access_log_file", mesh->access_log_file);
	json_cstr(out, "root_namespace", mesh->root_namespace);
	json_cstr(out, "trust_domain", mesh->trust_domain);
	json_cstr(out, "detection", detection_name(mesh->detection));
	json_cstr(out, "load_balancer",
		  mesh->lb == LB_ROUND_ROBIN ? "round-robin" : "least-connections");
	json_u64(out, "head_start_us", mesh->head_start_us);
	json_u64(out, "tls_window_max_us", mesh->tls_window_max_us);
	json_u64(out, "partial_word_ms", mesh->partial_word_ms);
	json_u64(out, "tcp_idle_timeout_seconds", mesh->tcp_idle_timeout_s);
	json_u64(out, "early_per_source", mesh->early_per_source);
	json_u64(out, "early_per_destination", mesh->early_per_destination);
	json_u64(out, "early_per_worker", mesh->early_per_worker);
	json_u64(out, "termination_drain_seconds", mesh->drain_s);
	json_u64(out, "concurrency", mesh->workers);
	json_close(out);
}

static void workload_json(const char *key, const struct workload *w, struct json_out *out)
{
	if (!w) {
		json_nil(out, key);
		return;
	}
	json_open_object(out, key);
	json_cstr(out, "namespace", w->pod->meta.ns);
	json_cstr(out, "pod", w->pod->meta.name);
	json_cstr(out, "workload", w->name);
	json_bool(out, "sidecar", w->has_sidecar);
	json_bool(out, "mesh_tls", w->mesh_tls);
	json_close(out);
}

static void port_json(const struct view *v, const struct view_port *p, struct json_out *out)
{
	char text[ADDR_TEXT];
	json_open_object(out, NULL);
	json_u64(out, "port", p->port->port);
	json_cstr(out, "name", p->port->name);
	json_cstr(out, "protocol", protocol_name(p->protocol));
	json_cstr(out, "declared_by", why_name(p->why));
	if (p->hidden)
		json_bool(out, "imported", false);
	json_cstr(out, "detection", detection_name(p->detection));
	json_cstr(out, "detection_from", p->detection_from[0] ? p->detection_from : NULL);
	json_u64(out, "protocol_detection_timeout_ms", p->detection_timeout_ms);
	json_open_array(out, "endpoints");
	for (size_t i = 0; i < p->n_endpoints; i++) {
		json_open_object(out, NULL);
		json_cstr(out, "address", addr_text(&p->endpoints[i].at, text));
		if (p->weight_upto)
			json_u64(out, "weight",
				 p->endpoints[i].weight ? p->endpoints[i].weight : 1);
		workload_json("workload", view_workload_by_ip(v, &p->endpoints[i].at.ip), out);
		json_close(out);
	}
	json_close(out);
	json_close(out);
}

static void service_json(const struct view *v, const struct view_service *s, struct json_out *out)
{
	char text[ADDR_TEXT];
	const struct service *service = s->object->service;
	json_open_object(out, NULL);
	json_cstr(out, "namespace", s->object->meta.ns);
	json_cstr(out, "name", s->object->meta.name);
	json_cstr(out, "host", s->host);
	json_bool(out, "headless", service->headless);
	json_open_array(out, "addresses");
	for (int f = 0; f < N_IP_FAMILIES; f++)
		if (service->has_ip[f])
			json_cstr(out, NULL, ip_text(&service->cluster_ip[f], text));
	json_close(out);
	json_open_array(out, "ports");
	for (size_t i = 0; i < s->n_ports; i++)
		port_json(v, &s->ports[i], out);
	json_close(out);
	json_close(out);
}

static void entry_json(const struct view *v, const struct view_service *s, struct json_out *out)
{
	char text[ADDR_TEXT];
	const struct view_entry *e = s->entry;
	json_open_object(out, NULL);
	json_cstr(out, "host", s->host);
	json_cstr(out, "namespace", s->object->meta.ns);
	json_open_array(out, "entries");
	for (size_t i = 0; i < e->n_objects; i++)
		json_cstr(out, NULL, e->objects[i]->meta.name);
	json_close(out);
	json_cstr(out, "location",
		  e->location == LOCATION_MESH_INTERNAL ? "MESH_INTERNAL" : "MESH_EXTERNAL");
	json_cstr(out, "resolution", resolution_name(e->resolution));
	json_open_array(out, "addresses");
	for (size_t i = 0; i < e->n_ips; i++)
		json_cstr(out, NULL, ip_text(&e->ips[i], text));
	for (size_t i = 0; i < e->n_ranges; i++)
		json_cstr(out, NULL, cidr_text(&e->ranges[i], text));
	json_close(out);
	json_bool(out, "given", e->given);
	json_bool(out, "names_fail",
		  e->live && atomic_load_explicit(&e->live->failing, memory_order_relaxed) > 0);
	json_open_array(out, "names");
	for (size_t i = 0; i < e->n_names; i++) {
		json_open_object(out, NULL);
		json_cstr(out, "name", e->names[i].host);
		json_bool(out, "known", e->names[i].known);
		json_close(out);
	}
	json_close(out);
	json_open_array(out, "ports");
	for (size_t i = 0; i < s->n_ports; i++)
		port_json(v, &s->ports[i], out);
	json_close(out);
	json_close(out);
}

static void scope_json(const struct view *v, struct json_out *out)
{
	const struct object *by = NULL;
	char text[320];
	enum outbound_policy policy = view_outbound_policy(v, &by);
	json_open_object(out, "outbound_traffic_policy");
	json_cstr(out, "mode", policy == OUTBOUND_REGISTRY_ONLY ? "REGISTRY_ONLY" : "ALLOW_ANY");
	json_cstr(out, "by", by ? object_text(by, text, sizeof(text)) : NULL);
	json_close(out);
}

static void socket_json(struct live_socket *live, struct json_out *out)
{
	bool open = live && atomic_load_explicit(&live->open, memory_order_relaxed) > 0;
	int error = live ? atomic_load_explicit(&live->error, memory_order_relaxed) : 0;
	json_bool(out, "open", open);
	json_cstr(out, "problem", !open && error ? strerror(error) : NULL); /* one thread asks */
}

static void listeners_json(const struct view *v, struct json_out *out)
{
	size_t n = 0;
	char text[ADDR_TEXT];
	const struct view_listener *all = view_listeners(v, &n);
	json_open_array(out, "listeners");
	for (size_t i = 0; i < n; i++) {
		json_open_object(out, NULL);
		json_cstr(out, "address", addr_text(&all[i].at, text));
		json_cstr(out, "host", all[i].port ? all[i].port->service->host : NULL);
		socket_json(all[i].live, out);
		json_close(out);
	}
	json_close(out);
}

bool admin_config_json(const struct view *v, struct buf *out)
{
	struct json_out j;
	size_t n = 0;
	const struct view_service **all = view_services(v, &n);
	json_out_init(&j, out);
	json_open_object(&j, NULL);
	json_u64(&j, "version", view_version(v));
	workload_json("self", view_self(v), &j);
	mesh_json(view_mesh(v), &j);
	json_open_object(&j, "counts");
	for (int k = 0; k < N_KINDS; k++)
		json_u64(&j, kind_info((enum kind)k)->plural, view_count(v, (enum kind)k));
	json_close(&j);
	json_open_array(&j, "services");
	for (size_t i = 0; i < n; i++)
		service_json(v, all[i], &j);
	free(all);
	json_close(&j);
	scope_json(v, &j);
	listeners_json(v, &j);
	all = view_entries(v, &n);
	json_open_array(&j, "service_entries");
	for (size_t i = 0; i < n; i++)
		entry_json(v, all[i], &j);
	free(all);
	json_close(&j);
	json_close(&j);
	return !out->full;
}

/* What was learnt */

static void learned_json(void *ctx, enum live_side side, const char *service, uint16_t port,
			 const struct live_port *live)
{
	struct json_out *out = ctx;
	json_open_object(out, NULL);
	json_cstr(out, "side", side == LIVE_OUTBOUND ? "outbound" : "inbound");
	json_cstr(out, "service", service[0] ? service : NULL);
	json_u64(out, "port", port);
	learn_json(live, out);
	json_close(out);
}

bool admin_learned_json(const struct live *live, struct buf *out)
{
	struct json_out j;
	json_out_init(&j, out);
	json_open_object(&j, NULL);
	json_open_array(&j, "ports");
	live_ports(live, learned_json, &j);
	json_close(&j);
	json_close(&j);
	return !out->full;
}
