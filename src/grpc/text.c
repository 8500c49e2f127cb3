#include "grpc/text.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

static const char *const names[] = {
#define GRPC_STATUS_ROW(name) [GRPC_##name] = #name,
	GRPC_STATUS_ROWS
#undef GRPC_STATUS_ROW
};
_Static_assert(GRPC_UNAUTHENTICATED == 16, "the rows are in gRPC's order");

const char *grpc_status_name(enum grpc_status s)
{
	return names[s];
}

bool grpc_status_parse(struct slice value, enum grpc_status *out)
{
	uint64_t n;
	if (!slice_to_u64(value, UINT32_MAX, &n))
		return false;
	*out = n < GRPC_N_STATUSES ? (enum grpc_status)n : GRPC_UNKNOWN;
	return true;
}

enum grpc_status grpc_status_of_http(unsigned http)
{
	switch (http) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

enum grpc_status grpc_status_of_reset(uint32_t error_code)
{
	switch (error_code) {
	case NGHTTP2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return GRPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY:
		return GRPC_PERMISSION_DENIED;
	default:
		return GRPC_INTERNAL;
	}
}

void grpc_text_encode(const char *text, char out[3 * GRPC_TEXT_MAX])
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;
	for (size_t i = 0; text[i] && i + 1 < GRPC_TEXT_MAX; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c >= ' ' && c <= '~' && c != '%') {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	out[n] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char next_byte(struct slice *rest)
{
	char c = rest->at[0];
	size_t used = 1;
	if (c == '%' && rest->len >= 3) {
		int high = hex_digit(rest->at[1]), low = hex_digit(rest->at[2]);
		if (high >= 0 && low >= 0) {
			c = (char)(high << 4 | low);
			used = 3;
		}
	}
	*rest = slice_sub(*rest, used, rest->len);
	return c;
}

/* Bytes that a log line can take: whole characters, none that controls a terminal. */
static void make_readable(char *text, size_t len)
{
	size_t used = 0;
	while (used < len) {
		struct slice rest = {&text[used], len - used};
		size_t one = slice_utf8_len(rest);
		unsigned char c = (unsigned char)text[used];
		if (one == 0 || c < ' ' || c == 0x7f) {
			text[used] = '?';
			one = 1;
		}
		used += one;
	}
}

void grpc_text_decode(struct slice value, char out[GRPC_TEXT_MAX])
{
	size_t n = 0;
	while (value.len && n + 1 < GRPC_TEXT_MAX)
		out[n++] = next_byte(&value);
	make_readable(out, n);
	out[n] = '\0';
}

void grpc_timeout_text(unsigned ms, char out[16])
{
	if (ms <= 99999999)
		(void)snprintf(out, 16, "%um", ms);
	else
		(void)snprintf(out, 16, "%uS", ms / 1000);
}

bool grpc_content_type(struct slice value)
{
	static const struct slice type = {"application/grpc", sizeof("application/grpc") - 1};
	if (!slice_starts_nocase(value, type))
		return false;
	return value.len == type.len || value.at[type.len] == '+' || value.at[type.len] == ';';
}
