#include "local/apply.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "local/command_check.h"
#include "local/entry_vips.h"
#include "local/inject.h"
#include "local/pod_delete.h"
#include "local/service_ips.h"
#include "model/annotations.h"
#include "model/manifest.h"

enum { MESSAGES_MAX = 1024 * 1024 };

struct check {
	struct manifest *m;
	const struct object *o;
};

static void on_command(void *ctx, const struct container *c, const char *path, const char *text)
{
	struct check *check = ctx;
	char name[400];
	(void)c; /* the manifest knows the line of a path */
	manifest_problem(check->m, PROBLEM_ERROR, check->o, path, "%s (%s)", text,
			 object_text(check->o, name, sizeof(name)));
}

static void read_all(struct manifest *m, const struct store *store, const struct apply_file *files,
		     size_t n)
{
	for (size_t i = 0; i < n; i++)
		manifest_read(m, files[i].name, files[i].text);
	manifest_check(m, store);
	for (size_t i = 0; i < m->n_objects; i++) {
		struct check check = {m, m->objects[i]};
		command_check(m->objects[i], on_command, &check);
	}
}

bool apply_check(const struct apply_file *files, size_t n, struct buf *messages)
{
	struct manifest m;
	manifest_init(&m);
	read_all(&m, NULL, files, n);
	bool ok = manifest_print(&m, messages) && m.n_errors == 0;
	manifest_fini(&m);
	return ok;
}

/* Replaces object I of the batch by FULL, or notes why there is none. */
static void replace(struct manifest *m, size_t i, struct object *full, const char *path,
		    const struct err *err)
{
	if (!full) {
		manifest_problem(m, PROBLEM_ERROR, m->objects[i], path, "%s", err->text);
		return;
	}
	object_put(m->objects[i]);
	m->objects[i] = full;
}

/* Virtual IPs: those that are asked for first, so that none of them is given to somebody else. */
static void give_ips(struct manifest *m, const struct store *store, const struct node *node)
{
	struct service_ips ips;
	struct err err = {0};
	size_t first = 0;

	while (first < m->n_objects && m->objects[first]->kind != KIND_SERVICE)
		first++;
	if (first == m->n_objects)
		return; /* the pools need not be looked at */
	service_ips_init(&ips, &node->cfg, node->ipv6, store);
	for (size_t i = 0; i < m->n_objects; i++)
		if (m->objects[i]->kind == KIND_SERVICE &&
		    !service_ips_claim(&ips, m->objects[i], &err))
			manifest_problem(m, PROBLEM_ERROR, m->objects[i], "spec.clusterIP", "%s",
					 err.text);
	for (size_t i = 0; m->n_errors == 0 && i < m->n_objects; i++)
		if (m->objects[i]->kind == KIND_SERVICE)
			replace(m, i, service_ips_fill(&ips, m->objects[i], &err), "spec.clusterIP",
				&err);
	service_ips_fini(&ips);
}

/* Addresses that a ServiceEntry's file says were given to its hosts. */
static void admit_vips(struct manifest *m, const struct store *store)
{
	for (size_t i = 0; i < m->n_objects; i++) {
		const struct object *o = m->objects[i];
		struct err err = {0};
		if (o->kind != KIND_SERVICE_ENTRY)
			continue;
		bool is_new = !store_get(store, o->kind, o->meta.ns, o->meta.name);
		replace(m, i, entry_vips_admit(o, is_new, &err), "status.addresses", &err);
	}
}

/* What the mesh has written on a Pod stays when a person writes the Pod again without it. */
static void keep_notes(struct manifest *m, const struct store *store)
{
	for (size_t i = 0; i < m->n_objects; i++) {
		const struct object *o = m->objects[i], *old;
		struct err err = {0};
		if (o->kind != KIND_POD)
			continue;
		old = store_get(store, KIND_POD, o->meta.ns, o->meta.name);
		if (!old)
			continue;
		if (old->meta.deletion_ns)
			manifest_problem(
				m, PROBLEM_ERROR, o, "metadata.name",
				"a Pod of this name is still ending; try again when it is gone");
		bool has = pairs_get(&old->meta.annotations, ANNOTATION_SIDECAR_STATUS);
		replace(m, i, inject_note(o, has, &err), "metadata.annotations", &err);
	}
}

/* Namespaces that nobody declared come into being with what is in them. */
static void make_namespace(const struct manifest *m, struct store *store, const char *ns)
{
	struct err err = {0};
	if (!*ns || store_get(store, KIND_NAMESPACE, "", ns) ||
	    manifest_get(m, KIND_NAMESPACE, "", ns))
		return;
	json_t *root =
		json_pack("{s:s, s:s, s:{s:s, s:{s:s}}}", "apiVersion", "v1", "kind", "Namespace",
			  "metadata", "name", ns, "labels", "kubernetes.io/metadata.name", ns);
	char *text = json_dumps(root, JSON_COMPACT);
	struct object *o = object_from_json(KIND_NAMESPACE, slice_of(text), false, &err);
	if (!o || !store_apply(store, o, STORE_CREATE, 0, NULL, &err))
		log_error("local", "namespace not made name=%s error=\"%s\"", ns, err.text);
	object_put(o);
	free(text);
	json_decref(root);
}

static void report_object(struct json_out *out, const struct object *o, const char *what)
{
	json_open_object(out, NULL);
	json_cstr(out, "kind", kind_info(o->kind)->name);
	json_cstr(out, "namespace", o->meta.ns);
	json_cstr(out, "name", o->meta.name);
	json_cstr(out, "result", what);
	json_close(out);
}

static void store_one(struct manifest *m, struct store *store, size_t i, struct json_out *report)
{
	struct object *o = m->objects[i];
	const struct object *old = store_get(store, o->kind, o->meta.ns, o->meta.name);
	uint64_t before = store_version(store);
	struct err err = {0};

	if (!store_apply(store, o, STORE_CREATE_OR_REPLACE, 0, NULL, &err)) {
		/* everything was checked before: this is a fault of ours, and must not be silent */
		manifest_problem(m, PROBLEM_ERROR, o, "", "not stored: %s", err.text);
		return;
	}
	report_object(report, o,
		      !old                             ? "created"
		      : store_version(store) == before ? "unchanged"
						       : "configured");
}

static void report_messages(const struct manifest *m, struct json_out *report)
{
	struct buf messages;
	buf_init(&messages, MESSAGES_MAX);
	if (!manifest_print(m, &messages))
		log_warn("local", "messages cut off"); /* what fits is shown */
	json_slice(report, "messages", buf_slice(&messages));
	buf_fini(&messages);
}

bool apply_files(struct store *store, const struct node *node, const struct apply_file *files,
		 size_t n, struct json_out *report)
{
	struct manifest m;

	manifest_init(&m);
	read_all(&m, store, files, n);
	if (m.n_errors == 0)
		keep_notes(&m, store);
	if (m.n_errors == 0)
		admit_vips(&m, store);
	if (m.n_errors == 0)
		give_ips(&m, store, node);
	json_open_object(report, NULL);
	json_open_array(report, "objects");
	if (m.n_errors == 0) {
		for (size_t i = 0; i < m.n_objects; i++)
			make_namespace(&m, store, m.objects[i]->meta.ns);
		for (size_t i = 0; i < m.n_objects; i++)
			store_one(&m, store, i, report);
	}
	json_close(report);
	report_messages(&m, report);
	json_close(report);
	bool ok = m.n_errors == 0;
	manifest_fini(&m);
	return ok;
}

static void delete_namespaced(struct store *store, const char *ns)
{
	for (enum kind kind = 0; kind < N_KINDS; kind++) {
		if (!kind_info(kind)->namespaced)
			continue;
		struct object_list all = store_list(store, kind, ns, NULL, NULL);
		for (size_t i = 0; i < all.n; i++)
			apply_delete(store, all.at[i]);
		object_list_free(&all);
	}
}

void apply_delete(struct store *store, const struct object *o)
{
	struct object *keep = object_get(o);
	struct err err = {0};

	if (o->kind == KIND_NAMESPACE)
		delete_namespaced(store, keep->meta.name);
	if (o->kind == KIND_POD)
		pod_delete(store, keep);
	else if (!store_delete(store, keep->kind, keep->meta.ns, keep->meta.name, &err) &&
		 err.kind != ERR_NOT_FOUND)
		log_error("local", "not deleted error=\"%s\"", err.text);
	object_put(keep);
}

bool delete_files(struct store *store, const struct apply_file *files, size_t n,
		  bool ignore_missing, struct json_out *report)
{
	struct manifest m;

	manifest_init(&m);
	for (size_t i = 0; i < n; i++)
		manifest_read(&m, files[i].name, files[i].text);
	for (size_t i = 0; !ignore_missing && i < m.n_objects; i++) {
		const struct object *o = m.objects[i];
		char name[400];
		if (!store_get(store, o->kind, o->meta.ns, o->meta.name))
			manifest_problem(&m, PROBLEM_ERROR, o, "metadata.name",
					 "there is no %s in the mesh",
					 object_text(o, name, sizeof(name)));
	}
	json_open_object(report, NULL);
	json_open_array(report, "objects");
	for (size_t i = 0; m.n_errors == 0 && i < m.n_objects; i++) {
		const struct object *o = m.objects[i];
		const struct object *old = store_get(store, o->kind, o->meta.ns, o->meta.name);
		if (!old)
			continue;
		report_object(report, old, "deleted");
		apply_delete(store, old);
	}
	json_close(report);
	report_messages(&m, report);
	json_close(report);
	bool ok = m.n_errors == 0;
	manifest_fini(&m);
	return ok;
}
