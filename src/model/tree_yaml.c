#include "model/tree_yaml.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"

enum {
	MAX_ANCHORS = 1000, /* names in one document */
	MAX_COPIES =
		20000, /* nodes that aliases and merges may make: a bomb of aliases ends here */
};

struct anchor {
	struct slice name;
	const struct tree *node;
};

/* A map or list that is being read. */
struct frame {
	struct tree *node;
	struct slice anchor;
	struct tree *key;   /* a scalar that waits for its value; NULL: none */
	struct tree *merge; /* what stood under `<<` */
};

struct yaml {
	yaml_parser_t parser;
	bool dead; /* the text is no YAML from here on */
	/* the document at hand: */
	struct arena *arena;
	struct tree *root;
	struct frame stack[TREE_DEPTH + 1];
	unsigned depth;
	struct anchor anchors[MAX_ANCHORS];
	unsigned n_anchors, n_nodes, n_copies;
	bool bad; /* ERR and LINE are set; the rest of the document is skipped */
	struct err *err;
	unsigned *line;
};

struct yaml *yaml_open(struct slice text)
{
	struct yaml *y = mem_new(sizeof(*y));
	MUST(yaml_parser_initialize(&y->parser)); /* fails only without memory */
	yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y->parser, (const unsigned char *)(text.at ? text.at : ""),
				     text.len);
	return y;
}

void yaml_close(struct yaml *y)
{
	if (!y)
		return;
	yaml_parser_delete(&y->parser);
	free(y);
}

static unsigned line_of(yaml_mark_t mark)
{
	return (unsigned)mark.line + 1;
}

/* Remembers the first thing that is wrong with the document. */
static void bad(struct yaml *y, unsigned line, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void bad(struct yaml *y, unsigned line, const char *fmt, ...)
{
	if (y->bad)
		return;
	y->bad = true;
	*y->line = line;
	char text[256];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut short is fine */
	va_end(args);
	(void)err_set(y->err, ERR_BAD_INPUT, "%s", text); /* always false */
}

static bool one_of(struct slice s, const char *const *words)
{
	for (; *words; words++)
		if (slice_is(s, *words))
			return true;
	return false;
}

bool yaml_boolean_word(struct slice text, bool *value)
{
	static const char *const yes[] = {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", NULL};
	static const char *const no[] = {"n", "N", "no", "No", "NO", "off", "Off", "OFF", NULL};
	*value = one_of(text, yes);
	return *value || one_of(text, no);
}

/* [-+]? (digits, octal 0 or 0o, hexadecimal 0x, binary 0b), underscores anywhere. */
static bool plain_integer(const char *text, int64_t *out)
{
	const char *digits = text + (*text == '-' || *text == '+');
	int base = 10;
	if (digits[0] == '0' && digits[1]) {
		static const struct {
			char mark;
			int base;
		} bases[] = {{'x', 16}, {'X', 16}, {'o', 8}, {'O', 8}, {'b', 2}, {'B', 2}};
		base = 8;
		digits++;
		for (size_t i = 0; i < N_ELEMS(bases); i++)
			if (*digits == bases[i].mark) {
				base = bases[i].base;
				digits++;
				break;
			}
	}
	uint64_t sum = 0;
	if (!*digits)
		return false;
	for (; *digits; digits++) {
		int digit = *digits >= '0' && *digits <= '9'   ? *digits - '0'
			    : *digits >= 'a' && *digits <= 'f' ? *digits - 'a' + 10
			    : *digits >= 'A' && *digits <= 'F' ? *digits - 'A' + 10
							       : 99;
		if (digit >= base || __builtin_mul_overflow(sum, (uint64_t)base, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)digit, &sum))
			return false;
	}
	if (*text == '-') {
		*out = (int64_t)(0 - sum);
		return sum <= (uint64_t)INT64_MAX + 1;
	}
	*out = (int64_t)sum;
	return sum <= INT64_MAX;
}

/* [-+]? ( "." digits | digits ("." digits?)? ) ([eE] [-+]? digits)? */
static bool plain_real(const char *text, double *out)
{
	const char *at = text + (*text == '-' || *text == '+');
	size_t whole = strspn(at, "0123456789");
	at += whole;
	if (*at == '.') {
		at++;
		size_t part = strspn(at, "0123456789");
		if (whole + part == 0)
			return false;
		at += part;
	} else if (whole == 0) {
		return false;
	}
	if (*at == 'e' || *at == 'E') {
		at++;
		at += *at == '-' || *at == '+';
		size_t exponent = strspn(at, "0123456789");
		if (exponent == 0)
			return false;
		at += exponent;
	}
	if (*at)
		return false;
	*out = strtod(text, NULL);
	return true;
}

/* Gives N, which holds the text, the type that plain text has. */
static void resolve_plain(struct tree *n)
{
	static const char *const null[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const yes[] = {"true", "True", "TRUE", NULL};
	static const char *const no[] = {"false", "False", "FALSE", NULL};
	n->plain = true;
	char digits[64];
	size_t len = 0;
	if (one_of(n->text, null)) {
		n->type = TREE_NULL;
	} else if (one_of(n->text, yes)) {
		n->type = TREE_BOOL;
		n->boolean = true;
	} else if (one_of(n->text, no)) {
		n->type = TREE_BOOL;
	} else if (n->text.len < sizeof(digits) && strchr("+-.0123456789", n->text.at[0])) {
		for (size_t i = 0; i < n->text.len; i++)
			if (n->text.at[i] != '_')
				digits[len++] = n->text.at[i];
		digits[len] = '\0';
		if (plain_integer(digits, &n->integer))
			n->type = TREE_INT;
		else if (plain_real(digits, &n->real))
			n->type = TREE_REAL;
	}
}

static bool is_infinite_word(struct slice s)
{
	static const char *const words[] = {".inf",  ".Inf",  ".INF",  "-.inf", "-.Inf",
					    "-.INF", "+.inf", "+.Inf", "+.INF", ".nan",
					    ".NaN",  ".NAN",  NULL};
	return one_of(s, words);
}

static const char core_tag[] = "tag:yaml.org,2002:";

static struct tree *scalar(struct yaml *y, const yaml_event_t *ev)
{
	unsigned line = line_of(ev->start_mark);
	struct slice text = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
	struct tree *n = tree_string(y->arena, text);
	if (text.len && memchr(text.at, '\0', text.len))
		bad(y, line, "a NUL character cannot stand in a text");
	n->line = line;
	n->column = (unsigned)ev->start_mark.column + 1;
	n->literal = ev->data.scalar.style == YAML_LITERAL_SCALAR_STYLE;
	bool is_plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct slice tag = slice_of((const char *)ev->data.scalar.tag);
	if (tag.len == 0 || slice_is(tag, "!")) {
		if (is_plain && tag.len == 0)
			resolve_plain(n);
	} else if (slice_is(tag, "tag:yaml.org,2002:str")) {
		n->plain = false;
	} else if (slice_starts(tag, SLICE(core_tag))) {
		resolve_plain(n);
		if (n->type == TREE_STRING)
			bad(y, line, "tag %s on \"%.40s\", which is none", tag.at, n->text.at);
	} else {
		bad(y, line, "tag %.60s is not known here", tag.at);
	}
	if (n->type == TREE_REAL ? !isfinite(n->real) : n->plain && is_infinite_word(n->text))
		bad(y, line, "%.40s is no number that a resource can hold", n->text.at);
	return n;
}

static int by_key(const void *a, const void *b)
{
	const struct tree *x = *(const struct tree *const *)a, *z = *(const struct tree *const *)b;
	int cmp = slice_cmp(x->key, z->key);
	return cmp ? cmp : (x->index > z->index) - (x->index < z->index);
}

static void check_duplicates(struct yaml *y, const struct tree *map)
{
	if (map->n < 2)
		return;
	const struct tree **all = mem_array(map->n, sizeof(struct tree *));
	size_t n = 0;
	for (const struct tree *c = map->first; c; c = c->next)
		all[n++] = c;
	qsort(all, n, sizeof(struct tree *), by_key);
	const struct tree *found = NULL, *before = NULL;
	for (size_t i = 1; i < n; i++)
		if (slice_eq(all[i - 1]->key, all[i]->key) &&
		    (!found || all[i]->line < found->line)) {
			before = all[i - 1];
			found = all[i];
		}
	free((void *)all);
	char name[64];
	if (found)
		bad(y, found->line, "\"%s\" stands here twice, first at line %u",
		    slice_printable(found->key, name, sizeof(name)), before->line);
}

static struct tree *copy_bounded(struct yaml *y, const struct tree *from, unsigned line,
				 unsigned depth)
{
	struct tree *n = tree_new(y->arena, from->type);
	if (++y->n_copies > MAX_COPIES)
		bad(y, line, "aliases make more than %d copies", MAX_COPIES);
	if (depth > TREE_DEPTH)
		bad(y, line, "nested more than %d deep", TREE_DEPTH);
	*n = *from;
	n->first = n->last = n->next = n->parent = NULL;
	n->n = 0;
	for (const struct tree *c = from->first; c && !y->bad; c = c->next)
		tree_add(n, c->key, copy_bounded(y, c, line, depth + 1));
	return n;
}

static void merge_map(struct yaml *y, struct tree *map, const struct tree *from, unsigned line)
{
	if (from->type != TREE_MAP) {
		bad(y, line, "<< takes an object or a list of objects");
		return;
	}
	for (const struct tree *c = from->first; c && !y->bad; c = c->next)
		if (!tree_get(map, c->key.at))
			tree_add(map, c->key, copy_bounded(y, c, line, y->depth));
}

/* What is written in the map itself wins, then earlier sources over later ones. */
static void merge(struct yaml *y, struct tree *map, const struct tree *from)
{
	if (from->type != TREE_SEQ) {
		merge_map(y, map, from, from->line);
		return;
	}
	for (const struct tree *c = from->first; c && !y->bad; c = c->next)
		merge_map(y, map, c, from->line);
}

static void add_anchor(struct yaml *y, struct slice name, const struct tree *n)
{
	if (name.len == 0)
		return;
	if (y->n_anchors == MAX_ANCHORS) {
		bad(y, n->line, "more than %d anchors", MAX_ANCHORS);
		return;
	}
	y->anchors[y->n_anchors++] = (struct anchor){name, n};
}

static struct tree *alias(struct yaml *y, const yaml_event_t *ev)
{
	struct slice name = slice_of((const char *)ev->data.alias.anchor);
	unsigned line = line_of(ev->start_mark);
	for (unsigned i = y->n_anchors; i-- > 0;) /* the last of that name counts */
		if (slice_eq(y->anchors[i].name, name)) {
			struct tree *n = copy_bounded(y, y->anchors[i].node, line, y->depth);
			n->line = line;
			return n;
		}
	bad(y, line, "no anchor &%.60s stands before this", name.at);
	return tree_new(y->arena, TREE_NULL);
}

/* A whole node has been read: put it where it belongs. */
static void place(struct yaml *y, struct tree *n, bool aliased)
{
	if (++y->n_nodes > TREE_MAX)
		bad(y, n->line, "more than %d values", TREE_MAX);
	if (y->depth == 0) {
		y->root = n;
		return;
	}
	struct frame *f = &y->stack[y->depth - 1];
	if (f->node->type == TREE_SEQ) {
		tree_add(f->node, SLICE(""), n);
	} else if (!f->key) {
		if (n->type == TREE_SEQ || n->type == TREE_MAP)
			bad(y, n->line, "the name of a member must be a text");
		f->key = n;
	} else {
		bool is_merge = f->key->plain && slice_is(f->key->text, "<<");
		if (is_merge && f->merge)
			bad(y, n->line, "\"<<\" stands here twice");
		if (!aliased || n->type < TREE_SEQ) {
			n->line = f->key->line; /* a person looks for the name first */
			n->column = f->key->column;
		}
		if (is_merge)
			f->merge = n;
		else
			tree_add(f->node, f->key->text, n);
		f->key = NULL;
	}
}

static void open_level(struct yaml *y, const yaml_event_t *ev, enum tree_type type,
		       const yaml_char_t *tag, const yaml_char_t *anchor)
{
	struct tree *n = tree_new(y->arena, type);
	n->line = line_of(ev->start_mark);
	n->column = (unsigned)ev->start_mark.column + 1;
	struct slice name = slice_of((const char *)tag);
	if (name.len && !slice_starts(name, SLICE(core_tag)))
		bad(y, n->line, "tag %.60s is not known here", name.at);
	if (y->depth == TREE_DEPTH) {
		bad(y, n->line, "nested more than %d deep", TREE_DEPTH);
		return;
	}
	struct slice copy = arena_dup_slice(y->arena, slice_of((const char *)anchor));
	y->stack[y->depth++] = (struct frame){.node = n, .anchor = copy};
}

static void close_level(struct yaml *y)
{
	struct frame f = y->stack[--y->depth];
	if (f.node->type == TREE_MAP)
		check_duplicates(y, f.node);
	if (f.merge)
		merge(y, f.node, f.merge);
	add_anchor(y, f.anchor, f.node);
	place(y, f.node, false);
}

static void take_event(struct yaml *y, const yaml_event_t *ev)
{
	struct tree *n = NULL;
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		n = scalar(y, ev);
		add_anchor(
			y,
			arena_dup_slice(y->arena, slice_of((const char *)ev->data.scalar.anchor)),
			n);
		place(y, n, false);
		break;
	case YAML_ALIAS_EVENT:
		place(y, alias(y, ev), true);
		break;
	case YAML_SEQUENCE_START_EVENT:
		open_level(y, ev, TREE_SEQ, ev->data.sequence_start.tag,
			   ev->data.sequence_start.anchor);
		break;
	case YAML_MAPPING_START_EVENT:
		open_level(y, ev, TREE_MAP, ev->data.mapping_start.tag,
			   ev->data.mapping_start.anchor);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		close_level(y);
		break;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
}

static void syntax_error(struct yaml *y)
{
	const yaml_parser_t *p = &y->parser;
	y->dead = true;
	y->bad = false; /* this is worse than what came before */
	unsigned line = p->error == YAML_READER_ERROR ? 0 : line_of(p->problem_mark);
	const char *what = p->problem ? p->problem : "this is no YAML";
	/* What libyaml says of a tab, or of a text that begins with @ or `. */
	if (strstr(what, "cannot start any token"))
		bad(y, line, "%s (YAML indents with spaces, not with tabs)", what);
	else if (p->context && p->context_mark.line != p->problem_mark.line)
		bad(y, line, "%s (%s from line %u)", what, p->context, line_of(p->context_mark));
	else
		bad(y, line, "%s", what);
}

static void begin_document(struct yaml *y, struct arena *a, struct err *err, unsigned *line)
{
	y->arena = a;
	y->root = NULL;
	y->depth = y->n_anchors = y->n_nodes = y->n_copies = 0;
	y->bad = false;
	y->err = err;
	y->line = line;
}

enum yaml_result yaml_next(struct yaml *y, struct arena *a, struct tree **root, struct err *err,
			   unsigned *line)
{
	begin_document(y, a, err, line);
	while (!y->dead) {
		yaml_event_t ev;
		if (!yaml_parser_parse(&y->parser, &ev)) {
			syntax_error(y);
			return YAML_BAD;
		}
		yaml_event_type_t type = ev.type;
		if (!y->bad) /* else the document is only read to its end */
			take_event(y, &ev);
		yaml_event_delete(&ev);
		if (type == YAML_STREAM_END_EVENT)
			y->dead = true;
		if (type != YAML_DOCUMENT_END_EVENT)
			continue;
		if (y->bad)
			return YAML_BAD;
		*root = y->root;
		return YAML_DOCUMENT;
	}
	return YAML_END;
}

static int to_buf(void *ctx, unsigned char *bytes, size_t len)
{
	struct buf *out = ctx;
	return buf_append(out, (struct slice){(const char *)bytes, len});
}

static bool reads_as_string(struct slice text)
{
	bool value = false;
	struct tree n = {.type = TREE_STRING, .text = text};
	resolve_plain(&n);
	return n.type == TREE_STRING && !yaml_boolean_word(text, &value) &&
	       !is_infinite_word(text) && !slice_is(text, "<<") && !slice_is(text, "=");
}

static bool emit_text(yaml_emitter_t *e, struct slice text, bool is_string)
{
	yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
	if (is_string && slice_find(text, '\n') < text.len)
		style = YAML_LITERAL_SCALAR_STYLE;
	else if (is_string && !reads_as_string(text))
		style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	yaml_event_t ev;
	return yaml_scalar_event_initialize(&ev, NULL, NULL, (const unsigned char *)text.at,
					    (int)text.len, 1, 1, style) &&
	       yaml_emitter_emit(e, &ev);
}

static bool emit_number(yaml_emitter_t *e, const struct tree *n)
{
	struct buf text;
	buf_init(&text, 64);
	bool ok = tree_write_json(n, &text) && emit_text(e, buf_slice(&text), false);
	buf_fini(&text);
	return ok;
}

static bool emit(yaml_emitter_t *e, const struct tree *n)
{
	yaml_event_t ev;
	switch (n->type) {
	case TREE_STRING:
		return emit_text(e, n->text, true);
	case TREE_NULL:
	case TREE_BOOL:
	case TREE_INT:
	case TREE_REAL:
		return emit_number(e, n);
	case TREE_SEQ:
		if (!yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1,
							  YAML_BLOCK_SEQUENCE_STYLE) ||
		    !yaml_emitter_emit(e, &ev))
			return false;
		for (const struct tree *c = n->first; c; c = c->next)
			if (!emit(e, c))
				return false;
		return yaml_sequence_end_event_initialize(&ev) && yaml_emitter_emit(e, &ev);
	case TREE_MAP:
		if (!yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1,
							 YAML_BLOCK_MAPPING_STYLE) ||
		    !yaml_emitter_emit(e, &ev))
			return false;
		for (const struct tree *c = n->first; c; c = c->next)
			if (c->type != TREE_NULL && (!emit_text(e, c->key, true) || !emit(e, c)))
				return false;
		return yaml_mapping_end_event_initialize(&ev) && yaml_emitter_emit(e, &ev);
	}
	return false;
}

bool tree_write_yaml(const struct tree *root, struct buf *out)
{
	yaml_emitter_t e;
	yaml_event_t ev;
	MUST(yaml_emitter_initialize(&e)); /* fails only without memory */
	yaml_emitter_set_output(&e, to_buf, out);
	yaml_emitter_set_unicode(&e, 1);
	yaml_emitter_set_width(&e, -1);
	bool ok = yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING) &&
		  yaml_emitter_emit(&e, &ev) &&
		  yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1) &&
		  yaml_emitter_emit(&e, &ev) && emit(&e, root) &&
		  yaml_document_end_event_initialize(&ev, 1) && yaml_emitter_emit(&e, &ev) &&
		  yaml_stream_end_event_initialize(&ev) && yaml_emitter_emit(&e, &ev);
	yaml_emitter_delete(&e);
	return ok && !out->full;
}
