/*
 * Label and field selectors of LIST and WATCH.
 *
 *   struct selector *s = selector_parse(arena, SLICE("app=shop,tier in (a,b),!old"), fields, &err);
 *   if (selector_matches(s, &object->meta)) ...
 *
 * Labels: `k=v`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, `k`, `!k`, separated by commas. Fields:
 * metadata.name and metadata.namespace with =, == and !=. Lives in the arena.
 */
#pragma once
#include "base/arena.h"
#include "model/kinds.h"

struct selector;
/* Either text may be empty. NULL: one of them is malformed or asks for another field. */
struct selector *selector_parse(struct arena *arena, struct slice labels, struct slice fields,
				struct err *err) MUST_CHECK;
bool selector_matches(const struct selector *s, const struct meta *meta);
bool selector_is_empty(const struct selector *s); /* matches everything */
