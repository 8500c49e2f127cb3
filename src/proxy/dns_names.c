#include "proxy/dns_names.h"

#include <string.h>

#include "base/mem.h"
#include "dns/cluster_name.h"

enum { ALIASES_MAX = 8 };

static const struct view_searches no_searches;

/* Where an ExternalName leads within the mesh, through others if need be. False: out of it. */
static bool follow_alias(const struct view *v, const char *alias, enum ip_family family,
			 struct dns_found *out)
{
	struct view_name name;
	for (unsigned hops = 0; hops < ALIASES_MAX; hops++) {
		struct slice to = slice_of(alias);
		if (slice_ends(to, SLICE(".")))
			to.len--;
		if (!view_name(v, to, &no_searches, family, out->ips, N_ELEMS(out->ips), &name))
			return false;
		alias = name.alias;
		if (alias)
			continue;
		out->n = name.n;
		out->alias_len = dns_name_of_text(to, out->alias);
		return out->alias_len != 0;
	}
	return false;
}

/* The name that was asked without the search domain behind it. */
static size_t cut_search(const struct dns_query *q, size_t search_len, char out[DNS_NAME_WIRE])
{
	size_t len = q->wire_len - 1 - (search_len + 1); /* its labels and their lengths */
	MUST(len < q->wire_len);
	memcpy(out, q->wire, len);
	out[len] = '\0';
	return len + 1;
}

static bool find(const struct view *v, const struct dns_query *q,
		 const struct view_searches *searches, enum ip_family family, struct dns_found *out)
{
	struct view_name name;
	if (!view_name(v, slice_of(q->name), searches, family, out->ips, N_ELEMS(out->ips), &name))
		return false;
	if (name.alias)
		return follow_alias(v, name.alias, family, out);
	out->n = name.n;
	out->alias_len = name.search_len ? cut_search(q, name.search_len, out->alias) : 0;
	return true;
}

bool dns_names_find(const struct view *v, const struct dns_query *q,
		    const struct view_searches *searches, struct dns_found *out)
{
	return find(v, q, searches, q->type == DNS_A ? IP_V4 : IP_V6, out);
}

bool dns_names_knows(const struct view *v, const struct dns_query *q,
		     const struct view_searches *searches, struct dns_found *scratch)
{
	return find(v, q, searches, IP_V4, scratch);
}

bool dns_names_is_all_known(const struct dns_query *q)
{
	return q->type != DNS_SRV && q->type != DNS_CNAME && q->type != DNS_ANY &&
	       slice_ends(slice_of(q->name), SLICE(".cluster.local"));
}

struct slice dns_names_of_address(const struct view *v, const struct dns_query *q)
{
	struct cluster_name n;
	cluster_name_read(slice_of(q->name), SLICE("cluster.local"), &n);
	const struct view_service *s =
		n.kind == CLUSTER_NAME_ADDRESS ? view_service_by_vip(v, &n.ip) : NULL;
	if (!s || (s->entry && !s->entry->given))
		return SLICE("");
	return slice_of(s->host);
}
