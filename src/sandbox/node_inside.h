/*
 * The first steps of a node's life, inside its new namespaces: mounts, the bridge, forwarding.
 * Private to src/sandbox: node_spawn() calls it in the child.
 */
#pragma once
#include "sandbox/node.h"

bool node_set_up(struct node *node, struct err *err) MUST_CHECK;
/* The Ethernet address that belongs to an IPv4 address of the mesh: 02:00 and its four bytes. */
const char *node_mac(const struct ip *v4, char out[ADDR_TEXT]);
/* `ip -batch` in the caller's network namespace. */
bool node_ip_batch(const char *lines, struct err *err) MUST_CHECK;
