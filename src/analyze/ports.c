/* What Services say of their ports, against what stands behind them. */
#include <string.h>

#include "analyze/inside.h"
#include "detect/postgres.h"
#include "model/annotations.h"

/* What a mesh that waits for the client does to somebody who dials P: "stalls (D5): why". */
static const char *elsewhere_outbound(const struct analysis *a, const struct view_port *p)
{
	struct elsewhere_answer e;
	struct elsewhere_facts f = {
		.side = LIVE_OUTBOUND,
		.class = protocol_class(p->protocol),
		.mode = MTLS_PERMISSIVE,
		.matched = true,
		.server_first = true,
		.timeout_ms = a->mesh->protocol_detection_timeout_ms,
	};
	elsewhere_of(&f, &e);
	return say(a, "%s (%s): %s", elsewhere_name(e.what), e.row, e.text);
}

/* What happens here to a port that declares nothing. */
static const char *here(const struct view_port *p)
{
	return p->detection == DETECTION_BOTH_ENDS
		       ? "nothing hangs here: both ends are listened to"
		       : "here only the client is listened to, as `detection: client-first` says";
}

/* The client speaks first, for all that is known. */
static bool never_waits(const struct talk *talk)
{
	return talk->speaks == SPEAKS_HTTP || talk->speaks == SPEAKS_TLS ||
	       talk->speaks == SPEAKS_OPAQUE;
}

/* NULL: nobody knows what to write down. */
static const char *declare_yaml(const struct analysis *a, const struct view_port *p,
				const char *protocol)
{
	if (!protocol)
		return NULL;
	return say(a, "spec:\n  ports:\n  - port: %u\n    appProtocol: %s\n", p->port->port,
		   protocol);
}

/* Whatever it speaks, "tcp" carries it. */
static const char *safe_word(const struct talk *talk)
{
	return talk->declare ? talk->declare : "tcp";
}

/* Of a server, as sure as we are. */
static const char *speaks(const struct talk *talk)
{
	return talk->seen ? "speaks" : "probably speaks";
}

static const char *undeclared_effect(const struct analysis *a, const struct view_port *p,
				     const struct talk *talk)
{
	if (never_waits(talk))
		return "nothing waits: the client speaks first. It has to be found out on each "
		       "connection what it speaks";
	return say(a, "%s. Elsewhere, if the server speaks first: %s", here(p),
		   elsewhere_outbound(a, p));
}

static void undeclared(struct analysis *a, const struct view_port *p, const struct talk *talk)
{
	const char *word = talk->declare;
	const char *name = p->port->name;
	finding_add(
		a, CHECK_UNDECLARED, p->service->object, port_path(a, p),
		&(struct said){
			.text = say(a, "port %u declares no protocol", p->port->port),
			.why = say(a, "%s%s%s, and it is none of 25, 53, 3306, 27017%s%s",
				   name[0] ? "its name \"" : "it has no name", name[0] ? name : "",
				   name[0] ? "\" begins with no protocol that is known" : "",
				   talk->why[0] ? "; " : "", talk->why),
			.effect = undeclared_effect(a, p, talk),
			.mend = word ? "declare it"
				     : "declare what it speaks, if that is known; here "
				       "nothing has to be",
			.yaml = declare_yaml(a, p, word),
		});
}

static void server_first(struct analysis *a, const struct view_port *p, const struct talk *talk)
{
	finding_add(
		a, CHECK_SERVER_FIRST, p->service->object, port_path(a, p),
		&(struct said){
			.text = say(a, "port %u declares no protocol, and its server %s first",
				    p->port->port, speaks(talk)),
			.why = talk->why,
			.effect = say(
				a, "nothing hangs here: both ends are listened to. Elsewhere: %s",
				elsewhere_outbound(a, p)),
			.affected = "elsewhere every client, with and without a sidecar",
			.mend = "declare it, where the resources are also used with another mesh",
			.yaml = declare_yaml(a, p, safe_word(talk)),
		});
}

/* Only the client is listened to, and that is the setting's own doing: it hangs here as well. */
static void client_first(struct analysis *a, const struct view_port *p, const struct talk *talk,
			 const char *by)
{
	const char *after = p->detection_timeout_ms ? say(a, "for %u ms on each connection",
							  p->detection_timeout_ms)
						    : "for ever";
	finding_add(
		a, CHECK_CLIENT_FIRST, p->service->object, port_path(a, p),
		&(struct said){
			.text = say(a,
				    "only the client is listened to on port %u, and its server %s "
				    "first",
				    p->port->port, speaks(talk)),
			.why = say(a, "%s says client-first%s%s", by, talk->why[0] ? "; " : "",
				   talk->why),
			.effect = say(a, "clients and server wait for each other, %s", after),
			.affected = "every client",
			.mend = "declare the protocol, or take the setting away",
			.yaml = declare_yaml(a, p, safe_word(talk)),
		});
}

/* Who says that only the client of P is listened to; NULL: nobody. */
static const char *says_client_first(const struct analysis *a, const struct view_port *p)
{
	if (p->detection == DETECTION_CLIENT_FIRST)
		return p->detection_from[0] ? p->detection_from : "the mesh configuration";
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		enum detection said = DETECTION_BOTH_ENDS;
		bool found = false;
		const char *text = t->port != p ? NULL
						: pairs_get(&t->group->meta->annotations,
							    ANNOTATION_DETECTION);
		if (text && annotation_detection(slice_of(text), t->number, &said, &found, NULL) &&
		    found && said == DETECTION_CLIENT_FIRST)
			return say(a, "annotation " ANNOTATION_DETECTION " of %s",
				   group_name(a, t->group));
	}
	return NULL;
}

static void unknown_word(struct analysis *a, const struct view_port *p, const struct talk *talk)
{
	const char *name = p->port->name;
	struct service_port by_name = *p->port;
	enum protocol_why why;
	by_name.app_protocol = NULL;
	enum protocol named = protocol_of_service_port(&by_name, &why);
	const char *word = why == WHY_NAME ? protocol_name(named) : talk->declare;
	finding_add(
		a, CHECK_APP_PROTOCOL, p->service->object,
		say(a, "%s.appProtocol", port_path(a, p)),
		&(struct said){
			.text = say(a, "appProtocol \"%s\" of port %u is no protocol that is known",
				    p->port->app_protocol, p->port->port),
			.why = why == WHY_NAME
				       ? say(a,
					     "where appProtocol is set the name is not looked at: "
					     "\"%s\" declares nothing",
					     name)
				       : "the port counts as undeclared",
			.effect = undeclared_effect(a, p, talk),
			.mend = word ? "use a word that is known"
				     : "use a word that is known (tcp, http, "
				       "tls, ...), or leave it out",
			.yaml = declare_yaml(a, p, word),
		});
}

/* It selects no protocol here either, and yet it is not without effect. */
static void postgres_word(struct analysis *a, const struct view_port *p)
{
	finding_add(
		a, CHECK_POSTGRES_WORD, p->service->object,
		say(a, "%s.appProtocol", port_path(a, p)),
		&(struct said){
			.text = say(a, "elsewhere appProtocol \"%s\" of port %u is no protocol",
				    p->port->app_protocol, p->port->port),
			.why = "here it says how TLS towards the server begins, where a "
			       "DestinationRule asks for TLS",
			.effect =
				"nothing waits: the client speaks first. Elsewhere the port counts "
				"as undeclared, whatever its name says",
			.mend = "appProtocol: tcp, and a name that begins with postgresql, say it "
				"to both",
		});
}

static void tcp_speaks_http(struct analysis *a, const struct view_port *p, const struct talk *talk)
{
	bool by_number = p->why == WHY_WELL_KNOWN_PORT;
	finding_add(a, by_number ? CHECK_WELL_KNOWN : CHECK_TCP_HTTP, p->service->object,
		    port_path(a, p),
		    &(struct said){
			    .text = say(a, "port %u is %s, and its server %s HTTP", p->port->port,
					by_number ? "TCP by its number" : "declared as bytes",
					speaks(talk)),
			    .why = talk->why,
			    .effect =
				    "it is relayed as bytes: no HTTP route, no HTTP telemetry, and "
				    "rules "
				    "of policies that need HTTP do not hold",
			    .mend = "declare it",
			    .yaml = declare_yaml(a, p, "http"),
		    });
}

static void greets_as_http(struct analysis *a, const struct view_port *p, const struct talk *talk)
{
	finding_add(a, CHECK_HTTP_GREETS, p->service->object, port_path(a, p),
		    &(struct said){
			    .text = say(a, "port %u is declared %s, and its server %s first",
					p->port->port, protocol_name(p->protocol), speaks(talk)),
			    .why = talk->why,
			    .effect = say(a,
					  "it is not HTTP: what a mesh does for HTTP cannot work. "
					  "Elsewhere: %s",
					  elsewhere_outbound(a, p)),
			    .affected = "elsewhere every client",
			    .mend = "declare what it is",
			    .yaml = declare_yaml(a, p, safe_word(talk)),
		    });
}

static void greets_as_tls(struct analysis *a, const struct view_port *p, const struct talk *talk)
{
	finding_add(
		a, CHECK_TLS_GREETS, p->service->object, port_path(a, p),
		&(struct said){
			.text = say(a,
				    "port %u is declared %s, and its server %s first, in the clear",
				    p->port->port, protocol_name(p->protocol), speaks(talk)),
			.why = say(a, "%s; its TLS begins later, inside its own protocol",
				   talk->why),
			.effect =
				"nothing hangs here. No ClientHello comes first, so nothing can be "
				"routed by its server name",
			.affected = "elsewhere clients of routes that look at the server name",
			.mend = "declare what it is",
			.yaml = declare_yaml(a, p, safe_word(talk)),
		});
}

/* Elsewhere D1: even where the port is declared, a plaintext client of a PERMISSIVE port that waits
 * for the server waits for ever. */
static void permissive(struct analysis *a, const struct view_port *p, const struct talk *talk)
{
	struct elsewhere_answer e;
	struct names where;
	names_init(&where, a);
	for (size_t i = 0; i < a->n_targets; i++) {
		const struct target *t = &a->targets[i];
		if (t->port == p && target_is_meshed(t) && target_mode(t).mode == MTLS_PERMISSIVE)
			names_add(&where, group_name(a, t->group));
	}
	const char *groups = names_end(&where);
	if (!groups)
		return;
	elsewhere_of(&(struct elsewhere_facts){.side = LIVE_INBOUND,
					       .class = CLASS_TCP,
					       .mode = MTLS_PERMISSIVE,
					       .server_first = true,
					       .timeout_ms = p->detection_timeout_ms},
		     &e);
	finding_add(
		a, CHECK_PERMISSIVE_WAITS, p->service->object, port_path(a, p),
		&(struct said){
			.text = say(a, "port %u is declared %s, its mode is PERMISSIVE%s",
				    p->port->port, protocol_name(p->protocol),
				    talk->speaks == SPEAKS_SERVER_FIRST
					    ? ", and its server speaks first"
					    : ""),
			.why = say(a, "%s takes plaintext and mesh TLS%s%s", groups,
				   talk->why[0] ? "; " : "", talk->why),
			.effect = say(a, "nothing hangs here. Elsewhere%s: %s (%s): %s",
				      talk->speaks == SPEAKS_SERVER_FIRST
					      ? ""
					      : ", if the server speaks first",
				      elsewhere_name(e.what), e.row, e.text),
			.affected =
				"elsewhere clients without a sidecar, probes and load balancers",
		});
}

/* The server may speak first for all that is known. */
static bool may_greet(const struct view_port *p, const struct talk *talk)
{
	bool silent = p->protocol == PROTO_REDIS || p->protocol == PROTO_MONGO ||
		      p->protocol == PROTO_HTTPS || p->protocol == PROTO_TLS;
	bool client_first_number =
		p->why == WHY_WELL_KNOWN_PORT && (p->port->port == 53 || p->port->port == 27017);
	if (talk->speaks == SPEAKS_UNKNOWN)
		return !silent && !client_first_number;
	return talk->speaks == SPEAKS_SERVER_FIRST || talk->speaks == SPEAKS_BOTH;
}

static void check_port(struct analysis *a, const struct view_port *p)
{
	struct talk talk = talk_of(a, p);
	bool greets = talk.speaks == SPEAKS_SERVER_FIRST;
	bool tls = p->protocol == PROTO_TLS || p->protocol == PROTO_HTTPS;
	enum proto_class class = protocol_class(p->protocol);
	const char *by = greets && class != CLASS_TCP ? says_client_first(a, p) : NULL;
	if (by) {
		client_first(a, p, &talk, by);
		return;
	}
	switch (class) {
	case CLASS_AUTO:
		if (p->why == WHY_APP_PROTOCOL_UNKNOWN && !greets &&
		    pg_is_named(slice_of(p->port->app_protocol)))
			postgres_word(a, p);
		else if (p->why == WHY_APP_PROTOCOL_UNKNOWN)
			unknown_word(a, p, &talk);
		if (greets)
			server_first(a, p, &talk);
		else if (p->why != WHY_APP_PROTOCOL_UNKNOWN)
			undeclared(a, p, &talk);
		return;
	case CLASS_HTTP:
		if (greets)
			greets_as_http(a, p, &talk);
		return;
	case CLASS_TCP:
		if (talk.speaks == SPEAKS_HTTP && !tls)
			tcp_speaks_http(a, p, &talk);
		if (greets && tls)
			greets_as_tls(a, p, &talk);
		else if (may_greet(p, &talk))
			permissive(a, p, &talk);
		return;
	case CLASS_NONE:
		return;
	}
}

static void check_timeout(struct analysis *a)
{
	size_t at = 0;
	const struct object_set *set = &a->sets[KIND_CONFIG_MAP];
	uint32_t ms = a->mesh->protocol_detection_timeout_ms;
	if (ms == 0 || !object_set_find(set, MESH_CONFIG_NS, MESH_CONFIG_NAME, &at))
		return;
	finding_add(
		a, CHECK_DETECTION_TIMEOUT, set->at[at], "data.mesh",
		&(struct said){
			.text = say(a, "protocolDetectionTimeout is %u ms", ms),
			.why = "it bounds how long a mesh that listens to the client alone waits",
			.effect = say(
				a,
				"here it counts where `detection: client-first` is set. Elsewhere "
				"it hides a port that would hang: each connection to a server that "
				"speaks first begins %u ms late, and a slow HTTP client is taken "
				"for "
				"TCP",
				ms),
			.mend = "take it out; declare the ports of servers that speak first where "
				"the "
				"resources are also used with another mesh",
		});
}

void analyze_ports(struct analysis *a)
{
	for (size_t i = 0; i < a->n_services; i++)
		for (size_t k = 0; k < a->services[i]->n_ports; k++)
			check_port(a, &a->services[i]->ports[k]);
	check_timeout(a);
}
