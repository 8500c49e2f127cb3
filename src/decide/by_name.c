/*
 * Connections to hosts of ServiceEntries that no address tells (a star, resolution NONE): the client says
 * whom it means, by SNI or Host; or it has asked the DNS proxy for the address just now.
 *
 * A word that names a host decides, whatever DNS said: many hosts share an address. Where the word
 * names nobody, what DNS said does. A port declared as bytes (TCP, MYSQL, ...) of resolution NONE takes
 * every address, as in Istio: there is nothing to wait for, and DNS gives the connection its name.
 */
#include <string.h>

#include "base/mem.h"
#include "decide/internal.h"

/* The host that DNS said TO is, by its latest name first. */
static const struct view_port *heard_port(struct plan *p, const struct view *v,
					  const struct outbound_facts *facts)
{
	struct dns_heard_name names[DNS_HEARD_NAMES];
	size_t n = dns_heard_find(facts->heard, &p->to.ip, facts->now_ns, names);
	for (size_t i = 0; i < n; i++) {
		struct slice name = {names[i].text, names[i].len};
		const struct view_port *port = view_open_host(v, name, p->to.port);
		if (!port)
			continue;
		*facts->room = names[i];
		p->said = facts->room->text;
		p->said_by = SAID_DNS;
		plan_step(p, STEP_HEARD, port->service->object, p->to.port);
		return port;
	}
	return NULL;
}

static bool as_dialled(const struct view_port *port)
{
	return port->service->entry->resolution == RESOLUTION_NONE;
}

/* Waits for what the client says; HEARD: what DNS said, or NULL. */
static void hear_client(struct plan *p, const struct view *v, const struct open_port *open,
			const struct view_port *heard)
{
	const struct mesh_config *mesh = view_mesh(v);
	const struct object *by = NULL;
	p->open = open;
	p->port = heard;
	p->destination = !heard              ? DEST_PASSTHROUGH
			 : as_dialled(heard) ? DEST_ENDPOINT
					     : DEST_SERVICE;
	if (heard) {
		p->host = heard->service;
		p->live = heard->live;
		plan_detect(p, mesh, heard->detection, heard->detection_timeout_ms);
	} else {
		plan_step(p, STEP_OPEN_PORT, NULL, open->number);
		plan_detect(p, mesh, mesh->detection, mesh->protocol_detection_timeout_ms);
	}
	p->fw.whole_head = true;
	bool admitted = heard || open->any || open->nameless ||
			view_outbound_policy(v, &by) == OUTBOUND_ALLOW_ANY;
	if (admitted || p->fw.mode == FW_CLIENT_FIRST)
		return;
	/* Nothing else can tell whether the address may be connected to: a slow client is waited for. */
	p->fw.early_allowed = false;
	if (p->fw.partial_ms < p->connect_timeout_ms)
		p->fw.partial_ms = p->connect_timeout_ms;
	plan_step_instead(p, STEP_BOTH_ENDS, STEP_BOTH_ENDS, STEP_NAME_FIRST, NULL, 0);
}

bool plan_by_name(struct plan *p, const struct view *v, const struct outbound_facts *facts)
{
	const struct open_port *open = view_open_port(v, p->to.port);
	if (!open)
		return false;
	const struct view_port *heard = facts->heard ? heard_port(p, v, facts) : NULL;
	bool nobody_there = heard && !as_dialled(heard) && heard->n_endpoints == 0;
	if (heard && (nobody_there || !protocol_names_host(heard->protocol))) {
		if (plan_to_entry(p, v, heard))
			plan_carry(p, v, heard);
	} else if (open->named) {
		hear_client(p, v, open, heard);
	} else {
		plan_unmatched(p, v, open->any);
	}
	return true;
}

void decide_outbound_word(const struct view *v, struct plan *p, const struct outbound_word *word)
{
	const struct open_port *open = p->open;
	if (!open)
		return;
	const struct view_port *port = p->port, *any = open->any ? open->any : open->nameless;
	plan_steps_drop(p, STEP_TLS_BY_RULE, STEP_TLS_ENTRY); /* of the early connection */
	if (word->name && word->name[0]) {
		port = view_open_host(v, slice_of(word->name), p->to.port);
		any = open->any; /* whoever names a host has to mean one of those */
		p->said = word->name;
		p->said_by = word->by;
		plan_step(p, port ? STEP_NAME_SAID : STEP_NAME_UNKNOWN,
			  port ? port->service->object : NULL, p->to.port);
	} else if (!port) {
		plan_step(p, STEP_NAME_NONE, NULL, p->to.port);
	}
	p->tls = (struct tls_plan){.transport = TRANSPORT_PLAIN};
	if (port) {
		if (plan_to_entry(p, v, port))
			p->action = PLAN_RELAY;
		return;
	}
	p->port = NULL;
	p->host = NULL;
	p->live = NULL;
	plan_unmatched(p, v, any);
}
