/*
 * What is told of one connection: the data plane fills a record as the connection lives; metrics,
 * access log and the list of connections read it.
 *
 *   struct conn_record *r = &conn->record;
 *   observe_opened(wm, r);             // metrics.h: at accept
 *   observe_bytes(wm, r);              // once the upstream connection stands, then now and then
 *   observe_closed(wm, r, log);        // once: counts the end and writes the access log line
 *
 * A record belongs to its connection and so to one worker. It borrows everything it points to; the
 * connection holds the view while the record is in use.
 */
#pragma once
#include "decide/plan.h"
#include "tls/tls.h"

/* Why a connection ended: a row makes the enum, the name, whether it is an error, Istio's response
 * flag, and the operator's text. */
#define END_REASONS(X)                                                                             \
	X(CLIENT_CLOSED, "client-closed", false, "-", "the client closed the connection")          \
	X(SERVER_CLOSED, "server-closed", false, "-", "the server closed the connection")          \
	X(CLIENT_RESET, "client-reset", false, "DC", "the client reset the connection")            \
	X(SERVER_RESET, "server-reset", false, "UC", "the server reset the connection")            \
	X(REFUSED_BY_PLAN, "refused-by-plan", true, "NR", "the plan refuses the connection")       \
	X(NOT_AUTHORIZED, "not-authorized", true, "-",                                             \
	  "an AuthorizationPolicy denies the connection")                                          \
	X(HANDSHAKE_TIMEOUT, "handshake-timeout", true, "DT",                                      \
	  "the client did not authenticate in time")                                               \
	X(HANDSHAKE_EVICTED, "handshake-evicted", true, "OM",                                      \
	  "an unfinished handshake gave way: too many of them are open")                           \
	X(DOWNSTREAM_TLS, "downstream-tls", true, "DC", "TLS with the client failed")              \
	X(UPSTREAM_TLS, "upstream-tls", true, "UF", "TLS with the server failed")                  \
	X(TLS_CUT, "tls-cut", true, "UC",                                                          \
	  "a peer ended without close_notify: what it sent may be incomplete")                     \
	X(NO_CERTIFICATE, "no-certificate", true, "UF",                                            \
	  "a certificate or a file that TLS needs is not there")                                   \
	X(NO_ENDPOINT, "no-endpoint", true, "UH", "no endpoint of the Service is left to try")     \
	X(NOT_RESOLVED, "not-resolved", true, "UH", "the server's name could not be resolved")     \
	X(CONNECT_REFUSED, "connect-refused", true, "UF", "the server refused the connection")     \
	X(CONNECT_TIMEOUT, "connect-timeout", true, "UF", "the server did not answer in time")     \
	X(CONNECT_FAILED, "connect-failed", true, "UF",                                            \
	  "the connection to the server could not be made")                                        \
	X(IDLE_TIMEOUT, "idle-timeout", false, "SI",                                               \
	  "no byte passed for as long as the idle timeout allows")                                 \
	X(NO_DESCRIPTORS, "no-descriptors", true, "OM", "the process is out of file descriptors")  \
	X(WRONG_GUESS, "wrong-guess", true, "DPE",                                                 \
	  "a ClientHello came after the server's greeting had gone out in clear")                  \
	X(DRAINED, "drained", false, "-", "the sidecar stopped and the drain time was over")       \
	X(INTERNAL, "internal", true, "-", "a system call failed that should not")

enum end_reason {
#define X(id, name, error, flag, text) END_##id,
	END_REASONS(X)
#undef X
		N_END_REASONS,
};
const char *end_reason_name(enum end_reason r);
const char *end_reason_text(enum end_reason r);
const char *end_reason_flag(enum end_reason r);
bool end_reason_is_error(enum end_reason r);
/* How a connection ends that the plan refuses: END_REFUSED_BY_PLAN, END_NOT_AUTHORIZED,
 * END_HANDSHAKE_TIMEOUT, END_NOT_RESOLVED or END_NO_ENDPOINT. */
enum end_reason end_of_refusal(const struct plan *p);

struct series; /* the metric row of one label set; metrics.c */

struct conn_record {
	uint64_t id;                   /* unique in the process */
	uint64_t start_ns;             /* clock_ns() at accept */
	uint64_t first_byte_ns;        /* clock_ns() when the first byte went to the client; 0: none
					  yet */
	uint64_t detect_ns;            /* how long detection took; 0: none was needed */
	uint64_t up_bytes, down_bytes; /* client -> server, server -> client */
	struct addr client, original_dst, upstream; /* upstream port 0: none was dialled */
	const struct view *view;                    /* the one PLAN was made from */
	const struct plan *plan;
	const struct workload *upstream_workload; /* of the endpoint dialled; NULL: none, or not a
						     Pod that the view knows */
	const char *protocol; /* static text: "mysql", "http/1.1", "tls", "tcp", ... as recognised;
				 NULL: as the plan says */
	enum fw_first first;  /* who spoke first */
	enum end_reason end;  /* meaningful in observe_closed() */
	/* Of the side that is TLS: */
	const char *tls_version; /* "TLSv1.3"; NULL: none was agreed on */
	const char *sni;         /* what the client asked for; "" or NULL: nothing */
	struct slice peer;       /* the peer's SPIFFE id, verified; empty: none */
	enum tls_why tls_why;    /* TLS_WHY_NONE: nothing is wrong */
	char *tls_problem; /* there is no TLS to speak with: why; NULL: not so. The connection's */
	bool tls_resumed;
	uint8_t attempts; /* endpoints dialled */
	bool early;       /* the server was dialled before the client spoke */

	/* metrics.c's own: zero at accept */
	struct series *series; /* fixed by the first report, as Istio's labels are */
	uint64_t up_reported, down_reported;
	bool detecting, first_byte_told;
};

/*
 * The record as one JSON object: the keys of Istio's JSON access log where there is one, then
 * hark's. END false: the connection still lives (`duration` is its age, `end` is null). NOW_NS is
 * clock_ns().
 */
void record_json(const struct conn_record *r, bool end, uint64_t now_ns, struct json_out *out);
/* The same as members of the object that is open. */
void record_members(const struct conn_record *r, bool end, uint64_t now_ns, struct json_out *out);
/* What was recognised, as metrics and log call it: never NULL. */
const char *record_protocol(const struct conn_record *r);
/* Mesh TLS was agreed on: inbound with the client, outbound with the server. */
bool record_mutual_tls(const struct conn_record *r);
/* SPIFFE ids of both, empty where no mesh TLS says who they are. The own one is written into OUT. */
struct slice record_principal(const struct conn_record *r, bool of_source,
			      char out[VIEW_IDENTITY_LEN]);
/* Istio's name of where the connection goes: "outbound|3306||db.shop.svc.cluster.local",
 * "PassthroughCluster", "BlackHoleCluster", "inbound|3306||", "InboundPassthroughCluster". */
const char *record_cluster(const struct conn_record *r, char *out, size_t out_len);
