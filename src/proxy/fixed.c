#include "proxy/fixed.h"

#include "decide/learn.h"
#include "proxy/worker.h"

/* As a STRICT port of a sidecar. */
static void plan_fixed_server(struct conn *c)
{
	const struct mesh_config *mesh = view_mesh(c->record.view);
	c->plan = (struct plan){
		.action = PLAN_DETECT,
		.destination = DEST_PASSTHROUGH,
		.side = LIVE_INBOUND,
		.to = c->worker->setup->fixed_to,
		.connect_timeout_ms = mesh->connect_timeout_ms,
		.idle_timeout_s = mesh->tcp_idle_timeout_s,
		.guard = {.mode = MTLS_STRICT, .peer_timeout_ms = mesh->handshake_timeout_ms},
		.fw = {.side = FW_INBOUND,
		       .mode = FW_BOTH_ENDS,
		       .tls_possible = true,
		       .tls_only = true,
		       .source = FW_SOURCE_MESH,
		       .partial_ms = mesh->handshake_timeout_ms},
	};
}

void plan_fixed(struct conn *c)
{
	const struct worker_setup *s = c->worker->setup;
	const struct mesh_config *mesh = view_mesh(c->record.view);
	if (s->fixed_tls_server) {
		plan_fixed_server(c);
		return;
	}
	c->plan = (struct plan){
		.action = s->fixed_detect ? PLAN_DETECT : PLAN_RELAY,
		.destination = DEST_PASSTHROUGH,
		.side = LIVE_OUTBOUND,
		.to = s->fixed_to,
		.protocol = s->fixed_detect ? PROTO_AUTO : PROTO_TCP,
		.connect_timeout_ms = mesh->connect_timeout_ms,
		.idle_timeout_s = mesh->tcp_idle_timeout_s,
		.live = s->fixed_live,
		.fw = {.side = s->fixed_inbound ? FW_INBOUND : FW_OUTBOUND,
		       .mode = FW_BOTH_ENDS,
		       .tls_possible = s->fixed_inbound,
		       .source = tls_sources_has(s->tls_sources, &c->record.client.ip)
					 ? FW_SOURCE_MESH
					 : FW_SOURCE_UNKNOWN,
		       .learned = learn_state(s->fixed_live),
		       .early_allowed = true,
		       .head_start_us = mesh->head_start_us,
		       .partial_ms = mesh->partial_word_ms},
	};
	if (s->fixed_tls_client)
		c->plan.tls.transport = TRANSPORT_MESH_TLS;
}
