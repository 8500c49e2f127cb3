#include "http1/write.h"

#include "http1/scan.h"

static bool all(struct slice s, unsigned class)
{
	return scan_class((const unsigned char *)s.at, 0, s.len, class) == s.len;
}

static bool is_token(struct slice s)
{
	return s.len > 0 && all(s, CHAR_TOKEN);
}

bool http1_write_request(struct buf *to, struct slice method, struct slice target, unsigned minor)
{
	if (!is_token(method) || target.len == 0 || !all(target, CHAR_TARGET) || minor > 1)
		return false;
	return buf_printf(to, "%.*s %.*s HTTP/1.%u\r\n", SLICE_FMT(method), SLICE_FMT(target),
			  minor);
}

const char *http1_phrase(unsigned status)
{
	static const struct {
		unsigned status;
		const char *phrase;
	} phrases[] = {
		{100, "Continue"},
		{101, "Switching Protocols"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{206, "Partial Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{417, "Expectation Failed"},
		{421, "Misdirected Request"},
		{422, "Unprocessable Content"},
		{426, "Upgrade Required"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
	};
	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "Unknown";
}

bool http1_write_status(struct buf *to, unsigned status, const char *phrase, unsigned minor)
{
	if (!phrase)
		phrase = http1_phrase(status);
	if (status < 100 || status > 999 || !all(slice_of(phrase), CHAR_VALUE) || minor > 1)
		return false;
	return buf_printf(to, "HTTP/1.%u %u %s\r\n", minor, status, phrase);
}

bool http1_write_field(struct buf *to, struct slice name, struct slice value)
{
	if (!is_token(name) || !all(value, CHAR_VALUE))
		return false;
	return buf_printf(to, "%.*s: %.*s\r\n", SLICE_FMT(name), SLICE_FMT(value));
}

bool http1_write_end(struct buf *to)
{
	return buf_puts(to, "\r\n");
}

bool http1_write_chunk(struct buf *to, struct slice bytes)
{
	enum { FRAMING = 32 };
	size_t room;
	if (bytes.len == 0)
		return true;
	/* All or nothing: asked for first, so that a size never stands without its bytes. */
	if (!buf_reserve(to, bytes.len + FRAMING, &room))
		return false;
	return buf_printf(to, "%zx\r\n", bytes.len) && buf_append(to, bytes) &&
	       buf_puts(to, "\r\n");
}

bool http1_write_last_chunk(struct buf *to)
{
	return buf_puts(to, "0\r\n\r\n");
}
