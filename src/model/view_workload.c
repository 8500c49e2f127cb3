/* What a view knows of a Pod. */
#include <string.h>

#include "base/mem.h"
#include "model/annotations.h"
#include "model/sidecar.h"
#include "model/view_inside.h"

static const char *first_label(const struct pairs *labels, const char *const *keys,
			       const char *otherwise)
{
	for (; *keys; keys++) {
		const char *value = pairs_get(labels, *keys);
		if (value && value[0])
			return value;
	}
	return otherwise;
}

/* Istio's workload name: the owner's, and for a ReplicaSet the Deployment's, which is the same without
 * the hash that both the name and a label of the Pod carry. */
static const char *workload_name(struct arena *a, const struct object *pod)
{
	const struct meta *m = &pod->meta;
	if (!m->owner_name[0])
		return m->name;
	const char *hash = pairs_get(&m->labels, "pod-template-hash");
	struct slice name = slice_of(m->owner_name);
	if (strcmp(m->owner_kind, "ReplicaSet") == 0 && hash && hash[0] &&
	    slice_ends(name, slice_of(hash))) {
		struct slice base = slice_sub(name, 0, name.len - strlen(hash));
		if (base.len > 1 && slice_ends(base, SLICE("-")))
			return arena_dup(a, slice_sub(base, 0, base.len - 1));
	}
	return m->owner_name;
}

bool workload_is_addressed(const struct object *pod)
{
	const struct pod *p = pod->pod;
	/* A finished Pod's may belong to another by now, and one on the host's network shares them. */
	return (p->has_ip[IP_V4] || p->has_ip[IP_V6]) && !p->spec.host_network &&
	       strcmp(p->phase, "Succeeded") != 0 && strcmp(p->phase, "Failed") != 0;
}

static bool lists(const char *text, uint16_t port)
{
	for (struct slice rest = slice_of(text); rest.len;) {
		uint64_t n = 0;
		struct slice entry = slice_trim(slice_cut(&rest, ','));
		if (slice_to_u64(entry, UINT16_MAX, &n) && n == port)
			return true;
	}
	return false;
}

bool view_reaches_sidecar(const struct workload *w, uint16_t port)
{
	static const uint16_t never[] = {SIDECAR_METRICS_PORT, SIDECAR_HEALTH_PORT,
					 SIDECAR_PROMETHEUS_PORT, SIDECAR_TUNNEL_PORT};
	const struct pairs *annotations = &w->pod->meta.annotations;
	const char *mode = pairs_get(annotations, ANNOTATION_INTERCEPTION);
	const char *included = pairs_get(annotations, ANNOTATION_INCLUDE_IN_PORTS);
	const char *excluded = pairs_get(annotations, ANNOTATION_EXCLUDE_IN_PORTS);
	if (mode && strcmp(mode, "NONE") == 0)
		return false;
	if (included && strcmp(included, "*") != 0)
		return lists(included, port); /* what is excluded does not matter then */
	for (size_t i = 0; i < N_ELEMS(never); i++)
		if (port == never[i])
			return false;
	return !excluded || !lists(excluded, port);
}

/* Which connections of such a Pod reach its sidecar, only its own capture rules tell. */
static bool bypasses(const struct pairs *annotations)
{
	static const char *const excluded[] = {ANNOTATION_EXCLUDE_OUT_PORTS,
					       ANNOTATION_EXCLUDE_OUT_RANGES};
	const char *included = pairs_get(annotations, ANNOTATION_INCLUDE_OUT_RANGES);
	for (size_t i = 0; i < N_ELEMS(excluded); i++) {
		const char *text = pairs_get(annotations, excluded[i]);
		if (text && *text)
			return true;
	}
	return included && strcmp(included, "*") != 0;
}

struct workload_part *workload_part_new(const struct view_frame *frame, const struct object *pod)
{
	static const char *const names[] = {"service.istio.io/canonical-name",
					    "app.kubernetes.io/name", "app", NULL};
	static const char *const revisions[] = {"service.istio.io/canonical-revision",
						"app.kubernetes.io/version", "version", NULL};
	static const char *const app[] = {"app", NULL}, *const version[] = {"version", NULL};
	struct workload_part *part = part_new(sizeof(*part), strlen(pod->meta.owner_name), 1);
	struct workload *w = &part->workload;
	const struct pairs *labels = &pod->meta.labels;
	const char *tls = pairs_get(labels, LABEL_TLS_MODE);
	part_hold(&part->part, pod);
	w->pod = pod;
	w->peer_auth = peer_auths_of(frame->peer_auths, pod);
	w->name = workload_name(part->part.arena, pod);
	w->canonical_name = first_label(labels, names, w->name);
	w->canonical_revision = first_label(labels, revisions, "latest");
	w->app = first_label(labels, app, "unknown");
	w->version = first_label(labels, version, "unknown");
	w->has_sidecar = pairs_get(&pod->meta.annotations, ANNOTATION_SIDECAR_STATUS) != NULL;
	w->mesh_tls = tls && strcmp(tls, "istio") == 0;
	w->bypasses = bypasses(&pod->meta.annotations);
	return part;
}
