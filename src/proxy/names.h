/*
 * Resolves the names behind hosts of ServiceEntries, for as long as connections use them.
 *
 *   static const struct names_events events = {on_addresses, on_forget};
 *   struct names *n = names_new(loop, &events, ctx);
 *   names_set_view(n, view);                          // who may be asked, how often
 *   names_ask(n, service, waits, clock_ns());         // any thread: a connection needs SERVICE
 *   ... on_addresses(ctx, "db.example.com", ips, n)   // what it resolves to, when that has changed
 *   names_free(n);
 *
 * A name is resolved when a connection first needs it, and again whenever its TTL is over, until nobody
 * has needed it for a minute: then it is forgotten, and the next connection waits for a fresh answer.
 * While the resolver fails the last good answer stays, of each family by itself. Main thread, but for names_ask().
 */
#pragma once
#include "loop/loop.h"
#include "model/view.h"

enum {
	NAMES_TTL_MIN_S = 1,
	NAMES_IDLE_S = 60, /* how long a name that nobody needs stays fresh */
	NAMES_GRACE_MS =
		50,        /* one family's first answer waits so long for the other's: RFC 8305 3 */
	NAMES_AGAIN_S = 5, /* how soon one that has no address is asked for again */
	NAMES_MAX =
		16384, /* answers of forgotten names that are kept for when the resolver fails */
};

struct names_events {
	void (*addresses)(void *ctx, const char *name, const struct ip *ips, size_t n);
	void (*forget)(void *ctx, const char *name);
};

struct names;
struct names *names_new(struct loop *loop, const struct names_events *events, void *ctx);
void names_free(struct names *n); /* NULL is fine; nobody asks any more */
void names_set_view(struct names *n, const struct view *view);
/* SERVICE is a host of VIEW that has names; OTHER: its own name is meant, for ports that nobody declares.
 * Costs a store where all is known, else a message. */
void names_ask(struct names *n, struct view *view, const struct view_service *service, bool other,
	       uint64_t now_ns);
