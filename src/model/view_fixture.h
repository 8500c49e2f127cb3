/*
 * For unit tests only: a view of what YAML documents describe, as the API would tell them.
 *
 *   struct view *v = test_view("shop", "db-0", yaml);      // whose sidecar it is
 *   view_put(v);
 *
 * Include <cmocka.h> and what it needs first.
 */
#pragma once
#include "model/tree_yaml.h"
#include "model/view.h"

#define META(name, ns, second)                                                                     \
	"metadata: {name: " name ", namespace: " ns                                                \
	", creationTimestamp: '2026-01-01T00:00:" second "Z'}\n"
#define SE(name, ns, second)                                                                       \
	"---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n" META(name, ns,             \
									     second) "spec:\n"

static inline struct view *test_view(const char *ns, const char *pod, const char *text)
{
	struct view_builder *b = view_builder_new(ns, pod);
	struct arena *a = arena_new();
	struct yaml *y = yaml_open(slice_of(text));
	struct tree *root = NULL;
	struct err err = {0};
	unsigned line = 0;
	enum yaml_result got;
	while ((got = yaml_next(y, a, &root, &err, &line)) == YAML_DOCUMENT) {
		if (root->type == TREE_NULL)
			continue;
		const struct kind_info *kind = kind_by_gvk(tree_get(root, "apiVersion")->text,
							   tree_get(root, "kind")->text);
		assert_non_null(kind);
		struct buf json;
		buf_init(&json, 1 << 20);
		assert_true(tree_write_json(root, &json));
		if (!view_builder_set_json(b, kind->kind, buf_slice(&json), &err))
			fail_msg("%s: %s", buf_cstr(&json), err.text);
		buf_fini(&json);
	}
	if (got == YAML_BAD)
		fail_msg("line %u: %s", line, err.text);
	struct view *v = view_build(b, NULL);
	assert_string_equal(view_builder_problem(b), "");
	view_builder_free(b);
	yaml_close(y);
	arena_free(a);
	return v;
}

static inline struct addr at(const char *text)
{
	struct addr a;
	assert_true(addr_parse(slice_of(text), &a));
	return a;
}

static inline const char *vip_host(const struct view *v, const char *text)
{
	struct addr a = at(text);
	const struct view_port *p = view_port_by_vip(v, &a);
	return p ? p->service->host : NULL;
}
