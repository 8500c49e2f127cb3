/* Ending a mesh: first politely, then for certain. */
#pragma once
#include "local/node.h"

/* Asks the node to stop its Pods, waits for it, kills what is left, removes its folder. ENDED: it
 * has ended by itself. Closes the handle. */
bool node_stop(struct node_handle *node, bool ended, struct err *err) MUST_CHECK;
