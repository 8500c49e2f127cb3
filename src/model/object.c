#include "model/object.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/annotations.h"
#include "model/object_tree.h"
#include "model/schema.h"
#include "model/tree_yaml.h"

struct object *object_get(const struct object *o)
{
	struct object *shared = (struct object *)o; /* only the count is written */
	atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
	return shared;
}

void object_put(struct object *o)
{
	if (o && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
		arena_free(o->arena); /* O lives in it */
}

bool object_older(const struct object *a, const struct object *b)
{
	const struct meta *x = &a->meta, *y = &b->meta;
	if (x->creation_ns != y->creation_ns)
		return x->creation_ns < y->creation_ns;
	int cmp = strcmp(x->ns, y->ns);
	return (cmp ? cmp : strcmp(x->name, y->name)) < 0;
}

const char *object_text(const struct object *o, char *out, size_t out_len)
{
	/* Without printf: each line of the access log has several. */
	const char *const parts[] = {kind_info(o->kind)->name, " ", o->meta.ns,
				     o->meta.ns[0] ? "/" : "", o->meta.name};
	size_t len = 0;
	for (size_t i = 0; i < N_ELEMS(parts); i++)
		for (const char *at = parts[i]; *at && len + 1 < out_len; at++)
			out[len++] = *at;
	out[len] = '\0';
	return out;
}

/* apiVersion and kind are those of INFO; they are put there when they are absent (items of a list
 * lack them). The version becomes the stored one: the others differ in nothing but its name. */
static void complete(struct decoder *d, struct tree *root, struct arena *a,
		     const struct kind_info *info)
{
	const struct tree *version = tree_get(root, "apiVersion"), *kind = tree_get(root, "kind");
	bool text = version && version->type == TREE_STRING;
	if (version && !(text && kind_serves(info, version->text)))
		decode_expected(d, version, info->api_version);
	else if (!version || !slice_is(version->text, info->api_version))
		tree_set(root, SLICE("apiVersion"), tree_string(a, slice_of(info->api_version)));
	if (!kind)
		tree_set(root, SLICE("kind"), tree_string(a, slice_of(info->name)));
	else if (kind->type != TREE_STRING || !slice_is(kind->text, info->name))
		decode_expected(d, kind, info->name);
}

static void check_object_name(struct decoder *d, const struct tree *n, const struct object *o)
{
	enum name_kind rule = o->kind == KIND_NAMESPACE              ? NAME_LABEL
			      : o->kind == KIND_SERVICE && d->strict ? NAME_LABEL_1035
			      : o->kind == KIND_SERVICE              ? NAME_LABEL
								     : NAME_SUBDOMAIN;
	if (o->meta.name[0])
		check_name(d, n, "name", rule, o->meta.name);
	else if (!o->meta.generate_name[0] && !d->lean) /* what an API tells has a name */
		decode_problem(d, n, "name", "is required");
}

static void read_meta(struct decoder *d, struct object *o, struct tree *root, struct arena *a,
		      const char *ns)
{
	struct tree *n = tree_get(root, "metadata");
	bool namespaced = kind_info(o->kind)->namespaced;
	if (!n || n->type == TREE_NULL) {
		decode_problem(d, root, "metadata", "is required");
		return;
	}
	unsigned before = d->n_problems;
	decode(d, &meta_schema, n, &o->meta);
	if (d->n_problems != before)
		return;
	check_object_name(d, n, o);
	if (namespaced && !o->meta.ns[0]) {
		o->meta.ns = arena_dup(d->arena, slice_of(ns ? ns : "default"));
		tree_set(n, SLICE("namespace"), tree_string(a, slice_of(o->meta.ns)));
	} else if (!namespaced && o->meta.ns[0]) {
		decode_problem(d, n, "namespace", "has no place in a %s", kind_info(o->kind)->name);
	}
}

static void write_json(struct object *o, const struct tree *root)
{
	struct buf json;
	buf_init(&json, SIZE_MAX / 4);
	MUST(tree_write_json(root, &json)); /* no bound to reach */
	o->json = arena_dup_slice(o->arena, buf_slice(&json));
	buf_fini(&json);
}

/* Everything of the object comes from ARENA, which then is the object's. NULL: there were problems. */
static struct object *build(enum kind kind, struct tree *root, struct arena *a,
			    const struct object_source *source, struct arena *arena)
{
	const struct kind_info *info = kind_info(kind);
	const struct schema *schema = kind_schema(kind);
	struct object *o = arena_alloc(arena, sizeof(*o));
	void *body = arena_alloc(arena, schema->size);
	struct decoder d = {
		.arena = arena,
		.strict = source->options.strict,
		.lean = source->options.lean,
		.problem = source->problem,
		.ctx = source->ctx,
	};
	o->kind = kind;
	o->arena = arena;
	o->body = body;
	atomic_init(&o->refs, 1);
	o->origin_file = source->file ? arena_dup(arena, slice_of(source->file)) : "";
	o->origin_line = source->line;
	o->json = SLICE("");
	if (root->type == TREE_MAP) {
		complete(&d, root, a, info);
		read_meta(&d, o, root, a, source->options.ns);
	}
	decode(&d, schema, root, body);
	if (d.n_problems)
		return NULL;
	if (kind == KIND_ENDPOINT_SLICE) {
		const char *service = pairs_get(&o->meta.labels, LABEL_SERVICE_NAME);
		((struct endpoint_slice *)body)->service = service ? service : "";
	}
	if (kind == KIND_AUTHORIZATION_POLICY) {
		const char *dry_run = pairs_get(&o->meta.annotations, ANNOTATION_DRY_RUN);
		((struct authorization_policy *)body)->dry_run =
			dry_run && strcmp(dry_run, "true") == 0;
	}
	if (!source->options.lean)
		write_json(o, root);
	return o;
}

/* A sidecar holds many of these, so that none keeps memory that it does not need: one that does not fit into ROOM
 * bytes well is built again, in exactly what it took. *ROOM becomes that. */
static struct object *build_lean(enum kind kind, struct tree *root, struct arena *a,
				 const struct object_source *source, size_t *room)
{
	enum { SLACK = 16, WASTE = 32 };
	struct arena *arena = arena_new_sized(*room + SLACK);
	struct object *o = build(kind, root, a, source, arena);
	size_t used = arena_used(arena);
	if (o && arena_spare(arena) <= used / 16 + WASTE) {
		*room = used;
		return o;
	}
	arena_free(arena);
	if (!o)
		return NULL;
	*room = used;
	o = build(kind, root, a, source, arena_new_sized(used));
	MUST(o); /* nothing has changed */
	return o;
}

struct object *object_from_tree(enum kind kind, struct tree *root, struct arena *a,
				const struct object_source *source)
{
	enum { FIRST = 1024 };
	size_t room = FIRST;
	if (source->options.lean)
		return build_lean(kind, root, a, source, &room);
	struct arena *arena = arena_new();
	struct object *o = build(kind, root, a, source, arena);
	if (!o)
		arena_free(arena);
	return o;
}

/* The first problem becomes the error. */
static void first_problem(void *ctx, const struct tree *at, const char *member, const char *text)
{
	struct err *err = ctx;
	char path[256];
	if (!err || err->kind != ERR_NONE)
		return;
	tree_path(at, member, path, sizeof(path));
	(void)err_set(err, ERR_BAD_INPUT, "%s%s%s", path, path[0] ? ": " : "", text);
}

static struct object_source source_of(const struct object_options *options,
				      const struct object *origin, struct err *first)
{
	return (struct object_source){
		.options = *options,
		.file = origin ? origin->origin_file : NULL,
		.line = origin ? origin->origin_line : 0,
		.problem = first_problem,
		.ctx = first,
	};
}

static struct object *decode_node(enum kind kind, struct tree *root, struct arena *a,
				  const struct object_options *options, const struct object *origin,
				  struct err *err)
{
	struct err first = {.kind = ERR_NONE};
	struct object_source source = source_of(options, origin, &first);
	struct object *o = object_from_tree(kind, root, a, &source);
	if (!o && err)
		*err = first;
	return o;
}

struct object *object_decode(enum kind kind, struct slice json,
			     const struct object_options *options, struct err *err)
{
	struct arena *a = arena_new();
	struct tree *root = NULL;
	struct object *o = NULL;
	if (tree_from_json(a, json, &root, err))
		o = decode_node(kind, root, a, options, NULL, err);
	arena_free(a);
	return o;
}

struct object_reader {
	struct arena *tree;
	size_t room
		[N_KINDS]; /* what the last one of the kind took: the next one is often like it */
};

struct object_reader *object_reader_new(void)
{
	enum { TREE_BYTES = 16384 }; /* larger ones take more, and give it back */
	struct object_reader *r = mem_new(sizeof(*r));
	r->tree = arena_new_sized(TREE_BYTES);
	return r;
}

void object_reader_free(struct object_reader *r)
{
	if (!r)
		return;
	arena_free(r->tree);
	free(r);
}

struct object *object_read_lean(struct object_reader *r, enum kind kind, struct slice json,
				struct err *err)
{
	struct tree *root = NULL;
	struct object *o = NULL;
	struct err first = {.kind = ERR_NONE};
	struct object_options lean = {.lean = true};
	struct object_source source = source_of(&lean, NULL, &first);
	if (tree_from_json(r->tree, json, &root, &first))
		o = build_lean(kind, root, r->tree, &source, &r->room[kind]);
	if (!o && err)
		*err = first;
	arena_reset(r->tree);
	return o;
}

struct object *object_from_json(enum kind kind, struct slice json, bool strict, struct err *err)
{
	return object_decode(kind, json, &(struct object_options){.strict = strict}, err);
}

struct object *object_with(const struct object *o, const char *field, struct slice json,
			   struct err *err)
{
	struct arena *a = arena_new();
	struct tree *root = NULL, *part = NULL;
	struct object *changed = NULL;
	if (tree_from_json(a, o->json, &root, err) &&
	    (json.len == 0 || tree_from_json(a, json, &part, err))) {
		tree_set(root, slice_of(field), part);
		/* A new metadata may leave the namespace out: the object stays where it is. */
		struct object_options options = {.ns = o->meta.ns[0] ? o->meta.ns : NULL};
		changed = decode_node(o->kind, root, a, &options, o, err);
	}
	arena_free(a);
	return changed;
}

bool object_yaml(const struct object *o, struct buf *out)
{
	struct arena *a = arena_new();
	struct tree *root = NULL;
	bool ok = tree_from_json(a, o->json, &root, NULL) && tree_write_yaml(root, out);
	arena_free(a);
	return ok;
}
