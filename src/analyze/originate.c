/* TLS that a DestinationRule begins (SIMPLE and MUTUAL), against what the servers behind it speak: a server that
 * greets in clear has no use for a ClientHello. */
#include <stdlib.h>

#include "analyze/inside.h"

/* What R's policy, at PATH, says about PORT: the entry of portLevelSettings, else the rest. */
static const struct client_tls *tls_for(struct analysis *a, const struct traffic_policy *p,
					uint16_t port, const char **path)
{
	for (size_t i = 0; i < p->n_ports; i++)
		if (p->ports[i].port == port) {
			*path = say(a, "spec.trafficPolicy.portLevelSettings[%zu].tls", i);
			return &p->ports[i].tls;
		}
	*path = "spec.trafficPolicy.tls";
	return &p->tls;
}

static const char *place(const struct analysis *a, const struct view_port *p)
{
	return p->service->entry ? say(a, "port %u of %s", p->port->port, p->service->host)
				 : port_name(a, p);
}

static void heard(struct analysis *a, const struct object *o, const struct view_port *p,
		  const char *path, enum greet_protocol protocol)
{
	bool pg = protocol == GREET_IS_POSTGRESQL;
	finding_add(
		a, CHECK_TLS_IN_CLEAR, o, path,
		&(struct said){
			.text = say(a,
				    "the rule wants TLS, and a server of %s speaks plaintext (%s)",
				    place(a, p), greet_name(protocol)),
			.why = pg ? "it was asked by SSLRequest, and offers none"
				  : "it was heard instead of a ServerHello",
			.effect = "every connection is refused: what was asked for cannot be had. "
				  "Elsewhere it fails as well, often with a bare reset",
			.affected = "whoever connects to it",
			.mend = pg ? "turn TLS on at the server (ssl = on), or take tls out of the "
				     "rule"
				   : "take tls out of the rule, and let the application's client "
				     "ask for "
				     "TLS inside the protocol, if that has any",
			.yaml = say(a,
				    "spec:\n  trafficPolicy:\n    portLevelSettings:\n    - port:\n"
				    "        number: %u\n      tls:\n        mode: DISABLE\n",
				    p->port->port),
		});
}

/* The protocol that P's server is thought to greet in; NULL: none is. */
static const char *greets_in(const struct analysis *a, const struct view_port *p)
{
	if (p->protocol == PROTO_MYSQL)
		return "MySQL";
	if (!p->service->entry)
		return talk_of(a, p).speaks == SPEAKS_SERVER_FIRST ? "a server that speaks first"
								   : NULL;
	bool open = protocol_class(p->protocol) == CLASS_AUTO || p->protocol == PROTO_TCP;
	return open ? talk_hint(p->port->port) : NULL;
}

static void guessed(struct analysis *a, const struct object *o, const struct view_port *p,
		    const char *path, const char *what)
{
	finding_add(
		a, CHECK_TLS_GUESS, o, path,
		&(struct said){
			.text = say(
				a,
				"the rule wants TLS from the first byte on, and %s looks like %s",
				place(a, p), what),
			.why = "such servers greet in clear, and begin TLS inside their protocol, "
			       "if at all",
			.effect = "if this one does, every connection is refused. Behind a "
				  "terminator of TLS "
				  "it works",
			.mend = "if it does, take tls out of the rule, and let the application's "
				"client ask",
		});
}

static void check_port(struct analysis *a, const struct object *o, const struct view_port *p)
{
	struct learned l;
	const char *path;
	const struct client_tls *tls =
		tls_for(a, &o->destination_rule->policy, p->port->port, &path);
	if (!tls->given || (tls->mode != CLIENT_TLS_SIMPLE && tls->mode != CLIENT_TLS_MUTUAL))
		return;
	learn_read(p->live, &l);
	if (l.spoke_in_clear) {
		heard(a, o, p, path, l.in_clear);
		return;
	}
	bool works = l.server_first || l.client_http || l.client_tls || l.client_opaque;
	const char *what = works ? NULL : greets_in(a, p);
	if (what)
		guessed(a, o, p, path, what);
}

static void check_service(struct analysis *a, const struct object *o, const struct view_service *s)
{
	for (size_t i = 0; rule_covers(o, s) && i < s->n_ports; i++)
		check_port(a, o, &s->ports[i]);
}

void analyze_origination(struct analysis *a)
{
	const struct object_set *set = &a->sets[KIND_DESTINATION_RULE];
	size_t n = 0;
	const struct view_service **entries = view_entries(a->view, &n);
	for (size_t i = 0; i < set->n; i++) {
		for (size_t k = 0; k < a->n_services; k++)
			check_service(a, set->at[i], a->services[k]);
		for (size_t k = 0; k < n; k++)
			check_service(a, set->at[i], entries[k]);
	}
	free(entries);
}
