#include "local/deployments.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/fnv.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/name_set.h"
#include "local/pod_delete.h"
#include "local/reconcile.h"

#define LABEL_HASH "pod-template-hash"

enum { SURGE = 1 };

struct deployments {
	struct reconciler r;
	struct name_set dirty; /* Deployments to look at again, those that are gone included */
};

/* The same template must have the same hash in every run, so that tests and people can name
 * Pods by it; nobody chooses templates to collide. */
static void template_hash(const struct deployment *d, char out[16])
{
	snprintf(out, 16, "%08x", fnv1a(FNV1A, d->template_json));
}

static bool has_owner(const struct object *pod)
{
	return strcmp(pod->meta.owner_kind, "Deployment") == 0;
}

static bool is_its_pod(const void *deployment, const struct object *pod)
{
	return has_owner(pod) && strcmp(pod->meta.owner_name, deployment) == 0 &&
	       !pod->meta.deletion_ns;
}

/* Those that are not ending. */
static struct object_list pods_of(const struct store *store, const char *ns, const char *deployment)
{
	return store_list(store, KIND_POD, ns, is_its_pod, deployment);
}

/* Letters that spell no words, as Kubernetes draws them. */
static void random_suffix(char out[6])
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	unsigned char bytes[5];
	MUST(getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		out[i] = letters[bytes[i] % (sizeof(letters) - 1)];
	out[5] = '\0';
}

static json_t *member_object(json_t *parent, const char *key)
{
	json_t *found = json_object_get(parent, key);
	if (!json_is_object(found)) {
		json_object_set_new(parent, key, json_object());
		found = json_object_get(parent, key);
	}
	return found;
}

static json_t *owner_of(const struct object *deployment)
{
	return json_pack("[{s:s, s:s, s:s, s:s, s:b}]", "apiVersion", "apps/v1", "kind",
			 "Deployment", "name", deployment->meta.name, "uid", deployment->meta.uid,
			 "controller", 1);
}

static struct object *make_pod(const struct object *deployment, const char *hash, struct err *err)
{
	struct slice text = deployment->deployment->template_json;
	json_t *pod = json_loadb(text.at, text.len, 0, NULL);
	char suffix[6], name[300];

	if (!pod) {
		(void)err_set(err, ERR_BAD_INPUT, "the template is no JSON");
		return NULL;
	}
	random_suffix(suffix);
	snprintf(name, sizeof(name), "%s-%s", deployment->meta.name, suffix);
	json_t *meta = member_object(pod, "metadata");
	json_object_set_new(pod, "apiVersion", json_string("v1"));
	json_object_set_new(pod, "kind", json_string("Pod"));
	json_object_set_new(meta, "name", json_string(name));
	json_object_set_new(meta, "namespace", json_string(deployment->meta.ns));
	json_object_set_new(member_object(meta, "labels"), LABEL_HASH, json_string(hash));
	json_object_set_new(meta, "ownerReferences", owner_of(deployment));
	char *json = json_dumps(pod, JSON_COMPACT);
	struct object *o = object_from_json(KIND_POD, slice_of(json), false, err);
	free(json);
	json_decref(pod);
	return o;
}

static bool create_pod(struct store *store, const struct object *deployment, const char *hash)
{
	struct err err = {0};
	for (int tries = 0; tries < 16; tries++) { /* names are drawn: one may be taken */
		struct object *pod = make_pod(deployment, hash, &err);
		bool ok = pod && store_apply(store, pod, STORE_CREATE, 0, NULL, &err);
		object_put(pod);
		if (ok)
			return true;
		if (err.kind != ERR_CONFLICT)
			break;
	}
	log_error("local", "pod not created deployment=%s/%s error=\"%s\"", deployment->meta.ns,
		  deployment->meta.name, err.text);
	return false;
}

static void write_status(struct store *store, const struct object *deployment, size_t n_pods,
			 size_t n_updated, size_t n_ready)
{
	char json[256];
	snprintf(json, sizeof(json),
		 "{\"observedGeneration\":%llu,\"replicas\":%zu,\"updatedReplicas\":%zu,"
		 "\"readyReplicas\":%zu,\"availableReplicas\":%zu}",
		 (unsigned long long)deployment->meta.generation, n_pods, n_updated, n_ready,
		 n_ready);
	(void)reconciler_write_status(store, deployment, slice_of(json)); /* logged */
}

static bool is_new(const struct object *pod, const char *hash)
{
	const char *has = pairs_get(&pod->meta.labels, LABEL_HASH);
	return has && strcmp(has, hash) == 0;
}

/* Which Pod to give up first: not the new template's, then not ready, then the younger. */
static bool before(const struct object *a, const struct object *b, const char *hash)
{
	if (is_new(a, hash) != is_new(b, hash))
		return !is_new(a, hash);
	if (a->pod->ready != b->pod->ready)
		return !a->pod->ready;
	return a->meta.creation_ns > b->meta.creation_ns;
}

static void sort_to_give_up(struct object_list *list, const char *hash)
{
	for (size_t i = 1; i < list->n; i++)
		for (size_t j = i; j > 0 && before(list->at[j], list->at[j - 1], hash); j--) {
			struct object *swap = list->at[j];
			list->at[j] = list->at[j - 1];
			list->at[j - 1] = swap;
		}
}

static void reconcile_one(struct store *store, const struct object *deployment)
{
	size_t replicas = deployment->deployment->replicas, n_new = 0, n_ready = 0, given_up = 0;
	struct object_list list = pods_of(store, deployment->meta.ns, deployment->meta.name);
	char hash[16];

	template_hash(deployment->deployment, hash);
	sort_to_give_up(&list, hash);
	for (size_t i = 0; i < list.n; i++) {
		n_new += is_new(list.at[i], hash);
		n_ready += list.at[i]->pod->ready;
	}
	write_status(store, deployment, list.n, n_new, n_ready);
	/* give up what is too much: old ones that are not ready at once, ready ones when enough
	 * others are */
	for (size_t i = 0; i < list.n; i++) {
		struct object *pod = list.at[i];
		bool old = !is_new(pod, hash);
		if (!old && n_new <= replicas)
			break;
		if (old && pod->pod->ready && n_ready <= replicas)
			continue;
		n_new -= !old;
		n_ready -= pod->pod->ready;
		given_up++;
		pod_delete(store, pod);
	}
	for (size_t n = list.n - given_up; n_new < replicas && n < replicas + SURGE; n++, n_new++) {
		if (n >= replicas && n == n_new) /* the surge is for replacing only */
			break;
		if (!create_pod(store, deployment, hash))
			break;
	}
	object_list_free(&list);
}

static void remove_orphans(struct store *store, const char *ns, const char *deployment)
{
	struct object_list orphans = pods_of(store, ns, deployment);
	for (size_t i = 0; i < orphans.n; i++)
		pod_delete(store, orphans.at[i]);
	object_list_free(&orphans);
}

static void look_at(struct store *store, const char *ns, const char *name)
{
	const struct object *found = store_get(store, KIND_DEPLOYMENT, ns, name);
	struct object *deployment = found ? object_get(found) : NULL;
	if (deployment)
		reconcile_one(store, deployment);
	else
		remove_orphans(store, ns, name);
	object_put(deployment);
}

void deployments_reconcile(struct deployments *d)
{
	struct name_set now = name_set_take(&d->dirty);
	for (const struct name *n = name_set_first(&now); n; n = name_set_next(n))
		look_at(d->r.store, n->ns, n->name);
	name_set_clear(&now);
}

static bool note(struct deployments *d, const struct object *o)
{
	if (o->kind == KIND_POD && !has_owner(o))
		return false;
	name_set_add(&d->dirty, o->meta.ns,
		     o->kind == KIND_POD ? o->meta.owner_name : o->meta.name);
	return true;
}

static bool concerns(struct reconciler *r, const struct store_event *ev)
{
	struct deployments *d = CONTAINER_OF(r, struct deployments, r);
	bool now = note(d, ev->object);
	return (ev->old && note(d, ev->old)) || now; /* a Pod may change hands */
}

static void note_all(struct deployments *d, enum kind kind)
{
	size_t n = 0;
	struct object *const *all = store_all(d->r.store, kind, NULL, &n);
	for (size_t i = 0; i < n; i++)
		(void)note(d, all[i]); /* it is looked at in any case */
}

bool deployments_settled(const struct store *store)
{
	const struct object *o = NULL;
	while ((o = store_next(store, KIND_DEPLOYMENT, NULL, o))) {
		struct object_list list = pods_of(store, o->meta.ns, o->meta.name);
		char hash[16];
		bool settled = list.n == o->deployment->replicas;
		template_hash(o->deployment, hash);
		for (size_t i = 0; i < list.n; i++)
			settled = settled && is_new(list.at[i], hash) && list.at[i]->pod->ready;
		object_list_free(&list);
		if (!settled)
			return false;
	}
	return true;
}

static void run(struct reconciler *r)
{
	deployments_reconcile(CONTAINER_OF(r, struct deployments, r));
}

struct deployments *deployments_start(struct loop *loop, struct store *store)
{
	struct deployments *d = mem_new(sizeof(*d));
	d->r = (struct reconciler){.loop = loop,
				   .store = store,
				   .kinds = 1u << KIND_DEPLOYMENT | 1u << KIND_POD,
				   .concerns = concerns,
				   .run = run};
	reconciler_start(&d->r);
	note_all(d, KIND_DEPLOYMENT);
	note_all(d, KIND_POD);
	return d;
}

void deployments_stop(struct deployments *d)
{
	if (!d)
		return;
	reconciler_stop(&d->r);
	name_set_clear(&d->dirty);
	free(d);
}
