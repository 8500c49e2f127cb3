#include "model/names.h"

enum class { LOWER = 1, UPPER = 2, DIGIT = 4, DASH = 8, DOT = 16, UNDERSCORE = 32 };

static unsigned class_of(char c)
{
	if (c >= 'a' && c <= 'z')
		return LOWER;
	if (c >= 'A' && c <= 'Z')
		return UPPER;
	if (c >= '0' && c <= '9')
		return DIGIT;
	return c == '-' ? DASH : c == '.' ? DOT : c == '_' ? UNDERSCORE : 0;
}

/* MIN..MAX characters, all of ALL, the first of FIRST, the last of LAST. */
static bool made_of(struct slice s, size_t min, size_t max, unsigned all, unsigned first,
		    unsigned last)
{
	if (s.len < min || s.len > max)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!(class_of(s.at[i]) & all))
			return false;
	return s.len == 0 || ((class_of(s.at[0]) & first) && (class_of(s.at[s.len - 1]) & last));
}

static bool is_label(struct slice s)
{
	return made_of(s, 1, 63, LOWER | DIGIT | DASH, LOWER | DIGIT, LOWER | DIGIT);
}

static bool is_subdomain(struct slice s)
{
	if (s.len == 0 || s.len > 253)
		return false;
	size_t dots = 0;
	for (size_t i = 0; i < s.len; i++)
		dots += s.at[i] == '.';
	for (size_t i = 0; i <= dots; i++) {
		struct slice part = slice_cut(&s, '.');
		if (!made_of(part, 1, 253, LOWER | DIGIT | DASH, LOWER | DIGIT, LOWER | DIGIT))
			return false;
	}
	return true;
}

static bool is_port(struct slice s)
{
	bool letter = false;
	for (size_t i = 0; i < s.len; i++) {
		letter = letter || class_of(s.at[i]) == LOWER;
		if (i && s.at[i] == '-' && s.at[i - 1] == '-')
			return false;
	}
	return letter && made_of(s, 1, 15, LOWER | DIGIT | DASH, LOWER | DIGIT, LOWER | DIGIT);
}

enum { ALNUM = LOWER | UPPER | DIGIT };

static bool is_qualified(struct slice s)
{
	size_t slash = slice_find(s, '/');
	if (slash < s.len && !is_subdomain(slice_sub(s, 0, slash)))
		return false;
	struct slice name = slash < s.len ? slice_sub(s, slash + 1, s.len) : s;
	return made_of(name, 1, 63, ALNUM | DASH | DOT | UNDERSCORE, ALNUM, ALNUM);
}

static bool is_env(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.at[i] <= ' ' || s.at[i] > '~' || s.at[i] == '=')
			return false;
	return s.len > 0;
}

static bool is_config_key(struct slice s)
{
	return made_of(s, 1, 253, ALNUM | DASH | DOT | UNDERSCORE, ~0u, ~0u) && !slice_is(s, ".") &&
	       !slice_starts(s, SLICE(".."));
}

bool name_ok(enum name_kind kind, struct slice name)
{
	switch (kind) {
	case NAME_LABEL:
		return is_label(name);
	case NAME_SUBDOMAIN:
		return is_subdomain(name);
	case NAME_LABEL_1035:
		return made_of(name, 1, 63, LOWER | DIGIT | DASH, LOWER, LOWER | DIGIT);
	case NAME_PORT:
		return is_port(name);
	case NAME_QUALIFIED:
		return is_qualified(name);
	case NAME_LABEL_VALUE:
		return made_of(name, 0, 63, ALNUM | DASH | DOT | UNDERSCORE, ALNUM, ALNUM);
	case NAME_CONFIG_KEY:
		return is_config_key(name);
	case NAME_ENV:
		return is_env(name);
	}
	return false;
}

const char *name_rule(enum name_kind kind)
{
	static const char *const rules[] = {
		[NAME_LABEL] = "at most 63 lower-case letters, digits and '-', with a letter or "
			       "digit at both ends",
		[NAME_SUBDOMAIN] = "at most 253 lower-case letters, digits, '-' and '.', with a "
				   "letter or digit at both ends",
		[NAME_LABEL_1035] = "at most 63 lower-case letters, digits and '-', beginning with "
				    "a letter and ending with a letter or digit",
		[NAME_PORT] = "at most 15 lower-case letters, digits and single '-', with at least "
			      "one letter and no '-' at the ends",
		[NAME_QUALIFIED] =
			"[prefix/]name, the name at most 63 letters, digits, '-', '_' and "
			"'.', with a letter or digit at both ends",
		[NAME_LABEL_VALUE] = "at most 63 letters, digits, '-', '_' and '.', with a letter "
				     "or digit at both ends",
		[NAME_CONFIG_KEY] = "at most 253 letters, digits, '-', '_' and '.'",
		[NAME_ENV] = "printable characters without '='",
	};
	return rules[kind];
}
