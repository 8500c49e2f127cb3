/*
 * A plan's steps in words: a table of texts with holes, and what fills each hole. Writes into a full
 * buffer are refused and show in buf.full, which the callers answer with; so single results are not
 * looked at.
 */
#include "base/mem.h"
#include "decide/internal.h"

enum { OBJECT_TEXT = 320 };

/* What stands in the hole of that name; not each one needs both the plan and the step. */
#define HOLE(name)                                                                                 \
	static void name(const struct plan *p __attribute__((unused)),                             \
			 const struct step *s __attribute__((unused)), struct buf *out)

HOLE(to)
{
	char text[ADDR_TEXT];
	(void)buf_puts(out, addr_text(&p->to, text));
}

HOLE(to_ip)
{
	char text[ADDR_TEXT];
	(void)buf_puts(out, ip_text(&p->to.ip, text));
}

HOLE(to_port)
{
	(void)buf_u64(out, p->to.port);
}

HOLE(from_ip)
{
	char text[ADDR_TEXT];
	(void)buf_puts(out, ip_text(&p->from.ip, text));
}

HOLE(port)
{
	(void)buf_u64(out, s->port);
}

HOLE(resource)
{
	char text[OBJECT_TEXT];
	(void)buf_puts(out, s->resource ? object_text(s->resource, text, sizeof(text)) : "?");
}

HOLE(of_resource)
{
	if (!s->resource)
		return;
	(void)buf_puts(out, " of ");
	resource(p, s, out);
}

/* A person's word, quoted and made printable. */
static void quoted(const char *word, struct buf *out)
{
	char text[256];
	(void)buf_printf(out, "\"%s\"", slice_printable(slice_of(word), text, sizeof(text)));
}

static void ingress_declaration(const struct plan *p, struct buf *out)
{
	const char *word = p->inbound->ingress->protocol;
	if (!word[0]) {
		(void)buf_puts(out, "it declares no protocol");
		return;
	}
	(void)buf_puts(out, "its protocol ");
	quoted(word, out);
	if (protocol_class(p->protocol) == CLASS_AUTO) {
		(void)buf_puts(out, " is no protocol that is known");
		return;
	}
	(void)buf_puts(out, " declares ");
	(void)buf_puts(out, protocol_name(p->protocol));
}

/* Who says what the protocol is, or why nobody does. */
HOLE(declaration)
{
	const struct view_port *port = p->port;
	if (s->resource && s->resource->kind == KIND_SIDECAR) {
		ingress_declaration(p, out);
		return;
	}
	if (!port) {
		resource(p, s, out);
		(void)buf_printf(out, " port %u declares nothing", s->port);
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
	(void)buf_puts(out, " declares ");
	(void)buf_puts(out, protocol_name(p->protocol));
}

HOLE(source)
{
	if (ip_is_any(&p->from.ip)) { /* explain, where nobody said which */
		(void)buf_puts(out, "a source outside the mesh");
		return;
	}
	(void)buf_puts(out, "source ");
	from_ip(p, s, out);
	if (s->resource) {
		(void)buf_puts(out, " (");
		resource(p, s, out);
		(void)buf_puts(out, ")");
	}
}

/* Who set how it is found out. */
HOLE(detection_from)
{
	/* Listened to in spite of what is declared: for a name, or else because a rule wants TLS. */
	if (p->side == LIVE_OUTBOUND && !p->open && p->fw.mode == FW_BOTH_ENDS &&
	    protocol_class(p->protocol) != CLASS_AUTO) {
		(void)buf_puts(out, ", for how TLS begins depends on the first word");
		return;
	}
	const char *from = p->inbound ? p->inbound->detection_from
			   : p->port  ? p->port->detection_from
				      : "";
	if (!from[0])
		return;
	(void)buf_puts(out, " (");
	(void)buf_puts(out, from);
	(void)buf_putc(out, ')');
}

HOLE(detection_limit)
{
	if (p->fw.detection_timeout_ms)
		(void)buf_printf(out, "at most %u ms", p->fw.detection_timeout_ms);
	else
		(void)buf_puts(out, "without limit");
}

HOLE(known_ports)
{
	const struct object *o = s->resource;
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

HOLE(first_word)
{
	(void)buf_puts(out, fw_reason_text(p->word.reason));
	if (p->word.protocol == GREET_IS_UNKNOWN)
		return;
	(void)buf_puts(out, " (");
	(void)buf_puts(out, greet_name(p->word.protocol));
	(void)buf_putc(out, ')');
}

/* A host of ServiceEntries: no step that names one is made without it. */
HOLE(host)
{
	MUST(p->host);
	(void)buf_puts(out, p->host->host);
}

/* That host, or the address of a Service of Kubernetes. */
HOLE(host_or_ip)
{
	if (p->host)
		host(p, s, out);
	else
		to_ip(p, s, out);
}

HOLE(service_host)
{
	MUST(p->port);
	(void)buf_puts(out, p->port->service->host);
}

HOLE(if_given)
{
	MUST(p->host);
	if (p->host->entry->given)
		(void)buf_puts(out, " by a virtual IP that the mesh has given it");
}

HOLE(resolution)
{
	MUST(p->host);
	(void)buf_puts(out, resolution_name(p->host->entry->resolution));
}

/* explain asks about names that no address is known of. */
HOLE(nobody_has)
{
	if (ip_is_any(&p->to.ip)) {
		(void)buf_puts(out, "whatever its address is, on port ");
		to_port(p, s, out);
		return;
	}
	(void)buf_puts(out, "nothing in the mesh has the address ");
	to(p, s, out);
}

/* A name that a peer said, or DNS. */
HOLE(said)
{
	static const char *const by[] = {[SAID_NOTHING] = "",
					 [SAID_SNI] = " (SNI)",
					 [SAID_HOST] = " (Host)",
					 [SAID_DNS] = "",
					 [SAID_EITHER] = " (by SNI or Host)"};
	char text[256];
	(void)buf_puts(out, slice_printable(slice_of(p->said), text, sizeof(text)));
	(void)buf_puts(out, by[p->said_by]);
}

HOLE(said_by_dns)
{
	if (p->said_by != SAID_DNS) /* the client's word stands there now */
		return;
	(void)buf_puts(out, ": ");
	said(p, s, out);
}

HOLE(nobody_named)
{
	(void)buf_puts(out, p->has_word && p->word.verdict == FW_HTTP2
				    ? "whom the client names in HTTP/2 is not read"
				    : "nobody named a host (by SNI, Host or DNS)");
}

HOLE(mtls_mode)
{
	const char *mode = mtls_mode_name(p->guard.mode);
	if (!s->resource) {
		(void)buf_printf(
			out, "no PeerAuthentication says how port %u may be reached, so it is %s",
			s->port, mode);
		return;
	}
	resource(p, s, out);
	(void)buf_printf(out, " is %s", mode);
	if (s->code == STEP_MTLS_PORT_MODE)
		(void)buf_printf(out, " for port %u", s->port);
}

HOLE(verdict)
{
	struct authz_verdict v = {
		.allowed = p->guard.allowed,
		.reason = p->guard.reason,
		.policy = s->resource,
		.rule = s->port,
	};
	(void)authz_verdict_text(&v, out);
}

HOLE(endpoint)
{
	if (s->resource)
		resource(p, s, out);
	else
		(void)buf_puts(out, "the endpoint");
}

HOLE(transport)
{
	(void)buf_puts(out, transport_name(p->tls.transport));
}

/* Where a Sidecar's ingress leads, unless that is where it came. */
HOLE(if_elsewhere)
{
	char text[ADDR_TEXT];
	struct addr app = plan_app(p);
	if (addr_eq(&app, &p->to))
		return;
	(void)buf_puts(out, " that leads to ");
	(void)buf_puts(out, addr_text(&app, text));
}

/* In the texts a hole is a byte below the space: its place in the table. */
/* clang-format off */
#define TO              "\001"
#define TO_IP           "\002"
#define TO_PORT         "\003"
#define FROM_IP         "\004"
#define PORT            "\005"
#define RESOURCE        "\006"
#define OF_RESOURCE     "\007"
#define DECLARATION     "\010"
#define SOURCE          "\011"
#define DETECTION_FROM  "\012"
#define DETECTION_LIMIT "\013"
#define KNOWN_PORTS     "\014"
#define FIRST_WORD      "\015"
#define HOST            "\016"
#define IF_GIVEN        "\017"
#define RESOLUTION      "\020"
#define MTLS_MODE       "\021"
#define VERDICT         "\022"
#define ENDPOINT        "\023"
#define TRANSPORT       "\024"
#define IF_ELSEWHERE    "\025"
#define HOST_OR_IP      "\026"
#define SERVICE_HOST    "\027"
#define NOBODY_HAS      "\030"
#define SAID            "\031"
#define SAID_BY_DNS     "\032"
#define NOBODY_NAMED    "\033"

static void (*const holes[])(const struct plan *p, const struct step *s, struct buf *out) = {
	[001] = to,
	[002] = to_ip,
	[003] = to_port,
	[004] = from_ip,
	[005] = port,
	[006] = resource,
	[007] = of_resource,
	[010] = declaration,
	[011] = source,
	[012] = detection_from,
	[013] = detection_limit,
	[014] = known_ports,
	[015] = first_word,
	[016] = host,
	[017] = if_given,
	[020] = resolution,
	[021] = mtls_mode,
	[022] = verdict,
	[023] = endpoint,
	[024] = transport,
	[025] = if_elsewhere,
	[026] = host_or_ip,
	[027] = service_host,
	[030] = nobody_has,
	[031] = said,
	[032] = said_by_dns,
	[033] = nobody_named,
};

static const char *const words[N_STEPS] = {
	/* where the connection goes */
	[STEP_SERVICE_VIP]          = TO " is " RESOURCE " port " PORT,
	[STEP_HEADLESS]             = TO " is an endpoint of headless " RESOURCE " port " PORT,
	[STEP_POD_IP]               = TO " is " RESOURCE ", dialled directly and not through a Service",
	[STEP_UNKNOWN_ADDRESS]      = NOBODY_HAS,
	[STEP_VIP_PORT_UNKNOWN]     = RESOURCE " has no port " PORT KNOWN_PORTS,
	[STEP_ALLOW_ANY]            = "outboundTrafficPolicy ALLOW_ANY" OF_RESOURCE " lets it pass as it is",
	[STEP_REGISTRY_ONLY]        = "outboundTrafficPolicy REGISTRY_ONLY" OF_RESOURCE " refuses what no Service or ServiceEntry covers",
	[STEP_SELF_CALL_GUARD]      = "port " PORT " is the sidecar's own and would lead back to it",
	[STEP_NOT_TCP]              = RESOURCE " port " PORT " is not TCP",
	[STEP_NO_ENDPOINTS]         = RESOURCE " port " PORT " has no ready endpoint",
	[STEP_EGRESS_LISTENER]      = TO " is a socket that " RESOURCE " has opened for port " PORT " of " SERVICE_HOST,
	[STEP_LISTENER_GONE]        = "no Sidecar has a socket at " TO " any more",
	[STEP_ENTRY_ADDRESS]        = TO " is port " PORT " of " HOST ", as its ServiceEntry says",
	[STEP_ENTRY_VIP]            = TO " is port " PORT " of " HOST ", a virtual IP that the mesh has given it",
	[STEP_ENTRY_PORT]           = TO_IP " is " HOST IF_GIVEN ", and " RESOURCE " has no port " PORT KNOWN_PORTS,
	[STEP_NOT_IMPORTED]         = RESOURCE " does not import " HOST_OR_IP " for port " PORT,
	[STEP_OPEN_PORT]            = "hosts that no address tells declare port " PORT ", so the name that the client says counts",
	[STEP_HEARD]                = "the DNS proxy gave the address out for a name of " RESOURCE SAID_BY_DNS,
	[STEP_NAME_FIRST]           = "nothing is opened before the client has named a host",
	[STEP_NAME_SAID]            = "the client names " SAID ", a host of " RESOURCE,
	[STEP_NAME_UNKNOWN]         = "the client names " SAID ", and no ServiceEntry has that host with port " PORT,
	[STEP_NAME_NONE]            = NOBODY_NAMED,
	[STEP_ANY_ADDRESS]          = RESOURCE " has no address, so its port " PORT " takes any",
	[STEP_ENTRY_AS_DIALLED]     = "its resolution is NONE, so the address that was dialled counts",
	[STEP_ENTRY_RESOLVED]       = "its resolution is " RESOLUTION ", so its endpoints are what DNS says",
	[STEP_RESOLVING]            = "the names behind " HOST " have to be resolved first",
	[STEP_NO_ADDRESS]           = "the names behind " HOST " have no address",
	[STEP_NO_ENTRY_ENDPOINTS]   = RESOURCE " has no endpoint for port " PORT " of " HOST,
	[STEP_INBOUND_SERVICE]      = "port " TO_PORT " is a target of " RESOURCE " port " PORT,
	[STEP_INBOUND_UNKNOWN]      = "no Service targets port " PORT ", so nothing declares its protocol",
	[STEP_INBOUND_INGRESS]      = "port " PORT " is an ingress port of " RESOURCE IF_ELSEWHERE,
	[STEP_INBOUND_UNLISTED]     = "port " PORT " is none that " RESOURCE " lists under ingress, so nothing declares its protocol",
	/* what it speaks, and how that is found out */
	[STEP_DECLARED]             = DECLARATION,
	[STEP_UNDECLARED]           = DECLARATION,
	[STEP_BOTH_ENDS]            = "both ends are listened to" DETECTION_FROM,
	[STEP_CLIENT_FIRST]         = "detection is client-first" DETECTION_FROM " and waits " DETECTION_LIMIT,
	[STEP_LEARNED_SERVER_FIRST] = "the server always spoke first here",
	[STEP_LEARNED_CLIENT_FIRST] = "the client always spoke first here",
	[STEP_SOURCE_PLAIN]         = SOURCE " speaks no mesh TLS, so no ClientHello is coming",
	[STEP_SOURCE_MESH]          = SOURCE " speaks mesh TLS, so its ClientHello is coming",
	[STEP_SOURCE_BY_RULE]       = "source " FROM_IP " speaks plaintext to this port, as " RESOURCE " says, so no ClientHello is coming",
	[STEP_SOURCE_AUTO_OFF]      = SOURCE " speaks plaintext, for auto mTLS is off",
	[STEP_SOURCE_BYPASSES]      = SOURCE " keeps some of its traffic out of its sidecar, so a greeting is held back",
	[STEP_SOURCE_SPOKE_TLS]     = SOURCE " sent a late ClientHello before, so a greeting is held back for longer",
	[STEP_SOURCE_UNKNOWN]       = SOURCE " is not known, so a greeting is held back for a ClientHello",
	[STEP_FIRST_WORD]           = FIRST_WORD,
	/* who may come in */
	[STEP_MTLS_MODE]            = MTLS_MODE,
	[STEP_MTLS_PORT_MODE]       = MTLS_MODE,
	[STEP_PEER_FIRST]           = "nothing is opened before the client has authenticated",
	[STEP_MESH_TLS]             = "the client speaks mesh TLS, which ends here",
	[STEP_APP_TLS]              = "the client's TLS is the application's own and passes untouched",
	[STEP_NOT_MESH_TLS]         = "what came is not TLS, and STRICT takes nothing else",
	[STEP_TLS_ON_HTTP]          = "what came is TLS, but not the mesh's, and the port is declared HTTP",
	[STEP_HANDSHAKE_TIMEOUT]    = "the client did not authenticate in time",
	[STEP_AUTHZ_PLAIN_ALLOWED]  = "in plaintext, " VERDICT,
	[STEP_AUTHZ_PLAIN_DENIED]   = "in plaintext nothing is opened: " VERDICT,
	[STEP_AUTHZ_ALLOWED]        = VERDICT,
	[STEP_AUTHZ_DENIED]         = VERDICT,
	[STEP_OWN_TLS_REFUSED]      = "the client asked for encryption of its own and was told no, for TLS begins at its sidecar",
	/* how the endpoint is spoken to */
	[STEP_TLS_BY_RULE]          = RESOURCE " wants " TRANSPORT,
	[STEP_TLS_AUTO_OFF]         = "enableAutoMtls is off, so traffic is plaintext",
	[STEP_TLS_NO_SIDECAR]       = ENDPOINT " speaks no mesh TLS, so traffic to it is plaintext",
	[STEP_TLS_NOT_CAPTURED]     = "port " PORT " of " ENDPOINT " does not reach its sidecar, so traffic to it is plaintext",
	[STEP_TLS_MODE_DISABLE]     = RESOURCE " disables mTLS for port " PORT " there",
	[STEP_TLS_AUTO]             = ENDPOINT " speaks mesh TLS, so traffic to it does",
	[STEP_TLS_ASKED_WORD]       = "the client speaks PostgreSQL, which asks for TLS by SSLRequest",
	[STEP_TLS_ASKED_DECLARED]   = RESOURCE " says that port " PORT " is PostgreSQL's, which asks for TLS by SSLRequest",
	[STEP_TLS_ASKED_LEARNED]    = "PostgreSQL's SSLRequest was answered here before, so TLS is asked for by it",
	[STEP_TLS_ASKED_TRIED]      = "the server ended the connection at a ClientHello, so TLS is asked for by PostgreSQL's SSLRequest",
	[STEP_TLS_AT_ONCE_LEARNED]  = "the client speaks PostgreSQL, and yet TLS began here at once before",
	[STEP_TLS_AT_ONCE_TRIED]    = "the server knows no SSLRequest of PostgreSQL's, so TLS begins at once",
	[STEP_TLS_EXTERNAL]         = RESOURCE " is MESH_EXTERNAL, so traffic to it is plaintext",
	[STEP_TLS_ITSELF]           = "the client speaks TLS itself, which the TLS of " RESOURCE " is not put around",
	[STEP_TLS_ENTRY]            = "by " RESOURCE " or its WorkloadEntry the endpoint speaks mesh TLS, so traffic to it does",
};
/* clang-format on */

bool step_text(const struct plan *p, const struct step *s, struct buf *out)
{
	struct slice rest = slice_of(words[s->code]);
	while (rest.len) {
		size_t n = 0;
		while (n < rest.len && rest.at[n] >= ' ')
			n++;
		(void)buf_append(out, slice_sub(rest, 0, n));
		if (n < rest.len)
			holes[(unsigned char)rest.at[n]](p, s, out);
		rest = slice_sub(rest, n + 1, rest.len);
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
