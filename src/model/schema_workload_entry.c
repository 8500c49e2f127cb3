/* WorkloadEntry (networking.istio.io): a workload that is no Pod; a ServiceEntry's endpoints have the
 * same fields. */
#include "model/schema.h"

#include <string.h>

enum { MAX_ADDRESS = 256 };

static void read_address(struct decoder *d, struct tree *n, void *out)
{
	struct workload_entry *e = out;
	const char *text = decode_string(d, n);
	if (!text)
		return;
	struct slice address = slice_of(text);
	if (address.len > MAX_ADDRESS) {
		decode_problem(d, n, NULL, "is longer than %d characters", MAX_ADDRESS);
		return;
	}
	if (slice_starts(address, SLICE("unix:"))) {
		if (d->strict)
			decode_problem(d, n, NULL, "Unix sockets are not supported by hark");
		return;
	}
	e->has_ip = ip_parse(address, &e->ip);
	e->address = lower_dup(d->arena, address);
	if (!e->has_ip && address.len && !host_name_ok(slice_of(e->address), false))
		decode_expected(d, n, "an IP address or a host name");
}

/* The keys are the names of the ServiceEntry's ports. */
static void read_ports(struct decoder *d, struct tree *n, void *out)
{
	struct workload_entry *e = out;
	if (n->type != TREE_MAP) {
		decode_expected(d, n, "an object whose keys are names of ports");
		return;
	}
	struct workload_port *ports = arena_array(d->arena, n->n, sizeof(*ports));
	for (const struct tree *c = n->first; c; c = c->next) {
		if (c->type != TREE_INT || c->integer < 1 || c->integer > UINT16_MAX) {
			decode_expected(d, c, "a port 1..65535");
			continue;
		}
		ports[e->n_ports++] =
			(struct workload_port){arena_dup(d->arena, c->key), (uint16_t)c->integer};
	}
	e->ports = ports;
}

static void default_entry(void *out)
{
	struct workload_entry *e = out;
	e->address = "";
}

static void check_entry(struct decoder *d, const struct tree *n, void *out)
{
	const struct workload_entry *e = out;
	if (d->strict && !e->address[0] && !e->network[0] && !tree_get(n, "address"))
		decode_problem(d, n, "address", "is required, unless network is given");
}

static const struct field spec_fields[] = {
	FIELD_CUSTOM("address", read_address),
	FIELD_CUSTOM("ports", read_ports),
	FIELD_PAIRS(struct workload_entry, "labels", labels),
	FIELD_STRING(struct workload_entry, "network", network),
	FIELD_STRING(struct workload_entry, "locality", locality),
	FIELD_UINT(struct workload_entry, "weight", weight, 0, UINT32_MAX),
	FIELD_STRING(struct workload_entry, "serviceAccount", service_account),
};
const struct schema workload_entry_spec_schema =
	SCHEMA(struct workload_entry, spec_fields, default_entry, check_entry);

static const struct field fields[] = {
	TOP_ROWS,
	FIELD_INLINE("spec", &workload_entry_spec_schema, .flags = FIELD_REQUIRED),
	FIELD_KNOWN("status"),
};
const struct schema workload_entry_schema = SCHEMA(struct workload_entry, fields, NULL, NULL);
