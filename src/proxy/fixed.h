/*
 * The plan of a connection that no view decides: everything goes to the one address of the worker's
 * setup (`hark proxy --to`), raced for its first word or not, as a server's or a client's sidecar or as
 * neither.
 */
#pragma once
#include "proxy/conn.h"

void plan_fixed(struct conn *c);
