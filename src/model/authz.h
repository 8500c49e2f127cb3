/*
 * AuthorizationPolicies as two programs, one for connections carried as bytes (TCP), one for HTTP
 * requests. Which runs makes a difference: fields that only HTTP has take rules away from the TCP
 * program, or widen them, as Istio does; what was changed so is told.
 *
 *   const struct authz *z = authz_compile(arena, policies, n, "shop", &mesh);
 *   const struct authz_program *p = &z->programs[AUTHZ_TCP];       // decide/authz.h runs it
 *   for (i < z->n_changes) ... z->changes[i] ...                   // explain and analyze tell
 *
 * A program borrows from the policies and lives in the arena; it never changes. What cannot be
 * evaluated never opens a door: in ALLOW it takes the whole rule away, elsewhere only itself.
 */
#pragma once
#include "base/arena.h"
#include "model/object_set.h"

/* What a condition looks at: the name in `when`, and whether only HTTP has it. */
#define AUTHZ_INPUTS(X)                                                                            \
	X(UNKNOWN, "", false)                                                                      \
	X(PRINCIPAL, "source.principal", false)                                                    \
	X(NAMESPACE, "source.namespace", false)                                                    \
	X(SERVICE_ACCOUNT, "source.serviceAccount", false)                                         \
	X(TRUST_DOMAIN, "", false)                                                                 \
	X(SOURCE_IP, "source.ip", false)                                                           \
	X(REMOTE_IP, "remote.ip", false)                                                           \
	X(DESTINATION_IP, "destination.ip", false)                                                 \
	X(DESTINATION_PORT, "destination.port", false)                                             \
	X(SNI, "connection.sni", false)                                                            \
	X(METADATA, "experimental.envoy.filters.", false) /* a prefix; nothing here makes any */   \
	X(HOST, "", true)                                                                          \
	X(METHOD, "", true)                                                                        \
	X(PATH, "", true)                                                                          \
	X(HEADER, "request.headers", true) /* [NAME] */                                            \
	X(REQUEST_PRINCIPAL, "request.auth.principal", true)                                       \
	X(AUDIENCE, "request.auth.audiences", true)                                                \
	X(PRESENTER, "request.auth.presenter", true)                                               \
	X(CLAIM, "request.auth.claims", true) /* [A][B] */

enum authz_input {
#define X(id, key, http) AUTHZ_IN_##id,
	AUTHZ_INPUTS(X)
#undef X
		N_AUTHZ_INPUTS
};

bool authz_input_is_http(enum authz_input input);
/* It comes from a validated JWT. */
bool authz_input_is_jwt(enum authz_input input);
/* It comes from the peer's certificate: a plaintext connection has none. */
bool authz_input_is_peer(enum authz_input input);
/* Of a `when` key. *NAME is what stands in its brackets: "X-Id" of request.headers[X-Id]. */
enum authz_input authz_input_of_key(struct slice key, struct slice *name);
const char *authz_nearest_key(struct slice key); /* NULL: none is near */
bool authz_path_ok(struct slice path);

enum authz_text_kind {
	AUTHZ_TEXT_EXACT,
	AUTHZ_TEXT_PREFIX,  /* "abc*" */
	AUTHZ_TEXT_SUFFIX,  /* "*abc" */
	AUTHZ_TEXT_PRESENT, /* "*": anything but nothing */
	AUTHZ_TEXT_TEMPLATE /* of a path: "/a/{*}/{**}" */
};

struct authz_text {
	enum authz_text_kind kind;
	struct slice text; /* without the star */
};

/* One of the values; negated: none of them. */
struct authz_test {
	enum authz_input input;
	bool negated;
	const char *name; /* of the header; "a][b" of nested claims; "" */
	size_t n;
	union {
		const struct authz_text *texts;
		const struct cidr *cidrs;
		const uint16_t *ports;
	};
};

/* All of them. */
struct authz_term {
	const struct authz_test *tests;
	size_t n;
};

/* Any of from, any of to, all of when; an empty list is true. */
struct authz_rule {
	const struct object *policy;
	uint16_t index; /* in spec.rules */
	bool dry_run;
	const struct authz_term *from, *to;
	size_t n_from, n_to;
	struct authz_term when;
};

struct authz_rules {
	const struct authz_rule *at;
	size_t n;
};

struct authz_program {
	struct authz_rules custom, audit, deny, allow;
	/* The first enforced ALLOW policy, be it without a rule; NULL: what is not denied is
	 * allowed. The other one for the dry run. */
	const struct object *allow_policy, *dry_run_allow;
};

enum authz_protocol { AUTHZ_TCP, AUTHZ_HTTP, N_AUTHZ_PROTOCOLS };

enum authz_change_kind {
	AUTHZ_RULE_DROPPED, /* an ALLOW rule that never matches */
	AUTHZ_RULE_WIDENED  /* a condition is gone, the rule matches more */
};

enum authz_change_why {
	AUTHZ_WHY_HTTP_ONLY, /* a field that a TCP connection does not have */
	AUTHZ_WHY_UNKNOWN,   /* a field or key that nobody knows */
	AUTHZ_WHY_METADATA,  /* a key of Envoy's filters */
	AUTHZ_WHY_VALUE,     /* none of its values makes sense */
	AUTHZ_WHY_PROVIDER,  /* CUSTOM: nobody can be asked, so what matches is denied */
};

struct authz_change {
	const struct object *policy;
	uint16_t rule;
	enum authz_protocol protocol;
	enum authz_change_kind kind;
	enum authz_change_why why;
	enum authz_input input;
	const char *path;    /* "spec.rules[0].to[1].operation.methods" */
	bool matches_always; /* WIDENED: nothing is left of the rule */
};

struct authz {
	struct authz_program programs[N_AUTHZ_PROTOCOLS];
	const struct object *const *policies; /* in the order of evaluation */
	size_t n_policies;
	const struct authz_change *changes;
	size_t n_changes;
};

/* Those of POLICIES that select a workload of NS with LABELS, in the order in which they are looked at:
 * the root namespace's first. OUT has room for all; how many. */
size_t authz_select(const struct object_set *policies, const char *root_ns, const char *ns,
		    const struct pairs *labels, const struct object **out);
/* POLICIES select one workload; they come in the order in which they are to be looked at. Those that
 * are not for sidecars are left out. */
const struct authz *authz_compile(struct arena *arena, const struct object *const *policies,
				  size_t n, const struct mesh_config *mesh);
/* What stands between the brackets and all that is a policy's name for its rule in logs, as Istio's
 * tools know it: "ns[shop]-policy[db]-rule[0]". */
const char *authz_rule_name(const struct object *policy, unsigned rule, char *out, size_t out_len);
const char *authz_action_name(enum authz_action action); /* "ALLOW" */
const char *authz_why_text(enum authz_change_why why);   /* a clause */
