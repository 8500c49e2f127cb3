#include "model/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/mem.h"

struct tree *tree_new(struct arena *a, enum tree_type type)
{
	struct tree *n = arena_alloc(a, sizeof(*n));
	n->type = type;
	n->key = SLICE("");
	n->text = SLICE("");
	return n;
}

struct tree *tree_string(struct arena *a, struct slice text)
{
	struct tree *n = tree_new(a, TREE_STRING);
	n->text = arena_dup_slice(a, text);
	return n;
}

void tree_add(struct tree *parent, struct slice key, struct tree *child)
{
	child->key = key;
	child->parent = parent;
	child->index = parent->n++;
	child->next = NULL;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

/* Sets the places anew after a member came or went. */
static void renumber(struct tree *map)
{
	map->n = 0;
	map->last = NULL;
	for (struct tree *c = map->first; c; c = c->next) {
		c->index = map->n++;
		map->last = c;
	}
}

void tree_set(struct tree *map, struct slice key, struct tree *child)
{
	struct tree **at = &map->first;
	while (*at && !slice_eq((*at)->key, key))
		at = &(*at)->next;
	if (!*at) {
		if (child)
			tree_add(map, key, child);
		return;
	}
	struct tree *old = *at;
	if (child) {
		child->key = key;
		child->parent = map;
		child->next = old->next;
		*at = child;
	} else {
		*at = old->next;
	}
	renumber(map);
}

struct tree *tree_copy(struct arena *a, const struct tree *n)
{
	struct tree *copy = tree_new(a, n->type);
	*copy = *n;
	copy->first = copy->last = copy->next = copy->parent = NULL;
	copy->n = 0;
	for (const struct tree *c = n->first; c; c = c->next)
		tree_add(copy, c->key, tree_copy(a, c));
	return copy;
}

static struct tree *get(const struct tree *map, struct slice key)
{
	if (!map || map->type != TREE_MAP)
		return NULL;
	for (struct tree *c = map->first; c; c = c->next)
		if (slice_eq(c->key, key))
			return c;
	return NULL;
}

struct tree *tree_get(const struct tree *map, const char *key)
{
	return get(map, slice_of(key));
}

/* Takes the next step off PATH: a name, or what stands in brackets. */
static struct slice path_step(struct slice *path, bool *bracket)
{
	*bracket = path->len && path->at[0] == '[';
	if (*bracket) {
		*path = slice_sub(*path, 1, path->len);
		return slice_cut(path, ']');
	}
	if (path->len && path->at[0] == '.')
		*path = slice_sub(*path, 1, path->len);
	size_t len = 0;
	while (len < path->len && path->at[len] != '.' && path->at[len] != '[')
		len++;
	struct slice step = slice_sub(*path, 0, len);
	*path = slice_sub(*path, len, path->len);
	return step;
}

const struct tree *tree_at(const struct tree *root, const char *path)
{
	struct slice left = slice_of(path);
	const struct tree *n = root;
	while (n && left.len) {
		bool bracket = false;
		struct slice step = path_step(&left, &bracket);
		uint64_t index = 0;
		if (n->type == TREE_SEQ && bracket && slice_to_u64(step, UINT32_MAX, &index)) {
			n = n->first;
			while (n && index--)
				n = n->next;
		} else {
			n = get(n, step);
		}
	}
	return n;
}

static bool is_identifier(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '-'))
			return false;
	}
	return s.len > 0;
}

static void path_member(struct slice key, bool first, struct buf *out)
{
	if (is_identifier(key))
		(void)buf_printf(out, "%s%.*s", first ? "" : ".", SLICE_FMT(key));
	else
		(void)buf_printf(out, "[%.*s]", SLICE_FMT(key));
}

const char *tree_path(const struct tree *n, const char *member, char *out, size_t out_len)
{
	const struct tree *steps[TREE_DEPTH + 1];
	size_t depth = 0;
	for (; n && n->parent && depth < N_ELEMS(steps); n = n->parent)
		steps[depth++] = n;
	struct buf b;
	buf_init(&b, 4096); /* a path that is longer is cut: the line number is there as well */
	size_t written = 0;
	while (depth) {
		const struct tree *step = steps[--depth];
		if (step->parent->type == TREE_SEQ)
			(void)buf_printf(&b, "[%u]", step->index);
		else
			path_member(step->key, written == 0, &b);
		written++;
	}
	if (member)
		path_member(slice_of(member), written == 0, &b);
	(void)snprintf(out, out_len, "%.*s", SLICE_FMT(buf_slice(&b)));
	buf_fini(&b);
	return out;
}

const char *tree_type_name(enum tree_type type)
{
	static const char *const names[] = {
		[TREE_NULL] = "null",     [TREE_BOOL] = "a boolean",  [TREE_INT] = "an integer",
		[TREE_REAL] = "a number", [TREE_STRING] = "a string", [TREE_SEQ] = "a list",
		[TREE_MAP] = "an object",
	};
	return names[type];
}

const char *tree_describe(const struct tree *n, char *out, size_t out_len)
{
	char text[64];
	switch (n->type) {
	case TREE_BOOL:
		(void)snprintf(out, out_len, "boolean %s", n->boolean ? "true" : "false");
		return out;
	case TREE_INT:
		(void)snprintf(out, out_len, "integer %lld", (long long)n->integer);
		return out;
	case TREE_REAL:
		(void)snprintf(out, out_len, "number %g", n->real);
		return out;
	case TREE_STRING:
		(void)snprintf(out, out_len, "string \"%s\"",
			       slice_printable(n->text, text, sizeof(text)));
		return out;
	case TREE_NULL:
	case TREE_SEQ:
	case TREE_MAP:
		break;
	}
	(void)snprintf(out, out_len, "%s", tree_type_name(n->type));
	return out;
}

static int by_key(const void *a, const void *b)
{
	const struct tree *x = *(const struct tree *const *)a, *y = *(const struct tree *const *)b;
	return slice_cmp(x->key, y->key);
}

/* The members of MAP in key order; free() it. */
static const struct tree **sorted(const struct tree *map)
{
	const struct tree **all = mem_array(map->n ? map->n : 1, sizeof(struct tree *));
	size_t n = 0;
	for (const struct tree *c = map->first; c; c = c->next)
		all[n++] = c;
	qsort(all, n, sizeof(struct tree *), by_key);
	return all;
}

/* The shortest text that reads back as the same double, and as a real rather than an integer. */
static void write_real(struct json_out *j, const char *key, double real)
{
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(text, sizeof(text), "%.*g", digits, real); /* always fits */
		if (strtod(text, NULL) == real)
			break;
	}
	size_t len = strlen(text);
	if (!strpbrk(text, ".e"))
		(void)snprintf(text + len, sizeof(text) - len, ".0"); /* fits: at most 17 digits */
	json_raw(j, key, slice_of(text));
}

static void write_json(struct json_out *j, const char *key, const struct tree *n)
{
	switch (n->type) {
	case TREE_NULL:
		json_nil(j, key);
		break;
	case TREE_BOOL:
		json_bool(j, key, n->boolean);
		break;
	case TREE_INT:
		json_i64(j, key, n->integer);
		break;
	case TREE_REAL:
		write_real(j, key, n->real);
		break;
	case TREE_STRING:
		json_slice(j, key, n->text);
		break;
	case TREE_SEQ:
		json_open_array(j, key);
		for (const struct tree *c = n->first; c; c = c->next)
			write_json(j, NULL, c);
		json_close(j);
		break;
	case TREE_MAP: {
		json_open_object(j, key);
		const struct tree **all = sorted(n);
		for (unsigned i = 0; i < n->n; i++)
			if (all[i]->type != TREE_NULL)
				write_json(j, all[i]->key.at, all[i]);
		free((void *)all);
		json_close(j);
		break;
	}
	}
}

bool tree_write_json(const struct tree *n, struct buf *out)
{
	struct json_out j;
	json_out_init(&j, out);
	write_json(&j, NULL, n);
	return !out->full;
}

bool tree_equal(const struct tree *a, const struct tree *b)
{
	struct buf x, y;
	buf_init(&x, SIZE_MAX / 4);
	buf_init(&y, SIZE_MAX / 4);
	bool equal = (!a || tree_write_json(a, &x)) && (!b || tree_write_json(b, &y)) &&
		     slice_eq(buf_slice(&x), buf_slice(&y));
	buf_fini(&x);
	buf_fini(&y);
	return equal;
}
