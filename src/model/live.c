#include "model/live.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"

/* The key is what identifies the cell: side, port, service. It stands behind the struct. */
struct port_cell {
	struct live_port port; /* first: a live_port is its cell */
	UT_hash_handle hh;
	uint64_t used; /* the registry's clock when it was last asked for */
	size_t key_len;
	char key[];
};

struct endpoint_cell {
	struct live_endpoint endpoint; /* first: a live_endpoint is its cell */
	UT_hash_handle hh;
	struct addr at;
	uint64_t used;
};

struct host_cell {
	struct live_host host; /* first: a live_host is its cell */
	UT_hash_handle hh;
	char key[];
};

struct socket_cell {
	struct live_socket socket; /* first: a live_socket is its cell */
	UT_hash_handle hh;
	struct addr at;
};

struct live {
	struct port_cell *ports;
	struct endpoint_cell *endpoints;
	struct host_cell *hosts;
	struct socket_cell *sockets; /* few */
	uint64_t asked; /* counts up with every get: oldest first means the least of these */
};

enum { KEY_HEAD = 3 }; /* side, port */

struct live *live_new(void)
{
	return mem_new(sizeof(struct live));
}

void live_port_put(struct live_port *p)
{
	if (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
		free(CONTAINER_OF(p, struct port_cell, port));
}

void live_endpoint_put(struct live_endpoint *e)
{
	if (e && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
		free(CONTAINER_OF(e, struct endpoint_cell, endpoint));
}

void live_host_put(struct live_host *h)
{
	if (h && atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) == 1)
		free(CONTAINER_OF(h, struct host_cell, host));
}

void live_socket_put(struct live_socket *s)
{
	if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
		free(CONTAINER_OF(s, struct socket_cell, socket));
}

struct live_host *live_host_share(struct live_host *h)
{
	atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
	return h;
}

struct live_socket *live_socket_share(struct live_socket *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

/* The analyzer loses track of uthash's links and sees uses after free that are none. */
/* NOLINTBEGIN(clang-analyzer-unix.Malloc,clang-analyzer-core.NullDereference) */
static void drop_port(struct live *l, struct port_cell *c)
{
	HASH_DEL(l->ports, c);
	live_port_put(&c->port);
}

static void drop_endpoint(struct live *l, struct endpoint_cell *c)
{
	HASH_DEL(l->endpoints, c);
	live_endpoint_put(&c->endpoint);
}

static void drop_host(struct live *l, struct host_cell *c)
{
	HASH_DEL(l->hosts, c);
	live_host_put(&c->host);
}

static void drop_socket(struct live *l, struct socket_cell *c)
{
	HASH_DEL(l->sockets, c);
	live_socket_put(&c->socket);
}

void live_free(struct live *l)
{
	if (!l)
		return;
	struct port_cell *p, *next_p;
	HASH_ITER (hh, l->ports, p, next_p)
		drop_port(l, p);
	struct endpoint_cell *e, *next_e;
	HASH_ITER (hh, l->endpoints, e, next_e)
		drop_endpoint(l, e);
	struct host_cell *h, *next_h;
	HASH_ITER (hh, l->hosts, h, next_h)
		drop_host(l, h);
	struct socket_cell *s, *next_s;
	HASH_ITER (hh, l->sockets, s, next_s)
		drop_socket(l, s);
	free(l);
}

/* NOLINTEND(clang-analyzer-unix.Malloc,clang-analyzer-core.NullDereference) */

struct live_port *live_port_get(struct live *l, enum live_side side, const char *service,
				uint16_t port)
{
	char key[KEY_HEAD + 512];
	size_t len = strlen(service);
	MUST(len < sizeof(key) - KEY_HEAD); /* a namespace and a name, 63 + 1 + 253 */
	key[0] = (char)side;
	memcpy(key + 1, &port, sizeof(port));
	memcpy(key + KEY_HEAD, service, len + 1);
	struct port_cell *c = NULL;
	HASH_FIND(hh, l->ports, key, KEY_HEAD + len, c);
	if (!c) {
		c = mem_new(sizeof(*c) + KEY_HEAD + len + 1);
		c->key_len = KEY_HEAD + len;
		memcpy(c->key, key, KEY_HEAD + len + 1);
		atomic_init(&c->port.refs, 1); /* the registry's */
		HASH_ADD_KEYPTR(hh, l->ports, c->key, c->key_len, c);
	}
	c->used = ++l->asked;
	atomic_fetch_add_explicit(&c->port.refs, 1, memory_order_relaxed);
	return &c->port;
}

struct live_endpoint *live_endpoint_get(struct live *l, const struct addr *at)
{
	struct endpoint_cell *c = NULL;
	HASH_FIND(hh, l->endpoints, at, sizeof(*at), c);
	if (!c) {
		c = mem_new(sizeof(*c));
		c->at = *at;
		atomic_init(&c->endpoint.refs, 1); /* the registry's */
		HASH_ADD(hh, l->endpoints, at, sizeof(c->at), c);
	}
	c->used = ++l->asked;
	atomic_fetch_add_explicit(&c->endpoint.refs, 1, memory_order_relaxed);
	return &c->endpoint;
}

struct live_host *live_host_get(struct live *l, const char *host)
{
	struct host_cell *c = NULL;
	size_t len = strlen(host);
	HASH_FIND(hh, l->hosts, host, len, c);
	if (!c) {
		c = mem_new(sizeof(*c) + len + 1);
		memcpy(c->key, host, len + 1);
		atomic_init(&c->host.refs, 1); /* the registry's */
		HASH_ADD_KEYPTR(hh, l->hosts, c->key, len, c);
	}
	return live_host_share(&c->host);
}

struct live_socket *live_socket_get(struct live *l, const struct addr *at)
{
	struct socket_cell *c = NULL;
	HASH_FIND(hh, l->sockets, at, sizeof(*at), c);
	if (!c) {
		c = mem_new(sizeof(*c));
		c->at = *at;
		atomic_init(&c->socket.refs, 1); /* the registry's */
		HASH_ADD(hh, l->sockets, at, sizeof(c->at), c);
	}
	return live_socket_share(&c->socket);
}

/* Nobody but the registry holds it. Only this thread gives out new references, so that this stays
 * true. */
static bool alone(atomic_uint *refs)
{
	return atomic_load_explicit(refs, memory_order_acquire) == 1;
}

static unsigned load(atomic_uint *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

static bool port_remembers(struct live_port *p)
{
	return load(&p->server_first) || load(&p->client_http) || load(&p->client_tls) ||
	       load(&p->client_opaque) || load(&p->contradicted) || load(&p->tls_begins) ||
	       load(&p->in_clear);
}

static int older_port(const struct port_cell *a, const struct port_cell *b)
{
	return (a->used > b->used) - (a->used < b->used);
}

static int older_endpoint(const struct endpoint_cell *a, const struct endpoint_cell *b)
{
	return (a->used > b->used) - (a->used < b->used);
}

/* NOLINTBEGIN(clang-analyzer-unix.Malloc) as above */
void live_sweep(struct live *l, size_t n_max)
{
	uint64_t now_ns = clock_ns();
	struct port_cell *p, *next_p;
	HASH_ITER (hh, l->ports, p, next_p)
		if (alone(&p->port.refs) && !port_remembers(&p->port))
			drop_port(l, p);
	struct endpoint_cell *e, *next_e;
	HASH_ITER (hh, l->endpoints, e, next_e)
		if (alone(&e->endpoint.refs) &&
		    atomic_load_explicit(&e->endpoint.avoid_until_ns, memory_order_relaxed) <=
			    now_ns)
			drop_endpoint(l, e);
	struct host_cell *h, *next_h;
	HASH_ITER (hh, l->hosts, h, next_h)
		if (alone(&h->host.refs))
			drop_host(l, h);
	struct socket_cell *s, *next_s;
	HASH_ITER (hh, l->sockets, s, next_s)
		if (alone(&s->socket.refs))
			drop_socket(l, s);
	if (HASH_COUNT(l->ports) > n_max) {
		HASH_SORT(l->ports, older_port);
		HASH_ITER (hh, l->ports, p, next_p)
			if (HASH_COUNT(l->ports) > n_max && alone(&p->port.refs))
				drop_port(l, p);
	}
	if (HASH_COUNT(l->endpoints) > n_max) {
		HASH_SORT(l->endpoints, older_endpoint);
		HASH_ITER (hh, l->endpoints, e, next_e)
			if (HASH_COUNT(l->endpoints) > n_max && alone(&e->endpoint.refs))
				drop_endpoint(l, e);
	}
}

/* NOLINTEND(clang-analyzer-unix.Malloc) */

void live_ports(const struct live *l,
		void (*each)(void *ctx, enum live_side side, const char *service, uint16_t port,
			     const struct live_port *p),
		void *ctx)
{
	const struct port_cell *c, *next;
	HASH_ITER (hh, l->ports, c, next) {
		uint16_t port = 0;
		memcpy(&port, c->key + 1, sizeof(port));
		each(ctx, (enum live_side)c->key[0], c->key + KEY_HEAD, port, &c->port);
	}
}
