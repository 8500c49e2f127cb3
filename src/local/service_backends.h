/*
 * Who answers for a Service's port now, as kube-proxy counts: the ready endpoints, or, when none is
 * ready, those that are ending but still serve.
 *
 *   struct addr at[64];
 *   size_t n = service_backends(store, svc, &svc->service->ports[0], IP_V4, at, 64);
 *
 * Addresses come once each, in a stable order.
 */
#pragma once
#include "model/store.h"

/* Writes up to MAX of them; returns how many. */
size_t service_backends(const struct store *store, const struct object *svc,
			const struct service_port *port, enum ip_family family, struct addr *out,
			size_t max);
/* Calls EACH for every endpoint slice of the Service, of either family. */
void service_slices(const struct store *store, const char *ns, const char *service,
		    void (*each)(void *ctx, const struct endpoint_slice *slice), void *ctx);
