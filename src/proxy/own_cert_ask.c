/* A certificate from an authority: one call of CreateCertificate. */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/read_file.h"
#include "identity/ca_messages.h"
#include "identity/csr.h"
#include "identity/token.h"
#include "proxy/own_cert_inside.h"

enum { CALL_MS = 10000, PLAIN_PORT = 15010, AUTHORIZATION_MAX = TOKEN_MAX + 16 };

/* ---- the answer ------------------------------------------------------------------------------- */

/* Leaf and intermediates, then the roots: the last text. */
static bool take_answer(struct own_cert *o, struct slice message, struct err *err)
{
	struct ca_response response;
	struct buf chain;
	if (!ca_response_read(message, &response, err))
		return false;
	buf_init(&chain, OWN_CERT_PEM_MAX);
	for (unsigned i = 0; i + 1 < response.n; i++) {
		(void)buf_append(&chain, response.cert[i]); /* a message is shorter */
		if (!slice_ends(response.cert[i], SLICE("\n")))
			(void)buf_putc(&chain, '\n'); /* as above */
	}
	bool ok = own_cert_take(o, buf_slice(&chain), keypair_pkey(o->key),
				response.cert[response.n - 1], err);
	buf_fini(&chain);
	return ok;
}

static void on_end(void *ctx, const struct grpc_answer *answer)
{
	struct own_cert *o = ctx;
	struct err err = {0};
	if (answer->status != GRPC_OK) {
		bool away = answer->status == GRPC_UNAVAILABLE ||
			    answer->status == GRPC_DEADLINE_EXCEEDED;
		err_set(&err, ERR_NOT_NOW, "authority %s: %s: %s", o->cfg.ca_addr,
			grpc_status_name(answer->status), answer->text);
		own_cert_ended(o, away ? OWN_CERT_UNAVAILABLE : OWN_CERT_REFUSED, &err);
	} else if (!take_answer(o, answer->message, &err)) {
		err_wrap(&err, "authority %s: its answer", o->cfg.ca_addr);
		own_cert_ended(o, OWN_CERT_BAD_ANSWER, &err);
	} else {
		own_cert_ended(o, OWN_CERT_ISSUED, NULL);
	}
}

/* ---- the question ----------------------------------------------------------------------------- */

/* Roots that vouch for the authority; or the certificate at hand with its roots, where that is how we
 * prove who we are. */
static struct tls_identity *ca_identity(const struct own_cert *o, bool with_cert, struct err *err)
{
	struct buf roots;
	struct tls_identity *id = NULL;
	if (with_cert)
		return tls_identity_get(o->identity);
	buf_init(&roots, OWN_CERT_PEM_MAX);
	if (read_file(o->cfg.ca_roots, &roots, err))
		id = tls_identity_new((struct slice){0}, (struct slice){0}, buf_slice(&roots), err);
	buf_fini(&roots);
	return id;
}

static struct tls_context *ca_context(const struct own_cert *o, bool with_cert, struct err *err)
{
	struct tls_identity *id = ca_identity(o, with_cert, err);
	struct tls_context *ctx =
		id ? tls_context_new(&(struct tls_options){.role = TLS_CLIENT,
							   .identity = id,
							   .verify_peer = true,
							   .clock_skew_s = OWN_CERT_SKEW_S},
				     err)
		   : NULL;
	tls_identity_put(id);
	return ctx;
}

static bool make_message(struct own_cert *o, struct buf *out, struct err *err)
{
	struct buf csr;
	o->key = keypair_new(KEYPAIR_EC_P256, err);
	if (!o->key)
		return false;
	buf_init(&csr, CSR_MAX);
	bool ok = csr_make(o->key, o->uri, &csr, err);
	struct ca_request request = {.csr = buf_slice(&csr), .validity_s = o->cfg.validity_s};
	if (ok && !ca_request_write(&request, out))
		ok = err_set(err, ERR_LIMIT, "signing request: no room for it");
	buf_fini(&csr);
	return ok;
}

/* "Bearer TOKEN" into OUT; false: there is no token. */
static bool read_token(const struct own_cert *o, struct buf *out, struct err *err)
{
	(void)buf_puts(out, "Bearer "); /* the first write into an empty buffer */
	if (!read_file(o->cfg.token, out, err))
		return false;
	size_t len = slice_trim(buf_slice(out)).len;
	out->end = out->start + len;
	return len > strlen("Bearer ") || err_set(err, ERR_BAD_INPUT, "%s is empty", o->cfg.token);
}

static bool call(struct own_cert *o, const char *authorization, struct tls_context *tls,
		 const struct addr *to, struct err *err)
{
	const struct grpc_pair metadata[] = {{"clusterid", "Kubernetes"},
					     {"authorization", authorization}};
	struct buf message;
	buf_init(&message, CA_MESSAGE_MAX);
	struct grpc_ask ask = {.to = *to,
			       .tls = tls,
			       .host = o->cfg.ca_host,
			       .method = CA_METHOD,
			       .metadata = metadata,
			       .n_metadata = authorization ? 2 : 1,
			       .timeout_ms = CALL_MS};
	bool ok = make_message(o, &message, err);
	ask.message = buf_slice(&message);
	ok = ok && (o->call = grpc_call_start(o->loop, &ask, on_end, o, err));
	buf_fini(&message);
	return ok;
}

/* With the token where there is one; else with the certificate at hand. */
static bool ask_at(struct own_cert *o, const struct addr *to, struct err *err)
{
	struct buf authorization;
	struct err why = {0};
	buf_init(&authorization, AUTHORIZATION_MAX);
	(void)buf_reserve(&authorization, AUTHORIZATION_MAX, NULL); /* so that it can be wiped */
	bool with_token = read_token(o, &authorization, &why);
	bool plain = to->port == PLAIN_PORT;
	struct tls_context *tls = NULL;
	bool ok = with_token || (o->identity && !plain) || err_set(err, why.kind, "%s", why.text);
	if (ok && !plain)
		ok = (tls = ca_context(o, !with_token, err));
	ok = ok && call(o, with_token ? buf_cstr(&authorization) : NULL, tls, to, err);
	tls_context_put(tls);
	buf_wipe(&authorization);
	return ok;
}

static void on_resolved(void *ctx, const struct resolve_answer *a)
{
	struct own_cert *o = ctx;
	struct err err = {0};
	struct slice port = slice_of(o->cfg.ca_addr);
	uint64_t number = 0;
	o->resolve = NULL;
	if (a->err) {
		own_cert_ended(o, OWN_CERT_UNAVAILABLE, a->err);
		return;
	}
	(void)slice_cut(&port, ':');                   /* the host */
	(void)slice_to_u64(port, UINT16_MAX, &number); /* own_cert_ask() has seen that it is one */
	/* One of them, each time another: an address that does not answer is not asked for ever. */
	struct addr to = {.ip = a->ips[o->next_ip++ % a->n], .port = (uint16_t)number};
	if (!ask_at(o, &to, &err))
		own_cert_ended(o, OWN_CERT_LOCAL, &err);
}

static bool ask_by_name(struct own_cert *o, struct err *err)
{
	struct slice port = slice_of(o->cfg.ca_addr), host = slice_cut(&port, ':');
	uint64_t number = 0;
	char name[256];
	if (host.len == 0 || host.len >= sizeof(name) || !slice_to_u64(port, UINT16_MAX, &number) ||
	    number == 0)
		return err_set(err, ERR_BAD_INPUT, "authority: expected HOST:PORT, got \"%s\"",
			       o->cfg.ca_addr);
	memcpy(name, host.at, host.len);
	name[host.len] = '\0';
	o->resolve = resolve_start(o->loop, name, on_resolved, o, err);
	return o->resolve != NULL;
}

void own_cert_ask(struct own_cert *o)
{
	struct addr to;
	struct err err = {0};
	bool literal = addr_parse(slice_of(o->cfg.ca_addr), &to);
	if (literal ? !ask_at(o, &to, &err) : !ask_by_name(o, &err))
		own_cert_ended(o, OWN_CERT_LOCAL, &err);
}
