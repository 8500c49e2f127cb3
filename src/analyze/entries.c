/* ServiceEntries: whether anything can reach their hosts, what they contradict, what was learnt of them. */
#include <stdlib.h>
#include <string.h>

#include "analyze/inside.h"

static const struct service_entry *spec_of(const struct object *o)
{
	return o->service_entry;
}

static bool dns_off(const struct analysis *a)
{
	return !a->mesh->dns_capture;
}

/* The first port whose clients need not say which host they mean: bytes, or nothing declared. */
static const struct entry_port *port_of_bytes(const struct service_entry *s)
{
	for (size_t i = 0; i < s->n_ports; i++) {
		enum protocol p = protocol_parse(slice_of(s->ports[i].protocol));
		if (!protocol_names_host(p) || protocol_class(p) == CLASS_AUTO)
			return &s->ports[i];
	}
	return NULL;
}

/* Of resolution NONE: whoever is not named by DNS is taken by the port alone. */
static void takes_any_address(struct analysis *a, const struct object *o,
			      const struct entry_port *p)
{
	const struct service_entry *s = spec_of(o);
	bool undeclared = protocol_class(protocol_parse(slice_of(p->protocol))) == CLASS_AUTO;
	finding_add(
		a, CHECK_ENTRY_ANY_ADDRESS, o, say(a, "spec.ports[%zu]", (size_t)(p - s->ports)),
		&(struct said){
			.text = say(a, "%s has no address, so its port %u takes any", s->hosts[0],
				    p->number),
			.why = undeclared ? "a client that says neither SNI nor Host may be one of "
					    "its"
					  : "what its clients say names no host",
			.effect =
				say(a,
				    "under REGISTRY_ONLY every address may be connected to on "
				    "port %u%s. %sElsewhere it also keeps the port from other "
				    "entries",
				    p->number, undeclared ? ", by whoever names no other host" : "",
				    dns_off(a) ? "With the DNS proxy off "
						 "(ISTIO_META_DNS_CAPTURE) no connection is "
						 "known to be for it. "
					       : ""),
			.affected = "whoever may know of it",
			.mend = "write addresses; or declare the port TLS or HTTP where its "
				"clients "
				"speak that, and they are told by the name that they say",
			.yaml = "spec:\n  addresses: [192.0.2.1]\n",
		});
}

/* Nothing that is dialled tells that it is for one of its hosts. What clients say does, or what DNS said. */
static void check_address(struct analysis *a, const struct object *o)
{
	const struct service_entry *s = spec_of(o);
	const struct entry_port *bytes = port_of_bytes(s);
	bool any = false;
	for (const char *const *host = s->hosts; *host; host++)
		any = any || entry_wants_vip(o, *host);
	if (s->n_addresses || !bytes)
		return;
	if (!any && s->resolution == RESOLUTION_NONE) {
		takes_any_address(a, o, bytes);
		return;
	}
	if (!dns_off(a))
		return;
	finding_add(
		a, any ? CHECK_ENTRY_DNS_OFF : CHECK_ENTRY_ADDRESS, o, "spec.hosts",
		&(struct said){
			.text = say(a, "nothing tells which connections to port %u are for %s",
				    bytes->number, s->hosts[0]),
			.why = any ? "the mesh would give it virtual IPs, but with the DNS proxy "
				     "off "
				     "(ISTIO_META_DNS_CAPTURE) no name leads to them"
				   : "it has no address, and with the DNS proxy off "
				     "(ISTIO_META_DNS_CAPTURE) nobody hears which one its name has",
			.effect = "connections to it pass as if there were no entry, and are "
				  "refused under REGISTRY_ONLY, unless the client says SNI or Host",
			.affected = "whoever connects to it",
			.mend = "let the DNS proxy answer, or write addresses",
			.yaml = any ? NULL : "spec:\n  addresses: [192.0.2.1]\n",
		});
}

static bool is_visible_to(const struct object *a, const struct object *b)
{
	const char *const *to = spec_of(a)->export_to;
	if (!to[0] || strcmp(a->meta.ns, b->meta.ns) == 0)
		return true;
	for (; *to; to++)
		if (strcmp(*to, "*") == 0 || strcmp(*to, b->meta.ns) == 0)
			return true;
	return false;
}

static bool share_host(const struct service_entry *a, const struct service_entry *b)
{
	for (const char *const *x = a->hosts; *x; x++)
		for (const char *const *y = b->hosts; *y; y++)
			if (strcmp(*x, *y) == 0)
				return true;
	return false;
}

static bool share_address(const struct service_entry *a, const struct service_entry *b)
{
	for (size_t i = 0; i < a->n_addresses; i++)
		for (size_t k = 0; k < b->n_addresses; k++)
			if (a->addresses[i].bits == b->addresses[k].bits &&
			    ip_eq(&a->addresses[i].ip, &b->addresses[k].ip))
				return true;
	return false;
}

static const char *port_at(const struct analysis *a, size_t i, const char *member)
{
	return say(a, "spec.ports[%zu]%s", i, member);
}

/* YOUNG and OLD say something of one port of one host. */
static void same_port(struct analysis *a, const struct object *young, const struct object *old,
		      size_t i, const struct entry_port *other)
{
	char name[400];
	const struct entry_port *p = &spec_of(young)->ports[i];
	if (protocol_parse(slice_of(p->protocol)) == protocol_parse(slice_of(other->protocol)))
		return;
	finding_add(
		a, CHECK_ENTRY_PROTOCOLS, young, port_at(a, i, ".protocol"),
		&(struct said){
			.text = say(a, "port %u of a host is %s here and %s in %s", p->number,
				    p->protocol[0] ? p->protocol : "not declared",
				    other->protocol[0] ? other->protocol : "not declared",
				    object_text(old, name, sizeof(name))),
			.why = "entries with one host count together, and of one port the oldest",
			.effect = "what this one says of the port has no effect",
			.mend = "say the same in both, or leave the protocol out in both",
		});
}

static void same_address(struct analysis *a, const struct object *young, const struct object *old,
			 size_t i)
{
	char name[400];
	finding_add(
		a, CHECK_ENTRY_OVERLAP, young, port_at(a, i, ".number"),
		&(struct said){
			.text = say(a, "an address with port %u is %s's, too",
				    spec_of(young)->ports[i].number,
				    object_text(old, name, sizeof(name))),
			.why = "an address and a port lead to one host: the oldest entry's",
			.effect = say(a, "connections to it are %s's", spec_of(old)->hosts[0]),
			.affected = "whoever means this entry's host",
			.mend = "give each an address of its own; or leave addresses out, and the "
				"mesh gives them",
		});
}

static void check_pair(struct analysis *a, const struct object *x, const struct object *y)
{
	bool x_older = object_older(x, y);
	const struct object *old = x_older ? x : y, *young = x_older ? y : x;
	const struct service_entry *o = spec_of(old), *s = spec_of(young);
	bool host = share_host(o, s);
	if (!is_visible_to(old, young) || !is_visible_to(young, old) ||
	    (!host && !share_address(o, s)))
		return;
	for (size_t i = 0; i < s->n_ports; i++)
		for (size_t k = 0; k < o->n_ports; k++) {
			if (s->ports[i].number != o->ports[k].number)
				continue;
			if (host)
				same_port(a, young, old, i, &o->ports[k]);
			else
				same_address(a, young, old, i);
		}
}

static bool namespace_exists(const struct analysis *a, const char *ns)
{
	size_t at = 0;
	if (object_set_find(&a->sets[KIND_NAMESPACE], "", ns, &at))
		return true;
	for (size_t i = 0; i < a->n_groups; i++)
		if (strcmp(a->groups[i].by->meta.ns, ns) == 0)
			return true;
	return false;
}

static void check_export(struct analysis *a, const struct object *o)
{
	const char *const *to = spec_of(o)->export_to;
	bool anybody = !to[0];
	for (size_t i = 0; to[i]; i++)
		anybody = anybody || strcmp(to[i], "*") == 0 || strcmp(to[i], ".") == 0 ||
			  strcmp(to[i], o->meta.ns) == 0 ||
			  (strcmp(to[i], "~") != 0 && namespace_exists(a, to[i]));
	if (anybody)
		return;
	finding_add(a, CHECK_ENTRY_EXPORT, o, "spec.exportTo",
		    &(struct said){
			    .text = say(a, "%s is exported to nobody", spec_of(o)->hosts[0]),
			    .why = strcmp(to[0], "~") == 0 ? "\"~\" is nobody"
							   : "there is no namespace of that name",
			    .effect = "the entry has no effect",
			    .mend = "name a namespace that exists, \".\" or \"*\"",
		    });
}

static void check_endpoints(struct analysis *a, const struct object *o)
{
	const struct service_entry *s = spec_of(o);
	size_t n = s->n_endpoints;
	if (s->resolution != RESOLUTION_STATIC && !s->has_selector)
		return;
	for (size_t i = 0; s->has_selector && i < a->n_groups; i++)
		n += strcmp(a->groups[i].by->meta.ns, o->meta.ns) == 0 &&
		     pairs_match(&s->selector, &a->groups[i].meta->labels);
	for (size_t i = 0; s->has_selector && i < a->sets[KIND_WORKLOAD_ENTRY].n; i++)
		n += strcmp(a->sets[KIND_WORKLOAD_ENTRY].at[i]->meta.ns, o->meta.ns) == 0;
	if (n || (s->has_selector && world_has_strangers(a, o->meta.ns)))
		return;
	finding_add(a, CHECK_ENTRY_ENDPOINTS, o,
		    s->has_selector ? "spec.workloadSelector" : "spec.resolution",
		    &(struct said){
			    .text = s->has_selector
					    ? "workloadSelector selects no Pod, and there is no "
					      "WorkloadEntry"
					    : "resolution STATIC, and there are no endpoints",
			    .effect = say(a, "connections to %s are refused", s->hosts[0]),
			    .affected = "whoever connects to it",
			    .mend = s->has_selector ? "select by labels that a workload has"
						    : "write endpoints, or resolution DNS",
		    });
}

static void check_shadow(struct analysis *a, const struct object *o)
{
	const struct service_entry *s = spec_of(o);
	if (s->subject_alt_names[0])
		return; /* that is what such an entry is for */
	for (size_t i = 0; s->hosts[i]; i++)
		for (size_t k = 0; k < a->n_services; k++)
			if (strcmp(a->services[k]->host, s->hosts[i]) == 0)
				finding_add(
					a, CHECK_ENTRY_SHADOWED, o, say(a, "spec.hosts[%zu]", i),
					&(struct said){
						.text = say(a, "%s is a Service of Kubernetes",
							    s->hosts[i]),
						.effect =
							"the Service counts, and of the entry its "
							"subjectAltNames alone",
						.mend = "take the host out",
					});
}

/* The place of P's declaration, in the entry that has it. */
static const char *place_of(struct analysis *a, const struct view_port *p, const struct object **by)
{
	const struct view_entry *e = p->service->entry;
	for (size_t i = 0; i < e->n_objects; i++) {
		const struct service_entry *s = spec_of(e->objects[i]);
		for (size_t k = 0; k < s->n_ports; k++)
			if (s->ports[k].number == p->port->port) {
				*by = e->objects[i];
				return port_at(a, k, ".protocol");
			}
	}
	*by = p->service->object;
	return "spec.ports";
}

/* What the server of P was heard to do, against what is declared. */
static void check_learned(struct analysis *a, const struct view_port *p)
{
	struct learned l;
	const struct object *by = NULL;
	learn_read(p->live, &l);
	if (!l.server_first || l.client_http || l.client_tls || l.client_opaque)
		return;
	enum proto_class class = protocol_class(p->protocol);
	bool tls = p->protocol == PROTO_TLS || p->protocol == PROTO_HTTPS;
	if (class == CLASS_TCP && !tls)
		return;
	const char *path = place_of(a, p, &by), *word = learn_suggest(p->live);
	struct elsewhere_answer e;
	elsewhere_of(&(struct elsewhere_facts){.side = LIVE_OUTBOUND,
					       .class = class,
					       .matched = true,
					       .server_first = true,
					       .timeout_ms = p->detection_timeout_ms},
		     &e);
	finding_add(
		a,
		class == CLASS_HTTP ? CHECK_HTTP_GREETS
		: tls               ? CHECK_TLS_GREETS
				    : CHECK_SERVER_FIRST,
		by, path,
		&(struct said){
			.text = say(a, "port %u of %s %s%s, and its server speaks first",
				    p->port->port, p->service->host,
				    class == CLASS_AUTO ? "declares no protocol" : "is declared ",
				    class == CLASS_AUTO ? "" : protocol_name(p->protocol)),
			.why = say(a, "it was heard on %u connection%s", l.server_first,
				   l.server_first == 1 ? "" : "s"),
			.effect = say(a, "nothing hangs here. Elsewhere: %s (%s): %s",
				      elsewhere_name(e.what), e.row, e.text),
			.affected = "elsewhere every client",
			.mend = "declare what it is",
			.yaml = say(
				a,
				"spec:\n  ports:\n  - number: %u\n    name: %s\n    protocol: %s\n",
				p->port->port, p->port->name, word ? word : "tcp"),
		});
}

void analyze_entries(struct analysis *a)
{
	const struct object_set *set = &a->sets[KIND_SERVICE_ENTRY];
	for (size_t i = 0; i < set->n; i++) {
		check_address(a, set->at[i]);
		check_export(a, set->at[i]);
		check_endpoints(a, set->at[i]);
		check_shadow(a, set->at[i]);
		for (size_t k = 0; k < i; k++)
			check_pair(a, set->at[i], set->at[k]);
	}
	size_t n = 0;
	const struct view_service **all = view_entries(a->view, &n);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < all[i]->n_ports; k++)
			check_learned(a, &all[i]->ports[k]);
	free(all);
}
