/* JSON text -> tree. The text is copied once and taken apart in that copy: keys and strings stand there, with a NUL
 * where their closing quote was. RFC 8259; refused beyond it, as in people's YAML: a member twice, NUL in a string. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/tree.h"

struct parser {
	struct arena *arena;
	struct slice text; /* as it came: the copy's texts may have line ends of their own by now */
	char *begin, *at,
		*end; /* of the copy; *end is NUL, which no value begins or goes on with */
	unsigned n_nodes;
	struct err *err;
};

/* Line and column of AT, as people count them. */
static bool bad_at(const struct parser *p, const char *at, const char *why)
{
	unsigned line = 1, column = 1;
	for (size_t i = 0; i < (size_t)(at - p->begin); i++) {
		column++;
		if (p->text.at[i] == '\n') {
			line++;
			column = 1;
		}
	}
	return err_set(p->err, ERR_BAD_INPUT, "JSON line %u column %u: %s", line, column, why);
}

static bool bad(const struct parser *p, const char *why)
{
	return bad_at(p, p->at, why);
}

static void skip_space(struct parser *p)
{
	while (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t')
		p->at++;
}

/* Takes C, and the space before and behind it. */
static bool take(struct parser *p, char c)
{
	skip_space(p);
	if (*p->at != c)
		return false;
	p->at++;
	skip_space(p);
	return true;
}

/* Strings */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* "uXXXX", p->at behind the backslash. */
static bool take_hex(struct parser *p, uint32_t *code)
{
	*code = 0;
	for (int i = 1; i <= 4; i++) {
		int digit = hex_digit(p->at[i]); /* NUL is none: never past the end */
		if (digit < 0)
			return bad(p, "\\u wants four hexadecimal digits");
		*code = *code << 4 | (uint32_t)digit;
	}
	p->at += 5;
	return true;
}

static char *put_utf8(char *to, uint32_t code)
{
	if (code < 0x80) {
		*to++ = (char)code;
	} else if (code < 0x800) {
		*to++ = (char)(0xc0 | code >> 6);
		*to++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*to++ = (char)(0xe0 | code >> 12);
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	} else {
		*to++ = (char)(0xf0 | code >> 18);
		*to++ = (char)(0x80 | (code >> 12 & 0x3f));
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
		*to++ = (char)(0x80 | (code & 0x3f));
	}
	return to;
}

/* What \uXXXX stands for, with the other half of a pair of surrogates; it is shorter than its escape. */
static bool take_unicode(struct parser *p, char **to)
{
	uint32_t code = 0, low = 0;
	if (!take_hex(p, &code))
		return false;
	if (code >= 0xdc00 && code <= 0xdfff)
		return bad(p, "half of a surrogate pair");
	if (code >= 0xd800 && code <= 0xdbff) {
		if (p->at[0] != '\\' || p->at[1] != 'u')
			return bad(p, "half of a surrogate pair");
		p->at++;
		if (!take_hex(p, &low))
			return false;
		if (low < 0xdc00 || low > 0xdfff)
			return bad(p, "half of a surrogate pair");
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	if (code == 0)
		return bad(p, "\\u0000 cannot stand in a string");
	*to = put_utf8(*to, code);
	return true;
}

static bool take_escape(struct parser *p, char **to)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	p->at++; /* the backslash */
	if (*p->at == 'u')
		return take_unicode(p, to);
	const char *name = *p->at ? strchr(names, *p->at) : NULL;
	if (!name)
		return bad(p, "not an escape");
	*(*to)++ = values[name - names];
	p->at++;
	return true;
}

/* The rest of a string in which something had to be looked at closely: it moves to the left. */
static bool take_rest(struct parser *p, char *to, char **end)
{
	while (*p->at != '"') {
		unsigned char c = (unsigned char)*p->at;
		if (c == '\\') {
			if (!take_escape(p, &to))
				return false;
			continue;
		}
		if (c < 0x20)
			return bad(p, p->at == p->end ? "the string does not end"
						      : "a control character in a string");
		size_t n = slice_utf8_len((struct slice){p->at, (size_t)(p->end - p->at)});
		if (n == 0)
			return bad(p, "not UTF-8");
		memmove(to, p->at, n);
		to += n;
		p->at += n;
	}
	*end = to;
	return true;
}

/* What ends the simple part of a string: its end, an escape, what has to be looked at closely. */
static bool is_special(unsigned char c)
{
	static const bool special[256] = {
		[0 ... 0x1f] = true, ['"'] = true, ['\\'] = true, [0x80 ... 0xff] = true};
	return special[c];
}

/* p->at on the opening quote. */
static bool take_string(struct parser *p, struct slice *out)
{
	char *start = p->at + 1, *end = start;
	while (!is_special((unsigned char)*end))
		end++;
	p->at = end;
	if (*end != '"' && !take_rest(p, end, &end))
		return false;
	p->at++; /* the closing quote */
	*end = '\0';
	*out = (struct slice){start, (size_t)(end - start)};
	return true;
}

/* Numbers */

static void skip_digits(struct parser *p)
{
	while (*p->at >= '0' && *p->at <= '9')
		p->at++;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool take_number(struct parser *p, struct tree *n)
{
	char *start = p->at, *end = NULL;
	if (*p->at == '-')
		p->at++;
	if (!is_digit(*p->at))
		return bad(p, "not a value");
	if (*p->at == '0')
		p->at++;
	else
		skip_digits(p);
	if (is_digit(*p->at))
		return bad(p, "a number begins with 0");
	bool real = *p->at == '.' || *p->at == 'e' || *p->at == 'E';
	if (*p->at == '.') {
		p->at++;
		if (!is_digit(*p->at))
			return bad(p, "a point without digits");
		skip_digits(p);
	}
	if (*p->at == 'e' || *p->at == 'E') {
		p->at++;
		if (*p->at == '+' || *p->at == '-')
			p->at++;
		if (!is_digit(*p->at))
			return bad(p, "an exponent without digits");
		skip_digits(p);
	}
	errno = 0;
	n->type = real ? TREE_REAL : TREE_INT;
	if (real)
		n->real = strtod(start, &end);
	else
		n->integer = strtoll(start, &end, 10);
	bool small =
		real && n->real > -1 && n->real < 1; /* too small for a double is near enough 0 */
	if (errno == ERANGE && !small)
		return bad_at(p, start, "the number is too large");
	return end == p->at || bad_at(p, start, "not a number");
}

/* Values */

static int by_key(const void *a, const void *b)
{
	const struct tree *x = *(const struct tree *const *)a, *y = *(const struct tree *const *)b;
	return slice_cmp(x->key, y->key);
}

/* Some member of MAP stands there twice; NULL: none. */
static const struct tree *find_twice(const struct tree *map)
{
	enum { FEW = 24 };
	const struct tree *found = NULL;
	if (map->n <= FEW) {
		for (const struct tree *c = map->first; c; c = c->next)
			for (const struct tree *d = map->first; d != c; d = d->next)
				if (slice_eq(c->key, d->key))
					return c;
		return NULL;
	}
	const struct tree **all = mem_array(map->n, sizeof(struct tree *));
	size_t n = 0;
	for (const struct tree *c = map->first; c; c = c->next)
		all[n++] = c;
	qsort(all, n, sizeof(struct tree *), by_key);
	for (size_t i = 1; i < n && !found; i++)
		if (slice_eq(all[i - 1]->key, all[i]->key))
			found = all[i];
	free((void *)all);
	return found;
}

static bool take_value(struct parser *p, unsigned depth, struct tree **out);

static bool take_map(struct parser *p, unsigned depth, struct tree *map)
{
	map->type = TREE_MAP;
	p->at++;
	if (take(p, '}'))
		return true;
	do {
		struct slice key;
		struct tree *child = NULL;
		if (*p->at != '"')
			return bad(p, "expected the name of a member");
		if (!take_string(p, &key))
			return false;
		if (!take(p, ':'))
			return bad(p, "expected a colon");
		if (!take_value(p, depth + 1, &child))
			return false;
		tree_add(map, key, child);
	} while (take(p, ','));
	if (!take(p, '}'))
		return bad(p, "expected a comma or the end of the object");
	const struct tree *twice = find_twice(map);
	return !twice || bad_at(p, twice->key.at, "the member is there twice");
}

static bool take_list(struct parser *p, unsigned depth, struct tree *list)
{
	list->type = TREE_SEQ;
	p->at++;
	if (take(p, ']'))
		return true;
	do {
		struct tree *child = NULL;
		if (!take_value(p, depth + 1, &child))
			return false;
		tree_add(list, SLICE(""), child);
	} while (take(p, ','));
	return take(p, ']') || bad(p, "expected a comma or the end of the list");
}

static bool take_word(struct parser *p, struct slice word)
{
	if ((size_t)(p->end - p->at) < word.len || memcmp(p->at, word.at, word.len) != 0)
		return bad(p, "not a value");
	p->at += word.len;
	return true;
}

static bool take_value(struct parser *p, unsigned depth, struct tree **out)
{
	if (depth > TREE_DEPTH)
		return err_set(p->err, ERR_LIMIT, "nested more than %d deep", TREE_DEPTH);
	if (++p->n_nodes > TREE_MAX)
		return err_set(p->err, ERR_LIMIT, "more than %d values", TREE_MAX);
	struct tree *n = tree_new(p->arena, TREE_NULL);
	*out = n;
	switch (*p->at) {
	case '{':
		return take_map(p, depth, n);
	case '[':
		return take_list(p, depth, n);
	case '"':
		n->type = TREE_STRING;
		return take_string(p, &n->text);
	case 't':
		n->type = TREE_BOOL;
		n->boolean = true;
		return take_word(p, SLICE("true"));
	case 'f':
		n->type = TREE_BOOL;
		return take_word(p, SLICE("false"));
	case 'n':
		return take_word(p, SLICE("null"));
	default:
		return take_number(p, n);
	}
}

bool tree_from_json(struct arena *a, struct slice json, struct tree **out, struct err *err)
{
	char *copy = arena_dup(a, json);
	struct parser p = {a, json, copy, copy, copy + json.len, 0, err};
	skip_space(&p);
	if (!take_value(&p, 0, out))
		return false;
	skip_space(&p);
	return p.at == p.end || bad(&p, "something follows the value");
}
