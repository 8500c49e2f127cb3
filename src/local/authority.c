#include "local/authority.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "local/authority_inside.h"
#include "local/own_service.h"
#include "net/sock.h"
#include "sandbox/files.h"
#include "sandbox/volume.h"

enum {
	CHECK_S = 60,
	PEM_MAX = 256 * 1024,
	EXPIRES_SOON_S = 30 * 24 * 3600,
	CONNS_PER_SOURCE = 32, /* a sidecar has one at a time */
};

int64_t authority_now_s(void)
{
	return (int64_t)(clock_wall_ns() / NS_PER_S);
}

/* ---- the authority itself --------------------------------------------------------------------- */

struct ca *authority_new_root(const struct authority *a, struct err *err)
{
	struct arena *arena = arena_new();
	struct mesh_config mesh;
	const struct object *map =
		store_get(a->store, KIND_CONFIG_MAP, MESH_CONFIG_NS, MESH_CONFIG_NAME);
	struct ca *ca = NULL;
	if (mesh_config_decode(map, arena, &mesh, err))
		ca = ca_new_root(&(struct ca_root){.organization = mesh.trust_domain,
						   .kind = KEYPAIR_EC_P256,
						   .now_s = authority_now_s()},
				 err);
	arena_free(arena);
	return ca;
}

static void put_secret(struct buf *to, char *pem)
{
	(void)buf_puts(to, pem); /* keys are much shorter than the buffer */
	keypair_pem_free(pem);
}

bool authority_keep(const struct authority *a, const struct ca *ca, struct err *err)
{
	struct ca_dir d;
	if (!a->dir)
		return true;
	ca_dir_init(&d);
	put_secret(&d.key, ca_key(ca));
	put_secret(&d.token_key, keypair_pem(a->token_key));
	bool ok = (buf_append(&d.cert, ca_cert(ca)) && buf_append(&d.chain, ca_cert(ca)) &&
		   buf_append(&d.roots, ca_roots(ca))) ||
		  err_set(err, ERR_LIMIT, "%s: a file would be too long", a->dir);
	ok = ok && ca_dir_write(a->dir, &d, err);
	ca_dir_fini(&d);
	return ok;
}

static bool load_token_key(struct authority *a, const struct ca_dir *d, struct err *err)
{
	if (buf_len(&d->token_key)) {
		a->token_key = keypair_from_pem(buf_slice(&d->token_key), err);
		return a->token_key || err_wrap(err, "token-key.pem");
	}
	a->token_key = keypair_new(KEYPAIR_EC_P256, err);
	return a->token_key != NULL;
}

/* A folder that a person filled may be read-only: then tokens end with the mesh. */
static void keep_token_key(const struct authority *a, struct ca_dir *d)
{
	struct err err = {0};
	if (buf_len(&d->token_key))
		return;
	put_secret(&d->token_key, keypair_pem(a->token_key));
	if (!ca_dir_write_token_key(a->dir, d, &err))
		log_warn("ca", "the key of tokens is not kept error=\"%s\"", err.text);
}

static bool load(struct authority *a, struct ca_dir *d, struct err *err)
{
	struct ca_files files = {buf_slice(&d->cert), buf_slice(&d->key), buf_slice(&d->roots),
				 buf_slice(&d->chain)};
	a->ca = ca_load(&files, authority_now_s(), err);
	if (!a->ca)
		return false;
	keep_token_key(a, d);
	log_info("ca", "authority loaded folder=%s", a->dir);
	return true;
}

/* The key is on the host's disk, which containers see. */
static bool hide_folder(struct authority *a, struct err *err)
{
	char real[PATH_MAX];
	if (!a->dir)
		return true;
	if (!realpath(a->dir, real))
		return err_sys(err, "%s", a->dir);
	return path_make(a->node->hidden, err, "%s", real);
}

static bool open_authority(struct authority *a, struct err *err)
{
	struct ca_dir d;
	bool ok = true;
	if (a->dir)
		ok = ca_dir_read(a->dir, &d, err);
	else
		ca_dir_init(&d);
	ok = ok && load_token_key(a, &d, err);
	if (ok && d.found) {
		ok = load(a, &d, err);
	} else if (ok) {
		ok = (a->ca = authority_new_root(a, err)) && authority_keep(a, a->ca, err);
		if (ok && a->dir)
			log_info("ca", "authority made folder=%s", a->dir);
	}
	ca_dir_fini(&d);
	return (ok && hide_folder(a, err) && (a->keys = token_keys_new(a->token_key, err))) ||
	       err_wrap(err, "certificate authority");
}

/* ---- its service ------------------------------------------------------------------------------ */

/* Leaf and intermediates, as a server sends them. */
static bool join(const struct ca_answer *answer, struct buf *out)
{
	for (unsigned i = 0; i + 1 < answer->n; i++)
		(void)buf_append(out, answer->cert[i]); /* full: seen at the end */
	return !out->full;
}

static struct tls_context *server_context(const struct ca *ca, const struct ca_answer *answer,
					  const struct keypair *key, struct err *err)
{
	struct buf chain;
	struct tls_context *ctx = NULL;
	buf_init(&chain, PEM_MAX);
	struct tls_identity *id =
		join(answer, &chain) ? tls_identity_with_key(buf_slice(&chain), keypair_pkey(key),
							     ca_roots(ca), err)
				     : NULL;
	if (id)
		ctx = tls_context_new(&(struct tls_options){.role = TLS_SERVER,
							    .identity = id,
							    .verify_peer = true,
							    .peer_optional = true,
							    .clock_skew_s = CA_SKEW_S},
				      err);
	tls_identity_put(id);
	buf_fini(&chain);
	return ctx;
}

/* A certificate for the service's own names; it is made anew at half of its life. */
static bool certify_server(struct authority *a, const struct ca *ca, struct err *err)
{
	struct arena *arena = arena_new();
	struct ca_answer answer;
	struct tls_context *ctx = NULL;
	int64_t now = authority_now_s();
	struct keypair *key = keypair_new(KEYPAIR_EC_P256, err);
	struct ca_order order = {
		.key = key, .dns = {AUTHORITY_HOST, AUTHORITY_HOST ".cluster.local"}, .now_s = now};
	if (key && ca_sign(ca, &order, arena, &answer, err))
		ctx = server_context(ca, &answer, key, err);
	if (ctx) {
		grpc_server_set_tls(a->server, ctx);
		a->server_renew_s = now + (answer.not_after_s - now) / 2;
	}
	tls_context_put(ctx);
	keypair_put(key);
	arena_free(arena);
	return ctx || err_wrap(err, "certificate of " AUTHORITY_HOST);
}

static bool write_roots(struct authority *a, const struct ca *ca, struct err *err)
{
	struct volume_file file = {.path = "root-cert.pem", .data = ca_roots(ca), .mode = 0444};
	return volume_config(a->node, "_mesh", "roots", &file, 1, a->roots_dir, err);
}

bool authority_use(struct authority *a, struct ca *ca, struct err *err)
{
	struct ca *old = a->ca;
	/* A certificate that is trusted already, then what else to trust. */
	if (!certify_server(a, ca, err) || !write_roots(a, ca, err))
		return false;
	a->ca = ca_get(ca);
	ca_put(old);
	ca_service_set_authority(a->service, a->ca);
	return true;
}

static void on_check(struct timer *t)
{
	struct authority *a = CONTAINER_OF(t, struct authority, check);
	struct err err = {0};
	timer_set(a->node->loop, t, CHECK_S * NS_PER_S);
	authority_root_check(a);
	if (authority_now_s() >= a->server_renew_s && !certify_server(a, a->ca, &err))
		log_error("ca", "%s", err.text);
}

static bool listen_on(struct authority *a, const struct ip *ip, struct err *err)
{
	struct addr on = {.ip = *ip, .port = AUTHORITY_PORT};
	int fd = net_listen(&on, false, err);
	return fd >= 0 && grpc_server_listen_fd(a->server, fd, err);
}

static bool write_service(struct authority *a, struct err *err)
{
	struct own_service s = {
		.ns = AUTHORITY_NS,
		.name = AUTHORITY_SERVICE,
		.ports = json_pack("[{s:s, s:s, s:i}]", "name", "https-dns", "protocol", "TCP",
				   "port", AUTHORITY_PORT),
	};
	return own_service_write(a->store, a->node, &s, err);
}

static bool serve(struct authority *a, struct err *err)
{
	struct addr v4 = {.ip = a->node->gateway_v4, .port = AUTHORITY_PORT};
	a->service = ca_service_new(&(struct ca_service_config){
		.store = a->store, .keys = a->keys, .issued = authority_root_issued, .ctx = a});
	a->server = grpc_server_new(a->node->loop, "ca",
				    &(struct grpc_limits){.per_source = CONNS_PER_SOURCE});
	ca_service_serve(a->service, a->server);
	addr_text(&v4, a->addr);
	if (!authority_use(a, a->ca, err) || !listen_on(a, &a->node->gateway_v4, err) ||
	    (a->node->ipv6 && !listen_on(a, &a->node->gateway_v6, err)) || !write_service(a, err))
		return false;
	a->check.fire = on_check;
	timer_set(a->node->loop, &a->check, CHECK_S * NS_PER_S);
	authority_root_start(a);
	int64_t left = ca_not_after_s(a->ca) - authority_now_s();
	if (left < EXPIRES_SOON_S)
		log_warn("ca", "the authority's own certificate ends soon days=%lld",
			 (long long)left / 86400);
	return true;
}

struct authority *authority_start(struct node *node, struct store *store, const char *dir,
				  struct err *err)
{
	struct authority *a = mem_new(sizeof(*a));
	a->node = node;
	a->store = store;
	a->dir = dir ? mem_strdup(dir) : NULL;
	if (open_authority(a, err) && serve(a, err))
		return a;
	authority_stop(a);
	return NULL;
}

void authority_stop(struct authority *a)
{
	if (!a)
		return;
	timer_cancel(a->node->loop, &a->check);
	authority_root_stop(a);
	grpc_server_free(a->server);
	ca_service_free(a->service);
	token_keys_free(a->keys);
	keypair_put(a->token_key);
	ca_put(a->ca);
	free(a->dir);
	free(a);
}

/* ---- for Pods --------------------------------------------------------------------------------- */

bool authority_token(const struct authority *a, const struct object *pod, struct buf *out,
		     int64_t *expires_s, struct err *err)
{
	int64_t now = authority_now_s();
	struct token_claims claims = {.issuer = TOKEN_ISSUER,
				      .audience = {TOKEN_AUDIENCE},
				      .issued_s = now,
				      .not_before_s = now,
				      .expires_s = now + AUTHORITY_TOKEN_S,
				      .ns = pod->meta.ns,
				      .service_account = pod->pod->spec.service_account,
				      .pod = pod->meta.name,
				      .pod_uid = pod->meta.uid};
	*expires_s = claims.expires_s;
	return token_make(a->keys, &claims, out, err);
}

const char *authority_roots_dir(const struct authority *a)
{
	return a->roots_dir;
}

const char *authority_addr(const struct authority *a)
{
	return a->addr;
}

bool authority_metrics(const struct authority *a, struct buf *out)
{
	static const char name[] = "hark_ca_certificate_expiry_seconds";
	(void)buf_printf(out,
			 "# HELP %s Time until the authority's own certificate ends.\n"
			 "# TYPE %s gauge\n%s %lld\n",
			 name, name, name, (long long)(ca_not_after_s(a->ca) - authority_now_s()));
	return ca_service_metrics(a->service, out);
}
