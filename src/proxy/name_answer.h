/*
 * What the questions for one name and one family brought: the last good answer stays while they fail.
 *
 *   struct name_answer a = {0};
 *   if (name_answer_take(&a, &got, false)) ...       // a.ips are others now
 *   name_answer_fini(&a);
 *
 * "No such record" is an answer, and a good one: it takes the addresses away. One thread.
 */
#pragma once
#include "net/resolve.h"

enum {
	NAME_TTL_MAX_S = 3600
}; /* whatever a nameserver says: what is forgotten then is asked again */

struct name_answer {
	struct ip *ips;
	size_t n;
	uint32_t ttl_s; /* of the addresses, at most NAME_TTL_MAX_S; 0: not known */
	bool failed;    /* the last question did */
	bool answered;  /* some question did not */
};

/* IN_ORDER: the same addresses in another order are others. True: they are others than before. */
bool name_answer_take(struct name_answer *a, const struct resolve_answer *got, bool in_order);
void name_answer_fini(struct name_answer *a); /* nothing was ever asked, afterwards */
