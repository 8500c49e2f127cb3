/*
 * Counters, gauges and histograms of the sidecar, one set per worker, merged when they are read.
 *
 *   struct metrics *m = metrics_new(n_workers);         // main thread, before the workers start
 *   struct worker_metrics *wm = metrics_worker(m, 0);   // given to worker 0
 *   observe_opened(wm, &conn->record);                  // worker: see the calls below
 *   metrics_render(m, &facts, &buf);                    // main thread, any time
 *   metrics_free(m);                                    // after the workers have ended
 *
 * Each struct worker_metrics has one writer, its worker; the reader sees every counter whole
 * (relaxed atomics), and a series only once it is complete. Series (label sets) are bounded per
 * worker: past METRICS_MAX_SERIES connections are counted under labels that all say "overflow",
 * so that the sums stay right.
 */
#pragma once
#include "base/buf.h"
#include "observe/record.h"

enum { METRICS_MAX_SERIES = 2048 };

struct metrics;
struct worker_metrics;
struct access_log;

struct metrics *metrics_new(unsigned n_workers);
void metrics_free(struct metrics *m);
struct worker_metrics *metrics_worker(struct metrics *m, unsigned worker);

/* At accept, once the plan is made. Counts the connection as open. */
void observe_opened(struct worker_metrics *wm, struct conn_record *r);
/* The first-word race starts, and is over: plan->word holds the answer (has_word false: the
 * connection ended before there was one), detect_ns how long it took. */
void observe_detecting(struct worker_metrics *wm, struct conn_record *r);
void observe_detected(struct worker_metrics *wm, struct conn_record *r);
/*
 * When the upstream connection stands and the first word is known, and from then on every few
 * seconds, so that long connections are not invisible. The first call fixes the labels
 * (upstream_workload and protocol among them) and counts istio_tcp_connections_opened_total; a
 * connection that never gets here is counted by observe_closed(), with the response flag of its
 * end, as in Istio.
 */
void observe_bytes(struct worker_metrics *wm, struct conn_record *r);
/* Once, at the end: r->end says why. LOG NULL: no access log. */
void observe_closed(struct worker_metrics *wm, struct conn_record *r, struct access_log *log);

/* What became of an early connection, or why there was none. */
#define EARLY_RESULTS(X)                                                                           \
	X(USED, "used")           /* the connection went on over it */                             \
	X(DROPPED, "dropped")     /* closed unused: the client left, or the route led elsewhere */ \
	X(REFUSED, "refused")     /* the server refused or reset it */                             \
	X(NO_BUDGET, "no-budget") /* not opened: a budget of design "budgets" was used up */       \
	X(NO_DESCRIPTORS, "no-descriptors") /* not opened: short of descriptors */
enum early_result {
#define X(id, name) EARLY_##id,
	EARLY_RESULTS(X)
#undef X
		N_EARLY_RESULTS
};
void observe_early(struct worker_metrics *wm, enum early_result result);

/* A TLS handshake is over: WHY is TLS_WHY_NONE for one that was made. */
void observe_handshake(struct worker_metrics *wm, enum live_side side, enum tls_why why);

/* Plain counters of the data plane: a row makes the enum, the metric's name and its HELP line. */
#define OBSERVE_COUNTERS(X)                                                                        \
	X(RETRIES, "hark_connect_retries_total", "Endpoints tried after another one had failed.")  \
	X(ACCEPT_PAUSED, "hark_accept_paused_total",                                               \
	  "Times that accepting stopped for want of file descriptors or memory.")                  \
	X(ACCEPT_REFUSED, "hark_accept_refused_total",                                             \
	  "Connections refused at once because no file descriptor was left.")                      \
	X(LISTEN_FAILED, "hark_listen_failures_total",                                             \
	  "Failed attempts to open an egress listener of a Sidecar.")                              \
	X(SPLICED, "hark_splice_total", "Directions of a connection that switched to splice(2).")  \
	X(RELAYED_BYTES, "hark_relayed_bytes_total", "Bytes relayed, both directions.")            \
	X(TLS_RESUMED, "hark_tls_resumed_total", "TLS handshakes that resumed a session.")         \
	X(HANDSHAKES_EVICTED, "hark_tls_handshakes_evicted_total",                                 \
	  "Unfinished handshakes closed because too many of them were open.")                      \
	X(AUTHZ_DENIED, "hark_authorization_denied_total",                                         \
	  "Connections that an AuthorizationPolicy denied.")                                       \
	X(AUTHZ_AUDITED, "hark_authorization_audited_total",                                       \
	  "Connections that a rule of an AUDIT policy matched.")                                   \
	X(AUTHZ_SHADOW_DENIED, "hark_authorization_shadow_denied_total",                           \
	  "Connections that a policy would deny that is a dry run.")                               \
	X(DNS_TRIES, "hark_dns_upstream_queries_total",                                            \
	  "Questions sent to the nameservers of resolv.conf, each try by itself.")                 \
	X(DNS_FAILURES, "hark_dns_upstream_failures_total",                                        \
	  "Of those: could not be sent, was refused, met silence, or a no (SERVFAIL, ...).")       \
	X(DNS_IGNORED, "hark_dns_ignored_total",                                                   \
	  "Messages from a nameserver's address that were no answer to what was asked.")           \
	X(DNS_CUT, "hark_dns_truncated_total",                                                     \
	  "Answers that a nameserver cut, and that it was asked for again over TCP.")              \
	X(DNS_MALFORMED, "hark_dns_malformed_total",                                               \
	  "Messages of applications that were no DNS query: answered FORMERR, or not at all.")     \
	X(DNS_REFUSED, "hark_dns_overload_total",                                                  \
	  "Questions answered SERVFAIL because too many others wait for nameservers.")             \
	X(LOG_DROPPED, "hark_access_log_dropped_total",                                            \
	  "Access log lines dropped because nobody took the earlier ones.")
enum observe_counter {
#define X(id, name, help) COUNT_##id,
	OBSERVE_COUNTERS(X)
#undef X
		N_OBSERVE_COUNTERS
};
void observe_count(struct worker_metrics *wm, enum observe_counter counter, uint64_t n);

/* Who answered a question of the application. */
#define DNS_SOURCES(X)                                                                             \
	X(MESH, "mesh")         /* the view */                                                     \
	X(CACHE, "cache")       /* a nameserver, earlier */                                        \
	X(UPSTREAM, "upstream") /* a nameserver, now */                                            \
	X(PROXY, "proxy")       /* nobody: malformed, no view yet, no nameserver answered */
enum dns_source {
#define X(id, name) DNS_SOURCE_##id,
	DNS_SOURCES(X)
#undef X
		N_DNS_SOURCES
};
void observe_dns(struct worker_metrics *wm, bool tcp, enum dns_source source, unsigned rcode);
/* A nameserver answered NS nanoseconds after the application asked. */
void observe_dns_upstream(struct worker_metrics *wm, uint64_t ns);
/* Answers that are kept now. */
void observe_dns_cache(struct worker_metrics *wm, uint64_t n);

/* What only the main thread knows. */
struct metrics_facts {
	const char *version;     /* of hark */
	uint64_t config_version; /* view_version() of the newest view */
	bool api_connected;      /* the configuration is being watched now */
	double start_time_s;     /* of the process, since 1970 */
};

/* Prometheus text format 0.0.4; false when OUT reached its bound. */
bool metrics_render(const struct metrics *m, const struct metrics_facts *facts,
		    struct buf *out) MUST_CHECK;
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
