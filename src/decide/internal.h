/* What the files of this room share; nobody else includes it. */
#pragma once
#include "decide/learn.h"
#include "decide/plan.h"

/* The sidecar's own ports: a connection to one of them would come back to the sidecar for ever. */
bool own_port(uint16_t port);
/* What every plan begins with: the mesh's timeouts and no step. */
void plan_init(struct plan *p, const struct view *v, enum live_side side, const struct addr *to);
void plan_step(struct plan *p, enum step_code code, const struct object *resource, uint16_t port);
enum transport transport_of_rule(const struct client_tls *rule);
/* P is PORT's: whether it is carried, or has to wait or be refused (false), for want of endpoints. */
bool plan_to_port(struct plan *p, const struct view_port *port, enum plan_destination destination);
/* The same of a ServiceEntry's port, which leads where its resolution says. */
bool plan_to_entry(struct plan *p, const struct view *v, const struct view_port *port);
/* What PORT declares decides how the connection is carried. */
void plan_carry(struct plan *p, const struct view *v, const struct view_port *port);
/* Nobody's, as the policy has it; ANY: whose port takes every address, or NULL. */
void plan_unmatched(struct plan *p, const struct view *v, const struct view_port *any);
/* Nothing has the address that P is for: the name may tell. False: no host is told by it there. */
bool plan_by_name(struct plan *p, const struct view *v, const struct outbound_facts *facts);
/* Adds the step and gives P up. */
void plan_refuse(struct plan *p, enum step_code code, const struct object *resource, uint16_t port);
/* The facts of P's connection, authorized as TCP; adds the step ALLOWED or DENIED, in place of one
 * that was made before. Without a policy there is none. */
bool plan_authorize(struct plan *p, const struct view *v, struct slice peer, struct slice sni,
		    enum step_code allowed, enum step_code denied);
void plan_steps_drop(struct plan *p, enum step_code from, enum step_code to);
/* Takes those of FROM..TO away and puts CODE behind the last one. */
void plan_step_instead(struct plan *p, enum step_code from, enum step_code to, enum step_code code,
		       const struct object *resource, uint16_t port);
/* DECLARED or UNDECLARED. */
void plan_step_protocol(struct plan *p, enum protocol protocol, const struct object *resource,
			uint16_t port);
/* Makes P listen: who to, what was learnt, and the steps that say so. */
void plan_detect(struct plan *p, const struct mesh_config *mesh, enum detection detection,
		 uint32_t timeout_ms);
/* The source's sidecar begins with a ClientHello; *BY is the DestinationRule of its that says so, or that
 * it does not: NULL, none says anything. False where it has no sidecar that could. */
bool source_sends_hello(const struct view *v, const struct plan *p, const struct object **by);
/* What policies make of P, for plan_explain_text() and _json(): nothing where none says anything. */
void explain_policy_text(const struct view *v, const struct plan *p, struct buf *out);
void explain_policy_json(const struct view *v, const struct plan *p, struct json_out *out);
