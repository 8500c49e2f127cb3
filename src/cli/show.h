/*
 * Resources as a person reads them in a terminal: one line each, columns by kind.
 *
 *   show_table(KIND_POD, items, true, NULL);        // `hark ps`, `hark get pods -o wide`
 */
#pragma once
#include <jansson.h>

#include "cli/columns.h"
#include "model/kinds.h"

/* MEMORY: of a table that goes on, or NULL. */
void show_table(enum kind kind, const json_t *items, bool wide, struct columns_memory *memory);
bool show_yaml(enum kind kind, const json_t *object, struct err *err) MUST_CHECK;
