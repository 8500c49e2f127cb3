#include "identity/protobuf.h"

/* At most ten bytes, and nothing beyond 64 bits. */
static uint64_t read_varint(struct reader *r)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint64_t byte = read_u8(r);
		if (shift == 63 && byte > 1)
			break;
		value |= (byte & 0x7f) << shift;
		if (byte < 0x80)
			return value;
	}
	r->bad = true;
	return 0;
}

bool pb_next(struct reader *r, struct pb_field *f)
{
	if (r->bad || reader_done(r))
		return false;
	uint64_t key = read_varint(r);
	*f = (struct pb_field){.number = (uint32_t)(key >> 3), .wire = (enum pb_wire)(key & 7)};
	if (key >> 3 == 0 || key >> 3 > 0x1fffffff)
		r->bad = true;
	switch (f->wire) {
	case PB_VARINT:
		f->varint = read_varint(r);
		break;
	case PB_I64:
		read_skip(r, 8);
		break;
	case PB_I32:
		read_skip(r, 4);
		break;
	case PB_BYTES: {
		uint64_t len = read_varint(r);
		if (len > r->left)
			r->bad = true;
		else
			f->bytes = read_bytes(r, (size_t)len);
		break;
	}
	default: /* groups, which nobody writes any more, and what is none */
		r->bad = true;
		break;
	}
	return !r->bad;
}

static bool put_raw(struct buf *out, uint64_t value)
{
	bool ok = true;
	for (; value >= 0x80; value >>= 7)
		ok = ok && buf_putc(out, (char)(value | 0x80));
	return ok && buf_putc(out, (char)value);
}

bool pb_put_varint(struct buf *out, uint32_t number, uint64_t value)
{
	return put_raw(out, (uint64_t)number << 3 | PB_VARINT) && put_raw(out, value);
}

bool pb_put_bytes(struct buf *out, uint32_t number, struct slice bytes)
{
	return put_raw(out, (uint64_t)number << 3 | PB_BYTES) && put_raw(out, bytes.len) &&
	       buf_append(out, bytes);
}
