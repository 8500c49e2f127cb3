/*
 * The sidecar: `hark proxy`. Main thread: configuration, admin, signals; workers: connections.
 *
 *   struct proxy_config cfg;
 *   proxy_config_default(&cfg);
 *   cfg.pod = "web-1", cfg.ns = "shop";
 *   return proxy_run(&cfg);               // until SIGTERM (drains), SIGINT, or /quitquitquit
 *
 * It listens at once and accepts when it has its first view: until then connections queue in the
 * backlog. With `to` set there is no capture, no API and no view: everything that comes to `listen`
 * goes to that address.
 */
#pragma once
#include "net/addr.h"
#include "proxy/own_cert.h"

struct proxy_config {
	const char *api;        /* base of the API that serves the configuration */
	const char *ns, *pod;   /* whose sidecar this is */
	struct addr listen, to; /* TO's port 0: not one fixed destination */
	bool detect;            /* with TO: race for the first word */
	bool tls_client;        /* with TO: mesh TLS towards it */
	bool tls_server;        /* with TO: mesh TLS ends here, and nothing else is taken */
	bool no_resumption;     /* with TLS_CLIENT or TLS_SERVER: neither gives nor keeps tickets */
	const char *access_log; /* with TO: a file; NULL: none (else the mesh says it) */
	unsigned workers;       /* 0: one per core that this process may use */
	unsigned uid;           /* to become; 0: stay who we are */
	uint16_t admin_port;    /* on loopback; 0: none */
	uint16_t metrics_port, health_port, prometheus_port; /* on all addresses; 0: none */
	struct own_cert_config cert;                         /* its `ns` is that above */
	unsigned drain_s;                                    /* UINT_MAX: as the mesh says */
	bool dns; /* the DNS proxy, on loopback; not with TO */
	uint16_t dns_port;
	const char *resolv_conf; /* whose nameservers know the rest */
};

void proxy_config_default(struct proxy_config *cfg);
int proxy_run(const struct proxy_config *cfg); /* exit status */
