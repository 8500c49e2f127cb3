/*
 * What the files of the main thread share: proxy.c (start, signals, end), admin.c (endpoints),
 * list.c (connections of all workers).
 */
#pragma once
#include "proxy/dns_proxy.h"
#include "proxy/follow.h"
#include "proxy/names.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "rest/server.h"

enum { MAX_WORKERS = 64 };

struct proxy {
	const struct proxy_config *cfg;
	struct loop *loop;
	struct follow *follow; /* NULL with one fixed destination */
	struct names *names;   /* as above */
	struct live *live;
	struct view *view; /* the newest; NULL: none yet */
	struct metrics *metrics;
	struct tls_sources *tls_sources;
	struct worker_setup setup;
	struct worker *workers[MAX_WORKERS];
	struct dns_proxy *dns; /* NULL: off */
	struct rest_server *admin, *metrics_server, *health;
	TAILQ_HEAD(, explaining) explaining; /* admin.c: questions that wait for names */
	uint64_t started_wall_ns;
	bool serving; /* the workers have a view */

	/* identity.c */
	struct own_cert *cert;         /* NULL: no way to get one */
	struct tls_identity *identity; /* in force; NULL: none yet */
	struct mesh_tls *tls;          /* what the workers have; NULL: nothing yet */
	uint64_t tls_settings;         /* of the mesh, that TLS was made with */
	struct tls_ticket_keys *ticket_keys;
	struct timer ticket_rotation;
	uint64_t rotate_asked_ns; /* when POST /certs/rotate was last obeyed; 0: never */

	struct io signals; /* signalfd */
	bool draining;
	uint64_t drain_until_ns, quiet_since_ns; /* quiet: no connection lives */
	struct timer drain_check;
};

void proxy_drain(struct proxy *p); /* as SIGTERM; again: ends now */
unsigned proxy_n_conns(const struct proxy *p);
bool proxy_ready(const struct proxy *p);
void proxy_serve(struct proxy *p); /* the newest view to the workers, once all they need is there */

bool admin_start(struct proxy *p, struct err *err) MUST_CHECK;
void admin_stop(struct proxy *p);
void admin_view_came(struct proxy *p); /* p->view is a newer one */

/* GET /dns: the names that the DNS proxy answers, or its answer for one. */
void list_names(void *ctx, const struct rest_request *req, struct rest_reply *reply);
/* GET /connections: asks every worker by message, answers when all have. */
void list_connections(void *ctx, const struct rest_request *req, struct rest_reply *reply);
