/*
 * Whether a Pod has a sidecar, written on the Pod: so that nobody ever sees its address without knowing.
 *
 *   inject_decide(&facts, &why)               // decide/inject.h
 *   struct object *noted = inject_note(pod, yes, &err);
 */
#pragma once
#include "decide/inject.h"
#include "model/object.h"

/*
 * O, a Pod, with the annotation that says whether it has a sidecar: set when YES, gone when not
 * (a person may have copied it from elsewhere); and when YES with the label that says that this
 * sidecar speaks mesh TLS, unless it has that label already. One reference; NULL on failure.
 */
struct object *inject_note(const struct object *o, bool yes, struct err *err) MUST_CHECK;
