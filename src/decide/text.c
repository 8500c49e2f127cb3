/* A plan's steps in words. Writes into a full buffer are refused and show in buf.full, which the
 * callers answer with; so single results are not looked at. */
#include "base/mem.h"
#include "decide/internal.h"

enum { OBJECT_TEXT = 320 };

static void ip_of(const struct addr *a, struct buf *out)
{
	char text[ADDR_TEXT];
	(void)buf_puts(out, ip_text(&a->ip, text));
}

static void dialled(const struct plan *p, struct buf *out)
{
	char text[ADDR_TEXT];
	(void)buf_puts(out, addr_text(&p->to, text));
}

static void resource(const struct step *s, struct buf *out)
{
	char text[OBJECT_TEXT];
	(void)buf_puts(out, s->resource ? object_text(s->resource, text, sizeof(text)) : "?");
}

static void resource_port(const struct step *s, struct buf *out)
{
	resource(s, out);
	(void)buf_printf(out, " port %u", s->port);
}

/* A person's word, quoted and made printable. */
static void quoted(const char *word, struct buf *out)
{
	char text[256];
	(void)buf_printf(out, "\"%s\"", slice_printable(slice_of(word), text, sizeof(text)));
}

/* Who says what the protocol is, or why nobody does. */
static void declaration(const struct plan *p, const struct step *s, struct buf *out)
{
	const struct view_port *port = p->port;
	if (!port) {
		resource_port(s, out);
		(void)buf_puts(out, " declares nothing");
		return;
	}
	const char *app_protocol = port->port->app_protocol;
	switch (p->inbound ? p->inbound->why : port->why) {
	case WHY_PROTOCOL_UDP:
		(void)buf_puts(out, "its protocol is UDP");
		return;
	case WHY_APP_PROTOCOL:
		(void)buf_puts(out, "its appProtocol ");
		quoted(app_protocol ? app_protocol : "", out);
		break;
	case WHY_NAME:
		(void)buf_puts(out, "its name ");
		quoted(port->port->name, out);
		break;
	case WHY_WELL_KNOWN_PORT:
		(void)buf_printf(out, "the well-known port %u", port->port->port);
		break;
	case WHY_ENTRY:
		(void)buf_puts(out, "its protocol ");
		quoted(app_protocol ? app_protocol : "", out);
		break;
	case WHY_ENTRY_UNKNOWN:
	case WHY_APP_PROTOCOL_UNKNOWN:
		(void)buf_puts(out, p->port->why == WHY_ENTRY_UNKNOWN ? "its protocol "
								      : "its appProtocol ");
		quoted(app_protocol ? app_protocol : "", out);
		(void)buf_puts(out, " is no protocol that is known");
		return;
	case WHY_UNDECLARED:
		if (port->port->name[0] && !port->service->entry) { /* there names say nothing */
			(void)buf_puts(out, "its name ");
			quoted(port->port->name, out);
			(void)buf_puts(out, " declares no protocol");
		} else {
			(void)buf_puts(out, "it declares no protocol");
		}
		return;
	}
	(void)buf_printf(out, " declares %s", protocol_name(p->protocol));
}

static void source(const struct plan *p, const struct step *s, const char *what, struct buf *out)
{
	if (ip_is_any(&p->from.ip)) { /* explain, where nobody said which */
		(void)buf_printf(out, "a source outside the mesh %s", what);
		return;
	}
	(void)buf_puts(out, "source ");
	ip_of(&p->from, out);
	if (s->resource) {
		(void)buf_puts(out, " (");
		resource(s, out);
		(void)buf_puts(out, ")");
	}
	(void)buf_printf(out, " %s", what);
}

static void ruled_source(const struct plan *p, const struct step *s, struct buf *out)
{
	(void)buf_puts(out, "source ");
	ip_of(&p->from, out);
	(void)buf_puts(out, " speaks plaintext to this port, as ");
	resource(s, out);
	(void)buf_puts(out, " says, so no ClientHello is coming");
}

static void detection_from(const struct plan *p, struct buf *out)
{
	const char *from = p->inbound ? p->inbound->detection_from
			   : p->port  ? p->port->detection_from
				      : "";
	if (from[0])
		(void)buf_printf(out, " (%s)", from);
}

static void known_ports(const struct object *o, struct buf *out)
{
	enum { SHOWN = 8 };
	unsigned shown = 0;
	for (size_t i = 0;
	     o && o->kind == KIND_SERVICE_ENTRY && i < o->service_entry->n_ports && shown < SHOWN;
	     i++)
		(void)buf_printf(out, "%s%u", shown++ ? ", " : "; it has ",
				 o->service_entry->ports[i].number);
	if (!o || o->kind != KIND_SERVICE)
		return;
	for (size_t i = 0; i < o->service->n_ports && shown < SHOWN; i++)
		if (o->service->ports[i].protocol == L4_TCP)
			(void)buf_printf(out, "%s%u", shown++ ? ", " : "; it has ",
					 o->service->ports[i].port);
}

static void first_word(const struct plan *p, struct buf *out)
{
	(void)buf_puts(out, fw_reason_text(p->word.reason));
	if (p->word.protocol != GREET_IS_UNKNOWN)
		(void)buf_printf(out, " (%s)", greet_name(p->word.protocol));
}

/* Steps whose words are always the same, */
static const char *const fixed[N_STEPS] = {
	[STEP_LEARNED_SERVER_FIRST] = "the server always spoke first here",
	[STEP_LEARNED_CLIENT_FIRST] = "the client always spoke first here",
	[STEP_PEER_FIRST] = "nothing is opened before the client has authenticated",
	[STEP_MESH_TLS] = "the client speaks mesh TLS, which ends here",
	[STEP_APP_TLS] = "the client's TLS is the application's own and passes untouched",
	[STEP_NOT_MESH_TLS] = "what came is not TLS, and STRICT takes nothing else",
	[STEP_TLS_ON_HTTP] = "what came is TLS, but not the mesh's, and the port is declared HTTP",
	[STEP_HANDSHAKE_TIMEOUT] = "the client did not authenticate in time",
};

/* and those about the source. */
static const char *const sources[N_STEPS] = {
	[STEP_SOURCE_PLAIN] = "speaks no mesh TLS, so no ClientHello is coming",
	[STEP_SOURCE_MESH] = "speaks mesh TLS, so its ClientHello is coming",
	[STEP_SOURCE_AUTO_OFF] = "speaks plaintext, for auto mTLS is off",
	[STEP_SOURCE_BYPASSES] =
		"keeps some of its traffic out of its sidecar, so a greeting is held back",
	[STEP_SOURCE_SPOKE_TLS] =
		"sent a late ClientHello before, so a greeting is held back for longer",
	[STEP_SOURCE_UNKNOWN] = "is not known, so a greeting is held back for a ClientHello",
};

/* Where the connection goes. */
static void where(const struct plan *p, const struct step *s, struct buf *out)
{
	switch (s->code) {
	case STEP_SERVICE_VIP:
		dialled(p, out);
		(void)buf_puts(out, " is ");
		resource_port(s, out);
		break;
	case STEP_HEADLESS:
		dialled(p, out);
		(void)buf_puts(out, " is an endpoint of headless ");
		resource_port(s, out);
		break;
	case STEP_POD_IP:
		dialled(p, out);
		(void)buf_puts(out, " is ");
		resource(s, out);
		(void)buf_puts(out, ", dialled directly and not through a Service");
		break;
	case STEP_UNKNOWN_ADDRESS:
		(void)buf_puts(out, "nothing in the mesh has the address ");
		dialled(p, out);
		break;
	case STEP_VIP_PORT_UNKNOWN:
		resource(s, out);
		(void)buf_printf(out, " has no port %u", s->port);
		known_ports(s->resource, out);
		break;
	case STEP_NOT_TCP:
		resource_port(s, out);
		(void)buf_puts(out, " is not TCP");
		break;
	case STEP_NO_ENDPOINTS:
		resource_port(s, out);
		(void)buf_puts(out, " has no ready endpoint");
		break;
	default:
		break;
	}
}

static void outbound_policy(const struct step *s, struct buf *out)
{
	(void)buf_printf(out, "outboundTrafficPolicy %s",
			 s->code == STEP_ALLOW_ANY ? "ALLOW_ANY" : "REGISTRY_ONLY");
	if (s->resource) {
		(void)buf_puts(out, " of ");
		resource(s, out);
	}
	(void)buf_puts(out, s->code == STEP_ALLOW_ANY ? " lets it pass as it is"
						      : " refuses what no Service covers");
}

/* A host of ServiceEntries. */
static void entry(const struct plan *p, const struct step *s, struct buf *out)
{
	MUST(p->host); /* no such step is made without it */
	const char *host = p->host->host;
	switch (s->code) {
	case STEP_ENTRY_ADDRESS:
	case STEP_ENTRY_VIP:
		dialled(p, out);
		(void)buf_printf(out, " is port %u of %s, %s", s->port, host,
				 s->code == STEP_ENTRY_VIP
					 ? "a virtual IP that the mesh has given it"
					 : "as its ServiceEntry says");
		break;
	case STEP_ENTRY_PORT:
		ip_of(&p->to, out);
		(void)buf_printf(
			out, " is %s%s, and ", host,
			p->host->entry->given ? " by a virtual IP that the mesh has given it" : "");
		resource(s, out);
		(void)buf_printf(out, " has no port %u", s->port);
		known_ports(s->resource, out);
		break;
	case STEP_ENTRY_AS_DIALLED:
		(void)buf_puts(out,
			       "its resolution is NONE, so the address that was dialled counts");
		break;
	case STEP_ENTRY_RESOLVED:
		(void)buf_printf(out, "its resolution is %s, so its endpoints are what DNS says",
				 resolution_name(p->host->entry->resolution));
		break;
	case STEP_RESOLVING:
		(void)buf_printf(out, "the names behind %s have to be resolved first", host);
		break;
	case STEP_NO_ADDRESS:
		(void)buf_printf(out, "the names behind %s have no address", host);
		break;
	default:
		resource(s, out);
		(void)buf_printf(out, " has no endpoint for port %u of %s", s->port, host);
		break;
	}
}

static void mtls_mode(const struct plan *p, const struct step *s, struct buf *out)
{
	if (s->resource) {
		resource(s, out);
		(void)buf_printf(out, " is %s", mtls_mode_name(p->guard.mode));
		if (s->code == STEP_MTLS_PORT_MODE)
			(void)buf_printf(out, " for port %u", s->port);
	} else {
		(void)buf_printf(
			out, "no PeerAuthentication says how port %u may be reached, so it is %s",
			s->port, mtls_mode_name(p->guard.mode));
	}
}

static void authorization(const struct plan *p, const struct step *s, struct buf *out)
{
	struct authz_verdict verdict = {
		.allowed = p->guard.allowed,
		.reason = p->guard.reason,
		.policy = s->resource,
		.rule = s->port,
	};
	if (s->code == STEP_AUTHZ_PLAIN_ALLOWED)
		(void)buf_puts(out, "in plaintext, ");
	else if (s->code == STEP_AUTHZ_PLAIN_DENIED)
		(void)buf_puts(out, "in plaintext nothing is opened: ");
	(void)authz_verdict_text(&verdict, out);
}

static void endpoint(const struct step *s, struct buf *out)
{
	if (s->resource)
		resource(s, out);
	else
		(void)buf_puts(out, "the endpoint");
}

/* How an endpoint is spoken to. */
static void transport(const struct plan *p, const struct step *s, struct buf *out)
{
	switch (s->code) {
	case STEP_TLS_BY_RULE:
		resource(s, out);
		(void)buf_printf(out, " wants %s", transport_name(p->tls.transport));
		break;
	case STEP_TLS_AUTO_OFF:
		(void)buf_puts(out, "enableAutoMtls is off, so traffic is plaintext");
		break;
	case STEP_TLS_NO_SIDECAR:
		endpoint(s, out);
		(void)buf_puts(out, " speaks no mesh TLS, so traffic to it is plaintext");
		break;
	case STEP_TLS_NOT_CAPTURED:
		(void)buf_printf(out, "port %u of ", s->port);
		endpoint(s, out);
		(void)buf_puts(out, " does not reach its sidecar, so traffic to it is plaintext");
		break;
	case STEP_TLS_MODE_DISABLE:
		resource(s, out);
		(void)buf_printf(out, " disables mTLS for port %u there", s->port);
		break;
	case STEP_TLS_EXTERNAL:
		resource(s, out);
		(void)buf_puts(out, " is MESH_EXTERNAL, so traffic to it is plaintext");
		break;
	case STEP_TLS_ENTRY:
		(void)buf_puts(out, "by ");
		resource(s, out);
		(void)buf_puts(out, " or its WorkloadEntry the endpoint speaks mesh TLS, so "
				    "traffic to it does");
		break;
	default:
		endpoint(s, out);
		(void)buf_puts(out, " speaks mesh TLS, so traffic to it does");
		break;
	}
}

static void client_first(const struct plan *p, struct buf *out)
{
	(void)buf_puts(out, "detection is client-first");
	detection_from(p, out);
	if (p->fw.detection_timeout_ms)
		(void)buf_printf(out, " and waits at most %u ms", p->fw.detection_timeout_ms);
	else
		(void)buf_puts(out, " and waits without limit");
}

bool step_text(const struct plan *p, const struct step *s, struct buf *out)
{
	switch (s->code) {
	case STEP_SERVICE_VIP:
	case STEP_HEADLESS:
	case STEP_POD_IP:
	case STEP_UNKNOWN_ADDRESS:
	case STEP_VIP_PORT_UNKNOWN:
	case STEP_NOT_TCP:
	case STEP_NO_ENDPOINTS:
		where(p, s, out);
		break;
	case STEP_SELF_CALL_GUARD:
		(void)buf_printf(out, "port %u is the sidecar's own and would lead back to it",
				 s->port);
		break;
	case STEP_INBOUND_SERVICE:
		(void)buf_printf(out, "port %u is a target of ", p->to.port);
		resource_port(s, out);
		break;
	case STEP_INBOUND_UNKNOWN:
		(void)buf_printf(out,
				 "no Service targets port %u, so nothing declares its protocol",
				 s->port);
		break;
	case STEP_DECLARED:
	case STEP_UNDECLARED:
		declaration(p, s, out);
		break;
	case STEP_BOTH_ENDS:
		(void)buf_puts(out, "both ends are listened to");
		detection_from(p, out);
		break;
	case STEP_CLIENT_FIRST:
		client_first(p, out);
		break;
	case STEP_FIRST_WORD:
		first_word(p, out);
		break;
	case STEP_ALLOW_ANY:
	case STEP_REGISTRY_ONLY:
		outbound_policy(s, out);
		break;
	case STEP_ENTRY_ADDRESS:
	case STEP_ENTRY_VIP:
	case STEP_ENTRY_PORT:
	case STEP_ENTRY_AS_DIALLED:
	case STEP_ENTRY_RESOLVED:
	case STEP_RESOLVING:
	case STEP_NO_ADDRESS:
	case STEP_NO_ENTRY_ENDPOINTS:
		entry(p, s, out);
		break;
	case STEP_LEARNED_SERVER_FIRST:
	case STEP_LEARNED_CLIENT_FIRST:
	case STEP_PEER_FIRST:
	case STEP_MESH_TLS:
	case STEP_APP_TLS:
	case STEP_NOT_MESH_TLS:
	case STEP_TLS_ON_HTTP:
	case STEP_HANDSHAKE_TIMEOUT:
		(void)buf_puts(out, fixed[s->code]);
		break;
	case STEP_MTLS_MODE:
	case STEP_MTLS_PORT_MODE:
		mtls_mode(p, s, out);
		break;
	case STEP_AUTHZ_PLAIN_ALLOWED:
	case STEP_AUTHZ_PLAIN_DENIED:
	case STEP_AUTHZ_ALLOWED:
	case STEP_AUTHZ_DENIED:
		authorization(p, s, out);
		break;
	case STEP_TLS_BY_RULE:
	case STEP_TLS_AUTO_OFF:
	case STEP_TLS_NO_SIDECAR:
	case STEP_TLS_NOT_CAPTURED:
	case STEP_TLS_MODE_DISABLE:
	case STEP_TLS_AUTO:
	case STEP_TLS_EXTERNAL:
	case STEP_TLS_ENTRY:
		transport(p, s, out);
		break;
	case STEP_SOURCE_PLAIN:
	case STEP_SOURCE_MESH:
	case STEP_SOURCE_AUTO_OFF:
	case STEP_SOURCE_BYPASSES:
	case STEP_SOURCE_SPOKE_TLS:
	case STEP_SOURCE_UNKNOWN:
		source(p, s, sources[s->code], out);
		break;
	case STEP_SOURCE_BY_RULE:
		ruled_source(p, s, out);
		break;
	case N_STEPS:
		break;
	}
	return !out->full;
}

bool plan_reason(const struct plan *p, struct buf *out)
{
	for (unsigned i = 0; i < p->n_steps; i++) {
		if (i)
			(void)buf_puts(out, "; ");
		struct step s = plan_step_at(p, i);
		(void)step_text(p, &s, out);
	}
	return !out->full;
}
