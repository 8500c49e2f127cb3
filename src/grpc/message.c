#include "grpc/message.h"

#include "base/reader.h"

void grpc_message_init(struct grpc_message *m, size_t max)
{
	*m = (struct grpc_message){0};
	buf_init(&m->bytes, max);
}

void grpc_message_fini(struct grpc_message *m)
{
	buf_fini(&m->bytes);
}

static enum grpc_status prefix_done(struct grpc_message *m, const char **why)
{
	struct reader r = reader_of((struct slice){m->prefix, GRPC_PREFIX});
	uint8_t compressed = read_u8(&r);
	m->left = read_u32(&r);
	if (compressed) {
		*why = "compressed messages are not supported";
		return GRPC_UNIMPLEMENTED;
	}
	if (m->left > m->bytes.max) {
		*why = "the message is too large";
		return GRPC_RESOURCE_EXHAUSTED;
	}
	return GRPC_OK;
}

enum grpc_status grpc_message_take(struct grpc_message *m, struct slice bytes, const char **why)
{
	while (bytes.len && m->n_prefix < GRPC_PREFIX) {
		m->prefix[m->n_prefix++] = bytes.at[0];
		bytes = slice_sub(bytes, 1, bytes.len);
		if (m->n_prefix < GRPC_PREFIX)
			continue;
		enum grpc_status status = prefix_done(m, why);
		if (status != GRPC_OK)
			return status;
	}
	if (bytes.len > m->left) {
		*why = "more than one message in a unary call";
		return GRPC_UNIMPLEMENTED; /* statuscodes.md: cardinality violation */
	}
	MUST(buf_append(&m->bytes, bytes)); /* its length was judged before */
	m->left -= bytes.len;
	return GRPC_OK;
}

enum grpc_status grpc_message_end(const struct grpc_message *m, const char **why)
{
	if (m->n_prefix == GRPC_PREFIX && m->left == 0)
		return GRPC_OK;
	if (m->n_prefix == 0) {
		*why = "no message in a unary call";
		return GRPC_UNIMPLEMENTED; /* as above */
	}
	*why = "the stream ended inside its message";
	return GRPC_INTERNAL;
}

bool grpc_message_prefix(struct buf *to, size_t len)
{
	const char prefix[GRPC_PREFIX] = {0, (char)(len >> 24), (char)(len >> 16 & 0xff),
					  (char)(len >> 8 & 0xff), (char)(len & 0xff)};
	return len <= UINT32_MAX && buf_append(to, (struct slice){prefix, sizeof(prefix)});
}
