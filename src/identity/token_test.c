#include "identity/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "identity/base64url.h"
#include "identity/ossl.h"

enum { NOW = 1800000000 };

static struct keypair *ec, *rsa, *stranger;
static struct token_keys *keys, *rsa_keys, *stranger_keys;
static struct arena *arena;

static struct token_claims usual(void)
{
	return (struct token_claims){
		.issuer = TOKEN_ISSUER,
		.audience = {TOKEN_AUDIENCE},
		.issued_s = NOW - 10,
		.not_before_s = NOW - 10,
		.expires_s = NOW + 3600,
		.id = "8e9f0d0c-7d2b-4f0e-9a53-0d5d6a0c1b2a",
		.ns = "shop",
		.service_account = "db",
		.service_account_uid = "sa-uid",
		.pod = "db-0",
		.pod_uid = "pod-uid",
	};
}

static const struct token_expect expected = {
	.issuer = TOKEN_ISSUER, .audience = TOKEN_AUDIENCE, .now_s = NOW, .skew_s = 0};

static struct slice make(const struct token_keys *k, const struct token_claims *c)
{
	struct buf out;
	struct err err = {0};
	buf_init(&out, TOKEN_MAX);
	assert_true(token_make(k, c, &out, &err));
	struct slice jwt = arena_dup_slice(arena, buf_slice(&out));
	buf_fini(&out);
	return jwt;
}

/* A token of these very texts, properly signed. */
static struct slice forge(EVP_PKEY *key, const char *header, const char *payload)
{
	struct buf out;
	uint8_t sig[512];
	size_t len = sizeof(sig);
	buf_init(&out, 2 * (size_t)TOKEN_MAX);
	MUST(base64url_put(slice_of(header), &out) && buf_putc(&out, '.') &&
	     base64url_put(slice_of(payload), &out));
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	MUST(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
	     EVP_DigestSign(md, sig, &len, (const uint8_t *)buf_slice(&out).at, buf_len(&out)) ==
		     1);
	EVP_MD_CTX_free(md);
	MUST(buf_putc(&out, '.') && base64url_put((struct slice){(const char *)sig, len}, &out));
	struct slice jwt = arena_dup_slice(arena, buf_slice(&out));
	buf_fini(&out);
	return jwt;
}

static void there_and_back(void **state)
{
	(void)state;
	const struct token_keys *all[] = {keys, rsa_keys};
	for (size_t i = 0; i < N_ELEMS(all); i++) {
		struct err err = {0};
		struct token_claims in = usual(), out;
		in.audience[1] = "another";
		assert_int_equal(
			token_verify(all[i], make(all[i], &in), &expected, arena, &out, &err),
			TOKEN_WHY_FINE);
		assert_string_equal(out.issuer, in.issuer);
		assert_string_equal(out.audience[0], "istio-ca");
		assert_string_equal(out.audience[1], "another");
		assert_null(out.audience[2]);
		assert_true(out.expires_s == in.expires_s && out.issued_s == in.issued_s &&
			    out.not_before_s == in.not_before_s);
		assert_string_equal(out.id, in.id);
		assert_string_equal(out.ns, "shop");
		assert_string_equal(out.service_account, "db");
		assert_string_equal(out.service_account_uid, "sa-uid");
		assert_string_equal(out.pod, "db-0");
		assert_string_equal(out.pod_uid, "pod-uid");
	}
}

static void claims(void **state)
{
	(void)state;
	const struct { /* not static: clang takes no other constant into one */
		const char *rule;
		struct token_expect want;
		struct token_claims is; /* what differs from usual() */
		enum token_why why;
	} rows[] = {
		{"as it should be", expected, {0}, TOKEN_WHY_FINE},
		{"of that Pod",
		 {NULL, "istio-ca", NOW, 0, "shop", "db-0", "pod-uid"},
		 {0},
		 TOKEN_WHY_FINE},
		{"any issuer will do",
		 {NULL, "istio-ca", NOW, 0, NULL, NULL, NULL},
		 {.issuer = "elsewhere"},
		 TOKEN_WHY_FINE},
		{"another issuer", expected, {.issuer = "elsewhere"}, TOKEN_WHY_ISSUER},
		{"another audience", expected, {.audience = {"vault"}}, TOKEN_WHY_AUDIENCE},
		{"an audience that begins like ours",
		 expected,
		 {.audience = {"istio-ca2"}},
		 TOKEN_WHY_AUDIENCE},
		{"ours is the second",
		 expected,
		 {.audience = {"vault", "istio-ca"}},
		 TOKEN_WHY_FINE},
		{"expired now", expected, {.expires_s = NOW}, TOKEN_WHY_EXPIRED},
		{"expires in a second", expected, {.expires_s = NOW + 1}, TOKEN_WHY_FINE},
		{"expired long ago", expected, {.expires_s = 1}, TOKEN_WHY_EXPIRED},
		{"expired within the tolerance",
		 {NULL, "istio-ca", NOW, 120, NULL, NULL, NULL},
		 {.expires_s = NOW - 60},
		 TOKEN_WHY_FINE},
		{"not yet", expected, {.not_before_s = NOW + 1}, TOKEN_WHY_NOT_YET},
		{"not yet, within the tolerance",
		 {NULL, "istio-ca", NOW, 120, NULL, NULL, NULL},
		 {.not_before_s = NOW + 60},
		 TOKEN_WHY_FINE},
		{"made in the future", expected, {.issued_s = NOW + 1}, TOKEN_WHY_NOT_YET},
		{"another Pod's name",
		 {NULL, "istio-ca", NOW, 0, "shop", "db-1", NULL},
		 {0},
		 TOKEN_WHY_POD},
		{"a Pod of that name before",
		 {NULL, "istio-ca", NOW, 0, "shop", "db-0", "new"},
		 {0},
		 TOKEN_WHY_POD},
		{"another namespace",
		 {NULL, "istio-ca", NOW, 0, "web", "db-0", NULL},
		 {0},
		 TOKEN_WHY_POD},
		{"bound to no Pod, and one is wanted",
		 {NULL, "istio-ca", NOW, 0, NULL, "db-0", NULL},
		 {.pod = ""},
		 TOKEN_WHY_POD},
		{"two service accounts in one",
		 expected,
		 {.service_account = "a:b"},
		 TOKEN_WHY_SUBJECT},
		{"two namespaces in one", expected, {.ns = "a:b"}, TOKEN_WHY_SUBJECT},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		const struct token_claims *is = &rows[i].is;
		struct token_claims c = usual(), out;
		struct err err = {0};
		if (is->issuer)
			c.issuer = is->issuer;
		if (is->audience[0])
			memcpy(c.audience, is->audience, sizeof(c.audience));
		if (is->expires_s)
			c.expires_s = is->expires_s;
		if (is->not_before_s)
			c.not_before_s = is->not_before_s;
		if (is->issued_s)
			c.issued_s = is->issued_s;
		if (is->ns)
			c.ns = is->ns;
		if (is->service_account)
			c.service_account = is->service_account;
		if (is->pod)
			c.pod = NULL;
		enum token_why why =
			token_verify(keys, make(keys, &c), &rows[i].want, arena, &out, &err);
		if (why != rows[i].why)
			fail_msg("%s: %s [%s]", rows[i].rule, token_why_label(why), err.text);
		assert_int_equal(why == TOKEN_WHY_FINE, err.text[0] == '\0');
	}
}

#define GOOD_SUB "\"sub\":\"system:serviceaccount:shop:db\""
#define GOOD_K8S "\"kubernetes.io\":{\"namespace\":\"shop\",\"serviceaccount\":{\"name\":\"db\"}}"
#define GOOD_REST "\"iss\":\"" TOKEN_ISSUER "\",\"exp\":1800003600,\"iat\":1799999990"
#define GOOD "{\"aud\":[\"istio-ca\"]," GOOD_SUB "," GOOD_K8S "," GOOD_REST "}"

/* Signed by our own key, so that the texts alone are at fault. */
static void texts(void **state)
{
	(void)state;
	static const char rs[] = "{\"alg\":\"RS256\"}";
	static const struct {
		const char *rule, *header, *payload;
		enum token_why why;
	} rows[] = {
		{"the least", rs, GOOD, TOKEN_WHY_FINE},
		{"one audience, not in a list", rs,
		 "{\"aud\":\"istio-ca\"," GOOD_SUB "," GOOD_K8S "," GOOD_REST "}", TOKEN_WHY_FINE},
		{"alg none", "{\"alg\":\"none\"}", GOOD, TOKEN_WHY_ALGORITHM},
		{"alg None", "{\"alg\":\"None\"}", GOOD, TOKEN_WHY_ALGORITHM},
		{"alg empty", "{\"alg\":\"\"}", GOOD, TOKEN_WHY_ALGORITHM},
		{"a shared secret's", "{\"alg\":\"HS256\"}", GOOD, TOKEN_WHY_ALGORITHM},
		{"another of the family", "{\"alg\":\"RS512\"}", GOOD, TOKEN_WHY_ALGORITHM},
		{"no alg", "{\"typ\":\"JWT\"}", GOOD, TOKEN_WHY_MALFORMED},
		{"alg is a list", "{\"alg\":[\"RS256\"]}", GOOD, TOKEN_WHY_MALFORMED},
		{"alg twice", "{\"alg\":\"none\",\"alg\":\"RS256\"}", GOOD, TOKEN_WHY_MALFORMED},
		{"header is a list", "[\"RS256\"]", GOOD, TOKEN_WHY_MALFORMED},
		{"header is no JSON", "RS256", GOOD, TOKEN_WHY_MALFORMED},
		{"an extension is demanded", "{\"alg\":\"RS256\",\"crit\":[\"b64\"]}", GOOD,
		 TOKEN_WHY_MALFORMED},
		{"another key is named", "{\"alg\":\"RS256\",\"kid\":\"x\"}", GOOD,
		 TOKEN_WHY_SIGNATURE},
		{"payload is a list", rs, "[]", TOKEN_WHY_MALFORMED},
		{"payload is no JSON", rs, "x", TOKEN_WHY_MALFORMED},
		{"something behind the payload", rs, GOOD "{}", TOKEN_WHY_MALFORMED},
		{"audience twice", rs,
		 "{\"aud\":\"x\",\"aud\":\"istio-ca\"," GOOD_SUB "," GOOD_K8S "," GOOD_REST "}",
		 TOKEN_WHY_MALFORMED},
		{"no audience", rs, "{" GOOD_SUB "," GOOD_K8S "," GOOD_REST "}",
		 TOKEN_WHY_MALFORMED},
		{"an empty list of audiences", rs,
		 "{\"aud\":[]," GOOD_SUB "," GOOD_K8S "," GOOD_REST "}", TOKEN_WHY_MALFORMED},
		{"an audience that is a number", rs,
		 "{\"aud\":[\"istio-ca\",7]," GOOD_SUB "," GOOD_K8S "," GOOD_REST "}",
		 TOKEN_WHY_MALFORMED},
		{"never expires", rs,
		 "{\"aud\":\"istio-ca\"," GOOD_SUB "," GOOD_K8S ",\"iss\":\"" TOKEN_ISSUER
		 "\",\"iat\":1}",
		 TOKEN_WHY_MALFORMED},
		{"expires as text", rs,
		 "{\"aud\":\"istio-ca\"," GOOD_SUB "," GOOD_K8S ",\"iss\":\"" TOKEN_ISSUER
		 "\",\"exp\":\"1900000000\",\"iat\":1}",
		 TOKEN_WHY_MALFORMED},
		{"expires in a far future", rs,
		 "{\"aud\":\"istio-ca\"," GOOD_SUB "," GOOD_K8S ",\"iss\":\"" TOKEN_ISSUER
		 "\",\"exp\":9223372036854775807,\"iat\":1}",
		 TOKEN_WHY_FINE},
		{"expired before time began", rs,
		 "{\"aud\":\"istio-ca\"," GOOD_SUB "," GOOD_K8S ",\"iss\":\"" TOKEN_ISSUER
		 "\",\"exp\":-9223372036854775808,\"iat\":1}",
		 TOKEN_WHY_EXPIRED},
		{"a person's token", rs, "{\"aud\":\"istio-ca\",\"sub\":\"alice\"," GOOD_REST "}",
		 TOKEN_WHY_MALFORMED},
		{"subject and claims disagree", rs,
		 "{\"aud\":\"istio-ca\",\"sub\":\"system:serviceaccount:shop:admin\"," GOOD_K8S
		 "," GOOD_REST "}",
		 TOKEN_WHY_SUBJECT},
		{"no subject", rs, "{\"aud\":\"istio-ca\"," GOOD_K8S "," GOOD_REST "}",
		 TOKEN_WHY_SUBJECT},
		{"a Pod without uid", rs,
		 "{\"aud\":\"istio-ca\"," GOOD_SUB
		 ",\"kubernetes.io\":{\"namespace\":\"shop\",\"serviceaccount\":{\"name\":\"db\"},"
		 "\"pod\":{\"name\":\"db-0\"}}," GOOD_REST "}",
		 TOKEN_WHY_MALFORMED},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct err err = {0};
		struct token_claims out;
		struct slice jwt = forge(keypair_pkey(rsa), rows[i].header, rows[i].payload);
		enum token_why why = token_verify(rsa_keys, jwt, &expected, arena, &out, &err);
		if (why != rows[i].why)
			fail_msg("%s: %s [%s]", rows[i].rule, token_why_label(why), err.text);
	}
}

static enum token_why verdict(struct slice jwt)
{
	struct err err = {0};
	struct token_claims out;
	return token_verify(keys, jwt, &expected, arena, &out, &err);
}

static void signatures(void **state)
{
	(void)state;
	struct token_claims c = usual();
	struct slice jwt = make(keys, &c);
	assert_int_equal(verdict(jwt), TOKEN_WHY_FINE);
	assert_int_equal(verdict(make(rsa_keys, &c)), TOKEN_WHY_ALGORITHM);
	assert_int_equal(verdict(make(stranger_keys, &c)), TOKEN_WHY_SIGNATURE); /* by its kid */
	/* and where no kid is named: DER is not what a JWT carries, a stranger's not ours */
	assert_int_equal(verdict(forge(keypair_pkey(ec), "{\"alg\":\"ES256\"}", GOOD)),
			 TOKEN_WHY_SIGNATURE);
	/* any character changed, or cut off, or added */
	for (size_t i = 0; i < jwt.len; i++) {
		char *text = arena_dup(arena, jwt);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		assert_int_not_equal(verdict(slice_of(text)), TOKEN_WHY_FINE);
		assert_int_not_equal(verdict(slice_sub(jwt, 0, i)), TOKEN_WHY_FINE);
		text[i] = '\0'; /* a NUL where somebody might stop reading */
		assert_int_not_equal(verdict((struct slice){text, jwt.len}), TOKEN_WHY_FINE);
	}
	static const char *const tails[] = {"A", "=", ".", ".A", " ", "\n"};
	for (size_t i = 0; i < N_ELEMS(tails); i++)
		assert_int_not_equal(
			verdict(slice_of(arena_printf(arena, "%.*s%s", SLICE_FMT(jwt), tails[i]))),
			TOKEN_WHY_FINE);
	/* no signature at all */
	size_t last = jwt.len;
	while (jwt.at[last - 1] != '.')
		last--;
	assert_int_equal(verdict(slice_sub(jwt, 0, last)), TOKEN_WHY_MALFORMED);
	assert_int_equal(verdict(SLICE("")), TOKEN_WHY_MALFORMED);
	assert_int_equal(verdict(SLICE("..")), TOKEN_WHY_MALFORMED);
	char *huge = mem_new(TOKEN_MAX + 2);
	memset(huge, '.', TOKEN_MAX + 1);
	assert_int_equal(verdict(slice_of(huge)), TOKEN_WHY_MALFORMED);
	free(huge);
}

static BIGNUM *number(const char *text)
{
	struct buf b;
	buf_init(&b, 64);
	MUST(base64url_get(slice_of(text), &b));
	BIGNUM *n = BN_bin2bn((const uint8_t *)buf_slice(&b).at, (int)buf_len(&b), NULL);
	buf_fini(&b);
	return n;
}

/* RFC 7515 A.3: what others sign with ES256 verifies here. */
static void as_in_the_rfc(void **state)
{
	(void)state;
	static const char jwt[] = "eyJhbGciOiJFUzI1NiJ9."
				  "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
				  "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
				  "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
				  "pmWQxfKTUJqPP3-Kg6NU1Q";
	uint8_t point[65] = {4};
	BIGNUM *x = number("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
	       *y = number("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
	       *d = number("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
	MUST(BN_bn2binpad(x, &point[1], 32) == 32 && BN_bn2binpad(y, &point[33], 32) == 32);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	MUST(OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
	     OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point,
					      sizeof(point)) == 1 &&
	     OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	MUST(EVP_PKEY_fromdata_init(ctx) == 1 &&
	     EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1);
	struct keypair pair = {.refs = 1, .key = key};
	struct err err = {0};
	struct token_claims out;
	struct token_keys *k = token_keys_new(&pair, &err);
	assert_non_null(k);
	/* joe is no service account: but the signature was right */
	assert_int_equal(token_verify(k, slice_of(jwt), &expected, arena, &out, &err),
			 TOKEN_WHY_MALFORMED);
	assert_non_null(strstr(err.text, "its claims"));
	char *spoilt = arena_dup(arena, slice_of(jwt));
	spoilt[30] ^= 1;
	assert_int_equal(token_verify(k, slice_of(spoilt), &expected, arena, &out, &err),
			 TOKEN_WHY_SIGNATURE);
	token_keys_free(k);
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(x), BN_free(y), BN_clear_free(d);
}

static void base64url(void **state)
{
	(void)state;
	static const struct {
		const char *rule, *text, *bytes; /* bytes NULL: refused */
	} rows[] = {
		{"RFC 4648 10", "", ""},
		{"one byte", "Zg", "f"},
		{"two bytes", "Zm8", "fo"},
		{"three bytes", "Zm9v", "foo"},
		{"six bytes", "Zm9vYmFy", "foobar"},
		{"URL's signs", "_-8", "\xff\xef"},
		{"padding", "Zg==", NULL},
		{"ordinary base64", "/+8", NULL},
		{"a blank", "Zm 9v", NULL},
		{"a newline", "Zm9v\n", NULL},
		{"one sign too many", "Zm9vA", NULL},
		{"bits left over", "Zh", NULL},
		{"bits left over behind two", "Zm9", NULL},
	};
	for (size_t i = 0; i < N_ELEMS(rows); i++) {
		struct buf b;
		buf_init(&b, 64);
		bool ok = base64url_get(slice_of(rows[i].text), &b);
		if (ok != !!rows[i].bytes || (ok && !slice_is(buf_slice(&b), rows[i].bytes)))
			fail_msg("%s", rows[i].rule);
		buf_clear(&b);
		if (ok) {
			assert_true(base64url_put(slice_of(rows[i].bytes), &b));
			assert_true(slice_is(buf_slice(&b), rows[i].text));
		}
		buf_fini(&b);
	}
}

static void keys_that_will_not_do(void **state)
{
	(void)state;
	struct err err = {0};
	struct keypair *p384 = keypair_new(KEYPAIR_EC_P384, &err);
	assert_null(token_keys_new(p384, &err));
	assert_non_null(strstr(err.text, "neither"));
	keypair_put(p384);
}

static int setup(void **state)
{
	(void)state;
	struct err err = {0};
	ec = keypair_new(KEYPAIR_EC_P256, &err);
	rsa = keypair_new(KEYPAIR_RSA_2048, &err);
	stranger = keypair_new(KEYPAIR_EC_P256, &err);
	keys = token_keys_new(ec, &err);
	rsa_keys = token_keys_new(rsa, &err);
	stranger_keys = token_keys_new(stranger, &err);
	arena = arena_new();
	return keys && rsa_keys && stranger_keys ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	token_keys_free(keys), token_keys_free(rsa_keys), token_keys_free(stranger_keys);
	keypair_put(ec), keypair_put(rsa), keypair_put(stranger);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(claims),
		cmocka_unit_test(texts),
		cmocka_unit_test(signatures),
		cmocka_unit_test(as_in_the_rfc),
		cmocka_unit_test(base64url),
		cmocka_unit_test(keys_that_will_not_do),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
