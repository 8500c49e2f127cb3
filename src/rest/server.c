#include "rest/server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "rest/conn.h"

#define DEFAULT(field, value)                                                                      \
	do {                                                                                       \
		if (!(field))                                                                      \
			(field) = (value);                                                         \
	} while (0)

static void on_conn(struct acceptor *a, int fd, const struct addr *from)
{
	struct rest_server *s = CONTAINER_OF(a, struct rest_server, acceptor);
	(void)from; /* the connection asks when it wants to know */
	if (s->stats.open < s->limits.connections) {
		rest_conn_start(s, fd);
		return;
	}
	s->stats.refused++;
	(void)close(fd); /* nothing was written to it */
}

struct rest_server *rest_server_new(struct loop *loop, const char *name,
				    const struct rest_limits *limits)
{
	struct rest_server *s = mem_new(sizeof(*s));
	s->loop = loop;
	s->name = mem_strdup(name);
	if (limits)
		s->limits = *limits;
	DEFAULT(s->limits.head_bytes, 32 << 10);
	DEFAULT(s->limits.body_bytes, 3 << 20);
	DEFAULT(s->limits.backlog_bytes, 8 << 20);
	DEFAULT(s->limits.connections, 1024);
	DEFAULT(s->limits.request_ms, 10000);
	DEFAULT(s->limits.idle_ms, 120000);
	DEFAULT(s->limits.write_ms, 30000);
	TAILQ_INIT(&s->conns);
	acceptor_init(&s->acceptor, loop, s->name, on_conn);
	return s;
}

bool rest_server_listen_fd(struct rest_server *s, int fd, struct err *err)
{
	return acceptor_add(&s->acceptor, fd, err);
}

/* Routes. */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

void rest_route(struct rest_server *s, const char *method, const char *path, rest_handler *handler,
		void *ctx)
{
	struct slice p = slice_of(path);
	bool prefix = slice_ends(p, SLICE("/..."));
	struct route r = {.prefix = prefix, .handler = handler, .ctx = ctx};
	r.path = mem_strdup(path);
	r.method = method ? mem_strdup(method) : NULL;
	if (prefix)
		r.path[p.len - 4] = '\0';
	for (size_t i = 0; i < s->n_routes; i++) {
		struct route *old = &s->routes[i];
		if (old->prefix == prefix && same_text(old->path, r.path) &&
		    same_text(old->method, r.method)) {
			free(old->path);
			free(old->method);
			*old = r;
			return;
		}
	}
	s->routes = mem_grow(s->routes, s->n_routes + 1, sizeof(*s->routes));
	s->routes[s->n_routes++] = r;
}

static bool path_fits(const struct route *r, struct slice path, struct slice *rest)
{
	struct slice own = slice_of(r->path);
	*rest = (struct slice){0};
	if (!r->prefix)
		return slice_eq(path, own);
	if (!slice_starts(path, own))
		return false;
	struct slice behind = slice_sub(path, own.len, path.len);
	if (behind.len && behind.at[0] != '/')
		return false;
	*rest = slice_sub(behind, 1, behind.len);
	return true;
}

static bool method_fits(const struct route *r, struct slice method)
{
	return !r->method || slice_is(method, r->method) ||
	       (slice_is(method, "HEAD") && strcmp(r->method, "GET") == 0);
}

/* Exact before prefix, long before short, a named method before any. */
static bool is_better(const struct route *r, const struct route *than)
{
	if (r->prefix != than->prefix)
		return !r->prefix;
	size_t len = strlen(r->path), other = strlen(than->path);
	return len != other ? len > other : r->method && !than->method;
}

const struct route *route_find(const struct rest_server *s, struct slice method, struct slice path,
			       struct slice *rest, bool *known)
{
	const struct route *best = NULL;
	*known = false;
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct route *r = &s->routes[i];
		struct slice r_rest;
		if (!path_fits(r, path, &r_rest))
			continue;
		*known = true;
		if (method_fits(r, method) && (!best || is_better(r, best))) {
			best = r;
			*rest = r_rest;
		}
	}
	return best;
}

/* The end. */

struct rest_server_stats rest_server_stats(const struct rest_server *s)
{
	return s->stats;
}

void rest_server_drain(struct rest_server *s)
{
	struct rest_conn *c, *next;
	acceptor_close(&s->acceptor);
	s->draining = true;
	TAILQ_FOREACH_SAFE (c, &s->conns, link, next)
		if (c->state == REST_CONN_IDLE)
			rest_conn_close(c);
}

static void free_server(struct deferred *d)
{
	struct rest_server *s = CONTAINER_OF(d, struct rest_server, end_of_turn);
	for (size_t i = 0; i < s->n_routes; i++) {
		free(s->routes[i].method);
		free(s->routes[i].path);
	}
	free(s->routes);
	free(s->name);
	free(s);
}

void rest_server_free(struct rest_server *s)
{
	if (!s)
		return;
	acceptor_close(&s->acceptor);
	s->draining = true;
	while (!TAILQ_EMPTY(&s->conns)) /* a gone callback may close others too */
		rest_conn_close(TAILQ_FIRST(&s->conns));
	s->end_of_turn.run = free_server; /* the caller may be one of our handlers */
	loop_defer(s->loop, &s->end_of_turn);
}
