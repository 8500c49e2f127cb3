#include "rest/base_url.h"

#include <string.h>

#include "net/sock.h"

enum { HTTP_PORT = 80 };

static bool parse_host(struct slice host, struct addr *out)
{
	struct slice name = host;
	struct slice bare = slice_cut(&name, ':'); /* NAME: the port's digits now */
	if (slice_eq_nocase(bare, SLICE("localhost"))) {
		uint64_t port = HTTP_PORT;
		*out = (struct addr){.ip = ip_v4(INADDR_LOOPBACK)};
		if (bare.len < host.len && !slice_to_u64(name, UINT16_MAX, &port))
			return false;
		out->port = (uint16_t)port;
		return true;
	}
	if (addr_parse(host, out))
		return true;
	if (host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
		host = slice_sub(host, 1, host.len - 2);
	*out = (struct addr){.port = HTTP_PORT};
	return ip_parse(host, &out->ip);
}

bool base_url_parse(const char *text, struct base_url *out, struct err *err)
{
	struct slice s = slice_of(text);
	*out = (struct base_url){0};
	if (slice_starts(s, SLICE("unix:"))) {
		struct slice path = slice_sub(s, 5, s.len);
		if (path.len == 0 || path.len >= sizeof(out->path))
			return err_set(err, ERR_BAD_INPUT, "not a socket path: %s", text);
		memcpy(out->path, path.at, path.len);
		memcpy(out->host, "localhost", sizeof("localhost"));
		out->is_unix = true;
		return true;
	}
	if (!slice_starts_nocase(s, SLICE("http://")))
		return err_set(err, ERR_BAD_INPUT, "neither unix:/path nor http://address:port: %s",
			       text);
	s = slice_sub(s, 7, s.len);
	if (slice_ends(s, SLICE("/")))
		s.len--;
	if (!parse_host(s, &out->addr))
		return err_set(err, ERR_BAD_INPUT, "not http://address:port: %s", text);
	(void)addr_text(&out->addr, out->host); /* gives OUT back */
	return true;
}

int base_url_dial(const struct base_url *to, struct err *err)
{
	return to->is_unix ? net_connect_unix(to->path, err) : net_connect(&to->addr, NULL, err);
}
