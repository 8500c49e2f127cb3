#include "model/decode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/kinds.h"
#include "model/tree_yaml.h"

void decode_problem(struct decoder *d, const struct tree *n, const char *member, const char *fmt,
		    ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut short is fine */
	va_end(args);
	d->n_problems++;
	if (d->problem)
		d->problem(d->ctx, n, member, text);
}

void decode_expected(struct decoder *d, const struct tree *n, const char *what)
{
	char got[128];
	decode_problem(d, n, NULL, "expected %s, got %s", what, tree_describe(n, got, sizeof(got)));
}

/* Levenshtein distance, or LIMIT when it is not below that. */
static unsigned edit_distance(struct slice a, struct slice b, unsigned limit)
{
	enum { MAX = 64 };
	unsigned row[MAX + 1];
	if (a.len > MAX || b.len > MAX)
		return limit;
	for (unsigned j = 0; j <= b.len; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b.len; j++) {
			unsigned above = row[j];
			unsigned best = diagonal + (a.at[i - 1] != b.at[j - 1]);
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = above;
			row[j] = best;
		}
	}
	return row[b.len] < limit ? row[b.len] : limit;
}

void nearest_try(struct nearest *near, const char *candidate)
{
	unsigned limit = near->best ? near->distance : (unsigned)near->word.len / 3 + 2;
	struct slice c = slice_of(candidate);
	unsigned distance =
		slice_eq_nocase(c, near->word) ? 0 : edit_distance(near->word, c, limit);
	if (distance < limit) {
		near->best = candidate;
		near->distance = distance;
	}
}

const char *decode_string(struct decoder *d, const struct tree *n)
{
	if (n->type == TREE_STRING)
		return n->text.at;
	char got[128];
	bool quotable = n->type == TREE_BOOL || n->type == TREE_INT || n->type == TREE_REAL;
	decode_problem(d, n, NULL, "expected a string, got %s%s",
		       tree_describe(n, got, sizeof(got)),
		       quotable && n->line ? " (put it in quotes)" : "");
	return NULL;
}

static void store_uint(void *at, size_t width, uint64_t value)
{
	switch (width) {
	case 1:
		*(uint8_t *)at = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)at = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)at = (uint32_t)value;
		break;
	case 8:
		*(uint64_t *)at = value;
		break;
	default:
		MUST(!"width of an unsigned member");
	}
}

static void read_uint(struct decoder *d, const struct field *f, const struct tree *n, void *at)
{
	if (n->type != TREE_INT || n->integer < 0 || (uint64_t)n->integer < f->min ||
	    (uint64_t)n->integer > f->max) {
		char what[64];
		(void)snprintf(what, sizeof(what), "an integer %llu..%llu",
			       (unsigned long long)f->min, (unsigned long long)f->max);
		decode_expected(d, n, what);
		return;
	}
	store_uint(at, f->width, (uint64_t)n->integer);
}

static void read_bool(struct decoder *d, struct tree *n, bool *at)
{
	bool value = false;
	if (n->type == TREE_STRING && n->plain && yaml_boolean_word(n->text, &value)) {
		n->type = TREE_BOOL;
		n->boolean = value;
	}
	if (n->type != TREE_BOOL) {
		decode_expected(d, n, "true or false");
		return;
	}
	*at = n->boolean;
}

static void read_enum(struct decoder *d, const struct field *f, const struct tree *n, void *at)
{
	char list[256] = "one of";
	for (unsigned i = 0; n->type == TREE_STRING && f->words[i]; i++)
		if (slice_is(n->text, f->words[i])) {
			store_uint(at, f->width, i);
			return;
		}
	for (unsigned i = 0; f->words[i]; i++) {
		size_t used = strlen(list);
		(void)snprintf(list + used, sizeof(list) - used, "%s %s", i ? "," : "",
			       f->words[i]); /* cut short is fine */
	}
	decode_expected(d, n, list);
}

bool duration_parse(struct slice text, uint64_t *ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"ns", 1},       {"us", NS_PER_US},    {"ms", NS_PER_MS},
		     {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}};
	double sum = 0;
	if (slice_is(text, "0")) {
		*ns = 0;
		return true;
	}
	if (text.len == 0)
		return false;
	while (text.len) {
		char number[24];
		size_t len = 0;
		while (len < text.len && len < sizeof(number) - 1 &&
		       ((text.at[len] >= '0' && text.at[len] <= '9') || text.at[len] == '.')) {
			number[len] = text.at[len];
			len++;
		}
		number[len] = '\0';
		char *end = NULL;
		double value = strtod(number, &end);
		if (len == 0 || *end)
			return false;
		text = slice_sub(text, len, text.len);
		size_t unit_len = 0;
		while (unit_len < text.len && text.at[unit_len] >= 'a' && text.at[unit_len] <= 'z')
			unit_len++;
		uint64_t unit = 0;
		for (size_t i = 0; i < N_ELEMS(units); i++)
			if (slice_is(slice_sub(text, 0, unit_len), units[i].name))
				unit = units[i].ns;
		if (!unit)
			return false;
		sum += value * (double)unit;
		text = slice_sub(text, unit_len, text.len);
	}
	if (sum > 9e18)
		return false;
	*ns = (uint64_t)(sum + 0.5);
	return true;
}

static void read_duration(struct decoder *d, const struct field *f, const struct tree *n, void *at)
{
	uint64_t ns = 0, limit = f->width == 4 ? UINT32_MAX : UINT64_MAX;
	if (n->type != TREE_STRING || !duration_parse(n->text, &ns)) {
		decode_expected(d, n, "a duration like \"5s\", \"1m30s\" or \"100ms\"");
		return;
	}
	uint64_t value = (ns + f->max / 2) / f->max;
	if (value > limit || (ns > 0 && value == 0)) {
		char got[128];
		decode_problem(d, n, NULL, "%s is out of range: it counts in units of %s",
			       tree_describe(n, got, sizeof(got)),
			       f->max == NS_PER_S    ? "1s"
			       : f->max == NS_PER_MS ? "1ms"
						     : "1us");
		return;
	}
	if (value < f->min) {
		char got[128];
		decode_problem(d, n, NULL, "%s is too short", tree_describe(n, got, sizeof(got)));
		return;
	}
	store_uint(at, f->width, value);
}

static int pair_cmp(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	return strcmp(x->key, y->key);
}

void decode_pairs(struct decoder *d, const struct tree *n, bool (*keep)(struct slice key),
		  struct pairs *out)
{
	if (n->type != TREE_MAP) {
		decode_expected(d, n, "an object of strings");
		return;
	}
	struct pair *all = arena_array(d->arena, n->n, sizeof(*all));
	size_t count = 0;
	for (const struct tree *c = n->first; c; c = c->next) {
		if (keep && !keep(c->key))
			continue;
		const char *value = c->type == TREE_NULL ? "" : decode_string(d, c);
		if (value)
			all[count++] = (struct pair){arena_dup(d->arena, c->key),
						     arena_dup(d->arena, slice_of(value))};
	}
	if (count)
		qsort(all, count, sizeof(*all), pair_cmp);
	*out = (struct pairs){all, count};
}

static void read_strings(struct decoder *d, const struct tree *n, const char *const **at)
{
	if (n->type != TREE_SEQ) {
		decode_expected(d, n, "a list of strings");
		return;
	}
	const char **all = arena_array(d->arena, (size_t)n->n + 1, sizeof(*all));
	size_t count = 0;
	for (const struct tree *c = n->first; c; c = c->next) {
		const char *value = decode_string(d, c);
		if (value)
			all[count++] = arena_dup(d->arena, slice_of(value));
	}
	*at = all;
}

static void read_list(struct decoder *d, const struct field *f, const struct tree *n, void *out)
{
	if (n->type != TREE_SEQ) {
		decode_expected(d, n, "a list");
		return;
	}
	if (f->max && n->n > f->max) {
		decode_problem(d, n, NULL, "has more than %llu items", (unsigned long long)f->max);
		return;
	}
	size_t size = f->schema->size;
	unsigned char *all = arena_array(d->arena, n->n, size);
	size_t count = 0;
	for (struct tree *c = n->first; c; c = c->next)
		decode(d, f->schema, c, &all[size * count++]);
	unsigned char *base = out;
	*(void **)(void *)&base[f->offset] = all;
	*(size_t *)(void *)&base[f->count_offset] = count;
}

static void read_field(struct decoder *d, const struct field *f, struct tree *n, void *out)
{
	unsigned char *base = out;
	void *at = &base[f->offset];
	const char *text = NULL;
	switch (f->type) {
	case FIELD_TYPE_KNOWN:
		break;
	case FIELD_TYPE_UNSUPPORTED:
		if (d->strict)
			decode_problem(d, n, NULL, "is not supported by hark");
		break;
	case FIELD_TYPE_STRING:
		text = decode_string(d, n);
		if (text)
			*(const char **)at = arena_dup(d->arena, slice_of(text));
		break;
	case FIELD_TYPE_UINT:
		read_uint(d, f, n, at);
		break;
	case FIELD_TYPE_BOOL:
		read_bool(d, n, at);
		break;
	case FIELD_TYPE_ENUM:
		read_enum(d, f, n, at);
		break;
	case FIELD_TYPE_DURATION:
		read_duration(d, f, n, at);
		break;
	case FIELD_TYPE_PAIRS:
		decode_pairs(d, n, NULL, at);
		break;
	case FIELD_TYPE_STRINGS:
		read_strings(d, n, at);
		break;
	case FIELD_TYPE_STRUCT:
		decode(d, f->schema, n, at);
		break;
	case FIELD_TYPE_LIST:
		read_list(d, f, n, out);
		break;
	case FIELD_TYPE_CUSTOM:
		f->read(d, n, out);
		break;
	}
}

static const struct field *find_field(const struct schema *schema, struct slice name)
{
	for (size_t i = 0; i < schema->n; i++) {
		const struct field *f = &schema->fields[i];
		if (f->name_len == name.len && memcmp(f->name, name.at, name.len) == 0)
			return f;
	}
	return NULL;
}

static void unknown_field(struct decoder *d, const struct schema *schema, const struct tree *n)
{
	struct nearest near = {.word = n->key};
	for (size_t i = 0; i < schema->n; i++)
		nearest_try(&near, schema->fields[i].name);
	if (near.best)
		decode_problem(d, n, NULL, "unknown field, did you mean \"%s\"?", near.best);
	else
		decode_problem(d, n, NULL, "unknown field");
}

/* Absent texts are "", absent lists of strings are empty: nobody has to ask for NULL. */
static void set_absent(const struct schema *schema, void *out)
{
	static const char *const none[] = {NULL};
	unsigned char *base = out;
	for (size_t i = 0; i < schema->n; i++) {
		const struct field *f = &schema->fields[i];
		if (f->type == FIELD_TYPE_STRING)
			*(const char **)(void *)&base[f->offset] = "";
		else if (f->type == FIELD_TYPE_STRINGS)
			*(const char *const **)(void *)&base[f->offset] = none;
		else if (f->type == FIELD_TYPE_STRUCT)
			set_absent(f->schema, &base[f->offset]);
	}
	if (schema->defaults)
		schema->defaults(out);
}

static void read_members(struct decoder *d, const struct schema *schema, struct tree *n, void *out)
{
	for (struct tree *c = n->first; c; c = c->next) {
		const struct field *f = find_field(schema, c->key);
		if (!f) {
			if (d->strict)
				unknown_field(d, schema, c);
		} else if (c->type != TREE_NULL && !(d->lean && (f->flags & FIELD_SKIP_LEAN))) {
			read_field(d, f, c, out);
		}
	}
}

void decode(struct decoder *d, const struct schema *schema, struct tree *n, void *out)
{
	set_absent(schema, out);
	if (n->type != TREE_MAP) {
		decode_expected(d, n, "an object");
		return;
	}
	unsigned before = d->n_problems;
	read_members(d, schema, n, out);
	for (size_t i = 0; i < schema->n; i++) {
		const struct field *f = &schema->fields[i];
		const struct tree *c = f->flags & FIELD_REQUIRED ? tree_get(n, f->name) : NULL;
		if ((f->flags & FIELD_REQUIRED) && (!c || c->type == TREE_NULL))
			decode_problem(d, n, f->name, "is required");
	}
	/* What hangs together is looked at only when each part is right by itself. */
	if (schema->check && d->n_problems == before)
		schema->check(d, n, out);
}
