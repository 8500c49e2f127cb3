/*
 * What the admin endpoints show, as JSON text: /config and /learned. (/connections is made of
 * record_json(); /explain of plan_explain_json().)
 *
 *   admin_config_json(view, &buf);
 *   admin_learned_json(live, &buf);
 *
 * Main thread, where the live registry lives. False: OUT reached its bound.
 */
#pragma once
#include "base/buf.h"
#include "model/view.h"

/* The mesh configuration in force, whose sidecar this is, and every Service with its ports and
 * endpoints. */
bool admin_config_json(const struct view *v, struct buf *out) MUST_CHECK;
/* Per direction and service port: what was seen, what follows from it, and the appProtocol to
 * declare, null where nothing certain does. */
bool admin_learned_json(const struct live *live, struct buf *out) MUST_CHECK;
