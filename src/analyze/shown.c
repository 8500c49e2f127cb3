/* Findings for people and programs. A refused write shows in out->full, tested once at the end. */
#include <string.h>

#include "analyze/inside.h"

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

/* As text */

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
