/* ServiceEntry (networking.istio.io), with the rules that its CRD and Istio's webhook hold. How much of something there
 * may be holds for everybody, also for an API server without that CRD: one entry must not cost what a mesh does. */
#include "model/schema.h"

#include <string.h>

#include "model/protocol.h"

enum {
	MAX_HOSTS = 256,
	MAX_ADDRESSES = 256,
	MAX_ADDRESS_TEXT = 64,
	MAX_PORTS = 256,
	MAX_ENDPOINTS = 4096,
	MAX_VIPS = 2 * MAX_HOSTS,
	MAX_PRODUCT =
		1024 * 1024,   /* each host has the endpoints of each port: some 60 bytes each */
	MAX_NAMES = 64 * 1024, /* likewise of servers */
};

static const char *const no_names[] = {NULL};

/* At most MAX of what N lists, else that is told; false: nothing of it counts. */
static bool at_most(struct decoder *d, const struct tree *n, unsigned max, const char *what)
{
	if (n->type != TREE_SEQ) {
		decode_expected(d, n, what);
		return false;
	}
	if (n->n > max)
		decode_problem(d, n, NULL, "has more than %u items", max);
	return n->n <= max;
}

static void read_hosts(struct decoder *d, struct tree *n, void *out)
{
	struct service_entry *s = out;
	if (!at_most(d, n, MAX_HOSTS, "a list of host names"))
		return;
	const char **hosts = arena_array(d->arena, (size_t)n->n + 1, sizeof(*hosts));
	size_t count = 0;
	for (const struct tree *c = n->first; c; c = c->next) {
		const char *text = decode_string(d, c);
		const char *host = text ? lower_dup(d->arena, slice_of(text)) : "";
		if (text && strcmp(host, "*") == 0)
			decode_problem(d, c, NULL, "\"*\" alone is no host");
		else if (text && !host_name_ok(slice_of(host), true))
			decode_expected(d, c, "a host name, or one that begins with \"*.\"");
		else if (text)
			hosts[count++] = host;
	}
	if (n->n == 0)
		decode_problem(d, n, NULL, "names no host");
	s->hosts = hosts;
}

static void read_addresses(struct decoder *d, struct tree *n, void *out)
{
	struct service_entry *s = out;
	if (!at_most(d, n, MAX_ADDRESSES, "a list of addresses"))
		return;
	struct cidr *all = arena_array(d->arena, n->n, sizeof(*all));
	for (const struct tree *c = n->first; c; c = c->next) {
		bool ok = c->type == TREE_STRING && c->text.len <= MAX_ADDRESS_TEXT &&
			  cidr_parse(c->text, &all[s->n_addresses]);
		if (ok)
			s->n_addresses++;
		else
			decode_expected(d, c, "an IP address or a range like \"10.1.0.0/16\"");
	}
	s->addresses = all;
}

static const struct field port_fields[] = {
	FIELD_UINT(struct entry_port, "number", number, 1, 65535, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct entry_port, "name", name, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct entry_port, "protocol", protocol),
	FIELD_UINT(struct entry_port, "targetPort", target_port, 1, 65535),
};

static void check_port(struct decoder *d, const struct tree *n, void *out)
{
	const struct entry_port *p = out;
	check_protocol_word(d, n, "protocol", p->protocol);
}
static const struct schema port_schema = SCHEMA(struct entry_port, port_fields, NULL, check_port);

static const struct field selector_fields[] = {
	FIELD_PAIRS(struct service_entry, "labels", selector),
};

static void check_workload_selector(struct decoder *d, const struct tree *n, void *out)
{
	struct service_entry *s = out;
	s->has_selector = true;
	check_selector(d, n, "labels", &s->selector);
	if (d->strict && s->selector.n == 0)
		decode_problem(d, n, "labels", "names no label: nothing would be selected");
}
static const struct schema selector_schema =
	SCHEMA(struct service_entry, selector_fields, NULL, check_workload_selector);

static void check_ports(struct decoder *d, const struct tree *n, const struct service_entry *s)
{
	if (s->n_ports == 0)
		decode_problem(d, n, "ports", "is required: a ServiceEntry needs a port");
	for (size_t i = 0; i < s->n_ports; i++)
		for (size_t j = 0; j < i; j++) {
			const struct entry_port *p = &s->ports[i], *q = &s->ports[j];
			const struct tree *at = list_item(n, "ports", i);
			if (p->number == q->number)
				decode_problem(d, at, "number", "%u is also ports[%zu]", p->number,
					       j);
			if (strcmp(p->name, q->name) == 0)
				decode_problem(d, at, "name", "\"%.80s\" is also ports[%zu]",
					       p->name, j);
		}
}

static bool has_port(const struct service_entry *s, const char *name)
{
	for (size_t i = 0; i < s->n_ports; i++)
		if (strcmp(s->ports[i].name, name) == 0)
			return true;
	return false;
}

static void check_endpoint(struct decoder *d, const struct tree *n, const struct service_entry *s,
			   size_t i)
{
	const struct workload_entry *e = &s->endpoints[i];
	const struct tree *at = list_item(n, "endpoints", i);
	for (size_t k = 0; k < e->n_ports; k++)
		if (!has_port(s, e->ports[k].name))
			decode_problem(d, at, "ports", "\"%.80s\" is no port of the ServiceEntry",
				       e->ports[k].name);
	if (s->resolution == RESOLUTION_STATIC && e->address[0] && !e->has_ip)
		decode_problem(d, at, "address",
			       "STATIC takes IP addresses: a host name needs resolution DNS");
}

static bool is_wild(const char *host)
{
	return host[0] == '*';
}

static void check_resolution(struct decoder *d, const struct tree *n, const struct service_entry *s)
{
	bool dns = s->resolution == RESOLUTION_DNS || s->resolution == RESOLUTION_DNS_ROUND_ROBIN;
	for (size_t i = 0; dns && i < s->n_addresses; i++)
		if (s->addresses[i].bits != IP_BITS)
			decode_problem(d, list_item(n, "addresses", i), NULL,
				       "a range needs resolution NONE or STATIC");
	for (size_t i = 0; dns && s->n_endpoints == 0 && !s->has_selector && s->hosts[i]; i++)
		if (is_wild(s->hosts[i]))
			decode_problem(d, list_item(n, "hosts", i), NULL,
				       "a host with a star cannot be resolved: give endpoints, or "
				       "resolution NONE");
	switch (s->resolution) {
	case RESOLUTION_NONE:
		if (s->n_endpoints)
			decode_problem(d, n, "endpoints", "resolution NONE has no endpoints");
		return;
	case RESOLUTION_DNS_ROUND_ROBIN:
		if (s->n_endpoints > 1)
			decode_problem(d, n, "endpoints",
				       "resolution DNS_ROUND_ROBIN has at most one endpoint");
		return;
	case RESOLUTION_DYNAMIC_DNS:
		decode_problem(d, n, "resolution", "DYNAMIC_DNS is not supported by hark");
		return;
	case RESOLUTION_STATIC:
	case RESOLUTION_DNS:
		return;
	}
}

static size_t count(const char *const *texts)
{
	size_t n = 0;
	while (texts[n])
		n++;
	return n;
}

static void check_products(struct decoder *d, const struct tree *n, const struct service_entry *s)
{
	size_t n_hosts = count(s->hosts), n_names = count(s->subject_alt_names);
	if (n_hosts * s->n_ports * s->n_endpoints > MAX_PRODUCT)
		decode_problem(d, n, NULL,
			       "has more than %d endpoints in all: %zu hosts with %zu ports with "
			       "%zu endpoints each",
			       MAX_PRODUCT, n_hosts, s->n_ports, s->n_endpoints);
	if (n_hosts * n_names > MAX_NAMES)
		decode_problem(d, n, "subjectAltNames",
			       "has more than %d names in all: %zu hosts with %zu each", MAX_NAMES,
			       n_hosts, n_names);
}

static void check_spec(struct decoder *d, const struct tree *n, void *out)
{
	const struct service_entry *s = out;
	check_products(d, n, s);
	if (!d->strict)
		return;
	check_ports(d, n, s);
	if (s->has_selector && s->n_endpoints)
		decode_problem(d, n, "endpoints", "cannot stand beside workloadSelector");
	for (size_t i = 0; i < s->n_endpoints; i++)
		check_endpoint(d, n, s, i);
	check_resolution(d, n, s);
	check_export_to(d, n, s->export_to);
}

static void default_spec(void *out)
{
	struct service_entry *s = out;
	s->hosts = s->export_to = s->subject_alt_names = no_names;
}

static const char *const location_words[] = {"MESH_EXTERNAL", "MESH_INTERNAL", NULL};
static const char *const resolution_words[] = {"NONE",        "STATIC", "DNS", "DNS_ROUND_ROBIN",
					       "DYNAMIC_DNS", NULL};

static const struct field spec_fields[] = {
	FIELD_CUSTOM("hosts", read_hosts, .flags = FIELD_REQUIRED),
	FIELD_CUSTOM("addresses", read_addresses),
	FIELD_LIST(struct service_entry, "ports", ports, n_ports, &port_schema, .max = MAX_PORTS),
	FIELD_ENUM(struct service_entry, "location", location, location_words),
	FIELD_ENUM(struct service_entry, "resolution", resolution, resolution_words),
	FIELD_LIST(struct service_entry, "endpoints", endpoints, n_endpoints,
		   &workload_entry_spec_schema, .max = MAX_ENDPOINTS),
	FIELD_INLINE("workloadSelector", &selector_schema),
	FIELD_STRINGS(struct service_entry, "exportTo", export_to),
	FIELD_STRINGS(struct service_entry, "subjectAltNames", subject_alt_names),
};
static const struct schema spec_schema =
	SCHEMA(struct service_entry, spec_fields, NULL, check_spec);

/* The host's own text, where it has it: as a rule it does. */
static const char *vip_host(struct decoder *d, const struct service_entry *s, struct slice text)
{
	for (const char *const *host = s->hosts; *host; host++)
		if (slice_is(text, *host))
			return *host;
	return lower_dup(d->arena, text);
}

/* Those with a host: Istio's older ones, which stand for the whole entry, belong to nobody here. What is beyond a
 * pair for each host that an entry may have is nobody's either. */
static void read_vips(struct decoder *d, struct tree *n, void *out)
{
	struct service_entry *s = out;
	if (n->type != TREE_SEQ) {
		decode_expected(d, n, "a list of addresses");
		return;
	}
	size_t room = n->n < MAX_VIPS ? n->n : MAX_VIPS;
	struct entry_vip *all = arena_array(d->arena, room, sizeof(*all));
	for (const struct tree *c = n->first; c && s->n_vips < room; c = c->next) {
		const struct tree *value = c->type == TREE_MAP ? tree_get(c, "value") : NULL;
		const struct tree *host = value ? tree_get(c, "host") : NULL;
		struct entry_vip *vip = &all[s->n_vips];
		if (!host || host->type != TREE_STRING || value->type != TREE_STRING ||
		    !ip_parse(value->text, &vip->ip))
			continue;
		vip->host = vip_host(d, s, host->text);
		s->n_vips++;
	}
	s->vips = all;
}

static const struct field status_fields[] = {
	FIELD_CUSTOM("addresses", read_vips),
	FIELD_KNOWN("conditions"),
	FIELD_KNOWN("validationMessages"),
	FIELD_KNOWN("observedGeneration"),
};
static const struct schema status_schema = SCHEMA(struct service_entry, status_fields, NULL, NULL);

static const struct field fields[] = {
	TOP_ROWS,
	FIELD_INLINE("spec", &spec_schema, .flags = FIELD_REQUIRED),
	FIELD_INLINE("status", &status_schema),
};
const struct schema service_entry_schema = SCHEMA(struct service_entry, fields, default_spec, NULL);
