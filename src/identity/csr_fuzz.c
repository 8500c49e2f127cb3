/* Signing requests and PEM chains from whoever; what is taken, is signed. */
#include <stdint.h>
#include <time.h>

#include "identity/ca.h"
#include "identity/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ca *ca;
	struct err err = {0};
	struct slice pem = {(const char *)data, size};
	struct ca_answer answer;
	struct cert_facts facts;
	struct ca_order order = {.uri = "spiffe://td/ns/a/sa/b", .now_s = (int64_t)time(NULL)};
	if (!ca)
		ca = ca_new_root(&(struct ca_root){.organization = "td", .now_s = order.now_s},
				 &err);
	struct arena *arena = arena_new();
	struct csr *csr = csr_read(pem, NULL, &err);
	if (csr) {
		order.csr = csr;
		MUST(ca_sign(ca, &order, arena, &answer, &err));
		MUST(cert_nth(answer.cert[0], 0, arena, &facts, &err));
	}
	if (!cert_nth(pem, 0, arena, &facts, &err))
		MUST(err.kind != ERR_NONE);
	csr_free(csr);
	arena_free(arena);
	return 0;
}
