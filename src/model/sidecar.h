/*
 * What a sidecar and everybody around it agree on: its name, its user, its ports, the addresses from
 * which it reaches its application. As in Istio, so that existing rules, dashboards and habits hold.
 *
 *   if (port == SIDECAR_OUTBOUND_PORT) ...
 *   struct addr from = {.ip = sidecar_source(ip_is_v4(&app->ip))};
 */
#pragma once
#include "net/addr.h"

#define SIDECAR_NAME "istio-proxy" /* of its container */
/* Istio's switch of the DNS proxy: in proxyMetadata, and as it reaches the sidecar. */
#define SIDECAR_DNS_ENV "ISTIO_META_DNS_CAPTURE"

enum {
	SIDECAR_ID = 1337, /* uid and gid: what runs as these is not captured */

	SIDECAR_ADMIN_PORT = 15000, /* on loopback */
	SIDECAR_OUTBOUND_PORT = 15001,
	SIDECAR_INBOUND_PORT = 15006,
	SIDECAR_TUNNEL_PORT = 15008, /* never captured inbound; nothing listens there yet */
	SIDECAR_METRICS_PORT = 15020,
	SIDECAR_HEALTH_PORT = 15021,
	SIDECAR_DNS_PORT = 15053,
	SIDECAR_PROMETHEUS_PORT = 15090,
};

static inline bool sidecar_has_port(uint16_t port)
{
	return port == SIDECAR_ADMIN_PORT || port == SIDECAR_OUTBOUND_PORT ||
	       port == SIDECAR_INBOUND_PORT || port == SIDECAR_TUNNEL_PORT ||
	       port == SIDECAR_METRICS_PORT || port == SIDECAR_HEALTH_PORT ||
	       port == SIDECAR_DNS_PORT || port == SIDECAR_PROMETHEUS_PORT;
}

/* 127.0.0.6 or ::6. What comes from there to the own Pod's address is let through by the capture
 * rules: the sidecar, and readiness probes. */
static inline struct ip sidecar_source(bool v4)
{
	return v4 ? ip_v4(0x7f000006) : (struct ip){{[15] = 6}};
}
