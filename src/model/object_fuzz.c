/* What an API server sends. The first byte chooses the kind. */
#include <stdint.h>

#include "model/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	if (size == 0)
		return 0;
	struct slice all = {(const char *)data, size};
	struct slice json = slice_sub(all, 1, size);
	enum kind kind = (enum kind)(data[0] % N_KINDS);
	struct object *o = object_from_json(kind, json, false, &err);
	struct object *lean =
		object_decode(kind, json, &(struct object_options){.lean = true}, &err);
	MUST(!o || lean); /* a sidecar takes all that the store takes */
	object_put(lean);
	if (!o)
		return 0;
	struct object *again = object_from_json(kind, o->json, false, &err);
	MUST(again && slice_eq(again->json, o->json));
	object_put(again);
	struct object *with = object_with(o, "status", SLICE("{}"), &err);
	object_put(with);
	object_put(o);
	return 0;
}
