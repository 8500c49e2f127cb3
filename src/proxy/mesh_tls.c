#include "proxy/mesh_tls.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"

struct mesh_tls {
	_Atomic unsigned refs;
	struct tls_context *server, *client;
	struct spiffe_trust *trust;
};

static struct spiffe_trust *trust_of(const struct mesh_config *mesh, struct err *err)
{
	size_t n = 0;
	while (mesh->trust_domain_aliases && mesh->trust_domain_aliases[n])
		n++;
	struct slice *aliases = mem_array(n + 1, sizeof(*aliases));
	for (size_t i = 0; i < n; i++)
		aliases[i] = slice_of(mesh->trust_domain_aliases[i]);
	struct spiffe_trust *trust =
		spiffe_trust_new(slice_of(mesh->trust_domain), aliases, n, err);
	free(aliases);
	return trust;
}

struct mesh_tls *mesh_tls_new(const struct mesh_tls_options *o, struct err *err)
{
	struct tls_options side = {
		.role = TLS_SERVER,
		.identity = o->identity,
		.verify_peer = true,
		.min_tls13 = o->mesh->mesh_tls13,
		.clock_skew_s = MESH_TLS_SKEW_S,
		.ticket_keys = o->ticket_keys,
	};
	struct mesh_tls *t = mem_new(sizeof(*t));
	t->refs = 1;
	t->trust = trust_of(o->mesh, err);
	if (!t->trust || !(t->server = tls_context_new(&side, err)))
		goto fail;
	side.role = TLS_CLIENT;
	side.min_tls13 = false; /* meshMTLS is about what servers ask */
	side.ticket_keys = NULL;
	if (!(t->client = tls_context_new(&side, err)))
		goto fail;
	return t;
fail:
	mesh_tls_put(t);
	return NULL;
}

struct mesh_tls *mesh_tls_get(struct mesh_tls *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void mesh_tls_put(struct mesh_tls *t)
{
	if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
		return;
	tls_context_put(t->server);
	tls_context_put(t->client);
	spiffe_trust_free(t->trust);
	free(t);
}

struct tls_context *mesh_tls_server(const struct mesh_tls *t)
{
	return t->server;
}

struct tls_context *mesh_tls_client(const struct mesh_tls *t)
{
	return t->client;
}

struct spiffe_trust *mesh_tls_trust(const struct mesh_tls *t)
{
	return t->trust;
}
