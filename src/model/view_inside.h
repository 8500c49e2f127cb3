/*
 * What a view is made of. Each new view shares with the one before it all that did not change, so
 * that a change costs what it touches, and old views that connections still hold cost little.
 *
 *   view.c           answers
 *   view_name.c      names, as the DNS proxy answers them
 *   view_build.c     the builder: what has changed, and what has to be made anew for that
 *   view_service.c   a Service, its ports and endpoints: one struct service_part
 *   view_entry.c     the same of a host of ServiceEntries
 *   view_open.c      those of them that no address tells
 *   view_hosts.c     which ServiceEntries have which host, and what names resolve to
 *   view_scope.c     which Services the own workload may know: exportTo, Sidecars
 *   view_workload.c  a Pod: one struct workload_part
 *   view_policy.c    PeerAuthentications and AuthorizationPolicies
 *   view_rules.c     DestinationRules
 *   view_inbound.c   the ports of the own Pod
 *   view_listen.c    sockets that a Sidecar has opened for its workload to dial
 */
#pragma once
#include <stdatomic.h>

#include "base/name_set.h"
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
	/* What an answer of DNS needs, side by side: each further look would be a wait for memory. */
	bool is_headless, has_alias, has_ip[N_IP_FAMILIES];
	uint16_t ns_at, ns_len; /* in service.host, which begins with the name */
	struct ip ip[N_IP_FAMILIES];
	const struct object *const *slices; /* by name */
	size_t n_slices;
	struct headless *headless;
	size_t n_headless;
	bool mine;  /* it may stand behind ports of the own Pod */
	bool known; /* in the own workload's scope: clients here can mean it */
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

	struct scope *scope;
	struct open_part *open; /* NULL: every host has an address */
	uint64_t range_bits[3]; /* bit n: some ServiceEntry has a range of n bits */

	struct shared_map services;  /* service_part by "ns/name"; holds them */
	struct shared_map hosts;     /* service_part of ServiceEntries by host; holds them */
	struct shared_map unseen;    /* the same of those out of scope that select the own Pod */
	struct shared_map workloads; /* workload_part by "ns/name"; holds them */
	/* What these point to is among the above. */
	struct shared_map by_vip;      /* service_part by IP; all of these are in scope */
	struct shared_map by_range;    /* service_part by struct cidr */
	struct shared_map by_ip;       /* workload_part by IP */
	struct shared_map by_headless; /* headless by address */

	struct inbound_port *inbound;
	size_t n_inbound;
	struct inbound_port other_inbound; /* for every other port */
	const struct view_listener *listeners;
	size_t n_listeners;
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
	struct scope *scope;
	const struct hosts *hosts;
	struct live *live; /* or NULL */
};

/* What the own workload may know of. */
struct scope *scope_new(const struct view_frame *frame, const struct object_set *sidecars);
/* By its namespace, by what it is exported to, and by the Sidecar in force: with one port at least. */
bool scope_has_service(const struct scope *s, const struct object *service, const char *host);
bool scope_has_entry(const struct scope *s, const struct object *entry, const char *host);
/* The Sidecar brings this port of what is in scope. */
bool scope_has_port(const struct scope *s, const char *ns, const char *host, uint16_t port);
/* E, of the Sidecar in force, names such a host. */
bool scope_listener_has(const struct scope *s, const struct sidecar_egress *e, const char *ns,
			const char *host);
const struct object *scope_sidecar(const struct scope *s); /* NULL: none */
struct part *scope_part(struct scope *s);

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
/* Sums of weights for picks among PORT's endpoints, where there is anything to weigh. */
void view_port_weigh(struct arena *a, struct view_port *port);
/* A Pod or a WorkloadEntry, whose spec has labels beside those of its metadata, which come first. An empty
 * selector selects nothing. */
bool workload_is_selected(const struct pairs *selector, const struct object *o);
/* What E says of who answers there; LABELS: metadata's, before its own; or NULL. NULL: nobody of a mesh. */
const struct view_peer *workload_entry_peer(struct arena *a, const struct workload_entry *e,
					    const struct pairs *labels, const char *ns);
/* Ends the live cells of PORT. */
void view_port_end(const struct view_port *port);

/* ServiceEntries by host, workloads that they select, and what names resolve to; the builder's. */
struct hosts {
	struct host_group *groups;
	struct resolved *resolved;
	struct use *uses;      /* of names, by hosts that are called otherwise */
	struct name_set dirty; /* hosts to be made anew, under the namespace "" */
	bool all;              /* all are; `dirty` has those that are gone, and maybe others */
	size_t n_selecting;    /* entries with a selector */
	const struct object_set *entries, *workloads, *pods;
};
void hosts_fini(struct hosts *h);
/* NOW has taken the place of OLD, of a kind that ServiceEntries look at; either may be NULL. */
void hosts_note(struct hosts *h, const struct object *old, const struct object *now);
/* A Service of Kubernetes has come or gone: whoever has its host is to be made anew. */
void hosts_note_service(struct hosts *h, const char *ns, const char *name);
/* The one behind G (NULL: the first), and its host; NULL: there is none. */
const struct host_group *hosts_next(const struct hosts *h, const struct host_group *g,
				    const char **host);
/* The entries that have HOST, N of them, by namespace and name. NULL: none. */
struct object *const *hosts_entries(const struct hosts *h, const char *host, size_t *n);
void hosts_set_addresses(struct hosts *h, const char *name, const struct ip *ips, size_t n);
void hosts_forget_addresses(struct hosts *h, const char *name);
/* What NAME resolves to, until something is told; HOST is made anew when that changes. False: not known. */
bool hosts_resolve(struct hosts *h, const char *name, const char *host, const struct ip **ips,
		   size_t *n);
/* HOST needs NAME no longer. */
void hosts_drop_use(struct hosts *h, const char *name, const char *host);
size_t hosts_n_names(const struct hosts *h); /* that something is kept of */

/* What ServiceEntries say of the servers of HOST, which is a Service of Kubernetes in NS; those of other
 * namespaces than its own and the client's have no say. NULL-terminated; in A. */
const char *const *entry_names_for(const struct view_frame *frame, struct arena *a,
				   const char *host, const char *ns);
/* One host of ServiceEntries; NULL: none of them is in scope. */
struct service_part *entry_part_new(const struct view_frame *frame, struct hosts *hosts,
				    const char *host);
/* Those that select the own Pod and are out of scope, which count for what comes in: ports without
 * endpoints. NULL: there are none. */
struct service_part *entry_part_unseen(const struct view_frame *frame, struct hosts *hosts,
				       const char *host);
/* What those of HOSTS declare that no address tells; NULL: there are none. */
struct open_part *open_part_new(const struct shared_map *hosts);
struct part *open_part(struct open_part *o); /* NULL is fine */
/* Those of MINE that target ports of the own Pod -> v->inbound. */
void view_build_inbound(struct view *v, struct service_part *const *mine, size_t n,
			struct live *live);
/* What the Sidecar in force has bound, and for whom -> v->listeners. */
void view_build_listeners(struct view *v, struct live *live);
