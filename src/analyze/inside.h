/* What the files of this room share; nobody else includes it. */
#pragma once
#include "analyze/analyze.h"
#include "base/mem.h"
#include "decide/learn.h"
#include "decide/plan.h"
#include "model/object_set.h"

struct target;

/* Pods that are alike: a Pod that a person wrote, or those of one Deployment. In the views one Pod
 * stands for them, under an address of its own. */
struct group {
	const struct object *by; /* the Pod or the Deployment */
	const struct meta *meta; /* of the Pods */
	const struct pod_spec *spec;
	const char *root;                /* path of the Pod in BY: "", or "spec.template." */
	struct object *pod;              /* the one in the views */
	struct ip ip;                    /* its address there */
	const struct workload *workload; /* in the view of nobody */
	bool has_sidecar, mesh_tls;
};

/* A Service's port, as far as it leads to a group. */
struct target {
	const struct view_port *port; /* in the view of nobody */
	const struct group *group;
	uint16_t number; /* of the container; 0: a name that it does not have */
};

/* A client's eyes: DestinationRules depend on where one stands. */
struct standpoint {
	const char *ns, *pod; /* POD "": any of the namespace */
};

struct suppression {
	enum check check;     /* N_CHECKS: all */
	const char *resource; /* "Service shop/db", with stars; NULL: all */
};

struct analysis {
	struct arena *arena;
	bool live;
	const struct manifest *manifest; /* or NULL */
	struct object_set sets[N_KINDS];
	struct live *learned;
	struct learned_port *seen; /* inbound ones, until it is known where they belong */
	size_t n_seen, size_seen;
	struct suppression *suppressions;
	size_t n_suppressions, size_suppressions;

	/* world_build() makes these of the above. */
	struct view *view; /* nobody's: no namespace, no Pod */
	const struct mesh_config *mesh;
	const struct view_service **services; /* by namespace and name */
	size_t n_services;
	struct group *groups;
	size_t n_groups;
	struct target *targets; /* in the order of services and their ports */
	size_t n_targets, size_targets;

	struct finding *findings;
	size_t n_findings, size_findings;
	size_t n_suppressed;
};

/* world.c: what would run */

void world_build(struct analysis *a);
/* A new view for somebody who stands there; view_put() it. */
struct view *world_view(const struct analysis *a, const struct standpoint *at);
/* The standpoints that may differ in which DestinationRules they follow, *N of them; free() it. */
struct standpoint *world_standpoints(const struct analysis *a, size_t *n);
/* G's Pods are among those of a kind's selector. */
bool group_is_selected(const struct group *g, const char *ns, const struct pairs *selector);
/* PORT is one that G's Pods listen on, as far as Services and containers say. */
bool group_has_port(const struct analysis *a, const struct group *g, uint16_t port);
/* The target of the oldest Service that leads to that port of G; NULL: none does. */
const struct target *target_of(const struct analysis *a, const struct group *g, uint16_t port);
/* A Service's port PORT that leads to another port of G; NULL: there is none. */
const struct target *target_by_service_port(const struct analysis *a, const struct group *g,
					    uint16_t port);
/* A sidecar stands before the port, and connections to it reach that. */
bool target_is_guarded(const struct target *t);
/* And it speaks mesh TLS. */
bool target_is_meshed(const struct target *t);
struct mtls_answer target_mode(const struct target *t);
/* There are resources in NS of which hark cannot tell which Pods they make. */
bool world_has_strangers(const struct analysis *a, const char *ns);
/* "Deployment shop/db" */
const char *group_name(const struct analysis *a, const struct group *g);
/* "spec.ports[0]" */
const char *port_path(const struct analysis *a, const struct view_port *p);
/* "Service shop/db port 3306" */
const char *port_name(const struct analysis *a, const struct view_port *p);

/* Names for people, each once: "a, b and 3 more". */
struct names {
	const struct analysis *a;
	struct buf text;
	size_t n;
	const char *last; /* as given, so that neighbours are not told twice */
};
void names_init(struct names *n, const struct analysis *a);
void names_add(struct names *n, const char *name);
/* Lives in the arena; NULL when there is none. Ends N. */
const char *names_end(struct names *n);

/* talk.c: what the server behind a port speaks */

enum speaks {
	SPEAKS_UNKNOWN,
	SPEAKS_SERVER_FIRST,
	SPEAKS_HTTP,
	SPEAKS_TLS,
	SPEAKS_OPAQUE,
	SPEAKS_BOTH
};

struct talk {
	enum speaks speaks;
	bool seen;           /* on the running mesh; otherwise guessed by what the container runs */
	const char *declare; /* the appProtocol that says so; NULL: none does */
	const char *why;     /* a clause, or "" */
};
struct talk talk_of(const struct analysis *a, const struct view_port *p);
/* The protocol of servers that speak first whose usual port it is, "MySQL"; NULL: none. */
const char *talk_hint(uint16_t port);

/* findings.c: findings */

#define say(a, ...) arena_printf((a)->arena, __VA_ARGS__)

/* What is said in a finding; all in the arena or static, NULL where nothing is. */
struct said {
	const char *text, *why, *effect, *affected, *mend, *yaml;
};
void finding_add(struct analysis *a, enum check check, const struct object *o, const char *path,
		 const struct said *said);
/* A finding about what is no object. */
void finding_add_raw(struct analysis *a, struct finding f);
/* Takes out what is suppressed, sorts, and leaves nothing twice. */
void findings_finish(struct analysis *a);

/* policies.c and policy_text.c: AuthorizationPolicies */

bool policy_selects(const struct analysis *a, const struct object *o, const struct group *g);
/* What R says of ports takes PORT (of the Pod) in. */
bool rule_covers_port(const struct authz_rule_spec *r, uint16_t port);
/* "source.ip is 10.0.0.0/8, and destination.port is 9000", or "everything". */
const char *rule_text(const struct analysis *a, const struct authz_rule *r);

/* The checks. */
void analyze_ports(struct analysis *a);
void analyze_targets(struct analysis *a);
void analyze_capture(struct analysis *a);
void analyze_peers(struct analysis *a);
void analyze_transport(struct analysis *a);
void analyze_rules(struct analysis *a);
void analyze_origination(struct analysis *a);
/* The DestinationRule O is for S. */
bool rule_covers(const struct object *o, const struct view_service *s);
void analyze_policies(struct analysis *a);
void analyze_entries(struct analysis *a);
void analyze_sidecars(struct analysis *a);
/* Who is named in O's rules. */
void analyze_callers(struct analysis *a, const struct object *o);

/* For PeerAuthentication and AuthorizationPolicy: SELECTOR at PATH of O selects something, and what it
 * selects is enforced. WHAT: "the mode", "its rules". */
void analyze_selector(struct analysis *a, const struct object *o, const struct pairs *selector,
		      const char *path);
void analyze_enforced(struct analysis *a, const struct object *o, const struct pairs *selector,
		      const char *effect);
