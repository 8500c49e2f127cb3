/*
 * The own certificate, brought to the workers: what the main thread does with own_cert.h.
 *
 *   identity_start(p, &err);
 *   identity_view_came(p);                   // p->view is a new one
 *   if (identity_missing(p)) ...             // a certificate is needed, and there never was one
 *   identity_stop(p);                        // after the workers
 *
 * A worker gets the first view only when the certificate that it needs is there: nothing is accepted
 * before.
 */
#pragma once
#include "proxy/main_thread.h"

bool identity_start(struct proxy *p, struct err *err) MUST_CHECK;
void identity_view_came(struct proxy *p);
bool identity_missing(const struct proxy *p);
void identity_stop(struct proxy *p);

/* Endpoints. */
void identity_get_certs(void *ctx, const struct rest_request *req, struct rest_reply *reply);
void identity_post_rotate(void *ctx, const struct rest_request *req, struct rest_reply *reply);
