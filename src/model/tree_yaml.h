/*
 * YAML text <-> trees. YAML 1.1 as Kubernetes' tools read it, with the places of all nodes.
 *
 *   struct yaml *y = yaml_open(text);                 // TEXT must outlive it
 *   while ((got = yaml_next(y, arena, &root, &err, &line)) != YAML_END)
 *           if (got == YAML_BAD) ...                  // LINE and the text say what is wrong
 *   yaml_close(y);
 *
 * What is plain and looks like a number, true, false or null is that; what is quoted is a string.
 * The words yes, no, on and off (y, n) stay strings here, and only a boolean field takes them
 * (docs/decisions/040). `0644` and `0o644` are octal, `<<` merges. Anchors and aliases copy, within
 * a bound. A document that is wrong does not keep the next one from being read, unless the text is
 * no YAML at all.
 */
#pragma once
#include "model/tree.h"

enum yaml_result { YAML_DOCUMENT, YAML_BAD, YAML_END };

struct yaml;
struct yaml *yaml_open(struct slice text);
void yaml_close(struct yaml *y);
/* DOCUMENT: *ROOT lives in A. BAD: *LINE (from 1; 0: unknown) and ERR; go on calling. */
enum yaml_result yaml_next(struct yaml *y, struct arena *a, struct tree **root, struct err *err,
			   unsigned *line) MUST_CHECK;

/* One document in block style; strings that read as something else are quoted. False: the buffer is
 * full. */
bool tree_write_yaml(const struct tree *root, struct buf *out) MUST_CHECK;
/* The YAML 1.1 words that a boolean field takes besides true and false. */
bool yaml_boolean_word(struct slice text, bool *value);
