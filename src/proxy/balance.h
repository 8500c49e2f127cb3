/*
 * Which endpoint of a Service port to dial, and which one after that.
 *
 *   struct balance b;
 *   balance_start(&b, port, lb, prefer_v4, random, now);
 *   while ((ep = balance_next(&b, port))) ...       // each endpoint at most once, then NULL
 *   balance_refused(ep, now);                       // picks avoid it for a few seconds
 *
 * Endpoints of the family that the client dialled come first, then the others. Those that refused
 * a moment ago come last. Where endpoints have weights, their turns and their loads are measured by them. Pure but for the atomics in the endpoints' live cells; any thread.
 */
#pragma once
#include "base/clock.h"
#include "model/view.h"

enum {
	BALANCE_AVOID_MS = 5000, /* how long a refused endpoint is avoided */
	BALANCE_SCAN = 16,       /* up to so many endpoints all are compared, else two at random */
};

struct balance {
	uint64_t began_ns;
	uint32_t start; /* index of the first choice */
	uint32_t next;  /* place in the order of trying */
	bool v4;        /* the family that comes first */
};

void balance_start(struct balance *b, const struct view_port *port, enum load_balancer lb,
		   bool prefer_v4, uint32_t random, uint64_t now_ns);
const struct view_endpoint *balance_next(struct balance *b, const struct view_port *port);
void balance_refused(const struct view_endpoint *ep, uint64_t now_ns);
