#include "local/inject.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "model/annotations.h"

/* What a Pod with a sidecar carries in the annotation sidecar.istio.io/status. */
static const char inject_status[] =
	"{\"initContainers\":[\"istio-proxy\"],\"containers\":[],\"volumes\":[],"
	"\"imagePullSecrets\":[],\"revision\":\"default\"}";

/* The object's member KEY of META, made where it is missing. */
static json_t *map_in(json_t *meta, const char *key)
{
	json_t *map = json_object_get(meta, key);
	if (map)
		return map;
	json_object_set_new(meta, key, json_object());
	return json_object_get(meta, key);
}

static void note(json_t *meta, bool yes)
{
	json_t *annotations = map_in(meta, "annotations");
	if (!yes) {
		json_object_del(annotations, ANNOTATION_SIDECAR_STATUS);
		return;
	}
	json_t *labels = map_in(meta, "labels");
	json_object_set_new(annotations, ANNOTATION_SIDECAR_STATUS, json_string(inject_status));
	/* As Istio's template has it: a person's own word stands. */
	if (!json_object_get(labels, LABEL_TLS_MODE))
		json_object_set_new(labels, LABEL_TLS_MODE, json_string("istio"));
}

static bool is_noted(const struct object *o, bool yes)
{
	const char *noted = pairs_get(&o->meta.annotations, ANNOTATION_SIDECAR_STATUS);
	if (!yes)
		return !noted;
	return noted && strcmp(noted, inject_status) == 0 &&
	       pairs_get(&o->meta.labels, LABEL_TLS_MODE);
}

struct object *inject_note(const struct object *o, bool yes, struct err *err)
{
	if (is_noted(o, yes))
		return object_get(o);
	json_t *root = json_loadb(o->json.at, o->json.len, 0, NULL);
	json_t *meta = json_object_get(root, "metadata");
	note(meta, yes);
	char *text = json_dumps(meta, JSON_COMPACT);
	struct object *changed = object_with(o, "metadata", slice_of(text), err);
	free(text);
	json_decref(root);
	return changed;
}
