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

#include "model/manifest.h"
#include "model/view.h"

struct world {
	struct live *live;
	struct view *view;
};

static inline void world_init(struct world *w, const char *ns, const char *pod, const char *yaml)
{
	struct manifest m;
	manifest_init(&m);
	manifest_read(&m, "test.yaml", slice_of(yaml));
	if (m.n_errors) {
		struct buf text;
		buf_init(&text, 65536);
		if (manifest_print(&m, &text))
			(void)fprintf(stderr, "%s\n", buf_cstr(&text));
		fail_msg("the test's YAML is wrong");
	}
	struct view_builder *b = view_builder_new(ns, pod);
	for (size_t i = 0; i < m.n_objects; i++)
		view_builder_set(b, m.objects[i]);
	assert_string_equal(view_builder_problem(b), "");
	w->live = live_new();
	w->view = view_build(b, w->live);
	view_builder_free(b);
	manifest_fini(&m);
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
