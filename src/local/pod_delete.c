#include "local/pod_delete.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

void pod_delete(struct store *store, const struct object *pod)
{
	struct err err = {0};
	char now[32];
	if (pod->meta.deletion_ns)
		return;
	json_t *root = json_loadb(pod->json.at, pod->json.len, 0, NULL);
	json_t *meta = json_object_get(root, "metadata");
	json_object_set_new(meta, "deletionTimestamp",
			    json_string(clock_rfc3339(clock_wall_ns(), now, sizeof(now))));
	json_object_set_new(meta, "deletionGracePeriodSeconds",
			    json_integer(pod->pod->spec.termination_grace_s));
	char *text = json_dumps(meta, JSON_COMPACT);
	struct object *changed = object_with(pod, "metadata", slice_of(text), &err);
	if (!changed || !store_apply(store, changed, STORE_REPLACE, 0, NULL, &err))
		log_error("local", "pod not marked for deletion pod=%s/%s error=\"%s\"",
			  pod->meta.ns, pod->meta.name, err.text);
	object_put(changed);
	free(text);
	json_decref(root);
}
