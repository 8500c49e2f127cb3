#include "proxy/balance.h"

/* The endpoints of one family: [at, at + n) of the port's. */
struct span {
	uint32_t at, n;
};

static struct span family(const struct view_port *port, bool v4)
{
	uint32_t n = (uint32_t)port->n_endpoints, n_v4 = (uint32_t)port->n_v4;
	return v4 ? (struct span){0, n_v4} : (struct span){n_v4, n - n_v4};
}

static uint32_t active(const struct view_port *port, uint32_t i)
{
	return atomic_load_explicit(&port->endpoints[i].live->active, memory_order_relaxed);
}

static uint64_t avoid_until(const struct view_endpoint *ep)
{
	return atomic_load_explicit(&ep->live->avoid_until_ns, memory_order_relaxed);
}

static uint32_t turn(const struct view_port *port)
{
	return atomic_fetch_add_explicit(&port->live->turn, 1, memory_order_relaxed);
}

/*
 * Weights: turns are taken along a sequence that steps by the golden ratio, so that wherever it is
 * looked at, each has had its share to within a few turns, and nobody has several in a row whose share
 * is small. No state but the counter, and no memory where nothing is weighed.
 */

static uint64_t weight(const struct view_port *port, struct span s, uint32_t i)
{
	return port->weight_upto[i] - (i == s.at ? 0 : port->weight_upto[i - 1]);
}

/* The place in 0..TOTAL - 1 that FRACTION / 2^32 of the way falls on. */
static uint64_t place(uint64_t total, uint32_t fraction)
{
	uint64_t high = total >> 32, low = total & UINT32_MAX; /* no product of more than 64 bits */
	return high * fraction + (low * fraction >> 32);
}

static uint32_t step(uint32_t n)
{
	return n * 2654435769u; /* 2^32 divided by the golden ratio */
}

static uint32_t at_place(const struct view_port *port, struct span s, uint64_t where)
{
	uint32_t from = s.at, to = s.at + s.n - 1;
	while (from < to) {
		uint32_t middle = from + (to - from) / 2;
		if (port->weight_upto[middle] > where)
			to = middle;
		else
			from = middle + 1;
	}
	return from;
}

static uint32_t by_weight(const struct view_port *port, struct span s, uint32_t fraction)
{
	return at_place(port, s, place(port->weight_upto[s.at + s.n - 1], fraction));
}

/*
 * How many connections an endpoint has for each UNIT of its weight, rounded down: one that may have three
 * where another may have one is no worse for having two. So an idle service's shares are its weights,
 * although the connection before has hardly gone, and connections that stay are shared by them as well.
 */
static uint64_t level(const struct view_port *port, struct span s, uint32_t i, uint64_t unit)
{
	return active(port, i) * unit / weight(port, s, i); /* of 32 bits each */
}

/* The lowest level wins; of several, which is picked goes by weight. */
static uint32_t least_weighed(const struct view_port *port, struct span s, uint64_t now_ns)
{
	uint64_t levels[BALANCE_SCAN], lowest = UINT64_MAX, total = 0, unit = UINT64_MAX;
	for (uint32_t k = 0; k < s.n; k++) {
		uint64_t w = weight(port, s, s.at + k);
		unit = w < unit ? w : unit;
	}
	for (uint32_t k = 0; k < s.n; k++) {
		bool avoided = avoid_until(&port->endpoints[s.at + k]) > now_ns;
		levels[k] = avoided ? UINT64_MAX : level(port, s, s.at + k, unit);
		lowest = levels[k] < lowest ? levels[k] : lowest;
	}
	for (uint32_t k = 0; k < s.n; k++)
		total += levels[k] == lowest ? weight(port, s, s.at + k) : 0;
	uint64_t where = place(total, step(turn(port)));
	for (uint32_t k = 0; k < s.n; k++) {
		uint64_t w = levels[k] == lowest ? weight(port, s, s.at + k) : 0;
		if (where < w)
			return s.at + k;
		where -= w;
	}
	return s.at; /* never: the lowest make up the total */
}

/* Two by their weights, and of them the one on the lower level. */
static uint32_t lesser_weighed(const struct view_port *port, struct span s, uint32_t random)
{
	uint32_t a = by_weight(port, s, random << 16), b = by_weight(port, s, random & 0xffff0000);
	uint64_t x = weight(port, s, a), y = weight(port, s, b), unit = x < y ? x : y;
	return level(port, s, a, unit) <= level(port, s, b, unit) ? a : b;
}

/* The least used one, looking from a place that moves on with each call, so that equals take
 * turns; one that is to be avoided counts as the worst. */
static uint32_t least_of_all(const struct view_port *port, struct span s, uint64_t now_ns)
{
	uint32_t from = turn(port), best = s.at;
	uint64_t best_load = UINT64_MAX;
	for (uint32_t k = 0; k < s.n; k++) {
		uint32_t i = s.at + (from + k) % s.n;
		uint64_t load = active(port, i);
		if (avoid_until(&port->endpoints[i]) > now_ns)
			load += UINT32_MAX;
		if (load < best_load) {
			best = i;
			best_load = load;
		}
	}
	return best;
}

static uint32_t lesser_of_two(const struct view_port *port, struct span s, uint32_t random)
{
	uint32_t a = s.at + (random & 0xffff) % s.n, b = s.at + (random >> 16) % s.n;
	return active(port, a) <= active(port, b) ? a : b;
}

static uint32_t weighed(const struct view_port *port, struct span s, enum load_balancer lb,
			uint32_t random, uint64_t now_ns)
{
	if (lb == LB_ROUND_ROBIN)
		return by_weight(port, s, step(turn(port)));
	return s.n <= BALANCE_SCAN ? least_weighed(port, s, now_ns)
				   : lesser_weighed(port, s, random);
}

void balance_start(struct balance *b, const struct view_port *port, enum load_balancer lb,
		   bool prefer_v4, uint32_t random, uint64_t now_ns)
{
	bool v4 = family(port, prefer_v4).n ? prefer_v4 : !prefer_v4;
	struct span s = family(port, v4);
	*b = (struct balance){.began_ns = now_ns, .v4 = v4};
	if (s.n == 0)
		return;
	if (port->weight_upto)
		b->start = weighed(port, s, lb, random, now_ns);
	else if (lb == LB_ROUND_ROBIN)
		b->start = s.at + turn(port) % s.n;
	else if (s.n <= BALANCE_SCAN)
		b->start = least_of_all(port, s, now_ns);
	else
		b->start = lesser_of_two(port, s, random);
}

/* The Kth of one round: the preferred family from the start on, then the other one. */
static const struct view_endpoint *in_order(const struct balance *b, const struct view_port *port,
					    uint32_t k)
{
	struct span s = family(port, b->v4);
	if (k < s.n)
		return &port->endpoints[s.at + (b->start - s.at + k) % s.n];
	return &port->endpoints[family(port, !b->v4).at + (k - s.n)];
}

/*
 * Two rounds: first those that nobody found refusing, then those that were avoided when this
 * connection began. What was found refusing since then (by this connection too) has an end of
 * avoidance that lies further ahead, and is not tried again.
 */
const struct view_endpoint *balance_next(struct balance *b, const struct view_port *port)
{
	uint32_t n = (uint32_t)port->n_endpoints;
	uint64_t fresh = b->began_ns + BALANCE_AVOID_MS * NS_PER_MS;
	while (b->next < 2 * n) {
		uint32_t k = b->next++;
		const struct view_endpoint *ep = in_order(b, port, k % n);
		uint64_t until = avoid_until(ep);
		bool second_round = k >= n;
		bool avoided = until > b->began_ns && until < fresh;
		if (until < fresh && avoided == second_round)
			return ep;
	}
	return NULL;
}

void balance_refused(const struct view_endpoint *ep, uint64_t now_ns)
{
	atomic_store_explicit(&ep->live->avoid_until_ns, now_ns + BALANCE_AVOID_MS * NS_PER_MS,
			      memory_order_relaxed);
}
