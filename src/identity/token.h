/*
 * Service account tokens: JSON web tokens as Kubernetes projects them into Pods.
 *
 *   struct token_keys *keys = token_keys_new(key, &err);
 *   token_make(keys, &(struct token_claims){.issuer = ..., .ns = ..., ...}, &buf, &err);
 *   struct token_claims claims;
 *   switch (token_verify(keys, jwt, &(struct token_expect){...}, arena, &claims, &err)) ...
 *
 * Signed with the store's own key: ES256 or RS256, whichever the key is for. Keys are immutable,
 * any thread. RFC 7519 (JWT), 7515 (JWS), 7518 3 (algorithms), 8725 (what goes wrong with them).
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "identity/keypair.h"

enum {
	TOKEN_MAX = 16 * 1024, /* bytes of a token */
	TOKEN_MAX_AUDIENCES = 8,
};
#define TOKEN_AUDIENCE "istio-ca"
#define TOKEN_ISSUER "https://kubernetes.default.svc.cluster.local"

/* One row makes the enum, the name in counters and what the operator reads. */
#define TOKEN_WHY_ROWS                                                                             \
	TOKEN_WHY_ROW(FINE, "fine", "nothing is wrong")                                            \
	TOKEN_WHY_ROW(MALFORMED, "malformed", "not a token as Kubernetes makes them")              \
	TOKEN_WHY_ROW(ALGORITHM, "algorithm", "signed with another algorithm than ours")           \
	TOKEN_WHY_ROW(SIGNATURE, "signature", "not signed by our key")                             \
	TOKEN_WHY_ROW(ISSUER, "issuer", "made by another issuer")                                  \
	TOKEN_WHY_ROW(AUDIENCE, "audience", "made for another audience")                           \
	TOKEN_WHY_ROW(EXPIRED, "expired", "has expired")                                           \
	TOKEN_WHY_ROW(NOT_YET, "not_yet_valid", "is not valid yet")                                \
	TOKEN_WHY_ROW(SUBJECT, "subject", "names no service account, or two")                      \
	TOKEN_WHY_ROW(POD, "pod", "belongs to another Pod")

enum token_why {
#define TOKEN_WHY_ROW(name, label, text) TOKEN_WHY_##name,
	TOKEN_WHY_ROWS
#undef TOKEN_WHY_ROW
		TOKEN_N_WHYS
};
const char *token_why_label(enum token_why why);
const char *token_why_text(enum token_why why);

struct token_claims {
	const char *issuer;
	const char *audience[TOKEN_MAX_AUDIENCES]; /* NULL-terminated unless full */
	int64_t issued_s, not_before_s, expires_s;
	const char *id; /* jti; NULL: none */
	const char *ns, *service_account;
	const char *service_account_uid; /* NULL: none */
	const char *pod, *pod_uid;       /* NULL: bound to no Pod */
};

struct token_keys;
/* Takes a reference to KEY, which is P-256 or RSA. */
struct token_keys *token_keys_new(struct keypair *key, struct err *err) MUST_CHECK;
void token_keys_free(struct token_keys *k); /* NULL is fine */

/* Appends the token to OUT. */
bool token_make(const struct token_keys *k, const struct token_claims *claims, struct buf *out,
		struct err *err) MUST_CHECK;

struct token_expect {
	const char *issuer;   /* NULL: any */
	const char *audience; /* one of the token's must be this */
	int64_t now_s, skew_s;
	/* The Pod that the bearer claims to be; NULL: any of them. */
	const char *ns, *pod, *pod_uid;
};
/* CLAIMS is filled, from ARENA, only when the answer is TOKEN_WHY_FINE; else ERR says more. */
enum token_why token_verify(const struct token_keys *k, struct slice jwt,
			    const struct token_expect *want, struct arena *arena,
			    struct token_claims *claims, struct err *err) MUST_CHECK;
