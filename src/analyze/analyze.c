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
	analyze_origination(a);
	analyze_policies(a);
	analyze_entries(a);
	analyze_sidecars(a);
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
