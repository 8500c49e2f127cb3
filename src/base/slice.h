/*
 * A slice borrows bytes: it is never freed through, and never kept past the call unless a comment
 * says so. Text from the network is a slice, never NUL-terminated by hope.
 *
 *   struct slice line = ...;
 *   struct slice key = slice_cut(&line, ':');   // "a:b" -> key "a", line "b"
 *   if (slice_eq(slice_trim(key), SLICE("Host")))
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
	const char *at;
	size_t len;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
/* For printf: printf("%.*s", SLICE_FMT(s)). */
#define SLICE_FMT(s) (int)((s).len > 0x7fffffff ? 0x7fffffff : (s).len), (s).at

struct slice slice_of(const char *cstr); /* NULL gives an empty slice */
bool slice_eq(struct slice a, struct slice b);
bool slice_eq_nocase(struct slice a, struct slice b); /* ASCII only */
bool slice_is(struct slice a, const char *cstr);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
int slice_cmp(struct slice a, struct slice b); /* as memcmp, the shorter first */
/* Index of C, or LEN when absent. */
size_t slice_find(struct slice s, char c);
bool slice_contains(struct slice s, struct slice what);
struct slice slice_sub(struct slice s, size_t from, size_t len); /* clamped to what is there */
/* Takes what stands before the first SEP out of *S, and SEP with it; all of *S when there is no
 * SEP. */
struct slice slice_cut(struct slice *s, char sep);
/* The N PARTS one behind the other, cut to what OUT of OUT_LEN holds, with a NUL behind; the length. */
size_t slice_join(char *out, size_t out_len, const struct slice *parts, size_t n);
struct slice slice_trim(struct slice s); /* spaces, tabs, CR, LF at both ends */
/* Decimal digits only, no sign, no overflow past MAX; false otherwise. */
bool slice_to_u64(struct slice s, uint64_t max, uint64_t *out);
/* Bytes as an operator may read them: printable ASCII as it is, the rest as \xNN; cut at OUT_LEN.
 */
const char *slice_printable(struct slice s, char *out, size_t out_len);
/* Length of the valid UTF-8 sequence at the start of S (RFC 3629 4), 0 when none stands there. */
size_t slice_utf8_len(struct slice s);
