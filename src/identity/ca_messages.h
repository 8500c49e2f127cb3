/*
 * The two messages of Istio's certificate service, istio.v1.auth.IstioCertificateService, in the
 * Protocol Buffers wire format.
 *
 *   ca_request_write(&(struct ca_request){.csr = pem, .validity_s = 86400}, &buf);
 *   if (!ca_request_read(bytes, &request, &err)) ...     // borrows from BYTES
 *
 * istio/api security/v1alpha1/ca.proto. Nothing is allocated beside the buffer.
 */
#pragma once
#include "base/buf.h"

#define CA_METHOD "/istio.v1.auth.IstioCertificateService/CreateCertificate"
enum { CA_MESSAGE_MAX = 64 * 1024, CA_RESPONSE_MAX_CERTS = 16, CA_REQUEST_MAX_METADATA = 16 };

struct ca_request {
	struct slice csr; /* PEM */
	int64_t validity_s;
	/* google.protobuf.Struct, of which only texts are kept. */
	unsigned n_metadata;
	struct {
		struct slice key, value;
	} metadata[CA_REQUEST_MAX_METADATA];
};

struct ca_response {
	unsigned n;
	struct slice cert[CA_RESPONSE_MAX_CERTS]; /* leaf, intermediates, and last the roots */
};

bool ca_request_write(const struct ca_request *q, struct buf *out); /* appends; false: no room */
bool ca_request_read(struct slice bytes, struct ca_request *out, struct err *err) MUST_CHECK;
struct slice ca_request_metadata(const struct ca_request *q, const char *key); /* empty: none */
bool ca_response_write(const struct ca_response *a, struct buf *out);
/* Two certificates at least: a chain without a root is of no use. */
bool ca_response_read(struct slice bytes, struct ca_response *out, struct err *err) MUST_CHECK;
