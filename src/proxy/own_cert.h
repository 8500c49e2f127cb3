/*
 * The sidecar's own certificate: asked for, renewed, forced, or taken from files.
 *
 *   struct own_cert_config cfg;
 *   own_cert_config_default(&cfg);                    // from the environment, as Istio sets it
 *   if (own_cert_wanted(&cfg)) o = own_cert_new(loop, &cfg, &events, ctx, &err);
 *   own_cert_rotate(o);                               // POST /certs/rotate
 *   own_cert_json(o, &json);                          // GET /certs
 *   own_cert_free(o);
 *
 * With an authority: a new key pair for each certificate, in memory only; CSR; CreateCertificate over
 * gRPC with the token (read anew for each call) or, where there is none, with the certificate at
 * hand. When it is due, identity/workload_cert.h says. When root-cert.pem changes, it is due at once.
 * With files: cert-chain.pem, key.pem, root-cert.pem of a folder, read again when they change.
 *
 * Whatever fails, the certificate at hand stays in force. Main thread.
 */
#pragma once
#include "base/json_out.h"
#include "loop/loop.h"
#include "tls/tls.h"

struct own_cert_config {      /* copied */
	const char *ca_addr;  /* "HOST:PORT"; port 15010 is plaintext, as istiod's; "": none */
	const char *ca_host;  /* name in the authority's certificate */
	const char *ca_roots; /* path of the file that vouches for it */
	const char *token;    /* path */
	const char *cert_dir; /* files instead of an authority; "": none */
	const char *trust_domain, *ns, *service_account; /* what the CSR asks for */
	int64_t validity_s;                              /* how long it asks for */
};
void own_cert_config_default(struct own_cert_config *cfg);
bool own_cert_wanted(const struct own_cert_config *cfg); /* there is a way to get one */

struct own_cert_events {
	/* A new identity is in force: the first one, a renewed one, or one with other roots. Take a
	 * reference to keep it. Comes from the loop. */
	void (*on_identity)(void *ctx, struct tls_identity *id);
};

struct own_cert;
/* NULL: the configuration is wrong. Files that are not there yet are waited for. */
struct own_cert *own_cert_new(struct loop *loop, const struct own_cert_config *cfg,
			      const struct own_cert_events *events, void *ctx,
			      struct err *err) MUST_CHECK;
void own_cert_free(struct own_cert *o);                 /* NULL is fine */
void own_cert_rotate(struct own_cert *o);               /* a new one at once */
bool own_cert_valid(const struct own_cert *o);          /* there is one, and it has not ended */
const char *own_cert_problem(const struct own_cert *o); /* why the last attempt failed, or "" */
void own_cert_json(const struct own_cert *o, struct json_out *out);
bool own_cert_metrics(const struct own_cert *o, struct buf *out); /* Prometheus text */
