/*
 * EndpointSlices: which Pods stand behind each Service that has a selector, and whether they are
 * ready.
 *
 *   struct endpoints *e = endpoints_start(loop, store);
 *   endpoints_stop(e);
 *
 * One slice per Service, family and set of port numbers (a named targetPort may mean different
 * numbers in different Pods): `db-ipv4`, `db-ipv6`, `db-ipv4-2`. A Service without a selector keeps
 * the slices that a person wrote. Runs on the node's loop.
 */
#pragma once
#include "loop/loop.h"
#include "model/store.h"

struct endpoints;
struct endpoints *endpoints_start(struct loop *loop, struct store *store);
void endpoints_stop(struct endpoints *e);
/* Looks at what has changed, at once. */
void endpoints_reconcile(struct endpoints *e);
