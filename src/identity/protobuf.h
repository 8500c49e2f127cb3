/*
 * The Protocol Buffers wire format: as much of it as our few messages need.
 *
 *   struct pb_field f;
 *   struct reader r = reader_of(message);
 *   while (pb_next(&r, &f)) switch (f.number) { case 1: f.bytes ...; }
 *   if (r.bad) ...
 *
 *   pb_put_bytes(&buf, 1, text); pb_put_varint(&buf, 3, 86400);
 *
 * Reading is strict about lengths and lenient about what it does not know, as the format wants it.
 * https://protobuf.dev/programming-guides/encoding/
 */
#pragma once
#include "base/buf.h"
#include "base/reader.h"

enum pb_wire { PB_VARINT = 0, PB_I64 = 1, PB_BYTES = 2, PB_I32 = 5 };

struct pb_field {
	uint32_t number;
	enum pb_wire wire;
	uint64_t varint;    /* PB_VARINT */
	struct slice bytes; /* PB_BYTES; borrows from the message */
};

/* The next field; false at the end, or with r->bad where the message is broken. */
bool pb_next(struct reader *r, struct pb_field *f);
/* False: no room. A field with its default value is written all the same. */
bool pb_put_varint(struct buf *out, uint32_t number, uint64_t value);
bool pb_put_bytes(struct buf *out, uint32_t number, struct slice bytes);
