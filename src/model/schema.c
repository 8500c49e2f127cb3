/* What every kind has (metadata), and the small kinds. */
#include "model/schema.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "model/annotations.h"
#include "model/protocol.h"

const char *const l4_words[] = {"TCP", "UDP", "SCTP", NULL};

void check_name(struct decoder *d, const struct tree *n, const char *member, enum name_kind kind,
		const char *text)
{
	char shown[80];
	if (!name_ok(kind, slice_of(text)))
		decode_problem(d, n, member, "\"%s\" is no valid name: %s",
			       slice_printable(slice_of(text), shown, sizeof(shown)),
			       name_rule(kind));
}

void check_export_to(struct decoder *d, const struct tree *n, const char *const *to)
{
	for (size_t i = 0; to[i]; i++) {
		struct slice one = slice_of(to[i]);
		if (!slice_is(one, ".") && !slice_is(one, "*") && !slice_is(one, "~") &&
		    !name_ok(NAME_LABEL, one))
			decode_expected(d, list_item(n, "exportTo", i),
					"\".\", \"*\" or the name of a namespace");
	}
}

void check_protocol_word(struct decoder *d, const struct tree *n, const char *member,
			 const char *word)
{
	if (d->strict && word[0] && protocol_parse(slice_of(word)) == PROTO_AUTO)
		decode_problem(
			d, n, member,
			"\"%.40s\" is no protocol that is known: leave it out, and both ends "
			"are listened to",
			word);
}

const char *lower_dup(struct arena *a, struct slice text)
{
	char *lower = arena_dup(a, text);
	for (char *c = lower; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return lower;
}

bool host_name_ok(struct slice host, bool wildcard)
{
	if (wildcard && slice_starts(host, SLICE("*.")))
		host = slice_sub(host, 2, host.len);
	return name_ok(NAME_SUBDOMAIN, host);
}

const struct tree *list_item(const struct tree *n, const char *member, size_t i)
{
	const struct tree *list = tree_get(n, member);
	const struct tree *item = list ? list->first : NULL;
	while (item && i--)
		item = item->next;
	return item ? item : n;
}

void read_port_or_name(struct decoder *d, const struct tree *n, struct int_or_name *out)
{
	if (n->type == TREE_INT && n->integer >= 1 && n->integer <= UINT16_MAX)
		out->number = (uint16_t)n->integer;
	else if (n->type == TREE_STRING && name_ok(NAME_PORT, n->text))
		out->name = arena_dup(d->arena, n->text);
	else
		decode_expected(d, n, "a port 1..65535 or the name of a container's port");
}

void read_ip(struct decoder *d, const struct tree *n, struct ip *out, bool *ok)
{
	*ok = n->type == TREE_STRING && ip_parse(n->text, out);
	if (!*ok)
		decode_expected(d, n, "an IP address");
}

static void read_resource_version(struct decoder *d, struct tree *n, void *out)
{
	struct meta *m = out;
	/* Opaque by the API's rules, decimal in fact. What is not decimal is only compared, never
	 * here: 0 does. */
	const char *text = decode_string(d, n);
	uint64_t version = 0;
	if (text && slice_to_u64(slice_of(text), UINT64_MAX, &version))
		m->resource_version = version;
}

/* DIGITS digits at *AT, which moves behind them and AFTER (NUL: nothing is asked for there). -1: they are not there, and
 * *AT stands where that was seen, never behind the text. */
static int take_number(const char **at, unsigned digits, char after)
{
	int value = 0;
	for (; digits; digits--, (*at)++) {
		if (**at < '0' || **at > '9')
			return -1;
		value = value * 10 + (**at - '0');
	}
	if (!after)
		return value;
	if (**at != after)
		return -1;
	(*at)++;
	return value;
}

/* Leap days from the year 1 until the end of YEAR. */
static int leap_days(int year)
{
	return year / 4 - year / 100 + year / 400;
}

/* The form that every API server writes: "2026-01-02T03:04:05Z", on days that each month has. False: perhaps it is
 * another. Each object has such a time, and what the library takes for it is more than the rest of many. */
static bool parse_plain_time(const char *text, uint64_t *ns)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
	uint64_t fraction = 0, unit = NS_PER_S;
	int year = take_number(&text, 4, '-');
	int month = year < 1970 ? -1 : take_number(&text, 2, '-');
	int day = month < 1 || month > 12 ? -1 : take_number(&text, 2, 'T');
	int in_month = day < 1 ? 0 : before[month] - before[month - 1];
	int hour = day > in_month ? -1 : take_number(&text, 2, ':');
	int minute = hour < 0 || hour > 23 ? -1 : take_number(&text, 2, ':');
	int second = minute < 0 || minute > 59 ? -1 : take_number(&text, 2, '\0');
	if (in_month == 0 || second < 0 || second > 59 || year > 2200)
		return false;
	if (*text == '.')
		for (text++; *text >= '0' && *text <= '9'; text++)
			fraction += (uint64_t)(*text - '0') * (unit /= 10);
	int days = 365 * (year - 1970) + leap_days(month > 2 ? year : year - 1) - leap_days(1969) +
		   before[month - 1] + day - 1;
	*ns = (((uint64_t)days * 24 + (uint64_t)hour) * 3600 + (uint64_t)minute * 60 +
	       (uint64_t)second) *
		      NS_PER_S +
	      fraction;
	return strcmp(text, "Z") == 0;
}

/* RFC 3339: "2026-01-02T03:04:05Z", with a fraction or an offset where there is one. */
static bool parse_time(const char *text, uint64_t *ns)
{
	if (parse_plain_time(text, ns))
		return true;
	struct tm tm = {0};
	const char *at = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	uint64_t fraction = 0, unit = NS_PER_S;
	if (!at)
		return false;
	if (*at == '.')
		for (at++; *at >= '0' && *at <= '9'; at++)
			fraction += (uint64_t)(*at - '0') * (unit /= 10);
	struct tm zone = {0};
	const char *end = *at ? strptime(at, "%z", &zone) : NULL; /* takes "Z" as well */
	if (!end || *end)
		return false;
	time_t seconds = timegm(&tm) - zone.tm_gmtoff;
	if (seconds < 0 || seconds > INT64_MAX / (time_t)NS_PER_S)
		return false;
	*ns = (uint64_t)seconds * NS_PER_S + fraction;
	return true;
}

static void read_time(struct decoder *d, const struct tree *n, uint64_t *ns)
{
	if (n->type != TREE_STRING || !parse_time(n->text.at, ns))
		decode_expected(d, n, "a time like \"2026-01-02T03:04:05Z\"");
}

static void read_creation(struct decoder *d, struct tree *n, void *out)
{
	struct meta *m = out;
	read_time(d, n, &m->creation_ns);
}

static void read_deletion(struct decoder *d, struct tree *n, void *out)
{
	struct meta *m = out;
	read_time(d, n, &m->deletion_ns);
}

struct owner {
	const char *kind, *name;
	bool controller;
};

static const struct field owner_fields[] = {
	FIELD_KNOWN("apiVersion"),
	FIELD_STRING(struct owner, "kind", kind, .flags = FIELD_REQUIRED),
	FIELD_STRING(struct owner, "name", name, .flags = FIELD_REQUIRED),
	FIELD_KNOWN("uid"),
	FIELD_BOOL(struct owner, "controller", controller),
	FIELD_KNOWN("blockOwnerDeletion"),
};
static const struct schema owner_schema = SCHEMA(struct owner, owner_fields, NULL, NULL);

static void read_owners(struct decoder *d, struct tree *n, void *out)
{
	struct meta *m = out;
	if (n->type != TREE_SEQ) {
		decode_expected(d, n, "a list");
		return;
	}
	for (struct tree *c = n->first; c; c = c->next) {
		struct owner owner = {0};
		decode(d, &owner_schema, c, &owner);
		if (owner.controller) {
			m->owner_kind = owner.kind;
			m->owner_name = owner.name;
		}
	}
}

/* A sidecar reads few annotations, and some are long. */
static bool is_ours(struct slice key)
{
	return slice_starts(key, SLICE("hark.mesh/")) || slice_contains(key, SLICE("istio.io/"));
}

static void read_annotations(struct decoder *d, struct tree *n, void *out)
{
	struct meta *m = out;
	decode_pairs(d, n, d->lean ? is_ours : NULL, &m->annotations);
}

static void check_labels(struct decoder *d, const struct tree *n, const char *member,
			 const struct pairs *labels, bool values)
{
	const struct tree *map = tree_get(n, member);
	for (size_t i = 0; i < labels->n; i++) {
		const char *key = labels->at[i].key;
		check_name(d, map, key, NAME_QUALIFIED, key);
		if (values)
			check_name(d, map, key, NAME_LABEL_VALUE, labels->at[i].value);
	}
}

static void check_detection(struct decoder *d, const struct tree *n, const struct meta *m)
{
	const struct tree *annotations = tree_get(n, "annotations");
	struct err err = {0};
	enum detection detection = DETECTION_BOTH_ENDS;
	uint32_t ms = 0;
	bool found = false;
	const char *text = pairs_get(&m->annotations, ANNOTATION_DETECTION);
	if (text && !annotation_detection(slice_of(text), 0, &detection, &found, &err))
		decode_problem(d, annotations, ANNOTATION_DETECTION, "%s", err.text);
	text = pairs_get(&m->annotations, ANNOTATION_DETECTION_TIMEOUT);
	if (text && !annotation_timeout(slice_of(text), 0, &ms, &found, &err))
		decode_problem(d, annotations, ANNOTATION_DETECTION_TIMEOUT, "%s", err.text);
}

static void check_meta(struct decoder *d, const struct tree *n, void *out)
{
	const struct meta *m = out;
	if (m->ns[0])
		check_name(d, n, "namespace", NAME_LABEL, m->ns);
	check_labels(d, n, "labels", &m->labels, true);
	check_labels(d, n, "annotations", &m->annotations, false);
	check_detection(d, n, m);
}

static const struct field meta_fields[] = {
	FIELD_STRING(struct meta, "name", name),
	FIELD_STRING(struct meta, "namespace", ns),
	FIELD_STRING(struct meta, "uid", uid, .flags = FIELD_SKIP_LEAN),
	FIELD_STRING(struct meta, "generateName", generate_name, .flags = FIELD_SKIP_LEAN),
	FIELD_PAIRS(struct meta, "labels", labels),
	FIELD_CUSTOM("annotations", read_annotations),
	FIELD_CUSTOM("resourceVersion", read_resource_version),
	FIELD_UINT(struct meta, "generation", generation, 0, INT64_MAX),
	FIELD_CUSTOM("creationTimestamp", read_creation),
	FIELD_CUSTOM("ownerReferences", read_owners),
	FIELD_KNOWN("selfLink"),
	FIELD_CUSTOM("deletionTimestamp", read_deletion),
	FIELD_KNOWN("deletionGracePeriodSeconds"),
	FIELD_KNOWN("finalizers"),
	FIELD_KNOWN("managedFields"),
};

static void default_meta(void *out)
{
	struct meta *m = out;
	m->owner_kind = m->owner_name = "";
}

const struct schema meta_schema = SCHEMA(struct meta, meta_fields, default_meta, check_meta);

struct nothing {
	char none;
};

static const struct field namespace_fields[] = {
	TOP_ROWS,
	FIELD_KNOWN("spec"),
	FIELD_KNOWN("status"),
};
static const struct schema namespace_schema = SCHEMA(struct nothing, namespace_fields, NULL, NULL);

static void check_config_map(struct decoder *d, const struct tree *n, void *out)
{
	const struct config_map *cm = out;
	const struct tree *data = tree_get(n, "data");
	for (size_t i = 0; i < cm->data.n; i++)
		check_name(d, data, cm->data.at[i].key, NAME_CONFIG_KEY, cm->data.at[i].key);
}

static const struct field config_map_fields[] = {
	TOP_ROWS,
	FIELD_PAIRS(struct config_map, "data", data),
	FIELD_UNSUPPORTED("binaryData"),
	FIELD_KNOWN("immutable"),
};
static const struct schema config_map_schema =
	SCHEMA(struct config_map, config_map_fields, NULL, check_config_map);

const struct schema *kind_schema(enum kind kind)
{
	static const struct schema *const schemas[N_KINDS] = {
		[KIND_NAMESPACE] = &namespace_schema,
		[KIND_CONFIG_MAP] = &config_map_schema,
		[KIND_SERVICE] = &service_schema,
		[KIND_ENDPOINT_SLICE] = &endpoint_slice_schema,
		[KIND_POD] = &pod_schema,
		[KIND_DEPLOYMENT] = &deployment_schema,
		[KIND_PEER_AUTHENTICATION] = &peer_authentication_schema,
		[KIND_DESTINATION_RULE] = &destination_rule_schema,
		[KIND_AUTHORIZATION_POLICY] = &authorization_policy_schema,
		[KIND_SERVICE_ENTRY] = &service_entry_schema,
		[KIND_WORKLOAD_ENTRY] = &workload_entry_schema,
		[KIND_SIDECAR] = &sidecar_schema,
	};
	return schemas[kind];
}
