#include "identity/ca_messages.h"

#include "identity/protobuf.h"

enum { /* field numbers of ca.proto and of google/protobuf/struct.proto */
       REQUEST_CSR = 1,
       REQUEST_VALIDITY = 3,
       REQUEST_METADATA = 4,
       STRUCT_FIELDS = 1,
       ENTRY_KEY = 1,
       ENTRY_VALUE = 2,
       VALUE_STRING = 3,
       RESPONSE_CHAIN = 1,
};

/* ---- writing ---------------------------------------------------------------------------------- */

static bool put_metadata(struct slice key, struct slice value, struct buf *to)
{
	struct buf text, entry;
	buf_init(&text, CA_MESSAGE_MAX);
	buf_init(&entry, CA_MESSAGE_MAX);
	bool ok = pb_put_bytes(&text, VALUE_STRING, value) &&
		  pb_put_bytes(&entry, ENTRY_KEY, key) &&
		  pb_put_bytes(&entry, ENTRY_VALUE, buf_slice(&text)) &&
		  pb_put_bytes(to, STRUCT_FIELDS, buf_slice(&entry));
	buf_fini(&text);
	buf_fini(&entry);
	return ok;
}

bool ca_request_write(const struct ca_request *q, struct buf *out)
{
	struct buf metadata;
	buf_init(&metadata, CA_MESSAGE_MAX);
	bool ok = pb_put_bytes(out, REQUEST_CSR, q->csr) &&
		  pb_put_varint(out, REQUEST_VALIDITY, (uint64_t)q->validity_s);
	for (unsigned i = 0; ok && i < q->n_metadata; i++)
		ok = put_metadata(q->metadata[i].key, q->metadata[i].value, &metadata);
	if (ok && q->n_metadata > 0)
		ok = pb_put_bytes(out, REQUEST_METADATA, buf_slice(&metadata));
	buf_fini(&metadata);
	return ok;
}

bool ca_response_write(const struct ca_response *a, struct buf *out)
{
	bool ok = true;
	for (unsigned i = 0; ok && i < a->n; i++)
		ok = pb_put_bytes(out, RESPONSE_CHAIN, a->cert[i]);
	return ok;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* proto3: texts are UTF-8. */
static bool is_text(struct slice s)
{
	for (size_t n; s.len > 0; s = slice_sub(s, n, s.len))
		if ((n = slice_utf8_len(s)) == 0)
			return false;
	return true;
}

static bool read_entry(struct slice bytes, struct slice *key, struct slice *value, bool *text)
{
	struct pb_field f;
	struct reader r = reader_of(bytes), inner = {0};
	*key = *value = (struct slice){0};
	*text = false;
	while (pb_next(&r, &f)) {
		if (f.number == ENTRY_KEY && f.wire == PB_BYTES)
			*key = f.bytes;
		if (f.number != ENTRY_VALUE || f.wire != PB_BYTES)
			continue;
		inner = reader_of(f.bytes);
		*text = false; /* of two values the last one counts, and so within one */
		while (pb_next(&inner, &f)) {
			*text = f.number == VALUE_STRING && f.wire == PB_BYTES;
			*value = f.bytes;
		}
		if (inner.bad)
			return false;
	}
	return !r.bad && is_text(*key) && (!*text || is_text(*value));
}

static bool read_metadata(struct slice bytes, struct ca_request *out)
{
	struct pb_field f;
	struct reader r = reader_of(bytes);
	while (pb_next(&r, &f)) {
		struct slice key, value;
		bool text;
		if (f.number != STRUCT_FIELDS || f.wire != PB_BYTES)
			continue;
		if (!read_entry(f.bytes, &key, &value, &text))
			return false;
		if (!text)
			continue;
		if (out->n_metadata == CA_REQUEST_MAX_METADATA)
			return false;
		out->metadata[out->n_metadata].key = key;
		out->metadata[out->n_metadata++].value = value;
	}
	return !r.bad;
}

bool ca_request_read(struct slice bytes, struct ca_request *out, struct err *err)
{
	struct pb_field f;
	struct reader r = reader_of(bytes);
	*out = (struct ca_request){0};
	if (bytes.len > CA_MESSAGE_MAX)
		return err_set(err, ERR_LIMIT, "certificate request: longer than %d bytes",
			       CA_MESSAGE_MAX);
	while (pb_next(&r, &f)) {
		if (f.number == REQUEST_CSR && f.wire == PB_BYTES)
			out->csr = f.bytes;
		else if (f.number == REQUEST_VALIDITY && f.wire == PB_VARINT)
			out->validity_s = (int64_t)f.varint;
		else if (f.number == REQUEST_METADATA && f.wire == PB_BYTES &&
			 !read_metadata(f.bytes, out))
			r.bad = true;
	}
	if (r.bad || !is_text(out->csr))
		return err_set(err, ERR_BAD_INPUT, "certificate request: a malformed message");
	return true;
}

struct slice ca_request_metadata(const struct ca_request *q, const char *key)
{
	for (unsigned i = q->n_metadata; i-- > 0;) /* the last one counts, as in any map */
		if (slice_is(q->metadata[i].key, key))
			return q->metadata[i].value;
	return (struct slice){0};
}

bool ca_response_read(struct slice bytes, struct ca_response *out, struct err *err)
{
	struct pb_field f;
	struct reader r = reader_of(bytes);
	*out = (struct ca_response){0};
	while (pb_next(&r, &f)) {
		if (f.number != RESPONSE_CHAIN || f.wire != PB_BYTES)
			continue;
		if (out->n == CA_RESPONSE_MAX_CERTS)
			return err_set(err, ERR_LIMIT,
				       "certificate response: more than %d certificates",
				       CA_RESPONSE_MAX_CERTS);
		if (!is_text(f.bytes))
			r.bad = true;
		out->cert[out->n++] = f.bytes;
	}
	if (r.bad)
		return err_set(err, ERR_BAD_INPUT, "certificate response: a malformed message");
	if (out->n < 2)
		return err_set(err, ERR_BAD_INPUT,
			       "certificate response: %u certificates, a leaf and a root at least "
			       "are needed",
			       out->n);
	return true;
}
