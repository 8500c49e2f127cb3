/*
 * Trees -> structs by tables: one row for each field of the API.
 *
 *   static const struct field port_fields[] = {
 *           FIELD_UINT(struct service_port, "port", port, 1, 65535, .flags = FIELD_REQUIRED),
 *           FIELD_STRING(struct service_port, "name", name),
 *           FIELD_KNOWN("nodePort"),
 *   };
 *   static const struct schema port_schema = SCHEMA(struct service_port, port_fields, NULL, NULL);
 *   decode(&d, &port_schema, node, &port);
 *
 * Decoding goes on after a problem, so that all of them are told; d.n_problems says whether there
 * was one, and the struct is of no use then. A member that is null counts as absent. The tree is
 * changed in one case: `yes`, `no`, `on`, `off` in a boolean field become booleans.
 */
#pragma once
#include "model/kinds.h"
#include "model/tree.h"

struct decoder {
	struct arena *arena; /* of the texts and lists of the result */
	bool strict; /* what people write: fields that are unknown, or that hark up cannot honour,
			are errors */
	bool lean;   /* for a sidecar: rows marked FIELD_SKIP_LEAN are not decoded */
	void (*problem)(void *ctx, const struct tree *at, const char *member, const char *text);
	void *ctx;
	unsigned n_problems;
};

enum field_type {
	FIELD_TYPE_KNOWN,       /* a field of the API that has no effect here */
	FIELD_TYPE_UNSUPPORTED, /* a field without which the resource would not do what it says */
	FIELD_TYPE_STRING,
	FIELD_TYPE_UINT, /* an integer in min..max, into an unsigned member of any width */
	FIELD_TYPE_BOOL,
	FIELD_TYPE_ENUM,     /* one of words, whose index is the value */
	FIELD_TYPE_DURATION, /* "1.5s", "100ms"; in units of `max` nanoseconds, `min` or more */
	FIELD_TYPE_PAIRS,    /* an object of strings */
	FIELD_TYPE_STRINGS,  /* a list of strings, NULL-terminated */
	FIELD_TYPE_STRUCT,
	FIELD_TYPE_LIST, /* of structs, at most `max` (0: any number); pointer at offset, size_t at
			    count_offset */
	FIELD_TYPE_CUSTOM,
};

enum { FIELD_REQUIRED = 1, FIELD_SKIP_LEAN = 2 };

struct schema;
struct field {
	const char *name;
	size_t name_len;
	enum field_type type;
	unsigned flags;
	size_t offset, width, count_offset;
	uint64_t min, max;
	const char *const *words; /* NULL-terminated */
	const struct schema *schema;
	void (*read)(struct decoder *d, struct tree *n, void *out); /* OUT is the struct */
};

struct schema {
	size_t size; /* of the struct */
	const struct field *fields;
	size_t n;
	void (*defaults)(void *out); /* or NULL */
	void (*check)(struct decoder *d, const struct tree *n,
		      void *out); /* after all rows; or NULL */
};

#define SCHEMA(type, fields, defaults, check)                                                      \
	{                                                                                          \
		sizeof(type), fields, sizeof(fields) / sizeof((fields)[0]), defaults, check        \
	}
#define FIELD_NAME_(n) .name = "" n, .name_len = sizeof(n) - 1
#define FIELD_AT_(s, m) .offset = offsetof(s, m)
#define FIELD_SIZED_(s, m) .offset = offsetof(s, m), .width = sizeof(((s *)0)->m)
#define FIELD_KNOWN(n)                                                                             \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_KNOWN                                           \
	}
#define FIELD_UNSUPPORTED(n)                                                                       \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_UNSUPPORTED                                     \
	}
#define FIELD_STRING(s, n, m, ...)                                                                 \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_STRING, FIELD_AT_(s, m), __VA_ARGS__            \
	}
#define FIELD_UINT(s, n, m, lo, hi, ...)                                                           \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_UINT, FIELD_SIZED_(s, m), .min = (lo),          \
				.max = (hi), __VA_ARGS__                                           \
	}
#define FIELD_BOOL(s, n, m, ...)                                                                   \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_BOOL, FIELD_SIZED_(s, m), __VA_ARGS__           \
	}
#define FIELD_ENUM(s, n, m, w, ...)                                                                \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_ENUM, FIELD_SIZED_(s, m), .words = (w),         \
				__VA_ARGS__                                                        \
	}
#define FIELD_DURATION(s, n, m, unit_ns, least, ...)                                               \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_DURATION, FIELD_SIZED_(s, m), .max = (unit_ns), \
				.min = (least), __VA_ARGS__                                        \
	}
#define FIELD_PAIRS(s, n, m, ...)                                                                  \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_PAIRS, FIELD_AT_(s, m), __VA_ARGS__             \
	}
#define FIELD_STRINGS(s, n, m, ...)                                                                \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_STRINGS, FIELD_AT_(s, m), __VA_ARGS__           \
	}
#define FIELD_STRUCT(s, n, m, sub, ...)                                                            \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_STRUCT, FIELD_AT_(s, m), .schema = (sub),       \
				__VA_ARGS__                                                        \
	}
/* An object in the text whose fields stand in the same struct. */
#define FIELD_INLINE(n, sub, ...)                                                                  \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_STRUCT, .offset = 0, .schema = (sub),           \
				__VA_ARGS__                                                        \
	}
#define FIELD_LIST(s, n, m, count, sub, ...)                                                       \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_LIST, FIELD_AT_(s, m),                          \
				.count_offset = offsetof(s, count), .schema = (sub), __VA_ARGS__   \
	}
#define FIELD_CUSTOM(n, fn, ...)                                                                   \
	{                                                                                          \
		FIELD_NAME_(n), .type = FIELD_TYPE_CUSTOM, .read = (fn), __VA_ARGS__               \
	}

/* N is an object, else that is told. OUT is zeroed memory of schema->size; its texts become "". */
void decode(struct decoder *d, const struct schema *schema, struct tree *n, void *out);
/* Tells a problem at N, or at N's member MEMBER (which may be absent); MEMBER may be NULL. */
void decode_problem(struct decoder *d, const struct tree *n, const char *member, const char *fmt,
		    ...) PRINTF_LIKE(4, 5);
/* Says what was expected and what N is. */
void decode_expected(struct decoder *d, const struct tree *n, const char *what);
/* A text, borrowed from the tree; NULL (and told) when N is something else. */
const char *decode_string(struct decoder *d, const struct tree *n);
/* An object of strings in key order; KEEP (NULL: all) chooses the keys. */
void decode_pairs(struct decoder *d, const struct tree *n, bool (*keep)(struct slice key),
		  struct pairs *out);
/* Go's and protobuf's form: "300ms", "1.5h", "1m30s", "0". */
bool duration_parse(struct slice text, uint64_t *ns);
/* The word of FROM that is nearest to WORD, or NULL when none is near. */
struct nearest {
	struct slice word;
	const char *best;
	unsigned distance;
};
void nearest_try(struct nearest *near, const char *candidate);
