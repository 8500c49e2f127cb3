#include "api/skim.h"

#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice skip(struct slice s, size_t n)
{
	return slice_sub(s, n, s.len);
}

static struct slice skip_space(struct slice s)
{
	size_t n = 0;
	while (n < s.len && is_space(s.at[n]))
		n++;
	return (struct slice){s.at + n, s.len - n};
}

/* Where the string that begins at FROM of S ends, behind its quote; 0: none, or it does not end. */
static size_t string_end(struct slice s, size_t from)
{
	if (from >= s.len || s.at[from] != '"')
		return 0;
	for (size_t i = from + 1; i < s.len; i++) {
		const char *quote = memchr(s.at + i, '"', s.len - i);
		if (!quote)
			return 0;
		size_t end = (size_t)(quote - s.at);
		const char *escape = memchr(s.at + i, '\\', end - i);
		if (!escape)
			return end + 1;
		i = (size_t)(escape - s.at) + 1; /* whatever it is, it ends no string */
	}
	return 0;
}

/* Length of the string at the front of S, quotes included; 0: none. */
static size_t string_len(struct slice s)
{
	return string_end(s, 0);
}

/* Length of the object or array at the front of S; 0: it does not end. */
static size_t nested_len(struct slice s)
{
	enum { QUOTE = 1, OPENS, CLOSES };
	static const unsigned char kinds[256] = {
		['"'] = QUOTE, ['{'] = OPENS, ['['] = OPENS, ['}'] = CLOSES, [']'] = CLOSES};
	size_t depth = 0;
	for (size_t i = 0; i < s.len;) {
		switch (kinds[(unsigned char)s.at[i]]) {
		case QUOTE:
			i = string_end(s, i);
			if (i == 0)
				return 0;
			continue;
		case OPENS:
			depth++;
			break;
		case CLOSES:
			if (--depth == 0)
				return i + 1;
			break;
		default:
			break;
		}
		i++;
	}
	return 0;
}

static size_t value_len(struct slice s)
{
	if (s.len == 0)
		return 0;
	if (s.at[0] == '"')
		return string_len(s);
	if (s.at[0] == '{' || s.at[0] == '[')
		return nested_len(s);
	size_t n = 0;
	while (n < s.len && !is_space(s.at[n]) && !strchr(",]}:\"{[", s.at[n]))
		n++;
	return n;
}

/* Takes a value off the front of *S, with the space before it. */
static bool take_value(struct slice *s, struct slice *value)
{
	*s = skip_space(*s);
	size_t n = value_len(*s);
	*value = slice_sub(*s, 0, n);
	*s = skip_space(skip(*s, n));
	return n > 0;
}

static bool take_char(struct slice *s, char c)
{
	if (s->len == 0 || s->at[0] != c)
		return false;
	*s = skip(*s, 1);
	return true;
}

bool skim_member(struct slice text, const char *key, struct slice *value)
{
	bool found = false;
	struct slice s = skip_space(text), name, v, wanted = slice_of(key);
	if (!take_char(&s, '{'))
		return false;
	do {
		if (!take_value(&s, &name) || !take_char(&s, ':') || !take_value(&s, &v))
			return false;
		if (name.len == wanted.len + 2 && name.at[0] == '"' &&
		    slice_eq(slice_sub(name, 1, wanted.len), wanted)) {
			*value = v;
			found = true;
		}
	} while (take_char(&s, ','));
	return found && take_char(&s, '}');
}

bool skim_name(struct slice *object, struct slice *name)
{
	struct slice s = skip_space(*object);
	/* Before the first member stands '{', before each other ','. */
	bool found = (take_char(&s, '{') || take_char(&s, ',')) && take_value(&s, name) &&
		     name->at[0] == '"' && take_char(&s, ':');
	*object = skip_space(s);
	return found;
}

bool skim_value(struct slice *rest, struct slice *value)
{
	return take_value(rest, value);
}

bool skim_end(struct slice *rest, char c)
{
	bool found = take_char(rest, c);
	*rest = skip_space(*rest);
	return found;
}

bool skim_element(struct slice *array, struct slice *value)
{
	struct slice s = skip_space(*array);
	/* Before the first element stands '[', before each other ','. */
	if (!take_char(&s, '[') && !take_char(&s, ','))
		return false;
	bool found = take_value(&s, value);
	*array = s;
	return found;
}

bool skim_string(struct slice value, char *out, size_t out_len)
{
	if (string_len(value) != value.len || value.len == 0 || value.len - 2 >= out_len)
		return false;
	struct slice inner = slice_sub(value, 1, value.len - 2);
	for (size_t i = 0; i < inner.len; i++)
		if (inner.at[i] == '\\' || inner.at[i] == '\0')
			return false;
	memcpy(out, inner.at, inner.len);
	out[inner.len] = '\0';
	return true;
}

bool skim_u64(struct slice value, uint64_t *out)
{
	return slice_to_u64(value, UINT64_MAX, out);
}

/* The stream. */

void framer_init(struct framer *f, size_t max)
{
	*f = (struct framer){0};
	buf_init(&f->held, max);
}

void framer_fini(struct framer *f)
{
	buf_fini(&f->held);
}

/* True: the object ends with C. */
static bool framer_byte(struct framer *f, char c)
{
	if (f->in_string) {
		if (f->escaped)
			f->escaped = false;
		else if (c == '\\')
			f->escaped = true;
		else if (c == '"')
			f->in_string = false;
		return false;
	}
	switch (c) {
	case '"':
		f->in_string = true;
		return false;
	case '{':
	case '[':
		f->depth++;
		return false;
	case '}':
	case ']':
		return --f->depth == 0;
	default:
		return false;
	}
}

enum framer_result framer_next(struct framer *f, struct slice *piece, struct slice *object)
{
	if (f->delivered) {
		f->delivered = false;
		buf_clear(&f->held);
	}
	if (f->depth == 0)
		*piece = skip_space(*piece);
	if (piece->len == 0)
		return FRAMER_MORE;
	if (f->depth == 0 && piece->at[0] != '{')
		return FRAMER_BAD;
	for (size_t i = 0; i < piece->len; i++) {
		if (!framer_byte(f, piece->at[i]))
			continue;
		struct slice end = slice_sub(*piece, 0, i + 1);
		*piece = skip(*piece, i + 1);
		*object = end; /* whole in this piece: no copy */
		if (buf_len(&f->held) == 0)
			return FRAMER_OBJECT;
		if (!buf_append(&f->held, end))
			return FRAMER_BAD;
		f->delivered = true;
		*object = buf_slice(&f->held);
		return FRAMER_OBJECT;
	}
	if (!buf_append(&f->held, *piece))
		return FRAMER_BAD;
	*piece = skip(*piece, piece->len);
	return FRAMER_MORE;
}
