/* What is said of one connection. A full buffer shows in buf.full; so single results are not looked
 * at. */
#include "observe/record.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

static const struct {
	const char *name, *flag, *text;
	bool error;
} ends[] = {
#define X(id, name, error, flag, text) [END_##id] = {name, flag, text, error},
	END_REASONS(X)
#undef X
};

const char *end_reason_name(enum end_reason r)
{
	return (unsigned)r < N_ELEMS(ends) ? ends[r].name : "?";
}

const char *end_reason_text(enum end_reason r)
{
	return (unsigned)r < N_ELEMS(ends) ? ends[r].text : "?";
}

const char *end_reason_flag(enum end_reason r)
{
	return (unsigned)r < N_ELEMS(ends) ? ends[r].flag : "-";
}

bool end_reason_is_error(enum end_reason r)
{
	return (unsigned)r < N_ELEMS(ends) && ends[r].error;
}

enum end_reason end_of_refusal(const struct plan *p)
{
	if (plan_has_step(p, STEP_AUTHZ_DENIED) || plan_has_step(p, STEP_AUTHZ_PLAIN_DENIED))
		return END_NOT_AUTHORIZED;
	if (plan_has_step(p, STEP_HANDSHAKE_TIMEOUT))
		return END_HANDSHAKE_TIMEOUT;
	if (plan_has_step(p, STEP_NO_ADDRESS))
		return END_NOT_RESOLVED;
	return plan_has_step(p, STEP_NO_ENDPOINTS) || plan_has_step(p, STEP_NO_ENTRY_ENDPOINTS)
		       ? END_NO_ENDPOINT
		       : END_REFUSED_BY_PLAN;
}

/* Mesh TLS ends here: the first word was its ClientHello, and says nothing of what is inside. */
static bool ends_mesh_tls(const struct plan *p)
{
	return p->side == LIVE_INBOUND &&
	       (p->guard.carry == INBOUND_TLS_TCP || p->guard.carry == INBOUND_TLS_HTTP);
}

const char *record_protocol(const struct conn_record *r)
{
	if (r->protocol)
		return r->protocol;
	const struct plan *p = r->plan;
	if (p->has_word && !ends_mesh_tls(p)) {
		switch (p->word.verdict) {
		case FW_HTTP1:
			return "http/1.1"; /* the first bytes relayed say whether it is 1.0 */
		case FW_HTTP2:
			return "http2";
		case FW_TLS:
			return "tls";
		case FW_SERVER_FIRST:
		case FW_PASS_ON:
			return greet_name(p->word.protocol);
		case FW_UNDECIDED:
		case FW_OPAQUE:
		case FW_REFUSED:
		case FW_CLOSE:
			break;
		}
	}
	return protocol_class(p->protocol) == CLASS_AUTO ? "tcp" : protocol_name(p->protocol);
}

bool record_mutual_tls(const struct conn_record *r)
{
	const struct plan *p = r->plan;
	if (!r->tls_version)
		return false;
	return p->side == LIVE_INBOUND ? ends_mesh_tls(p) : p->tls.transport == TRANSPORT_MESH_TLS;
}

struct slice record_principal(const struct conn_record *r, bool of_source,
			      char out[VIEW_IDENTITY_LEN])
{
	const struct workload *self = r->view ? view_self(r->view) : NULL;
	bool own = of_source == (r->plan->side == LIVE_OUTBOUND);
	if (!record_mutual_tls(r))
		return (struct slice){0};
	if (!own)
		return r->peer;
	return self ? slice_of(view_identity(r->view, self, out, VIEW_IDENTITY_LEN))
		    : (struct slice){0};
}

const char *record_cluster(const struct conn_record *r, char *out, size_t out_len)
{
	const struct plan *p = r->plan;
	int n = 0;
	if (p->side == LIVE_INBOUND) {
		if (p->action == PLAN_REFUSE)
			return "BlackHoleCluster";
		if (!p->port && !(p->inbound && p->inbound->ingress))
			return "InboundPassthroughCluster";
		n = snprintf(out, out_len, "inbound|%u||", p->to.port);
	} else {
		if (!p->port)
			return p->action == PLAN_REFUSE ? "BlackHoleCluster" : "PassthroughCluster";
		n = snprintf(out, out_len, "outbound|%u||%s", p->port->port->port,
			     p->port->service->host);
	}
	return n < 0 ? "" : out;
}

static const char *first_from(enum fw_first first)
{
	return first == FW_NOBODY ? "none" : fw_first_name(first);
}

static void json_addr(struct json_out *out, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT];
	json_cstr(out, key, a->port ? addr_text(a, text) : NULL);
}

static void json_ms(struct json_out *out, const char *key, bool known, uint64_t ns)
{
	if (known)
		json_double(out, key, (double)ns / (double)NS_PER_MS);
	else
		json_nil(out, key);
}

static void json_slice_or_nil(struct json_out *out, const char *key, struct slice s)
{
	if (s.len)
		json_slice(out, key, s);
	else
		json_nil(out, key);
}

static void json_workload(struct json_out *out, const char *key, const struct workload *w)
{
	char text[640];
	if (w)
		(void)snprintf(text, sizeof(text), "%s/%s", w->pod->meta.ns, w->name);
	json_cstr(out, key, w ? text : NULL);
}

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? to_ns - from_ns : 0;
}

/* Istio's words for a denial, which tools look for; NULL: a normal end. */
static const char *termination_details(const struct conn_record *r, char *out, size_t out_len)
{
	const struct plan *p = r->plan;
	char rule[512] = "none";
	if (r->end != END_NOT_AUTHORIZED)
		return end_reason_is_error(r->end) ? end_reason_text(r->end) : NULL;
	for (unsigned i = 0; i < p->n_steps; i++) {
		struct step s = plan_step_at(p, i);
		bool denies = s.code == STEP_AUTHZ_DENIED || s.code == STEP_AUTHZ_PLAIN_DENIED;
		if (denies && s.resource && p->guard.reason != AUTHZ_NOT_ALLOWED)
			(void)authz_rule_name(s.resource, s.port, rule, sizeof(rule));
	}
	(void)snprintf(out, out_len, "rbac_access_denied_matched_policy[%s]", rule);
	return out;
}

/* Who the peers are, and how that is known. */
static void json_security(const struct conn_record *r, struct json_out *out)
{
	const struct plan *p = r->plan;
	bool outbound = p->side == LIVE_OUTBOUND, mutual = record_mutual_tls(r);
	const char *failure = r->tls_problem               ? r->tls_problem
			      : r->tls_why == TLS_WHY_NONE ? NULL
							   : tls_why_text(r->tls_why);
	char text[VIEW_IDENTITY_LEN];
	json_cstr(out, "connection_security_policy", mutual ? "mutual_tls" : "none");
	json_cstr(out, "upstream_transport",
		  transport_name(outbound ? p->tls.transport : TRANSPORT_PLAIN));
	struct slice id = record_principal(r, true, text);
	json_slice_or_nil(out, "source_principal", id);
	id = record_principal(r, false, text);
	json_slice_or_nil(out, "destination_principal", id);
	json_cstr(out, "requested_server_name",
		  r->sni && r->sni[0]                  ? r->sni
		  : outbound && p->said_by == SAID_SNI ? p->said
						       : NULL);
	json_cstr(out, "tls_version", r->tls_version);
	json_bool(out, "tls_resumed", r->tls_resumed);
	json_cstr(out, "upstream_transport_failure_reason", outbound ? failure : NULL);
	json_cstr(out, "downstream_transport_failure_reason", outbound ? NULL : failure);
	json_bool(out, "audited", !outbound && p->guard.audited);
}

/* The keys that Istio's log has too; those of HTTP alone are left out. */
static void json_istio(const struct conn_record *r, bool end, uint64_t age_ns, struct json_out *out)
{
	char text[512];
	json_cstr(out, "start_time",
		  clock_rfc3339(since(age_ns, clock_wall_ns()), text, sizeof(text)));
	json_u64(out, "duration", age_ns / NS_PER_MS);
	json_u64(out, "response_code", 0);
	json_cstr(out, "response_flags", end ? end_reason_flag(r->end) : "-");
	json_cstr(out, "connection_termination_details",
		  end ? termination_details(r, text, sizeof(text)) : NULL);
	json_u64(out, "bytes_received", r->up_bytes);
	json_u64(out, "bytes_sent", r->down_bytes);
	json_addr(out, "upstream_host", &r->upstream);
	json_cstr(out, "upstream_cluster", record_cluster(r, text, sizeof(text)));
	json_addr(out, "downstream_local_address", &r->original_dst);
	json_addr(out, "downstream_remote_address", &r->client);
}

void record_json(const struct conn_record *r, bool end, uint64_t now_ns, struct json_out *out)
{
	json_open_object(out, NULL);
	record_members(r, end, now_ns, out);
	json_close(out);
}

void record_members(const struct conn_record *r, bool end, uint64_t now_ns, struct json_out *out)
{
	const struct plan *p = r->plan;
	bool outbound = p->side == LIVE_OUTBOUND;
	const struct workload *self = r->view ? view_self(r->view) : NULL;
	const struct workload *dialled =
		r->upstream_workload ? r->upstream_workload : p->peer_workload;
	json_istio(r, end, since(r->start_ns, now_ns), out);
	json_u64(out, "connection_id", r->id);
	json_cstr(out, "side", outbound ? "outbound" : "inbound");
	json_workload(out, "source_workload", outbound ? self : p->peer_workload);
	json_workload(out, "destination_workload", outbound ? dialled : self);
	json_cstr(out, "destination_service", p->port ? p->port->service->host : NULL);
	json_security(r, out);
	json_cstr(out, "detected_protocol", record_protocol(r));
	json_cstr(out, "first_bytes_from", first_from(r->first));
	json_ms(out, "first_byte_ms", r->first_byte_ns != 0, since(r->start_ns, r->first_byte_ns));
	json_ms(out, "detection_wait_ms", true, r->detect_ns);
	json_bool(out, "early", r->early);
	json_u64(out, "attempts", r->attempts);
	json_cstr(out, "end", end ? end_reason_name(r->end) : NULL);
	struct buf reason;
	buf_init(&reason, 4096);
	(void)plan_reason(p, &reason); /* cut off past the bound */
	json_slice(out, "reason", buf_slice(&reason));
	buf_fini(&reason);
}
