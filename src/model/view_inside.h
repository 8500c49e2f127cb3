/*
 * What a view is made of; for view.c and view_policy.c, which answer, and view_build.c,
 * view_inbound.c and view_rules.c, which make it.
 */
#pragma once
#include <stdatomic.h>

#include "model/index.h"
#include "model/view.h"

/* One endpoint of a headless Service, under its address. */
struct headless {
	const struct view_port *port;
	const struct view_endpoint *endpoint;
};

struct view {
	atomic_uint refs;
	struct arena *arena;  /* of everything below */
	struct object **held; /* a reference to each object that something here points to */
	size_t n_held;
	struct mesh_config mesh;
	uint64_t version;
	size_t counts[N_KINDS];

	const char *self_ns; /* names without a namespace are looked for here */
	const struct workload *self;
	struct workload *workloads;
	size_t n_workloads;
	struct view_service *services; /* by namespace and name */
	size_t n_services;
	struct view_port *ports; /* of all services, in their order */
	size_t n_ports;
	const struct object ***slices; /* of each service; NULL-terminated */
	struct headless *headless;
	size_t n_headless;
	struct inbound_port *inbound;
	size_t n_inbound;
	struct inbound_port other_inbound; /* for every other port */

	const struct authz *authz;

	struct index by_name;     /* services: "ns/name" */
	struct index by_vip;      /* services: IP */
	struct index by_ip;       /* workloads: IP */
	struct index by_headless; /* headless: address */
};

/* What is said of detection for one port. */
struct detection_words {
	enum detection detection;
	const char *from;
	uint32_t timeout_ms;
};
/* Lays what ANNOTATIONS of O say for PORT over what is there. */
void detection_lay(struct detection_words *words, struct arena *a, const struct object *o,
		   uint16_t port);
/* The one that was made first wins: a resource added later takes nothing away. */
bool service_older(const struct view_service *a, const struct view_service *b);
struct object_set;
/* PeerAuthentications -> the peer_auth of every workload. */
void view_build_peer_auth(struct view *v, const struct object_set *policies);
/* DestinationRules -> the rule of every Service and the tls of its ports. */
void view_build_rules(struct view *v, const struct object_set *rules);
/* AuthorizationPolicies -> v->authz */
void view_build_authz(struct view *v, const struct object_set *policies);
/* Services that target ports of the own Pod -> v->inbound. */
void view_build_inbound(struct view *v, struct live *live);
