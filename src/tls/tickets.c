#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tls/inside.h"

/* ---- the keys of a server --------------------------------------------------------------------- */

static bool draw(struct tls_ticket_key *key, struct err *err)
{
	key->set = true;
	if (RAND_bytes(key->name, sizeof(key->name)) == 1 &&
	    RAND_priv_bytes(key->aes, sizeof(key->aes)) == 1 &&
	    RAND_priv_bytes(key->mac, sizeof(key->mac)) == 1)
		return true;
	return tls_ossl_err(err, ERR_SYS, "random bytes for a ticket key");
}

bool tls_ticket_keys_rotate(struct tls_ticket_keys *k, struct err *err)
{
	struct tls_ticket_key key;
	bool ok = draw(&key, err);
	if (ok) {
		MUST(pthread_mutex_lock(&k->lock) == 0);
		memmove(&k->key[1], &k->key[0], sizeof(key) * (TLS_TICKET_KEYS - 1));
		k->key[0] = key;
		MUST(pthread_mutex_unlock(&k->lock) == 0);
	}
	OPENSSL_cleanse(&key, sizeof(key));
	return ok;
}

struct tls_ticket_keys *tls_ticket_keys_new(struct err *err)
{
	struct tls_ticket_keys *k = mem_new(sizeof(*k));
	atomic_init(&k->refs, 1);
	MUST(pthread_mutex_init(&k->lock, NULL) == 0);
	if (tls_ticket_keys_rotate(k, err))
		return k;
	tls_ticket_keys_put(k);
	return NULL;
}

struct tls_ticket_keys *tls_ticket_keys_get(struct tls_ticket_keys *k)
{
	atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void tls_ticket_keys_put(struct tls_ticket_keys *k)
{
	if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) > 1)
		return;
	OPENSSL_cleanse(k->key, sizeof(k->key));
	(void)pthread_mutex_destroy(&k->lock); /* nobody holds it: no reference is left */
	free(k);
}

/* A copy of the newest key (NAME is NULL) or of the one called NAME; the age, or -1. */
static int key_copy(struct tls_ticket_keys *k, const uint8_t *name, struct tls_ticket_key *out)
{
	int found = -1;
	MUST(pthread_mutex_lock(&k->lock) == 0);
	for (int i = 0; i < TLS_TICKET_KEYS && found < 0; i++)
		if (k->key[i].set &&
		    (!name || memcmp(name, k->key[i].name, sizeof(out->name)) == 0)) {
			*out = k->key[i];
			found = i;
		}
	MUST(pthread_mutex_unlock(&k->lock) == 0);
	return found;
}

static bool key_use(const struct tls_ticket_key *key, const uint8_t *iv, bool seal,
		    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
	uint8_t secret[sizeof(key->mac)];
	memcpy(secret, key->mac, sizeof(secret));
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof(secret)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_end(),
	};
	bool ok = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes, iv, seal) == 1 &&
		  EVP_MAC_CTX_set_params(mac, params) == 1;
	OPENSSL_cleanse(secret, sizeof(secret));
	return ok;
}

/* OpenSSL asks for a key to seal or open a ticket with. Opening: 0 no such key, 1 opened, 2 opened
 * with an old key, seal a new ticket. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		      EVP_MAC_CTX *mac, int seal)
{
	const struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct tls_ticket_key key;
	int age = key_copy(c->ticket_keys, seal ? NULL : name, &key);
	if (age < 0)
		return 0;
	bool ok = true;
	if (seal) {
		memcpy(name, key.name, sizeof(key.name));
		ok = RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1;
	}
	ok = ok && key_use(&key, iv, seal != 0, cipher, mac);
	OPENSSL_cleanse(&key, sizeof(key));
	if (!ok)
		return -1;
	return seal || age == 0 ? 1 : 2;
}

/* A ticket is about to be made of SSL's session. 0: the handshake fails. */
static int ticket_wanted(SSL *ssl, void *arg)
{
	(void)arg;
	const struct tls *t = SSL_get_app_data(ssl);
	SSL_SESSION *session = SSL_get_session(ssl);
	if (!t->peer || !SSL_SESSION_get0_peer(session))
		return 1; /* there is none, or it was resumed and is lean already */
	return tls_session_lean(session, t->peer);
}

/*
 * A ticket that opened: whoever it vouches for must still be welcome, or the handshake takes the
 * long way, where the refusal gets its proper alert.
 */
static SSL_TICKET_RETURN ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
				       size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
	(void)name, (void)name_len, (void)arg;
	struct tls *t = SSL_get_app_data(ssl);
	switch (status) {
	case SSL_TICKET_SUCCESS:
	case SSL_TICKET_SUCCESS_RENEW:
		break;
	case SSL_TICKET_FATAL_ERR_MALLOC:
	case SSL_TICKET_FATAL_ERR_OTHER:
		return SSL_TICKET_RETURN_ABORT;
	default:
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	}
	if (t->ctx->verify_peer && !tls_would_accept(t, session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	/* Clients of TLS 1.3 use a ticket once (RFC 8446 C.4): each resumption brings the next. */
	bool renew = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION;
	return renew ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

/* ---- the tickets of a client ------------------------------------------------------------------ */

struct tls_tickets *tls_tickets_new(void)
{
	return mem_new(sizeof(struct tls_tickets));
}

void tls_tickets_drop(struct tls_tickets *t)
{
	SSL_SESSION_free(t->newest);
	t->newest = NULL;
}

void tls_tickets_free(struct tls_tickets *t)
{
	if (!t)
		return;
	tls_tickets_drop(t);
	free(t);
}

bool tls_tickets_ready(const struct tls_tickets *t)
{
	return t->newest != NULL;
}

static bool keep(const struct tls *t, SSL_SESSION *session)
{
	struct tls_tickets *tickets = t->start.tickets;
	if (!tickets || !SSL_SESSION_is_resumable(session) || !SSL_SESSION_has_ticket(session))
		return false;
	tls_tickets_drop(tickets);
	tickets->newest = session;
	tickets->context = t->ctx->serial;
	return true;
}

/* A server gave us a ticket. 1: the reference is ours now. */
static int ticket_came(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = SSL_get_app_data(ssl);
	t->got_ticket = true;
	return keep(t, session);
}

/* OpenSSL tells of every ticket but this one: TLS 1.2, resumed, and renewed with it. */
void tls_tickets_renewed(struct tls *t)
{
	if (t->ctx->role != TLS_CLIENT || !SSL_session_reused(t->ssl) ||
	    SSL_version(t->ssl) != TLS1_2_VERSION)
		return;
	SSL_SESSION *session = SSL_get1_session(t->ssl);
	if (!keep(t, session))
		SSL_SESSION_free(session);
}

/*
 * A copy is offered: OpenSSL makes an offered session of TLS 1.3 unfit for a second use, and a
 * burst of connections would find no ticket until the first of them has got the next. Being
 * recognised by one's ticket is no loss to somebody who shows a certificate.
 *
 * Several servers may stand behind one address, told apart by SNI: a ticket of one of them that this
 * connection is not meant for would be resumed and then refused, where the long way leads to the right
 * one.
 */
void tls_tickets_offer(struct tls *t)
{
	struct tls_tickets *tickets = t->start.tickets;
	if (!tickets || !tickets->newest)
		return;
	bool good = tickets->context == t->ctx->serial &&
		    (!t->ctx->verify_peer || tls_would_accept(t, tickets->newest));
	SSL_SESSION *copy = good ? SSL_SESSION_dup(tickets->newest) : NULL;
	if (!copy || SSL_set_session(t->ssl, copy) != 1)
		tls_tickets_drop(tickets);
	SSL_SESSION_free(copy);
}

bool tls_tickets_setup(struct tls_context *c, const struct tls_identity *id, struct err *err)
{
	if (c->role == TLS_CLIENT) {
		SSL_CTX_set_session_cache_mode(c->ssl,
					       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(c->ssl, ticket_came);
		return true;
	}
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	if (!c->ticket_keys) {
		SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET);
		return SSL_CTX_set_num_tickets(c->ssl, 0) == 1 ||
		       tls_ossl_err(err, ERR_SYS, "session tickets");
	}
	/* Sessions of other anchors, or of contexts that verify nobody, are not resumed here. */
	uint8_t scope[32];
	memcpy(scope, id->roots_hash, sizeof(scope));
	scope[0] = (uint8_t)(scope[0] ^ c->verify_peer);
	SSL_CTX_set_timeout(c->ssl, TLS_TICKET_LIFE_S);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, ticket_key);
	bool ok = SSL_CTX_set_session_id_context(c->ssl, scope, sizeof(scope)) == 1 &&
		  SSL_CTX_set_num_tickets(c->ssl, 1) == 1 &&
		  SSL_CTX_set_session_ticket_cb(c->ssl, ticket_wanted, ticket_opened, NULL) == 1;
	return ok || tls_ossl_err(err, ERR_SYS, "session tickets");
}
