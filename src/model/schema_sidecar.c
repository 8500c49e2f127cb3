/* Sidecar (networking.istio.io): what a workload's sidecar knows of the mesh, what comes in to it, and
 * which sockets it opens for the workload to dial (captureMode NONE). */
#include "model/schema.h"
#include "model/sidecar.h"

#include <string.h>

static const struct field selector_fields[] = {
	FIELD_PAIRS(struct sidecar, "labels", selector),
};

static void check_workload_selector(struct decoder *d, const struct tree *n, void *out)
{
	struct sidecar *s = out;
	s->has_selector = true;
	check_selector(d, n, "labels", &s->selector);
}
static const struct schema selector_schema =
	SCHEMA(struct sidecar, selector_fields, NULL, check_workload_selector);

static const char *const capture_words[] = {"DEFAULT", "IPTABLES", "NONE", NULL};

static void read_capture(struct decoder *d, struct tree *n, void *out)
{
	(void)out; /* what comes in has no other */
	if (n->type == TREE_STRING && slice_is(n->text, capture_words[SIDECAR_CAPTURES_NONE])) {
		if (d->strict)
			decode_problem(d, n, NULL,
				       "NONE is not supported by hark: traffic comes by capture");
		return;
	}
	for (size_t i = 0; capture_words[i]; i++)
		if (n->type == TREE_STRING && slice_is(n->text, capture_words[i]))
			return;
	decode_expected(d, n, "one of DEFAULT, IPTABLES, NONE");
}

/* "NS/HOST"; with a tilde before it, or no namespace but the tilde: what is taken away. */
static bool read_host(struct decoder *d, const char *text, struct scope_host *out)
{
	*out = (struct scope_host){0};
	struct slice host = slice_of(text), ns;
	if (slice_find(host, '/') == host.len)
		return false;
	ns = slice_cut(&host, '/');
	if (slice_starts(ns, SLICE("~")) && !slice_is(host, "*")) {
		out->excluded = true;
		ns = ns.len > 1 ? slice_sub(ns, 1, ns.len) : SLICE("*");
	} else if (slice_starts(ns, SLICE("~")) && ns.len > 1) {
		out->excluded = true;
		ns = slice_sub(ns, 1, ns.len);
	}
	out->ns = arena_dup(d->arena, ns);
	out->host = lower_dup(d->arena, host);
	bool ns_ok = slice_is(ns, "*") || slice_is(ns, ".") || slice_is(ns, "~") ||
		     name_ok(NAME_LABEL, ns);
	return ns_ok && (strcmp(out->host, "*") == 0 || host_name_ok(slice_of(out->host), true));
}

static void read_hosts(struct decoder *d, struct tree *n, void *out)
{
	struct sidecar_egress *e = out;
	if (n->type != TREE_SEQ) {
		decode_expected(d, n, "a list of hosts");
		return;
	}
	struct scope_host *all = arena_array(d->arena, n->n, sizeof(*all));
	for (struct tree *c = n->first; c; c = c->next) {
		const char *text = decode_string(d, c);
		if (text && read_host(d, text, &all[e->n_hosts]))
			e->n_hosts++;
		else if (text)
			decode_expected(d, c,
					"\"NAMESPACE/HOST\", like \"./*\" or "
					"\"shop/db.example.com\"");
	}
	e->hosts = all;
}

static void read_egress_bind(struct decoder *d, struct tree *n, void *out)
{
	struct sidecar_egress *e = out;
	bool ok = false;
	if (n->type == TREE_STRING && n->text.len == 0)
		return;
	if (n->type != TREE_STRING || !slice_starts(n->text, SLICE("unix:")))
		read_ip(d, n, &e->bind, &ok);
	else if (d->strict)
		decode_problem(d, n, NULL,
			       "Unix sockets are not supported by hark: a sidecar does not share "
			       "its application's files");
}

/* A host's own port says what is spoken there; but a word that is none is a mistake. */
static void read_egress_protocol(struct decoder *d, struct tree *n, void *out)
{
	(void)out;
	const char *word = decode_string(d, n);
	if (word)
		check_protocol_word(d, n, NULL, word);
}

static const struct field egress_port_fields[] = {
	FIELD_UINT(struct sidecar_egress, "number", port, 1, 65535, .flags = FIELD_REQUIRED),
	FIELD_CUSTOM("protocol", read_egress_protocol),
	FIELD_KNOWN("name"),
	FIELD_KNOWN("targetPort"),
};
static const struct schema egress_port_schema =
	SCHEMA(struct sidecar_egress, egress_port_fields, NULL, NULL);

static const struct field egress_fields[] = {
	FIELD_CUSTOM("hosts", read_hosts, .flags = FIELD_REQUIRED),
	FIELD_INLINE("port", &egress_port_schema),
	FIELD_CUSTOM("bind", read_egress_bind),
	FIELD_ENUM(struct sidecar_egress, "captureMode", capture, capture_words),
};

/* What is wrong with a socket of the sidecar's own, and at which member; NULL: nothing. Only who is within
 * the Pod may dial it: whoever else came there would speak with the workload's identity. */
static const char *wrong_socket(const struct tree *n, const struct sidecar_egress *e,
				const char **member)
{
	const struct tree *bind = tree_get(n, "bind");
	bool bound = bind && !(bind->type == TREE_STRING && bind->text.len == 0);
	*member = "bind";
	if (bound && e->capture != SIDECAR_CAPTURES_NONE)
		return "needs captureMode NONE: of captured connections the host's own address "
		       "counts";
	if (bound && !ip_is_loopback(&e->bind))
		return "is no loopback address: others would come in there, with the workload's "
		       "identity";
	*member = "port";
	if (e->capture == SIDECAR_CAPTURES_NONE && !e->port)
		return "is required with captureMode NONE";
	if (e->capture == SIDECAR_CAPTURES_NONE && sidecar_has_port(e->port))
		return "is one of the sidecar's own";
	return NULL;
}

/* An object that an API server has let pass is taken without its socket. */
static void check_egress(struct decoder *d, const struct tree *n, void *out)
{
	struct sidecar_egress *e = out;
	static const struct ip nobody;
	const char *member = NULL, *wrong = wrong_socket(n, e, &member);
	if (wrong && d->strict)
		decode_problem(d, n, member, "%s", wrong);
	e->binds = !wrong && e->capture == SIDECAR_CAPTURES_NONE;
	if (ip_eq(&e->bind, &nobody))
		e->bind = ip_v4(0x7f000001);
}
static const struct schema egress_schema =
	SCHEMA(struct sidecar_egress, egress_fields, NULL, check_egress);

/* Ingress */

static const struct field ingress_port_fields[] = {
	FIELD_UINT(struct sidecar_ingress, "number", port, 1, 65535, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct sidecar_ingress, "protocol", protocol), FIELD_KNOWN("name"),
	FIELD_KNOWN("targetPort"), /* without effect in Istio, too */
};

static void check_ingress_port(struct decoder *d, const struct tree *n, void *out)
{
	const struct sidecar_ingress *i = out;
	check_protocol_word(d, n, "protocol", i->protocol);
}
static const struct schema ingress_port_schema =
	SCHEMA(struct sidecar_ingress, ingress_port_fields, NULL, check_ingress_port);

static void read_bind(struct decoder *d, struct tree *n, void *out)
{
	struct sidecar_ingress *i = out;
	read_ip(d, n, &i->bind, &i->has_bind);
	if (i->has_bind && d->strict && ip_is_loopback(&i->bind))
		decode_problem(d, n, NULL,
			       "nobody can come to a loopback address: where the application "
			       "listens is said by defaultEndpoint");
	if (i->has_bind && ip_is_any(&i->bind))
		i->has_bind = false;
}

/* The application's own loopback, or whichever address of the workload was dialled. */
static bool is_own(const struct ip *ip)
{
	struct ip v4 = ip_v4(0x7f000001), v6 = {{[15] = 1}};
	return ip_is_any(ip) || ip_eq(ip, &v4) || ip_eq(ip, &v6);
}

static void read_endpoint(struct decoder *d, struct tree *n, void *out)
{
	struct sidecar_ingress *i = out;
	const char *text = decode_string(d, n);
	if (!text || !text[0])
		return;
	if (slice_starts(slice_of(text), SLICE("unix:"))) {
		if (d->strict)
			decode_problem(d, n, NULL,
				       "Unix sockets are not supported by hark: a sidecar does not "
				       "share its application's files");
		return;
	}
	i->has_endpoint = addr_parse(slice_of(text), &i->endpoint) && i->endpoint.port &&
			  is_own(&i->endpoint.ip);
	bool guarded = i->has_endpoint && sidecar_has_port(i->endpoint.port);
	i->left_out = !i->has_endpoint || guarded;
	if (guarded && d->strict)
		decode_problem(d, n, NULL, "port %u is one of the sidecar's own", i->endpoint.port);
	else if (i->left_out && d->strict)
		decode_expected(d, n,
				"127.0.0.1:PORT, [::1]:PORT, or 0.0.0.0:PORT or [::]:PORT for the "
				"address that was dialled");
}

static const struct field ingress_fields[] = {
	FIELD_INLINE("port", &ingress_port_schema, .flags = FIELD_REQUIRED),
	FIELD_CUSTOM("bind", read_bind),
	FIELD_CUSTOM("captureMode", read_capture),
	FIELD_CUSTOM("defaultEndpoint", read_endpoint),
	FIELD_UNSUPPORTED("tls"),
	FIELD_UNSUPPORTED("connectionPool"),
};
static const struct schema ingress_schema =
	SCHEMA(struct sidecar_ingress, ingress_fields, NULL, NULL);

/* What comes in to ROW would go out again, with the workload's identity: by which egress? NULL: none. */
static const struct sidecar_egress *way_out(const struct sidecar *s,
					    const struct sidecar_ingress *row)
{
	for (size_t i = 0; row->has_endpoint && i < s->n_egress; i++) {
		const struct sidecar_egress *e = &s->egress[i];
		if (e->binds && row->endpoint.port == e->port && ip_eq(&row->endpoint.ip, &e->bind))
			return e;
	}
	return NULL;
}

static void check_ways_out(struct decoder *d, const struct tree *n, const struct sidecar *s)
{
	for (size_t i = 0; i < s->n_ingress; i++) {
		const struct sidecar_egress *e = way_out(s, &s->ingress[i]);
		if (e)
			decode_problem(d, list_item(n, "ingress", i), "defaultEndpoint",
				       "is the socket of egress[%zu]: others would go out there, "
				       "with the workload's identity",
				       (size_t)(e - s->egress));
	}
}

static bool counts(const struct sidecar *s, const struct sidecar_ingress *row)
{
	return !row->left_out && !way_out(s, row);
}

/* What an API server has let pass counts without the rows that lead to where no server of the workload's
 * is. */
static void leave_out(struct decoder *d, const struct tree *n, struct sidecar *s)
{
	size_t n_kept = 0, n_out = 0;
	for (size_t i = 0; i < s->n_ingress; i++)
		n_out += !counts(s, &s->ingress[i]);
	if (n_out == 0)
		return;
	struct sidecar_ingress *kept = arena_array(d->arena, s->n_ingress - n_out, sizeof(*kept));
	for (size_t i = 0; i < s->n_ingress; i++) {
		char path[256];
		if (counts(s, &s->ingress[i])) {
			kept[n_kept++] = s->ingress[i];
			continue;
		}
		tree_path(list_item(n, "ingress", i), "defaultEndpoint", path, sizeof(path));
		s->left_out =
			arena_printf(d->arena, "%s%s%s is no address of the workload's own",
				     s->left_out ? s->left_out : "", s->left_out ? ", " : "", path);
	}
	s->ingress = kept;
	s->n_ingress = n_kept;
}

static void check_spec(struct decoder *d, const struct tree *n, void *out)
{
	struct sidecar *s = out;
	if (d->strict)
		check_ways_out(d, n, s);
	leave_out(d, n, s);
	for (size_t i = 0; d->strict && i < s->n_egress; i++)
		for (size_t j = 0; j < i; j++)
			if (s->egress[i].binds && s->egress[j].binds &&
			    s->egress[i].port == s->egress[j].port &&
			    ip_eq(&s->egress[i].bind, &s->egress[j].bind))
				decode_problem(d, list_item(n, "egress", i), "port",
					       "%u is also egress[%zu], with the same bind",
					       s->egress[i].port, j);
	for (size_t i = 0; d->strict && i < s->n_ingress; i++)
		for (size_t j = 0; j < i; j++)
			if (s->ingress[i].port == s->ingress[j].port)
				decode_problem(d, list_item(n, "ingress", i), "port",
					       "%u is also ingress[%zu]", s->ingress[i].port, j);
}

/* Absent, the mesh's counts; but an empty message has protobuf's zero value. */
static const char *const policy_words[] = {"ALLOW_ANY", "REGISTRY_ONLY", NULL};

static const struct field policy_fields[] = {
	FIELD_ENUM(struct sidecar, "mode", outbound_policy, policy_words),
	FIELD_UNSUPPORTED("egressProxy"),
};

static void read_policy(struct decoder *d, struct tree *n, void *out)
{
	static const struct schema schema = SCHEMA(struct sidecar, policy_fields, NULL, NULL);
	struct sidecar *s = out, read = {.outbound_policy = OUTBOUND_REGISTRY_ONLY};
	decode(d, &schema, n, &read);
	s->outbound_policy = read.outbound_policy;
	s->has_outbound_policy = true;
}

static const struct field spec_fields[] = {
	FIELD_INLINE("workloadSelector", &selector_schema),
	FIELD_LIST(struct sidecar, "egress", egress, n_egress, &egress_schema),
	FIELD_CUSTOM("outboundTrafficPolicy", read_policy),
	FIELD_LIST(struct sidecar, "ingress", ingress, n_ingress, &ingress_schema),
	FIELD_UNSUPPORTED("inboundConnectionPool"),
};
static const struct schema spec_schema = SCHEMA(struct sidecar, spec_fields, NULL, check_spec);

static const struct field fields[] = {
	TOP_ROWS,
	FIELD_INLINE("spec", &spec_schema),
	FIELD_KNOWN("status"),
};
const struct schema sidecar_schema = SCHEMA(struct sidecar, fields, NULL, NULL);
