/*
 * Finds its way in JSON text without decoding it: where one value of a stream ends, and the raw text
 * of a member. What an object means is for those who decode it.
 *
 *   struct slice meta, name;
 *   if (skim_member(object, "metadata", &meta) && skim_member(meta, "name", &name)) ...
 *
 *   struct slice items = ..., item;
 *   while (skim_element(&items, &item)) ...               // "[...]", taken apart from the front
 *
 * Slices borrow. Text that is no JSON gives false somewhere, never a read outside of it; that some
 * nonsense passes is fine here, for the decoder sees the same text.
 */
#pragma once
#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* The value of KEY in the object that TEXT is, white space around it taken off. Twice the same key:
 * the last one, as decoders do. */
bool skim_member(struct slice text, const char *key, struct slice *value);
/* Takes the name of the next member, quotes included, off *OBJECT, which begins as the whole "{...}" and then begins
 * with that member's value; false: there is none. skim_value() or skim_element() takes that off. */
bool skim_name(struct slice *object, struct slice *name);
bool skim_value(struct slice *rest, struct slice *value);
/* Takes the next element off *ARRAY, which begins as the whole "[...]"; false: there is none. */
bool skim_element(struct slice *array, struct slice *value);
/* Takes the closing C that stands behind the last of them off *REST. */
bool skim_end(struct slice *rest, char c);
/* Text of the string VALUE (with its quotes) into OUT, NUL-terminated. False: no string, escapes
 * that names and versions do not have, or longer than OUT. */
bool skim_string(struct slice value, char *out, size_t out_len);
bool skim_u64(struct slice value, uint64_t *out);

/*
 * Cuts a stream of concatenated objects ({...}\n{...}\n), which may arrive in any pieces.
 *
 *   framer_init(&f, 16 << 20);
 *   while ((r = framer_next(&f, &piece, &object)) == FRAMER_OBJECT) ...
 */
enum framer_result {
	FRAMER_MORE,   /* all of the piece was taken */
	FRAMER_OBJECT, /* here is one; valid until the next call */
	FRAMER_BAD,    /* not an object, or longer than the bound */
};

struct framer {
	struct buf held; /* the object that is not whole yet */
	unsigned depth;
	bool in_string, escaped, delivered;
};

void framer_init(struct framer *f, size_t max);
void framer_fini(struct framer *f);
enum framer_result framer_next(struct framer *f, struct slice *piece, struct slice *object);
