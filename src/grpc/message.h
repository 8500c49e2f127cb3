/*
 * Inside grpc only: the one message of a unary stream, taken out of its frame.
 *
 *   | 1 byte: compressed | 4 bytes: length | message |      PROTOCOL-HTTP2.md
 *
 *   struct grpc_message m;
 *   grpc_message_init(&m, max);
 *   status = grpc_message_take(&m, bytes, &why);     // as they come, cut anywhere
 *   status = grpc_message_end(&m, &why);             // the stream has ended: is it whole?
 *   use(buf_slice(&m.bytes));
 *   grpc_message_fini(&m);
 *
 * Memory grows as bytes come, not by what the peer announces. WHY is a static text.
 */
#pragma once
#include "base/buf.h"
#include "grpc/grpc.h"

enum { GRPC_PREFIX = 5 };

struct grpc_message {
	char prefix[GRPC_PREFIX];
	unsigned n_prefix;
	size_t left; /* bytes of it that are still to come */
	struct buf bytes;
};

void grpc_message_init(struct grpc_message *m, size_t max);
void grpc_message_fini(struct grpc_message *m);
/* GRPC_OK: so far. Once it was something else it must not be called again. */
enum grpc_status grpc_message_take(struct grpc_message *m, struct slice bytes, const char **why);
enum grpc_status grpc_message_end(const struct grpc_message *m, const char **why);
/* Appends the prefix for a message of LEN bytes, uncompressed. */
bool grpc_message_prefix(struct buf *to, size_t len);
