/*
 * Carrying a connection's bytes: both flows (relay.h), the ends and resets of either side, and what the
 * first bytes each way say and teach.
 *
 *   carry_start(c);                       // the upstream is open: c is CONN_RELAY, then CONN_DRAIN
 *   carry_event(c, side, events);         // ends in conn_close()
 *   carry_turn(c);                        // worker, once per turn: flows whose share was used up
 *   carry_end(c); conn_close(c, ...);     // it ends in order, and on our own account
 *
 * Looking at the first bytes delays and changes none of them.
 */
#pragma once
#include "proxy/conn.h"

void carry_start(struct conn *c);
void carry_event(struct conn *c, enum side side, uint32_t events);
void carry_turn(struct conn *c);
/* Tells peers in TLS of the end, as far as they take it now: for them a FIN alone is a cut. */
void carry_end(struct conn *c);
/* What the race's answer teaches; a greeting teaches when the client has answered it. */
void carry_learn(struct conn *c, const struct fw_answer *a);
