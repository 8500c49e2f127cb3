/*
 * What is alive about a service port, an endpoint, a host or a socket of the sidecar's: counters and what was learnt. It outlives the
 * views that point to it, so that a configuration change forgets nothing.
 *
 * Cells are shared by all workers and touched only with relaxed atomics. The registry belongs to
 * the main thread; it finds or makes the cells while a view is built, and drops those that only
 * itself still holds.
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "net/addr.h"

enum live_side { LIVE_OUTBOUND, LIVE_INBOUND };

struct live_port {
	atomic_uint refs;
	/* How many connections showed which first word; both non-zero: the port is open again, no
	 * short cut is taken. */
	atomic_uint server_first, client_http, client_tls, client_opaque;
	atomic_uint greeting; /* enum greeting last recognised, 0: none */
	/* Of servers that a rule wants TLS with: how it began, and what they said in clear instead. */
	atomic_uint tls_begins;   /* enum tls_begin and 1; 0: nothing was shown */
	atomic_uint in_clear;     /* enum greet_protocol and 1; 0: nothing */
	atomic_uint contradicted; /* times that what was learnt turned out wrong */
	atomic_uint turn;         /* round robin */
	atomic_uint early;        /* early connections open now (budget per destination) */
};

struct live_endpoint {
	atomic_uint refs;
	atomic_uint active; /* connections open now */
	_Atomic uint64_t
		avoid_until_ns; /* clock_ns(); a refused connect makes picks avoid it for a while */
};

/* A host whose names have to be resolved. */
struct live_host {
	atomic_uint refs;
	_Atomic uint64_t asked_ns; /* clock_ns() when a connection last needed its addresses */
	atomic_uint failing;       /* of its names, those that the nameservers do not tell now */
};

/* A socket that a Sidecar wants open. */
struct live_socket {
	atomic_uint refs;
	atomic_uint open; /* workers that listen on it */
	atomic_int
		error; /* errno of the last attempt to open it; 0: it went well, or there was none */
};

struct live; /* the registry */
struct live *live_new(void);
void live_free(struct live *l);
/* SERVICE is "ns/name" (or "" for a Pod's port without Service). One reference for the caller. */
struct live_port *live_port_get(struct live *l, enum live_side side, const char *service,
				uint16_t port);
struct live_endpoint *live_endpoint_get(struct live *l, const struct addr *at);
struct live_host *live_host_get(struct live *l, const char *host);
struct live_host *live_host_share(struct live_host *h); /* one more reference; any thread */
struct live_socket *live_socket_get(struct live *l, const struct addr *at);
struct live_socket *live_socket_share(struct live_socket *s); /* as above */
void live_port_put(struct live_port *p);
void live_host_put(struct live_host *h);
void live_endpoint_put(struct live_endpoint *e);
void live_socket_put(struct live_socket *s);
/* Drops cells that nobody else holds and that have nothing to remember; the rest are bounded by
 * N_MAX, oldest first. */
void live_sweep(struct live *l, size_t n_max);
/* Walks the learnt ports: calls EACH with what identifies them. */
void live_ports(const struct live *l,
		void (*each)(void *ctx, enum live_side side, const char *service, uint16_t port,
			     const struct live_port *p),
		void *ctx);
