/*
 * Resources as a person reads them in a terminal: one line each, columns by kind.
 *
 *   show_table(KIND_POD, items, true);        // `hark ps`, `hark get pods -o wide`
 */
#pragma once
#include <jansson.h>

#include "model/kinds.h"

void show_table(enum kind kind, const json_t *items, bool wide);
