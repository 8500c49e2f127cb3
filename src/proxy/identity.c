#include "proxy/identity.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"

enum {
	TICKET_KEYS_S = 3600,
	CERTS_BYTES = 4 << 20,
	SETTINGS_BYTES = 64 * 1024,
	/* Everything in the Pod may POST, and each time the authority signs. */
	ROTATE_EVERY_S = 5,
};

/* What of the mesh's settings a struct mesh_tls is made of, as one number: views are not kept for
 * the sake of comparing them. */
static uint64_t settings_of(const struct mesh_config *mesh)
{
	struct buf text;
	buf_init(&text, SETTINGS_BYTES);
	(void)buf_printf(&text, "%d %s", mesh->mesh_tls13, mesh->trust_domain);
	for (const char *const *a = mesh->trust_domain_aliases; a && *a; a++)
		(void)buf_printf(&text, " %s", *a);
	uint64_t hash = siphash(buf_slice(&text).at, buf_len(&text));
	buf_fini(&text);
	return hash;
}

static void to_workers(struct proxy *p)
{
	struct err err = {0};
	const struct mesh_config *mesh = view_mesh(p->view);
	struct tls_ticket_keys *keys = p->cfg->no_resumption ? NULL : p->ticket_keys;
	struct mesh_tls_options o = {p->identity, keys, mesh};
	struct mesh_tls *tls = mesh_tls_new(&o, &err);
	if (!tls) {
		log_error("cert", "certificate not taken by the data plane error=\"%s\"", err.text);
		return;
	}
	for (unsigned i = 0; i < p->setup.n_workers; i++)
		worker_set_tls(p->workers[i], tls);
	mesh_tls_put(p->tls);
	p->tls = tls;
	p->tls_settings = settings_of(mesh);
}

static void on_identity(void *ctx, struct tls_identity *id)
{
	struct proxy *p = ctx;
	tls_identity_put(p->identity);
	p->identity = tls_identity_get(id);
	if (!p->view)
		return; /* identity_view_came() goes on */
	to_workers(p);
	proxy_serve(p);
}

static bool needs_certificate(const struct proxy *p)
{
	const struct workload *self = p->view ? view_self(p->view) : NULL;
	return p->setup.fixed_tls_server || p->setup.fixed_tls_client || (self && self->mesh_tls);
}

bool identity_missing(const struct proxy *p)
{
	return !p->tls && needs_certificate(p);
}

void identity_view_came(struct proxy *p)
{
	bool changed = p->tls && settings_of(view_mesh(p->view)) != p->tls_settings;
	if (!p->identity) {
		if (needs_certificate(p) && !p->cert)
			log_warn("cert",
				 "this Pod's sidecar speaks mesh TLS, but has neither an authority "
				 "(CA_ADDR) nor files (--cert-dir)");
		return;
	}
	if (!p->tls || changed)
		to_workers(p);
	if (changed) /* another trust domain is another name for us */
		own_cert_rotate(p->cert);
}

static void rotate_ticket_keys(struct timer *t)
{
	struct proxy *p = CONTAINER_OF(t, struct proxy, ticket_rotation);
	struct err err = {0};
	if (!tls_ticket_keys_rotate(p->ticket_keys, &err))
		log_error("cert", "session ticket keys not rotated error=\"%s\"", err.text);
	timer_set(p->loop, t, TICKET_KEYS_S * NS_PER_S);
}

bool identity_start(struct proxy *p, struct err *err)
{
	static const struct own_cert_events events = {on_identity};
	if (!own_cert_wanted(&p->cfg->cert))
		return true;
	p->ticket_keys = tls_ticket_keys_new(err);
	if (!p->ticket_keys)
		return false;
	p->ticket_rotation.fire = rotate_ticket_keys;
	timer_set(p->loop, &p->ticket_rotation, TICKET_KEYS_S * NS_PER_S);
	struct own_cert_config cfg = p->cfg->cert;
	cfg.ns = p->cfg->ns;
	p->cert = own_cert_new(p->loop, &cfg, &events, p, err);
	return p->cert != NULL;
}

void identity_stop(struct proxy *p)
{
	own_cert_free(p->cert);
	mesh_tls_put(p->tls);
	tls_identity_put(p->identity);
	tls_ticket_keys_put(p->ticket_keys);
}

void identity_get_certs(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct proxy *p = ctx;
	struct buf out;
	struct json_out j;
	(void)req; /* takes no parameters */
	if (!p->cert) {
		rest_reply_text(reply, 404,
				"this sidecar has no certificate: neither CA_ADDR nor --cert-dir");
		return;
	}
	buf_init(&out, CERTS_BYTES);
	json_out_init(&j, &out);
	own_cert_json(p->cert, &j);
	if (out.full)
		rest_reply_text(reply, 500, "longer than %d bytes", CERTS_BYTES);
	else
		rest_reply_full(reply, 200, "application/json", buf_slice(&out));
	buf_fini(&out);
}

void identity_post_rotate(void *ctx, const struct rest_request *req, struct rest_reply *reply)
{
	struct proxy *p = ctx;
	(void)req; /* takes no parameters */
	if (!p->cert) {
		rest_reply_text(reply, 404,
				"this sidecar has no certificate: neither CA_ADDR nor --cert-dir");
		return;
	}
	uint64_t now = loop_now(p->loop), due = p->rotate_asked_ns + ROTATE_EVERY_S * NS_PER_S;
	if (p->rotate_asked_ns && now < due) {
		char wait_s[8];
		(void)snprintf(wait_s, sizeof(wait_s), "%u",
			       (unsigned)((due - now + NS_PER_S - 1) / NS_PER_S)); /* fits */
		rest_reply_header(reply, "Retry-After", slice_of(wait_s));
		rest_reply_text(reply, 429,
				"a new certificate was asked for less than %d s ago; again in %s s",
				ROTATE_EVERY_S, wait_s);
		return;
	}
	p->rotate_asked_ns = now;
	own_cert_rotate(p->cert);
	rest_reply_text(reply, 202, "a new certificate is being asked for");
}
