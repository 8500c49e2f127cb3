/*
 * Outbound connections that no address tells: planned with the names that DNS said, and once more with the
 * name in the client's first word (decide_outbound_word()).
 *
 *   named_plan(c, false);                     // instead of decide_outbound()
 *   named_word(c, &answer, client_bytes);     // the race is over, and c->plan.open
 *   named_again(c);                           // both, on the newer view that it waited for
 */
#pragma once
#include "proxy/conn.h"

/* BOUND: what it dialled is a socket of the sidecar's own. */
void named_plan(struct conn *c, bool bound);
/* With the word that has been heard; the plan may lead anywhere now. */
void named_again(struct conn *c);
/* Nothing is open towards a server afterwards that the new plan would not use. */
void named_word(struct conn *c, const struct fw_answer *a, struct slice client_bytes);
