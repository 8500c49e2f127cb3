#include "decide/tls_plan.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "decide/internal.h"

/* Inbound */

enum inbound_alpn inbound_alpn_of(const struct classify *hello)
{
	static const struct {
		const char *name;
		enum inbound_alpn alpn;
	} known[] = {
		{"istio-http/1.0", INBOUND_ALPN_MESH_HTTP},
		{"istio-http/1.1", INBOUND_ALPN_MESH_HTTP},
		{"istio-h2", INBOUND_ALPN_MESH_HTTP},
		{"istio", INBOUND_ALPN_MESH_TCP},
		{"istio-peer-exchange", INBOUND_ALPN_MESH_TCP},
	};
	for (unsigned i = 0; i < hello->n_alpn; i++)
		for (size_t k = 0; k < N_ELEMS(known); k++)
			if (slice_is(classify_alpn(hello, i), known[k].name))
				return known[k].alpn;
	return INBOUND_ALPN_FOREIGN;
}

struct inbound_word inbound_word_of(const struct fw_answer *answer, const struct classify *hello)
{
	struct inbound_word w = {.first = INBOUND_OTHER};
	switch (answer->verdict) {
	case FW_UNDECIDED:
		w.first = hello->word != WORD_MORE || answer->reason != FW_REASON_WAIT_REST
				  ? INBOUND_SILENT
			  : hello->may_be_hello ? INBOUND_PART_HELLO
						: INBOUND_PART;
		break;
	case FW_HTTP1:
		w.first = hello->http_minor ? INBOUND_HTTP11 : INBOUND_HTTP10;
		break;
	case FW_HTTP2:
		w.first = INBOUND_HTTP2;
		break;
	case FW_TLS:
		w.first = INBOUND_HELLO;
		w.alpn = inbound_alpn_of(hello);
		w.sni = classify_sni(hello);
		break;
	case FW_SERVER_FIRST:
	case FW_PASS_ON:
		w.first = INBOUND_SERVER;
		break;
	case FW_OPAQUE:
	case FW_REFUSED: /* the race ends these by itself */
	case FW_CLOSE:
		break;
	}
	return w;
}

/* Plaintext, where it is taken: what a port of the class makes of it. */
static enum inbound_do plaintext(enum proto_class class, enum inbound_first first)
{
	switch (class) {
	case CLASS_HTTP:
		/* A server that speaks first behind a port declared HTTP is no HTTP. */
		return first == INBOUND_SERVER ? INBOUND_TCP : INBOUND_HTTP;
	case CLASS_AUTO:
		/* HTTP/1.0 is carried as bytes, as in Istio. */
		return first == INBOUND_HTTP11 || first == INBOUND_HTTP2 ? INBOUND_HTTP
									 : INBOUND_TCP;
	case CLASS_TCP:
	case CLASS_NONE:
		break;
	}
	return INBOUND_TCP;
}

static bool is_waiting(enum inbound_first first)
{
	return first == INBOUND_SILENT || first == INBOUND_PART || first == INBOUND_PART_HELLO;
}

static enum inbound_do disable(enum proto_class class, enum inbound_first first)
{
	bool bytes = class == CLASS_TCP || class == CLASS_NONE;
	if (is_waiting(first))
		return bytes ? INBOUND_TCP : INBOUND_LISTEN;
	if (first == INBOUND_HELLO) /* no matter whose: nobody here would end it */
		return class == CLASS_HTTP ? INBOUND_HTTP : INBOUND_PASS_TLS;
	return plaintext(class, first);
}

/* Mesh TLS, whose ALPN says what is inside. */
static enum inbound_do terminated(enum proto_class class, enum inbound_alpn alpn)
{
	if (class == CLASS_HTTP || (class == CLASS_AUTO && alpn == INBOUND_ALPN_MESH_HTTP))
		return INBOUND_TLS_HTTP;
	return INBOUND_TLS_TCP;
}

static enum inbound_do permissive(enum proto_class class, const struct inbound_word *w)
{
	if (is_waiting(w->first))
		return INBOUND_LISTEN;
	if (w->first != INBOUND_HELLO)
		return plaintext(class, w->first);
	if (w->alpn != INBOUND_ALPN_FOREIGN)
		return terminated(class, w->alpn);
	return class == CLASS_HTTP ? INBOUND_REFUSE : INBOUND_PASS_TLS;
}

static enum inbound_do strict(enum proto_class class, const struct inbound_word *w)
{
	if (w->first == INBOUND_HELLO)
		return terminated(class, w->alpn);
	bool may_come = w->first == INBOUND_SILENT || w->first == INBOUND_PART_HELLO;
	return may_come && !w->too_late ? INBOUND_LISTEN : INBOUND_REFUSE;
}

enum inbound_do inbound_cell(enum mtls_mode mode, enum proto_class class,
			     const struct inbound_word *word)
{
	switch (mode) {
	case MTLS_STRICT:
		return strict(class, word);
	case MTLS_DISABLE:
		return disable(class, word->first);
	case MTLS_PERMISSIVE:
	case MTLS_UNSET: /* a mode is never that */
		break;
	}
	return permissive(class, word);
}

const char *inbound_do_name(enum inbound_do what)
{
	static const char *const names[] = {
		[INBOUND_LISTEN] = "listen",
		[INBOUND_TLS_TCP] = "tls-then-tcp",
		[INBOUND_TLS_HTTP] = "tls-then-http",
		[INBOUND_PASS_TLS] = "pass-tls",
		[INBOUND_TCP] = "tcp",
		[INBOUND_HTTP] = "http",
		[INBOUND_REFUSE] = "refuse",
	};
	return (unsigned)what < N_ELEMS(names) ? names[what] : "?";
}

const char *inbound_alpn_list(enum inbound_do what)
{
	/* Never istio-peer-exchange, whose prefix nobody here writes, and never istio, which is
	 * offered to be seen and not to be selected. */
	return what == INBOUND_TLS_HTTP || what == INBOUND_TLS_TCP ? "h2,http/1.1" : NULL;
}

/* Outbound */

const char *transport_name(enum transport t)
{
	static const char *const names[] = {
		[TRANSPORT_PLAIN] = "plaintext",
		[TRANSPORT_MESH_TLS] = "mesh-tls",
		[TRANSPORT_TLS] = "tls",
		[TRANSPORT_MUTUAL_TLS] = "mutual-tls",
	};
	return (unsigned)t < N_ELEMS(names) ? names[t] : "?";
}

const char *tls_plan_alpn(const struct tls_plan *t, enum tls_app app)
{
	static const char *const mesh[] = {
		[TLS_APP_TCP] = "istio",
		[TLS_APP_HTTP1_0] = "istio-http/1.0,istio,http/1.0",
		[TLS_APP_HTTP1] = "istio-http/1.1,istio,http/1.1",
		[TLS_APP_HTTP2] = "istio-h2,istio,h2",
	};
	if (t->transport == TRANSPORT_MESH_TLS)
		return mesh[app];
	return t->transport != TRANSPORT_PLAIN && app == TLS_APP_HTTP2 ? "h2" : NULL;
}

const char *tls_plan_sni(const struct tls_plan *t, const struct view_port *port, const char *subset,
			 char *out, size_t out_len)
{
	if (t->transport == TRANSPORT_PLAIN)
		return NULL;
	if (t->rule && t->rule->sni[0])
		return t->rule->sni;
	if (!port)
		return NULL;
	if (t->transport != TRANSPORT_MESH_TLS) /* a ServiceEntry's host is a name out there, too */
		return port->service->entry && port->service->host[0] != '*' ? port->service->host
									     : NULL;
	(void)snprintf(out, out_len, "outbound_.%u_.%s_.%s", port->port->port, subset,
		       port->service->host); /* a receiving sidecar ignores it: cut short is fine */
	return out;
}

/* A NAME of a certificate is what was WANTed. As in Envoy: "*.example.com" in a certificate stands for
 * one label, and host names know no case; URIs do. */
static bool is_wanted(struct slice name, struct slice want)
{
	if (slice_eq(name, want))
		return true;
	if (slice_find(name, ':') < name.len)
		return false; /* a URI */
	size_t label = slice_find(want, '.');
	if (label > 0 && slice_starts(name, SLICE("*.")))
		return slice_eq_nocase(slice_sub(name, 1, name.len),
				       slice_sub(want, label, want.len));
	return slice_eq_nocase(name, want);
}

static bool is_one_of(struct slice name, const char *const *list)
{
	for (; *list; list++)
		if (is_wanted(name, slice_of(*list)))
			return true;
	return false;
}

/* What is known of the server beside what a rule says. */
static bool is_expected(const struct view *v, const struct tls_plan *t, struct slice name)
{
	bool mesh = t->transport == TRANSPORT_MESH_TLS;
	return (mesh && t->peer && view_is_identity(v, t->peer, name)) ||
	       (mesh && t->named && t->named->service_account[0] &&
		view_is_account(v, t->named->ns, t->named->service_account, name)) ||
	       (t->service && is_one_of(name, t->service->subject_alt_names));
}

static bool expects_somebody(const struct tls_plan *t)
{
	bool mesh = t->transport == TRANSPORT_MESH_TLS;
	return (mesh && t->peer) || (mesh && t->named && t->named->service_account[0]) ||
	       (t->service && t->service->subject_alt_names[0]);
}

bool tls_plan_accepts(const struct view *v, const struct tls_plan *t, const struct slice *names,
		      size_t n)
{
	bool by_rule = t->rule && t->rule->subject_alt_names[0];
	if (t->rule && t->rule->insecure_skip_verify && t->transport != TRANSPORT_MESH_TLS)
		return true;
	for (size_t i = 0; i < n; i++)
		if (by_rule ? is_one_of(names[i], t->rule->subject_alt_names)
			    : is_expected(v, t, names[i]))
			return true;
	return !by_rule && !expects_somebody(t);
}

bool transport_is_own(enum transport t)
{
	return t == TRANSPORT_TLS || t == TRANSPORT_MUTUAL_TLS;
}

enum transport transport_of_rule(const struct client_tls *rule)
{
	switch (rule->mode) {
	case CLIENT_TLS_DISABLE:
		break;
	case CLIENT_TLS_SIMPLE:
		return TRANSPORT_TLS;
	case CLIENT_TLS_MUTUAL:
		return TRANSPORT_MUTUAL_TLS;
	case CLIENT_TLS_ISTIO_MUTUAL:
		return TRANSPORT_MESH_TLS;
	}
	return TRANSPORT_PLAIN;
}

/* What came by its own ClientHello is not wrapped once more: that is how a rule for plaintext clients,
 * on the same port, is meant. */
static bool is_tls_itself(const struct plan *p)
{
	bool wraps = p->tls.transport == TRANSPORT_TLS || p->tls.transport == TRANSPORT_MUTUAL_TLS;
	return wraps && p->open && p->has_word && p->word.verdict == FW_TLS;
}

/* Each endpoint by itself, those of a headless Service as well: Istio, which decides there for all
 * of them at once, sends plaintext to a STRICT one or TLS to one without a sidecar. */
static void automatic(struct plan *p, const struct view *v, const struct workload *w, uint16_t port)
{
	enum step_code from = STEP_TLS_BY_RULE, to = STEP_TLS_ENTRY;
	if (!view_self(v) || !view_self(v)->mesh_tls)
		return; /* plaintext is all that the own sidecar speaks, and there is no news in that */
	if (!view_mesh(v)->enable_auto_mtls) {
		plan_step_instead(p, from, to, STEP_TLS_AUTO_OFF, NULL, 0);
		return;
	}
	if (!w || !w->mesh_tls) {
		plan_step_instead(p, from, to, STEP_TLS_NO_SIDECAR, w ? w->pod : NULL, port);
		return;
	}
	if (!view_reaches_sidecar(w, port)) {
		plan_step_instead(p, from, to, STEP_TLS_NOT_CAPTURED, w->pod, port);
		return;
	}
	struct mtls_answer mode = view_mtls(w, port);
	if (mode.mode == MTLS_DISABLE) {
		plan_step_instead(p, from, to, STEP_TLS_MODE_DISABLE, mode.by, port);
		return;
	}
	p->tls.transport = TRANSPORT_MESH_TLS;
	p->tls.peer = w;
	plan_step_instead(p, from, to, STEP_TLS_AUTO, w->pod, port);
}

/* An endpoint of a ServiceEntry, or of a WorkloadEntry, by what the entry says: of who is outside the mesh nothing is asked, and
 * who is inside speaks mesh TLS when it is said to. False: it is a Pod like any other. */
static bool by_entry(struct plan *p, const struct view *v, const struct workload *w,
		     const struct view_endpoint *ep, uint16_t port)
{
	const struct object *o = p->port->service->object;
	enum step_code from = STEP_TLS_BY_RULE, to = STEP_TLS_ENTRY;
	if (!view_self(v) || !view_self(v)->mesh_tls)
		return false;
	const struct view_entry *e = p->port->service->entry;
	if (e && e->location == LOCATION_MESH_EXTERNAL) {
		plan_step_instead(p, from, to, STEP_TLS_EXTERNAL, o, port);
		return true;
	}
	if (w || !ep || !ep->peer || !view_mesh(v)->enable_auto_mtls)
		return false;
	p->tls.transport = TRANSPORT_MESH_TLS;
	p->tls.named = ep->peer;
	plan_step_instead(p, from, to, STEP_TLS_ENTRY, o, port);
	return true;
}

void decide_transport(const struct view *v, struct plan *p, const struct addr *at,
		      const struct view_endpoint *ep, const struct subset *subset)
{
	const struct workload *w = view_workload_by_ip(v, &at->ip);
	p->tls = (struct tls_plan){.transport = TRANSPORT_PLAIN};
	if (!p->port) { /* not a Service's: a Pod that speaks mesh TLS, or passed on as it is */
		if (w && w->mesh_tls)
			automatic(p, v, w, at->port);
		return;
	}
	p->tls.service = p->port->service;
	const struct client_tls *rule = view_tls(p->port, subset);
	if (!rule) {
		if (!by_entry(p, v, w, ep, at->port))
			automatic(p, v, w, at->port);
		return;
	}
	p->tls.rule = rule;
	p->tls.transport = transport_of_rule(rule);
	if (p->tls.transport == TRANSPORT_MESH_TLS) {
		p->tls.peer = w;
		p->tls.named = w || !ep ? NULL : ep->peer;
	}
	const struct object *by = p->port->service->rule->policy_by;
	if (rule != p->port->tls) /* the subset's own words */
		(void)view_subset(p->port->service, slice_of(subset->name), &by);
	bool itself = is_tls_itself(p);
	if (itself)
		p->tls.transport = TRANSPORT_PLAIN;
	plan_step_instead(p, STEP_TLS_BY_RULE, STEP_TLS_ENTRY,
			  itself ? STEP_TLS_ITSELF : STEP_TLS_BY_RULE, by, p->port->port->port);
}
