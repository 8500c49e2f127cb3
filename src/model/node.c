#include "model/node.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/mem.h"

struct node *node_new(struct arena *a, enum node_type type)
{
	struct node *n = arena_alloc(a, sizeof(*n));
	n->type = type;
	n->key = SLICE("");
	n->text = SLICE("");
	return n;
}

struct node *node_string(struct arena *a, struct slice text)
{
	struct node *n = node_new(a, NODE_STRING);
	n->text = arena_dup_slice(a, text);
	return n;
}

void node_add(struct node *parent, struct slice key, struct node *child)
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
static void renumber(struct node *map)
{
	map->n = 0;
	map->last = NULL;
	for (struct node *c = map->first; c; c = c->next) {
		c->index = map->n++;
		map->last = c;
	}
}

void node_set(struct node *map, struct slice key, struct node *child)
{
	struct node **at = &map->first;
	while (*at && !slice_eq((*at)->key, key))
		at = &(*at)->next;
	if (!*at) {
		if (child)
			node_add(map, key, child);
		return;
	}
	struct node *old = *at;
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

struct node *node_copy(struct arena *a, const struct node *n)
{
	struct node *copy = node_new(a, n->type);
	*copy = *n;
	copy->first = copy->last = copy->next = copy->parent = NULL;
	copy->n = 0;
	for (const struct node *c = n->first; c; c = c->next)
		node_add(copy, c->key, node_copy(a, c));
	return copy;
}

static struct node *get(const struct node *map, struct slice key)
{
	if (!map || map->type != NODE_MAP)
		return NULL;
	for (struct node *c = map->first; c; c = c->next)
		if (slice_eq(c->key, key))
			return c;
	return NULL;
}

struct node *node_get(const struct node *map, const char *key)
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

const struct node *node_at(const struct node *root, const char *path)
{
	struct slice left = slice_of(path);
	const struct node *n = root;
	while (n && left.len) {
		bool bracket = false;
		struct slice step = path_step(&left, &bracket);
		uint64_t index = 0;
		if (n->type == NODE_SEQ && bracket && slice_to_u64(step, UINT32_MAX, &index)) {
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

const char *node_path(const struct node *n, const char *member, char *out, size_t out_len)
{
	const struct node *steps[NODE_DEPTH + 1];
	size_t depth = 0;
	for (; n && n->parent && depth < N_ELEMS(steps); n = n->parent)
		steps[depth++] = n;
	struct buf b;
	buf_init(&b, 4096); /* a path that is longer is cut: the line number is there as well */
	size_t written = 0;
	while (depth) {
		const struct node *step = steps[--depth];
		if (step->parent->type == NODE_SEQ)
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

const char *node_type_name(enum node_type type)
{
	static const char *const names[] = {
		[NODE_NULL] = "null",     [NODE_BOOL] = "a boolean",  [NODE_INT] = "an integer",
		[NODE_REAL] = "a number", [NODE_STRING] = "a string", [NODE_SEQ] = "a list",
		[NODE_MAP] = "an object",
	};
	return names[type];
}

const char *node_describe(const struct node *n, char *out, size_t out_len)
{
	char text[64];
	switch (n->type) {
	case NODE_BOOL:
		(void)snprintf(out, out_len, "boolean %s", n->boolean ? "true" : "false");
		return out;
	case NODE_INT:
		(void)snprintf(out, out_len, "integer %lld", (long long)n->integer);
		return out;
	case NODE_REAL:
		(void)snprintf(out, out_len, "number %g", n->real);
		return out;
	case NODE_STRING:
		(void)snprintf(out, out_len, "string \"%s\"",
			       slice_printable(n->text, text, sizeof(text)));
		return out;
	case NODE_NULL:
	case NODE_SEQ:
	case NODE_MAP:
		break;
	}
	(void)snprintf(out, out_len, "%s", node_type_name(n->type));
	return out;
}

struct json_reading {
	struct arena *arena;
	unsigned n;
	struct err *err;
};

static bool from_jansson(struct json_reading *r, const json_t *from, unsigned depth,
			 struct node **out);

static bool members_from_jansson(struct json_reading *r, const json_t *from, unsigned depth,
				 struct node *map)
{
	/* jansson's iterator takes a pointer to non-const and changes nothing. */
	json_t *object = (json_t *)from;
	for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
		struct node *child = NULL;
		if (!from_jansson(r, json_object_iter_value(it), depth + 1, &child))
			return false;
		struct slice key = {json_object_iter_key(it), json_object_iter_key_len(it)};
		node_add(map, arena_dup_slice(r->arena, key), child);
	}
	return true;
}

static bool from_jansson(struct json_reading *r, const json_t *from, unsigned depth,
			 struct node **out)
{
	if (depth > NODE_DEPTH)
		return err_set(r->err, ERR_LIMIT, "nested more than %d deep", NODE_DEPTH);
	if (++r->n > NODE_MAX)
		return err_set(r->err, ERR_LIMIT, "more than %d values", NODE_MAX);
	struct node *n = node_new(r->arena, NODE_NULL);
	*out = n;
	switch (json_typeof(from)) {
	case JSON_OBJECT:
		n->type = NODE_MAP;
		return members_from_jansson(r, from, depth, n);
	case JSON_ARRAY:
		n->type = NODE_SEQ;
		for (size_t i = 0; i < json_array_size(from); i++) {
			struct node *child = NULL;
			if (!from_jansson(r, json_array_get(from, i), depth + 1, &child))
				return false;
			node_add(n, SLICE(""), child);
		}
		return true;
	case JSON_STRING:
		n->type = NODE_STRING;
		n->text = arena_dup_slice(r->arena, (struct slice){json_string_value(from),
								   json_string_length(from)});
		return true;
	case JSON_INTEGER:
		n->type = NODE_INT;
		n->integer = json_integer_value(from);
		return true;
	case JSON_REAL:
		n->type = NODE_REAL;
		n->real = json_real_value(from);
		return true;
	case JSON_TRUE:
	case JSON_FALSE:
		n->type = NODE_BOOL;
		n->boolean = json_is_true(from);
		return true;
	case JSON_NULL:
		return true;
	}
	return true;
}

bool node_from_json(struct arena *a, struct slice json, struct node **out, struct err *err)
{
	json_error_t why;
	json_t *root = json_loadb(json.at ? json.at : "", json.len,
				  JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (!root)
		return err_set(err, ERR_BAD_INPUT, "JSON line %d column %d: %s", why.line,
			       why.column, why.text);
	struct json_reading r = {a, 0, err};
	bool ok = from_jansson(&r, root, 0, out);
	json_decref(root);
	return ok;
}

static int by_key(const void *a, const void *b)
{
	const struct node *x = *(const struct node *const *)a, *y = *(const struct node *const *)b;
	return slice_cmp(x->key, y->key);
}

/* The members of MAP in key order; free() it. */
static const struct node **sorted(const struct node *map)
{
	const struct node **all = mem_array(map->n ? map->n : 1, sizeof(struct node *));
	size_t n = 0;
	for (const struct node *c = map->first; c; c = c->next)
		all[n++] = c;
	qsort(all, n, sizeof(struct node *), by_key);
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

static void write_json(struct json_out *j, const char *key, const struct node *n)
{
	switch (n->type) {
	case NODE_NULL:
		json_nil(j, key);
		break;
	case NODE_BOOL:
		json_bool(j, key, n->boolean);
		break;
	case NODE_INT:
		json_i64(j, key, n->integer);
		break;
	case NODE_REAL:
		write_real(j, key, n->real);
		break;
	case NODE_STRING:
		json_slice(j, key, n->text);
		break;
	case NODE_SEQ:
		json_open_array(j, key);
		for (const struct node *c = n->first; c; c = c->next)
			write_json(j, NULL, c);
		json_close(j);
		break;
	case NODE_MAP: {
		json_open_object(j, key);
		const struct node **all = sorted(n);
		for (unsigned i = 0; i < n->n; i++)
			if (all[i]->type != NODE_NULL)
				write_json(j, all[i]->key.at, all[i]);
		free((void *)all);
		json_close(j);
		break;
	}
	}
}

bool node_write_json(const struct node *n, struct buf *out)
{
	struct json_out j;
	json_out_init(&j, out);
	write_json(&j, NULL, n);
	return !out->full;
}

bool node_equal(const struct node *a, const struct node *b)
{
	struct buf x, y;
	buf_init(&x, SIZE_MAX / 4);
	buf_init(&y, SIZE_MAX / 4);
	bool equal = (!a || node_write_json(a, &x)) && (!b || node_write_json(b, &y)) &&
		     slice_eq(buf_slice(&x), buf_slice(&y));
	buf_fini(&x);
	buf_fini(&y);
	return equal;
}
