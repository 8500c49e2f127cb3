/*
 * Who gets which certificate: Istio's certificate service, istio.v1.auth.IstioCertificateService.
 *
 *   struct ca_service *s = ca_service_new(&(struct ca_service_config){.store = store, .keys = keys});
 *   ca_service_set_authority(s, ca);                  // again after a change of the root
 *   ca_service_serve(s, grpc_server);
 *   ca_service_metrics(s, &buf);
 *
 * The caller proves which Pod it is with a service account token of the audience istio-ca, or with
 * the certificate that it has (renewal). The certificate is for that Pod's service account; of the
 * request only the public key counts, and how long it shall be good. Each refusal has a row below:
 * status, counter and a log line with the reason, never a token or a key. One thread.
 */
#pragma once
#include "grpc/grpc.h"
#include "identity/ca.h"
#include "identity/token.h"
#include "model/store.h"

enum { CA_TOKEN_SKEW_S = 120 };

/* What became of a request: the enum, the label `result` of hark_ca_requests_total, the status. */
#define CA_RESULTS(X)                                                                              \
	X(ISSUED, "issued", GRPC_OK)                                                               \
	X(NO_CREDENTIALS, "no_credentials", GRPC_UNAUTHENTICATED)                                  \
	X(TOKEN_MALFORMED, "token_malformed", GRPC_UNAUTHENTICATED)                                \
	X(TOKEN_ALGORITHM, "token_algorithm", GRPC_UNAUTHENTICATED)                                \
	X(TOKEN_SIGNATURE, "token_signature", GRPC_UNAUTHENTICATED)                                \
	X(TOKEN_ISSUER, "token_issuer", GRPC_UNAUTHENTICATED)                                      \
	X(TOKEN_AUDIENCE, "token_audience", GRPC_UNAUTHENTICATED)                                  \
	X(TOKEN_EXPIRED, "token_expired", GRPC_UNAUTHENTICATED)                                    \
	X(TOKEN_NOT_YET, "token_not_yet_valid", GRPC_UNAUTHENTICATED)                              \
	X(TOKEN_SUBJECT, "token_subject", GRPC_UNAUTHENTICATED)                                    \
	X(TOKEN_POD, "token_pod", GRPC_UNAUTHENTICATED)                                            \
	X(TOKEN_POD_GONE, "token_pod_gone", GRPC_UNAUTHENTICATED)                                  \
	X(CLIENT_CERTIFICATE, "client_certificate", GRPC_UNAUTHENTICATED)                          \
	X(MESSAGE, "message", GRPC_INVALID_ARGUMENT)                                               \
	X(CSR_MALFORMED, "csr_malformed", GRPC_INVALID_ARGUMENT)                                   \
	X(CSR_WEAK_KEY, "csr_weak_key", GRPC_INVALID_ARGUMENT)                                     \
	X(CSR_ALGORITHM, "csr_algorithm", GRPC_INVALID_ARGUMENT)                                   \
	X(CSR_SIGNATURE, "csr_signature", GRPC_INVALID_ARGUMENT)                                   \
	X(VALIDITY, "validity", GRPC_INVALID_ARGUMENT)                                             \
	X(NO_AUTHORITY, "no_authority", GRPC_UNAVAILABLE)                                          \
	X(INTERNAL, "internal", GRPC_INTERNAL)
enum ca_result {
#define X(name, label, status) CA_RESULT_##name,
	CA_RESULTS(X)
#undef X
		N_CA_RESULTS
};
const char *ca_result_label(enum ca_result r);
enum grpc_status ca_result_status(enum ca_result r);

struct ca_service_config {
	struct store *store;           /* Pods and the mesh's trust domain; outlives the service */
	const struct token_keys *keys; /* outlive it */
	/* A certificate went to POD; NULL: to one of the Pods of the identity URI (renewal with a
	 * certificate, which names no Pod). May be NULL. */
	void (*issued)(void *ctx, const struct object *pod, const char *uri);
	void *ctx;
};
struct ca_service;
struct ca_service *ca_service_new(const struct ca_service_config *cfg);
void ca_service_free(struct ca_service *s); /* after its server; NULL is fine */
/* Takes a reference. Until the first one callers are told to come again. */
void ca_service_set_authority(struct ca_service *s, struct ca *ca);
void ca_service_serve(struct ca_service *s, struct grpc_server *server);

/* One call, without gRPC around it. */
struct ca_call {
	struct slice message;
	struct slice authorization;  /* of the request's metadata; empty: none */
	const struct tls_peer *peer; /* a verified client certificate, or NULL */
	struct addr from;            /* for the log */
	int64_t now_s;
};
/* CA_RESULT_ISSUED: the response is appended to OUT. Else ERR is what the caller may be told. Counts
 * and logs. */
enum ca_result ca_service_answer(struct ca_service *s, const struct ca_call *call, struct buf *out,
				 struct err *err);
uint64_t ca_service_count(const struct ca_service *s, enum ca_result r);
bool ca_service_metrics(const struct ca_service *s, struct buf *out); /* Prometheus text */
