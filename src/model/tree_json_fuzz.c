/* JSON from anywhere: what jansson makes of the same text is the measure. */
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "model/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct tree *n, const json_t *j)
{
	const struct tree *c = n->first;
	const char *key = NULL;
	json_t *value = NULL;
	size_t i = 0;
	switch (n->type) {
	case TREE_NULL:
		return json_is_null(j);
	case TREE_BOOL:
		return json_is_boolean(j) && json_is_true(j) == n->boolean;
	case TREE_INT:
		return json_is_integer(j) && json_integer_value(j) == n->integer;
	case TREE_REAL:
		return json_is_real(j) && json_real_value(j) == n->real;
	case TREE_STRING:
		return json_is_string(j) && n->text.at[n->text.len] == '\0' &&
		       slice_eq(n->text,
				(struct slice){json_string_value(j), json_string_length(j)});
	case TREE_SEQ:
		if (!json_is_array(j) || json_array_size(j) != n->n)
			return false;
		for (; c; c = c->next, i++)
			if (c->index != i || !same(c, json_array_get(j, i)))
				return false;
		return true;
	case TREE_MAP:
		if (!json_is_object(j) || json_object_size(j) != n->n)
			return false;
		json_object_foreach ((json_t *)(uintptr_t)j, key,
				     value) { /* in the order written */
			if (!c || !slice_is(c->key, key) || !same(c, value))
				return false;
			c = c->next;
		}
		return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = {size ? (const char *)data : "", size};
	struct arena *a = arena_new();
	struct tree *root = NULL, *again = NULL;
	struct err err = {0};
	bool ok = tree_from_json(a, text, &root, &err);
	json_t *j = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	bool nul = memchr(text.at, 0, text.len) != NULL; /* jansson reads over some of these */
	MUST(err.kind == ERR_LIMIT || (nul && !ok) || ok == (j != NULL));
	if (ok) {
		struct buf json;
		buf_init(&json, SIZE_MAX / 4);
		MUST(same(root, j));
		MUST(tree_write_json(root, &json) &&
		     tree_from_json(a, buf_slice(&json), &again, &err) && tree_equal(root, again));
		buf_fini(&json);
	}
	json_decref(j);
	arena_free(a);
	return 0;
}
