/*
 * What to do with a connection that came to the own Pod. Every port is PERMISSIVE: plaintext and
 * mesh TLS may both come, so what counts, beside what the port declares, is what is known of the
 * source.
 */
#include "decide/internal.h"

/* How long a greeting is held back from a source whose ClientHello came too late once. */
enum { SPOKE_TLS_WINDOW_US = 1000 * 1000 };

static enum fw_source source_of(struct plan *p, const struct inbound_facts *facts)
{
	const struct workload *w = p->peer_workload;
	if (w && w->mesh_tls) {
		plan_step(p, STEP_SOURCE_MESH, w->pod, 0);
		return FW_SOURCE_MESH;
	}
	if (w) {
		plan_step(p, STEP_SOURCE_PLAIN, w->pod, 0);
		return FW_SOURCE_PLAIN;
	}
	if (facts->source_speaks_tls) {
		plan_step(p, STEP_SOURCE_SPOKE_TLS, NULL, 0);
		return FW_SOURCE_UNKNOWN; /* others may stand behind the same address */
	}
	plan_step(p, STEP_SOURCE_UNKNOWN, NULL, 0);
	return FW_SOURCE_UNKNOWN;
}

/* The port's protocol, and the step that says where it stands. */
static void match_port(struct plan *p)
{
	const struct inbound_port *in = p->inbound;
	const struct view_port *port = in ? in->service_port : NULL;
	if (!port) {
		p->protocol = PROTO_AUTO;
		plan_step(p, STEP_INBOUND_UNKNOWN, NULL, p->to.port);
		return;
	}
	p->port = port;
	p->protocol = in->protocol;
	plan_step(p, STEP_INBOUND_SERVICE, port->service->object, port->port->port);
	plan_step_protocol(p, in->protocol, port->service->object, port->port->port);
}

void decide_inbound(const struct view *v, const struct inbound_facts *facts, struct plan *out)
{
	const struct mesh_config *mesh = view_mesh(v);
	plan_init(out, v, LIVE_INBOUND, &facts->dst);
	out->from = facts->src;
	out->peer_workload = view_workload_by_ip(v, &facts->src.ip);
	if (own_port(facts->dst.port)) {
		plan_refuse(out, STEP_SELF_CALL_GUARD, NULL, facts->dst.port);
		return;
	}
	const struct inbound_port *in = view_inbound_port(v, facts->dst.port);
	out->inbound = in;
	out->live = in ? in->live : NULL;
	out->destination = DEST_APP;
	out->bind_app_source = true;
	match_port(out);

	enum detection detection = in ? in->detection : mesh->detection;
	uint32_t timeout_ms = in ? in->detection_timeout_ms : mesh->protocol_detection_timeout_ms;
	bool declared = protocol_class(out->protocol) != CLASS_AUTO;
	enum fw_source source = source_of(out, facts);
	if (detection == DETECTION_BOTH_ENDS && declared && source == FW_SOURCE_PLAIN) {
		out->action = PLAN_RELAY;
		return;
	}
	plan_detect(out, mesh, detection, timeout_ms);
	out->fw.tls_possible = true;
	out->fw.source = source;
	out->fw.window_us = mesh->tls_window_max_us;
	if (plan_has_step(out, STEP_SOURCE_SPOKE_TLS) && out->fw.window_us < SPOKE_TLS_WINDOW_US)
		out->fw.window_us = SPOKE_TLS_WINDOW_US;
	if (declared && protocol_class(out->protocol) == CLASS_TCP) {
		/* Only a ClientHello is waited for, not the app's client. */
		out->fw.tls_only = true;
		out->fw.head_start_us = 0;
	}
}
