#include "control/ca_service.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "identity/ca_messages.h"
#include "identity/spiffe.h"

enum { LOG_LINES_PER_S = 10 };

static const struct {
	const char *label;
	enum grpc_status status;
} results[] = {
#define X(name, label, status) [CA_RESULT_##name] = {label, status},
	CA_RESULTS(X)
#undef X
};

struct ca_service {
	struct ca_service_config cfg;
	struct ca *ca; /* NULL: not yet */
	uint64_t counts[N_CA_RESULTS];
	/* Refusals are told one by one, but not a flood of them. */
	int64_t log_second;
	unsigned log_lines;
	uint64_t log_left_out;
};

const char *ca_result_label(enum ca_result r)
{
	return results[r].label;
}

enum grpc_status ca_result_status(enum ca_result r)
{
	return results[r].status;
}

/* Whom a call comes from. */
struct caller {
	const struct object *pod; /* borrowed from the store; NULL: named by a certificate */
	const struct mesh_config *mesh;
	char uri[SPIFFE_MAX + 1];
};

static enum ca_result refuse(struct err *err, enum ca_result r, const char *text)
{
	err_set(err, ERR_BAD_INPUT, "%s", text);
	return r;
}

static bool make_uri(struct caller *c, struct slice ns, struct slice service_account,
		     struct err *err)
{
	struct spiffe_id id = {slice_of(c->mesh->trust_domain), ns, service_account};
	return spiffe_format(&id, c->uri, err);
}

/* ---- by token --------------------------------------------------------------------------------- */

static enum ca_result of_token(enum token_why why)
{
	static const enum ca_result of[] = {
		[TOKEN_WHY_FINE] = CA_RESULT_ISSUED,
		[TOKEN_WHY_MALFORMED] = CA_RESULT_TOKEN_MALFORMED,
		[TOKEN_WHY_ALGORITHM] = CA_RESULT_TOKEN_ALGORITHM,
		[TOKEN_WHY_SIGNATURE] = CA_RESULT_TOKEN_SIGNATURE,
		[TOKEN_WHY_ISSUER] = CA_RESULT_TOKEN_ISSUER,
		[TOKEN_WHY_AUDIENCE] = CA_RESULT_TOKEN_AUDIENCE,
		[TOKEN_WHY_EXPIRED] = CA_RESULT_TOKEN_EXPIRED,
		[TOKEN_WHY_NOT_YET] = CA_RESULT_TOKEN_NOT_YET,
		[TOKEN_WHY_SUBJECT] = CA_RESULT_TOKEN_SUBJECT,
		[TOKEN_WHY_POD] = CA_RESULT_TOKEN_POD,
	};
	_Static_assert(N_ELEMS(of) == TOKEN_N_WHYS, "a result for each reason");
	return of[why];
}

/* What TokenReview does for a bound token: the Pod must be there, be that very one, and run as that
 * account. */
static enum ca_result bound_pod(const struct store *store, const struct token_claims *c,
				const struct object **pod, struct err *err)
{
	if (!c->pod)
		return refuse(err, CA_RESULT_TOKEN_POD, "token: it is bound to no Pod");
	*pod = store_get(store, KIND_POD, c->ns, c->pod);
	if (!*pod) {
		err_set(err, ERR_NOT_FOUND, "token: there is no Pod %s/%s", c->ns, c->pod);
		return CA_RESULT_TOKEN_POD_GONE;
	}
	if (strcmp((*pod)->meta.uid, c->pod_uid) != 0) {
		err_set(err, ERR_NOT_FOUND, "token: made for an earlier Pod %s/%s", c->ns, c->pod);
		return CA_RESULT_TOKEN_POD;
	}
	if (strcmp((*pod)->pod->spec.service_account, c->service_account) != 0) {
		err_set(err, ERR_BAD_INPUT, "token: Pod %s/%s runs as another service account",
			c->ns, c->pod);
		return CA_RESULT_TOKEN_POD;
	}
	return CA_RESULT_ISSUED;
}

static enum ca_result by_token(struct ca_service *s, const struct ca_call *call, struct slice jwt,
			       struct arena *arena, struct caller *c, struct err *err)
{
	struct token_claims claims;
	struct token_expect want = {.issuer = TOKEN_ISSUER,
				    .audience = TOKEN_AUDIENCE,
				    .now_s = call->now_s,
				    .skew_s = CA_TOKEN_SKEW_S};
	enum token_why why = token_verify(s->cfg.keys, jwt, &want, arena, &claims, err);
	if (why != TOKEN_WHY_FINE)
		return of_token(why);
	enum ca_result r = bound_pod(s->cfg.store, &claims, &c->pod, err);
	if (r == CA_RESULT_ISSUED &&
	    !make_uri(c, slice_of(claims.ns), slice_of(claims.service_account), err))
		r = CA_RESULT_TOKEN_SUBJECT;
	return r;
}

/* "Bearer TOKEN": the scheme in any case (RFC 9110 11.1). False: something else. */
static bool bearer(struct slice authorization, struct slice *token)
{
	struct slice rest = slice_trim(authorization), scheme = slice_cut(&rest, ' ');
	*token = slice_trim(rest);
	return slice_eq_nocase(scheme, SLICE("Bearer")) && token->len > 0;
}

/* ---- by certificate --------------------------------------------------------------------------- */

static bool is_ours(const struct mesh_config *mesh, struct slice trust_domain)
{
	if (slice_is(trust_domain, mesh->trust_domain))
		return true;
	for (const char *const *a = mesh->trust_domain_aliases; a && *a; a++)
		if (slice_is(trust_domain, *a))
			return true;
	return false;
}

static bool somebody_runs_as(const struct store *store, const struct spiffe_id *id,
			     struct arena *arena)
{
	size_t n = 0;
	struct object *const *pods = store_all(store, KIND_POD, arena_dup(arena, id->ns), &n);
	for (size_t i = 0; i < n; i++) {
		const struct pod *p = pods[i]->pod;
		if (slice_is(id->service_account, p->spec.service_account) &&
		    strcmp(p->phase, "Succeeded") != 0 && strcmp(p->phase, "Failed") != 0)
			return true;
	}
	return false;
}

static enum ca_result by_certificate(struct ca_service *s, const struct tls_peer *peer,
				     struct arena *arena, struct caller *c, struct err *err)
{
	struct spiffe_id id;
	if (peer->n_uris != 1 || peer->sans_dropped)
		return refuse(err, CA_RESULT_CLIENT_CERTIFICATE,
			      "client certificate: it does not carry exactly one identity");
	if (!spiffe_parse(peer->uris[0], &id, err))
		return CA_RESULT_CLIENT_CERTIFICATE;
	if (!is_ours(c->mesh, id.trust_domain))
		return refuse(err, CA_RESULT_CLIENT_CERTIFICATE,
			      "client certificate: its trust domain is not ours");
	if (!somebody_runs_as(s->cfg.store, &id, arena)) {
		err_set(err, ERR_NOT_FOUND, "client certificate: no Pod runs as %.*s",
			SLICE_FMT(peer->uris[0]));
		return CA_RESULT_CLIENT_CERTIFICATE;
	}
	return make_uri(c, id.ns, id.service_account, err) ? CA_RESULT_ISSUED
							   : CA_RESULT_CLIENT_CERTIFICATE;
}

/* As in Istio: the certificate first, then the token; the first that convinces. What is told is why
 * the token did not, where there is one. */
static enum ca_result authenticate(struct ca_service *s, const struct ca_call *call,
				   struct arena *arena, struct caller *c, struct err *err)
{
	struct slice token;
	enum ca_result r = CA_RESULT_NO_CREDENTIALS;
	if (call->peer && (r = by_certificate(s, call->peer, arena, c, err)) == CA_RESULT_ISSUED)
		return r;
	if (bearer(call->authorization, &token))
		return by_token(s, call, token, arena, c, err);
	if (call->peer)
		return r;
	return refuse(err, r,
		      call->authorization.len
			      ? "the authorization is no bearer token"
			      : "neither a token nor a client certificate came along");
}

/* ---- the certificate -------------------------------------------------------------------------- */

static enum ca_result of_csr(enum csr_why why)
{
	static const enum ca_result of[] = {
		[CSR_WHY_FINE] = CA_RESULT_ISSUED,
		[CSR_WHY_MALFORMED] = CA_RESULT_CSR_MALFORMED,
		[CSR_WHY_WEAK_KEY] = CA_RESULT_CSR_WEAK_KEY,
		[CSR_WHY_ALGORITHM] = CA_RESULT_CSR_ALGORITHM,
		[CSR_WHY_SIGNATURE] = CA_RESULT_CSR_SIGNATURE,
	};
	_Static_assert(N_ELEMS(of) == CSR_N_WHYS, "a result for each reason");
	return of[why];
}

static bool write_response(const struct ca_answer *a, struct buf *out)
{
	struct ca_response response = {.n = a->n};
	_Static_assert((int)CA_MAX_CHAIN <= (int)CA_RESPONSE_MAX_CERTS,
		       "a chain fits into a response");
	memcpy(response.cert, a->cert, a->n * sizeof(a->cert[0]));
	return ca_response_write(&response, out);
}

static enum ca_result sign(struct ca_service *s, const struct ca_call *call,
			   const struct caller *caller, struct arena *arena, struct buf *out,
			   struct err *err)
{
	struct ca_request request;
	struct ca_answer answer;
	enum csr_why why;
	if (!ca_request_read(call->message, &request, err))
		return CA_RESULT_MESSAGE;
	struct csr *csr = csr_read(request.csr, &why, err);
	if (!csr)
		return of_csr(why);
	struct ca_order order = {
		.csr = csr, .uri = caller->uri, .ttl_s = request.validity_s, .now_s = call->now_s};
	enum ca_result r = CA_RESULT_ISSUED;
	if (!ca_sign(s->ca, &order, arena, &answer, err))
		r = err->kind == ERR_BAD_INPUT ? CA_RESULT_VALIDITY
		    : err->kind == ERR_NOT_NOW ? CA_RESULT_NO_AUTHORITY
					       : CA_RESULT_INTERNAL;
	else if (!write_response(&answer, out))
		r = refuse(err, CA_RESULT_INTERNAL, "the chain is longer than a message");
	csr_free(csr);
	return r;
}

static enum ca_result work(struct ca_service *s, const struct ca_call *call, struct arena *arena,
			   struct caller *caller, struct buf *out, struct err *err)
{
	struct mesh_config mesh;
	const struct object *map =
		store_get(s->cfg.store, KIND_CONFIG_MAP, MESH_CONFIG_NS, MESH_CONFIG_NAME);
	if (!s->ca)
		return refuse(err, CA_RESULT_NO_AUTHORITY, "the authority is not there yet");
	if (!mesh_config_decode(map, arena, &mesh, err))
		return CA_RESULT_NO_AUTHORITY; /* under which trust domain? */
	caller->mesh = &mesh;
	enum ca_result r = authenticate(s, call, arena, caller, err);
	caller->mesh = NULL;
	return r == CA_RESULT_ISSUED ? sign(s, call, caller, arena, out, err) : r;
}

/* ---- what is told ----------------------------------------------------------------------------- */

static void log_refusal(struct ca_service *s, const struct ca_call *call, enum ca_result r,
			const struct err *err)
{
	char from[ADDR_TEXT], text[512];
	if (s->log_second != call->now_s) {
		if (s->log_left_out)
			log_warn("ca", "more refusals, not told one by one n=%llu",
				 (unsigned long long)s->log_left_out);
		s->log_second = call->now_s;
		s->log_lines = 0;
		s->log_left_out = 0;
	}
	if (s->log_lines++ >= LOG_LINES_PER_S) {
		s->log_left_out++;
		return;
	}
	log_warn("ca", "certificate refused from=%s result=%s why=\"%s\"",
		 addr_text(&call->from, from), ca_result_label(r),
		 slice_printable(slice_of(err->text), text, sizeof(text)));
}

enum ca_result ca_service_answer(struct ca_service *s, const struct ca_call *call, struct buf *out,
				 struct err *err)
{
	struct arena *arena = arena_new();
	struct caller caller = {.pod = NULL};
	enum ca_result r = work(s, call, arena, &caller, out, err);
	s->counts[r]++;
	if (r != CA_RESULT_ISSUED) {
		log_refusal(s, call, r, err);
	} else {
		log_debug("ca", "certificate issued identity=%s pod=%s", caller.uri,
			  caller.pod ? caller.pod->meta.name : "");
		if (s->cfg.issued)
			s->cfg.issued(s->cfg.ctx, caller.pod, caller.uri);
	}
	arena_free(arena);
	return r;
}

static void on_create(void *ctx, const struct grpc_request *q, struct grpc_reply *reply)
{
	struct ca_service *s = ctx;
	struct err err = {0};
	struct buf out;
	struct ca_call call = {.message = q->message,
			       .authorization = grpc_metadata(q, "authorization"),
			       .peer = q->peer,
			       .from = q->from,
			       .now_s = (int64_t)(clock_wall_ns() / NS_PER_S)};
	buf_init(&out, CA_MESSAGE_MAX);
	enum ca_result r = ca_service_answer(s, &call, &out, &err);
	if (r == CA_RESULT_ISSUED)
		grpc_reply_ok(reply, buf_slice(&out));
	else if (ca_result_status(r) == GRPC_UNAUTHENTICATED) /* who asks need not know more */
		grpc_reply_error(reply, GRPC_UNAUTHENTICATED, "request authenticate failure");
	else
		grpc_reply_error(reply, ca_result_status(r), "%s", err.text);
	buf_fini(&out);
}

uint64_t ca_service_count(const struct ca_service *s, enum ca_result r)
{
	return s->counts[r];
}

bool ca_service_metrics(const struct ca_service *s, struct buf *out)
{
	static const char name[] = "hark_ca_requests_total";
	(void)buf_printf(out,
			 "# HELP %s Requests for certificates, by what became of them.\n"
			 "# TYPE %s counter\n",
			 name, name);
	for (unsigned r = 0; r < N_CA_RESULTS; r++)
		(void)buf_printf(out, "%s{result=\"%s\"} %llu\n", name,
				 ca_result_label((enum ca_result)r),
				 (unsigned long long)s->counts[r]);
	return !out->full;
}

/* ---- its life --------------------------------------------------------------------------------- */

struct ca_service *ca_service_new(const struct ca_service_config *cfg)
{
	struct ca_service *s = mem_new(sizeof(*s));
	s->cfg = *cfg;
	return s;
}

void ca_service_free(struct ca_service *s)
{
	if (!s)
		return;
	ca_put(s->ca);
	free(s);
}

void ca_service_set_authority(struct ca_service *s, struct ca *ca)
{
	struct ca *old = s->ca;
	s->ca = ca_get(ca);
	ca_put(old);
}

void ca_service_serve(struct ca_service *s, struct grpc_server *server)
{
	grpc_serve(server, CA_METHOD, on_create, s);
}
