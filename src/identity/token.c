#include "identity/token.h"

#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/mem.h"
#include "identity/base64url.h"
#include "identity/ossl.h"

static const struct {
	const char *label, *text;
} rows[] = {
#define TOKEN_WHY_ROW(name, label, text) [TOKEN_WHY_##name] = {label, text},
	TOKEN_WHY_ROWS
#undef TOKEN_WHY_ROW
};

const char *token_why_label(enum token_why why)
{
	return rows[why].label;
}

const char *token_why_text(enum token_why why)
{
	return rows[why].text;
}

/* ---- keys ------------------------------------------------------------------------------------- */

enum { ES256_LEN = 64, ES256_HALF = 32, SIGNATURE_MAX = 1024 /* RSA 8192 */ };

struct token_keys {
	struct keypair *key;
	const char *alg;
	char id[48]; /* base64url of the public key's SHA-256, as in Kubernetes */
};

static bool name_key(struct token_keys *k)
{
	uint8_t *der = NULL, sha256[32];
	struct buf id;
	int len = i2d_PUBKEY(k->key->key, &der);
	if (len <= 0 || EVP_Digest(der, (size_t)len, sha256, NULL, EVP_sha256(), NULL) != 1)
		return false;
	OPENSSL_free(der);
	buf_init(&id, sizeof(k->id));
	bool ok = base64url_put((struct slice){(const char *)sha256, sizeof(sha256)}, &id) &&
		  buf_cstr(&id);
	if (ok)
		memcpy(k->id, buf_cstr(&id), buf_len(&id) + 1);
	buf_fini(&id);
	return ok;
}

struct token_keys *token_keys_new(struct keypair *key, struct err *err)
{
	struct token_keys *k = mem_new(sizeof(*k));
	k->key = keypair_get(key);
	switch (EVP_PKEY_get_base_id(key->key)) {
	case EVP_PKEY_RSA:
		k->alg = "RS256";
		break;
	case EVP_PKEY_EC:
		k->alg = EVP_PKEY_get_bits(key->key) == 256 ? "ES256" : NULL;
		break;
	default:
		break;
	}
	bool ok = k->alg ? name_key(k) || ossl_err(err, ERR_SYS, "token key")
			 : err_set(err, ERR_BAD_INPUT, "token key: neither P-256 nor RSA");
	if (ok)
		return k;
	token_keys_free(k);
	return NULL;
}

void token_keys_free(struct token_keys *k)
{
	if (!k)
		return;
	keypair_put(k->key);
	free(k);
}

static bool is_ec(const struct token_keys *k)
{
	return k->alg[0] == 'E';
}

/* RFC 7518 3.4: R and S behind each other, where OpenSSL has them in DER. */
static bool raw_of_der(uint8_t *signature, size_t *len)
{
	const uint8_t *at = signature;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)*len);
	bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, ES256_HALF) == ES256_HALF &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), &signature[ES256_HALF], ES256_HALF) ==
			  ES256_HALF;
	ECDSA_SIG_free(sig);
	*len = ES256_LEN;
	return ok;
}

static uint8_t *der_of_raw(struct slice raw, size_t *len)
{
	const uint8_t *at = (const uint8_t *)raw.at;
	uint8_t *der = NULL;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	MUST(sig);
	BIGNUM *r = BN_bin2bn(at, ES256_HALF, NULL),
	       *s = BN_bin2bn(&at[ES256_HALF], ES256_HALF, NULL);
	MUST(r && s && ECDSA_SIG_set0(sig, r, s) == 1);
	int n = i2d_ECDSA_SIG(sig, &der);
	ECDSA_SIG_free(sig);
	*len = n > 0 ? (size_t)n : 0;
	return der;
}

static bool sign(const struct token_keys *k, struct slice what, struct buf *out)
{
	uint8_t signature[SIGNATURE_MAX];
	size_t len = sizeof(signature);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	MUST(md);
	bool ok = EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, k->key->key) == 1 &&
		  EVP_DigestSign(md, signature, &len, (const uint8_t *)what.at, what.len) == 1 &&
		  (!is_ec(k) || raw_of_der(signature, &len));
	EVP_MD_CTX_free(md);
	return ok && base64url_put((struct slice){(const char *)signature, len}, out);
}

static bool signature_ok(const struct token_keys *k, struct slice what, struct slice signature)
{
	uint8_t *der = NULL;
	size_t len = signature.len;
	if (is_ec(k)) {
		if (len != ES256_LEN)
			return false;
		der = der_of_raw(signature, &len);
	}
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	MUST(md);
	bool ok = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, k->key->key) == 1 &&
		  EVP_DigestVerify(md, der ? der : (const uint8_t *)signature.at, len,
				   (const uint8_t *)what.at, what.len) == 1;
	EVP_MD_CTX_free(md);
	OPENSSL_free(der);
	ERR_clear_error();
	return ok;
}

/* ---- making ----------------------------------------------------------------------------------- */

static void put_claims(struct json_out *j, const struct token_claims *c)
{
	json_open_object(j, NULL);
	json_open_array(j, "aud");
	for (size_t i = 0; i < TOKEN_MAX_AUDIENCES && c->audience[i]; i++)
		json_cstr(j, NULL, c->audience[i]);
	json_close(j);
	json_i64(j, "exp", c->expires_s);
	json_i64(j, "iat", c->issued_s);
	json_cstr(j, "iss", c->issuer);
	if (c->id)
		json_cstr(j, "jti", c->id);
	json_open_object(j, "kubernetes.io");
	json_cstr(j, "namespace", c->ns);
	if (c->pod) {
		json_open_object(j, "pod");
		json_cstr(j, "name", c->pod);
		json_cstr(j, "uid", c->pod_uid);
		json_close(j);
	}
	json_open_object(j, "serviceaccount");
	json_cstr(j, "name", c->service_account);
	if (c->service_account_uid)
		json_cstr(j, "uid", c->service_account_uid);
	json_close(j);
	json_close(j);
	json_i64(j, "nbf", c->not_before_s);
}

static bool put_part(struct buf *json, struct buf *out)
{
	bool ok = !json->full && base64url_put(buf_slice(json), out);
	buf_clear(json);
	return ok;
}

bool token_make(const struct token_keys *k, const struct token_claims *claims, struct buf *out,
		struct err *err)
{
	struct buf json, token, subject;
	struct json_out j;
	buf_init(&json, TOKEN_MAX);
	buf_init(&token, TOKEN_MAX);
	buf_init(&subject, 1024);
	json_out_init(&j, &json);
	json_open_object(&j, NULL);
	json_cstr(&j, "alg", k->alg);
	json_cstr(&j, "kid", k->id);
	json_close(&j);
	bool ok = put_part(&json, &token) && buf_putc(&token, '.');
	json_out_init(&j, &json);
	put_claims(&j, claims);
	ok = ok && buf_printf(&subject, "system:serviceaccount:%s:%s", claims->ns,
			      claims->service_account);
	json_slice(&j, "sub", buf_slice(&subject));
	json_close(&j);
	ok = ok && put_part(&json, &token);
	size_t signed_len = buf_len(&token);
	ok = ok && buf_putc(&token, '.') &&
	     sign(k, slice_sub(buf_slice(&token), 0, signed_len), &token) &&
	     buf_append(out, buf_slice(&token));
	buf_fini(&json);
	buf_fini(&token);
	buf_fini(&subject);
	ERR_clear_error();
	return ok ||
	       err_set(err, ERR_LIMIT, "token: it cannot be made, or there is no room for it");
}

/* ---- verifying -------------------------------------------------------------------------------- */

static enum token_why refuse(struct err *err, enum token_why why, const char *detail)
{
	err_set(err, ERR_BAD_INPUT, "token: %s%s%s", token_why_text(why), detail ? ": " : "",
		detail ? detail : "");
	return why;
}

/* A part as JSON object; NULL: it is none. */
static json_t *part(struct slice text)
{
	struct buf json;
	json_t *object = NULL;
	buf_init(&json, TOKEN_MAX);
	if (base64url_get(text, &json) && buf_len(&json) > 0)
		object = json_loadb(buf_slice(&json).at, buf_len(&json), JSON_REJECT_DUPLICATES,
				    NULL);
	buf_fini(&json);
	if (!json_is_object(object)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static const char *text_in(const json_t *object, const char *key, struct arena *arena)
{
	const json_t *value = json_object_get(object, key);
	return json_is_string(value) ? arena_dup(arena, slice_of(json_string_value(value))) : NULL;
}

static bool time_in(const json_t *object, const char *key, int64_t *out)
{
	const json_t *value = json_object_get(object, key);
	*out = json_integer_value(value);
	return json_is_integer(value);
}

static enum token_why check_header(const struct token_keys *k, struct slice text, struct err *err)
{
	json_t *header = part(text);
	const char *alg = json_string_value(json_object_get(header, "alg"));
	const json_t *kid = json_object_get(header, "kid");
	enum token_why why = TOKEN_WHY_FINE;
	if (!header || !alg)
		why = refuse(err, TOKEN_WHY_MALFORMED, "its header");
	else if (strcmp(alg, k->alg) != 0) /* "none" and its friends; RFC 8725 3.1 */
		why = refuse(err, TOKEN_WHY_ALGORITHM, NULL);
	else if (json_object_get(header, "crit")) /* RFC 7515 4.1.11 */
		why = refuse(err, TOKEN_WHY_MALFORMED, "it demands an extension");
	else if (kid && (!json_is_string(kid) || strcmp(json_string_value(kid), k->id) != 0))
		why = refuse(err, TOKEN_WHY_SIGNATURE, "another key is named");
	json_decref(header);
	return why;
}

static bool read_audiences(const json_t *aud, struct arena *arena, struct token_claims *c)
{
	size_t n = json_is_array(aud) ? json_array_size(aud) : 1;
	if (n == 0 || n > TOKEN_MAX_AUDIENCES)
		return false;
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_is_array(aud) ? json_array_get(aud, i) : aud;
		if (!json_is_string(one))
			return false;
		c->audience[i] = arena_dup(arena, slice_of(json_string_value(one)));
	}
	return true;
}

static bool read_claims(const json_t *payload, struct arena *arena, struct token_claims *c)
{
	const json_t *k8s = json_object_get(payload, "kubernetes.io");
	const json_t *sa = json_object_get(k8s, "serviceaccount"),
		     *pod = json_object_get(k8s, "pod");
	c->issuer = text_in(payload, "iss", arena);
	c->id = text_in(payload, "jti", arena);
	c->ns = text_in(k8s, "namespace", arena);
	c->service_account = text_in(sa, "name", arena);
	c->service_account_uid = text_in(sa, "uid", arena);
	c->pod = text_in(pod, "name", arena);
	c->pod_uid = text_in(pod, "uid", arena);
	if (json_object_get(payload, "nbf") && !time_in(payload, "nbf", &c->not_before_s))
		return false;
	return c->issuer && c->ns && c->service_account && (!pod || (c->pod && c->pod_uid)) &&
	       time_in(payload, "exp", &c->expires_s) && time_in(payload, "iat", &c->issued_s) &&
	       read_audiences(json_object_get(payload, "aud"), arena, c);
}

/* The subject says the same as the claims beside it, and nothing that could be read in two ways. */
static bool subject_ok(const json_t *payload, const struct token_claims *c, struct arena *arena)
{
	const char *sub = text_in(payload, "sub", arena);
	const char *same =
		arena_printf(arena, "system:serviceaccount:%s:%s", c->ns, c->service_account);
	return sub && *c->ns && *c->service_account && !strchr(c->ns, ':') &&
	       !strchr(c->service_account, ':') && strcmp(sub, same) == 0;
}

static bool is_for(const struct token_claims *c, const char *audience)
{
	for (size_t i = 0; i < TOKEN_MAX_AUDIENCES && c->audience[i]; i++)
		if (strcmp(c->audience[i], audience) == 0)
			return true;
	return false;
}

static bool differs(const char *wanted, const char *is)
{
	return wanted && (!is || strcmp(wanted, is) != 0);
}

/* One step past INT64 is no time at all. */
static bool before(int64_t a, int64_t b, int64_t skew)
{
	int64_t limit;
	return !__builtin_add_overflow(a, skew, &limit) && limit < b;
}

static enum token_why check_claims(const json_t *payload, const struct token_expect *want,
				   struct arena *arena, struct token_claims *c, struct err *err)
{
	if (!read_claims(payload, arena, c))
		return refuse(err, TOKEN_WHY_MALFORMED, "its claims");
	if (differs(want->issuer, c->issuer))
		return refuse(err, TOKEN_WHY_ISSUER, c->issuer);
	if (!is_for(c, want->audience))
		return refuse(err, TOKEN_WHY_AUDIENCE, c->audience[0]);
	if (before(c->expires_s, want->now_s + 1, want->skew_s))
		return refuse(err, TOKEN_WHY_EXPIRED, NULL);
	if (before(want->now_s, c->not_before_s, want->skew_s) ||
	    before(want->now_s, c->issued_s, want->skew_s))
		return refuse(err, TOKEN_WHY_NOT_YET, NULL);
	if (!subject_ok(payload, c, arena))
		return refuse(err, TOKEN_WHY_SUBJECT, NULL);
	if (differs(want->ns, c->ns) || differs(want->pod, c->pod) ||
	    differs(want->pod_uid, c->pod_uid))
		return refuse(err, TOKEN_WHY_POD, c->pod);
	return TOKEN_WHY_FINE;
}

enum token_why token_verify(const struct token_keys *k, struct slice jwt,
			    const struct token_expect *want, struct arena *arena,
			    struct token_claims *claims, struct err *err)
{
	struct token_claims c = {0};
	struct slice rest = jwt, header = slice_cut(&rest, '.'), payload = slice_cut(&rest, '.');
	if (jwt.len > TOKEN_MAX || rest.len == 0 || slice_find(rest, '.') < rest.len)
		return refuse(err, TOKEN_WHY_MALFORMED, "not three parts, or too long");
	enum token_why why = check_header(k, header, err);
	if (why != TOKEN_WHY_FINE)
		return why;
	struct buf signature;
	buf_init(&signature, SIGNATURE_MAX);
	bool ok = base64url_get(rest, &signature) &&
		  signature_ok(k, slice_sub(jwt, 0, header.len + 1 + payload.len),
			       buf_slice(&signature));
	buf_fini(&signature);
	if (!ok)
		return refuse(err, TOKEN_WHY_SIGNATURE, NULL);
	json_t *json = part(payload);
	why = json ? check_claims(json, want, arena, &c, err)
		   : refuse(err, TOKEN_WHY_MALFORMED, "its payload is not a JSON object");
	json_decref(json);
	if (why == TOKEN_WHY_FINE)
		*claims = c;
	return why;
}
