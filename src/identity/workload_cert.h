/*
 * When a sidecar renews its certificate: a machine without a clock, a socket or a key of its own.
 *
 *   struct workload_cert w;
 *   workload_cert_init(&w, &workload_cert_defaults);
 *   switch (workload_cert_next(&w, now_ms, &at_ms)) {
 *   case CERT_ASK:  workload_cert_asked(&w); ...      // then _got() or _failed()
 *   case CERT_WAIT: ...                               // until at_ms, or until something happens
 *   }
 *   workload_cert_got(&w, not_after_ms, now_ms, random);
 *   workload_cert_failed(&w, now_ms, random);
 *
 * Times are milliseconds of the wall clock since 1970; it may be set back or forth, and what is due
 * is worked out anew at each call. RANDOM is any 64 random bits. Of one thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum workload_cert_state {
	CERT_NONE,     /* nothing was issued yet */
	CERT_VALID,    /* good, and not due or being renewed for the first time */
	CERT_EXPIRING, /* good, but renewing it has failed */
	CERT_EXPIRED,
};
const char *workload_cert_state_name(enum workload_cert_state s); /* "valid" */

enum workload_cert_step { CERT_ASK, CERT_WAIT };
#define WORKLOAD_CERT_NEVER INT64_MAX

struct workload_cert_rules {
	/* Of the life that is left at receipt, in thousandths: renewed when so much remains, give
	 * or take the jitter. Istio: 500 and 10. */
	unsigned grace, jitter;
	int64_t retry_first_ms, retry_most_ms; /* doubled from one to the other, +-20 % */
};
extern const struct workload_cert_rules workload_cert_defaults;

struct workload_cert {
	struct workload_cert_rules rules;
	bool have, asking, forced;
	int64_t not_after_ms, renew_ms;
	int64_t retry_ms;
	unsigned failures; /* in a row */
};

void workload_cert_init(struct workload_cert *w, const struct workload_cert_rules *rules);
/* CERT_WAIT: until AT_MS, WORKLOAD_CERT_NEVER while an answer is awaited (the call has a timeout of
 * its own, and ends in _got() or _failed()). */
enum workload_cert_step workload_cert_next(struct workload_cert *w, int64_t now_ms, int64_t *at_ms);
void workload_cert_asked(struct workload_cert *w);
/* A certificate came, whoever asked for it. */
void workload_cert_got(struct workload_cert *w, int64_t not_after_ms, int64_t now_ms,
		       uint64_t random);
void workload_cert_failed(struct workload_cert *w, int64_t now_ms, uint64_t random);
/* At once: an operator wants it, or the root has changed. Back-off is forgotten. */
void workload_cert_force(struct workload_cert *w);
enum workload_cert_state workload_cert_state(const struct workload_cert *w, int64_t now_ms);
