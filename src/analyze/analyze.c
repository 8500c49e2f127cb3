#include "analyze/analyze.h"

#include <stdlib.h>
#include <string.h>

#include "analyze/inside.h"

struct analysis *analysis_new(bool live)
{
	struct analysis *a = mem_new(sizeof(*a));
	a->arena = arena_new();
	a->learned = live_new();
	a->live = live;
	return a;
}

void analysis_free(struct analysis *a)
{
	if (!a)
		return;
	view_put(a->view);
	for (size_t i = 0; i < a->n_groups; i++)
		object_put(a->groups[i].pod);
	for (enum kind k = 0; k < N_KINDS; k++)
		object_set_fini(&a->sets[k]);
	live_free(a->learned);
	free(a->services);
	free(a->targets);
	free(a->suppressions);
	free(a->findings);
	arena_free(a->arena);
	free(a);
}

void analysis_add(struct analysis *a, const struct object *o)
{
	object_set_put(&a->sets[o->kind], o);
}

void analysis_manifest(struct analysis *a, const struct manifest *m)
{
	a->manifest = m;
	for (size_t i = 0; i < m->n_objects; i++)
		analysis_add(a, m->objects[i]);
}

size_t analysis_n_objects(const struct analysis *a)
{
	size_t n = 0;
	for (enum kind k = 0; k < N_KINDS; k++)
		n += a->sets[k].n;
	return n;
}

/* What could not be read. */

void analysis_unreadable(struct analysis *a, enum kind kind, const char *ns, const char *name,
			 const char *why)
{
	finding_add_raw(a, (struct finding){
				   .check = CHECK_UNREADABLE,
				   .kind = kind_info(kind)->name,
				   .ns = arena_dup(a->arena, slice_of(ns)),
				   .name = arena_dup(a->arena, slice_of(name)),
				   .file = "",
				   .path = "",
				   .text = arena_dup(a->arena, slice_of(why)),
				   .why = "",
				   .effect = "the analysis goes on with the rest",
				   .affected = "",
				   .mend = "",
				   .yaml = "",
			   });
}

static void check_problems(struct analysis *a, const struct manifest *m)
{
	size_t n_shown = 0;
	for (size_t i = 0; i < m->n_problems; i++) {
		const struct problem *p = &m->problems[i];
		if (p->severity != PROBLEM_ERROR)
			continue;
		n_shown++;
		finding_add_raw(
			a,
			(struct finding){
				.check = CHECK_UNREADABLE,
				.kind = p->kind,
				.ns = p->ns,
				.name = p->name,
				.file = p->file,
				.line = p->line,
				.path = p->path,
				.text = p->text,
				.why = "",
				.effect = "hark apply refuses the file; the analysis goes on with "
					  "the rest",
				.affected = "",
				.mend = "",
				.yaml = "",
			});
	}
	if (m->n_errors > n_shown)
		finding_add_raw(a,
				(struct finding){
					.check = CHECK_UNREADABLE,
					.kind = "",
					.ns = "",
					.name = "",
					.file = "",
					.path = "",
					.text = say(a, "%zu more resources or fields do not decode",
						    m->n_errors - n_shown),
					.why = "",
					.effect = "",
					.affected = "",
					.mend = "mend those above and ask again",
					.yaml = "",
				});
}

static void check_strangers(struct analysis *a, const struct manifest *m)
{
	for (size_t i = 0; i < m->n_strangers; i++) {
		const struct stranger *s = &m->strangers[i];
		finding_add_raw(
			a, (struct finding){
				   .check = CHECK_STRANGER,
				   .kind = s->kind,
				   .ns = s->ns,
				   .name = s->name,
				   .file = s->file,
				   .line = s->line,
				   .path = "kind",
				   .text = say(a, "\"%s\" is no kind that hark knows", s->kind),
				   .why = "",
				   .effect = "it is not looked at, and hark apply refuses it",
				   .affected = "",
				   .mend = "",
				   .yaml = "",
			   });
	}
}

/* On a running mesh: what an API server has let pass. Sidecars go on with the last good one. */
static void check_mesh_config(struct analysis *a)
{
	size_t at = 0;
	struct err err = {0};
	struct mesh_config config;
	const struct object_set *set = &a->sets[KIND_CONFIG_MAP];
	if (a->manifest || !object_set_find(set, MESH_CONFIG_NS, MESH_CONFIG_NAME, &at) ||
	    mesh_config_decode(set->at[at], a->arena, &config, &err))
		return;
	finding_add(a, CHECK_UNREADABLE, set->at[at], "data",
		    &(struct said){
			    .text = say(a, "%s", err.text),
			    .effect = "sidecars go on with the last good configuration",
		    });
}

static void check_files(struct analysis *a)
{
	if (a->manifest) {
		check_problems(a, a->manifest);
		check_strangers(a, a->manifest);
	}
	check_mesh_config(a);
}

void analysis_run(struct analysis *a)
{
	world_build(a);
	check_files(a);
	analyze_ports(a);
	analyze_targets(a);
	analyze_capture(a);
	analyze_peers(a);
	analyze_transport(a);
	analyze_rules(a);
	analyze_policies(a);
	findings_finish(a);
}

/* What came of it */

size_t analysis_count(const struct analysis *a)
{
	return a->n_findings;
}

const struct finding *analysis_finding(const struct analysis *a, size_t i)
{
	return &a->findings[i];
}

size_t analysis_n_suppressed(const struct analysis *a)
{
	return a->n_suppressed;
}

static bool is_in(const struct analysis_filter *filter, const struct finding *f)
{
	return !filter->ns || strcmp(filter->ns, f->ns) == 0;
}

static bool is_shown(const struct analysis_filter *filter, const struct finding *f)
{
	return is_in(filter, f) && check_info(f->check)->level >= filter->at_least;
}

size_t analysis_count_level(const struct analysis *a, const struct analysis_filter *filter,
			    enum check_level level)
{
	size_t n = 0;
	for (size_t i = 0; i < a->n_findings; i++)
		n += is_shown(filter, &a->findings[i]) &&
		     check_info(a->findings[i].check)->level == level;
	return n;
}

bool analysis_fails(const struct analysis *a, const struct analysis_filter *filter,
		    const enum check_level *threshold)
{
	for (size_t i = 0; i < a->n_findings; i++) {
		const struct check_info *info = check_info(a->findings[i].check);
		bool bad = threshold ? info->level >= *threshold
				     : info->level == LEVEL_ERROR || info->stalls;
		if (bad && is_in(filter, &a->findings[i]))
			return true;
	}
	return false;
}

/* As text. A refused write shows in out->full, tested once at the end. */

static void lines_of(const char *text, struct buf *out)
{
	struct slice rest = slice_of(text);
	while (rest.len) {
		struct slice line = slice_cut(&rest, '\n');
		(void)buf_printf(out, "      %.*s\n", SLICE_FMT(line));
	}
}

static void line_of(const char *what, const char *text, struct buf *out)
{
	if (text[0])
		(void)buf_printf(out, "  %-10s%s\n", what, text);
}

static void finding_text(const struct finding *f, struct buf *out)
{
	const struct check_info *info = check_info(f->check);
	(void)buf_printf(out, "%s [%s] (", check_level_name(info->level), info->code);
	const char *sep = "";
	if (f->kind[0]) {
		(void)buf_printf(out, "%s %s%s%s", f->kind, f->ns, f->ns[0] ? "/" : "", f->name);
		sep = " ";
	}
	if (f->file[0] && f->line)
		(void)buf_printf(out, "%s%s:%u", sep, f->file, f->line);
	else if (f->file[0])
		(void)buf_printf(out, "%s%s", sep, f->file);
	else if (f->path[0])
		(void)buf_printf(out, "%s%s", sep, f->path);
	(void)buf_printf(out, ") %s\n", f->text);
	if (f->file[0])
		line_of("at:", f->path, out);
	line_of("why:", f->why, out);
	line_of("then:", f->effect, out);
	line_of("affected:", f->affected, out);
	line_of("mend:", f->mend, out);
	lines_of(f->yaml, out);
}

bool analysis_text(const struct analysis *a, const struct analysis_filter *filter, struct buf *out)
{
	for (size_t i = 0; i < a->n_findings; i++)
		if (is_shown(filter, &a->findings[i]))
			finding_text(&a->findings[i], out);
	return !out->full;
}

/* As JSON */

static void text_or_nil(struct json_out *j, const char *key, const char *text)
{
	json_cstr(j, key, text[0] ? text : NULL);
}

static void finding_json(const struct finding *f, struct json_out *j)
{
	const struct check_info *info = check_info(f->check);
	json_open_object(j, NULL);
	json_cstr(j, "code", info->code);
	text_or_nil(j, "istio_code", info->istio);
	json_cstr(j, "level", check_level_name(info->level));
	json_cstr(j, "check", info->name);
	json_bool(j, "stalls_elsewhere", info->stalls);
	text_or_nil(j, "kind", f->kind);
	text_or_nil(j, "namespace", f->ns);
	text_or_nil(j, "name", f->name);
	text_or_nil(j, "file", f->file);
	if (f->line)
		json_u64(j, "line", f->line);
	else
		json_nil(j, "line");
	text_or_nil(j, "path", f->path);
	json_cstr(j, "text", f->text);
	text_or_nil(j, "why", f->why);
	text_or_nil(j, "effect", f->effect);
	text_or_nil(j, "affected", f->affected);
	text_or_nil(j, "mend", f->mend);
	text_or_nil(j, "yaml", f->yaml);
	json_close(j);
}

bool analysis_json(const struct analysis *a, const struct analysis_filter *filter, struct buf *out)
{
	struct json_out j;
	json_out_init(&j, out);
	json_open_object(&j, NULL);
	json_u64(&j, "resources", analysis_n_objects(a));
	json_u64(&j, "errors", analysis_count_level(a, filter, LEVEL_ERROR));
	json_u64(&j, "warnings", analysis_count_level(a, filter, LEVEL_WARNING));
	json_u64(&j, "infos", analysis_count_level(a, filter, LEVEL_INFO));
	json_u64(&j, "suppressed", a->n_suppressed);
	json_open_array(&j, "findings");
	for (size_t i = 0; i < a->n_findings; i++)
		if (is_shown(filter, &a->findings[i]))
			finding_json(&a->findings[i], &j);
	json_close(&j);
	json_close(&j);
	return !out->full;
}

bool analysis_list(struct buf *out)
{
	for (enum check c = 0; c < N_CHECKS; c++) {
		const struct check_info *info = check_info(c);
		(void)buf_printf(out, "%-8s %-8s %-8s %-27s %s\n", info->code,
				 info->istio[0] ? info->istio : "-", check_level_name(info->level),
				 info->name, info->text);
	}
	return !out->full;
}
