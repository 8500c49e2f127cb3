/* Ending a mesh: first politely, then for certain. */
#pragma once
#include "sandbox/node.h"

/* Asks the node to stop its Pods, waits for it, kills what is left, removes its folder. ENDED: it
 * has ended by itself. HURRY_FD (-1: none): when it becomes readable nothing is waited for any
 * more. Closes the handle. */
bool node_stop(struct node_handle *node, bool ended, int hurry_fd, struct err *err) MUST_CHECK;
