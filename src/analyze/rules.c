/* DestinationRule, each by itself and against the Services that it is for. */
#include <stdlib.h>
#include <string.h>

#include "analyze/inside.h"

static const struct destination_rule *spec_of(const struct object *o)
{
	return o->destination_rule;
}

static bool covers(const char *host, const struct view_service *s)
{
	if (host[0] == '*')
		return slice_ends(slice_of(s->host), slice_of(&host[1]));
	return strcmp(host, s->host) == 0;
}

bool rule_covers(const struct object *o, const struct view_service *s)
{
	char host[512];
	return covers(rule_host(o, host, sizeof(host)), s);
}

/* The first Service that O's host is, or covers with its star; NULL: none. */
static const struct view_service *service_of(const struct analysis *a, const struct object *o)
{
	char host[512];
	(void)rule_host(o, host, sizeof(host));
	for (size_t i = 0; i < a->n_services; i++)
		if (covers(host, a->services[i]))
			return a->services[i];
	return NULL;
}

/* The same for a host of ServiceEntries. */
static bool is_entry(const struct analysis *a, const struct object *o)
{
	char host[512];
	size_t n = 0;
	const struct view_service **all = view_entries(a->view, &n);
	bool found = false;
	(void)rule_host(o, host, sizeof(host));
	for (size_t i = 0; i < n && !found; i++)
		found = covers(host, all[i]);
	free(all);
	return found;
}

static const struct view_service *service_named(const struct analysis *a, struct slice name,
						struct slice ns)
{
	for (size_t i = 0; i < a->n_services; i++) {
		const struct meta *m = &a->services[i]->object->meta;
		if (slice_is(name, m->name) && (ns.len == 0 || slice_is(ns, m->ns)))
			return a->services[i];
	}
	return NULL;
}

static void no_host(struct analysis *a, const struct object *o)
{
	const char *host = spec_of(o)->host;
	struct slice rest = slice_of(host);
	struct slice name = slice_cut(&rest, '.');
	struct slice ns = slice_cut(&rest, '.');
	bool bare = ns.len == 0;
	const struct view_service *meant = service_named(a, name, ns);
	if (is_entry(a, o))
		return;
	finding_add(
		a, CHECK_HOST, o, "spec.host",
		&(struct said){
			.text = say(a, "no Service or ServiceEntry has the host \"%s\"", host),
			.why = bare ? say(a,
					  "a name without a dot is a Service of the rule's "
					  "namespace, %s",
					  o->meta.ns)
			       : meant && !slice_is(rest, "svc.cluster.local")
				       ? "a name with a dot is taken whole: \"NAME.NAMESPACE\" is "
					 "not "
					 "completed"
				       : NULL,
			.effect = "the rule has no effect",
			.mend = meant ? "write the whole name" : "name a host that one of them has",
			.yaml = meant ? say(a, "spec:\n  host: %s\n", meant->host) : NULL,
		});
}

/* TLS at PATH; PORT: it is for one port. */
static void check_tls(struct analysis *a, const struct object *o, const struct client_tls *tls,
		      const char *path, bool port)
{
	const struct destination_rule *r = spec_of(o);
	bool own = tls->mode == CLIENT_TLS_SIMPLE || tls->mode == CLIENT_TLS_MUTUAL;
	const char *mode = tls->mode == CLIENT_TLS_MUTUAL ? "MUTUAL" : "SIMPLE";
	if (!tls->given || !own)
		return;
	if (!tls->ca_certificates[0] && !tls->credential_name[0] && !tls->insecure_skip_verify)
		finding_add(
			a, port ? CHECK_NO_CA_PORT : CHECK_NO_CA, o, path,
			&(struct said){
				.text = say(a, "mode %s without caCertificates", mode),
				.effect = "here the server must have a certificate of an authority "
					  "that this "
					  "machine trusts. Elsewhere its certificate may not be "
					  "verified at "
					  "all",
				.mend = "say which authority signs the server's certificate",
				.yaml = say(
					a,
					"tls:\n  mode: %s\n  caCertificates: /etc/certs/ca.pem\n",
					mode),
			});
	if (tls->mode == CLIENT_TLS_MUTUAL && !tls->credential_name[0] &&
	    (!tls->client_certificate[0] || !tls->private_key[0]))
		finding_add(
			a, CHECK_NO_CERTIFICATE, o, path,
			&(struct said){
				.text = say(a, "mode MUTUAL without %s",
					    tls->client_certificate[0] ? "privateKey"
								       : "clientCertificate"),
				.effect = "there is nothing to show to the server, which ends the "
					  "handshake; "
					  "hark apply refuses the resource",
				.mend = "name both files, or SIMPLE",
				.yaml = "tls:\n  mode: MUTUAL\n  clientCertificate: "
					"/etc/certs/client.pem\n"
					"  privateKey: /etc/certs/client-key.pem\n",
			});
	if (tls->credential_name[0] && !r->has_workload_selector)
		finding_add(
			a, CHECK_CREDENTIAL, o, say(a, "%s.credentialName", path),
			&(struct said){
				.text = "credentialName without a workloadSelector",
				.why = "sidecars take a Secret only where the rule says which of "
				       "them may",
				.effect = "the name is ignored: no client certificate is shown",
				.mend = "say which Pods' sidecars it is for",
				.yaml = "spec:\n  workloadSelector:\n    matchLabels:\n      app: "
					"CLIENT\n",
			});
}

/* One of the Services that O is for has PORT. */
static bool has_port(const struct analysis *a, const struct object *o, uint16_t port)
{
	char host[512];
	(void)rule_host(o, host, sizeof(host));
	for (size_t i = 0; i < a->n_services; i++)
		for (size_t k = 0; covers(host, a->services[i]) && k < a->services[i]->n_ports; k++)
			if (a->services[i]->ports[k].port->port == port)
				return true;
	return false;
}

static const struct target *target_with(const struct analysis *a, const struct view_service *s,
					uint16_t number)
{
	for (size_t i = 0; i < a->n_targets; i++)
		if (a->targets[i].port->service == s && a->targets[i].number == number)
			return &a->targets[i];
	return NULL;
}

static void no_port(struct analysis *a, const struct object *o, uint16_t port, const char *path,
		    const struct view_service *s)
{
	const struct target *t = target_with(a, s, port);
	finding_add(a, CHECK_RULE_PORT, o, say(a, "%s.port.number", path),
		    &(struct said){
			    .text = say(a, "Service %s/%s has no port %u", s->object->meta.ns,
					s->object->meta.name, port),
			    .why = t ? say(a, "%u is the container's port; %s leads to it", port,
					   port_name(a, t->port))
				     : NULL,
			    .effect = "the entry has no effect",
			    .mend = t ? "use the Service's port" : "name a port of the Service",
			    .yaml = t ? say(a, "port:\n  number: %u\n", t->port->port->port) : NULL,
		    });
}

/* One entry of portLevelSettings. S: a Service that the rule is for, or NULL. */
static void check_entry(struct analysis *a, const struct object *o, const struct traffic_policy *p,
			size_t i, const char *at, const struct view_service *s)
{
	const struct port_policy *entry = &p->ports[i];
	const char *path = say(a, "%s.portLevelSettings[%zu]", at, i);
	check_tls(a, o, &entry->tls, say(a, "%s.tls", path), true);
	if (p->tls.given && !entry->tls.given)
		finding_add(
			a, CHECK_PORT_DROPS_TLS, o, path,
			&(struct said){
				.text = say(
					a,
					"the entry for port %u has no tls, and so %s.tls does not "
					"count for it",
					entry->port, at),
				.why = "an entry replaces the settings of the destination as a "
				       "whole",
				.effect =
					"the port is spoken to as if there were no rule: mesh TLS "
					"to "
					"endpoints that speak it, plaintext to others",
				.mend = "repeat tls in the entry",
			});
	if (s && !has_port(a, o, entry->port))
		no_port(a, o, entry->port, path, s);
}

static void check_traffic(struct analysis *a, const struct object *o,
			  const struct traffic_policy *p, const char *at,
			  const struct view_service *s)
{
	check_tls(a, o, &p->tls, say(a, "%s.tls", at), false);
	for (size_t i = 0; i < p->n_ports; i++)
		check_entry(a, o, p, i, at, s);
}

static void empty_subset(struct analysis *a, const struct object *o, size_t i,
			 const struct view_service *s)
{
	const struct subset *subset = &spec_of(o)->subsets[i];
	struct names groups;
	size_t n = 0;
	names_init(&groups, a);
	for (size_t k = 0; k < a->n_targets; k++) {
		const struct target *t = &a->targets[k];
		if (t->port->service != s)
			continue;
		n += pairs_match(&subset->labels, &t->group->meta->labels);
		names_add(&groups, group_name(a, t->group));
	}
	const char *shown = names_end(&groups);
	if (n || !shown)
		return;
	finding_add(a, CHECK_SUBSET_EMPTY, o, say(a, "spec.subsets[%zu].labels", i),
		    &(struct said){
			    .text = say(a, "subset \"%s\" selects no Pod of Service %s/%s",
					subset->name, s->object->meta.ns, s->object->meta.name),
			    .why = say(a, "behind the Service is %s", shown),
			    .effect = "what is routed to the subset finds nobody",
			    .mend = "use labels of the Pods",
		    });
}

static void check_subset(struct analysis *a, const struct object *o, size_t i,
			 const struct view_service *s)
{
	const struct subset *subset = &spec_of(o)->subsets[i];
	const char *path = say(a, "spec.subsets[%zu]", i);
	bool one = spec_of(o)->host[0] != '*';
	check_traffic(a, o, &subset->policy, say(a, "%s.trafficPolicy", path), s);
	if (subset->labels.n == 0)
		finding_add(a, CHECK_SUBSET_LABELS, o, path,
			    &(struct said){
				    .text = say(a, "subset \"%s\" has no labels", subset->name),
				    .effect = "it is all Pods of the Service",
				    .mend = "say which Pods it is",
				    .yaml = say(a, "- name: %s\n  labels:\n    version: %s\n",
						subset->name, subset->name),
			    });
	else if (s && one && !world_has_strangers(a, s->object->meta.ns))
		empty_subset(a, o, i, s);
}

static bool has_subset(const struct destination_rule *r, const char *name)
{
	for (size_t i = 0; i < r->n_subsets; i++)
		if (strcmp(r->subsets[i].name, name) == 0)
			return true;
	return false;
}

/* What of O an OLDER rule for the same host takes away; NULL: nothing. */
static const char *lost_to(const struct analysis *a, const struct object *o,
			   const struct object *older)
{
	const struct destination_rule *r = spec_of(o);
	if (r->policy.given && spec_of(older)->policy.given)
		return "trafficPolicy";
	for (size_t i = 0; i < r->n_subsets; i++)
		if (has_subset(spec_of(older), r->subsets[i].name))
			return say(a, "subset \"%s\"", r->subsets[i].name);
	return NULL;
}

static void check_several(struct analysis *a, const struct object *o)
{
	const struct object_set *set = &a->sets[KIND_DESTINATION_RULE];
	char host[512], other[512], text[600];
	(void)rule_host(o, host, sizeof(host));
	for (size_t i = 0; i < set->n; i++) {
		const struct object *older = set->at[i];
		if (older == o || strcmp(older->meta.ns, o->meta.ns) != 0 ||
		    spec_of(older)->has_workload_selector != spec_of(o)->has_workload_selector ||
		    strcmp(rule_host(older, other, sizeof(other)), host) != 0 ||
		    !object_older(older, o))
			continue;
		const char *lost = lost_to(a, o, older);
		if (!lost)
			continue;
		finding_add(a, CHECK_SEVERAL_RULES, o, "spec.host",
			    &(struct said){
				    .text = say(a, "%s is for the same host, and its %s counts",
						object_text(older, text, sizeof(text)), lost),
				    .why = "the subsets of several rules are united; of everything "
					   "else "
					   "only the "
					   "oldest counts (of equal age, the first by name)",
				    .effect = say(a, "the %s of this one is lost", lost),
				    .mend = "write all of it into one rule",
			    });
		return;
	}
}

static void check_rule(struct analysis *a, const struct object *o)
{
	const struct destination_rule *r = spec_of(o);
	const struct view_service *s = service_of(a, o);
	if (!s)
		no_host(a, o);
	check_traffic(a, o, &r->policy, "spec.trafficPolicy", s);
	for (size_t i = 0; i < r->n_subsets; i++)
		check_subset(a, o, i, s);
	check_several(a, o);
	if (r->has_workload_selector)
		analyze_selector(a, o, &r->workload_selector, "spec.workloadSelector");
}

void analyze_rules(struct analysis *a)
{
	const struct object_set *set = &a->sets[KIND_DESTINATION_RULE];
	for (size_t i = 0; i < set->n; i++)
		check_rule(a, set->at[i]);
}
