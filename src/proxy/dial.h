/*
 * Connecting to the server that the plan names: one endpoint after another until one answers.
 *
 *   switch (dial_next(c)) {                        // starts with the first one
 *   case DIAL_UNDER_WAY: ...                       // dial_event() and dial_timeout() tell more
 *   case DIAL_FAILED: conn_close(c, c->failure, CLOSE_RESET);
 *
 * No byte has been relayed meanwhile, so each failure may go on to the next endpoint; each is tried
 * at most once. Fills the record's upstream address, workload and attempts.
 */
#pragma once
#include "proxy/conn.h"

enum dial_result {
	DIAL_UNDER_WAY,
	DIAL_MADE,   /* c->server is connected */
	DIAL_FAILED, /* c->failure says why; no socket is left */
};

void dial_start(struct conn *c); /* before the first dial_next() */
enum dial_result dial_next(struct conn *c) MUST_CHECK;
enum dial_result dial_event(struct conn *c, uint32_t events) MUST_CHECK;
enum dial_result dial_timeout(struct conn *c) MUST_CHECK;
void dial_drop(struct conn *c); /* closes the server's socket, if there is one */
