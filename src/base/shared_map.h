/*
 * A map whose copies share what they have in common: copying it is free, and a change afterwards
 * costs the few nodes on the way to it, however much else there is.
 *
 *   struct shared_map m = {.ops = &service_ops};
 *   shared_map_add(&m, &addr, sizeof(addr), service);
 *   struct shared_map snapshot = shared_map_copy(&m);       // stays as it is now
 *   shared_map_remove(&m, &addr, sizeof(addr), service);
 *   for (struct shared_walk w = shared_map_find(&snapshot, &addr, sizeof(addr)); shared_map_next(&w);)
 *           if (addr_eq(&((struct service *)w.value)->addr, &addr)) ...   // the caller compares
 *   shared_map_fini(&snapshot);
 *
 * Keys are hashed (SipHash: a peer may choose them) and not kept: under one key there may be several
 * values, and the walk may give others, too. Zero with OPS is the empty map. A map belongs to one
 * thread; copies may be read and ended by others. Reading allocates nothing and takes no lock.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many nodes hold a value; both NULL: somebody else sees to it that the values live. */
struct shared_ops {
	void (*get)(void *value);
	void (*put)(void *value); /* by any thread that ends a copy */
};

struct shared_node;
struct shared_map {
	const struct shared_ops *ops; /* NULL: as both NULL */
	struct shared_node *root;
	size_t n;
};

struct shared_walk {
	void *value; /* after shared_map_next() */
	const struct shared_node *bucket;
	uint64_t hash;
	uint32_t at;
};

void shared_map_add(struct shared_map *m, const void *key, size_t len, void *value);
/* VALUE must be there under that key. */
void shared_map_remove(struct shared_map *m, const void *key, size_t len, const void *value);
struct shared_walk shared_map_find(const struct shared_map *m, const void *key, size_t len);
bool shared_map_next(struct shared_walk *w);
/* In no particular order. */
void shared_map_each(const struct shared_map *m, void (*each)(void *ctx, void *value), void *ctx);
struct shared_map shared_map_copy(const struct shared_map *m);
void shared_map_fini(struct shared_map *m); /* empty afterwards */
