/*
 * Gives virtual IPs to Services that came without one. `hark apply` does so itself, before anything
 * is stored; this is for those that were written through the API.
 *
 *   struct services *s = services_start(node, store);
 *   services_stop(s);
 *
 * Runs on the node's loop.
 */
#pragma once
#include "model/store.h"
#include "sandbox/node.h"

struct services;
struct services *services_start(const struct node *node, struct store *store);
void services_stop(struct services *s);
