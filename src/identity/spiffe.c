#include "identity/spiffe.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static const char scheme[] = "spiffe://";

/* Lower-case letters, digits, dot, dash, underscore. */
static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

/* SPIFFE-ID 2.1; at most 255 bytes. */
static bool domain_ok(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_plain(s.at[i]))
			return false;
	return s.len > 0 && s.len <= 255;
}

/* SPIFFE-ID 2.2: capitals too; not "." and not "..". */
static bool segment_ok(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_plain(s.at[i]) && !(s.at[i] >= 'A' && s.at[i] <= 'Z'))
			return false;
	return s.len > 0 && !slice_is(s, ".") && !slice_is(s, "..");
}

static bool bad(struct err *err, struct slice uri, const char *rule)
{
	char text[160];
	return err_set(err, ERR_BAD_INPUT, "SPIFFE ID \"%s\": %s",
		       slice_printable(uri, text, sizeof(text)), rule);
}

bool spiffe_parse(struct slice uri, struct spiffe_id *out, struct err *err)
{
	struct slice rest = uri;
	if (uri.len > SPIFFE_MAX)
		return bad(err, uri, "longer than 2048 bytes");
	if (!slice_starts(uri, SLICE("spiffe://")))
		return bad(err, uri, "does not begin with spiffe://");
	rest = slice_sub(rest, sizeof(scheme) - 1, rest.len);
	struct slice domain = slice_cut(&rest, '/');
	struct slice ns_word = slice_cut(&rest, '/'), ns = slice_cut(&rest, '/');
	struct slice sa_word = slice_cut(&rest, '/'), sa = rest;
	if (!domain_ok(domain))
		return bad(err, uri,
			   "the trust domain is not made of a-z, 0-9, dot, dash, underscore");
	if (!slice_is(ns_word, "ns") || !slice_is(sa_word, "sa"))
		return bad(err, uri, "the path is not /ns/NAMESPACE/sa/SERVICE-ACCOUNT");
	if (!segment_ok(ns) || !segment_ok(sa))
		return bad(err, uri,
			   "namespace or service account is empty or has a bad character");
	*out = (struct spiffe_id){domain, ns, sa};
	return true;
}

/* DOMAIN as it goes into an id. */
static bool domain_of(struct slice domain, char out[256], struct err *err)
{
	char text[160];
	size_t n = domain.len < 255 ? domain.len : 255;
	for (size_t i = 0; i < n; i++)
		out[i] = domain.at[i] == '@' ? '.' : domain.at[i];
	out[n] = '\0';
	if (domain.len <= 255 && domain_ok((struct slice){out, n}))
		return true;
	return err_set(err, ERR_BAD_INPUT,
		       "trust domain \"%s\": not made of a-z, 0-9, dot, dash, underscore",
		       slice_printable(domain, text, sizeof(text)));
}

bool spiffe_format(const struct spiffe_id *id, char out[SPIFFE_MAX + 1], struct err *err)
{
	char domain[256];
	if (!domain_of(id->trust_domain, domain, err))
		return false;
	if (!segment_ok(id->ns) || !segment_ok(id->service_account))
		return err_set(err, ERR_BAD_INPUT,
			       "SPIFFE ID: namespace or service account is empty or has a bad "
			       "character");
	int n = snprintf(out, SPIFFE_MAX + 1, "spiffe://%s/ns/%.*s/sa/%.*s", domain,
			 SLICE_FMT(id->ns), SLICE_FMT(id->service_account));
	return (n > 0 && n <= SPIFFE_MAX) ||
	       err_set(err, ERR_LIMIT, "SPIFFE ID: longer than %d bytes", SPIFFE_MAX);
}

/* ---- trust ------------------------------------------------------------------------------------ */

struct spiffe_trust {
	size_t n;
	char (*domain)[256]; /* the present name first */
};

struct spiffe_trust *spiffe_trust_new(struct slice domain, const struct slice *aliases,
				      size_t n_aliases, struct err *err)
{
	struct spiffe_trust *t = mem_new(sizeof(*t));
	t->domain = mem_array(n_aliases + 1, sizeof(t->domain[0]));
	t->n = n_aliases + 1;
	bool ok = domain_of(domain, t->domain[0], err);
	for (size_t i = 0; ok && i < n_aliases; i++)
		ok = domain_of(aliases[i], t->domain[i + 1], err) || err_wrap(err, "alias");
	if (ok)
		return t;
	spiffe_trust_free(t);
	return NULL;
}

void spiffe_trust_free(struct spiffe_trust *t)
{
	if (!t)
		return;
	free(t->domain);
	free(t);
}

static bool trusts_domain(const struct spiffe_trust *t, struct slice domain)
{
	for (size_t i = 0; i < t->n; i++)
		if (slice_is(domain, t->domain[i]))
			return true;
	return false;
}

bool spiffe_trusts(const struct spiffe_trust *t, struct slice uri)
{
	if (!slice_starts(uri, SLICE("spiffe://")))
		return false;
	struct slice rest = slice_sub(uri, sizeof(scheme) - 1, uri.len);
	/* the slash counts: cluster.local is no prefix of cluster.localhost */
	return slice_find(rest, '/') < rest.len && trusts_domain(t, slice_cut(&rest, '/'));
}

void spiffe_expand(const struct spiffe_trust *t, const struct spiffe_id *id,
		   void (*each)(void *ctx, const char *uri), void *ctx)
{
	char uri[SPIFFE_MAX + 1];
	struct spiffe_id as = *id;
	bool ours = trusts_domain(t, id->trust_domain);
	for (size_t i = 0; i < (ours ? t->n : 1); i++) {
		if (ours)
			as.trust_domain = slice_of(t->domain[i]);
		if (spiffe_format(&as, uri, NULL))
			each(ctx, uri);
	}
}

enum tls_why spiffe_accept_mesh(void *trust, const struct tls_peer *peer)
{
	if (peer->n_uris == 0)
		return TLS_WHY_NO_SAN;
	if (peer->n_uris > 1 || peer->sans_dropped)
		return TLS_WHY_MANY_SANS;
	if (!slice_starts(peer->uris[0], SLICE("spiffe://")))
		return TLS_WHY_NO_SAN;
	return spiffe_trusts(trust, peer->uris[0]) ? TLS_WHY_NONE : TLS_WHY_WRONG_DOMAIN;
}

static bool among(const struct spiffe_names *names, const struct slice *sans, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		for (size_t k = 0; k < names->n; k++)
			if (slice_eq(sans[i], names->name[k]))
				return true;
	return false;
}

enum tls_why spiffe_accept_names(void *names, const struct tls_peer *peer)
{
	const struct spiffe_names *wanted = names;
	bool ok = wanted->n == 0 || among(wanted, peer->uris, peer->n_uris) ||
		  among(wanted, peer->dns, peer->n_dns);
	return ok ? TLS_WHY_NONE : TLS_WHY_WRONG_SAN;
}
