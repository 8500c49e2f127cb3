/* POST, PUT, PATCH and DELETE. */
#include <string.h>

#include "control/api_parts.h"
#include "control/merge_patch.h"
#include "control/status.h"
#include "model/tree.h"

/* People's typing errors shall be seen: only who asks for less strictness gets it. */
static bool is_strict(const struct rest_request *req)
{
	struct slice v = rest_query(req, "fieldValidation");
	return !slice_is(v, "Ignore") && !slice_is(v, "Warn");
}

/* The object as it came. NULL: answered. One reference. */
static struct object *decode_body(const struct target *t, struct slice json, bool strict,
				  struct rest_reply *reply)
{
	struct err err = {0};
	struct object_options options = {.strict = strict, .ns = t->ns};
	struct object *o = object_decode(t->kind->kind, json, &options, &err);
	if (!o) {
		status_reply(reply, 422, "%s", err.text);
		return NULL;
	}
	if (strcmp(o->meta.ns, target_ns(t)) != 0 && t->ns) {
		status_reply(reply, 400,
			     "the namespace of the object (%s) is not that of the request (%s)",
			     o->meta.ns, t->ns);
	} else if (t->name && strcmp(o->meta.name, t->name) != 0) {
		status_reply(reply, 400,
			     "the name of the object (%s) is not that of the request (%s)",
			     o->meta.name, t->name);
	} else {
		return o;
	}
	object_put(o);
	return NULL;
}

static void apply(struct api_server *a, const struct object *o, enum store_mode mode,
		  uint64_t expect, struct rest_reply *reply)
{
	struct err err = {0};
	bool creating = mode == STORE_CREATE;
	const struct object *stored, *old = store_get(a->store, o->kind, o->meta.ns, o->meta.name);
	if (a->options.admit && !a->options.admit(a->options.ctx, o, old, &err)) {
		status_reply(reply, 422, "%s", err.text);
		return;
	}
	if (!store_apply(a->store, o, mode, expect, &stored, &err)) {
		status_reply_err(reply, &err, creating);
		return;
	}
	if (!stored) { /* a store watcher has removed it again at once */
		status_reply(reply, 409, "%s \"%s\" was deleted meanwhile",
			     kind_info(o->kind)->plural, o->meta.name);
		return;
	}
	rest_reply_full(reply, creating ? 201 : 200, "application/json", stored->json);
}

static void on_post(struct api_server *a, const struct target *t, const struct rest_request *req,
		    struct rest_reply *reply)
{
	struct target in = *t;
	if (t->kind->namespaced && !t->ns) {
		status_reply(reply, 405, "create %s in a namespace: .../namespaces/NS/%s",
			     t->kind->plural, t->kind->plural);
		return;
	}
	struct object *o = decode_body(&in, req->body, is_strict(req), reply);
	if (o)
		apply(a, o, STORE_CREATE, 0, reply);
	object_put(o);
}

/* What is stored, changed in its status only, as JSON says. NULL: answered. */
static struct object *with_status(struct api_server *a, const struct target *t,
				  const struct tree *n, struct rest_reply *reply)
{
	struct err err = {0};
	struct buf json;
	const struct object *old = store_get(a->store, t->kind->kind, target_ns(t), t->name);
	const struct tree *status = tree_get(n, "status");
	if (!old) {
		status_reply(reply, 404, "%s \"%s\" not found", t->kind->plural, t->name);
		return NULL;
	}
	if (!status) {
		status_reply(reply, 422, "status: is missing");
		return NULL;
	}
	buf_init(&json, SIZE_MAX / 4);
	struct object *o = NULL;
	if (tree_write_json(status, &json))
		o = object_with(old, "status", buf_slice(&json), &err);
	buf_fini(&json);
	if (!o)
		status_reply(reply, 422, "%s", err.text);
	return o;
}

static void put_status(struct api_server *a, const struct target *t, const struct rest_request *req,
		       struct rest_reply *reply)
{
	struct err err = {0};
	struct arena *arena = arena_new();
	struct tree *root = NULL;
	struct object *o = NULL, *changed = NULL;
	if (!tree_from_json(arena, req->body, &root, &err))
		status_reply(reply, 400, "%s", err.text);
	else if ((o = decode_body(t, req->body, false, reply)))
		changed = with_status(a, t, root, reply);
	if (changed)
		apply(a, changed, STORE_REPLACE, o->meta.resource_version, reply);
	object_put(changed);
	object_put(o);
	arena_free(arena);
}

static void on_put(struct api_server *a, const struct target *t, const struct rest_request *req,
		   struct rest_reply *reply)
{
	if (t->what == TARGET_STATUS) {
		put_status(a, t, req, reply);
		return;
	}
	struct object *o = decode_body(t, req->body, is_strict(req), reply);
	if (o)
		apply(a, o, STORE_REPLACE, o->meta.resource_version, reply);
	object_put(o);
}

/* OLD with PATCH merged in; only the status of it for that subresource. NULL: answered. */
static struct object *patched(struct api_server *a, const struct target *t,
			      const struct rest_request *req, const struct object *old,
			      struct rest_reply *reply)
{
	struct err err = {0};
	struct arena *arena = arena_new();
	struct tree *patch = NULL, *root = NULL;
	struct object *o = NULL;
	struct buf json;
	buf_init(&json, SIZE_MAX / 4);
	if (!tree_from_json(arena, req->body, &patch, &err) || patch->type != TREE_MAP) {
		status_reply(reply, 400, "%s", err.text[0] ? err.text : "the patch is no object");
		goto done;
	}
	MUST(tree_from_json(arena, old->json, &root, &err)); /* it was written by the store */
	root = merge_patch(arena, root, patch);
	if (t->what == TARGET_STATUS)
		o = with_status(a, t, root, reply);
	else if (tree_write_json(root, &json))
		o = decode_body(t, buf_slice(&json), is_strict(req), reply);
done:
	buf_fini(&json);
	arena_free(arena);
	return o;
}

static void on_patch(struct api_server *a, const struct target *t, const struct rest_request *req,
		     struct rest_reply *reply)
{
	struct slice type = rest_header(req, "Content-Type");
	type = slice_trim(slice_cut(&type, ';'));
	if (!slice_eq_nocase(type, SLICE("application/merge-patch+json"))) {
		status_reply(reply, 415,
			     "of all patches only application/merge-patch+json is taken");
		return;
	}
	const struct object *old = store_get(a->store, t->kind->kind, target_ns(t), t->name);
	if (!old) {
		status_reply(reply, 404, "%s \"%s\" not found", t->kind->plural, t->name);
		return;
	}
	struct object *o = patched(a, t, req, old, reply);
	if (o) /* its resourceVersion is the old one's, unless the patch names another */
		apply(a, o, STORE_REPLACE, o->meta.resource_version, reply);
	object_put(o);
}

static void on_delete(struct api_server *a, const struct target *t, struct rest_reply *reply)
{
	struct err err = {0};
	const struct object *o = store_get(a->store, t->kind->kind, target_ns(t), t->name);
	if (!o) {
		status_reply(reply, 404, "%s \"%s\" not found", t->kind->plural, t->name);
		return;
	}
	bool ok = a->options.remove
			  ? a->options.remove(a->options.ctx, o, &err)
			  : store_delete(a->store, o->kind, o->meta.ns, o->meta.name, &err);
	if (ok)
		status_reply_done(reply, t->kind->name, t->name);
	else
		status_reply_err(reply, &err, false);
}

void write_request(struct api_server *a, const struct target *t, const struct rest_request *req,
		   struct rest_reply *reply)
{
	bool on_object = t->what == TARGET_OBJECT || t->what == TARGET_STATUS;
	if (rest_query(req, "dryRun").len) /* storing it would be the wrong answer */
		status_reply(reply, 400, "dryRun is not known here");
	else if (slice_is(req->method, "POST") && t->what == TARGET_COLLECTION)
		on_post(a, t, req, reply);
	else if (slice_is(req->method, "PUT") && on_object)
		on_put(a, t, req, reply);
	else if (slice_is(req->method, "PATCH") && on_object)
		on_patch(a, t, req, reply);
	else if (slice_is(req->method, "DELETE") && t->what == TARGET_OBJECT)
		on_delete(a, t, reply);
	else
		status_reply(reply, 405, "%.*s is not possible here", SLICE_FMT(req->method));
}
