#include "http1/head.h"

/* "host", "host:port", "[::1]:port" without the port. */
static struct slice without_port(struct slice authority)
{
	size_t len = slice_find(authority, authority.len && authority.at[0] == '[' ? ']' : ':');
	if (len < authority.len && authority.at[0] == '[')
		len++;
	return slice_sub(authority, 0, len);
}

/* Of absolute-form, "http://user@host:port/path": what stands before the path, less the user. */
static struct slice of_absolute(struct slice after_scheme)
{
	static const char ends[] = {'/', '?', '#'};
	struct slice authority = after_scheme;
	for (size_t i = 0; i < sizeof(ends); i++)
		authority = slice_sub(authority, 0, slice_find(authority, ends[i]));
	for (size_t at; (at = slice_find(authority, '@')) < authority.len;)
		authority = slice_sub(authority, at + 1, authority.len);
	return authority;
}

struct slice http1_authority(const struct http1_head *h)
{
	struct slice rest = h->target;
	if (slice_is(h->method, "CONNECT"))
		return without_port(h->target);
	struct slice scheme = slice_cut(&rest, ':');
	if (scheme.len && scheme.at[0] != '/' && slice_starts(rest, SLICE("//")))
		return without_port(of_absolute(slice_sub(rest, 2, rest.len)));
	return without_port(h->host);
}
