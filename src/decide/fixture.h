/*
 * For unit tests only: the view of a sidecar in a mesh that YAML describes, made by the real
 * decoder and the real view builder.
 *
 *   struct world w;
 *   world_init(&w, "shop", "web-1", yaml);
 *   decide_outbound(w.view, &facts, &plan);
 *   world_fini(&w);
 *
 * Include <cmocka.h> and what it needs first.
 */
#pragma once
#include <stdio.h>

#include "model/tree_yaml.h"
#include "model/view.h"

struct world {
	struct live *live;
	struct view *view;
};

/* As the API would tell it: a manifest's reader would leave the status out. */
static inline struct object *test_object(struct tree *root)
{
	struct buf json;
	struct err err = {0};
	const struct tree *version = tree_get(root, "apiVersion"), *kind = tree_get(root, "kind");
	assert_true(version && kind);
	const struct kind_info *info = kind_by_gvk(version->text, kind->text);
	assert_non_null(info);
	buf_init(&json, 1 << 20);
	assert_true(tree_write_json(root, &json));
	struct object *o = object_from_json(info->kind, buf_slice(&json), true, &err);
	if (!o)
		fail_msg("%s: %s", err.text, buf_cstr(&json));
	buf_fini(&json);
	return o;
}

static inline void world_init(struct world *w, const char *ns, const char *pod, const char *yaml)
{
	struct view_builder *b = view_builder_new(ns, pod);
	struct arena *a = arena_new();
	struct yaml *y = yaml_open(slice_of(yaml));
	struct tree *root = NULL;
	struct err err = {0};
	unsigned line = 0;
	enum yaml_result got;
	while ((got = yaml_next(y, a, &root, &err, &line)) != YAML_END) {
		if (got == YAML_BAD)
			fail_msg("line %u: %s", line, err.text);
		if (root->type == TREE_NULL)
			continue; /* behind the last line of dashes */
		struct object *o = test_object(root);
		view_builder_set(b, o);
		object_put(o);
	}
	assert_string_equal(view_builder_problem(b), "");
	w->live = live_new();
	w->view = view_build(b, w->live);
	view_builder_free(b);
	yaml_close(y);
	arena_free(a);
}

static inline void world_fini(struct world *w)
{
	view_put(w->view);
	live_free(w->live);
}

static inline struct addr test_addr(const char *text)
{
	struct addr a;
	if (!addr_parse(slice_of(text), &a))
		fail_msg("no address: %s", text);
	return a;
}
