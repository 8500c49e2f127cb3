/* What a path of the API names. */
#include "control/api_parts.h"

enum { MAX_PARTS = 10 };

struct parts {
	struct slice at[MAX_PARTS];
	unsigned n;
};

/* "/api/v1/pods/" -> "api", "v1", "pods". More parts than any path has: cut, and found nowhere. */
static struct parts split(struct slice path)
{
	struct parts p = {.n = 0};
	path = slice_sub(path, 1, path.len);
	if (slice_ends(path, SLICE("/")))
		path.len--;
	while (path.len && p.n < MAX_PARTS)
		p.at[p.n++] = slice_cut(&path, '/');
	return p;
}

static const struct kind_info *kind_of(struct slice api_version, struct slice plural)
{
	for (unsigned i = 0; i < N_KINDS; i++) {
		const struct kind_info *k = kind_info((enum kind)i);
		if (kind_serves(k, api_version) && slice_is(plural, k->plural))
			return k;
	}
	return NULL;
}

static bool version_is_served(struct slice api_version)
{
	for (unsigned i = 0; i < N_KINDS; i++)
		if (kind_serves(kind_info((enum kind)i), api_version))
			return true;
	return false;
}

/* PLURAL [NAME [status]], N parts of them. */
static void parse_resource(struct arena *arena, struct target *t, const struct slice *part,
			   unsigned n)
{
	t->kind = kind_of(t->api_version, part[0]);
	if (!t->kind || t->kind->namespaced != (t->ns != NULL)) {
		/* A collection of all namespaces is the one thing that needs none. */
		if (!t->kind || n != 1 || t->ns)
			return;
	}
	if (n > 1)
		t->name = arena_dup(arena, part[1]);
	if (n == 1)
		t->what = TARGET_COLLECTION;
	else if (n == 2 && part[1].len)
		t->what = TARGET_OBJECT;
	else if (n == 3 && part[1].len && slice_is(part[2], "status"))
		t->what = TARGET_STATUS;
}

struct target target_parse(struct arena *arena, struct slice path)
{
	struct target t = {.what = TARGET_NOTHING};
	struct parts p = split(path);
	t.core = slice_is(p.at[0], "api");
	unsigned at = t.core ? 2 : 3; /* where the resource begins */
	if (p.n == 1) {
		t.what = TARGET_VERSIONS;
		return t;
	}
	t.group = t.core ? SLICE("") : p.at[1];
	if (p.n == 2 && !t.core) {
		t.what = TARGET_GROUP;
		return t;
	}
	t.api_version = t.core ? p.at[1]
			       : slice_of(arena_printf(arena, "%.*s/%.*s", SLICE_FMT(p.at[1]),
						       SLICE_FMT(p.at[2])));
	if (!version_is_served(t.api_version))
		return t;
	if (p.n == at) {
		t.what = TARGET_RESOURCES;
		return t;
	}
	/* "namespaces/NS/PLURAL": not where the Namespace itself or its status is meant. */
	if (p.n >= at + 3 && slice_is(p.at[at], "namespaces") &&
	    !(p.n == at + 3 && slice_is(p.at[at + 2], "status"))) {
		t.ns = arena_dup(arena, p.at[at + 1]);
		at += 2;
	}
	parse_resource(arena, &t, &p.at[at], p.n - at);
	return t;
}

const char *target_ns(const struct target *t)
{
	return t->ns ? t->ns : "";
}
