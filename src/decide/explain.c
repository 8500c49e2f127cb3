/* `hark explain`: a plan with all that led to it, for people and for programs. As in text.c, a full
 * buffer shows in buf.full, once, at the end. */
#include "base/mem.h"
#include "decide/internal.h"
#include "model/annotations.h"

static const char *step_field(const struct plan *p, const struct step *s)
{
	static const char *const fields[] = {
#define X(id, name, field) [STEP_##id] = field,
		STEPS(X)
#undef X
	};
	if (s->code == STEP_DECLARED || s->code == STEP_UNDECLARED) {
		switch (p->inbound ? p->inbound->why : p->port ? p->port->why : WHY_UNDECLARED) {
		case WHY_PROTOCOL_UDP:
		case WHY_ENTRY:
		case WHY_ENTRY_UNKNOWN:
			if (s->resource && s->resource->kind == KIND_SIDECAR)
				return "spec.ingress[].port.protocol";
			return "spec.ports[].protocol";
		case WHY_APP_PROTOCOL:
		case WHY_APP_PROTOCOL_UNKNOWN:
			return "spec.ports[].appProtocol";
		case WHY_NAME:
			return "spec.ports[].name";
		case WHY_WELL_KNOWN_PORT:
			return "spec.ports[].port";
		case WHY_UNDECLARED:
			break;
		}
	}
	return fields[s->code];
}

/* The declaration that would say what was learnt; NULL where one stands or nothing is certain. */
static const char *suggestion(const struct plan *p)
{
	if (!p->port || protocol_class(p->protocol) != CLASS_AUTO ||
	    (p->open && protocol_class(p->port->protocol) != CLASS_AUTO))
		return NULL; /* of an open host it counts behind the race */
	return learn_suggest(p->live);
}

/* What explain says of another mesh: as learnt, or for a server that speaks first when nothing was.
 */
static bool assume_server_first(const struct plan *p)
{
	return learn_state(p->live) != FW_LEARNED_CLIENT_FIRST;
}

/* Endpoints of the family that was dialled, which are tried first: a Pod with an address of each
 * family is not two to a person. */
static size_t first_choices(const struct plan *p)
{
	size_t n_v4 = p->port->n_v4, n_v6 = p->port->n_endpoints - n_v4;
	size_t n = ip_is_v4(&p->to.ip) ? n_v4 : n_v6;
	return n ? n : p->port->n_endpoints;
}

static void endpoints_in_words(const struct plan *p, struct buf *out)
{
	size_t first = first_choices(p), others = p->port->n_endpoints - first;
	if (first == 1)
		(void)buf_puts(out, " to the one ready endpoint");
	else
		(void)buf_printf(out, " to one of %zu ready endpoints", first);
	(void)buf_printf(out, " of %s port %u%s", p->port->service->host, p->port->port->port,
			 p->port->weight_upto && first > 1 ? ", by their weights" : "");
	if (p->host && others > 0) /* what DNS says of a host may be two servers */
		(void)buf_printf(out, ", and to its %s address%s should that fail",
				 ip_is_v4(&p->to.ip) ? "IPv6" : "IPv4", others == 1 ? "" : "es");
}

static void plan_in_words(const struct plan *p, struct buf *out)
{
	char text[ADDR_TEXT];
	struct addr app;
	static const char *const verbs[] = {[PLAN_RELAY] = "relay at once",
					    [PLAN_DETECT] = "listen, then relay",
					    [PLAN_REFUSE] = "reset the client",
					    [PLAN_WAIT] = "wait until the name is resolved"};
	if (p->open && p->action == PLAN_DETECT) {
		/* The rest depends on the policy, which the steps name. */
		(void)buf_printf(out,
				 "listen for a name (SNI, Host); a host's that declares port %u "
				 "goes where its ServiceEntry says",
				 p->open->number);
		if (!p->fw.early_allowed) {
			(void)buf_puts(out, ", anything else is reset");
			return;
		}
		(void)buf_puts(out, "; without one, relay");
	} else {
		(void)buf_puts(out, verbs[p->action]);
	}
	switch (p->destination) {
	case DEST_NONE:
		break;
	case DEST_SERVICE:
		endpoints_in_words(p, out);
		break;
	case DEST_ENDPOINT:
		if (ip_is_any(&p->to.ip)) { /* of which only the name is known */
			(void)buf_printf(out, " to whatever address is dialled, which is %s",
					 p->port->service->host);
			break;
		}
		(void)buf_printf(out, " to exactly %s, %s %s", addr_text(&p->to, text),
				 p->host ? "as dialled, which is" : "an endpoint of",
				 p->port->service->host);
		break;
	case DEST_HOST:
		(void)buf_printf(out, " to port %u of %s itself", p->to.port, p->host->host);
		break;
	case DEST_PASSTHROUGH:
		(void)buf_printf(out, " to %s, outside the mesh's Services",
				 ip_is_any(&p->to.ip) ? "whatever address is dialled"
						      : addr_text(&p->to, text));
		break;
	case DEST_APP:
		app = plan_app(p);
		(void)buf_printf(out, " to the application at %s", addr_text(&app, text));
		break;
	case N_PLAN_DESTINATIONS:
		break;
	}
}

static void learned_in_words(const struct plan *p, struct buf *out)
{
	struct learned l;
	learn_read(p->live, &l);
	unsigned client = l.client_http + l.client_tls + l.client_opaque;
	if (!p->live || (!client && !l.server_first && !l.spoke_in_clear)) {
		(void)buf_puts(out, "nothing yet");
		return;
	}
	const char *sep = "";
	if (l.spoke_in_clear) {
		(void)buf_printf(out, "a server spoke plaintext (%s) where TLS was wanted",
				 greet_name(l.in_clear));
		sep = ", ";
	}
	if (l.server_first) {
		(void)buf_printf(out, "%sthe server spoke first on %u connection%s", sep,
				 l.server_first, l.server_first == 1 ? "" : "s");
		if (l.greeting != GREET_IS_UNKNOWN)
			(void)buf_printf(out, " (%s)", greet_name(l.greeting));
		sep = ", ";
	}
	if (client)
		(void)buf_printf(out, "%sthe client on %u (HTTP %u, TLS %u, other %u)", sep, client,
				 l.client_http, l.client_tls, l.client_opaque);
	if (l.contradicted)
		(void)buf_printf(out, "; contradicted %u time%s", l.contradicted,
				 l.contradicted == 1 ? "" : "s");
}

static void elsewhere_in_words(const struct view *v, const struct plan *p, struct buf *out)
{
	struct elsewhere_answer e;
	bool server_first = assume_server_first(p);
	decide_elsewhere(v, p, server_first, &e);
	switch (e.what) {
	case ELSEWHERE_OK:
		(void)buf_puts(out, "ok");
		break;
	case ELSEWHERE_DELAY:
		(void)buf_printf(out, "delay of %u ms", e.delay_ms);
		break;
	case ELSEWHERE_STALL:
		(void)buf_puts(out, "stall");
		break;
	case ELSEWHERE_FAIL:
		(void)buf_puts(out, "fail");
		break;
	}
	if (server_first && e.what != ELSEWHERE_OK && e.what != ELSEWHERE_FAIL &&
	    learn_state(p->live) == FW_LEARNED_NOTHING)
		(void)buf_puts(out, " if the server speaks first");
	(void)buf_printf(out, "%s%s%s: %s", e.row[0] ? " (" : "", e.row, e.row[0] ? ")" : "",
			 e.text);
}

bool plan_explain_text(const struct view *v, const struct plan *p, struct buf *out)
{
	char text[ADDR_TEXT];
	if (p->side == LIVE_OUTBOUND && ip_is_any(&p->to.ip) && p->said)
		(void)buf_printf(out, "outbound to %s:%u\n", p->said, p->to.port);
	else if (p->side == LIVE_OUTBOUND)
		(void)buf_printf(out, "outbound to %s\n", addr_text(&p->to, text));
	else if (ip_is_any(&p->from.ip))
		(void)buf_printf(out, "inbound to port %u\n", p->to.port);
	else
		(void)buf_printf(out, "inbound to port %u from %s\n", p->to.port,
				 ip_text(&p->from.ip, text));
	for (unsigned i = 0; i < p->n_steps; i++) {
		struct step step = plan_step_at(p, i), *s = &step;
		char object[320];
		(void)buf_printf(out, "  %u. ", i + 1);
		(void)step_text(p, s, out);
		const char *field = step_field(p, s);
		if (s->resource)
			(void)buf_printf(out, "  [%s%s%s]",
					 object_text(s->resource, object, sizeof(object)),
					 field[0] ? " " : "", field);
		(void)buf_putc(out, '\n');
	}
	(void)buf_puts(out, "plan:       ");
	plan_in_words(p, out);
	explain_policy_text(v, p, out);
	(void)buf_puts(out, "\nlearnt:     ");
	learned_in_words(p, out);
	(void)buf_puts(out, "\nelsewhere:  ");
	elsewhere_in_words(v, p, out);
	const char *declare = suggestion(p);
	char object[320];
	if (declare)
		(void)buf_printf(out, "\nto declare: %s: %s on port %u of %s",
				 p->host ? "protocol" : "appProtocol", declare, p->port->port->port,
				 object_text(p->port->service->object, object, sizeof(object)));
	(void)buf_putc(out, '\n');
	return !out->full;
}

/* As JSON */

static void json_text_step(const struct plan *p, const struct step *s, struct json_out *out)
{
	struct buf text;
	buf_init(&text, 2048);
	(void)step_text(p, s, &text); /* cut off past the bound, which no name reaches */
	json_slice(out, "text", buf_slice(&text));
	buf_fini(&text);
}

static void json_step(const struct plan *p, struct step step, struct json_out *out)
{
	const struct step *s = &step;
	json_open_object(out, NULL);
	json_cstr(out, "step", step_name(s->code));
	json_text_step(p, s, out);
	if (s->resource) {
		json_open_object(out, "resource");
		json_cstr(out, "kind", kind_info(s->resource->kind)->name);
		json_cstr(out, "namespace", s->resource->meta.ns);
		json_cstr(out, "name", s->resource->meta.name);
		json_close(out);
	} else {
		json_nil(out, "resource");
	}
	const char *field = step_field(p, s);
	json_cstr(out, "field", field[0] ? field : NULL);
	json_close(out);
}

static void json_plan(const struct plan *p, struct json_out *out)
{
	char text[ADDR_TEXT];
	struct addr to = p->destination == DEST_APP ? plan_app(p) : p->to;
	json_open_object(out, "plan");
	json_cstr(out, "action", plan_action_name(p->action));
	json_cstr(out, "destination", plan_destination_name(p->destination));
	json_cstr(out, "to", ip_is_any(&to.ip) ? NULL : addr_text(&to, text));
	if (p->said)
		json_cstr(out, "said", p->said);
	json_cstr(out, "service", p->port ? p->port->service->host : NULL);
	json_cstr(out, "host", p->host ? p->host->host : NULL);
	if (p->port) {
		json_u64(out, "service_port", p->port->port->port);
		json_u64(out, "endpoints", p->port->n_endpoints);
	}
	json_cstr(out, "protocol", protocol_name(p->protocol));
	if (p->action == PLAN_DETECT) {
		json_cstr(out, "detection",
			  detection_name(p->fw.mode == FW_CLIENT_FIRST ? DETECTION_CLIENT_FIRST
								       : DETECTION_BOTH_ENDS));
		json_u64(out, "head_start_us", p->fw.head_start_us);
		json_bool(out, "tls_possible", p->fw.tls_possible);
		json_u64(out, "detection_timeout_ms", p->fw.detection_timeout_ms);
	}
	json_close(out);
}

static void json_elsewhere(const struct view *v, const struct plan *p, struct json_out *out)
{
	struct elsewhere_answer e;
	bool server_first = assume_server_first(p);
	decide_elsewhere(v, p, server_first, &e);
	json_open_object(out, "elsewhere");
	json_cstr(out, "result", elsewhere_name(e.what));
	json_cstr(out, "row", e.row[0] ? e.row : NULL);
	json_cstr(out, "text", e.text);
	json_u64(out, "delay_ms", e.delay_ms);
	json_bool(out, "server_first", server_first);
	json_bool(out, "assumed", learn_state(p->live) == FW_LEARNED_NOTHING);
	json_close(out);
}

void plan_explain_json(const struct view *v, const struct plan *p, struct json_out *out)
{
	char text[ADDR_TEXT];
	json_open_object(out, NULL);
	json_cstr(out, "side", p->side == LIVE_OUTBOUND ? "outbound" : "inbound");
	if (p->side == LIVE_INBOUND)
		json_cstr(out, "source",
			  ip_is_any(&p->from.ip) ? NULL : ip_text(&p->from.ip, text));
	json_open_array(out, "steps");
	for (unsigned i = 0; i < p->n_steps; i++)
		json_step(p, plan_step_at(p, i), out);
	json_close(out);
	struct buf reason;
	buf_init(&reason, 4096);
	(void)plan_reason(p, &reason); /* cut off past the bound */
	json_slice(out, "reason", buf_slice(&reason));
	buf_fini(&reason);
	json_plan(p, out);
	explain_policy_json(v, p, out);
	json_open_object(out, "learned");
	learn_json(p->live, out);
	json_close(out);
	json_elsewhere(v, p, out);
	json_cstr(out, "to_declare", suggestion(p));
	json_close(out);
}
