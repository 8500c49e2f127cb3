#include "control/selector.h"

#include <string.h>

enum selector_op {
	OP_IN,
	OP_NOT_IN, /* or absent */
	OP_EXISTS,
	OP_ABSENT,
};

struct term {
	struct term *next;
	enum { OF_LABEL, OF_NAME, OF_NAMESPACE } of;
	enum selector_op op;
	const char *key;
	struct value {
		struct value *next;
		const char *text;
	} * values;
};

struct selector {
	struct term *terms;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A key or a value: up to a blank or one of the signs that selectors are made of. */
static struct slice take_word(struct slice *s)
{
	size_t n = 0;
	while (n < s->len && !is_blank(s->at[n]) && !(s->at[n] && strchr("=!,()", s->at[n])))
		n++;
	struct slice word = slice_sub(*s, 0, n);
	*s = slice_trim(slice_sub(*s, n, s->len));
	return word;
}

static bool take(struct slice *s, struct slice sign)
{
	if (!slice_starts(*s, sign))
		return false;
	*s = slice_trim(slice_sub(*s, sign.len, s->len));
	return true;
}

static void add_value(struct arena *arena, struct term *t, struct slice text)
{
	struct value *v = arena_alloc(arena, sizeof(*v));
	v->text = arena_dup(arena, text);
	v->next = t->values;
	t->values = v;
}

static bool take_set(struct arena *arena, struct term *t, struct slice *s)
{
	if (!take(s, SLICE("(")))
		return false;
	do
		add_value(arena, t, take_word(s));
	while (take(s, SLICE(",")));
	return take(s, SLICE(")"));
}

static bool take_condition(struct arena *arena, struct term *t, struct slice *s)
{
	t->op = OP_EXISTS;
	if (s->len == 0 || s->at[0] == ',')
		return true;
	if (take(s, SLICE("!="))) {
		t->op = OP_NOT_IN;
		add_value(arena, t, take_word(s));
		return true;
	}
	if (take(s, SLICE("==")) || take(s, SLICE("="))) {
		t->op = OP_IN;
		add_value(arena, t, take_word(s));
		return true;
	}
	struct slice word = take_word(s);
	t->op = slice_is(word, "in") ? OP_IN : OP_NOT_IN;
	return (t->op == OP_IN || slice_is(word, "notin")) && take_set(arena, t, s);
}

/* One term off the front of *S, and the comma behind it. NULL: malformed. */
static struct term *take_term(struct arena *arena, struct slice *s)
{
	struct term *t = arena_alloc(arena, sizeof(*t));
	bool absent = take(s, SLICE("!"));
	struct slice key = take_word(s);
	t->key = arena_dup(arena, key);
	if (key.len == 0 || !take_condition(arena, t, s))
		return NULL;
	if (absent) {
		if (t->op != OP_EXISTS)
			return NULL;
		t->op = OP_ABSENT;
	}
	return s->len == 0 || (take(s, SLICE(",")) && s->len) ? t : NULL;
}

static bool field_of(struct term *t)
{
	t->of = strcmp(t->key, "metadata.name") == 0 ? OF_NAME : OF_NAMESPACE;
	return (t->of == OF_NAME || strcmp(t->key, "metadata.namespace") == 0) &&
	       (t->op == OP_IN || t->op == OP_NOT_IN) && !t->values->next;
}

struct selector *selector_parse(struct arena *arena, struct slice labels, struct slice fields,
				struct err *err)
{
	struct selector *sel = arena_alloc(arena, sizeof(*sel));
	struct slice texts[] = {slice_trim(labels), slice_trim(fields)};
	for (size_t i = 0; i < 2; i++) {
		struct slice rest = texts[i];
		while (rest.len) {
			struct term *t = take_term(arena, &rest);
			if (!t || (i == 1 && !field_of(t))) {
				(void)err_set(err, ERR_BAD_INPUT,
					      "%s selector not understood: %.*s",
					      i ? "field" : "label", SLICE_FMT(texts[i]));
				return NULL;
			}
			t->next = sel->terms;
			sel->terms = t;
		}
	}
	return sel;
}

static bool term_matches(const struct term *t, const struct meta *meta)
{
	const char *value = t->of == OF_NAME        ? meta->name
			    : t->of == OF_NAMESPACE ? meta->ns
						    : pairs_get(&meta->labels, t->key);
	bool among = false;
	for (const struct value *v = t->values; v && value; v = v->next)
		among = among || strcmp(v->text, value) == 0;
	switch (t->op) {
	case OP_IN:
		return among;
	case OP_NOT_IN:
		return !among;
	case OP_EXISTS:
		return value != NULL;
	case OP_ABSENT:
		return value == NULL;
	}
	return false;
}

bool selector_matches(const struct selector *s, const struct meta *meta)
{
	for (const struct term *t = s->terms; t; t = t->next)
		if (!term_matches(t, meta))
			return false;
	return true;
}

bool selector_is_empty(const struct selector *s)
{
	return !s->terms;
}
