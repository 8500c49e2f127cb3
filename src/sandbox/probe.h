/*
 * A readiness probe, as Kubernetes means it.
 *
 *   struct probe_spec spec;
 *   probe_spec_init(&spec);                        // Kubernetes' defaults
 *   spec.kind = PROBE_TCP, spec.port = 3307;
 *   struct prober *p = prober_start(node, net, id, &spec, on_change, ctx, &err);
 *   ... on_change(ctx, true, "")                   // ready; (ctx, false, why) when it no longer is
 *   prober_free(p);
 *
 * A container is not ready until its probe has succeeded. Network probes connect from inside the
 * Pod to the Pod's own address, from 127.0.0.6 (::6), which the capture rules leave alone: they
 * reach the application and not the sidecar. Until the first success the probe runs every
 * PROBE_STARTUP_MS or faster, so that start-up is not rounded up to whole seconds; afterwards every
 * period_s. Nothing blocks.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/kinds.h"
#include "sandbox/node.h"
#include "sandbox/pod_net.h"

enum { PROBE_STARTUP_MS = 100 };

struct probe_spec {
	enum probe_kind kind; /* not PROBE_NONE */
	uint16_t port;        /* TCP, HTTP */
	const char *path;     /* HTTP; NULL: "/" */
	const char *host;     /* HTTP: Host header; NULL: ADDRESS:PORT */
	const struct pair *headers;
	size_t n_headers;
	const char *const *argv; /* EXEC; NULL-terminated */
	unsigned initial_delay_s, period_s, timeout_s, success_threshold, failure_threshold;
};

struct prober;
/* Another READY, or another reason why it is not there yet. WHY is the last failure, for a person; borrowed
 * for the call. May free the probe. */
typedef void probe_change_fn(void *ctx, bool ready, const char *why);

void probe_spec_init(struct probe_spec *spec); /* 0, 10, 1, 1, 3 */
/* SPEC is copied. CONTAINER_ID is needed for PROBE_EXEC. NULL: SPEC cannot be. */
struct prober *prober_start(struct node *node, const struct pod_net *pod, const char *container_id,
			    const struct probe_spec *spec, probe_change_fn *change, void *ctx,
			    struct err *err) MUST_CHECK;
const char *prober_last_failure(const struct prober *p); /* "" before the first one */
void prober_free(struct prober *p);
