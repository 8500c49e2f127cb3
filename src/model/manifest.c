#include "model/manifest.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/manifest_inside.h"
#include "model/mesh_config.h"
#include "model/object_tree.h"
#include "model/tree_yaml.h"

enum { MAX_PROBLEMS = 100 };

void manifest_init(struct manifest *m)
{
	*m = (struct manifest){.arena = arena_new()};
	m->inside = arena_alloc(m->arena, sizeof(*m->inside));
}

void manifest_fini(struct manifest *m)
{
	for (size_t i = 0; i < m->n_objects; i++)
		object_put(m->objects[i]);
	for (size_t i = 0; i < N_KINDS; i++)
		object_set_fini(&m->inside->sets[i]);
	free(m->inside->roots);
	free(m->objects);
	free(m->problems);
	free(m->strangers);
	arena_free(m->arena);
	*m = (struct manifest){0};
}

static const char *text_of(const struct tree *map, const char *member)
{
	const struct tree *n = tree_get(map, member);
	return n && n->type == TREE_STRING ? n->text.at : NULL;
}

/* The text there, or "". */
static const char *text_at(const struct tree *root, const char *path)
{
	const struct tree *n = root ? tree_at(root, path) : NULL;
	return n && n->type == TREE_STRING ? n->text.at : "";
}

void manifest_add(struct manifest *m, enum severity severity, const char *file, unsigned line,
		  const char *path, const char *text)
{
	m->n_errors += severity == PROBLEM_ERROR;
	if (m->n_problems == MAX_PROBLEMS)
		return;
	if (m->n_problems == m->size_problems) {
		m->size_problems = m->size_problems ? m->size_problems * 2 : 8;
		m->problems = mem_grow(m->problems, m->size_problems, sizeof(*m->problems));
	}
	m->problems[m->n_problems++] = (struct problem){
		.severity = severity,
		.file = arena_dup(m->arena, slice_of(file)),
		.line = line,
		.path = arena_dup(m->arena, slice_of(path)),
		.text = arena_dup(m->arena, slice_of(text)),
		.kind = text_at(m->inside->root, "kind"),
		.ns = text_at(m->inside->root, "metadata.namespace"),
		.name = text_at(m->inside->root, "metadata.name"),
	};
}

const struct object *manifest_get(const struct manifest *m, enum kind kind, const char *ns,
				  const char *name)
{
	const struct object_set *set = &m->inside->sets[kind];
	size_t at = 0;
	return object_set_find(set, ns, name, &at) ? set->at[at] : NULL;
}

/* The node at PATH, or the nearest one above it. */
static const struct tree *nearest_node(const struct tree *root, const char *path)
{
	char part[256];
	(void)snprintf(part, sizeof(part), "%s", path); /* a longer one points at what is above */
	const struct tree *n;
	while (!(n = tree_at(root, part))) {
		size_t cut = strlen(part);
		while (cut && part[cut] != '.' && part[cut] != '[')
			cut--;
		part[cut] = '\0';
	}
	return n;
}

/* As it was written; NULL: O was not read here. */
static const struct tree *root_of(const struct manifest *m, const struct object *o)
{
	for (size_t i = 0; i < m->n_objects; i++)
		if (m->objects[i] == o)
			return m->inside->roots[i];
	return NULL;
}

unsigned manifest_line(const struct manifest *m, const struct object *o, const char *path)
{
	const struct tree *root = root_of(m, o);
	return root ? nearest_node(root, path)->line : o->origin_line;
}

void manifest_problem(struct manifest *m, enum severity severity, const struct object *o,
		      const char *path, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut short is fine */
	va_end(args);
	m->inside->root = root_of(m, o);
	manifest_add(m, severity, o->origin_file, manifest_line(m, o, path), path, text);
	m->inside->root = NULL;
}

static void on_problem(void *ctx, const struct tree *at, const char *member, const char *text)
{
	struct manifest *m = ctx;
	char path[512];
	const struct tree *named = member ? tree_get(at, member) : NULL;
	manifest_add(m, PROBLEM_ERROR, m->inside->file, (named ? named : at)->line,
		     tree_path(at, member, path, sizeof(path)), text);
}

static void keep(struct manifest *m, struct object *o, const struct tree *root)
{
	struct manifest_inside *in = m->inside;
	const struct object *twin = manifest_get(m, o->kind, o->meta.ns, o->meta.name);
	if (twin) {
		char name[400], text[700];
		(void)snprintf(text, sizeof(text), "%s is already in %s:%u",
			       object_text(o, name, sizeof(name)), twin->origin_file,
			       twin->origin_line);
		manifest_add(m, PROBLEM_ERROR, in->file, o->origin_line, "metadata.name", text);
		object_put(o);
		return;
	}
	object_set_put(&in->sets[o->kind], o);
	if (m->n_objects == m->size_objects) {
		m->size_objects = m->size_objects ? m->size_objects * 2 : 16;
		m->objects = mem_grow(m->objects, m->size_objects, sizeof(struct object *));
		in->roots = mem_grow(in->roots, m->size_objects, sizeof(struct tree *));
	}
	in->roots[m->n_objects] = root;
	m->objects[m->n_objects++] = o;
}

/* Problems inside the texts of the mesh configuration, at their lines in the file. */
struct mesh_place {
	struct manifest *m;
	const struct tree *data;
};

static void on_mesh_problem(void *ctx, const struct mesh_problem *p)
{
	struct mesh_place *place = ctx;
	const struct tree *text = tree_get(place->data, p->key);
	unsigned line = text ? text->line : 0;
	char path[400];
	if (text && text->literal)
		line += p->line;
	(void)snprintf(path, sizeof(path), "data.%s%s%s", p->key, p->path[0] ? ": " : "", p->path);
	manifest_add(place->m, PROBLEM_ERROR, place->m->inside->file, line, path, p->text);
}

static void check_mesh(struct manifest *m, const struct object *o, const struct tree *root)
{
	if (o->kind != KIND_CONFIG_MAP || strcmp(o->meta.ns, MESH_CONFIG_NS) != 0 ||
	    strcmp(o->meta.name, MESH_CONFIG_NAME) != 0)
		return;
	struct mesh_place place = {m, tree_get(root, "data")};
	struct mesh_config config;
	/* Told through the callback; the configuration itself is not wanted here. */
	if (!mesh_config_read(&o->config_map->data, true, m->arena, &config, on_mesh_problem,
			      &place))
		return;
}

static void note_image(struct manifest *m, const struct object *o, const struct tree *root)
{
	const struct pod_spec *spec = o->kind == KIND_POD          ? &o->pod->spec
				      : o->kind == KIND_DEPLOYMENT ? &o->deployment->template_spec
								   : NULL;
	const char *before = o->kind == KIND_POD ? "" : "spec.template.";
	if (!spec || m->inside->image_noted)
		return;
	for (size_t i = 0; i < spec->n_containers; i++) {
		char path[80];
		if (!spec->containers[i].image[0])
			continue;
		(void)snprintf(path, sizeof(path), "%sspec.containers[%zu].image", before, i);
		const struct tree *n = tree_at(root, path);
		m->inside->image_noted = true;
		manifest_add(m, PROBLEM_NOTE, m->inside->file, n ? n->line : o->origin_line, path,
			     "image is ignored by hark up: commands run from this machine");
		return;
	}
}

static void note_stranger(struct manifest *m, const struct tree *root)
{
	if (m->n_strangers == m->size_strangers) {
		m->size_strangers = m->size_strangers ? m->size_strangers * 2 : 8;
		m->strangers = mem_grow(m->strangers, m->size_strangers, sizeof(*m->strangers));
	}
	const char *ns = text_at(root, "metadata.namespace");
	m->strangers[m->n_strangers++] = (struct stranger){
		.api_version = text_at(root, "apiVersion"),
		.kind = text_at(root, "kind"),
		.ns = ns[0] ? ns : "default",
		.name = text_at(root, "metadata.name"),
		.file = arena_dup(m->arena, slice_of(m->inside->file)),
		.line = root->line,
	};
}

/* The kind that ROOT says it is; NULL, and told, when there is none such. */
static const struct kind_info *kind_of(struct manifest *m, const struct tree *root)
{
	const char *version = text_of(root, "apiVersion"), *kind = text_of(root, "kind");
	char text[300];
	if (!version || !kind) {
		on_problem(m, root, version ? "kind" : "apiVersion", "is required");
		return NULL;
	}
	const struct kind_info *info = kind_by_gvk(slice_of(version), slice_of(kind));
	if (info)
		return info;
	struct nearest near = {.word = slice_of(kind)};
	for (enum kind k = 0; k < N_KINDS; k++) {
		info = kind_info(k);
		if (strcmp(kind, info->name) == 0) {
			(void)snprintf(text, sizeof(text),
				       "expected \"%s\" for a %s, got \"%.80s\"", info->api_version,
				       info->name, version);
			on_problem(m, root, "apiVersion", text);
			return NULL;
		}
		nearest_try(&near, info->name);
	}
	if (m->survey) {
		note_stranger(m, root);
		return NULL;
	}
	(void)snprintf(text, sizeof(text), "\"%.80s\" is no kind that hark knows%s%s%s", kind,
		       near.best ? ", did you mean \"" : "", near.best ? near.best : "",
		       near.best ? "\"?" : "");
	on_problem(m, root, "kind", text);
	return NULL;
}

static void no_problem(void *ctx, const struct tree *at, const char *member, const char *text)
{
	(void)ctx, (void)at, (void)member, (void)text; /* told before, by the strict reading */
}

/* What people write says what shall be, not what is. But the addresses of an exported ServiceEntry are
 * those that its clients know. */
static void drop_status(struct manifest *m, enum kind kind, struct tree *root)
{
	const struct tree *old = tree_get(root, "status");
	struct tree *addresses = old ? tree_get(old, "addresses") : NULL;
	tree_set(root, SLICE("status"), NULL);
	if (kind != KIND_SERVICE_ENTRY || !addresses)
		return;
	struct tree *status = tree_new(m->arena, TREE_MAP);
	status->line = old->line;
	tree_add(status, SLICE("addresses"), addresses);
	tree_set(root, SLICE("status"), status);
}

static void read_resource(struct manifest *m, struct tree *root)
{
	const struct kind_info *info = kind_of(m, root);
	if (!info)
		return;
	struct object_source source = {
		.options = {.strict = true},
		.file = m->inside->file,
		.line = root->line,
		.problem = on_problem,
		.ctx = m,
	};
	drop_status(m, info->kind, root);
	struct object *o = object_from_tree(info->kind, root, m->arena, &source);
	if (!o && m->survey) {
		source.options.strict = false;
		source.problem = no_problem;
		o = object_from_tree(info->kind, root, m->arena, &source);
	}
	if (!o)
		return;
	if (!o->meta.name[0]) {
		on_problem(m, tree_get(root, "metadata"), "name", "is required");
		object_put(o);
		return;
	}
	check_mesh(m, o, root);
	note_image(m, o, root);
	keep(m, o, root);
}

static void read_document(struct manifest *m, struct tree *root)
{
	const char *kind = text_of(root, "kind");
	if (root->type == TREE_NULL)
		return; /* nothing between two lines of dashes */
	if (root->type != TREE_MAP) {
		on_problem(m, root, NULL, "expected a resource with apiVersion, kind and metadata");
		return;
	}
	const struct tree *items = tree_get(root, "items");
	if (!kind || !slice_ends(slice_of(kind), SLICE("List")) || !items) {
		m->inside->root = root;
		read_resource(m, root);
		m->inside->root = NULL;
		return;
	}
	if (items->type != TREE_SEQ) {
		on_problem(m, items, NULL, "expected a list of resources");
		return;
	}
	for (struct tree *item = items->first, *next; item; item = next) {
		next = item->next;
		item->parent = NULL; /* paths are told from the resource */
		m->inside->root = item;
		if (item->type == TREE_MAP)
			read_resource(m, item);
		else
			on_problem(m, item, NULL, "expected a resource");
		m->inside->root = NULL;
	}
}

void manifest_read(struct manifest *m, const char *file, struct slice text)
{
	struct yaml *y = yaml_open(text);
	struct tree *root = NULL;
	struct err err = {0};
	unsigned line = 0;
	enum yaml_result got;
	m->inside->file = file;
	while ((got = yaml_next(y, m->arena, &root, &err, &line)) != YAML_END) {
		if (got == YAML_BAD)
			manifest_add(m, PROBLEM_ERROR, file, line, "", err.text);
		else
			read_document(m, root);
	}
	yaml_close(y);
	m->inside->file = NULL;
}

bool manifest_print(const struct manifest *m, struct buf *out)
{
	size_t shown_errors = 0;
	for (size_t i = 0; i < m->n_problems; i++) {
		const struct problem *p = &m->problems[i];
		shown_errors += p->severity == PROBLEM_ERROR;
		/* A refused write shows in out->full, tested once below. */
		(void)buf_puts(out, p->file);
		if (p->line)
			(void)buf_printf(out, ":%u", p->line);
		(void)buf_printf(out, ": %s%s%s%s\n", p->severity == PROBLEM_NOTE ? "note: " : "",
				 p->path, p->path[0] ? ": " : "", p->text);
	}
	if (m->n_errors > shown_errors)
		(void)buf_printf(out, "and %zu more errors\n", m->n_errors - shown_errors);
	return !out->full;
}
