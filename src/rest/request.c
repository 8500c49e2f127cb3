/* A request as handlers see it: its path, its query, its headers. */
#include <string.h>

#include "rest/client.h"
#include "rest/conn.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

struct slice percent_decode(struct arena *arena, struct slice text, bool plus)
{
	char *out = arena_alloc(arena, text.len + 1);
	size_t n = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		if (c == '%') {
			int high = i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
			int low = high >= 0 ? hex_value(text.at[i + 2]) : -1;
			if (low < 0)
				return (struct slice){0};
			c = (char)(high * 16 + low);
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		if (c == '\0') /* would end the text early for whoever takes it for a C string */
			return (struct slice){0};
		out[n++] = c;
	}
	return (struct slice){out, n};
}

/* The path and query of absolute-form, RFC 9112 3.2.2; other forms as they are. */
static struct slice origin_form(struct slice target)
{
	static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}};
	for (size_t i = 0; i < 2; i++) {
		if (!slice_starts_nocase(target, schemes[i]))
			continue;
		struct slice rest = slice_sub(target, schemes[i].len, target.len);
		size_t at = slice_find(rest, '/');
		return at < rest.len ? slice_sub(rest, at, rest.len) : SLICE("/");
	}
	return target;
}

bool request_target(struct request *r)
{
	struct slice rest = origin_form(r->head.target);
	r->req.method = r->head.method;
	r->req.target = r->head.target;
	struct slice path = slice_cut(&rest, '?');
	r->req.query = rest;
	r->req.path = percent_decode(r->arena, path, false);
	return r->req.path.at && r->req.path.len && r->req.path.at[0] == '/';
}

struct slice rest_header(const struct rest_request *req, const char *name)
{
	const struct request *r = (const struct request *)(const void *)req;
	const struct http1_field *f = http1_find(&r->head, name);
	return f ? f->value : (struct slice){0};
}

struct slice rest_query(const struct rest_request *req, const char *name)
{
	const struct request *r = (const struct request *)(const void *)req;
	struct slice query = req->query;
	while (query.len) {
		struct slice value = slice_cut(&query, '&');
		struct slice key = percent_decode(r->arena, slice_cut(&value, '='), true);
		if (key.at && slice_is(key, name)) {
			struct slice decoded = percent_decode(r->arena, value, true);
			return decoded.at ? decoded : SLICE("");
		}
	}
	return (struct slice){0};
}

bool rest_escape(struct buf *to, struct slice text)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			     (c >= 'A' && c <= 'Z') || (c && strchr("-._~", c));
		if (plain ? !buf_putc(to, (char)c)
			  : !(buf_putc(to, '%') && buf_putc(to, hex[c >> 4]) &&
			      buf_putc(to, hex[c & 15])))
			return false;
	}
	return true;
}
