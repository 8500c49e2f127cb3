/*
 * A running mesh as `hark analyze` looks at it: its resources, and what its sidecars have learnt.
 *
 *   struct analysis *a = analysis_new(true);
 *   if (!analyze_live_read(&client, a, &err)) ...
 *
 * Blocking, for one command's life.
 */
#pragma once
#include "analyze/analyze.h"
#include "cli/mesh_client.h"

/* False: the mesh does not answer. A sidecar that does not is told on standard error, and what it may
 * have learnt is missing. */
bool analyze_live_read(const struct mesh_client *c, struct analysis *a, struct err *err) MUST_CHECK;
