/*
 * May this peer connect, or send this request? Runs the programs that model/authz.h makes.
 *
 *   struct authz_facts facts = {.source = ip, .remote = ip, .destination = dst, .port = 3306};
 *   authz_decide(view_authz(view), AUTHZ_TCP, &facts, &verdict);
 *   if (!verdict.allowed) ...                // verdict.policy and .rule say who denies
 *
 * Everything that is looked at for a TCP connection is known when it is accepted (plaintext) or when
 * the handshake is over (mesh TLS): so it is decided before the application is dialled. Pure, any
 * thread; nothing is allocated.
 */
#pragma once
#include "base/json_out.h"
#include "model/view.h"

/* What HTTP adds. */
struct authz_request {
	struct slice host;   /* :authority, with the port where it has one */
	struct slice method; /* :method */
	struct slice path;   /* normalized, without the query */
	/*
	 * The NTH value of a header (NAME; all of them joined by commas are one) or of what a
	 * validated JWT says (NAME only for claims: "a" or "a][b"). False: there is none. NULL: no
	 * header and no JWT.
	 */
	bool (*value)(void *ctx, enum authz_input input, const char *name, unsigned nth,
		      struct slice *out);
	void *ctx;
};

struct authz_facts {
	struct slice peer; /* "spiffe://...", from the verified certificate; empty: none */
	struct ip source;  /* of the TCP peer */
	struct ip remote;  /* of the client behind proxies, where that is known; else as source */
	struct ip destination;
	uint16_t port; /* of the workload */
	struct slice sni;
	const struct authz_request *request; /* AUTHZ_HTTP only */
};

/* Why it is so, in the order of evaluation. */
enum SMALL_ENUM authz_reason {
	AUTHZ_NO_POLICY,   /* none selects the workload: allowed */
	AUTHZ_CUSTOM_RULE, /* a provider would have to be asked: denied */
	AUTHZ_DENY_RULE,   /* denied */
	AUTHZ_NO_ALLOW,    /* there is no ALLOW policy: allowed */
	AUTHZ_ALLOW_RULE,  /* allowed */
	AUTHZ_NOT_ALLOWED, /* there are ALLOW policies, and no rule of theirs matches: denied */
};

struct authz_verdict {
	bool allowed;
	enum authz_reason reason;
	const struct object *policy; /* whose rule it is; the first ALLOW policy; or NULL */
	uint16_t rule;
	bool audited; /* an AUDIT rule matches */
	/* What it would be if the policies that are a dry run were in force. */
	bool shadow_allowed;
	const struct object *shadow_policy; /* NULL: no dry run */
	uint16_t shadow_rule;
};

void authz_decide(const struct authz *z, enum authz_protocol protocol,
		  const struct authz_facts *facts, struct authz_verdict *out);
/* A clause for people: "rule 0 of AuthorizationPolicy shop/db allows it". */
bool authz_verdict_text(const struct authz_verdict *verdict, struct buf *out);
/* "DENY rule 1 of AuthorizationPolicy shop/db has lost spec.rules[1].to[0].operation.methods: ..." */
bool authz_change_text(const struct authz_change *change, struct buf *out);
