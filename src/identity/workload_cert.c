#include "identity/workload_cert.h"

const struct workload_cert_rules workload_cert_defaults = {
	.grace = 500,
	.jitter = 10,
	.retry_first_ms = 1000,
	.retry_most_ms = 60000,
};

const char *workload_cert_state_name(enum workload_cert_state s)
{
	static const char *const names[] = {
		[CERT_NONE] = "none",
		[CERT_VALID] = "valid",
		[CERT_EXPIRING] = "expiring",
		[CERT_EXPIRED] = "expired",
	};
	return names[s];
}

void workload_cert_init(struct workload_cert *w, const struct workload_cert_rules *rules)
{
	*w = (struct workload_cert){.rules = *rules};
}

enum workload_cert_state workload_cert_state(const struct workload_cert *w, int64_t now_ms)
{
	if (!w->have)
		return CERT_NONE;
	if (now_ms >= w->not_after_ms)
		return CERT_EXPIRED;
	return w->failures > 0 ? CERT_EXPIRING : CERT_VALID;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

enum workload_cert_step workload_cert_next(struct workload_cert *w, int64_t now_ms, int64_t *at_ms)
{
	*at_ms = now_ms;
	if (w->asking) {
		*at_ms = WORKLOAD_CERT_NEVER;
		return CERT_WAIT;
	}
	if (w->forced)
		return CERT_ASK;
	int64_t due = w->have ? w->renew_ms : now_ms;
	if (w->failures > 0) {
		/* a clock that was set back must not stretch the wait */
		w->retry_ms = earlier(w->retry_ms, now_ms + 2 * w->rules.retry_most_ms);
		due = w->retry_ms;
	}
	if (due <= now_ms)
		return CERT_ASK;
	*at_ms = due;
	return CERT_WAIT;
}

void workload_cert_asked(struct workload_cert *w)
{
	w->asking = true;
	w->forced = false;
}

/* VALUE, give or take SPREAD: uniform, from the random bits. */
static int64_t spread(int64_t value, int64_t spread_by, uint64_t random)
{
	if (spread_by <= 0)
		return value;
	return value - spread_by + (int64_t)(random % (uint64_t)(2 * spread_by + 1));
}

void workload_cert_got(struct workload_cert *w, int64_t not_after_ms, int64_t now_ms,
		       uint64_t random)
{
	int64_t life = not_after_ms > now_ms ? not_after_ms - now_ms : 0;
	int64_t grace = spread(w->rules.grace, w->rules.jitter, random);
	grace = grace < 0 ? 0 : earlier(grace, 1000);
	w->have = true;
	w->asking = false;
	w->failures = 0;
	w->not_after_ms = not_after_ms;
	w->renew_ms = not_after_ms - life / 1000 * grace - life % 1000 * grace / 1000;
	if (life == 0) { /* it came too late: as if it had failed, or we would ask without pause */
		w->failures = 1;
		w->retry_ms = now_ms + w->rules.retry_first_ms;
	}
}

void workload_cert_failed(struct workload_cert *w, int64_t now_ms, uint64_t random)
{
	int64_t wait = w->rules.retry_first_ms;
	for (unsigned i = 0; i < w->failures && wait < w->rules.retry_most_ms; i++)
		wait *= 2;
	wait = earlier(wait, w->rules.retry_most_ms);
	w->asking = false;
	w->failures++;
	w->retry_ms = now_ms + spread(wait, wait / 5, random);
}

void workload_cert_force(struct workload_cert *w)
{
	w->forced = true;
}
