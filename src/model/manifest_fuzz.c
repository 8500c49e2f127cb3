/* What people write: no crash, and what is taken survives as JSON and as YAML. */
#include <stdint.h>
#include <stdlib.h>

#include "model/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again_from_json(const struct object *o)
{
	struct err err = {0};
	struct object *again = object_from_json(o->kind, o->json, true, &err);
	MUST(again && slice_eq(again->json, o->json));
	object_put(again);
}

static void again_from_yaml(const struct object *o)
{
	struct manifest m;
	struct buf yaml;
	buf_init(&yaml, SIZE_MAX / 4);
	MUST(object_yaml(o, &yaml));
	manifest_init(&m);
	manifest_read(&m, "again", buf_slice(&yaml));
	MUST(m.n_objects == 1 && slice_eq(m.objects[0]->json, o->json));
	manifest_fini(&m);
	buf_fini(&yaml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest m;
	struct buf text;
	manifest_init(&m);
	manifest_read(&m, "fuzz", (struct slice){(const char *)data, size});
	manifest_check(&m, NULL);
	for (size_t i = 0; i < m.n_objects; i++) {
		again_from_json(m.objects[i]);
		again_from_yaml(m.objects[i]);
	}
	buf_init(&text, SIZE_MAX / 4);
	MUST(manifest_print(&m, &text));
	buf_fini(&text);
	manifest_fini(&m);
	return 0;
}
