/*
 * What a view is made of. Each new view shares with the one before it all that did not change, so
 * that a change costs what it touches, and old views that connections still hold cost little.
 *
 *   view.c           answers
 *   view_name.c      names, as the DNS proxy answers them
 *   view_build.c     the builder: what has changed, and what has to be made anew for that
 *   view_service.c   a Service, its ports and endpoints: one struct service_part
 *   view_workload.c  a Pod: one struct workload_part
 *   view_policy.c    PeerAuthentications and AuthorizationPolicies
 *   view_rules.c     DestinationRules
 *   view_inbound.c   the ports of the own Pod
 */
#pragma once
#include <stdatomic.h>

#include "base/shared_map.h"
#include "model/index.h"
#include "model/view.h"

struct object_set;

/* Something that several views have in common: counted, and never changed. */
struct part {
	atomic_uint refs;
	struct arena *arena;  /* it lives in there itself */
	struct object **held; /* a reference to each object that something in it points to */
	size_t n_held, size_held;
	void (*end)(struct part *p); /* before it goes; NULL: nothing to do */
};

/* SIZE bytes, zeroed, that begin with the part; BYTES are expected to follow in its arena, N_HELD
 * objects are what it holds. One reference. */
void *part_new(size_t size, size_t bytes, size_t n_held);
void part_hold(struct part *p, const struct object *o);
struct part *part_get(struct part *p);
void part_put(struct part *p); /* NULL is fine */

struct mesh_part {
	struct part part;
	struct mesh_config mesh;
};

struct workload_part {
	struct part part;
	struct workload workload;
};

/* One endpoint of a headless Service, under its address. */
struct headless {
	const struct view_port *port;
	const struct view_endpoint *endpoint;
};

struct service_part {
	struct part part;
	struct view_service service;
	const struct object *const *slices; /* by name */
	size_t n_slices;
	struct headless *headless;
	size_t n_headless;
	bool mine; /* it may stand behind ports of the own Pod */
};

struct authz_part {
	struct part part;
	const struct authz *authz;
};

struct peer_auths;
struct rules;

struct view {
	atomic_uint refs;
	struct arena *arena; /* of what this view has alone */
	struct mesh_part *mesh;
	struct peer_auths *peer_auths; /* what workloads point to */
	struct rules *rules;           /* what Services point to */
	struct authz_part *authz;
	struct workload_part *self; /* NULL: not known */
	const char *self_ns;        /* names without a namespace are looked for here */
	uint64_t version;
	size_t counts[N_KINDS];

	struct shared_map services;  /* service_part by "ns/name"; holds them */
	struct shared_map workloads; /* workload_part by "ns/name"; holds them */
	/* What these point to is among the above. */
	struct shared_map by_vip;      /* service_part by IP */
	struct shared_map by_ip;       /* workload_part by IP */
	struct shared_map by_headless; /* headless by address */

	struct inbound_port *inbound;
	size_t n_inbound;
	struct inbound_port other_inbound; /* for every other port */
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
/* NS/NAME. NULL: none such. */
const struct service_part *view_find_service(const struct view *v, struct slice ns,
					     struct slice name);
/* The one that was made first wins: a resource added later takes nothing away. */
bool service_older(const struct view_service *a, const struct view_service *b);

/* Whose view it is, and what every Service and workload is measured against. */
struct view_frame {
	const char *self_ns;
	const struct object *self; /* NULL: not known */
	const struct mesh_config *mesh;
	const struct peer_auths *peer_auths;
	struct rules *rules;
	struct live *live; /* or NULL */
};

/* PeerAuthentications, and what they mean for a Pod. */
struct peer_auths *peer_auths_new(const struct mesh_config *mesh,
				  const struct object_set *policies);
const struct peer_auth *peer_auths_of(const struct peer_auths *a, const struct object *pod);
struct part *peer_auths_part(struct peer_auths *a);
/* DestinationRules, and what they mean for a Service. The builder's thread alone asks. */
struct rules *rules_new(const struct view_frame *frame, const struct object_set *rules);
const struct view_rule *rules_of(struct rules *r, const struct view_service *s);
/* What the rule of a Service says of TLS to its port; NULL: nothing. */
const struct client_tls *rule_tls(const struct view_rule *rule, uint16_t port);
struct part *rules_part(struct rules *r);
/* AuthorizationPolicies of the own workload. */
struct authz_part *authz_part_new(const struct view_frame *frame,
				  const struct object_set *policies);

struct workload_part *workload_part_new(const struct view_frame *frame, const struct object *pod);
/* POD has addresses of its own that are in use. */
bool workload_is_addressed(const struct object *pod);
/* SLICES: those of SERVICE. */
struct service_part *service_part_new(const struct view_frame *frame, const struct object *service,
				      struct object *const *slices, size_t n_slices);
/* Those of MINE that target ports of the own Pod -> v->inbound. */
void view_build_inbound(struct view *v, struct service_part *const *mine, size_t n,
			struct live *live);
