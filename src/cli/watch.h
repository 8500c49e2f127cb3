/*
 * A kind's changes as they come, for a person or a program to read.
 *
 *   struct watch_how how = {.kind = KIND_POD, .format = ""};
 *   watch_print(client.base, "/api/v1/pods", &how, &err);     // until the mesh is down
 *
 * What there is (ADDED), then every change: a line of the kind's table, with -o yaml the resource, with
 * -o json the event. Blocking; ends too when nobody reads standard output any more.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "model/kinds.h"

struct watch_how {
	enum kind kind;
	const char *format;  /* "", "wide", "yaml" or "json" */
	const json_t *first; /* a list that begins it, or NULL */
};

bool watch_print(const char *base, const char *path, const struct watch_how *how,
		 struct err *err) MUST_CHECK;
