/* Settings from annotations and flags: text in, struct capture_config out. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "capture/capture.h"
#include "model/sidecar.h"

enum { LIST_MAX = 1024 }; /* entries of one annotation; a rule each */

void capture_config_init(struct capture_config *cfg)
{
	*cfg = (struct capture_config){
		.mode = CAPTURE_REDIRECT,
		.outbound_port = SIDECAR_OUTBOUND_PORT,
		.inbound_port = SIDECAR_INBOUND_PORT,
		.dns_port = SIDECAR_DNS_PORT,
		.status_port = SIDECAR_METRICS_PORT,
		.uid = SIDECAR_ID,
		.gid = SIDECAR_ID,
		.inbound.all = true,
		.ranges.all = true,
	};
}

/* Parsers of one value. WHERE is what the message calls it. */

struct value {
	struct slice text;
	const char *where;
	struct arena *arena;
};

static bool bad(const struct value *v, struct slice entry, const char *expected, struct err *err)
{
	char shown[128];
	return err_set(err, ERR_BAD_INPUT, "%s: \"%s\" is not %s", v->where,
		       slice_printable(entry, shown, sizeof(shown)), expected);
}

static bool count_entries(const struct value *v, size_t *n, struct err *err)
{
	struct slice rest = v->text;
	*n = 0;
	while (rest.len) {
		(void)slice_cut(&rest, ','); /* only counted here */
		if (++*n > LIST_MAX)
			return err_set(err, ERR_LIMIT, "%s: more than %d entries", v->where,
				       LIST_MAX);
	}
	return true;
}

static bool to_port(struct slice text, uint16_t *out)
{
	uint64_t port = 0;
	if (!slice_to_u64(text, UINT16_MAX, &port) || port == 0)
		return false;
	*out = (uint16_t)port;
	return true;
}

static bool parse_ports(const struct value *v, bool star, struct capture_ports *out,
			struct err *err)
{
	*out = (struct capture_ports){0};
	if (star && slice_is(v->text, "*")) {
		out->all = true;
		return true;
	}
	size_t n = 0;
	if (!count_entries(v, &n, err))
		return false;
	uint16_t *at = arena_array(v->arena, n, sizeof(*at));
	struct slice rest = v->text;
	for (size_t i = 0; i < n; i++) {
		struct slice entry = slice_trim(slice_cut(&rest, ','));
		if (!to_port(entry, &at[i]))
			return bad(v, entry,
				   star ? "a port (1 to 65535; the list is separated by commas, or "
					  "is * for all ports)"
					: "a port (1 to 65535; the list is separated by commas)",
				   err);
	}
	out->at = at;
	out->n = n;
	return true;
}

static bool parse_cidrs(const struct value *v, bool star, struct capture_cidrs *out,
			struct err *err)
{
	*out = (struct capture_cidrs){0};
	if (star && slice_is(v->text, "*")) {
		out->all = true;
		return true;
	}
	size_t n = 0;
	if (!count_entries(v, &n, err))
		return false;
	struct cidr *at = arena_array(v->arena, n, sizeof(*at));
	struct slice rest = v->text;
	for (size_t i = 0; i < n; i++) {
		struct slice entry = slice_trim(slice_cut(&rest, ','));
		if (!cidr_parse(entry, &at[i]))
			return bad(v, entry, "an address range such as 10.0.0.0/8 or fd00::/8",
				   err);
	}
	out->at = at;
	out->n = n;
	return true;
}

/* What the kernel's dev_valid_name() takes, minus what would need quoting in a rule. */
static bool iface_ok(struct slice name)
{
	if (name.len == 0 || name.len >= CAPTURE_IFACE_LEN || slice_is(name, ".") ||
	    slice_is(name, ".."))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];
		bool word =
			(c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!word && c != '.' && c != '_' && c != '-' && c != '@')
			return false;
	}
	return true;
}

static bool parse_ifaces(const struct value *v, struct capture_ifaces *out, struct err *err)
{
	*out = (struct capture_ifaces){0};
	size_t n = 0;
	if (!count_entries(v, &n, err))
		return false;
	char(*at)[CAPTURE_IFACE_LEN] = arena_array(v->arena, n, sizeof(*at));
	struct slice rest = v->text;
	for (size_t i = 0; i < n; i++) {
		struct slice entry = slice_trim(slice_cut(&rest, ','));
		if (!iface_ok(entry))
			return bad(v, entry, "the name of a network interface", err);
		memcpy(at[i], entry.at, entry.len);
	}
	out->at = (const char(*)[CAPTURE_IFACE_LEN])at;
	out->n = n;
	return true;
}

static bool parse_mode(const struct value *v, enum capture_mode *out, struct err *err)
{
	if (slice_is(v->text, "REDIRECT"))
		*out = CAPTURE_REDIRECT;
	else if (slice_is(v->text, "NONE"))
		*out = CAPTURE_NONE;
	else if (slice_is(v->text, "TPROXY"))
		return err_set(err, ERR_BAD_INPUT,
			       "%s: TPROXY is not offered here; use REDIRECT (the default) or NONE",
			       v->where);
	else
		return bad(v, v->text, "REDIRECT or NONE", err);
	return true;
}

static bool parse_status_port(const struct value *v, uint16_t *out, struct err *err)
{
	if (slice_is(v->text, "0")) { /* Istio: no probes through the agent */
		*out = 0;
		return true;
	}
	if (!to_port(v->text, out))
		return bad(v, v->text, "a port (1 to 65535, or 0 for none)", err);
	return true;
}

static bool set_value(struct capture_config *cfg, const char *name, const struct value *v,
		      struct err *err)
{
	if (strcmp(name, "interceptionMode") == 0)
		return parse_mode(v, &cfg->mode, err);
	if (strcmp(name, "includeInboundPorts") == 0)
		return parse_ports(v, true, &cfg->inbound, err);
	if (strcmp(name, "excludeInboundPorts") == 0)
		return parse_ports(v, false, &cfg->inbound_exclude, err);
	if (strcmp(name, "includeOutboundIPRanges") == 0)
		return parse_cidrs(v, true, &cfg->ranges, err);
	if (strcmp(name, "excludeOutboundIPRanges") == 0)
		return parse_cidrs(v, false, &cfg->ranges_exclude, err);
	if (strcmp(name, "includeOutboundPorts") == 0)
		return parse_ports(v, false, &cfg->outbound_include, err);
	if (strcmp(name, "excludeOutboundPorts") == 0)
		return parse_ports(v, false, &cfg->outbound_exclude, err);
	if (strcmp(name, "excludeInterfaces") == 0)
		return parse_ifaces(v, &cfg->ifaces_exclude, err);
	if (strcmp(name, "rerouteVirtualInterfaces") == 0)
		return parse_ifaces(v, &cfg->ifaces_reroute, err);
	if (strcmp(name, "statusPort") == 0)
		return parse_status_port(v, &cfg->status_port, err);
	return err_set(err, ERR_BAD_INPUT, "%s: capture has no setting called %s", v->where, name);
}

bool capture_config_set(struct capture_config *cfg, const char *name, struct slice value,
			const char *where, struct arena *arena, struct err *err)
{
	struct value v = {slice_trim(value), where, arena};
	return set_value(cfg, name, &v, err);
}

/* In this order: of two names for one setting the later wins (spec: the new name does). */
static const struct {
	const char *annotation, *setting;
} annotations[] = {
	{"sidecar.istio.io/interceptionMode", "interceptionMode"},
	{"traffic.sidecar.istio.io/includeInboundPorts", "includeInboundPorts"},
	{"traffic.sidecar.istio.io/excludeInboundPorts", "excludeInboundPorts"},
	{"traffic.sidecar.istio.io/includeOutboundIPRanges", "includeOutboundIPRanges"},
	{"traffic.sidecar.istio.io/excludeOutboundIPRanges", "excludeOutboundIPRanges"},
	{"traffic.sidecar.istio.io/includeOutboundPorts", "includeOutboundPorts"},
	{"traffic.sidecar.istio.io/excludeOutboundPorts", "excludeOutboundPorts"},
	{"traffic.sidecar.istio.io/excludeInterfaces", "excludeInterfaces"},
	{"traffic.sidecar.istio.io/kubevirtInterfaces", "rerouteVirtualInterfaces"},
	{"istio.io/reroute-virtual-interfaces", "rerouteVirtualInterfaces"},
	{"status.sidecar.istio.io/port", "statusPort"},
};

bool capture_config_from_annotations(capture_annotation_fn *get, void *ctx, struct arena *arena,
				     struct capture_config *cfg, struct err *err)
{
	for (size_t i = 0; i < N_ELEMS(annotations); i++) {
		struct slice text = {0};
		if (!get(ctx, annotations[i].annotation, &text))
			continue;
		char where[128];
		MUST(snprintf(where, sizeof(where), "annotation %s", annotations[i].annotation) <
		     (int)sizeof(where));
		if (!capture_config_set(cfg, annotations[i].setting, text, where, arena, err))
			return false;
	}
	return true;
}
