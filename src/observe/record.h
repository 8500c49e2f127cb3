/*
 * What is told of one connection: the data plane fills a record as the connection lives; metrics and access log read it.
 *
 *   struct conn_record *r = &conn->record;
 *   observe_opened(worker_metrics, r);           // once the plan is made
 *   observe_bytes(worker_metrics, r);            // now and then while it lives: long connections are not invisible
 *   observe_closed(worker_metrics, r, log);      // once: closes the series and writes the access log line
 *
 * A record belongs to its connection and so to one worker. WORKER_METRICS belong to a worker; the main thread reads them while they are written
 * (relaxed atomics, one writer).
 */
#pragma once
#include "decide/plan.h"

/* Why a connection ended: a row makes the enum, the name, whether it is an error, Istio's response flag, and the operator's text. */
#define END_REASONS(X) \
	X(CLIENT_CLOSED, "client-closed", false, "-", "the client closed the connection") \
	X(SERVER_CLOSED, "server-closed", false, "-", "the server closed the connection") \
	X(CLIENT_RESET, "client-reset", false, "DC", "the client reset the connection") \
	X(SERVER_RESET, "server-reset", false, "UC", "the server reset the connection") \
	X(REFUSED_BY_PLAN, "refused-by-plan", true, "NR", "the plan refuses the connection") \
	X(NO_ENDPOINT, "no-endpoint", true, "UH", "no endpoint of the Service is left to try") \
	X(CONNECT_REFUSED, "connect-refused", true, "UF", "the server refused the connection") \
	X(CONNECT_TIMEOUT, "connect-timeout", true, "UF", "the server did not answer in time") \
	X(CONNECT_FAILED, "connect-failed", true, "UF", "the connection to the server could not be made") \
	X(IDLE_TIMEOUT, "idle-timeout", false, "SI", "no byte passed for as long as the idle timeout allows") \
	X(NO_DESCRIPTORS, "no-descriptors", true, "OM", "the process is out of file descriptors") \
	X(WRONG_GUESS, "wrong-guess", true, "DPE", "a ClientHello came after the server's greeting had gone out in clear") \
	X(DRAINED, "drained", false, "-", "the sidecar stopped and the drain time was over") \
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

struct series; /* the metric rows of one label set, found at observe_opened() */

struct conn_record {
	uint64_t id;           /* unique in the process */
	uint64_t start_ns;     /* clock_ns() at accept */
	uint64_t first_byte_ns; /* clock_ns() when the first byte went to the client; 0: none yet */
	uint64_t detect_ns;     /* how long detection took; 0: none was needed */
	uint64_t up_bytes, down_bytes; /* client -> server, server -> client */
	uint64_t up_reported, down_reported; /* already in the metrics */
	struct addr client, original_dst, upstream; /* upstream port 0: none was dialled */
	const struct plan *plan;
	const char *protocol;  /* static text: "mysql", "http/1.1", "tls", "tcp", ... as recognised */
	enum fw_first first;   /* who spoke first */
	enum end_reason end;
	uint8_t attempts;      /* endpoints dialled */
	bool early;            /* the server was dialled before the client spoke */
	struct series *series;
};
