/* Findings as they come together: kept, sorted, and taken out where somebody does not want them. */
#include <stdlib.h>
#include <string.h>

#include "analyze/inside.h"

static const struct check_info infos[N_CHECKS] = {
#define X(id, code, istio, level, stalls, name, text)                                              \
	[CHECK_##id] = {code, istio, LEVEL_##level, stalls, name, text},
	CHECKS(X)
#undef X
};

const struct check_info *check_info(enum check check)
{
	return &infos[check];
}

static const char *const levels[] = {
	[LEVEL_INFO] = "Info",
	[LEVEL_WARNING] = "Warning",
	[LEVEL_ERROR] = "Error",
};

const char *check_level_name(enum check_level level)
{
	return levels[level];
}

bool check_level_parse(const char *word, enum check_level *out)
{
	for (enum check_level l = LEVEL_INFO; l <= LEVEL_ERROR; l++)
		if (slice_eq_nocase(slice_of(word), slice_of(levels[l]))) {
			*out = l;
			return true;
		}
	return false;
}

enum check check_find(const char *code, enum check from)
{
	struct slice word = slice_of(code);
	while (from < N_CHECKS && !slice_eq_nocase(word, slice_of(infos[from].code)) &&
	       (!infos[from].istio[0] || !slice_eq_nocase(word, slice_of(infos[from].istio))))
		from++;
	return from;
}

static const char *or_nothing(const char *text)
{
	return text ? text : "";
}

void finding_add_raw(struct analysis *a, struct finding f)
{
	if (a->n_findings == a->size_findings) {
		a->size_findings = a->size_findings ? a->size_findings * 2 : 64;
		a->findings = mem_grow(a->findings, a->size_findings, sizeof(*a->findings));
	}
	a->findings[a->n_findings++] = f;
}

void finding_add(struct analysis *a, enum check check, const struct object *o, const char *path,
		 const struct said *said)
{
	bool read = a->manifest && o->origin_file[0];
	finding_add_raw(a,
			(struct finding){
				.check = check,
				.object = o,
				.kind = kind_info(o->kind)->name,
				.ns = o->meta.ns,
				.name = o->meta.name,
				.file = o->origin_file,
				.line = read ? manifest_line(a->manifest, o, path) : o->origin_line,
				.path = path,
				.text = said->text,
				.why = or_nothing(said->why),
				.effect = or_nothing(said->effect),
				.affected = or_nothing(said->affected),
				.mend = or_nothing(said->mend),
				.yaml = or_nothing(said->yaml),
			});
}

/* Suppression */

/* PATTERN with stars, each for any text. */
static bool matches(const char *pattern, const char *text)
{
	const char *star = NULL, *back = NULL; /* where to go on when the star takes one more */
	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			back = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++back;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool analysis_suppress(struct analysis *a, const char *what, struct err *err)
{
	struct slice rest = slice_of(what);
	bool all_resources = slice_find(rest, '=') == rest.len;
	const char *code = arena_dup(a->arena, slice_trim(slice_cut(&rest, '=')));
	bool all = strcmp(code, "*") == 0;
	enum check check = all ? N_CHECKS : check_find(code, 0);
	if (!all && check == N_CHECKS)
		return err_set(err, ERR_BAD_INPUT, "\"%s\" is no code of a finding", code);
	if (!all_resources && slice_trim(rest).len == 0)
		return err_set(err, ERR_BAD_INPUT, "expected CODE=KIND NAMESPACE/NAME, got \"%s\"",
			       what);
	const char *resource = all_resources ? NULL : arena_dup(a->arena, slice_trim(rest));
	do {
		if (a->n_suppressions == a->size_suppressions) {
			a->size_suppressions = a->size_suppressions ? a->size_suppressions * 2 : 8;
			a->suppressions = mem_grow(a->suppressions, a->size_suppressions,
						   sizeof(*a->suppressions));
		}
		a->suppressions[a->n_suppressions++] = (struct suppression){check, resource};
	} while (!all && (check = check_find(code, check + 1)) < N_CHECKS);
	return true;
}

static bool by_option(const struct analysis *a, const struct finding *f)
{
	const char *here = say(a, "%s %s%s%s", f->kind, f->ns, f->ns[0] ? "/" : "", f->name);
	const char *istio = say(a, "%s %s%s%s", f->kind, f->name, f->ns[0] ? "." : "", f->ns);
	for (size_t i = 0; i < a->n_suppressions; i++) {
		const struct suppression *s = &a->suppressions[i];
		if ((s->check == N_CHECKS || s->check == f->check) &&
		    (!s->resource || matches(s->resource, here) || matches(s->resource, istio)))
			return true;
	}
	return false;
}

static bool by_annotation(const struct finding *f, const char *annotation)
{
	const char *text = f->object ? pairs_get(&f->object->meta.annotations, annotation) : NULL;
	struct slice rest = slice_of(text);
	while (rest.len) {
		struct slice code = slice_trim(slice_cut(&rest, ','));
		if (slice_is(code, "*") || slice_eq_nocase(code, slice_of(infos[f->check].code)) ||
		    (code.len && slice_eq_nocase(code, slice_of(infos[f->check].istio))))
			return true;
	}
	return false;
}

/* Order */

static int first_difference(const int *orders, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (orders[i])
			return orders[i];
	return 0;
}

static int compare(const void *x, const void *y)
{
	const struct finding *f = x, *g = y;
	int orders[] = {
		(int)infos[g->check].level - (int)infos[f->check].level,
		(int)f->check - (int)g->check,
		strcmp(f->ns, g->ns),
		strcmp(f->name, g->name),
		strcmp(f->kind, g->kind),
		strcmp(f->file, g->file),
		(f->line > g->line) - (f->line < g->line),
		strcmp(f->path, g->path),
		strcmp(f->text, g->text),
	};
	return first_difference(orders, N_ELEMS(orders));
}

/* Checks that tell of a refused resource, with more than the decoder knows. */
static bool tells_refusal(enum check check)
{
	return check == CHECK_MODE_NO_SELECTOR || check == CHECK_NO_CERTIFICATE ||
	       check == CHECK_UNKNOWN_KEY || check == CHECK_CUSTOM;
}

/* F, what the decoder said, is told by one of them already. */
static bool is_told(struct analysis *a, const struct finding *f)
{
	for (size_t i = 0; f->check == CHECK_UNREADABLE && i < a->n_findings; i++) {
		struct finding *g = &a->findings[i];
		if (!tells_refusal(g->check) || strcmp(f->kind, g->kind) != 0 ||
		    strcmp(f->ns, g->ns) != 0 || strcmp(f->name, g->name) != 0 ||
		    !slice_starts(slice_of(f->path), slice_of(g->path)))
			continue;
		if (!g->why[0])
			g->why = f->text;
		return true;
	}
	return false;
}

/* Each thing is said once. */
static void leave_out_told(struct analysis *a)
{
	size_t n = 0;
	for (size_t i = 0; i < a->n_findings; i++)
		if (!is_told(a, &a->findings[i]))
			a->findings[n++] = a->findings[i];
	a->n_findings = n;
}

void findings_finish(struct analysis *a)
{
	size_t n = 0;
	leave_out_told(a);
	if (a->n_findings)
		qsort(a->findings, a->n_findings, sizeof(*a->findings), compare);
	for (size_t i = 0; i < a->n_findings; i++) {
		const struct finding *f = &a->findings[i];
		if (i && compare(f, &a->findings[i - 1]) == 0)
			continue;
		if (by_option(a, f) || by_annotation(f, ANNOTATION_SUPPRESS) ||
		    by_annotation(f, ANNOTATION_SUPPRESS_ISTIO))
			a->n_suppressed++;
		else
			a->findings[n++] = *f;
	}
	a->n_findings = n;
}
