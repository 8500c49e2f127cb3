#include "dns/cluster_name.h"

#include <string.h>

enum { MAX_LABELS = 8 };

/* NAME ends in ".SUFFIX" (or is SUFFIX): cuts it off. */
static bool cut_suffix(struct slice *name, struct slice suffix)
{
	if (slice_eq(*name, suffix)) {
		name->len = 0;
		return true;
	}
	if (name->len <= suffix.len || !slice_ends(*name, suffix) ||
	    slice_sub(*name, name->len - suffix.len - 1, 1).at[0] != '.')
		return false;
	*name = slice_sub(*name, 0, name->len - suffix.len - 1);
	return true;
}

/* Labels from the right: "a.b.c" gives c, b, a. Returns how many there are, at most MAX + 1. */
static size_t labels_of(struct slice name, struct slice out[MAX_LABELS])
{
	struct slice forward[MAX_LABELS] = {0};
	size_t n = 0;
	while (name.len) {
		struct slice label = slice_cut(&name, '.');
		if (n == MAX_LABELS)
			return MAX_LABELS + 1;
		forward[n++] = label;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = forward[n - 1 - i];
	return n;
}

static bool cut_underscore(struct slice label, struct slice *rest)
{
	if (!slice_starts(label, SLICE("_")) || label.len == 1)
		return false;
	*rest = slice_sub(label, 1, label.len - 1);
	return true;
}

/* "4.3.2.1" below in-addr.arpa is 1.2.3.4; RFC 1035 3.5. */
static bool reverse_v4(struct slice name, struct ip *ip)
{
	struct slice labels[MAX_LABELS];
	uint32_t host_order = 0;

	if (labels_of(name, labels) != 4)
		return false;
	for (size_t i = 0; i < 4; i++) {
		uint64_t byte;
		if (!slice_to_u64(labels[i], 255, &byte))
			return false;
		host_order = host_order << 8 | (uint32_t)byte;
	}
	*ip = ip_v4(host_order);
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* 32 nibbles, the last one first; RFC 3596 2.5. */
static bool reverse_v6(struct slice name, struct ip *ip)
{
	memset(ip, 0, sizeof(*ip));
	for (unsigned i = 0; i < 32; i++) {
		struct slice label = slice_cut(&name, '.');
		int digit = label.len == 1 ? hex_digit(label.at[0]) : -1;
		if (digit < 0)
			return false;
		uint8_t *byte = &ip->b[15 - i / 2];
		*byte = (uint8_t)(*byte | digit << (i % 2 ? 4 : 0));
	}
	return name.len == 0;
}

const char *cluster_name_of_ip(const struct ip *ip, char out[ADDR_TEXT])
{
	ip_text(ip, out);
	for (char *c = out; *c; c++)
		if (*c == '.' || *c == ':')
			*c = '-';
	return out;
}

static bool dashed_ip(struct slice label, struct ip *ip)
{
	char text[ADDR_TEXT];
	if (label.len == 0 || label.len >= sizeof(text))
		return false;
	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t i = 0; i < label.len; i++)
			text[i] = label.at[i] == '-' ? (v6 ? ':' : '.') : label.at[i];
		if (ip_parse((struct slice){text, label.len}, ip))
			return true;
	}
	return false;
}

/* What stands before ".svc.ZONE" or ".pod.ZONE", labels from the right; N counts them with the
 * branch. */
static enum cluster_name_kind below_svc(const struct slice *labels, size_t n,
					struct cluster_name *out)
{
	if (n == 1)
		return CLUSTER_NAME_BRANCH;
	out->ns = labels[1];
	if (n == 2)
		return CLUSTER_NAME_NS;
	out->service = labels[2];
	if (n == 3)
		return CLUSTER_NAME_SERVICE;
	if (cut_underscore(labels[3], &out->protocol)) {
		if (n == 4)
			return CLUSTER_NAME_PROTOCOL;
		return n == 5 && cut_underscore(labels[4], &out->port) ? CLUSTER_NAME_PORT
								       : CLUSTER_NAME_NONE;
	}
	out->host = labels[3];
	return n == 4 ? CLUSTER_NAME_HOST : CLUSTER_NAME_NONE;
}

static enum cluster_name_kind below_pod(const struct slice *labels, size_t n,
					struct cluster_name *out)
{
	if (n == 1)
		return CLUSTER_NAME_BRANCH;
	out->ns = labels[1];
	if (n == 2)
		return CLUSTER_NAME_NS;
	return n == 3 && dashed_ip(labels[2], &out->ip) ? CLUSTER_NAME_POD : CLUSTER_NAME_NONE;
}

void cluster_name_read(struct slice name, struct slice zone, struct cluster_name *out)
{
	struct slice labels[MAX_LABELS];

	memset(out, 0, sizeof(*out));
	if (cut_suffix(&name, SLICE("in-addr.arpa"))) {
		out->kind =
			reverse_v4(name, &out->ip) ? CLUSTER_NAME_ADDRESS : CLUSTER_NAME_OUTSIDE;
		return;
	}
	if (cut_suffix(&name, SLICE("ip6.arpa"))) {
		out->kind =
			reverse_v6(name, &out->ip) ? CLUSTER_NAME_ADDRESS : CLUSTER_NAME_OUTSIDE;
		return;
	}
	if (!cut_suffix(&name, zone)) {
		out->kind = CLUSTER_NAME_OUTSIDE;
		return;
	}
	size_t n = labels_of(name, labels);
	out->kind = CLUSTER_NAME_NONE;
	if (n == 0)
		out->kind = CLUSTER_NAME_ZONE;
	else if (n <= MAX_LABELS && slice_is(labels[0], "svc"))
		out->kind = below_svc(labels, n, out);
	else if (n <= MAX_LABELS && slice_is(labels[0], "pod"))
		out->kind = below_pod(labels, n, out);
}
