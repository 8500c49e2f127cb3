#include "base/shared_map.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/table.h"

/*
 * A tree over the bits of the hash, four at each level. A bucket holds values until there are too
 * many of them; then it becomes a branch of smaller ones. A node that another copy has, too (more
 * than one reference, or below such a one), never changes: whoever wants to change it makes one of
 * its own first.
 */
enum {
	BITS = 4,
	FAN = 1 << BITS,
	MAX_DEPTH = 64 / BITS,
	BUCKET_FULL = 12, /* more only where the hash has no more bits, or for one and the same */
};

struct entry {
	uint64_t hash;
	void *value;
};

struct shared_node {
	atomic_uint refs;
	bool is_branch;
	uint32_t n; /* entries of a bucket */
};

struct bucket {
	struct shared_node node; /* first: a node is its bucket, or its branch */
	struct entry entries[];
};

struct branch {
	struct shared_node node;
	struct shared_node *children[FAN]; /* NULL: nothing there */
};

static struct bucket *as_bucket(const struct shared_node *n)
{
	return CONTAINER_OF(n, struct bucket, node);
}

static struct branch *as_branch(const struct shared_node *n)
{
	return CONTAINER_OF(n, struct branch, node);
}

static unsigned slot_of(uint64_t hash, unsigned depth)
{
	return (unsigned)(hash >> (depth * BITS)) & (FAN - 1);
}

static void value_get(const struct shared_ops *ops, void *value)
{
	if (ops && ops->get)
		ops->get(value);
}

static void value_put(const struct shared_ops *ops, void *value)
{
	if (ops && ops->put)
		ops->put(value);
}

static struct shared_node *node_get(struct shared_node *n)
{
	if (n)
		atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
	return n;
}

/* At most MAX_DEPTH deep. */
static void node_put(const struct shared_ops *ops, struct shared_node *n)
{
	if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; n->is_branch && i < FAN; i++)
		node_put(ops, as_branch(n)->children[i]);
	for (uint32_t i = 0; !n->is_branch && i < n->n; i++)
		value_put(ops, as_bucket(n)->entries[i].value);
	free(n);
}

static bool is_mine(struct shared_node *n)
{
	return atomic_load_explicit(&n->refs, memory_order_acquire) == 1;
}

static struct bucket *bucket_new(uint32_t n)
{
	struct bucket *b = mem_new(sizeof(*b) + n * sizeof(b->entries[0]));
	atomic_init(&b->node.refs, 1);
	b->node.n = n;
	return b;
}

static struct branch *branch_new(void)
{
	struct branch *b = mem_new(sizeof(*b));
	atomic_init(&b->node.refs, 1);
	b->node.is_branch = true;
	return b;
}

/* The branch at *AT, as one that may be changed. */
static struct branch *own_branch(const struct shared_ops *ops, struct shared_node **at)
{
	struct branch *old = as_branch(*at);
	if (is_mine(*at))
		return old;
	struct branch *b = branch_new();
	for (unsigned i = 0; i < FAN; i++)
		b->children[i] = node_get(old->children[i]);
	node_put(ops, *at);
	*at = &b->node;
	return b;
}

/* A bucket is copied for each change: it has exactly the size that it needs. ADD may be NULL;
 * WITHOUT is the number of an entry that is left out, or none such. */
static void rewrite(const struct shared_ops *ops, struct shared_node **at, const struct entry *add,
		    uint32_t without)
{
	struct shared_node *old = *at;
	uint32_t n_old = old ? old->n : 0, n = 0;
	struct bucket *b = bucket_new(n_old - (without < n_old) + (add != NULL));
	for (uint32_t i = 0; i < n_old; i++) {
		if (i == without)
			continue;
		b->entries[n] = as_bucket(old)->entries[i];
		value_get(ops, b->entries[n++].value);
	}
	if (add) {
		b->entries[n] = *add;
		value_get(ops, add->value);
	}
	node_put(ops, old);
	*at = &b->node;
	if (b->node.n == 0) {
		free(b);
		*at = NULL;
	}
}

static void add_entry(const struct shared_ops *ops, struct shared_node **at, unsigned depth,
		      const struct entry *add);

/* The bucket at *AT becomes a branch. */
static void split(const struct shared_ops *ops, struct shared_node **at, unsigned depth)
{
	struct shared_node *old = *at;
	struct branch *b = branch_new();
	for (uint32_t i = 0; i < old->n; i++) {
		const struct entry *e = &as_bucket(old)->entries[i];
		add_entry(ops, &b->children[slot_of(e->hash, depth)], depth + 1, e);
	}
	node_put(ops, old);
	*at = &b->node;
}

/* Whether some entry is under another hash than HASH, so that a split would part them. */
static bool parts(const struct shared_node *bucket, uint64_t hash)
{
	for (uint32_t i = 0; i < bucket->n; i++)
		if (as_bucket(bucket)->entries[i].hash != hash)
			return true;
	return false;
}

static void add_entry(const struct shared_ops *ops, struct shared_node **at, unsigned depth,
		      const struct entry *add)
{
	struct shared_node *n = *at;
	if (n && !n->is_branch && n->n >= BUCKET_FULL && depth < MAX_DEPTH && parts(n, add->hash))
		split(ops, at, depth);
	if (!*at || !(*at)->is_branch) {
		rewrite(ops, at, add, UINT32_MAX);
		return;
	}
	struct branch *b = own_branch(ops, at);
	add_entry(ops, &b->children[slot_of(add->hash, depth)], depth + 1, add);
}

static bool is_empty(const struct branch *b)
{
	for (unsigned i = 0; i < FAN; i++)
		if (b->children[i])
			return false;
	return true;
}

static void remove_entry(const struct shared_ops *ops, struct shared_node **at, unsigned depth,
			 const struct entry *gone)
{
	MUST(*at); /* it is there */
	if ((*at)->is_branch) {
		struct branch *b = own_branch(ops, at);
		remove_entry(ops, &b->children[slot_of(gone->hash, depth)], depth + 1, gone);
		if (is_empty(b)) {
			node_put(ops, *at);
			*at = NULL;
		}
		return;
	}
	uint32_t i = 0;
	while (i < (*at)->n && (as_bucket(*at)->entries[i].value != gone->value ||
				as_bucket(*at)->entries[i].hash != gone->hash))
		i++;
	MUST(i < (*at)->n); /* as above */
	rewrite(ops, at, NULL, i);
}

void shared_map_add(struct shared_map *m, const void *key, size_t len, void *value)
{
	struct entry e = {siphash(key, len), value};
	add_entry(m->ops, &m->root, 0, &e);
	m->n++;
}

void shared_map_remove(struct shared_map *m, const void *key, size_t len, const void *value)
{
	struct entry e = {siphash(key, len), (void *)value};
	remove_entry(m->ops, &m->root, 0, &e);
	m->n--;
}

struct shared_walk shared_map_find(const struct shared_map *m, const void *key, size_t len)
{
	struct shared_walk w = {.hash = m->root ? siphash(key, len) : 0};
	const struct shared_node *n = m->root;
	for (unsigned depth = 0; n && n->is_branch; depth++)
		n = as_branch(n)->children[slot_of(w.hash, depth)];
	w.bucket = n;
	return w;
}

bool shared_map_next(struct shared_walk *w)
{
	for (; w->bucket && w->at < w->bucket->n; w->at++) {
		const struct entry *e = &as_bucket(w->bucket)->entries[w->at];
		if (e->hash != w->hash)
			continue;
		w->value = e->value;
		w->at++;
		return true;
	}
	return false;
}

static void each_below(const struct shared_node *n, void (*each)(void *ctx, void *value), void *ctx)
{
	for (unsigned i = 0; n && n->is_branch && i < FAN; i++)
		each_below(as_branch(n)->children[i], each, ctx);
	for (uint32_t i = 0; n && !n->is_branch && i < n->n; i++)
		each(ctx, as_bucket(n)->entries[i].value);
}

void shared_map_each(const struct shared_map *m, void (*each)(void *ctx, void *value), void *ctx)
{
	each_below(m->root, each, ctx);
}

struct shared_map shared_map_copy(const struct shared_map *m)
{
	return (struct shared_map){m->ops, node_get(m->root), m->n};
}

void shared_map_fini(struct shared_map *m)
{
	node_put(m->ops, m->root);
	m->root = NULL;
	m->n = 0;
}
