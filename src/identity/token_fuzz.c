/*
 * Tokens from whoever. The first byte picks the game:
 *   even  the rest is the token
 *   odd   the rest is a payload, which is signed properly: the claims are the attack
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

#include "identity/base64url.h"
#include "identity/ossl.h"
#include "identity/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct keypair *key;
static struct token_keys *keys;

static void put_signature(struct buf *jwt)
{
	uint8_t sig[512];
	size_t len = sizeof(sig);
	struct slice what = buf_slice(jwt);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	MUST(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, keypair_pkey(key)) == 1 &&
	     EVP_DigestSign(md, sig, &len, (const uint8_t *)what.at, what.len) == 1);
	EVP_MD_CTX_free(md);
	(void)buf_putc(jwt, '.'); /* no room: the token is cut, which is a case as well */
	(void)base64url_put((struct slice){(const char *)sig, len}, jwt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct token_claims claims;
	struct buf jwt;
	if (!key) {
		key = keypair_new(KEYPAIR_RSA_2048, &err); /* its signature is no DER to convert */
		keys = token_keys_new(key, &err);
	}
	if (size == 0)
		return 0;
	struct slice rest = slice_sub((struct slice){(const char *)data, size}, 1, size);
	struct arena *arena = arena_new();
	buf_init(&jwt, TOKEN_MAX);
	if (data[0] & 1) {
		(void)base64url_put(SLICE("{\"alg\":\"RS256\"}"), &jwt);
		(void)buf_putc(&jwt, '.');
		(void)base64url_put(rest, &jwt);
		put_signature(&jwt);
	} else {
		(void)buf_append(&jwt, rest);
	}
	enum token_why why =
		token_verify(keys, buf_slice(&jwt),
			     &(struct token_expect){.audience = "istio-ca", .now_s = 1000000},
			     arena, &claims, &err);
	MUST((why == TOKEN_WHY_FINE) == (err.kind == ERR_NONE));
	if (why == TOKEN_WHY_FINE)
		MUST(*claims.ns && *claims.service_account && claims.audience[0]);
	buf_fini(&jwt);
	arena_free(arena);
	return 0;
}
