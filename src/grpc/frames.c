#include "grpc/frames.h"

#include <stdio.h>
#include <string.h>

#include "base/reader.h"
#include "grpc/message.h"

enum { FRAME = 16384 };

/* ---- writing ---------------------------------------------------------------------------------- */

static void put_u32(struct buf *to, uint32_t n)
{
	const char bytes[] = {(char)(n >> 24), (char)(n >> 16 & 0xff), (char)(n >> 8 & 0xff),
			      (char)(n & 0xff)};
	MUST(buf_append(to, (struct slice){bytes, sizeof(bytes)}));
}

void frames_raw(struct buf *to, uint8_t type, uint8_t flags, uint32_t stream, struct slice payload)
{
	put_u32(to, (uint32_t)payload.len << 8 | type); /* 3 bytes of length, 1 of type */
	MUST(buf_putc(to, (char)flags));
	put_u32(to, stream);
	MUST(buf_append(to, payload));
}

void frames_client_preface(struct buf *to)
{
	MUST(buf_puts(to, NGHTTP2_CLIENT_MAGIC));
	frames_raw(to, NGHTTP2_SETTINGS, 0, 0, SLICE(""));
}

void frames_server_preface(struct buf *to)
{
	frames_raw(to, NGHTTP2_SETTINGS, 0, 0, SLICE(""));
	frames_raw(to, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, SLICE(""));
}

/* RFC 7541 5.2, 7-bit prefix, no Huffman. */
static void put_string(struct buf *to, struct slice s)
{
	size_t n = s.len;
	MUST(buf_putc(to, (char)(n < 127 ? n : 127)));
	if (n >= 127) {
		for (n -= 127; n >= 128; n >>= 7)
			MUST(buf_putc(to, (char)((n & 127) | 128)));
		MUST(buf_putc(to, (char)n));
	}
	MUST(buf_append(to, s));
}

void frames_headers(struct buf *to, uint32_t stream, uint8_t flags, const char *fields)
{
	struct buf block;
	struct slice rest = slice_of(fields);
	buf_init(&block, 1 << 20);
	while (rest.len) {
		struct slice line = slice_cut(&rest, '\n');
		size_t colon = 1 + slice_find(slice_sub(line, 1, line.len), ':');
		MUST(buf_putc(&block, 0)); /* literal, never in the table, RFC 7541 6.2.2 */
		put_string(&block, slice_sub(line, 0, colon));
		put_string(&block, slice_trim(slice_sub(line, colon + 1, line.len)));
	}
	rest = buf_slice(&block);
	for (uint8_t type = NGHTTP2_HEADERS; rest.len; type = NGHTTP2_CONTINUATION) {
		struct slice one = slice_sub(rest, 0, FRAME);
		rest = slice_sub(rest, one.len, rest.len);
		if (!rest.len)
			flags |= NGHTTP2_FLAG_END_HEADERS;
		frames_raw(to, type, flags, stream, one);
		flags = 0;
	}
	buf_fini(&block);
}

void frames_message(struct buf *to, uint32_t stream, uint8_t flags, struct slice message)
{
	struct buf framed;
	buf_init(&framed, message.len + GRPC_PREFIX);
	MUST(grpc_message_prefix(&framed, message.len) && buf_append(&framed, message));
	frames_raw(to, NGHTTP2_DATA, flags, stream, buf_slice(&framed));
	buf_fini(&framed);
}

/* ---- reading ---------------------------------------------------------------------------------- */

void transcript_init(struct transcript *t)
{
	*t = (struct transcript){0};
	MUST(nghttp2_hd_inflate_new(&t->inflater) == 0);
	buf_init(&t->bytes, 1 << 24);
	buf_init(&t->text, 1 << 24);
}

void transcript_fini(struct transcript *t)
{
	nghttp2_hd_inflate_del(t->inflater);
	buf_fini(&t->bytes);
	buf_fini(&t->text);
}

const char *transcript_text(struct transcript *t)
{
	return buf_cstr(&t->text);
}

static void tell_fields(struct transcript *t, struct slice block)
{
	int flags = 0;
	while (block.len && !(flags & NGHTTP2_HD_INFLATE_FINAL)) {
		nghttp2_nv nv;
		ssize_t n = nghttp2_hd_inflate_hd2(t->inflater, &nv, &flags,
						   (const uint8_t *)block.at, block.len, 1);
		MUST(n >= 0);
		block = slice_sub(block, (size_t)n, block.len);
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			MUST(buf_printf(&t->text, "  %.*s: %.*s\n", (int)nv.namelen, nv.name,
					(int)nv.valuelen, nv.value));
	}
	MUST(nghttp2_hd_inflate_end_headers(t->inflater) == 0);
}

static void tell_frame(struct transcript *t, uint8_t type, uint8_t flags, uint32_t stream,
		       struct slice payload)
{
	struct reader r = reader_of(payload);
	const char *end = flags & NGHTTP2_FLAG_END_STREAM ? " end" : "";
	switch (type) {
	case NGHTTP2_HEADERS:
		MUST(buf_printf(&t->text, "HEADERS %u%s\n", stream, end));
		tell_fields(t, payload);
		break;
	case NGHTTP2_DATA:
		MUST(buf_printf(&t->text, "DATA %u %zu bytes%s\n", stream, payload.len, end));
		break;
	case NGHTTP2_RST_STREAM:
		MUST(buf_printf(&t->text, "RST_STREAM %u %s\n", stream,
				nghttp2_http2_strerror(read_u32(&r))));
		break;
	case NGHTTP2_GOAWAY:
		read_skip(&r, 4);
		snprintf(t->goaway, sizeof(t->goaway), "%s", nghttp2_http2_strerror(read_u32(&r)));
		MUST(buf_printf(&t->text, "GOAWAY %s\n", t->goaway));
		break;
	case NGHTTP2_PING:
		t->ping_acks += flags & NGHTTP2_FLAG_ACK;
		break;
	default:
		break;
	}
}

void transcript_hear(struct transcript *t, struct slice bytes)
{
	MUST(buf_append(&t->bytes, bytes));
	for (;;) {
		struct reader r = reader_of(buf_slice(&t->bytes));
		uint32_t len = read_u24(&r);
		uint8_t type = read_u8(&r), flags = read_u8(&r);
		uint32_t stream = read_u32(&r);
		struct slice payload = read_bytes(&r, len);
		if (r.bad)
			return;
		tell_frame(t, type, flags, stream, payload);
		buf_consume(&t->bytes, buf_len(&t->bytes) - r.left);
	}
}
