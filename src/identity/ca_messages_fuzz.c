/* Both messages; what can be read is written again, and reads the same. */
#include <stdint.h>

#include "identity/ca_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct slice bytes = {(const char *)data, size};
	struct ca_request q, q2;
	struct ca_response a, a2;
	struct buf out;
	buf_init(&out, 4 * CA_MESSAGE_MAX);
	if (ca_request_read(bytes, &q, &err)) {
		MUST(ca_request_write(&q, &out) && ca_request_read(buf_slice(&out), &q2, &err));
		MUST(slice_eq(q.csr, q2.csr) && q.validity_s == q2.validity_s &&
		     q.n_metadata == q2.n_metadata);
		for (unsigned i = 0; i < q.n_metadata; i++)
			MUST(slice_eq(q.metadata[i].key, q2.metadata[i].key) &&
			     slice_eq(q.metadata[i].value, q2.metadata[i].value));
	}
	buf_clear(&out);
	if (ca_response_read(bytes, &a, &err)) {
		MUST(ca_response_write(&a, &out) && ca_response_read(buf_slice(&out), &a2, &err));
		MUST(a.n == a2.n);
		for (unsigned i = 0; i < a.n; i++)
			MUST(slice_eq(a.cert[i], a2.cert[i]));
	}
	buf_fini(&out);
	return 0;
}
